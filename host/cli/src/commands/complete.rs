//! `ringfence receipt complete`: the proof for a receipt that was handed out before there was one.
//!
//! A pending receipt binds nobody, but it does say which entry was recorded. A log that has another one there, or none, is
//! not the log that handed it out.

use std::path::Path;

use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::note::Verifier;
use ringfence_audit::proof;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::tiles::TileNodes;
use ringfence_model::json;
use ringfence_runtime::sequencer;

use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::published::Published;

/// Prints the receipt with a proof: from the home's log.
pub(super) fn from_log(home: &Home, receipt: Receipt, output: Output) -> Result<Exit, CommandError> {
    let ledger = commands::log_to_prove(home, output)?;
    let index = receipt.index;
    let stored = ledger.entry(index)?.map(|stored| stored.bytes);
    if stored.as_deref() != Some(json::canonical(&receipt.entry).as_slice()) {
        let holds = if stored.is_some() { "another entry" } else { "no entry" };
        return Err(CommandError::other_history(format!(
            "the log holds {holds} where the receipt has entry `{index}`"
        )));
    }
    let mut whole = sequencer::prove(&ledger, index)?;
    if whole.proof.is_none() {
        drop(ledger);
        let (ledger, sequencer) = commands::open_log(home, output)?;
        sequencer.publish(&ledger)?;
        whole = sequencer.receipt(&ledger, index)?;
    }
    output.json(&Receipt { checkpoint: whole.checkpoint, proof: whole.proof, size: whole.size, ..receipt });
    Ok(Exit::Done)
}

/// Prints the receipt with a proof: from a published log, whose checkpoint one of the keys must have signed.
pub(super) fn from_published(
    folder: &Path,
    receipt: Receipt,
    keys: &[Verifier],
    output: Output,
) -> Result<Exit, CommandError> {
    let published = Published::new(folder);
    let note = published.checkpoint()?.ok_or_else(|| CommandError::no_checkpoint(folder))?;
    let checkpoint = Checkpoint::open(&note, keys).map_err(|error| published.foreign(error.to_string()))?;
    if receipt.index >= checkpoint.size {
        return Err(CommandError::not_published(receipt.index, checkpoint.size));
    }
    let nodes = TileNodes::new(&published, checkpoint.size);
    let proof = proof::inclusion(&nodes, receipt.index, checkpoint.size).map_err(|error| published.damaged(error))?;
    let whole = receipt.with_proof(&proof, checkpoint.size, note);
    let report = whole.verify(keys);
    if let Some(failure) = report.failures().next() {
        let why = format!("what is published does not have the receipt's entry: {}", failure.text);
        return Err(CommandError::other_history(why));
    }
    output.json(&whole);
    Ok(Exit::Done)
}
