//! The keys of a log: which one is in force, found without reading the log.
//!
//! Each key signs a run of checkpoints, so the last of its run is found by halving, and the rotation stands among the
//! entries up to the next one. That is where to look; what counts is what the entry there says, signed by both keys.

use ringfence_audit::chain::Head;
use ringfence_audit::note::Note;
use ringfence_audit::note::Verifier;
use ringfence_audit::rotation::KeyChain;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::entry::Rotated;

use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::backend::StoredCheckpoint;
use crate::ledger::backend::StoredEntry;
use crate::sequencer::ENTRIES_PER_READ;
use crate::sequencer::SequencerError;

/// The keys of a log, each vouched for by the one before.
pub fn keys(ledger: &Ledger) -> Result<KeyChain, SequencerError> {
    let mut keys = KeyChain::new(ledger.opened())
        .map_err(|error| SequencerError::Tree(format!("the log names no key: {error}")))?;
    while let Some((end, rotated)) = next_rotation(ledger, &keys)? {
        keys.rotate(&end, &rotated).map_err(|error| {
            let why = format!("it does not rotate the log's key: {error}");
            LedgerError::Corrupt { index: end.next_index, why }
        })?;
    }
    Ok(keys)
}

/// The entry that replaces the newest of these keys, if there is one, and where the log ended when it was written.
fn next_rotation(ledger: &Ledger, keys: &KeyChain) -> Result<Option<(Head, Rotated)>, SequencerError> {
    let Some(latest) = ledger.read(|backend| backend.latest_checkpoint())? else {
        return find(ledger, keys.since(), ledger.len());
    };
    if is_by(&latest, keys.newest()) {
        return find(ledger, latest.size.max(keys.since()), ledger.len());
    }
    let (last, next) = end_of_run(ledger, keys, &latest)?;
    find(ledger, last.max(keys.since()), next)
}

/// The size of the last checkpoint that the newest key has signed, and of the one after it.
fn end_of_run(ledger: &Ledger, keys: &KeyChain, latest: &StoredCheckpoint) -> Result<(u64, u64), SequencerError> {
    let (mut last, mut next) = (keys.since().saturating_sub(1), latest.size);
    while last.saturating_add(1) < next {
        let middle = last + (next - last) / 2;
        match ledger.read(|backend| backend.checkpoint_covering(middle))? {
            Some(found) if is_by(&found, keys.newest()) => last = found.size.clamp(middle, next - 1),
            Some(found) if found.size < next => next = found.size.max(middle),
            _ => next = middle,
        }
    }
    // Halving ends between two sizes; the checkpoint may cover more than the larger of them.
    let covering = ledger.read(|backend| backend.checkpoint_covering(next))?;
    Ok((last, covering.map_or(latest.size, |found| found.size)))
}

fn is_by(stored: &StoredCheckpoint, key: &Verifier) -> bool {
    Note::parse(&stored.note).is_ok_and(|note| note.open(std::slice::from_ref(key)).is_ok())
}

/// The first rotation among some entries. One that can't be read is somebody else's finding: there is no rotation in it.
fn find(ledger: &Ledger, from: u64, end: u64) -> Result<Option<(Head, Rotated)>, SequencerError> {
    let mut next = from;
    while next < end {
        let left = usize::try_from(end - next).unwrap_or(usize::MAX);
        let page = ledger.entries(next, left.min(ENTRIES_PER_READ))?;
        let Some(last) = page.last() else { break };
        next = last.index.saturating_add(1);
        if let Some(found) = page.iter().find_map(rotation) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn rotation(stored: &StoredEntry) -> Option<(Head, Rotated)> {
    let entry = encoding::decode(&stored.bytes).ok()?;
    match entry.body {
        Body::Rotated(rotated) => Some((Head { next_index: stored.index, hash: entry.prev }, *rotated)),
        _ => None,
    }
}
