//! Entries: what the ledger writes down.
//!
//! The fields of every struct here stand in the order RFC 8785 sorts them in, so that serialising one *is* its
//! canonical form; [`crate::encoding`] holds them to it. An entry never holds content, only commitments to it. A new
//! kind of entry, or a new field, is a new format version.

use serde::Deserialize;
use serde::Serialize;

use crate::capability::Ceiling;
use crate::content::ContentName;
use crate::decision::DecisionPoint;
use crate::digest::Commitment;
use crate::digest::Digest;
use crate::function_pattern::FunctionPattern;
use crate::grant::Layer;
use crate::grant::Limits;
use crate::grant::Reach;
use crate::id::ApprovalId;
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
    /// A call was answered with what an earlier one came to.
    Answered(Box<Answered>),
    /// Somebody approved.
    Approved(ApprovalAnswer),
    /// A call is about to run.
    Begun(Box<Begun>),
    /// The policies decided on something that is no call.
    Decided(Box<Decided>),
    /// A session moved to a more privileged ring for a time.
    Elevated(Box<Elevated>),
    /// A call has ended.
    Finished(Box<Finished>),
    /// An operator halted the host: nothing starts, and what runs is stopped.
    Halted(HaltChange),
    /// Somebody has to approve first.
    Held(Box<Held>),
    /// The log has been opened for the first time.
    Opened(Opened),
    /// A call was refused.
    Refused(Box<Refused>),
    /// Somebody rejected.
    Rejected(ApprovalAnswer),
    /// Contents were removed.
    Removed(Box<Removed>),
    /// An operator let the host run again.
    Resumed(HaltChange),
    /// The key of the log's checkpoints was replaced.
    Rotated(Box<Rotated>),
    /// A session was closed.
    SessionClosed(SessionClosed),
    /// A session was opened.
    SessionOpened(SessionOpened),
    /// Somebody said what became of a call whose effect was unknown.
    Settled(Settled),
}

impl Body {
    /// The entry's `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Approved(_) => "approved",
            Self::Begun(_) => "begun",
            Self::Decided(_) => "decided",
            Self::Elevated(_) => "elevated",
            Self::Finished(_) => "finished",
            Self::Halted(_) => "halted",
            Self::Held(_) => "held",
            Self::Opened(_) => "opened",
            Self::Refused(_) => "refused",
            Self::Rejected(_) => "rejected",
            Self::Removed(_) => "removed",
            Self::Resumed(_) => "resumed",
            Self::Rotated(_) => "rotated",
            Self::SessionClosed(_) => "session-closed",
            Self::SessionOpened(_) => "session-opened",
            Self::Settled(_) => "settled",
        }
    }

    /// The session it is about, if it says so.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Answered(answered) => answered.session,
            Self::Begun(begun) => begun.session,
            Self::Decided(decided) => decided.session,
            Self::Elevated(elevated) => Some(elevated.session),
            Self::Held(held) => held.session,
            Self::Refused(refused) => refused.session,
            Self::SessionClosed(closed) => Some(closed.session),
            Self::SessionOpened(opened) => Some(opened.session),
            Self::Approved(_)
            | Self::Finished(_)
            | Self::Halted(_)
            | Self::Opened(_)
            | Self::Rejected(_)
            | Self::Removed(_)
            | Self::Resumed(_)
            | Self::Rotated(_)
            | Self::Settled(_) => None,
        }
    }

    /// The call it is about, if it is about one.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Self::Answered(answered) => Some(answered.call),
            Self::Begun(begun) => Some(begun.call),
            Self::Finished(finished) => Some(finished.call),
            Self::Held(held) => held.call,
            Self::Refused(refused) => Some(refused.call),
            Self::Settled(settled) => Some(settled.call),
            Self::Approved(_)
            | Self::Decided(_)
            | Self::Elevated(_)
            | Self::Halted(_)
            | Self::Opened(_)
            | Self::Rejected(_)
            | Self::Removed(_)
            | Self::Resumed(_)
            | Self::Rotated(_)
            | Self::SessionClosed(_)
            | Self::SessionOpened(_) => None,
        }
    }

    /// Every decision of the policies that it tells of, each with its point.
    pub fn decisions(&self) -> Vec<(DecisionPoint, &DecisionRecord)> {
        match self {
            Self::Answered(answered) => vec![(DecisionPoint::Call, &answered.decision)],
            Self::Begun(begun) => admission(begun.admission.as_ref())
                .into_iter()
                .chain([(DecisionPoint::Call, &begun.decision)])
                .collect(),
            Self::Decided(decided) => vec![(decided.point, &decided.decision)],
            Self::Elevated(elevated) => vec![(DecisionPoint::Elevate, &elevated.decision)],
            Self::Finished(finished) => {
                finished.decision.iter().map(|record| (DecisionPoint::Result, record)).collect()
            }
            Self::Held(held) => vec![(held.point, &held.decision)],
            Self::Refused(refused) => {
                let decision = refused.decision.as_ref().map(|record| (DecisionPoint::Call, record));
                admission(refused.admission.as_ref()).into_iter().chain(decision).collect()
            }
            Self::Approved(_)
            | Self::Halted(_)
            | Self::Opened(_)
            | Self::Rejected(_)
            | Self::Removed(_)
            | Self::Resumed(_)
            | Self::Rotated(_)
            | Self::SessionClosed(_)
            | Self::SessionOpened(_)
            | Self::Settled(_) => Vec::new(),
        }
    }
}

