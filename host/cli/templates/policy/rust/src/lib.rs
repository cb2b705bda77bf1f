//! Forbids functions by their names.
//!
//! A policy imports nothing: no clock, no file, no log. It is asked in a new instance every time, so the same request
//! gets the same verdict.

wit_bindgen::generate!({ path: "wit" });

use exports::ringfence::policy::judge::*;
use serde_json::Value;

struct Policy;

export!(Policy);

/// What the settings have to look like, as JSON Schema: `ringfence policy list` shows it.
const SETTINGS: &str = r#"{
  "type": "object",
  "properties": { "functions": { "type": "array", "items": { "type": "string" } } },
  "required": ["functions"],
  "additionalProperties": false
}"#;

impl Guest for Policy {
    fn describe() -> Description {
        Description {
            name: "{{name}}".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Forbids functions by their names.".to_owned(),
            points: vec![DecisionPoint::Call],
            settings_schema: SETTINGS.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        let text = "a list of names of functions, and nothing else".to_owned();
        functions(&settings).map(drop).ok_or_else(|| vec![SettingsProblem { pointer: "/functions".to_owned(), text }])
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        // At other points than the one it asked for, a policy is not asked.
        let Subject::Call(call) = &request.subject else { return Verdict::Abstain };
        match functions(&settings) {
            Some(functions) if !functions.contains(&call.function) => Verdict::Abstain,
            Some(_) => forbid("function-forbidden", "the function is on the list"),
            // When in doubt, no.
            None => forbid("settings-not-valid", "the settings are not those of this policy"),
        }
    }
}

fn forbid(code: &str, text: &str) -> Verdict {
    Verdict::Forbid(vec![Reason { code: code.to_owned(), text: text.to_owned() }])
}

fn functions(settings: &str) -> Option<Vec<String>> {
    let settings: Value = serde_json::from_str(settings).ok()?;
    let members = settings.as_object().filter(|members| members.len() == 1)?;
    members.get("functions")?.as_array()?.iter().map(|name| name.as_str().map(ToOwned::to_owned)).collect()
}
