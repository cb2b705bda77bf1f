//! Descriptions: what a tool says of itself, as far as anybody relies on it.
//!
//! A model picks a tool by its description and an operator grants by it, so a description is pinned like the bytes are:
//! by the digest of its canonical form (ART-04). What two versions say is compared subject by subject; what is hidden in
//! a text is named. This module decides nothing: whether a change is welcome is the operator's to say.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::digest::Digest;
use crate::json;
use crate::outcome::is_unprintable;
use crate::outcome::one_line;
use crate::tool::Effect;
use crate::tool::Manifest;
use crate::tool::ManifestCapabilities;

/// What a tool says of itself. Texts are on one line, as they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Description {
    /// What its manifest asks for; none without a manifest, which bounds nothing.
    pub capabilities: Option<ManifestCapabilities>,
    /// Its functions.
    pub functions: Vec<FunctionDescription>,
    /// What the component imports: found by looking, whatever its author says (ART-10).
    pub imports: Vec<String>,
    /// The name its author gives it; empty without a manifest.
    pub name: String,
    /// What it is for.
    pub summary: String,
    /// Its version; empty without a manifest.
    pub version: String,
}

/// What a tool says of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FunctionDescription {
    /// What it does.
    pub description: String,
    /// What it may do to the world.
    pub effect: Effect,
    /// Whether calling it twice does no more than calling it once.
    pub idempotent: bool,
    /// The fields of its input that say which call it is. None are left out, for what was pinned without them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id_from: Vec<String>,
    /// JSON Schema of its input.
    pub input_schema: Option<Value>,
    /// The name it is called by.
    pub name: String,
    /// JSON Schema of what it returns.
    pub output_schema: Option<Value>,
    /// The function that tells what became of a call of it; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<String>,
}

/// One subject that two descriptions differ in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What the new one says; none if it says nothing.
    pub after: Option<String>,
    /// What the old one said; none if it said nothing.
    pub before: Option<String>,
    /// What it is about.
    pub subject: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, before, subject } = self;
        match (before.as_deref(), after.as_deref()) {
            (Some(before), Some(after)) => write!(f, "~ {subject}: {before} -> {after}"),
            (Some(""), None) => write!(f, "- {subject}"),
            (Some(before), None) => write!(f, "- {subject}: {before}"),
            (None, Some("") | None) => write!(f, "+ {subject}"),
            (None, Some(after)) => write!(f, "+ {subject}: {after}"),
        }
    }
}

/// Something in a description that a reader would not see (AGT-01).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// What the text is about.
    pub subject: String,
    /// What it hides.
    pub what: String,
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the text of {} hides {}", self.subject, self.what)
    }
}

impl Description {
    /// The digest that pins it.
    pub fn digest(&self) -> Digest {
        // Strings, numbers and maps of them always serialise.
        Digest::of(&json::canonical(&serde_json::to_value(self).unwrap_or_default()))
    }

    /// What `newer` says otherwise, in the order of the subjects.
    pub fn differences(&self, newer: &Self) -> Vec<Difference> {
        let (old, new) = (self.subjects(), newer.subjects());
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort();
        names.dedup();
        let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
        differing
            .map(|subject| Difference {
                after: new.get(subject).cloned(),
                before: old.get(subject).cloned(),
                subject: subject.clone(),
            })
            .collect()
    }

    /// Whether `newer` asks for nothing that this does not ask for: then what was granted to this may stay (ART-09).
    pub fn covers_requests_of(&self, newer: &Self) -> bool {
        let ceiling = |description: &Self| {
            let capabilities = description.capabilities.clone();
            let manifest = capabilities.map(|capabilities| Manifest { capabilities, ..Manifest::default() });
            manifest.map(|manifest| manifest.ceiling()).unwrap_or_default()
        };
        ceiling(self).covers(&ceiling(newer))
    }

    /// Whether its version is a lower one (ART-07). Versions that are not numbers with dots are not compared.
    pub fn is_older_than(&self, other: &Self) -> bool {
        let numbers = |version: &str| -> Option<Vec<u64>> {
            let core = version.split(['-', '+']).next().unwrap_or_default();
            core.split('.').map(|part| part.parse().ok()).collect()
        };
        matches!((numbers(&self.version), numbers(&other.version)), (Some(mine), Some(theirs)) if mine < theirs)
    }

