//! Anchors: what vouches for a log from outside.
//!
//! Checkpoints are taken in before the log is read and compared with the root when the scan has passed their size. Until
//! [`Anchors::settle`] has checked the signature, nothing follows from one.

use ringfence_model::digest::Digest;
use ringfence_model::entry::Opened;

use crate::checkpoint::Checkpoint;
use crate::finding::Findings;
use crate::finding::Kind;
use crate::hash;
use crate::note::Note;
use crate::note::NoteError;
use crate::note::Verifier;

/// The tree as it was when the scan passed a size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) root: Digest,
    /// An entry below that size of which the log no longer holds the recorded hash.
    pub(crate) doubt: Option<u64>,
}

#[derive(Debug)]
struct Anchor {
    note: Note,
    checkpoint: Checkpoint,
    passed: Option<Passed>,
}

#[derive(Debug, Default)]
pub(crate) struct Anchors {
    keys: Vec<Verifier>,
    /// Whether the keys come from outside, and not from the log.
    given_keys: bool,
    opened: Option<Opened>,
    /// By size, the smallest first.
    given: Vec<Anchor>,
    /// The smallest size not passed yet, so that passing costs a comparison.
    next: Option<u64>,
}

impl Anchors {
    pub(crate) fn new(keys: Vec<Verifier>) -> Self {
        Self { given_keys: !keys.is_empty(), keys, ..Self::default() }
    }

    pub(crate) fn add(&mut self, note: &str, findings: &mut Findings) {
        let parsed = Note::parse(note).map_err(|error| error.to_string());
        let parsed = parsed.and_then(|note| match note.untrusted_text().parse::<Checkpoint>() {
            Ok(checkpoint) => Ok(Anchor { note, checkpoint, passed: None }),
            Err(error) => Err(error.to_string()),
        });
        match parsed {
            Ok(mut anchor) => {
                if anchor.checkpoint.size == 0 {
                    anchor.passed = Some(Passed { root: hash::empty_root(), doubt: None });
                }
                self.given.push(anchor);
                self.given.sort_by_key(|anchor| anchor.checkpoint.size);
                self.next = self.next_above(0);
            }
            Err(error) => findings.failure(Kind::MalformedCheckpoint, None, error),
        }
    }

    pub(crate) fn opened(&mut self, opened: &Opened) {
        self.opened = Some(opened.clone());
    }

    /// Whether the root at `size` is wanted.
    pub(crate) fn wants(&self, size: u64) -> bool {
        self.next == Some(size)
    }

    pub(crate) fn pass(&mut self, size: u64, passed: Passed) {
        let at = self.given.iter_mut().filter(|anchor| anchor.checkpoint.size == size);
        at.for_each(|anchor| anchor.passed = Some(passed));
        self.next = self.next_above(size);
    }

    /// Whether a checkpoint says that the tree of `size` leaves has this root. Only for telling which of two entries
    /// does not fit: the signature has not been checked.
    pub(crate) fn says(&self, size: u64, root: &Digest) -> bool {
        self.given.iter().any(|anchor| anchor.checkpoint.size == size && anchor.checkpoint.root == *root)
    }

    fn next_above(&self, size: u64) -> Option<u64> {
        self.given.iter().map(|anchor| anchor.checkpoint.size).find(|other| *other > size)
    }

    /// Checks signatures, then roots, in a log of `entries`. Returns how many entries are vouched for.
    pub(crate) fn settle(mut self, entries: u64, findings: &mut Findings) -> u64 {
        self.choose_keys(findings);
        let (mut vouched, mut covering) = (0, 0);
        for anchor in &self.given {
            if self.is_trusted(anchor, findings) {
                covering += usize::from(anchor.checkpoint.size > 0);
                vouched = compare(anchor, entries, vouched, findings);
            }
        }
        if covering == 0 && self.given_keys {
            // Trust boundary: who gives a key asks whether it vouches for this log. A log made anew has whole links too.
            let text = "no checkpoint by a given key covers any entry: nothing vouches for this log";
            findings.failure(Kind::Unanchored, None, text);
        } else if covering == 0 {
            let text = "nothing vouches for the last entry and the length: give a checkpoint";
            findings.warning(Kind::Unanchored, None, text);
        } else if vouched < entries {
            let text = format!("no checkpoint vouches for entries `{vouched}` to `{}`", entries - 1);
            findings.warning(Kind::Unanchored, vouched, text);
        }
        vouched
    }

    fn choose_keys(&mut self, findings: &mut Findings) {
        let Some(opened) = &self.opened else { return };
        let own = opened.key.parse::<Verifier>();
        if self.keys.is_empty() && !self.given.is_empty() {
            match own {
                Ok(key) => {
                    let text = format!("key taken from the log itself: `{key}` (compare it with one you trust)");
                    findings.warning(Kind::KeyFromLog, 0, text);
                    self.keys.push(key);
                }
                Err(error) => findings.failure(Kind::MalformedCheckpoint, 0, format!("the log's own key: {error}")),
            }
        } else if !self.keys.is_empty() && !own.is_ok_and(|own| self.keys.contains(&own)) {
            let text = format!("the log names `{}` as its key, which is not among the given keys", opened.key);
            findings.warning(Kind::ForeignKey, 0, text);
        }
    }

    fn is_trusted(&self, anchor: &Anchor, findings: &mut Findings) -> bool {
        let Checkpoint { origin, size, .. } = &anchor.checkpoint;
        if let Err(error) = anchor.note.open(&self.keys) {
            let kind = match error {
                NoteError::Malformed(_) => Kind::MalformedCheckpoint,
                NoteError::UnknownKey(_) => Kind::UnknownKey,
                NoteError::WrongSignature(_) => Kind::WrongSignature,
            };
            findings.failure(kind, None, format!("the checkpoint over {size} entries: {error}"));
            return false;
        }
        match &self.opened {
            Some(opened) if opened.origin != *origin => {
                let text = format!("the log is `{}`, the checkpoint is of `{origin}`", opened.origin);
                findings.failure(Kind::WrongOrigin, 0, text);
                false
            }
            _ => true,
        }
    }
}

/// Compares a trusted checkpoint. Returns how many entries are vouched for after it.
fn compare(anchor: &Anchor, entries: u64, vouched: u64, findings: &mut Findings) -> u64 {
    let Checkpoint { size, root, .. } = anchor.checkpoint;
    let uncompared = |why: String| format!("the checkpoint over {size} entries can't be compared: {why}");
    match anchor.passed {
        _ if size > entries => {
            let text = format!("the log holds {entries} entries, the checkpoint covers {size}");
            findings.failure(Kind::Truncated, entries, text);
        }
        None => findings.warning(Kind::Unanchored, vouched, uncompared("entries are missing".to_owned())),
        Some(passed) if passed.root == root => return size,
        Some(Passed { doubt: Some(index), .. }) => {
            let why = format!("the recorded hash of entry `{index}` is lost");
            findings.warning(Kind::Unanchored, vouched, uncompared(why));
        }
        Some(Passed { root: found, .. }) => {
            let first = vouched.min(size.saturating_sub(1));
            let last = size.saturating_sub(1);
            let text = format!(
                "entries `{first}` to `{last}` are not those that were signed: \
                 the checkpoint says root `{root}`, they have `{found}`"
            );
            findings.failure(Kind::Rewritten, first, text);
        }
    }
    vouched
}
