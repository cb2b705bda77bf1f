//! What an input has beyond the fields that are named.

use ringfence_policy_support::types::Reason;
use ringfence_policy_support::{quoted, reason};
use serde_json::Value;

/// Values that are no named field, hold none and lie in none.
pub fn unexpected(input: &Value, named: &[&str]) -> Vec<Reason> {
    let mut found = Vec::new();
    look(input, String::new(), named, &mut found);
    let text = |pointer: &String| format!("{} in the input is no field that is named", quoted(pointer));
    found.iter().map(|pointer| reason("field-not-expected", text(pointer))).collect()
}

fn look(value: &Value, pointer: String, named: &[&str], found: &mut Vec<String>) {
    if named.contains(&pointer.as_str()) {
        return;
    }
    let inside = |field: &&&str| field.strip_prefix(&pointer).is_some_and(|rest| rest.starts_with('/'));
    // The input itself is an object even where no field is named.
    if !pointer.is_empty() && !named.iter().any(|field| inside(&field)) {
        found.push(pointer);
        return;
    }
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            look(value, format!("{pointer}/{key}"), named, found);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| look(item, format!("{pointer}/{index}"), named, found));
        }
        // A field was to be in here, and this holds none.
        _ => found.push(pointer),
    }
}
