//! HTTP: an API for programs and MCP for agents, behind tokens, over one table of routes.
//!
//! ```text
//! connection → listener (bounds, TLS) → gate (host, origin, route, token, scope, body) → routes → service → response
//! ```
//!
//! Nothing is looked at in a body before its sender is known, and nobody is known without a token. A path has one
//! spelling: what is not exactly that of a route is nowhere. HTTP/1.1 only, with TLS or without: a proxy that speaks more may
//! stand in front.

mod accept;
mod api;
mod approval;
mod events;
mod explain;
mod gate;
mod inbound;
mod listener;
mod log;
mod mcp;
pub mod metrics;
pub mod openapi;
mod patience;
pub mod peer;
mod problem;
mod query;
pub mod revocation;
mod room;
pub mod routes;
mod run;
mod stream;
pub mod tls;
pub mod token;
mod unread;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use ringfence_model::limits;
use serde::Serialize;

use crate::http::metrics::Metrics;
use crate::http::metrics::Number;
use crate::http::peer::Peer;
pub use crate::http::problem::Problem;
use crate::http::room::Room;
use crate::http::tls::Believed;
use crate::http::tls::Identity;
use crate::http::tls::Shown;
use crate::http::tls::TlsError;
use crate::http::token::Holder;
use crate::http::token::Tokens;
use crate::http::unread::Unread;
use crate::service::Service;

pub use crate::http::listener::serve;

/// What goes back.
pub type Response = http::Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// From where requests are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// What `Host` may be, with the port if it is not the scheme's own.
    pub hosts: Vec<String>,
    /// What `Origin` may be, if there is one: a page's scheme, host and port.
    pub origins: Vec<String>,
}

/// A server of HTTP, without its listener.
#[derive(Debug)]
pub struct Server {
    service: Arc<Service>,
    tokens: RwLock<Arc<Tokens>>,
    /// What it shows for itself, if it speaks TLS.
    identity: Option<RwLock<Arc<Identity>>>,
    origins: Origins,
    metrics: Arc<Metrics>,
    room: Arc<Room>,
    unread: Arc<Unread>,
    streams_max: usize,
    connections_max: usize,
    underway: mcp::Underway,
}

impl Server {
    /// Puts a server together.
    pub fn new(service: Arc<Service>, tokens: Tokens, origins: Origins) -> Self {
        let (tokens, metrics) = (RwLock::new(Arc::new(tokens)), Arc::new(Metrics::default()));
        let room = Arc::new(Room::new(limits::HTTP_STREAMS_MAX));
        let counted = Arc::clone(&metrics);
        service.tell(Box::new(move |fate| counted.called(fate)));
        let (streams_max, underway, unread) = (limits::HTTP_STREAMS_MAX, Mutex::default(), Arc::default());
        let connections_max = usize::MAX;
        let running = service.running();
        metrics.watch(Number::CallsUnderway, move || *running.borrow());
        room.tell(&metrics);
        Self { service, tokens, identity: None, origins, metrics, room, unread, streams_max, connections_max, underway }
    }

    /// The same, with room for so many streams, and for the connections that they take.
    #[must_use]
    pub fn with_streams(self, streams_max: usize) -> Self {
        let room = Arc::new(Room::new(streams_max));
        room.tell(&self.metrics);
        Self { room, streams_max, ..self }
    }

    /// The same, with no more connections than these, however many it would have.
    #[must_use]
    pub fn with_connections(self, connections_max: usize) -> Self {
        Self { connections_max, ..self }
    }

    /// How many connections it would have at the same time: what streams take leaves as many for everything else, whatever
    /// their number.
    pub fn connections_wanted(streams_max: usize) -> usize {
        limits::HTTP_CONNECTIONS_MAX - limits::HTTP_STREAMS_MAX + streams_max
    }

    /// How many connections it has at the same time.
    fn connections_max(&self) -> usize {
        Self::connections_wanted(self.streams_max).min(self.connections_max)
    }

    /// The same, over TLS and nothing else.
    #[must_use]
    pub fn over_tls(self, identity: Identity) -> Self {
        Self { identity: Some(RwLock::new(Arc::new(identity))), ..self }
    }

    /// What makes calls.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Other tokens, from now on: one that is gone does not get in again.
    pub fn put_tokens(&self, tokens: Tokens) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
    }

    /// Shows something else for itself from now on.
    pub fn show(&self, shown: Shown) -> Result<(), TlsError> {
        self.change_identity(|current| current.showing(shown))
    }

    /// Believes others from now on, also of those who are connected.
    pub fn believe(&self, clients: Option<Believed>) -> Result<(), TlsError> {
        self.change_identity(|current| current.believing(clients))
    }

    fn change_identity(&self, change: impl FnOnce(&Identity) -> Result<Identity, TlsError>) -> Result<(), TlsError> {
        let Some(current) = &self.identity else { return Ok(()) };
        let mut current = current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(change(&current)?);
        Ok(())
    }

    fn identity(&self) -> Option<Arc<Identity>> {
        let current = self.identity.as_ref()?;
        Some(Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn believes(&self, peer: &Peer) -> bool {
        self.identity().is_some_and(|identity| identity.believes(peer))
    }

    /// Whether somebody still holds the token that they got in with, with the same rights.
    fn knows(&self, holder: &Holder) -> bool {
        self.tokens().knows(holder)
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Nothing here is a page, and nothing is to be kept by whoever stands in between.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => respond(status, "application/json", body),
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "host.failed", "the answer can't be written")
            .into_response(),
    }
}
