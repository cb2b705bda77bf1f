//! Settlements: what became of a call whose effect is unknown, said by somebody who has looked.
//!
//! Only an effect that is unknown can be settled, once, by an operator. The entry and the row of the call go into one
//! commit; the entry that ended the call stays as it is. Nothing here looks at the world: whoever settles answers for it.

use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Entry;
use ringfence_model::entry::Settled;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::ToolRef;
use serde::Serialize;
use thiserror::Error;

use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::call::Begin;
use crate::ledger::error::LedgerError;
use crate::ledger::queue::lock;
use crate::ledger::record::Ledger;

/// Calls at most in one page of a list.
const PAGE: usize = 256;

/// A call whose effect was found to be unknown, and what has been said of it since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Doubtful {
    /// The same call, made again under the same key for whoever its tool asks, if that one ran to its end: then what both
    /// were to do is done, once.
    pub again: Option<CallId>,
    /// Index of the entry that began it.
    pub begun: u64,
    /// The call.
    pub call: CallId,
    /// Index of the entry that ended it; none if it was cut off, and the log has not been opened to be written since.
    pub finished: Option<u64>,
    /// The function.
    pub function: String,
    /// Whether it was made under an idempotency key, which stands for it until it is settled.
    pub has_key: bool,
    /// Who called.
    pub principal: Principal,
    /// What has been said of it, if anything has.
    pub settlement: Option<SettlementEntry>,
    /// When it was begun.
    pub time: Timestamp,
    /// The tool.
    pub tool: ToolRef,
}

/// An entry that settles a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettlementEntry {
    /// Who said so.
    pub by: Principal,
    /// What became of the call.
    pub how: Settlement,
    /// Its index.
    pub index: u64,
    /// When.
    pub time: Timestamp,
}

/// Why a call can't be settled.
#[derive(Debug, Error)]
pub enum SettleError {
    /// There is none by this id; one that reaches nothing is not there before it has ended.
    #[error("there is no call `{0}`")]
    NoCall(CallId),
    /// Whoever settles says what nobody can check, so it takes an operator: never the caller.
    #[error("`{0}` can't settle a call: only an operator can")]
    NotOperator(Principal),
    /// Its effect is known, or will be.
    #[error("`{0}` can't be settled: {1}")]
    NotUnknown(CallId, &'static str),
    /// Somebody has.
    #[error("`{0}` has been settled already, by entry {1}")]
    Settled(CallId, u64),
    /// The ledger could not do its work.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Ledger {
    /// Writes what became of a call whose effect is unknown, and frees its idempotency key or closes it for good. Returns
    /// the index of the entry.
    pub fn settle(&self, call: CallId, how: Settlement, by: &Principal, reason: &str) -> Result<u64, SettleError> {
        if by.kind() != PrincipalKind::Operator {
            return Err(SettleError::NotOperator(by.clone()));
        }
        self.settle_as(call, how, by, reason)
    }

    /// Writes it in somebody's name.
    pub(in crate::ledger) fn settle_as(
        &self,
        call: CallId,
        how: Settlement,
        by: &Principal,
        reason: &str,
    ) -> Result<u64, SettleError> {
        // Ownership: nobody else settles while this is held, and recovery does not run, so what is read stays true.
        let _alone = lock(&self.settling);
        let _pen = self.pen()?;
        let row = self.find(&call)?.ok_or(SettleError::NoCall(call))?;
        let Unknown { begun, finished } = unknown(&row)?;
        self.check_unknown(call, finished)?;
        let [reason] = self.contents([reason.as_bytes().to_vec()])?;
        let body = Settled { by: by.clone(), call, finished, how, reason: reason.commitment };
        let index = self.queue.append(|page| {
            let (settled, _) = page.entry_with(Body::Settled(body), [reason])?;
            let state = CallState::Settled { begun, finished, settled, how };
            page.call(row.state.phase(), CallRow { state, ..row })?;
            Ok(settled)
        })?;
        Ok(index)
    }

    /// Every call whose effect was found to be unknown, oldest first. In a log that is only read, calls that were cut off
    /// and may have had an effect are among them: nobody runs them any more.
    pub fn doubtful(&self) -> Result<Vec<Doubtful>, LedgerError> {
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let rows = self.read(|backend| backend.unknown_calls(from, PAGE))?;
            let Some(last) = rows.last().and_then(begun_of) else { break };
            from = last.saturating_add(1);
            for row in &rows {
                found.extend(self.doubt(row)?);
            }
        }
        for row in self.read(|backend| backend.open_calls())?.iter().filter(|row| row.reach == Reach::Writes) {
            let Some(doubtful) = self.doubt(row)? else { continue };
            if self.is_left(&doubtful.call, doubtful.begun)? {
                found.push(doubtful);
            }
        }
        found.sort_by_key(|doubtful| doubtful.begun);
        Ok(found)
    }

