//! Forbids a call whose input does not fit the rules of its function.
//!
//! It reads the input that the tool will be given, and nothing else: no file a path leads to, no argument of a command.
//! What fits is not permitted by that; another policy has to. Rules can be many: they are never read as a whole once they
//! are in force (see `ringfence_policy_support::table`).

mod field;
mod number;
mod settings;
mod walk;

use ringfence_policy_support::settings::not_valid;
use ringfence_policy_support::table::{self, Table, keys};
use ringfence_policy_support::types::{Call, DecisionPoint, Description, Reason, Request, SettingsProblem, Verdict};
use ringfence_policy_support::{Guest, call, forbid, objected, quoted, reason};
use serde_json::Value;

use crate::settings::{Rules, SETTINGS_SCHEMA};

struct ArgumentSchema;

ringfence_policy_support::export!(ArgumentSchema with_types_in ringfence_policy_support::bindings);

impl Guest for ArgumentSchema {
    fn describe() -> Description {
        Description {
            name: "argument-schema".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Forbids a call whose input does not fit the rules that its function has, field by field."
                .to_owned(),
            points: vec![DecisionPoint::Call],
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        settings::check(&settings)
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        let Some(call) = call(&request) else { return Verdict::Abstain };
        let Some(table) = Table::of(&settings) else { return not_valid() };
        let found: Vec<_> = keys(&call.tool, &call.function).iter().filter_map(|key| table.get(key)).collect();
        if found.is_empty() {
            return Verdict::Abstain;
        }
        let rules: Option<Vec<_>> = found.into_iter().map(|text| table::value(text, settings::rules)).collect();
        let Some(rules) = rules else { return not_valid() };
        let Ok(input) = serde_json::from_str(&call.input) else {
            return forbid(reason("input-not-readable", "the input is not JSON, or nested too deeply"));
        };
        let objections = rules.iter().flat_map(|rules| judge(rules, call, &input)).collect();
        objected(objections).unwrap_or(Verdict::Abstain)
    }
}

/// Everything about a call that does not fit one entry of the settings.
fn judge(rules: &Rules, call: &Call, input: &Value) -> Vec<Reason> {
    let mut objections = Vec::new();
    objections.extend(rules.entity.as_ref().and_then(|entity| entity.objection(input)));
    for (pointer, field) in &rules.fields {
        match input.pointer(pointer) {
            Some(value) => objections.extend(field.objection(pointer, value)),
            None if field.required => {
                objections.push(reason("field-missing", format!("{} is missing in the input", quoted(pointer))));
            }
            None => {}
        }
    }
    if !rules.additional_fields {
        objections.extend(walk::unexpected(input, &rules.named()));
        if !call.arguments.is_empty() {
            objections.push(reason("arguments-not-expected", "no rule allows the arguments of a command"));
        }
    }
    objections
}
