//! What was used lately, counted by principal, session, tool and host.
//!
//! Two counters for each window: this minute, hour or day, and the one before. What a window that slides holds is this
//! one and of the one before as much as it still covers, rounded up: the cost of counting does not grow with what is
//! counted. Calls are counted when they begin, under one lock with the caps that bound them, so that calls that come
//! together can't both take the last of one; fuel and time are counted when calls end. Counters are written down with the
//! intent as well as with the ending, so a crash gives nobody another call for free.

use std::collections::HashMap;
use std::sync::MutexGuard;

use ringfence_model::decision::Cap;
use ringfence_model::decision::Count;
use ringfence_model::decision::CountScope;
use ringfence_model::decision::Unit;
use ringfence_model::decision::Usage;
use ringfence_model::decision::Window;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Used;
use ringfence_model::id::SessionId;
use ringfence_model::principal::Principal;
use ringfence_model::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::ledger::backend::Fact;
use crate::ledger::backend::FactKind;
use crate::ledger::error::LedgerError;
use crate::ledger::facts::fact;
use crate::ledger::queue::lock;
use crate::ledger::record::Ledger;

/// Scopes that are kept in memory; beyond that, those that were not used for a day are let go.
const SCOPES_MAX: usize = 50_000;

/// Whom and what a call is counted for.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Who calls.
    pub principal: Principal,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// The tool.
    pub tool: Digest,
}

impl Counted {
    /// The keys it is counted under; a call without a session has none there.
    fn keys(&self) -> impl Iterator<Item = (CountScope, String)> {
        CountScope::ALL.into_iter().filter_map(|scope| Some((scope, self.key(scope)?)))
    }

    fn key(&self, scope: CountScope) -> Option<String> {
        Some(match scope {
            CountScope::Host => "host".to_owned(),
            CountScope::Principal => format!("principal {}", self.principal),
            CountScope::PrincipalTool => format!("principal-tool {} {}", self.principal, self.tool),
            CountScope::Session => format!("session {}", self.session?),
            CountScope::Tool => format!("tool {}", self.tool),
        })
    }
}

/// A cap that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capped {
    /// The cap.
    pub cap: Cap,
    /// After how long there is room again, at the latest.
    pub retry_after_ms: u64,
}

/// One window: when it started, what it has, and what the one before had.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sliding {
    start_ms: u64,
    now: Count,
    before: Count,
}

impl Sliding {
    fn turn(&mut self, window: Window, now_ms: u64) {
        let length = window.length_ms();
        let start = now_ms - now_ms % length;
        // A clock that goes back stays in the window it was in.
        if start <= self.start_ms {
            return;
        }
        let is_next = start - self.start_ms == length;
        self.before = if is_next { self.now } else { Count::default() };
        self.now = Count::default();
        self.start_ms = start;
    }

    /// What the last minute, hour or day has, rounded up.
    fn count(&self, window: Window, now_ms: u64) -> Count {
        let length = window.length_ms();
        let left = length.saturating_sub(now_ms.saturating_sub(self.start_ms));
        let part = |before: u64| {
            let covered = (u128::from(before) * u128::from(left)).div_ceil(u128::from(length));
            u64::try_from(covered).unwrap_or(u64::MAX)
        };
        Count {
            calls: self.now.calls.saturating_add(part(self.before.calls)),
            fuel: self.now.fuel.saturating_add(part(self.before.fuel)),
            wall_ms: self.now.wall_ms.saturating_add(part(self.before.wall_ms)),
        }
    }
}

/// The three windows of one scope.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Windows {
    day: Sliding,
    hour: Sliding,
    minute: Sliding,
}

impl Windows {
    fn each(&mut self) -> [(Window, &mut Sliding); 3] {
        [(Window::Minute, &mut self.minute), (Window::Hour, &mut self.hour), (Window::Day, &mut self.day)]
    }

    fn turn(&mut self, now_ms: u64) {
        self.each().into_iter().for_each(|(window, sliding)| sliding.turn(window, now_ms));
    }

    fn add(&mut self, count: Count) {
        for (_, sliding) in self.each() {
            sliding.now.calls = sliding.now.calls.saturating_add(count.calls);
            sliding.now.fuel = sliding.now.fuel.saturating_add(count.fuel);
            sliding.now.wall_ms = sliding.now.wall_ms.saturating_add(count.wall_ms);
        }
    }

    fn count(&self, window: Window, now_ms: u64) -> Count {
        match window {
            Window::Minute => self.minute.count(window, now_ms),
            Window::Hour => self.hour.count(window, now_ms),
            Window::Day => self.day.count(window, now_ms),
        }
    }
}

/// The counters of this process, read from the log's facts when they are first asked for.
#[derive(Debug, Default)]
pub(super) struct Usages {
    known: HashMap<String, Windows>,
    /// How often all of them were forgotten.
    forgotten: u64,
}

