//! A request as the document `input`: the words of the policy request in docs/FORMAT.md, with the call's input as the
//! value it is.

use regorus::Value as Term;
use ringfence_policy_support::types::{
    Access, Call, Capabilities, Claim, Effect, Folder, Limits, Network, PrincipalKind, Request,
};
use ringfence_policy_support::{call, ring_number};
use serde_json::{Value, json};

/// The document that a request is.
pub fn of(request: &Request) -> Result<Term, String> {
    let call = call(request);
    let input: Value = serde_json::from_str(&call.input).map_err(|error| format!("the input is not JSON: {error}"))?;
    Ok(Term::from(document(request, call, input)))
}

fn document(request: &Request, call: &Call, input: Value) -> Value {
    json!({
        "arguments": call.arguments,
        "asked": asked(&call.asked),
        "claimed": request.claimed.iter().map(claim).collect::<Vec<_>>(),
        "effect": effect(call.effect),
        "function": call.function,
        "input": input,
        "point": "call",
        "principal": { "kind": kind(request.principal.kind), "name": request.principal.name },
        "required-ring": ring_number(call.required_ring),
        "ring": ring_number(request.ring),
        "session": request.session,
        "stdin-bytes": call.stdin_bytes,
        "stdin-digest": call.stdin_digest,
        "time-ms": request.time_ms,
        "tool": { "digest": call.tool.digest, "name": call.tool.name },
    })
}

fn kind(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::Agent => "agent",
        PrincipalKind::Operator => "operator",
        PrincipalKind::Service => "service",
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Administrative => "administrative",
        Effect::External => "external",
        Effect::None => "none",
        Effect::Reads => "reads",
        Effect::Unknown => "unknown",
        Effect::Writes => "writes",
    }
}

fn claim(claim: &Claim) -> Value {
    json!({ "name": claim.name, "value": claim.value })
}

fn asked(asked: &Capabilities) -> Value {
    json!({
        "environment": asked.environment,
        "folders": asked.folders.iter().map(folder).collect::<Vec<_>>(),
        "limits": limits(&asked.limits),
        "network": network(&asked.network),
    })
}

fn folder(folder: &Folder) -> Value {
    let access = match folder.access {
        Access::Read => "read",
        Access::ReadWrite => "read-write",
    };
    json!({ "access": access, "guest-path": folder.guest_path })
}

fn limits(limits: &Limits) -> Value {
    json!({
        "fuel": limits.fuel,
        "handles": limits.handles,
        "memory_bytes": limits.memory_bytes,
        "output_bytes": limits.output_bytes,
        "wall_ms": limits.wall_ms,
    })
}

fn network(network: &Network) -> Value {
    json!({
        "addresses": network.addresses,
        "http": network.http,
        "names": network.names,
        "secrets": network.secrets,
        "sockets": network.sockets,
    })
}
