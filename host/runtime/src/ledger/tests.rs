//! Tests of the ledger as a whole, on every backend and with a fault at every commit.

use crate::ledger::backend::ContentKey;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;

use proptest::prelude::*;
use ringfence_model::content;
use ringfence_model::content::ContentName;
use ringfence_model::decision::Cap;
use ringfence_model::decision::CountScope;
use ringfence_model::decision::Unit;
use ringfence_model::decision::Window;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Finished;
use ringfence_model::entry::RemovedContent;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::lifecycle::Phase;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Clock;
use ringfence_model::time::Timestamp;

use super::adoption::Finding;
use super::backend::BackendError;
use super::backend::Batch;
use super::backend::CallRow;
use super::backend::CallState;
use super::backend::MemoryBackend;
use super::backend::PostgresBackend;
use super::backend::SqliteBackend;
use super::backend::faulty::Fault;
use super::backend::faulty::FaultyBackend;
use super::backend::postgres::server::Database;
use super::backend::postgres::tests::access;
use super::fixture::*;
use super::random::RandomError;
use super::recovery::settle;
use super::settlements::SettleError;
use super::*;

const REACHES: [Reach; 3] = [Reach::Nothing, Reach::Reads, Reach::Writes];

fn disk() -> FaultyBackend {
    FaultyBackend::new(MemoryBackend::new())
}

fn bodies(ledger: &Ledger) -> Vec<Body> {
    verified(ledger).iter().map(|entry| encoding::decode(&entry.bytes).expect("an entry").body).collect()
}

fn kinds(ledger: &Ledger) -> Vec<&'static str> {
    bodies(ledger).iter().map(Body::kind).collect()
}

/// Some calls of every kind, none left open.
fn history(ledger: &Ledger) -> Vec<Recorded> {
    let mut recorded = Vec::new();
    for (number, reach) in (1..).zip(REACHES) {
        recorded.push(make(ledger, intent(number, reach)));
        recorded.push(make(ledger, keyed(number + 10, reach, &format!("key {number}"))));
    }
    recorded.push(ledger.refuse(refusal(20)).expect("a refusal"));
    recorded
}

#[test]
fn one_history_has_same_bytes_everywhere() {
    let (folder, database) = (tempfile::tempdir().expect("a folder"), Database::new());
    let memory = create(MemoryBackend::new());
    let recorded = history(&memory);
    let entries = verified(&memory);
    assert_eq!(entries.len(), 14);
    for other in [
        create(SqliteBackend::create(&folder.path().join("log")).expect("a new log")),
        create(PostgresBackend::create(access(&database)).expect("a new log")),
    ] {
        assert_eq!(history(&other), recorded);
        assert_eq!(verified(&other), entries);
    }
}

#[test]
fn intent_is_durable_before_call_runs() {
    let ledger = create(MemoryBackend::new());
    for (number, reach) in [(1, Reach::Reads), (2, Reach::Writes)] {
        let before = ledger.len();
        let begun = begin(&ledger, intent(number, reach));
        assert_eq!((begun.index(), ledger.len()), (Some(before), before + 1));
        assert_eq!(bodies(&ledger).last().and_then(Body::call), Some(call(number)));
        ledger.finish(begun, ending(EffectState::Committed, "x")).expect("an ending");
    }
}

#[test]
fn call_that_reaches_nothing_is_one_commit() {
    let disk = disk();
    let ledger = create(disk.clone());
    let before = disk.counts().0;
    let begun = begin(&ledger, intent(1, Reach::Nothing));
    assert_eq!((begun.index(), disk.counts().0, ledger.len()), (None, before, 1));
    assert_eq!(ledger.find(&call(1)).expect("an answer"), None);
    let recorded = ledger.finish(begun, ending(EffectState::Committed, "x")).expect("an ending");
    assert_eq!((recorded.index, disk.counts().0), (2, before + 1));
    assert_eq!(kinds(&ledger), ["opened", "begun", "finished"]);
}

#[test]
fn contents_open_their_commitments() {
    let ledger = create(MemoryBackend::new());
    let recorded = make(&ledger, intent(1, Reach::Writes));
    let (input, output) = (recorded.input.expect("an input"), recorded.output.expect("an output"));
    let key = ContentKey { entry: recorded.index - 1, name: ContentName::Input, commitment: input.commitment };
    let content = ledger.content(&key).expect("an answer").expect("a content");
    assert_eq!((content.nonce, content.bytes), (input.nonce, intent(1, Reach::Writes).input));
    let outcome = ending(EffectState::Committed, "done").outcome;
    assert_eq!(output.nonce.commit(&outcome), output.commitment);
    for (entry, body) in (0..).zip(bodies(&ledger)) {
        for (name, commitment) in content::commitments(&body) {
            assert!(ledger.content(&ContentKey { entry, name, commitment }).expect("an answer").is_some(), "{name}");
        }
    }
}

#[test]
fn same_content_gets_another_commitment_each_time() {
    let ledger = create(MemoryBackend::new());
    let (one, two) = (
        make(&ledger, keyed(1, Reach::Reads, "a")),
        make(&ledger, Intent { idempotency_key: None, ..keyed(2, Reach::Reads, "a") }),
    );
    assert_ne!(one.input.map(|o| o.commitment), two.input.map(|o| o.commitment));
}

#[test]
fn refusal_is_written_and_found() {
    // AUD-20
    let ledger = create(MemoryBackend::new());
    let recorded = ledger.refuse(refusal(1)).expect("a refusal");
    let row = ledger.find(&call(1)).expect("an answer").expect("a call");
    assert_eq!(row.state, CallState::Refused { refused: recorded.index });
    assert_eq!(kinds(&ledger), ["opened", "refused"]);
    ledger.refuse(RefusalDraft { decision: None, ..refusal(2) }).expect("a refusal");
    verified(&ledger);
}

// Idempotency keys.

fn known(begin: Begin) -> StoredCall {
    match begin {
        Begin::Known(stored) => *stored,
        other => panic!("not known: {other:?}"),
    }
}

#[test]
fn same_key_gives_stored_outcome() {
    // IDM-01, IDM-14
    for reach in REACHES {
        let ledger = create(MemoryBackend::new());
        let first = make(&ledger, keyed(1, reach, "k"));
        let again = known(ledger.begin(keyed(2, reach, "k")).expect("an answer"));
        assert_eq!(again.recorded, first);
        assert_eq!(again.finished.outcome, OutcomeKind::Returned);
        assert_eq!(again.outcome, Some(ending(EffectState::Committed, "done").outcome));
        assert_eq!(ledger.len(), 3);
    }
}

