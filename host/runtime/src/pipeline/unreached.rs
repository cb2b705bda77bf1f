//! Unreached: what somebody wanted to call and could not try, written down like every other refusal.
//!
//! Somebody who is known asked for a tool that is not there for them, in a session that is not open, for one whose
//! grant can't be had, or has said no themselves when they were asked about it; or so many calls of theirs were refused that
//! no more are looked at. There is nothing to decide on, so no policy is asked; the attempt is an entry all the same (AUD-20).
//! What is not there has no digest, and neither has what its caller may not know of: both are named as they were asked for.

use ringfence_model::call::Input;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Stage;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::tool::ToolRef;

use crate::host::Parts;
use crate::ledger::RefusalDraft;
use crate::pipeline::CallFailure;
use crate::pipeline::Denial;
use crate::pipeline::Response;
use crate::pipeline::refuse;

/// A call that could not be tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who wanted it.
    pub principal: Principal,
    /// The ring it would have run in.
    pub ring: Ring,
    /// The session that was named.
    pub session: Option<SessionId>,
    /// The tool: pinned, or [`named`].
    pub tool: ToolRef,
    /// The function.
    pub function: Option<String>,
    /// With what.
    pub input: Input,
    /// Why not.
    pub why: Unreached,
}

/// Why a call could not be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// Whoever sits at its caller was asked about it, and has said no.
    Declined,
    /// What the tool is granted can't be had now.
    Grant,
    /// The session that was named is not open for whoever named it.
    Session,
    /// Too many calls of whoever asks were refused: for a while this is the only one that is on record.
    TooMany,
    /// There is no such tool for whoever asks.
    Tool,
}

/// A tool that is known by nothing but what it was called: no component has this digest.
pub fn named(name: &str) -> ToolRef {
    let mut name = one_line(name);
    name.truncate(name.floor_char_boundary(limits::NAME_BYTES_MAX));
    ToolRef { digest: Digest::ZERO, name }
}

impl Unreached {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Declined => "denied.declined",
            Self::Grant => "host.grant",
            Self::Session => "denied.session",
            Self::TooMany => "denied.too-many",
            Self::Tool => "caller.unknown-function",
        }
    }

    /// One line, which says nothing of what there is.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Declined => "whoever was asked about this call has declined",
            Self::Grant => "what the tool is granted can't be used now; its operator has been told",
            Self::Session => "the session is not open",
            Self::TooMany => "too many calls were refused: none is looked at for a while",
            Self::Tool => "there is no such function that can be called",
        }
    }

    fn stage(self) -> Stage {
        match self {
            Self::Declined => Stage::Decide,
            Self::Grant => Stage::Narrow,
            Self::Session | Self::TooMany | Self::Tool => Stage::Admit,
        }
    }
}

/// Writes down that somebody wanted a call which could not be tried.
pub(crate) async fn unreached(parts: &Parts, call: CallId, attempt: Attempt) -> Result<Response, CallFailure> {
    let Attempt { principal, ring, session, tool, function, input, why } = attempt;
    let function = one_line(function.as_deref().unwrap_or_default());
    let mut input = input.canonical(&function);
    if input.len() > limits::UNREACHED_INPUT_BYTES_MAX {
        // Nothing was decided on it, and no policy, cap or place bounds how often it comes: its digest tells what it was.
        input = json::canonical(&serde_json::json!({ "bytes": input.len(), "digest": Digest::of(&input) }));
    }
    let draft = RefusalDraft {
        admission: None,
        call,
        code: why.code().to_owned(),
        decision: None,
        input,
        function,
        layer: None,
        principal,
        ring,
        session,
        stage: why.stage(),
        tool,
    };
    refuse(parts, call, (draft, Denial::Unreached(why))).await
}
