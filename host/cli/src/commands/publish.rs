//! `ringfence log publish`: the log as files for any web server (C2SP tlog-tiles), and their verification.
//!
//! What has been published is a second place that says how long the log was: a log that does not continue it is not
//! published over it.

use std::path::Path;
use std::path::PathBuf;

use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::published;
use ringfence_audit::tiles;
use ringfence_audit::tiles::Tile;
use ringfence_audit::tiles::TileNodes;
use ringfence_audit::tree::Tree;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Report;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::sequencer;
use ringfence_runtime::sequencer::SequencerError;
use serde_json::json;

use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::published::Published;

/// Signs a checkpoint over everything recorded, and publishes what has come since the last time.
pub(super) fn run(home: &Home, folder: &Path, output: Output) -> Result<Exit, CommandError> {
    let (ledger, sequencer) = commands::open_log(home, output)?;
    let note = sequencer.publish(&ledger)?;
    let checkpoint = sequencer::open_checkpoint(&ledger, &note).map_err(SequencerError::Tree)?;
    let published = Published::new(folder);
    let old = continued(&published, &ledger, &checkpoint)?;
    let added = add_tiles(&published, &ledger, old, &checkpoint)?;
    published.set_checkpoint(&note)?;
    for tile in tiles::between(old, checkpoint.size).filter(Tile::is_full) {
        published.drop_partial(&tile)?;
    }
    if output.is_json() {
        output.json(&json!({ "entries": checkpoint.size, "before": old, "tiles": added }));
    } else {
        output.line(&format!("published: {} entries, {} of them new", checkpoint.size, checkpoint.size - old));
    }
    Ok(Exit::Done)
}

/// How many entries are published already, by a checkpoint that this log continues. 0 if there is no checkpoint: then
/// every tile is looked at, and those that are there must be this log's.
fn continued(published: &Published<'_>, ledger: &Ledger, new: &Checkpoint) -> Result<u64, CommandError> {
    let Some(note) = published.checkpoint()? else { return Ok(0) };
    let old = sequencer::open_checkpoint(ledger, &note).map_err(|why| published.foreign(why))?;
    if old.size > new.size {
        let why = format!("it covers {} entries, and the log holds {}", old.size, new.size);
        return Err(published.foreign(why).into());
    }
    if Tree::from_nodes(&sequencer::nodes(ledger), old.size)?.root() != old.root {
        let why = format!("its first {} entries are not those of the log", old.size);
        return Err(published.foreign(why).into());
    }
    Ok(old.size)
}

/// Adds the tiles that a log of `old` entries did not have: how many were not there.
fn add_tiles(published: &Published<'_>, ledger: &Ledger, old: u64, new: &Checkpoint) -> Result<u64, CommandError> {
    let mut added = 0;
    for tile in tiles::between(old, new.size) {
        added += u64::from(published.add(&tile, &sequencer::tile(ledger, &tile)?)?);
    }
    // What was there before may have been changed since; partial tiles have nothing above them but the root.
    let tree = Tree::from_nodes(&TileNodes::new(published, new.size), new.size);
    if tree.map_err(|error| published.damaged(error))?.root() != new.root {
        return Err(published.damaged("its tiles do not lead to the log's checkpoint").into());
    }
    Ok(added)
}

/// Verifies a published log: the entries, and that the tiles which proofs are made from are theirs.
pub(super) fn verify(folder: &Path, checkpoints: &[PathBuf], mut check: LogCheck) -> Result<Report, CommandError> {
    let published = Published::new(folder);
    let note = published.checkpoint()?.ok_or_else(|| CommandError::no_checkpoint(folder))?;
    for path in checkpoints {
        check.checkpoint(&String::from_utf8_lossy(&commands::read(path)?));
    }
    Ok(published::check(&published, &note, check))
}
