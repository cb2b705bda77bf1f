//! How a run ended.
//!
//! Whatever a guest does, it ends in an [`Outcome`]: a trap, an exhausted limit or a refused import is data about the
//! guest, stored and hashed like a result. An `Err` anywhere means that the host could not do its job.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde_json::Value;
use serde_json::json;

use crate::decision::PolicyRequest;
use crate::digest::Digest;
use crate::entry::RulingRecord;
use crate::limits;

/// The kinds of ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// The host stopped it, for a reason that lies outside the call.
    Cancelled,
    /// It was refused: before it ran, or when it reached for something it was not granted.
    Denied,
    /// It used up a limit.
    Limit,
    /// It returned.
    Returned,
    /// It returned an error of its own.
    ToolError,
    /// It stopped abnormally.
    Trapped,
}

/// Bytes a guest wrote. As JSON: a string if they are UTF-8, else `{"base64": …}`, so nothing is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output(pub Vec<u8>);

/// What went wrong, for programs and for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeError {
    /// A stable code: `tool.trap`, `tool.limit.memory`, `denied.policy` …
    pub code: String,
    /// One line for people.
    pub message: String,
    /// The error value that the tool returned, if it returned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// How a run ended, and what it left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The kind of ending.
    pub kind: OutcomeKind,
    /// The value a function returned.
    #[serde(default)]
    pub value: Option<Value>,
    /// The exit code of a command.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// What a guest wrote to standard output.
    #[serde(default)]
    pub stdout: Option<Output>,
    /// What a guest wrote to standard error.
    #[serde(default)]
    pub stderr: Option<Output>,
    /// What went wrong, unless it returned.
    #[serde(default)]
    pub error: Option<OutcomeError>,
}

/// The limits a guest can run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Fuel.
    Fuel,
    /// Open handles.
    Handles,
    /// Bytes that the host allocates for a value.
    HostCall,
    /// Memory and tables.
    Memory,
    /// Output.
    Output,
    /// Stack.
    Stack,
    /// Wall-clock time.
    Time,
}

impl LimitKind {
    /// The last part of its error code.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Handles => "handles",
            Self::HostCall => "host-call",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Stack => "stack",
            Self::Time => "time",
        }
    }
}

impl Outcome {
    /// A function returned a value; none for a function without a result.
    pub fn returned(value: Option<Value>) -> Self {
        Self { value, ..Self::of(OutcomeKind::Returned, None) }
    }

    /// A function returned an error of its own.
    pub fn tool_error(message: String, value: Option<Value>) -> Self {
        let error = OutcomeError { code: "tool.error".to_owned(), message, value };
        Self::of(OutcomeKind::ToolError, Some(error))
    }

    /// The guest stopped abnormally.
    pub fn trapped(message: &str) -> Self {
        Self::failed(OutcomeKind::Trapped, "tool.trap", message)
    }

    /// The guest used up a limit; `allowed` says how much there was, with its unit.
    pub fn limit(kind: LimitKind, allowed: &str) -> Self {
        let message = format!("the tool ran into its {} limit of {allowed}", kind.name());
        Self::failed(OutcomeKind::Limit, &format!("tool.limit.{}", kind.name()), &message)
    }

    /// The call was refused, or the guest reached for something it was not granted.
    pub fn denied(code: &str, message: &str) -> Self {
        Self::failed(OutcomeKind::Denied, code, message)
    }

    /// The host stopped the call.
    pub fn cancelled(message: &str) -> Self {
        Self::failed(OutcomeKind::Cancelled, "host.cancelled", message)
    }

    /// The stable code: that of the error, or `returned`.
    pub fn code(&self) -> &str {
        self.error.as_ref().map_or("returned", |error| &error.code)
    }

    /// Adds what the guest wrote; text that is empty stays away unless the guest is a command.
    #[must_use]
    pub fn with_output(mut self, stdout: Vec<u8>, stderr: Vec<u8>, is_command: bool) -> Self {
        self.stdout = (is_command || !stdout.is_empty()).then_some(Output(stdout));
        self.stderr = (is_command || !stderr.is_empty()).then_some(Output(stderr));
        self
    }

    fn failed(kind: OutcomeKind, code: &str, message: &str) -> Self {
        Self::of(kind, Some(OutcomeError { code: code.to_owned(), message: message.to_owned(), value: None }))
    }

    fn of(kind: OutcomeKind, error: Option<OutcomeError>) -> Self {
        Self { kind, value: None, exit_code: None, stdout: None, stderr: None, error }
    }
}

