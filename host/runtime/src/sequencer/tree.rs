//! The tree over a log: grown from its entries, restored from what is stored of it, and read for proofs.
//!
//! Nodes are a copy of what the entries say. So none is believed: what is restored must lead to a signed root, and the
//! entries to it.

use std::collections::BTreeMap;

use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::hash;
use ringfence_audit::proof;
use ringfence_audit::proof::Inclusion;
use ringfence_audit::tree::Node;
use ringfence_audit::tree::Nodes;
use ringfence_audit::tree::Tree;
use ringfence_model::digest::Digest;

use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::backend::Batch;
use crate::sequencer::ENTRIES_PER_READ;
use crate::sequencer::SequencerError;

/// Nodes held back before they are stored; a crash costs no more than computing them again.
const NODES_HELD_MAX: usize = 4_096;

/// The hashes of complete subtrees, as they are stored: what proofs and tiles are made from.
pub fn nodes(ledger: &Ledger) -> impl Nodes<Error = SequencerError> + use<'_> {
    const NONE: &Fresh = &Fresh::new();
    TreeNodes { ledger, fresh: NONE }
}

/// The tree as of a checkpoint, from the nodes that are stored.
pub(super) fn restored(ledger: &Ledger, checkpoint: &Checkpoint) -> Result<Tree, SequencerError> {
    let tree = Tree::from_nodes(&nodes(ledger), checkpoint.size)?;
    if tree.root() != checkpoint.root {
        let size = checkpoint.size;
        return Err(SequencerError::Tree(format!(
            "the stored nodes do not lead to the checkpoint of `{size}` entries"
        )));
    }
    // AUD-10: nodes are a copy. A history that was made anew under them ends in another entry than the one they cover.
    if let Some(last) = checkpoint.size.checked_sub(1) {
        prove_entry(ledger, last, checkpoint)?;
    }
    Ok(tree)
}

/// Nodes by level and index.
pub(super) type Fresh = BTreeMap<(u32, u64), Digest>;

/// Adds the entries up to `size` to the tree. Returns what it has not stored yet of the nodes.
pub(super) fn integrate(ledger: &Ledger, tree: Tree, size: u64) -> Result<(Tree, Fresh), SequencerError> {
    let mut fresh = Fresh::new();
    let tree = grow(ledger, tree, size, |node| {
        if node.level > 0 {
            fresh.insert((node.level, node.index), node.hash);
        }
        if fresh.len() >= NODES_HELD_MAX {
            let nodes = listed(std::mem::take(&mut fresh));
            return ledger.commit_aside(Batch { nodes, ..Batch::default() });
        }
        Ok(())
    })?;
    Ok((tree, fresh))
}

/// Adds the entries up to `size` to the tree, and tells of each node that is complete by that.
pub(super) fn grow(
    ledger: &Ledger,
    mut tree: Tree,
    size: u64,
    mut completed: impl FnMut(Node) -> Result<(), LedgerError>,
) -> Result<Tree, SequencerError> {
    while tree.size() < size {
        let index = tree.size();
        let left = usize::try_from(size.saturating_sub(index)).unwrap_or(usize::MAX);
        let entries = ledger.entries(index, left.min(ENTRIES_PER_READ))?;
        if entries.is_empty() {
            return Err(LedgerError::Corrupt { index, why: "it is missing".to_owned() }.into());
        }
        for entry in entries {
            let leaf = hash::leaf(&entry.bytes);
            if leaf != entry.hash || entry.index != tree.size() {
                let why = "its bytes do not have its hash, or its place".to_owned();
                return Err(LedgerError::Corrupt { index: tree.size(), why }.into());
            }
            let mut nodes = Vec::new();
            tree.push_with(leaf, |node| nodes.push(node));
            nodes.into_iter().try_for_each(&mut completed)?;
        }
    }
    Ok(tree)
}

pub(super) fn listed(fresh: Fresh) -> Vec<Node> {
    fresh.into_iter().map(|((level, index), hash)| Node { level, index, hash }).collect()
}

/// Refuses a checkpoint that does not extend the one before.
pub(super) fn check_extends(nodes: &TreeNodes<'_>, old: &Checkpoint, new: &Checkpoint) -> Result<(), SequencerError> {
    let proof = proof::consistency(nodes, old.size, new.size).map_err(unproven)?;
    let extends = proof.verify((old.size, &old.root), (new.size, &new.root));
    extends.map_err(|error| SequencerError::Tree(format!("the log does not extend its last checkpoint: {error}")))
}

/// The hashes of complete subtrees: those that are stored, and those that are about to be.
pub(super) struct TreeNodes<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) fresh: &'a Fresh,
}

impl Nodes for TreeNodes<'_> {
    type Error = SequencerError;

    fn node(&self, level: u32, index: u64) -> Result<Digest, SequencerError> {
        if let Some(hash) = self.fresh.get(&(level, index)) {
            return Ok(*hash);
        }
        let found = match level {
            0 => self.ledger.entry(index)?.map(|entry| entry.hash),
            _ => self.ledger.read(|backend| backend.node(level, index))?,
        };
        found.ok_or_else(|| SequencerError::Tree(format!("node `{index}` of level `{level}` is missing")))
    }
}

pub(super) fn unproven(error: proof::ProveError<SequencerError>) -> SequencerError {
    match error {
        proof::ProveError::Nodes(error) => error,
        proof::ProveError::OutOfRange { wanted, size } => {
            SequencerError::Tree(format!("it holds `{size}` leaves, and `{wanted}` was asked for"))
        }
    }
}

/// The proof that the entry at `index`, as its bytes are now, is under a checkpoint.
pub(super) fn prove_entry(ledger: &Ledger, index: u64, checkpoint: &Checkpoint) -> Result<Inclusion, SequencerError> {
    let missing = || SequencerError::NoEntry { index, entries: ledger.len() };
    let stored = ledger.entry(index)?.ok_or_else(missing)?;
    let proof = proof::inclusion(&nodes(ledger), index, checkpoint.size).map_err(unproven)?;
    let proven = proof.verify(&hash::leaf(&stored.bytes), index, checkpoint.size, &checkpoint.root);
    proven.map_err(|error| SequencerError::Tree(format!("entry `{index}` is not under the checkpoint: {error}")))?;
    Ok(proof)
}
