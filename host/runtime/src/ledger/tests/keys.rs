//! Idempotency keys: one call runs under a key, whoever asks how often, and whatever became of it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;

use ringfence_model::entry::EffectState;
use ringfence_model::grant::Reach;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::ring::Ring;

use crate::ledger::Begin;
use crate::ledger::Intent;
use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::Recorded;
use crate::ledger::backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::MemoryBackend;
use crate::ledger::backend::faulty::FaultyBackend;
use crate::ledger::fixture::*;
use crate::ledger::tests::REACHES;
use crate::ledger::tests::assert_every_call_ended_once;
use crate::ledger::tests::disk;
use crate::ledger::tests::known;
use crate::ledger::tests::make_unknown;

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
