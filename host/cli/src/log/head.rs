//! Where the head of a home's log is: a file, or a database that is not the log's.
//!
//! Owns that choice, and how commands that only look read the head. They read it before they open the log: what others
//! append meanwhile makes the log longer than its head, and never the other way round.

use std::io;

use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::limits;
use ringfence_runtime::ledger::LedgerError;
use ringfence_runtime::ledger::backend::postgres::address::Address;
use ringfence_runtime::ledger::backend::postgres::address::Server;
use ringfence_runtime::sequencer;
use ringfence_runtime::sequencer::HeadPlace;

use crate::config::HeadConfig;
use crate::config::StoreConfig;
use crate::error::CommandError;
use crate::files;
use crate::home::Home;
use crate::home::HomeError;
use crate::log::store;
use crate::log::store::Entrance;

/// The variable that the password of the head's server may stand in.
const PASSWORD_VARIABLE: &str = "RINGFENCE_HEAD_PASSWORD";

/// Of a longer one no more is read than shows that it is no checkpoint.
const HEAD_BYTES_MAX: u64 = limits::CHECKPOINT_BYTES_MAX as u64;

/// Where the newest checkpoint of a home's log is kept a second time.
pub fn place(home: &Home) -> Result<HeadPlace, HomeError> {
    let table = &home.config().log;
    let address = match &table.head {
        None => return Ok(HeadPlace::File(home.folder().join("log.head"))),
        Some(HeadConfig::File(path)) => return Ok(HeadPlace::File(home.folder().join(path))),
        Some(HeadConfig::Database(address)) => address,
    };
    if let Some(StoreConfig::Database(store)) = &table.store
        && is_one_database(store, address)
    {
        return Err(HomeError::HeadBesideLog(address.to_string()));
    }
    let entrance = Entrance {
        address,
        password_file: table.head_password_file.as_deref(),
        password_variable: PASSWORD_VARIABLE,
        roots: table.head_roots.as_deref(),
    };
    Ok(HeadPlace::Database(Box::new(store::access(home, &entrance)?)))
}

/// Whether two addresses lead to one database, whoever comes there, and however. What names of one server there are is not
/// known.
fn is_one_database(one: &Address, other: &Address) -> bool {
    let is_one_server = match (&one.server, &other.server) {
        (Server::Network { host, port, .. }, Server::Network { host: other_host, port: other_port, .. }) => {
            (host.to_ascii_lowercase(), port) == (other_host.to_ascii_lowercase(), other_port)
        }
        (one, other) => one == other,
    };
    is_one_server && one.database == other.database
}

/// The newest checkpoint as the second place has it; none if there is none.
pub fn read(home: &Home) -> Result<Option<Vec<u8>>, CommandError> {
    match place(home)? {
        HeadPlace::File(path) => match files::read_start(&path, HEAD_BYTES_MAX) {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CommandError::file(&path, &error)),
        },
        place @ HeadPlace::Database(_) => {
            let Some(origin) = origin(home)? else { return Ok(None) };
            Ok(sequencer::read_head(place, &origin)?.map(String::into_bytes))
        }
    }
}

/// What the log says that it is called. A log that is damaged there has no head, which is a finding like any other.
fn origin(home: &Home) -> Result<Option<String>, CommandError> {
    let first = home.backend_read_only()?.entry(0).map_err(LedgerError::from)?;
    let first = first.and_then(|stored| encoding::decode(&stored.bytes).ok());
    Ok(first.and_then(|entry| match entry.body {
        Body::Opened(opened) => Some(opened.origin),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_database_has_many_addresses() {
        let is_one = |one: &str, other: &str| {
            is_one_database(&one.parse().expect("an address"), &other.parse().expect("an address"))
        };
        assert!(is_one("postgres://a@db/log", "postgres://b@DB:5432/log?sslmode=disable"));
        assert!(!is_one("postgres://a@db/log", "postgres://a@db/heads"));
        assert!(!is_one("postgres://a@db/log", "postgres://a@other/log"));
    }
}
