//! The bindings of world `policy`, and the translation between its words and the model's.
//!
//! What comes back from a guest is untrusted: [`verdict`] checks every size and every text before anything else sees
//! it. The linker a policy is linked with is empty, so a policy can import nothing.

use std::fmt::Display;
use std::str::FromStr;

use ringfence_model::capability::Access;
use ringfence_model::capability::GuestPath;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::AnswerSubject;
use ringfence_model::decision::ApprovalDemand;
use ringfence_model::decision::CacheDemand;
use ringfence_model::decision::CallSubject;
use ringfence_model::decision::Cap;
use ringfence_model::decision::Claim;
use ringfence_model::decision::ComponentSubject;
use ringfence_model::decision::Count;
use ringfence_model::decision::CountScope;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::ElevationSubject;
use ringfence_model::decision::Narrowing;
use ringfence_model::decision::Obligation;
use ringfence_model::decision::Origin;
use ringfence_model::decision::OutgoingKind;
use ringfence_model::decision::OutgoingSubject;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Reason;
use ringfence_model::decision::RedactedPart;
use ringfence_model::decision::Redaction;
use ringfence_model::decision::SessionSummary;
use ringfence_model::decision::Subject;
use ringfence_model::decision::TranscriptSubject;
use ringfence_model::decision::Unit;
use ringfence_model::decision::Usage;
use ringfence_model::decision::Verdict;
use ringfence_model::decision::Window;
use ringfence_model::limits;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::principal::PrincipalPattern;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;

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
        session: request.session.as_ref().map(session),
        time_ms: request.time_ms,
        subject: subject(&request.subject),
        usage: request.usage.iter().map(usage).collect(),
        claimed: request.claimed.iter().map(claim).collect(),
    }
}

fn subject(subject: &Subject) -> wit::Subject {
    match subject {
        Subject::Admit(subject) => wit::Subject::Admit(component(subject)),
        Subject::Call(subject) => wit::Subject::Call(call(subject)),
        Subject::Egress(subject) => wit::Subject::Egress(outgoing(subject)),
        Subject::Elevate(subject) => wit::Subject::Elevate(elevation(subject)),
        Subject::Result(subject) => wit::Subject::Result(answer(subject)),
        Subject::Transcript(subject) => wit::Subject::Transcript(transcript(subject)),
    }
}

fn component(subject: &ComponentSubject) -> wit::Component {
    wit::Component {
        tool: tool(&subject.tool),
        bytes: subject.bytes,
        origin: match subject.origin {
            Origin::File => wit::Origin::File,
            Origin::Registered => wit::Origin::Registered,
            Origin::Registry => wit::Origin::Registry,
        },
        reference: subject.reference.clone(),
        signers: subject.signers.clone(),
        imports: subject.imports.clone(),
    }
}

fn outgoing(subject: &OutgoingSubject) -> wit::Outgoing {
    wit::Outgoing {
        call: subject.call.to_string(),
        tool: tool(&subject.tool),
        function: subject.function.clone(),
        kind: match subject.kind {
            OutgoingKind::Http => wit::OutgoingKind::Http,
            OutgoingKind::Lookup => wit::OutgoingKind::Lookup,
            OutgoingKind::Tcp => wit::OutgoingKind::Tcp,
            OutgoingKind::Udp => wit::OutgoingKind::Udp,
        },
        method: subject.method.clone(),
        scheme: subject.scheme.clone(),
        host: subject.host.clone(),
        port: subject.port,
        path: subject.path.clone(),
        query: subject.query.clone(),
        headers: subject.headers.clone(),
        secrets: subject.secrets.clone(),
        before: subject.before,
    }
}

fn answer(subject: &AnswerSubject) -> wit::Answer {
    wit::Answer {
        call: subject.call.to_string(),
        tool: tool(&subject.tool),
        function: subject.function.clone(),
        effect: effect(subject.effect),
        kind: match subject.kind {
            OutcomeKind::Cancelled => wit::OutcomeKind::Cancelled,
            OutcomeKind::Denied => wit::OutcomeKind::Denied,
            OutcomeKind::Limit => wit::OutcomeKind::Limit,
            OutcomeKind::Returned => wit::OutcomeKind::Returned,
            OutcomeKind::ToolError => wit::OutcomeKind::ToolError,
            OutcomeKind::Trapped => wit::OutcomeKind::Trapped,
        },
        body: subject.body.clone(),
        mismatch: subject.mismatch.clone(),
        used: wit::Used {
            fuel: subject.used.fuel,
            memory_bytes: subject.used.memory_bytes,
            output_bytes: subject.used.output_bytes,
            wall_ms: subject.used.wall_ms,
        },
    }
}

