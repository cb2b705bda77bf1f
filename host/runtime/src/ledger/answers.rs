//! Answers that are kept because a policy said so, and handed out again.
//!
//! What an answer is kept under stands for everything that made it: tool, function, input, grant, ring, policy set, and
//! the principal unless the policy shares it. It is the outcome of one finished call and nothing else; it expires, and
//! is forgotten when the same call comes to anything but a result.

use ringfence_model::digest::Digest;
use ringfence_model::entry::Answered;
use ringfence_model::entry::Body;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::lifecycle::Phase;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::ToolRef;
use serde::Deserialize;
use serde::Serialize;

use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::Fact;
use crate::ledger::backend::FactKind;
use crate::ledger::call::DecisionDraft;
use crate::ledger::call::Recorded;
use crate::ledger::call::StoredCall;
use crate::ledger::error::LedgerError;
use crate::ledger::facts::fact;
use crate::ledger::record::Ledger;

/// That an answer is to be kept, and under what.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// What it is kept under.
    pub key: Digest,
    /// For how long.
    pub valid_ms: u64,
}

impl Keep {
    /// What is to be written of it when the call has ended.
    pub(super) fn fact(self, call: CallId, finished: u64, kind: OutcomeKind, now: Timestamp) -> Fact {
        let key = self.key.to_string();
        match kind {
            OutcomeKind::Returned => {
                let kept = Kept { call, expires: now.plus_millis(self.valid_ms), finished };
                fact(FactKind::Answer, key, &kept)
            }
            _ => Fact { kind: FactKind::Answer, key, value: None },
        }
    }
}

/// Where a kept answer is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    call: CallId,
    expires: Timestamp,
    finished: u64,
}

/// A call that is answered with what an earlier one came to.
#[derive(Clone, Debug)]
pub struct ReuseDraft {
    /// Index of the entry that ended the earlier call.
    pub answer: u64,
    /// The call.
    pub call: CallId,
    /// How the policies decided.
    pub decision: DecisionDraft,
    /// The function.
    pub function: String,
    /// The input: canonical bytes.
    pub input: Vec<u8>,
    /// Who called.
    pub principal: Principal,
    /// The ring.
    pub ring: Ring,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// The tool.
    pub tool: ToolRef,
}

impl Ledger {
    /// The answer that is kept under a key, if it has not expired and its outcome has not been removed.
    pub fn kept_answer(&self, key: &Digest) -> Result<Option<StoredCall>, LedgerError> {
        let kept: Option<Kept> = self.known_fact(FactKind::Answer, &key.to_string())?;
        let Some(kept) = kept.filter(|kept| self.clock.now() < kept.expires) else { return Ok(None) };
        let stored = self.stored(kept.call, kept.finished)?;
        Ok(stored.outcome.is_some().then_some(stored))
    }

    /// Writes that a call was answered with a kept answer.
    pub fn reuse(&self, draft: ReuseDraft) -> Result<Recorded, LedgerError> {
        let ReuseDraft { answer, call, decision, function, input, principal, ring, session, tool } = draft;
        let _pen = self.pen()?;
        let (decision, request) = self.decision(decision)?;
        let [input] = self.contents([input])?;
        let opening = input.opening();
        self.queue.append(|page| {
            let commitment = input.commitment;
            let caller = principal.clone();
            let body = Answered { answer, call, decision, function, input: commitment, principal, ring, session, tool };
            let (index, hash) = page.entry_with(Body::Answered(Box::new(body)), request.into_iter().chain([input]))?;
            let state = CallState::Refused { refused: index };
            page.call(Phase::Intended, CallRow { call, principal: caller, key: None, reach: Reach::Nothing, state })?;
            Ok(Recorded { call, index, hash, input: Some(opening), output: None })
        })
    }
}
