//! `ringfence bundle`: one file that shows what happened in a call, a session or a part of the log.
//!
//! Picks the entries, has them proven, and adds their contents. What it writes has been verified as a stranger would.

use ringfence_runtime::ledger::backend::ContentKey;
use std::collections::BTreeSet;

use ringfence_audit::bundle;
use ringfence_audit::bundle::Bundle;
use ringfence_audit::bundle::BundleError;
use ringfence_audit::bundle::Content;
use ringfence_audit::bundle::Proven;
use ringfence_audit::bundle::Subject;
use ringfence_audit::note::Verifier;
use ringfence_model::content;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::id::SessionId;
use ringfence_model::limits;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::ledger::backend::CallState;
use ringfence_runtime::sequencer;
use ringfence_runtime::sequencer::ProvenEntries;

use crate::args::BundleArgs;
use crate::args::SubjectArgs;
use crate::commands;
use crate::commands::log::for_each_entry;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

pub fn run(home: &Home, args: &BundleArgs, output: Output) -> Result<Exit, CommandError> {
    let subject = subject(&args.subject)?;
    let mut bundle = bundle(home, subject, output)?;
    if args.without_content {
        bundle.contents.clear();
    }
    let bytes = bundle.to_bytes().map_err(|error| CommandError::bundle(&error))?;
    check(&bundle, &bytes)?;
    let Some(path) = &args.out else {
        output.bytes(&bytes);
        return Ok(Exit::Done);
    };
    commands::write_new(path, &bytes)?;
    let (entries, contents) = (bundle.entries.len(), bundle.contents.len());
    output.note(&format!("bundle: {}, entries: {entries}, contents: {contents}", path.display()));
    if contents > 0 {
        output.note("note: contents are in the clear: `--without-content` leaves them out");
    }
    Ok(Exit::Done)
}

fn subject(args: &SubjectArgs) -> Result<Subject, CommandError> {
    match *args {
        SubjectArgs { call: Some(call), .. } => Ok(Subject::Call(call)),
        SubjectArgs { session: Some(session), .. } => Ok(Subject::Session(session)),
        SubjectArgs { from: Some(from), to: Some(to), .. } if from <= to => Ok(Subject::Range { from, to }),
        _ => Err(CommandError::command_line("`--from` is not before `--to`")
            .hint("give the first entry and the last one: `--from 3 --to 9`")),
    }
}

/// The bundle of a subject, with every content that is there.
pub fn bundle(home: &Home, subject: Subject, output: Output) -> Result<Bundle, CommandError> {
    let ledger = commands::log_to_prove(home, output)?;
    let indexes = pick(&ledger, subject)?;
    if let Some(proven) = sequencer::prove_all(&ledger, &indexes)? {
        return assemble(&ledger, subject, proven);
    }
    drop(ledger);
    let (ledger, sequencer) = commands::open_log(home, output)?;
    sequencer.publish(&ledger)?;
    let proven = sequencer::prove_all(&ledger, &indexes)?
        .ok_or_else(|| CommandError::evidence("the newest checkpoint does not cover the entries it was made over"))?;
    assemble(&ledger, subject, proven)
}

/// The entries that a bundle is about, in order.
pub(super) fn pick(ledger: &Ledger, subject: Subject) -> Result<Vec<u64>, CommandError> {
    let (picked, what) = match subject {
        Subject::Call(call) => {
            let state = ledger.find(&call)?.map(|row| row.state);
            let picked = match state {
                Some(CallState::Begun { begun }) => vec![begun],
                Some(CallState::Finished { begun, finished, .. }) => vec![begun, finished],
                Some(CallState::Refused { refused }) => vec![refused],
                Some(CallState::Settled { begun, finished, settled, .. }) => vec![begun, finished, settled],
                None => Vec::new(),
            };
            (with_answers(ledger, with_question(ledger, picked)?)?, format!("call `{call}`"))
        }
        Subject::Range { from, to } if to >= ledger.len() => (Vec::new(), format!("index `{}`", to.max(from))),
        Subject::Range { from, to } => {
            ((from..=to).take(limits::BUNDLE_ENTRIES_MAX + 1).collect(), "that range".to_owned())
        }
        Subject::Session(session) => {
            (with_answers(ledger, pick_session(ledger, session)?)?, format!("session `{session}`"))
        }
    };
    match picked.len() {
        0 => Err(CommandError::nothing_to_bundle(&what)),
        length if length > limits::BUNDLE_ENTRIES_MAX => {
            Err(CommandError::bundle(&BundleError::TooManyEntries(length)))
        }
        _ => Ok(picked),
    }
}