    /// The first text that holds what a reader would not see: characters that hide or reorder, comments of markup.
    pub fn hidden_text(&self) -> Option<Hidden> {
        let summary = ("the tool".to_owned(), &self.summary);
        let described = |f: &FunctionDescription| (format!("function `{}`", one_line(&f.name)), f.description.clone());
        let functions: Vec<_> = self.functions.iter().map(described).collect();
        let texts = [summary].into_iter().chain(functions.iter().map(|(subject, text)| (subject.clone(), text)));
        for (subject, text) in texts {
            if let Some(what) = hidden_in(text) {
                return Some(Hidden { subject, what });
            }
        }
        self.functions.iter().find_map(|function| {
            let schemas = [&function.input_schema, &function.output_schema];
            let what = schemas.into_iter().flatten().find_map(hidden_in_schema)?;
            Some(Hidden { subject: format!("function `{}`, in a schema,", one_line(&function.name)), what })
        })
    }

    /// Everything that is said, by what it is about.
    fn subjects(&self) -> BTreeMap<String, String> {
        let mut subjects = BTreeMap::from([
            ("name".to_owned(), self.name.clone()),
            ("summary".to_owned(), self.summary.clone()),
            ("version".to_owned(), self.version.clone()),
        ]);
        let asked = serde_json::to_value(&self.capabilities).unwrap_or_default();
        for (name, value) in asked.as_object().into_iter().flatten() {
            subjects.insert(format!("asks for {name}"), one_line(&value.to_string()));
        }
        if self.capabilities.is_none() {
            subjects.insert("asks for".to_owned(), "whatever it is granted: it has no manifest".to_owned());
        }
        for import in &self.imports {
            subjects.insert(format!("import {}", one_line(import)), String::new());
        }
        for function in &self.functions {
            function.add_subjects(&mut subjects);
        }
        subjects
    }
}

impl FunctionDescription {
    fn add_subjects(&self, subjects: &mut BTreeMap<String, String>) {
        let function = format!("function {}", one_line(&self.name));
        let mut say = |what: &str, text: String| subjects.insert(format!("{function} {what}"), text);
        say("description", self.description.clone());
        say("effect", self.effect.to_string());
        say("idempotent", self.idempotent.to_string());
        if !self.id_from.is_empty() {
            say("id-from", one_line(&self.id_from.join(" ")));
        }
        if let Some(reconcile) = &self.reconcile {
            say("reconcile", one_line(reconcile));
        }
        for (what, schema) in [("input", &self.input_schema), ("output", &self.output_schema)] {
            if let Some(schema) = schema {
                say(what, one_line(&schema.to_string()));
            }
        }
        subjects.insert(function, String::new());
    }
}

/// Names what a text hides. Texts of functions come with such characters written out, as they are shown; ends of lines
/// hide nothing.
fn hidden_in(text: &str) -> Option<String> {
    let written = text.split("\\u{").skip(1).filter_map(|rest| rest.split_once('}'));
    let written = written.filter_map(|(digits, _)| char::from_u32(u32::from_str_radix(digits, 16).ok()?));
    let hides = |c: &char| is_unprintable(*c) && !matches!(c, '\n' | '\r' | '\t');
    if let Some(c) = text.chars().chain(written).find(hides) {
        return Some(format!("the character U+{:04X}", u32::from(c)));
    }
    text.contains("<!--").then(|| "a comment of markup".to_owned())
}

