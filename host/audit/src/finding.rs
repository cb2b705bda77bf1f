//! Findings: what is wrong, where, and what was expected.
//!
//! A report keeps a bounded number of findings and counts the rest, so that a log made to overwhelm its reader doesn't.

use std::fmt;

use ringfence_model::digest::Digest;
use ringfence_model::limits::FINDING_TEXT_BYTES_MAX;
use serde::Serialize;

use crate::checkpoint::OpenError;
use crate::note::NoteError;

/// Failures a report keeps; it keeps as many warnings and notes besides.
pub const FINDINGS_MAX: usize = 100;

/// How much a finding matters. In rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something could not be checked, or looks odd.
    Warning,
    /// The evidence does not verify.
    Failure,
}

/// The kinds of finding. Stable: printed as a code in kebab-case. More may come with new checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// An entry stands twice.
    Duplicate,
    /// An entry is not the one that was recorded.
    Edited,
    /// The log names another key than those given.
    ForeignKey,
    /// Two histories of one log are signed.
    Forked,
    /// An entry stands where none was.
    Inserted,
    /// The key comes from the log it is to vouch for.
    KeyFromLog,
    /// Bytes that are no entry.
    Malformed,
    /// A checkpoint, or a key, that can't be read.
    MalformedCheckpoint,
    /// An entry that may not stand there, or does not belong to what a bundle is about.
    Misplaced,
    /// Entries are gone, or there are none at all.
    Missing,
    /// A receipt without proof: it shows nothing yet.
    Pending,
    /// Contents were removed, on the record.
    Removed,
    /// An entry stands before the one it follows.
    Reordered,
    /// Signed by a key of the log's that was not in force at that size.
    RetiredKey,
    /// Whole in itself, but not what was signed.
    Rewritten,
    /// The log is what it was once, as it was signed then, and more has been signed since.
    RolledBack,
    /// Time goes backwards.
    TimeRegression,
    /// The log ends before the signed one did, or the file before its own end.
    Truncated,
    /// Nothing vouches for the end of the log, or for all of it. A failure if keys were given to check it by.
    Unanchored,
    /// A call without an end.
    Unfinished,
    /// No given key has signed.
    UnknownKey,
    /// An end without a beginning, a settlement without an unknown effect, or a second of any.
    Unpaired,
    /// The entry that would vouch for it is damaged itself.
    Unvouched,
    /// A witness that was asked for has cosigned nothing that covers this log.
    Unwitnessed,
    /// A content that an entry does not commit to.
    WrongContent,
    /// A receipt's index, or the place in a bundle, is not its entry's.
    WrongIndex,
    /// A checkpoint of another log.
    WrongOrigin,
    /// A proof that proves something else.
    WrongProof,
    /// An entry that rotates the log's key, but not as both keys have signed it.
    WrongRotation,
    /// A known key's signature does not fit.
    WrongSignature,
    /// A published tile that is missing, or is not of the entries.
    WrongTile,
}

impl Kind {
    /// Its code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Edited => "edited",
            Self::ForeignKey => "foreign-key",
            Self::Forked => "forked",
            Self::Inserted => "inserted",
            Self::KeyFromLog => "key-from-log",
            Self::Malformed => "malformed",
            Self::MalformedCheckpoint => "malformed-checkpoint",
            Self::Misplaced => "misplaced",
            Self::Missing => "missing",
            Self::Pending => "pending",
            Self::Removed => "removed",
            Self::Reordered => "reordered",
            Self::RetiredKey => "retired-key",
            Self::Rewritten => "rewritten",
            Self::RolledBack => "rolled-back",
            Self::TimeRegression => "time-regression",
            Self::Truncated => "truncated",
            Self::Unanchored => "unanchored",
            Self::Unfinished => "unfinished",
            Self::UnknownKey => "unknown-key",
            Self::Unpaired => "unpaired",
            Self::Unvouched => "unvouched",
            Self::Unwitnessed => "unwitnessed",
            Self::WrongContent => "wrong-content",
            Self::WrongIndex => "wrong-index",
            Self::WrongOrigin => "wrong-origin",
            Self::WrongProof => "wrong-proof",
            Self::WrongRotation => "wrong-rotation",
            Self::WrongSignature => "wrong-signature",
            Self::WrongTile => "wrong-tile",
        }
    }
}

impl From<&NoteError> for Kind {
    fn from(error: &NoteError) -> Self {
        match error {
            NoteError::Malformed { .. } => Self::MalformedCheckpoint,
            NoteError::UnknownKey(_) => Self::UnknownKey,
            NoteError::WrongSignature(_) => Self::WrongSignature,
        }
    }
}

