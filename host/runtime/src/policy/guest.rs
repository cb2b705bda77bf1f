//! The bindings of world `policy`, and the translation between its words and the model's.
//!
//! What comes back from a guest is untrusted: [`verdict`] checks every size and every text before anything else sees
//! it. The linker a policy is linked with is empty, so a policy can import nothing.

use std::fmt::Display;
use std::str::FromStr;

use ringfence_model::capability::Access;
use ringfence_model::capability::GuestPath;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::Claim;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::Narrowing;
use ringfence_model::decision::Obligation;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Reason;
use ringfence_model::decision::Verdict;
use ringfence_model::limits;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;

wasmtime::component::bindgen!({
    path: "../../wit/policy",
    world: "policy",
});

use exports::ringfence::policy::judge as wit;
pub(super) use exports::ringfence::policy::judge::Guest as Judge;
pub(super) use exports::ringfence::policy::judge::Request;
pub(super) use exports::ringfence::policy::judge::SettingsProblem;

/// The request in the guest's words.
pub(super) fn request(request: &PolicyRequest) -> wit::Request {
    wit::Request {
        principal: wit::Principal {
            kind: principal_kind(request.principal.kind()),
            name: request.principal.name().into(),
        },
        ring: ring(request.ring),
        session: request.session.clone(),
        time_ms: request.time_ms,
        subject: wit::Subject::Call(call(request)),
        claimed: request.claimed.iter().map(claim).collect(),
    }
}

fn call(request: &PolicyRequest) -> wit::Call {
    let asked = &request.asked;
    let folders = asked.folders.iter().map(|folder| wit::Folder {
        guest_path: folder.guest_path.as_str().into(),
        access: match folder.access {
            Access::Read => wit::Access::Read,
            Access::ReadWrite => wit::Access::ReadWrite,
        },
    });
    let limits = wit::Limits {
        memory_bytes: asked.limits.memory_bytes,
        fuel: asked.limits.fuel,
        wall_ms: asked.limits.wall_ms,
        output_bytes: asked.limits.output_bytes,
        handles: u32::try_from(asked.limits.handles).unwrap_or(u32::MAX),
    };
    wit::Call {
        tool: wit::Tool { name: request.tool.name.clone(), digest: request.tool.digest.to_string() },
        function: request.function.clone(),
        effect: effect(request.effect),
        required_ring: ring(request.required_ring),
        input: request.input.clone(),
        arguments: request.arguments.clone(),
        stdin_bytes: request.stdin_bytes,
        stdin_digest: request.stdin_digest.to_string(),
        asked: wit::Capabilities {
            folders: folders.collect(),
            environment: asked.environment.clone(),
            limits,
            network: network(&asked.network),
        },
    }
}

fn network(asked: &NetworkAsked) -> wit::Network {
    wit::Network {
        http: lines(&asked.http),
        sockets: lines(&asked.sockets),
        names: lines(&asked.names),
        addresses: lines(&asked.addresses),
        secrets: asked.secrets.clone(),
    }
}

fn lines<T: Display>(rules: &[T]) -> Vec<String> {
    rules.iter().map(ToString::to_string).collect()
}

fn principal_kind(kind: PrincipalKind) -> wit::PrincipalKind {
    match kind {
        PrincipalKind::Agent => wit::PrincipalKind::Agent,
        PrincipalKind::Operator => wit::PrincipalKind::Operator,
        PrincipalKind::Service => wit::PrincipalKind::Service,
    }
}

fn ring(ring: Ring) -> wit::Ring {
    match ring {
        Ring::Root => wit::Ring::Root,
        Ring::Privileged => wit::Ring::Privileged,
        Ring::Standard => wit::Ring::Standard,
        Ring::Sandbox => wit::Ring::Sandbox,
    }
}

fn effect(effect: Effect) -> wit::Effect {
    match effect {
        Effect::Administrative => wit::Effect::Administrative,
        Effect::External => wit::Effect::External,
        Effect::None => wit::Effect::None,
        Effect::Reads => wit::Effect::Reads,
        Effect::Unknown => wit::Effect::Unknown,
        Effect::Writes => wit::Effect::Writes,
    }
}

fn claim(claim: &Claim) -> wit::Claim {
    wit::Claim { name: claim.name.clone(), value: claim.value.clone() }
}

