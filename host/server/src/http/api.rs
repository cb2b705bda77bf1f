//! The handlers of the API: a body into what the service takes, what it gives into an answer.
//!
//! Who asks is known here, and sees what is their own: what is somebody else's is answered like what is not there
//! (API-04). Bodies are read by the strict reader of all input, unknown fields refused.

use std::sync::Mutex;
use std::sync::PoisonError;

use http::HeaderValue;
use http::StatusCode;
use http::header;
use ringfence_audit::receipt::Receipt;
use ringfence_model::call::Input;
use ringfence_model::capability::Ceiling;
use ringfence_model::function_pattern::FunctionPattern;
use ringfence_model::id::ApprovalId;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::limits;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::one_line;
use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::ring::Ring;
use ringfence_runtime::host::Host;
use ringfence_runtime::ledger::approvals::AnswerError;
use ringfence_runtime::ledger::approvals::Approval;
use ringfence_runtime::ledger::backend::CallState;
use ringfence_runtime::ledger::listed;
use ringfence_runtime::ledger::listed::Whose;
use ringfence_runtime::ledger::sessions::Session;
use ringfence_runtime::ledger::sessions::SessionDraft;
use ringfence_runtime::ledger::sessions::SessionError;
use ringfence_runtime::pipeline::Response as CallResponse;
use ringfence_runtime::sandbox::Contact;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::advice;
use crate::catalogue::Offer;
use crate::http::Problem;
use crate::http::Response;
use crate::http::accept;
use crate::http::inbound::CURSOR;
use crate::http::inbound::Handled;
use crate::http::inbound::answer;
use crate::http::inbound::body;
use crate::http::inbound::failed;
use crate::http::inbound::held;
use crate::http::inbound::id;
use crate::http::inbound::kept;
use crate::http::inbound::on_host;
use crate::http::inbound::once;
use crate::http::inbound::page;
use crate::http::inbound::page_limit;
use crate::http::inbound::parent;
use crate::http::inbound::part;
use crate::http::inbound::seat;
use crate::http::metrics::OPEN;
use crate::http::metrics::PLAIN;
use crate::http::openapi;
use crate::http::respond;
use crate::http::routes::Admitted;
use crate::http::routes::TEXT;
use crate::http::run;
use crate::http::token::Holder;
use crate::http::token::Scope;
use crate::service::Missed;
use crate::service::ServiceError;
use crate::service::Wish;

/// Held from counting the sessions that are open to opening one.
static OPENING: Mutex<()> = Mutex::new(());

/// A call that is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CallBody {
    /// The name that the tool is registered by.
    tool: String,
    /// The function; not needed for a command or where there is only one.
    function: Option<String>,
    /// The function's input.
    input: Option<Value>,
    /// Arguments of a command.
    #[serde(default)]
    arguments: Vec<String>,
    /// Standard input of a command.
    #[serde(default)]
    stdin: String,
    /// The session that the call belongs to.
    session: Option<String>,
    /// The task that this is a step of: each step of it is made once. Instead of an `Idempotency-Key`.
    task: Option<String>,
    /// Which step: its place or its name; `TOOL/FUNCTION`, if nothing is said.
    step: Option<String>,
}

/// What came of a call.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CallShown {
    /// The call.
    call: String,
    /// How far it is: `begun`, `finished`, `refused` or `settled`.
    state: &'static str,
    /// The index of the entry that tells of it.
    entry: u64,
    /// How it ended, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Value>,
    /// What the tool reached for and was refused; the first few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
    /// What a caller keeps of it, if it is asked for by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Value>,
}

/// A function that can be called.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ToolShown {
    /// The tool.
    tool: String,
    /// The function.
    function: String,
    /// The name that it goes by in MCP.
    name: String,
    /// What it does, in its author's words.
    description: String,
    /// The digest of the tool's component.
    digest: String,
    /// What it may do to the world.
    effect: String,
    /// The ring that it runs in.
    ring: u8,
    /// JSON Schema of its input; none for a command.
    input_schema: Option<Value>,
    /// JSON Schema of what it returns, if it says.
    output_schema: Option<Value>,
}

