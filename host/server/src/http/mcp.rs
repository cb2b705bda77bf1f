//! MCP over HTTP: the handler of standard input and output, one message a request.
//!
//! Nothing is kept for a session of the protocol: nothing that could be guessed or carried off, nothing that idles (API-06).
//! Its id keeps one client's request ids from those of another, and does nothing else. Who calls is the holder of the
//! request's token, each time; a session of ours is named by the header `ringfence-session`.
//! A message is read strictly before the protocol's library sees it, as on a line.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use hyper::body::Frame;
use ringfence_model::id::SessionId;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_runtime::sandbox::Interrupt;
use ringfence_runtime::sandbox::Interrupter;
use ringfence_runtime::sandbox::interrupt;
use rmcp::model::ClientNotification;
use rmcp::model::ClientRequest;
use rmcp::model::ErrorCode;
use rmcp::model::ErrorData;
use rmcp::model::JsonRpcMessage;
use rmcp::model::ProtocolVersion;
use rmcp::model::RequestId;
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde_json::json as object;

use crate::http::Problem;
use crate::http::Response;
use crate::http::Server;
use crate::http::accept;
use crate::http::inbound;
use crate::http::respond;
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

/// A request, as its sender would name it to give it up. Two clients that share a token, or a certificate, and a session are told
/// apart by what each was given when it said hello, if it repeats that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    credential: Credential,
    session: Option<SessionId>,
    client: Option<String>,
    id: RequestId,
}

/// What is done with the answer to a message, beyond handing it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    /// It may be long, or not be wanted any more.
    Call,
    /// Its sender is given a name.
    Hello,
    /// It goes on for as long as somebody reads.
    Stream,
}

/// What tells clients apart, and the version that a message is of.
const CLIENT: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";

/// A request that is worked on, and the room that it takes.
#[derive(Debug)]
struct Worked {
    server: Arc<Server>,
    sender: Sender,
    interrupt: Interrupt,
    _place: Option<Arc<dyn Kept>>,
}

impl Kept for Worked {}

pub(super) async fn answer(mut admitted: Admitted) -> Result<Response, Problem> {
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
    let client = client(&admitted)?;
    let (message, id) = match read(&admitted.body) {
        Ok(read) => read,
        Err(refused) => return Ok(*refused),
    };
    let answered = Answered::of(&message);
    if let Some(error) = unknown_version(inbound::one_header(&admitted, VERSION)?, answered) {
        return Ok(refused(id.as_ref(), &error));
    }
    let credential = inbound::held(&admitted)?.credential.clone();
    let sender = |id| Sender { credential: credential.clone(), session: seat.session, client: client.clone(), id };
    give_up(&admitted.server, &message, sender);
    drop(message);
    let agent = Agent::new(Arc::clone(admitted.server.service()), seat.clone());
    let (mut agent, mut given_up) = (agent.within(inbound::parent(&admitted)), Interrupt::never());
    if let Some(id) = id {
        let worked = begin(&admitted, sender(id), answered);
        given_up = worked.interrupt.clone();
        agent = agent.for_one(given_up.clone(), Arc::new(worked));
    }
    let made = move || Ok::<_, io::Error>(agent.clone());
    let handler = StreamableHttpService::new(made, Arc::new(NeverSessionManager::default()), config());
    let (headers, body) = (mem::take(&mut admitted.headers), mem::take(&mut admitted.body));
    let response = handler.handle(request(headers, body)?).await;
    let response = response.map(|body| body.map_err(|never| match never {}).boxed_unsync());
    match answered {
        Answered::Call => Ok(unless(given_up, response)),
        Answered::Hello => Ok(named(response)),
        Answered::Stream => subscribed(&admitted, response),
    }
}

impl Answered {
    fn of(message: &Received) -> Self {
        let JsonRpcMessage::Request(request) = message else { return Self::Call };
        match &request.request {
            ClientRequest::InitializeRequest(_) => Self::Hello,
            ClientRequest::SubscriptionsListenRequest(_) => Self::Stream,
            _ => Self::Call,
        }
    }
}

/// What keeps the ids of a client's requests from those of others: whatever it says, where versions have such a thing.
fn client(admitted: &Admitted) -> Result<Option<String>, Problem> {
    let version = inbound::one_header(admitted, VERSION)?;
    if version.is_some_and(|version| version >= ProtocolVersion::NO_INITIALIZE.as_str()) {
        return Ok(None);
    }
    let Some(client) = inbound::one_header(admitted, CLIENT)? else { return Ok(None) };
    let fits = (1..=limits::CLIENT_ID_BYTES_MAX).contains(&client.len());
    if !fits || !client.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::bad(format!("`{CLIENT}` is none that was given out")));
    }
    Ok(Some(client.to_owned()))
}

