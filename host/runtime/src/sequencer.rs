//! The sequencer: entries become leaves of a tree, and the tree gets a signed checkpoint.
//!
//! Three words, three guarantees: an entry is *recorded* when the ledger has returned, *integrated* when it is in the
//! tree, *published* when a signed checkpoint covers it. This module owns the second and the third. It never writes an
//! entry, never signs a checkpoint that does not extend the one before, and never hands out a proof it has not checked.
//!
//! A checkpoint is kept in the log and in a second place, the head: a file, or a row of a database. A log can be cut off
//! at its end, or put back to yesterday's copy, and still be whole by itself: only the head tells. So the head belongs
//! where whoever restores the log does not restore it as well.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::extension::Extension;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::rotation;
use ringfence_audit::rotation::KeyChain;
use ringfence_audit::signer::Signer;
use ringfence_audit::tree::Tree;
use ringfence_audit::witness;
use ringfence_audit::witness::Witness;
use thiserror::Error;

use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::StoredCheckpoint;
use crate::sequencer::checkpoints::Log;
use crate::sequencer::checkpoints::compare_head;
use crate::sequencer::checkpoints::covering;
use crate::sequencer::checkpoints::latest;
use crate::sequencer::head::Head;
use crate::sequencer::head::HeldHead;
use crate::sequencer::proofs::receipt;
use crate::sequencer::tree::Fresh;
use crate::sequencer::tree::TreeNodes;
use crate::sequencer::tree::check_extends;
use crate::sequencer::tree::integrate;
use crate::sequencer::tree::listed;
use crate::sequencer::tree::restored;

mod checkpoints;
mod head;
mod head_file;
mod keys;
mod proofs;
mod tiles;
mod tree;

pub use crate::sequencer::checkpoints::check_head;
pub use crate::sequencer::checkpoints::open_checkpoint;
pub use crate::sequencer::checkpoints::read_head;
pub use crate::sequencer::head::HeadPlace;
pub use crate::sequencer::keys::keys;
pub use crate::sequencer::proofs::ProvenEntries;
pub use crate::sequencer::proofs::prove;
pub use crate::sequencer::proofs::prove_all;
pub use crate::sequencer::proofs::prove_extension;
pub use crate::sequencer::tiles::tile;
pub use crate::sequencer::tree::nodes;

/// Entries read at a time.
const ENTRIES_PER_READ: usize = 256;

/// Why the sequencer could not do its work.
///
/// Blame: [`Self::RolledBack`], [`Self::Forked`] and [`Self::Tree`] are evidence; [`Self::HeadFile`], [`Self::HeadStore`] and
/// [`Self::Sign`] lie with the operator or the environment; [`Self::NoEntry`] with the caller.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SequencerError {
    /// The log and its head are two histories.
    #[error("the log was rewritten: its first `{size}` entries are not those that its head covers")]
    Forked {
        /// How many entries the head covers.
        size: u64,
    },
    /// The head file can't be read or written.
    #[error("the head file `{path}` can't be used: {why}")]
    HeadFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The head can't be read or written where it is in a database.
    #[error("the head in `{address}` can't be used: {why}")]
    HeadStore {
        /// The database.
        address: String,
        /// What is wrong with it, or with the way to it.
        why: String,
    },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no such entry.
    #[error("the log has no entry `{index}`: it holds `{entries}`")]
    NoEntry {
        /// What was asked for.
        index: u64,
        /// How many entries there are.
        entries: u64,
    },
    /// The log is shorter than its head.
    #[error("the log was rolled back: it holds `{entries}` entries, its head covers `{head}`")]
    RolledBack {
        /// How many entries the log holds.
        entries: u64,
        /// How many entries the head covers.
        head: u64,
    },
    /// The checkpoint could not be signed, or not by the key that the log names.
    #[error("the checkpoint could not be signed: {0}")]
    Sign(String),
    /// What is stored of the tree does not fit the entries, or is not signed by this log's key.
    #[error("the tree of the log is damaged: {0}")]
    Tree(String),
}

