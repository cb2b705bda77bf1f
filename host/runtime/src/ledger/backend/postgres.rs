//! A log in a `PostgreSQL` database, in a schema of its own: `ringfence`.
//!
//! Durability order, all of it the server's: what a transaction wrote goes to its write-ahead log, that is synced
//! (`synchronous_commit`, and a server that was told not to sync is refused), then `COMMIT` is answered. A batch is one
//! transaction. If its answer does not come, the batch may be there or not, and nothing is guessed.
//!
//! Several hosts may write, one at a time: whoever decides on something and writes it down has the pen, which is a lock of
//! the server's (CR-31), and each batch takes the head row besides. Lock and row go with the connection, so a
//! crash leaves none behind. A host enters under an epoch and says now and then that it is there. One that has not for a
//! while may be taken over, calls and all: its epoch is fenced, and nothing that it commits afterwards stands.

use std::fmt;
use std::fs::File;

use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;
use rustls::pki_types::CertificateDer;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use zeroize::Zeroizing;

use crate::lease::HostLease;
use crate::ledger::backend::Backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::FactKind;
use crate::ledger::backend::Lease;
use crate::ledger::backend::StoredCheckpoint;
use crate::ledger::backend::StoredContent;
use crate::ledger::backend::StoredEntry;
use crate::ledger::backend::columns::CallColumns;
use crate::ledger::backend::columns::from_sql;
use crate::ledger::backend::columns::to_sql;
use crate::ledger::backend::postgres::address::Address;
use crate::ledger::backend::postgres::error::unreadable;
use crate::ledger::backend::postgres::link::Answer;
use crate::ledger::backend::postgres::link::Link;
use crate::ledger::backend::postgres::link::Params;
use crate::ledger::backend::postgres::link::Purpose;
use crate::ledger::backend::postgres::link::Work;

pub mod address;
mod connect;
mod error;
pub mod head;
mod link;
mod schema;
mod sql;
mod write;

/// Everything that it takes to get to a log.
#[derive(Clone)]
pub struct Access {
    /// Where it is.
    pub address: Address,
    /// What the user proves themselves with, if the server asks.
    pub password: Option<Zeroizing<String>>,
    /// The roots that a server's certificate has to lead to; none for Mozilla's.
    pub roots: Option<Vec<CertificateDer<'static>>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A log in a `PostgreSQL` database.
#[derive(Debug)]
pub struct PostgresBackend {
    link: Link,
    /// The index of the next entry.
    next: u64,
    /// Whether that has to be found out anew.
    is_stale: bool,
    /// What is held for as long as the log is open.
    _lock: Option<File>,
}

impl PostgresBackend {
    /// Makes a new log. Fails if the database holds one.
    pub fn create(access: Access) -> Result<Self, BackendError> {
        Self::open_for(access, Purpose::Create)
    }

    /// Makes a new log to copy another one into. Until [`Self::finish_filling`] it is opened by nobody, and whoever makes a
    /// log in its place begins anew.
    pub fn fill(access: Access) -> Result<Self, BackendError> {
        let mut backend = Self::create(access)?;
        backend.take_pen()?;
        backend.rows(sql::BEGIN_TO_FILL, Vec::new())?;
        backend.give_pen()?;
        Ok(backend)
    }

    /// Makes a log of what was copied, all at once.
    pub fn finish_filling(&mut self) -> Result<(), BackendError> {
        // Somebody else may have begun anew meanwhile: what is there then is theirs.
        if self.take_pen()? || self.rows(sql::FINISH_FILLING, Vec::new())?.is_empty() {
            return Err(BackendError::Other("somebody else has written to it".to_owned()));
        }
        self.give_pen()
    }

    /// Opens a log to append to it.
    pub fn open(access: Access) -> Result<Self, BackendError> {
        Self::open_for(access, Purpose::Write)
    }

    /// Opens a log to read it. Nothing is changed.
    pub fn open_read_only(access: Access) -> Result<Self, BackendError> {
        Self::open_for(access, Purpose::Read)
    }