fn elevation(subject: &ElevationSubject) -> wit::Elevation {
    wit::Elevation {
        current: ring(subject.current),
        wanted: ring(subject.wanted),
        duration_ms: subject.duration_ms,
        claimed_reason: subject.claimed_reason.clone(),
    }
}

fn transcript(subject: &TranscriptSubject) -> wit::Transcript {
    let known = subject.known.iter().map(ToString::to_string).collect();
    wit::Transcript { messages: subject.messages.clone(), known }
}

fn session(session: &SessionSummary) -> wit::Session {
    wit::Session {
        id: session.id.to_string(),
        name: session.name.clone(),
        ring: ring(session.ring),
        opened_ms: session.opened_ms,
    }
}

fn usage(usage: &Usage) -> wit::Usage {
    let count = |count: Count| wit::Count { calls: count.calls, fuel: count.fuel, wall_ms: count.wall_ms };
    wit::Usage {
        scope: match usage.scope {
            CountScope::Host => wit::Scope::Host,
            CountScope::Principal => wit::Scope::Principal,
            CountScope::PrincipalTool => wit::Scope::PrincipalTool,
            CountScope::Session => wit::Scope::Session,
            CountScope::Tool => wit::Scope::Tool,
        },
        minute: count(usage.minute),
        hour: count(usage.hour),
        day: count(usage.day),
    }
}

fn tool(tool: &ToolRef) -> wit::Tool {
    wit::Tool { name: tool.name.clone(), digest: tool.digest.to_string() }
}

fn call(subject: &CallSubject) -> wit::Call {
    let asked = &subject.asked;
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
        tool: tool(&subject.tool),
        function: subject.function.clone(),
        effect: effect(subject.effect),
        required_ring: ring(subject.required_ring),
        input: subject.input.clone(),
        arguments: subject.arguments.clone(),
        stdin_bytes: subject.stdin_bytes,
        stdin_digest: subject.stdin_digest.to_string(),
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
        wit::Obligation::Approve(demand) => Ok(Obligation::Approve(approval(demand)?)),
        wit::Obligation::Cache(demand) => Ok(Obligation::Cache(cache(demand)?)),
        wit::Obligation::Cap(demand) => Ok(Obligation::Cap(cap(demand))),
        wit::Obligation::Named(named) => Ok(Obligation::Named(named.name.chars().take(64).collect())),
        wit::Obligation::Narrow(narrow) => Ok(Obligation::Narrow(narrowing(narrow)?)),
        wit::Obligation::Redact(redactions) => Ok(Obligation::Redact(checked_redactions(redactions)?)),
    }
}

/// A demand that nobody could meet is a fault, not a call that waits for ever.
fn approval(demand: wit::Approval) -> Result<ApprovalDemand, String> {
    let wit::Approval { by, valid_ms, reason } = demand;
    if by.is_empty() || by.len() > limits::APPROVERS_MAX {
        return Err(format!("an approval names 1 to {} approvers", limits::APPROVERS_MAX));
    }
    let by = by.iter().map(|pattern| pattern.parse::<PrincipalPattern>()).collect::<Result<_, _>>();
    if reason.len() > limits::REASON_TEXT_BYTES_MAX || reason.contains(char::is_control) {
        return Err(format!("the reason of an approval is not one line of {} bytes", limits::REASON_TEXT_BYTES_MAX));
    }
    let valid_ms = duration("an approval", valid_ms, limits::APPROVAL_MS_MAX)?;
    Ok(ApprovalDemand { by: by.map_err(|error| error.to_string())?, reason, valid_ms })
}

fn cache(demand: wit::Cache) -> Result<CacheDemand, String> {
    let valid_ms = duration("a kept answer", demand.valid_ms, limits::CACHE_MS_MAX)?;
    Ok(CacheDemand { shared: demand.shared, valid_ms })
}

fn duration(what: &str, ms: u64, max: u64) -> Result<u64, String> {
    if ms == 0 || ms > max {
        return Err(format!("{what} is valid for 1 to {max} milliseconds, not {ms}"));
    }
    Ok(ms)
}

