//! Receipts: one entry, with what shows that it is in the log.
//!
//! A receipt is what a caller keeps. It is JSON; its entry is spelled as JSON too, and the canonical form of that is what
//! was hashed. Proof and checkpoint come once the entry is under a signed root; before that a receipt is *pending*,
//! binds nobody and does not verify. Openings let whoever holds a content show that the entry commits to it.

use std::collections::BTreeMap;

use ringfence_model::content;
use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::encoding;
use ringfence_model::encoding::DecodeError;
use ringfence_model::entry::Entry;
use ringfence_model::json;
use ringfence_model::json::JsonError;
use ringfence_model::limits;
use serde::Deserialize;
use serde::Serialize;
use serde::de::Error as _;
use serde_json::Value;
use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::finding::Findings;
use crate::finding::Kind;
use crate::finding::Report;
use crate::hash;
use crate::note::Verifier;
use crate::proof::Inclusion;

/// The version of the format that is written.
pub const FORMAT_VERSION: u64 = 1;

/// Why bytes are no receipt.
#[derive(Debug, Error)]
pub enum ReceiptError {
    /// Not JSON, or ambiguous.
    #[error("not a receipt: {0}")]
    Json(#[from] JsonError),
    /// JSON of something else.
    #[error("not a receipt: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Larger than a receipt may be, or with more hashes than a proof has.
    #[error("the receipt is larger than one may be")]
    TooLarge,
    /// Of a version this version does not know.
    #[error("version {0} of the format is not one that this version knows")]
    UnknownVersion(u64),
}

/// Why content is not shown to belong to an entry.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OpeningError {
    /// The entry holds no commitment of that name.
    #[error("the entry has no commitment to `{0}`")]
    NoCommitment(String),
    /// The receipt holds no nonce of that name.
    #[error("the receipt has no opening of `{0}`: 32 lower-case hexadecimal digits")]
    NoOpening(String),
    /// The entry commits to something else.
    #[error("the content is not the `{name}` of the entry: it commits to `{wanted}`, the content has `{found}`")]
    OtherContent {
        /// The name of the commitment.
        name: String,
        /// What the entry holds.
        wanted: Digest,
        /// What content and nonce give.
        found: Digest,
    },
    /// The entry itself can't be read.
    #[error("the receipt has no entry: {0}")]
    Entry(String),
}

/// One entry, with what shows that it is in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The checkpoint that the proof leads to, as a signed note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// The entry.
    pub entry: Value,
    /// Its position.
    pub index: u64,
    /// Nonces by the name of the commitment they open, in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub openings: BTreeMap<String, String>,
    /// The hashes beside the entry's path to the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Vec<Digest>>,
    /// The size of the tree the proof is about: that of the checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The version of the format.
    pub v: u64,
}

/// Parses one object: a list would be read as its fields in their order, which is no spelling that the format has.
pub(crate) fn object(bytes: &[u8]) -> Result<Value, ReceiptError> {
    let value = json::parse(bytes)?;
    if value.is_object() { Ok(value) } else { Err(serde_json::Error::custom("it is not an object").into()) }
}

impl Receipt {
    /// A receipt without proof, of the canonical bytes of an entry.
    pub fn pending(entry_bytes: &[u8]) -> Result<Self, DecodeError> {
        let index = encoding::decode(entry_bytes)?.index;
        let entry = serde_json::from_slice(entry_bytes)?;
        let openings = BTreeMap::new();
        Ok(Self { checkpoint: None, entry, index, openings, proof: None, size: None, v: FORMAT_VERSION })
    }

    /// The receipt with its proof, in the tree of `size` leaves that the signed note `checkpoint` is about.
    #[must_use]
    pub fn with_proof(self, proof: &Inclusion, size: u64, checkpoint: String) -> Self {
        Self { proof: Some(proof.hashes().to_vec()), size: Some(size), checkpoint: Some(checkpoint), ..self }
    }

    /// The receipt with the nonce that opens the commitment `name`.
    #[must_use]
    pub fn with_opening(mut self, name: &str, nonce: &Nonce) -> Self {
        self.openings.insert(name.to_owned(), hex::encode(nonce.as_bytes()));
        self
    }

