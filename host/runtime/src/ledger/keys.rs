//! Idempotency keys: what one stands for, who holds it, and what its earlier call means for a new one.

use ringfence_model::call::IdempotencyKey;
use ringfence_model::digest::Digest;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;

use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::KeyRow;
use crate::ledger::backend::Lease;
use crate::ledger::call::Begin;
use crate::ledger::call::Intent;
use crate::ledger::call::StoredCall;
use crate::ledger::claim::Claim;
use crate::ledger::error::LedgerError;
use crate::ledger::record::Ledger;

impl Ledger {
    /// The answer that is on record under a call's key, if the same call has ended. Claims nothing and writes nothing: such an
    /// ending stays what it is.
    pub fn recall(&self, intent: &Intent) -> Result<Option<Box<StoredCall>>, LedgerError> {
        let Some(key) = key_row(intent) else { return Ok(None) };
        let Some(row) = self.queue.read(|backend| backend.call_by_key(&intent.principal, &key.key))? else {
            return Ok(None);
        };
        Ok(match self.known(&row, &key)? {
            Some(Begin::Known(stored)) => Some(stored),
            _ => None,
        })
    }

    /// Whether a call was begun under a principal's key.
    pub fn knows_key(&self, principal: &Principal, key: &IdempotencyKey) -> Result<bool, LedgerError> {
        let found = self.queue.read(|backend| backend.call_by_key(principal, &key_digest(key)))?;
        Ok(found.is_some())
    }

    /// Holds a key, or says what is known under it.
    pub(in crate::ledger) fn claim(&self, intent: &Intent, key: &KeyRow) -> Result<Result<Claim, Begin>, LedgerError> {
        let Intent { call, principal, idempotent, .. } = intent;
        let claim = match self.hold_key(principal, key, *call) {
            Ok(claim) => claim,
            Err(held) => return Ok(Err(held)),
        };
        // Ownership: nobody else writes under this key while the claim is held, so this answer stays true.
        let Some(row) = self.queue.read(|backend| backend.call_by_key(principal, &key.key))? else {
            return Ok(Ok(claim));
        };
        Ok(match self.known(&row, key)? {
            // Whatever it did, doing it once more changes nothing.
            Some(Begin::EffectUnknown { .. }) if *idempotent => Ok(claim),
            known => known.map_or(Ok(claim), Err),
        })
    }

    /// Holds a key among the calls of this process.
    pub(in crate::ledger) fn hold_key(
        &self,
        principal: &Principal,
        key: &KeyRow,
        call: CallId,
    ) -> Result<Claim, Begin> {
        match self.claims.hold(principal, key, call) {
            Ok(claim) => Ok(claim),
            Err(holder) if holder.fingerprint == key.fingerprint => Err(Begin::InProgress { call: holder.call }),
            Err(holder) => Err(Begin::Conflict { call: holder.call }),
        }
    }

    /// What a key's earlier call means for a new one; none if the new one may run.
    fn known(&self, row: &CallRow, key: &KeyRow) -> Result<Option<Begin>, LedgerError> {
        let call = row.call;
        if row.key.is_none_or(|earlier| earlier.fingerprint != key.fingerprint) {
            return Ok(Some(Begin::Conflict { call }));
        }
        Ok(match row.state {
            CallState::Finished { effect: EffectState::Committed, finished, .. } => {
                Some(Begin::Known(Box::new(self.stored(call, finished)?)))
            }
            CallState::Finished { effect: EffectState::Unknown, begun, .. } => {
                Some(Begin::EffectUnknown { call, begun })
            }
            // Another host runs it, or did so a moment ago (IDM-05).
            CallState::Begun { .. } if self.queue.read(|backend| backend.lease(&call))? == Lease::Held => {
                Some(Begin::InProgress { call })
            }
            // Begun, not finished, and nobody holds the key: whoever ran it is gone. What it did is anybody's guess,
            // unless it could change nothing.
            CallState::Begun { begun } if row.reach == Reach::Writes => Some(Begin::EffectUnknown { call, begun }),
            CallState::Settled { how: Settlement::Committed, settled, .. } => Some(self.settled(call, settled)?),
            CallState::Begun { .. }
            | CallState::Finished { effect: EffectState::Aborted, .. }
            | CallState::Refused { .. }
            | CallState::Settled { how: Settlement::NotExecuted, .. } => None,
        })
    }
}

pub(in crate::ledger) fn key_row(intent: &Intent) -> Option<KeyRow> {
    let key = key_digest(intent.idempotency_key.as_ref()?);
    Some(KeyRow { key, fingerprint: fingerprint(intent) })
}

fn key_digest(key: &IdempotencyKey) -> Digest {
    Digest::of(key.as_str().as_bytes())
}

/// What an idempotency key stands for: the tool, the ring, the input, which names the function, and what the call would
/// see of the world. Each part has a fixed width, so no border between two can move.
fn fingerprint(intent: &Intent) -> Digest {
    let ring = Digest::of(intent.ring.to_string().as_bytes());
    let input = Digest::of(&intent.input);
    let reachable = &intent.reachable;
    Digest::of_parts(&[intent.tool.digest.as_bytes(), ring.as_bytes(), input.as_bytes(), reachable.as_bytes()])
}
