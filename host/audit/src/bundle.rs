//! Bundles: everything about a call, a session or a part of a log, in one file.
//!
//! A bundle is lines of canonical JSON. The first says what it is about and how much follows, and carries the signed
//! checkpoint; then come the entries, each with its proof under that checkpoint, then the contents with their nonces.
//! Every line is judged by itself, so that a finding names the entry, and the first line tells what is missing.
//!
//! What a bundle shows: these entries are in the log that the key signs, and these contents are theirs. A range shows as
//! well that nothing is left out between its ends. That a session has no other call, no bundle can show.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;

use ringfence_model::content;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::encoding;
use ringfence_model::encoding::EncodeError;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Entry;
use ringfence_model::entry::Finished;
use ringfence_model::entry::Removed;
use ringfence_model::entry::RemovedContent;
use ringfence_model::entry::Settled;
use ringfence_model::id::ApprovalId;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::json::JsonError;
use ringfence_model::limits;
use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::finding::Findings;
use crate::finding::Kind;
use crate::finding::Report;
use crate::hash;
use crate::note::Verifier;
use crate::proof::Inclusion;
use crate::receipt::open_checkpoint;
use crate::receipt::parse_nonce;

/// The version of the format that is written.
pub const FORMAT_VERSION: u64 = 1;

/// Why a bundle can't be written.
#[derive(Debug, Error)]
pub enum BundleError {
    /// An entry that can't be encoded.
    #[error(transparent)]
    Entry(#[from] EncodeError),
    /// A line that can't be serialised.
    #[error("a line of the bundle could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// More bytes than a bundle may have.
    #[error("the bundle is larger than `{max}` bytes", max = limits::BUNDLE_BYTES_MAX)]
    TooLarge,
    /// More entries than a bundle may have.
    #[error("a bundle of `{0}` entries is larger than `{max}`", max = limits::BUNDLE_ENTRIES_MAX)]
    TooManyEntries(usize),
}

/// What a bundle is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subject {
    /// One call.
    Call(CallId),
    /// Every entry from the first index to the last.
    Range {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The calls of a session.
    Session(SessionId),
}

/// An entry, with the proof that the checkpoint covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The entry.
    pub entry: Entry,
    /// The hashes beside its path to the root.
    pub proof: Inclusion,
}

/// A content, with the nonce that shows whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The content: canonical JSON.
    pub text: String,
    /// Index of the entry that commits to it.
    pub entry: u64,
    /// What it is to that entry.
    pub name: ContentName,
    /// The nonce behind the commitment.
    pub nonce: Nonce,
}

/// Everything about a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What it is about.
    pub subject: Subject,
    /// The key that signed the checkpoint, as a C2SP verifier key. Whoever verifies brings a key to trust.
    pub key: String,
    /// The checkpoint that every proof leads to, as a signed note.
    pub checkpoint: String,
    /// The entries, by their indexes.
    pub entries: Vec<Proven>,
    /// The contents, by entry and name. Any of them may be missing: left out, or removed from the log.
    pub contents: Vec<Content>,
}

/// A bundle as far as it can be read, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// None if not even its first line can be read.
    pub bundle: Option<Bundle>,
    /// What was found.
    pub report: Report,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    checkpoint: String,
    contents: Vec<(u64, ContentName)>,
    entries: Vec<u64>,
    key: String,
    subject: Subject,
    v: u64,
}

/// The line of an entry. Its bytes stay as they are: [`encoding::decode`] takes no others than canonical ones.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine<'a> {
    #[serde(borrow)]
    entry: &'a RawValue,
    proof: Vec<Digest>,
}

/// The line of a content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentLine<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
    nonce: String,
}

