//! The life of one call: all the branching, none of the work.
//!
//! ```text
//! CallRequest → AdmittedCall → AuthorizedCall → GrantedCall → PlacedCall → BegunCall → Run → Response
//!     session::admit   policy::decide   Grant::narrow   gate::enter   ledger::begin   sandbox::run   ledger::finish
//!           └───────────────┴────────────────┴───────────────┴──────────────┴──── ledger::refuse
//! ```
//!
//! Each stage takes the type before it by value and returns the next, so the compiler checks the order: what was not
//! granted can't run, because the argument does not exist. There is one early exit, [`Stop`]: a refusal, which is
//! written down like everything else, or a failure of the host, after which nothing may be answered.
//!
//! Two things are written for a call that runs. The intent is durable *before* the tool can touch the world; else a
//! crash would leave an effect that the record denies. The outcome is durable *before* it is answered; else a caller
//! could act on something that never happened. Under a grant that reaches nothing there is no world to touch, and both
//! are written in one commit. The idempotency key is looked up *after* the policies were asked: a caller who has lost
//! the right must not read an old result by repeating its key. A call waits for its place *before* its intent is
//! written: what is on record as begun runs.

use ringfence_model::call::CallRequest;
use ringfence_model::decision::Answer;
use ringfence_model::decision::AskedSummary;
use ringfence_model::decision::CallSubject;
use ringfence_model::decision::Decision;
use ringfence_model::decision::DenialReason;
use ringfence_model::decision::FolderSummary;
use ringfence_model::decision::Obligations;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::digest::Digest;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::RulingRecord;
use ringfence_model::entry::Stage;
use ringfence_model::entry::Used;
use ringfence_model::grant::Grant;
use ringfence_model::grant::Layer;
use ringfence_model::grant::Limits;
use ringfence_model::grant::Refusal;
use ringfence_model::id::CallId;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::HostCall;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::Trace;
use thiserror::Error;

use crate::gate::Busy;
use crate::gate::Caller;
use crate::gate::Place;
use crate::host::Parts;
use crate::ledger::Begin;
use crate::ledger::Begun;
use crate::ledger::DecisionDraft;
use crate::ledger::Ending;
use crate::ledger::Intent;
use crate::ledger::LedgerError;
use crate::ledger::Recorded;
use crate::ledger::RefusalDraft;
use crate::ledger::StoredCall;
use crate::policy::PolicySet;
use crate::policy::cases::said;
use crate::sandbox;
use crate::sandbox::Room;
use crate::sandbox::Run;
use crate::sandbox::SandboxError;
use crate::sandbox::scratch::Scratch;
use crate::session;
use crate::session::AdmittedCall;
use crate::toolbox::Function;
use crate::toolbox::FunctionError;
use crate::toolbox::InputProblem;
use crate::toolbox::Tool;

/// The code of a call that had no place, or no instance, and may be made again.
const BUSY: &str = "host.busy";

/// The host could not do its job; nothing may be answered.
#[derive(Debug, Error)]
pub enum CallFailure {
    /// The record can't be written or read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What was recorded for this idempotency key is not an outcome: a bug of ours, or damage.
    #[error("the stored outcome of `{0}` can't be read back")]
    StoredOutcome(CallId),
    /// A thread of ours ended before its work.
    #[error("the host is shutting down")]
    ShuttingDown,
}

/// Why a call was refused.
#[derive(Clone, Debug)]
pub enum Denial {
    /// Something about the call itself, whatever the tool.
    Caller(String),
    /// The function.
    Function(FunctionError),
    /// The input.
    Input(InputProblem),
    /// A policy, or the rule of combination.
    Policy(Vec<DenialReason>),
    /// A layer of the grant.
    Layer(Box<Refusal>),
    /// The host has no place for it now; nothing is wrong with it.
    Busy(Busy),
    /// The idempotency key: it stands for another call, one that runs, or one whose effect is unknown.
    Key {
        /// A stable code.
        code: &'static str,
        /// What it stands for.
        text: String,
    },
}

impl Denial {
    /// A stable code. Those that start with `caller.` are the caller's mistakes; `denied.` means no, `host.` not now.
    pub fn code(&self) -> String {
        match self {
            Self::Caller(_) => "caller.bad-call".to_owned(),
            Self::Function(_) => "caller.unknown-function".to_owned(),
            Self::Input(_) => "caller.bad-input".to_owned(),
            Self::Policy(reasons) if reasons.iter().any(|reason| reason.is_fault) => "denied.policy-fault".to_owned(),
            Self::Policy(_) => "denied.policy".to_owned(),
            Self::Layer(refusal) => format!("denied.{}", refusal.layer),
            Self::Busy(_) => BUSY.to_owned(),
            Self::Key { code, .. } => (*code).to_owned(),
        }
    }

