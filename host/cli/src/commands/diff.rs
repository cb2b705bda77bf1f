//! `ringfence diff`: what is different between two calls, or between the calls of two sessions or bundles, one by one.
//!
//! Commitments hide what they commit to, so two of them never tell whether two contents are the same. Contents that are
//! there are compared; of those that are not, it is said.

use std::path::Path;

use ringfence_audit::bundle;
use ringfence_audit::bundle::Bundle;
use ringfence_audit::bundle::Subject;
use ringfence_model::content::ContentName;
use ringfence_model::entry::Begun;
use ringfence_model::entry::Body;
use ringfence_model::entry::DecisionRecord;
use ringfence_model::entry::Finished;
use ringfence_model::entry::Refused;
use ringfence_model::id::CallId;
use ringfence_model::outcome::one_line;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::args::DiffArgs;
use crate::args::Side;
use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home;
use crate::home::Home;
use crate::output::Output;

/// Places of one content that are shown; more are counted.
const PLACES_MAX: usize = 20;

/// Something that is different.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Difference {
    field: String,
    a: Value,
    b: Value,
}

/// A call, as fields that can be compared, and its contents.
#[derive(Debug)]
struct Call {
    id: CallId,
    fields: Vec<(&'static str, Value)>,
    contents: Vec<(ContentName, Option<Value>)>,
}

/// Two calls that stand at the same place.
#[derive(Serialize)]
struct Compared {
    a: Option<CallId>,
    b: Option<CallId>,
    differences: Vec<Difference>,
}

pub fn run(home: Option<&Path>, args: &DiffArgs, output: Output) -> Result<Exit, CommandError> {
    let (a, b) = (calls(&side(home, &args.a, output)?), calls(&side(home, &args.b, output)?));
    let pairs: Vec<_> = (0..a.len().max(b.len())).map(|at| compare(a.get(at), b.get(at))).collect();
    if output.is_json() {
        let same = pairs.iter().all(|pair| pair.differences.is_empty());
        output.json(&json!({ "calls": pairs, "same": same }));
    } else {
        for pair in &pairs {
            print(pair, output);
        }
    }
    Ok(Exit::Done)
}

/// A call or a session of this home, or a bundle in a file.
fn side(home: Option<&Path>, side: &Side, output: Output) -> Result<Bundle, CommandError> {
    let recorded = |subject| {
        let home = Home::open_with_kept_log(&home.map_or_else(|| home::folder(None), |home| Ok(home.to_owned()))?)?;
        commands::bundle::bundle(&home, subject, output)
    };
    match side {
        Side::Call(call) => recorded(Subject::Call(*call)),
        Side::Session(session) => recorded(Subject::Session(*session)),
        Side::File(path) => {
            let bytes = commands::read_bundle(path)?;
            // The key that the bundle names is enough to know that it is whole; whom to trust is no question here.
            let key = bundle::check(&bytes, &[]).bundle.and_then(|bundle| bundle.key.parse().ok());
            let checked = bundle::check(&bytes, &key.into_iter().collect::<Vec<_>>());
            match (checked.report.failures().next(), checked.bundle) {
                (None, Some(bundle)) => Ok(bundle),
                (finding, _) => Err(CommandError::damaged_bundle(path, finding)),
            }
        }
    }
}

/// The calls of a bundle, in order.
fn calls(bundle: &Bundle) -> Vec<Call> {
    let entries = || bundle.entries.iter().map(|proven| &proven.entry);
    let call = |entry: &ringfence_model::entry::Entry| match &entry.body {
        Body::Begun(begun) => {
            let end = entries().find_map(|other| match &other.body {
                Body::Finished(end) if end.call == begun.call => Some((other.index, end.as_ref())),
                _ => None,
            });
            Some(begun_call(bundle, entry.index, begun, end))
        }
        Body::Refused(refused) => Some(refused_call(bundle, entry.index, refused)),
        _ => None,
    };
    entries().filter_map(call).collect()
}

fn begun_call(bundle: &Bundle, index: u64, begun: &Begun, end: Option<(u64, &Finished)>) -> Call {
    let Begun { call, function, tool, ring, principal, effect, reach, limits, session, .. } = begun;
    let mut fields = vec![
        ("tool", json!(tool.name)),
        ("tool digest", json!(tool.digest)),
        ("function", json!(function)),
        ("principal", json!(principal)),
        ("session", json!(session)),
        ("ring", json!(ring)),
        ("effect of the function", json!(effect)),
        ("reach", json!(reach)),
        ("limits", json!(limits)),
    ];
    fields.extend(decision(Some(&begun.decision)));
    let finished = end.map(|(_, finished)| finished);
    fields.extend([
        ("outcome", json!(finished.map(|finished| &finished.code))),
        ("effect", json!(finished.map(|finished| finished.effect))),
        ("cost", json!(finished.map(|finished| finished.used))),
    ]);
    let mut names = vec![(index, ContentName::Input), (index, ContentName::Grant)];
    names.extend(end.iter().flat_map(|(end, _)| [(*end, ContentName::Output), (*end, ContentName::Trace)]));
    Call { id: *call, fields, contents: contents(bundle, &names) }
}

fn refused_call(bundle: &Bundle, index: u64, refused: &Refused) -> Call {
    let Refused { call, code, function, tool, ring, principal, stage, layer, session, .. } = refused;
    let mut fields = vec![
        ("tool", json!(tool.name)),
        ("tool digest", json!(tool.digest)),
        ("function", json!(function)),
        ("principal", json!(principal)),
        ("session", json!(session)),
        ("ring", json!(ring)),
        ("refused at", json!(stage)),
        ("refused by layer", json!(layer)),
    ];
    fields.extend(decision(refused.decision.as_ref()));
    fields.push(("outcome", json!(code)));
    Call { id: *call, fields, contents: contents(bundle, &[(index, ContentName::Input)]) }
}

/// What was decided, and what each policy said. What a decision cost is not part of it.
fn decision(record: Option<&DecisionRecord>) -> Vec<(&'static str, Value)> {
    let rulings = record.map(|record| {
        let said = record.rulings.iter().map(|ruling| json!([ruling.name, ruling.verdict, ruling.reasons]));
        said.collect::<Vec<_>>()
    });
    vec![
        ("allowed", json!(record.map(|record| record.allowed))),
        ("policy set", json!(record.map(|record| record.policy_set))),
        ("rulings", json!(rulings)),
    ]
}

fn contents(bundle: &Bundle, names: &[(u64, ContentName)]) -> Vec<(ContentName, Option<Value>)> {
    let value = |(index, name): &(u64, ContentName)| {
        let content = bundle.content(*index, *name);
        (*name, content.and_then(|content| serde_json::from_str(&content.text).ok()))
    };
    names.iter().map(value).collect()
}

fn compare(a: Option<&Call>, b: Option<&Call>) -> Compared {
    let differences = match (a, b) {
        (Some(a), Some(b)) => differences(a, b),
        _ => vec![Difference { field: "call".to_owned(), a: json!(a.map(|a| a.id)), b: json!(b.map(|b| b.id)) }],
    };
    Compared { a: a.map(|a| a.id), b: b.map(|b| b.id), differences }
}

fn differences(a: &Call, b: &Call) -> Vec<Difference> {
    let mut found = Vec::new();
    let other = |field: &str| b.fields.iter().find(|(name, _)| *name == field).map_or(Value::Null, |(_, v)| v.clone());
    for (field, value) in &a.fields {
        places(field, value, &other(field), &mut found);
    }
    for (field, value) in b.fields.iter().filter(|(field, _)| !a.fields.iter().any(|(name, _)| name == field)) {
        places(field, &Value::Null, value, &mut found);
    }
    for name in [ContentName::Input, ContentName::Grant, ContentName::Output, ContentName::Trace] {
        let of = |call: &Call| call.contents.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone());
        let mut inside = Vec::new();
        match (of(a), of(b)) {
            (Some(Some(a)), Some(Some(b))) => places(name.as_str(), &a, &b, &mut inside),
            (None, None) => {}
            (a, b) => {
                let said = |side: Option<Option<Value>>| match side {
                    Some(Some(_)) => json!("there"),
                    Some(None) => json!("not there, so not compared"),
                    None => Value::Null,
                };
                inside.push(Difference { field: name.to_string(), a: said(a), b: said(b) });
            }
        }
        let more = inside.len().saturating_sub(PLACES_MAX);
        inside.truncate(PLACES_MAX);
        found.append(&mut inside);
        if more > 0 {
            found.push(Difference { field: format!("{name}, more places"), a: json!(more), b: json!(more) });
        }
    }
    found
}

