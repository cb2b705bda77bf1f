//! Transcript: an agent's messages, judged before they go on to a model.
//!
//! The host keeps of a session's last transcript the digest of each message, so that a policy can see what was dropped
//! or changed. What comes back is what may go on: the messages without what the policies had taken out.

use ringfence_model::decision::Answer;
use ringfence_model::decision::Decision;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::decision::TranscriptSubject;
use ringfence_model::digest::Digest;
use ringfence_model::json;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use serde_json::Value;

use crate::host::Parts;
use crate::ledger::DecisionDraft;
use crate::ledger::decisions::DecidedDraft;
use crate::ledger::sessions::Session;
use crate::ledger::sessions::SessionError;
use crate::pipeline::CallFailure;
use crate::pipeline::decide;
use crate::pipeline::denial::all_shown;
use crate::pipeline::redact;
use crate::policy::PolicySet;

/// What came of a transcript.
#[derive(Debug)]
pub struct Checked {
    /// What may go on, or why nothing may.
    pub messages: Result<Value, String>,
    /// How many redactions were carried out.
    pub redacted: u64,
    /// Index of the entry that says so.
    pub index: u64,
}

/// Has the policies judge messages.
pub(crate) async fn check(
    parts: &Parts,
    policies: &PolicySet,
    session: Option<Session>,
    principal: Principal,
    ring: Ring,
    messages: Value,
) -> Result<Checked, CallFailure> {
    let known = session.as_ref().map(|session| session.messages.clone()).unwrap_or_default();
    let text = String::from_utf8(json::canonical(&messages)).unwrap_or_default();
    let request = PolicyRequest {
        claimed: Vec::new(),
        principal: principal.clone(),
        ring,
        session: session.as_ref().map(|session| decide::summary(session, parts)),
        subject: Subject::Transcript(Box::new(TranscriptSubject { known, messages: text })),
        time_ms: parts.clock.now().as_millis(),
        usage: Vec::new(),
    };
    let Decision { rulings, answer } = policies.decide(&request);
    let (judged, redacted) = match answer {
        Answer::Deny(reasons) => (Err(all_shown(&reasons)), 0),
        Answer::Allow(obligations) => {
            let mut repaired = messages;
            match redact::apply(&mut repaired, &obligations.redactions) {
                Ok(()) => (Ok(repaired), u64::try_from(obligations.redactions.len()).unwrap_or(u64::MAX)),
                Err(_) => (Err("what the policies want redacted can't be taken out".to_owned()), 0),
            }
        }
    };
    let draft = decide::draft(policies, &request, judged.is_ok(), rulings);
    // What a policy had taken out is not to lie on a disk.
    let decision = DecisionDraft { keeps_request: redacted == 0 && judged.is_ok(), ..draft };
    let id = session.as_ref().map(|session| session.session);
    let entry =
        DecidedDraft { decision, point: DecisionPoint::Transcript, principal, redacted, ring, session: id, tool: None };
    let digests = judged.as_ref().ok().and_then(Value::as_array).map(|messages| digests(messages));
    let index = parts.on_ledger(move |ledger| {
        let index = ledger.decide(entry)?;
        if let (Some(id), Some(digests)) = (id, digests) {
            // A session that was closed meanwhile has nothing to compare with.
            if let Err(SessionError::Ledger(error)) = ledger.remember_messages(id, digests) {
                return Err(error);
            }
        }
        Ok(index)
    });
    Ok(Checked { messages: judged, redacted, index: index.await? })
}

fn digests(messages: &[Value]) -> Vec<Digest> {
    messages.iter().map(|message| Digest::of(&json::canonical(message))).collect()
}