fn cap(demand: wit::Cap) -> Cap {
    Cap {
        at_most: demand.at_most,
        scope: match demand.scope {
            wit::Scope::Host => CountScope::Host,
            wit::Scope::Principal => CountScope::Principal,
            wit::Scope::PrincipalTool => CountScope::PrincipalTool,
            wit::Scope::Session => CountScope::Session,
            wit::Scope::Tool => CountScope::Tool,
        },
        unit: match demand.unit {
            wit::Unit::Calls => Unit::Calls,
            wit::Unit::Fuel => Unit::Fuel,
            wit::Unit::WallMs => Unit::WallMs,
        },
        window: match demand.window {
            wit::Window::Minute => Window::Minute,
            wit::Window::Hour => Window::Hour,
            wit::Window::Day => Window::Day,
        },
    }
}

fn checked_redactions(redactions: Vec<wit::Redaction>) -> Result<Vec<Redaction>, String> {
    if redactions.len() > limits::REDACTIONS_MAX {
        return Err(format!("{} redactions are more than {}", redactions.len(), limits::REDACTIONS_MAX));
    }
    redactions.into_iter().map(redaction).collect()
}

fn redaction(redaction: wit::Redaction) -> Result<Redaction, String> {
    let wit::Redaction { pointer, part } = redaction;
    let escapes = |part: &str| part.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if pointer.len() > limits::POINTER_BYTES_MAX
        || !(pointer.is_empty() || pointer.starts_with('/'))
        || !escapes(&pointer)
    {
        return Err("a redaction's pointer is not a JSON Pointer".to_owned());
    }
    let part = match part {
        wit::RedactedPart::Value => RedactedPart::Value,
        wit::RedactedPart::Member => RedactedPart::Member,
        wit::RedactedPart::Spans(spans) => {
            let spans: Vec<_> = spans.iter().map(|span| (span.start, span.end)).collect();
            let ordered = spans.windows(2).all(|pair| matches!(pair, [a, b] if a.1 <= b.0));
            if spans.is_empty() || spans.len() > limits::SPANS_MAX || !ordered || spans.iter().any(|(a, b)| a >= b) {
                return Err("the spans of a redaction are not in order, overlap, or are empty".to_owned());
            }
            RedactedPart::Spans(spans)
        }
    };
    Ok(Redaction { part, pointer })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(obligation: wit::Obligation) -> Result<Verdict, String> {
        verdict(wit::Verdict::Permit(wit::Permission { reasons: Vec::new(), obligations: vec![obligation] }))
    }

    fn forbid(code: &str, text: &str) -> Result<Verdict, String> {
        verdict(wit::Verdict::Forbid(vec![wit::Reason { code: code.to_owned(), text: text.to_owned() }]))
    }

    fn redact(pointer: &str, part: wit::RedactedPart) -> Result<Verdict, String> {
        permit(wit::Obligation::Redact(vec![wit::Redaction { pointer: pointer.to_owned(), part }]))
    }

    fn spans(spans: &[(u32, u32)]) -> wit::RedactedPart {
        wit::RedactedPart::Spans(spans.iter().map(|(start, end)| wit::Span { start: *start, end: *end }).collect())
    }

    fn approve(by: &[&str], valid_ms: u64, reason: &str) -> Result<Verdict, String> {
        let by = by.iter().map(|pattern| (*pattern).to_owned()).collect();
        permit(wit::Obligation::Approve(wit::Approval { by, valid_ms, reason: reason.to_owned() }))
    }

    fn narrow_to(http: &str) -> Result<Verdict, String> {
        let narrowing = wit::Narrowing {
            access: None,
            folders: None,
            environment: None,
            http: Some(vec![http.to_owned()]),
            sockets: None,
            names: None,
            addresses: None,
            secrets: None,
            memory_bytes: None,
            fuel: None,
            wall_ms: None,
        };
        permit(wit::Obligation::Narrow(narrowing))
    }

    #[test]
    fn replies_within_bounds_are_taken() {
        let code = "a".repeat(limits::REASON_CODE_BYTES_MAX);
        let text = "a".repeat(limits::REASON_TEXT_BYTES_MAX);
        let pointer = format!("/{}", "a".repeat(limits::POINTER_BYTES_MAX - 1));
        let many: Vec<_> = (0..10_000).map(|at| (at * 2, at * 2 + 1)).collect();
        for (name, reply) in [
            ("a long reason", forbid(&code, &text)),
            ("no reason at all", verdict(wit::Verdict::Forbid(Vec::new()))),
            ("a long pointer", redact(&pointer, wit::RedactedPart::Member)),
            ("the pointer to all of it", redact("", wit::RedactedPart::Value)),
            ("a pointer with escapes", redact("/a~0b~1c", wit::RedactedPart::Value)),
            ("spans that touch", redact("/a", spans(&[(0, 1), (1, 2)]))),
            ("many spans", redact("/a", spans(&many))),
            ("an approval by a kind", approve(&["operator:*"], 1, "")),
            ("an approval for long", approve(&["operator:alice"], limits::APPROVAL_MS_MAX, &text)),
            ("a rule for requests", narrow_to("GET https://example.com")),
        ] {
            assert!(reply.is_ok(), "{name}: {reply:?}");
        }
    }

    #[test]
    fn odd_replies_are_faults() {
        // POL-03
        let long = |max: usize| "a".repeat(max + 1);
        let reasons = || wit::Reason { code: "a".to_owned(), text: String::new() };
        let approvers: Vec<_> = std::iter::repeat_n("operator:*", limits::APPROVERS_MAX + 1).collect();
        let many: Vec<_> = (0..=10_000).map(|at| (at * 2, at * 2 + 1)).collect();
        let redactions = || wit::Redaction { pointer: String::new(), part: wit::RedactedPart::Value };
        for (name, reply) in [
            ("a code that is empty", forbid("", "")),
            ("a code in capitals", forbid("No", "")),
            ("a code with a space", forbid("no way", "")),
            ("a code that is too long", forbid(&long(limits::REASON_CODE_BYTES_MAX), "")),
            ("a text that is too long", forbid("no", &long(limits::REASON_TEXT_BYTES_MAX))),
            ("a text of two lines", forbid("no", "a\nb")),
            ("a text that colours the terminal", forbid("no", "\u{1b}[31m")),
            ("too many reasons", verdict(wit::Verdict::Forbid((0..=limits::REASONS_MAX).map(|_| reasons()).collect()))),
            ("a pointer without a slash", redact("a", wit::RedactedPart::Value)),
            ("a pointer with half an escape", redact("/a~", wit::RedactedPart::Value)),
            ("a pointer with another escape", redact("/a~2", wit::RedactedPart::Value)),
            ("a pointer that is too long", redact(&format!("/{}", long(limits::POINTER_BYTES_MAX)), spans(&[(0, 1)]))),
            ("no spans", redact("/a", spans(&[]))),
            ("a span of nothing", redact("/a", spans(&[(1, 1)]))),
            ("a span that ends before it starts", redact("/a", spans(&[(2, 1)]))),
            ("spans that overlap", redact("/a", spans(&[(0, 2), (1, 3)]))),
            ("spans out of order", redact("/a", spans(&[(2, 3), (0, 1)]))),
            ("too many spans", redact("/a", spans(&many))),
            (
                "too many redactions",
                permit(wit::Obligation::Redact((0..=limits::REDACTIONS_MAX).map(|_| redactions()).collect())),
            ),
            ("an approval by nobody", approve(&[], 1, "")),
            ("an approval by no principal", approve(&["alice"], 1, "")),
            ("an approval by a kind that is none", approve(&["wizard:*"], 1, "")),
            ("an approval by too many", approve(&approvers, 1, "")),
            ("an approval for no time", approve(&["operator:*"], 0, "")),
            ("an approval for too long", approve(&["operator:*"], limits::APPROVAL_MS_MAX + 1, "")),
            ("an approval for two lines of reason", approve(&["operator:*"], 1, "a\nb")),
            (
                "an answer that is kept for no time",
                permit(wit::Obligation::Cache(wit::Cache { valid_ms: 0, shared: false })),
            ),
            ("a rule that is none", narrow_to("whatever")),
            (
                "too many obligations",
                verdict(wit::Verdict::Permit(wit::Permission {
                    reasons: Vec::new(),
                    obligations: (0..=limits::OBLIGATIONS_MAX).map(|_| wit::Obligation::Redact(Vec::new())).collect(),
                })),
            ),
        ] {
            assert!(reply.is_err(), "{name}: {reply:?}");
        }
    }
}
