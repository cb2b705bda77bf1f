//! The home: the folder that a host's state lives in, and how it is opened.
//!
//! ```text
//! ringfence.toml    the operator's configuration
//! log.sqlite        the log (with -wal and -shm beside it while it is open); `[log] store` puts it into a database, or leaves it
//!                   aside for one in memory
//! log.lock          locked while a process has this home, if the log is in a database or in memory
//! log.head          the newest checkpoint, in a second place; `[log] head` puts it elsewhere, or into a database
//! log.head.lock     held while the head is compared and replaced; it stands beside the head
//! keys/log.key      signs checkpoints
//! keys/next-log.key takes its place at a rotation; there only while one is under way
//! keys/cache.key    authenticates compiled components
//! tokens.toml       digests of the tokens that the server knows
//! cache/            compiled components
//! scratch/          folders of calls that are running
//! archive/          the policies that have been in force, and their settings, by their digests
//! tools/            the files of registered tools, by their digests
//! ```
//!
//! Nothing security-relevant is created except by `init`. A key that others can read is refused.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use ringfence_audit::note::Verifier;
use ringfence_audit::signer::Signer;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_model::entry::Opened;
use ringfence_model::limits;
use ringfence_model::time::Clock;
use ringfence_model::time::Timestamp;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::engine::EngineError;
use ringfence_runtime::engine::cache::Cache;
use ringfence_runtime::halt::Halt;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::ledger::LedgerError;
use ringfence_runtime::ledger::SystemRandom;
use ringfence_runtime::ledger::backend;
use ringfence_runtime::ledger::backend::Backend;
use ringfence_runtime::ledger::backend::PostgresBackend;
use ringfence_runtime::ledger::backend::sqlite::SqliteBackend;
use ringfence_runtime::sequencer;
use ringfence_runtime::sequencer::HeadPlace;
use ringfence_runtime::sequencer::Sequencer;
use ringfence_runtime::sequencer::SequencerError;
use thiserror::Error;

use crate::commands;
use crate::config::Config;
use crate::config::ConfigError;
use crate::config::LogConfig;
use crate::config::StoreConfig;
use crate::files;
use crate::log::head;
use crate::log::memory::MemoryLog;
use crate::log::store::LogStore;
use crate::log::store::wait_while_in_use;

/// The key that the log is being handed over to, by the name of its file.
const NEXT_KEY: &str = "next-log";

/// What a new home's configuration says: every default, as comments.
const CONFIG_TEMPLATE: &str = "\
# The configuration of this Ringfence home. Everything here has a default; docs/reference.toml has every key.
# The configuration lowers and pins. What a tool is granted stands on the command line of `ringfence run`, or in the
# table of a tool that `ringfence tool add` has registered.

# [run]
# ring = 3                      # the ring `ringfence run` uses without --ring

# [operator]                    # a ceiling on every call
# folders = [\"/srv/docs\"]       # folders that --dir may open; missing: any

# [policies.ring-default]       # the policies in force; missing: just this one
";