/// A session that is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionBody {
    /// A name for people and policies.
    name: String,
    /// Its ring, 0 to 3.
    ring: Option<u8>,
    /// Whose it is, if not one's own.
    principal: Option<String>,
    /// What may be called in it, each `TOOL/FUNCTION` or `TOOL/*`; everything, without it.
    allow: Option<Vec<String>>,
}

/// A session.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionShown {
    session: String,
    name: String,
    principal: String,
    /// The ring that it has now.
    ring: u8,
    /// What may be called in it, if not everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<String>>,
    opened: String,
    closed: Option<String>,
}

/// An answer to what is held.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AnswerBody {
    /// Why, for the record.
    reason: Option<String>,
}

// --- How the server is ---

pub(super) fn health() -> Response {
    respond(StatusCode::OK, TEXT, "ok\n")
}

/// What was known before anybody asked, and whether an operator has halted everything: who needs no token has nothing opened
/// for them (API-10).
pub(super) fn ready(admitted: &Admitted) -> Handled {
    if !admitted.server.service().is_ready() {
        return Err(ServiceError::Unavailable.into());
    }
    Ok(respond(StatusCode::OK, TEXT, "ready\n"))
}

pub(super) fn describe() -> Response {
    answer(&openapi::document())
}

/// In the form that was asked for; in the newer one, whoever takes both as gladly or says nothing that is known.
pub(super) fn metrics(admitted: &Admitted) -> Response {
    let metrics = &admitted.server.metrics;
    if accept::weight(&admitted.headers, PLAIN) > accept::weight(&admitted.headers, OPEN) {
        return respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.plain_text());
    }
    respond(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics.text())
}

// --- Calls ---

pub(super) async fn tools(admitted: Admitted) -> Handled {
    let seat = seat(&admitted, None)?;
    let (reach, catalogue) = (admitted.server.service().reach(&seat).await?, admitted.server.service().catalogue());
    let seen = catalogue.offers(None).filter(|offer| reach.covers(offer));
    page(&admitted, seen.filter_map(|offer| Some((offer.name().to_owned(), shown_tool(offer)?))))
}

pub(super) async fn call(admitted: Admitted) -> Handled {
    let CallBody { tool, function, input, arguments, stdin, session, task, step } = body(&admitted)?;
    let once = once(&admitted, task.as_deref(), step.as_deref())?;
    let seat = seat(&admitted, session.as_deref())?;
    let service = admitted.server.service();
    let reach = service.reach(&seat).await?;
    let catalogue = service.catalogue();
    let input = Input { value: input, arguments, stdin: stdin.into_bytes() };
    let offer = catalogue.function(&tool, function.as_deref()).filter(|offer| reach.covers(offer)).cloned();
    let wish = |offer: Offer, input| {
        let key = once.key(&offer);
        Wish { offer, input, key, contact: Contact::none(), keeps: kept(&admitted), parent: parent(&admitted) }
    };
    let Some(offer) = offer else {
        let seen = catalogue.of_tool(&tool).find(|offer| reach.covers(offer));
        if let Some(offer) = seen.filter(|offer| offer.registered().tool.function(function.as_deref()).is_err()) {
            // Of a tool that can be seen it is known which it is.
            service.call(&seat, wish(offer.asking_for(function.as_deref()), input)).await?;
        } else {
            let (keeps, parent) = (kept(&admitted), parent(&admitted));
            service.refuse(&seat, reach, Missed { tool, function, input, keeps, parent }).await?;
        }
        return Err(Problem::unknown_function());
    };
    // Whoever goes away finds the answer under its key, or by the call's id.
    let wish = wish(offer.clone(), input);
    if run::is_wanted(&admitted) {
        return run::streamed(&admitted, seat, wish, offer).await;
    }
    called(&service.call(&seat, wish).await?, &offer)
}

/// A response as an answer.
pub(super) fn called(response: &CallResponse, offer: &Offer) -> Handled {
    came_of(response, offer).map(|shown| answer(&shown))
}

/// What came of a call, or why it did not run.
pub(super) fn came_of(response: &CallResponse, offer: &Offer) -> Result<CallShown, Problem> {
    if is_refusal(response) {
        return Err(refusal(response, offer));
    }
    let refused = response.refused.iter().take(limits::REFUSED_SHOWN_MAX);
    Ok(CallShown {
        call: response.call.to_string(),
        state: "finished",
        entry: response.recorded.index,
        outcome: Some(json!(response.outcome)),
        refused: refused.map(|call| call.detail.clone().unwrap_or_else(|| call.import.clone())).collect(),
        receipt: None,
    })
}

