//! Admit: is this call one that can be decided at all?
//!
//! The tool is pinned, the function exists, the input fits its schema. What does not is refused here, before any policy
//! sees it, so that policy and tool read the very same bytes (POL-07, POL-10). A session that is named has to be open,
//! the caller's, privileged enough for the ring, and has to allow the function. This module grants nothing.

use ringfence_model::call::CallRequest;
use ringfence_model::entry::Stage;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;

use crate::host::Parts;
use crate::ledger::sessions::Session;
use crate::ledger::sessions::SessionError;
use crate::pipeline::Denial;
use crate::pipeline::IncomingCall;
use crate::pipeline::Stop;
use crate::sandbox::Interrupt;
use crate::sandbox::Watcher;
use crate::toolbox::Function;
use crate::toolbox::Tool;
use crate::toolbox::repeat;

/// A call whose tool, function and input fit together.
#[derive(Debug)]
pub(crate) struct AdmittedCall<'t> {
    pub(crate) request: CallRequest,
    /// The session it belongs to; it bounds the request already.
    pub(crate) session: Option<Session>,
    pub(crate) tool: &'t Tool,
    pub(crate) function: &'t Function,
    /// The input's canonical bytes: what is recorded, what a policy sees, what an idempotency key stands for.
    pub(crate) input: Vec<u8>,
    /// The caller's word that it need not go on.
    pub(crate) interrupt: &'t Interrupt,
    /// Whom it tells of what happens in it.
    pub(crate) watcher: Option<Watcher>,
}

impl AdmittedCall<'_> {
    pub(crate) fn effect(&self) -> Effect {
        self.function.effect
    }

    pub(crate) fn required_ring(&self) -> Ring {
        self.function.effect.required_ring()
    }
}

/// The session that a call names, if it names one that it may run in.
pub(crate) async fn find(parts: &Parts, request: &CallRequest, tool: &Tool) -> Result<Option<Session>, Stop> {
    let Some(id) = request.session else { return Ok(None) };
    let found = parts.on_ledger(move |ledger| match ledger.open_session_by(id) {
        Err(SessionError::Ledger(error)) => Err(error),
        other => Ok(other),
    });
    let refuse = |why: String| Err(Stop::refused(request, tool, None, Stage::Admit, Denial::Session(why)));
    let session = match found.await? {
        Ok(session) => session,
        Err(error) => return refuse(error.to_string()),
    };
    if session.principal != request.principal {
        return refuse(format!("session `{id}` is not one of `{}`", request.principal));
    }
    let has = session.ring_at(parts.clock.now());
    if !has.reaches(request.ring) {
        return refuse(format!("session `{id}` has ring `{has}`, and the call would run in ring `{}`", request.ring));
    }
    Ok(Some(session))
}

/// Admits a call, or refuses it to its caller.
pub(crate) fn admit(incoming: IncomingCall<'_>, session: Option<Session>) -> Result<AdmittedCall<'_>, Stop> {
    let IncomingCall { mut request, tool, contact } = incoming;
    if let Some(session) = &session {
        request.session_ceiling = request.session_ceiling.intersect(&session.ceiling);
    }
    let refuse = |request: &CallRequest, denial| Stop::refused(request, tool, None, Stage::Admit, denial);
    if let Err(error) = request.check() {
        return Err(refuse(&request, Denial::Caller(error.to_string())));
    }
    let function = match tool.function(request.function.as_deref()) {
        Ok(function) => function,
        Err(error) => return Err(refuse(&request, Denial::Function(error))),
    };
    if let Some(session) = session.as_ref().filter(|session| !session.allows(&tool.reference().name, &function.name)) {
        let why = format!("session `{}` does not allow `{}/{}`", session.session, tool.reference().name, function.name);
        return Err(Stop::refused(&request, tool, Some(function), Stage::Admit, Denial::Session(why)));
    }
    if let Err(problem) = function.check_input(&request.input) {
        return Err(Stop::refused(&request, tool, Some(function), Stage::Admit, Denial::Input(problem)));
    }
    if let Err(problem) = repeat::name(&mut request, tool, function) {
        return Err(Stop::refused(&request, tool, Some(function), Stage::Admit, Denial::Input(problem)));
    }
    let input = request.input.canonical(&function.name);
    let (interrupt, watcher) = (&contact.interrupt, contact.watcher.clone());
    Ok(AdmittedCall { request, session, tool, function, input, interrupt, watcher })
}
