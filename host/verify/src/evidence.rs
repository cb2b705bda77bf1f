//! What lies in a file, and whether it verifies.
//!
//! A file tells by its beginning what it is. What it is taken for is part of the answer; it is never taken for something
//! that is checked less. An exported log is read as a stream, so that its size does not matter; the rest has a bound.

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
use ringfence_audit::note::Verifier;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::verify;
use ringfence_audit::verify::Finding;
use ringfence_audit::verify::Kind;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;
use ringfence_audit::verify::Report;
use ringfence_audit::verify::Severity;
use ringfence_model::digest::Digest;
use ringfence_model::limits;
use serde::Serialize;
use serde_json::Value;

use crate::args::Args;

/// How every canonical entry begins.
const ENTRY: &[u8] = b"{\"body\":";
/// How every bundle begins, and a receipt that is spelled without white space.
const CHECKPOINT: &[u8] = b"{\"checkpoint\":";

/// What a file was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    Bundle,
    Log,
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

/// Reads and verifies a file. What it holds is never an error.
pub(crate) fn check(args: &Args) -> Result<Evidence, Unanswered> {
    let failed = |error: io::Error| unreadable(&args.file, &error);
    let mut reader = BufReader::with_capacity(1 << 20, open(&args.file).map_err(failed)?);
    let begins = reader.fill_buf().map_err(failed)?;
    if begins.starts_with(ENTRY) {
        let report = check_log(reader, args)?;
        return Ok(Evidence { form: Form::Log, report, bundle: None });
    }
    if !args.checkpoints.is_empty() {
        return Err(Unanswered::CommandLine("`--checkpoint` is for an exported log: this is none".to_owned()));
    }
    let mut bytes = Vec::new();
    reader.take(limits::BUNDLE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(check_whole(&bytes, &args.keys))
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) })
}

fn check_whole(bytes: &[u8], keys: &[Verifier]) -> Evidence {
    // A receipt is read as JSON values, which take many times the memory of their text: the most of it is what an outcome
    // may have.
    let begins_like_bundle = bytes.starts_with(CHECKPOINT);
    let bytes_max = if begins_like_bundle { limits::RECEIPT_BYTES_MAX } else { limits::COMPONENT_BYTES_MAX };
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max)
        && let Ok((receipt, outcome)) = Receipt::parse_printed(bytes)
    {
        let report = check_receipt(&receipt, outcome.as_ref(), keys);
        return Evidence { form: Form::Receipt, report, bundle: None };
    }
    if begins_like_bundle {
        let bundle::Checked { bundle, report } = bundle::check(bytes, keys);
        return Evidence { form: Form::Bundle, report, bundle };
    }
    let text = "it begins like no bundle, no receipt and no exported log";
    Evidence { form: Form::Unknown, report: refused(Kind::Malformed, None, text), bundle: None }
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
    let mut check = LogCheck::new(Options { keys: args.keys.clone() });
    let beside = beside(&args.file);
    let checkpoints = if args.checkpoints.is_empty() && beside.exists() { &[beside][..] } else { &args.checkpoints };
    for path in checkpoints {
        let mut note = Vec::new();
        let bytes_max = u64::try_from(limits::CHECKPOINT_BYTES_MAX).unwrap_or(u64::MAX);
        let read = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut note));
        read.map_err(|error| unreadable(path, &error))?;
        check.checkpoint(&String::from_utf8_lossy(&note));
    }
    let mut line = Vec::new();
    while verify::read_line(&mut reader, &mut line).map_err(|error| unreadable(&args.file, &error))? {
        check.entry(&line);
    }
    Ok(check.finish())
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