fn admission(record: Option<&DecisionRecord>) -> Option<(DecisionPoint, &DecisionRecord)> {
    record.map(|record| (DecisionPoint::Admit, record))
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
    /// How the policies decided on loading the tool, if this is the first call since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<DecisionRecord>,
    /// The approval that was used up by this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
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
    /// How the policies decided on handing it back, if they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionRecord>,
    /// What is known of its effect on the world.
    pub effect: EffectState,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Commitment to the outcome, as it was handed back.
    pub output: Commitment,
    /// How many redactions policies demanded of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redacted: u64,
    /// Commitment to the host-call trace.
    pub trace: Commitment,
    /// What it used.
    pub used: Used,
}

/// What is known of a call's effect on the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectState {
    /// It had none, and can run again.
    Aborted,
    /// It ran to its end; whatever it did is done.
    Committed,
    /// It may have had one. It never runs again by itself.
    Unknown,
}

/// What somebody says became of a call whose effect was unknown. The entry that ended the call stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settled {
    /// Who says so: an operator.
    pub by: Principal,
    /// The call.
    pub call: CallId,
    /// Index of the entry that ended it.
    pub finished: u64,
    /// What became of it.
    pub how: Settlement,
    /// Commitment to the reason given.
    pub reason: Commitment,
}

/// What became of a call whose effect was unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settlement {
    /// It had its effect. It never runs again.
    Committed,
    /// It had none, and can run again.
    NotExecuted,
}

impl Settlement {
    /// How it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::NotExecuted => "not-executed",
        }
    }
}

/// An operator halted the host, or let it run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HaltChange {
    /// Who did.
    pub by: Principal,
    /// Commitment to the reason given.
    pub reason: Commitment,
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
    /// How the policies decided on loading the tool, if this is the first call since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<DecisionRecord>,
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

/// A call that was answered with what an earlier one came to, because a policy had the answer kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// Index of the entry that ended the earlier call.
    pub answer: u64,
    /// The call.
    pub call: CallId,
    /// How the policies decided.
    pub decision: DecisionRecord,
    /// The function.
    pub function: String,
    /// Commitment to the input.
    pub input: Commitment,
    /// Who called.
    pub principal: Principal,
    /// The ring.
    pub ring: Ring,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The tool.
    pub tool: ToolRef,
}

/// A call, or a session's move to another ring, that somebody has to approve first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The question.
    pub approval: ApprovalId,
    /// What it is bound to: SHA-256 over tool, input, grant, principal, session, ring and policy set. An approval is of
    /// no use to anything else.
    pub binding: Digest,
    /// The call that was held, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// How the policies decided.
    pub decision: DecisionRecord,
    /// Until when it can be answered, and then used.
    pub expires: Timestamp,
    /// The function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Commitment to the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Commitment>,
    /// The point that it is held at.
    pub point: DecisionPoint,
    /// Who asks.
    pub principal: Principal,
    /// The ring.
    pub ring: Ring,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolRef>,
}

/// What somebody said to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalAnswer {
    /// The question.
    pub approval: ApprovalId,
    /// Who answered.
    pub by: Principal,
    /// Index of the entry that asks.
    pub held: u64,
    /// Commitment to the reason given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Commitment>,
}

/// A decision on something that is no call: a component that was not loaded or is registered, a transcript, a ring that
/// was not given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// How the policies decided.
    pub decision: DecisionRecord,
    /// The point.
    pub point: DecisionPoint,
    /// Who asked.
    pub principal: Principal,
    /// How many redactions were carried out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redacted: u64,
    /// The ring.
    pub ring: Ring,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The tool, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolRef>,
}

/// A session's move to a more privileged ring for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elevated {
    /// The approval that was used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
    /// How the policies decided.
    pub decision: DecisionRecord,
    /// The ring it had.
    pub from: Ring,
    /// Whose session it is.
    pub principal: Principal,
    /// The session.
    pub session: SessionId,
    /// The ring it has.
    pub to: Ring,
    /// Until when.
    pub until: Timestamp,
}

/// A session was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionOpened {
    /// What may be called in it at all, if not everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<FunctionPattern>>,
    /// Who opened it.
    pub by: Principal,
    /// What bounds the calls in it, if anything does beside its ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Box<Ceiling>>,
    /// The name it was given.
    pub name: String,
    /// Whose it is.
    pub principal: Principal,
    /// Its ring.
    pub ring: Ring,
    /// The session.
    pub session: SessionId,
}

/// A session was closed: nothing runs in it any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionClosed {
    /// Who closed it.
    pub by: Principal,
    /// The session.
    pub session: SessionId,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One key hands the log over to the next. Both have signed it, over the log's name and this entry's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotated {
    /// The key that signs checkpoints which cover this entry, as a C2SP verifier key.
    pub new: String,
    /// The new key's signature, in base64.
    pub new_signature: String,
    /// The key that signed those before.
    pub old: String,
    /// The old key's signature, in base64.
    pub old_signature: String,
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

/// Contents that were taken out of the store. Entries keep their commitments to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Who asked for it, in the operator's words.
    pub by: String,
    /// What was removed, in order.
    pub contents: Vec<RemovedContent>,
    /// Who ran the command that did it.
    pub principal: Principal,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A content that was removed, by the entry that commits to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovedContent {
    /// Index of that entry.
    pub entry: u64,
    /// What it was to it.
    pub name: ContentName,
}
