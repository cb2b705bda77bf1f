//! One field: what it has to be.

use core::cmp::Ordering;

use regex_lite::Regex;
use ringfence_policy_support::types::Reason;
use ringfence_policy_support::{quoted, reason};
use serde_json::{Number, Value};

use crate::number;

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Array,
    Boolean,
    Integer,
    Null,
    Number,
    Object,
    String,
}

/// What a field has to be. A rule that a value can't be held to, as a pattern for a number, is not fulfilled.
#[derive(Debug, Default)]
pub struct Field {
    pub allowed: Option<Vec<Value>>,
    pub items: Option<Box<Field>>,
    pub kind: Option<Kind>,
    pub length_max: Option<usize>,
    pub length_min: Option<usize>,
    pub maximum: Option<Number>,
    pub minimum: Option<Number>,
    pub pattern: Option<Regex>,
    pub required: bool,
}

/// What a call is about: a field that has to be there and fit.
#[derive(Debug)]
pub struct Entity {
    pub field: String,
    pub pattern: Regex,
}

impl Entity {
    /// What of the input does not fit.
    pub fn objection(&self, input: &Value) -> Option<Reason> {
        let fits = input.pointer(&self.field).and_then(Value::as_str).is_some_and(|text| self.pattern.is_match(text));
        let text = || format!("{} in the input does not name what it has to", quoted(&self.field));
        (!fits).then(|| reason("entity-not-matched", text()))
    }
}

impl Field {
    /// The first thing about a value that does not fit. What costs least is looked at first.
    pub fn objection(&self, pointer: &str, value: &Value) -> Option<Reason> {
        let (code, what) = self.problem(value)?;
        Some(reason(code, format!("{} in the input {what}", quoted(pointer))))
    }

    fn problem(&self, value: &Value) -> Option<(&'static str, &'static str)> {
        if !self.has_fitting_kind(value) {
            return Some(("field-wrong-type", "is of another type than its rules say"));
        }
        self.length_problem(value)
            .or_else(|| self.size_problem(value))
            .or_else(|| self.content_problem(value))
            .or_else(|| self.items_problem(value))
    }

    fn has_fitting_kind(&self, value: &Value) -> bool {
        let has_length = self.length_max.is_some() || self.length_min.is_some();
        self.kind.is_none_or(|kind| is_of(kind, value))
            && (self.pattern.is_none() || value.is_string())
            && (self.items.is_none() || value.is_array())
            && (!has_length || value.is_string() || value.is_array())
            && ((self.minimum.is_none() && self.maximum.is_none()) || value.is_number())
    }

    fn length_problem(&self, value: &Value) -> Option<(&'static str, &'static str)> {
        let length = match value {
            Value::String(text) => text.chars().count(),
            Value::Array(items) => items.len(),
            _ => return None,
        };
        if self.length_min.is_some_and(|min| length < min) {
            return Some(("field-too-short", "is too short"));
        }
        self.length_max.is_some_and(|max| length > max).then_some(("field-too-long", "is too long"))
    }

    fn size_problem(&self, value: &Value) -> Option<(&'static str, &'static str)> {
        let Value::Number(value) = value else { return None };
        // What can't be compared is outside.
        let outside = |bound: &Option<Number>, wrong: Ordering| {
            bound.as_ref().is_some_and(|bound| number::order(value, bound).is_none_or(|order| order == wrong))
        };
        if outside(&self.minimum, Ordering::Less) {
            return Some(("field-too-small", "is too small"));
        }
        outside(&self.maximum, Ordering::Greater).then_some(("field-too-large", "is too large"))
    }

    fn content_problem(&self, value: &Value) -> Option<(&'static str, &'static str)> {
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(value)) {
            return Some(("field-not-in-enum", "is none of the values that are listed"));
        }
        let text = value.as_str().unwrap_or_default();
        let fits = self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        (!fits).then_some(("field-not-matched", "does not match its pattern"))
    }

    fn items_problem(&self, value: &Value) -> Option<(&'static str, &'static str)> {
        let item = self.items.as_ref()?;
        value
            .as_array()?
            .iter()
            .find_map(|value| item.problem(value))
            .map(|(code, _)| (code, "has an item that does not fit"))
    }
}

fn is_of(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Integer, Value::Number(number)) => number::is_whole(number),
        (Kind::Array, Value::Array(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Null, Value::Null)
        | (Kind::Number, Value::Number(_))
        | (Kind::Object, Value::Object(_))
        | (Kind::String, Value::String(_)) => true,
        _ => false,
    }
}