#[test]
fn same_key_for_other_call_is_conflict() {
    // IDM-02
    let ledger = create(MemoryBackend::new());
    let running = begin(&ledger, keyed(1, Reach::Writes, "running"));
    make(&ledger, keyed(2, Reach::Writes, "done"));
    for (key, holder) in [("running", 1), ("done", 2)] {
        let same = keyed(3, Reach::Writes, key);
        for other in [
            Intent { input: b"{}".to_vec(), ..same.clone() },
            Intent { tool: tool("other"), ..same.clone() },
            Intent { ring: Ring::Privileged, ..same.clone() },
        ] {
            let answer = ledger.begin(other).expect("an answer");
            assert!(matches!(answer, Begin::Conflict { call: held } if held == call(holder)), "{answer:?}");
        }
        // IDM-03
        let stranger = Intent { principal: principal("b"), input: b"{}".to_vec(), ..same };
        assert!(matches!(ledger.begin(stranger), Ok(Begin::Begun(_))));
    }
    drop(running);
}

#[test]
fn same_key_while_running_starts_nothing() {
    // IDM-05
    for reach in REACHES {
        let ledger = create(MemoryBackend::new());
        let running = begin(&ledger, keyed(1, reach, "k"));
        let before = ledger.len();
        let second = ledger.begin(keyed(2, reach, "k")).expect("an answer");
        assert!(matches!(second, Begin::InProgress { call: held } if held == call(1)), "{second:?}");
        assert_eq!(ledger.len(), before);
        ledger.finish(running, ending(EffectState::Committed, "x")).expect("an ending");
        known(ledger.begin(keyed(3, reach, "k")).expect("an answer"));
    }
}

#[test]
fn hundred_callers_run_it_once() {
    // IDM-01
    for reach in REACHES {
        let (ledger, runs) = (create(MemoryBackend::new()), AtomicU64::new(0));
        let one = |number: u64| loop {
            match ledger.begin(keyed(number, reach, "k")).expect("an answer") {
                Begin::Begun(begun) => {
                    runs.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    ledger.finish(begun, ending(EffectState::Committed, "once")).expect("an ending");
                }
                Begin::Known(stored) => return stored.recorded,
                Begin::InProgress { .. } => thread::yield_now(),
                other => panic!("{other:?}"),
            }
        };
        let answers: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..100).map(|number| scope.spawn(move || one(number))).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        assert_eq!(runs.into_inner(), 1);
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        verified(&ledger);
    }
}

#[test]
fn aborted_call_may_run_again() {
    // IDM-07
    for reach in REACHES {
        let ledger = create(MemoryBackend::new());
        let first = begin(&ledger, keyed(1, reach, "k"));
        ledger.finish(first, ending(EffectState::Aborted, "x")).expect("an ending");
        make(&ledger, keyed(2, reach, "k"));
        let third = known(ledger.begin(keyed(3, reach, "k")).expect("an answer"));
        assert_eq!(third.recorded.call, call(2));
    }
}

#[test]
fn unknown_effect_never_runs_again() {
    let ledger = create(MemoryBackend::new());
    let first = begin(&ledger, keyed(1, Reach::Writes, "k"));
    ledger.finish(first, ending(EffectState::Unknown, "x")).expect("an ending");
    for number in 2..5 {
        let answer = ledger.begin(keyed(number, Reach::Writes, "k")).expect("an answer");
        assert!(matches!(answer, Begin::EffectUnknown { call: held, begun: 1 } if held == call(1)), "{answer:?}");
    }
    assert_eq!(ledger.len(), 3);
}

#[test]
fn dropped_call_gives_its_key_back() {
    for (reach, free) in [(Reach::Nothing, true), (Reach::Reads, true), (Reach::Writes, false)] {
        let ledger = create(MemoryBackend::new());
        drop(begin(&ledger, keyed(1, reach, "k")));
        let answer = ledger.begin(keyed(2, reach, "k")).expect("an answer");
        assert_eq!(matches!(answer, Begin::Begun(_)), free, "{answer:?}");
        assert_eq!(matches!(answer, Begin::EffectUnknown { .. }), !free);
    }
}

#[test]
fn altered_outcome_is_never_returned() {
    // IDM-08
    let disk = disk();
    let ledger = create(disk.clone());
    make(&ledger, keyed(1, Reach::Writes, "k"));
    let forged = FaultyBackend::new(MemoryBackend::new());
    for mut batch in disk.batches() {
        for (_, content) in &mut batch.contents {
            if content.bytes.starts_with(b"{\"error\"") {
                content.bytes.push(b' ');
            }
        }
        backend::Backend::commit(&mut forged.clone(), batch).expect("a commit");
    }
    let error = open(forged).begin(keyed(2, Reach::Writes, "k")).expect_err("altered");
    assert!(matches!(error, LedgerError::Storage(BackendError::Corrupt(_))), "{error}");
}

#[test]
fn removed_outcome_is_known_without_content() {
    // AUD-18
    let disk = disk();
    let first = make(&create(disk.clone()), keyed(1, Reach::Writes, "k"));
    let erased = FaultyBackend::new(MemoryBackend::new());
    for batch in disk.batches() {
        backend::Backend::commit(&mut erased.clone(), Batch { contents: Vec::new(), ..batch }).expect("a commit");
    }
    let ledger = open(erased);
    let stored = known(ledger.begin(keyed(2, Reach::Writes, "k")).expect("an answer"));
    assert_eq!(stored.recorded, Recorded { input: None, output: None, ..first });
    assert_eq!(stored.outcome, None);
    verified(&ledger);
}

#[test]
fn removal_is_recorded_with_what_is_gone() {
    // AUD-18
    let disk = disk();
    let ledger = create(disk.clone());
    let first = make(&ledger, keyed(1, Reach::Writes, "k"));
    let contents = vec![
        RemovedContent { entry: first.index, name: ContentName::Output },
        RemovedContent { entry: first.index - 1, name: ContentName::Input },
    ];
    let removal = Removal { by: "desk".into(), contents, principal: principal("a"), reason: "asked for".into() };
    let removed = ledger.remove(removal.clone()).expect("a removal");
    let [(index, contents)] = &removed[..] else { panic!("{removed:?}") };
    assert_eq!((*index, contents.len()), (first.index + 1, 2));
    let batch = disk.batches().pop().expect("a batch");
    assert_eq!((batch.entries.len(), batch.removals.len()), (1, 2), "the entry and what it says are one commit");
    let stored = known(ledger.begin(keyed(2, Reach::Writes, "k")).expect("an answer"));
    assert_eq!((stored.outcome, stored.recorded.input), (None, None));
    let commits = disk.counts().0;
    assert_eq!(ledger.remove(removal).expect("nothing to remove"), Vec::new());
    assert_eq!(disk.counts().0, commits, "nothing to remove is nothing to record");
    verified(&ledger);
}

