//! Entries: what the ledger writes down.
//!
//! The fields of every struct here stand in the order RFC 8785 sorts them in, so that serialising one *is* its
//! canonical form; [`crate::encoding`] holds them to it. An entry never holds content, only commitments to it. A new
//! kind of entry, or a new field, is a new format version.

use serde::Deserialize;
use serde::Serialize;

use crate::digest::Commitment;
use crate::digest::Digest;
use crate::grant::Layer;
use crate::grant::Limits;
use crate::grant::Reach;
use crate::id::CallId;
use crate::id::SessionId;
use crate::outcome::OutcomeKind;
use crate::principal::Principal;
use crate::ring::Ring;
use crate::time::Timestamp;
use crate::tool::Effect;
use crate::tool::ToolRef;

/// The version of the format that is written.
pub const FORMAT_VERSION: u64 = 1;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub body: Body,
    /// Its position, from 0.
    pub index: u64,
    /// The hash of the entry before; [`Digest::ZERO`] for the first.
    pub prev: Digest,
    /// What the host's clock said.
    pub time: Timestamp,
}

/// What an entry says, by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Body {
    /// A call is about to run.
    Begun(Box<Begun>),
    /// A call has ended.
    Finished(Box<Finished>),
    /// The log has been opened for the first time.
    Opened(Opened),
    /// A call was refused.
    Refused(Box<Refused>),
}

impl Body {
    /// The entry's `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Begun(_) => "begun",
            Self::Finished(_) => "finished",
            Self::Opened(_) => "opened",
            Self::Refused(_) => "refused",
        }
    }

    /// The call it is about, if it is about one.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Self::Begun(begun) => Some(begun.call),
            Self::Finished(finished) => Some(finished.call),
            Self::Opened(_) => None,
            Self::Refused(refused) => Some(refused.call),
        }
    }
}

/// The first entry: who keeps the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// The host that opened it, with versions.
    pub host: String,
    /// The key that signs its checkpoints, as a C2SP verifier key.
    pub key: String,
    /// The log's permanent name.
    pub origin: String,
}

/// The intent: durable before the tool can touch the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// The call.
    pub call: CallId,
    /// How the policies decided.
    pub decision: DecisionRecord,
    /// What the function says it does.
    pub effect: Effect,
    /// The function.
    pub function: String,
    /// Commitment to the grant.
    pub grant: Commitment,
    /// Digest of the caller's idempotency key, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<Digest>,
    /// Commitment to the input.
    pub input: Commitment,
    /// The limits of the grant.
    pub limits: Limits,
    /// Who calls.
    pub principal: Principal,
    /// How far the grant reaches.
    pub reach: Reach,
    /// The ring it runs in.
    pub ring: Ring,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The tool.
    pub tool: ToolRef,
}

/// How the policies decided on a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRecord {
    /// Whether the call was allowed.
    pub allowed: bool,
    /// The set in force.
    pub policy_set: Digest,
    /// Commitment to the request the policies saw.
    pub request: Commitment,
    /// What each policy said, sorted by name.
    pub rulings: Vec<RulingRecord>,
}

/// What one policy said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulingRecord {
    /// The policy component.
    pub digest: Digest,
    /// Fuel it used.
    pub fuel: u64,
    /// The name the operator knows it by.
    pub name: String,
    /// Codes of its reasons, or of its fault.
    pub reasons: Vec<String>,
    /// Digest of its settings.
    pub settings: Digest,
    /// `permit`, `forbid`, `abstain` or `fault`.
    pub verdict: VerdictKind,
}

/// The kinds of verdict, as written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// Not its concern.
    Abstain,
    /// There is no verdict.
    Fault,
    /// No.
    Forbid,
    /// Yes.
    Permit,
}

/// The outcome: the commit point of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    /// Index of the entry that began the call.
    pub begun: u64,
    /// The call.
    pub call: CallId,
    /// The outcome's stable code.
    pub code: String,
    /// What is known of its effect on the world.
    pub effect: EffectState,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Commitment to the outcome.
    pub output: Commitment,
    /// Commitment to the host-call trace.
    pub trace: Commitment,
    /// What it used.
    pub used: Used,
}

/// What is known of a call's effect on the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectState {
    /// It had none, and can run again.
    Aborted,
    /// It ran to its end; whatever it did is done.
    Committed,
    /// It may have had one. It never runs again by itself.
    Unknown,
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// Units of fuel.
    pub fuel: u64,
    /// Bytes of memory and tables at the peak.
    pub memory_bytes: u64,
    /// Bytes of output of all kinds.
    pub output_bytes: u64,
    /// Milliseconds.
    pub wall_ms: u64,
}

/// A call that did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The call.
    pub call: CallId,
    /// Why: a stable code.
    pub code: String,
    /// How the policies decided, if they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionRecord>,
    /// The function.
    pub function: String,
    /// Commitment to the input.
    pub input: Commitment,
    /// The layer that removed a capability, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// Who called.
    pub principal: Principal,
    /// The ring it would have run in.
    pub ring: Ring,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Where it was refused.
    pub stage: Stage,
    /// The tool.
    pub tool: ToolRef,
}

/// The stages of a call that can refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The session did not admit it.
    Admit,
    /// The ledger knows better: the key stands for another call, or for one whose effect is unknown.
    Begin,
    /// A policy, or the rule of combination.
    Decide,
    /// A layer of the grant.
    Narrow,
}
