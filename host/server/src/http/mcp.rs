//! MCP over HTTP: the handler of standard input and output, one message a request.
//!
//! There are no sessions of the protocol: nothing that could be guessed or carried off, nothing that idles (API-06). Who
//! calls is the holder of the request's token, each time; a session of ours is named by the header `ringfence-session`.
//! A message is read strictly before the protocol's library sees it, as on a line.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use ringfence_model::id::SessionId;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_runtime::sandbox::Interrupt;
use ringfence_runtime::sandbox::Interrupter;
use ringfence_runtime::sandbox::interrupt;
use rmcp::model::ClientNotification;
use rmcp::model::ErrorData;
use rmcp::model::JsonRpcMessage;
use rmcp::model::RequestId;
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde_json::json as object;

use crate::http::Problem;
use crate::http::Response;
use crate::http::Server;
use crate::http::inbound;
use crate::http::routes::Admitted;
use crate::http::stream;
use crate::http::stream::EVENTS;
use crate::http::stream::Feed;
use crate::http::stream::Gone;
use crate::http::token::Credential;
use crate::mcp::Agent;
use crate::mcp::message;
use crate::mcp::message::Received;
use crate::reach::Changes;
use crate::service::Kept;
use crate::service::Seat;

/// What can be given up: requests that are worked on, by who has sent them and under which id.
pub(super) type Underway = Mutex<HashMap<Sender, Vec<Interrupter>>>;

/// A request, as its sender would name it to give it up. Two clients that share a token, or a certificate, and a session can't be
/// told apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    credential: Credential,
    session: Option<SessionId>,
    id: RequestId,
}

/// A request that is worked on, and the room that it takes.
#[derive(Debug)]
struct Worked {
    server: Arc<Server>,
    sender: Sender,
    interrupt: Interrupt,
    _place: Option<Arc<dyn Kept>>,
}

impl Kept for Worked {}

pub(super) async fn answer(admitted: Admitted) -> Result<Response, Problem> {
    if admitted.headers.contains_key(inbound::KEY) {
        // A request may be another message than a call, and a key that is passed over is a call that happens twice.
        let why =
            "over MCP the key of a call stands in its `_meta`, under `ringfence/idempotency-key`, and not in a header";
        return Err(Problem::bad(why));
    }
    let seat = inbound::seat(&admitted, None)?;
    inbound::check_kind(&admitted)?;
    if !accepts(&admitted.headers, "application/json") || !accepts(&admitted.headers, EVENTS) {
        let why = "`accept` names `application/json` and `text/event-stream`: an answer is either";
        return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "caller.accept", why));
    }
    let (message, id) = match read(&admitted.body) {
        Ok(read) => read,
        Err(refused) => return Ok(*refused),
    };
    let credential = inbound::held(&admitted)?.credential.clone();
    let sender = |id| Sender { credential: credential.clone(), session: seat.session, id };
    give_up(&admitted.server, &message, sender);
    let agent = Agent::new(Arc::clone(admitted.server.service()), seat.clone());
    let mut agent = agent.within(inbound::parent(&admitted));
    if let Some(id) = id {
        let worked = begin(&admitted, sender(id));
        agent = agent.for_one(worked.interrupt.clone(), Arc::new(worked));
    }
    drop(message);
    let made = move || Ok::<_, io::Error>(agent.clone());
    let handler = StreamableHttpService::new(made, Arc::new(NeverSessionManager::default()), config());
    let response = handler.handle(request(admitted.headers, admitted.body)?).await;
    Ok(response.map(|body| body.map_err(|never| match never {}).boxed_unsync()))
}

/// Tells whoever listens whenever their list of tools may be another one, and of nothing else: answers go to requests.
pub(super) fn listen(admitted: &Admitted) -> Result<Response, Problem> {
    let seat = inbound::seat(admitted, None)?;
    if !accepts(&admitted.headers, EVENTS) {
        let why = format!("`accept` names `{EVENTS}`: nothing else is sent to who listens");
        return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "caller.accept", why));
    }
    let (feed, response) = stream::open(&admitted.server, inbound::held(admitted)?, admitted.peer.as_ref())?;
    tokio::spawn(async move {
        // Whoever is gone comes again, and lists the tools anew.
        let _ = tell(&seat, &feed).await;
    });
    Ok(response)
}

