//! A log in one `SQLite` file.
//!
//! Durability order, all of it `SQLite`'s: the frames of a transaction go to the write-ahead file, then its commit frame,
//! then a sync (`synchronous=FULL`), then `COMMIT` returns. A crash before the commit frame leaves nothing of the
//! transaction, one after it leaves all of it.
//!
//! There is one process at a time. A writer holds `SQLite`'s exclusive lock from open to close, so another process that
//! opens the file, to write or to read, is told that it is in use (CR-31). The lock goes with the process, so a crash
//! leaves none behind.
//!
//! A file is opened only if it is a log by its `application_id` and of a schema this version knows. An older schema is
//! brought up when the log is opened to be written, a transaction for each version, by statements that only add; nothing
//! is ever truncated or repaired here.

use std::collections::HashSet;
use std::fmt::Display;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ringfence_audit::tree::Node;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;
use rusqlite::CachedStatement;
use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension;
use rusqlite::Params;
use rusqlite::Row;
use rusqlite::TransactionBehavior;
use rusqlite::params;

use crate::ledger::backend::Backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::Fact;
use crate::ledger::backend::FactKind;
use crate::ledger::backend::StoredCheckpoint;
use crate::ledger::backend::StoredContent;
use crate::ledger::backend::StoredEntry;
use crate::ledger::backend::columns::CallColumns;
use crate::ledger::backend::columns::from_sql;
use crate::ledger::backend::columns::to_sql;

mod sql;

/// How far the places of two entries' contents are apart. Part of the format.
const CONTENTS_PER_ENTRY: i64 = 8;
const _: () = assert!(ContentName::ALL.len() <= 8, "an entry's contents have a place each");

/// KiB of pages that are kept in memory.
const CACHE_KIB: i64 = 16 * 1_024;
/// Pages in the write-ahead file before it is carried over: the more, the oftener a page was changed twice meanwhile.
const CHECKPOINT_PAGES: i64 = 4_000;

/// A log in one `SQLite` file.
#[derive(Debug)]
pub struct SqliteBackend {
    connection: Connection,
    /// The index of the next entry.
    next: u64,
    /// The version of its schema; of one that is only read it may be an older one.
    schema: i64,
}

impl SqliteBackend {
    /// Makes a new log at `path`. Fails if there is anything, and leaves nothing behind if it fails.
    pub fn create(path: &Path) -> Result<Self, BackendError> {
        create_file(path)?;
        Self::fill(path).inspect_err(|_| {
            // Ownership: the file is the one made above, and holds nothing yet. What can't be removed is refused later.
            let _ = fs::remove_file(path);
            let _ = fs::remove_file(wal(path));
        })
    }

    fn fill(path: &Path) -> Result<Self, BackendError> {
        let connection = connect(path, Mode::Write)?;
        configure(&connection, Mode::Write).map_err(|error| failed(&error))?;
        connection.execute_batch(sql::SCHEMA).map_err(|error| failed(&error))?;
        // Durability: the name of the file has to survive a power cut as well as what is in it.
        sync_folder(path).map_err(|error| io_failed(path, &error))?;
        Ok(Self { connection, next: 0, schema: sql::SCHEMA_VERSION })
    }

    /// Opens the log at `path` to append to it.
    pub fn open(path: &Path) -> Result<Self, BackendError> {
        Self::open_as(path, Mode::Write)
    }

    /// Opens the log at `path` to read it, also from a disk or a folder that can't be written. Nothing is changed.
    pub fn open_read_only(path: &Path) -> Result<Self, BackendError> {
        match Self::open_as(path, Mode::Read) {
            // SQLite reads a log with its write-ahead file only where it may keep its own notes beside it. If that file
            // is gone or empty, the log was closed in order and nothing is in it that the log lacks.
            Err(BackendError::Io(_) | BackendError::ReadOnly) if wal_is_empty(path) => {
                Self::open_as(path, Mode::ReadUnchanging)
            }
            Err(BackendError::Io(_) | BackendError::ReadOnly) if path.exists() => {
                let why = "it was not closed in order; open it once where its folder can be written, or copy it there";
                Err(unusable(path, why))
            }
            result => result,
        }
    }