// Restarts and crashes.

#[test]
fn restart_keeps_the_head() {
    let disk = disk();
    let mut recorded = history(&create(disk.clone()));
    let ledger = open(disk.restart());
    assert_eq!((ledger.len(), ledger.opened()), (14, &opened()));
    recorded.push(make(&ledger, intent(30, Reach::Writes)));
    let entries = verified(&ledger);
    for Recorded { index, hash, .. } in recorded {
        assert_eq!(entries[usize::try_from(index).expect("small")].hash, hash);
    }
}

#[test]
fn stopped_host_settles_its_calls() {
    // CR-09 to CR-12
    for (reach, effect) in [(Reach::Reads, EffectState::Aborted), (Reach::Writes, EffectState::Unknown)] {
        let disk = disk();
        let ledger = create(disk.clone());
        drop((begin(&ledger, keyed(1, reach, "k")), ledger));
        let ledger = open(disk.restart());
        let settled = settle(&ledger).expect("a recovery");
        assert_eq!(settled.iter().map(|settled| settled.effect).collect::<Vec<_>>(), [effect]);
        let Some(Body::Finished(finished)) = bodies(&ledger).pop() else { panic!("no ending") };
        let Finished { begun, call: ended, code, outcome, .. } = *finished;
        assert_eq!((begun, ended, outcome), (1, call(1), OutcomeKind::Cancelled));
        assert_eq!(code, "host.cancelled");
        assert!(settled[0].recorded.input.is_some());
        assert_eq!(settle(&ledger).expect("a recovery"), []);
        let again = ledger.begin(keyed(2, reach, "k")).expect("an answer");
        match reach {
            Reach::Writes => assert!(matches!(again, Begin::EffectUnknown { .. })),
            _ => assert!(matches!(again, Begin::Begun(_))),
        }
    }
}

#[test]
fn stopped_host_leaves_no_trace_of_nothing() {
    // CR-01 to CR-05
    let disk = disk();
    let ledger = create(disk.clone());
    drop((begin(&ledger, keyed(1, Reach::Nothing, "k")), ledger));
    let ledger = open(disk.restart());
    assert_eq!(settle(&ledger).expect("a recovery"), []);
    assert_eq!(ledger.len(), 1);
    make(&ledger, keyed(2, Reach::Nothing, "k"));
}

#[test]
fn recovery_leaves_live_calls_alone() {
    let ledger = create(MemoryBackend::new());
    let live = begin(&ledger, intent(1, Reach::Writes));
    assert_eq!(settle(&ledger).expect("a recovery"), []);
    ledger.finish(live, ending(EffectState::Committed, "x")).expect("an ending");
    verified(&ledger);
}

fn operator() -> Principal {
    "operator:uid-0".parse().expect("a principal")
}

const SETTLEMENTS: [Settlement; 2] = [Settlement::Committed, Settlement::NotExecuted];

/// Makes a call under the key `k` whose effect is unknown.
fn make_unknown(ledger: &Ledger, number: u64) {
    let begun = begin(ledger, keyed(number, Reach::Writes, "k"));
    ledger.finish(begun, ending(EffectState::Unknown, "x")).expect("an ending");
}

/// Where a call can be when somebody settles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Absent,
    Intended,
    Attempting,
    Aborted,
    Committed,
    Unknown,
    Refused,
    Settled(Settlement),
}

/// Brings call 1 there. What comes back keeps it there.
fn bring(ledger: &Ledger, at: At) -> Option<Begun> {
    let end = |effect| {
        let begun = begin(ledger, keyed(1, Reach::Writes, "k"));
        ledger.finish(begun, ending(effect, "x")).expect("an ending");
    };
    match at {
        At::Absent => {}
        At::Intended => return Some(begin(ledger, keyed(1, Reach::Nothing, "k"))),
        At::Attempting => return Some(begin(ledger, keyed(1, Reach::Writes, "k"))),
        At::Aborted => end(EffectState::Aborted),
        At::Committed => end(EffectState::Committed),
        At::Unknown => end(EffectState::Unknown),
        At::Refused => {
            ledger.refuse(refusal(1)).expect("a refusal");
        }
        At::Settled(how) => {
            end(EffectState::Unknown);
            ledger.settle(call(1), how, &operator(), "seen").expect("a settlement");
        }
    }
    None
}

#[test]
fn only_unknown_effects_are_settled() {
    // IDM-07: the whole table. Whatever is refused leaves no entry, and the call where it was.
    let [committed, not_executed] = SETTLEMENTS.map(At::Settled);
    let table = [
        (At::Absent, Some("there is no call")),
        (At::Intended, Some("there is no call")),
        (At::Attempting, Some("it has begun and not ended")),
        (At::Aborted, Some("it is on record that it had no effect")),
        (At::Committed, Some("it is on record that it ran to its end")),
        (At::Unknown, None),
        (At::Refused, Some("it did not run")),
        (committed, Some("has been settled already, by entry 3")),
        (not_executed, Some("has been settled already, by entry 3")),
    ];
    for ((at, refused), how) in table.into_iter().flat_map(|row| SETTLEMENTS.map(|how| (row, how))) {
        let disk = disk();
        let ledger = create(disk.clone());
        let kept = bring(&ledger, at);
        let (len, row) = (ledger.len(), ledger.find(&call(1)).expect("an answer"));
        let settled = ledger.settle(call(1), how, &operator(), "seen");
        match refused {
            None => assert_eq!(settled.expect("a settlement"), len),
            Some(why) => {
                let message = settled.expect_err("a refusal").to_string();
                assert!(message.contains(why), "{at:?}: {message}");
                assert_eq!((ledger.len(), ledger.find(&call(1)).expect("an answer")), (len, row), "{at:?}");
            }
        }
        drop(kept);
        verified(&ledger);
    }
}

#[test]
fn only_operators_settle() {
    let ledger = create(MemoryBackend::new());
    make_unknown(&ledger, 1);
    for who in ["agent:a", "agent:b", "service:a"] {
        let who: Principal = who.parse().expect("a principal");
        let message = ledger.settle(call(1), Settlement::NotExecuted, &who, "seen").expect_err("a refusal").to_string();
        assert_eq!(message, format!("`{who}` can't settle a call: only an operator can"));
    }
    assert_eq!(ledger.len(), 3);
    ledger.settle(call(1), Settlement::NotExecuted, &operator(), "seen").expect("a settlement");
}

