//! What goes into the ledger about a call, and what comes out.
//!
//! Content comes in as bytes and is never looked into here: the ledger draws a nonce for each, stores it beside the log
//! and writes only its commitment. [`Begun`] is the one token by which a call can be finished; there is no other way
//! to get one than to have begun.

use std::fmt;

use ringfence_model::call::IdempotencyKey;
use ringfence_model::decision::Cap;
use ringfence_model::digest::Commitment;
use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::entry;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Finished;
use ringfence_model::entry::RemovedContent;
use ringfence_model::entry::RulingRecord;
use ringfence_model::entry::Stage;
use ringfence_model::entry::Used;
use ringfence_model::grant::Layer;
use ringfence_model::grant::Limits;
use ringfence_model::grant::Reach;
use ringfence_model::id::ApprovalId;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::json;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::outcome::Trace;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;
use serde::Serialize;

use crate::ledger::answers::Keep;
use crate::ledger::approvals::TakenApproval;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::StoredContent;
use crate::ledger::claim::Claim;
use crate::ledger::usage::Capped;
use crate::ledger::usage::Counted;

/// How the policies decided, with the request they saw.
#[derive(Clone, Debug)]
pub struct DecisionDraft {
    /// Whether what the policies were told is kept. It is not if they had something taken out of it: what is not to be
    /// handed back is not to lie on a disk.
    pub keeps_request: bool,
    /// Whether the call was allowed.
    pub allowed: bool,
    /// The set in force.
    pub policy_set: Digest,
    /// What the policies were told: the canonical bytes.
    pub request: Vec<u8>,
    /// What each said, sorted by name.
    pub rulings: Vec<RulingRecord>,
}

/// A call that is about to run.
#[derive(Clone, Debug)]
pub struct Intent {
    /// How the policies decided on loading the tool, if this is the first call since.
    pub admission: Option<DecisionDraft>,
    /// The approval it uses up, and what that has to be bound to.
    pub approval: Option<(ApprovalId, Digest)>,
    /// The call.
    pub call: CallId,
    /// What bounds the use of the host, by the policies' obligations.
    pub caps: Vec<Cap>,
    /// How the policies decided.
    pub decision: DecisionDraft,
    /// What the function says it does.
    pub effect: Effect,
    /// The function.
    pub function: String,
    /// The grant: canonical bytes.
    pub grant: Vec<u8>,
    /// The caller's token for "this call, once".
    pub idempotency_key: Option<IdempotencyKey>,
    /// Whether making it twice does no more than making it once, so that it may run again whatever it did.
    pub idempotent: bool,
    /// The input: canonical bytes.
    pub input: Vec<u8>,
    /// Whether its answer is kept.
    pub keep: Option<Keep>,
    /// The limits of the grant.
    pub limits: Limits,
    /// Who calls.
    pub principal: Principal,
    /// Digest of what the grant reaches, values and all: another one under the same key is a conflict.
    pub reachable: Digest,
    /// How far the grant reaches. Decides whether the intent is durable before the call runs, and what a crash means.
    pub reach: Reach,
    /// The ring it runs in.
    pub ring: Ring,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// The tool.
    pub tool: ToolRef,
}

/// A call that does not run.
#[derive(Clone, Debug)]
pub struct RefusalDraft {
    /// How the policies decided on loading the tool, if this is the first call since.
    pub admission: Option<DecisionDraft>,
    /// The call.
    pub call: CallId,
    /// Why: a stable code.
    pub code: String,
    /// How the policies decided, if they were asked.
    pub decision: Option<DecisionDraft>,
    /// The function.
    pub function: String,
    /// The input: canonical bytes.
    pub input: Vec<u8>,
    /// The layer that refused a capability, if one did.
    pub layer: Option<Layer>,
    /// Who called.
    pub principal: Principal,
    /// The ring it would have run in.
    pub ring: Ring,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// Where it was refused.
    pub stage: Stage,
    /// The tool.
    pub tool: ToolRef,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The outcome's stable code.
    pub code: String,
    /// How the policies decided on handing it back, if they were asked.
    pub decision: Option<DecisionDraft>,
    /// What is known of its effect on the world.
    pub effect: EffectState,
    /// How it ended.
    pub kind: OutcomeKind,
    /// The outcome: canonical bytes.
    pub outcome: Vec<u8>,
    /// How many redactions were demanded of it.
    pub redacted: u64,
    /// The host-call trace: canonical bytes.
    pub trace: Vec<u8>,
    /// What it used.
    pub used: Used,
}

