//! `ringfence receipt`: check what a caller kept, offline, and complete what is pending.

use std::path::Path;

use ringfence_audit::note::Note;
use ringfence_audit::note::Verifier;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::verify::Kind;
use ringfence_runtime::sequencer;
use serde_json::Value;

use crate::args::ReceiptCommand;
use crate::commands;
use crate::commands::complete;
use crate::commands::log::keys;
use crate::commands::log::print_report;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home;
use crate::home::Home;
use crate::output::Output;

pub fn run(home: Option<&Path>, command: ReceiptCommand, output: Output) -> Result<Exit, CommandError> {
    match command {
        ReceiptCommand::Verify { file, key } => verify(home, &file, key.as_slice(), output),
        ReceiptCommand::Complete { file, published: Some(folder), key } => {
            let keys = keys(key.as_slice(), || Ok(vec![opened(home)?.verifier()?]))?;
            complete::from_published(&folder, read(&file)?.0, &keys, output)
        }
        ReceiptCommand::Complete { file, published: None, .. } => {
            let home = home.map_or_else(|| home::folder(None), |folder| Ok(folder.to_owned()))?;
            complete::from_log(&Home::open_with_kept_log(&home)?, read(&file)?.0, output)
        }
    }
}

/// The home, if there is one: its key is what a receipt is checked by.
fn opened(home: Option<&Path>) -> Result<Home, CommandError> {
    home.and_then(|folder| Home::open_with_kept_log(folder).ok()).ok_or_else(CommandError::no_key)
}

fn read(file: &Path) -> Result<(Receipt, Option<Value>), CommandError> {
    Receipt::parse_printed(&commands::read(file)?).map_err(|why| {
        CommandError::evidence(format!("`{}` is not a receipt: {why}", file.display()))
            .hint("`ringfence log prove INDEX` makes one again, from the log")
    })
}

fn verify(home: Option<&Path>, file: &Path, key: &[String], output: Output) -> Result<Exit, CommandError> {
    let (receipt, outcome) = read(file)?;
    let keys = keys(key, || Ok(vec![key_of(&opened(home)?, &receipt)?]))?;
    if let Some(outcome) = outcome {
        receipt.check_outcome(&outcome).map_err(|why| {
            CommandError::evidence(format!("the outcome beside the receipt is not on record: {why}"))
                .code("audit.outcome")
                .hint("the receipt alone may still verify: `ringfence log prove INDEX` makes it again, from the log")
        })?;
    }
    let report = receipt.verify(&keys);
    let exit = print_report(&report, output);
    if report.findings.iter().any(|finding| finding.kind == Kind::Pending) {
        output.note("hint: `ringfence receipt complete` adds the proof, from the log or from where it is published");
    }
    Ok(exit)
}

/// The home's key that a receipt must be signed by: the one in force, or the one that was when its checkpoint was signed.
fn key_of(home: &Home, receipt: &Receipt) -> Result<Verifier, CommandError> {
    let key = home.verifier()?;
    let note = receipt.checkpoint.as_deref().and_then(|note| Note::parse(note).ok());
    match (note, receipt.size) {
        (Some(note), Some(size)) if note.open(std::slice::from_ref(&key)).is_err() => {
            Ok(sequencer::keys(&home.ledger_read_only()?)?.at(size).clone())
        }
        _ => Ok(key),
    }
}
