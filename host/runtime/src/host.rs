//! The host: owns the parts, and is what a front end talks to.
//!
//! A front end turns bytes into a [`CallRequest`] and a [`Response`] into bytes; everything between happens behind
//! [`Host::call`]. There is no other way to run a tool.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

use ringfence_audit::extension::Extension;
use ringfence_audit::receipt::Receipt;
use ringfence_model::call::CallRequest;
use ringfence_model::capability::Ceiling;
use ringfence_model::decision::Usage;
use ringfence_model::digest::Digest;
use ringfence_model::grant::Layer;
use ringfence_model::id::CallId;
use ringfence_model::limits;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Clock;
use ringfence_model::time::Timestamp;
use serde_json::Value;

use crate::egress::Egress;
use crate::engine::Engine;
use crate::gate::Concurrency;
use crate::gate::Gate;
use crate::halt::Halt;
use crate::lease::HostLease;
use crate::ledger::Begin;
use crate::ledger::Begun;
use crate::ledger::DecisionDraft;
use crate::ledger::Ending;
use crate::ledger::Intent;
use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::Recorded;
use crate::ledger::RefusalDraft;
use crate::ledger::sessions::Session;
use crate::ledger::usage::Counted;
use crate::pipeline;
use crate::pipeline::Admission;
use crate::pipeline::Arrival;
use crate::pipeline::Attempt;
use crate::pipeline::CallFailure;
use crate::pipeline::Checked;
use crate::pipeline::Elevated;
use crate::pipeline::IncomingCall;
use crate::pipeline::Response;
use crate::policy::PolicySet;
use crate::policy::explain;
use crate::policy::explain::Bounds;
use crate::policy::explain::Explained;
use crate::policy::explain::NotAsked;
use crate::sandbox::Contact;
use crate::sandbox::link::Imports;
use crate::sequencer::Sequencer;
use crate::sequencer::SequencerError;
use crate::toolbox::Tool;
use crate::toolbox::ToolError;
use crate::toolbox::ToolFile;

/// Bytes of content that a task commits to itself: hashing them takes about as long as waking another thread.
const FILED_BYTES_MAX: usize = 64 * 1_024;

/// What the operator has configured, as far as calls are concerned.
#[derive(Clone, Debug, Default)]
pub struct HostConfig {
    /// The operator's ceiling on every call.
    pub operator: Ceiling,
    /// What the operator lowers in each ring, by its number.
    pub rings: [RingConfig; 4],
    /// How many calls run at the same time.
    pub concurrency: Concurrency,
    /// What stops everything.
    pub halt: Halt,
    /// Folders of the host's own: never granted.
    pub host_state: Vec<String>,
    /// Where scratch folders are made: a private folder within the host's own state.
    pub scratch: PathBuf,
}

/// What the operator lowers in a ring.
#[derive(Clone, Debug, Default)]
pub struct RingConfig {
    /// A ceiling; the ring's own holds as well.
    pub ceiling: Ceiling,
    /// Whether a tool with an import that is not granted fails to load.
    pub strict_imports: bool,
}

/// The parts that the stages of a call work with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: HostConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) gate: Arc<Gate>,
    /// Tools that were admitted and that no entry tells of yet.
    admissions: Mutex<HashMap<Digest, DecisionDraft>>,
    ledger: Arc<Ledger>,
    /// Whether this host may go on with what it has begun.
    lease: HostLease,
    /// Whether the ledger waits for a disk, and so must be kept off the threads that tools run on.
    ledger_blocks: bool,
}

impl Parts {
    pub(crate) fn ring_ceiling(&self, ring: Ring) -> Ceiling {
        let lowered = self.config.rings.get(usize::from(ring.number())).map(|config| &config.ceiling);
        lowered.map_or_else(|| ring.ceiling(), |lowered| ring.ceiling().intersect(lowered))
    }

