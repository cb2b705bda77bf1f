//! A call as it comes in, checked once and then trusted to be well formed.
//!
//! A [`CallRequest`] says who wants which function of which tool to run on what, in which ring, asking for which
//! capabilities. It decides nothing.

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::capability::Asked;
use crate::capability::Ceiling;
use crate::decision::Claim;
use crate::digest::Digest;
use crate::id::CallId;
use crate::id::SessionId;
use crate::json;
use crate::limits;
use crate::principal::Principal;
use crate::ring::Ring;

/// Why bytes never become a call.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// An argument, or a variable, or all of them together.
    #[error("{what}: at most {max} are allowed")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be, with its unit.
        max: String,
    },
    /// An idempotency key that is empty, too long, or not printable ASCII.
    #[error("`{0}` is not an idempotency key: write 1 to {max} printable ASCII characters", max = limits::IDEMPOTENCY_KEY_BYTES_MAX)]
    BadIdempotencyKey(String),
    /// A variable, argument or path with a zero byte, or a variable with no name.
    #[error("`{0}` can't be passed to a tool: it is empty, or holds `=` or a zero byte")]
    BadText(String),
}

/// The caller's token for "this call, once". Scoped by principal: two principals never share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks a key: 1 to 256 bytes of printable ASCII, so that it has one spelling (IDM-04).
    pub fn new(key: &str) -> Result<Self, CallError> {
        let printable = key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if key.is_empty() || key.len() > limits::IDEMPOTENCY_KEY_BYTES_MAX || !printable {
            return Err(CallError::BadIdempotencyKey(key.escape_debug().take(80).collect()));
        }
        Ok(Self(key.to_owned()))
    }

    /// A key that stands for what it is made of: `how` says in which way, `parts` of what. Whoever writes the same text as
    /// a key of their own has made it of the same.
    #[must_use]
    pub fn made_of(how: &'static str, parts: &[&[u8]]) -> Self {
        let digests: Vec<_> = parts.iter().map(|part| Digest::of(part)).collect();
        let digests: Vec<_> = digests.iter().map(|digest| digest.as_bytes().as_slice()).collect();
        Self(format!("{how} {}", Digest::of_parts(&digests)))
    }

    /// The key of a step of a task, whoever brings it: the same on the command line and over a protocol.
    #[must_use]
    pub fn of_step(task: &Self, step: &str) -> Self {
        Self::made_of("task", &[task.as_str().as_bytes(), step.as_bytes()])
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the guest is given: one of the two is used, by the tool's shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// The named parameters of a function, or the input of a described one.
    pub value: Option<Value>,
    /// The arguments of a command.
    pub arguments: Vec<String>,
    /// The standard input of a command.
    pub stdin: Vec<u8>,
}

/// The bytes that identify an input: canonical JSON, the same for every spelling of the same input.
#[derive(Serialize)]
struct CanonicalInput<'a> {
    arguments: &'a [String],
    function: &'a str,
    stdin: String,
    value: Option<&'a Value>,
}

impl Input {
    /// The canonical bytes of this input to a function: what the record commits to and an idempotency key stands for.
    pub fn canonical(&self, function: &str) -> Vec<u8> {
        use base64::Engine as _;
        let stdin = base64::engine::general_purpose::STANDARD.encode(&self.stdin);
        let input = CanonicalInput { arguments: &self.arguments, function, stdin, value: self.value.as_ref() };
        // Serialising strings and values into a value can't fail.
        json::canonical(&serde_json::to_value(&input).unwrap_or_default())
    }
}

/// A call, well formed and undecided.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRequest {
    /// Its id.
    pub call: CallId,
    /// Who calls.
    pub principal: Principal,
    /// The ring it is to run in.
    pub ring: Ring,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// The function; none for a command, or for a tool that has only one.
    pub function: Option<String>,
    /// What the guest is given.
    pub input: Input,
    /// What it asks to be granted.
    pub asked: Asked,
    /// What its session allows at most; a call without one is not narrowed by it.
    pub session_ceiling: Ceiling,
    /// The token under which it runs once.
    pub idempotency_key: Option<IdempotencyKey>,
    /// What the caller says of itself.
    pub claimed: Vec<Claim>,
}

impl CallRequest {
    /// Checks sizes and texts: everything that is wrong with a call whatever the tool.
    pub fn check(&self) -> Result<(), CallError> {
        let bytes = |texts: &mut dyn Iterator<Item = &String>| texts.map(|text| text.len() + 1).sum::<usize>();
        let arguments = &self.input.arguments;
        let environment = &self.asked.environment;
        at_most(arguments.len(), limits::ARGUMENTS_MAX, "arguments")?;
        at_most(bytes(&mut arguments.iter()), limits::ARGUMENT_BYTES_MAX, "bytes of arguments")?;
        let variables = bytes(&mut environment.iter().flat_map(|(name, value)| [name, value]));
        at_most(variables, limits::ARGUMENT_BYTES_MAX, "bytes of environment")?;
        let patterns = self.asked.folders.iter().map(|folder| folder.deny.len()).max().unwrap_or_default();
        at_most(patterns, limits::GLOBS_PER_FOLDER_MAX, "patterns denied in one folder")?;
        at_most(self.input.stdin.len(), usize_of(limits::STDIN_BYTES_MAX), "bytes of standard input")?;
        for (name, value) in environment {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(CallError::BadText(name.escape_debug().to_string()));
            }
        }
        match arguments.iter().find(|argument| argument.contains('\0')) {
            Some(argument) => Err(CallError::BadText(argument.escape_debug().to_string())),
            None => Ok(()),
        }
    }
}

fn at_most(count: usize, max: usize, what: &'static str) -> Result<(), CallError> {
    if count > max { Err(CallError::TooMuch { what, max: max.to_string() }) } else { Ok(()) }
}

fn usize_of(max: u64) -> usize {
    usize::try_from(max).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_keys_have_one_spelling() {
        // IDM-04
        for key in ["", "\0", "é", "a\n", &"k".repeat(257)] {
            assert!(IdempotencyKey::new(key).is_err(), "{key:?}");
        }
        assert!(IdempotencyKey::new("order 42/charge").is_ok());
    }

    #[test]
    fn keys_are_made_of_all_their_parts() {
        let parts: [&[&[u8]]; 6] = [&[], &[b""], &[b"a", b"b"], &[b"ab", b""], &[b"ab"], &[b"a", b"b", b""]];
        let keys: std::collections::HashSet<_> =
            parts.iter().map(|parts| IdempotencyKey::made_of("task", parts)).collect();
        assert_eq!(keys.len(), parts.len());
        let key = IdempotencyKey::made_of("task", &[b"a"]);
        assert_eq!(key, IdempotencyKey::made_of("task", &[b"a"]));
        assert_ne!(key, IdempotencyKey::made_of("id-from", &[b"a"]));
        assert_eq!(IdempotencyKey::new(key.as_str()).expect("a key"), key);
    }

    #[test]
    fn same_input_has_same_bytes() {
        let input = |text: &str| Input { value: Some(json::parse(text.as_bytes()).expect("JSON")), ..Input::default() };
        let bytes = input(r#"{"b":1,"a":2}"#).canonical("f");
        assert_eq!(bytes, input(r#"{ "a": 2.0, "b": 1 }"#).canonical("f"));
        assert_ne!(bytes, input(r#"{"b":1,"a":3}"#).canonical("f"));
        assert_ne!(bytes, input(r#"{"b":1,"a":2}"#).canonical("g"));
    }
}
