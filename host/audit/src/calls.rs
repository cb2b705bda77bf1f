//! What entries say of calls: an end has a beginning, and only one; what is settled was of unknown effect, and is settled
//! once.
//!
//! Only calls that have begun and not finished, and those of unknown effect that nobody has settled, are kept, so memory
//! follows these and not the length of the log.

use std::collections::HashMap;

use ringfence_model::entry::EffectState;
use ringfence_model::id::CallId;
use ringfence_model::time::Timestamp;

use crate::finding::FINDINGS_MAX;
use crate::finding::Findings;
use crate::finding::Kind;
use crate::scan::Facts;
use crate::scan::What;

/// Calls that may be open at one time before pairing is given up: a log made to fill the reader's memory ends here.
const OPEN_CALLS_MAX: usize = 1 << 16;
/// Calls of unknown effect that may wait for somebody at one time before settlements are given up, for the same reason.
const UNKNOWN_CALLS_MAX: usize = 1 << 16;

#[derive(Debug, Default)]
pub(crate) struct Calls {
    open: HashMap<CallId, u64>,
    /// Set when there were too many open calls; ends are no longer paired.
    gave_up: bool,
    /// Calls of unknown effect that nobody has settled, and the entry that ended each.
    unknown: HashMap<CallId, u64>,
    /// Set when there were too many of those; settlements are no longer checked.
    gave_up_settlements: bool,
    last: Option<(u64, Timestamp)>,
}

impl Calls {
    /// Takes in the entry that stands at `index`. `is_damaged` tells of entries that findings were made about already:
    /// what follows from those is not news.
    pub(crate) fn check(
        &mut self,
        index: u64,
        facts: &Facts,
        findings: &mut Findings,
        is_damaged: impl Fn(u64) -> bool,
    ) {
        self.check_time(index, facts.time, findings);
        if (index == 0) != matches!(facts.what, What::Opened(_)) {
            let text = if index == 0 {
                "entry `0` is not `opened`, which every log begins with".to_owned()
            } else {
                format!("entry `{index}` is `opened`, which only entry `0` may be")
            };
            findings.failure(Kind::Misplaced, index, text);
        }
        match &facts.what {
            What::Begun(call) => self.begin(index, *call, findings, is_damaged),
            What::Finished { begun, call, effect } => {
                if is_damaged(*begun) {
                    self.open.remove(call);
                } else {
                    self.end(index, *begun, *call, findings);
                }
                self.leave(index, *call, *effect, findings);
            }
            What::Settled { call, finished } if is_damaged(*finished) => {
                self.unknown.remove(call);
            }
            What::Settled { call, finished } => self.settle(index, *finished, *call, findings),
            What::Opened(_) | What::Other | What::Rotated(_) => {}
            What::Removed { last, .. } if *last >= index => {
                findings.failure(Kind::Misplaced, index, format!("entry `{index}` removes what entry `{last}` holds"));
            }
            What::Removed { what, .. } => findings.info(Kind::Removed, index, format!("removed: {what}")),
        }
    }

    /// Reports calls that never ended.
    pub(crate) fn finish(self, findings: &mut Findings) {
        let mut open: Vec<_> = self.open.into_iter().map(|(call, index)| (index, call)).collect();
        open.sort_unstable();
        for (index, call) in open.into_iter().take(FINDINGS_MAX) {
            findings.info(Kind::Unfinished, index, format!("entry `{index}` begins `{call}`, and nothing finishes it"));
        }
    }

    fn check_time(&mut self, index: u64, time: Timestamp, findings: &mut Findings) {
        if let Some((before, earlier)) = self.last
            && time < earlier
        {
            let text = format!("entry `{index}` says {time}, which is before entry `{before}`, {earlier}");
            findings.warning(Kind::TimeRegression, index, text);
        }
        self.last = Some((index, time));
    }

    fn begin(&mut self, index: u64, call: CallId, findings: &mut Findings, is_damaged: impl Fn(u64) -> bool) {
        if self.open.len() >= OPEN_CALLS_MAX && !self.gave_up {
            self.gave_up = true;
            let text = format!("more than {OPEN_CALLS_MAX} calls are open: ends are not paired from here on");
            findings.warning(Kind::Unpaired, index, text);
        }
        if self.gave_up {
            return;
        }
        if let Some(before) = self.open.insert(call, index)
            && !is_damaged(before)
        {
            let text = format!("entry `{index}` begins `{call}`, which entry `{before}` began and nothing finished");
            findings.failure(Kind::Unpaired, index, text);
        }
    }

    fn end(&mut self, index: u64, begun: u64, call: CallId, findings: &mut Findings) {
        match self.open.remove(&call) {
            Some(at) if at == begun => {}
            Some(at) => {
                // The call is left open for the entry that does finish it.
                self.open.insert(call, at);
                let text = format!("entry `{index}` says `{call}` began at entry `{begun}`, but it began at `{at}`");
                findings.failure(Kind::Unpaired, index, text);
            }
            None if self.gave_up => {}
            None => {
                let text = format!("entry `{index}` finishes `{call}`, which is not open there");
                findings.failure(Kind::Unpaired, index, text);
            }
        }
    }

    /// A call has ended: one of unknown effect may be settled from here on, no other.
    fn leave(&mut self, index: u64, call: CallId, effect: EffectState, findings: &mut Findings) {
        if effect != EffectState::Unknown || self.gave_up_settlements {
            return;
        }
        if self.unknown.len() >= UNKNOWN_CALLS_MAX {
            self.gave_up_settlements = true;
            let text =
                format!("more than {UNKNOWN_CALLS_MAX} calls are of unknown effect: settlements are not checked");
            findings.warning(Kind::Unpaired, index, text);
            return;
        }
        self.unknown.insert(call, index);
    }

