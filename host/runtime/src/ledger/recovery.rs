//! Recovery: settling calls that were begun and not finished.
//!
//! It goes through the same [`Ledger::finish`] as live calls, one call at a time; a crash in the middle leaves the rest
//! to the next run. It decides nothing about a call but what its grant says: one that could change nothing is aborted
//! and may run again, any other is of unknown effect and never runs again by itself.

use ringfence_model::entry::EffectState;
use ringfence_model::entry::Used;
use ringfence_model::grant::Reach;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::Trace;

use crate::ledger::call::Ending;
use crate::ledger::call::Recorded;
use crate::ledger::error::LedgerError;
use crate::ledger::queue::lock;
use crate::ledger::record::Ledger;

/// A call that recovery has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Where it stands now.
    pub recorded: Recorded,
    /// What is known of its effect: aborted if it could change nothing, else unknown.
    pub effect: EffectState,
}

/// Settles every call that was begun before the log was opened and not finished, oldest first; in a log that hosts share,
/// every one whose host has not been heard of for a while, and which is shut out by that. Calls that this process
/// has begun are left alone, so it may run beside them; run it before the first all the same, so that their callers get
/// the right answer. Running it again settles nothing.
pub fn settle(ledger: &Ledger) -> Result<Vec<Settled>, LedgerError> {
    let _alone = lock(&ledger.settling);
    let _pen = ledger.pen()?;
    let mut settled = Vec::new();
    for begun in ledger.left_open()? {
        let effect = match begun.0.row.reach {
            Reach::Nothing | Reach::Reads => EffectState::Aborted,
            Reach::Writes => EffectState::Unknown,
        };
        let outcome = Outcome::cancelled("the host stopped while the call ran");
        let ending = Ending::of(&outcome, effect, &Trace::default(), Used::default());
        settled.push(Settled { recorded: ledger.finish_with_pen(begun, ending)?, effect });
    }
    Ok(settled)
}