    /// What the caller is told. To be busy is no refusal of this call: it is stopped, and can be made again.
    fn outcome(&self) -> Outcome {
        let Self::Busy(busy) = self else { return Outcome::denied(&self.code(), &self.message()) };
        busy_outcome(&busy.to_string(), busy.retry_after_ms)
    }

    /// One line for people.
    pub fn message(&self) -> String {
        match self {
            Self::Caller(text) | Self::Key { text, .. } => text.clone(),
            Self::Function(error) => error.to_string(),
            Self::Input(problem) => problem.to_string(),
            Self::Policy(reasons) => reasons.iter().map(shown).collect::<Vec<_>>().join("; "),
            Self::Layer(refusal) => refusal.to_string(),
            Self::Busy(busy) => busy.to_string(),
        }
    }
}

fn shown(reason: &DenialReason) -> String {
    let text = &reason.reason.text;
    match &reason.policy {
        Some(policy) => format!("policy `{policy}`: {text} ({})", reason.reason.code),
        None => text.clone(),
    }
}

/// What a call came to, and where that is written.
#[derive(Clone, Debug)]
pub struct Response {
    /// The call.
    pub call: CallId,
    /// How it ended. A call that was refused has an outcome of kind *denied*, or *cancelled* if the host was busy.
    pub outcome: Outcome,
    /// Where it is written.
    pub recorded: Recorded,
    /// Why it was refused, if it was.
    pub denial: Option<Denial>,
    /// What it used; none for a call that did not run now.
    pub used: Option<Used>,
    /// What the tool reached for while it ran, and was refused; the first few.
    pub refused: Vec<HostCall>,
}

/// The one early exit.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(CallFailure),
    Known(Box<StoredCall>),
    Refused(Box<(RefusalDraft, Denial)>),
}

impl From<CallFailure> for Stop {
    fn from(failure: CallFailure) -> Self {
        Self::Failed(failure)
    }
}

impl Stop {
    pub(crate) fn refused(
        request: &CallRequest,
        tool: &Tool,
        function: Option<&Function>,
        stage: Stage,
        denial: Denial,
    ) -> Self {
        let wanted = request.function.as_deref().unwrap_or_default();
        let name = function.map_or_else(|| ringfence_model::outcome::one_line(wanted), |f| f.name.clone());
        let draft = RefusalDraft {
            call: request.call,
            code: denial.code(),
            decision: None,
            input: request.input.canonical(&name),
            function: name,
            layer: layer(&denial),
            principal: request.principal.clone(),
            ring: request.ring,
            session: request.session,
            stage,
            tool: tool.reference().clone(),
        };
        Self::Refused(Box::new((draft, denial)))
    }

    fn with_decision(self, decision: DecisionDraft) -> Self {
        match self {
            Self::Refused(mut refused) => {
                refused.0.decision = Some(decision);
                Self::Refused(refused)
            }
            other => other,
        }
    }
}

fn layer(denial: &Denial) -> Option<Layer> {
    match denial {
        Denial::Layer(refusal) => Some(refusal.layer),
        _ => None,
    }
}

/// A call that the policies allow.
struct AuthorizedCall<'t> {
    admitted: AdmittedCall<'t>,
    decision: DecisionDraft,
    obligations: Obligations,
}

/// A call with its grant.
struct GrantedCall<'t> {
    admitted: AdmittedCall<'t>,
    decision: DecisionDraft,
    grant: Grant,
}

/// A call that runs next.
struct PlacedCall<'t> {
    granted: GrantedCall<'t>,
    place: Place,
}

/// A call whose intent is written, or will be with its outcome.
struct BegunCall<'t> {
    admitted: AdmittedCall<'t>,
    grant: Grant,
    begun: Begun,
    /// Given back when the outcome is durable: a slow disk holds up new calls, and not their number in memory.
    place: Place,
}

/// Makes one call.
pub(crate) async fn call(
    parts: &Parts,
    policies: &PolicySet,
    tool: &Tool,
    request: CallRequest,
) -> Result<Response, CallFailure> {
    let call = request.call;
    match run(parts, policies, tool, request).await {
        Ok(response) => Ok(response),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Known(stored)) => known(&stored),
        Err(Stop::Refused(refused)) => refuse(parts, call, *refused).await,
    }
}

async fn run(parts: &Parts, policies: &PolicySet, tool: &Tool, request: CallRequest) -> Result<Response, Stop> {
    let admitted = session::admit(request, tool)?;
    let authorized = decide(parts, policies, admitted)?;
    let granted = narrow(parts, authorized)?;
    let placed = enter(parts, granted).await?;
    let begun = begin(parts, placed).await?;
    Ok(finish(parts, begun).await?)
}

