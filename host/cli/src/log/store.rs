//! Where a home's log is: a file in the home, a database on a server, or the memory of this process.
//!
//! Owns the choice among the three, and the password that the second may take: from a variable or a file that nobody
//! else can read, for as long as a connection is made, and into nothing that is written or shown.

use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use ringfence_runtime::ledger::LedgerError;
use ringfence_runtime::ledger::backend::Backend;
use ringfence_runtime::ledger::backend::BackendError;
use ringfence_runtime::ledger::backend::MemoryBackend;
use ringfence_runtime::ledger::backend::MemoryStore;
use ringfence_runtime::ledger::backend::PostgresBackend;
use ringfence_runtime::ledger::backend::SqliteBackend;
use ringfence_runtime::ledger::backend::postgres::Access;
use ringfence_runtime::ledger::backend::postgres::address::Address;
use zeroize::Zeroizing;

use crate::config::StoreConfig;
use crate::egress;
use crate::home::Home;
use crate::home::HomeError;
use crate::home::read_key;

/// The variable that the password of the log's server may stand in.
const PASSWORD_VARIABLE: &str = "RINGFENCE_STORE_PASSWORD";
/// The longest password.
const PASSWORD_BYTES_MAX: usize = 1024;

/// How long a command waits for another to let go of the log, and how often it looks.
const IN_USE_WAIT: Duration = Duration::from_secs(10);
const IN_USE_PAUSE: Duration = Duration::from_millis(20);

/// Where a log is, and all it takes to get there.
#[derive(Debug)]
pub enum LogStore {
    /// A file.
    File(PathBuf),
    /// A database, which other homes may use, and a file that one process at a time locks, which has this home.
    Database(Box<Access>, PathBuf),
    /// The memory of this process, and the same kind of file: the rest of the home is on disk, and others may use it.
    Memory(MemoryStore, PathBuf),
}

impl LogStore {
    /// The store of a home.
    pub fn of(home: &Home) -> Result<Self, HomeError> {
        let table = &home.config().log;
        let lock = home.folder().join("log.lock");
        let address = match (&table.store, home.memory_log()) {
            (Some(StoreConfig::Database(address)), _) => address,
            (_, Some(log)) => return Ok(Self::Memory(log.store().clone(), lock)),
            // A home that is being made has a log on disk, whatever is used beside it.
            (_, None) => return Ok(Self::File(home.log_path())),
        };
        let entrance = Entrance {
            address,
            password_file: table.store_password_file.as_deref(),
            password_variable: PASSWORD_VARIABLE,
            roots: table.store_roots.as_deref(),
        };
        Ok(Self::Database(Box::new(access(home, &entrance)?), lock))
    }

    /// Makes a new log. One that was begun and holds no entry yet is taken for new.
    pub fn create(&self) -> Result<Box<dyn Backend>, HomeError> {
        match self {
            Self::File(path) => opened(SqliteBackend::create(path)),
            Self::Database(access, _) => opened(PostgresBackend::create(Access::clone(access))),
            Self::Memory(store, _) => opened(store.open()),
        }
    }

    /// Opens the log to append to it.
    pub fn open(&self) -> Result<Box<dyn Backend>, HomeError> {
        wait_while_in_use(|| match self {
            Self::File(path) => boxed(SqliteBackend::open(path)),
            Self::Database(access, path) => {
                let lock = locked(path, File::try_lock)?;
                boxed(PostgresBackend::open(Access::clone(access)).map(|backend| backend.with_lock(lock)))
            }
            Self::Memory(store, path) => boxed(in_memory(store, locked(path, File::try_lock)?)),
        })
    }

    /// Opens the log to read it.
    pub fn open_read_only(&self) -> Result<Box<dyn Backend>, HomeError> {
        wait_while_in_use(|| match self {
            Self::File(path) => boxed(SqliteBackend::open_read_only(path)),
            Self::Database(access, path) => {
                let lock = locked_to_read(path)?;
                boxed(PostgresBackend::open_read_only(Access::clone(access)).map(|backend| backend.with_lock(lock)))
            }
            Self::Memory(store, path) => boxed(in_memory(store, locked_to_read(path)?)),
        })
    }

    /// The address of the database, if it is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::File(_) | Self::Memory(..) => None,
            Self::Database(access, _) => Some(&access.address),
        }
    }
}

fn in_memory(store: &MemoryStore, lock: File) -> Result<MemoryBackend, BackendError> {
    store.open().map(|backend| backend.with_lock(lock))
}

/// A home that nobody may write to can be read all the same.
fn locked_to_read(path: &Path) -> Result<File, BackendError> {
    let Ok(file) = File::open(path) else { return locked(path, File::try_lock_shared) };
    match file.try_lock_shared() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackendError::InUse),
        Err(TryLockError::Error(error)) => Err(BackendError::Io(format!("`{}`: {error}", path.display()))),
    }
}

/// What a home holds besides its log, its head and scratch folders, belongs to one process at a time as well, or to readers.
fn locked(path: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> Result<File, BackendError> {
    let failed = |error: io::Error| BackendError::Io(format!("`{}`: {error}", path.display()));
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(failed)?;
    match lock(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackendError::InUse),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// A database as it is configured.
pub struct Entrance<'a> {
    pub address: &'a Address,
    /// Files are relative to the home.
    pub password_file: Option<&'a Path>,
    /// Where the password stands if it stands in no file.
    pub password_variable: &'static str,
    pub roots: Option<&'a Path>,
}

/// All it takes to get into a database.
pub fn access(home: &Home, entrance: &Entrance<'_>) -> Result<Access, HomeError> {
    let roots = entrance.roots.map(|path| egress::certificates(&home.folder().join(path))).transpose()?;
    Ok(Access { address: entrance.address.clone(), password: password(home, entrance)?, roots })
}

fn password(home: &Home, entrance: &Entrance<'_>) -> Result<Option<Zeroizing<String>>, HomeError> {
    if let Some(file) = entrance.password_file {
        let path = home.folder().join(file);
        let text = Zeroizing::new(read_key(&path)?);
        return checked(&text).map(Some).map_err(|why| HomeError::Key { path: path.display().to_string(), why });
    }
    let variable = entrance.password_variable;
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let wrong = |why| HomeError::Key { path: variable.to_owned(), why };
    let text = value.into_string().map_err(|_| wrong("it is not Unicode text".to_owned()))?;
    checked(&Zeroizing::new(text)).map(Some).map_err(wrong)
}

fn checked(text: &str) -> Result<Zeroizing<String>, String> {
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.len() > PASSWORD_BYTES_MAX || line.contains(char::is_control) {
        return Err(format!("a password is one line of 1 to {PASSWORD_BYTES_MAX} bytes"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn boxed(backend: Result<impl Backend + 'static, BackendError>) -> Result<Box<dyn Backend>, BackendError> {
    backend.map(|backend| -> Box<dyn Backend> { Box::new(backend) })
}

fn opened(backend: Result<impl Backend + 'static, BackendError>) -> Result<Box<dyn Backend>, HomeError> {
    Ok(boxed(backend).map_err(LedgerError::from)?)
}

/// One process at a time holds the log. Commands are short, so a second one waits a while before it says so.
pub fn wait_while_in_use<T>(open: impl Fn() -> Result<T, BackendError>) -> Result<T, HomeError> {
    let started = Instant::now();
    loop {
        match open() {
            Err(BackendError::InUse) if started.elapsed() < IN_USE_WAIT => std::thread::sleep(IN_USE_PAUSE),
            result => return Ok(result.map_err(LedgerError::from)?),
        }
    }
}
