//! What is on record: calls, entries and contents, each checked before it is believed.

use ringfence_audit::hash;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Digest;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::entry::Entry;
use ringfence_model::entry::Opened;
use ringfence_model::id::CallId;
use ringfence_model::lifecycle::Phase;

use crate::ledger::backend::BackendError;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::StoredContent;
use crate::ledger::backend::StoredEntry;
use crate::ledger::call::Recorded;
use crate::ledger::call::StoredCall;
use crate::ledger::error::LedgerError;
use crate::ledger::record::Ledger;

impl Ledger {
    /// What is known of a call. A call that runs under a grant that reaches nothing is not known until it has ended.
    pub fn find(&self, call: &CallId) -> Result<Option<CallRow>, LedgerError> {
        self.queue.read(|backend| backend.call(call))
    }

    /// How far a call has come.
    pub fn phase(&self, call: &CallId) -> Result<Phase, LedgerError> {
        Ok(self.find(call)?.map_or(Phase::Intended, |row| row.state.phase()))
    }

    /// What came of a call that has ended; none of one that runs, or did not run.
    pub fn ended(&self, row: &CallRow) -> Result<Option<StoredCall>, LedgerError> {
        match row.state {
            CallState::Finished { finished, .. } | CallState::Settled { finished, .. } => {
                self.stored(row.call, finished).map(Some)
            }
            CallState::Begun { .. } | CallState::Refused { .. } => Ok(None),
        }
    }

    pub(in crate::ledger) fn stored(&self, call: CallId, index: u64) -> Result<StoredCall, LedgerError> {
        let wrong = |why: &str| LedgerError::Corrupt { index, why: why.to_owned() };
        let stored = self.entry(index)?.ok_or_else(|| wrong("it is missing"))?;
        let (hash, entry) = checked(&stored, index)?;
        let Body::Finished(finished) = entry.body else { return Err(wrong("it does not end a call")) };
        if finished.call != call {
            return Err(wrong("it ends another call"));
        }
        let Body::Begun(begun) = self.checked_entry(finished.begun)?.body else {
            return Err(LedgerError::Corrupt { index: finished.begun, why: "it does not begin a call".to_owned() });
        };
        let input = ContentKey { entry: finished.begun, name: ContentName::Input, commitment: begun.input };
        let input = self.content(&input)?.map(|content| content.opening());
        let output = ContentKey { entry: index, name: ContentName::Output, commitment: finished.output };
        let content = self.content(&output)?;
        let output = content.as_ref().map(StoredContent::opening);
        let recorded = Recorded { call, index, hash, input, output };
        Ok(StoredCall { recorded, finished: *finished, outcome: content.map(|content| content.bytes) })
    }

    /// A content, checked against its commitment; none if it has been removed.
    pub fn content(&self, key: &ContentKey) -> Result<Option<StoredContent>, LedgerError> {
        let content = self.queue.read(|backend| backend.content(key))?;
        match content {
            Some(content) if content.nonce.commit(&content.bytes) != key.commitment => {
                let why = format!("the content behind commitment `{}` is another one", key.commitment.digest());
                Err(BackendError::Corrupt(why).into())
            }
            content => Ok(content),
        }
    }

    /// How many bytes a content has; none if it has been removed.
    pub fn content_length(&self, key: &ContentKey) -> Result<Option<u64>, LedgerError> {
        self.queue.read(|backend| backend.content_length(key))
    }

    /// The entry at `index`, as it is stored.
    pub fn entry(&self, index: u64) -> Result<Option<StoredEntry>, LedgerError> {
        self.queue.read(|backend| backend.entry(index))
    }

    /// At most `limit` entries from index `from` on, as they are stored.
    pub fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, LedgerError> {
        self.queue.read(|backend| backend.entries(from, limit))
    }

    pub(in crate::ledger) fn checked_entry(&self, index: u64) -> Result<Entry, LedgerError> {
        let missing = || LedgerError::Corrupt { index, why: "it is missing".to_owned() };
        Ok(checked(&self.entry(index)?.ok_or_else(missing)?, index)?.1)
    }

    /// How many entries are durable.
    #[expect(clippy::len_without_is_empty, reason = "a ledger always holds its first entry")]
    pub fn len(&self) -> u64 {
        self.queue.durable().next_index
    }

    /// The first entry: who keeps the log.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }
}

/// Reads an entry back: it must hash to its hash, decode, and stand where it says.
pub(in crate::ledger) fn checked(stored: &StoredEntry, index: u64) -> Result<(Digest, Entry), LedgerError> {
    let wrong = |why: String| LedgerError::Corrupt { index, why };
    if hash::leaf(&stored.bytes) != stored.hash {
        return Err(wrong("its bytes do not have its hash".to_owned()));
    }
    let entry = encoding::decode(&stored.bytes).map_err(|error| wrong(error.to_string()))?;
    if entry.index != index || stored.index != index {
        return Err(wrong(format!("it says that its index is `{}`", entry.index)));
    }
    Ok((stored.hash, entry))
}

/// Checks that an entry follows the one before: it names its hash.
pub(in crate::ledger) fn check_link(entry: &Entry, before: Option<StoredEntry>) -> Result<(), LedgerError> {
    let Some(before) = before else {
        let index = entry.index.saturating_sub(1);
        return Err(LedgerError::Corrupt { index, why: "it is missing".to_owned() });
    };
    if before.hash != entry.prev {
        let why = "it is not linked to the entry before".to_owned();
        return Err(LedgerError::Corrupt { index: entry.index, why });
    }
    Ok(())
}