    /// The layers that bound a call, in the order they are asked.
    pub(crate) fn layers(&self, tool: &Tool, request: &CallRequest) -> Vec<(Layer, Ceiling)> {
        let manifest = tool.manifest().map(|manifest| (Layer::Manifest, manifest.ceiling()));
        let others = [
            (Layer::Operator, self.config.operator.clone()),
            (Layer::Ring, self.ring_ceiling(request.ring)),
            (Layer::Session, request.session_ceiling.clone()),
        ];
        manifest.into_iter().chain(others).collect()
    }

    /// How the policies decided on loading a tool, if no entry tells of it yet.
    pub(crate) fn take_admission(&self, tool: &Digest) -> Option<DecisionDraft> {
        self.admissions.lock().unwrap_or_else(PoisonError::into_inner).remove(tool)
    }

    /// What was used lately by whom and what a call would be counted for.
    pub(crate) async fn usage(&self, counted: Counted, now: Timestamp) -> Result<Vec<Usage>, CallFailure> {
        if self.ledger.knows_usage(&counted) {
            return Ok(self.ledger.usage(&counted, now)?);
        }
        self.on_ledger(move |ledger| ledger.usage(&counted, now)).await
    }

    /// Begins a call. When this returns [`Begin::Begun`], the call may run.
    pub(crate) async fn begin(&self, intent: Intent) -> Result<Begin, CallFailure> {
        if self.is_filed(intent.input.len()) && self.ledger.needs_no_reading(&intent) {
            return Ok(self.ledger.file_begin(intent)?.durable().await?);
        }
        self.on_ledger(move |ledger| ledger.begin(intent)).await
    }

    /// Writes how a call ended: the commit point.
    pub(crate) async fn finish(&self, begun: Begun, ending: Ending) -> Result<Recorded, CallFailure> {
        if self.is_filed(ending.outcome.len().saturating_add(ending.trace.len())) {
            return Ok(self.ledger.file_ending(begun, ending)?.durable().await?);
        }
        self.on_ledger(move |ledger| ledger.finish(begun, ending)).await
    }

    /// Writes that a call did not run.
    pub(crate) async fn refuse(&self, refusal: RefusalDraft) -> Result<Recorded, CallFailure> {
        if self.is_filed(refusal.input.len()) {
            return Ok(self.ledger.file_refusal(refusal)?.durable().await?);
        }
        self.on_ledger(move |ledger| ledger.refuse(refusal)).await
    }

    /// Whether a task waits for the disk rather than a thread: hosts that share a log wait for its pen before, and much content
    /// takes long to commit to.
    fn is_filed(&self, bytes: usize) -> bool {
        self.ledger_blocks && !self.ledger.is_shared() && bytes <= FILED_BYTES_MAX
    }

    /// Asks the ledger, on a thread that may block if it has to.
    pub(crate) async fn on_ledger<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, CallFailure> {
        if !self.ledger_blocks {
            return Ok(question(&self.ledger)?);
        }
        let ledger = Arc::clone(&self.ledger);
        let asked = tokio::task::spawn_blocking(move || question(&ledger)).await;
        Ok(asked.map_err(|_| CallFailure::ShuttingDown)??)
    }
}

/// The host.
#[derive(Debug)]
pub struct Host {
    engine: Engine,
    parts: Parts,
    policies: RwLock<Arc<PolicySet>>,
    sequencer: Sequencer,
}

/// What would be decided, and by which set.
#[derive(Debug)]
pub struct Explanation {
    /// The policies in force.
    pub set: Arc<PolicySet>,
    /// What they would say, and what would come of it.
    pub explained: Explained,
}

