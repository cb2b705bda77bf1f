//! Takes keys and tokens out of what a call hands back, or withholds the whole of it.
//!
//! It reads every string of the outcome, the keys of objects, and bytes that are written as base64. It knows secrets
//! by their shape, by what they are called, and by an operator's own patterns; it never asks anybody whether one is in
//! use. What it finds it never repeats: a reason names the rule and the member, and no pointer leads into a key.

mod assignments;
mod base64;
mod bytes;
mod redactions;
mod scan;
mod settings;
mod tokens;
mod walk;

use ringfence_policy_support::types::{
    DecisionPoint, Description, Obligation, Permission, Request, SettingsProblem, Subject, Verdict,
};
use ringfence_policy_support::{Guest, permit, reason};

use crate::settings::{SETTINGS_SCHEMA, Settings};

struct SecretScan;

ringfence_policy_support::export!(SecretScan with_types_in ringfence_policy_support::bindings);

impl Guest for SecretScan {
    fn describe() -> Description {
        Description {
            name: "secret-scan".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Finds keys and tokens in what a call hands back, and takes them out or withholds the result."
                .to_owned(),
            points: vec![DecisionPoint::Result],
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        Settings::parse(&settings).map(|_| ())
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        let Subject::Result(answer) = &request.subject else { return Verdict::Abstain };
        let Ok(settings) = Settings::parse(&settings) else {
            return Verdict::Forbid(vec![reason("settings-not-valid", "the settings are not those of this policy")]);
        };
        judge(&settings, &answer.body)
    }
}

fn judge(settings: &Settings, body: &str) -> Verdict {
    let Some(redactions) = walk::walk(settings, body) else {
        return Verdict::Forbid(vec![reason("body-not-readable", "the result is not canonical JSON")]);
    };
    if redactions.is_empty() {
        return permit(reason("no-secret-found", "nothing in the result looks like a secret"), Vec::new());
    }
    let reasons = redactions.reasons();
    if settings.withholds || redactions.is_everything() {
        return Verdict::Forbid(reasons);
    }
    Verdict::Permit(Permission { reasons, obligations: vec![Obligation::Redact(redactions.into_list())] })
}
