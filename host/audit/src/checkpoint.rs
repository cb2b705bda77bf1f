//! Checkpoints (C2SP tlog-checkpoint): how large the log is, and what its root is.
//!
//! Three lines: origin, size in decimal, root in base64. One checkpoint has one spelling; extension lines, which the
//! specification allows and advises against, are refused. A checkpoint is worth what its signature is worth: see
//! [`crate::note`].

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_model::digest::Digest;
use ringfence_model::limits::CHECKPOINT_BYTES_MAX;
use thiserror::Error;

use crate::finding::Findings;
use crate::finding::Kind;
use crate::finding::Report;
use crate::note;
use crate::note::Note;
use crate::note::NoteError;
use crate::note::Verifier;
use crate::signer::SignError;
use crate::signer::Signer;

/// Checks a checkpoint that stands alone: that one of `keys` has signed it. It says how long a log was, and nothing of what
/// is in it.
pub fn check(note: &str, keys: &[Verifier]) -> Report {
    let mut findings = Findings::default();
    let opened = Checkpoint::open(note, keys);
    if let Err(error) = &opened {
        findings.failure(Kind::from(error), None, error.to_string());
    }
    let (findings, omitted) = findings.into_parts();
    let (size, root) = opened.map_or((0, None), |checkpoint| (checkpoint.size, Some(checkpoint.root)));
    Report { entries: size, head: Digest::ZERO, root, vouched: size, findings, omitted }
}

/// Text that is not a checkpoint.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a checkpoint: {0}")]
pub struct CheckpointError(&'static str);

/// Why a signed checkpoint can't be trusted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// Its text is none.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its signature.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// What a log was at one time. Printed and parsed as the text that is signed.
///
/// ```
/// use ringfence_audit::checkpoint::Checkpoint;
/// use ringfence_audit::hash;
/// use ringfence_audit::signer::Signer;
/// use ringfence_audit::signer::SoftwareSigner;
///
/// let signer = SoftwareSigner::from_seed("example.org/log", &[7; 32]).unwrap();
/// let checkpoint = Checkpoint { origin: "example.org/log".into(), size: 0, root: hash::empty_root() };
/// let note = checkpoint.sign(&signer).unwrap();
/// assert_eq!(Checkpoint::open(&note, &[signer.verifier().clone()]), Ok(checkpoint));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's permanent name.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The checkpoint as a signed note.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, SignError> {
        let text = self.to_string();
        // Not signed unless it reads back as itself: an origin of two lines would not.
        if text.parse().as_ref() != Ok(self) {
            return Err(SignError::Text);
        }
        note::sign(&text, &[signer])
    }

    /// The checkpoint in a signed note, once one of `keys` vouches for it.
    pub fn open(note: &str, keys: &[Verifier]) -> Result<Self, OpenError> {
        Ok(Note::parse(note)?.open(keys)?.parse()?)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        if text.len() > CHECKPOINT_BYTES_MAX {
            return Err(CheckpointError("it is larger than one may be"));
        }
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError("its last line has no end"))?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError("it must have three lines: origin, size, root"));
        };
        if origin.is_empty() || origin.contains(char::is_control) {
            return Err(CheckpointError("its origin is empty or has control characters"));
        }
        let size = size.parse().ok().filter(|parsed: &u64| parsed.to_string() == size);
        let size = size.ok_or(CheckpointError("its size is not a decimal number without leading zeros"))?;
        let root = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
        let root = root.ok_or(CheckpointError("its root is not the base64 of 32 bytes"))?;
        Ok(Self { origin: origin.to_owned(), size, root: Digest::from_bytes(root) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;
    use crate::signer::SoftwareSigner;

    const TEXT: &str = "example.org/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "example.org/log".to_owned(), size: 0, root: hash::empty_root() }
    }

    #[test]
    fn text_is_what_the_format_says() {
        assert_eq!(checkpoint().to_string(), TEXT);
        assert_eq!(TEXT.parse(), Ok(checkpoint()));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            TEXT.replace("\n0\n", "\n00\n"),
            TEXT.replace("\n0\n", "\n+0\n"),
            TEXT.replace("\n0\n", "\n 0\n"),
            TEXT.replace("\n0\n", "\n-1\n"),
            TEXT.replace("\n0\n", "\n18446744073709551616\n"),
            TEXT.replace("FU=", "FV="),
            TEXT.replace("FU=", "FU"),
            TEXT.replace("47DE", ""),
            TEXT.replace("example.org/log", ""),
            TEXT.replace('\n', "\r\n"),
            TEXT.trim_end().to_owned(),
            format!("{TEXT}extension\n"),
            format!("{TEXT}\n"),
            String::new(),
        ] {
            assert!(text.parse::<Checkpoint>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn signed_checkpoint_opens_again() {
        let signer = SoftwareSigner::from_seed("example.org/log", &[1; 32]).expect("a signer");
        let note = checkpoint().sign(&signer).expect("a note");
        assert_eq!(Checkpoint::open(&note, &[signer.verifier().clone()]), Ok(checkpoint()));
        let other = SoftwareSigner::from_seed("example.org/log", &[2; 32]).expect("a signer");
        assert!(Checkpoint::open(&note, &[other.verifier().clone()]).is_err());
    }

    #[test]
    fn ambiguous_origin_is_not_signed() {
        let signer = SoftwareSigner::from_seed("log", &[1; 32]).expect("a signer");
        for origin in ["", "a\nb", "a\r"] {
            assert!(Checkpoint { origin: origin.to_owned(), ..checkpoint() }.sign(&signer).is_err());
        }
    }
}
