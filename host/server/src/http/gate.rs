//! The gate: what a request has to get past before anybody reads its body.
//!
//! In this order: it comes from where it may, its path is a route's, its sender holds a token, or a certificate, with the
//! route's scope, the body is not announced as larger than the route takes, its sender has not all that one principal may have, the
//! body comes in time and is no larger than it may be, the server has room. A refusal says nothing that the one before it would
//! not have said: without a token there is one answer, whatever was asked for (API-13). Whoever needs no token takes no room, and
//! nothing is read of what they send (API-10).

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::Version;
use http::header;
use http::request::Parts;
use http::uri::Authority;
use http_body_util::BodyExt as _;
use http_body_util::Limited;
use hyper::body::Body as _;
use hyper::body::Incoming;
use ringfence_model::limits;
use ringfence_model::principal::Principal;

use crate::http::Problem;
use crate::http::Response;
use crate::http::Server;
use crate::http::peer::Peer;
use crate::http::query::NotAQuery;
use crate::http::query::Query;
use crate::http::room::Full;
use crate::http::room::Place;
use crate::http::routes;
use crate::http::routes::Access;
use crate::http::routes::Admitted;
use crate::http::routes::Found;
use crate::http::routes::Route;
use crate::http::token::Holder;

/// Answers a request of whoever is at the other end, if they have shown who they are.
pub(super) async fn answer(server: &Arc<Server>, peer: Option<&Arc<Peer>>, request: Request<Incoming>) -> Response {
    let started = Instant::now();
    let found = routes::find(request.method(), request.uri().path());
    let name = match &found {
        Found::Route(route, _) => route.name,
        Found::Methods(_) | Found::Nothing => "none",
    };
    let response = match admitted(Sender { server, peer }, request, found).await {
        Ok(Begun { run, wall_ms, principal }) => within(wall_ms, run).await.map(|response| match principal {
            Some(principal) => server.unread.count(principal, response),
            None => response,
        }),
        Err(problem) => Err(problem),
    };
    let response = response.unwrap_or_else(Problem::into_response);
    server.metrics.answered(name, response.status(), started.elapsed());
    response
}

type Run = std::pin::Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

/// A handler that runs.
struct Begun {
    run: Run,
    wall_ms: u64,
    /// For whom.
    principal: Option<Principal>,
}

async fn within(wall_ms: u64, run: Run) -> Result<Response, Problem> {
    let over = || Problem::new(StatusCode::GATEWAY_TIMEOUT, "host.timeout", "it took too long; what was begun goes on");
    tokio::time::timeout(Duration::from_millis(wall_ms), run).await.unwrap_or_else(|_| Err(over()))
}

/// Where a request came in, and over whose connection.
#[derive(Clone, Copy)]
struct Sender<'s> {
    server: &'s Arc<Server>,
    peer: Option<&'s Arc<Peer>>,
}

/// Lets a request through to its handler, as far as starting it.
async fn admitted(sender: Sender<'_>, request: Request<Incoming>, found: Found) -> Result<Begun, Problem> {
    let server = sender.server;
    let (parts, body) = request.into_parts();
    check_origin(server, &parts)?;
    let (route, id) = match found {
        Found::Route(route, id) => (route, id),
        other => return Err(missing(sender, &parts.headers, &other)),
    };
    let holder = entitled(sender, route, &parts.headers)?;
    let query = Query::parse(parts.uri.query(), route.query).map_err(|NotAQuery| not_asked(route))?;
    check_length(&parts.headers, &body, route)?;
    let (body, place) = match &holder {
        None if body.is_end_stream() => (Bytes::new(), None),
        None => return Err(too_large(0)),
        Some(holder) => {
            let mut place = server.room.place(&holder.principal).map_err(busy)?;
            let body = read(body, route.body_bytes_max, &mut place).await?;
            // After the body: whoever is slow to send it keeps nobody from being worked on.
            place.work().map_err(busy)?;
            place.take_values(&body).map_err(busy)?;
            (body, Some(Arc::new(place)))
        }
    };
    let (server, peer) = (Arc::clone(server), sender.peer.cloned());
    let principal = holder.as_ref().map(|holder| holder.principal.clone());
    let admitted = Admitted { server, holder, peer, id, query, place, headers: parts.headers, body };
    Ok(Begun { run: (route.handler)(admitted), wall_ms: route.wall_ms, principal })
}

/// Who may use a route, if that takes a token.
fn entitled(sender: Sender<'_>, route: &Route, headers: &HeaderMap) -> Result<Option<Holder>, Problem> {
    if route.access == Access::Anybody {
        return Ok(None);
    }
    let holder = sender.holder(headers)?;
    match route.access {
        Access::Scope(scope) if !holder.may(scope) => {
            let why = format!("the token has no scope `{scope}`");
            Err(Problem::new(StatusCode::FORBIDDEN, "caller.scope", why))
        }
        _ => Ok(Some(holder)),
    }
}

fn not_asked(route: &Route) -> Problem {
    Problem::bad(match route.query {
        [] => "this is asked for without a query".to_owned(),
        known => format!("a query names each of `{}` once at most, and nothing has to be escaped", known.join("`, `")),
    })
}

