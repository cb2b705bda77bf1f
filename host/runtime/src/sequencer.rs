//! The sequencer: entries become leaves of a tree, and the tree gets a signed checkpoint.
//!
//! Three words, three guarantees: an entry is *recorded* when the ledger has returned, *integrated* when it is in the
//! tree, *published* when a signed checkpoint covers it. This module owns the second and the third. It never writes an
//! entry, never signs a checkpoint that does not extend the one before, and never hands out a proof it has not checked.
//!
//! A checkpoint is kept in the log and in a second place, the head file. A log can be cut off at its end, or put back
//! to yesterday's copy, and still be whole by itself: only the head tells. So the head file belongs where whoever
//! restores the log does not restore it as well.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::hash;
use ringfence_audit::note::Verifier;
use ringfence_audit::proof;
use ringfence_audit::proof::Inclusion;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::signer::Signer;
use ringfence_audit::tree::Node;
use ringfence_audit::tree::Nodes;
use ringfence_audit::tree::Tree;
use ringfence_model::digest::Commitment;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Body;
use ringfence_model::limits::CHECKPOINT_BYTES_MAX;
use thiserror::Error;

use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::StoredCheckpoint;

/// Entries read at a time.
const ENTRIES_PER_READ: usize = 256;
/// Nodes held back before they are stored; a crash costs no more than computing them again.
const NODES_HELD_MAX: usize = 4_096;

/// Why the sequencer could not do its work.
///
/// Blame: [`Self::RolledBack`], [`Self::Forked`] and [`Self::Tree`] are evidence; [`Self::HeadFile`] and [`Self::Sign`]
/// lie with the operator or the environment; [`Self::NoEntry`] with the caller.
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
    /// There is no head file: nothing would tell if the log had been rolled back.
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
}

/// Puts entries into the tree and the tree under signed checkpoints. One of them to a log.
#[derive(Debug)]
pub struct Sequencer {
    head_at_open: HeadState,
    head_file: Option<PathBuf>,
    signer: Arc<dyn Signer>,
    state: Mutex<State>,
}

impl Sequencer {
    /// The sequencer of a log. Refuses a log that is not the one its head covers, and a key that is not the one the
    /// log names. Writes nothing.
    pub fn open(ledger: &Ledger, signer: Arc<dyn Signer>, head_file: Option<PathBuf>) -> Result<Self, SequencerError> {
        let (named, given) = (&ledger.opened().key, signer.verifier().to_string());
        if *named != given {
            return Err(SequencerError::Sign(format!("the log names key `{named}`, not `{given}`")));
        }
        let published = latest(ledger)?;
        let tree = match &published {
            Some(published) => restored(ledger, &published.checkpoint)?,
            None => Tree::new(),
        };
        let state = State { tree, published };
        let head_at_open = match &head_file {
            Some(path) => compare_head(ledger, path, &state)?,
            None => HeadState::Missing,
        };
        Ok(Self { head_at_open, head_file, signer, state: Mutex::new(state) })
    }

    /// What the head file said when the log was opened.
    pub fn head_at_open(&self) -> HeadState {
        self.head_at_open
    }

    /// The last checkpoint, as a signed note.
    pub fn checkpoint(&self) -> Option<String> {
        self.state().published.as_ref().map(|published| published.note.clone())
    }

    /// Integrates every entry there is and publishes a checkpoint over them: the signed note. If nothing has been
    /// written since the last one, that is returned.
    pub fn publish(&self, ledger: &Ledger) -> Result<String, SequencerError> {
        let mut state = self.state();
        let head = match &self.head_file {
            // Trust boundary: another copy of this log may have published since (AUD-08, AUD-24).
            Some(path) => compare_head(ledger, path, &state)?,
            None => HeadState::Missing,
        };
        let size = ledger.len();
        if state.published.as_ref().is_none_or(|published| published.checkpoint.size != size) {
            *state = self.extend(ledger, &state, size)?;
        }
        let note = state.published.as_ref().map(|published| published.note.clone()).unwrap_or_default();
        if let Some(path) = &self.head_file
            && head != (HeadState::Covers { size })
        {
            // Durability: the head comes last. A crash before it leaves a head older than the log, which is fine; a
            // head newer than its log means that the log has lost something.
            write_head(path, &note).map_err(|error| head_failed(path, &error))?;
        }
        Ok(note)
    }

