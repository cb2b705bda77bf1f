//! Whether a database holds a log that this version knows, and how one gets there.

use tokio_postgres::Row;

use crate::ledger::backend::BackendError;
use crate::ledger::backend::postgres::Access;
use crate::ledger::backend::postgres::column;
use crate::ledger::backend::postgres::error::unusable;
use crate::ledger::backend::postgres::link::Purpose;
use crate::ledger::backend::postgres::link::Session;
use crate::ledger::backend::postgres::sql;

/// The oldest server whose behaviour this was written for.
const SERVER_VERSION_MIN: i64 = 140_000;

/// Makes a connection fit for its purpose. Nothing is written before the server and the schema are known.
pub(super) async fn prepare(session: &mut Session, purpose: Purpose, access: &Access) -> Result<(), BackendError> {
    let refused = |why: &str| unusable(&access.address, why);
    session.execute_plainly(sql::SETTINGS).await?;
    if purpose == Purpose::Read {
        session.execute_plainly(sql::READ_ONLY).await?;
    }
    check_server(session, purpose, access).await?;
    if purpose == Purpose::Create {
        make(session).await?;
    }
    let has_log = column::<bool>(&one(session, sql::HAS_LOG).await?, 0)?;
    if !has_log {
        return Err(refused("it holds no log"));
    }
    let head = one(session, sql::VERSION).await?;
    let (version, length) = (column::<i64>(&head, 0)?, column::<i64>(&head, 1)?);
    if version < 0 {
        return Err(refused("a log is being restored into it, or that was cut off: restore it again"));
    }
    if !(1..=sql::SCHEMA_VERSION).contains(&version) {
        let known = sql::SCHEMA_VERSION;
        return Err(refused(&format!("its schema has version `{version}`, and this host knows version `{known}`")));
    }
    if purpose == Purpose::Read && version < sql::SCHEMA_VERSION {
        return Err(refused(&format!("its schema has version `{version}`; a command that writes to it brings it up")));
    }
    // A log without an entry was not finished being made.
    if purpose == Purpose::Create && length > 0 {
        return Err(refused("it holds a log already"));
    }
    if purpose == Purpose::Read { Ok(()) } else { migrate(session, version).await }
}

/// Makes what holds a log, unless it is there. Two may begin to at the same time.
async fn make(session: &mut Session) -> Result<(), BackendError> {
    session.execute_plainly(sql::BEGIN_TO_MAKE).await?;
    let has_log = column::<bool>(&one(session, sql::HAS_LOG).await?, 0)?;
    let is_unfinished = has_log && column::<i64>(&one(session, sql::VERSION).await?, 0)? < 0;
    if is_unfinished {
        session.execute_plainly(sql::DROP_UNFINISHED).await?;
    }
    if is_unfinished || !has_log {
        session.execute_plainly(sql::SCHEMA).await?;
    }
    session.execute_plainly("COMMIT").await
}

/// Whether a server can be trusted with what is opened for this purpose.
pub(super) async fn check_server(session: &mut Session, purpose: Purpose, access: &Access) -> Result<(), BackendError> {
    let refused = |why: &str| unusable(&access.address, why);
    let server = one(session, sql::SERVER).await?;
    if column::<i64>(&server, 0)? < SERVER_VERSION_MIN {
        return Err(refused("its server is older than version 14"));
    }
    if purpose != Purpose::Read {
        // Durability: what such a server calls committed may be gone after a power cut.
        if !column::<bool>(&server, 1)? {
            return Err(refused("its server was told not to sync: `fsync` and `full_page_writes` have to be on"));
        }
        if column::<bool>(&server, 2)? {
            return Err(BackendError::ReadOnly);
        }
    }
    Ok(())
}

/// Brings a schema up, a transaction for each version, by statements that only add.
async fn migrate(session: &Session, version: i64) -> Result<(), BackendError> {
    for (_, statements) in sql::MIGRATIONS.iter().filter(|(to, _)| version < *to) {
        session.execute_plainly(statements).await?;
    }
    Ok(())
}

async fn one(session: &mut Session, sql: &'static str) -> Result<Row, BackendError> {
    let row = session.rows(sql, &[]).await?.into_iter().next();
    row.ok_or_else(|| BackendError::Corrupt("the row that tells what it is was removed".to_owned()))
}
