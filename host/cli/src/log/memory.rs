//! A log in memory: for trying things out, and for calls that nobody has to account for.
//!
//! Owns its name and its key, which are made with it and end with it. A home that had two logs signed under one name, by one
//! key, could be shown to have two histories; so nothing of the home's own log is used here: not its file, its key or its head.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use ringfence_audit::signer::Signer as _;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_runtime::ledger::LedgerError;
use ringfence_runtime::ledger::backend::MemoryStore;
use zeroize::Zeroizing;

use crate::home;
use crate::home::HomeError;

/// A log that is gone when its process ends.
pub struct MemoryLog {
    store: MemoryStore,
    origin: String,
    seed: Zeroizing<[u8; 32]>,
    is_told: AtomicBool,
}

impl MemoryLog {
    /// Begins one, under a name that no other has.
    pub fn begin() -> Result<Self, HomeError> {
        let origin = format!("ringfence.memory/{}", hex::encode(home::random_bytes::<16>()?));
        let (store, seed) = (MemoryStore::new(), Zeroizing::new(home::random_bytes()?));
        let log = Self { store, origin, seed, is_told: AtomicBool::new(false) };
        let backend = log.store.open().map_err(LedgerError::from)?;
        // It goes back to its store at once, with its first entry.
        drop(home::begin_log(Box::new(backend), log.signer()?.verifier())?);
        Ok(log)
    }

    /// What signs its checkpoints.
    pub fn signer(&self) -> Result<SoftwareSigner, HomeError> {
        SoftwareSigner::from_seed(&self.origin, &self.seed)
            .map_err(|error| HomeError::Key { path: self.origin.clone(), why: error.to_string() })
    }

    /// Where it is while nobody uses it.
    pub fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// Whether nobody has been told of it: true once.
    pub fn is_news(&self) -> bool {
        !self.is_told.swap(true, Ordering::Relaxed)
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("origin", &self.origin).finish_non_exhaustive()
    }
}
