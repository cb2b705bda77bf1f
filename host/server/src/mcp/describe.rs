//! How a function is shown to an agent's client: schemas, annotations, and what it is in the record.
//!
//! The protocol wants objects on both sides of a call. What a function takes or returns is one already, or is put into
//! one under a fixed key; [`Form`] says which, and translates in both directions.

use std::sync::Arc;

use ringfence_model::call::Input;
use ringfence_model::outcome::Outcome;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;
use ringfence_model::tool::Shape;
use ringfence_runtime::toolbox::Function;
use rmcp::model::JsonObject;
use rmcp::model::MetaObject;
use rmcp::model::Tool;
use rmcp::model::ToolAnnotations;
use serde_json::Value;
use serde_json::json;

use crate::catalogue::Offer;

/// The key that an input stands under that is no object by itself.
const INPUT: &str = "input";
/// The key that a result stands under that is no object by itself.
const RESULT: &str = "result";

/// What goes before every key of ours in `_meta`.
pub(super) const META: &str = "ringfence/";

/// How the input and the result of a function are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Arguments and standard input, an exit code and output.
    Command,
    /// An object as it is, or a value under a key.
    Function { wraps_input: bool, wraps_result: bool, promises: bool },
}

impl Form {
    pub(super) fn of(offer: &Offer, function: &Function) -> Self {
        if offer.registered().tool.shape() == Shape::Command {
            return Self::Command;
        }
        let is_no_object = |schema: &Value| schema.get("type") != Some(&json!("object"));
        Self::Function {
            wraps_input: function.input_schema.as_ref().is_some_and(is_no_object),
            wraps_result: function.output_schema.as_ref().is_none_or(is_no_object),
            promises: function.output_schema.is_some(),
        }
    }

    /// The input that a client's arguments are. What does not fit the schema is found out by whoever admits the call.
    pub(super) fn input(self, mut arguments: JsonObject) -> Result<Input, String> {
        match self {
            Self::Command => command_input(arguments),
            Self::Function { wraps_input: false, .. } => {
                Ok(Input { value: Some(Value::Object(arguments)), ..Input::default() })
            }
            Self::Function { .. } => {
                let value = arguments.remove(INPUT);
                match (value, arguments.keys().next()) {
                    (_, Some(other)) => Err(format!("`{}` is not an argument; `{INPUT}` is", other.escape_debug())),
                    (value, None) => Ok(Input { value, ..Input::default() }),
                }
            }
        }
    }

    /// The result of a call that returned, as an object; none if it returns nothing.
    pub(super) fn result(self, outcome: &Outcome) -> Option<Value> {
        match self {
            Self::Command => Some(json!({
                "exit_code": outcome.exit_code,
                "stdout": outcome.stdout,
                "stderr": outcome.stderr,
            })),
            Self::Function { promises: false, .. } if outcome.value.is_none() => None,
            Self::Function { wraps_result: false, .. } => outcome.value.clone(),
            Self::Function { .. } => Some(json!({ RESULT: outcome.value })),
        }
    }

    fn input_schema(self, function: &Function) -> JsonObject {
        let schema = match self {
            Self::Command => json!({
                "type": "object",
                "properties": {
                    "arguments": {
                        "type": "array",
                        "items": { "type": "string" },
                        "description": "arguments of the command, without its name",
                    },
                    "stdin": { "type": "string", "description": "standard input of the command" },
                },
                "additionalProperties": false,
            }),
            Self::Function { wraps_input, .. } => {
                let schema = function.input_schema.clone().unwrap_or_else(|| json!({ "type": "object" }));
                if wraps_input { under(INPUT, schema).unwrap_or_else(|| json!({ "type": "object" })) } else { schema }
            }
        };
        object(schema)
    }

    fn output_schema(self, function: &Function) -> Option<JsonObject> {
        match self {
            Self::Command => Some(object(json!({
                "type": "object",
                "properties": {
                    "exit_code": { "type": ["integer", "null"] },
                    "stdout": { "description": "text, or an object with `base64`" },
                    "stderr": { "description": "text, or an object with `base64`" },
                },
                "required": ["exit_code", "stdout", "stderr"],
            }))),
            Self::Function { wraps_result, .. } => {
                let schema = function.output_schema.clone()?;
                if wraps_result { under(RESULT, schema).map(object) } else { Some(object(schema)) }
            }
        }
    }
}

/// A function as clients are shown it.
pub(super) fn tool(offer: &Offer, function: &Function) -> Tool {
    let form = Form::of(offer, function);
    let name = offer.name().to_owned();
    let mut tool = Tool::new(name, description(offer, function), Arc::new(form.input_schema(function)))
        .with_annotations(annotations(offer, function))
        .with_meta(meta(offer, function));
    tool.output_schema = form.output_schema(function).map(Arc::new);
    tool
}

