//! No clock moves the order of entries, or makes a key forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use ringfence_model::grant::Reach;
use ringfence_model::time::Clock;
use ringfence_model::time::Timestamp;

use crate::ledger::Ledger;
use crate::ledger::backend::MemoryBackend;
use crate::ledger::fixture::*;
use crate::ledger::recovery;
use crate::ledger::tests::disk;
use crate::ledger::tests::history;
use crate::ledger::tests::known;

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
