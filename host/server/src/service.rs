//! What every front end shares: who calls, and the one way from a wish to a [`Response`].
//!
//! A call runs in a task of its own: a client that goes away takes nothing with it that is begun, and what it leaves
//! behind is finished or interrupted, and on record either way. The host is lent for as long as that takes. This module
//! decides nothing about a call.

use std::fmt;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use ringfence_model::call::CallRequest;
use ringfence_model::call::IdempotencyKey;
use ringfence_model::call::Input;
use ringfence_model::capability::Ceiling;
use ringfence_model::id::SessionId;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_runtime::host::Host;
use ringfence_runtime::pipeline::CallFailure;
use ringfence_runtime::pipeline::Denial;
use ringfence_runtime::pipeline::Response;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::sandbox::Interrupt;
use ringfence_runtime::sandbox::Interrupter;
use ringfence_runtime::sandbox::interrupt;
use thiserror::Error;
use tokio::sync::watch;

use crate::catalogue::Catalogue;
use crate::catalogue::Offer;

/// Where calls go. An implementation may keep one host open, or open one when it is needed and let it go after: several
/// processes can share a log that way. It may block.
pub trait Hosts: fmt::Debug + Send + Sync + 'static {
    /// The host, to hold for as long as a call takes and no longer. An error is for the operator, not for the agent.
    fn lend(&self) -> Result<Arc<Host>, String>;
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
    /// The caller's word that it need not go on.
    pub interrupt: Interrupt,
}

/// Why there is no response. The operator has been told more.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ServiceError {
    /// What the tool is granted can't be had now.
    #[error("what the tool is granted can't be used now; its operator has been told")]
    Grant,
    /// The host failed: nothing may be answered.
    #[error("the host failed; what became of the call, if anything, is in its log")]
    Host,
    /// No host can be had now.
    #[error("the host can't take the call now")]
    Unavailable,
}

/// Makes calls of what is in the catalogue.
pub struct Service {
    catalogue: RwLock<Arc<Catalogue>>,
    hosts: Arc<dyn Hosts>,
    notes: Notes,
    running: watch::Sender<usize>,
    /// Raised when every call is to stop.
    stop: (Interrupter, Interrupt),
}

impl Service {
    /// Puts a service together.
    pub fn new(catalogue: Catalogue, hosts: Arc<dyn Hosts>, notes: Notes) -> Self {
        let (running, _) = watch::channel(0);
        Self { catalogue: RwLock::new(Arc::new(catalogue)), hosts, notes, running, stop: interrupt() }
    }

    /// What can be called now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The host, from a thread that may block.
    pub async fn host(&self) -> Result<Arc<Host>, ServiceError> {
        let hosts = Arc::clone(&self.hosts);
        let lent = tokio::task::spawn_blocking(move || hosts.lend()).await;
        lent.map_err(|_| ServiceError::Unavailable)?.map_err(|why| {
            self.note(&format!("warning: a call could not be taken: {why}"));
            ServiceError::Unavailable
        })
    }

    /// What a seat can reach now. A session that is not open, or is somebody else's, leaves nothing to call.
    pub async fn reach(&self, seat: &Seat) -> Result<Reach, ServiceError> {
        let Some(session) = seat.session else { return Ok(Reach::Rings([seat.ring, None])) };
        let host = self.host().await?;
        let found = tokio::task::spawn_blocking(move || (host.ledger().open_session_by(session), host.now())).await;
        match found.map_err(|_| ServiceError::Unavailable)? {
            (Ok(session), now) if session.principal == seat.principal => {
                Ok(Reach::Rings([seat.ring, Some(session.ring_at(now))]))
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
            let (raise, interrupt) = interrupt();
            let given_up = wish.interrupt.clone();
            let mut made = std::pin::pin!(service.make(seat, Wish { interrupt, ..wish }));
            tokio::select! {
                made = &mut made => return made,
                () = given_up.wait() => {}
                () = service.stop.1.wait() => {}
            }
            raise.raise();
            made.await
        });
        made.await.unwrap_or(Err(ServiceError::Host))
    }

    /// Puts another catalogue in the place of the one there is. A call that has begun goes on.
    pub fn put_catalogue(&self, catalogue: Catalogue) {
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
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
        let Wish { offer, input, key, interrupt } = wish;
        let registered = offer.registered();
        let grants = Arc::clone(&registered.grants);
        let asked = tokio::task::spawn_blocking(move || grants()).await.map_err(|_| ServiceError::Grant)?;
        let asked = asked.map_err(|why| {
            self.note(&format!("warning: `{}` could not be called: {why}", offer.name()));
            ServiceError::Grant
        })?;
        let host = self.host().await?;
        let request = CallRequest {
            call: host.new_call_id().map_err(|failure| self.failed(&failure))?,
            principal: seat.principal,
            ring: registered.ring,
            session: seat.session,
            function: offer.function().map(|function| function.name.clone()),
            input,
            asked,
            session_ceiling: Ceiling::default(),
            idempotency_key: key,
            claimed: Vec::new(),
        };
        let made = host.call_until(&registered.tool, request, &PolicySet::default(), &interrupt).await;
        let made = made.map_err(|failure| self.failed(&failure))?;
        // The caller is told less: where a folder lies on the host is not theirs to know.
        if let (Some(Denial::Layer(_)), Some(error)) = (&made.denial, &made.outcome.error) {
            self.note(&format!("note: `{}` was denied: {}", offer.name(), error.message));
        }
        Ok(made)
    }

    fn failed(&self, failure: &CallFailure) -> ServiceError {
        self.note(&format!("error: the host failed in a call: {failure}"));
        ServiceError::Host
    }

    fn note(&self, text: &str) {
        (self.notes)(text);
    }
}

/// What a seat can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: its session is not open.
    Nothing,
    /// What each of these rings reaches; none of them bounds nothing.
    Rings([Option<Ring>; 2]),
}

impl Reach {
    /// Whether something that is offered is within it.
    pub fn covers(&self, offer: &Offer) -> bool {
        match self {
            Self::Nothing => false,
            Self::Rings(rings) => rings.iter().all(|ring| offer.is_within(*ring)),
        }
    }
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