impl From<&OpenError> for Kind {
    fn from(error: &OpenError) -> Self {
        match error {
            OpenError::Checkpoint(_) => Self::MalformedCheckpoint,
            OpenError::Note(error) => error.into(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is.
    pub kind: Kind,
    /// The first entry it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// What was expected and what was found, in one line.
    pub text: String,
}

impl Finding {
    fn line(&self) -> String {
        let Self { severity, kind, index, text } = self;
        let at = index.map(|index| format!("entry {index}: ")).unwrap_or_default();
        let mark = match severity {
            Severity::Failure => "FAILED ",
            Severity::Warning => "warning",
            Severity::Info => "note   ",
        };
        format!("{mark}  {at}{text} [{kind}]")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries the log holds by its indexes; for a receipt, 1; for a bundle, those it holds.
    pub entries: u64,
    /// The hash of the last entry.
    pub head: Digest,
    /// The root over all entries; none if it can't be known, because entries are missing or a receipt has no proof.
    pub root: Option<Digest>,
    /// Entries that a checked signature vouches for, counted from the first; for a receipt, the size of its tree; for
    /// a bundle, the entries of it that are.
    pub vouched: u64,
    /// What was found, in the order it was found in; at most [`FINDINGS_MAX`] failures and as many others.
    pub findings: Vec<Finding>,
    /// Findings that were counted but not kept.
    pub omitted: u64,
}

impl Report {
    /// Whether there is no failure. Warnings don't count: read them before relying on the answer. If [`Self::vouched`] is
    /// 0, only the links between entries were checked.
    pub fn is_intact(&self) -> bool {
        // A failure is only ever omitted after others were kept.
        self.failures().next().is_none()
    }

    /// The report for people: a line for each finding, then the verdict.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.findings.iter().map(Finding::line).collect();
        if self.omitted > 0 {
            lines.push(format!("         and {} more", self.omitted));
        }
        let verdict = match (self.is_intact(), self.vouched) {
            (false, _) => "NOT INTACT",
            (true, 0) => "links intact, not vouched for",
            (true, _) => "intact",
        };
        lines.push(format!("{verdict}: {} entries, {} under a signed checkpoint", self.entries, self.vouched));
        lines
    }

    /// Adds what was found besides.
    pub fn push(&mut self, mut finding: Finding) {
        cut(&mut finding.text);
        self.findings.push(finding);
    }

    /// The failures.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Failure)
    }
}

/// Collects findings up to the bound.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kept: Vec<Finding>,
    failures: usize,
    omitted: u64,
}

impl Findings {
    pub(crate) fn failure(&mut self, kind: Kind, index: impl Into<Option<u64>>, text: impl Into<String>) {
        self.add(Finding { severity: Severity::Failure, kind, index: index.into(), text: text.into() });
    }

    pub(crate) fn warning(&mut self, kind: Kind, index: impl Into<Option<u64>>, text: impl Into<String>) {
        self.add(Finding { severity: Severity::Warning, kind, index: index.into(), text: text.into() });
    }

    pub(crate) fn info(&mut self, kind: Kind, index: impl Into<Option<u64>>, text: impl Into<String>) {
        self.add(Finding { severity: Severity::Info, kind, index: index.into(), text: text.into() });
    }

    pub(crate) fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.kept, self.omitted)
    }

    fn add(&mut self, mut finding: Finding) {
        cut(&mut finding.text);
        let is_failure = finding.severity == Severity::Failure;
        let kept = if is_failure { self.failures } else { self.kept.len() - self.failures };
        if kept >= FINDINGS_MAX {
            self.omitted += 1;
            return;
        }
        self.failures += usize::from(is_failure);
        self.kept.push(finding);
    }
}

/// Names and errors repeat what was found, which is as long as whoever made it liked.
fn cut(text: &mut String) {
    if text.len() > FINDING_TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(FINDING_TEXT_BYTES_MAX));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_serialised_names() {
        for kind in [Kind::Duplicate, Kind::KeyFromLog, Kind::TimeRegression, Kind::WrongSignature] {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
    }

    #[test]
    fn warnings_never_crowd_out_failures() {
        let mut findings = Findings::default();
        for index in 0..500 {
            findings.warning(Kind::TimeRegression, index, "x");
        }
        findings.failure(Kind::Edited, 7, "x");
        let (kept, omitted) = findings.into_parts();
        assert_eq!((kept.len(), omitted), (FINDINGS_MAX + 1, 400));
        assert_eq!(kept.last().map(|finding| finding.kind), Some(Kind::Edited));
    }
}
