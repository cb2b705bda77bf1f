//! Extensions: that a log goes on from what it was at an earlier size.
//!
//! Whoever kept an old checkpoint checks one against it without the log. What is signed twice and can't both be true is
//! evidence against the log: it does not matter how either checkpoint was come by.

use ringfence_model::digest::Digest;
use ringfence_model::limits;
use serde::Deserialize;
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::finding::Findings;
use crate::finding::Kind;
use crate::finding::Report;
use crate::note::Verifier;
use crate::proof::Consistency;
use crate::receipt;
use crate::receipt::ReceiptError;

/// The version of the format that is written.
const FORMAT_VERSION: u64 = 1;
/// Hashes in a consistency proof: one more than in one of inclusion.
const HASHES_MAX: usize = limits::PROOF_HASHES_MAX + 1;

/// A checkpoint, with the proof that what it covers begins with the first `from` entries of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// The checkpoint, as a signed note.
    pub checkpoint: String,
    /// How many entries the log had before.
    pub from: u64,
    /// The hashes of the consistency proof.
    pub proof: Vec<Digest>,
    /// The version of the format.
    pub v: u64,
}

impl Extension {
    /// What shows that the log under a signed note goes on from its first `from` entries.
    pub fn new(from: u64, proof: &Consistency, checkpoint: String) -> Self {
        Self { checkpoint, from, proof: proof.hashes().to_vec(), v: FORMAT_VERSION }
    }

    /// Reads an extension, strictly; it is not verified by that.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > limits::EXTENSION_BYTES_MAX {
            return Err(ReceiptError::TooLarge);
        }
        let extension: Self = serde_json::from_value(receipt::object(bytes)?)?;
        if extension.v != FORMAT_VERSION {
            return Err(ReceiptError::UnknownVersion(extension.v));
        }
        if extension.proof.len() > HASHES_MAX {
            return Err(ReceiptError::TooLarge);
        }
        Ok(extension)
    }

    /// Verifies that the log goes on from `old`, a signed note. Both must be signed by one of `keys`.
    pub fn verify(&self, old: &str, keys: &[Verifier]) -> Report {
        let mut findings = Findings::default();
        let old = open("the old checkpoint", old, keys, &mut findings);
        let new = open("the checkpoint", &self.checkpoint, keys, &mut findings);
        if let (Some(old), Some(new)) = (&old, &new) {
            self.compare(old, new, &mut findings);
        }
        let (findings, omitted) = findings.into_parts();
        let (entries, root) = new.map_or((0, None), |new| (new.size, Some(new.root)));
        let mut report = Report { entries, head: Digest::ZERO, root, vouched: 0, findings, omitted };
        if report.is_intact() {
            report.vouched = entries;
        }
        report
    }

    fn compare(&self, old: &Checkpoint, new: &Checkpoint, findings: &mut Findings) {
        if old.origin != new.origin {
            let text = format!("the checkpoints are of `{}` and of `{}`", old.origin, new.origin);
            findings.failure(Kind::WrongOrigin, None, text);
        } else if old.size > new.size {
            let text = format!("the log is signed with {} entries, and was signed with {}", new.size, old.size);
            findings.failure(Kind::RolledBack, new.size, text);
        } else if old.size == new.size && old.root != new.root {
            let text = format!("two histories of {} entries are signed: `{}` and `{}`", old.size, old.root, new.root);
            findings.failure(Kind::Forked, None, text);
        } else if self.from != old.size {
            let text = format!("the proof is from {} entries, the old checkpoint covers {}", self.from, old.size);
            findings.failure(Kind::WrongProof, None, text);
        } else {
            let proof = Consistency::from_hashes(self.proof.clone());
            if let Err(error) = proof.verify((old.size, &old.root), (new.size, &new.root)) {
                let text = format!("it is not shown that the log goes on from the old checkpoint: {error}");
                findings.failure(Kind::WrongProof, None, text);
            }
        }
    }
}