    /// Reads a receipt, strictly; it is not verified by that.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if u64::try_from(bytes.len()).is_ok_and(|length| length > limits::RECEIPT_BYTES_MAX) {
            return Err(ReceiptError::TooLarge);
        }
        let receipt: Self = serde_json::from_value(object(bytes)?)?;
        if receipt.v != FORMAT_VERSION {
            return Err(ReceiptError::UnknownVersion(receipt.v));
        }
        if receipt.proof.as_ref().is_some_and(|proof| proof.len() > limits::PROOF_HASHES_MAX) {
            return Err(ReceiptError::TooLarge);
        }
        Ok(receipt)
    }

    /// Reads a receipt, or the JSON that `ringfence run` prints, which holds one beside the outcome that it is for.
    pub fn parse_printed(bytes: &[u8]) -> Result<(Self, Option<Value>), ReceiptError> {
        if let Ok(Value::Object(mut printed)) = json::parse(bytes)
            && let Some(receipt) = printed.remove("receipt")
        {
            return Ok((Self::parse(&json::canonical(&receipt))?, printed.remove("outcome")));
        }
        Ok((Self::parse(bytes)?, None))
    }

    /// The receipt as one line of canonical JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReceiptError> {
        Ok(json::canonical(&serde_json::to_value(self)?))
    }

    /// The entry, and the bytes of it that were hashed.
    pub fn entry(&self) -> Result<(Entry, Vec<u8>), DecodeError> {
        let bytes = json::canonical(&self.entry);
        Ok((encoding::decode(&bytes)?, bytes))
    }

    /// Verifies the receipt: that its entry is one, and that a checkpoint by one of `keys` vouches for it. A pending
    /// receipt shows nothing yet, so it fails as well.
    pub fn verify(&self, keys: &[Verifier]) -> Report {
        let mut findings = Findings::default();
        let leaf = self.check_entry(&mut findings);
        let checkpoint = self.check_checkpoint(keys, &mut findings);
        if let (Some(leaf), Some(checkpoint)) = (&leaf, &checkpoint) {
            self.check_proof(leaf, checkpoint, &mut findings);
        }
        let (findings, omitted) = findings.into_parts();
        let root = checkpoint.as_ref().map(|checkpoint| checkpoint.root);
        let mut report = Report { entries: 1, head: leaf.unwrap_or(Digest::ZERO), root, vouched: 0, findings, omitted };
        if report.is_intact() {
            report.vouched = checkpoint.map_or(0, |checkpoint| checkpoint.size);
        }
        report
    }

    /// Shows that `content` is what the entry commits to under `name`: `input`, `output`, `trace`, `grant` or `request`.
    pub fn check_opening(&self, name: &str, content: &[u8]) -> Result<(), OpeningError> {
        let (entry, _) = self.entry().map_err(|error| OpeningError::Entry(error.to_string()))?;
        let committed = name.parse().ok().and_then(|name| content::commitment(&entry.body, name));
        let committed = committed.ok_or_else(|| OpeningError::NoCommitment(name.to_owned()))?;
        let nonce = self.openings.get(name).and_then(|digits| parse_nonce(digits));
        let nonce = nonce.ok_or_else(|| OpeningError::NoOpening(name.to_owned()))?;
        let found = nonce.commit(content);
        if found != committed {
            let (wanted, found) = (*committed.digest(), *found.digest());
            return Err(OpeningError::OtherContent { name: name.to_owned(), wanted, found });
        }
        Ok(())
    }

    /// Shows that an outcome is the one that the entry commits to. Of a refusal the entry holds no output, but the reason.
    pub fn check_outcome(&self, outcome: &Value) -> Result<(), String> {
        if self.entry.pointer("/kind").is_some_and(|kind| kind == "refused") {
            let codes = [outcome.pointer("/error/code"), self.entry.pointer("/body/code")];
            let is_denial = outcome.pointer("/kind").is_some_and(|kind| kind == "denied");
            let [Some(said), Some(recorded)] = codes else { return Err("it is not a refusal".to_owned()) };
            return if is_denial && said == recorded {
                Ok(())
            } else {
                Err(format!("the call was refused: {recorded}"))
            };
        }
        self.check_opening("output", &json::canonical(outcome)).map_err(|error| error.to_string())
    }

    /// The entry's hash, if it is one.
    fn check_entry(&self, findings: &mut Findings) -> Option<Digest> {
        if self.v != FORMAT_VERSION {
            let text = format!("version {} of the format is not one that this version knows", self.v);
            findings.failure(Kind::Malformed, self.index, text);
        }
        let (entry, bytes) = match self.entry() {
            Ok(entry) => entry,
            Err(error) => {
                findings.failure(Kind::Malformed, self.index, format!("the receipt has no entry: {error}"));
                return None;
            }
        };
        if entry.index != self.index {
            let text =
                format!("the receipt is of entry `{}`, its entry says its index is `{}`", self.index, entry.index);
            findings.failure(Kind::WrongIndex, self.index, text);
        }
        Some(hash::leaf(&bytes))
    }

    fn check_checkpoint(&self, keys: &[Verifier], findings: &mut Findings) -> Option<Checkpoint> {
        let Some(note) = &self.checkpoint else {
            if self.proof.is_some() {
                findings.failure(Kind::WrongProof, self.index, "the receipt has a proof, but no checkpoint");
            } else {
                let text = "the receipt is pending: it has no proof and no checkpoint, so it shows nothing yet";
                findings.failure(Kind::Pending, self.index, text);
            }
            return None;
        };
        open_checkpoint(note, keys, findings)
    }

    fn check_proof(&self, leaf: &Digest, checkpoint: &Checkpoint, findings: &mut Findings) {
        let Checkpoint { size, root, .. } = checkpoint;
        if self.size.is_some_and(|said| said != *size) {
            let text =
                format!("the receipt says size {:?}, its checkpoint covers {size}", self.size.unwrap_or_default());
            findings.failure(Kind::WrongProof, self.index, text);
        }
        let Some(proof) = &self.proof else {
            findings.failure(Kind::WrongProof, self.index, "the receipt has a checkpoint, but no proof");
            return;
        };
        if let Err(error) = Inclusion::from_hashes(proof.clone()).verify(leaf, self.index, *size, root) {
            findings.failure(Kind::WrongProof, self.index, error.to_string());
        }
    }
}

/// A checkpoint that one of the keys has signed; anything else is a failure.
pub(crate) fn open_checkpoint(note: &str, keys: &[Verifier], findings: &mut Findings) -> Option<Checkpoint> {
    let error = match Checkpoint::open(note, keys) {
        Ok(checkpoint) => return Some(checkpoint),
        Err(error) => error,
    };
    findings.failure(Kind::from(&error), None, format!("the checkpoint: {error}"));
    None
}

/// A nonce in its one spelling: 32 lower-case hexadecimal digits.
pub(crate) fn parse_nonce(digits: &str) -> Option<Nonce> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    (hex::encode(bytes) == digits).then(|| Nonce::from_random(bytes))
}
