//! What a rule objects to in an outcome.

use std::cmp::Ordering;

use ringfence_policy_support::types::Reason;
use ringfence_policy_support::{quoted, reason};
use serde_json::Value;

use crate::number;
use crate::settings::{NumberCheck, Rule, TextCheck};

/// Everything that a rule objects to.
pub fn objections(rule: &Rule, body: &Value) -> Vec<Reason> {
    let required = rule.required.iter().filter_map(|pointer| required(pointer, body));
    let texts = rule.texts.iter().flat_map(|check| body.pointer(&check.pointer).map(|value| text(check, value)));
    let numbers = rule.numbers.iter().flat_map(|check| body.pointer(&check.pointer).map(|value| number(check, value)));
    required.chain(texts.flatten()).chain(numbers.flatten()).collect()
}

fn required(pointer: &str, body: &Value) -> Option<Reason> {
    let is_empty = match body.pointer(pointer) {
        None => {
            return Some(reason("field-missing", format!("there is no {}", quoted(pointer))));
        }
        Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    };
    is_empty.then(|| reason("field-empty", format!("{} holds nothing", quoted(pointer))))
}

fn text(check: &TextCheck, value: &Value) -> Vec<Reason> {
    let at = quoted(&check.pointer);
    let Value::String(text) = value else { return vec![reason("text-expected", format!("{at} is no text"))] };
    let chars = text.chars().count() as u64;
    let mut reasons = Vec::new();
    if chars < check.chars_min {
        let text = format!("{at} has {chars} characters, and {} are the fewest", check.chars_min);
        reasons.push(reason("text-too-short", text));
    }
    if chars > check.chars_max {
        let text = format!("{at} has {chars} characters, and {} are the most", check.chars_max);
        reasons.push(reason("text-too-long", text));
    }
    // The pattern is the operator's own; what it found is the guest's, and is not repeated.
    if let Some(pattern) = check.forbidden.iter().find(|pattern| pattern.is_match(text)) {
        let text = format!("{at} matches {}", quoted(pattern.as_str()));
        reasons.push(reason("text-forbidden", text));
    }
    reasons
}

fn number(check: &NumberCheck, value: &Value) -> Option<Reason> {
    let at = quoted(&check.pointer);
    let Value::Number(number) = value else { return Some(reason("number-expected", format!("{at} is no number"))) };
    let is = |bound: &Option<serde_json::Number>, order| {
        bound.as_ref().is_some_and(|bound| number::compare(number, bound) == order)
    };
    if is(&check.minimum, Ordering::Less) {
        return Some(reason(
            "number-too-small",
            format!("{at} is {}, less than it may be", quoted(&number.to_string())),
        ));
    }
    let is_too_large = is(&check.maximum, Ordering::Greater);
    is_too_large
        .then(|| reason("number-too-large", format!("{at} is {}, more than it may be", quoted(&number.to_string()))))
}