/// Why a home can't be used.
#[derive(Debug, Error)]
pub enum HomeError {
    /// There is none.
    #[error("`{0}` is not a ringfence home")]
    NotInitialised(String),
    /// There is one already.
    #[error("`{0}` is a ringfence home already")]
    AlreadyInitialised(String),
    /// A file of it can't be read or written.
    #[error("`{path}` can't be used: {why}")]
    File { path: String, why: String },
    /// What is secret, or says who is who, can be read by others.
    #[error("`{0}` is refused: others than its owner can read or write it")]
    Exposed(String),
    /// What is secret, or says who is who, is not what it should be.
    #[error("`{path}` is refused: {why}")]
    Key { path: String, why: String },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The head would be put back with the log.
    #[error("the head is in the database `{0}`, which holds the log as well")]
    HeadBesideLog(String),
    /// What is wanted of the log outlasts the process that has it.
    #[error("the log of `{0}` is in memory, and this process has none of an earlier one")]
    LogInMemory(String),
    /// A new log has no head yet.
    #[error("`{0}` holds the head of a log of this name already")]
    HeadTaken(String),
    /// The log can't be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The first checkpoint can't be signed or kept.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
    /// The engine can't be set up.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A home that exists.
#[derive(Debug)]
pub struct Home {
    folder: PathBuf,
    config: Config,
    /// The log, if it is in memory.
    memory_log: Option<Arc<MemoryLog>>,
}

/// The system's clock.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the door time comes in by")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The folder that is the home: the one that was named, else the platform's data folder.
pub fn folder(named: Option<&Path>) -> Result<PathBuf, HomeError> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let from = |name: &str, below: &str| {
        let folder = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some(Path::new(&folder).join(below))
    };
    from("XDG_DATA_HOME", "ringfence")
        .or_else(|| from("HOME", ".local/share/ringfence"))
        .ok_or_else(|| HomeError::NotInitialised("the data folder of this user, which has none,".to_owned()))
}

/// The file that halts the host whose home is in `folder`, whatever else is wrong with that.
pub fn halt_path(folder: &Path) -> PathBuf {
    folder.join("halted")
}

impl Home {
    /// Creates a home: keys, a log with its first entry, a configuration that says where the log is.
    pub fn init(folder: &Path, origin: Option<&str>, log: LogConfig) -> Result<Self, HomeError> {
        let config = Config { log, ..Config::default() };
        let home = Self { folder: folder.to_owned(), config, memory_log: None };
        if home.log_path().exists() || home.key_path("log").exists() {
            return Err(HomeError::AlreadyInitialised(folder.display().to_string()));
        }
        for folder in [folder.to_owned(), folder.join("keys"), folder.join("cache"), folder.join("tools")] {
            let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            created.map_err(|error| file_error(&folder, &error))?;
        }
        let origin = origin.map_or_else(
            || random_bytes::<8>().map(|b| format!("ringfence.local/{}", hex::encode(b))),
            |o| Ok(o.to_owned()),
        )?;
        // Whether the name can sign at all is found out before anything is written.
        signer(&home.key_path("log"), &origin, &[0; 32])?;
        let (store, head) = (LogStore::of(&home)?, head::place(&home)?);
        if sequencer::read_head(head.clone(), &origin)?.is_some() {
            return Err(HomeError::HeadTaken(head.to_string()));
        }
        if store.address().is_some() {
            // Whether there is a server that lets this host make a log is found out before anything is written, too.
            drop(store.create()?);
        }
        write_new(&home.config_path(), (CONFIG_TEMPLATE.to_owned() + &home.config.log.written()).as_bytes(), 0o600)?;
        write_new(&home.key_path("cache"), hex::encode(random_bytes::<64>()?).as_bytes(), 0o600)?;
        let signer = new_signer(&home.key_path("log"), &origin)?;
        let ledger = begin_log(store.create()?, signer.verifier())?;
        // With the first checkpoint there is a head from the start: a home without one has lost it.
        Sequencer::open(&ledger, Arc::new(signer), Some(head))?.publish(&ledger)?;
        Ok(home)
    }

    /// Opens a home and reads its configuration.
    pub fn open(folder: &Path) -> Result<Self, HomeError> {
        let config = Config::default();
        let mut home = Self { folder: folder.to_owned(), config, memory_log: None };
        if !home.log_path().exists() && !home.key_path("log").exists() {
            return Err(HomeError::NotInitialised(folder.display().to_string()));
        }
        home.config = Config::read(&home.config_path())?;
        if matches!(home.config.log.store, Some(StoreConfig::Memory)) {
            home.memory_log = Some(Arc::new(MemoryLog::begin()?));
        }
        Ok(home)
    }