impl Bundle {
    /// The bundle as it is written to a file. Entries and contents have to be in order.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        if self.entries.len() > limits::BUNDLE_ENTRIES_MAX {
            return Err(BundleError::TooManyEntries(self.entries.len()));
        }
        let mut bytes = Vec::new();
        let header = Header {
            checkpoint: self.checkpoint.clone(),
            contents: self.contents.iter().map(|content| (content.entry, content.name)).collect(),
            entries: self.entries.iter().map(|proven| proven.entry.index).collect(),
            key: self.key.clone(),
            subject: self.subject,
            v: FORMAT_VERSION,
        };
        put_line(&mut bytes, &header)?;
        for Proven { entry, proof } in &self.entries {
            let encoded = encoding::encode(entry)?;
            let entry = serde_json::from_slice(&encoded)?;
            put_line(&mut bytes, &EntryLine { entry, proof: proof.hashes().to_vec() })?;
        }
        for Content { text, nonce, .. } in &self.contents {
            let line = ContentLine { content: text.into(), nonce: hex::encode(nonce.as_bytes()) };
            put_line(&mut bytes, &line)?;
        }
        Ok(bytes)
    }

    /// The entry at `index`, if the bundle holds it.
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&index, |proven| proven.entry.index).ok()?;
        self.entries.get(at).map(|proven| &proven.entry)
    }

    /// What was removed, and by which entry, as far as the bundle holds that.
    pub fn removals(&self) -> BTreeMap<RemovedContent, &Removed> {
        let removed = self.entries.iter().filter_map(|proven| match &proven.entry.body {
            Body::Removed(removed) => Some(removed.as_ref()),
            _ => None,
        });
        removed.flat_map(|removed| removed.contents.iter().map(move |content| (*content, removed))).collect()
    }

    /// A content of the entry at `index`, if the bundle holds it.
    pub fn content(&self, index: u64, name: ContentName) -> Option<&Content> {
        let at = self.contents.binary_search_by_key(&(index, name), |content| (content.entry, content.name)).ok()?;
        self.contents.get(at)
    }
}

/// Reads and verifies a bundle: that every entry of it is in the log that one of `keys` has signed, that contents are
/// those the entries commit to, and that nothing of what the first line announces is missing.
pub fn check(bytes: &[u8], keys: &[Verifier]) -> Checked {
    let mut findings = Findings::default();
    let Some((header, lines)) = read_header(bytes, &mut findings) else {
        return Checked { bundle: None, report: report(None, None, Digest::ZERO, findings) };
    };
    let checkpoint = check_signature(&header, keys, &mut findings);
    let Header { checkpoint: note, contents, entries, key, subject, .. } = header;
    let bundle = Bundle { subject, key, checkpoint: note, entries: Vec::new(), contents: Vec::new() };
    let mut check = Check { bundle, root: checkpoint, findings, last: None, unread: BTreeSet::new() };
    check.announced(&entries, &contents);
    check.lines(lines, &entries, &contents);
    check.subject();
    let Check { bundle, root, findings, last, .. } = check;
    let head = last.map_or(Digest::ZERO, |(_, hash)| hash);
    let report = report(Some(&bundle), root.as_ref(), head, findings);
    Checked { bundle: Some(bundle), report }
}

fn report(bundle: Option<&Bundle>, checkpoint: Option<&Checkpoint>, head: Digest, findings: Findings) -> Report {
    let entries = bundle.map_or(0, |bundle| u64::try_from(bundle.entries.len()).unwrap_or(u64::MAX));
    let (findings, omitted) = findings.into_parts();
    let root = checkpoint.map(|checkpoint| checkpoint.root);
    let mut report = Report { entries, head, root, vouched: 0, findings, omitted };
    if report.is_intact() {
        report.vouched = entries;
    }
    report
}

/// The lines of a file, each with its end.
type Lines<'a> = std::slice::SplitInclusive<'a, u8, fn(&u8) -> bool>;

fn read_header<'a>(bytes: &'a [u8], findings: &mut Findings) -> Option<(Header, Lines<'a>)> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limits::BUNDLE_BYTES_MAX) {
        findings.failure(Kind::Malformed, None, BundleError::TooLarge.to_string());
        return None;
    }
    let is_end: fn(&u8) -> bool = |byte| *byte == b'\n';
    let mut lines = bytes.split_inclusive(is_end);
    let first = lines.next().unwrap_or_default();
    if first.len() > limits::BUNDLE_HEADER_BYTES_MAX {
        findings.failure(Kind::Malformed, None, "the first line is longer than that of any bundle");
        return None;
    }
    let header: Header = match read_line(first) {
        Ok(header) => header,
        Err(Unread { kind, why }) => {
            findings.failure(kind, None, format!("the first line can't be read: {why}"));
            return None;
        }
    };
    if header.v != FORMAT_VERSION {
        let text = format!("version {} of the format is not one that this version knows", header.v);
        findings.failure(Kind::Malformed, None, text);
        return None;
    }
    let contents_max = header.entries.len().saturating_mul(limits::CONTENTS_PER_ENTRY_MAX);
    if header.entries.len() > limits::BUNDLE_ENTRIES_MAX || header.contents.len() > contents_max {
        findings.failure(Kind::Malformed, None, "the first line announces more than a bundle may have");
        return None;
    }
    Some((header, lines))
}