/// What the second place says of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadState {
    /// There is no head: nothing would tell if the log had been rolled back.
    Missing,
    /// The log continues the history that the head covers.
    Covers {
        /// How many entries the head covers.
        size: u64,
    },
}

/// A checkpoint of this log, with the note it was signed as.
#[derive(Clone, Debug)]
struct Published {
    checkpoint: Checkpoint,
    note: String,
}

/// What is integrated and what is published.
#[derive(Debug)]
struct State {
    /// The tree as of the last checkpoint.
    tree: Tree,
    published: Option<Published>,
    /// What is handed out: the last one that the head says, too.
    shown: Option<Published>,
}

/// Puts entries into the tree and the tree under signed checkpoints. One of them to a log.
#[derive(Debug)]
pub struct Sequencer {
    head_at_open: HeadState,
    head: Option<Head>,
    keys: KeyChain,
    signer: Arc<dyn Signer>,
    state: Mutex<State>,
}

impl Sequencer {
    /// The sequencer of a log. Refuses a log that is not the one its head covers, and a key that is not the one in
    /// force. Writes nothing.
    pub fn open(ledger: &Ledger, signer: Arc<dyn Signer>, head: Option<HeadPlace>) -> Result<Self, SequencerError> {
        let keys = keys(ledger)?;
        let (named, given) = (keys.newest(), signer.verifier());
        if named != given {
            return Err(SequencerError::Sign(format!("the log names key `{named}`, not `{given}`")));
        }
        // Trust boundary: a head in a database is found by the log's name, and that stands in the log itself. The key does not: a
        // log that calls itself otherwise would have no head, and nothing would tell that it was put back (AUD-07).
        let origin = &ledger.opened().origin;
        if given.name() != origin {
            let why = format!("it calls itself `{}`, and its key is one of `{}`", origin.escape_debug(), given.name());
            return Err(SequencerError::Tree(why));
        }
        let published = latest(ledger, &keys)?;
        let tree = match &published {
            Some(published) => restored(ledger, &published.checkpoint)?,
            None => Tree::new(),
        };
        let mut state = State { tree, published, shown: None };
        let head = head.map(|place| Head::new(place, origin)).transpose()?;
        let said = head.as_ref().map(Head::read).transpose()?.flatten();
        let log = Log { ledger, keys: &keys };
        let head_at_open = match &head {
            Some(head) => compare_head(log, head, said.as_deref(), &state)?,
            None => HeadState::Missing,
        };
        // Trust boundary: what is stored may not have got into the head, and then another copy of this log may put another of
        // its size there (AUD-08, AUD-24). Hosts that share a log and have a file each are no copies, and not in step.
        let is_theirs = matches!(head, Some(Head::File(_))) && ledger.is_shared();
        state.shown = match (&head, head_at_open) {
            (Some(_), _) if is_theirs => state.published.clone(),
            (Some(_), HeadState::Missing) => None,
            (Some(_), HeadState::Covers { size }) if !state.is_within(size) => log.said(said.as_deref()),
            (Some(_), HeadState::Covers { .. }) | (None, _) => state.published.clone(),
        };
        Ok(Self { head_at_open, head, keys, signer, state: Mutex::new(state) })
    }

    /// What the head said when the log was opened.
    pub fn head_at_open(&self) -> HeadState {
        self.head_at_open
    }

    /// The last checkpoint, as a signed note: one that the head has.
    pub fn checkpoint(&self) -> Option<String> {
        self.state().shown.as_ref().map(|shown| shown.note.clone())
    }

    /// How many entries the last checkpoint covers, of those that the head has.
    pub fn covered(&self) -> u64 {
        self.state().shown.as_ref().map_or(0, |shown| shown.checkpoint.size)
    }

    /// The same as [`prove_extension`], under no checkpoint that the head does not have.
    pub fn extension(&self, ledger: &Ledger, from: u64, to: Option<u64>) -> Result<Option<Extension>, SequencerError> {
        if to.is_none_or(|to| to > self.covered()) {
            self.catch_up(ledger)?;
        }
        let covered = self.covered();
        let to = to.unwrap_or(covered);
        if to > covered { Ok(None) } else { prove_extension(ledger, from, Some(to)) }
    }

