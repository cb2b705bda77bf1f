//! Hold: a permit that demands somebody's approval, and the call that waits for it.
//!
//! Nothing waits in memory. The call is refused, the question is written down, and the same call made again finds the
//! answer: the same tool, function, input, grant, principal, session, ring and policy set, or it is another question.

use ringfence_model::decision::ApprovalDemand;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Stage;
use ringfence_model::outcome::Outcome;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;

use crate::host::Parts;
use crate::ledger::Recorded;
use crate::ledger::approvals::Approval;
use crate::ledger::approvals::HoldDraft;
use crate::ledger::approvals::Standing;
use crate::ledger::approvals::Written;
use crate::pipeline::CallFailure;
use crate::pipeline::Denial;
use crate::pipeline::GrantedCall;
use crate::pipeline::Response;
use crate::pipeline::Stop;
use crate::pipeline::canonical;

/// Lets a call on that needs no approval, or has one; holds it otherwise.
pub(super) async fn approved<'t>(parts: &Parts, mut granted: GrantedCall<'t>) -> Result<GrantedCall<'t>, Stop> {
    if granted.obligations.approvals.is_empty() {
        return Ok(granted);
    }
    if granted.obligations.cache.is_some() {
        let text = "an answer that needs an approval each time can't be kept";
        return Err(refused(&granted, Denial::Obligation(text.to_owned())));
    }
    let binding = call_binding(&granted);
    match parts.on_ledger(move |ledger| ledger.standing(&binding)).await? {
        Some(Standing::Approved(approval)) => {
            granted.approval = Some((approval.approval, binding));
            Ok(granted)
        }
        Some(Standing::Asked(approval)) => Err(refused(&granted, Denial::Held(Box::new(approval)))),
        Some(Standing::Rejected(approval)) => Err(refused(&granted, Denial::Rejected(Box::new(approval)))),
        None => Err(ask(parts, &granted, binding).await?),
    }
}

/// Whether somebody was asked about a call, and has not said no.
pub(super) async fn is_asked(parts: &Parts, granted: &GrantedCall<'_>) -> Result<bool, Stop> {
    if granted.obligations.approvals.is_empty() {
        return Ok(false);
    }
    let binding = call_binding(granted);
    let standing = parts.on_ledger(move |ledger| ledger.standing(&binding)).await?;
    Ok(matches!(standing, Some(Standing::Approved(_) | Standing::Asked(_))))
}

fn refused(granted: &GrantedCall<'_>, denial: Denial) -> Stop {
    let admitted = &granted.admitted;
    let stop = Stop::refused(&admitted.request, admitted.tool, Some(admitted.function), Stage::Decide, denial);
    stop.with_decision(granted.decision.clone())
}

async fn ask(parts: &Parts, granted: &GrantedCall<'_>, binding: Digest) -> Result<Stop, CallFailure> {
    let admitted = &granted.admitted;
    let request = &admitted.request;
    let draft = HoldDraft {
        binding,
        call: Some(request.call),
        decision: granted.decision.clone(),
        demands: granted.obligations.approvals.clone(),
        function: Some(admitted.function.name.clone()),
        input: Some(admitted.input.clone()),
        point: DecisionPoint::Call,
        principal: request.principal.clone(),
        ring: request.ring,
        session: request.session,
        tool: Some(admitted.tool.reference().clone()),
    };
    let asked = parts.on_ledger(move |ledger| ledger.hold(draft)).await?;
    Ok(if let Some((approval, written)) = asked {
        Stop::Held(Box::new(held(granted, approval, written)))
    } else {
        let text = "the same approval is being asked for at this moment".to_owned();
        refused(granted, Denial::Key { code: "denied.in-progress", text })
    })
}

fn held(granted: &GrantedCall<'_>, approval: Approval, written: Written) -> Response {
    let call = granted.admitted.request.call;
    let denial = Denial::Held(Box::new(approval));
    let outcome: Outcome = denial.outcome();
    let Written { index, hash, input } = written;
    let recorded = Recorded { call, index, hash, input, output: None };
    Response::without_run(call, outcome, recorded, Some(denial))
}

fn call_binding(granted: &GrantedCall<'_>) -> Digest {
    let admitted = &granted.admitted;
    let request = &admitted.request;
    let who = who(&request.principal, request.session.map(|s| s.to_string()).as_deref(), request.ring);
    let tool = admitted.tool.reference().digest;
    let (input, grant) = (Digest::of(&admitted.input), granted.grant.reachable());
    let set = granted.decision.policy_set;
    bind(&[tool, input, grant, who, set], &granted.obligations.approvals)
}

/// What an approval is bound to: digests of everything that was decided on, and of what was demanded.
pub(super) fn bind(parts: &[Digest], demands: &[ApprovalDemand]) -> Digest {
    let demands = Digest::of(&canonical(&demands));
    let parts: Vec<&[u8]> = parts.iter().chain([&demands]).map(|digest| digest.as_bytes().as_slice()).collect();
    Digest::of_parts(&parts)
}

/// Who asks, in which session and ring.
pub(super) fn who(principal: &Principal, session: Option<&str>, ring: Ring) -> Digest {
    Digest::of(format!("{principal} {} {ring}", session.unwrap_or("-")).as_bytes())
}
