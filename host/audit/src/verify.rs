//! Verification of a whole log, entry by entry, in constant memory.
//!
//! The reader brings the bytes, [`LogCheck`] says what is wrong with them. It names the entry: a link that does not fit
//! has two ends, so it is held until the next entry, the stored hash or a checkpoint tells which end was changed. After a
//! finding it takes the log up again where the entries themselves vouch for each other, so that one change gives one
//! finding. The tree is built over the hashes that successors vouch for: so a checkpoint still tells, after an edit,
//! whether everything else is as it was signed.
//!
//! A chain can be cut off at its end, or made anew as a whole, and still be one; only a checkpoint, or a receipt, says
//! otherwise. The report says so when there is none; to whoever gave keys to check by, that is a failure.

use std::io;
use std::io::BufRead;

use ringfence_model::digest::Digest;
use ringfence_model::encoding;
use ringfence_model::limits;

pub use crate::finding::FINDINGS_MAX;
pub use crate::finding::Finding;
pub use crate::finding::Kind;
pub use crate::finding::Report;
pub use crate::finding::Severity;

use crate::anchor::Anchors;
use crate::anchor::Passed;
use crate::calls::Calls;
use crate::chain::Head;
use crate::finding::Findings;
use crate::hash;
use crate::note::Verifier;
use crate::scan;
use crate::scan::Facts;
use crate::scan::What;
use crate::tree::Tree;
use crate::witness::Witness;

/// What to trust.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Keys whose checkpoints count; if none of theirs covers any entry, the log does not verify. Without any keys, the
    /// one that the log names is used, and the report says so.
    pub keys: Vec<Verifier>,
}

/// Checks a log. Give it checkpoints first, then every entry in order, then [`LogCheck::finish`].
#[derive(Debug)]
pub struct LogCheck {
    anchors: Anchors,
    calls: Calls,
    findings: Findings,
    /// Leaves up to, but without, `last`, whose hash its successor has still to vouch for. None once entries are missing.
    tree: Option<Tree>,
    last: Placed,
    /// An entry that does not continue the log, held until the next one tells why.
    suspect: Option<Item>,
    /// The last of a run of entries that stand a second time.
    stray: Option<Digest>,
    /// Entries that findings were made about, as first and last; as many as findings are kept.
    damaged: Vec<(u64, u64)>,
    /// The first entry whose recorded hash is lost.
    doubt: Option<u64>,
}

/// An entry that has its place in the log.
#[derive(Clone, Copy, Debug)]
struct Placed {
    /// None before the first.
    index: Option<u64>,
    prev: Digest,
    hash: Digest,
    /// A second hash that a successor may carry: the stored one, or that of another claimant to the place.
    other: Option<Digest>,
    /// Whether a finding was made about it, so that its hash says nothing.
    blamed: bool,
}

impl Placed {
    const NOTHING: Self = Self { index: None, prev: Digest::ZERO, hash: Digest::ZERO, other: None, blamed: false };

    fn is_carried_by(&self, facts: &Facts) -> bool {
        facts.prev == self.hash || self.other == Some(facts.prev)
    }
}

/// An entry as it was read.
#[derive(Debug)]
struct Item {
    hash: Digest,
    /// What the store says its hash is, if that is something else.
    stored: Option<Digest>,
    /// None if it is no entry.
    facts: Option<Facts>,
    /// Kept of suspects only.
    bytes: Vec<u8>,
}

impl LogCheck {
    /// A check of a log that has not been read yet.
    pub fn new(options: Options) -> Self {
        Self {
            anchors: Anchors::new(options.keys),
            calls: Calls::default(),
            findings: Findings::default(),
            tree: Some(Tree::new()),
            last: Placed::NOTHING,
            suspect: None,
            stray: None,
            damaged: Vec::new(),
            doubt: None,
        }
    }

    /// Takes in a checkpoint, as the signed note it is. Before the first entry: what has been passed is not compared.
    pub fn checkpoint(&mut self, note: &str) {
        self.anchors.add(note, &mut self.findings);
    }

    /// Demands that a witness has cosigned a checkpoint that covers the log.
    pub fn witness(&mut self, witness: Witness) {
        self.anchors.witness(witness);
    }

    /// Takes in the next entry.
    pub fn entry(&mut self, bytes: &[u8]) {
        self.take(bytes, None);
    }

    /// Takes in the next entry of a store that keeps its hash beside it. An edit is then known without the next entry.
    pub fn entry_with_hash(&mut self, bytes: &[u8], stored: &Digest) {
        self.take(bytes, Some(stored));
    }

    /// Ends the log and reports.
    pub fn finish(mut self) -> Report {
        if let Some(suspect) = self.suspect.take() {
            self.settle_alone(&suspect, true);
        }
        let Placed { index, hash, .. } = self.last;
        self.doubt_last();
        self.push_last(hash);
        self.calls.finish(&mut self.findings);
        let entries = index.map_or(0, |index| index.saturating_add(1));
        if entries == 0 {
            self.findings.failure(Kind::Missing, 0, "the log has no entries: one begins with entry `0`");
        }
        let vouched = self.anchors.settle(entries, &mut self.findings);
        let (findings, omitted) = self.findings.into_parts();
        Report { entries, head: hash, root: self.tree.map(|tree| tree.root()), vouched, findings, omitted }
    }

