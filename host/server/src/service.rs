//! What every front end shares: who calls, and the one way from a wish to a [`Response`].
//!
//! A call runs in a task of its own: a client that goes away takes nothing with it that is begun, and what it leaves
//! behind is finished or interrupted, and on record either way. The host is lent for as long as that takes. This module
//! decides nothing about a call.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ringfence_model::call::CallRequest;
use ringfence_model::call::IdempotencyKey;
use ringfence_model::call::Input;
use ringfence_model::capability::Asked;
use ringfence_model::capability::Ceiling;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::limits;
use ringfence_model::outcome::Outcome;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_runtime::host::Host;
use ringfence_runtime::pipeline;
use ringfence_runtime::pipeline::Attempt;
use ringfence_runtime::pipeline::CallFailure;
use ringfence_runtime::pipeline::Denial;
use ringfence_runtime::pipeline::Response;
use ringfence_runtime::pipeline::Unreached;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::sandbox::Contact;
use ringfence_runtime::sandbox::Interrupt;
use ringfence_runtime::sandbox::Interrupter;
use ringfence_runtime::sandbox::interrupt;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::catalogue::Catalogue;
use crate::catalogue::Grants;
use crate::catalogue::Offer;
use crate::reach::Reach;
use crate::refusals;
use crate::refusals::Refusals;
use crate::telemetry::Begun;
use crate::telemetry::Telemetry;
use crate::telemetry::trace::Parent;

/// Where calls go. An implementation may keep one host open, or open one when it is needed and let it go after: several
/// processes can share a log that way. It may block.
pub trait Hosts: fmt::Debug + Send + Sync + 'static {
    /// The host, to hold for as long as a call takes and no longer. An error is for the operator, not for the agent.
    fn lend(&self) -> Result<Arc<Host>, String>;

    /// The host, if it can be had without waiting for anything.
    fn lend_now(&self) -> Option<Arc<Host>> {
        None
    }

    /// Whether an operator has halted whatever would run. It waits for nothing, and opens nothing.
    fn is_halted(&self) -> bool {
        false
    }
}

/// Where what concerns the operator is written.
pub type Notes = Arc<dyn Fn(&str) + Send + Sync>;

/// Who calls, as the front end has authenticated them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Who: the session's principal, where there is a session.
    pub principal: Principal,
    /// The session that the calls belong to.
    pub session: Option<SessionId>,
    /// No call runs in a more privileged ring than this.
    pub ring: Option<Ring>,
}

/// One call that somebody wants made.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What is called.
    pub offer: Offer,
    /// With what.
    pub input: Input,
    /// The caller's token for "this call, once".
    pub key: Option<IdempotencyKey>,
    /// How its caller stays in touch with it.
    pub contact: Contact,
    /// What is let go when the call has ended, and no sooner: the room that its input takes.
    pub keeps: Option<Arc<dyn Kept>>,
    /// Where it stands in a trace, as its caller says: for telemetry, and believed in nothing else.
    pub parent: Option<Parent>,
}

/// Something that somebody asked for and that is not there for them.
#[derive(Clone, Debug)]
pub struct Missed {
    /// The tool, as it was called.
    pub tool: String,
    /// The function, if one was named.
    pub function: Option<String>,
    /// With what.
    pub input: Input,
    /// What is let go when it has been written down: the room that its input takes.
    pub keeps: Option<Arc<dyn Kept>>,
    /// Where it stands in a trace, as its caller says.
    pub parent: Option<Parent>,
}

/// Something that is kept for as long as it is there.
pub trait Kept: fmt::Debug + Send + Sync {}

