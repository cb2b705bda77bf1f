//! What stays the same in a long log: a look-up, an append, a proof, and the memory that verifying takes.
//!
//! Two logs on disk, a short one and one of as many entries as are asked for, are filled past the pipeline with entries,
//! calls and contents as pure calls leave them. Then both are asked and written to in turn, the way calls do it.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ringfence_audit::chain::Head;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Nonce;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;
use ringfence_model::time::Clock as _;
use serde::Serialize;

use super::Bench;
use super::Plan;
use super::Row;
use super::Samples;
use super::StillClock;
use super::Timing;
use super::endurance::Bytes;
use super::endurance::memory;
use super::interleave;
use super::sample;
use super::text;
use crate::host::Host;
use crate::host::HostConfig;
use crate::ledger::Ledger;
use crate::ledger::SystemRandom;
use crate::ledger::backend::Backend as _;
use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::StoredContent;
use crate::ledger::backend::StoredEntry;
use crate::ledger::backend::sqlite::SqliteBackend;

/// Entries of the short log.
const SHORT_ENTRIES: u64 = 10_000;
/// Entries, calls or contents of one commit while a log is filled.
const BATCH: usize = 20_000;
/// Entries that are read at a time to be verified.
const READ: usize = 1_000;
/// Proofs that are asked for.
const PROOFS: u64 = 2_000;

/// How a long log compares to a short one.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// Entries of the long log.
    pub entries: u64,
    /// A look-up and an append in the long log, over those in the short one.
    pub rows: Vec<Row>,
    /// What it takes to read a proof out of the long log.
    pub proof: Timing,
    /// The most hashes that a proof had.
    pub proof_hashes_max: usize,
    /// Seconds that it took to verify the long log as it was read.
    pub verify_seconds: u64,
    /// Bytes resident before that.
    pub resident_before: u64,
    /// The most bytes resident at any look during it.
    pub resident_peak: u64,
}

/// Compares a log of so many entries with a short one.
pub async fn run(plan: &Plan<'_>, entries: u64, progress: impl Fn(&str)) -> Result<History, String> {
    let bench = Bench::new(plan).await?;
    let folder = tempfile::tempdir().map_err(text)?;
    let open = |name: &str, entries| open(&bench, &folder.path().join(name), entries, &progress);
    let (short, long) = (open("short.sqlite", SHORT_ENTRIES)?, open("long.sqlite", entries)?);
    progress("looking up, appending and proving");
    let rows = vec![lookup(plan, &short, &long)?, append(&bench, &short, &long).await?];
    let (proof, proof_hashes_max) = proofs(&long)?;
    progress("verifying");
    let resident_before = memory()?.resident;
    let started = Instant::now();
    let resident_peak = verify(long.host.ledger())?.max(resident_before);
    let verify_seconds = started.elapsed().as_secs();
    Ok(History { entries, rows, proof, proof_hashes_max, verify_seconds, resident_before, resident_peak })
}

/// A log that was filled, and how many entries it was filled with.
struct Filled {
    host: Host,
    entries: u64,
}

fn open(bench: &Bench<'_>, path: &Path, entries: u64, progress: &impl Fn(&str)) -> Result<Filled, String> {
    let mut backend = SqliteBackend::create(path).map_err(text)?;
    progress(&format!("filling a log with {entries} entries"));
    fill_entries(&mut backend, entries, progress)?;
    progress("filling it with calls and contents");
    fill_calls(&mut backend, entries)?;
    fill_contents(&mut backend, entries)?;
    let ledger = Ledger::open(Box::new(backend), Arc::new(StillClock), Arc::new(SystemRandom)).map_err(text)?;
    let host = bench.host_of(ledger, HostConfig::default(), true)?;
    progress("signing a checkpoint over it");
    host.publish().map_err(text)?;
    Ok(Filled { host, entries })
}

fn fill_entries(backend: &mut SqliteBackend, entries: u64, progress: &impl Fn(&str)) -> Result<(), String> {
    let mut head = Head::empty();
    let mut batch = Batch::default();
    for index in 0..entries {
        let body = if index == 0 { Body::Opened(super::opened()?) } else { sample::body(index) };
        let (bytes, hash) = head.append(body, StillClock.now()).map_err(text)?;
        batch.entries.push(StoredEntry { index, hash, bytes });
        if batch.entries.len() == BATCH {
            backend.commit(std::mem::take(&mut batch)).map_err(text)?;
        }
        if (index + 1).is_multiple_of(1_000_000) {
            progress(&format!("{} entries", index + 1));
        }
    }
    backend.commit(batch).map_err(text)
}

/// Calls have random ids, so that each stands anywhere among the others. In order, they are written in minutes.
fn fill_calls(backend: &mut SqliteBackend, entries: u64) -> Result<(), String> {
    let mut calls: Vec<_> = begun(entries).map(|begun| (sample::call(begun), begun)).collect();
    calls.sort_unstable();
    for part in calls.chunks(BATCH) {
        let row = |(call, begun): &(CallId, u64)| CallRow {
            call: *call,
            principal: Principal::anonymous(),
            key: None,
            reach: Reach::Nothing,
            state: CallState::Finished { begun: *begun, finished: begun + 1, effect: EffectState::Committed },
        };
        backend.commit(Batch { calls: part.iter().map(row).collect(), ..Batch::default() }).map_err(text)?;
    }
    Ok(())
}

