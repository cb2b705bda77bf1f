//! Tests of the ledger as a whole, on every backend and with a fault at every commit.

mod calls;
mod clocks;
mod faults;
mod keys;
mod model;
mod settlements;

use std::collections::BTreeMap;

use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;
use ringfence_model::principal::Principal;

use crate::ledger::Begin;
use crate::ledger::Ledger;
use crate::ledger::Recorded;
use crate::ledger::StoredCall;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::MemoryBackend;
use crate::ledger::backend::faulty::Fault;
use crate::ledger::backend::faulty::FaultyBackend;
use crate::ledger::fixture::*;

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

fn known(begin: Begin) -> StoredCall {
    match begin {
        Begin::Known(stored) => *stored,
        other => panic!("not known: {other:?}"),
    }
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

fn faults() -> [Fault; 2] {
    [Fault::Failed(BackendError::Io("no".into())), Fault::FailedButPersisted]
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
