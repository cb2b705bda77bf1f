//! The rules that come with the rings: a caller may use what its ring, or a less privileged one, is enough for.
//!
//! It forbids a function that needs a more privileged ring, the root ring for anybody but an operator, and a writable
//! folder in the sandbox ring; it permits everything else. A session reaches ring 2 for a time by asking, ring 1 when an
//! operator approves, and ring 0 never. It has no settings, and never looks at the input.

use ringfence_policy_support::types::{
    Access, Approval, Call, DecisionPoint, Description, Elevation, Obligation, PrincipalKind, Reason, Request, Ring,
    SettingsProblem, Subject, Verdict,
};
use ringfence_policy_support::{Guest, permit, problem, quoted, reason, ring_number};
use serde_json::Value;

const SETTINGS_SCHEMA: &str = r#"{"type":"object","properties":{},"additionalProperties":false}"#;

/// The longest time a session is elevated for.
const ELEVATION_MS_MAX: u64 = 3_600_000;

/// How long an operator has to approve, and the session to make use of it.
const APPROVAL_MS: u64 = 900_000;

struct RingDefault;

ringfence_policy_support::export!(RingDefault with_types_in ringfence_policy_support::bindings);

impl Guest for RingDefault {
    fn describe() -> Description {
        Description {
            name: "ring-default".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Permits a call whose ring is privileged enough for the function's effect, keeps the root ring \
                      for operators and the sandbox ring read-only."
                .to_owned(),
            points: vec![DecisionPoint::Call, DecisionPoint::Elevate],
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        match serde_json::from_str(&settings) {
            Ok(Value::Object(members)) if members.is_empty() => Ok(()),
            Ok(Value::Object(members)) => Err(members.keys().map(|key| unknown_setting(key)).collect()),
            Ok(_) => Err(vec![problem("", "the settings have to be an object")]),
            Err(error) => Err(vec![problem("", format!("the settings are not JSON: {error}"))]),
        }
    }

    fn evaluate(_settings: String, request: Request) -> Verdict {
        match &request.subject {
            Subject::Call(call) => judge_call(&request, call),
            Subject::Elevate(elevation) => elevate(elevation),
            Subject::Admit(_) | Subject::Egress(_) | Subject::Result(_) | Subject::Transcript(_) => Verdict::Abstain,
        }
    }
}

fn judge_call(request: &Request, call: &Call) -> Verdict {
    let objections: Vec<_> = [ring_too_weak(request, call), root_for_others(request), writable_sandbox(request, call)]
        .into_iter()
        .flatten()
        .collect();
    if objections.is_empty() { permit(within_ring(request, call), Vec::new()) } else { Verdict::Forbid(objections) }
}

fn elevate(elevation: &Elevation) -> Verdict {
    let (has, wants) = (ring_number(elevation.current), ring_number(elevation.wanted));
    if wants >= has {
        let text = format!("ring `{wants}` is not more privileged than ring `{has}`");
        return Verdict::Forbid(vec![reason("nothing-to-elevate", text)]);
    }
    if elevation.duration_ms == 0 || elevation.duration_ms > ELEVATION_MS_MAX {
        let text = format!("a session is elevated for 1 to {ELEVATION_MS_MAX} milliseconds");
        return Verdict::Forbid(vec![reason("elevated-too-long", text)]);
    }
    match elevation.wanted {
        Ring::Root => Verdict::Forbid(vec![reason("root-is-out-of-band", "no session is elevated to ring `0`")]),
        Ring::Privileged => permit(
            reason("elevation-with-approval", "an operator has to approve of ring `1`"),
            vec![Obligation::Approve(Approval {
                by: vec!["operator:*".to_owned()],
                valid_ms: APPROVAL_MS,
                reason: format!("a session asks for ring `1` for {} s", elevation.duration_ms / 1_000),
            })],
        ),
        Ring::Standard | Ring::Sandbox => {
            permit(reason("elevation-within-rules", format!("ring `{wants}` needs no approval")), Vec::new())
        }
    }
}

fn ring_too_weak(request: &Request, call: &Call) -> Option<Reason> {
    let (has, needs) = (ring_number(request.ring), ring_number(call.required_ring));
    (has > needs).then(|| {
        let function = quoted(&call.function);
        reason("ring-not-privileged-enough", format!("{function} needs ring `{needs}` and the call has ring `{has}`"))
    })
}

fn root_for_others(request: &Request) -> Option<Reason> {
    let denied = request.ring == Ring::Root && request.principal.kind != PrincipalKind::Operator;
    denied.then(|| {
        let name = quoted(&request.principal.name);
        reason("root-is-for-operators", format!("ring `0` is for operators, and {name} is none"))
    })
}

fn writable_sandbox(request: &Request, call: &Call) -> Option<Reason> {
    let writable = call.asked.folders.iter().find(|folder| folder.access == Access::ReadWrite)?;
    (request.ring == Ring::Sandbox).then(|| {
        let (function, path) = (quoted(&call.function), quoted(&writable.guest_path));
        reason("folder-not-read-only", format!("{function} asks to write to {path}, and ring `3` only reads"))
    })
}

fn within_ring(request: &Request, call: &Call) -> Reason {
    let (has, needs) = (ring_number(request.ring), ring_number(call.required_ring));
    let function = quoted(&call.function);
    reason("within-ring", format!("{function} needs ring `{needs}` and the call has ring `{has}`"))
}

fn unknown_setting(key: &str) -> SettingsProblem {
    let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
    problem(pointer, "this policy has no settings")
}