    fn open_as(path: &Path, mode: Mode) -> Result<Self, BackendError> {
        check_file(path)?;
        let connection = connect(path, mode)?;
        let version = check_kind(&connection, path)?;
        configure(&connection, mode).map_err(|error| failed(&error))?;
        bring_up(&connection, mode, version).map_err(|error| failed(&error))?;
        if mode == Mode::Write {
            // Durability: SQLite syncs the name of its write-ahead file as well, but says nothing if that fails.
            sync_folder(path).map_err(|error| io_failed(path, &error))?;
        }
        let last: Option<i64> =
            connection.query_row(sql::LAST_INDEX, [], |row| row.get(0)).map_err(|error| failed(&error))?;
        let next = last.map_or(Ok(0), from_sql).map_err(BackendError::Corrupt)?;
        let next = if last.is_some() { next.saturating_add(1) } else { 0 };
        Ok(Self { connection, next, schema: if mode == Mode::Write { sql::SCHEMA_VERSION } else { version } })
    }

    /// Writes a copy of the log to a file that is not there yet: what has been committed, and nothing that was removed.
    pub fn copy_to(&self, path: &Path) -> Result<(), BackendError> {
        let text = path.to_str().ok_or_else(|| unusable(path, "its path is not Unicode text"))?;
        self.connection.execute("VACUUM INTO ?1", [text]).map_err(|error| failed(&error))?;
        File::open(path).and_then(|file| file.sync_all()).map_err(|error| io_failed(path, &error))
    }

    fn cached(&self, sql: &str) -> Result<CachedStatement<'_>, BackendError> {
        self.connection.prepare_cached(sql).map_err(|error| failed(&error))
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, BackendError> {
        self.cached(sql)?.query_row(params, read).optional().map_err(|error| failed(&error))
    }

    /// Where a content is, or where one was stored before they were by their entries.
    fn one_content<T>(
        &self,
        key: &ContentKey,
        sql: &str,
        old: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, BackendError> {
        if self.schema >= sql::SCHEMA_WITH_ENTRY_CONTENTS
            && let Some(found) = self.one(sql, [content_id(key)], &read)?
        {
            return Ok(Some(found));
        }
        self.one(old, [key.commitment.digest().as_bytes()], read)
    }

    fn many<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, BackendError> {
        let mut statement = self.cached(sql)?;
        let rows = statement.query_map(params, read).map_err(|error| failed(&error))?;
        rows.collect::<Result<_, _>>().map_err(|error| failed(&error))
    }
}

impl Backend for SqliteBackend {
    fn commit(&mut self, batch: Batch) -> Result<(), BackendError> {
        super::check_contiguous(&batch.entries, self.next)?;
        let next = self.next.saturating_add(super::length(batch.entries.len()));
        let result = write(&mut self.connection, &batch);
        // Invariant: no transaction stays open behind an error; one that could not be undone may still be committed.
        if !self.connection.is_autocommit() {
            return Err(BackendError::Io("a failed write could not be undone".to_owned()));
        }
        result.map_err(|error| failed(&error))?;
        self.next = next;
        Ok(())
    }

    /// A page that was split or filled anew may keep a copy of what stood in it, and the write-ahead file keeps every page
    /// as it was: so the file is written anew from what is in it, and the write-ahead file cut to nothing.
    fn scrub(&mut self) -> Result<(), BackendError> {
        self.connection.execute_batch("VACUUM").map_err(|error| failed(&error))?;
        let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        match busy.map_err(|error| failed(&error))? {
            0 => Ok(()),
            _ => Err(BackendError::InUse),
        }
    }

    fn head(&self) -> Result<Option<StoredEntry>, BackendError> {
        self.one(sql::LAST_ENTRY, [], entry_of)
    }

    fn entry(&self, index: u64) -> Result<Option<StoredEntry>, BackendError> {
        self.one(sql::ENTRY, [to_sql(index)], entry_of)
    }

    fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, BackendError> {
        self.many(sql::ENTRIES, [to_sql(from), to_sql(super::length(limit))], entry_of)
    }