    /// The same, which keeps a lock of this machine's for as long as the log is open.
    #[must_use]
    pub fn with_lock(self, lock: File) -> Self {
        Self { _lock: Some(lock), ..self }
    }

    fn open_for(access: Access, purpose: Purpose) -> Result<Self, BackendError> {
        let mut backend = Self { link: Link::open(access, purpose)?, next: 0, is_stale: true, _lock: None };
        backend.find_end()?;
        Ok(backend)
    }

    fn find_end(&mut self) -> Result<(), BackendError> {
        self.next = self.head()?.map_or(0, |last| last.index.saturating_add(1));
        self.is_stale = false;
        Ok(())
    }

    fn rows(&self, sql: &'static str, params: Params) -> Result<Vec<Row>, BackendError> {
        match self.link.work(Work::Rows { sql, params })? {
            Answer::Rows(rows) => Ok(rows),
            Answer::Done | Answer::Pen { .. } => Ok(Vec::new()),
        }
    }

    fn one<T>(
        &self,
        sql: &'static str,
        params: Params,
        read: impl FnOnce(&Row) -> Result<T, BackendError>,
    ) -> Result<Option<T>, BackendError> {
        self.rows(sql, params)?.first().map(read).transpose()
    }

    fn many<T>(
        &self,
        sql: &'static str,
        params: Params,
        read: impl Fn(&Row) -> Result<T, BackendError>,
    ) -> Result<Vec<T>, BackendError> {
        self.rows(sql, params)?.iter().map(read).collect()
    }
}

impl Backend for PostgresBackend {
    fn is_shared(&self) -> bool {
        true
    }

    fn take_pen(&mut self) -> Result<bool, BackendError> {
        let is_news = matches!(self.link.work(Work::TakePen)?, Answer::Pen { is_news: true });
        self.is_stale |= is_news;
        if self.is_stale {
            self.find_end()?;
        }
        Ok(is_news)
    }

    fn give_pen(&mut self) -> Result<(), BackendError> {
        self.link.work(Work::GivePen).map(|_| ())
    }

    fn lease(&self, call: &CallId) -> Result<Lease, BackendError> {
        let read = |row: &Row| Ok((column::<bool>(row, 0)?, column::<bool>(row, 1)?));
        Ok(match self.one(sql::LEASE, vec![Box::new(call.to_string())], read)? {
            None | Some((true, _)) => Lease::Lost,
            Some((false, false)) => Lease::Overdue,
            Some((false, true)) => Lease::Held,
        })
    }

    fn host_lease(&self) -> HostLease {
        self.link.lease()
    }

    fn take_over(&mut self) -> Result<(), BackendError> {
        self.link.work(Work::TakeOver).map(|_| ())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), BackendError> {
        super::check_contiguous(&batch.entries, self.next)?;
        let next = self.next.saturating_add(super::length(batch.entries.len()));
        self.link.work(Work::Commit { batch: Box::new(batch), next: self.next })?;
        self.next = next;
        Ok(())
    }

    /// Deleted rows stay in the files of their table until it is written anew. What the server keeps of its write-ahead
    /// log, and whoever copies that, is not within reach.
    fn scrub(&mut self) -> Result<(), BackendError> {
        self.link.work(Work::Scrub).map(|_| ())
    }

    fn head(&self) -> Result<Option<StoredEntry>, BackendError> {
        self.one(sql::LAST_ENTRY, Vec::new(), entry_of)
    }

    fn entry(&self, index: u64) -> Result<Option<StoredEntry>, BackendError> {
        self.one(sql::ENTRY, vec![Box::new(to_sql(index))], entry_of)
    }

    fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, BackendError> {
        self.many(sql::ENTRIES, vec![Box::new(to_sql(from)), Box::new(limited(limit))], entry_of)
    }

    fn content(&self, key: &ContentKey) -> Result<Option<StoredContent>, BackendError> {
        self.one(sql::CONTENT, vec![Box::new(key.commitment.digest().as_bytes().to_vec())], |row| {
            let nonce = Nonce::from_random(array(row, 0)?);
            Ok(StoredContent { commitment: key.commitment, nonce, bytes: column(row, 1)? })
        })
    }

