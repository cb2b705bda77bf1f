//! `ringfence serve` as HTTP has it (RFC 9110, 9112): to whom a request is addressed, what its body may be, what a head is of,
//! which kind of answer is wanted, and what a client is told about coming again.

use std::io::Read as _;
use std::path::Path;

use ringfence_model::limits;
use ringfence_server::http::routes::ROUTES;
use serde_json::json;

use crate::harness::Home;
use crate::harness::command;
use crate::harness::server::Answer;
use crate::harness::server::Server;
use crate::harness::server::eventually;
use crate::harness::server::extend;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::stalled;
use crate::harness::server::token;

/// Everything that comes back until the connection ends.
fn said(server: &Server, request: &str) -> String {
    let mut said = Vec::new();
    stalled(server, request.as_bytes()).read_to_end(&mut said).expect("an answer");
    String::from_utf8(said).expect("text")
}

fn asked(server: &Server, token: &str, path: &str, headers: &str) -> Answer {
    let own = format!("host: {}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n", server.address);
    server.raw(format!("GET {path} HTTP/1.1\r\n{own}{headers}\r\n").as_bytes())
}

#[test]
fn request_says_once_whom_it_is_for() {
    // API-05
    let home = reading();
    token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let own = &server.address;
    let port = own.rsplit(':').next().expect("a port");
    for (request, status) in [
        (format!("GET /healthz HTTP/1.1\r\nhost: {own}\r\n"), 200),
        (format!("GET /healthz HTTP/1.0\r\nhost: {own}\r\n"), 200),
        (format!("GET http://{own}/healthz HTTP/1.1\r\nhost: {own}\r\n"), 200),
        (format!("GET HTTP://LocalHost:{port}/healthz HTTP/1.1\r\nhost: localhost:{port}\r\n"), 200),
        ("GET /healthz HTTP/1.1\r\n".to_owned(), 400),
        (format!("GET http://{own}/healthz HTTP/1.1\r\n"), 400),
        (format!("GET /healthz HTTP/1.1\r\nhost: {own}\r\nhost: {own}\r\n"), 400),
        (format!("GET /healthz HTTP/1.0\r\nhost: {own}\r\nhost: {own}\r\n"), 400),
        ("GET /healthz HTTP/1.1\r\nhost:\r\n".to_owned(), 400),
        ("GET /healthz HTTP/1.1\r\nhost: a b\r\n".to_owned(), 400),
        (format!("GET http://evil.example/healthz HTTP/1.1\r\nhost: {own}\r\n"), 400),
        (format!("GET http://{own}/healthz HTTP/1.1\r\nhost: evil.example\r\n"), 400),
        (format!("GET http://localhost:{port}/healthz HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"), 400),
        ("GET /healthz HTTP/1.0\r\n".to_owned(), 403),
        ("GET /healthz HTTP/1.1\r\nhost: evil.example\r\n".to_owned(), 403),
        ("GET http://evil.example/healthz HTTP/1.1\r\nhost: evil.example\r\n".to_owned(), 403),
        (format!("GET http://me@{own}/healthz HTTP/1.1\r\nhost: me@{own}\r\n"), 403),
        (format!("GET ftp://{own}/healthz HTTP/1.1\r\nhost: {own}\r\n"), 403),
        (format!("CONNECT {own} HTTP/1.1\r\nhost: {own}\r\n"), 401),
        (format!("OPTIONS * HTTP/1.1\r\nhost: {own}\r\n"), 401),
    ] {
        let answer = server.raw(format!("{request}connection: close\r\n\r\n").as_bytes());
        assert_eq!(answer.status, status, "{request}: {}", answer.head);
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn head_is_that_of_the_answer() {
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call,session,audit,operate,approve");
    let server = Server::new(&home);
    let own = format!("host: {}\r\nauthorization: Bearer {mine}\r\n", server.address);
    for route in ROUTES.iter().filter(|route| route.method == "GET") {
        let path = route.path.replace("{id}", "0").replace("{path}", "0/000");
        let close = format!("{path} HTTP/1.1\r\n{own}connection: close\r\n\r\n");
        let (answer, head) = (server.raw(format!("GET {close}").as_bytes()), said(&server, &format!("HEAD {close}")));
        assert!(head.ends_with("\r\n\r\n"), "{route:?}: {head}");
        let head = Answer::of(head.as_bytes());
        assert_eq!((head.status, head.body.len()), (answer.status, 0), "{route:?}");
        assert_eq!(head.header("content-type"), answer.header("content-type"), "{route:?}");
        // Numbers change, and a stream has no length.
        if route.name != "metrics" {
            assert_eq!(head.header("content-length"), answer.header("content-length"), "{route:?}");
        }
    }
    // What comes after it on the same connection is the next answer.
    let two = said(
        &server,
        &format!("HEAD /v1/tools HTTP/1.1\r\n{own}\r\nGET /healthz HTTP/1.1\r\n{own}connection: close\r\n\r\n"),
    );
    let heads: Vec<_> = two.split("\r\n\r\n").collect();
    assert!(heads.len() == 3 && heads[1].starts_with("HTTP/1.1 200") && heads[2] == "ok\n", "{two}");
    assert_eq!(server.stop(), 0);
}

#[test]
fn body_is_refused_by_what_it_says() {
    // MAL-07, API-05
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call,session");
    let server = Server::new(&home);
    let own = format!("host: {}\r\nauthorization: Bearer {mine}\r\n", server.address);
    let (body, before) = (read(), home.entries().len());
    let send = |headers: &str| {
        let length = body.len();
        let head =
            format!("POST /v1/calls HTTP/1.1\r\n{own}{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
        server.raw(format!("{head}{body}").as_bytes()).status
    };
    let json = "content-type: application/json\r\n";
    for (headers, status) in [
        ("", 415),
        ("content-type: text/plain\r\n", 415),
        ("content-type: application/json; charset=utf-16\r\n", 415),
        ("content-type: application/json; charset=\"latin1\"\r\n", 415),
        (&format!("{json}content-encoding: gzip\r\n"), 415),
        (&format!("{json}content-encoding: identity, gzip\r\n"), 415),
        (&format!("{json}content-encoding: gzip\r\ncontent-encoding: identity\r\n"), 400),
        (&format!("{json}content-type: text/plain\r\n"), 400),
    ] {
        assert_eq!(send(headers), status, "{headers}");
    }
    let coded = |coding: &str| {
        let head =
            format!("POST /v1/calls HTTP/1.1\r\n{own}{json}transfer-encoding: {coding}\r\nconnection: close\r\n\r\n");
        server.raw(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes()).status
    };
    assert_eq!((coded("gzip, chunked"), coded("gzip\r\ntransfer-encoding: chunked")), (501, 501));
    // What is announced as too large is refused before any of it has come, and nobody is told to go on.
    let limit = limits::HTTP_SMALL_BODY_BYTES_MAX;
    for (path, length) in [("/v1/sessions", limit + 1), ("/v1/sessions", usize::MAX / 4), ("/healthz", 1)] {
        let method = if path == "/healthz" { "GET" } else { "POST" };
        for expect in ["", "expect: 100-continue\r\n"] {
            let said = said(
                &server,
                &format!("{method} {path} HTTP/1.1\r\n{own}{json}{expect}content-length: {length}\r\n\r\n"),
            );
            assert!(said.starts_with("HTTP/1.1 413 "), "{path} {length} {expect}: {said}");
        }
    }
    // A longer target than a head may be is told like a head that is too large.
    let long = format!("GET /{} HTTP/1.1\r\n{own}\r\n", "x".repeat(limits::HTTP_HEAD_BYTES_MAX));
    assert_eq!(server.raw(long.as_bytes()).status, 431);
    assert_eq!(home.entries().len(), before, "something has run");
    assert_eq!(
        (send(json), send("content-type: application/json; charset=UTF-8\r\ncontent-encoding: identity\r\n")),
        (200, 200)
    );
    assert_eq!(coded("chunked"), 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn list_is_not_taken_for_an_object() {
    // API-08
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call,session,approve,audit");
    let server = Server::new(&home);
    let before = home.entries().len();
    for (path, body) in [
        ("/v1/calls", json!(["files", "stat", { "path": "/docs/a.txt" }, [], "", null, null, null])),
        ("/v1/calls", json!([])),
        ("/v1/calls", json!({ "tool": "files", "arguments": { "0": "a" } })),
        ("/v1/calls", json!({ "tool": ["files"] })),
        ("/v1/sessions", json!(["arr", 3, null])),
        ("/v1/sessions", json!({ "name": "arr", "ring": 300 })),
        ("/v1/sessions", json!("arr")),
        ("/v1/policies/explain", json!(["files", "stat", { "path": "/docs/a.txt" }, [], "", null])),
        ("/v1/approvals/apr_00000000000000000000000000000000/approve", json!(["fine"])),
    ] {
        let problem = server.ask("POST", path, Some(&mine), &body.to_string()).is(400);
        let detail = problem["detail"].as_str().expect("a text");
        for ours in ["struct", "Body", "u8", "sequence", "map"] {
            assert!(!detail.contains(ours), "{path} {body}: {detail}");
        }
    }
    assert_eq!(home.entries().len(), before, "something was done");
    server.ask("POST", "/v1/calls", Some(&mine), &read()).is(200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn answer_is_of_the_kind_that_is_wanted() {
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call,operate,approve,session");
    let server = Server::new(&home);
    for (accept, status) in
        [("application/json", 406), ("text/event-stream;q=0, */*", 406), ("*/*", 200), ("text/*", 200)]
    {
        let answer = asked(&server, &mine, "/v1/events", &format!("accept: {accept}\r\n"));
        assert_eq!(answer.status, status, "{accept}");
    }
    assert_eq!(asked(&server, &mine, "/v1/events", "").status, 200);
    let scraper = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    for (accept, kind) in [
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (scraper, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("*/*", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ] {
        let answer = asked(&server, &mine, "/metrics", &format!("accept: {accept}\r\n"));
        assert_eq!(answer.header("content-type"), Some(kind), "{accept}");
        let text = String::from_utf8(answer.body).expect("text");
        let counter = if kind.starts_with("text") { "http_requests_total" } else { "http_requests" };
        assert!(text.contains(&format!("# TYPE ringfence_{counter} counter\n")), "{text}");
    }
    // A place in a list is of that list.
    for cursor in ["0", "ses_00000000000000000000000000000000", "~"] {
        let problem = asked(&server, &mine, &format!("/v1/approvals?cursor={cursor}"), "");
        assert_eq!(problem.is(400)["code"], "caller.bad-request", "{cursor}");
    }
    let opened = server.ask("POST", "/v1/sessions", Some(&mine), r#"{"name":"s"}"#);
    let session = opened.is(201)["session"].clone();
    let at = opened.header("location").expect("a place").to_owned();
    assert_eq!(server.ask("GET", &at, Some(&mine), "").is(200)["session"], session);
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_there_is_now_is_counted() {
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call,operate");
    let server = Server::new(&home);
    let shows = |lines: &[&str]| {
        let shown = || String::from_utf8(asked(&server, &mine, "/metrics", "").body).expect("text");
        eventually(200, || {
            let shown = shown();
            let is_there = lines.iter().all(|line| shown.lines().any(|shown| shown == *line));
            Answer { status: if is_there { 200 } else { 0 }, head: shown, body: Vec::new() }
        });
    };
    let build = format!("ringfence_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    let (quiet, calls) = ("ringfence_http_streams 0", "ringfence_calls_underway 0");
    shows(&[&build, quiet, calls, "ringfence_http_connections 1", "ringfence_http_requests_underway 1"]);
    let idle = server.connect();
    let authorization = format!("authorization: Bearer {mine}\r\n");
    let events = server.events("GET", "/v1/events", &authorization, "");
    shows(&["ringfence_http_streams 1", calls, "ringfence_http_connections 3"]);
    drop((idle, events));
    shows(&[quiet, "ringfence_http_connections 1"]);
    assert_eq!(server.stop(), 0);
}

#[test]
fn halted_host_is_not_ready() {
    // POL-17
    let home = reading();
    token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let ready = || server.ask("GET", "/readyz", None, "");
    assert_eq!(ready().status, 200);
    home.run(["halt", "--reason", "something is wrong"]).code(0);
    let answer = ready();
    assert_eq!(answer.is(503)["code"], "host.unavailable");
    let after: u64 = answer.header("retry-after").and_then(|after| after.parse().ok()).expect("a time");
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(server.ask("GET", "/healthz", None, "").status, 200);
    home.run(["resume", "--reason", "it is right again"]).code(0);
    assert_eq!(ready().status, 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn operator_hears_what_waits_for_a_start() {
    let home = reading();
    token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let waits = |notes: Vec<String>| notes.iter().any(|note| note.contains("from the next start"));
    assert!(!waits(server.hang_up()));
    extend(&home, "[server]\nlisten = '127.0.0.1:8791'\n");
    assert!(waits(server.hang_up()));
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    let note = server.note();
    assert!(note.contains("asked to stop"), "{note}");
    assert_eq!(server.stop(), 0);
}

#[test]
fn empty_variable_names_no_home() {
    let home = Home::new();
    let mut command = command(Path::new(""), ["token", "list"]);
    let ran = command.env("XDG_DATA_HOME", home.path()).output().expect("the binary runs");
    let (said, looked) = (String::from_utf8_lossy(&ran.stderr), home.path().join("ringfence"));
    assert!(said.contains(&format!("`{}` is not a ringfence home", looked.display())), "{said}");
}