/// A guest's own text, made fit for one line of a message: cut, and with control characters escaped (OUT-02, OUT-06).
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        if line.len() >= limits::GUEST_TEXT_BYTES_MAX {
            line.push('…');
            break;
        }
        if is_unprintable(c) {
            line.extend(c.escape_unicode());
        } else {
            line.push(c);
        }
    }
    line
}

/// Characters that move, reorder, hide or break text where it is shown: they are written out, never passed on.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => json!({ "base64": STANDARD.encode(&self.0) }).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Output {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Text(String),
            Bytes { base64: String },
        }
        match Wire::deserialize(deserializer)? {
            Wire::Text(text) => Ok(Self(text.into_bytes())),
            Wire::Bytes { base64 } => STANDARD.decode(base64).map(Self).map_err(serde::de::Error::custom),
        }
    }
}

/// One thing a guest asked of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCall {
    /// Whether it was let through.
    pub allowed: bool,
    /// What it was about, in one line: the guest's path of a file, the host of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The import, as `interface#function`.
    pub import: String,
}

/// A decision of the policies within a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracedDecision {
    /// Whether it was allowed.
    pub allowed: bool,
    /// The set in force.
    pub policy_set: Digest,
    /// What the policies were told.
    pub request: PolicyRequest,
    /// What each said, sorted by name.
    pub rulings: Vec<RulingRecord>,
}

/// What a guest asked of the host, in order; the first few, and how many more there were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// How the policies decided on what would leave: the first few refusals, and fewer permits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<TracedDecision>,
    /// The first host calls that are traced.
    pub events: Vec<HostCall>,
    /// How many came after those.
    pub omitted: u64,
}

impl Trace {
    /// Adds what was noted elsewhere during the same call.
    pub fn append(&mut self, other: Self) {
        for HostCall { allowed, detail, import } in other.events {
            self.push_with(import, detail.as_deref(), allowed);
        }
        self.omitted = self.omitted.saturating_add(other.omitted);
        self.decisions.extend(other.decisions);
    }

    /// Adds a decision, if there is room.
    pub fn decided(&mut self, decision: TracedDecision) {
        let room = if decision.allowed { limits::TRACE_DECISIONS_ALLOWED_MAX } else { limits::TRACE_DECISIONS_MAX };
        if self.decisions.len() < room {
            self.decisions.push(decision);
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// Notes a host call.
    pub fn push(&mut self, import: String, allowed: bool) {
        self.push_with(import, None, allowed);
    }

    /// Notes a host call and what it was about. What is let through takes a part of the room only: a guest can't keep a
    /// refusal out of its trace by doing a lot of what it may do.
    pub fn push_with(&mut self, import: String, detail: Option<&str>, allowed: bool) {
        let room = if allowed { limits::TRACE_ALLOWED_MAX } else { limits::TRACE_EVENTS_MAX };
        if self.events.len() < room {
            self.events.push(HostCall { allowed, detail: detail.map(one_line), import });
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_survive() {
        // OUT-03
        for bytes in [b"plain".to_vec(), vec![0xff, 0, 1], Vec::new()] {
            let json = serde_json::to_string(&Output(bytes.clone())).expect("JSON");
            assert_eq!(serde_json::from_str::<Output>(&json).expect("output").0, bytes);
        }
    }

    #[test]
    fn guest_text_can_not_forge_lines() {
        // OUT-02, OUT-06
        assert_eq!(one_line("a\nok\u{1b}[2J\u{202e}x"), "a\\u{a}ok\\u{1b}[2J\\u{202e}x");
        assert!(one_line(&"x".repeat(1 << 20)).len() < 600);
    }

    #[test]
    fn trace_is_bounded() {
        let mut trace = Trace::default();
        (0..limits::TRACE_EVENTS_MAX + 7).for_each(|_| trace.push("wasi:x/y#z".into(), false));
        assert_eq!((trace.events.len(), trace.omitted), (limits::TRACE_EVENTS_MAX, 7));
    }

    #[test]
    fn allowed_calls_never_displace_refusals() {
        let mut trace = Trace::default();
        (0..limits::TRACE_EVENTS_MAX).for_each(|_| trace.push("wasi:x/y#z".into(), true));
        trace.push_with("wasi:x/y#z".into(), Some("/a\nb"), false);
        assert_eq!(trace.events.len(), limits::TRACE_ALLOWED_MAX + 1);
        let refused = trace.events.last().expect("an event");
        assert_eq!((refused.allowed, refused.detail.as_deref()), (false, Some("/a\\u{a}b")));
    }
}
