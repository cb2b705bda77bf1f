//! The operator's configuration, `ringfence.toml` in the home: read strictly, every key known.
//!
//! `docs/reference.toml` shows every key with its default; a test reads it with this very code. The configuration
//! lowers and pins; what it grants, it grants to a registered tool by name, in words that its operator wrote.

pub mod edit;
pub mod policies;
mod registries;
pub mod tools;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::num::NonZeroU64;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use ringfence_audit::witness::Witness;
use ringfence_model::capability::Ceiling;
use ringfence_model::capability::FilesystemCeiling;
use ringfence_model::capability::LimitCeiling;
use ringfence_model::capability::Source;
use ringfence_model::digest::Digest;
use ringfence_model::egress::HostPattern;
use ringfence_model::egress::HttpRule;
use ringfence_model::egress::Network;
use ringfence_model::egress::NetworkCeiling;
use ringfence_model::egress::SocketRule;
use ringfence_model::limits;
use ringfence_model::ring::Ring;
use ringfence_runtime::engine::compiler::CompileLimits;
use ringfence_runtime::gate::Concurrency;
use ringfence_runtime::host::RingConfig;
use ringfence_runtime::ledger::backend::postgres::address::Address;
use ringfence_runtime::ledger::backend::postgres::address::AddressError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::config::policies::PolicyTable;
use crate::config::registries::RegistryTable;
use crate::config::tools::Name;
use crate::config::tools::Reason;
use crate::config::tools::SignerTable;
use crate::config::tools::ToolTable;
use crate::egress::EgressTable;
use crate::egress::SecretTable;
use crate::files;
use crate::telemetry::TelemetryTable;
use crate::tls::TlsTable;
use crate::tools::signature::NOBODY;

/// Why a configuration can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("the configuration `{path}` can't be read: {why}")]
    Unreadable { path: String, why: String },
    /// It is not what it should be.
    #[error("the configuration `{path}` is wrong at line {line}: {why}")]
    Malformed { path: String, line: usize, why: String },
    /// An edit of it can't be put in place.
    #[error("the configuration `{path}` can't be written: {why}")]
    NotWritten { path: String, why: String },
}

/// Everything the operator can configure.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    pub run: RunConfig,
    pub limits: HostLimits,
    pub operator: Ceiling,
    pub rings: BTreeMap<String, RingTable>,
    /// Missing: the built-in `ring-default`. Empty: no policy, so nothing is permitted.
    pub policies: Option<BTreeMap<String, PolicyTable>>,
    pub egress: EgressTable,
    pub secrets: BTreeMap<String, SecretTable>,
    pub log: LogConfig,
    pub server: ServerTable,
    /// Who is told of calls and numbers.
    pub telemetry: TelemetryTable,
    /// Registries that need credentials, by host.
    pub registries: BTreeMap<String, RegistryTable>,
    /// Whose signatures are trusted.
    pub signers: BTreeMap<Name, SignerTable>,
    /// Components that are not loaded, whoever names them, by digest; and why.
    pub revoked: BTreeMap<Digest, Reason>,
    /// Registered tools.
    pub tools: BTreeMap<Name, ToolTable>,
}

/// Defaults of `ringfence run`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RunConfig {
    pub ring: Ring,
}

/// What the host does at the same time, and what compiling may take. What compiling takes and who waits can be lowered, and no
/// more; how many calls run at the same time is for the machine to say.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HostLimits {
    pub compile_memory_bytes: Option<NonZeroU64>,
    pub compile_cpu_seconds: Option<NonZeroU64>,
    pub compile_wall_ms: Option<NonZeroU64>,
    pub concurrent_calls: Option<NonZeroU32>,
    pub concurrent_calls_per_tool: Option<NonZeroU32>,
    pub concurrent_calls_per_principal: Option<NonZeroU32>,
    pub queued_calls_per_ring: Option<u32>,
    pub queue_wait_ms: Option<u64>,
}

