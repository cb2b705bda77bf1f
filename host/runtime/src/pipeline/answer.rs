//! Answer: what is handed back, after the policies have had their last word; and answers that are kept.
//!
//! The tool has run and may have had its effect: what is withheld here is its result, not what it did. What was taken
//! out is not written down either, so a policy's request is kept only if nothing was.

use ringfence_model::decision::Answer;
use ringfence_model::decision::AnswerSubject;
use ringfence_model::decision::CacheDemand;
use ringfence_model::decision::Decision;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Redaction;
use ringfence_model::decision::Subject;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Stage;
use ringfence_model::entry::Used;
use ringfence_model::grant::Reach;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::Outcome;
use serde_json::Value;
use std::sync::Arc;

use crate::host::Parts;
use crate::ledger::DecisionDraft;
use crate::ledger::answers::Keep;
use crate::ledger::answers::ReuseDraft;
use crate::pipeline::Denial;
use crate::pipeline::GrantedCall;
use crate::pipeline::Stop;
use crate::pipeline::decide;
use crate::pipeline::denial::all_coded;
use crate::pipeline::redact;
use crate::policy::PolicySet;
use crate::session::AdmittedCall;

/// The code of an outcome that a policy keeps back.
const WITHHELD: &str = "denied.result";

/// An outcome as it is handed back.
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    pub(super) decision: Option<DecisionDraft>,
    pub(super) redacted: u64,
}

/// Has the policies judge an outcome, and carries out what they demand of it.
pub(super) async fn judge(
    parts: &Parts,
    policies: &Arc<PolicySet>,
    admitted: &AdmittedCall<'_>,
    mut redactions: Vec<Redaction>,
    outcome: Outcome,
    used: Used,
) -> Judged {
    let mut draft = None;
    if policies.is_asked_at(DecisionPoint::Result) {
        let body = json::canonical(&body(&outcome));
        if body.len() > limits::ANSWER_BYTES_MAX {
            return withheld(&format!("{} bytes are more than policies are shown", body.len()), None);
        }
        let subject = subject(admitted, &outcome, body, used);
        let request = decide::about(parts, admitted, Subject::Result(Box::new(subject)));
        let (decision, answer) = asked(policies, request).await;
        match answer {
            Answer::Deny(reasons) => return withheld(&all_coded(&reasons), decision),
            Answer::Allow(obligations) => redactions.extend(obligations.redactions),
        }
        draft = decision;
    }
    carried_out(outcome, &redactions, draft)
}

/// Asks on a thread that may be busy for a while: an outcome is as large as its tool likes.
async fn asked(policies: &Arc<PolicySet>, request: PolicyRequest) -> (Option<DecisionDraft>, Answer) {
    let set = Arc::clone(policies);
    let asked = tokio::task::spawn_blocking(move || {
        let Decision { rulings, answer } = set.decide(&request);
        let allowed = matches!(answer, Answer::Allow(_));
        let draft = (!rulings.is_empty() || !allowed).then(|| decide::draft(&set, &request, allowed, rulings));
        (draft, answer)
    });
    asked.await.unwrap_or_else(|_| (None, Answer::Deny(Vec::new())))
}

fn carried_out(outcome: Outcome, redactions: &[Redaction], draft: Option<DecisionDraft>) -> Judged {
    if redactions.is_empty() {
        return Judged { outcome, decision: draft, redacted: 0 };
    }
    let mut redacted = body(&outcome);
    let done = redact::apply(&mut redacted, redactions);
    match done.ok().and_then(|()| rebuilt(&outcome, redacted)) {
        Some(outcome) => {
            let decision = draft.map(|draft| DecisionDraft { keeps_request: false, ..draft });
            let redacted = u64::try_from(redactions.len()).unwrap_or(u64::MAX);
            Judged { outcome, decision, redacted }
        }
        None => withheld("what the policies want redacted can't be taken out", draft),
    }
}

fn withheld(why: &str, decision: Option<DecisionDraft>) -> Judged {
    let decision = decision.map(|draft| DecisionDraft { keeps_request: false, ..draft });
    Judged { outcome: Outcome::denied(WITHHELD, &format!("the result is withheld: {why}")), decision, redacted: 0 }
}

/// What of an outcome is shown and can be taken out: all of it but its kind, without what is not there.
fn body(outcome: &Outcome) -> Value {
    // Strings and values: serialising them can't fail.
    let mut body = serde_json::to_value(outcome).unwrap_or_default();
    if let Value::Object(fields) = &mut body {
        fields.retain(|name, value| name != "kind" && !value.is_null());
    }
    body
}

fn rebuilt(outcome: &Outcome, mut body: Value) -> Option<Outcome> {
    let fields = body.as_object_mut()?;
    fields.insert("kind".to_owned(), serde_json::to_value(outcome.kind).ok()?);
    serde_json::from_value(body).ok()
}

fn subject(admitted: &AdmittedCall<'_>, outcome: &Outcome, body: Vec<u8>, used: Used) -> AnswerSubject {
    let mismatch = outcome.error.as_ref().filter(|error| error.code == "tool.bad-value");
    AnswerSubject {
        body: String::from_utf8(body).unwrap_or_default(),
        call: admitted.request.call,
        effect: admitted.effect(),
        function: admitted.function.name.clone(),
        kind: outcome.kind,
        mismatch: mismatch.map(|error| error.message.clone()),
        tool: admitted.tool.reference().clone(),
        used,
    }
}

/// Hands out an answer that is kept, or has the call's own kept, if a permit demands that.
pub(super) async fn kept<'t>(parts: &Parts, mut granted: GrantedCall<'t>) -> Result<GrantedCall<'t>, Stop> {
    let Some(demand) = granted.obligations.cache else { return Ok(granted) };
    let admitted = &granted.admitted;
    if granted.grant.reach() == Reach::Writes {
        let text = "the answer of a call that can change something can't be kept".to_owned();
        let (tool, function) = (admitted.tool, Some(admitted.function));
        let stop = Stop::refused(&admitted.request, tool, function, Stage::Decide, Denial::Obligation(text));
        return Err(stop.with_decision(granted.decision));
    }
    let keep = Keep { key: key(&granted, demand), valid_ms: demand.valid_ms };
    if let Some(stored) = parts.on_ledger(move |ledger| ledger.kept_answer(&keep.key)).await? {
        let draft = reuse(granted, stored.recorded.index);
        return Err(Stop::Reused(Box::new((draft, stored))));
    }
    granted.keep = Some(keep);
    Ok(granted)
}

/// Everything an answer depends on. What is read through the grant may change meanwhile: that is what the time is for.
fn key(granted: &GrantedCall<'_>, demand: CacheDemand) -> Digest {
    let admitted = &granted.admitted;
    let request = &admitted.request;
    let whose = if demand.shared { "anybody".to_owned() } else { format!("principal {}", request.principal) };
    let parts = [
        admitted.tool.reference().digest,
        Digest::of(&admitted.input),
        granted.grant.reachable(),
        granted.decision.policy_set,
        Digest::of(format!("{whose} ring {}", request.ring).as_bytes()),
    ];
    Digest::of_parts(&parts.each_ref().map(|digest| digest.as_bytes().as_slice()))
}

fn reuse(granted: GrantedCall<'_>, answer: u64) -> ReuseDraft {
    let GrantedCall { admitted, decision, .. } = granted;
    let request = admitted.request;
    ReuseDraft {
        answer,
        call: request.call,
        decision,
        function: admitted.function.name.clone(),
        input: admitted.input,
        principal: request.principal,
        ring: request.ring,
        session: request.session,
        tool: admitted.tool.reference().clone(),
    }
}
