//! Decides by policies written in Rego, which are its settings.
//!
//! It translates and does not decide: a request into the document `input`, the value of one rule into a verdict. A
//! rule without a value abstains; what goes wrong, and what is no verdict, forbids.

mod answer;
mod settings;

use ringfence_policy_support::types::{Description, Request, SettingsProblem, Verdict};
use ringfence_policy_support::{Guest, all_points, document, one_line, reason};

use crate::settings::SETTINGS_SCHEMA;
pub use crate::settings::Settings;

/// The policy.
#[derive(Debug)]
pub struct Rego;

#[cfg(target_family = "wasm")]
ringfence_policy_support::export!(Rego with_types_in ringfence_policy_support::bindings);

impl Guest for Rego {
    fn describe() -> Description {
        Description {
            name: "rego".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Decides by the Rego modules in its settings.".to_owned(),
            points: all_points(),
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        Settings::parse(&settings)?.check()
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        match judge(&settings, &request) {
            Ok(verdict) => verdict,
            Err((code, text)) => Verdict::Forbid(vec![reason(code, one_line(&text))]),
        }
    }
}

/// Why a request can't be decided on: a reason's code and text.
pub type Fault = (&'static str, String);

fn judge(settings: &str, request: &Request) -> Result<Verdict, Fault> {
    let Ok(settings) = Settings::parse(settings) else {
        return Err(("settings-not-valid", "the settings are not those of this policy".to_owned()));
    };
    decide(settings, request)
}

/// Decides by settings that have been read.
pub fn decide(settings: Settings, request: &Request) -> Result<Verdict, Fault> {
    let input = document(request).map_err(|text| ("request-not-readable", text))?;
    let value = settings.evaluate(input.into()).map_err(|text| ("evaluation-error", text))?;
    answer::read(value).map_err(|text| ("verdict-not-understood", text))
}
