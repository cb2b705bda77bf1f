//! Does the order of questions, or of policies, change an answer?
//!
//! The cases are asked in many orders, each twice in a row, and have to get the very same ruling each time: verdict,
//! reasons, obligations and fuel. Then the policy decides beside others, in every order of a few, and the decision has to
//! be the same.

use ringfence_model::outcome::one_line;
use serde::Serialize;

use crate::policy::Policy;
use crate::policy::PolicySet;
use crate::policy::cases::LoadedCases;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shuffled {
    /// What the orders were made from.
    pub seed: u64,
    /// Orders that the cases were asked in.
    pub orders: u32,
    /// Questions that were asked.
    pub asked: u64,
    /// Decisions that sets in another order made.
    pub decided: u64,
    /// Cases that were answered in two ways, each once.
    pub disagreeing: Vec<String>,
}

impl LoadedCases {
    /// Asks in `orders` orders, and beside `others`.
    pub fn shuffle(&self, others: &[Policy], seed: u64, orders: u32, mut progress: impl FnMut(u32)) -> Shuffled {
        let mut shuffled = Shuffled { seed, orders, ..Shuffled::default() };
        let first: Vec<_> = self.rows.iter().map(|row| row.policy.ask(&row.request)).collect();
        let mut rows: Vec<_> = self.rows.iter().zip(&first).collect();
        let mut numbers = Numbers(seed);
        for order in 0..orders {
            numbers.shuffle(&mut rows);
            for (row, wanted) in &rows {
                let agrees = (0..2).all(|_| row.policy.ask(&row.request) == **wanted);
                shuffled.asked += 2;
                if !agrees {
                    shuffled.disagrees(&row.case.name);
                }
            }
            for (row, _) in &rows {
                let mut policies: Vec<_> = others.iter().chain([&row.policy]).cloned().collect();
                let wanted = PolicySet::new(policies.clone()).decide(&row.request);
                numbers.shuffle(&mut policies);
                let decided = PolicySet::new(policies).decide(&row.request);
                shuffled.decided += 1;
                if decided != wanted {
                    shuffled.disagrees(&row.case.name);
                }
            }
            progress(order + 1);
        }
        shuffled
    }
}

impl Shuffled {
    fn disagrees(&mut self, case: &str) {
        let case = one_line(case);
        if !self.disagreeing.contains(&case) {
            self.disagreeing.push(case);
        }
    }
}

/// Numbers from a seed (splitmix64): the same on any machine.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let below = u64::try_from(last).unwrap_or_default() + 1;
            items.swap(last, usize::try_from(self.next() % below).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_makes_the_same_order() {
        let order = |seed: u64| {
            let mut items: Vec<u32> = (0..50).collect();
            Numbers(seed).shuffle(&mut items);
            items
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
        let mut sorted = order(7);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}