/// What a host is put together from.
#[derive(Debug)]
pub struct HostParts {
    /// The engine that tools and policies were compiled by.
    pub engine: Engine,
    /// The operator's configuration.
    pub config: HostConfig,
    /// The policies in force at every call.
    pub policies: PolicySet,
    /// The record.
    pub ledger: Ledger,
    /// Whether the ledger waits for a disk.
    pub ledger_blocks: bool,
    /// What signs checkpoints.
    pub sequencer: Sequencer,
    /// What the calls' networks share.
    pub egress: Arc<Egress>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Host {
    /// Puts a host together.
    pub fn new(parts: HostParts) -> Self {
        let HostParts { engine, config, policies, ledger, ledger_blocks, sequencer, egress, clock } = parts;
        let gate = Gate::new(config.concurrency);
        let (admissions, lease, ledger) = (Mutex::default(), ledger.host_lease(), Arc::new(ledger));
        let parts = Parts { config, clock, egress, gate, admissions, ledger, lease, ledger_blocks };
        Self { engine, parts, policies: RwLock::new(Arc::new(policies)), sequencer }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The record.
    pub fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    /// What time it is here.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// The policies in force now.
    pub fn policies(&self) -> Arc<PolicySet> {
        Arc::clone(&self.policies.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another set in force, in one step. A call that has started goes on under the set it started with: every
    /// decision of one call names the same set (POL-12, POL-18).
    pub fn put_in_force(&self, policies: PolicySet) {
        *self.policies.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
    }

    /// Has the policies decide whether a component may be loaded. One that may not is written down at once; that one may
    /// is written down with the first call of it.
    pub async fn admit(
        &self,
        arrival: Arrival<'_>,
        principal: &Principal,
        ring: Ring,
    ) -> Result<Admission, CallFailure> {
        let admission = pipeline::admission(&self.policies(), arrival, principal, ring, self.parts.clock.now());
        self.settle_admission(admission.clone()).await?;
        Ok(admission)
    }

    /// Takes in how a component was decided on, as [`Self::admit`] does.
    pub async fn settle_admission(&self, admission: Admission) -> Result<(), CallFailure> {
        if admission.denial().is_some() {
            let entry = admission.into_entry();
            return self.parts.on_ledger(move |ledger| ledger.decide(entry)).await.map(drop);
        }
        let Some(decision) = admission.decision() else { return Ok(()) };
        let mut admissions = self.parts.admissions.lock().unwrap_or_else(PoisonError::into_inner);
        if admissions.len() < limits::ADMISSIONS_MAX {
            admissions.insert(admission.tool().digest, decision.clone());
        }
        Ok(())
    }

    /// Asks for another ring for a session, for a time.
    pub async fn elevate(
        &self,
        session: Session,
        wanted: Ring,
        duration_ms: u64,
        claimed_reason: String,
    ) -> Result<Elevated, CallFailure> {
        pipeline::elevate(&self.parts, &self.policies(), session, wanted, duration_ms, claimed_reason).await
    }

    /// Has the policies judge an agent's messages.
    pub async fn check_transcript(
        &self,
        session: Option<Session>,
        principal: Principal,
        ring: Ring,
        messages: Value,
    ) -> Result<Checked, CallFailure> {
        pipeline::check(&self.parts, &self.policies(), session, principal, ring, messages).await
    }

    /// An id for a new call.
    pub fn new_call_id(&self) -> Result<CallId, CallFailure> {
        Ok(self.parts.ledger.new_call_id()?)
    }

    /// Loads a tool for calls in a ring: where the operator wants imports strict there, they are.
    pub async fn load(&self, file: ToolFile<'_>, ring: Ring) -> Result<Tool, ToolError> {
        let is_strict =
            self.parts.config.rings.get(usize::from(ring.number())).is_some_and(|config| config.strict_imports);
        let imports = match file.imports {
            Imports::Refuse if is_strict => Imports::Strict { http: false, sockets: false },
            imports => imports,
        };
        Tool::load(&self.engine, ToolFile { imports, ..file }).await
    }

    /// Makes a call under the policies in force, and under `more` as well.
    pub async fn call(&self, tool: &Tool, request: CallRequest, more: &PolicySet) -> Result<Response, CallFailure> {
        self.call_until(tool, request, more, &Contact::none()).await
    }

    /// Makes a call that its caller may stop, and watch. One that is stopped has an outcome and an entry like every other. Dropping
    /// the future instead leaves it begun on record, for recovery to settle.
    pub async fn call_until(
        &self,
        tool: &Tool,
        request: CallRequest,
        more: &PolicySet,
        contact: &Contact,
    ) -> Result<Response, CallFailure> {
        let policies = match more.policies() {
            [] => self.policies(),
            more => Arc::new(self.policies().with(more.to_vec())),
        };
        let interrupt = contact.interrupt.clone().or_halted(self.parts.config.halt.clone());
        let interrupt = interrupt.or_overdue(self.parts.lease.clone());
        let contact = &Contact { interrupt, watcher: contact.watcher.clone() };
        // All the stages of a call make a large future, and callers put it into theirs.
        Box::pin(pipeline::call(&self.parts, &policies, IncomingCall { request, tool, contact })).await
    }

    /// The answer that is on record of a call under its key, if the policies in force let its caller have it still. Nothing is
    /// begun, run or written down.
    pub async fn recall(&self, tool: &Tool, request: CallRequest) -> Result<Option<Response>, CallFailure> {
        let contact = &Contact::none();
        let incoming = IncomingCall { request, tool, contact };
        Box::pin(pipeline::recalled(&self.parts, &self.policies(), incoming)).await
    }

    /// Whether a call waits for an approval, or has one that it has not used, as the policies in force decide on it. Nothing
    /// is begun, run or written down.
    pub async fn is_held(&self, tool: &Tool, request: CallRequest) -> Result<bool, CallFailure> {
        let contact = &Contact::none();
        let incoming = IncomingCall { request, tool, contact };
        Box::pin(pipeline::is_held(&self.parts, &self.policies(), incoming)).await
    }

    /// Writes down that somebody wanted a call which could not be tried: an entry, and nothing else.
    pub async fn refuse(&self, attempt: Attempt) -> Result<Response, CallFailure> {
        pipeline::unreached(&self.parts, self.new_call_id()?, attempt).await
    }

    /// Signs a checkpoint that covers everything recorded so far; answers with the signed note.
    pub fn publish(&self) -> Result<String, SequencerError> {
        self.sequencer.publish(&self.parts.ledger)
    }

    /// The last checkpoint that was signed, as a signed note.
    pub fn checkpoint(&self) -> Option<String> {
        self.sequencer.checkpoint()
    }

    /// The proof that the log goes on from its first `from` entries, under the checkpoint over `to` entries, else the last:
    /// none if the head has no such checkpoint. May take as long as the disk does.
    pub fn extension(&self, from: u64, to: Option<u64>) -> Result<Option<Extension>, SequencerError> {
        self.sequencer.extension(&self.parts.ledger, from, to)
    }

    /// How many entries the last checkpoint covers.
    pub fn covered(&self) -> u64 {
        self.sequencer.covered()
    }

    /// What the policies in force would say to a call, and what would be granted. Nothing is begun, written down or run.
    /// May take as long as the policies do.
    pub fn explain(&self, tool: &Tool, call: &CallRequest) -> Result<Result<Explanation, NotAsked>, LedgerError> {
        let now = self.now();
        let counted =
            Counted { principal: call.principal.clone(), session: call.session, tool: tool.reference().digest };
        let bounds = Bounds {
            layers: self.parts.layers(tool, call),
            host_state: self.parts.config.host_state.clone(),
            ring: self.parts.ring_ceiling(call.ring),
            usage: self.parts.ledger.usage(&counted, now)?,
        };
        let set = self.policies();
        let explained = explain::explain(&set, tool, (call, now), &bounds);
        Ok(explained.map(|explained| Explanation { set, explained }))
    }

    /// What a caller keeps of an entry.
    pub fn receipt(&self, index: u64) -> Result<Receipt, SequencerError> {
        self.sequencer.receipt(&self.parts.ledger, index)
    }
}
