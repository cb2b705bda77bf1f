//! What is known beside the log: read as JSON, and changed by one writer at a time.
//!
//! A [`Hold`] on a fact is taken before it is read and kept until what was decided on it is durable, so that two calls
//! never decide on the same reading.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ledger::backend::BackendError;
use crate::ledger::backend::Fact;
use crate::ledger::backend::FactKind;
use crate::ledger::error::LedgerError;
use crate::ledger::queue::lock;
use crate::ledger::record::Ledger;

/// Facts at most in one page of a list.
const PAGE: usize = 256;

type Key = (FactKind, String);

/// The facts that somebody decides on.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds(Arc<Mutex<HashSet<Key>>>);

impl Holds {
    /// Holds a fact; none if somebody does.
    pub(super) fn hold(&self, kind: FactKind, key: &str) -> Option<Hold> {
        let slot = (kind, key.to_owned());
        lock(&self.0).insert(slot.clone()).then(|| Hold { holds: self.clone(), slot })
    }
}

/// A fact, held.
#[derive(Debug)]
pub(in crate::ledger) struct Hold {
    holds: Holds,
    slot: Key,
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.holds.0).remove(&self.slot);
    }
}

/// A fact as it is written.
pub(super) fn fact(kind: FactKind, key: impl Into<String>, value: &impl Serialize) -> Fact {
    // Strings and numbers: serialising them can't fail.
    let value = serde_json::to_vec(value).unwrap_or_default();
    Fact { kind, key: key.into(), value: Some(value) }
}

impl Ledger {
    /// A fact, as what it is.
    pub(super) fn known_fact<T: DeserializeOwned>(&self, kind: FactKind, key: &str) -> Result<Option<T>, LedgerError> {
        let bytes = self.read(|backend| backend.fact(kind, key))?;
        bytes.map(|bytes| read(kind, key, &bytes)).transpose()
    }

    /// Every fact of a kind, in the order of their keys.
    pub(super) fn known_facts<T: DeserializeOwned>(&self, kind: FactKind) -> Result<Vec<T>, LedgerError> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.known_facts_after(kind, &after, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(all) };
            last.clone_into(&mut after);
            all.extend(page.into_iter().map(|(_, known)| known));
        }
    }

    /// At most `limit` facts of a kind with keys after `after`, in the order of their keys.
    pub(super) fn known_facts_after<T: DeserializeOwned>(
        &self,
        kind: FactKind,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, T)>, LedgerError> {
        let page = self.read(|backend| backend.facts(kind, after, limit))?;
        let known = page.into_iter().map(|(key, bytes)| read(kind, &key, &bytes).map(|known| (key, known)));
        known.collect()
    }
}

fn read<T: DeserializeOwned>(kind: FactKind, key: &str, bytes: &[u8]) -> Result<T, LedgerError> {
    serde_json::from_slice(bytes)
        .map_err(|error| BackendError::Corrupt(format!("the {} `{key}` can't be read: {error}", kind.as_str())).into())
}