fn busy(_: Full) -> Problem {
    Problem::busy("as many requests are worked on as there is room for", limits::RETRY_AFTER_MS)
}

/// What a body says of itself before any of it has come. Who waits to be told to go on (`100 Continue`) is told no at once.
fn check_length(headers: &HeaderMap, body: &Incoming, route: &Route) -> Result<(), Problem> {
    if !headers.get_all(header::TRANSFER_ENCODING).iter().all(is_chunked) {
        let why = "the only coding that a body may come in is `chunked`";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "caller.coding", why));
    }
    let bytes_max = u64::try_from(route.body_bytes_max).unwrap_or(u64::MAX);
    if body.size_hint().lower() > bytes_max { Err(too_large(route.body_bytes_max)) } else { Ok(()) }
}

fn is_chunked(coding: &HeaderValue) -> bool {
    coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
}

fn too_large(bytes_max: usize) -> Problem {
    let why = format!("the body is larger than {bytes_max} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "caller.too-large", why)
}

/// What is asked for is not there. Whoever holds no token is told that first.
fn missing(sender: Sender<'_>, headers: &HeaderMap, found: &Found) -> Problem {
    match (sender.holder(headers), found) {
        (Err(problem), _) => problem,
        (Ok(_), Found::Methods(allowed)) => Problem::method(allowed),
        (Ok(_), _) => Problem::not_found(),
    }
}

/// API-05: a page that somebody looks at can reach this machine, and a name can be made to lead here. So what is not
/// addressed to one of our names is not for us, and what a page sends is taken from the pages that were named only.
fn check_origin(server: &Server, parts: &Parts) -> Result<(), Problem> {
    let refuse = |what: &str| {
        Err(Problem::new(StatusCode::FORBIDDEN, "caller.origin", format!("this {what} is not known here")))
    };
    if parts.uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return refuse("form of address");
    }
    match addressed(parts)? {
        Some(host) if server.origins.hosts.contains(&host) => {}
        _ => return refuse("host"),
    }
    let mut origins = parts.headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Ok(()),
        (Some(origin), None) if server.origins.origins.contains(&lower(origin)) => Ok(()),
        _ => refuse("origin"),
    }
}

/// Whom a request is addressed to, in lower case; nobody, if an older version of HTTP does not say. RFC 9112, 3.2: whoever speaks
/// 1.1 says it once, whatever the form of the target. Where a target that says it too says something else, its word would
/// count; somebody in between may have gone by the other's, so it is no request.
fn addressed(parts: &Parts) -> Result<Option<String>, Problem> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) if parts.version < Version::HTTP_11 => return Ok(None),
        (Some(host), None) => lower(host),
        _ => return Err(Problem::bad("`host` stands there once")),
    };
    if host.parse::<Authority>().is_err() {
        return Err(Problem::bad("`host` is not a host with its port"));
    }
    let target = parts.uri.authority().map(|target| target.as_str().to_ascii_lowercase());
    if target.is_some_and(|target| target != host) {
        return Err(Problem::bad("the target of the request and `host` name two hosts"));
    }
    Ok(Some(host))
}

/// A header's value in lower case; nothing that anybody knows, if it is not text.
fn lower(value: &HeaderValue) -> String {
    value.to_str().unwrap_or_default().to_ascii_lowercase()
}

impl Sender<'_> {
    /// Who sends a request: its one `Authorization`, the certificate of its connection, and nothing else it has (API-02,
    /// API-09). Where there are both, the token says what they may do, and both have to be one principal's (API-14).
    fn holder(self, headers: &HeaderMap) -> Result<Holder, Problem> {
        self.known(headers).ok_or_else(Problem::unauthorized)
    }

    fn known(self, headers: &HeaderMap) -> Option<Holder> {
        let tokens = self.server.tokens();
        // One that is not believed any more opens nothing, and its connection neither.
        if self.peer.is_some_and(|peer| !self.server.believes(peer)) {
            return None;
        }
        let names = self.peer.map(|peer| peer.names()).unwrap_or_default();
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let holder = match (values.next(), values.next()) {
            (None, _) => tokens.named(names)?,
            (Some(value), None) => tokens.holder(bearer(value)?)?,
            (Some(_), Some(_)) => return None,
        };
        tokens.are_at_most(names, &holder.principal).then(|| holder.clone())
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

async fn read(body: Incoming, bytes_max: usize, place: &mut Place) -> Result<Bytes, Problem> {
    let wait = Duration::from_millis(limits::HTTP_BODY_MS_MAX);
    let slow = || Problem::new(StatusCode::REQUEST_TIMEOUT, "caller.slow", "the body did not come in time");
    tokio::time::timeout(wait, collected(body, bytes_max, place)).await.unwrap_or_else(|_| Err(slow()))
}

async fn collected(body: Incoming, bytes_max: usize, place: &mut Place) -> Result<Bytes, Problem> {
    let mut body = Limited::new(body, bytes_max);
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let is_too_large = error.is::<http_body_util::LengthLimitError>();
            if is_too_large { too_large(bytes_max) } else { Problem::bad("the body can't be read") }
        })?;
        // What is no data is a trailer, and nobody asked for one.
        let Ok(data) = frame.into_data() else { continue };
        place.take(data.len()).map_err(busy)?;
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}