/// What became of a call.
#[derive(Clone, Copy, Debug)]
pub enum Fate<'o> {
    /// It ended so.
    Ended(&'o Outcome),
    /// It was not looked at, for too many before it were refused; answered with this code.
    TurnedAway(&'static str),
}

/// Is told of what became of every call, whoever has made it.
pub type Told = Box<dyn Fn(Fate<'_>) + Send + Sync>;

/// Why there is no response. The operator has been told more.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ServiceError {
    /// As many calls of one principal as may be were refused within a minute, and none is looked at until that is over.
    #[error("too many calls were refused within a minute: none is looked at until {retry_after_ms} ms from now")]
    Denied {
        /// Until then.
        retry_after_ms: u64,
    },
    /// What a tool is granted can't be had now, and nobody has called it.
    #[error("what the tool is granted can't be used now; its operator has been told")]
    Grant,
    /// The host failed: nothing may be answered.
    #[error("the host failed; what became of the call, if anything, is in its log")]
    Host,
    /// As much as one principal may ask for in vain has been written down already.
    #[error("too much was asked for that can't be had: ask for nothing like it until {retry_after_ms} ms from now")]
    InVain {
        /// Until then.
        retry_after_ms: u64,
    },
    /// No host can be had now.
    #[error("the host can't take the call now")]
    Unavailable,
}

impl ServiceError {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Denied { .. } => "denied.too-many",
            Self::Grant => "host.grant",
            Self::Host => "host.failed",
            Self::InVain { .. } => "host.busy",
            Self::Unavailable => "host.unavailable",
        }
    }

    /// After how long it makes sense to come again, if that is known.
    pub fn retry_after_ms(self) -> Option<u64> {
        match self {
            Self::Denied { retry_after_ms } | Self::InVain { retry_after_ms } => Some(retry_after_ms),
            Self::Grant | Self::Host | Self::Unavailable => None,
        }
    }
}

/// Makes calls of what is in the catalogue.
pub struct Service {
    catalogue: RwLock<Arc<Catalogue>>,
    hosts: Arc<dyn Hosts>,
    notes: Notes,
    running: watch::Sender<usize>,
    /// How many entries the log has been seen to have.
    grown: watch::Sender<u64>,
    /// How often what can be called has changed.
    changed: watch::Sender<u64>,
    /// Whether a host could be had the last time.
    is_ready: AtomicBool,
    told: OnceLock<Told>,
    /// Calls that did not run.
    denied: Refusals,
    /// Calls that could not be tried.
    in_vain: Refusals,
    telemetry: OnceLock<Arc<Telemetry>>,
    /// Raised when every call is to stop.
    stop: (Interrupter, Interrupt),
}

impl Service {
    /// Puts a service together.
    pub fn new(catalogue: Catalogue, hosts: Arc<dyn Hosts>, notes: Notes) -> Self {
        let catalogue = RwLock::new(Arc::new(catalogue));
        let (running, grown, changed) = (watch::Sender::new(0), watch::Sender::new(0), watch::Sender::new(0));
        let (is_ready, told, telemetry, stop) = (AtomicBool::new(false), OnceLock::new(), OnceLock::new(), interrupt());
        let denied = Refusals::bounded(limits::DENIED_PER_MINUTE_MAX, limits::DENIED_BYTES_PER_MINUTE_MAX);
        let in_vain = Refusals::bounded(limits::UNREACHED_PER_MINUTE_MAX, usize::MAX);
        Self { catalogue, hosts, notes, running, grown, changed, is_ready, told, denied, in_vain, telemetry, stop }
    }

    /// Has somebody told of what becomes of every call. There is one who is.
    pub fn tell(&self, told: Told) {
        drop(self.told.set(told));
    }

    /// Has a collector told of every call.
    pub fn report(&self, telemetry: Arc<Telemetry>) {
        drop(self.telemetry.set(telemetry));
    }

