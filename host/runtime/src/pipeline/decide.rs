//! Decide: what the policies are told of a call, and what of their answer is written down.

use ringfence_model::decision::Answer;
use ringfence_model::decision::AskedSummary;
use ringfence_model::decision::CallSubject;
use ringfence_model::decision::Decision;
use ringfence_model::decision::FolderSummary;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Ruling;
use ringfence_model::decision::SessionSummary;
use ringfence_model::decision::Subject;
use ringfence_model::decision::Usage;
use ringfence_model::digest::Digest;
use ringfence_model::entry::RulingRecord;
use ringfence_model::entry::Stage;
use ringfence_model::grant::Limits;
use ringfence_model::json;
use ringfence_model::limits;

use crate::host::Parts;
use crate::ledger::DecisionDraft;
use crate::ledger::sessions::Session;
use crate::ledger::usage::Counted;
use crate::pipeline::AuthorizedCall;
use crate::pipeline::Denial;
use crate::pipeline::Stop;
use crate::pipeline::canonical;
use crate::policy::PolicySet;
use crate::policy::cases::said;
use crate::session::AdmittedCall;

/// Asks the policies about a call.
pub(super) async fn decide<'t>(
    parts: &Parts,
    policies: &PolicySet,
    admitted: AdmittedCall<'t>,
) -> Result<AuthorizedCall<'t>, Stop> {
    let (counted, now) = (counted(&admitted), parts.clock.now());
    let usage = parts.usage(counted, now).await?;
    let request = policy_request(parts, &admitted, usage);
    let Decision { rulings, answer } = policies.decide(&request);
    let decision = draft(policies, &request, matches!(answer, Answer::Allow(_)), rulings);
    match answer {
        Answer::Allow(obligations) => Ok(AuthorizedCall { admitted, decision, obligations, usage: request.usage }),
        Answer::Deny(reasons) => {
            let AdmittedCall { request, tool, function, .. } = &admitted;
            let stop = Stop::refused(request, tool, Some(function), Stage::Decide, Denial::Policy(reasons));
            Err(stop.with_decision(decision))
        }
    }
}

/// Whom and what a call is counted for.
pub(super) fn counted(admitted: &AdmittedCall<'_>) -> Counted {
    let request = &admitted.request;
    let tool = admitted.tool.reference().digest;
    Counted { principal: request.principal.clone(), session: request.session, tool }
}

/// A decision as it is written down.
pub(super) fn draft(
    policies: &PolicySet,
    request: &PolicyRequest,
    allowed: bool,
    rulings: Vec<Ruling>,
) -> DecisionDraft {
    DecisionDraft {
        allowed,
        keeps_request: true,
        policy_set: policies.digest(),
        request: canonical(request),
        rulings: recorded(rulings),
    }
}

/// Rulings as they are written down: codes, not texts.
pub(super) fn recorded(rulings: Vec<Ruling>) -> Vec<RulingRecord> {
    let record = |ruling: Ruling| {
        let (verdict, mut reasons) = said(&ruling.verdict);
        reasons.truncate(limits::REASONS_RECORDED_MAX);
        let policy = ruling.policy;
        let (digest, name, settings) = (policy.digest, policy.name, policy.settings);
        RulingRecord { digest, fuel: ruling.fuel, name, reasons, settings, verdict }
    };
    rulings.into_iter().map(record).collect()
}

/// A session as policies are told of it.
pub(super) fn summary(session: &Session, parts: &Parts) -> SessionSummary {
    SessionSummary {
        id: session.session,
        name: session.name.clone(),
        opened_ms: session.opened.as_millis(),
        ring: session.ring_at(parts.clock.now()),
    }
}

/// A request about something of a call, at whatever point.
pub(super) fn about(parts: &Parts, admitted: &AdmittedCall<'_>, subject: Subject) -> PolicyRequest {
    let request = &admitted.request;
    PolicyRequest {
        claimed: request.claimed.clone(),
        principal: request.principal.clone(),
        ring: request.ring,
        session: admitted.session.as_ref().map(|session| summary(session, parts)),
        subject,
        time_ms: parts.clock.now().as_millis(),
        usage: Vec::new(),
    }
}

fn policy_request(parts: &Parts, admitted: &AdmittedCall<'_>, usage: Vec<Usage>) -> PolicyRequest {
    let subject = Subject::Call(Box::new(call_subject(parts, admitted)));
    PolicyRequest { usage, ..about(parts, admitted, subject) }
}

fn call_subject(parts: &Parts, admitted: &AdmittedCall<'_>) -> CallSubject {
    let request = &admitted.request;
    let folder = |folder: &ringfence_model::capability::Folder| FolderSummary {
        access: folder.access,
        guest_path: folder.guest.clone(),
    };
    let bounds = parts.ring_ceiling(request.ring).limits.intersect(&request.asked.limits);
    let input = request.input.value.as_ref().map_or_else(|| b"{}".to_vec(), json::canonical);
    CallSubject {
        arguments: request.input.arguments.clone(),
        asked: AskedSummary {
            environment: request.asked.environment.keys().cloned().collect(),
            folders: request.asked.folders.iter().map(folder).collect(),
            limits: Limits::from_bounds(&bounds),
            network: request.asked.network.clone(),
        },
        effect: admitted.effect(),
        function: admitted.function.name.clone(),
        input: String::from_utf8(input).unwrap_or_default(),
        required_ring: admitted.required_ring(),
        stdin_bytes: u64::try_from(request.input.stdin.len()).unwrap_or(u64::MAX),
        stdin_digest: Digest::of(&request.input.stdin),
        tool: admitted.tool.reference().clone(),
    }
}