/// What is wrong with the version that a request names in its head, if anything is.
fn unknown_version(said: Option<&str>, answered: Answered) -> Option<ErrorData> {
    let said = said?;
    // Who says hello may offer what is not known here: that is answered with what is.
    let is_offered = answered == Answered::Hello && said.len() <= limits::PROTOCOL_VERSION_BYTES_MAX;
    let is_known = ProtocolVersion::KNOWN_VERSIONS.iter().any(|known| known.as_str() == said);
    if is_known || is_offered {
        return None;
    }
    let requested: String = said.chars().take(limits::PROTOCOL_VERSION_BYTES_MAX).collect();
    let data = object!({ "requested": one_line(&requested), "supported": ProtocolVersion::KNOWN_VERSIONS });
    let why = format!("`{VERSION}` names no version that is spoken here");
    Some(ErrorData::new(ErrorCode::UNSUPPORTED_PROTOCOL_VERSION, why, Some(data)))
}

/// An answer to who has said hello, with a name for who that was. Nothing is kept under it.
fn named(mut response: Response) -> Response {
    let mut random = [0; 16];
    // Who gets none can't be told apart from others under the same token, and is served all the same.
    if response.status() == StatusCode::OK
        && getrandom::fill(&mut random).is_ok()
        && let Ok(name) = HeaderValue::try_from(format!("{:032x}", u128::from_be_bytes(random)))
    {
        response.headers_mut().insert(CLIENT, name);
    }
    response
}

/// An answer for as long as it is wanted. A request that was given up is not answered, and over HTTP something has to come
/// back: events without an event.
fn unless(given_up: Interrupt, response: Response) -> Response {
    if given_up.is_raised() {
        return respond(StatusCode::OK, EVENTS, ":\n\n");
    }
    // What is there as a whole has been promised a length.
    let is_whole = response.body().size_hint().exact().is_some();
    if is_whole { response } else { response.map(|body| Wanted { body, given_up }.boxed_unsync()) }
}

/// The body of an answer, which ends without a word once it is not wanted any more.
struct Wanted {
    body: UnsyncBoxBody<Bytes, io::Error>,
    given_up: Interrupt,
}

impl Body for Wanted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.filter(|_| !self.given_up.is_raised()))
    }
}

/// What a subscription is told, in a stream that is bounded like every other, for as long as its reader may be told anything.
fn subscribed(admitted: &Admitted, told: Response) -> Result<Response, Problem> {
    let is_stream = told.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == EVENTS);
    if !is_stream {
        return Ok(told);
    }
    let (feed, response) = stream::open(&admitted.server, inbound::held(admitted)?, admitted.peer.as_ref())?;
    tokio::spawn(async move {
        // Whoever is gone subscribes again. What is dropped here ends the subscription.
        let _ = hand_on(told.into_body(), &feed).await;
    });
    Ok(response)
}

async fn hand_on(mut told: UnsyncBoxBody<Bytes, io::Error>, feed: &Feed) -> Result<(), Gone> {
    let silence = Duration::from_millis(limits::STREAM_SILENCE_MS_MAX);
    loop {
        tokio::select! {
            frame = told.frame() => {
                let Some(Ok(frame)) = frame else { return Ok(()) };
                if let Some(message) = frame.data_ref().and_then(|frame| event_data(frame)) {
                    feed.send(None, "message", message).await?;
                }
            }
            () = tokio::time::sleep(silence) => feed.comment().await?,
            () = feed.over() => return Err(Gone),
        }
    }
}

/// The message in an event, as the library writes it: one line.
fn event_data(event: &[u8]) -> Option<&str> {
    str::from_utf8(event).ok()?.lines().find_map(|line| line.strip_prefix("data: "))
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

fn begin(admitted: &Admitted, sender: Sender, answered: Answered) -> Worked {
    let (raise, interrupt) = interrupt();
    underway(&admitted.server).entry(sender.clone()).or_default().push(raise);
    // A stream has a place of its own.
    let place = if answered == Answered::Stream { None } else { inbound::kept(admitted) };
    Worked { server: Arc::clone(&admitted.server), sender, interrupt, _place: place }
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

/// Whether a request takes a kind of answer, and says so: the protocol wants it said.
fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers.contains_key(header::ACCEPT) && accept::weight(headers, kind) > 0
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

fn request(mut headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, Problem> {
    // What takes any kind takes these two; the library looks for their names.
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "/mcp".parse().map_err(|_| Problem::not_found())?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn refused(id: Option<&RequestId>, error: &ErrorData) -> Response {
    crate::http::json(StatusCode::BAD_REQUEST, &message::refusal(id, error))
}
