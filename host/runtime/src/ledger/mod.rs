//! The ledger: every call is written down before it can act, and again when it has ended.
//!
//! Owns the order of those writes, idempotency keys and what a crash means. Refuses to answer for anything that is not
//! durable. It runs nothing, decides nothing and signs nothing; tree, checkpoints and receipts are the
//! [`crate::sequencer`]'s. What reads or writes waits for the disk: async callers put it on a thread that may block. What most
//! calls need, an intent, an ending or a refusal, can be filed instead: then a task waits for it and no thread.
//!
//! Two guarantees hold whatever fails: there is no entry without a link and no link without an entry; and nothing is
//! answered that is not yet written down.

pub mod adoption;
pub mod answers;
pub mod approvals;
pub mod backend;
pub mod call;
pub mod decisions;
pub mod error;
pub mod halts;
pub mod listed;
pub mod random;
pub mod record;
pub mod recovery;
pub mod sessions;
pub mod settlements;
pub mod usage;

mod claim;
mod drafts;
mod entries;
mod facts;
mod keys;
mod queue;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use call::Begin;
pub use call::Begun;
pub use call::DecisionDraft;
pub use call::Ending;
pub use call::Intent;
pub use call::Opening;
pub use call::Recorded;
pub use call::RefusalDraft;
pub use call::Removal;
pub use call::StoredCall;
pub use error::LedgerError;
pub use random::Random;
pub use random::SystemRandom;
pub use record::Ledger;
