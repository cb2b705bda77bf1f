//! The life of one call: all the branching, none of the work.
//!
//! ```text
//! CallRequest → AdmittedCall → AuthorizedCall → GrantedCall → PlacedCall → BegunCall → Run → Response
//!     session::admit   policy::decide   Grant::narrow   gate::enter   ledger::begin   sandbox::run   ledger::finish
//!           └───────────────┴────────────────┴───────────────┴──────────────┴──── ledger::refuse
//! ```
//!
//! Between a grant and a place stands what the policies' permits demand: somebody's approval ([`hold`]), an answer that
//! is kept. Between a run and its response stands their last word on what is handed back ([`answer`]).
//!
//! Each stage takes the type before it by value and returns the next, so the compiler checks the order: what was not
//! granted can't run, because the argument does not exist. There is one early exit, [`Stop`]: a refusal, which is
//! written down like everything else, or a failure of the host, after which nothing may be answered.
//!
//! Two things are written for a call that runs. The intent is durable *before* the tool can touch the world; else a
//! crash would leave an effect that the record denies. The outcome is durable *before* it is answered; else a caller
//! could act on something that never happened. Under a grant that reaches nothing there is no world to touch, and both
//! are written in one commit. The idempotency key is looked up *after* the policies were asked: a caller who has lost
//! the right must not read an old result by repeating its key. An answer that is on record is handed out without an
//! approval or a place, for nothing runs. A call that runs waits for its place *before* its intent is written: what is on
//! record as begun runs.

mod answer;
mod decide;
mod denial;
mod elevate;
mod hold;
mod load;
mod outbound;
mod recall;
mod reconcile;
mod redact;
mod steps;
mod transcript;
mod unreached;

use std::sync::Arc;

use ringfence_model::call::CallRequest;
use ringfence_model::decision::Cap;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::Narrowing;
use ringfence_model::decision::Obligations;
use ringfence_model::decision::Redaction;
use ringfence_model::decision::Unit;
use ringfence_model::decision::Usage;
use ringfence_model::decision::Window;
use ringfence_model::digest::Digest;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Stage;
use ringfence_model::entry::Used;
use ringfence_model::grant::Grant;
use ringfence_model::grant::Layer;
use ringfence_model::grant::Reach;
use ringfence_model::id::ApprovalId;
use ringfence_model::id::CallId;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::HostCall;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::outcome::Trace;
use thiserror::Error;

use crate::egress::Judge;
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
use crate::ledger::answers::Keep;
use crate::ledger::answers::ReuseDraft;
use crate::ledger::usage::amount;
use crate::pipeline::answer::Judged;
pub use crate::pipeline::denial::Denial;
use crate::pipeline::denial::busy_outcome;
pub use crate::pipeline::elevate::Elevated;
pub(crate) use crate::pipeline::elevate::elevate;
pub use crate::pipeline::load::Admission;
pub use crate::pipeline::load::Arrival;
pub use crate::pipeline::load::admission;
use crate::pipeline::outbound::Outbound;
pub(crate) use crate::pipeline::recall::is_held;
pub(crate) use crate::pipeline::recall::recalled;
pub use crate::pipeline::steps::Step;
use crate::pipeline::steps::Stopwatch;
pub use crate::pipeline::steps::Taken;
pub use crate::pipeline::transcript::Checked;
pub(crate) use crate::pipeline::transcript::check;
pub use crate::pipeline::unreached::Attempt;
pub use crate::pipeline::unreached::Unreached;
pub use crate::pipeline::unreached::named;
pub(crate) use crate::pipeline::unreached::unreached;
use crate::policy::PolicySet;
use crate::sandbox;
use crate::sandbox::Contact;
use crate::sandbox::Room;
use crate::sandbox::Run;
use crate::sandbox::SandboxError;
use crate::sandbox::Sight;
use crate::sandbox::Watcher;
use crate::sandbox::scratch::Scratch;
use crate::session;
use crate::session::AdmittedCall;
use crate::toolbox::Function;
use crate::toolbox::Tool;

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
    /// How many redactions policies demanded of the outcome, if it ran now.
    pub redacted: u64,
    /// How long its steps took, in the order they ended.
    pub steps: Vec<Taken>,
}

impl Response {
    /// Of a call that did not run now: an answer that is on record, or a no.
    fn without_run(call: CallId, outcome: Outcome, recorded: Recorded, denial: Option<Denial>) -> Self {
        Self { call, outcome, recorded, denial, used: None, refused: Vec::new(), redacted: 0, steps: Vec::new() }
    }
}

/// The one early exit.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(CallFailure),
    /// Somebody has to approve first; that is written down already.
    Held(Box<Response>),
    Known(Box<StoredCall>),
    Reused(Box<(ReuseDraft, StoredCall)>),
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
            admission: None,
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