    fn take(&mut self, bytes: &[u8], stored: Option<&Digest>) {
        let hash = hash::leaf(bytes);
        let decoded = scan::facts(bytes);
        if let Err(error) = &decoded {
            let index = self.expected().saturating_add(self.suspect.is_some().into());
            self.blame(Kind::Malformed, index, format!("entry `{index}` can't be read: {error}"));
        }
        let stored = stored.copied().filter(|stored| *stored != hash);
        let item = Item { hash, stored, facts: decoded.ok(), bytes: Vec::new() };
        match self.suspect.take() {
            None => self.consider(item, bytes),
            Some(suspect) => self.settle(suspect, item, bytes),
        }
    }

    /// Places an entry if it continues the log, or if it is plain why it does not.
    fn consider(&mut self, mut item: Item, bytes: &[u8]) {
        let expected = self.expected();
        let Some(facts) = &item.facts else {
            self.suspect = Some(item);
            return;
        };
        let (index, prev) = (facts.index, facts.prev);
        if self.last.is_carried_by(facts) {
            if index != expected {
                self.blame(Kind::Edited, expected, format!("entry `{expected}` says its index is `{index}`"));
            }
            self.place(&item, prev);
        } else if self.stray == Some(prev) && index < expected {
            self.stray = Some(item.hash);
        } else if item.hash == self.last.hash {
            self.blame(Kind::Duplicate, index, format!("entry `{index}` stands twice"));
        } else if self.last.index == Some(index) && self.last.prev == prev {
            // The successor tells which of the two was recorded.
            self.blame(Kind::Inserted, index, format!("two different entries stand at index `{index}`"));
            (self.last.other, self.last.blamed) = (Some(item.hash), true);
        } else if self.last.blamed && index == expected {
            self.place(&item, prev);
        } else {
            item.bytes = bytes.to_vec();
            self.suspect = Some(item);
        }
    }

    /// Tells by the entry after it why a suspect does not continue the log.
    fn settle(&mut self, suspect: Item, next: Item, bytes: &[u8]) {
        let expected = self.expected();
        let goes_on = |facts: &Facts| facts.index == expected && self.last.is_carried_by(facts);
        if next.facts.as_ref().is_some_and(goes_on) {
            self.settle_before(suspect, next, bytes);
            return;
        }
        let follows = next.facts.as_ref().is_none_or(|facts| facts.prev == suspect.hash);
        let index = suspect.facts.as_ref().map(|facts| facts.index);
        if index == Some(expected) && !follows {
            // Neither neighbour fits, so it is this one; its own link says nothing about the entry before.
            let text = format!("entry `{expected}` fits neither the entry before it nor the one after it");
            self.blame(Kind::Edited, expected, text);
            self.place_unlinked(&suspect);
        } else {
            self.settle_alone(&suspect, false);
        }
        self.consider(next, bytes);
    }

    /// The log goes on with `next`, as if the suspect were not there.
    fn settle_before(&mut self, suspect: Item, next: Item, bytes: &[u8]) {
        let expected = self.expected();
        let Some(facts) = &suspect.facts else { return self.consider(next, bytes) };
        if facts.index == expected.saturating_add(1) && facts.prev == next.hash {
            let text = format!("entry `{}` stands before entry `{expected}`", facts.index);
            self.blame(Kind::Reordered, expected, text);
            self.consider(next, bytes);
            let bytes = suspect.bytes.clone();
            return self.consider(suspect, &bytes);
        }
        if facts.index < expected {
            self.blame_return(facts.index);
        } else {
            let text = format!("an entry that says its index is `{}` stands before entry `{expected}`", facts.index);
            self.blame(Kind::Inserted, expected, text);
        }
        self.consider(next, bytes);
    }

    /// Nothing after it says that the suspect is at fault, so it is what stands before.
    fn settle_alone(&mut self, suspect: &Item, is_last: bool) {
        let expected = self.expected();
        let Some(facts) = &suspect.facts else { return self.place_unlinked(suspect) };
        let (index, prev) = (facts.index, facts.prev);
        if index < expected {
            self.stray = Some(suspect.hash);
            self.blame_return(index);
        } else if index > expected {
            self.skip_to(index, prev);
            self.place(suspect, prev);
        } else if is_last && self.is_proven_wrong(suspect) {
            let text =
                format!("entry `{index}` does not carry the hash of the one before, which a checkpoint vouches for");
            self.blame(Kind::Edited, index, text);
            self.place_unlinked(suspect);
        } else if let Some(before) = self.last.index {
            let found = self.last.hash;
            let text = format!(
                "entry `{before}` does not hash to what entry `{index}` carries as `prev`: it has `{found}`, not `{prev}`"
            );
            self.blame(Kind::Edited, before, text);
            self.place(suspect, prev);
        } else {
            self.blame(Kind::Edited, 0, format!("entry `0` carries `{prev}` as `prev`, not zeros"));
            self.place(suspect, prev);
        }
    }

