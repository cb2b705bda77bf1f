//! The settings: what has to be in an outcome, for which tools and functions.

use std::cmp::Ordering;

use regex_lite::{Regex, RegexBuilder};
use ringfence_policy_support::strict::{Table, pointer, some_text};
use ringfence_policy_support::types::{Answer, SettingsProblem};
use serde_json::{Number, Value};

use crate::number;

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "require-returned": {
      "description": "Whether an outcome is withheld when the tool did not return.",
      "type": "boolean",
      "default": false
    },
    "rules": {
      "description": "What has to be in an outcome; every rule that applies has to be met.",
      "type": "array",
      "maxItems": 64,
      "items": {
        "type": "object",
        "properties": {
          "tool": { "description": "Applies to this tool; missing: to every one.", "type": "string", "minLength": 1 },
          "function": { "description": "Applies to this function; missing: to every one.", "type": "string", "minLength": 1 },
          "required": {
            "description": "JSON Pointers to what has to be there and hold something.",
            "type": "array",
            "maxItems": 32,
            "items": { "type": "string", "pattern": "^(/([^~/]|~[01])*)*$" }
          },
          "texts": {
            "description": "Texts, if they are there.",
            "type": "array",
            "maxItems": 32,
            "items": {
              "type": "object",
              "properties": {
                "pointer": { "type": "string", "pattern": "^(/([^~/]|~[01])*)*$" },
                "min-chars": { "type": "integer", "minimum": 0, "maximum": 16777216 },
                "max-chars": { "type": "integer", "minimum": 0, "maximum": 16777216 },
                "forbidden": {
                  "description": "Regular expressions that must not match anywhere in it.",
                  "type": "array",
                  "maxItems": 16,
                  "items": { "type": "string", "minLength": 1, "maxLength": 512 }
                }
              },
              "required": ["pointer"],
              "additionalProperties": false
            }
          },
          "numbers": {
            "description": "Numbers, if they are there.",
            "type": "array",
            "maxItems": 32,
            "items": {
              "type": "object",
              "properties": {
                "pointer": { "type": "string", "pattern": "^(/([^~/]|~[01])*)*$" },
                "minimum": { "type": "number" },
                "maximum": { "type": "number" }
              },
              "required": ["pointer"],
              "additionalProperties": false
            }
          }
        },
        "additionalProperties": false
      }
    }
  },
  "additionalProperties": false
}"#;

const RULES_MAX: usize = 64;
const CHECKS_MAX: usize = 32;
const FORBIDDEN_MAX: usize = 16;
const CHARS_MAX: u64 = 16 * 1024 * 1024;
const PATTERN_BYTES_MAX: usize = 512;
/// Bytes that a compiled pattern may take.
const PATTERN_COMPILED_BYTES_MAX: usize = 64 * 1024;

/// Settings that were found to make sense.
#[derive(Debug)]
pub struct Settings {
    pub requires_return: bool,
    rules: Vec<Rule>,
}

/// What has to be in the outcomes of some tools and functions.
#[derive(Debug)]
pub struct Rule {
    tool: Option<String>,
    function: Option<String>,
    pub required: Vec<String>,
    pub texts: Vec<TextCheck>,
    pub numbers: Vec<NumberCheck>,
}

/// What a text has to be.
#[derive(Debug)]
pub struct TextCheck {
    pub pointer: String,
    pub chars_min: u64,
    pub chars_max: u64,
    pub forbidden: Vec<Regex>,
}

/// What a number has to be.
#[derive(Debug)]
pub struct NumberCheck {
    pub pointer: String,
    pub minimum: Option<Number>,
    pub maximum: Option<Number>,
}

impl Settings {
    /// Reads settings, or lists everything that is wrong with them.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsProblem>> {
        let mut table = Table::parse(text);
        let requires_return = table.flag("require-returned");
        let rules = table.tables("rules", RULES_MAX, rule);
        table.finish(Self { requires_return, rules })
    }

    /// The rules for what handed back an answer.
    pub fn rules_for(&self, answer: &Answer) -> Vec<&Rule> {
        let is = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        let applies = |rule: &&Rule| is(&rule.tool, &answer.tool.name) && is(&rule.function, &answer.function);
        self.rules.iter().filter(applies).collect()
    }
}

fn rule(table: &mut Table) -> Option<Rule> {
    let rule = Rule {
        tool: table.text("tool", some_text),
        function: table.text("function", some_text),
        required: table.texts("required", CHECKS_MAX, pointer),
        texts: table.tables("texts", CHECKS_MAX, text_check),
        numbers: table.tables("numbers", CHECKS_MAX, number_check),
    };
    Some(rule)
}

fn text_check(table: &mut Table) -> Option<TextCheck> {
    let pointer = pointer_of(table);
    let chars_min = table.integer("min-chars", 0..=CHARS_MAX).unwrap_or(0);
    let chars_max = table.integer("max-chars", 0..=CHARS_MAX).unwrap_or(u64::MAX);
    let forbidden = table.texts("forbidden", FORBIDDEN_MAX, regex);
    if chars_min > chars_max {
        table.reject("max-chars", "has to be at least `min-chars`");
    }
    Some(TextCheck { pointer: pointer?, chars_min, chars_max, forbidden })
}

fn number_check(table: &mut Table) -> Option<NumberCheck> {
    let pointer = pointer_of(table);
    let (minimum, maximum) = (number_of(table, "minimum"), number_of(table, "maximum"));
    let order = minimum.as_ref().zip(maximum.as_ref()).map(|(minimum, maximum)| number::compare(minimum, maximum));
    if order == Some(Ordering::Greater) {
        table.reject("maximum", "has to be at least `minimum`");
    }
    Some(NumberCheck { pointer: pointer?, minimum, maximum })
}

fn pointer_of(table: &mut Table) -> Option<String> {
    if !table.has("pointer") {
        table.reject("pointer", "has to be given");
    }
    table.text("pointer", pointer)
}

fn number_of(table: &mut Table, key: &str) -> Option<Number> {
    match table.value(key)? {
        Value::Number(number) => Some(number),
        _ => {
            table.reject(key, "has to be a number");
            None
        }
    }
}

fn regex(text: &str) -> Result<Regex, String> {
    if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
        return Err(format!("has to be 1 to {PATTERN_BYTES_MAX} bytes"));
    }
    let regex = RegexBuilder::new(text).size_limit(PATTERN_COMPILED_BYTES_MAX).build();
    regex.map_err(|error| format!("is no regular expression: {error}"))
}
