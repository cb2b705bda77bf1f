//! The settings: when which calls may run.

use ringfence_policy_support::settings::{self, Place, Problems};
use ringfence_policy_support::table;
use ringfence_policy_support::types::{Call, Effect, SettingsProblem};

use crate::moment::{DAYS, MINUTES_OF_DAY, Moment, Window};

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "offset-minutes": {
      "description": "How far the clock is ahead of UTC; summer time is not known.",
      "type": "integer",
      "minimum": -840,
      "maximum": 840,
      "default": 0
    },
    "rules": {
      "description": "Every one that is for a call has to be open.",
      "type": "array",
      "minItems": 1,
      "maxItems": 100,
      "items": {
        "type": "object",
        "properties": {
          "tools": {
            "description": "The calls that the rule is for, by a tool's name or digest. Missing: of every tool.",
            "type": "array",
            "items": { "type": "string", "maxLength": 256, "pattern": "^([A-Za-z0-9._-]+|sha256:[0-9a-f]{64})$" },
            "minItems": 1,
            "maxItems": 1000
          },
          "effects": {
            "description": "The calls that the rule is for, by the function's effect. Missing: of every effect.",
            "type": "array",
            "items": { "enum": ["none", "reads", "writes", "external", "administrative", "unknown"] },
            "minItems": 1,
            "maxItems": 6
          },
          "windows": {
            "description": "The rule is open within each of these.",
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {
              "type": "object",
              "properties": {
                "days": {
                  "description": "On which days it begins. Missing: every day.",
                  "type": "array",
                  "items": { "enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] },
                  "minItems": 1,
                  "maxItems": 7
                },
                "from": { "description": "The first minute.", "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" },
                "to": {
                  "description": "The minute after the last; earlier than from is on the next day.",
                  "type": "string",
                  "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
                }
              },
              "required": ["from", "to"],
              "additionalProperties": false
            }
          }
        },
        "required": ["windows"],
        "additionalProperties": false
      }
    }
  },
  "required": ["rules"],
  "additionalProperties": false
}"#;

const OFFSET_MINUTES_MAX: i64 = 14 * 60;
const RULES_MAX: usize = 100;
const WINDOWS_MAX: usize = 100;
const TOOLS_MAX: usize = 1_000;

const EFFECTS: [(&str, Effect); 6] = [
    ("none", Effect::None),
    ("reads", Effect::Reads),
    ("writes", Effect::Writes),
    ("external", Effect::External),
    ("administrative", Effect::Administrative),
    ("unknown", Effect::Unknown),
];

/// Settings that were found to make sense.
pub struct Settings {
    /// How far the clock is ahead of UTC.
    pub offset_minutes: i64,
    /// Every one has to be open.
    pub rules: Vec<Rule>,
}

/// When some calls may run.
pub struct Rule {
    tools: Option<Vec<String>>,
    effects: Option<Vec<Effect>>,
    /// The rule is open within each of these.
    pub windows: Vec<Window>,
}

impl Settings {
    /// Reads settings, or lists what is wrong with them.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsProblem>> {
        settings::read(text, |place, problems| {
            let members = place.object(&["offset-minutes", "rules"], problems)?;
            let range = -OFFSET_MINUTES_MAX..=OFFSET_MINUTES_MAX;
            let offset = members.optional("offset-minutes", |place| place.integer(range, problems));
            let rules = members.required("rules", problems)?.list(1..=RULES_MAX, problems, rule)?;
            Some(Self { offset_minutes: offset.unwrap_or(0), rules })
        })
    }
}

impl Rule {
    /// Whether it is for a call.
    pub fn is_for(&self, call: &Call) -> bool {
        self.tools.as_ref().is_none_or(|tools| table::names(tools, &call.tool))
            && self.effects.as_ref().is_none_or(|effects| effects.contains(&call.effect))
    }

    /// Whether its calls may run at a moment.
    pub fn is_open(&self, moment: Moment) -> bool {
        self.windows.iter().any(|window| window.holds(moment))
    }
}

fn rule(place: &Place<'_>, problems: &mut Problems) -> Option<Rule> {
    let members = place.object(&["effects", "tools", "windows"], problems)?;
    Some(Rule {
        tools: members.optional("tools", |place| place.list(1..=TOOLS_MAX, problems, table::tool)),
        effects: members.optional("effects", |place| place.list(1..=EFFECTS.len(), problems, effect)),
        windows: members.required("windows", problems)?.list(1..=WINDOWS_MAX, problems, window)?,
    })
}

fn effect(place: &Place<'_>, problems: &mut Problems) -> Option<Effect> {
    place.word(&EFFECTS, problems)
}

fn window(place: &Place<'_>, problems: &mut Problems) -> Option<Window> {
    let members = place.object(&["days", "from", "to"], problems)?;
    let days = members.optional("days", |place| place.list(1..=DAYS.len(), problems, day));
    let mut minute = |key: &str, last: u16| {
        members.required(key, problems)?.parsed("a time of day like `08:30`", problems, |text| clock(text, last))
    };
    let (from, to) = (minute("from", MINUTES_OF_DAY - 1), minute("to", MINUTES_OF_DAY));
    let (from, to) = (from?, to?);
    if from == to {
        return place.wrong(problems, "`from` and `to` are the same: write `00:00` to `24:00` for a whole day");
    }
    let begins_on = |index: usize| days.as_ref().is_none_or(|days| days.contains(&index));
    Some(Window { days: core::array::from_fn(begins_on), from, to })
}

fn day(place: &Place<'_>, problems: &mut Problems) -> Option<usize> {
    let days: Vec<_> = DAYS.iter().enumerate().map(|(index, day)| (*day, index)).collect();
    place.word(&days, problems)
}

/// Two digits, a colon, two digits.
fn clock(text: &str, last: u16) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
    Some(number(hours)? * 60 + minutes).filter(|minute| *minute <= last)
}
