//! Idempotency keys of calls that run in this process.
//!
//! A [`Claim`] is held from before the log is asked about a key until what came of it is durable, so two calls under one
//! key can't both find it free. It is given back when it is dropped, whatever way the call ended.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::Mutex;

use ringfence_model::digest::Digest;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;

use crate::ledger::backend::KeyRow;
use crate::ledger::queue::lock;

/// A key belongs to a principal: two principals never share one (IDM-03).
type Slot = (Principal, Digest);

/// The call that holds a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) call: CallId,
    pub(super) fingerprint: Digest,
}

/// The keys that are held.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(Arc<Mutex<HashMap<Slot, Holder>>>);

impl Claims {
    /// Holds a key for a call, or says which call holds it.
    pub(super) fn hold(&self, principal: &Principal, row: &KeyRow, call: CallId) -> Result<Claim, Holder> {
        let slot = (principal.clone(), row.key);
        match lock(&self.0).entry(slot.clone()) {
            Entry::Occupied(held) => Err(*held.get()),
            Entry::Vacant(free) => {
                free.insert(Holder { call, fingerprint: row.fingerprint });
                Ok(Claim { claims: self.clone(), slot })
            }
        }
    }
}

/// A key, held.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Claims,
    slot: Slot,
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.claims.0).remove(&self.slot);
    }
}
