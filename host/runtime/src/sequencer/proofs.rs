//! What is handed out to show that entries are in the log, and that it goes on: receipts, proofs, extensions.
//!
//! Each proof is checked before anybody gets it.

use ringfence_audit::bundle::Proven;
use ringfence_audit::extension::Extension;
use ringfence_audit::note::Verifier;
use ringfence_audit::proof;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::tree::Tree;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Commitment;
use ringfence_model::encoding;
use ringfence_model::entry::Body;

use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::backend::ContentKey;
use crate::sequencer::Published;
use crate::sequencer::SequencerError;
use crate::sequencer::checkpoints::covering;
use crate::sequencer::checkpoints::latest;
use crate::sequencer::keys::keys;
use crate::sequencer::tree::nodes;
use crate::sequencer::tree::prove_entry;
use crate::sequencer::tree::unproven;

/// The receipt of the entry at `index` under the last checkpoint that is stored: for readers, who hold no key.
pub fn prove(ledger: &Ledger, index: u64) -> Result<Receipt, SequencerError> {
    receipt(ledger, index, latest(ledger, &keys(ledger)?)?.as_ref())
}

/// Entries, and what shows that they are in the log.
#[derive(Clone, Debug)]
pub struct ProvenEntries {
    /// The last checkpoint that is stored, as a signed note.
    pub checkpoint: String,
    /// The key that has signed it.
    pub key: Verifier,
    /// The entries with their proofs under it.
    pub entries: Vec<Proven>,
}

/// Entries with their proofs under the last checkpoint that is stored; none if it does not cover them all.
pub fn prove_all(ledger: &Ledger, indexes: &[u64]) -> Result<Option<ProvenEntries>, SequencerError> {
    let keys = keys(ledger)?;
    let Some(Published { checkpoint, note }) = latest(ledger, &keys)? else { return Ok(None) };
    if indexes.iter().any(|index| *index >= checkpoint.size) {
        return Ok(None);
    }
    let proven = indexes.iter().map(|index| {
        let proof = prove_entry(ledger, *index, &checkpoint)?;
        let stored = ledger.entry(*index)?.ok_or(SequencerError::NoEntry { index: *index, entries: ledger.len() })?;
        let entry = encoding::decode(&stored.bytes)
            .map_err(|error| LedgerError::Corrupt { index: *index, why: error.to_string() })?;
        Ok(Proven { entry, proof })
    });
    let entries = proven.collect::<Result<_, SequencerError>>()?;
    Ok(Some(ProvenEntries { checkpoint: note, key: keys.at(checkpoint.size).clone(), entries }))
}

/// The proof that the log, as of a stored checkpoint, goes on from its first `from` entries. The checkpoint is the one
/// over `to` entries, else the last. None if there is no such checkpoint, or it covers less than `from`.
pub fn prove_extension(ledger: &Ledger, from: u64, to: Option<u64>) -> Result<Option<Extension>, SequencerError> {
    let keys = keys(ledger)?;
    let published = match to {
        None => latest(ledger, &keys)?,
        Some(size) => covering(ledger, &keys, size)?.filter(|published| published.checkpoint.size == size),
    };
    let Some(Published { checkpoint, note }) = published.filter(|published| from <= published.checkpoint.size) else {
        return Ok(None);
    };
    let nodes = nodes(ledger);
    let proof = proof::consistency(&nodes, from, checkpoint.size).map_err(unproven)?;
    let old = Tree::from_nodes(&nodes, from)?.root();
    let proven = proof.verify((from, &old), (checkpoint.size, &checkpoint.root));
    proven.map_err(|error| SequencerError::Tree(format!("its nodes do not lead to its checkpoint: {error}")))?;
    Ok(Some(Extension::new(from, &proof, note)))
}

pub(super) fn receipt(ledger: &Ledger, index: u64, published: Option<&Published>) -> Result<Receipt, SequencerError> {
    let missing = || SequencerError::NoEntry { index, entries: ledger.len() };
    let stored = ledger.entry(index)?.ok_or_else(missing)?;
    let corrupt = |why: String| LedgerError::Corrupt { index, why };
    let mut receipt = Receipt::pending(&stored.bytes).map_err(|error| corrupt(error.to_string()))?;
    let (entry, _) = receipt.entry().map_err(|error| corrupt(error.to_string()))?;
    for (name, commitment) in openable(&entry.body) {
        if let Some(content) = ledger.content(&ContentKey { entry: index, name, commitment })? {
            receipt = receipt.with_opening(name.as_str(), &content.nonce);
        }
    }
    let Some(Published { checkpoint, note }) = published.filter(|published| index < published.checkpoint.size) else {
        return Ok(receipt);
    };
    let proof = prove_entry(ledger, index, checkpoint)?;
    Ok(receipt.with_proof(&proof, checkpoint.size, note.clone()))
}

/// What the caller brought or was given, and can show to others.
fn openable(body: &Body) -> Vec<(ContentName, Commitment)> {
    match body {
        Body::Begun(begun) => vec![(ContentName::Input, begun.input)],
        Body::Finished(finished) => vec![(ContentName::Output, finished.output)],
        Body::Answered(answered) => vec![(ContentName::Input, answered.input)],
        Body::Held(held) => held.input.map(|input| (ContentName::Input, input)).into_iter().collect(),
        Body::Refused(refused) => vec![(ContentName::Input, refused.input)],
        Body::Approved(_)
        | Body::Decided(_)
        | Body::Elevated(_)
        | Body::Halted(_)
        | Body::Opened(_)
        | Body::Rejected(_)
        | Body::Removed(_)
        | Body::Resumed(_)
        | Body::Rotated(_)
        | Body::SessionClosed(_)
        | Body::SessionOpened(_)
        | Body::Settled(_) => Vec::new(),
    }
}