    fn settle(&mut self, index: u64, finished: u64, call: CallId, findings: &mut Findings) {
        match self.unknown.remove(&call) {
            Some(at) if at == finished => {}
            Some(at) => {
                // The call is left for the entry that does settle it.
                self.unknown.insert(call, at);
                let text = format!("entry `{index}` says `{call}` ended at entry `{finished}`, but it ended at `{at}`");
                findings.failure(Kind::Unpaired, index, text);
            }
            None if self.gave_up_settlements => {}
            None => {
                let text = format!("entry `{index}` settles `{call}`, whose effect is not unknown there");
                findings.failure(Kind::Unpaired, index, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ringfence_model::digest::Digest;

    use super::*;
    use crate::finding::Severity;

    fn facts(index: u64, what: What) -> Facts {
        Facts { index, prev: Digest::ZERO, time: Timestamp::from_millis(0), what }
    }

    fn call(index: u64) -> CallId {
        CallId::from_random(u128::from(index).to_be_bytes())
    }

    #[test]
    fn open_calls_stay_bounded() {
        // AUD-22
        let (mut calls, mut findings) = (Calls::default(), Findings::default());
        let last = OPEN_CALLS_MAX as u64 + 100;
        for index in 1..last {
            calls.check(index, &facts(index, What::Begun(call(index))), &mut findings, |_| false);
        }
        assert_eq!(calls.open.len(), OPEN_CALLS_MAX);
        let end = What::Finished { begun: last - 1, call: call(last - 1), effect: EffectState::Committed };
        calls.check(last, &facts(last, end), &mut findings, |_| false);
        let (kept, _) = findings.into_parts();
        assert_eq!(
            kept.iter().map(|f| (f.severity, f.kind)).collect::<Vec<_>>(),
            [(Severity::Warning, Kind::Unpaired)]
        );
    }

    #[test]
    fn end_names_its_own_beginning() {
        let (mut calls, mut findings) = (Calls::default(), Findings::default());
        let finished = |begun| What::Finished { begun, call: call(7), effect: EffectState::Committed };
        calls.check(1, &facts(1, What::Begun(call(7))), &mut findings, |_| false);
        calls.check(2, &facts(2, finished(0)), &mut findings, |_| false);
        calls.check(3, &facts(3, finished(1)), &mut findings, |_| false);
        calls.finish(&mut findings);
        let (kept, _) = findings.into_parts();
        assert_eq!(kept.iter().map(|f| (f.kind, f.index)).collect::<Vec<_>>(), [(Kind::Unpaired, Some(2))]);
    }

    #[test]
    fn damaged_beginning_is_no_news() {
        let (mut calls, mut findings) = (Calls::default(), Findings::default());
        let finished = What::Finished { begun: 1, call: call(7), effect: EffectState::Committed };
        calls.check(2, &facts(2, finished), &mut findings, |index| index == 1);
        assert!(findings.into_parts().0.is_empty());
    }

    #[test]
    fn settlement_needs_unknown_effect() {
        // AUD-01: each settlement that has nothing to settle is named, whatever came before it.
        let finished = |effect| What::Finished { begun: 1, call: call(7), effect };
        let settled = |finished| What::Settled { call: call(7), finished };
        let unknown = || finished(EffectState::Unknown);
        let of = |whats: Vec<What>, damaged: Option<u64>| {
            let (mut calls, mut findings) = (Calls::default(), Findings::default());
            for (index, what) in (1..).zip([What::Begun(call(7))].into_iter().chain(whats)) {
                calls.check(index, &facts(index, what), &mut findings, |index| Some(index) == damaged);
            }
            findings.into_parts().0.iter().map(|f| (f.kind, f.index)).collect::<Vec<_>>()
        };
        let at = |index| vec![(Kind::Unpaired, Some(index))];
        assert_eq!(of(vec![unknown(), settled(2)], None), []);
        assert_eq!(of(vec![unknown(), settled(2), settled(2)], None), at(4));
        assert_eq!(of(vec![unknown(), settled(1), settled(2)], None), at(3));
        assert_eq!(of(vec![settled(1), unknown(), settled(3)], None), at(2));
        assert_eq!(of(vec![finished(EffectState::Committed), settled(2)], None), at(3));
        assert_eq!(of(vec![finished(EffectState::Aborted), settled(2)], None), at(3));
        // What follows from an entry that is damaged itself is no news.
        assert_eq!(of(vec![What::Other, settled(2)], Some(2)), []);
    }

    #[test]
    fn unsettled_calls_stay_bounded() {
        // AUD-22
        let (mut calls, mut findings) = (Calls::default(), Findings::default());
        for index in 0..UNKNOWN_CALLS_MAX as u64 + 100 {
            calls.leave(index, call(index), EffectState::Unknown, &mut findings);
        }
        assert_eq!(calls.unknown.len(), UNKNOWN_CALLS_MAX);
        calls.settle(1 << 20, 0, call(1 << 20), &mut findings);
        let (kept, _) = findings.into_parts();
        assert_eq!(
            kept.iter().map(|f| (f.severity, f.kind)).collect::<Vec<_>>(),
            [(Severity::Warning, Kind::Unpaired)]
        );
    }
}
