//! `ringfence log`: read, verify and export the log.
//!
//! Verification is the audit crate's; this file brings it bytes and prints what it finds.

use std::fs;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use ringfence_audit::note::Verifier;
use ringfence_audit::verify;
use ringfence_audit::verify::Finding;
use ringfence_audit::verify::Kind;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;
use ringfence_audit::verify::Report;
use ringfence_audit::verify::Severity;
use ringfence_audit::witness::Witness;
use ringfence_model::encoding;
use ringfence_model::entry::Begun;
use ringfence_model::entry::Body;
use ringfence_model::entry::Refused;
use ringfence_model::entry::Removed;
use ringfence_model::outcome::one_line;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::ledger::LedgerError;
use ringfence_runtime::ledger::backend::Backend;
use ringfence_runtime::ledger::backend::StoredEntry;
use ringfence_runtime::sequencer;
use ringfence_runtime::sequencer::HeadPlace;
use serde::Serialize;
use serde_json::Value;

use crate::args::LogCommand;
use crate::commands;
use crate::commands::cosign;
use crate::commands::extension;
use crate::commands::prune;
use crate::commands::publish;
use crate::commands::redact;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home;
use crate::home::Home;
use crate::log::head;
use crate::output::Output;

/// Entries that are read from the store at a time.
const PAGE: usize = 1024;

pub fn run(home: Option<&Path>, command: LogCommand, output: Output) -> Result<Exit, CommandError> {
    let home = || Home::open_with_kept_log(&home.map_or_else(|| home::folder(None), |folder| Ok(folder.to_owned()))?);
    match command {
        LogCommand::Show { from, limit } => show(&home()?, from, limit, output),
        LogCommand::Verify { proof: Some(proof), against, key, .. } => {
            let keys = keys(&key, || Ok(vec![home()?.verifier()?]))?;
            extension::verify(&proof, &against, &keys, output)
        }
        LogCommand::Verify { file: None, checkpoint, against, witness, key, .. } => {
            let checkpoint = [checkpoint, against].concat();
            let home = home()?;
            let keys = keys(&key, || Ok(vec![home.verifier()?]))?;
            let report = verify_home(&home, &checkpoint, log_check(keys, witness), output)?;
            Ok(print_report(&report, output))
        }
        LogCommand::Verify { file: Some(file), mut checkpoint, against, witness, key, .. } => {
            let beside = checkpoint_beside(&file);
            if checkpoint.is_empty() && beside.exists() {
                checkpoint.push(beside);
            }
            checkpoint.extend(against);
            let keys = keys(&key, || Ok(Vec::new()))?;
            let report = if file.is_dir() {
                publish::verify(&file, &checkpoint, log_check(keys, witness))?
            } else {
                verify_file(&file, &checkpoint, log_check(keys, witness))?
            };
            Ok(print_report(&report, output))
        }
        LogCommand::Export { output: file } => export(&home()?, file.as_deref(), output),
        LogCommand::Checkpoint => {
            let (ledger, sequencer) = commands::open_log(&home()?, output)?;
            let note = sequencer.publish(&ledger)?;
            output.bytes(note.as_bytes());
            Ok(Exit::Done)
        }
        LogCommand::Cosign { add } => cosign::run(&home()?, &add, output),
        LogCommand::Publish { to } => publish::run(&home()?, &to, output),
        LogCommand::Prove { from: Some(from), to, .. } => extension::prove(&home()?, &from, to, output),
        LogCommand::Prove { index, .. } => prove(&home()?, index.unwrap_or_default(), output),
        LogCommand::Redact(redact) => redact::run(&home()?, &redact, output),
        LogCommand::Prune { dry_run } => prune::run(&home()?, dry_run, output),
    }
}

/// A check of a log by these keys, which these witnesses must have seen.
pub(super) fn log_check(keys: Vec<Verifier>, witnesses: Vec<Witness>) -> LogCheck {
    let mut check = LogCheck::new(Options { keys });
    for witness in witnesses {
        check.witness(witness);
    }
    check
}

/// The keys on the command line, else those that are at hand.
pub(super) fn keys(
    given: &[String],
    otherwise: impl FnOnce() -> Result<Vec<Verifier>, CommandError>,
) -> Result<Vec<Verifier>, CommandError> {
    if given.is_empty() {
        return otherwise();
    }
    let parse = |key: &String| {
        key.trim().parse::<Verifier>().map_err(|error| {
            CommandError::command_line(format!("`{key}` is not a verifier key: {error}"))
                .hint("`ringfence init` printed it, and the log's first entry holds it")
        })
    };
    given.iter().map(parse).collect()
}

