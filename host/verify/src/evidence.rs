//! What lies in a file, and whether it verifies.
//!
//! A file tells by its beginning what it is. What it is taken for is part of the answer; it is never taken for something
//! that is checked less, and no flag is passed over that it has no use for. An exported log is read as a stream and a
//! published one tile by tile, so that their size does not matter; the rest has a bound.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use ringfence_audit::bundle;
use ringfence_audit::bundle::Bundle;
use ringfence_audit::checkpoint;
use ringfence_audit::extension::Extension;
use ringfence_audit::note::Note;
use ringfence_audit::note::Verifier;
use ringfence_audit::published;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::verify;
use ringfence_audit::verify::Finding;
use ringfence_audit::verify::Kind;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;
use ringfence_audit::verify::Report;
use ringfence_audit::verify::Severity;
use ringfence_audit::witness;
use ringfence_model::digest::Digest;
use ringfence_model::limits;
use serde::Serialize;
use serde_json::Value;

use crate::args::Args;
use crate::folder::Folder;

/// How every canonical entry begins.
const ENTRY: &[u8] = b"{\"body\":";
/// How every bundle begins, and a receipt or a proof that is spelled without white space.
const CHECKPOINT: &[u8] = b"{\"checkpoint\":";

/// What a file was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    Bundle,
    Checkpoint,
    Extension,
    Log,
    Published,
    Receipt,
    Unknown,
}

/// What was found in a file.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) form: Form,
    pub(crate) report: Report,
    /// The bundle, if it is one, as far as it can be read.
    pub(crate) bundle: Option<Bundle>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// What was asked can't be asked about such a file.
    CommandLine(String),
    /// It can't be read.
    Unreadable(String),
}

/// Reads and verifies a file, or a folder. What it holds is never an error.
pub(crate) fn check(args: &Args) -> Result<Evidence, Unanswered> {
    if args.file.is_dir() {
        let report = check_published(args)?;
        return Ok(Evidence { form: Form::Published, report, bundle: None });
    }
    let failed = |error: io::Error| unreadable(&args.file, &error);
    let mut reader = BufReader::with_capacity(1 << 20, open(&args.file).map_err(failed)?);
    let begins = reader.fill_buf().map_err(failed)?;
    if begins.starts_with(ENTRY) {
        let report = check_log(reader, args)?;
        return Ok(Evidence { form: Form::Log, report, bundle: None });
    }
    if !args.checkpoints.is_empty() {
        return Err(Unanswered::CommandLine("`--checkpoint` is for logs: this is none".to_owned()));
    }
    let mut bytes = Vec::new();
    reader.take(limits::BUNDLE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    check_whole(&bytes, args)
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) })
}

fn check_whole(bytes: &[u8], args: &Args) -> Result<Evidence, Unanswered> {
    if let Some(extension) = parse_extension(bytes) {
        let report = check_extension(&extension, args)?;
        return Ok(Evidence { form: Form::Extension, report, bundle: None });
    }
    if !args.against.is_empty() {
        let why = "`--against` is for logs, and for proofs that one goes on: this is neither";
        return Err(Unanswered::CommandLine(why.to_owned()));
    }
    let (mut evidence, note) = check_signed(bytes, &args.keys);
    if let Some(note) = note {
        witness::demand(&note, &args.witnesses, &mut evidence.report);
    }
    Ok(evidence)
}

/// What is signed as a whole, and the checkpoint that it rests on.
fn check_signed(bytes: &[u8], keys: &[Verifier]) -> (Evidence, Option<String>) {
    // A receipt is read as JSON values, which take many times the memory of their text: the most of it is what an outcome
    // may have.
    let begins_like_bundle = bytes.starts_with(CHECKPOINT);
    let bytes_max = if begins_like_bundle { limits::RECEIPT_BYTES_MAX } else { limits::COMPONENT_BYTES_MAX };
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max)
        && let Ok((receipt, outcome)) = Receipt::parse_printed(bytes)
    {
        let report = check_receipt(&receipt, outcome.as_ref(), keys);
        return (Evidence { form: Form::Receipt, report, bundle: None }, receipt.checkpoint);
    }
    if begins_like_bundle {
        let bundle::Checked { bundle, report } = bundle::check(bytes, keys);
        let note = bundle.as_ref().map(|bundle| bundle.checkpoint.clone());
        return (Evidence { form: Form::Bundle, report, bundle }, note);
    }
    if let Some(note) = str::from_utf8(bytes).ok().filter(|text| Note::parse(text).is_ok()) {
        let report = checkpoint::check(note, keys);
        return (Evidence { form: Form::Checkpoint, report, bundle: None }, Some(note.to_owned()));
    }
    let text = "it begins like nothing that Ringfence hands out";
    let report = refused(Kind::Malformed, None, text);
    (Evidence { form: Form::Unknown, report, bundle: None }, None)
}

