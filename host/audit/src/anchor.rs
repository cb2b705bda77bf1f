//! Anchors: what vouches for a log from outside.
//!
//! Checkpoints are taken in before the log is read and compared with the root when the scan has passed their size. Until
//! [`Anchors::settle`] has checked the signature, nothing follows from one.

use ringfence_model::digest::Digest;
use ringfence_model::entry::Opened;
use ringfence_model::entry::Rotated;

use crate::chain::Head;
use crate::checkpoint::Checkpoint;
use crate::finding::Findings;
use crate::finding::Kind;
use crate::hash;
use crate::note::Note;
use crate::note::Verifier;
use crate::rotation::KeyChain;
use crate::witness::Witness;

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

impl Anchor {
    /// Whether a log of `entries` is the one that was signed, as far as it was.
    fn fits(&self, entries: u64) -> bool {
        let Checkpoint { size, root, .. } = &self.checkpoint;
        *size <= entries && self.passed.is_some_and(|passed| passed.root == *root)
    }
}

/// What is known to be signed when one more checkpoint is compared.
#[derive(Clone, Copy)]
struct Signed {
    /// Entries of the log.
    entries: u64,
    /// Entries that smaller checkpoints vouch for.
    below: u64,
    /// Entries that any checkpoint vouches for.
    vouched: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Anchors {
    keys: Vec<Verifier>,
    /// Whether the keys come from outside, and not from the log.
    given_keys: bool,
    opened: Option<Opened>,
    /// The log's own keys, as far as its entries show them.
    chain: Option<KeyChain>,
    /// Who must have cosigned.
    witnesses: Vec<Witness>,
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

    pub(crate) fn witness(&mut self, witness: Witness) {
        self.witnesses.push(witness);
    }

    pub(crate) fn opened(&mut self, opened: &Opened) {
        self.opened = Some(opened.clone());
        self.chain = KeyChain::new(opened).ok();
    }

    /// Takes in the rotation that stands where the log ended then.
    pub(crate) fn rotated(&mut self, end: &Head, rotated: &Rotated, findings: &mut Findings) {
        let index = end.next_index;
        let result = self.chain.as_mut().map(|chain| chain.rotate(end, rotated));
        if let Some(Err(error)) = result {
            let text = format!("entry `{index}` does not rotate the log's key: {error}");
            findings.failure(Kind::WrongRotation, index, text);
        }
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
        let trusted: Vec<_> = self.given.iter().filter(|anchor| self.is_trusted(anchor, findings)).collect();
        let vouched = trusted.iter().filter(|anchor| anchor.fits(entries)).map(|anchor| anchor.checkpoint.size).max();
        let vouched = vouched.unwrap_or(0);
        trusted.iter().fold(0, |below, anchor| compare(anchor, Signed { entries, below, vouched }, findings));
        let fitting: Vec<_> = trusted.iter().copied().filter(|anchor| anchor.fits(entries)).collect();
        for witness in &self.witnesses {
            check_witness(witness, &fitting, vouched, findings);
        }
        let covering = trusted.iter().filter(|anchor| anchor.checkpoint.size > 0).count();
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
        if self.keys.is_empty() && !self.given.is_empty() {
            match opened.key.parse::<Verifier>() {
                Ok(key) => {
                    let text = format!("key taken from the log itself: `{key}` (compare it with one you trust)");
                    findings.warning(Kind::KeyFromLog, 0, text);
                    self.keys.push(key);
                }
                Err(error) => findings.failure(Kind::MalformedCheckpoint, 0, format!("the log's own key: {error}")),
            }
        } else if !self.keys.is_empty() && self.linked().is_none() {
            let text = format!("the log names `{}` as its key, which is not among the given keys", opened.key);
            findings.warning(Kind::ForeignKey, 0, text);
        }
    }

    /// The log's own keys, if one of them is trusted: by what both have signed, it leads to the others.
    fn linked(&self) -> Option<&KeyChain> {
        self.chain.as_ref().filter(|chain| self.keys.iter().any(|key| chain.holds(key)))
    }

    /// The keys that may sign at a size: of the log's own the one that was in force.
    fn keys_at(&self, size: u64) -> Vec<Verifier> {
        let Some(chain) = self.linked() else { return self.keys.clone() };
        let others = self.keys.iter().filter(|key| !chain.holds(key));
        others.chain([chain.at(size)]).cloned().collect()
    }

    fn is_trusted(&self, anchor: &Anchor, findings: &mut Findings) -> bool {
        let Checkpoint { origin, size, .. } = &anchor.checkpoint;
        if let Err(error) = anchor.note.open(&self.keys_at(*size)) {
            if let Some(chain) = self.linked()
                && anchor.note.open(&chain.keys().cloned().collect::<Vec<_>>()).is_ok()
            {
                let text = format!("the checkpoint over {size} entries is not signed by the key of then: {error}");
                findings.failure(Kind::RetiredKey, None, text);
                return false;
            }
            findings.failure(Kind::from(&error), None, format!("the checkpoint over {size} entries: {error}"));
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

/// Demands that a witness has cosigned what vouches for the log, and says up to where it has.
fn check_witness(witness: &Witness, fitting: &[&Anchor], vouched: u64, findings: &mut Findings) {
    let mut seen = None;
    for anchor in fitting {
        let size = anchor.checkpoint.size;
        match witness.cosigned(&anchor.note) {
            Ok(Some(_)) => seen = seen.max(Some(size)),
            Ok(None) => {}
            Err(error) => {
                findings.failure(Kind::from(&error), None, format!("the checkpoint over {size} entries: {error}"));
            }
        }
    }
    let name = witness.name();
    match seen {
        None | Some(0) => {
            let text = format!("witness `{name}` has cosigned no checkpoint that covers this log");
            findings.failure(Kind::Unwitnessed, None, text);
        }
        Some(seen) if seen < vouched => {
            let text =
                format!("witness `{name}` has seen the first {seen} entries, and not those up to `{}`", vouched - 1);
            findings.warning(Kind::Unwitnessed, seen, text);
        }
        Some(_) => {}
    }
}

/// Compares a trusted checkpoint. Returns how many entries it and those before it vouch for.
fn compare(anchor: &Anchor, signed: Signed, findings: &mut Findings) -> u64 {
    let Checkpoint { size, root, .. } = anchor.checkpoint;
    let Signed { entries, below, vouched } = signed;
    let uncompared = |why: String| format!("the checkpoint over {size} entries can't be compared: {why}");
    match anchor.passed {
        _ if size > entries && vouched == entries && entries > 0 => {
            let text = format!("the log was put back: it holds {entries} entries, as was signed once, and {size} were");
            findings.failure(Kind::RolledBack, entries, text);
        }
        _ if size > entries => {
            let text = format!("the log holds {entries} entries, the checkpoint covers {size}");
            findings.failure(Kind::Truncated, entries, text);
        }
        None => findings.warning(Kind::Unanchored, below, uncompared("entries are missing".to_owned())),
        Some(passed) if passed.root == root => return size,
        Some(Passed { doubt: Some(index), .. }) => {
            let why = format!("the recorded hash of entry `{index}` is lost");
            findings.warning(Kind::Unanchored, below, uncompared(why));
        }
        Some(Passed { root: found, .. }) if vouched >= size => {
            let text = format!("two histories are signed: of the first {size} entries, `{root}` and `{found}`");
            findings.failure(Kind::Forked, below.min(size.saturating_sub(1)), text);
        }
        Some(Passed { root: found, .. }) => {
            let first = below.min(size.saturating_sub(1));
            let last = size.saturating_sub(1);
            let text = format!(
                "entries `{first}` to `{last}` are not those that were signed: \
                 the checkpoint says root `{root}`, they have `{found}`"
            );
            findings.failure(Kind::Rewritten, first, text);
        }
    }
    below
}