/// The places in which two values differ, each with its path.
fn places(path: &str, a: &Value, b: &Value, found: &mut Vec<Difference>) {
    match (a, b) {
        _ if a == b => {}
        (Value::Object(one), Value::Object(two)) => {
            for key in one.keys().chain(two.keys().filter(|key| !one.contains_key(*key))) {
                let of = |side: &serde_json::Map<String, Value>| side.get(key).cloned().unwrap_or_default();
                places(&format!("{path}/{key}"), &of(one), &of(two), found);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (index, (a, b)) in one.iter().zip(two).enumerate() {
                places(&format!("{path}/{index}"), a, b, found);
            }
        }
        _ => found.push(Difference { field: path.to_owned(), a: a.clone(), b: b.clone() }),
    }
}

fn print(pair: &Compared, output: Output) {
    let id = |call: Option<CallId>| call.map_or("nothing".to_owned(), |call| call.to_string());
    output.line(&format!("a  {}\nb  {}", id(pair.a), id(pair.b)));
    for Difference { field, a, b } in &pair.differences {
        let [field, a, b] = [field.clone(), a.to_string(), b.to_string()].map(|text| one_line(&text));
        output.line(&format!("   {field}\n     a  {a}\n     b  {b}"));
    }
    if pair.differences.is_empty() {
        output.line("   no difference");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_by_their_path() {
        for (a, b, wanted) in [
            (json!({"x": {"y": 1}}), json!({"x": {"y": 2}}), vec!["input/x/y"]),
            (json!({"x": 1}), json!({"y": 1}), vec!["input/x", "input/y"]),
            (json!([1, 2]), json!([1, 3]), vec!["input/1"]),
            (json!([1, 2]), json!([1]), vec!["input"]),
            (json!("a"), json!("a"), vec![]),
        ] {
            let mut found = Vec::new();
            places("input", &a, &b, &mut found);
            assert_eq!(found.iter().map(|place| place.field.as_str()).collect::<Vec<_>>(), wanted);
        }
    }
}