    /// What a key that stands for a call that was settled as committed has for an answer.
    pub(in crate::ledger) fn settled(&self, call: CallId, settled: u64) -> Result<Begin, LedgerError> {
        let SettlementEntry { by, index, time, .. } = self.settlement(call, settled)?;
        Ok(Begin::Settled { call, by, time, settled: index })
    }

    fn doubt(&self, row: &CallRow) -> Result<Option<Doubtful>, LedgerError> {
        let (begun, finished, settled) = match row.state {
            CallState::Begun { begun } => (begun, None, None),
            CallState::Finished { begun, finished, .. } => (begun, Some(finished), None),
            CallState::Settled { begun, finished, settled, .. } => (begun, Some(finished), Some(settled)),
            CallState::Refused { .. } => return Ok(None),
        };
        let Entry { body: Body::Begun(entry), time, .. } = self.checked_entry(begun)? else {
            return Err(LedgerError::Corrupt { index: begun, why: "it does not begin a call".to_owned() });
        };
        let settlement = settled.map(|settled| self.settlement(row.call, settled)).transpose()?;
        let again = match (&settlement, finished) {
            (None, Some(_)) => self.made_again(row)?,
            _ => None,
        };
        Ok(Some(Doubtful {
            again,
            begun,
            call: row.call,
            finished,
            function: entry.function,
            has_key: row.key.is_some(),
            principal: entry.principal,
            settlement,
            time,
            tool: entry.tool,
        }))
    }

    /// The later call that a key stands for by now, if it ran to its end. A key of a call of unknown effect that nobody has
    /// settled is used again by none but calls whose tool passes a key on.
    fn made_again(&self, row: &CallRow) -> Result<Option<CallId>, LedgerError> {
        let Some(key) = &row.key else { return Ok(None) };
        let later = self.read(|backend| backend.call_by_key(&row.principal, &key.key))?;
        let Some(CallRow { call, state: CallState::Finished { finished, .. }, .. }) = later else { return Ok(None) };
        // Trust boundary: as of a settlement, the entry tells and not the row.
        match self.checked_entry(finished)?.body {
            Body::Finished(entry) if entry.call == call && entry.effect == EffectState::Committed => Ok(Some(call)),
            _ => Ok(None),
        }
    }

    fn settlement(&self, call: CallId, index: u64) -> Result<SettlementEntry, LedgerError> {
        let entry = self.checked_entry(index)?;
        match entry.body {
            Body::Settled(Settled { by, call: found, how, .. }) if found == call => {
                Ok(SettlementEntry { by, how, index, time: entry.time })
            }
            _ => Err(LedgerError::Corrupt { index, why: format!("it does not settle `{call}`") }),
        }
    }

    /// Trust boundary: the row is an index into the log and no evidence. What the entry says is what counts.
    pub(in crate::ledger) fn check_unknown(&self, call: CallId, finished: u64) -> Result<(), LedgerError> {
        match self.checked_entry(finished)?.body {
            Body::Finished(entry) if entry.call == call && entry.effect == EffectState::Unknown => Ok(()),
            _ => {
                let why = format!("it does not end `{call}` with an unknown effect");
                Err(LedgerError::Corrupt { index: finished, why })
            }
        }
    }
}

/// Where a call of unknown effect began and ended.
struct Unknown {
    begun: u64,
    finished: u64,
}

/// The one state that can be settled; every other is refused, by name.
fn unknown(row: &CallRow) -> Result<Unknown, SettleError> {
    let refused = |why| Err(SettleError::NotUnknown(row.call, why));
    match row.state {
        CallState::Finished { begun, finished, effect: EffectState::Unknown } => Ok(Unknown { begun, finished }),
        CallState::Finished { effect: EffectState::Aborted, .. } => refused("it is on record that it had no effect"),
        CallState::Finished { effect: EffectState::Committed, .. } => refused("it is on record that it ran to its end"),
        CallState::Begun { .. } => refused("it has begun and not ended"),
        CallState::Refused { .. } => refused("it did not run"),
        CallState::Settled { settled, .. } => Err(SettleError::Settled(row.call, settled)),
    }
}

fn begun_of(row: &CallRow) -> Option<u64> {
    match row.state {
        CallState::Begun { begun } | CallState::Finished { begun, .. } | CallState::Settled { begun, .. } => {
            Some(begun)
        }
        CallState::Refused { .. } => None,
    }
}
