//! The settings: what is mended, and how long a transcript may be.

use std::collections::BTreeSet;

use ringfence_policy_support::strict::{Table, some_text};
use ringfence_policy_support::types::SettingsProblem;

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "repair": {
      "description": "Whether what can be mended by taking something out is mended and permitted, rather than forbidden.",
      "type": "boolean",
      "default": false
    },
    "roles": {
      "description": "The roles that a message can have.",
      "type": "array",
      "items": { "type": "string", "minLength": 1 },
      "minItems": 1,
      "maxItems": 16,
      "default": ["assistant", "developer", "system", "tool", "user"]
    },
    "duplicates": {
      "description": "Where a message that is the same as an earlier one is wrong.",
      "enum": ["adjacent", "allowed", "anywhere"],
      "default": "adjacent"
    },
    "dropped-turns": {
      "description": "Whether messages of the last transcript may be missing.",
      "enum": ["allowed", "forbidden"],
      "default": "forbidden"
    },
    "max-messages": {
      "description": "The most messages.",
      "type": "integer",
      "minimum": 1,
      "maximum": 100000,
      "default": 10000
    },
    "max-tokens": {
      "description": "The most tokens, estimated: 3, and for each message 4 and a quarter of its bytes as canonical JSON.",
      "type": "integer",
      "minimum": 1,
      "maximum": 10000000
    }
  },
  "additionalProperties": false
}"#;

const ROLES: [&str; 5] = ["assistant", "developer", "system", "tool", "user"];
const ROLES_MAX: usize = 16;
const MESSAGES_MAX_DEFAULT: u64 = 10_000;

/// Settings that were found to make sense.
#[derive(Debug)]
pub struct Settings {
    pub repairs: bool,
    pub roles: BTreeSet<String>,
    pub duplicates: Duplicates,
    pub may_drop: bool,
    pub messages_max: u64,
    pub tokens_max: Option<u64>,
}

/// Where a message that is the same as an earlier one is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// Right after it.
    Adjacent,
    /// Nowhere.
    Allowed,
    /// Wherever it is.
    Anywhere,
}

impl Settings {
    /// Reads settings, or lists everything that is wrong with them.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsProblem>> {
        let mut table = Table::parse(text);
        let settings = Self {
            repairs: table.flag("repair"),
            roles: roles(&mut table),
            duplicates: table.text("duplicates", duplicates).unwrap_or(Duplicates::Adjacent),
            may_drop: table.text("dropped-turns", may_drop).unwrap_or(false),
            messages_max: table.integer("max-messages", 1..=100_000).unwrap_or(MESSAGES_MAX_DEFAULT),
            tokens_max: table.integer("max-tokens", 1..=10_000_000),
        };
        table.finish(settings)
    }
}

fn roles(table: &mut Table) -> BTreeSet<String> {
    if !table.has("roles") {
        return ROLES.map(str::to_owned).into();
    }
    let roles: BTreeSet<_> = table.texts("roles", ROLES_MAX, some_text).into_iter().collect();
    if roles.is_empty() {
        table.reject("roles", "has to name a role");
    }
    roles
}

fn duplicates(text: &str) -> Result<Duplicates, String> {
    match text {
        "adjacent" => Ok(Duplicates::Adjacent),
        "allowed" => Ok(Duplicates::Allowed),
        "anywhere" => Ok(Duplicates::Anywhere),
        _ => Err("has to be `adjacent`, `allowed` or `anywhere`".to_owned()),
    }
}

fn may_drop(text: &str) -> Result<bool, String> {
    match text {
        "allowed" => Ok(true),
        "forbidden" => Ok(false),
        _ => Err("has to be `allowed` or `forbidden`".to_owned()),
    }
}
