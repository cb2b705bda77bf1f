//! Decides by policies written in Cedar, which are its settings.
//!
//! It translates and does not decide: a request into Cedar's words, Cedar's answer into a verdict. An explicit forbid
//! forbids and a permit permits; where no policy matches it abstains. A policy that can't be evaluated forbids, because
//! nobody knows what it would have said.

mod expression;
mod question;
mod settings;
mod verdict;

use cedar_policy::Authorizer;
use ringfence_policy_support::types::{Description, Request, SettingsProblem, Verdict};
use ringfence_policy_support::{Guest, all_points, one_line, reason};

use crate::settings::SETTINGS_SCHEMA;
pub use crate::settings::Settings;

/// The policy.
#[derive(Debug)]
pub struct Cedar;

#[cfg(target_family = "wasm")]
ringfence_policy_support::export!(Cedar with_types_in ringfence_policy_support::bindings);

impl Guest for Cedar {
    fn describe() -> Description {
        Description {
            name: "cedar".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Decides by the Cedar policies in its settings.".to_owned(),
            points: all_points(),
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        let problems = Settings::parse(&settings)?.problems();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
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
    decide(&settings, request)
}

/// Decides by settings that have been read.
pub fn decide(settings: &Settings, request: &Request) -> Result<Verdict, Fault> {
    let question = question::of(request).map_err(|text| ("request-not-expressible", text))?;
    let answer = Authorizer::new().is_authorized(&question, &settings.policies, &settings.entities);
    Ok(verdict::of(&answer, &settings.policies))
}
