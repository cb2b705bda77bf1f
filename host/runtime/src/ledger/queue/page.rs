//! A page: what one writer adds at a time, entries linked to each other and what belongs to them.

use std::fmt;
use std::sync::Arc;

use ringfence_audit::chain::Head;
use ringfence_model::content;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Body;
use ringfence_model::lifecycle::Phase;
use ringfence_model::lifecycle::Step;
use ringfence_model::time::Clock;
use ringfence_model::time::Timestamp;

use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::Fact;
use crate::ledger::backend::StoredContent;
use crate::ledger::backend::StoredEntry;
use crate::ledger::error::LedgerError;
use crate::ledger::queue::Held;

/// What one writer adds: entries linked to each other, and what belongs to them.
pub(in crate::ledger) struct Page {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) head: Head,
    /// When its entries were made; none before the first.
    pub(super) time: Option<Timestamp>,
    pub(super) batch: Batch,
    pub(super) held: Vec<Held>,
}

impl Page {
    /// Where the next entry goes.
    pub(in crate::ledger) const fn head(&self) -> &Head {
        &self.head
    }

    /// Adds an entry: its index and its hash.
    pub(in crate::ledger) fn entry(&mut self, body: Body) -> Result<(u64, Digest), LedgerError> {
        let index = self.head.next_index;
        // While nobody else adds anything: else an entry could be older than the one before.
        let time = *self.time.get_or_insert_with(|| self.clock.now());
        let (bytes, hash) = self.head.append(body, time)?;
        self.batch.entries.push(StoredEntry { index, hash, bytes });
        Ok((index, hash))
    }

    /// Adds an entry with the contents that it commits to. There are no others.
    pub(in crate::ledger) fn entry_with(
        &mut self,
        body: Body,
        contents: impl IntoIterator<Item = StoredContent>,
    ) -> Result<(u64, Digest), LedgerError> {
        let committed = content::commitments(&body);
        let (entry, hash) = self.entry(body)?;
        for content in contents {
            let commitment = content.commitment;
            let Some((name, _)) = committed.iter().find(|(_, other)| *other == commitment) else {
                return Err(LedgerError::Misuse("a content was written that its entry does not commit to"));
            };
            self.batch.contents.push((ContentKey { entry, name: *name, commitment }, content));
        }
        Ok((entry, hash))
    }

    /// Removes contents.
    pub(in crate::ledger) fn removals(&mut self, keys: impl IntoIterator<Item = ContentKey>) {
        self.batch.removals.extend(keys);
    }

    /// Sets facts.
    pub(in crate::ledger) fn facts(&mut self, facts: impl IntoIterator<Item = Fact>) {
        self.batch.facts.extend(facts);
    }

    /// Keeps something until the page is durable, or is known not to be; also if nobody waits for that any more.
    pub(in crate::ledger) fn hold(&mut self, held: impl fmt::Debug + Send + 'static) {
        self.held.push(Box::new(held));
    }

    /// Sets where a call stands, which was in this phase before: by one step of the table, or not at all.
    pub(in crate::ledger) fn call(&mut self, from: Phase, row: CallRow) -> Result<(), LedgerError> {
        let to = row.state.phase();
        if !Step::ALL.iter().any(|step| from.after(*step) == Some(to)) {
            return Err(LedgerError::Step { call: row.call, from, to });
        }
        self.batch.calls.push(row);
        Ok(())
    }
}