#[test]
fn settlement_frees_or_closes_the_key() {
    // IDM-07; IDM-01: whatever is said, the call that was cut off does not run again by itself.
    for how in SETTLEMENTS {
        let disk = disk();
        let ledger = create(disk.clone());
        make_unknown(&ledger, 1);
        ledger.settle(call(1), how, &operator(), "seen").expect("a settlement");
        let Some(Body::Settled(settled)) = bodies(&ledger).pop() else { panic!("no settlement") };
        assert_eq!((settled.call, settled.finished, settled.how), (call(1), 2, how));
        let key = ContentKey { entry: 3, name: ContentName::Reason, commitment: settled.reason };
        let reason = ledger.content(&key).expect("an answer").expect("a reason");
        assert_eq!(reason.bytes, b"seen");
        // A restart changes nothing: there is nothing to recover, and the key stands for the same.
        drop(ledger);
        let ledger = open(disk.restart());
        assert_eq!(settle(&ledger).expect("a recovery"), []);
        let other = Intent { input: b"{}".to_vec(), ..keyed(2, Reach::Writes, "k") };
        assert!(matches!(ledger.begin(other), Ok(Begin::Conflict { .. })), "IDM-02");
        let doubtful = ledger.doubtful().expect("an answer");
        assert_eq!(doubtful.iter().map(|d| (d.call, d.begun, d.finished)).collect::<Vec<_>>(), [(call(1), 1, Some(2))]);
        assert_eq!(doubtful[0].settlement.as_ref().map(|said| (said.how, said.index)), Some((how, 3)));
        let again = ledger.begin(keyed(3, Reach::Writes, "k")).expect("an answer");
        match (how, again) {
            (Settlement::NotExecuted, Begin::Begun(begun)) => {
                ledger.finish(begun, ending(EffectState::Committed, "x")).expect("an ending");
                known(ledger.begin(keyed(4, Reach::Writes, "k")).expect("an answer"));
            }
            (Settlement::Committed, Begin::Settled { call: held, by, settled, .. }) => {
                assert_eq!((held, by, settled), (call(1), operator(), 3));
                assert!(ledger.recall(&keyed(5, Reach::Writes, "k")).expect("an answer").is_none());
            }
            (how, again) => panic!("{again:?} after {how:?}"),
        }
        verified(&ledger);
    }
}

#[test]
fn calls_cut_off_are_listed_before_recovery() {
    let disk = disk();
    let ledger = create(disk.clone());
    drop((begin(&ledger, keyed(1, Reach::Writes, "k")), begin(&ledger, intent(2, Reach::Reads)), ledger));
    let ledger = open(disk.restart());
    let live = begin(&ledger, intent(3, Reach::Writes));
    let found = ledger.doubtful().expect("an answer");
    assert_eq!(found.iter().map(|d| (d.call, d.finished, d.has_key)).collect::<Vec<_>>(), [(call(1), None, true)]);
    settle(&ledger).expect("a recovery");
    drop(live);
    let found = ledger.doubtful().expect("an answer");
    assert_eq!(found.iter().map(|d| (d.call, d.finished.is_some())).collect::<Vec<_>>(), [(call(1), true)]);
}

#[test]
fn fault_at_a_settlement_leaves_all_or_nothing() {
    // CR-05 to CR-14, CR-23: entry and row are one commit.
    for (how, fault) in SETTLEMENTS.into_iter().flat_map(|how| faults().map(|fault| (how, fault))) {
        let disk = disk();
        let ledger = create(disk.clone());
        make_unknown(&ledger, 1);
        disk.fail(0, fault.clone());
        ledger.settle(call(1), how, &operator(), "seen").expect_err("a fault");
        drop(ledger);
        let ledger = open(disk.restart());
        verified(&ledger);
        let again = ledger.settle(call(1), how, &operator(), "seen");
        match fault {
            Fault::FailedButPersisted => assert!(matches!(again, Err(SettleError::Settled(_, 3))), "{again:?}"),
            _ => assert_eq!(again.expect("a settlement"), 3),
        }
        assert_eq!(kinds(&ledger), ["opened", "begun", "finished", "settled"]);
        verified(&ledger);
    }
}

#[test]
fn row_alone_settles_nothing() {
    // AUD-14: a row that calls a known effect unknown is found out by the entry.
    let disk = disk();
    let ledger = create(disk.clone());
    make(&ledger, keyed(1, Reach::Writes, "k"));
    let row = ledger.find(&call(1)).expect("an answer").expect("a call");
    let state = CallState::Finished { begun: 1, finished: 2, effect: EffectState::Unknown };
    let forged = CallRow { state, ..row };
    ledger.commit_aside(Batch { calls: vec![forged], ..Batch::default() }).expect("a commit");
    let refused = ledger.settle(call(1), Settlement::NotExecuted, &operator(), "seen").expect_err("a refusal");
    assert!(matches!(refused, SettleError::Ledger(LedgerError::Corrupt { index: 2, .. })), "{refused}");
    assert_eq!(ledger.len(), 3);
}

#[test]
fn one_of_many_who_settle_does() {
    let ledger = create(MemoryBackend::new());
    make_unknown(&ledger, 1);
    let settled = thread::scope(|scope| {
        let one = |number: usize| {
            let ledger = &ledger;
            scope.spawn(move || ledger.settle(call(1), SETTLEMENTS[number % 2], &operator(), "seen").is_ok())
        };
        let all: Vec<_> = (0..16).map(one).collect();
        all.into_iter().map(|one| usize::from(one.join().expect("an answer"))).sum::<usize>()
    });
    assert_eq!((settled, ledger.len()), (1, 4));
    verified(&ledger);
}

/// What a caller was told.
#[derive(Debug, Default)]
struct Told {
    recorded: Vec<Recorded>,
    /// Calls that were told to run, and so may have touched the world.
    ran: Vec<CallId>,
}

/// Every kind of write; stops at the first error, as a host whose log has stopped.
fn script(ledger: &Ledger, told: &mut Told) -> Result<(), LedgerError> {
    for (number, reach) in (1..).zip(REACHES) {
        if let Begin::Begun(begun) = ledger.begin(keyed(number, reach, &format!("key {number}")))? {
            told.ran.push(begun.call());
            told.recorded.push(ledger.finish(begun, ending(EffectState::Committed, "x"))?);
        }
    }
    told.recorded.push(ledger.refuse(refusal(9))?);
    Ok(())
}

fn faults() -> [Fault; 2] {
    [Fault::Failed(BackendError::Io("no".into())), Fault::FailedButPersisted]
}