    /// Opens a home whose log outlasts this process: for what makes no sense otherwise.
    pub fn open_with_kept_log(folder: &Path) -> Result<Self, HomeError> {
        let home = Self::open(folder)?;
        if home.memory_log.is_some() {
            return Err(HomeError::LogInMemory(folder.display().to_string()));
        }
        Ok(home)
    }

    /// The same home, with its configuration read anew. A log in memory goes on, for as long as it is wanted there.
    pub fn read_anew(&self) -> Result<Self, HomeError> {
        let home = Self::open(&self.folder)?;
        let memory_log = home.memory_log.map(|new| self.memory_log.clone().unwrap_or(new));
        Ok(Self { memory_log, ..home })
    }

    /// The log, if it is in memory.
    pub fn memory_log(&self) -> Option<&MemoryLog> {
        self.memory_log.as_deref()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same home, with a configuration that was written just now.
    #[must_use]
    pub fn with_config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// The files of registered tools.
    pub fn tools_path(&self) -> PathBuf {
        self.folder.join("tools")
    }

    /// The policies that have been in force.
    pub fn archive_path(&self) -> PathBuf {
        self.folder.join("archive")
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.join("ringfence.toml")
    }

    /// The log, if it is a file.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("log.sqlite")
    }

    /// Where calls get folders of their own.
    pub fn scratch_path(&self) -> PathBuf {
        self.folder.join("scratch")
    }

    /// What stops everything here, as long as it is there.
    pub fn halt(&self) -> Halt {
        Halt::by_file(&halt_path(&self.folder))
    }

    fn key_path(&self, name: &str) -> PathBuf {
        self.folder.join("keys").join(format!("{name}.key"))
    }

    /// The log, to write to.
    pub fn ledger(&self) -> Result<Ledger, HomeError> {
        open_ledger(LogStore::of(self)?.open()?)
    }

    /// The log, to read only: works on a disk that can't be written.
    pub fn ledger_read_only(&self) -> Result<Ledger, HomeError> {
        open_ledger(LogStore::of(self)?.open_read_only()?)
    }

    /// The log's store, to read only, whatever state the log is in: verification looks at it without trusting it.
    pub fn backend_read_only(&self) -> Result<Box<dyn Backend>, HomeError> {
        LogStore::of(self)?.open_read_only()
    }

    /// Copies the log, as of one moment. It is held, and nobody else writes to this home, until what is returned is dropped.
    pub fn copy_log(&self, to: &Path) -> Result<Box<dyn Backend>, HomeError> {
        let backend = if LogStore::of(self)?.address().is_some() {
            let backend = LogStore::of(self)?.open_read_only()?;
            let mut copied = SqliteBackend::create(to).map_err(LedgerError::from)?;
            backend::copy(&*backend, &mut copied).map_err(LedgerError::from)?;
            backend
        } else {
            let backend = wait_while_in_use(|| SqliteBackend::open(&self.log_path()))?;
            backend.copy_to(to).map_err(LedgerError::from)?;
            Box::new(backend)
        };
        let owners = fs::Permissions::from_mode(0o600);
        fs::set_permissions(to, owners).map_err(|error| file_error(to, &error))?;
        Ok(backend)
    }

    /// Moves the log from its file into the database that the configuration names, which must hold none; nothing, if it
    /// names none. What is there is no log before [`PostgresBackend::finish_filling`].
    pub fn move_log(&self) -> Result<Option<PostgresBackend>, HomeError> {
        let LogStore::Database(access, _) = LogStore::of(self)? else { return Ok(None) };
        let path = self.log_path();
        let from = SqliteBackend::open_read_only(&path).map_err(LedgerError::from)?;
        let mut to = PostgresBackend::fill(*access).map_err(LedgerError::from)?;
        backend::copy(&from, &mut to).map_err(LedgerError::from)?;
        drop(from);
        fs::remove_file(&path).map_err(|error| file_error(&path, &error))?;
        Ok(Some(to))
    }