    /// What can be called now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The host, from a thread that may block unless it is open.
    pub async fn host(&self) -> Result<Arc<Host>, ServiceError> {
        if let Some(host) = self.hosts.lend_now() {
            self.is_ready.store(true, Ordering::Relaxed);
            return Ok(host);
        }
        let hosts = Arc::clone(&self.hosts);
        let lent = tokio::task::spawn_blocking(move || hosts.lend()).await;
        let lent = lent.map_err(|_| ServiceError::Unavailable)?;
        self.is_ready.store(lent.is_ok(), Ordering::Relaxed);
        lent.map_err(|why| {
            self.note(&format!("warning: a call could not be taken: {why}"));
            ServiceError::Unavailable
        })
    }

    /// Whether a host could be had the last time that somebody wanted one, and runs calls now. Asks for none.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed) && !self.hosts.is_halted()
    }

    /// How many calls there are that have not ended.
    pub(crate) fn running(&self) -> watch::Receiver<usize> {
        self.running.subscribe()
    }

    /// Asks for a host now and then for as long as none can be had: nobody who wants one may come otherwise.
    pub async fn keep_ready(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(limits::READY_RETRY_MS)).await;
            if !self.is_ready.load(Ordering::Relaxed) {
                // The operator has been told, and what came of it is kept.
                let _ = self.host().await;
            }
        }
    }

    /// How many entries the log has been seen to have, from now on.
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    /// Looks for what others have written to the log: once for all who want to know, and not if nobody does.
    pub async fn keep_looking(&self) {
        let (mut running, mut looked) = (self.running.subscribe(), Instant::now());
        loop {
            // That a call has begun is seen by looking as well: until it ends the log is open anyway.
            let is_busy = *running.borrow_and_update() > 0;
            let poll = if is_busy { limits::EVENTS_BUSY_POLL_MS } else { limits::EVENTS_POLL_MS };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(looked + Duration::from_millis(poll)) => {}
                // The sender is in `self`: there is always somebody left to say so.
                _ = running.changed() => continue,
            }
            if self.grown.receiver_count() > 0
                && let Some(entries) = self.read(entries).await
            {
                self.see(entries);
            }
            looked = Instant::now();
        }
    }

    /// Has something read by whoever only watches; nothing, if no host can be had now. No call is concerned by that, so
    /// nobody is told: somebody else may have the log for a while.
    pub(crate) async fn read<T: Send + 'static>(&self, read: impl FnOnce(&Host) -> T + Send + 'static) -> Option<T> {
        let hosts = Arc::clone(&self.hosts);
        let read = tokio::task::spawn_blocking(move || hosts.lend().ok().map(|host| read(&host))).await;
        read.ok().flatten()
    }

    /// Takes notice of how far the log has grown.
    pub fn notice(&self, host: &Host) {
        self.see(host.ledger().len());
    }

    fn see(&self, entries: u64) {
        self.grown.send_if_modified(|grown| {
            let is_more = entries > *grown;
            *grown = entries.max(*grown);
            is_more
        });
    }

    /// Changes whenever what can be called has changed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Ends when every call is to stop.
    pub async fn stopped(&self) {
        self.stop.1.wait().await;
    }

    /// Whether every call is to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.1.is_raised()
    }

    /// What a seat can reach now. A session that is not open, or is somebody else's, leaves nothing to call.
    pub async fn reach(&self, seat: &Seat) -> Result<Reach, ServiceError> {
        let Some(session) = seat.session else { return Ok(Reach::Within { rings: [seat.ring, None], allow: None }) };
        let host = self.host().await?;
        let found = tokio::task::spawn_blocking(move || (host.ledger().open_session_by(session), host.now())).await;
        match found.map_err(|_| ServiceError::Unavailable)? {
            (Ok(session), now) if session.principal == seat.principal => {
                let rings = [seat.ring, Some(session.ring_at(now))];
                Ok(Reach::Within { rings, allow: session.allow.map(Arc::from) })
            }
            _ => Ok(Reach::Nothing),
        }
    }

    /// Makes a call, to its end: on record, whatever becomes of whoever waits for it.
    pub async fn call(self: &Arc<Self>, seat: &Seat, wish: Wish) -> Result<Response, ServiceError> {
        let (service, seat) = (Arc::clone(self), seat.clone());
        let running = Running::start(self);
        let made = tokio::spawn(async move {
            let _running = running;
            let telemetry = service.telemetry.get().map(|it| (it, Begun::now(&wish.offer, wish.parent)));
            let (raise, interrupt) = interrupt();
            let Wish { contact: Contact { interrupt: given_up, watcher }, keeps, .. } = wish;
            let wish = Wish { contact: Contact { interrupt, watcher }, keeps: None, ..wish };
            let mut made = std::pin::pin!(service.make(seat, wish));
            let made = tokio::select! {
                made = &mut made => made,
                () = stops(&service, &given_up, &raise) => made.await,
            };
            drop(keeps);
            if let (Ok(response), Some(told)) = (&made, service.told.get()) {
                told(Fate::Ended(&response.outcome));
            }
            if let Some((telemetry, begun)) = telemetry {
                telemetry.called(begun, &made);
            }
            made
        });
        made.await.unwrap_or(Err(ServiceError::Host))
    }

    /// Has it written down that something was asked for which is not there for whoever asked. Nobody is told more than
    /// that, and neither does the entry say more than what was asked for.
    pub async fn refuse(self: &Arc<Self>, seat: &Seat, reach: Reach, missed: Missed) -> Result<(), ServiceError> {
        let why = match reach {
            Reach::Nothing => Unreached::Session,
            Reach::Within { .. } => Unreached::Tool,
        };
        let Missed { tool, function, input, keeps, parent } = missed;
        let (principal, ring) = (seat.principal.clone(), seat.ring.unwrap_or(Ring::Sandbox));
        let attempt =
            Attempt { principal, ring, session: seat.session, tool: pipeline::named(&tool), function, input, why };
        self.record(attempt, keeps, Begun::of_nothing(ring, parent)).await.map(drop)
    }

    /// Whether a call waits for somebody's approval, or has it and has not used it. Nothing is made or written down.
    pub async fn is_held(&self, seat: &Seat, offer: &Offer, input: Input) -> Result<bool, ServiceError> {
        let host = self.host().await?;
        if let Some(retry_after_ms) = self.denied.too_many(&seat.principal, Instant::now()) {
            return Err(ServiceError::Denied { retry_after_ms });
        }
        let Ok(asked) = asked(offer).await? else { return Ok(false) };
        let call = host.new_call_id().map_err(|failure| self.failed(&failure))?;
        let request = request(call, seat.clone(), offer, (input, None, asked));
        host.is_held(&offer.registered().tool, request).await.map_err(|failure| self.failed(&failure))
    }

    /// Has it written down that whoever was asked about a call has said no to it: nothing is made.
    pub async fn decline(self: &Arc<Self>, seat: &Seat, wish: Wish) -> Result<Response, ServiceError> {
        let Wish { offer, input, keeps, parent, .. } = wish;
        let begun = Begun::now(&offer, parent);
        self.record(attempt(seat.clone(), &offer, input, Unreached::Declined), keeps, begun).await
    }

    /// Writes an attempt down, whatever becomes of whoever waits for that.
    async fn record(
        self: &Arc<Self>,
        attempt: Attempt,
        keeps: Option<Arc<dyn Kept>>,
        begun: Begun,
    ) -> Result<Response, ServiceError> {
        let (service, running) = (Arc::clone(self), Running::start(self));
        let written = tokio::spawn(async move {
            let (_running, _keeps) = (running, keeps);
            let written = match service.host().await {
                Ok(host) => service.write_down(&host, attempt).await,
                Err(error) => Err(error),
            };
            if let Some(telemetry) = service.telemetry.get() {
                telemetry.called(begun, &written);
            }
            written
        });
        // What is not on record is not answered as if it were; the operator has been told why.
        written.await.unwrap_or(Err(ServiceError::Host))
    }

    /// Puts another catalogue in the place of the one there is. A call that has begun goes on.
    pub fn put_catalogue(&self, catalogue: Catalogue) {
        let mut current = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = !current.is_like(&catalogue);
        *current = Arc::new(catalogue);
        drop(current);
        if is_other {
            self.tell_of_change();
        }
    }

    /// Tells whoever lists what can be called that it may be something else now.
    pub fn tell_of_change(&self) {
        self.changed.send_modify(|changed| *changed = changed.wrapping_add(1));
    }

    /// Has every call stop, now and from now on.
    pub fn interrupt_all(&self) {
        self.stop.0.raise();
    }

    /// Ends when no call runs.
    pub async fn idle(&self) {
        // The sender is in `self`, so there is always somebody left to say so.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }

    async fn make(&self, seat: Seat, wish: Wish) -> Result<Response, ServiceError> {
        let host = self.host().await?;
        if let Some(retry_after_ms) = self.denied.too_many(&seat.principal, Instant::now()) {
            return self.repeat(&host, seat, wish, ServiceError::Denied { retry_after_ms }).await;
        }
        let (principal, weight) = (seat.principal.clone(), refusals::weight(&wish.input));
        let Wish { offer, input, key, contact, .. } = wish;
        let asked = match asked(&offer).await? {
            Ok(asked) => asked,
            Err(why) => {
                self.note(&format!("warning: `{}` could not be called: {why}", offer.name()));
                return self.write_down(&host, attempt(seat, &offer, input, Unreached::Grant)).await;
            }
        };
        let call = host.new_call_id().map_err(|failure| self.failed(&failure))?;
        let request = request(call, seat, &offer, (input, key, asked));
        let made = host.call_until(&offer.registered().tool, request, &PolicySet::default(), &contact).await;
        self.notice(&host);
        let made = made.map_err(|failure| self.failed(&failure))?;
        if made.denial.is_some() {
            self.denied.count(&principal, weight, Instant::now());
        }
        // The caller is told less: where a folder lies on the host is not theirs to know, nor what a policy's settings say.
        if let (Some(Denial::Layer(_) | Denial::Policy(_)), Some(error)) = (&made.denial, &made.outcome.error) {
            self.note(&format!("note: `{}` was denied: {}", offer.name(), error.message));
        }
        Ok(made)
    }

    /// What somebody gets who had too many calls refused: the answer that is on record under the call's key, if they may have
    /// it still, for that costs no entry; else this error.
    async fn repeat(&self, host: &Host, seat: Seat, wish: Wish, error: ServiceError) -> Result<Response, ServiceError> {
        let Wish { offer, input, key, .. } = wish;
        let makes_a_key = || offer.function().is_some_and(|function| !function.id_from.is_empty());
        if (key.is_some() || makes_a_key())
            && let Ok(asked) = asked(&offer).await?
        {
            let call = host.new_call_id().map_err(|failure| self.failed(&failure))?;
            let request = request(call, seat.clone(), &offer, (input.clone(), key, asked));
            let recalled = host.recall(&offer.registered().tool, request).await;
            if let Some(response) = recalled.map_err(|failure| self.failed(&failure))? {
                return Ok(response);
            }
        }
        Err(self.turn_away(host, attempt(seat, &offer, input, Unreached::TooMany), error).await)
    }

    async fn write_down(&self, host: &Host, attempt: Attempt) -> Result<Response, ServiceError> {
        let (principal, now) = (&attempt.principal, Instant::now());
        let denied = self.denied.too_many(principal, now).map(|retry_after_ms| ServiceError::Denied { retry_after_ms });
        let in_vain =
            || self.in_vain.too_many(principal, now).map(|retry_after_ms| ServiceError::InVain { retry_after_ms });
        if let Some(error) = denied.or_else(in_vain) {
            return Err(self.turn_away(host, attempt, error).await);
        }
        self.in_vain.count(principal, 0, now);
        let written = host.refuse(attempt).await;
        self.notice(host);
        written.map_err(|failure| self.failed(&failure))
    }

    /// Answers for a call that is not looked at. The first of a minute is on record for all of them.
    async fn turn_away(&self, host: &Host, attempt: Attempt, error: ServiceError) -> ServiceError {
        if let Some(told) = self.told.get() {
            told(Fate::TurnedAway(error.code()));
        }
        let refusals = if matches!(error, ServiceError::InVain { .. }) { &self.in_vain } else { &self.denied };
        if !refusals.is_news(&attempt.principal, Instant::now()) {
            return error;
        }
        self.note(&format!("warning: calls of `{}` are turned away for a while: {error}", attempt.principal));
        let written = host.refuse(Attempt { why: Unreached::TooMany, ..attempt }).await;
        self.notice(host);
        written.map_or_else(|failure| self.failed(&failure), |_| error)
    }

    fn failed(&self, failure: &CallFailure) -> ServiceError {
        self.note(&format!("error: the host failed in a call: {failure}"));
        ServiceError::Host
    }

    fn note(&self, text: &str) {
        (self.notes)(text);
    }
}