    /// The receipt of the entry at `index`: with its proof if a checkpoint covers it, else pending.
    pub fn receipt(&self, ledger: &Ledger, index: u64) -> Result<Receipt, SequencerError> {
        let published = self.state().published.clone();
        receipt(ledger, index, published.as_ref())
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
        Ok(State { tree, published: Some(Published { checkpoint, note }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Invariant: the state is replaced as a whole, so a panic elsewhere never leaves half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares a log with its head file, without the key that signs: for opening, and for readers.
pub fn check_head(ledger: &Ledger, head_file: &Path) -> Result<HeadState, SequencerError> {
    let published = latest(ledger)?;
    let tree = match &published {
        Some(published) => restored(ledger, &published.checkpoint)?,
        None => Tree::new(),
    };
    compare_head(ledger, head_file, &State { tree, published })
}

/// The receipt of the entry at `index` under the last checkpoint that is stored: for readers, who hold no key.
pub fn prove(ledger: &Ledger, index: u64) -> Result<Receipt, SequencerError> {
    receipt(ledger, index, latest(ledger)?.as_ref())
}

fn receipt(ledger: &Ledger, index: u64, published: Option<&Published>) -> Result<Receipt, SequencerError> {
    let missing = || SequencerError::NoEntry { index, entries: ledger.len() };
    let stored = ledger.entry(index)?.ok_or_else(missing)?;
    let corrupt = |why: String| LedgerError::Corrupt { index, why };
    let mut receipt = Receipt::pending(&stored.bytes).map_err(|error| corrupt(error.to_string()))?;
    let (entry, _) = receipt.entry().map_err(|error| corrupt(error.to_string()))?;
    for (name, commitment) in openable(&entry.body) {
        if let Some(content) = ledger.content(&commitment)? {
            receipt = receipt.with_opening(name, &content.nonce);
        }
    }
    let Some(Published { checkpoint, note }) = published.filter(|published| index < published.checkpoint.size) else {
        return Ok(receipt);
    };
    let proof = prove_entry(ledger, index, checkpoint)?;
    Ok(receipt.with_proof(&proof, checkpoint.size, note.clone()))
}

/// The proof that the entry at `index`, as its bytes are now, is under a checkpoint.
fn prove_entry(ledger: &Ledger, index: u64, checkpoint: &Checkpoint) -> Result<Inclusion, SequencerError> {
    let missing = || SequencerError::NoEntry { index, entries: ledger.len() };
    let stored = ledger.entry(index)?.ok_or_else(missing)?;
    let nodes = TreeNodes { ledger, fresh: &BTreeMap::new() };
    let proof = proof::inclusion(&nodes, index, checkpoint.size).map_err(unproven)?;
    let proven = proof.verify(&hash::leaf(&stored.bytes), index, checkpoint.size, &checkpoint.root);
    proven.map_err(|error| SequencerError::Tree(format!("entry `{index}` is not under the checkpoint: {error}")))?;
    Ok(proof)
}

/// What the caller brought or was given, and can show to others.
fn openable(body: &Body) -> Vec<(&'static str, Commitment)> {
    match body {
        Body::Begun(begun) => vec![("input", begun.input)],
        Body::Finished(finished) => vec![("output", finished.output)],
        Body::Answered(answered) => vec![("input", answered.input)],
        Body::Held(held) => held.input.map(|input| ("input", input)).into_iter().collect(),
        Body::Refused(refused) => vec![("input", refused.input)],
        Body::Approved(_)
        | Body::Decided(_)
        | Body::Elevated(_)
        | Body::Opened(_)
        | Body::Rejected(_)
        | Body::SessionClosed(_)
        | Body::SessionOpened(_) => Vec::new(),
    }
}

/// The last checkpoint that is stored, checked by the key that the log names.
fn latest(ledger: &Ledger) -> Result<Option<Published>, SequencerError> {
    let Some(StoredCheckpoint { size, note }) = ledger.read(|backend| backend.latest_checkpoint())? else {
        return Ok(None);
    };
    let checkpoint = opened(ledger, &note).map_err(SequencerError::Tree)?;
    if checkpoint.size != size {
        return Err(SequencerError::Tree(format!(
            "the checkpoint of `{size}` entries is one of `{}`",
            checkpoint.size
        )));
    }
    if size > ledger.len() {
        return Err(SequencerError::RolledBack { entries: ledger.len(), head: size });
    }
    Ok(Some(Published { checkpoint, note }))
}

fn opened(ledger: &Ledger, note: &str) -> Result<Checkpoint, String> {
    let key: Verifier = ledger.opened().key.parse().map_err(|error| format!("the log names no key: {error}"))?;
    let checkpoint = Checkpoint::open(note, &[key]).map_err(|error| error.to_string())?;
    let (found, wanted) = (&checkpoint.origin, &ledger.opened().origin);
    if found != wanted {
        return Err(format!("it is a checkpoint of `{}`, not of `{wanted}`", found.escape_debug()));
    }
    Ok(checkpoint)
}

/// The tree as of a checkpoint, from the nodes that are stored.
fn restored(ledger: &Ledger, checkpoint: &Checkpoint) -> Result<Tree, SequencerError> {
    let tree = Tree::from_nodes(&TreeNodes { ledger, fresh: &BTreeMap::new() }, checkpoint.size)?;
    if tree.root() != checkpoint.root {
        let size = checkpoint.size;
        return Err(SequencerError::Tree(format!(
            "the stored nodes do not lead to the checkpoint of `{size}` entries"
        )));
    }
    // AUD-10: nodes are a copy. A history that was made anew under them ends in another entry than the one they cover.
    if let Some(last) = checkpoint.size.checked_sub(1) {
        prove_entry(ledger, last, checkpoint)?;
    }
    Ok(tree)
}

/// Nodes by level and index.
type Fresh = BTreeMap<(u32, u64), Digest>;

/// Adds the entries up to `size` to the tree. Returns what it has not stored yet of the nodes.
fn integrate(ledger: &Ledger, tree: Tree, size: u64) -> Result<(Tree, Fresh), SequencerError> {
    let mut fresh = Fresh::new();
    let tree = grow(ledger, tree, size, |node| {
        if node.level > 0 {
            fresh.insert((node.level, node.index), node.hash);
        }
        if fresh.len() >= NODES_HELD_MAX {
            let nodes = listed(std::mem::take(&mut fresh));
            return ledger.commit_aside(Batch { nodes, ..Batch::default() });
        }
        Ok(())
    })?;
    Ok((tree, fresh))
}

fn grow(
    ledger: &Ledger,
    mut tree: Tree,
    size: u64,
    mut completed: impl FnMut(Node) -> Result<(), LedgerError>,
) -> Result<Tree, SequencerError> {
    while tree.size() < size {
        let index = tree.size();
        let left = usize::try_from(size.saturating_sub(index)).unwrap_or(usize::MAX);
        let entries = ledger.entries(index, left.min(ENTRIES_PER_READ))?;
        if entries.is_empty() {
            return Err(LedgerError::Corrupt { index, why: "it is missing".to_owned() }.into());
        }
        for entry in entries {
            let leaf = hash::leaf(&entry.bytes);
            if leaf != entry.hash || entry.index != tree.size() {
                let why = "its bytes do not have its hash, or its place".to_owned();
                return Err(LedgerError::Corrupt { index: tree.size(), why }.into());
            }
            let mut nodes = Vec::new();
            tree.push_with(leaf, |node| nodes.push(node));
            nodes.into_iter().try_for_each(&mut completed)?;
        }
    }
    Ok(tree)
}

fn listed(fresh: Fresh) -> Vec<Node> {
    fresh.into_iter().map(|((level, index), hash)| Node { level, index, hash }).collect()
}

fn check_extends(nodes: &TreeNodes<'_>, old: &Checkpoint, new: &Checkpoint) -> Result<(), SequencerError> {
    let proof = proof::consistency(nodes, old.size, new.size).map_err(unproven)?;
    let extends = proof.verify((old.size, &old.root), (new.size, &new.root));
    extends.map_err(|error| SequencerError::Tree(format!("the log does not extend its last checkpoint: {error}")))
}

/// The hashes of complete subtrees: those that are stored, and those that are about to be.
struct TreeNodes<'a> {
    ledger: &'a Ledger,
    fresh: &'a Fresh,
}

impl Nodes for TreeNodes<'_> {
    type Error = SequencerError;

    fn node(&self, level: u32, index: u64) -> Result<Digest, SequencerError> {
        if let Some(hash) = self.fresh.get(&(level, index)) {
            return Ok(*hash);
        }
        let found = match level {
            0 => self.ledger.entry(index)?.map(|entry| entry.hash),
            _ => self.ledger.read(|backend| backend.node(level, index))?,
        };
        found.ok_or_else(|| SequencerError::Tree(format!("node `{index}` of level `{level}` is missing")))
    }
}

fn unproven(error: proof::ProveError<SequencerError>) -> SequencerError {
    match error {
        proof::ProveError::Nodes(error) => error,
        proof::ProveError::OutOfRange { wanted, size } => {
            SequencerError::Tree(format!("it holds `{size}` leaves, and `{wanted}` was asked for"))
        }
    }
}

fn compare_head(ledger: &Ledger, path: &Path, state: &State) -> Result<HeadState, SequencerError> {
    let Some(note) = read_head(path).map_err(|error| head_failed(path, &error))? else {
        return Ok(HeadState::Missing);
    };
    let unreadable = |why| SequencerError::HeadFile { path: path.display().to_string(), why };
    let Checkpoint { size, root, .. } = opened(ledger, &note).map_err(unreadable)?;
    let entries = ledger.len();
    if size > entries {
        return Err(SequencerError::RolledBack { entries, head: size });
    }
    let tree = if size <= state.tree.size() {
        Tree::from_nodes(&TreeNodes { ledger, fresh: &Fresh::new() }, size)?
    } else {
        grow(ledger, state.tree.clone(), size, |_| Ok(()))?
    };
    if tree.root() == root { Ok(HeadState::Covers { size }) } else { Err(SequencerError::Forked { size }) }
}

fn read_head(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if usize::try_from(found.len()).map_or(true, |length| length > CHECKPOINT_BYTES_MAX) => {
            return Err(io::Error::other("it is larger than a checkpoint may be"));
        }
        _ => {}
    }
    fs::read_to_string(path).map(Some)
}

/// Replaces the head file: whatever happens, the old one or the new one is there, and never half of one (CR-27).
fn write_head(path: &Path, note: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".head-").tempfile_in(folder)?;
    file.write_all(note.as_bytes())?;
    // Durability: the bytes before the name, and the name before anybody is told.
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

fn head_failed(path: &Path, error: &io::Error) -> SequencerError {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "its folder does not exist".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".to_owned(),
        _ => error.to_string(),
    };
    SequencerError::HeadFile { path: path.display().to_string(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::backend::BackendError;
    use crate::ledger::backend::MemoryBackend;
    use crate::ledger::backend::SqliteBackend;
    use crate::ledger::backend::faulty::Fault;
    use crate::ledger::backend::faulty::FaultyBackend;
    use crate::ledger::fixture;
    use crate::ledger::fixture::create;
    use crate::ledger::fixture::intent;
    use crate::ledger::fixture::make;
    use crate::ledger::fixture::open;
    use crate::ledger::fixture::refusal;
    use crate::ledger::fixture::signer;
    use crate::ledger::fixture::verified;
    use ringfence_audit::signer::SoftwareSigner;
    use ringfence_model::grant::Reach;

    struct Scene {
        folder: tempfile::TempDir,
        disk: FaultyBackend,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            Self { folder, disk: FaultyBackend::new(MemoryBackend::new()) }
        }

        fn head(&self) -> PathBuf {
            self.folder.path().join("head")
        }

        fn sequencer(&self, ledger: &Ledger) -> Result<Sequencer, SequencerError> {
            Sequencer::open(ledger, signer(), Some(self.head()))
        }
    }

    fn keys() -> Vec<Verifier> {
        vec![signer().verifier().clone()]
    }

    fn grow_by(ledger: &Ledger, entries: u64) {
        let from = ledger.len();
        for number in from..from + entries {
            ledger.refuse(refusal(number)).expect("a refusal");
        }
    }

    fn make_some(ledger: &Ledger, calls: u64) {
        for number in 0..calls {
            make(ledger, intent(number, Reach::Nothing));
        }
    }

    fn assert_proven(receipt: &Receipt) {
        let report = receipt.verify(&keys());
        assert!(report.is_intact() && receipt.proof.is_some(), "{report:?}");
    }

    #[test]
    fn published_entries_are_proven_in_any_tree() {
        // AUD-16
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        for size in 1..=40 {
            assert_eq!(ledger.len(), size);
            let note = sequencer.publish(&ledger).expect("a checkpoint");
            assert_eq!(sequencer.checkpoint(), Some(note.clone()));
            assert_eq!(fs::read_to_string(scene.head()).expect("a head"), note);
            for index in 0..size {
                assert_proven(&sequencer.receipt(&ledger, index).expect("a receipt"));
                assert_proven(&prove(&ledger, index).expect("a receipt"));
            }
            verified(&ledger);
            grow_by(&ledger, 1);
        }
    }

    #[test]
    fn nodes_are_stored_in_pieces_and_once() {
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        grow_by(&ledger, 2 * 4_096 + 700);
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        sequencer.publish(&ledger).expect("a checkpoint");
        let stored: Vec<_> = scene.disk.batches().into_iter().flat_map(|batch| batch.nodes).collect();
        let distinct: std::collections::BTreeSet<_> = stored.iter().map(|node| (node.level, node.index)).collect();
        assert_eq!(stored.len(), distinct.len());
        assert!(stored.iter().all(|node| node.level > 0));
        assert_proven(&sequencer.receipt(&ledger, 5_000).expect("a receipt"));
        // A proof asks for a hash a level and no more.
        let before = scene.disk.counts().1;
        sequencer.receipt(&ledger, 77).expect("a receipt");
        assert!(scene.disk.counts().1 - before < 24);
    }

    #[test]
    fn unpublished_entry_has_pending_receipt() {
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        assert_eq!(sequencer.receipt(&ledger, 0).expect("a receipt").proof, None);
        sequencer.publish(&ledger).expect("a checkpoint");
        let recorded = make(&ledger, intent(1, Reach::Writes));
        let receipt = sequencer.receipt(&ledger, recorded.index).expect("a receipt");
        assert_eq!((receipt.proof, receipt.checkpoint), (None, None));
        let missing = sequencer.receipt(&ledger, 3).expect_err("no entry");
        assert_eq!(missing.to_string(), "the log has no entry `3`: it holds `3`");
    }

    #[test]
    fn receipt_opens_input_and_output() {
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let recorded = make(&ledger, intent(1, Reach::Writes));
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        sequencer.publish(&ledger).expect("a checkpoint");
        let finished = sequencer.receipt(&ledger, recorded.index).expect("a receipt");
        let outcome = fixture::ending(ringfence_model::entry::EffectState::Committed, "done").outcome;
        assert_eq!(finished.check_opening("output", &outcome), Ok(()));
        assert!(finished.check_opening("output", b"other").is_err());
        let begun = sequencer.receipt(&ledger, recorded.index - 1).expect("a receipt");
        assert_eq!(begun.check_opening("input", &intent(1, Reach::Writes).input), Ok(()));
        assert!(!begun.openings.contains_key("grant") && !begun.openings.contains_key("request"));
    }

    #[test]
    fn publishing_nothing_new_writes_nothing() {
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        let note = sequencer.publish(&ledger).expect("a checkpoint");
        let commits = scene.disk.counts().0;
        assert_eq!(sequencer.publish(&ledger).expect("a checkpoint"), note);
        assert_eq!(scene.disk.counts().0, commits);
    }

    #[test]
    fn restart_goes_on_where_it_stopped() {
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        for round in 0..12 {
            let ledger = if round == 0 { &ledger } else { &open(scene.disk.restart()) };
            let sequencer = scene.sequencer(ledger).expect("a sequencer");
            assert_eq!(sequencer.head_at_open() == HeadState::Missing, round == 0);
            grow_by(ledger, round);
            sequencer.publish(ledger).expect("a checkpoint");
            assert_proven(&sequencer.receipt(ledger, ledger.len() - 1).expect("a receipt"));
            verified(ledger);
        }
    }

    /// The batches of a disk up to the one that makes the log longer than `entries`.
    fn rolled_back(disk: &FaultyBackend, entries: u64) -> FaultyBackend {
        use crate::ledger::backend::Backend as _;
        let mut older = FaultyBackend::new(MemoryBackend::new());
        for batch in disk.batches() {
            if batch.entries.last().is_some_and(|entry| entry.index >= entries) {
                break;
            }
            older.commit(batch).expect("a commit");
        }
        older
    }

    #[test]
    fn rolled_back_log_is_refused() {
        // AUD-06, AUD-07, CR-34
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        for _ in 0..4 {
            grow_by(&ledger, 3);
            sequencer.publish(&ledger).expect("a checkpoint");
        }
        for entries in 1..13 {
            let older = open(rolled_back(&scene.disk, entries));
            // By itself it is a whole log: only the head tells.
            verified(&older);
            assert!(Sequencer::open(&older, signer(), None).is_ok());
            for error in [scene.sequencer(&older).err(), check_head(&older, &scene.head()).err()] {
                let message = error.expect("a refusal").to_string();
                let wanted = format!("the log was rolled back: it holds `{entries}` entries, its head covers `13`");
                assert_eq!(message, wanted);
            }
        }
    }

    #[test]
    fn rolled_back_log_that_grew_again_is_refused() {
        // AUD-10, AUD-24
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        for _ in 0..3 {
            grow_by(&ledger, 3);
            sequencer.publish(&ledger).expect("a checkpoint");
        }
        for (entries, more) in [(1, 9), (4, 20), (7, 3), (9, 1)] {
            let older = open(rolled_back(&scene.disk, entries));
            make_some(&older, more);
            let error = scene.sequencer(&older).expect_err("a fork");
            assert!(matches!(error, SequencerError::Forked { size: 10 }), "{error}");
        }
    }

    #[test]
    fn two_copies_of_a_log_find_each_other_out() {
        // AUD-08, AUD-24
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        sequencer.publish(&ledger).expect("a checkpoint");
        let copy = open(rolled_back(&scene.disk, 1));
        let other = scene.sequencer(&copy).expect("a sequencer");
        grow_by(&copy, 2);
        other.publish(&copy).expect("a checkpoint");
        assert!(matches!(sequencer.publish(&ledger), Err(SequencerError::RolledBack { entries: 1, head: 3 })));
        make_some(&ledger, 4);
        assert!(matches!(sequencer.publish(&ledger), Err(SequencerError::Forked { size: 3 })));
        assert_eq!(sequencer.checkpoint().map(|note| note.contains("\n1\n")), Some(true));
    }

    #[test]
    fn older_head_is_fine() {
        // CR-34
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        sequencer.publish(&ledger).expect("a checkpoint");
        let old = fs::read(scene.head()).expect("a head");
        grow_by(&ledger, 9);
        sequencer.publish(&ledger).expect("a checkpoint");
        grow_by(&ledger, 2);
        fs::write(scene.head(), old).expect("a head");
        let again = open(scene.disk.restart());
        let sequencer = scene.sequencer(&again).expect("a sequencer");
        assert_eq!(sequencer.head_at_open(), HeadState::Covers { size: 1 });
        let note = sequencer.publish(&again).expect("a checkpoint");
        assert_eq!(fs::read_to_string(scene.head()).expect("a head"), note);
    }

    #[test]
    fn head_that_can_not_be_trusted_is_refused() {
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        scene.sequencer(&ledger).and_then(|sequencer| sequencer.publish(&ledger)).expect("a checkpoint");
        let note = fs::read_to_string(scene.head()).expect("a head");
        let stranger = SoftwareSigner::from_seed(fixture::ORIGIN, &[8; 32]).expect("a signer");
        let root = hash::empty_root();
        let signed = |origin: &str, signer: &SoftwareSigner| {
            Checkpoint { origin: origin.to_owned(), size: 0, root }.sign(signer).expect("a note")
        };
        for head in [
            String::new(),
            note[..note.len() / 2].to_owned(),
            note.replace("\n1\n", "\n0\n"),
            signed(fixture::ORIGIN, &stranger),
            signed("example.org/other", &signer()),
            "x".repeat(100_000),
        ] {
            fs::write(scene.head(), &head).expect("a head");
            let error = scene.sequencer(&ledger).expect_err("a refusal");
            assert!(matches!(error, SequencerError::HeadFile { .. }), "{error}");
        }
    }

    #[test]
    fn other_key_than_the_log_names_is_refused() {
        // AUD-11
        let ledger = create(MemoryBackend::new());
        let stranger = Arc::new(SoftwareSigner::from_seed(fixture::ORIGIN, &[8; 32]).expect("a signer"));
        let error = Sequencer::open(&ledger, stranger, None).expect_err("a refusal");
        assert!(matches!(error, SequencerError::Sign(_)), "{error}");
    }

    #[test]
    fn fault_at_every_commit_leaves_one_history() {
        // CR-15 to CR-17, CR-27
        for fault in [Fault::Failed(BackendError::Io("no".into())), Fault::FailedButPersisted] {
            for published in 0..4 {
                let scene = Scene::new();
                let ledger = create(scene.disk.clone());
                let sequencer = scene.sequencer(&ledger).expect("a sequencer");
                for _ in 0..published {
                    grow_by(&ledger, 3);
                    sequencer.publish(&ledger).expect("a checkpoint");
                }
                grow_by(&ledger, 2);
                let head = fs::read(scene.head()).ok();
                scene.disk.fail(0, fault.clone());
                sequencer.publish(&ledger).expect_err("a fault");
                assert!(matches!(ledger.refuse(refusal(99)), Err(LedgerError::Stopped(_))));
                assert_eq!(fs::read(scene.head()).ok(), head, "the head never runs ahead of the log");
                let ledger = open(scene.disk.restart());
                let sequencer = scene.sequencer(&ledger).expect("a sequencer");
                verified(&ledger);
                grow_by(&ledger, 1);
                sequencer.publish(&ledger).expect("a checkpoint");
                verified(&ledger);
                (0..ledger.len()).for_each(|index| assert_proven(&prove(&ledger, index).expect("a receipt")));
            }
        }
    }

    #[test]
    fn head_that_can_not_be_written_is_an_error() {
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let nowhere = scene.folder.path().join("no/head");
        let sequencer = Sequencer::open(&ledger, signer(), Some(nowhere.clone())).expect("a sequencer");
        let message = sequencer.publish(&ledger).expect_err("no folder").to_string();
        assert!(message.ends_with("can't be used: its folder does not exist"), "{message}");
        fs::create_dir(scene.folder.path().join("no")).expect("a folder");
        let note = sequencer.publish(&ledger).expect("a checkpoint");
        assert_eq!(fs::read_to_string(nowhere).expect("a head"), note);
        let left = fs::read_dir(scene.folder.path().join("no")).expect("a folder").count();
        assert_eq!(left, 1, "no temporary file is left behind");
    }

    #[test]
    fn damaged_tree_is_never_signed() {
        use crate::ledger::backend::Backend as _;
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        grow_by(&ledger, 9);
        sequencer.publish(&ledger).expect("a checkpoint");
        grow_by(&ledger, 5);
        for kind in ["node", "checkpoint", "entry"] {
            let mut damaged = FaultyBackend::new(MemoryBackend::new());
            for mut batch in scene.disk.batches() {
                match kind {
                    "node" => batch.nodes.iter_mut().for_each(|node| node.hash = Digest::ZERO),
                    "checkpoint" => batch.checkpoint.iter_mut().for_each(|stored| stored.size += 1),
                    _ => batch.entries.iter_mut().filter(|e| e.index == 11).for_each(|e| e.bytes[9] ^= 1),
                }
                damaged.commit(batch).expect("a commit");
            }
            let ledger = open(damaged);
            let published = Sequencer::open(&ledger, signer(), None).and_then(|sequencer| sequencer.publish(&ledger));
            let message = published.expect_err("damage").to_string();
            let named = if kind == "entry" { "entry `11`" } else { "the tree of the log is damaged" };
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn reader_proves_without_a_key() {
        let scene = Scene::new();
        let path = scene.folder.path().join("log");
        let ledger = create(SqliteBackend::create(&path).expect("a new log"));
        grow_by(&ledger, 20);
        scene.sequencer(&ledger).and_then(|sequencer| sequencer.publish(&ledger)).expect("a checkpoint");
        drop(ledger);
        let ledger = open(SqliteBackend::open_read_only(&path).expect("a log"));
        (0..21).for_each(|index| assert_proven(&prove(&ledger, index).expect("a receipt")));
        assert_eq!(check_head(&ledger, &scene.head()).expect("a head"), HeadState::Covers { size: 21 });
    }
}
