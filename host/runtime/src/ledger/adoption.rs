//! Adoption: a call whose effect is unknown is settled by what its own tool has found of it.
//!
//! The host says so itself, in the same entry that an operator settles a call by, and names the call that found it. What
//! was found becomes the recorded answer of the call that asks again: all of that is one commit, so that a key never
//! stands for a call that was done and has lost its answer.

use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Finished;
use ringfence_model::entry::Settled;
use ringfence_model::entry::Settlement;
use ringfence_model::id::CallId;
use ringfence_model::lifecycle::Phase;
use ringfence_model::principal::Principal;

use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::KeyRow;
use crate::ledger::call::Ending;
use crate::ledger::call::Intent;
use crate::ledger::call::StoredCall;
use crate::ledger::error::LedgerError;
use crate::ledger::keys::key_row;
use crate::ledger::queue::lock;
use crate::ledger::record::Ledger;
use crate::ledger::settlements::SettleError;

/// How far the clocks of hosts that share a log may be apart, and a call may end late, in milliseconds.
const CLOCKS_APART_MS_MAX: u64 = 60_000;

/// A call of unknown effect that the same call under the same key asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The call.
    pub call: CallId,
    begun: u64,
    finished: u64,
}

/// What has been found of a call of unknown effect, and by which call.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// What was in doubt.
    pub doubt: Doubt,
    /// The call that found it.
    pub by: CallId,
}

impl Ledger {
    /// The call of unknown effect that an intent's key stands for, if it stands for one that has ended.
    pub fn doubted(&self, intent: &Intent) -> Result<Option<Doubt>, LedgerError> {
        match key_row(intent) {
            Some(key) => self.doubted_by_key(&intent.principal, &key),
            None => Ok(None),
        }
    }

    fn doubted_by_key(&self, principal: &Principal, key: &KeyRow) -> Result<Option<Doubt>, LedgerError> {
        let row = self.read(|backend| backend.call_by_key(principal, &key.key))?;
        let Some(row) = row.filter(|row| row.key.is_some_and(|known| known.fingerprint == key.fingerprint)) else {
            return Ok(None);
        };
        Ok(match row.state {
            CallState::Finished { begun, finished, effect: EffectState::Unknown } if self.is_over(begun)? => {
                Some(Doubt { call: row.call, begun, finished })
            }
            _ => None,
        })
    }

    /// Whether a call can't run any more. A host that was shut out of a shared log may still be at it, for as long as the
    /// call may take: whoever asked before would be told that nothing was done (IDM-06).
    fn is_over(&self, begun: u64) -> Result<bool, LedgerError> {
        if !self.queue.is_shared() {
            return Ok(true);
        }
        let entry = self.checked_entry(begun)?;
        let Body::Begun(intent) = &entry.body else {
            return Err(LedgerError::Corrupt { index: begun, why: "it does not begin a call".to_owned() });
        };
        let latest = entry.time.plus_millis(intent.limits.wall_ms.saturating_add(CLOCKS_APART_MS_MAX));
        Ok(self.clock.now() > latest)
    }

    /// Writes that a call was found not to have been made: the next one under its key runs. Somebody else may have settled
    /// it meanwhile; then nothing is written.
    pub fn disown(&self, finding: Finding) -> Result<(), LedgerError> {
        let reason = reason(finding, "found nothing of it");
        match self.settle_as(finding.doubt.call, Settlement::NotExecuted, &Principal::host(), &reason) {
            Ok(_) | Err(SettleError::Settled(..)) => Ok(()),
            Err(SettleError::Ledger(error)) => Err(error),
            Err(_) => Err(LedgerError::Misuse("a call was disowned that was not in doubt")),
        }
    }

    /// Writes that a call was found to have been made, and that what was found is what the same call under its key comes
    /// to. None if the key has come to stand for something else meanwhile.
    pub fn adopt(&self, intent: Intent, finding: Finding, ending: Ending) -> Result<Option<StoredCall>, LedgerError> {
        let Some(key) = key_row(&intent) else { return Ok(None) };
        let Ok(_claim) = self.hold_key(&intent.principal, &key, intent.call) else { return Ok(None) };
        // Ownership: nobody else settles while this is held, or writes under this key while that is.
        let _alone = lock(&self.settling);
        let _pen = self.pen()?;
        if self.doubted_by_key(&intent.principal, &key)? != Some(finding.doubt) {
            return Ok(None);
        }
        let Doubt { call: doubted, begun, finished } = finding.doubt;
        self.check_unknown(doubted, finished)?;
        let earlier = self.find(&doubted)?.ok_or(LedgerError::Misuse("a call in doubt has gone"))?;
        let how = Settlement::Committed;
        let (mut row, intended, contents) = self.draft(intent, Some(key))?;
        let [reason] = self.contents([reason(finding, "found what it returned").into_bytes()])?;
        let call = row.call;
        let (ended, found) = self.draft_ending(call, ending)?;
        let index = self.queue.append(|page| {
            let by = Principal::host();
            let said = Settled { by, call: doubted, finished, how, reason: reason.commitment };
            let (settled, _) = page.entry_with(Body::Settled(said), [reason])?;
            let state = CallState::Settled { begun, finished, settled, how };
            page.call(earlier.state.phase(), CallRow { state, ..earlier })?;
            let (begun, _) = page.entry_with(Body::Begun(Box::new(intended)), contents)?;
            let effect = ended.effect;
            let ended = Finished { begun, ..ended };
            let (finished, _) = page.entry_with(Body::Finished(Box::new(ended)), found)?;
            row.state = CallState::Finished { begun, finished, effect };
            page.call(Phase::Attempting, row)?;
            Ok(finished)
        })?;
        self.stored(call, index).map(Some)
    }
}

fn reason(finding: Finding, what: &str) -> String {
    format!("`{}` looked and {what}", finding.by)
}