/// Has a call stop when its caller gives it up, or the host is to stop: then it is the host's doing, whoever goes as well.
async fn stops(service: &Service, given_up: &Interrupt, raise: &Interrupter) {
    tokio::select! {
        biased;
        () = service.stopped() => raise.raise_for_host(),
        () = given_up.wait() => raise.raise(),
    }
}

/// What a tool is granted; in words, why that can't be had.
async fn asked(offer: &Offer) -> Result<Result<Asked, String>, ServiceError> {
    match offer.registered().grants.clone() {
        Grants::Fixed(asked) => Ok(Ok(*asked)),
        sought @ Grants::Sought(_) => {
            tokio::task::spawn_blocking(move || sought.seek()).await.map_err(|_| ServiceError::Grant)
        }
    }
}

/// A call as the host takes it.
fn request(
    call: CallId,
    seat: Seat,
    offer: &Offer,
    (input, idempotency_key, asked): (Input, Option<IdempotencyKey>, Asked),
) -> CallRequest {
    CallRequest {
        call,
        principal: seat.principal,
        ring: offer.registered().ring,
        session: seat.session,
        function: offer.wanted(),
        input,
        asked,
        session_ceiling: Ceiling::default(),
        idempotency_key,
        claimed: Vec::new(),
    }
}

