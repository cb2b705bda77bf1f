//! Values in Cedar's words.
//!
//! JSON becomes values and never more than that: what a caller writes can't become an entity or an address by being
//! spelled like one. What Cedar has no value for becomes an entity `Json::"…"`: it is there, it equals itself, and
//! computing with it is an error, which forbids.

use cedar_policy::{EntityUid, RestrictedExpression};
use serde_json::{Value, json};

/// A member by its name.
pub fn named(name: &str, value: RestrictedExpression) -> (String, RestrictedExpression) {
    (name.to_owned(), value)
}

/// A record; names that repeat make it none.
pub fn record(
    members: impl IntoIterator<Item = (String, RestrictedExpression)>,
) -> Result<RestrictedExpression, String> {
    RestrictedExpression::new_record(members).map_err(|error| error.to_string())
}

/// A number, the largest that Cedar has if it is larger.
pub fn long(number: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(number).unwrap_or(i64::MAX))
}

/// An entity.
pub fn entity(ty: &str, id: &str) -> Result<EntityUid, String> {
    EntityUid::from_json(json!({ "type": ty, "id": id })).map_err(|error| error.to_string())
}

/// JSON; a list becomes a set, and so loses its order.
pub fn value(value: &Value) -> Result<RestrictedExpression, String> {
    Ok(match value {
        Value::Array(items) => {
            RestrictedExpression::new_set(items.iter().map(self::value).collect::<Result<Vec<_>, _>>()?)
        }
        Value::Bool(value) => RestrictedExpression::new_bool(*value),
        Value::Null => without_value("null")?,
        Value::Number(number) => match number.as_i64() {
            Some(number) => RestrictedExpression::new_long(number),
            None => without_value(&number.to_string())?,
        },
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| Ok((name.clone(), self::value(value)?)));
            record(members.collect::<Result<Vec<_>, String>>()?)?
        }
        Value::String(value) => RestrictedExpression::new_string(value.clone()),
    })
}

fn without_value(text: &str) -> Result<RestrictedExpression, String> {
    Ok(RestrictedExpression::new_entity_uid(entity("Json", text)?))
}
