//! Whatever is done in whatever order, the ledger agrees with a map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;

use crate::ledger::Begin;
use crate::ledger::Begun;
use crate::ledger::Intent;
use crate::ledger::Ledger;
use crate::ledger::fixture::*;
use crate::ledger::recovery;
use crate::ledger::recovery::settle;
use crate::ledger::settlements::SettleError;
use crate::ledger::tests::REACHES;
use crate::ledger::tests::SETTLEMENTS;
use crate::ledger::tests::disk;
use crate::ledger::tests::operator;

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