/// Trust boundary: the key in the file says which of the given keys to use, and nothing more.
fn check_signature(header: &Header, keys: &[Verifier], findings: &mut Findings) -> Option<Checkpoint> {
    let own: Verifier = match header.key.parse() {
        Ok(own) => own,
        Err(error) => {
            findings.failure(Kind::MalformedCheckpoint, None, format!("the bundle's key: {error}"));
            return None;
        }
    };
    if !keys.contains(&own) {
        let text = format!("the bundle names `{own}` as its key, which is not among the given keys");
        findings.failure(Kind::UnknownKey, None, text);
        return None;
    }
    open_checkpoint(&header.checkpoint, &[own], findings)
}

/// Why a line can't be read.
struct Unread {
    kind: Kind,
    why: String,
}

/// A line in its one spelling. It is read as what it has to be, so that it takes no more memory than its own length.
fn read_line<'a, T: Serialize + Deserialize<'a>>(line: &'a [u8]) -> Result<T, Unread> {
    let malformed = |why: String| Unread { kind: Kind::Malformed, why };
    let Some(text) = line.strip_suffix(b"\n") else {
        let why = if line.is_empty() { "there is none" } else { "the file ends within it" };
        return Err(Unread { kind: Kind::Truncated, why: why.to_owned() });
    };
    let value = serde_json::from_slice(text).map_err(|error| malformed(JsonError::from(error).to_string()))?;
    let mut left = Left(text);
    match serde_json::to_writer(&mut left, &value) {
        Ok(()) if left.0.is_empty() => Ok(value),
        _ => Err(malformed("it is not in its canonical form".to_owned())),
    }
}

/// What is left of a text after everything that was written stood at its beginning.
struct Left<'a>(&'a [u8]);

impl io::Write for Left<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn put_line(bytes: &mut Vec<u8>, line: &impl Serialize) -> Result<(), BundleError> {
    serde_json::to_writer(&mut *bytes, line)?;
    bytes.push(b'\n');
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limits::BUNDLE_BYTES_MAX) {
        return Err(BundleError::TooLarge);
    }
    Ok(())
}

/// The state of a check behind the first line.
struct Check {
    bundle: Bundle,
    /// The checkpoint, if a given key has signed it.
    root: Option<Checkpoint>,
    findings: Findings,
    /// Index and hash of the entry before.
    last: Option<(u64, Digest)>,
    /// Entries that could not be read: what follows from that is not news.
    unread: BTreeSet<u64>,
}

impl Check {
    /// What the first line announces: each entry and each content once, in order, and of a range all of it.
    fn announced(&mut self, entries: &[u64], contents: &[(u64, ContentName)]) {
        if entries.is_empty() {
            self.findings.failure(Kind::Missing, None, "the bundle has no entries");
        }
        if let Some([before, index]) = entries.array_windows().find(|[before, index]| before >= index) {
            let text = format!("the first line announces entry `{index}` behind entry `{before}`");
            self.findings.failure(Kind::Reordered, *index, text);
        }
        if let Some([_, (index, name)]) = contents.array_windows().find(|[before, content]| before >= content) {
            let text = format!("the first line announces `{name}` twice or out of order");
            self.findings.failure(Kind::WrongContent, *index, text);
        }
        let Subject::Range { from, to } = self.bundle.subject else { return };
        let missing = (from..=to).zip(entries.iter().map(Some).chain(std::iter::repeat(None)));
        if let Some((index, _)) = missing.into_iter().find(|(wanted, found)| *found != Some(wanted)) {
            let text = format!("entry `{index}` is missing: the bundle is about entries `{from}` to `{to}`");
            self.findings.failure(Kind::Missing, index, text);
        }
    }