    fn content(&self, key: &ContentKey) -> Result<Option<StoredContent>, BackendError> {
        self.one_content(key, sql::CONTENT, sql::OLD_CONTENT, |row| {
            let nonce = Nonce::from_random(row.get(0)?);
            Ok(StoredContent { commitment: key.commitment, nonce, bytes: row.get(1)? })
        })
    }

    fn content_length(&self, key: &ContentKey) -> Result<Option<u64>, BackendError> {
        let length = self.one_content(key, sql::CONTENT_LENGTH, sql::OLD_CONTENT_LENGTH, |row| row.get::<_, i64>(0))?;
        length.map(from_sql).transpose().map_err(BackendError::Corrupt)
    }

    fn call(&self, call: &CallId) -> Result<Option<CallRow>, BackendError> {
        self.one(sql::CALL, [call.to_string()], call_of)?.transpose()
    }

    fn call_by_key(&self, principal: &Principal, key: &Digest) -> Result<Option<CallRow>, BackendError> {
        self.one(sql::CALL_BY_KEY, params![principal.to_string(), key.as_bytes()], call_of)?.transpose()
    }

    fn open_calls(&self) -> Result<Vec<CallRow>, BackendError> {
        self.many(sql::OPEN_CALLS, [], call_of)?.into_iter().collect()
    }

    fn unknown_calls(&self, from: u64, limit: usize) -> Result<Vec<CallRow>, BackendError> {
        let range = [to_sql(from), to_sql(super::length(limit))];
        self.many(sql::UNKNOWN_CALLS, range, call_of)?.into_iter().collect()
    }

    fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        if self.schema < sql::SCHEMA_WITH_FACTS {
            return Ok(None);
        }
        self.one(sql::FACT, [kind.as_str(), key], |row| row.get(0))
    }

