//! The routes: everything that is there, each with who may use it and what it may cost. One table, and no other way in.
//!
//! A test walks it with every kind of token; what is not in it does not exist, and [`crate::http::openapi`] describes what
//! is. The methods of MCP, behind one of these routes, have a table of their own: [`crate::mcp::METHODS`].

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use ringfence_model::limits;
use serde_json::Value;

use crate::http::Problem;
use crate::http::Response;
use crate::http::Server;
use crate::http::api;
use crate::http::approval;
use crate::http::events;
use crate::http::explain;
use crate::http::inbound;
use crate::http::log;
use crate::http::mcp;
use crate::http::metrics;
use crate::http::openapi;
use crate::http::peer::Peer;
use crate::http::query::Query;
use crate::http::room::Place;
use crate::http::stream::EVENTS;
use crate::http::token::AnyOf;
use crate::http::token::Holder;
use crate::http::token::Scope;

/// The segment of a path that stands for any one.
const ID: &str = "{id}";
/// The end of a path that stands for any segments, one at least.
const REST: &str = "{path}";
/// What answers are that are not JSON.
pub(super) const BYTES: &str = "application/octet-stream";
pub(super) const TEXT: &str = "text/plain";
/// What a query of a list may say.
const PAGES: &[&str] = &[inbound::LIMIT, inbound::CURSOR];

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: it says nothing that matters.
    Anybody,
    /// Whoever holds a token.
    Holder,
    /// Whoever holds a token with any of these scopes.
    Scope(AnyOf),
}

const CALLS: Access = Access::Scope(AnyOf(&[Scope::Call]));
const SEES_CALLS: Access = Access::Scope(AnyOf(&[Scope::Call, Scope::Audit]));
const SESSIONS: Access = Access::Scope(AnyOf(&[Scope::Session, Scope::Operate]));
const ANSWERS: Access = Access::Scope(AnyOf(&[Scope::Approve]));
const AUDITS: Access = Access::Scope(AnyOf(&[Scope::Audit]));
const OPERATES: Access = Access::Scope(AnyOf(&[Scope::Operate]));
const OVERSEES: Access = Access::Scope(AnyOf(&[Scope::Audit, Scope::Operate]));

/// A request that may go to its handler.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) server: Arc<Server>,
    pub(super) holder: Option<Holder>,
    /// Whose certificate its connection was made with.
    pub(super) peer: Option<Arc<Peer>>,
    /// What stands in the path where the route has `{id}`, or `{path}`.
    pub(super) id: Option<String>,
    pub(super) query: Query,
    /// The room that it takes.
    pub(super) place: Option<Arc<Place>>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) type Handled = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

/// Something that can be asked for.
pub struct Route {
    /// How.
    pub method: Method,
    /// Where; a segment `{id}` stands for any one segment, and `{path}` at the end for any number of them.
    pub path: &'static str,
    /// The names that its query may have.
    pub query: &'static [&'static str],
    /// By whom.
    pub access: Access,
    /// What it is called in metrics and descriptions.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Bytes that its body may have.
    pub body_bytes_max: usize,
    /// Milliseconds that it may take.
    pub wall_ms: u64,
    /// What its answer may be beside JSON, as media types.
    pub answers: &'static [&'static str],
    /// The schemas of its body and of its answer, where these are JSON.
    pub(super) shapes: fn() -> (Option<Value>, Option<Value>),
    pub(super) handler: fn(Admitted) -> Handled,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Where a request leads.