    fn lines(&mut self, mut lines: Lines<'_>, entries: &[u64], contents: &[(u64, ContentName)]) {
        for index in entries {
            let Some(line) = lines.next() else {
                self.unread.insert(*index);
                return self.findings.failure(Kind::Truncated, *index, format!("the file ends before entry `{index}`"));
            };
            self.entry(*index, line);
        }
        for (index, name) in contents {
            let Some(line) = lines.next() else {
                let text = format!("the file ends before `{name}` of entry `{index}`");
                return self.findings.failure(Kind::Truncated, *index, text);
            };
            if let Err((kind, text)) = self.content(*index, *name, line) {
                self.findings.failure(kind, *index, text);
            }
        }
        if lines.next().is_some() {
            self.findings.failure(Kind::Malformed, None, "the file goes on behind its last line");
        }
    }

    fn entry(&mut self, index: u64, line: &[u8]) {
        match read_entry(line) {
            Ok(proven) => self.place(index, proven),
            Err(Unread { kind, why }) => {
                self.unread.insert(index);
                self.findings.failure(kind, index, format!("the line of entry `{index}` can't be read: {why}"));
            }
        }
    }

    fn place(&mut self, index: u64, (proven, hash): (Proven, Digest)) {
        let Entry { index: said, prev, .. } = proven.entry;
        if said != index {
            let text = format!("an entry that says its index is `{said}` stands where entry `{index}` is announced");
            self.unread.insert(index);
            return self.findings.failure(Kind::WrongIndex, index, text);
        }
        if let Some(Checkpoint { size, root, .. }) = &self.root
            && let Err(error) = proven.proof.verify(&hash, index, *size, root)
        {
            self.findings.failure(Kind::WrongProof, index, error.to_string());
        }
        if let Some((before, before_hash)) = self.last
            && before.checked_add(1) == Some(index)
            && prev != before_hash
        {
            let text = format!("entry `{index}` carries `{prev}` as `prev`, entry `{before}` has `{before_hash}`");
            self.findings.failure(Kind::Edited, index, text);
        }
        self.last = Some((index, hash));
        self.bundle.entries.push(proven);
    }

    /// Takes in a content, if the entry commits to it.
    fn content(&mut self, index: u64, name: ContentName, line: &[u8]) -> Result<(), (Kind, String)> {
        let wrong = |text: String| Err((Kind::WrongContent, text));
        let ContentLine { content: text, nonce } =
            read_line(line).map_err(|Unread { kind, why }| (kind, format!("`{name}` can't be read: {why}")))?;
        let Some(nonce) = parse_nonce(&nonce) else {
            return wrong(format!("the nonce of `{name}` is not 32 lower-case hexadecimal digits"));
        };
        if self.unread.contains(&index) {
            return Ok(());
        }
        let Some(entry) = self.bundle.entry(index) else {
            return wrong(format!("`{name}` is of an entry that the bundle does not hold"));
        };
        let Some(wanted) = content::commitment(&entry.body, name) else {
            return wrong(format!("the entry has no commitment to `{name}`"));
        };
        let found = nonce.commit(text.as_bytes());
        if found != wanted {
            let (wanted, found) = (wanted.digest(), found.digest());
            return wrong(format!("the entry commits to `{wanted}` as its `{name}`, the content has `{found}`"));
        }
        self.bundle.contents.push(Content { text: text.into_owned(), entry: index, name, nonce });
        Ok(())
    }

    /// Whether the entries belong to what the bundle is about, and to each other.
    fn subject(&mut self) {
        let (mut ended, mut settlements) = (BTreeMap::new(), BTreeMap::new());
        let approvals = self.approvals();
        for Proven { entry, .. } in &self.bundle.entries {
            let index = entry.index;
            let wrong = match &entry.body {
                _ if !self.belongs(entry, &approvals) => {
                    let text = format!("entry `{index}` does not belong to what the bundle is about");
                    Some((Kind::Misplaced, text))
                }
                Body::Finished(finished) => match ended.insert(finished.begun, index) {
                    Some(before) => Some((Kind::Unpaired, format!("it ends what entry `{before}` has ended"))),
                    None => self.unpaired(finished),
                },
                Body::Settled(settled) => match settlements.insert(settled.call, index) {
                    Some(before) => Some((Kind::Unpaired, format!("it settles what entry `{before}` has settled"))),
                    None => self.unsettled(settled),
                },
                Body::Removed(removed) if removed.contents.iter().any(|content| content.entry >= index) => {
                    Some((Kind::Misplaced, "it removes what a later entry holds".to_owned()))
                }
                _ => None,
            };
            if let Some((kind, text)) = wrong {
                self.findings.failure(kind, index, text);
            }
        }
        if matches!(self.bundle.subject, Subject::Range { .. }) {
            return;
        }
        let begun = self.bundle.entries.iter().filter(|proven| matches!(proven.entry.body, Body::Begun(_)));
        for index in begun.map(|proven| proven.entry.index).filter(|index| !ended.contains_key(index)) {
            let text = format!("entry `{index}` begins a call, and the bundle does not hold its end");
            self.findings.info(Kind::Unfinished, index, text);
        }
    }

