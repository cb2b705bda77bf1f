//! MCP over HTTP: the handler of standard input and output, one message a request.
//!
//! There are no sessions of the protocol: nothing that could be guessed or carried off, nothing that idles (API-06). Who
//! calls is the holder of the request's token, each time; a session of ours is named by the header `ringfence-session`.
//! A message is read strictly before the protocol's library sees it, as on a line.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::StatusCode;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use ringfence_model::json;
use ringfence_model::limits;
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde_json::json as object;

use crate::http::Problem;
use crate::http::Response;
use crate::http::api;
use crate::http::routes::Admitted;
use crate::mcp::Agent;

pub(super) async fn answer(admitted: Admitted) -> Result<Response, Problem> {
    if admitted.headers.contains_key(api::KEY) {
        // A request may be another message than a call, and a key that is passed over is a call that happens twice.
        let why =
            "over MCP the key of a call stands in its `_meta`, under `ringfence/idempotency-key`, and not in a header";
        return Err(Problem::bad(why));
    }
    let seat = api::seat(&admitted, None)?;
    if let Err(error) = json::parse(&admitted.body) {
        return Ok(unreadable(&error.to_string()));
    }
    let service = Arc::clone(admitted.server.service());
    let agent = move || Ok::<_, io::Error>(Agent::new(Arc::clone(&service), seat.clone()));
    let handler = StreamableHttpService::new(agent, Arc::new(NeverSessionManager::default()), config());
    let response = handler.handle(request(admitted.headers, admitted.body)?).await;
    Ok(response.map(|body| body.map_err(|never| match never {}).boxed_unsync()))
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

fn unreadable(why: &str) -> Response {
    let message = format!("the body is not JSON that can be read in one way: {why}");
    let error = object!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32_700, "message": message } });
    crate::http::json(StatusCode::BAD_REQUEST, &error)
}