/// A content for each call.
fn fill_contents(backend: &mut SqliteBackend, entries: u64) -> Result<(), String> {
    let begun: Vec<_> = begun(entries).collect();
    for part in begun.chunks(BATCH) {
        let contents = part.iter().map(|begun| {
            let (key, nonce) = (input(*begun), Nonce::from_random(sample::NONCE));
            (key, StoredContent { commitment: key.commitment, nonce, bytes: begun.to_be_bytes().to_vec() })
        });
        backend.commit(Batch { contents: contents.collect(), ..Batch::default() }).map_err(text)?;
    }
    Ok(())
}

/// What the entry that begins a call commits to.
fn input(begun: u64) -> ContentKey {
    let commitment = Nonce::from_random(sample::NONCE).commit(&begun.to_be_bytes());
    ContentKey { entry: begun, name: ContentName::Input, commitment }
}

/// The entries that begin a call which has ended.
fn begun(entries: u64) -> impl Iterator<Item = u64> {
    (1..entries.saturating_sub(1)).step_by(2)
}

/// A call by its id, the entry that began it, and what that entry commits to.
fn lookup(plan: &Plan<'_>, short: &Filled, long: &Filled) -> Result<Row, String> {
    let (mut turn, failed) = (0, RefCell::new(None));
    let look = |filled: &Filled, turn: u64| {
        if let Err(why) = look_up(filled, turn) {
            failed.replace(Some(why));
        }
    };
    let next = || {
        turn += 1;
        turn
    };
    let (floor, measured) = interleave(plan.millis, next, |turn| look(short, *turn), |turn| look(long, turn));
    failed.into_inner().map_or(Ok(()), Err)?;
    let (floor, measured) = (floor.named("a look-up in 10,000 entries"), measured.named("a look-up in the long log"));
    Ok(Row::of("look-up", floor, measured, Some(1.3)))
}

fn look_up(filled: &Filled, turn: u64) -> Result<(), String> {
    let ledger = filled.host.ledger();
    let begun = any(turn, filled.entries / 2 - 1) * 2 + 1;
    let row = ledger.find(&sample::call(begun)).map_err(text)?.ok_or("a call is missing")?;
    let CallState::Finished { begun, .. } = row.state else { return Err("a call has not ended".to_owned()) };
    ledger.entry(begun).map_err(text)?.ok_or("an entry is missing")?;
    ledger.content(&input(begun)).map_err(text)?.ok_or("a content is missing")?;
    Ok(())
}

async fn append(bench: &Bench<'_>, short: &Filled, long: &Filled) -> Result<Row, String> {
    let (mut floor, mut measured) = (Samples::default(), Samples::default());
    let started = Instant::now();
    while started.elapsed().as_millis() < u128::from(bench.plan.millis) || floor.0.len() < 30 {
        let one = Instant::now();
        bench.call(&short.host).await?;
        floor.push(one.elapsed());
        let other = Instant::now();
        bench.call(&long.host).await?;
        measured.push(other.elapsed());
    }
    let (floor, measured) = (floor.named("a durable call, 10,000 entries"), measured.named("one in the long log"));
    Ok(Row::of("append", floor, measured, Some(1.3)))
}

fn proofs(filled: &Filled) -> Result<(Timing, usize), String> {
    let (mut samples, mut most) = (Samples::default(), 0);
    for turn in 0..PROOFS {
        let started = Instant::now();
        let receipt = filled.host.receipt(any(turn, filled.entries)).map_err(text)?;
        samples.push(started.elapsed());
        let proof = receipt.proof.ok_or("a receipt has no proof")?;
        most = most.max(proof.len());
    }
    Ok((samples.named("a receipt with its proof"), most))
}

/// The most bytes that were resident.
fn verify(ledger: &Ledger) -> Result<u64, String> {
    let mut check = LogCheck::new(Options::default());
    let (mut from, mut peak) = (0, 0);
    loop {
        let entries = ledger.entries(from, READ).map_err(text)?;
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            check.entry(&entry.bytes);
        }
        from += entries.len() as u64;
        peak = peak.max(memory()?.resident);
    }
    let report = check.finish();
    if report.is_intact() { Ok(peak) } else { Err(format!("the log does not verify: {:?}", report.findings)) }
}

/// A number below `bound`, another one each turn, all over.
fn any(turn: u64, bound: u64) -> u64 {
    // An odd multiplier spreads turns over all 64 bits.
    turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) % bound.max(1)
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} entries against {SHORT_ENTRIES}", self.entries)?;
        for Row { name, floor, measured, ratio, target, met } in &self.rows {
            let missed = if *met { "" } else { "  MISSED" };
            let [floor, measured] = [floor, measured].map(|timing| super::duration(timing.median_ns));
            writeln!(f, "{name}: {ratio:.2}× ({measured} over {floor}), {target}{missed}")?;
        }
        let [median, p99] = [self.proof.median_ns, self.proof.p99_ns].map(super::duration);
        writeln!(
            f,
            "proof: {median} at the median, {p99} at the 99th percentile, {} hashes at most",
            self.proof_hashes_max
        )?;
        let (before, peak) = (Bytes(self.resident_before), Bytes(self.resident_peak));
        write!(f, "verified in {} s: {before} resident before, {peak} at most meanwhile", self.verify_seconds)
    }
}
