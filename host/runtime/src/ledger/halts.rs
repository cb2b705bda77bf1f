//! Halts: that an operator halted the host, or let it run again.
//!
//! What stops calls is [`crate::halt::Halt`], at once and whether or not the log can be written. This is the record of it, in its order
//! among the calls.

use ringfence_model::entry::Body;
use ringfence_model::entry::HaltChange;
use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;
use thiserror::Error;

use crate::ledger::error::LedgerError;
use crate::ledger::record::Ledger;

/// Why it can't be written that the host was halted, or let run again.
#[derive(Debug, Error)]
pub enum HaltError {
    /// Who halts stops everybody, and who resumes lets everybody run: that takes an operator.
    #[error("`{0}` can't halt the host or let it run again: only an operator can")]
    NotOperator(Principal),
    /// The ledger could not do its work.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Ledger {
    /// Writes that the host was halted. Returns the index of the entry.
    pub fn halted(&self, by: &Principal, reason: &str) -> Result<u64, HaltError> {
        self.halt_change(Body::Halted, by, reason)
    }

    /// Writes that the host may run again. Returns the index of the entry.
    pub fn resumed(&self, by: &Principal, reason: &str) -> Result<u64, HaltError> {
        self.halt_change(Body::Resumed, by, reason)
    }

    fn halt_change(&self, body: fn(HaltChange) -> Body, by: &Principal, reason: &str) -> Result<u64, HaltError> {
        if by.kind() != PrincipalKind::Operator {
            return Err(HaltError::NotOperator(by.clone()));
        }
        let [reason] = self.contents([reason.as_bytes().to_vec()])?;
        let _pen = self.pen()?;
        let change = HaltChange { by: by.clone(), reason: reason.commitment };
        let index = self.queue.append(|page| {
            let (index, _) = page.entry_with(body(change), [reason])?;
            Ok(index)
        })?;
        Ok(index)
    }
}