/// A call as it comes in.
pub(crate) struct IncomingCall<'t> {
    pub(crate) request: CallRequest,
    pub(crate) tool: &'t Tool,
    /// How the caller stays in touch with it.
    pub(crate) contact: &'t Contact,
}

/// A call that the policies allow.
struct AuthorizedCall<'t> {
    admitted: AdmittedCall<'t>,
    decision: DecisionDraft,
    obligations: Obligations,
    usage: Vec<Usage>,
}

/// A call with its grant.
struct GrantedCall<'t> {
    admitted: AdmittedCall<'t>,
    decision: DecisionDraft,
    grant: Grant,
    obligations: Obligations,
    /// The approval it will use up, and what that is bound to.
    approval: Option<(ApprovalId, Digest)>,
    /// Whether its answer is kept.
    keep: Option<Keep>,
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
    /// What the policies want taken out of the outcome.
    redactions: Vec<Redaction>,
    /// Given back when the outcome is durable: a slow disk holds up new calls, and not their number in memory.
    place: Place,
}

/// Makes one call.
pub(crate) async fn call(
    parts: &Parts,
    policies: &Arc<PolicySet>,
    incoming: IncomingCall<'_>,
) -> Result<Response, CallFailure> {
    let (call, stopwatch) = (incoming.request.call, Stopwatch::default());
    let made = match Box::pin(run(parts, policies, incoming, &stopwatch)).await {
        Ok(response) => Ok(response),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Held(response)) => Ok(*response),
        Err(Stop::Known(stored)) => known(&stored),
        Err(Stop::Reused(reused)) => reuse(parts, *reused).await,
        Err(Stop::Refused(refused)) => refuse(parts, call, *refused).await,
    };
    made.map(|response| Response { steps: stopwatch.taken(), ..response })
}

async fn run(
    parts: &Parts,
    policies: &Arc<PolicySet>,
    incoming: IncomingCall<'_>,
    stopwatch: &Stopwatch,
) -> Result<Response, Stop> {
    let session = session::find(parts, &incoming.request, incoming.tool).await?;
    let admitted = session::admit(incoming, session)?;
    not_halted(parts, &admitted, Stage::Admit)?;
    let authorized = stopwatch.time(Step::Decide, decide::decide(parts, policies, admitted)).await?;
    let granted = narrow(parts, authorized)?;
    recall(parts, &granted).await?;
    let granted = reconcile::reconciled(parts, policies, granted).await?;
    let granted = hold::approved(parts, granted).await?;
    let granted = answer::kept(parts, granted).await?;
    let placed = stopwatch.time(Step::Enter, enter(parts, granted)).await?;
    let begun = stopwatch.time(Step::Begin, begin(parts, placed)).await?;
    Ok(finish(parts, policies, begun, stopwatch).await?)
}

/// Asked first and again after every wait, so that nothing starts after the host was halted; what is halted between this and
/// the tool's first instruction is interrupted there (POL-17).
fn not_halted(parts: &Parts, admitted: &AdmittedCall<'_>, stage: Stage) -> Result<(), Stop> {
    if !parts.config.halt.is_on() {
        return Ok(());
    }
    let AdmittedCall { request, tool, function, .. } = admitted;
    Err(Stop::refused(request, tool, Some(function), stage, Denial::Halted))
}

fn narrow<'t>(parts: &Parts, authorized: AuthorizedCall<'t>) -> Result<GrantedCall<'t>, Stop> {
    let AuthorizedCall { admitted, decision, obligations, usage } = authorized;
    let layers = parts.layers(admitted.tool, &admitted.request);
    match Grant::narrow(&admitted.request.asked, &layers, &parts.config.host_state) {
        Ok(grant) => {
            let left = obligations.caps.iter().map(|cap| what_is_left(cap, &usage)).collect::<Vec<_>>();
            let grant = obligations.narrowings.iter().chain(&left).fold(grant, Grant::attenuate);
            Ok(GrantedCall { admitted, decision, grant, obligations, approval: None, keep: None })
        }
        Err(refusal) => {
            let AdmittedCall { request, tool, function, .. } = &admitted;
            let stop = Stop::refused(request, tool, Some(function), Stage::Narrow, Denial::Layer(refusal));
            Err(stop.with_decision(decision))
        }
    }
}

