//! Calls of unknown effect: settled by operators, or adopted by what their tool says.

use std::thread;

use ringfence_model::content::ContentName;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;
use ringfence_model::lifecycle::Phase;
use ringfence_model::principal::Principal;

use crate::ledger::Begin;
use crate::ledger::Begun;
use crate::ledger::Intent;
use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::adoption::Finding;
use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::MemoryBackend;
use crate::ledger::backend::faulty::Fault;
use crate::ledger::fixture::*;
use crate::ledger::recovery::settle;
use crate::ledger::settlements::SettleError;
use crate::ledger::tests::SETTLEMENTS;
use crate::ledger::tests::assert_every_call_ended_once;
use crate::ledger::tests::bodies;
use crate::ledger::tests::disk;
use crate::ledger::tests::faults;
use crate::ledger::tests::kinds;
use crate::ledger::tests::known;
use crate::ledger::tests::make_unknown;
use crate::ledger::tests::operator;

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
