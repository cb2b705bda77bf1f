//! What policies written in Rust share: the bindings of `wit/policy`, and short ways to say the usual things.
//!
//! A policy implements [`Guest`] and hands itself to [`export!`]. Nothing here may import anything: a component with an
//! import is not a policy.

pub mod canonical;
mod document;
pub mod settings;
pub mod strict;
pub mod table;

/// Generated from `wit/policy`.
#[allow(missing_docs, reason = "the WIT has the documentation")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/policy",
        pub_export_macro: true,
        default_bindings_module: "ringfence_policy_support::bindings",
    });
}

pub use document::{document, point};

pub use bindings::export;
pub use bindings::exports::ringfence::policy::judge as types;
pub use bindings::exports::ringfence::policy::judge::Guest;

use types::{
    Call, DecisionPoint, Narrowing, Obligation, Permission, Reason, Request, Ring, SettingsProblem, Subject, Verdict,
};

/// The longest value of a caller's that is repeated in a reason, in characters.
const QUOTED_CHARS_MAX: usize = 60;
/// The longest text of a reason or a problem, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;
/// The longest code of a reason, in bytes.
pub const CODE_BYTES_MAX: usize = 64;
/// The most reasons of one verdict.
pub const REASONS_MAX: usize = 32;

/// The longest text of a reason that a host takes, in bytes.
const REASON_TEXT_BYTES_MAX: usize = 512;

/// The call that is to be decided on; none at another point.
pub fn call(request: &Request) -> Option<&Call> {
    match &request.subject {
        Subject::Call(call) => Some(call),
        _ => None,
    }
}

/// Every point: what a policy wants that leaves it to its settings.
pub fn all_points() -> Vec<DecisionPoint> {
    use DecisionPoint::{Admit, Call, Egress, Elevate, Result, Transcript};
    vec![Admit, Call, Egress, Elevate, Result, Transcript]
}

/// The number of a ring, 0 for the most privileged.
pub fn ring_number(ring: Ring) -> u8 {
    match ring {
        Ring::Root => 0,
        Ring::Privileged => 1,
        Ring::Standard => 2,
        Ring::Sandbox => 3,
    }
}

/// A reason for a verdict. A text that is too long is cut, rather than the verdict becoming a fault.
pub fn reason(code: &str, text: impl Into<String>) -> Reason {
    let mut text = text.into();
    while text.len() > REASON_TEXT_BYTES_MAX {
        text.pop();
    }
    Reason { code: code.to_owned(), text }
}

/// A no for one reason.
pub fn forbid(reason: Reason) -> Verdict {
    Verdict::Forbid(vec![reason])
}

/// A no if there is any objection, for as many of them as a host takes.
pub fn objected(mut objections: Vec<Reason>) -> Option<Verdict> {
    objections.truncate(REASONS_MAX);
    (!objections.is_empty()).then_some(Verdict::Forbid(objections))
}

/// A permit for one reason.
pub fn permit(reason: Reason, obligations: Vec<Obligation>) -> Verdict {
    Verdict::Permit(Permission { reasons: vec![reason], obligations })
}

/// A narrowing that leaves everything as it is: what one starts from.
pub fn unchanged() -> Narrowing {
    Narrowing {
        access: None,
        folders: None,
        environment: None,
        http: None,
        sockets: None,
        names: None,
        addresses: None,
        secrets: None,
        memory_bytes: None,
        fuel: None,
        wall_ms: None,
    }
}

/// Something wrong with the settings.
pub fn problem(pointer: impl Into<String>, text: impl Into<String>) -> SettingsProblem {
    SettingsProblem { pointer: pointer.into(), text: text.into() }
}

/// A value in backticks, short and on one line whatever it holds.
pub fn quoted(value: &str) -> String {
    let mut text = String::from("`");
    for character in value.chars().take(QUOTED_CHARS_MAX) {
        match character {
            '`' | '\\' => text.push('?'),
            character if character.is_control() => text.extend(character.escape_default()),
            character => text.push(character),
        }
    }
    if value.chars().nth(QUOTED_CHARS_MAX).is_some() {
        text.push('…');
    }
    text.push('`');
    text
}

/// Somebody else's text as one line that a reason can hold.
pub fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let mut line = words.join(" ");
    if line.len() > TEXT_BYTES_MAX {
        line.truncate(line.floor_char_boundary(TEXT_BYTES_MAX - '…'.len_utf8()));
        line.push('…');
    }
    line
}

/// Whether a text can be the code of a reason.
pub fn is_code(text: &str) -> bool {
    let kebab = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.len() <= CODE_BYTES_MAX && text.bytes().all(kebab)
}

/// A JSON Pointer to a member of what another pointer leads to.
pub fn member(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}
