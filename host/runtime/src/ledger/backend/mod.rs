//! The storage door: what the ledger asks of a disk, and nothing else.
//!
//! Owns the shape of what is stored and the contract of [`Backend`]. A backend keeps bytes; it never hashes, never
//! encodes an entry and never decides. One list of tests runs against every backend.

use std::fmt;

use ringfence_audit::tree::Node;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Commitment;
use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::lifecycle::Phase;
use ringfence_model::principal::Principal;
use thiserror::Error;

use crate::lease::HostLease;

pub mod memory;
pub mod postgres;
pub mod sqlite;

mod columns;
#[cfg(test)]
mod contract;
mod copying;
#[cfg(test)]
pub(crate) mod faulty;

pub use copying::copy;
pub use memory::MemoryBackend;
pub use memory::MemoryStore;
pub use postgres::PostgresBackend;
pub use sqlite::SqliteBackend;

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its position, from 0.
    pub index: u64,
    /// Its hash.
    pub hash: Digest,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

/// What names a content: which entry commits to it, as what, and the commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentKey {
    /// The entry.
    pub entry: u64,
    /// What it is to that entry.
    pub name: ContentName,
    /// What stands for it there.
    pub commitment: Commitment,
}

/// Content as it is stored, beside the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredContent {
    /// What stands for it in an entry.
    pub commitment: Commitment,
    /// The nonce behind the commitment.
    pub nonce: Nonce,
    /// The content.
    pub bytes: Vec<u8>,
}

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// How many entries it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// An idempotency key, as a digest, and the digest of the request it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Digest of the key.
    pub key: Digest,
    /// Digest of tool, ring and input.
    pub fingerprint: Digest,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// It was begun and has not ended.
    Begun {
        /// Index of the entry that began it.
        begun: u64,
    },
    /// It has ended.
    Finished {
        /// Index of the entry that began it.
        begun: u64,
        /// Index of the entry that ended it.
        finished: u64,
        /// What is known of its effect.
        effect: EffectState,
    },
    /// It did not run.
    Refused {
        /// Index of the entry that says so.
        refused: u64,
    },
    /// It has ended, its effect was unknown, and somebody has said what became of it.
    Settled {
        /// Index of the entry that began it.
        begun: u64,
        /// Index of the entry that ended it.
        finished: u64,
        /// Index of the entry that settles it.
        settled: u64,
        /// What became of it.
        how: Settlement,
    },
}

impl CallState {
    /// The phase it is in, where only steps of the one table lead out of.
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Begun { .. } => Phase::Attempting,
            Self::Finished { effect, .. } => Phase::ended(*effect),
            Self::Refused { .. } => Phase::Refused,
            Self::Settled { how, .. } => Phase::Settled(*how),
        }
    }
}

/// Where a call stands: an index into the log, so that a look-up does not cost more as the log grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRow {
    /// The call.
    pub call: CallId,
    /// Who called.
    pub principal: Principal,
    /// Its idempotency key, if it has one.
    pub key: Option<KeyRow>,
    /// How far its grant reached.
    pub reach: Reach,
    /// How far it has come.
    pub state: CallState,
}

/// What the ledger keeps beside the entries, by kind and key, so that it need not read the log to know it. Whatever
/// matters of it stands in entries as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What kind it is.
    pub kind: FactKind,
    /// Its key among its kind.
    pub key: String,
    /// What it is; none to remove it.
    pub value: Option<Vec<u8>>,
}

/// Kinds of fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FactKind {
    /// An answer that is kept, by what it answers.
    Answer,
    /// A question to somebody who may approve, by its id.
    Approval,
    /// The newest question, by what it is bound to.
    Binding,
    /// A session that is open, by its principal and when it was opened.
    OpenSession,
    /// A session, by its id.
    Session,
    /// What was used lately, by what is counted together.
    Usage,
    /// A question that nobody has answered, by when its time is over.
    Waiting,
}