impl HostLimits {
    /// What is higher than it may be comes with why.
    fn check(&self) -> Result<(), (String, String)> {
        let (compile, calls) = (CompileLimits::default(), limits::CONCURRENT_CALLS_MAX.into());
        let wide = |number: Option<NonZeroU32>| number.map(|number| u64::from(number.get()));
        for (key, number, max) in [
            ("compile-memory-bytes", self.compile_memory_bytes.map(NonZeroU64::get), compile.memory_bytes),
            ("compile-cpu-seconds", self.compile_cpu_seconds.map(NonZeroU64::get), compile.cpu_seconds),
            ("compile-wall-ms", self.compile_wall_ms.map(NonZeroU64::get), compile.wall_ms),
            ("concurrent-calls", wide(self.concurrent_calls), calls),
            ("concurrent-calls-per-tool", wide(self.concurrent_calls_per_tool), calls),
            ("concurrent-calls-per-principal", wide(self.concurrent_calls_per_principal), calls),
            (
                "queued-calls-per-ring",
                self.queued_calls_per_ring.map(u64::from),
                limits::QUEUED_CALLS_PER_RING_MAX.into(),
            ),
            ("queue-wait-ms", self.queue_wait_ms, limits::QUEUE_WAIT_MS_MAX),
        ] {
            if let Some(number) = number.filter(|number| *number > max) {
                return Err((key.to_owned(), format!("`{key}` is at most {max}, and not {number}")));
            }
        }
        Ok(())
    }
}

/// What is lowered in one ring.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RingTable {
    pub imports: Imports,
    pub filesystem: Option<FilesystemCeiling>,
    pub folders: Option<Vec<String>>,
    pub environment: Option<Vec<String>>,
    pub network: Option<NetworkCeiling>,
    pub http: Option<Vec<HttpRule>>,
    pub sockets: Option<Vec<SocketRule>>,
    pub names: Option<Vec<HostPattern>>,
    pub addresses: Option<Vec<Network>>,
    pub secrets: Option<Vec<String>>,
    pub clock: Option<Source>,
    pub random: Option<Source>,
    pub concurrent_calls: Option<NonZeroU32>,
    pub limits: LimitCeiling,
}

impl RingTable {
    fn ceiling(self) -> Ceiling {
        let Self {
            imports: _,
            filesystem,
            folders,
            environment,
            network,
            http,
            sockets,
            names,
            addresses,
            secrets,
            ..
        } = self;
        let Self { clock, random, limits, .. } = self;
        Ceiling {
            addresses,
            clock,
            environment,
            filesystem,
            folders,
            http,
            limits,
            names,
            network,
            random,
            secrets,
            sockets,
        }
    }
}

/// What becomes of an import that is not granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Imports {
    /// It is linked to a refusal.
    #[default]
    Refuse,
    /// The tool does not load.
    Strict,
}

/// Where the log and its head are kept, and who watches the log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LogConfig {
    /// Where the newest checkpoint is kept a second time. Missing: a file in the home.
    #[serde(deserialize_with = "head")]
    pub head: Option<HeadConfig>,
    /// What the database of the head is told to let this host in, relative to the home.
    pub head_password_file: Option<PathBuf>,
    /// A file of certificates (PEM) that the server's of the head has to lead to, relative to the home.
    pub head_roots: Option<PathBuf>,
    /// What holds the log. Missing: a file in the home.
    #[serde(deserialize_with = "store")]
    pub store: Option<StoreConfig>,
    /// What the database is told to let this host in, relative to the home.
    pub store_password_file: Option<PathBuf>,
    /// A file of certificates (PEM) that the server's has to lead to, relative to the home.
    pub store_roots: Option<PathBuf>,
    pub retention: RetentionConfig,
    /// Whose cosignatures are kept.
    #[serde(deserialize_with = "witnesses")]
    pub witnesses: Vec<Witness>,
}

impl LogConfig {
    /// The table as it is written for a new home; nothing if all of it is the default.
    pub fn written(&self) -> String {
        let store = self.store.as_ref().map(|store| ("store", store.to_string()));
        let head = self.head.as_ref().map(|head| ("head", head.to_string()));
        let files = [
            ("store-password-file", &self.store_password_file),
            ("store-roots", &self.store_roots),
            ("head-password-file", &self.head_password_file),
            ("head-roots", &self.head_roots),
        ];
        let files = files.into_iter().filter_map(|(key, file)| Some((key, file.as_ref()?.display().to_string())));
        let line = |(key, value)| format!("{key} = {}\n", toml::Value::String(value));
        let lines: Vec<String> = store.into_iter().chain(head).chain(files).map(line).collect();
        if lines.is_empty() { String::new() } else { format!("\n[log]\n{}", lines.concat()) }
    }
}

