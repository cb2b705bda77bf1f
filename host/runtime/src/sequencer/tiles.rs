//! Tiles of the log: what is published of it, from what is stored of it.
//!
//! One place makes these bytes, whoever hands them out: a folder of files and a server have the same.

use ringfence_audit::hash;
use ringfence_audit::tiles;
use ringfence_audit::tiles::Content;
use ringfence_audit::tiles::Tile;
use ringfence_audit::tree::Nodes;

use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::sequencer::SequencerError;
use crate::sequencer::nodes;

/// The bytes of a tile of the log. It has to be within a checkpoint: what is handed out can't be taken back.
pub fn tile(ledger: &Ledger, tile: &Tile) -> Result<Vec<u8>, SequencerError> {
    match tile.content() {
        Content::Entries => entries(ledger, tile),
        Content::Hashes(level) => hashes(&nodes(ledger), tile, level),
    }
}

/// A bundle of entries, each of which has the hash that is in the tree.
fn entries(ledger: &Ledger, tile: &Tile) -> Result<Vec<u8>, SequencerError> {
    let wanted = usize::try_from(tile.width()).unwrap_or(usize::MAX);
    let entries = ledger.entries(tile.start(), wanted)?;
    let corrupt = |index, why: &str| Err(LedgerError::Corrupt { index, why: why.to_owned() }.into());
    for (index, entry) in (tile.start()..).zip(&entries) {
        if entry.index != index || hash::leaf(&entry.bytes) != entry.hash {
            return corrupt(index, "its bytes do not have its hash");
        }
    }
    if entries.len() < wanted {
        let found = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        return corrupt(tile.start().saturating_add(found), "it is missing");
    }
    Ok(tiles::bundle(entries.iter().map(|entry| entry.bytes.as_slice())))
}

/// A tile of hashes, which together have the hash above them.
fn hashes(nodes: &impl Nodes<Error = SequencerError>, tile: &Tile, level: u32) -> Result<Vec<u8>, SequencerError> {
    let hashes = tile.collect(level, nodes)?;
    let (above, index) = tile.above(level);
    if tile.is_full() && tiles::root(&hashes) != nodes.node(above, index)? {
        return Err(SequencerError::Tree(format!("node `{index}` of level `{above}` is not that of its leaves")));
    }
    Ok(tiles::bytes(&hashes))
}
