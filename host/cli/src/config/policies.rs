//! `[policies.NAME]`: which policies judge, with which settings, and where each of them is asked.
//!
//! What can be seen to be wrong without a component is refused here, by its line; the rest when the set is put in force.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::PolicyScope;
use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_model::principal::PrincipalPattern;
use ringfence_model::ring::Ring;
use serde::Deserialize;
use serde_json::Value;
use toml_edit::Item;

use crate::config::tools::Name;

/// A policy in force.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyTable {
    /// A component file, relative to the home; none for a built-in policy.
    pub component: Option<PathBuf>,
    /// The digest the component must have.
    pub digest: Option<Digest>,
    #[serde(default = "no_settings")]
    pub settings: Value,
    /// A table of cases, relative to the home, that the component must pass.
    pub cases: Option<PathBuf>,
    pub points: Option<Vec<DecisionPoint>>,
    pub principals: Option<Vec<PrincipalPattern>>,
    pub rings: Option<Vec<Ring>>,
    pub tools: Option<Vec<String>>,
}

/// What is wrong: the keys that lead to it, and why.
pub type Problem = (Vec<String>, String);

pub fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

impl PolicyTable {
    /// Where it is asked.
    pub fn scope(&self) -> PolicyScope {
        PolicyScope {
            points: self.points.clone(),
            principals: self.principals.clone(),
            rings: self.rings.clone(),
            tools: self.tools.clone(),
        }
    }

    fn check(&self, name: &str) -> Result<(), Problem> {
        let at = |key: &str, why: String| (vec!["policies".to_owned(), name.to_owned(), key.to_owned()], why);
        self.scope().check().map_err(|error| at(error.0, error.to_string()))?;
        for tool in self.tools.iter().flatten() {
            if tool.is_empty() || tool.starts_with("sha256:") && tool.parse::<Digest>().is_err() {
                return Err(at("tools", format!("`{}` is neither a tool's name nor its digest", one_line(tool))));
            }
        }
        Ok(())
    }
}

/// Checks the names and scopes of a set.
pub fn check(tables: &BTreeMap<String, PolicyTable>) -> Result<(), Problem> {
    if tables.len() > limits::POLICIES_PER_SET_MAX {
        let why = format!("{} policies are more than {}", tables.len(), limits::POLICIES_PER_SET_MAX);
        return Err((vec!["policies".to_owned()], why));
    }
    for (name, table) in tables {
        // A name is written into entries, and no two may look alike.
        name.parse::<Name>().map_err(|why| (vec!["policies".to_owned(), name.clone()], why))?;
        table.check(name)?;
    }
    Ok(())
}

/// The line of a configuration that keys lead to, as far as they lead; none if there is nothing by the first.
pub fn line_of<S: AsRef<str>>(text: &str, keys: &[S]) -> Option<usize> {
    let document = toml_edit::Document::parse(text).ok()?;
    let mut item = document.as_item();
    let mut found = None;
    for key in keys {
        let key = key.as_ref();
        let (span, next) = match item {
            Item::ArrayOfTables(_) | Item::None => break,
            Item::Value(toml_edit::Value::Array(array)) => {
                let Some(value) = key.parse().ok().and_then(|index: usize| array.get(index)) else { break };
                (value.span(), None)
            }
            item => {
                let Some((name, next)) = item.as_table_like().and_then(|table| table.get_key_value(key)) else { break };
                // The name of a table in a header stands in the header; that of a table between others has no place.
                (name.span().or_else(|| next.span()), Some(next))
            }
        };
        found = span.map(|span| span.start).or(found);
        let Some(next) = next else { break };
        item = next;
    }
    found.map(|start| text.get(..start).unwrap_or_default().matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn wrong_policies_name_their_line() {
        // POL-04
        let names: Vec<_> = (0..=limits::POLICIES_PER_SET_MAX).map(|n| format!("[policies.p{n}]")).collect();
        let many = names.join("\n");
        for (text, line, wanted) in [
            ("[policies.x]\npoints = []", 2, "`points` is an empty list"),
            ("[run]\n[policies.x]\nsettings = {}\nrings = []", 4, "`rings` is an empty list"),
            ("[policies.x]\nprincipals = []", 2, "`principals` is an empty list"),
            ("[policies.x]\n\ntools = []", 3, "`tools` is an empty list"),
            ("[policies]\nx = { tools = [] }", 2, "`tools` is an empty list"),
            ("[policies.x]\ntools = [\"sha256:12\"]", 2, "neither a tool's name nor its digest"),
            ("[policies.x]\ntools = [\"\"]", 2, "neither a tool's name nor its digest"),
            ("[policies.x]\npoints = [\"calls\"]", 2, "unknown variant `calls`"),
            ("[policies.x]\nrings = [4]", 2, "`4` is not a ring"),
            ("[policies.x]\nprincipals = [\"ada\"]", 2, "`ada` is not a principal"),
            ("[policies.x]\nscope = {}", 2, "unknown field `scope`"),
            ("[policies.x]\n[policies.x]", 2, "duplicate key"),
            ("[policies.\"my policy\"]", 1, "`my policy` is not a name"),
            ("[policies.\"р\"]", 1, "is not a name"),
            (&many, 1, "33 policies are more than 32"),
        ] {
            let (at, why) = Config::parse(text).expect_err(text);
            assert!(at == line && why.contains(wanted), "{text}: {at}: {why}");
        }
    }

    #[test]
    fn scope_is_read_as_written() {
        let text = "[policies.x]\npoints = [\"call\", \"egress\"]\nrings = [0, 3]\ntools = [\"files\"]\n\
                    principals = [\"agent:*\", \"operator:ada\"]";
        let config = Config::parse(text).expect("a configuration");
        let scope = config.policies.expect("policies")["x"].scope();
        let wanted =
            r#"{"points":["call","egress"],"principals":["agent:*","operator:ada"],"rings":[0,3],"tools":["files"]}"#;
        assert_eq!(serde_json::to_string(&scope).expect("JSON"), wanted);
    }

    #[test]
    fn lines_are_those_of_the_deepest_key() {
        let text = "\n[policies.x]\n# why\ncomponent = 'a'\n\n[policies.x.settings]\nroots = [\n  '/a',\n  1,\n]\n";
        for (keys, line) in [
            (&["policies", "x"][..], 2),
            (&["policies", "x", "component"], 4),
            (&["policies", "x", "settings"], 6),
            (&["policies", "x", "settings", "roots"], 7),
            (&["policies", "x", "settings", "roots", "1"], 9),
            (&["policies", "x", "settings", "roots", "1", "more"], 9),
            (&["policies", "x", "settings", "arguments"], 6),
        ] {
            assert_eq!(line_of(text, keys), Some(line), "{keys:?}");
        }
        assert_eq!(line_of(text, &["run"]), None);
    }
}