impl LogConfig {
    /// What can't be had together: the key that is wrong, and why. What outlasts a process has nothing to tell of a log that
    /// does not.
    pub fn check(&self) -> Result<(), (String, String)> {
        let Some(StoreConfig::Memory) = &self.store else { return Ok(()) };
        let wrong = [
            ("head", self.head.is_some(), "a log in memory has no head"),
            ("head-password-file", self.head_password_file.is_some(), "a log in memory has no head"),
            ("head-roots", self.head_roots.is_some(), "a log in memory has no head"),
            ("retention", !self.retention.is_unbounded(), "a log in memory is kept as long as its process lives"),
            ("store-password-file", self.store_password_file.is_some(), "memory asks for no password"),
            ("store-roots", self.store_roots.is_some(), "memory shows no certificate"),
            ("witnesses", !self.witnesses.is_empty(), "a log in memory has no witnesses"),
        ];
        match wrong.into_iter().find(|(_, is_set, _)| *is_set) {
            Some((key, _, why)) => {
                Err((key.to_owned(), format!("`{key}` can't be set beside `store = \"{MEMORY}\"`: {why}")))
            }
            None => Ok(()),
        }
    }
}

/// What is written for a log in memory.
const MEMORY: &str = "memory";

/// What holds a log, if it is no file in the home.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    Database(Address),
    /// The process, as long as it lives.
    Memory,
}

impl FromStr for StoreConfig {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == MEMORY { Ok(Self::Memory) } else { text.parse().map(Self::Database) }
    }
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(address) => address.fmt(f),
            Self::Memory => f.write_str(MEMORY),
        }
    }
}

/// Where a head is kept.
#[derive(Clone, Debug)]
pub enum HeadConfig {
    Database(Address),
    /// Relative to the home.
    File(PathBuf),
}

impl FromStr for HeadConfig {
    type Err = AddressError;

    /// What looks like a URL is none of a file.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.contains("://") { text.parse().map(Self::Database) } else { Ok(Self::File(text.into())) }
    }
}

impl fmt::Display for HeadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(address) => address.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

fn head<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<HeadConfig>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}

fn store<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<StoreConfig>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}

fn witnesses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Witness>, D::Error> {
    let keys = Vec::<String>::deserialize(deserializer)?;
    keys.iter().map(|key| key.parse().map_err(serde::de::Error::custom)).collect()
}

/// How long, and how much of, the contents of calls are kept. Entries stay for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RetentionConfig {
    pub max_age_days: Option<u64>,
    pub max_bytes: Option<u64>,
}

impl RetentionConfig {
    /// Whether everything is kept.
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for RetentionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = self.max_age_days.map(|days| format!("max-age-days = {days}"));
        let size = self.max_bytes.map(|bytes| format!("max-bytes = {bytes}"));
        f.write_str(&age.into_iter().chain(size).collect::<Vec<_>>().join(", "))
    }
}

/// Where `ringfence serve` listens, and to whom.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ServerTable {
    pub listen: Option<SocketAddr>,
    /// What `Host` may be, besides this machine's own names on loopback.
    pub hosts: Vec<String>,
    /// What `Origin` may be, if there is one.
    pub origins: Vec<String>,
    /// How many streams are open at the same time.
    pub streams: Option<NonZeroU32>,
    /// What it shows for itself over TLS. Missing: it speaks none.
    pub tls: Option<TlsTable>,
}

impl ServerTable {
    /// How many streams are open at the same time.
    pub fn streams_max(&self) -> usize {
        self.streams.map_or(limits::HTTP_STREAMS_MAX, |streams| usize::try_from(streams.get()).unwrap_or(usize::MAX))
    }
}

/// Reads TOML; an error comes with its line.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, (usize, String)> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        (line_at(text.as_bytes(), start), error.message().replace('\n', "; "))
    })
}