#[derive(Debug)]
pub(super) enum Found {
    Route(&'static Route, Option<String>),
    /// To something that is done with these methods alone.
    Methods(Vec<Method>),
    Nothing,
}

/// The routes.
pub static ROUTES: &[Route] = &[
    quick(Method::GET, "/healthz", Access::Anybody, "health")
        .says("whether the process answers")
        .gives(&[TEXT])
        .with(openapi::nothing, |_| Box::pin(ready(Ok(api::health())))),
    quick(Method::GET, "/readyz", Access::Anybody, "ready")
        .says("whether calls can be made now")
        .gives(&[TEXT])
        .with(openapi::nothing, |admitted| Box::pin(ready(api::ready(&admitted)))),
    quick(Method::GET, "/openapi.json", Access::Holder, "describe")
        .says("this description")
        .with(openapi::shapes::<(), Value>, |_| Box::pin(ready(Ok(api::describe())))),
    quick(Method::GET, "/metrics", OPERATES, "metrics")
        .says("numbers, as Prometheus reads them")
        .gives(&[metrics::OPEN, metrics::PLAIN])
        .with(openapi::nothing, |admitted| Box::pin(ready(Ok(api::metrics(&admitted))))),
    quick(Method::GET, "/v1/tools", CALLS, "list_tools")
        .asks(PAGES)
        .says("functions that can be called")
        .with(openapi::shapes::<(), Vec<api::ToolShown>>, |admitted| Box::pin(api::tools(admitted))),
    quick(Method::POST, "/v1/calls", CALLS, "call")
        .says("makes a call, to its end; once, under an `Idempotency-Key`; as events, for who accepts nothing else")
        .lasting(limits::HTTP_CALL_MS_MAX, limits::MESSAGE_BYTES_MAX)
        .gives(&[EVENTS])
        .with(openapi::shapes::<api::CallBody, api::CallShown>, |admitted| Box::pin(api::call(admitted))),
    quick(Method::GET, "/v1/calls/{id}", SEES_CALLS, "show_call")
        .says("what came of a call of one's own, with its receipt; of anybody's, with scope `audit`")
        .with(openapi::shapes::<(), api::CallShown>, |admitted| Box::pin(api::show_call(admitted))),
    quick(Method::GET, "/v1/sessions", SESSIONS, "list_sessions")
        .asks(PAGES)
        .says("open sessions of one's own; those of agents and services too, with scope `operate`")
        .with(openapi::shapes::<(), Vec<api::SessionShown>>, |admitted| Box::pin(api::sessions(admitted))),
    quick(Method::POST, "/v1/sessions", SESSIONS, "open_session")
        .says("opens a session of one's own in ring 3 or the token's; for others and in any ring, with scope `operate`")
        .with(openapi::shapes::<api::SessionBody, api::SessionShown>, |admitted| Box::pin(api::open_session(admitted))),
    quick(Method::GET, "/v1/sessions/{id}", SESSIONS, "show_session")
        .says("a session")
        .with(openapi::shapes::<(), api::SessionShown>, |admitted| Box::pin(api::show_session(admitted))),
    quick(Method::DELETE, "/v1/sessions/{id}", SESSIONS, "close_session")
        .says("closes a session")
        .with(openapi::shapes::<(), api::SessionShown>, |admitted| Box::pin(api::close_session(admitted))),
    quick(Method::GET, "/v1/approvals", ANSWERS, "list_approvals")
        .asks(PAGES)
        .says("what waits for somebody's approval")
        .with(openapi::shapes::<(), Vec<Value>>, |admitted| Box::pin(api::approvals(admitted))),
    quick(Method::GET, "/v1/approvals/{id}", ANSWERS, "show_approval")
        .says("who asks for what, under which grant, why, and with what input")
        .with(openapi::shapes::<(), approval::ApprovalShown>, |admitted| Box::pin(approval::show(admitted))),
    quick(Method::POST, "/v1/approvals/{id}/approve", ANSWERS, "approve")
        .says("approves what is held, once, for exactly what was asked")
        .with(openapi::shapes::<api::AnswerBody, Value>, |admitted| Box::pin(api::approve(admitted))),
    quick(Method::POST, "/v1/approvals/{id}/reject", ANSWERS, "reject")
        .says("rejects what is held; it stays rejected")
        .with(openapi::shapes::<api::AnswerBody, Value>, |admitted| Box::pin(api::reject(admitted))),
    quick(Method::POST, "/v1/policies/explain", OVERSEES, "explain")
        .says("what the policies would say to a call that nobody makes, and what would be granted")
        .lasting(limits::HTTP_QUICK_MS_MAX, limits::MESSAGE_BYTES_MAX)
        .with(openapi::shapes::<explain::ExplainBody, Value>, |admitted| Box::pin(explain::explain(admitted))),
    quick(Method::GET, "/v1/log/entries", AUDITS, "list_entries")
        .says("entries of the log, as they are recorded")
        .asks(&[log::FROM, inbound::LIMIT])
        .with(openapi::shapes::<(), Vec<Value>>, |admitted| Box::pin(log::entries(admitted))),
    quick(Method::GET, "/v1/log/entries/{id}", AUDITS, "show_entry")
        .says("an entry, in the bytes that its hash is of")
        .with(openapi::shapes::<(), Value>, |admitted| Box::pin(log::entry(admitted))),
    quick(Method::GET, "/v1/log/entries/{id}/proof", AUDITS, "prove_entry")
        .says("the receipt of an entry: that it is in the log, under the last checkpoint")
        .with(openapi::shapes::<(), Value>, |admitted| Box::pin(log::proof(admitted))),
    quick(Method::GET, "/v1/log/consistency", AUDITS, "prove_consistency")
        .says("that the log, as of a checkpoint, goes on from its first `from` entries")
        .asks(&[log::FROM, log::TO])
        .with(openapi::shapes::<(), Value>, |admitted| Box::pin(log::consistency(admitted))),
    quick(Method::GET, "/v1/log/checkpoint", AUDITS, "checkpoint")
        .says("the last checkpoint, a signed note (C2SP tlog-checkpoint)")
        .gives(&[TEXT])
        .with(openapi::nothing, |admitted| Box::pin(log::checkpoint(admitted))),
    quick(Method::GET, "/v1/log/tile/{path}", AUDITS, "tile")
        .says("a tile of the log (C2SP tlog-tiles)")
        .gives(&[BYTES])
        .with(openapi::nothing, |admitted| Box::pin(log::tile(admitted))),
    quick(Method::GET, "/v1/events", Access::Scope(events::SEES), "events")
        .says("entries of the log as they are written (server-sent events): all of them with scope `audit`, else one's own")
        .asks(&[log::FROM])
        .gives(&[EVENTS])
        .with(openapi::nothing, |admitted| Box::pin(events::events(admitted))),
    quick(Method::GET, "/mcp", CALLS, "mcp_listen")
        .says("tells an agent's client when its list of tools has changed (server-sent events)")
        .gives(&[EVENTS])
        .with(openapi::nothing, |admitted| Box::pin(ready(mcp::listen(&admitted)))),
    quick(Method::POST, "/mcp", CALLS, "mcp")
        .says("the Model Context Protocol, each request by itself")
        .lasting(limits::HTTP_CALL_MS_MAX, limits::MESSAGE_BYTES_MAX)
        .gives(&[EVENTS])
        .with(openapi::shapes::<Value, Value>, |admitted| Box::pin(mcp::answer(admitted))),
];

/// A route that answers at once and takes next to no body.
const fn quick(method: Method, path: &'static str, access: Access, name: &'static str) -> Route {
    Route {
        method,
        path,
        query: &[],
        access,
        name,
        summary: "",
        body_bytes_max: limits::HTTP_SMALL_BODY_BYTES_MAX,
        wall_ms: limits::HTTP_QUICK_MS_MAX,
        answers: &[],
        shapes: openapi::nothing,
        handler: |_| Box::pin(async { Err(Problem::not_found()) }),
    }
}

impl Route {
    const fn says(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    const fn asks(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    const fn lasting(mut self, wall_ms: u64, body_bytes_max: usize) -> Self {
        self.wall_ms = wall_ms;
        self.body_bytes_max = body_bytes_max;
        self
    }

    const fn gives(mut self, answers: &'static [&'static str]) -> Self {
        self.answers = answers;
        self
    }

    const fn with(mut self, shapes: fn() -> (Option<Value>, Option<Value>), handler: fn(Admitted) -> Handled) -> Self {
        self.shapes = shapes;
        self.handler = handler;
        self
    }

    /// Whether a path is this route's.
    fn leads(&self, path: &str) -> bool {
        let (mut wanted, mut found) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(ID), Some(segment)) if !segment.is_empty() => {}
                (Some(REST), Some(segment)) => return !segment.is_empty() && found.all(|rest| !rest.is_empty()),
                (Some(wanted), Some(found)) if wanted == found => {}
                _ => return false,
            }
        }
    }

    /// What stands for `{id}`, or `{path}`, in a path that is this route's.
    fn id(&self, path: &str) -> Option<String> {
        let at = self.path.split('/').position(|segment| segment == ID || segment == REST)?;
        let mut segments = path.split('/').skip(at);
        let found = segments.next()?.to_owned();
        if !self.path.ends_with(REST) {
            return Some(found);
        }
        Some(segments.fold(found, |found, segment| found + "/" + segment))
    }
}