    fn facts(&self, kind: FactKind, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, BackendError> {
        if self.schema < sql::SCHEMA_WITH_FACTS {
            return Ok(Vec::new());
        }
        let limit = to_sql(super::length(limit));
        self.many(sql::FACTS, params![kind.as_str(), after, limit], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, BackendError> {
        self.one(sql::NODE, params![level, to_sql(index)], |row| Ok(Digest::from_bytes(row.get(0)?)))
    }

    fn latest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, BackendError> {
        self.one(sql::LATEST_CHECKPOINT, [], checkpoint_of)?.transpose()
    }

    fn checkpoint_covering(&self, size: u64) -> Result<Option<StoredCheckpoint>, BackendError> {
        self.one(sql::CHECKPOINT_COVERING, [to_sql(size)], checkpoint_of)?.transpose()
    }
}

fn write(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for StoredEntry { index, hash, bytes } in &batch.entries {
        transaction.prepare_cached(sql::PUT_ENTRY)?.execute(params![to_sql(*index), hash.as_bytes(), bytes])?;
    }
    for (key, StoredContent { nonce, bytes, .. }) in &batch.contents {
        transaction.prepare_cached(sql::PUT_CONTENT)?.execute(params![content_id(key), nonce.as_bytes(), bytes])?;
    }
    for row in &batch.calls {
        put_call(&transaction, row)?;
    }
    for Node { level, index, hash } in &batch.nodes {
        transaction.prepare_cached(sql::PUT_NODE)?.execute(params![level, to_sql(*index), hash.as_bytes()])?;
    }
    if let Some(StoredCheckpoint { size, note }) = &batch.checkpoint {
        transaction.prepare_cached(sql::PUT_CHECKPOINT)?.execute(params![to_sql(*size), note])?;
    }
    for Fact { kind, key, value } in last_of_each(&batch.facts) {
        match value {
            Some(value) => {
                transaction.prepare_cached(sql::PUT_FACT)?.execute(params![kind.as_str(), key, value])?;
            }
            None => {
                transaction.prepare_cached(sql::REMOVE_FACT)?.execute([kind.as_str(), key])?;
            }
        }
    }
    for key in &batch.removals {
        transaction.prepare_cached(sql::REMOVE_CONTENT)?.execute([content_id(key)])?;
        transaction.prepare_cached(sql::REMOVE_OLD_CONTENT)?.execute([key.commitment.digest().as_bytes()])?;
    }
    transaction.commit()
}

/// Where a content is: in the order of entries, so that what is written together lies together.
fn content_id(key: &ContentKey) -> i64 {
    let place = ContentName::ALL.iter().position(|name| *name == key.name).unwrap_or_default();
    to_sql(key.entry).saturating_mul(CONTENTS_PER_ENTRY).saturating_add(to_sql(super::length(place)))
}

/// Of facts that were set more than once, what they were set to last: calls that wait together count for the same.
fn last_of_each(facts: &[Fact]) -> Vec<&Fact> {
    let mut seen = HashSet::new();
    facts.iter().rev().filter(|fact| seen.insert((fact.kind, fact.key.as_str()))).collect()
}

fn put_call(connection: &Connection, row: &CallRow) -> rusqlite::Result<()> {
    let columns = CallColumns::of(row);
    connection.prepare_cached(sql::PUT_CALL)?.execute(params![
        columns.call,
        columns.principal,
        columns.key,
        columns.fingerprint,
        columns.reach,
        columns.begun,
        columns.ended,
        columns.effect,
        columns.settled,
        columns.settlement,
    ])?;
    Ok(())
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    let index: i64 = row.get(0)?;
    let index = u64::try_from(index).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, index))?;
    Ok(StoredEntry { index, hash: Digest::from_bytes(row.get(1)?), bytes: row.get(2)? })
}

fn checkpoint_of(row: &Row<'_>) -> rusqlite::Result<Result<StoredCheckpoint, BackendError>> {
    let (size, note) = (row.get(0)?, row.get(1)?);
    Ok(from_sql(size).map(|size| StoredCheckpoint { size, note }).map_err(BackendError::Corrupt))
}

fn call_of(row: &Row<'_>) -> rusqlite::Result<Result<CallRow, BackendError>> {
    let columns = CallColumns {
        call: row.get(0)?,
        principal: row.get(1)?,
        key: row.get(2)?,
        fingerprint: row.get(3)?,
        reach: row.get(4)?,
        begun: row.get(5)?,
        ended: row.get(6)?,
        effect: row.get(7)?,
        settled: row.get(8)?,
        settlement: row.get(9)?,
    };
    Ok(columns.row())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Read,
    /// Nobody can write the file while it is open, so no locks are taken.
    ReadUnchanging,
    Write,
}

fn connect(path: &Path, mode: Mode) -> Result<Connection, BackendError> {
    let access = match mode {
        Mode::Read | Mode::ReadUnchanging => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Mode::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = match mode {
        Mode::ReadUnchanging => Connection::open_with_flags(immutable(path)?, flags | OpenFlags::SQLITE_OPEN_URI),
        Mode::Read | Mode::Write => Connection::open_with_flags(path, flags),
    };
    let connection = opened.map_err(|error| failed(&error))?;
    connection.busy_timeout(Duration::ZERO).map_err(|error| failed(&error))?;
    if mode == Mode::Write {
        // SQLite opens what it can't write for reading, and says nothing.
        if connection.is_readonly("main").map_err(|error| failed(&error))? {
            return Err(BackendError::ReadOnly);
        }
        // The lock is kept from the first time it is taken.
        connection.pragma_update(None, "locking_mode", "exclusive").map_err(|error| failed(&error))?;
    }
    Ok(connection)
}

/// The URI of a file that nobody changes; every byte that could mean something in a URI is escaped.
fn immutable(path: &Path) -> Result<String, BackendError> {
    use std::fmt::Write as _;
    let absolute = path.canonicalize().map_err(|error| io_failed(path, &error))?;
    let mut uri = "file:".to_owned();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            uri.push(char::from(*byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri.push_str("?immutable=1");
    Ok(uri)
}

fn configure(connection: &Connection, mode: Mode) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    if mode == Mode::Write {
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
        // What is removed is overwritten where it stood. `scrub` sees to the copies.
        connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
        // Where a plain sync stops at the drive's cache (macOS), ask for more.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        // Takes the lock now, so that a second process is refused before it does anything.
        connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
    }
    Ok(())
}

/// Brings a schema of an older version up, or, where nothing may be written, shows it as this version asks for it.
fn bring_up(connection: &Connection, mode: Mode, version: i64) -> rusqlite::Result<()> {
    if mode == Mode::Write {
        let mut due = sql::MIGRATIONS.iter().filter(|(to, _)| version < *to);
        return due.try_for_each(|(_, statements)| connection.execute_batch(statements));
    }
    if version < sql::SCHEMA_WITH_SETTLEMENTS {
        connection.execute_batch(sql::SHOW_SETTLEMENTS)?;
    }
    if (sql::SCHEMA_WITH_FACTS..sql::SCHEMA_WITH_LISTS).contains(&version) {
        connection.execute_batch(sql::SHOW_LISTS)?;
    }
    Ok(())
}

/// Trust boundary: a path from the operator may name any file; only a log is touched.
fn check_kind(connection: &Connection, path: &Path) -> Result<i64, BackendError> {
    let number = |pragma: &str| connection.pragma_query_value::<i64, _>(None, pragma, |row| row.get(0));
    let id = number("application_id").map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => unusable(path, "it is not a log"),
        _ => failed(&error),
    })?;
    let version = number("user_version").map_err(|error| failed(&error))?;
    match (id, version) {
        (sql::APPLICATION_ID, 1..=sql::SCHEMA_VERSION) => Ok(version),
        (sql::APPLICATION_ID, version) => {
            let known = sql::SCHEMA_VERSION;
            Err(unusable(path, &format!("its schema has version `{version}`, and this host knows version `{known}`")))
        }
        _ if number("schema_version").is_ok_and(|version| version == 0) => {
            Err(unusable(path, "it was not finished being made, holds nothing, and can be removed"))
        }
        _ => Err(unusable(path, "it is a database, but not a log")),
    }
}

fn check_file(path: &Path) -> Result<(), BackendError> {
    match path.metadata() {
        Ok(found) if !found.is_file() => Err(unusable(path, "it is not a file")),
        Ok(found) if found.len() == 0 => Err(unusable(path, "it is empty")),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unusable(path, "there is no such file")),
        Err(error) => Err(io_failed(path, &error)),
    }
}

