//! What can go wrong in the ledger.
//!
//! A call's own ending is never an error here, and neither is a known idempotency key: those are answers. An error
//! means that the host could not write or read its record, so nothing may run.

use ringfence_model::encoding::EncodeError;
use ringfence_model::id::CallId;
use ringfence_model::lifecycle::Phase;
use thiserror::Error;

use crate::ledger::backend::BackendError;
use crate::ledger::random::RandomError;

/// Why the ledger could not do its work.
///
/// Blame: [`Self::Storage`], [`Self::NotNew`] and [`Self::Random`] lie with the operator or the environment, [`Self::Stopped`] too;
/// [`Self::Corrupt`] is evidence; [`Self::Encode`] lies with whoever gave names too long for an entry; the rest with us.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// What is stored is not what was written.
    #[error("entry `{index}` of the log is damaged: {why}")]
    Corrupt {
        /// The first entry that is wrong.
        index: u64,
        /// What is wrong with it.
        why: String,
    },
    /// An entry that can't be written, as its text.
    #[error("the call can't be written down: {0}")]
    Encode(String),
    /// A use of the ledger that its contract rules out: our bug.
    #[error("the ledger was misused: {0}")]
    Misuse(&'static str),
    /// A log was to be made where there is one: somebody else may have made it a moment ago.
    #[error("the log can't be made: its store holds a log already")]
    NotNew,
    /// There are no random bytes to hide content with.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The threads that commit have ended. What was to be written is not.
    #[error("the host is shutting down")]
    ShuttingDown,
    /// An earlier write failed, so what is durable is not known. Open the log again.
    #[error("the log stopped when a write failed and has to be opened again: {0}")]
    Stopped(BackendError),
    /// A step that no call can take from where it is: our bug, or a row that was changed.
    #[error("`{call}` is {from}, and can't become {to}")]
    Step {
        /// The call.
        call: CallId,
        /// Where it is.
        from: Phase,
        /// Where the step would have led.
        to: Phase,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] BackendError),
}

impl From<EncodeError> for LedgerError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error.to_string())
    }
}
