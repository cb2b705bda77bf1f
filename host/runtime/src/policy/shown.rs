//! Decisions for programs: rulings, conditions and explanations as JSON, the same wherever they are shown.

use ringfence_model::decision::Answer;
use ringfence_model::decision::DenialReason;
use ringfence_model::decision::Narrowing;
use ringfence_model::decision::Obligation;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Ruling;
use ringfence_model::decision::Verdict;
use serde_json::Value;
use serde_json::json;

use crate::policy::PolicySet;
use crate::policy::explain::Explained;

/// What a set would say to a call, and what would come of it.
pub fn explained(set: &PolicySet, explained: &Explained) -> Value {
    let Explained { request, decision, grant } = explained;
    let reasons = match &decision.answer {
        Answer::Allow(_) => Vec::new(),
        Answer::Deny(reasons) => reasons.iter().map(reason).collect(),
    };
    json!({
        "point": request.point(),
        "request": request,
        "policy_set": set.digest(),
        "policies": decision.rulings.iter().map(ruled).collect::<Vec<_>>(),
        "not_asked": not_asked(set, request),
        "allowed": matches!(decision.answer, Answer::Allow(_)),
        "reasons": reasons,
        "grant": grant.as_ref().and_then(|grant| grant.as_ref().ok()),
        "refused": grant.as_ref().and_then(|grant| grant.as_ref().err()).map(|refusal| {
            json!({ "layer": refusal.layer.to_string(), "message": refusal.to_string() })
        }),
    })
}

fn reason(denial: &DenialReason) -> Value {
    json!({ "policy": denial.policy, "code": denial.reason.code, "text": denial.reason.text })
}

/// Names of policies in force that are not asked about a request.
pub fn not_asked<'s>(set: &'s PolicySet, request: &PolicyRequest) -> Vec<&'s str> {
    let silent = set.policies().iter().filter(|policy| !policy.is_asked(request));
    silent.map(|policy| policy.reference().name.as_str()).collect()
}

/// A ruling for programs.
pub fn ruled(ruling: &Ruling) -> Value {
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
pub fn obligation(obligation: &Obligation) -> Value {
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
