//! A request as JSON: the words of the policy request in docs/FORMAT.md, with the JSON texts in it as what they hold.

use serde_json::{Map, Value, json};

use crate::ring_number;
use crate::types::{
    Access, Answer, Call, Capabilities, Claim, Component, Count, Effect, Elevation, Folder, Limits, Network, Origin,
    OutcomeKind, Outgoing, OutgoingKind, Principal, PrincipalKind, Request, Scope, Session, Subject, Tool, Transcript,
    Usage,
};

/// The point a request is asked at, as it is written everywhere.
pub fn point(subject: &Subject) -> &'static str {
    match subject {
        Subject::Admit(_) => "admit",
        Subject::Call(_) => "call",
        Subject::Egress(_) => "egress",
        Subject::Result(_) => "result",
        Subject::Elevate(_) => "elevate",
        Subject::Transcript(_) => "transcript",
    }
}

/// A request as JSON; an error if a text in it that has to be JSON is none, or is nested too deeply to be read.
pub fn document(request: &Request) -> Result<Value, String> {
    let members = json!({
        "claimed": request.claimed.iter().map(claim).collect::<Vec<_>>(),
        "principal": principal(&request.principal),
        "ring": ring_number(request.ring),
        "subject": { point(&request.subject): subject(&request.subject)? },
        "time-ms": request.time_ms,
        "usage": request.usage.iter().map(usage).collect::<Vec<_>>(),
    });
    Ok(with(members, "session", request.session.as_ref().map(session)))
}

fn subject(subject: &Subject) -> Result<Value, String> {
    Ok(match subject {
        Subject::Admit(component) => admit(component),
        Subject::Call(subject) => call(subject)?,
        Subject::Egress(outgoing) => egress(outgoing),
        Subject::Result(subject) => answer(subject)?,
        Subject::Elevate(elevation) => elevate(elevation),
        Subject::Transcript(subject) => transcript(subject)?,
    })
}

fn admit(component: &Component) -> Value {
    let members = json!({
        "bytes": component.bytes,
        "imports": component.imports,
        "origin": origin(component.origin),
        "signers": component.signers,
        "tool": tool(&component.tool),
    });
    with(members, "reference", component.reference.as_ref().map(|reference| json!(reference)))
}

fn call(call: &Call) -> Result<Value, String> {
    Ok(json!({
        "arguments": call.arguments,
        "asked": asked(&call.asked),
        "effect": effect(call.effect),
        "function": call.function,
        "input": read("input", &call.input)?,
        "required-ring": ring_number(call.required_ring),
        "stdin-bytes": call.stdin_bytes,
        "stdin-digest": call.stdin_digest,
        "tool": tool(&call.tool),
    }))
}

fn egress(outgoing: &Outgoing) -> Value {
    json!({
        "before": outgoing.before,
        "call": outgoing.call,
        "function": outgoing.function,
        "headers": outgoing.headers,
        "host": outgoing.host,
        "kind": outgoing_kind(outgoing.kind),
        "method": outgoing.method,
        "path": outgoing.path,
        "port": outgoing.port,
        "query": outgoing.query,
        "scheme": outgoing.scheme,
        "secrets": outgoing.secrets,
        "tool": tool(&outgoing.tool),
    })
}

fn answer(answer: &Answer) -> Result<Value, String> {
    let used = &answer.used;
    let members = json!({
        "body": read("body", &answer.body)?,
        "call": answer.call,
        "effect": effect(answer.effect),
        "function": answer.function,
        "kind": outcome_kind(answer.kind),
        "tool": tool(&answer.tool),
        "used": {
            "fuel": used.fuel,
            "memory_bytes": used.memory_bytes,
            "output_bytes": used.output_bytes,
            "wall_ms": used.wall_ms,
        },
    });
    Ok(with(members, "mismatch", answer.mismatch.as_ref().map(|mismatch| json!(mismatch))))
}

fn elevate(elevation: &Elevation) -> Value {
    json!({
        "claimed-reason": elevation.claimed_reason,
        "current": ring_number(elevation.current),
        "duration-ms": elevation.duration_ms,
        "wanted": ring_number(elevation.wanted),
    })
}

fn transcript(transcript: &Transcript) -> Result<Value, String> {
    Ok(json!({ "known": transcript.known, "messages": read("messages", &transcript.messages)? }))
}

fn read(what: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("`{what}` is not JSON: {error}"))
}

fn with(members: Value, key: &str, value: Option<Value>) -> Value {
    let mut members: Map<_, _> = match members {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.extend(value.map(|value| (key.to_owned(), value)));
    Value::Object(members)
}

fn principal(principal: &Principal) -> String {
    let kind = match principal.kind {
        PrincipalKind::Agent => "agent",
        PrincipalKind::Operator => "operator",
        PrincipalKind::Service => "service",
    };
    format!("{kind}:{}", principal.name)
}

fn tool(tool: &Tool) -> Value {
    json!({ "digest": tool.digest, "name": tool.name })
}

fn session(session: &Session) -> Value {
    json!({
        "id": session.id,
        "name": session.name,
        "opened-ms": session.opened_ms,
        "ring": ring_number(session.ring),
    })
}

fn usage(usage: &Usage) -> Value {
    json!({
        "day": count(&usage.day),
        "hour": count(&usage.hour),
        "minute": count(&usage.minute),
        "scope": scope(usage.scope),
    })
}

fn count(count: &Count) -> Value {
    json!({ "calls": count.calls, "fuel": count.fuel, "wall-ms": count.wall_ms })
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

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "file",
        Origin::Registered => "registered",
        Origin::Registry => "registry",
    }
}

fn outgoing_kind(kind: OutgoingKind) -> &'static str {
    match kind {
        OutgoingKind::Http => "http",
        OutgoingKind::Lookup => "lookup",
        OutgoingKind::Tcp => "tcp",
        OutgoingKind::Udp => "udp",
    }
}

fn outcome_kind(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Cancelled => "cancelled",
        OutcomeKind::Denied => "denied",
        OutcomeKind::Limit => "limit",
        OutcomeKind::Returned => "returned",
        OutcomeKind::ToolError => "tool-error",
        OutcomeKind::Trapped => "trapped",
    }
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Host => "host",
        Scope::Principal => "principal",
        Scope::PrincipalTool => "principal-tool",
        Scope::Session => "session",
        Scope::Tool => "tool",
    }
}