async fn tell(seat: &Seat, feed: &Feed) -> Result<(), Gone> {
    const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let (service, silence) = (feed.server().service(), Duration::from_millis(limits::STREAM_SILENCE_MS_MAX));
    let mut changes = Changes::of(service, seat);
    feed.comment().await?;
    loop {
        tokio::select! {
            // What is sent is sent only to who still may see it.
            () = changes.next(service, seat) => feed.send(None, "message", CHANGED).await?,
            () = tokio::time::sleep(silence) => feed.comment().await?,
            () = feed.over() => return Err(Gone),
            () = service.stopped() => return Ok(()),
        }
    }
}

/// The message in a body, and the id it wants an answer under; else the answer to what is none.
fn read(body: &[u8]) -> Result<(Received, Option<RequestId>), Box<Response>> {
    let value = json::parse(body).map_err(|error| {
        let why = format!("the body is not JSON that can be read in one way: {error}");
        Box::new(refused(None, &ErrorData::parse_error(why, None)))
    })?;
    message::read(value).map_err(|fault| Box::new(refused(fault.id.as_ref(), &fault.error)))
}

/// Has the call stop that a message gives up. Of two under one id neither is: it may be somebody else's.
fn give_up(server: &Server, message: &Received, sender: impl FnOnce(RequestId) -> Sender) {
    if let JsonRpcMessage::Notification(notification) = message
        && let ClientNotification::CancelledNotification(cancelled) = &notification.notification
        && let Some(id) = cancelled.params.request_id.clone()
        && let Some([only]) = underway(server).get(&sender(id)).map(Vec::as_slice)
    {
        only.raise();
    }
}

fn begin(admitted: &Admitted, sender: Sender) -> Worked {
    let (raise, interrupt) = interrupt();
    underway(&admitted.server).entry(sender.clone()).or_default().push(raise);
    Worked { server: Arc::clone(&admitted.server), sender, interrupt, _place: inbound::kept(admitted) }
}

impl Drop for Worked {
    fn drop(&mut self) {
        let mut underway = underway(&self.server);
        if let Some(raisers) = underway.get_mut(&self.sender) {
            raisers.retain(|raise| !raise.raises(&self.interrupt));
            if raisers.is_empty() {
                underway.remove(&self.sender);
            }
        }
    }
}

fn underway(server: &Server) -> MutexGuard<'_, HashMap<Sender, Vec<Interrupter>>> {
    // Each change is one step.
    server.underway.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a header `accept` takes a kind of answer. What it says of how much is not weighed.
fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(','));
    kinds.any(|accepted| {
        let accepted = accepted.split(';').next().unwrap_or_default().trim();
        let group = kind.split('/').next().unwrap_or_default();
        accepted == "*/*" || accepted.eq_ignore_ascii_case(kind) || accepted.eq_ignore_ascii_case(&format!("{group}/*"))
    })
}

/// Host and Origin have been checked, for every route alike; the library's own check would know one of the two only.
fn config() -> StreamableHttpServerConfig {
    let mut config = StreamableHttpServerConfig::default();
    config.legacy_session_mode = false;
    config.json_response = true;
    config.sse_keep_alive = None;
    config.allowed_hosts = Vec::new();
    config.max_request_body_bytes = limits::MESSAGE_BYTES_MAX;
    config
}

fn request(headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, Problem> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "/mcp".parse().map_err(|_| Problem::not_found())?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn refused(id: Option<&RequestId>, error: &ErrorData) -> Response {
    let error = object!({ "jsonrpc": "2.0", "id": id, "error": error });
    crate::http::json(StatusCode::BAD_REQUEST, &error)
}
