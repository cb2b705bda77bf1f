//! `ringfence halt` and `ringfence resume`: the switch that stops everything.
//!
//! A halt takes effect before it is recorded, and where it can't be recorded too: the log or the configuration may be
//! what is wrong. Letting calls run again is recorded before it takes effect.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ringfence_model::outcome::one_line;
use serde_json::json;

use crate::args::HaltArgs;
use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home;
use crate::home::Home;
use crate::output::Output;

pub fn halt(folder: &Path, args: &HaltArgs, output: Output) -> Result<Exit, CommandError> {
    let by = commands::operator()?;
    let file = home::halt_path(folder);
    if !folder.join("keys").is_dir() {
        Home::open(folder)?;
    }
    raise(&file).map_err(|error| CommandError::file(&file, &error))?;
    output.note("halted: nothing starts, and what runs is being stopped");
    let home = Home::open(folder)?;
    if home.memory_log().is_some() {
        told("halted", None, output);
        return Ok(Exit::Done);
    }
    let (ledger, sequencer) = commands::open_log(&home, output)?;
    let index = ledger.halted(&by, &one_line(&args.reason))?;
    sequencer.publish(&ledger)?;
    told("halted", Some(index), output);
    output.note("hint: `ringfence resume --reason …` lets calls run again");
    Ok(Exit::Done)
}

pub fn resume(home: &Home, args: &HaltArgs, output: Output) -> Result<Exit, CommandError> {
    if !home.halt().is_on() {
        return Err(CommandError::environment("the host is not halted").hint("`ringfence halt --reason …` halts it"));
    }
    let (by, file) = (commands::operator()?, home::halt_path(home.folder()));
    let lower = || lower(&file).map_err(|error| CommandError::file(&file, &error));
    if home.memory_log().is_some() {
        lower()?;
        told("resumed", None, output);
        return Ok(Exit::Done);
    }
    let (ledger, sequencer) = commands::open_log(home, output)?;
    let index = ledger.resumed(&by, &one_line(&args.reason))?;
    sequencer.publish(&ledger)?;
    lower()?;
    told("resumed", Some(index), output);
    Ok(Exit::Done)
}

/// Durable, so that a machine that is switched off meanwhile comes up halted. One that is there stays.
fn raise(file: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder_of(file),
    }
}

fn lower(file: &Path) -> io::Result<()> {
    fs::remove_file(file)?;
    sync_folder_of(file)
}

fn sync_folder_of(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Without an entry where that would be gone with the process that writes it.
fn told(what: &str, index: Option<u64>, output: Output) {
    if index.is_none() {
        output.note("note: the log is in memory, so this is on record nowhere");
    }
    if output.is_json() {
        output.json(&json!({ "entry": index, "halted": what == "halted" }));
    } else {
        output.line(&index.map_or_else(|| what.to_owned(), |index| format!("{what}  entry {index}")));
    }
}