    /// What signs this home's checkpoints.
    pub fn signer(&self) -> Result<SoftwareSigner, HomeError> {
        if let Some(log) = &self.memory_log {
            return log.signer();
        }
        read_signer(&self.key_path("log"))
    }

    /// What signs with `key`, which the log says is in force. A rotation that was cut off is finished here.
    pub fn signer_of(&self, key: &Verifier) -> Result<SoftwareSigner, HomeError> {
        let signer = self.signer()?;
        let next = self.key_path(NEXT_KEY);
        if signer.verifier() == key || !next.exists() {
            return Ok(signer);
        }
        let next = read_signer(&next)?;
        if next.verifier() != key {
            return Ok(signer);
        }
        self.adopt_next_signer()?;
        Ok(next)
    }

    /// What will sign this home's checkpoints after the next rotation. The log must be open: [`Self::signer_of`] has then
    /// adopted a key that came into force.
    pub fn next_signer(&self, name: &str) -> Result<SoftwareSigner, HomeError> {
        let path = self.key_path(NEXT_KEY);
        // A rotation that was cut off left this before it was written down, and maybe no more than half of it.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(&path, &error)),
            _ => {}
        }
        let signer = new_signer(&path, name)?;
        // Durability: the key, with its name, before anything is signed that only it can continue.
        self.sync_keys()?;
        Ok(signer)
    }

    /// Puts the next key in the place of the one that was rotated out, whose file is gone with that.
    pub fn adopt_next_signer(&self) -> Result<(), HomeError> {
        let path = self.key_path("log");
        fs::rename(self.key_path(NEXT_KEY), &path).map_err(|error| file_error(&path, &error))?;
        self.sync_keys()
    }

    fn sync_keys(&self) -> Result<(), HomeError> {
        let folder = self.folder.join("keys");
        fs::File::open(&folder).and_then(|keys| keys.sync_all()).map_err(|error| file_error(&folder, &error))
    }

    /// The key that this home's checkpoints are checked by.
    pub fn verifier(&self) -> Result<Verifier, HomeError> {
        Ok(self.signer()?.verifier().clone())
    }

    /// The engine, with this home's cache.
    pub fn engine(&self) -> Result<Engine, HomeError> {
        let path = self.key_path("cache");
        let mut key = [0; 64];
        hex::decode_to_slice(read_key(&path)?.trim_end(), &mut key)
            .map_err(|_| key_error(&path, "it is not 128 hexadecimal digits"))?;
        let folder = self.folder.join("cache");
        let cache = Cache::open(&folder, key).map_err(|error| file_error(&folder, &error))?;
        let compiler = commands::compile::compiler(self.config.compile_limits());
        Ok(Engine::new()?.with_cache(cache).with_compiler(compiler))
    }

    /// Folders that are never granted to a tool: the home, where the head is kept, and where policies,
    /// secrets, certificates and their keys, and headers for a collector are read from.
    pub fn state_folders(&self) -> Result<Vec<String>, HomeError> {
        let tables = self.config.policies.iter().flatten().map(|(_, table)| table);
        let policies = tables.flat_map(|table| table.component.iter().chain(&table.cases));
        // Who can write such a file decides who has signed what.
        let policies = policies.chain(self.config.signers.values().filter_map(|signer| signer.trusted_root.as_ref()));
        let secrets = self.config.secrets.values().map(|table| &table.file);
        let log = &self.config.log;
        let log = [&log.store_password_file, &log.store_roots, &log.head_password_file, &log.head_roots];
        let components = policies.chain(secrets).chain(&self.config.egress.roots).chain(log.into_iter().flatten());
        let components = components.map(|file| self.folder.join(file));
        // Who can write what the server goes by is whoever they like, and who can read its key is the server.
        let (server, telemetry) = (&self.config.server, &self.config.telemetry);
        let tls = server.tls.iter().flat_map(|tls| [&tls.certificate, &tls.key].into_iter().chain(tls.client_files()));
        let of_server = tls.chain(&telemetry.headers_file).chain(&telemetry.roots).map(|file| self.folder.join(file));
        let head = match head::place(self)? {
            HeadPlace::File(path) => Some(path),
            HeadPlace::Database(_) => None,
        };
        let files = components.chain(of_server).chain(head);
        let folders = files.filter_map(|file| file.parent().map(Path::to_owned)).chain([self.folder.clone()]);
        folders
            .map(|folder| match folder.canonicalize().map(PathBuf::into_os_string).map(OsString::into_string) {
                Ok(Ok(folder)) => Ok(folder),
                Ok(Err(_)) => Err(HomeError::File {
                    path: folder.display().to_string(),
                    why: "its path is not Unicode text, so it can't be kept from tools".to_owned(),
                }),
                Err(error) => Err(file_error(&folder, &error)),
            })
            .collect()
    }
}

