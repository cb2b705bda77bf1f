//! A backend that forgets: the same contract as the others, but for the power cut.
//!
//! For tests, for measuring what the rest costs, and for hosts that want no record on disk. It moves what it is given
//! and copies only what it is asked for. A [`MemoryStore`] keeps it between one use and the next, as a disk would, for as
//! long as its process lives.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs::File;
use std::mem;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use ringfence_audit::tree::Node;
use ringfence_model::digest::Commitment;
use ringfence_model::digest::Digest;
use ringfence_model::entry::EffectState;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;

use crate::ledger::backend::Backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::Fact;
use crate::ledger::backend::FactKind;
use crate::ledger::backend::StoredCheckpoint;
use crate::ledger::backend::StoredContent;
use crate::ledger::backend::StoredEntry;

/// Everything in memory.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    entries: Vec<StoredEntry>,
    contents: HashMap<Commitment, StoredContent>,
    calls: HashMap<CallId, CallRow>,
    /// The call begun last under each key, and where it was begun.
    keys: HashMap<(Principal, Digest), (u64, CallId)>,
    /// Calls that have not ended, by where they were begun.
    open: BTreeMap<u64, CallId>,
    /// Calls that ended with an unknown effect, by where they were begun.
    unknown: BTreeMap<u64, CallId>,
    nodes: HashMap<(u32, u64), Digest>,
    checkpoints: BTreeMap<u64, String>,
    facts: BTreeMap<(FactKind, String), Vec<u8>>,
    /// Where it goes when whoever has it is done; none if nobody wants it again.
    store: Option<MemoryStore>,
    /// Ownership: released when it is back in its store.
    lock: Option<File>,
}

/// A log in memory, between one use of it and the next. One at a time has it, as with every log.
#[derive(Clone, Debug)]
pub struct MemoryStore(Arc<Mutex<Option<MemoryBackend>>>);