/// What somebody wanted of something that is offered, and could not try.
fn attempt(seat: Seat, offer: &Offer, input: Input, why: Unreached) -> Attempt {
    let registered = offer.registered();
    let (tool, function) = (registered.tool.reference().clone(), offer.wanted());
    Attempt { principal: seat.principal, ring: registered.ring, session: seat.session, tool, function, input, why }
}

/// How many entries the log has, whoever has written them: a host that shares it learns of those of others late. It may
/// block.
pub(crate) fn entries(host: &Host) -> u64 {
    // What can't be read is not there yet.
    let is_there = |index: u64| matches!(host.ledger().entry(index), Ok(Some(_)));
    let (mut entries, mut step) = (host.ledger().len(), 1_u64);
    // In steps that double for as long as there is something, and are halved from then on.
    while is_there(entries.saturating_add(step - 1)) {
        entries = entries.saturating_add(step);
        step = step.saturating_mul(2);
    }
    while step > 1 {
        step /= 2;
        if is_there(entries.saturating_add(step - 1)) {
            entries = entries.saturating_add(step);
        }
    }
    entries
}

/// A call that is counted as long as it runs.
struct Running(watch::Sender<usize>);

impl Running {
    fn start(service: &Service) -> Self {
        service.running.send_modify(|running| *running += 1);
        Self(service.running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running = running.saturating_sub(1));
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}
