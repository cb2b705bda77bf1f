//! `ringfence log prove --from` and `ringfence log verify --proof`: that the log goes on from what it was.

use std::path::Path;
use std::path::PathBuf;

use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::extension::Extension;
use ringfence_audit::note::Verifier;
use ringfence_audit::tree::Tree;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::sequencer;

use crate::commands;
use crate::commands::log::print_report;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

/// Prints the proof from a size, or from an old checkpoint, to a checkpoint that is stored.
pub(super) fn prove(home: &Home, from: &Path, to: Option<u64>, output: Output) -> Result<Exit, CommandError> {
    let ledger = commands::log_to_prove(home, output)?;
    let size = match from.to_str().and_then(|text| text.parse().ok()) {
        Some(size) => size,
        None => earlier(&ledger, from)?,
    };
    let extension = sequencer::prove_extension(&ledger, size, to)?.ok_or_else(|| {
        let wanted = to.map_or_else(|| format!("at least {size}"), |to| format!("exactly {to}, and {size} of them"));
        CommandError::command_line(format!("there is no checkpoint over {wanted} entries"))
            .hint("`ringfence log checkpoint` signs one over everything recorded; leave `--to` out for the last one")
    })?;
    output.json(&extension);
    Ok(Exit::Done)
}

/// The size of an old checkpoint of this log.
fn earlier(ledger: &Ledger, path: &Path) -> Result<u64, CommandError> {
    let note = commands::read(path)?;
    let old = sequencer::open_checkpoint(ledger, &String::from_utf8_lossy(&note)).map_err(|error| {
        CommandError::other_history(format!("`{}` is no checkpoint of this log: {error}", path.display()))
    })?;
    let Checkpoint { size, root, .. } = old;
    if size > ledger.len() {
        let why =
            format!("the log was rolled back: it holds {} entries, the old checkpoint covers {size}", ledger.len());
        return Err(CommandError::other_history(why));
    }
    if Tree::from_nodes(&sequencer::nodes(ledger), size)?.root() != root {
        let why = format!("the log is another history: its first {size} entries are not those of the old checkpoint");
        return Err(CommandError::other_history(why));
    }
    Ok(size)
}

/// Checks a proof against old checkpoints, without a log.
pub(super) fn verify(
    proof: &Path,
    against: &[PathBuf],
    keys: &[Verifier],
    output: Output,
) -> Result<Exit, CommandError> {
    let extension = Extension::parse(&commands::read(proof)?).map_err(|error| {
        CommandError::evidence(format!("`{}` is no proof that a log goes on: {error}", proof.display()))
            .hint("`ringfence log prove --from SIZE|FILE` makes one, in the home that holds the log")
    })?;
    let mut exit = Exit::Done;
    for old in against {
        let report = extension.verify(&String::from_utf8_lossy(&commands::read(old)?), keys);
        if print_report(&report, output) != Exit::Done {
            exit = Exit::Evidence;
        }
    }
    Ok(exit)
}