/// Adds the entry that asked for the approval which a call has used.
fn with_question(ledger: &Ledger, mut picked: Vec<u64>) -> Result<Vec<u64>, CommandError> {
    let Some(first) = picked.first().copied() else { return Ok(picked) };
    let entry = ledger.entry(first)?.and_then(|stored| encoding::decode(&stored.bytes).ok());
    let Some(Body::Begun(begun)) = entry.map(|entry| entry.body) else { return Ok(picked) };
    if let Some(id) = begun.approval
        && let Some(approval) = ledger.approval(id)?
    {
        picked.insert(0, approval.held);
    }
    Ok(picked)
}

/// Adds what was written about those picked later: answers to questions, and what was removed.
fn with_answers(ledger: &Ledger, picked: Vec<u64>) -> Result<Vec<u64>, CommandError> {
    let Some(first) = picked.first().copied() else { return Ok(picked) };
    let mut all: BTreeSet<_> = picked.iter().copied().collect();
    for_each_entry(ledger, first.saturating_add(1), |stored| {
        let is_picked = |index: &u64| picked.binary_search(index).is_ok();
        let is_ours = match encoding::decode(&stored.bytes).map(|entry| entry.body) {
            Ok(Body::Approved(answer) | Body::Rejected(answer)) => is_picked(&answer.held),
            Ok(Body::Removed(removed)) => removed.contents.iter().any(|content| is_picked(&content.entry)),
            _ => false,
        };
        all.extend(is_ours.then_some(stored.index));
        Ok(all.len() <= limits::BUNDLE_ENTRIES_MAX)
    })?;
    Ok(all.into_iter().collect())
}

/// Ends and settlements of calls name no session: their beginnings do.
fn pick_session(ledger: &Ledger, session: SessionId) -> Result<Vec<u64>, CommandError> {
    let (mut picked, mut calls) = (Vec::new(), BTreeSet::new());
    for_each_entry(ledger, 0, |stored| {
        // What is no entry belongs to no session; the range it stands in can't be bundled.
        let Ok(entry) = encoding::decode(&stored.bytes) else { return Ok(true) };
        let is_ours = match &entry.body {
            Body::Begun(begun) => begun.session == Some(session) && calls.insert(begun.call),
            Body::Finished(finished) => calls.contains(&finished.call),
            Body::Settled(settled) => calls.contains(&settled.call),
            body => body.session() == Some(session),
        };
        picked.extend(is_ours.then_some(stored.index));
        Ok(picked.len() <= limits::BUNDLE_ENTRIES_MAX)
    })?;
    Ok(picked)
}

fn assemble(ledger: &Ledger, subject: Subject, proven: ProvenEntries) -> Result<Bundle, CommandError> {
    let ProvenEntries { checkpoint, key, entries } = proven;
    let (mut contents, mut bytes) = (Vec::new(), 0_u64);
    for Proven { entry, .. } in &entries {
        for (name, commitment) in content::commitments(&entry.body) {
            let Some(stored) = ledger.content(&ContentKey { entry: entry.index, name, commitment })? else { continue };
            bytes = bytes.saturating_add(u64::try_from(stored.bytes.len()).unwrap_or(u64::MAX));
            if bytes > limits::BUNDLE_BYTES_MAX {
                return Err(CommandError::bundle(&BundleError::TooLarge));
            }
            let text = String::from_utf8(stored.bytes).map_err(|_| {
                CommandError::evidence(format!("`{name}` of entry `{}` is not text", entry.index))
                    .hint("`--without-content` bundles what stands in the entries")
            })?;
            contents.push(Content { text, entry: entry.index, name, nonce: stored.nonce });
        }
    }
    Ok(Bundle { subject, key: key.to_string(), checkpoint, entries, contents })
}

/// Nothing is handed out that would be refused elsewhere.
fn check(bundle: &Bundle, bytes: &[u8]) -> Result<(), CommandError> {
    let keys: Vec<Verifier> = bundle.key.parse().into_iter().collect();
    let report = bundle::check(bytes, &keys).report;
    match report.failures().next() {
        None => Ok(()),
        Some(finding) => Err(CommandError::evidence(format!("the bundle does not verify: {finding}"))
            .hint("`ringfence log verify` says what is wrong with the log")),
    }
}