/// What a cap leaves of fuel and time: the call gets no more.
fn what_is_left(cap: &Cap, usage: &[Usage]) -> Narrowing {
    let Some(usage) = usage.iter().find(|usage| usage.scope == cap.scope) else { return Narrowing::default() };
    let count = match cap.window {
        Window::Minute => usage.minute,
        Window::Hour => usage.hour,
        Window::Day => usage.day,
    };
    let left = Some(cap.at_most.saturating_sub(amount(count, cap.unit)));
    match cap.unit {
        Unit::Calls => Narrowing::default(),
        Unit::Fuel => Narrowing { fuel: left, ..Narrowing::default() },
        Unit::WallMs => Narrowing { wall_ms: left, ..Narrowing::default() },
    }
}

/// A call that was made before under its key needs no approval, no place and no cap: nothing runs.
async fn recall(parts: &Parts, granted: &GrantedCall<'_>) -> Result<(), Stop> {
    if granted.admitted.request.idempotency_key.is_none() {
        return Ok(());
    }
    let intent = intent(granted);
    match parts.on_ledger(move |ledger| ledger.recall(&intent)).await? {
        Some(stored) => Err(Stop::Known(stored)),
        None => Ok(()),
    }
}

async fn enter<'t>(parts: &Parts, granted: GrantedCall<'t>) -> Result<PlacedCall<'t>, Stop> {
    let AdmittedCall { request, tool, function, .. } = &granted.admitted;
    let caller = Caller { ring: request.ring, tool: tool.reference().digest, principal: request.principal.clone() };
    match parts.gate.enter(caller).await {
        Ok(place) => match not_halted(parts, &granted.admitted, Stage::Begin) {
            Ok(()) => Ok(PlacedCall { granted, place }),
            Err(stop) => Err(stop.with_decision(granted.decision)),
        },
        Err(busy) => {
            let stop = Stop::refused(request, tool, Some(function), Stage::Begin, Denial::Busy(busy));
            Err(stop.with_decision(granted.decision))
        }
    }
}

async fn begin<'t>(parts: &Parts, placed: PlacedCall<'t>) -> Result<BegunCall<'t>, Stop> {
    let PlacedCall { granted, place } = placed;
    let mut intent = intent(&granted);
    let GrantedCall { admitted, decision, grant, obligations, .. } = granted;
    intent.admission = parts.take_admission(&intent.tool.digest);
    let denial = match Box::pin(parts.begin(intent)).await? {
        Begin::Begun(begun) => {
            return Ok(BegunCall { admitted, grant, begun, redactions: obligations.redactions, place });
        }
        Begin::ApprovalGone => key_denial("denied.approval", "the approval was used, or expired, meanwhile".to_owned()),
        Begin::Capped(capped) => Denial::Capped(capped),
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
        Begin::Settled { call, by, time, settled } => key_denial(
            "denied.settled",
            format!(
                "`{call}` was done: `{by}` settled it as committed on {time}, by entry {settled}; it does not run again"
            ),
        ),
    };
    let AdmittedCall { request, tool, function, .. } = &admitted;
    Err(Stop::refused(request, tool, Some(function), Stage::Begin, denial).with_decision(decision))
}

fn intent(granted: &GrantedCall<'_>) -> Intent {
    let GrantedCall { admitted, decision, grant, obligations, approval, keep } = granted;
    let request = &admitted.request;
    Intent {
        admission: None,
        approval: *approval,
        call: request.call,
        caps: obligations.caps.clone(),
        decision: decision.clone(),
        effect: admitted.effect(),
        function: admitted.function.name.clone(),
        grant: canonical(grant),
        idempotency_key: request.idempotency_key.clone(),
        idempotent: admitted.function.idempotent,
        input: admitted.input.clone(),
        keep: *keep,
        limits: *grant.limits(),
        principal: request.principal.clone(),
        reachable: grant.reachable(),
        reach: grant.reach(),
        ring: request.ring,
        session: request.session,
        tool: admitted.tool.reference().clone(),
    }
}

fn key_denial(code: &'static str, text: String) -> Denial {
    Denial::Key { code, text }
}