    /// Learns what other hosts of this log have put into the head.
    fn catch_up(&self, ledger: &Ledger) -> Result<(), SequencerError> {
        let Some(head) = self.head.as_ref().filter(|_| ledger.is_shared()) else { return Ok(()) };
        let keys = keys(ledger)?;
        let log = Log { ledger, keys: &keys };
        let mut state = self.state();
        let shown = match head {
            Head::Database(..) => {
                let said = head.read()?;
                compare_head(log, head, said.as_deref(), &state)?;
                log.said(said.as_deref())
            }
            Head::File(_) => latest(ledger, &keys)?,
        };
        let size = |published: &Option<Published>| published.as_ref().map(|published| published.checkpoint.size);
        if size(&shown) > size(&state.shown) {
            state.shown = shown;
        }
        Ok(())
    }

    /// Integrates every entry there is and publishes a checkpoint over them: the signed note. If nothing has been
    /// written since the last one, that is returned.
    pub fn publish(&self, ledger: &Ledger) -> Result<String, SequencerError> {
        let mut state = self.state();
        // Before the pen, for which everybody waits, on every host: a head that is out of reach stops checkpoints, and not calls.
        self.head.as_ref().map(Head::reach).transpose()?;
        let _pen = ledger.pen()?;
        self.check_key(ledger)?;
        if ledger.is_shared()
            && let Some(newer) = Self::newer(ledger, &state)?
        {
            *state = newer;
        }
        // Trust boundary: another copy of this log may have published since, and may be about to (AUD-08, AUD-24). Nothing
        // is signed but by whoever holds the head, and on what the head says.
        let held = self.head.as_ref().map(Head::hold).transpose()?;
        let said = match (&self.head, &held) {
            (Some(place), Some(held)) => compare_head(Log { ledger, keys: &self.keys }, place, held.note(), &state)?,
            _ => HeadState::Missing,
        };
        let size = ledger.len();
        let is_new = state.published.as_ref().is_none_or(|published| published.checkpoint.size != size);
        let next = if is_new { Some(self.extend(ledger, &state, size)?) } else { None };
        let published = next.as_ref().unwrap_or(&state).published.as_ref();
        let note = published.map(|published| published.note.clone()).unwrap_or_default();
        if let Some(held) = held
            && said != (HeadState::Covers { size })
        {
            // Durability: the head comes last. A crash before it leaves a head older than the log, which is fine; a
            // head newer than its log means that the log has lost something. And nobody is told of a checkpoint before
            // the head says it: a copy of this log may get there first.
            held.swap(&note)?;
        }
        if let Some(next) = next {
            *state = next;
        }
        let state = &mut *state;
        state.shown.clone_from(&state.published);
        Ok(note)
    }

    /// Hands the log over to a new key: signs all there is with the old one, writes the rotation, and signs that with the
    /// new one. If it fails midway the log says which key is in force: [`keys()`].
    pub fn rotate(&mut self, ledger: &Ledger, new: Arc<dyn Signer>) -> Result<String, SequencerError> {
        self.publish(ledger)?;
        let origin = &ledger.opened().origin;
        let failed = |why: String| LedgerError::Encode(why);
        let (end, rotated) = ledger.rotate(
            |ledger| self.check_key(ledger).map_err(|error| failed(error.to_string())),
            |end| {
                let rotated = rotation::sign(origin, end, self.signer.as_ref(), new.as_ref());
                rotated.map_err(|error| failed(error.to_string()))
            },
        )?;
        self.keys.rotate(&end, &rotated).map_err(|error| SequencerError::Sign(error.to_string()))?;
        self.signer = new;
        self.publish(ledger)
    }

