//! A published log, checked by whoever has its tiles: the entries, and that the tiles which proofs are made from are theirs.
//!
//! Entries are read a bundle at a time, so that the log's length does not matter. Where tiles come from, and how large one
//! may be, is for whoever brings them; a tile that can't be had is a finding, like one that is of other entries.

use std::fmt::Display;

use crate::checkpoint::Checkpoint;
use crate::finding::Finding;
use crate::finding::Kind;
use crate::finding::Report;
use crate::finding::Severity;
use crate::hash;
use crate::note::Note;
use crate::tiles;
use crate::tiles::Content;
use crate::tiles::Tile;
use crate::tiles::Tiles;
use crate::verify::LogCheck;

/// Checks the log under a checkpoint, as it is published: every entry, and every tile. `check` brings the keys, and whatever
/// else the log has to agree with.
pub fn check<T: Tiles>(tiles: &T, note: &str, mut check: LogCheck) -> Report
where
    T::Error: Display,
{
    check.checkpoint(note);
    // The size is a claim until the report says otherwise; a false one ends at the first bundle that is not there.
    let size = claimed_size(note);
    let read = read_entries(tiles, size, &mut check);
    let whole = read.and_then(|()| tiles::check(tiles, size).map_err(|error| (0, error.to_string())));
    let mut report = check.finish();
    if let Err((index, text)) = whole {
        report.push(Finding { severity: Severity::Failure, kind: Kind::WrongTile, index: Some(index), text });
    }
    report
}

fn claimed_size(note: &str) -> u64 {
    let checkpoint = Note::parse(note).ok().and_then(|note| note.untrusted_text().parse::<Checkpoint>().ok());
    checkpoint.map_or(0, |checkpoint| checkpoint.size)
}

/// Reads every entry, as far as there are tiles; an error is of the first that does not fit, at an index.
fn read_entries<T: Tiles>(tiles: &T, size: u64, check: &mut LogCheck) -> Result<(), (u64, String)>
where
    T::Error: Display,
{
    let mut result = Ok(());
    for bundle in tiles::between(0, size).take_while(|tile| tile.content() == Content::Entries) {
        let wrong = |why: String| (bundle.start(), why);
        let entries = tiles::entries(tiles, &bundle).map_err(|error| wrong(error.to_string()))?;
        for entry in &entries {
            check.entry(entry);
        }
        if result.is_ok() {
            result = check_leaves(tiles, &bundle, &entries).map_err(wrong);
        }
    }
    result
}

/// Whether the hashes beside a bundle are those of its entries.
fn check_leaves<T: Tiles>(tiles: &T, bundle: &Tile, entries: &[Vec<u8>]) -> Result<(), String>
where
    T::Error: Display,
{
    let leaves = tiles::hashes(tiles, &bundle.leaves()).map_err(|error| error.to_string())?;
    if entries.iter().map(|entry| hash::leaf(entry)).eq(leaves) {
        Ok(())
    } else {
        Err(format!("the hashes beside `{bundle}` are not those of its entries"))
    }
}
