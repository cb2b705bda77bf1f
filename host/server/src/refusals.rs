//! Refusals: how many of them one principal may have written down within a minute.
//!
//! Each is an entry, synced like every other, and what a policy, a cap or a place refuses is bounded by none of these: one
//! caller could fill the disk with what it can't have. So they are counted by principal, whatever tokens it has, and whoever
//! has too many is answered without being looked at until the minute is over. Counts are of this process and gone with it.
//! This module refuses nothing and writes nothing down.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use ringfence_model::call::Input;
use ringfence_model::principal::Principal;
use serde_json::Value;
use tokio::time::Instant;

/// What is counted together.
const MINUTE: Duration = Duration::from_mins(1);

/// Refusals of one kind, by who has them.
#[derive(Debug)]
pub(crate) struct Refusals {
    count_max: u32,
    bytes_max: usize,
    tallies: Mutex<HashMap<Principal, Tally>>,
}

/// What one principal had since its minute began.
#[derive(Clone, Copy, Debug)]
struct Tally {
    since: Instant,
    count: u32,
    bytes: usize,
    /// Whether it was told of that there are too many.
    is_told: bool,
}

impl Refusals {
    /// So many within a minute, of inputs of so many bytes.
    pub(crate) fn bounded(count_max: u32, bytes_max: usize) -> Self {
        Self { count_max, bytes_max, tallies: Mutex::default() }
    }

    /// One more, of an input of so many bytes.
    pub(crate) fn count(&self, principal: &Principal, bytes: usize, now: Instant) {
        let fresh = Tally { since: now, count: 0, bytes: 0, is_told: false };
        let mut tallies = self.current(now);
        let tally = tallies.entry(principal.clone()).or_insert(fresh);
        tally.count = tally.count.saturating_add(1);
        tally.bytes = tally.bytes.saturating_add(bytes);
    }

    /// For how many milliseconds yet a principal has as many as it may have.
    pub(crate) fn too_many(&self, principal: &Principal, now: Instant) -> Option<u64> {
        let tallies = self.current(now);
        let tally = tallies.get(principal)?;
        let is_full = tally.count >= self.count_max || tally.bytes >= self.bytes_max;
        let left = MINUTE.saturating_sub(now.duration_since(tally.since));
        is_full.then(|| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// Whether this is to be told of: once within a minute.
    pub(crate) fn is_news(&self, principal: &Principal, now: Instant) -> bool {
        let mut tallies = self.current(now);
        tallies.get_mut(principal).is_some_and(|tally| !std::mem::replace(&mut tally.is_told, true))
    }

    /// The tallies of minutes that are not over: as many as principals were refused something in the last one.
    fn current(&self, now: Instant) -> MutexGuard<'_, HashMap<Principal, Tally>> {
        // Each change is one step.
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.retain(|_, tally| now.duration_since(tally.since) < MINUTE);
        tallies
    }
}

/// How many bytes of an input whoever calls has chosen: about what is kept of it.
pub(crate) fn weight(input: &Input) -> usize {
    let value = input.value.as_ref().map_or(0, weight_of);
    let arguments: usize = input.arguments.iter().map(String::len).sum();
    value.saturating_add(arguments).saturating_add(input.stdin.len())
}

fn weight_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(|item| weight_of(item).saturating_add(1)).sum(),
        Value::Object(fields) => fields.iter().map(|(name, item)| name.len().saturating_add(weight_of(item) + 4)).sum(),
        Value::String(text) => text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn principal(name: &str) -> Principal {
        format!("agent:{name}").parse().expect("a principal")
    }

    #[test]
    fn bound_is_each_principals_own() {
        // AUD-20, API-09
        let refusals = Refusals::bounded(3, 100);
        let (start, a, b) = (Instant::now(), principal("a"), principal("b"));
        for _ in 0..3 {
            assert_eq!(refusals.too_many(&a, start), None);
            refusals.count(&a, 1, start);
        }
        let left = |principal, after: u64| refusals.too_many(principal, start + Duration::from_millis(after));
        assert_eq!((left(&a, 20_000), left(&a, 59_999), left(&b, 59_999)), (Some(40_000), Some(1), None));
        assert!(refusals.is_news(&a, start) && !refusals.is_news(&a, start));
        // Another minute is another count, and is told of again.
        let next = start + MINUTE;
        assert_eq!((left(&a, 60_000), refusals.is_news(&a, next)), (None, false));
        (0..3).for_each(|_| refusals.count(&a, 1, next));
        assert_eq!((left(&a, 60_000), refusals.is_news(&a, next)), (Some(60_000), true));
    }

    #[test]
    fn few_large_ones_are_too_many() {
        // AUD-20
        let (refusals, now, a) = (Refusals::bounded(100, 1_000), Instant::now(), principal("a"));
        refusals.count(&a, 999, now);
        assert_eq!(refusals.too_many(&a, now), None);
        refusals.count(&a, usize::MAX, now);
        assert_eq!(refusals.too_many(&a, now), Some(60_000));
    }

    #[test]
    fn nobody_is_kept_longer_than_a_minute() {
        let (refusals, now) = (Refusals::bounded(1, 1), Instant::now());
        (0..1_000).for_each(|number| refusals.count(&principal(&number.to_string()), 1, now));
        assert_eq!(refusals.tallies.lock().expect("tallies").len(), 1_000);
        assert_eq!(refusals.too_many(&principal("1"), now + MINUTE), None);
        assert!(refusals.tallies.lock().expect("tallies").is_empty());
    }

    #[test]
    fn weight_is_of_all_that_is_chosen() {
        let of = |value, arguments: &[&str], stdin: &str| {
            let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
            weight(&Input { value, arguments, stdin: stdin.into() })
        };
        assert_eq!(of(None, &[], ""), 0);
        assert_eq!(of(None, &["abc", "d"], "xy"), 6);
        let long = "x".repeat(1_000);
        for value in [json!(long), json!([[long]]), json!({ "a": { "b": long } }), json!({ (long.as_str()): 1 })] {
            assert!((1_000..1_100).contains(&of(Some(value.clone()), &[], "")), "{value}");
        }
        assert!(of(Some(json!(vec![1; 1_000])), &[], "") >= 2_000);
    }
}