/// Makes a key and writes it with the name it signs under, so that it is never used for another. None is overwritten.
pub fn new_signer(path: &Path, name: &str) -> Result<SoftwareSigner, HomeError> {
    let seed = random_bytes::<32>()?;
    let signer = signer(path, name, &seed)?;
    write_new(path, format!("{name}\n{}\n", hex::encode(seed)).as_bytes(), 0o600)?;
    Ok(signer)
}

/// Reads a key that [`new_signer`] wrote.
pub fn read_signer(path: &Path) -> Result<SoftwareSigner, HomeError> {
    let text = read_key(path)?;
    let wrong = || key_error(path, "it is not a name and 64 hexadecimal digits on two lines");
    let (name, digits) = text.trim_end().split_once('\n').ok_or_else(wrong)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(digits, &mut seed).map_err(|_| wrong())?;
    signer(path, name, &seed)
}

/// Begins a new log that this key signs: its first entry says so.
pub fn begin_log(backend: Box<dyn Backend>, key: &Verifier) -> Result<Ledger, HomeError> {
    let opened = Opened {
        host: format!("ringfence {} wasmtime 48.0.8", env!("CARGO_PKG_VERSION")),
        key: key.to_string(),
        origin: key.name().to_owned(),
    };
    Ok(Ledger::create(backend, opened, Arc::new(SystemClock), Arc::new(SystemRandom))?)
}

fn signer(path: &Path, origin: &str, seed: &[u8; 32]) -> Result<SoftwareSigner, HomeError> {
    SoftwareSigner::from_seed(origin, seed).map_err(|error| key_error(path, &error.to_string()))
}

fn open_ledger(backend: Box<dyn Backend>) -> Result<Ledger, HomeError> {
    Ok(Ledger::open(backend, Arc::new(SystemClock), Arc::new(SystemRandom))?)
}

/// SEC-04: a key that others could read may have been read.
pub fn read_key(path: &Path) -> Result<String, HomeError> {
    let metadata = fs::symlink_metadata(path).map_err(|error| file_error(path, &error))?;
    if !metadata.is_file() {
        return Err(key_error(path, "it is not a regular file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(HomeError::Exposed(path.display().to_string()));
    }
    files::read_text(path, limits::KEY_FILE_BYTES_MAX).map_err(|error| file_error(path, &error))
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), HomeError> {
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|error| file_error(path, &error))
}

pub fn random_bytes<const N: usize>() -> Result<[u8; N], HomeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| HomeError::File { path: "the system's random source".to_owned(), why: error.to_string() })?;
    Ok(bytes)
}

pub fn file_error(path: &Path, error: &io::Error) -> HomeError {
    HomeError::File { path: path.display().to_string(), why: error.to_string() }
}

fn key_error(path: &Path, why: &str) -> HomeError {
    HomeError::Key { path: path.display().to_string(), why: why.to_owned() }
}