    /// What is wrong with the pair that an end makes with its beginning.
    fn unpaired(&self, finished: &Finished) -> Option<(Kind, String)> {
        let Finished { begun, call, .. } = finished;
        match self.bundle.entry(*begun).map(|entry| &entry.body) {
            Some(Body::Begun(other)) if other.call == *call => None,
            Some(_) => Some((Kind::Unpaired, format!("it says that `{call}` began at entry `{begun}`, which did not"))),
            // A range may begin in the middle of a call.
            None if matches!(self.bundle.subject, Subject::Range { .. }) || self.unread.contains(begun) => None,
            None => Some((Kind::Missing, format!("it ends `{call}`, whose beginning, entry `{begun}`, is missing"))),
        }
    }

    /// What is wrong with a settlement: it is of a call that ended with an unknown effect, or of nothing.
    fn unsettled(&self, settled: &Settled) -> Option<(Kind, String)> {
        let Settled { call, finished, .. } = settled;
        match self.bundle.entry(*finished).map(|entry| &entry.body) {
            Some(Body::Finished(end)) if end.call == *call && end.effect == EffectState::Unknown => None,
            Some(_) => Some((Kind::Unpaired, format!("it settles `{call}`, whose effect entry `{finished}` knows"))),
            // A range may begin in the middle of a call.
            None if matches!(self.bundle.subject, Subject::Range { .. }) || self.unread.contains(finished) => None,
            None => Some((Kind::Missing, format!("it settles `{call}`, whose end, entry `{finished}`, is missing"))),
        }
    }

    /// The approvals that the calls here have used.
    fn approvals(&self) -> BTreeSet<ApprovalId> {
        let used = self.bundle.entries.iter().filter_map(|proven| match &proven.entry.body {
            Body::Begun(begun) => begun.approval,
            _ => None,
        });
        used.collect()
    }

    fn belongs(&self, entry: &Entry, approvals: &BTreeSet<ApprovalId>) -> bool {
        let is_here = |index| self.bundle.entry(index).is_some() || self.unread.contains(&index);
        match (self.bundle.subject, &entry.body) {
            (Subject::Range { from, to }, _) => (from..=to).contains(&entry.index),
            // What was removed of the entries here.
            (_, Body::Removed(removed)) => removed.contents.iter().any(|content| is_here(content.entry)),
            // The answers to questions that are here.
            (_, Body::Approved(answer) | Body::Rejected(answer)) => is_here(answer.held),
            // The question is an earlier call's.
            (Subject::Call(_), Body::Held(held)) if approvals.contains(&held.approval) => true,
            (Subject::Call(call), body) => body.call() == Some(call),
            // Its beginning tells.
            (Subject::Session(_), Body::Finished(_)) => true,
            // The end it is about tells.
            (Subject::Session(_), Body::Settled(settled)) => is_here(settled.finished),
            (Subject::Session(session), body) => body.session() == Some(session),
        }
    }
}

fn read_entry(line: &[u8]) -> Result<(Proven, Digest), Unread> {
    let EntryLine { entry, proof } = read_line(line)?;
    let bytes = entry.get().as_bytes();
    let malformed = |why: String| Unread { kind: Kind::Malformed, why };
    let entry = encoding::decode(bytes).map_err(|error| malformed(error.to_string()))?;
    if proof.len() > limits::PROOF_HASHES_MAX {
        return Err(malformed("its proof has more hashes than one may have".to_owned()));
    }
    Ok((Proven { entry, proof: Inclusion::from_hashes(proof) }, hash::leaf(bytes)))
}