#[test]
fn fault_at_every_commit_leaves_whole_chain() {
    // CR-05 to CR-14, CR-23
    let commits = {
        let disk = disk();
        script(&create(disk.clone()), &mut Told::default()).expect("no fault");
        disk.counts().0
    };
    assert_eq!(commits, 7);
    for (nth, fault) in (0..commits - 1).flat_map(|nth| faults().map(|fault| (nth, fault))) {
        let (disk, mut told) = (disk(), Told::default());
        let ledger = create(disk.clone());
        disk.fail(nth, fault.clone());
        script(&ledger, &mut told).expect_err("a fault");
        assert!(matches!(ledger.refuse(refusal(8)), Err(LedgerError::Stopped(_))));
        assert!(matches!(ledger.find(&call(1)), Err(LedgerError::Stopped(_))));
        drop(ledger);
        let ledger = open(disk.restart());
        let entries = verified(&ledger);
        for recorded in &told.recorded {
            let index = usize::try_from(recorded.index).expect("small");
            assert_eq!(entries[index].hash, recorded.hash, "acknowledged and lost at {nth}, {fault:?}");
        }
        for ran in &told.ran {
            let begun = bodies(&ledger).iter().any(|body| body.kind() == "begun" && body.call() == Some(*ran));
            let nothing = *ran == call(1);
            assert!(begun || nothing, "ran and was not written down at {nth}, {fault:?}");
        }
        settle(&ledger).expect("a recovery");
        assert_every_call_ended_once(&ledger);
        // The callers try again: no call that writes runs twice.
        let ran_before = told.ran.contains(&call(3));
        let mut again = Told::default();
        script(&ledger, &mut again).expect("no fault");
        assert!(!(ran_before && again.ran.contains(&call(3))), "ran twice at {nth}, {fault:?}");
        assert_every_call_ended_once(&ledger);
    }
}

#[test]
fn fault_at_every_question_writes_nothing_wrong() {
    // CR-24
    let asked = |disk: &FaultyBackend| disk.counts().1;
    let questions = {
        let disk = disk();
        let ledger = create(disk.clone());
        let before = asked(&disk);
        script(&ledger, &mut Told::default()).expect("no fault");
        asked(&disk) - before
    };
    assert!(questions > 3, "{questions}");
    for nth in 0..questions {
        let (disk, mut told) = (disk(), Told::default());
        let ledger = create(disk.clone());
        disk.fail_question(nth, BackendError::Io("no".into()));
        let error = script(&ledger, &mut told).expect_err("a fault");
        assert!(matches!(error, LedgerError::Storage(BackendError::Io(_))), "{error}");
        // Whoever could not be told anything is told to try again; a question leaves nothing behind.
        let ran_before = told.ran.contains(&call(3));
        let mut again = Told::default();
        script(&ledger, &mut again).expect("no fault");
        assert!(!(ran_before && again.ran.contains(&call(3))), "ran twice at {nth}");
        let ledger = open(disk.restart());
        settle(&ledger).expect("a recovery");
        assert_every_call_ended_once(&ledger);
    }
}

#[test]
fn fault_in_a_scrub_leaves_it_to_the_next() {
    // CR-27
    for fault in faults() {
        let disk = disk();
        let ledger = create(disk.clone());
        let index = make(&ledger, intent(1, Reach::Writes)).index;
        let contents = vec![RemovedContent { entry: index, name: ContentName::Output }];
        let removal = Removal { by: "desk".into(), contents, principal: principal("a"), reason: "asked for".into() };
        disk.fail_scrub(fault);
        ledger.remove(removal.clone()).expect_err("a fault");
        assert_eq!(kinds(&ledger).last(), Some(&"removed"), "what is gone is on record");
        assert_eq!(ledger.remove(removal).expect("a scrub"), Vec::new());
        verified(&ledger);
    }
}

#[test]
fn only_steps_of_the_table_are_taken() {
    // CR-26: two that settle the same call, of which the second has not seen the first.
    for effect in [EffectState::Aborted, EffectState::Committed, EffectState::Unknown] {
        for how in [None, Some(Settlement::Committed), Some(Settlement::NotExecuted)] {
            let disk = disk();
            drop(begin(&create(disk.clone()), keyed(1, Reach::Writes, "k")));
            let ledger = open(disk.restart());
            let [one, other] = [(); 2].map(|()| ledger.left_open().expect("calls").pop().expect("a call"));
            ledger.finish(one, ending(effect, "x")).expect("an ending");
            let settles = how.filter(|_| effect == EffectState::Unknown);
            if let Some(how) = settles {
                ledger.settle(call(1), how, &operator(), "seen").expect("a settlement");
            }
            let (len, row) = (ledger.len(), ledger.find(&call(1)).expect("an answer"));
            let error = ledger.finish(other, ending(EffectState::Aborted, "y")).expect_err("a refusal");
            let from = settles.map_or(Phase::ended(effect), Phase::Settled);
            assert!(matches!(&error, LedgerError::Step { from: found, .. } if *found == from), "{error}");
            assert_eq!((ledger.len(), ledger.find(&call(1)).expect("an answer")), (len, row));
            verified(&ledger);
        }
    }
}

#[test]
fn crash_gives_nobody_calls_for_free() {
    // IDM-13, AGT-09, CR-05 to CR-12: what is cut off has been counted.
    let cap = Cap { at_most: 3, scope: CountScope::Principal, unit: Unit::Calls, window: Window::Day };
    let capped = |number, reach| Intent { caps: vec![cap], ..intent(number, reach) };
    let disk = disk();
    let ledger = create(disk.clone());
    drop([1, 2].map(|number| begin(&ledger, capped(number, Reach::Writes))));
    make(&ledger, capped(3, Reach::Reads));
    drop(ledger);
    let ledger = open(disk.restart());
    settle(&ledger).expect("a recovery");
    assert!(matches!(ledger.begin(capped(4, Reach::Writes)), Ok(Begin::Capped(_))));
    // And the two were counted once each, not once more by recovery.
    let wider = Cap { at_most: 4, ..cap };
    make(&ledger, Intent { caps: vec![wider], ..intent(5, Reach::Writes) });
    assert!(matches!(ledger.begin(Intent { caps: vec![wider], ..intent(6, Reach::Nothing) }), Ok(Begin::Capped(_))));
}

fn doubtful(ledger: &Ledger) -> (Intent, Finding) {
    make_unknown(ledger, 1);
    let intent = keyed(2, Reach::Writes, "k");
    let doubt = ledger.doubted(&intent).expect("an answer").expect("a doubt");
    (intent, Finding { doubt, by: call(3) })
}