    /// Whether a checkpoint tells that the last entry carries a wrong `prev`, and not that the one before was edited:
    /// either it covers the one before as it is, or the last one with the right `prev` put in.
    fn is_proven_wrong(&self, suspect: &Item) -> bool {
        let Some(mut tree) = self.tree.clone() else { return false };
        if self.last.index.is_some() {
            tree.push(self.last.hash);
        }
        if self.anchors.says(tree.size(), &tree.root()) {
            return true;
        }
        let Ok(mut entry) = encoding::decode(&suspect.bytes) else { return false };
        entry.prev = self.last.hash;
        let Ok(bytes) = encoding::encode(&entry) else { return false };
        tree.push(hash::leaf(&bytes));
        self.anchors.says(tree.size(), &tree.root())
    }

    /// Jumps over entries that are not there. One can be told by the link to it; of more, the hashes are lost.
    fn skip_to(&mut self, index: u64, prev: Digest) {
        let expected = self.expected();
        let last = index - 1;
        let text = if expected == last {
            format!("entry `{last}` is missing")
        } else {
            format!("entries `{expected}` to `{last}` are missing")
        };
        self.findings.failure(Kind::Missing, expected, text);
        self.mark(expected, last);
        self.doubt_last();
        self.push_last(self.last.hash);
        if expected != last {
            self.tree = None;
        }
        // A place without an entry: its successor, which is next, vouches for its hash.
        self.last = Placed { index: Some(last), prev: Digest::ZERO, hash: prev, other: None, blamed: false };
    }

    fn blame_return(&mut self, index: u64) {
        let expected = self.expected();
        let was_missing = self.is_damaged(index);
        let kind = if was_missing { Kind::Reordered } else { Kind::Duplicate };
        let text = format!("an entry that says its index is `{index}` stands where entry `{expected}` should");
        self.blame(kind, index, text);
    }

    /// Places an entry whose own link says nothing about the one before.
    fn place_unlinked(&mut self, item: &Item) {
        if let (Some(before), false) = (self.last.index, self.last.blamed) {
            let text = format!("nothing vouches for entry `{before}`: the entry after it, which would, is damaged");
            self.findings.warning(Kind::Unvouched, before, text);
        }
        self.doubt_last();
        self.place(item, self.last.hash);
        self.last.blamed = true;
    }

    /// Gives an entry the next place. `recorded` is the hash that the entry before it was recorded with.
    fn place(&mut self, item: &Item, recorded: Digest) {
        let index = self.expected();
        self.push_last(recorded);
        let prev = item.facts.as_ref().map_or(Digest::ZERO, |facts| facts.prev);
        if let (Some(stored), Some(_)) = (item.stored, &item.facts) {
            let text = format!("entry `{index}` hashes to `{}`, but `{stored}` is stored for it", item.hash);
            self.blame(Kind::Edited, index, text);
        }
        let blamed = item.facts.is_none() || self.is_damaged(index);
        self.last = Placed { index: Some(index), prev, hash: item.hash, other: item.stored, blamed };
        if let Some(facts) = &item.facts {
            if let What::Opened(opened) = &facts.what
                && index == 0
            {
                self.anchors.opened(opened);
            }
            if let What::Rotated(rotated) = &facts.what {
                let end = Head { next_index: index, hash: facts.prev };
                self.anchors.rotated(&end, rotated, &mut self.findings);
            }
            let damaged = &self.damaged;
            self.calls.check(index, facts, &mut self.findings, |index| is_within(damaged, index));
        }
    }

    /// Puts the last entry into the tree.
    fn push_last(&mut self, recorded: Digest) {
        let (Some(_), Some(tree)) = (self.last.index, &mut self.tree) else { return };
        tree.push(recorded);
        let size = tree.size();
        if self.anchors.wants(size) {
            self.anchors.pass(size, Passed { root: tree.root(), doubt: self.doubt });
        }
    }

    /// Notes that the last entry goes into the tree by a hash that is not the recorded one.
    fn doubt_last(&mut self) {
        if self.last.blamed && self.doubt.is_none() {
            self.doubt = self.last.index;
        }
    }

    fn expected(&self) -> u64 {
        self.last.index.map_or(0, |index| index.saturating_add(1))
    }

    fn blame(&mut self, kind: Kind, index: u64, text: String) {
        self.findings.failure(kind, index, text);
        self.mark(index, index);
    }

    fn mark(&mut self, first: u64, last: u64) {
        if self.damaged.len() < FINDINGS_MAX {
            self.damaged.push((first, last));
        }
    }

    fn is_damaged(&self, index: u64) -> bool {
        is_within(&self.damaged, index)
    }
}

fn is_within(ranges: &[(u64, u64)], index: u64) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&index))
}

/// Reads one line of an export into `line`, without its end: false at the end of the export. A line that is too long is no
/// entry: what of it is kept, one byte more than an entry may have, is enough to say so, and the rest is skipped.
pub fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        let room = (limits::ENTRY_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(part.get(..room).unwrap_or(part));
        let consumed = part.len() + usize::from(end.is_some());
        reader.consume(consumed);
        if end.is_some() {
            return Ok(true);
        }
    }
}