fn create_file(path: &Path) -> Result<(), BackendError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::AlreadyExists => unusable(path, "it exists already"),
            io::ErrorKind::NotFound => unusable(path, "its folder does not exist"),
            _ => io_failed(path, &error),
        }),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn wal(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    PathBuf::from(wal)
}

fn wal_is_empty(path: &Path) -> bool {
    match wal(path).metadata() {
        Ok(found) => found.len() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn unusable(path: &Path, why: &str) -> BackendError {
    BackendError::Unusable { path: path.display().to_string(), why: why.to_owned() }
}

fn io_failed(path: &Path, error: &io::Error) -> BackendError {
    match error.kind() {
        io::ErrorKind::StorageFull => BackendError::DiskFull,
        io::ErrorKind::ReadOnlyFilesystem => BackendError::ReadOnly,
        io::ErrorKind::PermissionDenied => unusable(path, "permission denied"),
        _ => BackendError::Io(one_line(error)),
    }
}

fn failed(error: &rusqlite::Error) -> BackendError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BackendError::DiskFull,
        Some(ErrorCode::ReadOnly) => BackendError::ReadOnly,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => BackendError::InUse,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => BackendError::Corrupt(one_line(error)),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            BackendError::Io(one_line(error))
        }
        Some(_) => BackendError::Other(one_line(error)),
        None => unreadable(error),
    }
}

/// A value of another type than the schema says is damage, not a bug.
fn unreadable(error: &rusqlite::Error) -> BackendError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => BackendError::Corrupt(one_line(error)),
        _ => BackendError::Other(one_line(error)),
    }
}

fn one_line(error: &impl Display) -> String {
    error.to_string().replace('\n', " ")
}

#[cfg(test)]
mod tests;