impl Ending {
    /// The ending that `outcome` and `trace` are.
    pub fn of(outcome: &Outcome, effect: EffectState, trace: &Trace, used: Used) -> Self {
        Self {
            code: outcome.code().to_owned(),
            decision: None,
            effect,
            kind: outcome.kind,
            outcome: canonical(outcome),
            redacted: 0,
            trace: canonical(trace),
            used,
        }
    }
}

// Serialising strings, numbers and values into a value can't fail.
fn canonical(value: &impl Serialize) -> Vec<u8> {
    json::canonical(&serde_json::to_value(value).unwrap_or_default())
}

/// What came of beginning a call.
#[derive(Debug)]
pub enum Begin {
    /// The approval was used, or has expired, since it was looked at.
    ApprovalGone,
    /// It may run, once, and must be finished.
    Begun(Begun),
    /// A cap is reached.
    Capped(Capped),
    /// The idempotency key stands for another call: other input, tool or ring.
    Conflict {
        /// The call it stands for.
        call: CallId,
    },
    /// The call was begun before and nobody knows what it did. It never runs again by itself.
    EffectUnknown {
        /// The call.
        call: CallId,
        /// Index of the entry that began it.
        begun: u64,
    },
    /// The call is running now.
    InProgress {
        /// The call that runs.
        call: CallId,
    },
    /// The call has been made; this is what came of it.
    Known(Box<StoredCall>),
    /// The call was cut off, and somebody who has looked says that it was done. What it returned is lost. It never runs
    /// again.
    Settled {
        /// The call.
        call: CallId,
        /// Who says so.
        by: Principal,
        /// When.
        time: Timestamp,
        /// Index of the entry that says so.
        settled: u64,
    },
}

/// A call that has begun and not ended. Dropping it leaves the call open: if it could touch anything, the next recovery
/// settles it.
#[must_use = "a call that has begun has to be finished"]
pub struct Begun(pub(in crate::ledger) Box<Unfinished>);

/// What the ending of a call is written from.
pub(in crate::ledger) struct Unfinished {
    pub(in crate::ledger) row: CallRow,
    pub(in crate::ledger) input: Option<Opening>,
    pub(in crate::ledger) written: Written,
    /// The idempotency key, held until what came of the call is durable.
    pub(in crate::ledger) claim: Option<Claim>,
    /// Whom and what it is counted for; none if an earlier process began it.
    pub(in crate::ledger) counted: Option<Counted>,
    /// The approval it uses up, held until that is durable.
    pub(in crate::ledger) approval: Option<TakenApproval>,
    /// Whether its answer is kept.
    pub(in crate::ledger) keep: Option<Keep>,
}

/// Whether the intent is in the log yet.
pub(in crate::ledger) enum Written {
    /// It is durable, at this index.
    At(u64),
    /// It is written with the ending: the call can touch nothing before that.
    WithEnding(Box<entry::Begun>, Vec<StoredContent>),
}

impl Begun {
    /// The call.
    pub fn call(&self) -> CallId {
        self.0.row.call
    }

    /// Index of the entry that began it; none while that is written with the ending.
    pub fn index(&self) -> Option<u64> {
        match self.0.written {
            Written::At(index) => Some(index),
            Written::WithEnding(..) => None,
        }
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").field("call", &self.0.row.call).field("index", &self.index()).finish_non_exhaustive()
    }
}

/// What shows that content belongs to an entry: the commitment in the entry, and the nonce behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What stands in the entry.
    pub commitment: Commitment,
    /// The nonce.
    pub nonce: Nonce,
}

impl StoredContent {
    /// What opens the commitment to this content.
    pub fn opening(&self) -> Opening {
        Opening { commitment: self.commitment, nonce: self.nonce }
    }
}

/// Something that is durable in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The call.
    pub call: CallId,
    /// Index of the entry that ends it.
    pub index: u64,
    /// Hash of that entry.
    pub hash: Digest,
    /// Opens the input; none if the input has been removed.
    pub input: Option<Opening>,
    /// Opens the outcome; none if the call was refused, or the outcome has been removed.
    pub output: Option<Opening>,
}

/// Contents to take out of the log, and what to write down about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Who asked for it, in the operator's words.
    pub by: String,
    /// What to remove. What is not there any more is left out of the record.
    pub contents: Vec<RemovedContent>,
    /// Who does it.
    pub principal: Principal,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A call that had already been made.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCall {
    /// Where it stands.
    pub recorded: Recorded,
    /// The entry that ends it.
    pub finished: Finished,
    /// The outcome, checked against its commitment; none if it has been removed.
    pub outcome: Option<Vec<u8>>,
}
