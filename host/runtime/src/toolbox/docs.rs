//! Doc comments of a tool's WIT, which describe its functions.
//!
//! A component has them only if its build put them into a `package-docs` section: a version byte, then JSON (wasm-tools'
//! convention; wit-parser, `metadata.rs`). They are the author's words about a tool and decide nothing, so docs that
//! can't be read, or that say two things of one function, describe nothing; they never fail a load.

use std::collections::BTreeMap;

use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use serde_json::Value;

use crate::engine::sections;

const SECTION: &str = "package-docs";

/// What a component says of its functions.
#[derive(Debug, Default)]
pub(super) struct Docs {
    /// By interface, none for those of the world, and name; empty where there are two.
    functions: BTreeMap<(Option<String>, String), String>,
}

impl Docs {
    /// Reads what a component brings along.
    pub(super) fn read(component: &[u8]) -> Self {
        let mut docs = Self::default();
        let said = package(component).unwrap_or_default();
        docs.add_interfaces(&said);
        for (_, world) in members(&said, "worlds") {
            docs.add_interfaces(world);
            docs.add_functions(None, world);
        }
        docs
    }

    /// The description of a function, on one line; empty if there is none.
    pub(super) fn function(&self, interface: Option<&str>, name: &str) -> String {
        // The section does not name its package: an interface is known by the last part of its name.
        self.functions.get(&(interface.map(str::to_owned), name.to_owned())).cloned().unwrap_or_default()
    }

    fn add_interfaces(&mut self, holder: &Value) {
        for key in ["interfaces", "interface_exports"] {
            for (name, interface) in members(holder, key) {
                self.add_functions(Some(name), interface);
            }
        }
    }

    fn add_functions(&mut self, interface: Option<&str>, holder: &Value) {
        for key in ["funcs", "func_exports"] {
            for (name, function) in members(holder, key) {
                // Version 0 has the text itself where version 1 has an object.
                let Some(text) = function.as_str().or_else(|| function.get("docs")?.as_str()) else { continue };
                let text = one_line(&text.split_whitespace().collect::<Vec<_>>().join(" "));
                let key = (interface.map(str::to_owned), name.clone());
                let known = self.functions.entry(key).or_insert_with(|| text.clone());
                if *known != text {
                    known.clear();
                }
            }
        }
    }
}

/// The section, if there is one that can be read.
fn package(component: &[u8]) -> Option<Value> {
    let mut found = sections::custom(component, SECTION);
    let (Some(content), None) = (found.next(), found.next()) else { return None };
    match content.split_first()? {
        (0 | 1, text) if text.len() <= limits::DOCS_BYTES_MAX => json::parse(text).ok(),
        _ => None,
    }
}

fn members<'a>(holder: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    holder.get(key).and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Docs {
        Docs::read(&component(&[&format!("\u{1}{json}")]))
    }

    fn component(sections: &[&str]) -> Vec<u8> {
        sections::tests::component(SECTION, sections)
    }

    fn interface(docs: &str) -> String {
        format!(r#"{{"interfaces":{{"i":{{"funcs":{{"f":{{"docs":"{docs}"}}}}}}}}}}"#)
    }

    #[test]
    fn functions_are_described_by_interface() {
        let docs = read(
            r#"{"docs":"P.","interfaces":{"i":{"docs":"I.","funcs":{"f":{"docs":"Does f.\n\nIn  two\tlines.\n"}}},
                "j":{"funcs":{"f":{"docs":"Another."},"g":{"stability":"unknown"}}}},
                "worlds":{"w":{"docs":"W.","funcs":{"run":{"docs":"Runs."}},"func_exports":{"stop":{"docs":"Stops."}},
                "interfaces":{"k":{"funcs":{"f":{"docs":"Inline."}}}}}}}"#,
        );
        assert_eq!(docs.function(Some("i"), "f"), "Does f. In two lines.");
        assert_eq!(docs.function(Some("j"), "f"), "Another.");
        assert_eq!(docs.function(Some("k"), "f"), "Inline.");
        assert_eq!(docs.function(None, "run"), "Runs.");
        assert_eq!(docs.function(None, "stop"), "Stops.");
        for (interface, name) in [(Some("j"), "g"), (Some("i"), "g"), (None, "f"), (Some("w"), "run")] {
            assert_eq!(docs.function(interface, name), "");
        }
    }

    #[test]
    fn older_sections_hold_bare_text() {
        let docs = Docs::read(&component(&["\0{\"interfaces\":{\"i\":{\"funcs\":{\"f\":\"Old.\",\"g\":null}}}}"]));
        assert_eq!(docs.function(Some("i"), "f"), "Old.");
        assert_eq!(docs.function(Some("i"), "g"), "");
    }

    #[test]
    fn no_section_describes_nothing() {
        assert!(Docs::read(&component(&[])).functions.is_empty());
        assert!(Docs::read(b"").functions.is_empty());
    }

    #[test]
    fn malformed_sections_describe_nothing() {
        let good = interface("F.");
        let known = read(&good);
        assert_eq!(known.function(Some("i"), "f"), "F.");
        for section in ["", "\u{1}", "\u{1}{", "\u{1}[]", "\u{1}\"i\"", &good, &format!("\u{2}{good}")] {
            assert!(Docs::read(&component(&[section])).functions.is_empty(), "{section:?}");
        }
        let good = format!("\u{1}{good}");
        assert!(Docs::read(&component(&[&good, &good])).functions.is_empty(), "two sections");
        for json in [
            r#"{"interfaces":[]}"#,
            r#"{"interfaces":{"i":[]}}"#,
            r#"{"interfaces":{"i":{"funcs":{"f":1,"g":{"docs":["a"]}}}}}"#,
            r#"{"interfaces":{},"interfaces":{"i":{"funcs":{"f":"a"}}}}"#,
        ] {
            assert!(read(json).functions.is_empty(), "{json}");
        }
    }

    #[test]
    fn two_descriptions_of_a_function_are_none() {
        let docs = read(
            r#"{"worlds":{"v":{"funcs":{"f":{"docs":"One."},"g":{"docs":"Same."}}},
                "w":{"funcs":{"f":{"docs":"Two."},"g":{"docs":"Same."}}}}}"#,
        );
        assert_eq!(docs.function(None, "f"), "");
        assert_eq!(docs.function(None, "g"), "Same.");
    }

    #[test]
    fn huge_sections_describe_nothing() {
        let frame = interface("").len();
        let largest = read(&interface(&"a".repeat(limits::DOCS_BYTES_MAX - frame)));
        let description = largest.function(Some("i"), "f");
        assert!(description.starts_with("aaa") && description.ends_with('…'));
        assert!(description.len() < limits::GUEST_TEXT_BYTES_MAX + 8);
        let larger = read(&interface(&"a".repeat(limits::DOCS_BYTES_MAX - frame + 1)));
        assert!(larger.functions.is_empty());
    }

    #[test]
    fn descriptions_show_what_hides_text() {
        let docs = read(&interface(r"a\u001b[2Jb\u202ec"));
        assert_eq!(docs.function(Some("i"), "f"), r"a\u{1b}[2Jb\u{202e}c");
    }
}
