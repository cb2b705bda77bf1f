//! What a server says, as what an operator can do about it.

use std::error::Error as _;
use std::fmt::Display;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::ledger::backend::BackendError;
use crate::ledger::backend::postgres::address::Address;

/// Why there is no connection.
pub(super) fn not_connected(address: &Address, error: &Error) -> BackendError {
    let unusable = |why: &str| unusable(address, why);
    match error.code() {
        Some(&(SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION)) => {
            unusable("the server does not let this user in; the password may be missing or wrong")
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => unusable("the server has no such database"),
        Some(_) => failed(error),
        // Nothing was asked yet, so there is nothing that could be in doubt.
        None => BackendError::Lost(told(error)),
    }
}

/// What became of a statement.
pub(super) fn failed(error: &Error) -> BackendError {
    let Some(code) = error.code() else { return lost_or_unreadable(error) };
    match *code {
        SqlState::DISK_FULL => BackendError::DiskFull,
        SqlState::READ_ONLY_SQL_TRANSACTION => BackendError::ReadOnly,
        SqlState::LOCK_NOT_AVAILABLE => BackendError::InUse,
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => BackendError::Corrupt(told(error)),
        SqlState::IO_ERROR | SqlState::INSUFFICIENT_PRIVILEGE => BackendError::Io(told(error)),
        _ if is_lost(code) => BackendError::Lost(told(error)),
        _ => BackendError::Other(told(error)),
    }
}

/// The classes of codes by which a server says that it goes away: connection, too many of them, and an operator's stop.
fn is_lost(code: &SqlState) -> bool {
    ["08", "53", "57"].iter().any(|class| code.code().starts_with(class))
}

fn lost_or_unreadable(error: &Error) -> BackendError {
    let is_io = error.is_closed() || error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    if is_io { BackendError::Lost(told(error)) } else { BackendError::Other(told(error)) }
}

pub(super) fn unusable(address: &Address, why: &str) -> BackendError {
    BackendError::Unusable { path: address.to_string(), why: why.to_owned() }
}

/// A column of another type than the schema says is damage, not a bug.
pub(super) fn unreadable(error: &Error) -> BackendError {
    BackendError::Corrupt(told(error))
}

/// One line. A server's message may be anything, and what it says of values is left out.
fn told(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => one_line(&format!("{} ({})", said.message(), said.code().code())),
        None => one_line(&chain(error)),
    }
}

fn chain(error: &Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn one_line(text: &impl Display) -> String {
    ringfence_model::outcome::one_line(&text.to_string())
}