impl Usages {
    /// Somebody else may have counted since: what is written is read again.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.forgotten = self.forgotten.wrapping_add(1);
    }

    /// Takes notice of what is written, unless that was read before all was forgotten, or somebody was faster.
    fn learn(&mut self, forgotten: u64, key: String, mut windows: Windows, now_ms: u64) {
        if forgotten != self.forgotten {
            return;
        }
        if self.known.len() >= SCOPES_MAX {
            let day = Window::Day.length_ms();
            self.known.retain(|_, windows| now_ms.saturating_sub(windows.day.start_ms) < 2 * day);
        }
        // Else it might be let go again at once.
        windows.turn(now_ms);
        self.known.entry(key).or_insert(windows);
    }

    fn windows(&mut self, key: String, now_ms: u64) -> &mut Windows {
        let windows = self.known.entry(key).or_default();
        windows.turn(now_ms);
        windows
    }
}

impl Ledger {
    /// What was used lately by whom and what a call would be counted for.
    pub fn usage(&self, counted: &Counted, now: Timestamp) -> Result<Vec<Usage>, LedgerError> {
        let now_ms = now.as_millis();
        let mut usages = self.usages_of(counted, now_ms)?;
        let usage = |(scope, key)| {
            let windows = usages.windows(key, now_ms);
            Usage {
                day: windows.count(Window::Day, now_ms),
                hour: windows.count(Window::Hour, now_ms),
                minute: windows.count(Window::Minute, now_ms),
                scope,
            }
        };
        Ok(counted.keys().map(usage).collect())
    }

    /// Whether its counters are in memory.
    pub(crate) fn knows_usage(&self, counted: &Counted) -> bool {
        let usages = lock(&self.usages);
        counted.keys().all(|(_, key)| usages.known.contains_key(&key))
    }

    /// The counters, with those of a call in memory. The disk is asked while nobody else is kept from counting.
    fn usages_of(&self, counted: &Counted, now_ms: u64) -> Result<MutexGuard<'_, Usages>, LedgerError> {
        loop {
            let usages = lock(&self.usages);
            let Some((_, key)) = counted.keys().find(|(_, key)| !usages.known.contains_key(key)) else {
                return Ok(usages);
            };
            let forgotten = usages.forgotten;
            drop(usages);
            let written = self.known_fact(FactKind::Usage, &key)?.unwrap_or_default();
            lock(&self.usages).learn(forgotten, key, written, now_ms);
        }
    }

    /// Counts a call that begins, unless a cap is reached. A cap on sessions is reached by a call without one.
    pub(super) fn count_call(
        &self,
        counted: &Counted,
        caps: &[Cap],
        now: Timestamp,
    ) -> Result<Result<(), Capped>, LedgerError> {
        let now_ms = now.as_millis();
        let mut usages = self.usages_of(counted, now_ms)?;
        for cap in caps {
            let used = match counted.key(cap.scope) {
                Some(key) => amount(usages.windows(key, now_ms).count(cap.window, now_ms), cap.unit),
                None => u64::MAX,
            };
            if used >= cap.at_most {
                return Ok(Err(Capped { cap: *cap, retry_after_ms: cap.window.length_ms() }));
            }
        }
        for (_, key) in counted.keys() {
            usages.windows(key, now_ms).add(Count { calls: 1, ..Count::default() });
        }
        Ok(Ok(()))
    }

    /// Counts what a call used that ends.
    pub(super) fn count_used(&self, counted: &Counted, used: Used, now: Timestamp) -> Result<(), LedgerError> {
        let now_ms = now.as_millis();
        let mut usages = self.usages_of(counted, now_ms)?;
        let count = Count { calls: 0, fuel: used.fuel, wall_ms: used.wall_ms };
        for (_, key) in counted.keys() {
            usages.windows(key, now_ms).add(count);
        }
        Ok(())
    }

    /// The counters of a call that has just been counted, as they are written down. It asks the disk nothing, so it may
    /// be called while the line is held, and has to be: then what is written last is what was counted last.
    pub(super) fn counts(&self, counted: &Counted) -> Vec<Fact> {
        let usages = lock(&self.usages);
        let known =
            |(_, key): (_, String)| usages.known.get(&key).map(|windows| fact(FactKind::Usage, key.as_str(), windows));
        counted.keys().filter_map(known).collect()
    }
}

/// What of a count a cap is about.
pub fn amount(count: Count, unit: Unit) -> u64 {
    match unit {
        Unit::Calls => count.calls,
        Unit::Fuel => count.fuel,
        Unit::WallMs => count.wall_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(calls: u64) -> Count {
        Count { calls, ..Count::default() }
    }

    #[test]
    fn window_slides_over_the_border() {
        let mut windows = Windows::default();
        windows.turn(0);
        windows.add(calls(10));
        let at = |windows: &Windows, ms: u64| {
            let mut turned = *windows;
            turned.turn(ms);
            turned.count(Window::Minute, ms).calls
        };
        for (ms, wanted) in [(0, 10), (59_999, 10), (60_000, 10), (66_000, 9), (90_000, 5), (119_999, 1), (120_000, 0)]
        {
            assert_eq!(at(&windows, ms), wanted, "{ms}");
        }
        windows.turn(90_000);
        windows.add(calls(3));
        assert_eq!((at(&windows, 90_000), at(&windows, 119_999)), (8, 4));
    }

    #[test]
    fn clock_that_goes_back_forgets_nothing() {
        // CLK-01
        let mut windows = Windows::default();
        windows.turn(600_000);
        windows.add(calls(7));
        windows.turn(60_000);
        assert_eq!(windows.count(Window::Minute, 60_000).calls, 7);
        assert_eq!(windows.count(Window::Day, 60_000).calls, 7);
    }
}