fn decide<'t>(parts: &Parts, policies: &PolicySet, admitted: AdmittedCall<'t>) -> Result<AuthorizedCall<'t>, Stop> {
    let request = policy_request(parts, &admitted);
    let Decision { rulings, answer } = policies.decide(&request);
    let decision = DecisionDraft {
        allowed: matches!(answer, Answer::Allow(_)),
        policy_set: policies.digest(),
        request: canonical(&request),
        rulings: rulings
            .into_iter()
            .map(|ruling| {
                let (verdict, mut reasons) = said(&ruling.verdict);
                reasons.truncate(limits::REASONS_RECORDED_MAX);
                let policy = ruling.policy;
                let (digest, name, settings) = (policy.digest, policy.name, policy.settings);
                RulingRecord { digest, fuel: ruling.fuel, name, reasons, settings, verdict }
            })
            .collect(),
    };
    match answer {
        Answer::Allow(obligations) => Ok(AuthorizedCall { admitted, decision, obligations }),
        Answer::Deny(reasons) => {
            let AdmittedCall { request, tool, function, .. } = &admitted;
            let stop = Stop::refused(request, tool, Some(function), Stage::Decide, Denial::Policy(reasons));
            Err(stop.with_decision(decision))
        }
    }
}

fn policy_request(parts: &Parts, admitted: &AdmittedCall<'_>) -> PolicyRequest {
    let request = &admitted.request;
    PolicyRequest {
        claimed: request.claimed.clone(),
        principal: request.principal.clone(),
        ring: request.ring,
        session: None,
        subject: Subject::Call(Box::new(call_subject(parts, admitted))),
        time_ms: parts.clock.now().as_millis(),
        usage: Vec::new(),
    }
}

fn call_subject(parts: &Parts, admitted: &AdmittedCall<'_>) -> CallSubject {
    let request = &admitted.request;
    let folder = |folder: &ringfence_model::capability::Folder| FolderSummary {
        access: folder.access,
        guest_path: folder.guest.clone(),
    };
    let bounds = parts.ring_ceiling(request.ring).limits.intersect(&request.asked.limits);
    let input = request.input.value.as_ref().map_or_else(|| b"{}".to_vec(), json::canonical);
    CallSubject {
        arguments: request.input.arguments.clone(),
        asked: AskedSummary {
            environment: request.asked.environment.keys().cloned().collect(),
            folders: request.asked.folders.iter().map(folder).collect(),
            limits: Limits::from_bounds(&bounds),
            network: request.asked.network.clone(),
        },
        effect: admitted.effect(),
        function: admitted.function.name.clone(),
        input: String::from_utf8(input).unwrap_or_default(),
        required_ring: admitted.required_ring(),
        stdin_bytes: u64::try_from(request.input.stdin.len()).unwrap_or(u64::MAX),
        stdin_digest: Digest::of(&request.input.stdin),
        tool: admitted.tool.reference().clone(),
    }
}

fn narrow<'t>(parts: &Parts, authorized: AuthorizedCall<'t>) -> Result<GrantedCall<'t>, Stop> {
    let AuthorizedCall { admitted, decision, obligations } = authorized;
    let layers = parts.layers(admitted.tool, &admitted.request);
    match Grant::narrow(&admitted.request.asked, &layers, &parts.config.host_state) {
        Ok(grant) => {
            let grant = obligations.narrowings.iter().fold(grant, Grant::attenuate);
            Ok(GrantedCall { admitted, decision, grant })
        }
        Err(refusal) => {
            let AdmittedCall { request, tool, function, .. } = &admitted;
            let stop = Stop::refused(request, tool, Some(function), Stage::Narrow, Denial::Layer(refusal));
            Err(stop.with_decision(decision))
        }
    }
}

async fn enter<'t>(parts: &Parts, granted: GrantedCall<'t>) -> Result<PlacedCall<'t>, Stop> {
    let AdmittedCall { request, tool, function, .. } = &granted.admitted;
    let caller = Caller { ring: request.ring, tool: tool.reference().digest, principal: request.principal.clone() };
    match parts.gate.enter(caller).await {
        Ok(place) => Ok(PlacedCall { granted, place }),
        Err(busy) => {
            let stop = Stop::refused(request, tool, Some(function), Stage::Begin, Denial::Busy(busy));
            Err(stop.with_decision(granted.decision))
        }
    }
}