    /// Adds what these witnesses have signed to the checkpoint it is of, which is stored: the signed note with all of it.
    /// None if there is no checkpoint of that text.
    pub fn cosign(
        &self,
        ledger: &Ledger,
        cosigned: &str,
        witnesses: &[Witness],
    ) -> Result<Option<String>, SequencerError> {
        let mut state = self.state();
        let _pen = ledger.pen()?;
        let held = self.head.as_ref().map(Head::hold).transpose()?;
        let Ok(claimed) = self.keys.open(cosigned) else { return Ok(None) };
        let stored = covering(ledger, &self.keys, claimed.size)?;
        let merged = stored.and_then(|stored| witness::merge(&stored.note, cosigned, witnesses));
        let Some(merged) = merged else { return Ok(None) };
        let stored = Some(StoredCheckpoint { size: claimed.size, note: merged.clone() });
        ledger.commit_aside(Batch { checkpoint: stored, ..Batch::default() })?;
        if let Some(published) = state.published.as_mut().filter(|published| published.checkpoint == claimed) {
            published.note.clone_from(&merged);
            let says = |held: &HeldHead<'_>| held.note().and_then(|note| self.keys.open(note).ok());
            let is_head = |held: &HeldHead<'_>| says(held).as_ref() == Some(&claimed);
            if let Some(held) = held.filter(is_head) {
                held.swap(&merged)?;
            }
            if let Some(shown) = state.shown.as_mut().filter(|shown| shown.checkpoint == claimed) {
                shown.note.clone_from(&merged);
            }
        }
        Ok(Some(merged))
    }

    /// The receipt of the entry at `index`: with its proof if a checkpoint covers it, else pending.
    pub fn receipt(&self, ledger: &Ledger, index: u64) -> Result<Receipt, SequencerError> {
        let shown = self.state().shown.clone();
        receipt(ledger, index, shown.as_ref())
    }

    /// Nothing is signed by a key that another host has replaced. To be asked by whoever holds the pen.
    fn check_key(&self, ledger: &Ledger) -> Result<(), SequencerError> {
        if !ledger.is_shared() {
            return Ok(());
        }
        let keys = keys(ledger)?;
        if keys.newest() == self.signer.verifier() {
            return Ok(());
        }
        Err(SequencerError::Sign(format!("the log is signed by `{}` now", keys.newest())))
    }

    /// What another host has published since, if it extends what this one knows and is by the key of this one.
    fn newer(ledger: &Ledger, known: &State) -> Result<Option<State>, SequencerError> {
        let known_size = known.published.as_ref().map_or(0, |published| published.checkpoint.size);
        let stored = ledger.read(|backend| backend.latest_checkpoint())?;
        if stored.is_none_or(|stored| stored.size <= known_size) {
            return Ok(None);
        }
        let keys = keys(ledger)?;
        let Some(published) = latest(ledger, &keys)? else { return Ok(None) };
        if let Some(before) = &known.published {
            let fresh = Fresh::new();
            check_extends(&TreeNodes { ledger, fresh: &fresh }, &before.checkpoint, &published.checkpoint)?;
        }
        let (tree, shown) = (restored(ledger, &published.checkpoint)?, known.shown.clone());
        Ok(Some(State { tree, published: Some(published), shown }))
    }

    /// The state after a checkpoint over `size` entries.
    fn extend(&self, ledger: &Ledger, before: &State, size: u64) -> Result<State, SequencerError> {
        let (tree, fresh) = integrate(ledger, before.tree.clone(), size)?;
        let checkpoint = Checkpoint { origin: ledger.opened().origin.clone(), size, root: tree.root() };
        if let Some(published) = &before.published {
            check_extends(&TreeNodes { ledger, fresh: &fresh }, &published.checkpoint, &checkpoint)?;
        }
        let signed = checkpoint.sign(self.signer.as_ref());
        let note = signed.map_err(|error| SequencerError::Sign(error.to_string()))?;
        let stored = Some(StoredCheckpoint { size, note: note.clone() });
        ledger.commit_aside(Batch { nodes: listed(fresh), checkpoint: stored, ..Batch::default() })?;
        Ok(State { tree, published: Some(Published { checkpoint, note }), shown: before.shown.clone() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Invariant: the state is replaced as a whole, so a panic elsewhere never leaves half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether what is stored covers no more entries than this.
    fn is_within(&self, size: u64) -> bool {
        self.published.as_ref().is_none_or(|published| published.checkpoint.size <= size)
    }
}

#[cfg(test)]
mod tests;
