//! Elevate: a session's move to a more privileged ring for a time, if the policies permit and somebody approves.

use ringfence_model::decision::Answer;
use ringfence_model::decision::ApprovalDemand;
use ringfence_model::decision::Decision;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::ElevationSubject;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::digest::Digest;
use ringfence_model::ring::Ring;

use crate::host::Parts;
use crate::ledger::DecisionDraft;
use crate::ledger::approvals::Approval;
use crate::ledger::approvals::HoldDraft;
use crate::ledger::approvals::Standing;
use crate::ledger::decisions::DecidedDraft;
use crate::ledger::sessions::ElevationDraft;
use crate::ledger::sessions::Session;
use crate::ledger::sessions::SessionError;
use crate::pipeline::CallFailure;
use crate::pipeline::decide;
use crate::pipeline::denial::all_shown;
use crate::pipeline::hold;
use crate::policy::PolicySet;

/// What came of asking for another ring.
#[derive(Debug)]
pub enum Elevated {
    /// The session has it.
    Granted(Box<Session>),
    /// The policies say no, or something about the session does.
    Denied(String),
    /// Somebody has to approve first.
    Held(Box<Approval>),
    /// Somebody was asked, and said no.
    Rejected(Box<Approval>),
}

/// Asks for another ring for a session.
pub(crate) async fn elevate(
    parts: &Parts,
    policies: &PolicySet,
    session: Session,
    wanted: Ring,
    duration_ms: u64,
    claimed_reason: String,
) -> Result<Elevated, CallFailure> {
    let request = request(parts, &session, wanted, duration_ms, claimed_reason);
    let Decision { rulings, answer } = policies.decide(&request);
    let decision = decide::draft(policies, &request, matches!(answer, Answer::Allow(_)), rulings);
    let demands = match answer {
        Answer::Allow(obligations) => obligations.approvals,
        Answer::Deny(reasons) => {
            record(parts, &session, decision).await?;
            return Ok(Elevated::Denied(all_shown(&reasons)));
        }
    };
    let mut approval = None;
    if !demands.is_empty() {
        let binding = binding(&session, wanted, duration_ms, decision.policy_set, &demands);
        match parts.on_ledger(move |ledger| ledger.standing(&binding)).await? {
            Some(Standing::Approved(found)) => approval = Some((found.approval, binding)),
            Some(Standing::Asked(found)) => return Ok(Elevated::Held(Box::new(found))),
            Some(Standing::Rejected(found)) => {
                record(parts, &session, DecisionDraft { allowed: false, ..decision }).await?;
                return Ok(Elevated::Rejected(Box::new(found)));
            }
            None => return ask(parts, &session, binding, decision, demands).await,
        }
    }
    let draft = ElevationDraft { approval, decision, duration_ms, session: session.session, to: wanted };
    let moved = parts.on_ledger(move |ledger| match ledger.elevate(draft) {
        Err(SessionError::Ledger(error)) => Err(error),
        other => Ok(other),
    });
    Ok(match moved.await? {
        Ok(session) => Elevated::Granted(Box::new(session)),
        Err(error) => Elevated::Denied(error.to_string()),
    })
}

fn request(parts: &Parts, session: &Session, wanted: Ring, duration_ms: u64, claimed_reason: String) -> PolicyRequest {
    let now = parts.clock.now();
    let subject = ElevationSubject { claimed_reason, current: session.ring_at(now), duration_ms, wanted };
    PolicyRequest {
        claimed: Vec::new(),
        principal: session.principal.clone(),
        ring: session.ring_at(now),
        session: Some(decide::summary(session, parts)),
        subject: Subject::Elevate(Box::new(subject)),
        time_ms: now.as_millis(),
        usage: Vec::new(),
    }
}

fn binding(session: &Session, wanted: Ring, duration_ms: u64, set: Digest, demands: &[ApprovalDemand]) -> Digest {
    let who = hold::who(&session.principal, Some(&session.session.to_string()), session.ring);
    let what = Digest::of(format!("elevate to {wanted} for {duration_ms}").as_bytes());
    hold::bind(&[what, who, set], demands)
}

async fn ask(
    parts: &Parts,
    session: &Session,
    binding: Digest,
    decision: DecisionDraft,
    demands: Vec<ApprovalDemand>,
) -> Result<Elevated, CallFailure> {
    let draft = HoldDraft {
        binding,
        call: None,
        decision,
        demands,
        function: None,
        input: None,
        point: DecisionPoint::Elevate,
        principal: session.principal.clone(),
        ring: session.ring_at(parts.clock.now()),
        session: Some(session.session),
        tool: None,
    };
    Ok(match parts.on_ledger(move |ledger| ledger.hold(draft)).await? {
        Some((approval, _)) => Elevated::Held(Box::new(approval)),
        None => Elevated::Denied("the same approval is being asked for at this moment".to_owned()),
    })
}

async fn record(parts: &Parts, session: &Session, decision: DecisionDraft) -> Result<(), CallFailure> {
    let draft = DecidedDraft {
        decision,
        point: DecisionPoint::Elevate,
        principal: session.principal.clone(),
        redacted: 0,
        ring: session.ring_at(parts.clock.now()),
        session: Some(session.session),
        tool: None,
    };
    parts.on_ledger(move |ledger| ledger.decide(draft)).await.map(drop)
}