async fn begin<'t>(parts: &Parts, placed: PlacedCall<'t>) -> Result<BegunCall<'t>, Stop> {
    let PlacedCall { granted: GrantedCall { admitted, decision, grant }, place } = placed;
    let request = &admitted.request;
    let intent = Intent {
        call: request.call,
        decision: decision.clone(),
        effect: admitted.effect(),
        function: admitted.function.name.clone(),
        grant: canonical(&grant),
        idempotency_key: request.idempotency_key.clone(),
        input: admitted.input.clone(),
        limits: *grant.limits(),
        principal: request.principal.clone(),
        reachable: grant.reachable(),
        reach: grant.reach(),
        ring: request.ring,
        session: request.session,
        tool: admitted.tool.reference().clone(),
    };
    let denial = match parts.on_ledger(move |ledger| ledger.begin(intent)).await? {
        Begin::Begun(begun) => return Ok(BegunCall { admitted, grant, begun, place }),
        Begin::Known(stored) => return Err(Stop::Known(stored)),
        Begin::Conflict { call } => key_denial(
            "denied.idempotency-conflict",
            format!("the idempotency key stands for `{call}`, which had another input, tool or ring"),
        ),
        Begin::InProgress { call } => {
            key_denial("denied.in-progress", format!("the idempotency key stands for `{call}`, which is running now"))
        }
        Begin::EffectUnknown { call, begun } => key_denial(
            "denied.effect-unknown",
            format!("`{call}`, begun by entry {begun}, was cut off and may have had its effect; it does not run again"),
        ),
    };
    let AdmittedCall { request, tool, function, .. } = &admitted;
    Err(Stop::refused(request, tool, Some(function), Stage::Begin, denial).with_decision(decision))
}

fn key_denial(code: &'static str, text: String) -> Denial {
    Denial::Key { code, text }
}

async fn finish(parts: &Parts, begun: BegunCall<'_>) -> Result<Response, CallFailure> {
    let BegunCall { admitted, grant, begun, place } = begun;
    let ran = in_room(parts, &admitted, &grant).await;
    let (outcome, trace, used, effect) = match ran {
        Ok(run) => (run.outcome, run.trace, run.used, EffectState::Committed),
        // Nothing of the guest has run, so whoever comes with the same key may try again.
        Err(error) => (not_run(&error), Trace::default(), Used::default(), EffectState::Aborted),
    };
    let ending = Ending::of(&outcome, effect, &trace, used);
    let refused = trace.events.into_iter().filter(|event| !event.allowed).collect();
    let recorded = parts.on_ledger(move |ledger| ledger.finish(begun, ending)).await?;
    drop(place);
    Ok(Response { call: recorded.call, outcome, recorded, denial: None, used: Some(used), refused })
}

/// Runs the tool, in a scratch folder of the call's own if it was granted one.
async fn in_room(parts: &Parts, admitted: &AdmittedCall<'_>, grant: &Grant) -> Result<Run, SandboxError> {
    let scratch = match grant.scratch() {
        Some(_) => Some(Scratch::create(parts.config.scratch.clone()).await?),
        None => None,
    };
    let room = Room { grant, scratch: scratch.as_ref(), egress: &parts.egress };
    let ran = sandbox::run(admitted.tool, admitted.function, &admitted.request.input, &room).await;
    if let Some(scratch) = scratch {
        scratch.remove().await;
    }
    ran
}

fn not_run(error: &SandboxError) -> Outcome {
    match error {
        SandboxError::Busy => busy_outcome(&error.to_string(), limits::RETRY_AFTER_MS),
        _ => Outcome::cancelled(&error.to_string()),
    }
}

/// Nothing is wrong with the call: the host says when it may be made again.
fn busy_outcome(message: &str, retry_after_ms: u64) -> Outcome {
    let mut outcome = Outcome::cancelled(message);
    if let Some(error) = &mut outcome.error {
        BUSY.clone_into(&mut error.code);
        error.value = Some(serde_json::json!({ "retry_after_ms": retry_after_ms }));
    }
    outcome
}

/// The answer of a call that was made before, under the same key.
fn known(stored: &StoredCall) -> Result<Response, CallFailure> {
    let call = stored.recorded.call;
    let outcome = match &stored.outcome {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|_| CallFailure::StoredOutcome(call))?,
        None => Outcome::cancelled("the outcome of this call has been removed from the log"),
    };
    Ok(Response { call, outcome, recorded: stored.recorded, denial: None, used: None, refused: Vec::new() })
}

async fn refuse(parts: &Parts, call: CallId, (draft, denial): (RefusalDraft, Denial)) -> Result<Response, CallFailure> {
    let outcome = denial.outcome();
    let recorded = parts.on_ledger(move |ledger| ledger.refuse(draft)).await?;
    Ok(Response { call, outcome, recorded, denial: Some(denial), used: None, refused: Vec::new() })
}

/// Canonical bytes of something that is made of strings and numbers: serialising it can't fail.
fn canonical(value: &impl serde::Serialize) -> Vec<u8> {
    json::canonical(&serde_json::to_value(value).unwrap_or_default())
}
