//! The settings: how much of what, within which time, counted for whom.

use ringfence_policy_support::settings::{self, Members, Place, Problems};
use ringfence_policy_support::table;
use ringfence_policy_support::types::{Scope, SettingsProblem, Tool, Unit, Window};

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "permits": {
      "description": "Whether a call within its limits is permitted, with each limit as a cap. If not: it is not forbidden.",
      "type": "boolean"
    },
    "limits": {
      "description": "Every one holds. Each has one or more of calls, fuel and wall-ms; all of them together are at most 32.",
      "type": "array",
      "minItems": 1,
      "maxItems": 32,
      "items": {
        "type": "object",
        "properties": {
          "scope": {
            "description": "What is counted together.",
            "enum": ["host", "principal", "session", "tool", "principal-tool"]
          },
          "window": { "description": "Within which time.", "enum": ["minute", "hour", "day"] },
          "calls": { "type": "integer", "minimum": 1, "maximum": 9007199254740991 },
          "fuel": { "type": "integer", "minimum": 1, "maximum": 9007199254740991 },
          "wall-ms": { "type": "integer", "minimum": 1, "maximum": 9007199254740991 },
          "tools": {
            "description": "The calls that the limit is for, by a tool's name or digest. Missing: every call.",
            "type": "array",
            "items": { "type": "string", "maxLength": 256, "pattern": "^([A-Za-z0-9._-]+|sha256:[0-9a-f]{64})$" },
            "minItems": 1,
            "maxItems": 1000
          }
        },
        "required": ["scope", "window"],
        "anyOf": [{ "required": ["calls"] }, { "required": ["fuel"] }, { "required": ["wall-ms"] }],
        "additionalProperties": false
      }
    }
  },
  "required": ["permits", "limits"],
  "additionalProperties": false
}"#;

/// As many as a host takes conditions on one permit.
const LIMITS_MAX: usize = 32;
const TOOLS_MAX: usize = 1_000;
const AT_MOST_MAX: i64 = (1 << 53) - 1;

const SCOPES: [(&str, Scope); 5] = [
    ("host", Scope::Host),
    ("principal", Scope::Principal),
    ("session", Scope::Session),
    ("tool", Scope::Tool),
    ("principal-tool", Scope::PrincipalTool),
];

const WINDOWS: [(&str, Window); 3] = [("minute", Window::Minute), ("hour", Window::Hour), ("day", Window::Day)];

const UNITS: [(&str, Unit); 3] = [("calls", Unit::Calls), ("fuel", Unit::Fuel), ("wall-ms", Unit::WallMs)];

/// Settings that were found to make sense.
pub struct Settings {
    /// Whether a call within its limits is permitted.
    pub permits: bool,
    /// Every limit.
    pub limits: Vec<Limit>,
}

/// At most so much of one thing.
pub struct Limit {
    pub scope: Scope,
    pub window: Window,
    pub unit: Unit,
    pub at_most: u64,
    tools: Option<Vec<String>>,
}

impl Settings {
    /// Reads settings, or lists what is wrong with them.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsProblem>> {
        settings::read(text, |place, problems| {
            let members = place.object(&["limits", "permits"], problems)?;
            let permits = members.required("permits", problems).and_then(|place| place.boolean(problems));
            let place = members.required("limits", problems)?;
            let limits = place.list(1..=LIMITS_MAX, problems, limits)?.into_iter().flatten().collect::<Vec<_>>();
            if limits.len() > LIMITS_MAX {
                place.wrong::<()>(problems, format!("{} limits are more than {LIMITS_MAX}", limits.len()));
            }
            Some(Self { permits: permits?, limits })
        })
    }
}

impl Limit {
    /// Whether calls of a tool are limited.
    pub fn is_for(&self, tool: &Tool) -> bool {
        self.tools.as_ref().is_none_or(|tools| table::names(tools, tool))
    }
}

/// The name of a scope.
pub fn scope_word(scope: Scope) -> &'static str {
    SCOPES.iter().find(|(_, known)| *known == scope).map_or("host", |(word, _)| word)
}

/// A limit for each unit that is named.
fn limits(place: &Place<'_>, problems: &mut Problems) -> Option<Vec<Limit>> {
    let members = place.object(&["calls", "fuel", "scope", "tools", "wall-ms", "window"], problems)?;
    let scope = members.required("scope", problems).and_then(|place| place.word(&SCOPES, problems));
    let window = members.required("window", problems).and_then(|place| place.word(&WINDOWS, problems));
    let tools = members.optional("tools", |place| place.list(1..=TOOLS_MAX, problems, table::tool));
    let amounts = amounts(&members, problems);
    if UNITS.iter().all(|(word, _)| members.get(word).is_none()) {
        place.wrong::<()>(problems, "there has to be one of `calls`, `fuel` and `wall-ms`");
    }
    let (scope, window) = (scope?, window?);
    let limit = |(unit, at_most)| Limit { scope, window, unit, at_most, tools: tools.clone() };
    Some(amounts.into_iter().map(limit).collect())
}

fn amounts(members: &Members<'_>, problems: &mut Problems) -> Vec<(Unit, u64)> {
    let mut amounts = Vec::new();
    for (word, unit) in UNITS {
        let amount = members.optional(word, |place| place.integer(1..=AT_MOST_MAX, problems));
        amounts.extend(amount.map(|amount| (unit, amount.unsigned_abs())));
    }
    amounts
}
