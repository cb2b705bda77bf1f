//! What the server answers, held against what it says of itself: status, media type and JSON of every route.

use std::collections::BTreeSet;

use ringfence_artifacts as guests;
use ringfence_server::http::routes::Access;
use ringfence_server::http::routes::ROUTES;
use serde_json::Value;
use serde_json::json;

use crate::harness::server::Answer;
use crate::harness::server::Server;
use crate::harness::server::extend;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::token;

/// A server, and what it has said of itself.
struct Described {
    server: Server,
    api: Value,
    /// What has gone well, by method and path of a route.
    seen: BTreeSet<(String, String)>,
}

/// What is asked of a route.
#[derive(Clone, Copy, Default)]
struct Asked<'a> {
    method: &'a str,
    /// The route's.
    path: &'a str,
    /// What stands in its place, if something does.
    at: &'a str,
    token: Option<&'a str>,
    headers: &'a str,
    body: &'a str,
}

impl Described {
    fn new(server: Server, token: &str) -> Self {
        let api = server.ask("GET", "/openapi.json", Some(token), "").is(200);
        Self { server, api, seen: BTreeSet::new() }
    }

    /// The answer, which is one that the description knows.
    #[track_caller]
    fn ask(&mut self, asked: Asked<'_>) -> Answer {
        let Asked { method, path, at, token, headers, body } = asked;
        let target = if at.is_empty() { path } else { at };
        let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let headers = format!("host: {}\r\n{authorization}{headers}", self.server.address);
        let answer = self.server.ask_with(method, target, &headers, body);
        let operation = &self.api["paths"][path][method.to_lowercase()];
        let known = &operation["responses"];
        let status = answer.status.to_string();
        let response = known.get(&status).unwrap_or(&known["default"]);
        assert!(
            response.is_object() && (answer.status < 400) == known.get(&status).is_some(),
            "{method} {path}: {status}"
        );
        let kind = answer.header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default();
        let described = response.get("content").and_then(|content| content.get(kind));
        let described =
            described.unwrap_or_else(|| panic!("{method} {path} answers {status} with `{kind}`: {response}"));
        if kind.ends_with("json") {
            // Beside it stands what it refers to.
            let schema = json!({ "allOf": [described["schema"]], "components": self.api["components"] });
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            let value = answer.json();
            let faults: Vec<_> = validator.iter_errors(&value).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{method} {path} {status}: {faults:?} in {value}");
        }
        if answer.status < 400 {
            self.seen.insert((method.to_owned(), path.to_owned()));
        }
        answer
    }
}