#[test]
fn adoption_is_there_as_a_whole_or_not() {
    // CR-05 to CR-14, CR-23: settlement, intent and ending are one commit.
    for fault in faults() {
        let disk = disk();
        let ledger = create(disk.clone());
        let (intent, finding) = doubtful(&ledger);
        let len = ledger.len();
        disk.fail(0, fault.clone());
        ledger.adopt(intent.clone(), finding, ending(EffectState::Committed, "found")).expect_err("a fault");
        let ledger = open(disk.restart());
        settle(&ledger).expect("a recovery");
        let is_there = fault == Fault::FailedButPersisted;
        assert_eq!(ledger.len(), len + if is_there { 3 } else { 0 });
        let adopted = ledger.adopt(intent, finding, ending(EffectState::Committed, "found")).expect("no fault");
        assert_eq!(adopted.is_none(), is_there, "what is adopted is not adopted again");
        let stored = known(ledger.begin(keyed(9, Reach::Writes, "k")).expect("an answer"));
        assert_eq!((stored.recorded.call, stored.recorded.index), (call(2), len + 2));
        assert_eq!(kinds(&ledger)[3..], ["settled", "begun", "finished"]);
        assert_every_call_ended_once(&ledger);
    }
}

#[test]
fn only_what_is_in_doubt_is_adopted() {
    let found = || ending(EffectState::Committed, "found");
    let ledger = create(MemoryBackend::new());
    let (intent, finding) = doubtful(&ledger);
    // Another input under the key is in no doubt; it is a conflict.
    let other = Intent { input: b"{}".to_vec(), ..intent.clone() };
    assert_eq!(ledger.doubted(&other).expect("an answer"), None);
    assert!(ledger.adopt(other, finding, found()).expect("an answer").is_none());
    // Somebody has settled it meanwhile.
    ledger.settle(call(1), Settlement::NotExecuted, &operator(), "seen").expect("a settlement");
    assert!(ledger.adopt(intent.clone(), finding, found()).expect("an answer").is_none());
    ledger.disown(finding).expect("nothing to do");
    assert_eq!(kinds(&ledger).iter().filter(|kind| **kind == "settled").count(), 1);
    // The key is held by a call that runs.
    let running = begin(&ledger, keyed(4, Reach::Writes, "k"));
    assert!(ledger.adopt(intent, finding, found()).expect("an answer").is_none());
    ledger.finish(running, ending(EffectState::Committed, "x")).expect("an ending");
    assert_every_call_ended_once(&ledger);
}

#[test]
fn idempotent_call_runs_whatever_it_did() {
    // IDM-07
    let ledger = create(MemoryBackend::new());
    make_unknown(&ledger, 1);
    let again = |number, idempotent| Intent { idempotent, ..keyed(number, Reach::Writes, "k") };
    assert!(matches!(ledger.begin(again(2, false)), Ok(Begin::EffectUnknown { .. })));
    make(&ledger, again(3, true));
    known(ledger.begin(again(4, false)).expect("an answer"));
    assert_every_call_ended_once(&ledger);
}

fn assert_every_call_ended_once(ledger: &Ledger) {
    let mut begun = BTreeMap::new();
    for (index, body) in (0..).zip(bodies(ledger)) {
        match body {
            Body::Begun(_) => assert!(begun.insert(index, 0).is_none()),
            Body::Finished(finished) => *begun.get_mut(&finished.begun).expect("an ending of nothing") += 1,
            _ => {}
        }
    }
    assert!(begun.values().all(|endings| *endings == 1), "{begun:?}");
    assert_eq!(ledger.read(|backend| backend.open_calls()).expect("an answer"), []);
}

#[test]
fn fault_in_recovery_leaves_it_to_the_next() {
    // CR-26
    for (nth, fault) in (0..4).flat_map(|nth| faults().map(|fault| (nth, fault))) {
        let disk = disk();
        let ledger = create(disk.clone());
        for number in 0..4 {
            drop(begin(&ledger, intent(number, if number % 2 == 0 { Reach::Reads } else { Reach::Writes })));
        }
        drop(ledger);
        let ledger = open(disk.restart());
        disk.fail(nth, fault.clone());
        settle(&ledger).expect_err("a fault");
        let ledger = open(disk.restart());
        verified(&ledger);
        let left = settle(&ledger).expect("a recovery").len();
        let persisted = u64::from(fault == Fault::FailedButPersisted);
        assert_eq!(u64::try_from(left).expect("small"), 4 - nth - persisted);
        assert_every_call_ended_once(&ledger);
    }
}

#[test]
fn full_disk_refuses_and_goes_on_later() {
    // CR-22, AUD-19
    for full in [BackendError::DiskFull, BackendError::ReadOnly] {
        let disk = disk();
        let ledger = create(disk.clone());
        make(&ledger, keyed(1, Reach::Writes, "k"));
        disk.fail(0, Fault::Failed(full.clone()));
        let error = ledger.begin(intent(2, Reach::Writes)).expect_err("no room");
        assert!(matches!(&error, LedgerError::Storage(found) if *found == full), "{error}");
        known(ledger.begin(keyed(3, Reach::Writes, "k")).expect("reading goes on"));
        make(&ledger, intent(4, Reach::Writes));
        assert_every_call_ended_once(&ledger);
    }
}

#[test]
fn full_disk_at_the_end_leaves_call_open() {
    let disk = disk();
    let ledger = create(disk.clone());
    let begun = begin(&ledger, keyed(1, Reach::Writes, "k"));
    disk.fail(0, Fault::Failed(BackendError::DiskFull));
    ledger.finish(begun, ending(EffectState::Committed, "x")).expect_err("no room");
    assert!(matches!(ledger.begin(keyed(2, Reach::Writes, "k")), Ok(Begin::EffectUnknown { .. })));
    drop(ledger);
    let ledger = open(disk.restart());
    assert_eq!(settle(&ledger).expect("a recovery").len(), 1);
    assert_every_call_ended_once(&ledger);
}

// Damage.

fn damaged(disk: &FaultyBackend, index: u64, damage: impl Fn(&mut Vec<u8>)) -> FaultyBackend {
    let other = FaultyBackend::new(MemoryBackend::new());
    for mut batch in disk.batches() {
        batch.entries.iter_mut().filter(|entry| entry.index == index).for_each(|entry| damage(&mut entry.bytes));
        backend::Backend::commit(&mut other.clone(), batch).expect("a commit");
    }
    other
}

#[test]
fn damaged_entry_is_named_on_open() {
    // AUD-13, CR-24
    let disk = disk();
    let ledger = create(disk.clone());
    history(&ledger);
    let last = ledger.len() - 1;
    for index in [0, last] {
        let length = ledger.entry(index).expect("an answer").expect("an entry").bytes.len();
        for position in 0..length {
            let error = try_open(damaged(&disk, index, |bytes| bytes[position] ^= 1)).expect_err("damaged");
            assert!(matches!(error, LedgerError::Corrupt { index: found, .. } if found == index), "{error}");
        }
    }
    // One in the middle is verification's to find, and it names it.
    let middle = open(damaged(&disk, 5, |bytes| bytes[40] ^= 1));
    let entries = middle.entries(0, usize::MAX).expect("entries");
    assert_eq!(report(&middle, &entries).findings[0].index, Some(5));
}

