//! Rulings and conditions, for people and for programs.

use ringfence_model::decision::Narrowing;
use ringfence_model::decision::Obligation;
use ringfence_model::decision::Reason;
use ringfence_model::decision::Ruling;
use ringfence_model::decision::Verdict;
use serde_json::Value;
use serde_json::json;

use crate::output::Output;

/// A ruling for programs.
pub(super) fn ruled(ruling: &Ruling) -> Value {
    let (verdict, reasons, obligations, fault) = match &ruling.verdict {
        Ok(Verdict::Abstain) => ("abstain", json!([]), json!([]), Value::Null),
        Ok(Verdict::Forbid(reasons)) => ("forbid", json!(reasons), json!([]), Value::Null),
        Ok(Verdict::Permit(reasons, obligations)) => {
            let shown: Vec<_> = obligations.iter().map(obligation).collect();
            ("permit", json!(reasons), json!(shown), Value::Null)
        }
        Err(fault) => ("fault", json!([]), json!([]), json!({ "code": fault.code(), "text": fault.to_string() })),
    };
    json!({
        "policy": ruling.policy.name,
        "digest": ruling.policy.digest,
        "settings": ruling.policy.settings,
        "verdict": verdict,
        "reasons": reasons,
        "obligations": obligations,
        "fault": fault,
        "fuel": ruling.fuel,
    })
}

/// A condition of a permit, as JSON.
pub(super) fn obligation(obligation: &Obligation) -> Value {
    let name = obligation.name();
    match obligation {
        Obligation::Named(name) => json!({ "name": name, "known": false }),
        Obligation::Approve(demand) => {
            json!({ "name": name, "by": demand.by, "reason": demand.reason, "valid_ms": demand.valid_ms })
        }
        Obligation::Cache(demand) => json!({ "name": name, "shared": demand.shared, "valid_ms": demand.valid_ms }),
        Obligation::Cap(cap) => json!({
            "name": name,
            "at_most": cap.at_most,
            "scope": cap.scope,
            "unit": cap.unit,
            "window": cap.window,
        }),
        Obligation::Redact(redactions) => json!({ "name": name, "redactions": redactions }),
        Obligation::Narrow(narrowing) => narrowed(narrowing),
    }
}

/// A narrowing: only what it says something about.
fn narrowed(narrowing: &Narrowing) -> Value {
    let all = [
        ("access", narrowing.access.map(|access| json!(access))),
        ("folders", narrowing.folders.as_ref().map(|folders| json!(folders))),
        ("environment", narrowing.environment.as_ref().map(|names| json!(names))),
        ("http", narrowing.http.as_ref().map(|rules| json!(texts(rules)))),
        ("sockets", narrowing.sockets.as_ref().map(|rules| json!(texts(rules)))),
        ("names", narrowing.names.as_ref().map(|rules| json!(texts(rules)))),
        ("addresses", narrowing.addresses.as_ref().map(|rules| json!(texts(rules)))),
        ("secrets", narrowing.secrets.as_ref().map(|names| json!(names))),
        ("memory_bytes", narrowing.memory_bytes.map(|bytes| json!(bytes))),
        ("fuel", narrowing.fuel.map(|fuel| json!(fuel))),
        ("wall_ms", narrowing.wall_ms.map(|ms| json!(ms))),
    ];
    let said = all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(std::iter::once(("name".to_owned(), json!("narrow"))).chain(said).collect())
}

fn texts<T: std::fmt::Display>(rules: &[T]) -> Vec<String> {
    rules.iter().map(ToString::to_string).collect()
}

/// A ruling for people.
pub(super) fn print_ruling(ruling: &Ruling, output: Output) {
    let (verdict, reasons, obligations): (_, &[Reason], &[Obligation]) = match &ruling.verdict {
        Ok(Verdict::Abstain) => ("abstain", &[], &[]),
        Ok(Verdict::Forbid(reasons)) => ("forbid", reasons, &[]),
        Ok(Verdict::Permit(reasons, obligations)) => ("permit", reasons, obligations),
        Err(_) => ("fault", &[], &[]),
    };
    output.line(&format!("verdict  {verdict}"));
    for Reason { code, text } in reasons {
        output.line(&format!("reason   {code}: {text}"));
    }
    for condition in obligations {
        output.line(&format!("must     {}", obligation(condition)));
    }
    if let Err(fault) = &ruling.verdict {
        output.line(&format!("fault    {fault}"));
    }
    output.line(&format!("fuel     {}", ruling.fuel));
}