    fn content_length(&self, key: &ContentKey) -> Result<Option<u64>, BackendError> {
        let params: Params = vec![Box::new(key.commitment.digest().as_bytes().to_vec())];
        self.one(sql::CONTENT_LENGTH, params, |row| index(row, 0))
    }

    fn call(&self, call: &CallId) -> Result<Option<CallRow>, BackendError> {
        self.one(sql::CALL, vec![Box::new(call.to_string())], call_of)
    }

    fn call_by_key(&self, principal: &Principal, key: &Digest) -> Result<Option<CallRow>, BackendError> {
        let params: Params = vec![Box::new(principal.to_string()), Box::new(key.as_bytes().to_vec())];
        self.one(sql::CALL_BY_KEY, params, call_of)
    }

    fn open_calls(&self) -> Result<Vec<CallRow>, BackendError> {
        self.many(sql::OPEN_CALLS, Vec::new(), call_of)
    }

    fn unknown_calls(&self, from: u64, limit: usize) -> Result<Vec<CallRow>, BackendError> {
        self.many(sql::UNKNOWN_CALLS, vec![Box::new(to_sql(from)), Box::new(limited(limit))], call_of)
    }

    fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        self.one(sql::FACT, vec![Box::new(kind.as_str()), Box::new(key.to_owned())], |row| column(row, 0))
    }

    fn facts(&self, kind: FactKind, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, BackendError> {
        let params: Params = vec![Box::new(kind.as_str()), Box::new(after.to_owned()), Box::new(limited(limit))];
        self.many(sql::FACTS, params, |row| Ok((column(row, 0)?, column(row, 1)?)))
    }

    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, BackendError> {
        let params: Params = vec![Box::new(i64::from(level)), Box::new(to_sql(index))];
        self.one(sql::NODE, params, |row| array(row, 0).map(Digest::from_bytes))
    }

    fn latest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, BackendError> {
        self.one(sql::LATEST_CHECKPOINT, Vec::new(), checkpoint_of)
    }

    fn checkpoint_covering(&self, size: u64) -> Result<Option<StoredCheckpoint>, BackendError> {
        self.one(sql::CHECKPOINT_COVERING, vec![Box::new(to_sql(size))], checkpoint_of)
    }
}

fn limited(limit: usize) -> i64 {
    to_sql(super::length(limit))
}

fn entry_of(row: &Row) -> Result<StoredEntry, BackendError> {
    Ok(StoredEntry { index: index(row, 0)?, hash: Digest::from_bytes(array(row, 1)?), bytes: column(row, 2)? })
}

fn checkpoint_of(row: &Row) -> Result<StoredCheckpoint, BackendError> {
    Ok(StoredCheckpoint { size: index(row, 0)?, note: column(row, 1)? })
}

fn call_of(row: &Row) -> Result<CallRow, BackendError> {
    let columns = CallColumns {
        call: column(row, 0)?,
        principal: column(row, 1)?,
        key: column::<Option<&[u8]>>(row, 2)?.map(sized).transpose()?,
        fingerprint: column::<Option<&[u8]>>(row, 3)?.map(sized).transpose()?,
        reach: column(row, 4)?,
        begun: column(row, 5)?,
        ended: column(row, 6)?,
        effect: column(row, 7)?,
        settled: column(row, 8)?,
        settlement: column(row, 9)?,
    };
    columns.row()
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, BackendError> {
    row.try_get(at).map_err(|error| unreadable(&error))
}

fn index(row: &Row, at: usize) -> Result<u64, BackendError> {
    from_sql(column(row, at)?).map_err(BackendError::Corrupt)
}

fn array<const N: usize>(row: &Row, at: usize) -> Result<[u8; N], BackendError> {
    sized(column(row, at)?)
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N], BackendError> {
    bytes.try_into().map_err(|_| BackendError::Corrupt(format!("`{}` bytes stand where `{N}` belong", bytes.len())))
}

#[cfg(test)]
#[path = "../../../../../tests/harness/postgres.rs"]
pub(crate) mod server;
#[cfg(test)]
pub(crate) mod tests;