impl FactKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Answer, Self::Approval, Self::Binding, Self::OpenSession, Self::Session, Self::Usage, Self::Waiting];

    /// How it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Approval => "approval",
            Self::Binding => "binding",
            Self::OpenSession => "open-session",
            Self::Session => "session",
            Self::Usage => "usage",
            Self::Waiting => "waiting",
        }
    }
}

/// What one commit makes durable: all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Entries, in order, from the index after the last stored one.
    pub entries: Vec<StoredEntry>,
    /// Contents. One that is stored already stays as it is.
    pub contents: Vec<(ContentKey, StoredContent)>,
    /// Calls; a row replaces the one of the same call.
    pub calls: Vec<CallRow>,
    /// Nodes of the tree, from level 1 on. One that is stored already stays as it is.
    pub nodes: Vec<Node>,
    /// A checkpoint. One of the same size is replaced.
    pub checkpoint: Option<StoredCheckpoint>,
    /// Contents to remove, after what the batch adds. One that is not there is not missed.
    pub removals: Vec<ContentKey>,
    /// Facts; one replaces the one of the same kind and key.
    pub facts: Vec<Fact>,
}

impl Batch {
    /// Adds all of `other` behind what is here.
    pub fn absorb(&mut self, other: Self) {
        append(&mut self.entries, other.entries);
        append(&mut self.contents, other.contents);
        append(&mut self.calls, other.calls);
        append(&mut self.nodes, other.nodes);
        append(&mut self.facts, other.facts);
        self.checkpoint = other.checkpoint.or(self.checkpoint.take());
        append(&mut self.removals, other.removals);
    }
}

fn append<T>(to: &mut Vec<T>, mut from: Vec<T>) {
    if to.is_empty() {
        *to = from;
    } else {
        to.append(&mut from);
    }
}

/// A length as an index; no length of this machine is beyond 64 bits.
fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Refuses entries that do not follow the last stored one, each other included.
fn check_contiguous(entries: &[StoredEntry], next: u64) -> Result<(), BackendError> {
    match (next..).zip(entries).find(|(wanted, entry)| entry.index != *wanted) {
        Some((wanted, entry)) => {
            Err(BackendError::Other(format!("entry `{}` was written where `{wanted}` belongs", entry.index)))
        }
        None => Ok(()),
    }
}

/// Why a backend could not do what it was asked: one variant for each thing an operator can do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendError {
    /// Restore it from a copy.
    #[error("the log's file is damaged: {0}")]
    Corrupt(String),
    /// Make room.
    #[error("the disk that holds the log is full")]
    DiskFull,
    /// Open the log again: another host has taken over the calls of this one.
    #[error("the host's lease on its calls ran out, and another host has taken them over")]
    Fenced,
    /// Stop the other one.
    #[error("the log is in use by another process")]
    InUse,
    /// Look after the disk.
    #[error("the log could not be read or written: {0}")]
    Io(String),
    /// Look after the server of the log, and the way to it. What was asked of it last may have been done or not.
    #[error("the log's database can't be reached: {0}")]
    Lost(String),
    /// Nothing: our bug.
    #[error("the log's storage failed in a way it should not: {0}")]
    Other(String),
    /// Make it writable.
    #[error("the log can't be written: its file, its folder or its disk is read-only")]
    ReadOnly,
    /// Name another file, or use another version.
    #[error("`{path}` can't be opened as a log: {why}")]
    Unusable {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl BackendError {
    /// Whether a commit that ended so left nothing behind, so that the backend can go on.
    pub fn leaves_nothing(&self) -> bool {
        matches!(self, Self::DiskFull | Self::ReadOnly)
    }
}

/// Who runs a call that was begun and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// A host that has said so lately.
    Held,
    /// Nobody: its host was taken over, and can write nothing more.
    Lost,
    /// A host that has not been heard of for a while, and may be heard of again: it was not taken over.
    Overdue,
    /// Whoever began it, if it is still there: nobody else can have the log.
    Unshared,
}