fn show(home: &Home, from: Option<u64>, limit: Option<u64>, output: Output) -> Result<Exit, CommandError> {
    let ledger = home.ledger_read_only()?;
    let limit = limit.unwrap_or(20);
    let from = from.unwrap_or_else(|| ledger.len().saturating_sub(limit));
    let mut shown = Vec::new();
    for_each_entry(&ledger, from, |entry| {
        if (shown.len() as u64) < limit {
            shown.push(entry.clone());
        }
        Ok((shown.len() as u64) < limit)
    })?;
    if output.is_json() {
        let parsed = |entry: &StoredEntry| serde_json::from_slice::<Value>(&entry.bytes).unwrap_or(Value::Null);
        output.json(&shown.iter().map(parsed).collect::<Vec<_>>());
    } else {
        for entry in &shown {
            output.line(&summary(entry));
        }
    }
    Ok(Exit::Done)
}

/// One entry on one line.
fn summary(stored: &StoredEntry) -> String {
    let Ok(entry) = encoding::decode(&stored.bytes) else {
        return format!("{:>6}  not an entry: `ringfence log verify` says more", stored.index);
    };
    let detail = match &entry.body {
        Body::Begun(begun) => {
            let Begun { call, tool, function, ring, principal, .. } = begun.as_ref();
            format!("{call}  {} {}  ring {ring}  {principal}", tool.name, one_line(function))
        }
        Body::Finished(finished) => {
            format!("{}  {}  {} ms", finished.call, finished.code, finished.used.wall_ms)
        }
        Body::Opened(opened) => opened.origin.clone(),
        Body::Answered(answered) => {
            format!(
                "{}  {} {}  from entry {}",
                answered.call,
                answered.tool.name,
                one_line(&answered.function),
                answered.answer
            )
        }
        Body::Approved(answer) | Body::Rejected(answer) => format!("{}  by {}", answer.approval, answer.by),
        Body::Decided(decided) => {
            let tool = decided.tool.as_ref().map_or("-", |tool| &tool.name);
            let answer = if decided.decision.allowed { "allowed" } else { "denied" };
            format!("{}  {tool}  ring {}  {}  {answer}", decided.point, decided.ring, decided.principal)
        }
        Body::Elevated(elevated) => {
            format!("{}  ring {} to {}  until {}", elevated.session, elevated.from, elevated.to, elevated.until)
        }
        Body::Held(held) => {
            let tool = held.tool.as_ref().map_or("-", |tool| &tool.name);
            format!("{}  {}  {tool}  {}", held.approval, held.point, held.principal)
        }
        Body::SessionClosed(closed) => format!("{}  by {}", closed.session, closed.by),
        Body::SessionOpened(opened) => {
            format!("{}  {}  ring {}  {}", opened.session, one_line(&opened.name), opened.ring, opened.principal)
        }
        Body::Rotated(rotated) => rotated.new.clone(),
        Body::Halted(change) | Body::Resumed(change) => format!("by {}", change.by),
        Body::Settled(settled) => format!("{}  {}  by {}", settled.call, settled.how.as_str(), settled.by),
        Body::Refused(refused) => {
            let Refused { call, tool, function, ring, code, .. } = refused.as_ref();
            format!("{call}  {} {}  ring {ring}  {code}", tool.name, one_line(function))
        }
        Body::Removed(removed) => {
            let Removed { by, contents, reason, .. } = removed.as_ref();
            format!("contents: {}  for {}  {}", contents.len(), one_line(by), one_line(reason))
        }
    };
    format!("{:>6}  {}  {:<8}  {detail}", entry.index, entry.time, entry.body.kind())
}

