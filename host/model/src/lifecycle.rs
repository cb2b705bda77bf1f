//! The life of a call on record: its phases, the steps between them, and nothing else.
//!
//! One table says what may follow what, and it is total: whoever adds a phase or a step has to say what it means with every
//! other. The ledger takes no step that is not in it.
//!
//! ```text
//!              begin             finish              settle
//! intended ──────────▶ attempting ──────▶ committed
//!     │                    │───────────▶ aborted
//!     │ refuse             └───────────▶ unknown ──────▶ settled: committed
//!     ▼                                      └─────────▶ settled: not executed
//!  refused
//! ```

use std::fmt;

use crate::entry::EffectState;
use crate::entry::Settlement;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It has ended and had no effect.
    Aborted,
    /// Its intent is on record: it may be running.
    Attempting,
    /// It has ended; whatever it did is done.
    Committed,
    /// Nothing of it is on record.
    Intended,
    /// It did not run.
    Refused,
    /// Its effect was unknown, and somebody has found out.
    Settled(Settlement),
    /// It has ended, and nobody knows what it did.
    Unknown,
}

/// What is written about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Its intent.
    Begin,
    /// Its ending.
    Finish(EffectState),
    /// That it does not run.
    Refuse,
    /// What became of it after all.
    Settle(Settlement),
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 8] = [
        Self::Aborted,
        Self::Attempting,
        Self::Committed,
        Self::Intended,
        Self::Refused,
        Self::Settled(Settlement::Committed),
        Self::Settled(Settlement::NotExecuted),
        Self::Unknown,
    ];

    /// The phase that a step leads to; none if it can't be taken from here.
    #[must_use]
    #[expect(
        clippy::match_same_arms,
        reason = "it is a table: each phase has its rows, and a new step is in none unseen"
    )]
    pub const fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Intended, Step::Begin) => Some(Self::Attempting),
            (Self::Intended, Step::Refuse) => Some(Self::Refused),
            (Self::Intended, Step::Finish(_) | Step::Settle(_)) => None,
            (Self::Attempting, Step::Finish(effect)) => Some(Self::ended(effect)),
            (Self::Attempting, Step::Begin | Step::Refuse | Step::Settle(_)) => None,
            (Self::Unknown, Step::Settle(how)) => Some(Self::Settled(how)),
            (Self::Unknown, Step::Begin | Step::Finish(_) | Step::Refuse) => None,
            (
                Self::Aborted | Self::Committed | Self::Refused | Self::Settled(_),
                Step::Begin | Step::Finish(_) | Step::Refuse | Step::Settle(_),
            ) => None,
        }
    }

    /// The phase of a call that ended with an effect.
    #[must_use]
    pub const fn ended(effect: EffectState) -> Self {
        match effect {
            EffectState::Aborted => Self::Aborted,
            EffectState::Committed => Self::Committed,
            EffectState::Unknown => Self::Unknown,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => f.write_str("aborted"),
            Self::Attempting => f.write_str("attempting"),
            Self::Committed => f.write_str("committed"),
            Self::Intended => f.write_str("intended"),
            Self::Refused => f.write_str("refused"),
            Self::Settled(how) => write!(f, "settled as {}", how.as_str()),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 7] = [
        Self::Begin,
        Self::Finish(EffectState::Aborted),
        Self::Finish(EffectState::Committed),
        Self::Finish(EffectState::Unknown),
        Self::Refuse,
        Self::Settle(Settlement::Committed),
        Self::Settle(Settlement::NotExecuted),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_these_steps_and_no_others() {
        use EffectState as E;
        use Settlement as S;
        let allowed = [
            (Phase::Intended, Step::Begin, Phase::Attempting),
            (Phase::Intended, Step::Refuse, Phase::Refused),
            (Phase::Attempting, Step::Finish(E::Aborted), Phase::Aborted),
            (Phase::Attempting, Step::Finish(E::Committed), Phase::Committed),
            (Phase::Attempting, Step::Finish(E::Unknown), Phase::Unknown),
            (Phase::Unknown, Step::Settle(S::Committed), Phase::Settled(S::Committed)),
            (Phase::Unknown, Step::Settle(S::NotExecuted), Phase::Settled(S::NotExecuted)),
        ];
        for phase in Phase::ALL {
            for step in Step::ALL {
                let wanted = allowed.iter().find(|(from, by, _)| (*from, *by) == (phase, step)).map(|(_, _, to)| *to);
                assert_eq!(phase.after(step), wanted, "{phase:?} {step:?}");
            }
        }
    }

    #[test]
    fn calls_end_and_stay_so() {
        // From anywhere, whatever is written, a call takes three steps at most.
        for first in Step::ALL {
            for second in Step::ALL {
                for third in Step::ALL {
                    let end = Phase::Intended.after(first).and_then(|phase| phase.after(second));
                    let Some(end) = end.and_then(|phase| phase.after(third)) else { continue };
                    assert!(Step::ALL.iter().all(|step| end.after(*step).is_none()), "{end:?}");
                }
            }
        }
    }
}
