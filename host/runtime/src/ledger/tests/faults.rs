//! Restarts, crashes, disks that fail and bytes that change: what is acknowledged stands, and every call ends once.

use ringfence_model::content::ContentName;
use ringfence_model::decision::Cap;
use ringfence_model::decision::CountScope;
use ringfence_model::decision::Unit;
use ringfence_model::decision::Window;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Finished;
use ringfence_model::entry::RemovedContent;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::outcome::OutcomeKind;

use crate::ledger::Begin;
use crate::ledger::Intent;
use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::Recorded;
use crate::ledger::Removal;
use crate::ledger::backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::MemoryBackend;
use crate::ledger::backend::faulty::Fault;
use crate::ledger::backend::faulty::FaultyBackend;
use crate::ledger::fixture::*;
use crate::ledger::recovery::settle;
use crate::ledger::tests::REACHES;
use crate::ledger::tests::assert_every_call_ended_once;
use crate::ledger::tests::bodies;
use crate::ledger::tests::disk;
use crate::ledger::tests::faults;
use crate::ledger::tests::history;
use crate::ledger::tests::kinds;
use crate::ledger::tests::known;

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
