//! One batch as one transaction.
//!
//! It begins by taking the head row, which every writer takes, so transactions that write come one after the other. It
//! goes on only if the log ends where the batch begins, and if this host was not taken over: the epoch that it entered
//! under is looked at behind the row, in the transaction that writes the entries (IDM-06).

use ringfence_audit::tree::Node;

use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::Fact;
use crate::ledger::backend::StoredCheckpoint;
use crate::ledger::backend::StoredContent;
use crate::ledger::backend::StoredEntry;
use crate::ledger::backend::columns::CallColumns;
use crate::ledger::backend::columns::to_sql;
use crate::ledger::backend::postgres::column;
use crate::ledger::backend::postgres::link::Params;
use crate::ledger::backend::postgres::link::Session;
use crate::ledger::backend::postgres::sql;

/// Where a batch goes: behind so many entries, by this host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) next: u64,
    pub(super) epoch: i64,
}

/// Makes a batch durable, and says how many batches there are then.
pub(super) async fn write(session: &mut Session, batch: &Batch, place: Place) -> Result<i64, BackendError> {
    session.execute_plainly("BEGIN").await?;
    let error = match fill(session, batch, place).await {
        Ok(batches) => return session.execute_plainly("COMMIT").await.map(|()| batches),
        Err(error) => error,
    };
    // A transaction that can't be undone now ends with the connection.
    match session.execute_plainly("ROLLBACK").await {
        Ok(()) => Err(error),
        Err(lost) => Err(if error.leaves_nothing() { lost } else { error }),
    }
}

async fn fill(session: &mut Session, batch: &Batch, Place { next, epoch }: Place) -> Result<i64, BackendError> {
    let head = session.rows(sql::TAKE_HEAD, &[]).await?;
    let length = head.first().map(|row| column::<i64>(row, 0)).transpose()?;
    if length != Some(to_sql(next)) {
        return Err(BackendError::Other(format!("somebody else has written to it: it does not end before `{next}`")));
    }
    if session.rows(sql::IS_HOST, &[Box::new(epoch)]).await?.is_empty() {
        return Err(BackendError::Fenced);
    }
    put_entries(session, &batch.entries).await?;
    for (_, StoredContent { commitment, nonce, bytes }) in &batch.contents {
        let params: Params = vec![
            Box::new(commitment.digest().as_bytes().to_vec()),
            Box::new(nonce.as_bytes().to_vec()),
            Box::new(bytes.clone()),
        ];
        session.rows(sql::PUT_CONTENT, &params).await?;
    }
    for row in &batch.calls {
        put_call(session, row, epoch).await?;
    }
    put_nodes(session, &batch.nodes).await?;
    if let Some(StoredCheckpoint { size, note }) = &batch.checkpoint {
        session.rows(sql::PUT_CHECKPOINT, &[Box::new(to_sql(*size)), Box::new(note.clone())]).await?;
    }
    for fact in &batch.facts {
        put_fact(session, fact).await?;
    }
    if !batch.removals.is_empty() {
        let removals: Vec<_> = batch.removals.iter().map(|gone| gone.commitment.digest().as_bytes().to_vec()).collect();
        session.rows(sql::REMOVE_CONTENTS, &[Box::new(removals)]).await?;
    }
    let length = next.saturating_add(super::super::length(batch.entries.len()));
    let moved = session.rows(sql::MOVE_HEAD, &[Box::new(to_sql(length))]).await?;
    let batches = moved.first().map(|row| column::<i64>(row, 0)).transpose()?;
    batches.ok_or_else(|| BackendError::Corrupt("the row that tells where it ends was removed".to_owned()))
}

async fn put_entries(session: &mut Session, entries: &[StoredEntry]) -> Result<(), BackendError> {
    if entries.is_empty() {
        return Ok(());
    }
    let indexes: Vec<_> = entries.iter().map(|entry| to_sql(entry.index)).collect();
    let hashes: Vec<_> = entries.iter().map(|entry| entry.hash.as_bytes().to_vec()).collect();
    let bytes: Vec<_> = entries.iter().map(|entry| entry.bytes.clone()).collect();
    session.rows(sql::PUT_ENTRIES, &[Box::new(indexes), Box::new(hashes), Box::new(bytes)]).await?;
    Ok(())
}

async fn put_nodes(session: &mut Session, nodes: &[Node]) -> Result<(), BackendError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let levels: Vec<_> = nodes.iter().map(|node| i64::from(node.level)).collect();
    let indexes: Vec<_> = nodes.iter().map(|node| to_sql(node.index)).collect();
    let hashes: Vec<_> = nodes.iter().map(|node| node.hash.as_bytes().to_vec()).collect();
    session.rows(sql::PUT_NODES, &[Box::new(levels), Box::new(indexes), Box::new(hashes)]).await?;
    Ok(())
}

async fn put_call(session: &mut Session, row: &CallRow, epoch: i64) -> Result<(), BackendError> {
    let columns = CallColumns::of(row);
    let params: Params = vec![
        Box::new(columns.call),
        Box::new(columns.principal),
        Box::new(columns.key.map(|key| key.to_vec())),
        Box::new(columns.fingerprint.map(|fingerprint| fingerprint.to_vec())),
        Box::new(columns.reach),
        Box::new(columns.begun),
        Box::new(columns.ended),
        Box::new(columns.effect),
        Box::new(columns.settled),
        Box::new(columns.settlement),
        Box::new(epoch),
    ];
    session.rows(sql::PUT_CALL, &params).await?;
    Ok(())
}

async fn put_fact(session: &mut Session, fact: &Fact) -> Result<(), BackendError> {
    let Fact { kind, key, value } = fact;
    let mut params: Params = vec![Box::new(kind.as_str()), Box::new(key.clone())];
    let sql = match value {
        Some(value) => {
            params.push(Box::new(value.clone()));
            sql::PUT_FACT
        }
        None => sql::REMOVE_FACT,
    };
    session.rows(sql, &params).await?;
    Ok(())
}