#[test]
fn log_that_is_none_is_refused() {
    let error = try_open(MemoryBackend::new()).expect_err("empty");
    assert_eq!(error.to_string(), "entry `0` of the log is damaged: it is missing");
    let disk = disk();
    drop(create(disk.clone()));
    let again = Ledger::create(Box::new(disk.restart()), opened(), SteppingClock::new(false), SeededRandom::new(0));
    assert!(matches!(again, Err(LedgerError::NotNew)));
}

#[test]
fn oversized_entry_leaves_chain_unmoved() {
    let ledger = create(MemoryBackend::new());
    let long = Intent { function: "f".repeat(100_000), ..intent(1, Reach::Writes) };
    assert!(matches!(ledger.begin(long), Err(LedgerError::Encode(_))));
    let begun = begin(&ledger, Intent { function: "f".repeat(100_000), ..intent(2, Reach::Nothing) });
    assert!(matches!(ledger.finish(begun, ending(EffectState::Committed, "x")), Err(LedgerError::Encode(_))));
    assert_eq!(ledger.len(), 1);
    history(&ledger);
    verified(&ledger);
}

#[derive(Debug)]
struct NoRandom;

impl Random for NoRandom {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError("none left".into()))
    }
}

#[test]
fn without_randomness_nothing_is_written() {
    let random = std::sync::Arc::new(NoRandom);
    let backend = Box::new(MemoryBackend::new());
    let ledger = Ledger::create(backend, opened(), SteppingClock::new(false), random).expect("a new log");
    assert!(matches!(ledger.begin(intent(1, Reach::Writes)), Err(LedgerError::Random(_))));
    assert!(matches!(ledger.refuse(refusal(2)), Err(LedgerError::Random(_))));
    assert_eq!(ledger.len(), 1);
}

#[test]
fn clock_that_goes_backwards_keeps_the_order() {
    // CLK-01, AUD-23
    let clock = SteppingClock::new(true);
    let ledger = Ledger::create(Box::new(MemoryBackend::new()), opened(), clock, SeededRandom::new(0));
    let ledger = ledger.expect("a new log");
    history(&ledger);
    let entries = ledger.entries(0, usize::MAX).expect("entries");
    assert!(entries.windows(2).all(|pair| pair[0].index + 1 == pair[1].index));
    assert!(report(&ledger, &entries).is_intact());
}

/// A clock that says whatever it is told.
#[derive(Debug)]
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn no_clock_makes_a_key_forgotten() {
    // CLK-01, CLK-03, IDM-09: ten years on, in 1970, after the last second of 32 bits, and at the end of time.
    let clock = Arc::new(SetClock(1_795_218_613_000.into()));
    let disk = disk();
    let ledger =
        Ledger::create(Box::new(disk.clone()), opened(), clock.clone(), SeededRandom::new(0)).expect("a new log");
    let first = make(&ledger, keyed(1, Reach::Writes, "k"));
    for (number, millis) in (2..).zip([2_110_751_413_000, 0, 4_294_967_296_000, u64::MAX, 1_795_218_613_000]) {
        clock.0.store(millis, Ordering::Relaxed);
        assert_eq!(known(ledger.begin(keyed(number, Reach::Writes, "k")).expect("an answer")).recorded, first);
        recovery::settle(&ledger).expect("nothing to settle");
        make(&ledger, keyed(number + 100, Reach::Writes, &number.to_string()));
    }
    let entries = ledger.entries(0, usize::MAX).expect("entries");
    assert!(report(&ledger, &entries).is_intact());
    drop(ledger);
    let again = known(open(disk.restart()).begin(keyed(50, Reach::Writes, "k")).expect("an answer"));
    assert_eq!(again.recorded, first);
}

#[test]
fn one_moment_holds_any_number_of_calls() {
    // CLK-06: what happens at the same time is in order by index, and no two have one id.
    let clock = Arc::new(SetClock(1_795_218_613_000.into()));
    let ledger = Ledger::create(Box::new(MemoryBackend::new()), opened(), clock, SeededRandom::new(0));
    let ledger = ledger.expect("a new log");
    let ids: BTreeSet<_> = (0..10_000).map(|_| ledger.new_call_id().expect("an id")).collect();
    assert_eq!(ids.len(), 10_000);
    for number in 1..=1_000 {
        make(&ledger, intent(number, Reach::Nothing));
    }
    let entries = verified(&ledger);
    assert_eq!(entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), (0..2_001).collect::<Vec<_>>());
}

#[test]
fn cost_does_not_grow_with_history() {
    // IDM-13
    let disk = disk();
    let ledger = create(disk.clone());
    let mut next = 0;
    let mut one = |ledger: &Ledger| {
        let before = disk.counts();
        next += 1;
        make(ledger, keyed(next, Reach::Writes, &next.to_string()));
        known(ledger.begin(keyed(next + 1_000_000, Reach::Writes, &next.to_string())).expect("an answer"));
        let after = disk.counts();
        (after.0 - before.0, after.1 - before.1)
    };
    // What was used lately is read once.
    one(&ledger);
    let first = one(&ledger);
    assert_eq!(first, (2, 6));
    for _ in 0..500 {
        assert_eq!(one(&ledger), first);
    }
    let questions = disk.counts().1;
    open(disk.restart());
    assert_eq!(disk.counts().1 - questions, 3);
}

#[test]
fn messages_are_one_line_in_our_words() {
    let errors = [
        LedgerError::Corrupt { index: 3, why: "it is missing".into() },
        LedgerError::Encode("an entry of 70000 bytes is larger than 65535".into()),
        LedgerError::Misuse("x"),
        LedgerError::Random(RandomError("x".into())),
        LedgerError::Stopped(BackendError::DiskFull),
        LedgerError::Storage(BackendError::DiskFull),
        LedgerError::Storage(BackendError::ReadOnly),
        LedgerError::Storage(BackendError::InUse),
        LedgerError::Storage(BackendError::Unusable { path: "a".into(), why: "it is empty".into() }),
    ];
    for message in errors.map(|error| error.to_string()) {
        assert!(!message.contains('\n') && !message.ends_with('.'), "{message}");
        assert!(message.starts_with(|c: char| c.is_lowercase() || c == '`'), "{message}");
    }
}

// Against a model.

#[derive(Clone, Debug)]
enum Act {
    Begin { key: u8, input: u8, reach: Reach },
    Drop,
    Finish(EffectState),
    Refuse,
    Restart,
    Settle { key: u8, how: Settlement },
}

