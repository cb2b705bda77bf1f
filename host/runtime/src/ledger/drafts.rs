//! What is to be written, before it is known where: commitments with their nonces, and the bodies of entries.

use ringfence_model::digest::Nonce;
use ringfence_model::entry;
use ringfence_model::entry::DecisionRecord;
use ringfence_model::entry::Finished;
use ringfence_model::id::CallId;

use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::KeyRow;
use crate::ledger::backend::StoredContent;
use crate::ledger::call::DecisionDraft;
use crate::ledger::call::Ending;
use crate::ledger::call::Intent;
use crate::ledger::error::LedgerError;
use crate::ledger::record::Ledger;

impl Ledger {
    /// An intent as it is written: the row, the entry and the contents, input first.
    pub(in crate::ledger) fn draft(
        &self,
        intent: Intent,
        key: Option<KeyRow>,
    ) -> Result<(CallRow, entry::Begun, Vec<StoredContent>), LedgerError> {
        let Intent { admission, approval, call, decision, effect, function, grant, input, limits, .. } = intent;
        let Intent { principal, reach, ring, session, tool, .. } = intent;
        let (admission, component) = self.decision_if(admission)?;
        let (decision, request) = self.decision(decision)?;
        let [input, grant] = self.contents([input, grant])?;
        let entry = entry::Begun {
            admission,
            approval: approval.map(|(approval, _)| approval),
            call,
            decision,
            effect,
            function,
            grant: grant.commitment,
            idempotency_key: key.map(|key| key.key),
            input: input.commitment,
            limits,
            principal: principal.clone(),
            reach,
            ring,
            session,
            tool,
        };
        // The state is set when the index is known.
        let row = CallRow { call, principal, key, reach, state: CallState::Begun { begun: 0 } };
        Ok((row, entry, [input, grant].into_iter().chain(request).chain(component).collect()))
    }

    /// An ending as it is written: the entry and the contents, output first.
    pub(in crate::ledger) fn draft_ending(
        &self,
        call: CallId,
        ending: Ending,
    ) -> Result<(Finished, Vec<StoredContent>), LedgerError> {
        let Ending { code, decision, effect, kind, outcome, redacted, trace, used } = ending;
        let [output, trace] = self.contents([outcome, trace])?;
        let (decision, request) = self.decision_if(decision)?;
        let entry = Finished {
            // Set when it is known.
            begun: 0,
            call,
            code,
            decision,
            effect,
            outcome: kind,
            output: output.commitment,
            redacted,
            trace: trace.commitment,
            used,
        };
        Ok((entry, [output, trace].into_iter().chain(request).collect()))
    }

    /// A decision as it is written, and what the policies were told, unless that is not kept.
    pub(in crate::ledger) fn decision(
        &self,
        draft: DecisionDraft,
    ) -> Result<(DecisionRecord, Option<StoredContent>), LedgerError> {
        let DecisionDraft { allowed, keeps_request, policy_set, request, rulings } = draft;
        let [request] = self.contents([request])?;
        let record = DecisionRecord { allowed, policy_set, request: request.commitment, rulings };
        Ok((record, keeps_request.then_some(request)))
    }

    pub(in crate::ledger) fn decision_if(
        &self,
        draft: Option<DecisionDraft>,
    ) -> Result<(Option<DecisionRecord>, Option<StoredContent>), LedgerError> {
        let Some(draft) = draft else { return Ok((None, None)) };
        let (record, request) = self.decision(draft)?;
        Ok((Some(record), request))
    }

    /// Draws a nonce for each content and commits to it.
    pub(in crate::ledger) fn contents<const N: usize>(
        &self,
        contents: [Vec<u8>; N],
    ) -> Result<[StoredContent; N], LedgerError> {
        let mut nonces = [[0; 16]; N];
        self.random.fill(nonces.as_flattened_mut())?;
        let mut nonces = nonces.into_iter();
        Ok(contents.map(|bytes| {
            let nonce = Nonce::from_random(nonces.next().unwrap_or_default());
            StoredContent { commitment: nonce.commit(&bytes), nonce, bytes }
        }))
    }
}
