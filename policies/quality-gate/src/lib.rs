//! Withholds outcomes that are not good enough to be handed back.
//!
//! It holds an outcome to its function's output schema and to an operator's rules: what has to be there, how long texts
//! are and what is not in them, within what numbers lie. It judges the form and never what is true. An outcome that is
//! no answer, because the tool failed, is withheld only if the settings say so.

mod check;
mod number;
mod settings;

use ringfence_policy_support::types::{
    Answer, DecisionPoint, Description, OutcomeKind, Reason, Request, SettingsProblem, Subject, Verdict,
};
use ringfence_policy_support::{Guest, permit, quoted, reason};

use crate::settings::{SETTINGS_SCHEMA, Settings};

/// Reasons of one verdict: what a host takes.
const REASONS_MAX: usize = 32;

struct QualityGate;

ringfence_policy_support::export!(QualityGate with_types_in ringfence_policy_support::bindings);

impl Guest for QualityGate {
    fn describe() -> Description {
        Description {
            name: "quality-gate".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Withholds an outcome that does not fit its schema, or an operator's rules for its tool."
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
        if answer.kind == OutcomeKind::Returned { judge(&settings, answer) } else { judge_failure(&settings) }
    }
}

fn judge_failure(settings: &Settings) -> Verdict {
    if settings.requires_return {
        Verdict::Forbid(vec![reason("not-returned", "the tool did not return")])
    } else {
        Verdict::Abstain
    }
}

fn judge(settings: &Settings, answer: &Answer) -> Verdict {
    let mut objections: Vec<Reason> = answer.mismatch.iter().map(|mismatch| misfit(mismatch)).collect();
    let rules = settings.rules_for(answer);
    if !rules.is_empty() {
        let Ok(body) = serde_json::from_str(&answer.body) else {
            return Verdict::Forbid(vec![reason("body-not-readable", "the result is not JSON, or nested too deeply")]);
        };
        objections.extend(rules.into_iter().flat_map(|rule| check::objections(rule, &body)));
    }
    if objections.is_empty() {
        return permit(reason("good-enough", "the outcome is what it has to be"), Vec::new());
    }
    objections.truncate(REASONS_MAX);
    Verdict::Forbid(objections)
}

fn misfit(mismatch: &str) -> Reason {
    reason("output-mismatch", format!("the output does not fit its schema: {}", quoted(mismatch)))
}
