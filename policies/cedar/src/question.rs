//! A request in Cedar's words: who asks is the principal, the point is the action, what it is about is the resource, and
//! all that is told of it is the context. Entities are the operator's alone; nothing of a request becomes one.

use cedar_policy::{Context, EntityUid, Request as Question, RestrictedExpression};
use ringfence_policy_support::types::{Principal, PrincipalKind, Request, Session, Subject};
use ringfence_policy_support::{document, point, ring_number};
use serde_json::{Map, Value};

use crate::expression::{self, entity, long, named, record};

const MS_PER_MINUTE: u64 = 60_000;
const MINUTES_PER_DAY: u64 = 24 * 60;
/// What holds somebody else's words, which stay as they are.
const FOREIGN: [&str; 3] = ["body", "input", "messages"];

/// The question that a request is.
pub fn of(request: &Request) -> Result<Question, String> {
    let context = Context::from_pairs(context(request)?).map_err(|error| error.to_string())?;
    let action = entity("Action", point(&request.subject))?;
    let resource = resource(&request.subject, request.session.as_ref())?;
    Question::new(principal(&request.principal)?, action, resource, context, None).map_err(|error| error.to_string())
}

fn principal(principal: &Principal) -> Result<EntityUid, String> {
    let kind = match principal.kind {
        PrincipalKind::Agent => "Agent",
        PrincipalKind::Operator => "Operator",
        PrincipalKind::Service => "Service",
    };
    entity(kind, &principal.name)
}

fn resource(subject: &Subject, session: Option<&Session>) -> Result<EntityUid, String> {
    match subject {
        Subject::Admit(component) => entity("Tool", &component.tool.digest),
        Subject::Call(call) => entity("Tool", &call.tool.digest),
        Subject::Egress(outgoing) => entity("Tool", &outgoing.tool.digest),
        Subject::Result(answer) => entity("Tool", &answer.tool.digest),
        Subject::Elevate(elevation) => entity("Ring", &ring_number(elevation.wanted).to_string()),
        Subject::Transcript(_) => entity("Session", session.map_or("", |session| &session.id)),
    }
}

/// What is told of the subject, and beside it what is told of every request.
fn context(request: &Request) -> Result<Vec<(String, RestrictedExpression)>, String> {
    let mut told = members(document(request)?);
    let subject = members(told.remove("subject").unwrap_or_default());
    let mut context = Vec::new();
    for (name, value) in subject.into_iter().flat_map(|(_, about)| in_words(members(about))) {
        context.push((name, expression::value(&value)?));
    }
    for name in ["ring", "session"] {
        if let Some(value) = told.remove(name) {
            context.push(named(name, expression::value(&renamed(value))?));
        }
    }
    context.push(named("claimed", keyed(told.remove("claimed"), "name", |claim| claim.get("value").cloned())?));
    context.push(named("time", time(request.time_ms)?));
    context.push(named("usage", keyed(told.remove("usage"), "scope", |usage| Some(renamed(usage.clone())))?));
    Ok(context)
}

/// A list of objects as one record, each under the name that it has in it. Two of one name make it none.
fn keyed(
    list: Option<Value>,
    key: &str,
    value: impl Fn(&Value) -> Option<Value>,
) -> Result<RestrictedExpression, String> {
    let list = list.unwrap_or_default();
    let items = list.as_array().into_iter().flatten().filter_map(|item| {
        let name = item.get(key)?.as_str()?;
        Some((name.to_owned(), value(item)?))
    });
    record(items.map(|(name, value)| Ok((name, expression::value(&value)?))).collect::<Result<Vec<_>, String>>()?)
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Our own names are words of Cedar's syntax: `required_ring` rather than `required-ring`.
fn in_words(members: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    members.into_iter().map(|(name, value)| {
        let value = if FOREIGN.contains(&name.as_str()) { value } else { renamed(value) };
        (name.replace('-', "_"), value)
    })
}

fn renamed(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(renamed).collect(),
        Value::Object(members) => Value::Object(in_words(members).collect()),
        value => value,
    }
}

/// The time, and what Cedar can't compute from it: it has no remainder.
fn time(ms: u64) -> Result<RestrictedExpression, String> {
    let minutes = ms / MS_PER_MINUTE;
    let days = minutes / MINUTES_PER_DAY;
    record([
        named("hour", long(minutes / 60 % 24)),
        named("minute", long(minutes % 60)),
        named("ms", long(ms)),
        // 1970 began on a Thursday; Monday is 1.
        named("weekday", long((days + 3) % 7 + 1)),
    ])
}