impl MemoryStore {
    /// One that holds an empty log.
    #[expect(clippy::new_without_default, reason = "it is made on purpose, by whoever wants a log to be gone")]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(MemoryBackend::new()))))
    }

    /// Hands the log out, until it is dropped.
    pub fn open(&self) -> Result<MemoryBackend, BackendError> {
        let mut backend = self.place().take().ok_or(BackendError::InUse)?;
        backend.store = Some(self.clone());
        Ok(backend)
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<MemoryBackend>> {
        // Invariant: a log is in its place as a whole, or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MemoryBackend {
    fn drop(&mut self) {
        let Some(store) = self.store.take() else { return };
        let lock = self.lock.take();
        *store.place() = Some(mem::take(self));
        drop(lock);
    }
}

impl MemoryBackend {
    /// One that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a lock that is released when it is back in its store.
    #[must_use]
    pub fn with_lock(mut self, lock: File) -> Self {
        self.lock = Some(lock);
        self
    }

    fn put_call(&mut self, row: CallRow) {
        let call = row.call;
        match row.state {
            CallState::Begun { begun } => {
                self.open.insert(begun, call);
                self.put_key(&row, begun);
            }
            CallState::Finished { begun, effect, .. } => {
                self.open.remove(&begun);
                if effect == EffectState::Unknown {
                    self.unknown.insert(begun, call);
                }
                self.put_key(&row, begun);
            }
            CallState::Refused { .. } => {}
            CallState::Settled { begun, .. } => {
                self.open.remove(&begun);
                self.unknown.insert(begun, call);
                self.put_key(&row, begun);
            }
        }
        self.calls.insert(call, row);
    }

    fn put_key(&mut self, row: &CallRow, begun: u64) {
        let Some(key) = row.key else { return };
        let newest = self.keys.entry((row.principal.clone(), key.key)).or_insert((begun, row.call));
        if newest.0 <= begun {
            *newest = (begun, row.call);
        }
    }
}

impl Backend for MemoryBackend {
    fn commit(&mut self, batch: Batch) -> Result<(), BackendError> {
        // Invariant: nothing is changed before everything that can fail has been checked.
        super::check_contiguous(&batch.entries, super::length(self.entries.len()))?;
        let Batch { entries, contents, calls, nodes, checkpoint, facts, removals } = batch;
        self.entries.extend(entries);
        for (key, content) in contents {
            self.contents.entry(key.commitment).or_insert(content);
        }
        for row in calls {
            self.put_call(row);
        }
        for Node { level, index, hash } in nodes {
            self.nodes.entry((level, index)).or_insert(hash);
        }
        self.checkpoints.extend(checkpoint.map(|checkpoint| (checkpoint.size, checkpoint.note)));
        for Fact { kind, key, value } in facts {
            match value {
                Some(value) => self.facts.insert((kind, key), value),
                None => self.facts.remove(&(kind, key)),
            };
        }
        for key in removals {
            self.contents.remove(&key.commitment);
        }
        Ok(())
    }

    fn scrub(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    fn head(&self) -> Result<Option<StoredEntry>, BackendError> {
        Ok(self.entries.last().cloned())
    }

    fn entry(&self, index: u64) -> Result<Option<StoredEntry>, BackendError> {
        Ok(usize::try_from(index).ok().and_then(|index| self.entries.get(index)).cloned())
    }

    fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, BackendError> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(self.entries.iter().skip(from).take(limit).cloned().collect())
    }

    fn content(&self, key: &ContentKey) -> Result<Option<StoredContent>, BackendError> {
        Ok(self.contents.get(&key.commitment).cloned())
    }

    fn content_length(&self, key: &ContentKey) -> Result<Option<u64>, BackendError> {
        Ok(self.contents.get(&key.commitment).map(|content| super::length(content.bytes.len())))
    }

    fn call(&self, call: &CallId) -> Result<Option<CallRow>, BackendError> {
        Ok(self.calls.get(call).cloned())
    }

    fn call_by_key(&self, principal: &Principal, key: &Digest) -> Result<Option<CallRow>, BackendError> {
        let newest = self.keys.get(&(principal.clone(), *key));
        Ok(newest.and_then(|(_, call)| self.calls.get(call)).cloned())
    }

    fn open_calls(&self) -> Result<Vec<CallRow>, BackendError> {
        Ok(self.open.values().filter_map(|call| self.calls.get(call)).cloned().collect())
    }

    fn unknown_calls(&self, from: u64, limit: usize) -> Result<Vec<CallRow>, BackendError> {
        let calls = self.unknown.range(from..).filter_map(|(_, call)| self.calls.get(call));
        Ok(calls.take(limit).cloned().collect())
    }

    fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        Ok(self.facts.get(&(kind, key.to_owned())).cloned())
    }

    fn facts(&self, kind: FactKind, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, BackendError> {
        let from = (Bound::Excluded((kind, after.to_owned())), Bound::Unbounded);
        let of_kind = self.facts.range(from).take_while(|((found, _), _)| *found == kind);
        Ok(of_kind.take(limit).map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, BackendError> {
        Ok(self.nodes.get(&(level, index)).copied())
    }

    fn latest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, BackendError> {
        Ok(self.checkpoints.last_key_value().map(|(size, note)| StoredCheckpoint { size: *size, note: note.clone() }))
    }

    fn checkpoint_covering(&self, size: u64) -> Result<Option<StoredCheckpoint>, BackendError> {
        let covering = self.checkpoints.range(size..).next();
        Ok(covering.map(|(size, note)| StoredCheckpoint { size: *size, note: note.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_a_log_in_memory() {
        let store = MemoryStore::new();
        let mut first = store.open().expect("a log");
        assert!(matches!(store.clone().open(), Err(BackendError::InUse)));
        let checkpoint = Some(StoredCheckpoint { size: 0, note: "kept".to_owned() });
        first.commit(Batch { checkpoint, ..Batch::default() }).expect("a commit");
        drop(first);
        let again = store.open().expect("a log");
        assert_eq!(again.latest_checkpoint().expect("a checkpoint").expect("one").note, "kept");
        assert!(MemoryStore::new().open().expect("a log").latest_checkpoint().expect("none").is_none());
    }
}