/// A call that did not run is a problem; one that ran is an answer, however it ended.
fn is_refusal(response: &CallResponse) -> bool {
    response.denial.is_some() || response.outcome.code().starts_with("host.")
}

fn refusal(response: &CallResponse, offer: &Offer) -> Problem {
    let outcome = &response.outcome;
    let error = outcome.error.as_ref();
    let mut problem = Problem::new(status(outcome), outcome.code(), advice::message(response))
        .with("call", json!(response.call))
        .with("entry", json!(response.recorded.index));
    if let Some(function) = offer.function() {
        problem = problem.with("hints", json!(advice::of(response, function)));
    }
    let Some(value) = error.and_then(|error| error.value.as_ref()) else { return problem };
    match value.get("retry_after_ms").and_then(Value::as_u64) {
        Some(after_ms) => problem.retry(after_ms),
        None => problem.with("value", value.clone()),
    }
}

fn status(outcome: &Outcome) -> StatusCode {
    match outcome.code() {
        "caller.unknown-function" => StatusCode::NOT_FOUND,
        "host.busy" | "denied.cap" => StatusCode::TOO_MANY_REQUESTS,
        "denied.idempotency-conflict" | "denied.in-progress" | "denied.effect-unknown" | "denied.settled" => {
            StatusCode::CONFLICT
        }
        code if code.starts_with("caller.") => StatusCode::UNPROCESSABLE_ENTITY,
        code if code.starts_with("host.") => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    }
}

pub(super) async fn show_call(admitted: Admitted) -> Handled {
    let id: CallId = id(&admitted)?;
    let holder = held(&admitted)?.clone();
    on_host(&admitted, move |host| {
        let found = host.ledger().find(&id).map_err(|_| failed())?;
        let row = found.filter(|row| row.principal == holder.principal || holder.may(Scope::Audit));
        let row = row.ok_or_else(Problem::not_found)?;
        let (state, entry) = match row.state {
            CallState::Begun { begun } => ("begun", begun),
            CallState::Finished { finished, .. } => ("finished", finished),
            CallState::Refused { refused } => ("refused", refused),
            CallState::Settled { settled, .. } => ("settled", settled),
        };
        let ended = host.ledger().ended(&row).map_err(|_| failed())?;
        let outcome = ended.and_then(|ended| serde_json::from_slice(&ended.outcome?).ok());
        let receipt: Option<Receipt> = host.receipt(entry).ok();
        let (call, receipt) = (id.to_string(), receipt.map(|receipt| json!(receipt)));
        Ok(answer(&CallShown { call, state, entry, outcome, refused: Vec::new(), receipt }))
    })
    .await
}

// --- Sessions ---

/// Those that are open and may be seen, by principal. What a page costs hangs on no session that was closed, nor on those of
/// whom it does not show.
pub(super) async fn sessions(admitted: Admitted) -> Handled {
    let (limit, holder) = (page_limit(&admitted)?, held(&admitted)?.clone());
    let after = admitted.query.get(CURSOR).map(str::parse::<SessionId>).transpose().map_err(|_| no_cursor())?;
    let listed = on_host(&admitted, move |host| {
        let known = after.map(|id| host.ledger().session(id).map_err(|_| failed())).transpose()?.flatten();
        let known = known.filter(|session| is_seen(&holder, session));
        if known.is_none() && after.is_some() {
            return Err(no_cursor());
        }
        let mut found = Vec::new();
        for whose in seen_by(&holder) {
            // One more than there is room for tells that the list goes on.
            let room = limit.saturating_add(1).saturating_sub(found.len());
            found.extend(host.ledger().open_sessions(whose, known.as_ref(), room).map_err(|_| failed())?);
        }
        Ok(found.iter().map(|session| (session.session.to_string(), shown_session(session, host))).collect::<Vec<_>>())
    });
    part(&admitted, listed.await?, None)
}

