//! The tokens of this home: who may use its server, by the digest of what they hold or a name in their certificate.
//!
//! They stand in `tokens.toml`, one table each, readable by the home's owner alone. No token stands there: what is printed
//! when one is made is all there ever is of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::digest::Digest;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_server::http::token;
use ringfence_server::http::token::Credential;
use ringfence_server::http::token::Holder;
use ringfence_server::http::token::Scope;
use ringfence_server::http::token::Tokens;

use crate::config::tools::Name;
use crate::error::CommandError;
use crate::home;
use crate::home::Home;

/// How long another command may hold the file.
const HELD_WAIT: Duration = Duration::from_secs(10);
/// How long to wait before looking again.
const HELD_PAUSE: Duration = Duration::from_millis(10);

/// Every holder of a token, by name.
pub type Holders = BTreeMap<Name, Holder>;

/// What stands in the file; nothing, if there is none.
pub fn read(home: &Home) -> Result<Holders, CommandError> {
    let path = path(home);
    if std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(Holders::new());
    }
    let text = home::read_key(&path)?;
    toml::from_str(&text).map_err(|error| CommandError::tokens(&path, error.message()))
}

/// The tokens as the server takes them.
pub fn known(home: &Home) -> Result<Tokens, CommandError> {
    Ok(Tokens::new(read(home)?.into_values()))
}

/// What somebody may do, whatever they are known by.
pub struct Rights {
    pub principal: Principal,
    pub ring: Option<Ring>,
    pub scopes: Vec<Scope>,
}

/// Makes a token, keeps its digest and gives its text.
pub fn make(home: &Home, name: &Name, rights: Rights) -> Result<String, CommandError> {
    let text = token::token(&home::random_bytes::<{ token::RANDOM_BYTES }>()?);
    keep(home, name, Credential::Token(Digest::of(text.as_bytes())), rights)?;
    Ok(text)
}

/// Keeps whom somebody is who is known by something.
pub fn keep(home: &Home, name: &Name, credential: Credential, rights: Rights) -> Result<(), CommandError> {
    let held = hold(home)?;
    let mut holders = read(home)?;
    if holders.contains_key(name) {
        return Err(CommandError::token_taken(name.as_str()));
    }
    if let Credential::Certificate(certificate) = &credential
        && holders.values().any(|holder| holder.credential == credential)
    {
        return Err(CommandError::certificate_taken(&certificate.to_string()));
    }
    let Rights { principal, ring, mut scopes } = rights;
    scopes.sort();
    scopes.dedup();
    holders.insert(name.clone(), Holder { credential, principal, ring, scopes });
    write(home, &held, &holders)
}

/// Takes a token back.
pub fn revoke(home: &Home, name: &Name) -> Result<(), CommandError> {
    let held = hold(home)?;
    let mut holders = read(home)?;
    if holders.remove(name).is_none() {
        return Err(CommandError::no_token(name.as_str()));
    }
    write(home, &held, &holders)
}

/// The home's folder, locked from reading the file to writing it: of two commands at a time, neither undoes the other's.
fn hold(home: &Home) -> Result<File, CommandError> {
    let failed = |error: io::Error| CommandError::file(&path(home), &error);
    let folder = File::open(home.folder()).map_err(failed)?;
    let started = Instant::now();
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::WouldBlock) if started.elapsed() < HELD_WAIT => std::thread::sleep(HELD_PAUSE),
            Err(error) => return Err(failed(error.into())),
        }
    }
}

/// In one step, as a file that nobody else reads, and that is there after a loss of power: `held` is its folder.
fn write(home: &Home, held: &File, holders: &Holders) -> Result<(), CommandError> {
    let path = path(home);
    let text = toml::to_string(holders).map_err(|error| CommandError::tokens(&path, &error.to_string()))?;
    let written = tempfile::NamedTempFile::new_in(home.folder()).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        held.sync_all()
    });
    written.map_err(|error| CommandError::file(&path, &error))
}

fn path(home: &Home) -> PathBuf {
    home.folder().join("tokens.toml")
}