fn parse_extension(bytes: &[u8]) -> Option<Extension> {
    // Read as JSON values, which take many times the memory of their text.
    let fits = bytes.len() <= limits::EXTENSION_BYTES_MAX;
    fits.then(|| Extension::parse(bytes).ok()).flatten()
}

/// A proof shows nothing by itself: only that a log goes on from what somebody has kept.
fn check_extension(extension: &Extension, args: &Args) -> Result<Report, Unanswered> {
    let mut reports = Vec::new();
    for path in &args.against {
        reports.push(extension.verify(&read_note(path)?, &args.keys));
    }
    let mut reports = reports.into_iter();
    let Some(mut report) = reports.next() else {
        let why = "this proves that a log goes on: give the older checkpoint with `--against`";
        return Err(Unanswered::CommandLine(why.to_owned()));
    };
    for other in reports {
        report.vouched = report.vouched.min(other.vouched);
        other.findings.into_iter().for_each(|finding| report.push(finding));
    }
    witness::demand(&extension.checkpoint, &args.witnesses, &mut report);
    Ok(report)
}

fn check_receipt(receipt: &Receipt, outcome: Option<&Value>, keys: &[Verifier]) -> Report {
    let mut report = receipt.verify(keys);
    if let Some(Err(why)) = outcome.map(|outcome| receipt.check_outcome(outcome)) {
        let text = format!("the outcome beside the receipt is not the one on record: {why}");
        report.findings.push(failure(Kind::WrongContent, Some(receipt.index), text));
    }
    report
}

fn unreadable(path: &Path, error: &io::Error) -> Unanswered {
    Unanswered::Unreadable(format!("`{}` can't be read: {error}", path.display()))
}

fn check_log(mut reader: impl BufRead, args: &Args) -> Result<Report, Unanswered> {
    let mut check = log_check(args);
    let beside = beside(&args.file);
    let checkpoints = if args.checkpoints.is_empty() && beside.exists() { &[beside][..] } else { &args.checkpoints };
    for path in checkpoints.iter().chain(&args.against) {
        check.checkpoint(&read_note(path)?);
    }
    let mut line = Vec::new();
    while verify::read_line(&mut reader, &mut line).map_err(|error| unreadable(&args.file, &error))? {
        check.entry(&line);
    }
    Ok(check.finish())
}

fn check_published(args: &Args) -> Result<Report, Unanswered> {
    let folder = Folder(&args.file);
    let note = folder.checkpoint().map_err(|error| unreadable(&args.file.join("checkpoint"), &error))?;
    let Some(note) = note else {
        let why = format!("`{}` is no published log: there is no `checkpoint` in it", args.file.display());
        return Err(Unanswered::Unreadable(why));
    };
    let mut check = log_check(args);
    for path in args.checkpoints.iter().chain(&args.against) {
        check.checkpoint(&read_note(path)?);
    }
    Ok(published::check(&folder, &note, check))
}

fn log_check(args: &Args) -> LogCheck {
    let mut check = LogCheck::new(Options { keys: args.keys.clone() });
    args.witnesses.iter().cloned().for_each(|witness| check.witness(witness));
    check
}

/// A checkpoint that was named: what is too long for one is cut where it stops being one.
fn read_note(path: &Path) -> Result<String, Unanswered> {
    let mut note = Vec::new();
    let bytes_max = u64::try_from(limits::CHECKPOINT_BYTES_MAX).unwrap_or(u64::MAX);
    let read = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut note));
    read.map_err(|error| unreadable(path, &error))?;
    Ok(String::from_utf8_lossy(&note).into_owned())
}

fn beside(export: &Path) -> PathBuf {
    let mut name = OsString::from(export);
    name.push(".checkpoint");
    PathBuf::from(name)
}

/// A report of one failure.
fn refused(kind: Kind, index: Option<u64>, text: &str) -> Report {
    let findings = vec![failure(kind, index, text.to_owned())];
    Report { entries: 0, head: Digest::ZERO, root: None, vouched: 0, findings, omitted: 0 }
}

fn failure(kind: Kind, index: Option<u64>, text: String) -> Finding {
    Finding { severity: Severity::Failure, kind, index, text }
}