/// Whose sessions [may be seen](is_seen), in the order they are listed in.
fn seen_by(holder: &Holder) -> Vec<Whose<'_>> {
    let own = Whose::One(&holder.principal);
    if !holder.may(Scope::Operate) {
        return vec![own];
    }
    let own = Some(own).filter(|_| holder.principal.kind() == PrincipalKind::Operator);
    let (agents, services) = (Whose::Every(PrincipalKind::Agent), Whose::Every(PrincipalKind::Service));
    std::iter::once(agents).chain(own).chain([services]).collect()
}

fn no_cursor() -> Problem {
    Problem::bad(format!("`{CURSOR}` is none that was given out"))
}

pub(super) async fn open_session(admitted: Admitted) -> Handled {
    let SessionBody { name, ring, principal, allow } = body(&admitted)?;
    let allow = allow.map(allowed).transpose()?;
    let holder = held(&admitted)?.clone();
    let whose = match principal {
        None => holder.principal.clone(),
        Some(text) => text.parse::<Principal>().map_err(|error| Problem::bad(one_line(&error.to_string())))?,
    };
    let is_own = whose == holder.principal;
    if !is_own && (!holder.may(Scope::Operate) || whose.kind() == PrincipalKind::Operator) {
        let why = "sessions for others take the scope `operate`, and are never an operator's";
        return Err(Problem::new(StatusCode::FORBIDDEN, "caller.scope", why));
    }
    let ring =
        Ring::try_from(ring.unwrap_or(Ring::Sandbox.number())).map_err(|error| Problem::bad(error.to_string()))?;
    if !holder.opens(ring) {
        let why = format!("a session in ring {ring}, more privileged than the token, takes the scope `operate`");
        return Err(Problem::new(StatusCode::FORBIDDEN, "caller.scope", why));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > limits::NAME_BYTES_MAX || !name.chars().all(fits) {
        return Err(Problem::bad("`name` is made of ASCII letters, digits, `.`, `_` and `-`"));
    }
    on_host(&admitted, move |host| {
        let _alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let most = limits::SESSIONS_PER_PRINCIPAL_MAX;
        let open = host.ledger().open_sessions(Whose::One(&whose), None, most).map_err(|_| failed())?;
        if open.len() >= most {
            let why = format!("`{whose}` has {most} open sessions: close one first");
            return Err(Problem::new(StatusCode::CONFLICT, "denied.session", why));
        }
        let draft = SessionDraft { allow, ceiling: Ceiling::default(), name, principal: whose, ring };
        let opened = host.ledger().open_session(draft, &holder.principal).map_err(|_| failed())?;
        Ok(located(crate::http::json(StatusCode::CREATED, &shown_session(&opened, host)), opened.session))
    })
    .await
}

/// What a session is to allow.
fn allowed(texts: Vec<String>) -> Result<Vec<FunctionPattern>, Problem> {
    let max = limits::SESSION_FUNCTIONS_MAX;
    if texts.len() > max {
        return Err(Problem::bad(format!("`allow` has more than {max} functions")));
    }
    let parsed = texts.into_iter().map(|text| text.parse::<FunctionPattern>());
    parsed.collect::<Result<_, _>>().map_err(|error| Problem::bad(format!("`allow`: {error}")))
}

/// An answer that says where the session is that was made.
fn located(mut response: Response, session: SessionId) -> Response {
    let location = HeaderValue::try_from(format!("/v1/sessions/{session}")).ok();
    response.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
    response
}

pub(super) async fn show_session(admitted: Admitted) -> Handled {
    let (id, holder): (SessionId, Holder) = (id(&admitted)?, held(&admitted)?.clone());
    on_host(&admitted, move |host| {
        let found = host.ledger().session(id).map_err(|_| failed())?;
        let session = found.filter(|session| is_seen(&holder, session)).ok_or_else(Problem::not_found)?;
        Ok(answer(&shown_session(&session, host)))
    })
    .await
}

pub(super) async fn close_session(admitted: Admitted) -> Handled {
    let (id, holder): (SessionId, Holder) = (id(&admitted)?, held(&admitted)?.clone());
    on_host(&admitted, move |host| {
        let found = host.ledger().session(id).map_err(|_| failed())?;
        if found.is_none_or(|session| !is_seen(&holder, &session)) {
            return Err(Problem::not_found());
        }
        match host.ledger().close_session(id, &holder.principal) {
            Ok(session) => Ok(answer(&shown_session(&session, host))),
            Err(SessionError::Ledger(_)) => Err(failed()),
            Err(error) => Err(Problem::new(StatusCode::CONFLICT, "denied.session", error.to_string())),
        }
    })
    .await
}

/// Whether a session may be seen and closed: it is one's own, or one operates the host and it is no other operator's.
fn is_seen(holder: &Holder, session: &Session) -> bool {
    let is_operators = session.principal.kind() == PrincipalKind::Operator;
    session.principal == holder.principal || (holder.may(Scope::Operate) && !is_operators)
}

// --- Approvals ---

/// What waits for whoever asks, that first whose time is over first: of what they can't answer nothing is listed, as nothing
/// of it is shown (API-04). A page looks at a bounded number of questions, and may have few of them where most wait for others.
pub(super) async fn approvals(admitted: Admitted) -> Handled {
    let (limit, by) = (page_limit(&admitted)?, held(&admitted)?.principal.clone());
    let after = admitted.query.get(CURSOR).map(str::to_owned);
    if after.as_deref().is_some_and(|after| !listed::is_place(after)) {
        return Err(no_cursor());
    }
    let listed = on_host(&admitted, move |host| {
        let (mut found, mut after, mut left) = (Vec::new(), after, limits::APPROVALS_READ_MAX);
        while found.len() <= limit && left > 0 {
            let waiting = host.ledger().waiting(after.as_deref(), left.min(limits::HTTP_PAGE_ITEMS_MAX));
            let waiting = waiting.map_err(|_| failed())?;
            let Some(last) = waiting.last() else { return Ok((found, None)) };
            (left, after) = (left.saturating_sub(waiting.len()), Some(last.place.clone()));
            let own = waiting.into_iter().filter(|waiting| waiting.approval.accepts(&by));
            found.extend(own.map(|waiting| (waiting.place, waiting.approval)));
        }
        Ok((found, after))
    });
    let (found, more) = listed.await?;
    part(&admitted, found, more)
}

pub(super) async fn approve(admitted: Admitted) -> Handled {
    answered(admitted, true).await
}

pub(super) async fn reject(admitted: Admitted) -> Handled {
    answered(admitted, false).await
}

async fn answered(admitted: Admitted, is_yes: bool) -> Handled {
    let AnswerBody { reason } = if admitted.body.is_empty() { AnswerBody::default() } else { body(&admitted)? };
    let (id, by): (ApprovalId, Principal) = (id(&admitted)?, held(&admitted)?.principal.clone());
    on_host(&admitted, move |host| {
        let reason = reason.as_deref().map(one_line);
        match host.ledger().answer(id, &by, is_yes, reason.as_deref()) {
            Ok((approval, entry)) => Ok(answer(&shown_answer(&approval, entry))),
            Err(AnswerError::Ledger(_)) => Err(failed()),
            Err(AnswerError::Unknown(_)) => Err(Problem::not_found()),
            Err(error) => Err(Problem::new(StatusCode::CONFLICT, "denied.approval", error.to_string())),
        }
    })
    .await
}

fn shown_answer(approval: &Approval, entry: u64) -> Value {
    let mut shown = json!(approval);
    if let Value::Object(fields) = &mut shown {
        fields.insert("entry".to_owned(), json!(entry));
    }
    shown
}

// --- What is shown ---

fn shown_tool(offer: &Offer) -> Option<ToolShown> {
    let (registered, function) = (offer.registered(), offer.function()?);
    let reference = registered.tool.reference();
    Some(ToolShown {
        tool: reference.name.clone(),
        function: function.name.clone(),
        name: offer.name().to_owned(),
        description: function.description.clone(),
        digest: reference.digest.to_string(),
        effect: function.effect.to_string(),
        ring: registered.ring.number(),
        input_schema: function.input_schema.clone(),
        output_schema: function.output_schema.clone(),
    })
}

fn shown_session(session: &Session, host: &Host) -> SessionShown {
    SessionShown {
        session: session.session.to_string(),
        name: session.name.clone(),
        principal: session.principal.to_string(),
        ring: session.ring_at(host.now()).number(),
        allow: session.allow.as_ref().map(|allow| allow.iter().map(ToString::to_string).collect()),
        opened: session.opened.to_string(),
        closed: session.closed.map(|closed| closed.to_string()),
    }
}
