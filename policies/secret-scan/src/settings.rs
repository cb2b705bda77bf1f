//! The settings: what is looked for besides the usual, what is not, and what becomes of a finding.

use std::collections::BTreeSet;

use regex_lite::{Regex, RegexBuilder};
use ringfence_policy_support::quoted;
use ringfence_policy_support::strict::{Table, some_text};
use ringfence_policy_support::types::SettingsProblem;

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "on-finding": {
      "description": "Whether a secret is taken out of the result, or the whole result is withheld.",
      "enum": ["redact", "withhold"],
      "default": "redact"
    },
    "except": {
      "description": "Rules that are not applied.",
      "type": "array",
      "items": {
        "enum": [
          "aws-access-key", "aws-secret-key", "github-token", "gitlab-token", "google-key", "jwt", "model-key",
          "npm-token", "password", "private-key", "pypi-token", "slack-token", "stripe-key", "url-password"
        ]
      },
      "maxItems": 16
    },
    "allow": {
      "description": "Texts that are no secrets, though they look like some.",
      "type": "array",
      "items": { "type": "string", "minLength": 1 },
      "maxItems": 256
    },
    "entropy": {
      "description": "Also takes out letters and digits that look like chance.",
      "type": "object",
      "properties": {
        "min-bytes": { "description": "The shortest run.", "type": "integer", "minimum": 16, "maximum": 1024, "default": 32 },
        "min-bits": { "description": "Bits of entropy for each byte of it.", "type": "number", "minimum": 1, "maximum": 6, "default": 4.2 }
      },
      "additionalProperties": false
    },
    "patterns": {
      "description": "Regular expressions of secrets of your own.",
      "type": "array",
      "items": {
        "type": "object",
        "properties": {
          "name": { "type": "string", "pattern": "^[a-z][a-z0-9-]{0,31}$" },
          "pattern": { "type": "string", "minLength": 1, "maxLength": 512 }
        },
        "required": ["name", "pattern"],
        "additionalProperties": false
      },
      "maxItems": 16
    }
  },
  "additionalProperties": false
}"#;

const RULES: [&str; 14] = [
    "aws-access-key",
    "aws-secret-key",
    "github-token",
    "gitlab-token",
    "google-key",
    "jwt",
    "model-key",
    "npm-token",
    "password",
    "private-key",
    "pypi-token",
    "slack-token",
    "stripe-key",
    "url-password",
];

/// The rule of random runs; it is applied only when it is asked for.
const ENTROPY: &str = "entropy";
const EXCEPT_MAX: usize = 16;
const ALLOW_MAX: usize = 256;
const PATTERNS_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 32;
const PATTERN_BYTES_MAX: usize = 512;
/// Bytes that a compiled pattern may take.
const PATTERN_COMPILED_BYTES_MAX: usize = 64 * 1024;

/// Settings that were found to make sense.
#[derive(Debug)]
pub struct Settings {
    pub withholds: bool,
    pub entropy: Option<Entropy>,
    pub patterns: Vec<Pattern>,
    except: BTreeSet<String>,
    allow: BTreeSet<String>,
}

/// What looks like chance.
#[derive(Clone, Copy, Debug)]
pub struct Entropy {
    pub bytes_min: usize,
    pub bits: f64,
}

/// An operator's own rule.
#[derive(Debug)]
pub struct Pattern {
    pub name: String,
    pub regex: Regex,
}

impl Settings {
    /// Reads settings, or lists everything that is wrong with them.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsProblem>> {
        let mut table = Table::parse(text);
        let settings = Self {
            withholds: table.text("on-finding", withholds).unwrap_or(false),
            entropy: table.table("entropy", entropy),
            patterns: table.tables("patterns", PATTERNS_MAX, pattern),
            except: table.texts("except", EXCEPT_MAX, rule).into_iter().collect(),
            allow: table.texts("allow", ALLOW_MAX, some_text).into_iter().collect(),
        };
        let mut names = BTreeSet::new();
        if !settings.patterns.iter().all(|pattern| names.insert(&pattern.name)) {
            table.reject("patterns", "two patterns have the same name");
        }
        table.finish(settings)
    }

    /// Whether no rules are applied but those that come with the policy.
    pub fn is_plain(&self) -> bool {
        self.entropy.is_none() && self.patterns.is_empty()
    }

    /// Whether something that a rule found is no finding.
    pub fn excuses(&self, rule: &str, text: &[u8]) -> bool {
        self.except.contains(rule) || std::str::from_utf8(text).is_ok_and(|text| self.allow.contains(text))
    }
}

fn withholds(text: &str) -> Result<bool, String> {
    match text {
        "redact" => Ok(false),
        "withhold" => Ok(true),
        _ => Err("has to be `redact` or `withhold`".to_owned()),
    }
}

fn rule(text: &str) -> Result<String, String> {
    if RULES.contains(&text) { Ok(text.to_owned()) } else { Err(format!("there is no rule {}", quoted(text))) }
}

fn entropy(table: &mut Table) -> Option<Entropy> {
    let bytes_min = table.integer("min-bytes", 16..=1_024).unwrap_or(32);
    let bits = table.value("min-bits").map_or(Some(4.2), |value| value.as_f64());
    let bits = bits.filter(|bits| (1.0..=6.0).contains(bits));
    if bits.is_none() {
        table.reject("min-bits", "has to be a number from 1 to 6");
    }
    Some(Entropy { bytes_min: usize::try_from(bytes_min).ok()?, bits: bits? })
}

fn pattern(table: &mut Table) -> Option<Pattern> {
    for key in ["name", "pattern"] {
        if !table.has(key) {
            table.reject(key, "has to be given");
        }
    }
    let name = table.text("name", name);
    let regex = table.text("pattern", regex);
    Some(Pattern { name: name?, regex: regex? })
}

fn name(text: &str) -> Result<String, String> {
    let is_kebab = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
    if RULES.contains(&text) || text == ENTROPY {
        Err(format!("{} is a rule already", quoted(text)))
    } else if starts_well && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_kebab) {
        Ok(text.to_owned())
    } else {
        Err(format!("has to be 1 to {NAME_BYTES_MAX} bytes of kebab-case"))
    }
}

fn regex(text: &str) -> Result<Regex, String> {
    if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
        return Err(format!("has to be 1 to {PATTERN_BYTES_MAX} bytes"));
    }
    let regex = RegexBuilder::new(text).size_limit(PATTERN_COMPILED_BYTES_MAX).build();
    let regex = regex.map_err(|error| format!("is no regular expression: {error}"))?;
    if regex.is_match("") { Err("would find nothing everywhere".to_owned()) } else { Ok(regex) }
}