async fn finish(
    parts: &Parts,
    policies: &Arc<PolicySet>,
    begun: BegunCall<'_>,
    stopwatch: &Stopwatch,
) -> Result<Response, CallFailure> {
    let BegunCall { mut admitted, grant, begun, redactions, place } = begun;
    if is_shown_at_the_end(policies, &grant, &redactions) {
        admitted.watcher = admitted.watcher.map(Watcher::without_output);
    }
    if let Some(watcher) = &admitted.watcher {
        watcher.tell(Sight::Started { call: begun.call(), begun: begun.index() });
    }
    let judge = Outbound::new(parts, policies, &admitted);
    let ran = stopwatch.time(Step::Run, in_room(parts, &admitted, &grant, judge.as_ref())).await;
    let (outcome, mut trace, used, effect) = match ran {
        Ok(run) if run.outcome.kind == OutcomeKind::Cancelled => {
            (run.outcome, run.trace, run.used, effect_of_stopped(grant.reach()))
        }
        Ok(run) => (run.outcome, run.trace, run.used, EffectState::Committed),
        // Nothing of the guest has run, so whoever comes with the same key may try again.
        Err(error) => (not_run(&error), Trace::default(), Used::default(), EffectState::Aborted),
    };
    if let Some(judge) = judge {
        judge.settle(&mut trace);
    }
    let judged = answer::judge(parts, policies, &admitted, redactions, outcome, used);
    let Judged { outcome, decision, redacted } = stopwatch.time(Step::Judge, judged).await;
    let ending = Ending { decision, redacted, ..Ending::of(&outcome, effect, &trace, used) };
    let refused = trace.events.into_iter().filter(|event| !event.allowed).collect();
    let recorded = stopwatch.time(Step::Finish, parts.finish(begun, ending)).await?;
    drop(place);
    Ok(Response {
        call: recorded.call,
        outcome,
        recorded,
        denial: None,
        used: Some(used),
        refused,
        redacted,
        steps: Vec::new(),
    })
}

/// Whether nothing of what the guest makes is shown before it has ended: something may have to be taken out of it, by the
/// policies, or because a secret came back (OUT-04).
fn is_shown_at_the_end(policies: &PolicySet, grant: &Grant, redactions: &[Redaction]) -> bool {
    !redactions.is_empty() || policies.is_asked_at(DecisionPoint::Result) || !grant.network().secrets.is_empty()
}

/// What is known of a call that was stopped midway: the same as of one that a crash cut off.
fn effect_of_stopped(reach: Reach) -> EffectState {
    match reach {
        Reach::Nothing | Reach::Reads => EffectState::Aborted,
        Reach::Writes => EffectState::Unknown,
    }
}

/// Runs the tool, in a scratch folder of the session's or the call's own if it was granted one.
async fn in_room(
    parts: &Parts,
    admitted: &AdmittedCall<'_>,
    grant: &Grant,
    judge: Option<&Arc<Outbound>>,
) -> Result<Run, SandboxError> {
    let scratch = match grant.scratch() {
        None => None,
        Some(_) => Some(match admitted.request.session {
            Some(session) => Scratch::of_session(parts.config.scratch.clone(), session).await?,
            None => Scratch::create(parts.config.scratch.clone()).await?,
        }),
    };
    let judge = judge.map(|judge| -> Arc<dyn Judge> { Arc::<Outbound>::clone(judge) });
    let (egress, interrupt) = (&parts.egress, admitted.interrupt);
    let watcher = admitted.watcher.as_ref();
    let room = Room { grant, scratch: scratch.as_ref(), egress, judge: judge.as_ref(), interrupt, watcher };
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

/// The call was made, and will not be made again; what it answered is gone.
fn removed_outcome(index: u64) -> Outcome {
    let message = format!("this call was made (entry `{index}`), and its outcome has been removed from the log");
    let mut outcome = Outcome::cancelled(&message);
    if let Some(error) = &mut outcome.error {
        "host.removed".clone_into(&mut error.code);
    }
    outcome
}

/// The answer of a call that was made before, under the same key.
fn known(stored: &StoredCall) -> Result<Response, CallFailure> {
    let outcome = stored_outcome(stored)?;
    Ok(Response::without_run(stored.recorded.call, outcome, stored.recorded, None))
}

fn stored_outcome(stored: &StoredCall) -> Result<Outcome, CallFailure> {
    match &stored.outcome {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|_| CallFailure::StoredOutcome(stored.recorded.call)),
        None => Ok(removed_outcome(stored.recorded.index)),
    }
}

/// The answer of an earlier call, which a policy had kept.
async fn reuse(parts: &Parts, (draft, stored): (ReuseDraft, StoredCall)) -> Result<Response, CallFailure> {
    let outcome = stored_outcome(&stored)?;
    let recorded = parts.on_ledger(move |ledger| ledger.reuse(draft)).await?;
    Ok(Response::without_run(recorded.call, outcome, recorded, None))
}

async fn refuse(
    parts: &Parts,
    call: CallId,
    (mut draft, denial): (RefusalDraft, Denial),
) -> Result<Response, CallFailure> {
    let outcome = denial.outcome();
    draft.admission = parts.take_admission(&draft.tool.digest);
    let recorded = parts.refuse(draft).await?;
    Ok(Response::without_run(call, outcome, recorded, Some(denial)))
}

/// Canonical bytes of something that is made of strings and numbers: serialising it can't fail.
fn canonical(value: &impl serde::Serialize) -> Vec<u8> {
    json::canonical(&serde_json::to_value(value).unwrap_or_default())
}
