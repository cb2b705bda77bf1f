//! The settings: which folders, and where in the input the paths are.

use ringfence_policy_support::types::SettingsProblem;
use ringfence_policy_support::{problem, quoted};
use serde_json::{Map, Value};

use crate::path::GuestPath;

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "roots": {
      "description": "Absolute guest paths of the folders that paths have to be under.",
      "type": "array",
      "items": { "type": "string", "pattern": "^/" },
      "minItems": 1
    },
    "arguments": {
      "description": "JSON Pointers (RFC 6901) to the paths in the input.",
      "type": "array",
      "items": { "type": "string", "pattern": "^(/([^~/]|~[01])*)*$" },
      "minItems": 1,
      "default": ["/path"]
    }
  },
  "required": ["roots"],
  "additionalProperties": false
}"#;

const ARGUMENTS_DEFAULT: &str = "/path";

/// Settings that were found to make sense.
#[derive(Debug)]
pub struct Settings {
    /// The folders that paths have to be under; never empty.
    pub roots: Vec<GuestPath>,
    /// Where the paths are; never empty.
    pub arguments: Vec<String>,
}

impl Settings {
    /// Reads settings, or lists everything that is wrong with them.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsProblem>> {
        let members = match serde_json::from_str(text) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(vec![problem("", "the settings have to be an object")]),
            Err(error) => return Err(vec![problem("", format!("the settings are not JSON: {error}"))]),
        };
        let mut problems = unknown(&members);
        let roots = list(&members, "roots", root, &mut problems);
        let arguments = if members.contains_key("arguments") {
            list(&members, "arguments", argument, &mut problems)
        } else {
            vec![ARGUMENTS_DEFAULT.to_owned()]
        };
        if problems.is_empty() { Ok(Self { roots, arguments }) } else { Err(problems) }
    }
}

/// Reads a list that has to hold something, and only what `item` accepts.
fn list<T>(
    members: &Map<String, Value>,
    key: &str,
    item: fn(&str) -> Result<T, String>,
    problems: &mut Vec<SettingsProblem>,
) -> Vec<T> {
    let Some(Value::Array(values)) = members.get(key).filter(|value| **value != Value::Array(Vec::new())) else {
        problems.push(problem(format!("/{key}"), format!("`{key}` has to be a list with at least one item")));
        return Vec::new();
    };
    let mut items = Vec::new();
    for (index, value) in values.iter().enumerate() {
        match value.as_str().ok_or_else(|| "has to be text".to_owned()).and_then(item) {
            Ok(item) => items.push(item),
            Err(text) => problems.push(problem(format!("/{key}/{index}"), text)),
        }
    }
    items
}

/// A root has one spelling, so that nobody has to work out which folder is meant.
fn root(text: &str) -> Result<GuestPath, String> {
    GuestPath::parse(text)
        .filter(|path| path.to_string() == text)
        .ok_or_else(|| format!("{} is not an absolute path in its shortest spelling", quoted(text)))
}

fn argument(text: &str) -> Result<String, String> {
    let escapes_are_whole = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if (text.is_empty() || text.starts_with('/')) && escapes_are_whole {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is not a JSON Pointer", quoted(text)))
    }
}

fn unknown(members: &Map<String, Value>) -> Vec<SettingsProblem> {
    let known = |key: &str| matches!(key, "roots" | "arguments");
    members
        .keys()
        .filter(|key| !known(key))
        .map(|key| problem(format!("/{}", key.replace('~', "~0").replace('/', "~1")), "there is no such setting"))
        .collect()
}