/// The line that a byte is on.
pub fn line_at(text: &[u8], offset: usize) -> usize {
    text.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// The first line that something stands on.
pub fn line_of(text: &str, key: &str) -> usize {
    text.lines().position(|line| line.contains(key)).map_or(1, |index| index + 1)
}

/// Whether folders of a ceiling are what they have to be; the one that is not comes with why.
pub fn check_folders<'a>(folders: impl IntoIterator<Item = &'a String>) -> Result<(), (String, String)> {
    match folders.into_iter().find(|folder| !Path::new(folder).is_absolute()) {
        Some(folder) => Err((folder.clone(), format!("folder `{folder}` is not an absolute path"))),
        None => Ok(()),
    }
}

impl Config {
    /// Reads the configuration of a home. A home without one has every default.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |why: String| ConfigError::Unreadable { path: path.display().to_string(), why };
        let text = match files::read_text(path, limits::CONFIG_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        Self::parse(&text).map_err(|(line, why)| ConfigError::Malformed { path: path.display().to_string(), line, why })
    }

    /// Reads a configuration's text; an error comes with its line.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let config: Self = from_toml(text)?;
        config.check().map_err(|(key, why)| (line_of(text, &key), why))?;
        let tables = config.policies.as_ref();
        let checked = tables.map_or(Ok(()), policies::check);
        checked.map_err(|(keys, why)| (policies::line_of(text, &keys).unwrap_or(1), why))?;
        Ok(config)
    }

    /// A ring that would run more calls at the same time than any may comes with why.
    fn check_places(&self) -> Result<(), (String, String)> {
        let max = limits::CONCURRENT_CALLS_MAX;
        let mut places = self.rings.iter().filter_map(|(ring, table)| Some((ring, table.concurrent_calls?.get())));
        places.find(|(_, calls)| *calls > max).map_or(Ok(()), |(ring, calls)| {
            let why = format!("ring {ring} runs at most {max} calls at the same time, and not {calls}");
            Err((format!("concurrent-calls = {calls}"), why))
        })
    }

    /// What the shape of the types does not say already.
    fn check(&self) -> Result<(), (String, String)> {
        for name in self.rings.keys() {
            if !matches!(name.as_str(), "0" | "1" | "2" | "3") {
                return Err((format!("rings.{name}"), format!("`{name}` is not a ring: rings are 0, 1, 2 and 3")));
            }
        }
        if self.limits.compile_memory_bytes.is_some_and(|bytes| bytes.get() < limits::COMPILE_MEMORY_BYTES_MIN) {
            let min = limits::COMPILE_MEMORY_BYTES_MIN;
            return Err((
                "compile-memory-bytes".to_owned(),
                format!("no component compiles within less than {min} bytes"),
            ));
        }
        self.limits.check()?;
        self.check_places()?;
        let streams_max = limits::HTTP_STREAMS_CONFIGURED_MAX;
        if self.server.streams_max() > streams_max {
            return Err(("streams".to_owned(), format!("a server has at most {streams_max} streams open at a time")));
        }
        for (name, tool) in &self.tools {
            let is_signed = tool.signer.as_str() != NOBODY;
            if is_signed != tool.signature_digest.is_some() {
                let why = format!("`signer` of tool `{name}` is not `none` exactly if there is a `signature-digest`");
                return Err((format!("[tools.{name}]"), why));
            }
        }
        for (host, table) in &self.registries {
            if !table.credentials.is_absolute() {
                let why = format!("`{}` is not an absolute path", table.credentials.display());
                return Err((format!("registries.\"{host}\""), why));
            }
        }
        if self.signers.keys().any(|name| name.as_str() == NOBODY) {
            return Err((format!("signers.{NOBODY}"), format!("`{NOBODY}` means that there is no signer")));
        }
        self.check_signers()?;
        let folders = self.rings.values().map(|ring| &ring.folders).chain([&self.operator.folders]);
        check_folders(folders.flatten().flatten())?;
        self.log.check()?;
        if let Some(tls) = &self.server.tls {
            tls.check().map_err(|why| ("[server.tls]".to_owned(), why))?;
        }
        self.telemetry.check().map_err(|(key, why)| (key.to_owned(), why))?;
        for (name, table) in &self.secrets {
            table.check(name).map_err(|why| (format!("secrets.{name}"), why))?;
        }
        Ok(())
    }

    /// One who is revoked is so under every name: else nobody could say which of them made a signature.
    fn check_signers(&self) -> Result<(), (String, String)> {
        for (name, table) in self.signers.iter().filter(|(_, table)| table.revoked.is_some()) {
            let is_twin = |other: &SignerTable| other.revoked.is_none() && other.credential.is_same(&table.credential);
            if let Some((twin, _)) = self.signers.iter().find(|(_, other)| is_twin(other)) {
                return Err((format!("signers.{twin}"), format!("signer `{twin}` is also `{name}`, which is revoked")));
            }
        }
        Ok(())
    }

    /// Why a component that these have signed is not loaded, if the operator has revoked it or one of them. Of one that comes
    /// without a signature it is asked who has signed it where it is registered: the same bytes are no better for lying alone.
    pub fn revocation(&self, component: &Digest, signers: &[String]) -> Option<String> {
        if let Some(reason) = self.revoked.get(component) {
            return Some(format!("`{component}` is revoked: {}", reason.as_str()));
        }
        if !signers.is_empty() {
            return signers.iter().find_map(|signer| self.revocation_of(signer));
        }
        let tables = self.tools.values().filter(|table| table.digest == *component && table.signature_digest.is_some());
        let mut found = tables.map(|table| self.revocation_of(table.signer.as_str()));
        let first = found.next()??;
        // Somebody else may have signed the same since, who is trusted.
        found.all(|why| why.is_some()).then_some(first)
    }

    fn revocation_of(&self, signer: &str) -> Option<String> {
        let (name, table) = self.signers.iter().find(|(name, _)| name.as_str() == signer)?;
        Some(format!("its signer `{name}` is revoked: {}", table.revoked.as_ref()?.as_str()))
    }

    /// The operator's ceiling. A secret that is not configured can't be used, whatever is listed.
    pub fn operator_ceiling(&self) -> Ceiling {
        let configured = Ceiling { secrets: Some(self.secrets.keys().cloned().collect()), ..Ceiling::default() };
        self.operator.intersect(&configured)
    }

    /// What compiling one component may take.
    pub fn compile_limits(&self) -> CompileLimits {
        let most = CompileLimits::default();
        let HostLimits { compile_memory_bytes, compile_cpu_seconds, compile_wall_ms, .. } = self.limits;
        let or = |configured: Option<NonZeroU64>, most: u64| configured.map_or(most, NonZeroU64::get);
        CompileLimits {
            memory_bytes: or(compile_memory_bytes, most.memory_bytes),
            cpu_seconds: or(compile_cpu_seconds, most.cpu_seconds),
            wall_ms: or(compile_wall_ms, most.wall_ms),
        }
    }

    /// How many calls run at the same time.
    pub fn concurrency(&self) -> Concurrency {
        let (usual, limits) = (Concurrency::default(), self.limits);
        let or = |configured: Option<NonZeroU32>, usual: u32| configured.map_or(usual, NonZeroU32::get);
        let mut calls_per_ring = usual.calls_per_ring;
        for (number, calls) in calls_per_ring.iter_mut().enumerate() {
            let table = self.rings.get(&number.to_string());
            *calls = or(table.and_then(|table| table.concurrent_calls), *calls);
        }
        Concurrency {
            calls: or(limits.concurrent_calls, usual.calls),
            calls_per_ring,
            calls_per_tool: or(limits.concurrent_calls_per_tool, usual.calls_per_tool),
            calls_per_principal: or(limits.concurrent_calls_per_principal, usual.calls_per_principal),
            queued_per_ring: limits.queued_calls_per_ring.unwrap_or(usual.queued_per_ring),
            queue_wait_ms: limits.queue_wait_ms.unwrap_or(usual.queue_wait_ms),
        }
    }

    /// What is lowered in each ring, by number.
    pub fn ring_configs(&self) -> [RingConfig; 4] {
        ["0", "1", "2", "3"].map(|number| {
            let table = self.rings.get(number).cloned().unwrap_or_default();
            RingConfig { strict_imports: table.imports == Imports::Strict, ceiling: table.ceiling() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_configurations_name_their_line() {
        for (text, line, wanted) in [
            ("[run]\nrign = 2", 2, "unknown field `rign`"),
            ("[run]\nring = 4", 2, "`4` is not a ring"),
            ("\n[rings.7]\n", 2, "`7` is not a ring"),
            ("[operator]\nfolders = [\"docs\"]", 2, "not an absolute path"),
            ("[policies.x]\ndigest = \"md5:1\"", 2, "not a digest"),
            ("[run]\nring = 2\nring = 3", 3, "duplicate key"),
            ("[limits]\nconcurrent-calls = 0", 2, "nonzero"),
            ("[limits]\ncompile-wall-ms = 0", 2, "nonzero"),
            ("[limits]\n\ncompile-memory-bytes = 1", 3, "less than"),
            ("[rings.3]\nconcurrent-calls = 0", 2, "nonzero"),
            ("a = ", 1, ""),
            ("[secrets.a-b]\nfile = \"x\"\nheaders = []\nhosts = []", 1, "a secret's name"),
            ("[secrets.A]\nfile = \"x\"\nheaders = [\"Authorization\"]\nhosts = []", 1, "not a header in lower case"),
            ("[secrets.A]\nfile = \"x\"\nheaders = []\nhosts = [\"a*.b\"]", 4, "`a*.b` is neither a host"),
            ("[egress]\nnameservers = [\"127.0.0.1\"]", 2, ""),
            ("[operator]\nhttp = [\"GET ftp://a/\"]", 2, "is not written as"),
            ("[operator]\naddresses = [\"10.0.0.1/8\"]", 2, "bits beyond its prefix"),
            ("[operator]\nsockets = [\"tcp://a\"]", 2, "is not written as"),
            ("[server.tls]\ncertificate = 'a'", 1, "missing field `key`"),
            ("\n[server.tls]\ncertificate = 'a'\nkey = 'b'\nclients = 'optional'", 2, "there are none"),
            ("[server.tls]\ncertificate = 'a'\nkey = 'b'\nclients = 'never'", 4, "unknown variant"),
            ("[server.tls]\ncertificate = 'a'\nkey = 'b'\nclient-revocations = ['c']", 1, "there are none"),
            (
                "[server.tls]\ncertificate = 'a'\nkey = 'b'\nclient-roots = 'c'\nclient-revocations = []",
                1,
                "names no file",
            ),
            ("[telemetry]\n\nendpoint = 'grpc://a:4317'", 3, "`grpc://a:4317` is not written as"),
            ("[telemetry]\nservice-name = ''", 2, "a line of 1 to"),
            ("[log]\nhead = 1979-05-27", 2, "invalid type"),
            ("[log]\nhead = 'postgres://a:hunter2@b/c'", 2, "it holds a password"),
            ("[log]\nhead = 'mysql://a@b/c'", 2, "it is not written as `postgres://"),
            ("[log]\nstore = 'log.db'", 2, "it is not written as `postgres://"),
            ("[log]\nstore = 'postgres://a:hunter2@b/c'", 2, "it holds a password"),
            ("[log]\nstore = 'postgres://a@b/c?sslmode=prefer'", 2, "`sslmode=prefer` is refused"),
            ("[log]\nwitnesses = ['a+b']", 2, "not a verifier key"),
            ("[log]\nstore = 'memory'\nhead = 'log.head'", 3, "`head` can't be set beside `store = \"memory\"`"),
            ("[log]\nstore = 'memory'\nhead-roots = 'a'", 3, "a log in memory has no head"),
            ("[log]\nstore = 'memory'\nstore-password-file = 'a'", 3, "memory asks for no password"),
            ("[log]\nstore = 'memory'\n[log.retention]\nmax-bytes = 1", 3, "as long as its process lives"),
            ("[log]\nstore = 'Memory'", 2, "it is not written as `postgres://"),
            ("\n[signers.a]\nkey = \"a+b+c\"", 3, "not a verifier key"),
        ] {
            let (at, why) = Config::parse(text).expect_err(text);
            assert!(at == line && why.contains(wanted), "{text}: {at}: {why}");
        }
    }

    #[test]
    fn wrong_tools_name_their_line() {
        // ART-08
        let digest = format!("sha256:{}", "0".repeat(64));
        let pins = format!("digest = '{digest}'\ndescription-digest = '{digest}'\nsource = 'a'\nsigner = 'none'\n");
        let tool = |rest: &str| format!("[tools.a]\n{pins}{rest}");
        assert_eq!(Config::parse(&tool("")).expect("a configuration").tools.len(), 1);
        for (text, line, wanted) in [
            (format!("[tools.Files]\n{pins}"), 1, "`Files` is not a name"),
            (format!("[tools.\"f\u{0456}les\"]\n{pins}"), 1, "is not a name"),
            (format!("[tools.-a]\n{pins}"), 1, "is not a name"),
            ("[tools.a]\nsource = 'a'".to_owned(), 1, "missing field"),
            (
                "[signers.none]\nkey = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'"
                    .to_owned(),
                1,
                "no signer",
            ),
            (tool("").replace("'none'", "'me'"), 1, "exactly if there is"),
            (tool(&format!("signature-digest = '{digest}'")), 1, "exactly if there is"),
            (tool("secret = 1"), 6, "unknown field `secret`"),
            (tool("ring = 4"), 6, "`4` is not a ring"),
            (tool("manifest-digest = 'sha256:0'"), 6, "not a digest"),
            (tool("[tools.a.effects]\nlist = 'sings'"), 7, "unknown variant"),
            (tool("[tools.a.grant]\nfolders = ['docs::/docs']"), 7, "not an absolute path"),
            (tool("[tools.a.grant]\nfolders = ['/docs']"), 7, "write HOST::GUEST"),
            (tool("[tools.a.grant]\nfolders = [\n'/a::/a',\n'/b::/../b']"), 7, "without `.`, `..`"),
            (tool("[tools.a.grant]\nfolders = ['/a::/a:rx']"), 7, "neither `ro` nor `rw`"),
            (tool("[tools.a.grant]\nenvironment = { A = 1 }"), 7, "a value is a text"),
            (tool("[tools.a.grant]\nenvironment = { A = { file = 'x' } }"), 7, "a value is a text"),
            (tool("[tools.a.grant.limits]\nfuel = -1"), 7, "invalid value"),
            (tool("[tools.a.grant.limits]\nfeul = 1"), 7, "unknown field"),
        ] {
            let (at, why) = Config::parse(&text).expect_err(&text);
            assert!(at == line && why.contains(wanted), "{text}: {at}: {why}");
        }
    }

    #[test]
    fn limits_are_what_they_say_or_refused() {
        let max = limits::CONCURRENT_CALLS_MAX;
        for (text, line) in [
            ("[limits]\ncompile-cpu-seconds = 601".to_owned(), 2),
            ("[limits]\nconcurrent-calls = 3\nqueue-wait-ms = 10001".to_owned(), 3),
            (format!("[limits]\nconcurrent-calls = {}", max + 1), 2),
            (format!("[rings.2]\n\nconcurrent-calls = {}", max + 1), 3),
        ] {
            let refused = Config::parse(&text).expect_err(&text);
            assert_eq!(refused.0, line, "{text}: {}", refused.1);
        }
        let high = format!("[limits]\nconcurrent-calls = {max}\n[rings.3]\nconcurrent-calls = {max}");
        let high = Config::parse(&high).expect("a configuration").concurrency();
        assert_eq!((high.calls, high.calls_per_ring), (max, [32, 16, 8, max]));
        let low = "[limits]\nconcurrent-calls = 3\ncompile-cpu-seconds = 4\nqueued-calls-per-ring = 0\n[rings.2]\nconcurrent-calls = 5";
        let low = Config::parse(low).expect("a configuration");
        assert_eq!((low.concurrency().calls, low.concurrency().queued_per_ring), (3, 0));
        assert_eq!(low.concurrency().calls_per_ring, [32, 16, 5, 4]);
        assert_eq!(low.compile_limits().cpu_seconds, 4);
    }

    #[test]
    fn missing_policies_differ_from_none() {
        assert!(Config::parse("").expect("a configuration").policies.is_none());
        assert!(Config::parse("[policies]").expect("a configuration").policies.is_some_and(|table| table.is_empty()));
    }
}
