//! The value of the rule as a verdict. It has to be one exactly: a word, or an object that holds nothing unknown.

use regorus::Value as Term;
use ringfence_policy_support::types::{Access, Narrowing, Obligation, Permission, Reason, Verdict};
use ringfence_policy_support::{REASONS_MAX, is_code, one_line, quoted, reason, unchanged};
use serde_json::{Map, Value};

/// The verdict that a value is, or what keeps it from being one.
pub fn read(value: Term) -> Result<Verdict, String> {
    if value == Term::Undefined {
        return Ok(Verdict::Abstain);
    }
    let value = value.to_json_str().map_err(|error| error.to_string())?;
    match serde_json::from_str(&value).map_err(|error| error.to_string())? {
        Value::String(word) => verdict(&word, Vec::new(), None),
        Value::Object(members) => object(members),
        _ => Err("the verdict is neither a word nor an object".to_owned()),
    }
}

fn object(mut members: Map<String, Value>) -> Result<Verdict, String> {
    let Some(Value::String(word)) = members.remove("verdict") else {
        return Err("the object has no `verdict`".to_owned());
    };
    let reasons = members.remove("reasons").map_or_else(|| Ok(Vec::new()), reasons)?;
    let narrowing = members.remove("narrow").map(narrowing).transpose()?;
    nothing_left(&members)?;
    verdict(&word, reasons, narrowing)
}

fn verdict(word: &str, reasons: Vec<Reason>, narrowing: Option<Narrowing>) -> Result<Verdict, String> {
    match (word, narrowing) {
        ("permit", narrowing) => {
            let obligations = narrowing.map(Obligation::Narrow).into_iter().collect();
            Ok(Verdict::Permit(Permission { reasons, obligations }))
        }
        (_, Some(_)) => Err("only a permit can narrow".to_owned()),
        ("abstain", None) => Ok(Verdict::Abstain),
        ("forbid", None) => Ok(Verdict::Forbid(reasons)),
        _ => Err(format!("{} is no verdict", quoted(word))),
    }
}

fn reasons(value: Value) -> Result<Vec<Reason>, String> {
    let Value::Array(items) = value else {
        return Err("`reasons` is no list".to_owned());
    };
    if items.len() > REASONS_MAX {
        return Err(format!("{} reasons are more than {REASONS_MAX}", items.len()));
    }
    items.iter().map(one_reason).collect()
}

fn one_reason(value: &Value) -> Result<Reason, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match (text("code"), text("text")) {
        (Some(code), Some(text)) if is_code(code) && value.as_object().is_some_and(|members| members.len() == 2) => {
            Ok(reason(code, one_line(text)))
        }
        _ => Err("a reason is not a `code` in kebab-case and a `text`".to_owned()),
    }
}

fn narrowing(value: Value) -> Result<Narrowing, String> {
    let Value::Object(mut members) = value else {
        return Err("`narrow` is no object".to_owned());
    };
    let narrowing = Narrowing {
        access: members.remove("access").map(access).transpose()?,
        folders: texts(&mut members, "folders")?,
        environment: texts(&mut members, "environment")?,
        http: texts(&mut members, "http")?,
        sockets: texts(&mut members, "sockets")?,
        names: texts(&mut members, "names")?,
        addresses: texts(&mut members, "addresses")?,
        secrets: texts(&mut members, "secrets")?,
        memory_bytes: number(&mut members, "memory-bytes")?,
        fuel: number(&mut members, "fuel")?,
        wall_ms: number(&mut members, "wall-ms")?,
        ..unchanged()
    };
    nothing_left(&members)?;
    Ok(narrowing)
}

fn access(value: Value) -> Result<Access, String> {
    match value.as_str() {
        Some("read") => Ok(Access::Read),
        Some("read-write") => Ok(Access::ReadWrite),
        _ => Err("`access` is neither `read` nor `read-write`".to_owned()),
    }
}

fn texts(members: &mut Map<String, Value>, key: &str) -> Result<Option<Vec<String>>, String> {
    let Some(value) = members.remove(key) else { return Ok(None) };
    let item = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let texts: Option<Vec<_>> = value.as_array().and_then(|items| items.iter().map(item).collect());
    texts.map(Some).ok_or_else(|| format!("{} is no list of texts", quoted(key)))
}

fn number(members: &mut Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    let Some(value) = members.remove(key) else { return Ok(None) };
    value.as_u64().map(Some).ok_or_else(|| format!("{} is no whole number", quoted(key)))
}

/// A word that nobody reads may have been meant as a condition.
fn nothing_left(members: &Map<String, Value>) -> Result<(), String> {
    members.keys().next().map_or(Ok(()), |key| Err(format!("{} is not part of a verdict", quoted(key))))
}
