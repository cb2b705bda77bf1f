//! The contents that entries commit to, by name.
//!
//! Owns the names and which entry commits to which. Contents themselves lie beside the log, or nowhere any more.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::digest::Commitment;
use crate::entry::Body;
use crate::entry::DecisionRecord;

/// What a content is to its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentName {
    /// What the policies were told before the tool was loaded.
    Admission,
    /// What the call might do.
    Grant,
    /// What it was called with.
    Input,
    /// How it ended.
    Output,
    /// Why somebody approved, rejected, settled, halted or resumed.
    Reason,
    /// What the policies were told; it repeats the input, or the output.
    Request,
    /// What it asked of the host.
    Trace,
}

/// Text that names no content.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is none of `admission`, `grant`, `input`, `output`, `reason`, `request` and `trace`")]
pub struct ContentNameError(String);

impl ContentName {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Admission, Self::Grant, Self::Input, Self::Output, Self::Reason, Self::Request, Self::Trace];

    /// The name, as it stands in entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Grant => "grant",
            Self::Input => "input",
            Self::Output => "output",
            Self::Reason => "reason",
            Self::Request => "request",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for ContentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContentName {
    type Err = ContentNameError;

    fn from_str(text: &str) -> Result<Self, ContentNameError> {
        let found = Self::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| ContentNameError(text.to_owned()))
    }
}

/// What an entry commits to, in the order of the names.
pub fn commitments(body: &Body) -> Vec<(ContentName, Commitment)> {
    let admission = |record: &Option<DecisionRecord>| Some((ContentName::Admission, record.as_ref()?.request));
    let asked = |record: &Option<DecisionRecord>| Some((ContentName::Request, record.as_ref()?.request));
    let request = |record: &DecisionRecord| Some((ContentName::Request, record.request));
    let input = |commitment| Some((ContentName::Input, commitment));
    let held = match body {
        Body::Answered(answered) => vec![input(answered.input), request(&answered.decision)],
        Body::Approved(answer) | Body::Rejected(answer) => {
            vec![answer.reason.map(|reason| (ContentName::Reason, reason))]
        }
        Body::Begun(begun) => vec![
            admission(&begun.admission),
            Some((ContentName::Grant, begun.grant)),
            input(begun.input),
            request(&begun.decision),
        ],
        Body::Decided(decided) => vec![request(&decided.decision)],
        Body::Elevated(elevated) => vec![request(&elevated.decision)],
        Body::Finished(finished) => vec![
            Some((ContentName::Output, finished.output)),
            asked(&finished.decision),
            Some((ContentName::Trace, finished.trace)),
        ],
        Body::Held(held) => vec![held.input.and_then(input), request(&held.decision)],
        Body::Refused(refused) => vec![admission(&refused.admission), input(refused.input), asked(&refused.decision)],
        Body::Halted(change) | Body::Resumed(change) => vec![Some((ContentName::Reason, change.reason))],
        Body::Settled(settled) => vec![Some((ContentName::Reason, settled.reason))],
        Body::Opened(_) | Body::Removed(_) | Body::Rotated(_) | Body::SessionClosed(_) | Body::SessionOpened(_) => {
            Vec::new()
        }
    };
    held.into_iter().flatten().collect()
}

/// The commitment of that name, if the entry holds one.
pub fn commitment(body: &Body, name: ContentName) -> Option<Commitment> {
    commitments(body).into_iter().find(|(other, _)| *other == name).map(|(_, commitment)| commitment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for name in ContentName::ALL {
            assert_eq!(name.as_str().parse(), Ok(name));
            assert_eq!(serde_json::to_value(name).expect("JSON"), name.as_str());
        }
        for text in ["", "Input", "input ", "outcome"] {
            assert!(text.parse::<ContentName>().is_err(), "{text}");
        }
    }
}
