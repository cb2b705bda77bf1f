//! What a tool says of calls that are made again: which of its functions looks after another, and which fields of an
//! input say that two calls are the same. Checked when the tool is loaded, so that nothing is found wrong with it after a
//! crash.

use std::collections::BTreeMap;

use ringfence_model::call::CallRequest;
use ringfence_model::call::IdempotencyKey;
use ringfence_model::call::Input;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::tool::CALL_KEY;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;
use serde_json::Value;
use serde_json::json;

use crate::toolbox::Function;
use crate::toolbox::InputProblem;
use crate::toolbox::Tool;
use crate::toolbox::schema;

/// Refuses what could not be carried out.
pub(super) fn check(functions: &[Function]) -> Result<(), String> {
    for function in functions {
        check_fields(function)?;
        if let Some(name) = &function.reconcile {
            let found = functions.iter().find(|found| found.name == *name);
            let other =
                found.ok_or_else(|| format!("`{}` is reconciled by `{name}`, which is no function", function.name))?;
            check_reconcile(function, other)?;
        }
    }
    Ok(())
}

/// Whoever looks after a call has to understand its input, to say what it returned, and to change nothing.
fn check_reconcile(function: &Function, by: &Function) -> Result<(), String> {
    let refused = |why: &str| Err(format!("`{}` can't be reconciled by `{}`: {why}", function.name, by.name));
    if !matches!(by.effect, Effect::None | Effect::Reads) {
        return refused("its effect has to be `none` or `reads`");
    }
    if by.reconcile.is_some() {
        return refused("it is reconciled itself");
    }
    if !by.id_from.is_empty() {
        return refused("it would be answered from the record, by `id-from`");
    }
    if by.input_schema != function.input_schema {
        return refused("it takes another input");
    }
    let is_typed = by.ty.is_some();
    if is_typed && by.output_schema != function.output_schema.clone().map(schema::optional) {
        return refused("it has to return an `option` of what the other returns");
    }
    Ok(())
}

fn check_fields(function: &Function) -> Result<(), String> {
    let refused = |why: String| Err(format!("`id-from` of `{}`: {why}", function.name));
    if function.id_from.len() > limits::ID_FIELDS_MAX {
        return refused(format!("{} fields are more than {}", function.id_from.len(), limits::ID_FIELDS_MAX));
    }
    if !function.id_from.is_empty() && function.input_schema.is_none() {
        return refused("it takes no JSON".to_owned());
    }
    match function.id_from.iter().find(|pointer| !is_pointer(pointer)) {
        Some(pointer) => {
            refused(format!("`{pointer}` is not a JSON Pointer: it begins with `/`, and `~` stands for itself as `~0`"))
        }
        None => Ok(()),
    }
}

/// RFC 6901, but for the empty pointer: a key that is made of the whole input says nothing that the input doesn't.
fn is_pointer(text: &str) -> bool {
    let mut escaped = text.split('~').skip(1);
    text.starts_with('/') && escaped.all(|rest| rest.starts_with(['0', '1']))
}

/// Names a call that brings no idempotency key by one that is made of its input, if its function says of what. A tool whose
/// manifest asks for it gets a key to pass on, which is the same each time the call is made again.
pub(crate) fn name(request: &mut CallRequest, tool: &Tool, function: &Function) -> Result<(), InputProblem> {
    if request.idempotency_key.is_none() {
        request.idempotency_key = key(tool.reference(), function, &request.input)?;
    }
    let asked = tool.manifest().map(|manifest| manifest.capabilities.environment.as_slice()).unwrap_or_default();
    if let Some(key) = request.idempotency_key.as_ref().filter(|_| asked.iter().any(|name| name == CALL_KEY)) {
        let principal = request.principal.to_string();
        let parts = [principal.as_str(), key.as_str(), tool.reference().name.as_str()].map(str::as_bytes);
        let passed_on = IdempotencyKey::made_of("call", &parts).as_str().replace(' ', "-");
        request.asked.environment.insert(CALL_KEY.to_owned(), passed_on);
    }
    Ok(())
}

/// The key that a function has made from the fields it names, for this function of a tool by this name. Another version of
/// the tool is not another call: under one key they are a conflict.
fn key(tool: &ToolRef, function: &Function, input: &Input) -> Result<Option<IdempotencyKey>, InputProblem> {
    if function.id_from.is_empty() {
        return Ok(None);
    }
    let empty = json!({});
    let value = input.value.as_ref().unwrap_or(&empty);
    let mut fields = BTreeMap::new();
    for pointer in &function.id_from {
        let found = value.pointer(pointer).filter(|field| !field.is_null());
        let missing = || InputProblem::NoKeyField { function: function.name.clone(), pointer: pointer.clone() };
        fields.insert(pointer, found.ok_or_else(missing)?);
    }
    let fields = json::canonical(&json!(fields));
    Ok(Some(IdempotencyKey::made_of("id-from", &[tool.name.as_bytes(), function.name.as_bytes(), &fields])))
}

/// What a function that looks after a call has found.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// That it was not made.
    Nothing,
    /// What it returned.
    Value(Value),
}

/// Reads the answer of a reconcile function for a call of `function`; none if it can't be that.
pub(crate) fn found(function: &Function, answer: Option<&Value>) -> Option<Found> {
    match answer {
        None | Some(Value::Null) => Some(Found::Nothing),
        Some(value) => function.check_output(value).ok().map(|()| Found::Value(value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_have_one_form() {
        for pointer in ["/a", "/", "/a/0", "/~0~1", "/ä b"] {
            assert!(is_pointer(pointer), "{pointer}");
        }
        for text in ["", "a", "#/a", "/~", "/~2", "/a~"] {
            assert!(!is_pointer(text), "{text}");
        }
    }
}
