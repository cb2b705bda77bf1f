//! The row of a call as the columns of a table, for every backend that has tables.
//!
//! Owns the words that are stored and the one check that columns make a state. What makes none is damage: nothing is
//! guessed.

use ringfence_model::digest::Digest;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;

use crate::ledger::backend::BackendError;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::KeyRow;

/// The columns of a call.
#[derive(Debug)]
pub(super) struct CallColumns {
    pub(super) call: String,
    pub(super) principal: String,
    pub(super) key: Option<[u8; 32]>,
    pub(super) fingerprint: Option<[u8; 32]>,
    pub(super) reach: String,
    pub(super) begun: Option<i64>,
    pub(super) ended: Option<i64>,
    pub(super) effect: Option<String>,
    pub(super) settled: Option<i64>,
    pub(super) settlement: Option<String>,
}

impl CallColumns {
    /// A row as columns.
    pub(super) fn of(row: &CallRow) -> Self {
        let (begun, ended, effect) = match row.state {
            CallState::Begun { begun } => (Some(begun), None, None),
            CallState::Finished { begun, finished, effect } => (Some(begun), Some(finished), Some(effect)),
            CallState::Refused { refused } => (None, Some(refused), None),
            CallState::Settled { begun, finished, .. } => (Some(begun), Some(finished), Some(EffectState::Unknown)),
        };
        let settlement = match row.state {
            CallState::Settled { settled, how, .. } => Some((settled, how)),
            CallState::Begun { .. } | CallState::Finished { .. } | CallState::Refused { .. } => None,
        };
        Self {
            call: row.call.to_string(),
            principal: row.principal.to_string(),
            key: row.key.map(|key| *key.key.as_bytes()),
            fingerprint: row.key.map(|key| *key.fingerprint.as_bytes()),
            reach: reach_word(row.reach).to_owned(),
            begun: begun.map(to_sql),
            ended: ended.map(to_sql),
            effect: effect.map(|effect| effect_word(effect).to_owned()),
            settled: settlement.map(|(settled, _)| to_sql(settled)),
            settlement: settlement.map(|(_, how)| how.as_str().to_owned()),
        }
    }

    /// Columns as a row.
    pub(super) fn row(&self) -> Result<CallRow, BackendError> {
        self.read()
            .map_err(|why| BackendError::Corrupt(format!("the row of call `{}`: {why}", self.call.escape_debug())))
    }

    fn read(&self) -> Result<CallRow, String> {
        let key = self.key.zip(self.fingerprint).map(|(key, fingerprint)| KeyRow {
            key: Digest::from_bytes(key),
            fingerprint: Digest::from_bytes(fingerprint),
        });
        Ok(CallRow {
            call: self.call.parse().map_err(|error| format!("{error}"))?,
            principal: self.principal.parse().map_err(|error| format!("{error}"))?,
            key,
            reach: reach_of(&self.reach)?,
            state: self.settled_state(self.state()?)?,
        })
    }

    fn state(&self) -> Result<CallState, String> {
        Ok(match (self.begun, self.ended, self.effect.as_deref()) {
            (Some(begun), None, None) => CallState::Begun { begun: from_sql(begun)? },
            (Some(begun), Some(finished), Some(effect)) => CallState::Finished {
                begun: from_sql(begun)?,
                finished: from_sql(finished)?,
                effect: effect_of(effect)?,
            },
            (None, Some(refused), None) => CallState::Refused { refused: from_sql(refused)? },
            _ => return Err("it has no such state".to_owned()),
        })
    }

    /// The state of a call, with what somebody has said of it since.
    fn settled_state(&self, state: CallState) -> Result<CallState, String> {
        let (settled, how) = match (self.settled, self.settlement.as_deref()) {
            (None, None) => return Ok(state),
            (Some(settled), Some(how)) => (from_sql(settled)?, settlement_of(how)?),
            _ => return Err("it is settled in part".to_owned()),
        };
        match state {
            CallState::Finished { begun, finished, effect: EffectState::Unknown } => {
                Ok(CallState::Settled { begun, finished, settled, how })
            }
            _ => Err("it is settled, and its effect was not unknown".to_owned()),
        }
    }
}

fn settlement_of(word: &str) -> Result<Settlement, String> {
    let known = [Settlement::Committed, Settlement::NotExecuted].into_iter().find(|how| how.as_str() == word);
    known.ok_or_else(|| format!("`{}` is no settlement", word.escape_debug()))
}

fn reach_word(reach: Reach) -> &'static str {
    match reach {
        Reach::Nothing => "nothing",
        Reach::Reads => "reads",
        Reach::Writes => "writes",
    }
}

fn reach_of(word: &str) -> Result<Reach, String> {
    let known = [Reach::Nothing, Reach::Reads, Reach::Writes].into_iter().find(|reach| reach_word(*reach) == word);
    known.ok_or_else(|| format!("`{}` is no reach", word.escape_debug()))
}

fn effect_word(effect: EffectState) -> &'static str {
    match effect {
        EffectState::Aborted => "aborted",
        EffectState::Committed => "committed",
        EffectState::Unknown => "unknown",
    }
}

fn effect_of(word: &str) -> Result<EffectState, String> {
    let known = [EffectState::Aborted, EffectState::Committed, EffectState::Unknown];
    let known = known.into_iter().find(|effect| effect_word(*effect) == word);
    known.ok_or_else(|| format!("`{}` is no state of an effect", word.escape_debug()))
}

/// SQL's integers are signed; a log of 2^63 entries is far beyond any disk.
pub(super) fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn from_sql(value: i64) -> Result<u64, String> {
    u64::try_from(value).map_err(|_| format!("`{value}` is no index"))
}
