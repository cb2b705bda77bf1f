//! What makes a call happen once: a key of its caller's, or a task and which of its steps it is.
//!
//! A task that is made again from its start gets the recorded answers of the steps it had made, and goes on: the key of a
//! step is made of both, in one way whatever carries them, the command line too. This module looks nothing up.

use ringfence_model::call::IdempotencyKey;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use serde_json::Value;

use crate::catalogue::Offer;

/// How a call is told from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Once {
    /// It is a call of its own.
    #[default]
    Anew,
    /// By a key.
    Key(IdempotencyKey),
    /// As a step of a task; by the tool's and the function's name, where it has none.
    Step { task: IdempotencyKey, step: Option<String> },
}

/// What a caller says of it, by the names that the protocol has for each.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) key: (&'static str, Option<&'a str>),
    pub(crate) task: (&'static str, Option<&'a str>),
    pub(crate) step: (&'static str, Option<&'a str>),
}

impl Once {
    /// What a caller says; in words, why that can't be.
    pub(crate) fn read(said: &Said<'_>) -> Result<Self, String> {
        let Said { key: (key_name, key), task: (task_name, task), step: (step_name, step) } = said;
        let read = |name: &str, text: &str| {
            IdempotencyKey::new(text).map_err(|error| format!("`{name}`: {}", one_line(&error.to_string())))
        };
        match (key, task, step) {
            (None, None, None) => Ok(Self::Anew),
            (Some(key), None, None) => Ok(Self::Key(read(key_name, key)?)),
            (Some(_), _, _) => Err(format!("`{key_name}` and `{task_name}` can't both say which call this is")),
            (None, None, Some(_)) => Err(format!("`{step_name}` is nothing without `{task_name}`")),
            (None, Some(task), step) => {
                let task = read(task_name, task)?;
                let fits = |step: &&str| (1..=limits::NAME_BYTES_MAX).contains(&step.len());
                match step {
                    Some(step) if !fits(step) => {
                        Err(format!("`{step_name}` has 1 to {} bytes", limits::NAME_BYTES_MAX))
                    }
                    step => Ok(Self::Step { task, step: step.map(str::to_owned) }),
                }
            }
        }
    }

    /// The key that a call of what is offered has.
    pub(crate) fn key(self, offer: &Offer) -> Option<IdempotencyKey> {
        match self {
            Self::Anew => None,
            Self::Key(key) => Some(key),
            Self::Step { task, step } => {
                let named = || {
                    let function = offer.function().map(|function| function.name.as_str()).unwrap_or_default();
                    format!("{}/{function}", offer.registered().tool.reference().name)
                };
                Some(IdempotencyKey::of_step(&task, &step.unwrap_or_else(named)))
            }
        }
    }
}

/// A text, where there is one; in words, that it is none.
pub(crate) fn text<'a>(name: &str, value: Option<&'a Value>) -> Result<Option<&'a str>, String> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}`: it is not a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_says_which_call() {
        // IDM-04
        let read = |key, task, step| Once::read(&Said { key: ("k", key), task: ("t", task), step: ("s", step) });
        assert_eq!(read(None, None, None), Ok(Once::Anew));
        assert!(matches!(read(Some("a"), None, None), Ok(Once::Key(_))));
        assert!(matches!(read(None, Some("a"), None), Ok(Once::Step { step: None, .. })));
        assert!(matches!(read(None, Some("a"), Some("1")), Ok(Once::Step { step: Some(_), .. })));
        let long = "s".repeat(limits::NAME_BYTES_MAX + 1);
        for (key, task, step, why) in [
            (Some("a"), Some("b"), None, "`k` and `t` can't both say which call this is"),
            (Some("a"), None, Some("1"), "`k` and `t` can't both say which call this is"),
            (None, None, Some("1"), "`s` is nothing without `t`"),
            (None, Some("a"), Some(""), "`s` has 1 to 256 bytes"),
            (None, Some("a"), Some(long.as_str()), "`s` has 1 to 256 bytes"),
        ] {
            assert_eq!(read(key, task, step), Err(why.to_owned()));
        }
        assert!(read(None, Some(""), None).is_err_and(|why| why.starts_with("`t`: ")));
    }
}