fn description(offer: &Offer, function: &Function) -> String {
    let tool = &offer.registered().tool;
    match (function.description.as_str(), tool.summary()) {
        ("", "") => format!("Function {} of the tool {}.", function.name, tool.reference().name),
        ("", summary) => summary.to_owned(),
        (description, _) => description.to_owned(),
    }
}

/// What a client may take as a hint: the author's word on the effect, unless the ring makes more of it certain.
fn annotations(offer: &Offer, function: &Function) -> ToolAnnotations {
    let registered = offer.registered();
    // Ring 3 has no network and writes nowhere, whatever a function would like to do.
    let only_reads = registered.ring == Ring::Sandbox || matches!(function.effect, Effect::None | Effect::Reads);
    let is_open = registered.is_networked || !only_reads && !matches!(function.effect, Effect::Writes);
    ToolAnnotations::new()
        .read_only(only_reads)
        .destructive(!only_reads)
        .idempotent(only_reads || function.idempotent)
        .open_world(is_open)
}

fn meta(offer: &Offer, function: &Function) -> MetaObject {
    let registered = offer.registered();
    let reference = registered.tool.reference();
    let mut meta = MetaObject::new();
    for (key, value) in [
        ("tool", json!(reference.name)),
        ("digest", json!(reference.digest)),
        ("function", json!(function.name)),
        ("effect", json!(function.effect)),
        ("ring", json!(registered.ring)),
    ] {
        meta.insert(format!("{META}{key}"), value);
    }
    meta
}

fn command_input(arguments: JsonObject) -> Result<Input, String> {
    let mut input = Input::default();
    for (key, value) in arguments {
        match (key.as_str(), value) {
            ("arguments", Value::Array(items)) => {
                let texts = items.into_iter().map(|item| match item {
                    Value::String(text) => Ok(text),
                    _ => Err("an argument of a command is a text".to_owned()),
                });
                input.arguments = texts.collect::<Result<_, _>>()?;
            }
            ("stdin", Value::String(text)) => input.stdin = text.into_bytes(),
            ("arguments", _) => return Err("`arguments` is a list of texts".to_owned()),
            ("stdin", _) => return Err("`stdin` is a text".to_owned()),
            (other, _) => {
                return Err(format!("`{}` is not an argument; `arguments` and `stdin` are", other.escape_debug()));
            }
        }
    }
    Ok(input)
}

/// The schema of an object that holds a value under a key. What the value's schema defines for its references stays where
/// they look for it; none if they look elsewhere.
fn under(key: &str, mut schema: Value) -> Option<Value> {
    let mut definitions = JsonObject::new();
    if let Value::Object(fields) = &mut schema {
        fields.remove("$schema");
        for name in ["$defs", "definitions"] {
            definitions.extend(fields.remove(name).map(|defined| (name.to_owned(), defined)));
        }
    }
    if refers_elsewhere(&schema) || definitions.values().any(refers_elsewhere) {
        return None;
    }
    let mut outer = object(json!({ "type": "object", "properties": { key: schema }, "required": [key] }));
    outer.extend(definitions);
    Some(Value::Object(outer))
}

fn refers_elsewhere(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(key, value)| match value {
            Value::String(to) if key == "$ref" => !to.starts_with("#/$defs/") && !to.starts_with("#/definitions/"),
            _ => key == "$dynamicRef" || key == "$id" || refers_elsewhere(value),
        }),
        Value::Array(items) => items.iter().any(refers_elsewhere),
        _ => false,
    }
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(fields) => fields,
        _ => JsonObject::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_stay_where_references_look() {
        let schema = json!({ "$schema": "x", "$ref": "#/$defs/a", "$defs": { "a": { "type": "string" } } });
        let outer = under("input", schema).expect("a schema");
        assert_eq!(outer["properties"]["input"], json!({ "$ref": "#/$defs/a" }));
        assert_eq!(outer["$defs"]["a"]["type"], "string");
        for elsewhere in [json!({ "$ref": "#" }), json!({ "items": [{ "$ref": "#/properties/a" }] })] {
            assert_eq!(under("input", elsewhere), None);
        }
    }

    #[test]
    fn commands_take_texts_only() {
        let input = |value: Value| Form::Command.input(object(value));
        let good = input(json!({ "arguments": ["-l", "/docs"], "stdin": "x" })).expect("an input");
        assert_eq!((good.arguments.len(), good.stdin.as_slice(), good.value), (2, b"x".as_slice(), None));
        for bad in [json!({ "arguments": [1] }), json!({ "arguments": "a" }), json!({ "stdin": 1 }), json!({ "x": "" })]
        {
            assert!(input(bad.clone()).is_err(), "{bad}");
        }
    }
}
