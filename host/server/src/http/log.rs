//! The log over HTTP, for whoever audits it: entries, proofs, the checkpoint, tiles.
//!
//! What is handed out is what `ringfence log` writes into files, the same bytes, so that whatever checks the one checks
//! the other. Nothing is signed here: what no checkpoint covers yet can be read, and not be proven.

use http::StatusCode;
use ringfence_audit::hash;
use ringfence_audit::tiles::Tile;
use ringfence_model::limits;
use ringfence_runtime::host::Host;
use ringfence_runtime::ledger::backend::StoredEntry;
use ringfence_runtime::sequencer;
use ringfence_runtime::sequencer::SequencerError;

use crate::http::Problem;
use crate::http::inbound::Handled;
use crate::http::inbound::LIMIT;
use crate::http::inbound::answer;
use crate::http::inbound::failed;
use crate::http::inbound::limit;
use crate::http::inbound::linked;
use crate::http::inbound::number;
use crate::http::inbound::number_in;
use crate::http::inbound::on_host;
use crate::http::respond;
use crate::http::routes::Admitted;
use crate::http::routes::BYTES;

/// What a query has for the first entry that is wanted, or the size that a proof begins at.
pub(super) const FROM: &str = "from";
/// What a query has for the size that a proof leads to.
pub(super) const TO: &str = "to";

/// Entries read at a time: each is no larger than `ENTRY_BYTES_MAX`.
const READ: usize = 16;

pub(super) async fn entries(admitted: Admitted) -> Handled {
    let from = number_in(&admitted, FROM)?.unwrap_or_default();
    let limit = limit(&admitted, limits::LOG_PAGE_ENTRIES_MAX)?;
    on_host(&admitted, move |host| {
        let entries = read(host, from, limit)?;
        let next = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        // Others may have written more than this host has seen, so its own count tells less than the log.
        let is_more = host.ledger().entry(next).map_err(|_| failed())?.is_some();
        let texts: Vec<_> = entries.iter().map(|entry| entry.bytes.as_slice()).collect();
        let body = [b"[", texts.join(b",".as_slice()).as_slice(), b"]"].concat();
        let response = respond(StatusCode::OK, "application/json", body);
        Ok(linked(response, is_more.then(|| format!("?{LIMIT}={limit}&{FROM}={next}"))))
    })
    .await
}

pub(super) async fn entry(admitted: Admitted) -> Handled {
    let index = index(&admitted)?;
    on_host(&admitted, move |host| {
        let entry = read(host, index, 1)?.pop().ok_or_else(Problem::not_found)?;
        Ok(respond(StatusCode::OK, "application/json", entry.bytes))
    })
    .await
}

pub(super) async fn proof(admitted: Admitted) -> Handled {
    let index = index(&admitted)?;
    on_host(&admitted, move |host| match host.receipt(index) {
        Ok(receipt) if receipt.checkpoint.is_some() => Ok(answer(&receipt)),
        Ok(_) => Err(not_covered(&format!("entry `{index}`"))),
        Err(SequencerError::NoEntry { .. }) => Err(Problem::not_found()),
        Err(_) => Err(failed()),
    })
    .await
}

pub(super) async fn consistency(admitted: Admitted) -> Handled {
    let from = number_in(&admitted, FROM)?.ok_or_else(|| Problem::bad(format!("`{FROM}` is missing")))?;
    let to = number_in(&admitted, TO)?;
    on_host(&admitted, move |host| {
        let proven = host.extension(from, to).map_err(|_| failed())?;
        let wanted = to.map_or_else(|| format!("{from} entries"), |to| format!("exactly {to} entries"));
        Ok(answer(&proven.ok_or_else(|| not_covered(&wanted))?))
    })
    .await
}

pub(super) async fn checkpoint(admitted: Admitted) -> Handled {
    on_host(&admitted, |host| {
        let note = host.checkpoint().ok_or_else(|| not_covered("anything"))?;
        Ok(respond(StatusCode::OK, "text/plain; charset=utf-8", note))
    })
    .await
}

pub(super) async fn tile(admitted: Admitted) -> Handled {
    let path = admitted.id.as_deref().unwrap_or_default();
    let tile: Tile = format!("tile/{path}").parse().map_err(|_| Problem::not_found())?;
    on_host(&admitted, move |host| {
        if !tile.is_within(host.covered()) {
            return Err(not_covered(&format!("`{tile}`")));
        }
        let bytes = sequencer::tile(host.ledger(), &tile).map_err(|_| failed())?;
        Ok(respond(StatusCode::OK, BYTES, bytes))
    })
    .await
}

/// Entries as they are recorded, from an index on. What does not have its hash is damage, and not handed out.
pub(super) fn read(host: &Host, from: u64, limit: usize) -> Result<Vec<StoredEntry>, Problem> {
    let (mut entries, mut bytes): (Vec<StoredEntry>, usize) = (Vec::new(), 0);
    while entries.len() < limit && bytes < limits::HTTP_PAGE_BYTES_MAX {
        let next = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        let read = host.ledger().entries(next, READ.min(limit - entries.len())).map_err(|_| failed())?;
        if read.is_empty() {
            break;
        }
        for (index, entry) in (next..).zip(read) {
            if entry.index != index || hash::leaf(&entry.bytes) != entry.hash {
                return Err(failed());
            }
            bytes = bytes.saturating_add(entry.bytes.len());
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn index(admitted: &Admitted) -> Result<u64, Problem> {
    admitted.id.as_deref().and_then(number).ok_or_else(Problem::not_found)
}

/// It may be there soon: checkpoints are signed as the log grows.
fn not_covered(what: &str) -> Problem {
    let why = format!("no checkpoint covers {what}");
    Problem::new(StatusCode::NOT_FOUND, "caller.not-covered", why).retry(limits::CHECKPOINT_MS)
}