fn hidden_in_schema(schema: &Value) -> Option<String> {
    let mut left = vec![schema];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(members) => {
                left.extend(members.values());
                if let Some(what) = members.keys().find_map(|name| hidden_in(name)) {
                    return Some(what);
                }
            }
            Value::String(text) => {
                if let Some(what) = hidden_in(text) {
                    return Some(what);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::capability::FilesystemCeiling;

    fn described(filesystem: FilesystemCeiling) -> Description {
        let list = FunctionDescription {
            description: "Lists.".to_owned(),
            effect: Effect::Reads,
            idempotent: true,
            input_schema: Some(json!({"type": "object"})),
            name: "list".to_owned(),
            ..FunctionDescription::default()
        };
        Description {
            capabilities: Some(ManifestCapabilities { filesystem, ..ManifestCapabilities::default() }),
            functions: vec![list],
            imports: vec!["wasi:io/poll@0.2.6".to_owned()],
            name: "files".to_owned(),
            summary: "Files.".to_owned(),
            version: "1.0.0".to_owned(),
        }
    }

    #[test]
    fn every_field_moves_the_digest() {
        // ART-04
        let one = described(FilesystemCeiling::Read);
        let changes: [Change; 13] = [
            |d| d.capabilities = None,
            |d| d.capabilities = Some(ManifestCapabilities::default()),
            |d| d.imports.push("wasi:sockets/tcp@0.2.6".to_owned()),
            |d| d.name.push('x'),
            |d| d.summary.push('x'),
            |d| d.version.push('1'),
            |d| d.functions[0].description.push('x'),
            |d| d.functions[0].effect = Effect::Writes,
            |d| d.functions[0].idempotent = false,
            |d| d.functions[0].id_from = vec!["/id".to_owned()],
            |d| d.functions[0].reconcile = Some("find".to_owned()),
            |d| d.functions[0].input_schema = Some(json!({"type": "object", "description": "x"})),
            |d| d.functions[0].output_schema = Some(json!(true)),
        ];
        for (turn, change) in changes.into_iter().enumerate() {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(one.digest(), other.digest(), "{turn}");
            assert!(!one.differences(&other).is_empty(), "{turn}");
        }
        assert_eq!((one.digest(), one.differences(&one)), (one.clone().digest(), Vec::new()));
    }

    #[test]
    fn differences_say_before_and_after() {
        let old = described(FilesystemCeiling::Read);
        let mut new = described(FilesystemCeiling::ReadWrite);
        new.functions[0].name = "send".to_owned();
        let shown: Vec<String> = old.differences(&new).iter().map(ToString::to_string).collect();
        assert!(shown.contains(&"~ asks for filesystem: \"read\" -> \"read-write\"".to_owned()), "{shown:?}");
        assert!(shown.contains(&"- function list".to_owned()) && shown.contains(&"+ function send".to_owned()));
    }

    #[test]
    fn wider_requests_are_not_covered() {
        // ART-09
        let [none, read, write] =
            [FilesystemCeiling::None, FilesystemCeiling::Read, FilesystemCeiling::ReadWrite].map(described);
        let anything = Description { capabilities: None, ..read.clone() };
        for (old, new, covered) in [
            (&read, &read, true),
            (&write, &read, true),
            (&read, &none, true),
            (&read, &write, false),
            (&read, &anything, false),
            (&anything, &write, true),
        ] {
            assert_eq!(old.covers_requests_of(new), covered, "{old:?} {new:?}");
        }
    }

    #[test]
    fn lower_versions_are_older() {
        // ART-07
        let version = |version: &str| Description { version: version.to_owned(), ..Description::default() };
        for (one, other, older) in [
            ("1.0.0", "1.0.0", false),
            ("1.9.0", "1.10.0", true),
            ("1.10.0", "1.9.0", false),
            ("0.9.9", "1.0.0-rc.1", true),
            ("", "1.0.0", false),
            ("one", "two", false),
        ] {
            assert_eq!(version(one).is_older_than(&version(other)), older, "{one} {other}");
        }
    }

    type Change = fn(&mut Description);

    #[test]
    fn hidden_text_is_named() {
        // AGT-01
        let clean = described(FilesystemCeiling::Read);
        assert_eq!(clean.hidden_text(), None);
        let changes: [(Change, &str); 6] = [
            (|d| d.summary.push('\u{202e}'), "the tool hides the character U+202E"),
            (|d| d.functions[0].description.push('\u{e0041}'), "function `list` hides the character U+E0041"),
            (|d| d.functions[0].description = one_line("a\u{200b}b"), "hides the character U+200B"),
            (|d| d.functions[0].description.push_str("<!-- send it -->"), "a comment of markup"),
            (|d| d.functions[0].input_schema = Some(json!({"a": [{"description": "\u{2066}"}]})), "U+2066"),
            (|d| d.functions[0].output_schema = Some(json!({"\u{feff}": 1})), "in a schema, hides"),
        ];
        for (change, wanted) in changes {
            let mut other = clean.clone();
            change(&mut other);
            let hidden = other.hidden_text().map(|hidden| hidden.to_string());
            assert!(hidden.as_ref().is_some_and(|hidden| hidden.contains(wanted)), "{wanted}: {hidden:?}");
        }
        let mut lines = clean;
        lines.summary = one_line("one\ntwo\tthree");
        assert_eq!(lines.hidden_text(), None);
    }
}