fn open(which: &str, note: &str, keys: &[Verifier], findings: &mut Findings) -> Option<Checkpoint> {
    match Checkpoint::open(note, keys) {
        Ok(checkpoint) => Some(checkpoint),
        Err(error) => {
            findings.failure(Kind::from(&error), None, format!("{which}: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use ringfence_model::json;

    use super::*;
    use crate::proof;
    use crate::signer::Signer as _;
    use crate::signer::SoftwareSigner;
    use crate::tree::naive;
    use crate::tree::naive::Leaves;

    fn signer() -> SoftwareSigner {
        SoftwareSigner::from_seed("example.org/log", &[1; 32]).expect("a signer")
    }

    fn note(origin: &str, leaves: &[Digest]) -> String {
        let size = leaves.len() as u64;
        Checkpoint { origin: origin.to_owned(), size, root: naive::root(leaves) }.sign(&signer()).expect("a note")
    }

    fn extension(leaves: &[Digest], from: u64) -> Extension {
        let nodes = Leaves(leaves.to_vec());
        let proof = proof::consistency(&nodes, from, leaves.len() as u64).expect("a proof");
        Extension::new(from, &proof, note("log", leaves))
    }

    fn kinds(extension: &Extension, old: &str) -> Vec<Kind> {
        extension.verify(old, &[signer().verifier().clone()]).failures().map(|finding| finding.kind).collect()
    }

    #[test]
    fn log_goes_on_from_each_size() {
        let leaves = naive::leaves(12);
        for from in 0..=12 {
            let extension = extension(&leaves, from);
            let old = note("log", &leaves[..usize::try_from(from).expect("small")]);
            let report = extension.verify(&old, &[signer().verifier().clone()]);
            assert!(report.is_intact() && report.vouched == 12, "{report:?}");
            let bytes = json::canonical(&serde_json::to_value(&extension).expect("JSON"));
            assert_eq!(Extension::parse(&bytes).expect("an extension"), extension);
            // A list of its fields in their order is none.
            let Extension { checkpoint, from, proof, v } = &extension;
            let list = serde_json::json!([checkpoint, from, proof, v]).to_string();
            assert!(Extension::parse(list.as_bytes()).is_err(), "{list}");
        }
    }

    #[test]
    fn other_histories_are_told_apart() {
        // AUD-09, AUD-24
        let (leaves, mut other) = (naive::leaves(12), naive::leaves(12));
        other[3] = Digest::ZERO;
        let whole = extension(&leaves, 5);
        assert_eq!(kinds(&whole, &note("log", &leaves[..5])), []);
        assert_eq!(kinds(&whole, &note("log", &other[..5])), [Kind::WrongProof]);
        assert_eq!(kinds(&whole, &note("log", &other)), [Kind::Forked]);
        assert_eq!(kinds(&whole, &note("log", &naive::leaves(13))), [Kind::RolledBack]);
        assert_eq!(kinds(&whole, &note("log", &leaves[..4])), [Kind::WrongProof]);
        assert_eq!(kinds(&whole, &note("other", &leaves[..5])), [Kind::WrongOrigin]);
        assert_eq!(kinds(&whole, "no note"), [Kind::MalformedCheckpoint]);
        let stranger = SoftwareSigner::from_seed("example.org/log", &[2; 32]).expect("a signer");
        let report = whole.verify(&note("log", &leaves[..5]), &[stranger.verifier().clone()]);
        assert_eq!(report.failures().filter(|finding| finding.kind == Kind::UnknownKey).count(), 2);
        for edited in [
            Extension { from: 6, ..whole.clone() },
            Extension { proof: Vec::new(), ..whole.clone() },
            Extension { proof: [&whole.proof[..], &[Digest::ZERO]].concat(), ..whole.clone() },
        ] {
            assert_eq!(kinds(&edited, &note("log", &leaves[..5])), [Kind::WrongProof]);
        }
    }

    #[test]
    fn malformed_extensions_are_refused() {
        let whole = serde_json::to_value(extension(&naive::leaves(3), 1)).expect("JSON");
        for (name, value) in [
            ("v", serde_json::json!(2)),
            ("more", serde_json::json!(1)),
            ("from", serde_json::json!(-1)),
            ("proof", serde_json::json!(vec![Digest::ZERO; 66])),
        ] {
            let mut edited = whole.clone();
            edited[name] = value;
            assert!(Extension::parse(&json::canonical(&edited)).is_err(), "{name}");
        }
        assert!(Extension::parse(&vec![b' '; 2 << 20]).is_err());
    }
}