/// The points a policy says it wants to be asked at.
pub(super) fn points(points: &[wit::DecisionPoint]) -> Vec<DecisionPoint> {
    let of = |point: &wit::DecisionPoint| match point {
        wit::DecisionPoint::Admit => DecisionPoint::Admit,
        wit::DecisionPoint::Call => DecisionPoint::Call,
        wit::DecisionPoint::Egress => DecisionPoint::Egress,
        wit::DecisionPoint::Result => DecisionPoint::Result,
        wit::DecisionPoint::Elevate => DecisionPoint::Elevate,
        wit::DecisionPoint::Transcript => DecisionPoint::Transcript,
    };
    points.iter().map(of).collect()
}

/// The verdict in the model's words, or what is wrong with it.
pub(super) fn verdict(verdict: wit::Verdict) -> Result<Verdict, String> {
    match verdict {
        wit::Verdict::Abstain => Ok(Verdict::Abstain),
        wit::Verdict::Forbid(reasons) => Ok(Verdict::Forbid(checked_reasons(reasons)?)),
        wit::Verdict::Permit(permission) => {
            let count = permission.obligations.len();
            if count > limits::OBLIGATIONS_MAX {
                return Err(format!("{count} obligations are more than {}", limits::OBLIGATIONS_MAX));
            }
            let obligations = permission.obligations.into_iter().map(obligation).collect::<Result<_, _>>()?;
            Ok(Verdict::Permit(checked_reasons(permission.reasons)?, obligations))
        }
    }
}

fn checked_reasons(reasons: Vec<wit::Reason>) -> Result<Vec<Reason>, String> {
    if reasons.len() > limits::REASONS_MAX {
        return Err(format!("{} reasons are more than {}", reasons.len(), limits::REASONS_MAX));
    }
    reasons.into_iter().map(reason).collect()
}

fn reason(reason: wit::Reason) -> Result<Reason, String> {
    let wit::Reason { code, text } = reason;
    let kebab = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if code.is_empty() || code.len() > limits::REASON_CODE_BYTES_MAX || !code.bytes().all(kebab) {
        return Err(format!("a reason's code must be 1 to {} characters of kebab-case", limits::REASON_CODE_BYTES_MAX));
    }
    if text.len() > limits::REASON_TEXT_BYTES_MAX || text.contains(char::is_control) {
        return Err(format!("the text of reason `{code}` is not one line of {} bytes", limits::REASON_TEXT_BYTES_MAX));
    }
    Ok(Reason { code, text })
}

fn obligation(obligation: wit::Obligation) -> Result<Obligation, String> {
    match obligation {
        wit::Obligation::Named(named) => Ok(Obligation::Named(named.name.chars().take(64).collect())),
        wit::Obligation::Narrow(narrow) => Ok(Obligation::Narrow(narrowing(narrow)?)),
    }
}

fn narrowing(narrow: wit::Narrowing) -> Result<Narrowing, String> {
    let paths = |paths: Vec<String>| paths.iter().map(|path| GuestPath::new(path)).collect::<Result<_, _>>();
    Ok(Narrowing {
        access: narrow.access.map(|access| match access {
            wit::Access::Read => Access::Read,
            wit::Access::ReadWrite => Access::ReadWrite,
        }),
        folders: narrow.folders.map(paths).transpose().map_err(|error| error.to_string())?,
        environment: narrow.environment,
        http: rules(narrow.http)?,
        sockets: rules(narrow.sockets)?,
        names: rules(narrow.names)?,
        addresses: rules(narrow.addresses)?,
        secrets: narrow.secrets,
        memory_bytes: narrow.memory_bytes,
        fuel: narrow.fuel,
        wall_ms: narrow.wall_ms,
    })
}

/// Rules from their lines. One that can't be read is a fault: a narrowing that was not understood is not carried out.
fn rules<T: FromStr<Err: Display>>(lines: Option<Vec<String>>) -> Result<Option<Vec<T>>, String> {
    let Some(lines) = lines else { return Ok(None) };
    if lines.len() > limits::RULES_MAX {
        return Err(format!("{} rules are more than {}", lines.len(), limits::RULES_MAX));
    }
    lines.iter().map(|line| line.parse().map_err(|error: T::Err| error.to_string())).collect::<Result<_, _>>().map(Some)
}
