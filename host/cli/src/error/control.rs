//! Sessions, approvals, halts and settlements.

use std::path::Path;

use ringfence_model::outcome::one_line;
use ringfence_runtime::ledger::approvals::AnswerError;
use ringfence_runtime::ledger::halts::HaltError;
use ringfence_runtime::ledger::sessions::SessionError;
use ringfence_runtime::ledger::settlements::SettleError;

use crate::error::CommandError;

impl CommandError {
    /// A file of what bounds a session.
    pub fn ceiling(path: &Path, line: usize, why: &str) -> Self {
        Self::environment(format!("`{}` bounds no session: at line {line}: {}", path.display(), one_line(why)))
            .code("host.configuration")
            .hint("it has the keys of [operator], and of that table's `limits`: docs/reference.toml")
    }
}

impl From<SessionError> for CommandError {
    fn from(error: SessionError) -> Self {
        let message = one_line(&error.to_string());
        match error {
            SessionError::Ledger(error) => error.into(),
            SessionError::Unknown(_) => {
                Self::command_line(message).hint("`ringfence session list --all` shows every session there was")
            }
            _ => Self::denied("denied.session", &message).hint("`ringfence session show ID` says how it stands"),
        }
    }
}

impl From<AnswerError> for CommandError {
    fn from(error: AnswerError) -> Self {
        let message = one_line(&error.to_string());
        match error {
            AnswerError::Ledger(error) => error.into(),
            AnswerError::Unknown(_) => {
                Self::command_line(message).hint("`ringfence approvals --all` shows every one there was")
            }
            _ => Self::denied("denied.approval", &message).hint("`ringfence approvals --all` says how each stands"),
        }
    }
}

impl From<HaltError> for CommandError {
    fn from(error: HaltError) -> Self {
        match error {
            HaltError::Ledger(error) => error.into(),
            HaltError::NotOperator(_) => Self::denied("denied.halt", &one_line(&error.to_string())),
        }
    }
}

impl From<SettleError> for CommandError {
    fn from(error: SettleError) -> Self {
        let message = one_line(&error.to_string());
        match error {
            SettleError::Ledger(error) => error.into(),
            SettleError::NoCall(_) => {
                Self::command_line(message).hint("`ringfence ledger list --unknown` lists what can be settled")
            }
            SettleError::NotOperator(_) => {
                Self::denied("denied.settle", &message).hint("leave `--as` out, or name an operator: `operator:NAME`")
            }
            SettleError::NotUnknown(..) | SettleError::Settled(..) => Self::denied("denied.settle", &message)
                .hint("`ringfence ledger list` says what was settled; what is on record stays as it is"),
        }
    }
}