fn any_act() -> impl Strategy<Value = Act> {
    let reach = prop::sample::select(REACHES.to_vec());
    let effect = prop::sample::select(vec![EffectState::Aborted, EffectState::Committed, EffectState::Unknown]);
    prop_oneof![
        6 => (0..3_u8, 0..2_u8, reach).prop_map(|(key, input, reach)| Act::Begin { key, input, reach }),
        1 => Just(Act::Drop),
        5 => effect.prop_map(Act::Finish),
        1 => Just(Act::Refuse),
        1 => Just(Act::Restart),
        3 => (0..3_u8, prop::sample::select(SETTLEMENTS.to_vec())).prop_map(|(key, how)| Act::Settle { key, how }),
    ]
}

/// What a key stands for, as a map would have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Running,
    /// Begun by nobody who still runs.
    Left(Reach),
    Ended(EffectState),
    Settled(Settlement),
}

/// A key's input, the call it stands for, and how far that has come.
type Held = (u8, CallId, Slot);

#[derive(Debug)]
struct Running {
    key: u8,
    reach: Reach,
    begun: Begun,
    /// What the key stood for before.
    before: Option<Held>,
}

#[derive(Debug, Default)]
struct Model {
    keys: BTreeMap<u8, Held>,
    running: Vec<Running>,
    entries: u64,
    numbers: u64,
}

impl Model {
    fn step(&mut self, ledger: &Ledger, act: &Act) {
        match act {
            Act::Begin { key, input, reach } => self.begin(ledger, *key, *input, *reach),
            Act::Drop => {
                if let Some(running) = self.running.pop() {
                    self.leave(running);
                }
            }
            Act::Finish(effect) => {
                let Some(Running { key, reach, begun, .. }) = self.running.pop() else { return };
                self.keys.entry(key).and_modify(|held| held.2 = Slot::Ended(*effect));
                ledger.finish(begun, ending(*effect, "x")).expect("an ending");
                self.entries += if reach == Reach::Nothing { 2 } else { 1 };
            }
            Act::Refuse => {
                self.numbers += 1;
                ledger.refuse(refusal(self.numbers)).expect("a refusal");
                self.entries += 1;
            }
            Act::Restart => std::mem::take(&mut self.running).into_iter().for_each(|running| self.leave(running)),
            Act::Settle { key, how } => self.settle(ledger, *key, *how),
        }
    }

    fn settle(&mut self, ledger: &Ledger, key: u8, how: Settlement) {
        let Some((_, held, slot)) = self.keys.get_mut(&key) else { return };
        match (*slot, ledger.settle(*held, how, &operator(), "seen")) {
            (Slot::Ended(EffectState::Unknown), Ok(index)) => {
                assert_eq!(index, self.entries);
                *slot = Slot::Settled(how);
                self.entries += 1;
            }
            (Slot::Settled(_), Err(SettleError::Settled(call, _)))
            | (Slot::Running, Err(SettleError::NoCall(call) | SettleError::NotUnknown(call, _)))
            | (
                Slot::Left(_) | Slot::Ended(EffectState::Aborted | EffectState::Committed),
                Err(SettleError::NotUnknown(call, _)),
            ) => assert_eq!(*held, call),
            (slot, answer) => panic!("{answer:?} where the model has {slot:?}"),
        }
    }

    /// Whoever ran the call is gone.
    fn leave(&mut self, Running { key, reach, before, .. }: Running) {
        match (reach, before) {
            // As if it had never been.
            (Reach::Nothing, Some(before)) => drop(self.keys.insert(key, before)),
            (Reach::Nothing, None) => drop(self.keys.remove(&key)),
            _ => drop(self.keys.entry(key).and_modify(|held| held.2 = Slot::Left(reach))),
        }
    }

    fn begin(&mut self, ledger: &Ledger, key: u8, input: u8, reach: Reach) {
        self.numbers += 1;
        let intent = Intent { input: vec![input], ..keyed(self.numbers, reach, &key.to_string()) };
        let answer = ledger.begin(intent).expect("an answer");
        let Some((known, held, slot)) = self.keys.get(&key).copied() else {
            return self.run(key, input, reach, answer);
        };
        match (slot, answer) {
            (_, Begin::Conflict { call }) if known != input => assert_eq!(held, call),
            (_, answer) if known != input => panic!("{answer:?} for another input"),
            (Slot::Running, Begin::InProgress { call })
            | (Slot::Settled(Settlement::Committed), Begin::Settled { call, .. }) => assert_eq!(held, call),
            (Slot::Ended(EffectState::Committed), Begin::Known(stored)) => assert_eq!(held, stored.recorded.call),
            (Slot::Ended(EffectState::Unknown) | Slot::Left(Reach::Writes), Begin::EffectUnknown { call, .. }) => {
                assert_eq!(held, call);
            }
            (
                Slot::Ended(EffectState::Aborted) | Slot::Left(Reach::Reads) | Slot::Settled(Settlement::NotExecuted),
                answer,
            ) => {
                self.run(key, input, reach, answer);
            }
            (slot, answer) => panic!("{answer:?} where the model has {slot:?}"),
        }
    }

    fn run(&mut self, key: u8, input: u8, reach: Reach, answer: Begin) {
        let Begin::Begun(begun) = answer else { panic!("{answer:?} where the call may run") };
        let before = self.keys.insert(key, (input, begun.call(), Slot::Running));
        self.entries += u64::from(reach != Reach::Nothing);
        self.running.push(Running { key, reach, begun, before });
    }

    fn recovered(&mut self, settled: &[recovery::Settled]) {
        for settled in settled {
            self.entries += 1;
            for held in self.keys.values_mut().filter(|held| held.1 == settled.recorded.call) {
                held.2 = Slot::Ended(settled.effect);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn ledger_agrees_with_a_map(acts in prop::collection::vec(any_act(), 0..60)) {
        let disk = disk();
        let mut ledger = create(disk.clone());
        let mut model = Model { entries: 1, ..Model::default() };
        for act in acts {
            model.step(&ledger, &act);
            if matches!(act, Act::Restart) {
                drop(ledger);
                ledger = open(disk.restart());
                model.recovered(&settle(&ledger).expect("a recovery"));
            }
            prop_assert_eq!(ledger.len(), model.entries);
        }
        verified(&ledger);
    }
}

#[test]
fn entries_hold_no_content() {
    // AUD-17
    let ledger = create(MemoryBackend::new());
    make(&ledger, Intent { input: b"hunter2".to_vec(), grant: b"hunter2".to_vec(), ..intent(1, Reach::Writes) });
    for entry in verified(&ledger) {
        assert!(!String::from_utf8_lossy(&entry.bytes).contains("hunter2"));
    }
}