#[test]
fn every_answer_is_as_described() {
    let home = reading();
    let settings = r#"{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "x" }] }"#;
    let scripted = guests::HOSTILE_POLICY_SCRIPTED;
    extend(&home, &format!("[policies.scripted]\ncomponent = \"{scripted}\"\nsettings = {settings}\n"));
    let all = token(&home, "all", "agent:a", "call,session,audit,operate");
    let operator = token(&home, "op", "operator:o", "approve");
    let mut api = Described::new(Server::new(&home), &all);
    let (body, mine) = (read(), Asked { method: "GET", token: Some(&all), ..Asked::default() });
    let yes = Asked { token: Some(&operator), ..mine };

    for path in ["/healthz", "/readyz", "/openapi.json", "/metrics", "/v1/tools", "/v1/events", "/mcp"] {
        assert_eq!(api.ask(Asked { path, ..mine }).status, 200, "{path}");
    }
    api.ask(Asked { path: "/v1/approvals", ..yes }).is(200);
    let call = Asked { method: "POST", path: "/v1/calls", body: &body, ..mine };
    api.ask(Asked { path: "/v1/policies/explain", ..call }).is(200);

    // A call that is held, approved and made; then it is asked for again, and rejected.
    let answered = |api: &mut Described, answer: &str| {
        let held = api.ask(call).is(403);
        let id = held["value"]["approval"].as_str().expect("an id").to_owned();
        api.ask(Asked { path: "/v1/approvals", ..yes }).is(200);
        api.ask(Asked { path: "/v1/approvals/{id}", at: &format!("/v1/approvals/{id}"), ..yes }).is(200);
        let path = format!("/v1/approvals/{{id}}/{answer}");
        let answer = Asked { method: "POST", path: &path, at: &format!("/v1/approvals/{id}/{answer}"), ..yes };
        api.ask(answer).is(200);
        api.ask(answer).is(409);
        api.ask(call)
    };
    let made = answered(&mut api, "approve").is(200);
    answered(&mut api, "reject").is(403);
    let id = made["call"].as_str().expect("an id");
    api.ask(Asked { path: "/v1/calls/{id}", at: &format!("/v1/calls/{id}"), ..mine }).is(200);

    let opened = Asked { method: "POST", path: "/v1/sessions", body: r#"{"name":"s"}"#, ..mine };
    let opened = api.ask(opened).is(201);
    let at = format!("/v1/sessions/{}", opened["session"].as_str().expect("an id"));
    api.ask(Asked { path: "/v1/sessions", ..mine }).is(200);
    let session = Asked { path: "/v1/sessions/{id}", at: &at, ..mine };
    api.ask(session).is(200);
    api.ask(Asked { method: "DELETE", ..session }).is(200);
    api.ask(Asked { method: "DELETE", ..session }).is(409);

    log_is_as_described(&mut api, mine);
    protocol_is_as_described(&mut api, mine);
    let missing = ROUTES.iter().map(|route| (route.method.to_string(), route.path.to_owned()));
    let missing: Vec<_> = missing.filter(|route| !api.seen.contains(route)).collect();
    assert!(missing.is_empty(), "nothing was seen of {missing:?}");
    refusals_are_as_described(&mut api, mine);
    assert_eq!(api.server.stop(), 0);
}

#[test]
fn watched_call_is_as_described() {
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let api = server.ask("GET", "/openapi.json", Some(&mine), "").is(200);
    let head = server.events("POST", "/v1/calls", &format!("authorization: Bearer {mine}\r\n"), &read()).head;
    let content = &api["paths"]["/v1/calls"]["post"]["responses"]["200"]["content"];
    assert!(head.contains("content-type: text/event-stream") && content["text/event-stream"].is_object(), "{content}");
    let kinds: Vec<_> = content.as_object().expect("kinds").keys().collect();
    assert_eq!(kinds, ["application/json", "text/event-stream"]);
    assert_eq!(server.stop(), 0);
}

fn log_is_as_described(api: &mut Described, mine: Asked<'_>) {
    let checkpoint = api.ask(Asked { path: "/v1/log/checkpoint", ..mine });
    let note = String::from_utf8(checkpoint.body).expect("a note");
    let size: u64 = note.lines().nth(1).and_then(|size| size.parse().ok()).expect("a size");
    api.ask(Asked { path: "/v1/log/entries", at: "/v1/log/entries?limit=3", ..mine }).is(200);
    api.ask(Asked { path: "/v1/log/entries/{id}", at: "/v1/log/entries/0", ..mine }).is(200);
    api.ask(Asked { path: "/v1/log/entries/{id}/proof", at: "/v1/log/entries/0/proof", ..mine }).is(200);
    api.ask(Asked { path: "/v1/log/consistency", at: "/v1/log/consistency?from=1", ..mine }).is(200);
    let tile = format!("/v1/log/tile/0/000.p/{size}");
    assert_eq!(api.ask(Asked { path: "/v1/log/tile/{path}", at: &tile, ..mine }).status, 200);
}

fn protocol_is_as_described(api: &mut Described, mine: Asked<'_>) {
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    let mcp = Asked { method: "POST", path: "/mcp", ..mine };
    assert!(api.ask(Asked { body: &list, ..mcp }).is(200)["result"]["tools"].is_array());
    // What is wrong with a message the protocol says in its own way.
    assert_eq!(api.ask(Asked { body: "[]", ..mcp }).status, 400);
    api.ask(Asked { headers: "idempotency-key: k\r\n", body: &list, ..mcp }).is(400);
}

fn refusals_are_as_described(api: &mut Described, mine: Asked<'_>) {
    for route in ROUTES.iter().filter(|route| route.access != Access::Anybody) {
        let at = route.path.replace("{id}", "none").replace("{path}", "none");
        let (method, none) = (route.method.as_str(), Asked { token: None, ..mine });
        api.ask(Asked { method, path: route.path, at: &at, ..none }).is(401);
        if at != route.path {
            let status = api.ask(Asked { method, path: route.path, at: &at, ..mine }).status;
            assert!([403, 404].contains(&status), "{route:?}: {status}");
        }
    }
    let call = Asked { method: "POST", path: "/v1/calls", ..mine };
    api.ask(Asked { body: "[]", ..call }).is(400);
    api.ask(Asked { body: r#"{"tool":"none"}"#, ..call }).is(404);
    api.ask(Asked { body: r#"{"tool":"files","function":"read","input":{"path":7}}"#, ..call }).is(422);
}