/// Goes through the entries from an index on, until there are no more or the visitor has had enough.
pub(super) fn for_each_entry(
    ledger: &Ledger,
    from: u64,
    mut visit: impl FnMut(&StoredEntry) -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    let mut next = from;
    loop {
        let page = ledger.entries(next, PAGE)?;
        for entry in &page {
            next = entry.index.saturating_add(1);
            if !visit(entry)? {
                return Ok(());
            }
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

pub(super) fn verify_home(
    home: &Home,
    checkpoints: &[PathBuf],
    mut check: LogCheck,
    output: Output,
) -> Result<Report, CommandError> {
    // The head in its second place is what tells that the end of the log, or all of it, has been taken back.
    let head = head::read(home)?;
    let backend = home.backend_read_only()?;
    if let Some(head) = &head {
        check.checkpoint(&String::from_utf8_lossy(head));
    }
    for path in checkpoints {
        check.checkpoint(&String::from_utf8_lossy(&commands::read(path)?));
    }
    let mut report = verify_backend(&*backend, check, output)?;
    if head.is_none() {
        report.push(head_missing(home)?);
    }
    Ok(report)
}

/// Verifies what a store holds, also by the checkpoint that it has itself.
pub(super) fn verify_backend(
    backend: &dyn Backend,
    mut check: LogCheck,
    output: Output,
) -> Result<Report, CommandError> {
    if let Some(checkpoint) = backend.latest_checkpoint().map_err(LedgerError::from)? {
        check.checkpoint(&checkpoint.note);
    }
    let mut next = 0;
    loop {
        let page = backend.entries(next, PAGE).map_err(LedgerError::from)?;
        for StoredEntry { index, hash, bytes } in &page {
            check.entry_with_hash(bytes, hash);
            next = index.saturating_add(1);
        }
        if page.is_empty() {
            break;
        }
        if next % (PAGE as u64 * 256) == 0 {
            output.note(&format!("{next} entries checked"));
        }
    }
    Ok(check.finish())
}

/// A home has a head from `init` on, so one without has lost it, and with it what tells of a rollback.
pub(super) fn head_missing(home: &Home) -> Result<Finding, CommandError> {
    let text = match head::place(home)? {
        HeadPlace::Database(access) => {
            format!("the log's head is missing: `{}` has none to tell how long the log was", access.address)
        }
        HeadPlace::File(path) => {
            format!("the log's head is missing: `{}` is not there to tell how long the log was", path.display())
        }
    };
    Ok(Finding { severity: Severity::Failure, kind: Kind::Unanchored, index: None, text })
}

fn verify_file(path: &Path, checkpoints: &[PathBuf], mut check: LogCheck) -> Result<Report, CommandError> {
    for path in checkpoints {
        check.checkpoint(&String::from_utf8_lossy(&commands::read(path)?));
    }
    let file = fs::File::open(path).map_err(|error| CommandError::file(path, &error))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut line = Vec::new();
    loop {
        let read = verify::read_line(&mut reader, &mut line).map_err(|error| CommandError::file(path, &error))?;
        if !read {
            return Ok(check.finish());
        }
        check.entry(&line);
    }
}

fn checkpoint_beside(export: &Path) -> PathBuf {
    let mut name = export.as_os_str().to_owned();
    name.push(".checkpoint");
    PathBuf::from(name)
}

/// Prints a report, and says by the exit code whether the evidence is intact.
pub(super) fn print_report(report: &Report, output: Output) -> Exit {
    let intact = report.is_intact();
    if output.is_json() {
        #[derive(Serialize)]
        struct Shown<'r> {
            intact: bool,
            #[serde(flatten)]
            report: &'r Report,
        }
        output.json(&Shown { intact, report });
    } else {
        report.lines().iter().for_each(|line| output.line(line));
    }
    if intact { Exit::Done } else { Exit::Evidence }
}

fn export(home: &Home, file: Option<&Path>, output: Output) -> Result<Exit, CommandError> {
    let head = file.map(|_| head::read(home)).transpose()?.flatten();
    let ledger = home.ledger_read_only()?;
    let Some(path) = file else {
        for_each_entry(&ledger, 0, |entry| {
            output.bytes(&entry.bytes);
            output.bytes(b"\n");
            Ok(true)
        })?;
        return Ok(Exit::Done);
    };
    let failed = |error: std::io::Error| CommandError::file(path, &error);
    let mut writer = BufWriter::new(fs::File::create_new(path).map_err(failed)?);
    for_each_entry(&ledger, 0, |entry| {
        writer.write_all(&entry.bytes).and_then(|()| writer.write_all(b"\n")).map_err(failed)?;
        Ok(true)
    })?;
    writer.flush().map_err(failed)?;
    if let Some(head) = head {
        let beside = checkpoint_beside(path);
        commands::write(&beside, &head)?;
        output.note(&format!("checkpoint: {}", beside.display()));
    }
    Ok(Exit::Done)
}

fn prove(home: &Home, index: u64, output: Output) -> Result<Exit, CommandError> {
    let ledger = commands::log_to_prove(home, output)?;
    if index >= ledger.len() {
        return Err(CommandError::command_line(format!("there is no entry `{index}`: the log has {}", ledger.len()))
            .hint("`ringfence log show` lists the last entries"));
    }
    let mut receipt = sequencer::prove(&ledger, index)?;
    if receipt.checkpoint.is_none() {
        drop(ledger);
        let (ledger, sequencer) = commands::open_log(home, output)?;
        sequencer.publish(&ledger)?;
        receipt = sequencer.receipt(&ledger, index)?;
    }
    output.json(&receipt);
    Ok(Exit::Done)
}
