//! `ringfence log redact`: take contents out of the log, for good, on the record.
//!
//! What is removed is a content with its nonce; entries stay, so every proof goes on to hold. Who asked for it and why
//! becomes an entry of its own, in the same commit.

use ringfence_audit::bundle::Subject;
use ringfence_model::content;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Commitment;
use ringfence_model::digest::Digest;
use ringfence_model::encoding;
use ringfence_model::entry::RemovedContent;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::ledger::Removal;
use serde_json::json;

use crate::args::RedactArgs;
use crate::args::Redacted;
use crate::commands;
use crate::commands::bundle::pick;
use crate::commands::log::for_each_entry;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

pub fn run(home: &Home, args: &RedactArgs, output: Output) -> Result<Exit, CommandError> {
    let (ledger, sequencer) = commands::open_log(home, output)?;
    let contents = wanted(&ledger, args)?;
    let removal =
        Removal { by: args.by.0.clone(), contents, principal: commands::operator()?, reason: args.reason.0.clone() };
    let removed = ledger.remove(removal)?;
    sequencer.publish(&ledger)?;
    report(&removed, output);
    Ok(Exit::Done)
}

/// Says what was removed, and by which entries.
pub fn report(removed: &[(u64, Vec<RemovedContent>)], output: Output) {
    let contents = || removed.iter().flat_map(|(_, contents)| contents);
    let entries: Vec<_> = removed.iter().map(|(entry, _)| *entry).collect();
    if output.is_json() {
        output.json(&json!({ "entries": entries, "removed": contents().collect::<Vec<_>>() }));
        return;
    }
    for RemovedContent { entry, name } in contents() {
        output.line(&format!("removed  `{name}` of entry {entry}"));
    }
    match &entries[..] {
        [] => output.line("nothing to remove: it is gone already"),
        entries => {
            let entries: Vec<_> = entries.iter().map(ToString::to_string).collect();
            output.line(&format!("recorded by entry {}", entries.join(", ")));
        }
    }
}

/// The contents that are meant, whether they are there or not.
fn wanted(ledger: &Ledger, args: &RedactArgs) -> Result<Vec<RemovedContent>, CommandError> {
    match args.target {
        Redacted::Call(_) if args.what.is_empty() => Err(CommandError::nothing_to_redact()),
        Redacted::Call(call) => of_entries(ledger, &pick(ledger, Subject::Call(call))?, &args.what),
        Redacted::Commitment(digest) => {
            let RemovedContent { entry, name } = of_commitment(ledger, &digest)?;
            of_entries(ledger, &[entry], &[name])
        }
    }
}

/// The contents of these names. A policy request repeats the input or the output of its entry, so it goes with that.
fn of_entries(ledger: &Ledger, entries: &[u64], names: &[ContentName]) -> Result<Vec<RemovedContent>, CommandError> {
    let mut contents = Vec::new();
    for index in entries {
        let Some(stored) = ledger.entry(*index)? else { continue };
        let Ok(entry) = encoding::decode(&stored.bytes) else { continue };
        let held = content::commitments(&entry.body);
        let repeats = |name: &ContentName| {
            let repeated = [ContentName::Input, ContentName::Output].into_iter().filter(|name| names.contains(name));
            *name == ContentName::Request
                && repeated.into_iter().any(|name| held.iter().any(|(other, _)| *other == name))
        };
        let ours = held.iter().filter(|(name, _)| names.contains(name) || repeats(name));
        contents.extend(ours.map(|(name, _)| RemovedContent { entry: *index, name: *name }));
    }
    Ok(contents)
}

fn of_commitment(ledger: &Ledger, digest: &Digest) -> Result<RemovedContent, CommandError> {
    let wanted = Commitment::from_digest(*digest);
    let mut found = None;
    for_each_entry(ledger, 0, |stored| {
        if let Ok(entry) = encoding::decode(&stored.bytes) {
            let name = content::commitments(&entry.body).into_iter().find(|(_, other)| *other == wanted);
            found = name.map(|(name, _)| RemovedContent { entry: entry.index, name });
        }
        Ok(found.is_none())
    })?;
    found.ok_or_else(|| CommandError::nothing_to_bundle(&format!("commitment `{digest}`")))
}