/// The storage door.
///
/// What an implementor must keep to:
///
/// - [`Backend::commit`] is atomic and ordered: after a crash at any point, the whole batch is there or nothing of it,
///   and no batch is there without those before it. When it returns `Ok`, the batch survives a power cut.
/// - `Err(DiskFull)` and `Err(ReadOnly)` from a commit say that the backend goes on without the batch. After any other
///   error the batch may or may not be there; nothing more is asked of the backend until it has been opened anew, and a
///   sync that failed is never tried again (CR-23).
/// - Entries are contiguous from 0. A batch that would leave a gap or replace an entry is refused as
///   [`BackendError::Other`].
/// - Every question sees every batch before it. Its cost does not grow with the number of entries, but for a factor of
///   its logarithm.
/// - There is one writer. A backend that another process may open refuses the second one (CR-31), or is shared: then it
///   commits only with the pen, which one at a time has of all who have the log open. Who has lost it commits nothing more.
pub trait Backend: fmt::Debug + Send {
    /// Whether others may write to the log while it is open.
    fn is_shared(&self) -> bool {
        false
    }

    /// Waits for the pen. Whether anybody else has written since it was had last.
    fn take_pen(&mut self) -> Result<bool, BackendError> {
        Ok(false)
    }

    /// Gives the pen back. If it fails it is gone all the same.
    fn give_pen(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Who runs a call that was begun and has not ended.
    fn lease(&self, _call: &CallId) -> Result<Lease, BackendError> {
        Ok(Lease::Unshared)
    }

    /// The lease of whoever has it open, on all that it has begun.
    fn host_lease(&self) -> HostLease {
        HostLease::default()
    }

    /// Takes over, with the pen, the calls of every host whose lease has run out: what it commits from then on is refused.
    fn take_over(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Makes a batch durable.
    fn commit(&mut self, batch: Batch) -> Result<(), BackendError>;

    /// Sees to it that what has been removed can't be read from the backend's files any more either. If it fails, the
    /// backend goes on, and a later try may do it.
    fn scrub(&mut self) -> Result<(), BackendError>;

    /// The last entry; none if there is none.
    fn head(&self) -> Result<Option<StoredEntry>, BackendError>;

    /// The entry at `index`.
    fn entry(&self, index: u64) -> Result<Option<StoredEntry>, BackendError>;

    /// At most `limit` entries from index `from` on, in order.
    fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, BackendError>;

    /// A content, under the key it was stored under; what is asked for under any other is not found, or is that content.
    fn content(&self, key: &ContentKey) -> Result<Option<StoredContent>, BackendError>;

    /// How many bytes a content has, without reading it.
    fn content_length(&self, key: &ContentKey) -> Result<Option<u64>, BackendError>;

    /// Where a call stands.
    fn call(&self, call: &CallId) -> Result<Option<CallRow>, BackendError>;

    /// The call that was begun last under a principal's idempotency key.
    fn call_by_key(&self, principal: &Principal, key: &Digest) -> Result<Option<CallRow>, BackendError>;

    /// The calls that were begun and have not ended, oldest first.
    fn open_calls(&self) -> Result<Vec<CallRow>, BackendError>;

    /// At most `limit` calls that ended with an unknown effect, settled since or not, begun at entry `from` or later, oldest
    /// first.
    fn unknown_calls(&self, from: u64, limit: usize) -> Result<Vec<CallRow>, BackendError>;

    /// A fact.
    fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Vec<u8>>, BackendError>;

    /// At most `limit` facts of a kind with keys after `after`, in the order of their keys' bytes.
    fn facts(&self, kind: FactKind, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, BackendError>;

    /// The hash of a complete subtree, as it was stored; leaves are the hashes of entries and are not stored again.
    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, BackendError>;

    /// The checkpoint that covers most entries.
    fn latest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, BackendError>;

    /// The smallest checkpoint that covers at least `size` entries.
    fn checkpoint_covering(&self, size: u64) -> Result<Option<StoredCheckpoint>, BackendError>;
}
