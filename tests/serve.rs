//! `ringfence serve` as programs meet it: every route with every kind of token, and requests that no program would send.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts as guests;
use ringfence_model::limits;
use ringfence_server::http::openapi;
use ringfence_server::http::routes::Access;
use ringfence_server::http::routes::ROUTES;
use ringfence_server::http::token::Scope;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::server::PATIENCE;
use crate::harness::server::SPINNER;
use crate::harness::server::Server;
use crate::harness::server::eventually;
use crate::harness::server::extend;
use crate::harness::server::head;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::stalled;
use crate::harness::server::token;

#[test]
fn every_route_wants_its_scope() {
    // API-03, API-11, API-13: the table of routes, with no token, a wrong one, and one of each scope.
    let home = reading();
    let tokens: Vec<_> = Scope::ALL
        .into_iter()
        .map(|scope| (scope, token(&home, &scope.to_string(), "agent:a", &scope.to_string())))
        .collect();
    let server = Server::new(&home);
    let wrong = tokens[0].1.replace(|c: char| c.is_ascii_digit(), "0");
    let absent = server.ask("GET", "/v1/nothing", None, "").is(401);
    for route in ROUTES {
        let path = route.path.replace("{id}", "none").replace("{path}", "none");
        let method = route.method.as_str();
        for (scope, token) in &tokens {
            let status = server.ask(method, &path, Some(token), "").status;
            let is_let_in = match route.access {
                Access::Anybody | Access::Holder => true,
                Access::Scope(wanted) => wanted.0.contains(scope),
            };
            assert_eq!(status == 403, !is_let_in, "{route:?} with {scope}: {status}");
            assert_ne!(status, 401, "{route:?} with {scope}");
        }
        let is_open = route.access == Access::Anybody;
        for token in [None, Some(wrong.as_str()), Some("rft_"), Some("")] {
            let answer = server.ask(method, &path, token, "");
            assert_eq!(answer.status == 401, !is_open, "{route:?} with {token:?}");
            // Without a token nobody learns what there is.
            assert!(is_open || answer.json() == absent, "{route:?}");
        }
    }
    let holder = Some(tokens[0].1.as_str());
    for (method, path) in [("GET", "/v1/nothing"), ("GET", "/"), ("GET", "/debug/pprof"), ("GET", "/v1/tools/")] {
        server.ask(method, path, holder, "").is(404);
    }
    for (path, allowed) in [("/v1/calls", "POST"), ("/v1/sessions", "GET, POST")] {
        let answer = server.ask("PUT", path, holder, "");
        assert_eq!(answer.is(405)["code"], "caller.method");
        assert_eq!(answer.header("allow"), Some(allowed));
    }
    for query in ["?", "?a=b", "?limit=1&limit=2", "?limit=0", "?limit=x", "?limit=%31"] {
        server.ask("GET", &format!("/v1/sessions{query}"), Some(&tokens[4].1), "").is(400);
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn tokens_are_known_by_one_header_only() {
    // API-01, API-02, API-09
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let kept = fs::read_to_string(home.path().join("tokens.toml")).expect("the tokens");
    assert!(!kept.contains(&mine) && kept.contains("sha256:"));
    let server = Server::new(&home);
    let host = format!("host: {}\r\n", server.address);
    server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    for headers in [
        format!("{host}authorization: Basic {mine}\r\n"),
        format!("{host}authorization: {mine}\r\n"),
        format!("{host}authorization: Bearer {mine}\r\nauthorization: Bearer {mine}\r\n"),
        format!("{host}authorization: Bearer  {mine}\r\n"),
        format!("{host}x-api-key: {mine}\r\n"),
        format!("{host}cookie: token={mine}\r\n"),
        format!("{host}x-forwarded-for: 127.0.0.1\r\nx-forwarded-user: root\r\n"),
    ] {
        server.ask_with("GET", "/v1/tools", &headers, "").is(401);
    }
    server.ask("GET", &format!("/v1/tools?access_token={mine}"), None, "").is(401);
    // A token that is taken back is gone once the server has been told.
    let other = token(&home, "other", "agent:b", "call");
    server.ask("GET", "/v1/tools", Some(&other), "").is(401);
    home.run(["token", "revoke", "mine"]).code(0);
    server.hang_up();
    server.ask("GET", "/v1/tools", Some(&mine), "").is(401);
    server.ask("GET", "/v1/tools", Some(&other), "").is(200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn revoked_token_is_gone_whatever_else_is_wrong() {
    // API-01
    let home = reading();
    let (mine, other) = (token(&home, "mine", "agent:a", "call"), token(&home, "other", "agent:b", "call"));
    let server = Server::new(&home);
    server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    home.run(["token", "revoke", "mine"]).code(0);
    for broken in ["[policies.none]\n", "[[["] {
        home.configure(broken);
        server.hang_up();
        server.ask("GET", "/v1/tools", Some(&mine), "").is(401);
        server.ask("GET", "/v1/tools", Some(&other), "").is(200);
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn tokens_made_at_once_are_all_kept() {
    // API-01
    let home = reading();
    let kept_in = &home;
    let names: Vec<_> = (0..12).map(|index| format!("t{index:02}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(move || token(kept_in, name, "agent:a", "call"));
        }
    });
    let listed = home.run(["token", "list", "--format", "json"]).code(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(names.len()));
    std::thread::scope(|scope| {
        for name in &names[1..] {
            scope.spawn(move || {
                kept_in.run(["token", "revoke", name.as_str()]).code(0);
            });
        }
    });
    let listed = home.run(["token", "list", "--format", "json"]).code(0).json();
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["name"]), (Some(1), &json!("t00")));
}

#[test]
fn pages_and_borrowed_names_are_refused() {
    // API-05
    let home = reading();
    let before = home.entries().len();
    extend(&home, "[server]\norigins = ['https://console.example']\n");
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let authorized = format!("authorization: Bearer {mine}\r\n");
    let own = format!("host: {}\r\n{authorized}", server.address);
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    server.ask_with("GET", "/v1/tools", &own, "").is(200);
    server.ask_with("GET", "/v1/tools", &format!("host: localhost:{port}\r\n{authorized}"), "").is(200);
    server.ask_with("GET", "/v1/tools", &format!("{own}origin: https://console.example\r\n"), "").is(200);
    for headers in [
        format!("host: evil.example\r\n{authorized}"),
        format!("host: 127.0.0.1\r\n{authorized}"),
        format!("host: evil.example:{port}\r\n{authorized}"),
        format!("{own}host: localhost:{port}\r\n"),
        format!("{own}origin: null\r\n"),
        format!("{own}origin: https://evil.example\r\n"),
        format!("{own}origin: https://console.example.evil\r\n"),
        authorized.clone(),
    ] {
        for path in ["/v1/tools", "/healthz", "/mcp"] {
            let answer = server.ask_with("GET", path, &headers, "");
            assert!(answer.status == 403 || answer.status == 400, "{path} {headers}: {}", answer.status);
        }
        let called = server.ask_with("POST", "/v1/calls", &headers, &read());
        assert!(called.status == 403 || called.status == 400, "{headers}: {}", called.status);
    }
    let absolute = format!("GET http://{}/v1/tools HTTP/1.1\r\n{own}connection: close\r\n\r\n", server.address);
    assert_eq!(server.raw(absolute.as_bytes()).status, 403);
    // What a page can send without asking first is no call.
    let body = read();
    let plain = format!(
        "POST /v1/calls HTTP/1.1\r\n{own}content-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(server.raw(plain.as_bytes()).status, 415);
    assert_eq!(home.entries().len(), before, "something has run");
    assert_eq!(server.stop(), 0);
}

#[test]
fn call_answers_once_and_is_on_record() {
    let home = reading();
    let (mine, theirs) = (token(&home, "mine", "agent:a", "call"), token(&home, "theirs", "agent:b", "call"));
    let auditor = token(&home, "auditor", "service:audit", "call,audit");
    let server = Server::new(&home);
    let headers = format!("host: {}\r\nauthorization: Bearer {mine}\r\nidempotency-key: one\r\n", server.address);
    let first = server.ask_with("POST", "/v1/calls", &headers, &read()).is(200);
    assert_eq!((&first["outcome"]["value"], &first["state"]), (&json!("hello"), &json!("finished")));
    let again = server.ask_with("POST", "/v1/calls", &headers, &read()).is(200);
    assert_eq!(first["call"], again["call"]);
    let other = json!({ "tool": "files", "function": "list", "input": { "path": "/docs" } }).to_string();
    assert_eq!(server.ask_with("POST", "/v1/calls", &headers, &other).is(409)["code"], "denied.idempotency-conflict");
    // API-04: what is somebody else's is not there.
    let path = format!("/v1/calls/{}", first["call"].as_str().expect("an id"));
    let shown = server.ask("GET", &path, Some(&mine), "").is(200);
    assert_eq!((&shown["outcome"]["value"], &shown["entry"]), (&json!("hello"), &first["entry"]));
    assert_eq!(shown["receipt"]["entry"]["body"]["call"], first["call"]);
    server.ask("GET", &path, Some(&theirs), "").is(404);
    server.ask("GET", &path, Some(&auditor), "").is(200);
    server.ask("GET", "/v1/calls/call_00000000000000000000000000000000", Some(&mine), "").is(404);
    let listed = server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    assert!(listed.as_array().expect("a list").iter().any(|tool| tool["name"] == "files_read"));
    assert_eq!(server.stop(), 0);
    let entries = home.entries();
    let index = usize::try_from(first["entry"].as_u64().expect("an index")).expect("small");
    let begun = &entries[index - 1]["body"];
    assert_eq!(
        (&begun["principal"], &begun["decision"]["rulings"][0]["name"]),
        (&json!("agent:a"), &json!("ring-default"))
    );
    home.is_well();
}

#[test]
fn refusals_are_problems_with_codes() {
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call,session");
    let server = Server::new(&home);
    let ask = |body: &str| server.ask("POST", "/v1/calls", Some(&mine), body);
    for (body, status, code) in [
        (json!({ "tool": "files", "function": "read", "input": {} }).to_string(), 422, "caller.bad-input"),
        (json!({ "tool": "none" }).to_string(), 404, "caller.unknown-function"),
        (json!({ "tool": "files", "function": "write" }).to_string(), 404, "caller.unknown-function"),
        (json!({ "tool": "files" }).to_string(), 404, "caller.unknown-function"),
        (json!({ "tool": "files", "ring": 0 }).to_string(), 400, "caller.bad-request"),
        ("{".to_owned(), 400, "caller.bad-request"),
        (r#"{"tool":"files","tool":"files"}"#.to_owned(), 400, "caller.bad-request"),
        ("[".repeat(100_000), 400, "caller.bad-request"),
        (json!({ "tool": "files", "session": "ses_1" }).to_string(), 400, "caller.bad-request"),
    ] {
        let problem = ask(&body).is(status);
        assert_eq!(problem["code"], code, "{problem}");
    }
    // A tool that fails has run: that is an answer.
    let failed =
        ask(&json!({ "tool": "files", "function": "read", "input": { "path": "/docs/b" } }).to_string()).is(200);
    assert_eq!(failed["outcome"]["kind"], "tool_error");
    let large = format!("\"{}\"", "x".repeat(limits::HTTP_SMALL_BODY_BYTES_MAX));
    assert_eq!(server.ask("POST", "/v1/sessions", Some(&mine), &large).is(413)["code"], "caller.too-large");
    ask(&read()).is(200);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn sessions_belong_to_somebody() {
    // API-04, POL-15
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call,session");
    let theirs = token(&home, "theirs", "agent:b", "call,session");
    let operator = token(&home, "op", "operator:o", "session,operate");
    let server = Server::new(&home);
    let opened = server.ask("POST", "/v1/sessions", Some(&mine), r#"{"name":"s"}"#).is(201);
    assert_eq!((&opened["principal"], &opened["ring"]), (&json!("agent:a"), &json!(3)));
    let id = opened["session"].as_str().expect("an id");
    let path = format!("/v1/sessions/{id}");
    server.ask("GET", &path, Some(&mine), "").is(200);
    server.ask("GET", &path, Some(&operator), "").is(200);
    server.ask("GET", &path, Some(&theirs), "").is(404);
    server.ask("DELETE", &path, Some(&theirs), "").is(404);
    assert_eq!(server.ask("GET", "/v1/sessions", Some(&theirs), "").is(200), json!([]));
    let body =
        json!({ "tool": "files", "function": "read", "input": { "path": "/docs/a.txt" }, "session": id }).to_string();
    server.ask("POST", "/v1/calls", Some(&mine), &body).is(200);
    server.ask("POST", "/v1/calls", Some(&theirs), &body).is(404);
    let for_another = r#"{"name":"s","principal":"agent:c","ring":2}"#;
    server.ask("POST", "/v1/sessions", Some(&mine), for_another).is(403);
    server.ask("POST", "/v1/sessions", Some(&operator), for_another).is(201);
    server.ask("POST", "/v1/sessions", Some(&operator), r#"{"name":"s","principal":"operator:x"}"#).is(403);
    for bad in [r#"{"name":""}"#, r#"{"name":"a b"}"#, r#"{"name":"s","ring":4}"#, r#"{"name":"s","principal":"x"}"#] {
        server.ask("POST", "/v1/sessions", Some(&mine), bad).is(400);
    }
    server.ask("DELETE", &path, Some(&mine), "").is(200);
    server.ask("DELETE", &path, Some(&mine), "").is(409);
    server.ask("POST", "/v1/calls", Some(&mine), &body).is(404);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn session_opens_in_no_ring_unasked() {
    // API-04, POL-15: a token without a ring opens ring 3, one with a ring its own; beyond that takes `operate`.
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "session");
    let ringed = ["token", "new", "ringed", "--as", "agent:b", "--scope", "session", "--ring", "2"];
    let ringed = home.run(ringed).code(0).text().trim().to_owned();
    let operator = token(&home, "op", "operator:o", "operate");
    let server = Server::new(&home);
    for (token, least) in [(&mine, 3), (&ringed, 2), (&operator, 0)] {
        for ring in 0..4 {
            let body = json!({ "name": "s", "ring": ring }).to_string();
            let answer = server.ask("POST", "/v1/sessions", Some(token), &body);
            if ring >= least {
                assert_eq!(answer.is(201)["ring"], ring);
            } else {
                assert_eq!(answer.is(403)["code"], "caller.scope", "{ring}");
            }
        }
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn token_narrows_to_its_ring() {
    // API-04, POL-15
    let home = reading();
    let before = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    home.configure(&before.replace("[tools.files]\n", "[tools.files]\nring = 2\n"));
    let ringed = |name: &str, ring: &str| {
        let args = ["token", "new", name, "--as", "agent:a", "--scope", "call", "--ring", ring];
        home.run(args).code(0).text().trim().to_owned()
    };
    home.run(["token", "new", "none", "--as", "agent:a", "--scope", "call", "--ring", "4"]).code(2).says("not a ring");
    let (wide, narrow) = (ringed("wide", "2"), ringed("narrow", "3"));
    let listed = home.run(["token", "list", "--format", "json"]).code(0).json();
    assert_eq!((&listed[0]["ring"], &listed[1]["ring"]), (&json!(3), &json!(2)));
    let server = Server::new(&home);
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    for (token, status, is_listed) in [(&wide, 200, true), (&narrow, 404, false)] {
        server.ask("POST", "/v1/calls", Some(token), &read()).is(status);
        let tools = server.ask("GET", "/v1/tools", Some(token), "").is(200);
        assert_eq!(tools != json!([]), is_listed);
        let tools = server.ask("POST", "/mcp", Some(token), &list).is(200);
        assert_eq!(tools["result"]["tools"] != json!([]), is_listed);
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn session_and_key_are_named_once() {
    // API-04
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call,session");
    let server = Server::new(&home);
    let open = || server.ask("POST", "/v1/sessions", Some(&mine), r#"{"name":"s"}"#).is(201)["session"].clone();
    let (one, other) = (open(), open());
    let (one, other) = (one.as_str().expect("an id"), other.as_str().expect("an id"));
    let head = format!("host: {}\r\nauthorization: Bearer {mine}\r\n", server.address);
    let within = |session: &str| format!("{head}ringfence-session: {session}\r\n");
    let mut body: Value = serde_json::from_str(&read()).expect("JSON");
    server.ask_with("POST", "/v1/calls", &within(one), &body.to_string()).is(200);
    let begun = home.entries().into_iter().rev().find(|entry| entry["kind"] == "begun").expect("an entry");
    assert_eq!(begun["body"]["session"], one);
    body["session"] = json!(one);
    server.ask_with("POST", "/v1/calls", &within(one), &body.to_string()).is(200);
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    server.ask_with("POST", "/mcp", &within(one), &list).is(200);
    let twice = format!("{}ringfence-session: {one}\r\n", within(one));
    for (path, headers, body) in [
        ("/v1/calls", within(other), body.to_string()),
        ("/v1/calls", within("x"), read()),
        ("/v1/calls", twice.clone(), read()),
        ("/mcp", twice, list.clone()),
        ("/mcp", format!("{head}idempotency-key: one\r\n"), list),
    ] {
        let problem = server.ask_with("POST", path, &headers, &body).is(400);
        assert_eq!(problem["code"], "caller.bad-request", "{problem}");
    }
    server.ask("DELETE", &format!("/v1/sessions/{one}"), Some(&mine), "").is(200);
    server.ask_with("POST", "/v1/calls", &within(one), &read()).is(404);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn agents_learn_no_path_of_the_host() {
    // API-13: a layer refuses; which folder it was is for the operator.
    let home = reading();
    let folder = home.path().join("docs-that-are-not-allowed");
    fs::create_dir(&folder).expect("a folder");
    let before = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    let host = folder.display().to_string();
    home.configure(&before.replace("folders = ['", &format!("folders = ['{host}::/docs:ro', '")));
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let answer = server.ask("POST", "/v1/calls", Some(&mine), &read());
    let problem = answer.is(403);
    assert!(problem["code"].as_str().is_some_and(|code| code.starts_with("denied.")), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("/docs")), "{problem}");
    let call = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "files_read",
        "arguments": { "path": "/docs/a.txt" } } });
    let over_mcp = server.ask("POST", "/mcp", Some(&mine), &call.to_string());
    assert_eq!(over_mcp.is(200)["result"]["isError"], true);
    let home_path = home.path().display().to_string();
    for answer in [answer, over_mcp] {
        let text = String::from_utf8(answer.body).expect("text");
        assert!(!text.contains(&host) && !text.contains(&home_path), "{text}");
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn sessions_are_bounded_and_leave_nothing() {
    // FS-25
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "session");
    let operator = token(&home, "op", "operator:o", "operate");
    let theirs = token(&home, "theirs", "operator:p", "session");
    let server = Server::new(&home);
    let open = |token: &str| server.ask("POST", "/v1/sessions", Some(token), r#"{"name":"s"}"#);
    let ids: Vec<_> = (0..limits::SESSIONS_PER_PRINCIPAL_MAX).map(|_| open(&mine).is(201)["session"].clone()).collect();
    assert_eq!(open(&mine).is(409)["code"], "denied.session");
    // Another operator's is not there, to be seen or closed.
    let other = open(&theirs).is(201)["session"].clone();
    let path = format!("/v1/sessions/{}", other.as_str().expect("an id"));
    server.ask("DELETE", &path, Some(&operator), "").is(404);
    server.ask("GET", &path, Some(&theirs), "").is(200);
    let folder = |id: &Value| home.path().join("scratch").join(format!("session-{}", id.as_str().expect("an id")));
    for id in &ids[..2] {
        fs::create_dir_all(folder(id)).expect("a folder");
    }
    let path = format!("/v1/sessions/{}", ids[0].as_str().expect("an id"));
    server.ask("DELETE", &path, Some(&operator), "").is(200);
    let started = Instant::now();
    while folder(&ids[0]).exists() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!folder(&ids[0]).exists() && folder(&ids[1]).exists());
    open(&mine).is(201);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn held_call_is_answered_by_somebody_else() {
    // POL-16
    let home = reading();
    let component = guests::HOSTILE_POLICY_SCRIPTED;
    let settings = r#"{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "x" }] }"#;
    extend(&home, &format!("[policies.scripted]\ncomponent = \"{component}\"\nsettings = {settings}\n"));
    let mine = token(&home, "mine", "agent:a", "call,approve");
    let operator = token(&home, "op", "operator:o", "approve");
    let server = Server::new(&home);
    let held = server.ask("POST", "/v1/calls", Some(&mine), &read()).is(403);
    assert_eq!(held["code"], "denied.approval");
    let id = held["value"]["approval"].as_str().expect("an id");
    let waiting = server.ask("GET", "/v1/approvals", Some(&operator), "").is(200);
    assert_eq!(waiting[0]["approval"], id);
    let path = format!("/v1/approvals/{id}/approve");
    server.ask("POST", &path, Some(&mine), "").is(409);
    server.ask("POST", &path, Some(&operator), r#"{"reason":"fine"}"#).is(200);
    server.ask("POST", &path, Some(&operator), "").is(409);
    assert_eq!(server.ask("POST", "/v1/calls", Some(&mine), &read()).is(200)["outcome"]["value"], "hello");
    // Once: then somebody is asked again, and can say no.
    let held = server.ask("POST", "/v1/calls", Some(&mine), &read()).is(403);
    let path = format!("/v1/approvals/{}/reject", held["value"]["approval"].as_str().expect("an id"));
    server.ask("POST", &path, Some(&operator), "").is(200);
    assert_eq!(server.ask("POST", "/v1/calls", Some(&mine), &read()).is(403)["code"], "denied.rejected");
    server.ask("POST", "/v1/approvals/apr_00000000000000000000000000000000/approve", Some(&operator), "").is(404);
    assert_eq!(server.stop(), 0);
}

#[test]
fn agents_use_the_protocol_over_http() {
    // API-06: no session of the protocol, so none to guess; who calls is the token's holder, each time.
    let home = reading();
    let (mine, blind) = (token(&home, "mine", "agent:a", "call"), token(&home, "blind", "agent:b", "audit"));
    let server = Server::new(&home);
    let ask = |body: &Value| server.ask("POST", "/mcp", Some(&mine), &body.to_string());
    let info =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = ask(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info }));
    assert_eq!(hello.is(200)["result"]["serverInfo"]["name"], "ringfence");
    assert!(!hello.head.to_ascii_lowercase().contains("mcp-session-id"), "{}", hello.head);
    let listed = ask(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).is(200);
    assert!(listed["result"]["tools"].as_array().expect("a list").iter().any(|tool| tool["name"] == "files_read"));
    let call = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "files_read",
        "arguments": { "path": "/docs/a.txt" } } });
    assert_eq!(ask(&call).is(200)["result"]["structuredContent"], json!({ "result": "hello" }));
    server.ask("POST", "/mcp", Some(&blind), &call.to_string()).is(403);
    server.ask("POST", "/mcp", None, &call.to_string()).is(401);
    server.ask("DELETE", "/mcp", Some(&mine), "").is(405);
    for bad in ["{", "[]", r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, "[[[[", "7"] {
        let answer = server.ask("POST", "/mcp", Some(&mine), bad);
        assert!((400..500).contains(&answer.status), "{bad}: {}", answer.head);
    }
    assert_eq!(ask(&call).is(200)["result"]["isError"], false);
    let begun = home.entries().into_iter().rev().find(|entry| entry["kind"] == "begun").expect("an entry");
    assert_eq!(begun["body"]["principal"], "agent:a");
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn broken_requests_end_their_own_connection() {
    // MAL-07
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let head = format!("host: {}\r\nauthorization: Bearer {mine}\r\n", server.address);
    let many = "x: y\r\n".repeat(100_000);
    let wide = format!("x: {}\r\n", "y".repeat(1 << 20));
    let before = home.entries().len();
    // Whoever is hung up on in the middle of a long head may lose the answer with the connection: status 0. Whoever opens
    // in HTTP/2, which is not spoken here, is hung up on at once.
    let tools = "GET /v1/tools HTTP/1.1\r\n";
    let chunked = "POST /v1/calls HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let requests: [(String, &[u16]); 7] = [
        (format!("{tools}{head}{many}\r\n"), &[431, 400, 0]),
        (format!("{tools}{head}{wide}\r\n"), &[431, 400, 0]),
        (format!("GET /{} HTTP/1.1\r\n{head}\r\n", "a".repeat(1 << 20)), &[414, 431, 0]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), &[400, 403, 0]),
        ("nonsense\r\n\r\n".to_owned(), &[400]),
        (format!("{tools}{head}content-length: 5\r\ncontent-length: 6\r\n\r\n"), &[400]),
        (format!("{chunked}{head}connection: close\r\n\r\nZZ\r\n"), &[400]),
    ];
    for (request, statuses) in requests {
        let answer = server.raw(request.as_bytes());
        assert!(
            statuses.contains(&answer.status),
            "{}: {} {}",
            &request[..40.min(request.len())],
            answer.status,
            answer.head
        );
    }
    assert_eq!(home.entries().len(), before, "something has run");
    // A head that never ends is hung up on; others are served meanwhile.
    let mut slow = server.connect();
    slow.write_all(b"GET /v1/tools HTTP/1.1\r\nhost:").expect("written");
    let idle: Vec<_> = (0..200).map(|_| server.connect()).collect();
    server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    let started = Instant::now();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(started.elapsed() < Duration::from_millis(limits::HTTP_HEAD_MS_MAX * 3), "{:?}", started.elapsed());
    drop(idle);
    server.ask("POST", "/v1/calls", Some(&mine), &read()).is(200);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn full_host_says_when_to_come_again() {
    // CON-08, CON-09
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    extend(&home, "[limits]\nqueued-calls-per-ring = 0\n[tools.spinner.grant.limits]\nwall-ms = 3000\n");
    let mine = token(&home, "mine", "agent:a", "call,operate");
    let server = Server::new(&home);
    let body = json!({ "tool": "spinner" }).to_string();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || server.ask("POST", "/v1/calls", Some(&mine), &body);
        let asking: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        // Whoever spins does not keep the server from saying how it is.
        std::thread::sleep(Duration::from_millis(500));
        let started = Instant::now();
        server.ask("GET", "/healthz", None, "").is(200);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        asking.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(busy.len() >= 2 && busy.len() < 6, "{answers:?}");
    assert!(busy.iter().all(|answer| answer.head.contains("retry-after: 1") && answer.json()["code"] == "host.busy"));
    let ran = answers.iter().filter(|answer| answer.status == 200);
    assert!(ran.into_iter().all(|answer| answer.json()["outcome"]["error"]["code"] == "tool.limit.time"));
    let metrics = server.ask("GET", "/metrics", Some(&mine), "");
    let text = String::from_utf8(metrics.body).expect("text");
    assert!(text.contains("ringfence_http_requests_total{route=\"call\",status=\"429\"}"), "{text}");
    assert_eq!(server.stop(), 0);
    home.is_well();
}

/// A component with a function that returns so many letters.
fn returning(bytes: usize) -> String {
    format!(
        r#"(component
          (core module $m (memory (export "memory") 200)
            (func (export "f") (result i32)
              (memory.fill (i32.const 16) (i32.const 97) (i32.const {bytes}))
              (i32.store (i32.const 0) (i32.const 16))
              (i32.store (i32.const 4) (i32.const {bytes}))
              (i32.const 0)))
          (core instance $i (instantiate $m))
          (func (export "f") (result string)
            (canon lift (core func $i "f") (memory (core memory $i "memory")))))"#
    )
}

#[test]
fn answers_that_nobody_reads_have_a_bound() {
    // MAL-09: whoever asks for much and takes none of it loses what has waited longest; nobody else loses anything.
    let home = Home::new();
    home.run(["tool", "add", &home.component("large", &returning(7 * 1024 * 1024))]).code(0);
    let (mine, other) = (token(&home, "mine", "agent:a", "call"), token(&home, "other", "agent:b", "call"));
    let server = Server::new(&home);
    let large = json!({ "tool": "large" }).to_string();
    let call = server.ask("POST", "/v1/calls", Some(&mine), &large).is(200)["call"].clone();
    let path = format!("/v1/calls/{}", call.as_str().expect("an id"));
    let length = server.ask("GET", &path, Some(&mine), "").body.len();
    assert!(length > 7 * 1024 * 1024, "{length}");
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let ask = |_| {
        // The system keeps little of it for whoever takes nothing.
        let connected = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(64 * 1024)?;
            socket.connect(server.address.parse().expect("an address")).await?.into_std()
        });
        let mut stream = connected.expect("a connection");
        stream.set_nonblocking(false).expect("a stream that waits");
        stream.write_all(head(&server, "GET", &path, Some(&mine), 0).as_bytes()).expect("written");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("a status");
        assert_eq!(&status, b"HTTP/1.1 200");
        stream
    };
    let mut held: Vec<_> = (0..limits::HTTP_UNREAD_BYTES_PER_PRINCIPAL_MAX / length + 4).map(ask).collect();
    server.ask("POST", "/v1/calls", Some(&other), &large).is(200);
    assert!(started.elapsed() < Duration::from_millis(limits::HTTP_WRITE_MS_MAX), "{:?}", started.elapsed());
    let taken = |mut stream: TcpStream| {
        let mut said = Vec::new();
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        // One whose rest is gone is hung up on.
        let _ = stream.read_to_end(&mut said);
        said.len()
    };
    let (newest, oldest) = (taken(held.pop().expect("a connection")), taken(held.remove(0)));
    assert!(newest > length && oldest < length, "{oldest} and {newest} of {length}");
    drop(held);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn call_that_runs_keeps_its_tool() {
    // CON-03: the tool is exchanged for another, and then taken out, while calls of it run.
    let home = Home::new();
    let other = SPINNER.replace("(loop", "(nop) (loop");
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    let config = |path: &str| {
        let table = fs::read_to_string(home.path().join("ringfence.toml")).expect("a configuration");
        let stored =
            fs::read_dir(home.path().join("tools")).expect("the tools").map(|file| file.expect("a file").path());
        let stored: Vec<_> = stored.filter(|file| file.is_file()).map(|file| (fs::read(&file), file)).collect();
        home.run(["tool", "add", "--replace", path]).code(0);
        // The one that it takes the place of is still wanted.
        for (bytes, file) in stored {
            fs::write(file, bytes.expect("bytes")).expect("a file");
        }
        table
    };
    let limits = "[tools.spinner.grant.limits]\nwall-ms = 6000\n";
    let first = config(&home.component("spinner", &other)) + limits;
    let second = fs::read_to_string(home.path().join("ringfence.toml")).expect("a configuration") + limits;
    home.configure(&first);
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let body = json!({ "tool": "spinner" }).to_string();
    let ask = || server.ask("POST", "/v1/calls", Some(&mine), &body);
    let digest = |config: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix("digest = ")).expect("a digest");
        line.trim_matches('"').to_owned()
    };
    let calls = std::thread::scope(|scope| {
        let asking = [(&second, 0), (&String::new(), 404)].map(|(next, status)| {
            let asking = scope.spawn(ask);
            std::thread::sleep(Duration::from_millis(1_500));
            home.configure(next);
            let told = server.hang_up();
            assert!(told.iter().any(|note| note.contains("policies and tools were read anew")), "{told:?}");
            if status != 0 {
                ask().is(status);
            }
            asking
        });
        asking.map(|asking| asking.join().expect("an answer").is(200))
    });
    assert_eq!(server.stop(), 0);
    let entries = home.entries();
    for (call, config) in calls.iter().zip([&first, &second]) {
        assert_eq!(call["outcome"]["error"]["code"], "tool.limit.time", "{call}");
        let begun = entries.iter().find(|entry| entry["kind"] == "begun" && entry["body"]["call"] == call["call"]);
        assert_eq!(begun.expect("an entry")["body"]["tool"]["digest"], digest(config));
    }
    assert_ne!(digest(&first), digest(&second));
    home.is_well();
}

#[test]
fn stopped_server_settles_its_calls() {
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    extend(&home, "[tools.spinner.grant.limits]\nwall-ms = 2000\n");
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let (address, body) = (server.address.clone(), json!({ "tool": "spinner" }).to_string());
    let asking = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(&address).expect("a connection");
        let request = format!(
            "POST /v1/calls HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {mine}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("written");
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        said
    });
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(server.stop(), 0);
    let said = asking.join().expect("an answer");
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("tool.limit.time"), "{said}");
    home.is_well();
}

#[test]
fn other_policies_take_force_on_the_fly() {
    // POL-18
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let call = || server.ask("POST", "/v1/calls", Some(&mine), &read());
    call().is(200);
    let before = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    home.configure(&format!(
        "{before}\n[policies.ring-default]\n[policies.path-scope]\nsettings = {{ roots = [\"/other\"] }}\n"
    ));
    call().is(200);
    server.hang_up();
    assert_eq!(call().is(403)["code"], "denied.policy");
    // What can't be read leaves everything as it was.
    home.configure("[policies.none]\n");
    server.hang_up();
    assert_eq!(call().is(403)["code"], "denied.policy");
    home.configure(&before);
    server.hang_up();
    call().is(200);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn remarks_are_lines_of_a_log() {
    // OUT-02: what stands in a file of the operator's is told, and is no line of its own.
    let home = reading();
    token(&home, "mine", "agent:a", "call");
    extend(&home, "[tools.\"x\\n\\u001b[2J\"]\n");
    let path = home.path().join("ringfence.toml");
    let before = fs::read_to_string(&path).expect("the configuration");
    home.configure(before.split("[tools.\"x").next().expect("the rest"));
    let server = Server::with(&home, &["--log-format", "json"]);
    home.configure(&before);
    server.hang_up();
    home.configure("[[[");
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("a signal");
    for level in ["note", "warning"] {
        let line = loop {
            let line: Value = serde_json::from_str(&server.note()).expect("JSON");
            assert!(line["time"].is_string() && line["message"].is_string(), "{line}");
            if line["level"] == level {
                break line;
            }
        };
        assert!(line["message"].as_str().is_some_and(|message| message.contains("read anew")), "{line}");
    }
    assert_eq!(server.stop(), 0);
    // So is what it ends with.
    home.configure(before.split("[tools.\"x").next().expect("the rest"));
    let refused = home.run(["serve", "--log-format", "json", "--listen", "0.0.0.0:0"]);
    refused.code(1);
    let lines: Vec<Value> = refused.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().any(|line| line["level"] == "error"), "{lines:?}");
}

#[test]
fn server_opens_to_nobody_by_itself() {
    // API-12, SEC-04
    let home = reading();
    home.refuses(["serve"], 1);
    token(&home, "mine", "agent:a", "call");
    home.refuses(["serve", "--listen", "0.0.0.0:0"], 1);
    home.refuses(["serve", "--listen", "192.0.2.1:8790"], 1);
    home.refuses(["token", "new", "mine", "--as", "agent:a", "--scope", "call"], 1);
    home.refuses(["token", "revoke", "none"], 2);
    let listed = home.run(["token", "list", "--format", "json"]).code(0).json();
    assert_eq!((&listed[0]["principal"], &listed[0]["scopes"]), (&json!("agent:a"), &json!(["call"])));
    let path = home.path().join("tokens.toml");
    let mut permissions = fs::metadata(&path).expect("the tokens").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&path, permissions).expect("changed");
    home.refuses(["serve"], 1);
}

#[test]
fn description_is_the_golden_one() {
    let found = serde_json::to_string_pretty(&openapi::document()).expect("JSON") + "\n";
    let golden = include_str!("golden/openapi.json");
    assert!(found == golden, "the API has changed; if that is meant, tests/golden/openapi.json is to be:\n{found}");
}

#[test]
fn room_is_taken_with_a_token_only() {
    // API-10: bodies that never come, at what needs no token, and at what needs one.
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    for path in ["/healthz", "/readyz"] {
        server.ask("GET", path, None, "").is(200);
        let mut asking = stalled(&server, head(&server, "GET", path, None, 10).as_bytes());
        let mut said = [0; 12];
        asking.read_exact(&mut said).expect("an answer");
        assert_eq!(&said, b"HTTP/1.1 413", "{path}");
    }
    let slow = head(&server, "GET", "/healthz", None, 10);
    let held: Vec<_> = (0..limits::HTTP_REQUESTS_MAX).map(|_| stalled(&server, slow.as_bytes())).collect();
    server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    server.ask("GET", "/healthz", None, "").is(200);
    drop(held);
    assert_eq!(server.stop(), 0);
}

#[test]
fn slow_senders_shut_out_themselves_only() {
    // MAL-07: a body that never comes holds a place of its sender's share, and of nobody else's.
    let home = reading();
    let tokens: Vec<_> =
        (0..5).map(|number| token(&home, &format!("t{number}"), &format!("agent:a{number}"), "call")).collect();
    let server = Server::new(&home);
    let (last, slow) = tokens.split_last().expect("tokens");
    let stall = |token: &String| {
        let request = head(&server, "POST", "/v1/calls", Some(token), 10);
        (0..limits::HTTP_REQUESTS_PER_PRINCIPAL_MAX).map(|_| stalled(&server, request.as_bytes())).collect::<Vec<_>>()
    };
    let held: Vec<_> = slow.iter().map(stall).collect();
    for token in slow {
        eventually(429, || server.ask("GET", "/v1/tools", Some(token), ""));
    }
    server.ask("POST", "/v1/calls", Some(last), &read()).is(200);
    drop(held);
    for token in slow {
        eventually(200, || server.ask("GET", "/v1/tools", Some(token), ""));
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn bodies_of_one_sender_are_bounded() {
    // MAL-05: as bytes that have come, and as the values that they would be.
    let home = reading();
    let (mine, theirs) = (token(&home, "mine", "agent:a", "call"), token(&home, "theirs", "agent:b", "call"));
    let server = Server::new(&home);
    let count = limits::HTTP_BODIES_BYTES_PER_PRINCIPAL_MAX / limits::MESSAGE_BYTES_MAX;
    let mut request = head(&server, "POST", "/v1/calls", Some(&mine), limits::MESSAGE_BYTES_MAX).into_bytes();
    request.resize(request.len() + limits::MESSAGE_BYTES_MAX - 1, b' ');
    let held: Vec<_> = (0..count).map(|_| stalled(&server, &request)).collect();
    let small = || server.ask("POST", "/v1/calls", Some(&mine), "[0]");
    eventually(429, small);
    server.ask("POST", "/v1/calls", Some(&theirs), &read()).is(200);
    drop(held);
    eventually(400, small);
    let many = format!("[{}0]", "{\"\":0},".repeat(limits::JSON_VALUES_MAX));
    for path in ["/v1/calls", "/mcp"] {
        let answer = server.ask("POST", path, Some(&mine), &many);
        let said = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 400 && said.contains("more than 200000 values"), "{path}: {} {said}", answer.head);
    }
    server.ask("POST", "/v1/calls", Some(&mine), &read()).is(200);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn client_that_never_reads_is_left() {
    // MAL-09
    let home = reading();
    token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let mut stream = server.connect();
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    let many = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", server.address).repeat(1_000);
    let started = Instant::now();
    let error = loop {
        if let Err(error) = stream.write_all(many.as_bytes()) {
            break error;
        }
    };
    let kind = error.kind();
    assert!(matches!(kind, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(limits::HTTP_WRITE_MS_MAX), "{:?}", started.elapsed());
    server.ask("GET", "/healthz", None, "").is(200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn stopped_server_waits_for_calls_alone() {
    // Whoever asked is gone, and its call ends as it would have; whoever idles holds nothing up.
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    extend(&home, "[tools.spinner.grant.limits]\nwall-ms = 3000\n");
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let body = json!({ "tool": "spinner" }).to_string();
    let request = head(&server, "POST", "/v1/calls", Some(&mine), body.len()) + &body;
    let gone = stalled(&server, request.as_bytes());
    let started = Instant::now();
    while !home.entries().iter().any(|entry| entry["kind"] == "begun") {
        assert!(started.elapsed() < PATIENCE, "the call does not begin");
    }
    drop(gone);
    let _slow = stalled(&server, head(&server, "POST", "/v1/calls", Some(&mine), 10).as_bytes());
    // Nothing tells when the server has read that head; if it has not, this holds it up even less.
    std::thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    assert_eq!(server.stop(), 0);
    let took = started.elapsed();
    assert!(took < Duration::from_millis(limits::HTTP_STOP_MS_MAX / 2), "{took:?}");
    let entries = home.entries();
    let finished = entries.iter().rev().find(|entry| entry["kind"] == "finished").expect("an entry");
    assert_eq!(finished["body"]["code"], "tool.limit.time", "{finished}");
    home.is_well();
}
