//! A request in Cedar's words: who asks is the principal, what would run is the resource, all the rest is the context.

use cedar_policy::{Context, EntityUid, Request as Question, RestrictedExpression};
use ringfence_policy_support::types::{
    Access, Call, Capabilities, Claim, Effect, Limits, Network, Principal, PrincipalKind, Request,
};
use ringfence_policy_support::{call, ring_number};
use serde_json::Value;

use crate::expression::{Member, entity, json, long, named, record, text, texts};

const MS_PER_MINUTE: u64 = 60_000;
const MINUTES_PER_DAY: u64 = 24 * 60;

/// The question that a request is. What the host knows stands in the context and nowhere else; entities are the
/// operator's.
pub fn of(request: &Request) -> Result<Question, String> {
    let call = call(request);
    let context = Context::from_pairs(context(request, call)?).map_err(|error| error.to_string())?;
    let (action, tool) = (entity("Action", "call")?, entity("Tool", &call.tool.digest)?);
    Question::new(principal(&request.principal)?, action, tool, context, None).map_err(|error| error.to_string())
}

fn principal(principal: &Principal) -> Result<EntityUid, String> {
    let kind = match principal.kind {
        PrincipalKind::Agent => "Agent",
        PrincipalKind::Operator => "Operator",
        PrincipalKind::Service => "Service",
    };
    entity(kind, &principal.name)
}

fn context(request: &Request, call: &Call) -> Result<Vec<Member>, String> {
    let input: Value = serde_json::from_str(&call.input).map_err(|error| format!("the input is not JSON: {error}"))?;
    let tool = record([named("digest", text(&call.tool.digest)), named("name", text(&call.tool.name))])?;
    let stdin = record([named("bytes", long(call.stdin_bytes)), named("digest", text(&call.stdin_digest))])?;
    let mut members = vec![
        named("arguments", texts(&call.arguments)),
        named("asked", asked(&call.asked)?),
        named("claimed", claimed(&request.claimed)?),
        named("effect", text(effect(call.effect))),
        named("function", text(&call.function)),
        named("input", json(&input)?),
        named("required_ring", long(ring_number(call.required_ring).into())),
        named("ring", long(ring_number(request.ring).into())),
        named("stdin", stdin),
        named("time", time(request.time_ms)?),
        named("tool", tool),
    ];
    members.extend(request.session.iter().map(|session| named("session", text(session))));
    Ok(members)
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

fn asked(asked: &Capabilities) -> Result<RestrictedExpression, String> {
    let folders = asked.folders.iter().map(|folder| {
        let access = match folder.access {
            Access::Read => "read",
            Access::ReadWrite => "read-write",
        };
        record([named("access", text(access)), named("guest_path", text(&folder.guest_path))])
    });
    record([
        named("environment", texts(&asked.environment)),
        named("folders", RestrictedExpression::new_set(folders.collect::<Result<Vec<_>, _>>()?)),
        named("limits", limits(&asked.limits)?),
        named("network", network(&asked.network)?),
    ])
}

fn limits(limits: &Limits) -> Result<RestrictedExpression, String> {
    record([
        named("fuel", long(limits.fuel)),
        named("handles", long(limits.handles.into())),
        named("memory_bytes", long(limits.memory_bytes)),
        named("output_bytes", long(limits.output_bytes)),
        named("wall_ms", long(limits.wall_ms)),
    ])
}

fn network(network: &Network) -> Result<RestrictedExpression, String> {
    record([
        named("addresses", texts(&network.addresses)),
        named("http", texts(&network.http)),
        named("names", texts(&network.names)),
        named("secrets", texts(&network.secrets)),
        named("sockets", texts(&network.sockets)),
    ])
}

fn claimed(claims: &[Claim]) -> Result<RestrictedExpression, String> {
    record(claims.iter().map(|claim| named(&claim.name, text(&claim.value))))
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
