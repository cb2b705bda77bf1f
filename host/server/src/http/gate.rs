//! The gate: what a request has to get past before anybody reads its body.
//!
//! In this order: it comes from where it may, its path is a route's, its sender holds a token with the route's scope, the
//! server has room, the body is no larger than the route takes and comes in time. A refusal says nothing that the one
//! before it would not have said: without a token there is one answer, whatever was asked for (API-13).

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::StatusCode;
use http::header;
use http::request::Parts;
use http_body_util::BodyExt as _;
use http_body_util::Limited;
use hyper::body::Incoming;
use ringfence_model::limits;

use crate::http::Problem;
use crate::http::Response;
use crate::http::Server;
use crate::http::routes;
use crate::http::routes::Access;
use crate::http::routes::Admitted;
use crate::http::routes::Found;
use crate::http::token::Holder;

pub(super) async fn answer(server: &Arc<Server>, request: Request<Incoming>) -> Response {
    let started = Instant::now();
    let found = routes::find(request.method(), request.uri().path());
    let name = match &found {
        Found::Route(route, _) => route.name,
        Found::Method | Found::Nothing => "none",
    };
    let response = match admitted(server, request, found).await {
        Ok((run, wall_ms)) => within(wall_ms, run).await,
        Err(problem) => Err(problem),
    };
    let response = response.unwrap_or_else(Problem::into_response);
    server.metrics.answered(name, response.status(), started.elapsed());
    response
}

type Run = std::pin::Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

async fn within(wall_ms: u64, run: Run) -> Result<Response, Problem> {
    let over = || Problem::new(StatusCode::GATEWAY_TIMEOUT, "host.timeout", "it took too long; what was begun goes on");
    tokio::time::timeout(Duration::from_millis(wall_ms), run).await.unwrap_or_else(|_| Err(over()))
}

/// Lets a request through to its handler, as far as starting it.
async fn admitted(server: &Arc<Server>, request: Request<Incoming>, found: Found) -> Result<(Run, u64), Problem> {
    let (parts, body) = request.into_parts();
    check_origin(server, &parts)?;
    let (route, id) = match found {
        Found::Route(route, id) => (route, id),
        other => return Err(missing(server, &parts.headers, &other)),
    };
    let holder = match route.access {
        Access::Anybody => None,
        Access::Holder => Some(holder(server, &parts.headers)?),
        Access::Scope(scope) => {
            let holder = holder(server, &parts.headers)?;
            if !holder.may(scope) {
                let why = format!("the token has no scope `{scope}`");
                return Err(Problem::new(StatusCode::FORBIDDEN, "caller.scope", why));
            }
            Some(holder)
        }
    };
    let Ok(room) = Arc::clone(&server.requests).try_acquire_owned() else {
        let why = format!("{} requests are worked on", limits::HTTP_REQUESTS_MAX);
        return Err(Problem::busy(why, limits::RETRY_AFTER_MS));
    };
    let body = read(body, route.body_bytes_max).await?;
    let admitted = Admitted { server: Arc::clone(server), holder, id, headers: parts.headers, body };
    let run = Box::pin(async move {
        let _room = room;
        (route.handler)(admitted).await
    });
    Ok((run, route.wall_ms))
}

/// What is asked for is not there. Whoever holds no token is told that first.
fn missing(server: &Server, headers: &HeaderMap, found: &Found) -> Problem {
    match (holder(server, headers), found) {
        (Err(problem), _) => problem,
        (Ok(_), Found::Method) => {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "caller.method", "this is not done with that method")
        }
        (Ok(_), _) => Problem::not_found(),
    }
}

/// API-05: a page that somebody looks at can reach this machine, and a name can be made to lead here. So what is not
/// addressed to one of our names is not for us, and what a page sends is taken from the pages that were named only.
fn check_origin(server: &Server, parts: &Parts) -> Result<(), Problem> {
    let refuse = |what: &str| {
        Err(Problem::new(StatusCode::FORBIDDEN, "caller.origin", format!("this {what} is not known here")))
    };
    if parts.uri.scheme().is_some() || parts.uri.authority().is_some() {
        return refuse("form of address");
    }
    let one = |name| {
        let mut values = parts.headers.get_all(name).iter();
        (values.next().map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase()), values.next().is_some())
    };
    match one(header::HOST) {
        (Some(host), false) if server.origins.hosts.contains(&host) => {}
        _ => return refuse("host"),
    }
    match one(header::ORIGIN) {
        (None, _) => Ok(()),
        (Some(origin), false) if server.origins.origins.contains(&origin) => Ok(()),
        _ => refuse("origin"),
    }
}

/// Who sends a request: its one `Authorization`, and nothing else it has (API-02, API-09).
fn holder(server: &Server, headers: &HeaderMap) -> Result<Holder, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Problem::unauthorized()) };
    let text = value.to_str().map_err(|_| Problem::unauthorized())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(Problem::unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthorized());
    }
    server.tokens().holder(token).cloned().ok_or_else(Problem::unauthorized)
}

async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, Problem> {
    let wait = Duration::from_millis(limits::HTTP_BODY_MS_MAX);
    let read = tokio::time::timeout(wait, Limited::new(body, bytes_max).collect()).await;
    let too_large = || {
        let why = format!("the body is larger than {bytes_max} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "caller.too-large", why)
    };
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::bad("the body can't be read")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "caller.slow", "the body did not come in time")),
    }
}