/// Where a method and a path lead. There is one spelling of each (API-08). `HEAD` leads where `GET` does, to the same answer, of
/// which the listener sends the head alone.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let wanted = if *method == Method::HEAD { &Method::GET } else { method };
    let mut others = Vec::new();
    for route in ROUTES.iter().filter(|route| route.leads(path)) {
        if route.method == *wanted {
            return Found::Route(route, route.id(path));
        }
        others.push(route.method.clone());
        others.extend((route.method == Method::GET).then_some(Method::HEAD));
    }
    if others.is_empty() { Found::Nothing } else { Found::Methods(others) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_has_one_spelling() {
        // API-08
        let found = |method: Method, path: &str| match find(&method, path) {
            Found::Route(route, id) => format!("{} {}", route.name, id.unwrap_or_default()).trim().to_owned(),
            Found::Methods(methods) => format!("{methods:?}"),
            Found::Nothing => "nothing".to_owned(),
        };
        assert_eq!(found(Method::POST, "/v1/calls"), "call");
        assert_eq!(found(Method::GET, "/v1/calls/call_1"), "show_call call_1");
        assert_eq!(found(Method::POST, "/v1/approvals/apr_1/approve"), "approve apr_1");
        assert_eq!(found(Method::GET, "/v1/calls"), "[POST]");
        assert_eq!(found(Method::HEAD, "/v1/calls/call_1"), "show_call call_1");
        assert_eq!(found(Method::HEAD, "/v1/calls"), "[POST]");
        assert_eq!(found(Method::PUT, "/v1/sessions"), "[GET, HEAD, POST]");
        assert_eq!(found(Method::GET, "/v1/log/tile/0/x001/234.p/5"), "tile 0/x001/234.p/5");
        assert_eq!(found(Method::GET, "/v1/log/entries/7/proof"), "prove_entry 7");
        for path in [
            "//v1/calls",
            "/v1//calls",
            "/v1/calls/",
            "/V1/calls",
            "/v1/%63alls",
            "/v1/./calls",
            "/v1/x/../calls",
            "/v1/calls;a=b",
            "/v1/calls/a/b",
            "",
            "/",
            "v1/calls",
            "/v1/approvals//approve",
            "/v1/log/tile",
            "/v1/log/tile/",
            "/v1/log/tile//0",
            "/v1/log/tile/0/",
            "*",
        ] {
            assert_eq!(found(Method::POST, path), "nothing", "{path}");
        }
    }

    #[test]
    fn routes_differ_and_say_what_they_do() {
        let mut names = std::collections::BTreeSet::new();
        for route in ROUTES {
            assert!(names.insert(route.name) && !route.summary.is_empty(), "{route:?}");
            assert!(route.body_bytes_max > 0 && route.wall_ms > 0, "{route:?}");
            let open = matches!(route.name, "health" | "ready");
            assert_eq!(route.access == Access::Anybody, open, "{route:?}");
        }
    }
}
