//! Checkpoints that are stored, and what a head says: each by the key of its size, and none that the log is too short for.

use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::rotation::KeyChain;
use ringfence_audit::tree::Tree;

use crate::ledger::Ledger;
use crate::ledger::backend::StoredCheckpoint;
use crate::sequencer::HeadState;
use crate::sequencer::Published;
use crate::sequencer::SequencerError;
use crate::sequencer::State;
use crate::sequencer::head::Head;
use crate::sequencer::head::HeadPlace;
use crate::sequencer::keys::keys;
use crate::sequencer::tree::grow;
use crate::sequencer::tree::nodes;
use crate::sequencer::tree::restored;

/// What the head of the log of this origin says, as it stands there; none if there is none.
pub fn read_head(place: HeadPlace, origin: &str) -> Result<Option<String>, SequencerError> {
    Head::new(place, origin)?.read()
}

/// Compares a log with its head, without the key that signs: for opening, and for readers.
pub fn check_head(ledger: &Ledger, place: HeadPlace) -> Result<HeadState, SequencerError> {
    let keys = keys(ledger)?;
    let published = latest(ledger, &keys)?;
    let tree = match &published {
        Some(published) => restored(ledger, &published.checkpoint)?,
        None => Tree::new(),
    };
    let head = Head::new(place, &ledger.opened().origin)?;
    let state = State { tree, published, shown: None };
    compare_head(Log { ledger, keys: &keys }, &head, head.read()?.as_deref(), &state)
}

/// The checkpoint in a signed note, if it is one of this log's: by its key of that size. Or why it is not.
pub fn open_checkpoint(ledger: &Ledger, note: &str) -> Result<Checkpoint, String> {
    let keys = keys(ledger).map_err(|error| error.to_string())?;
    opened(Log { ledger, keys: &keys }, note)
}

/// The last checkpoint that is stored, checked by the key of its size.
pub(super) fn latest(ledger: &Ledger, keys: &KeyChain) -> Result<Option<Published>, SequencerError> {
    let stored = ledger.read(|backend| backend.latest_checkpoint())?;
    stored.map(|stored| trusted(ledger, keys, stored)).transpose()
}

/// The smallest stored checkpoint over at least `size` entries, checked the same way.
pub(super) fn covering(ledger: &Ledger, keys: &KeyChain, size: u64) -> Result<Option<Published>, SequencerError> {
    let stored = ledger.read(|backend| backend.checkpoint_covering(size))?;
    stored.map(|stored| trusted(ledger, keys, stored)).transpose()
}

fn trusted(ledger: &Ledger, keys: &KeyChain, stored: StoredCheckpoint) -> Result<Published, SequencerError> {
    let StoredCheckpoint { size, note } = stored;
    let checkpoint = opened(Log { ledger, keys }, &note).map_err(SequencerError::Tree)?;
    if checkpoint.size != size {
        return Err(SequencerError::Tree(format!(
            "the checkpoint of `{size}` entries is one of `{}`",
            checkpoint.size
        )));
    }
    if is_beyond(ledger, size)? {
        return Err(SequencerError::RolledBack { entries: ledger.len(), head: size });
    }
    Ok(Published { checkpoint, note })
}

/// A log with the keys it has had.
#[derive(Clone, Copy)]
pub(super) struct Log<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) keys: &'a KeyChain,
}

impl Log<'_> {
    /// What a head says that was compared with the log.
    pub(super) fn said(self, note: Option<&str>) -> Option<Published> {
        let checkpoint = opened(self, note?).ok()?;
        Some(Published { checkpoint, note: note?.to_owned() })
    }
}

pub(super) fn opened(log: Log<'_>, note: &str) -> Result<Checkpoint, String> {
    let Log { ledger, keys } = log;
    let checkpoint = keys.open(note).map_err(|error| error.to_string())?;
    let (found, wanted) = (&checkpoint.origin, &ledger.opened().origin);
    if found != wanted {
        return Err(format!("it is a checkpoint of `{}`, not of `{wanted}`", found.escape_debug()));
    }
    Ok(checkpoint)
}

pub(super) fn compare_head(
    log: Log<'_>,
    head: &Head,
    note: Option<&str>,
    state: &State,
) -> Result<HeadState, SequencerError> {
    let Some(note) = note else { return Ok(HeadState::Missing) };
    let Checkpoint { size, root, .. } = opened(log, note).map_err(|why| head.refused(why))?;
    let ledger = log.ledger;
    if is_beyond(ledger, size)? {
        return Err(SequencerError::RolledBack { entries: ledger.len(), head: size });
    }
    let tree = if size <= state.tree.size() {
        Tree::from_nodes(&nodes(ledger), size)?
    } else {
        grow(ledger, state.tree.clone(), size, |_| Ok(()))?
    };
    if tree.root() == root { Ok(HeadState::Covers { size }) } else { Err(SequencerError::Forked { size }) }
}

/// Whether the log holds less than so many entries. Another host may have written since this one counted.
fn is_beyond(ledger: &Ledger, size: u64) -> Result<bool, SequencerError> {
    Ok(size > ledger.len() && (!ledger.is_shared() || ledger.entry(size.saturating_sub(1))?.is_none()))
}
