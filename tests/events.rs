//! Streams: the log as it grows, and calls while they run.

use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts as guests;
use ringfence_model::limits;
use serde_json::json;

use crate::harness::Home;
use crate::harness::server::Event;
use crate::harness::server::PATIENCE;
use crate::harness::server::SPINNER;
use crate::harness::server::Server;
use crate::harness::server::eventually;
use crate::harness::server::extend;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::stalled;
use crate::harness::server::token;

fn authorized(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn log_is_followed_from_where_one_left() {
    // API-04: who may look at the calls of others sees all, who calls what is their own.
    let home = reading();
    let (mine, theirs) = (token(&home, "mine", "agent:a", "call"), token(&home, "theirs", "agent:b", "call"));
    let auditor = token(&home, "auditor", "service:audit", "audit");
    let server = Server::new(&home);
    let (mut all, mut own) = (
        server.events("GET", "/v1/events", &authorized(&auditor), ""),
        server.events("GET", "/v1/events", &authorized(&mine), ""),
    );
    server.ask("POST", "/v1/calls", Some(&theirs), &read()).is(200);
    let called = server.ask("POST", "/v1/calls", Some(&mine), &read()).is(200);
    let seen = [all.until("finished"), all.until("finished")].concat();
    assert_eq!(names(&seen), ["begun", "finished", "begun", "finished"]);
    let owned = own.until("finished");
    assert_eq!(names(&owned), ["begun", "finished"]);
    assert_eq!((&owned[..], owned[1].id), (&seen[2..], called["entry"].as_u64()));
    // What was sent is what is on record, and where one left off is where it goes on.
    let entries = home.entries();
    for event in &seen {
        let index = usize::try_from(event.id.expect("an id")).expect("small");
        assert_eq!((&entries[index], &json!(event.name)), (&event.data, &event.data["kind"]));
    }
    drop((all, own));
    let last = format!("{}last-event-id: {}\r\n", authorized(&auditor), seen[1].id.expect("an id"));
    let mut again = server.events("GET", "/v1/events", &last, "");
    assert_eq!(again.until("finished"), seen[2..]);
    let mut whole = server.events("GET", "/v1/events?from=0", &authorized(&auditor), "");
    assert_eq!(whole.until("opened")[0].id, Some(0));
    // What another process writes is seen as well.
    home.run(["call", "files", "read", "--input", r#"{"path":"/docs/a.txt"}"#]).code(0);
    assert_eq!(names(&again.until("finished")), ["begun", "finished"]);
    for bad in ["last-event-id: x\r\n", "last-event-id: 99999\r\n", "last-event-id: 18446744073709551615\r\n"] {
        let headers = format!("host: {}\r\n{}{bad}", server.address, authorized(&auditor));
        server.ask_with("GET", "/v1/events", &headers, "").is(400);
    }
    assert_eq!(server.stop(), 0);
    assert_eq!(again.next(), None);
    home.is_well();
}

#[test]
fn stream_ends_with_its_token() {
    // AGT-11, API-01
    let home = reading();
    let (mine, other) = (token(&home, "mine", "agent:a", "audit"), token(&home, "other", "agent:b", "call"));
    let server = Server::new(&home);
    let mut events = server.events("GET", "/v1/events", &authorized(&mine), "");
    server.ask("POST", "/v1/calls", Some(&other), &read()).is(200);
    events.until("finished");
    home.run(["token", "revoke", "mine"]).code(0);
    server.hang_up();
    server.ask("POST", "/v1/calls", Some(&other), &read()).is(200);
    assert_eq!(events.next(), None);
    assert_eq!(server.stop(), 0);
}

#[test]
fn watched_call_is_hidden_once_its_token_is_gone() {
    // API-01: nothing is sent any more, and the call goes on.
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    extend(&home, "[tools.spinner.grant.limits]\nwall-ms = 5000\n");
    let (mine, auditor) = (token(&home, "mine", "agent:a", "call"), token(&home, "auditor", "service:a", "audit"));
    let server = Server::new(&home);
    let mut log = server.events("GET", "/v1/events", &authorized(&auditor), "");
    let body = json!({ "tool": "spinner" }).to_string();
    let mut events = server.events("POST", "/v1/calls", &authorized(&mine), &body);
    events.until("started");
    home.run(["token", "revoke", "mine"]).code(0);
    server.hang_up();
    assert_eq!(events.next(), None);
    let ended = log.until("finished");
    assert_eq!(ended.last().expect("an end").data["body"]["code"], "tool.limit.time");
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn log_of_others_is_gone_through_to_its_end() {
    // MAL-09: a part of which nothing may be shown ends no stream, and what is one's own after it is seen.
    let home = reading();
    let (mine, theirs) = (token(&home, "mine", "agent:a", "call"), token(&home, "theirs", "agent:b", "call"));
    let server = Server::new(&home);
    for _ in 0..=limits::EVENTS_READ_MAX / 2 {
        server.ask("POST", "/v1/calls", Some(&theirs), &read()).is(200);
    }
    let mut own = server.events("GET", "/v1/events?from=0", &authorized(&mine), "");
    server.ask("POST", "/v1/calls", Some(&mine), &read()).is(200);
    assert_eq!(names(&own.until("finished")), ["begun", "finished"]);
    assert_eq!(server.stop(), 0);
    assert_eq!(own.next(), None);
}

#[test]
fn streams_of_one_principal_are_bounded() {
    // MAL-09
    let home = reading();
    let (mine, other) = (token(&home, "mine", "agent:a", "audit"), token(&home, "other", "agent:b", "call"));
    let server = Server::new(&home);
    let ask = |token: &str| server.ask("GET", "/v1/events", Some(token), "");
    let max = limits::HTTP_STREAMS_PER_PRINCIPAL_MAX;
    let held: Vec<_> = (0..max).map(|_| server.events("GET", "/v1/events", &authorized(&mine), "")).collect();
    assert_eq!(ask(&mine).is(429)["code"], "host.busy");
    assert_eq!(ask(&other).status, 200);
    server.ask("GET", "/v1/log/checkpoint", Some(&mine), "").is(200);
    drop(held);
    eventually(200, || ask(&mine));
    assert_eq!(server.stop(), 0);
}

/// A home with a command that can be called.
fn commanding(component: &str, name: &str) -> Home {
    let home = Home::new();
    home.run(["tool", "add", component, "--name", name]).code(0);
    home
}

#[test]
fn call_is_watched_while_it_runs() {
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let run = |body: &str| server.events("POST", "/v1/calls", &authorized(&mine), body);
    let seen = run(&read()).until("finished");
    assert_eq!(names(&seen)[0], "started");
    assert!(
        seen.iter().any(|event| event.name == "host-call"
            && event.data["detail"].as_str().is_some_and(|detail| detail.starts_with("/docs/a.txt"))),
        "{seen:?}"
    );
    let finished = &seen.last().expect("an end").data;
    assert_eq!((&finished["outcome"]["value"], &finished["call"]), (&json!("hello"), &seen[0].data["call"]));
    let path = format!("/v1/calls/{}", finished["call"].as_str().expect("an id"));
    assert_eq!(server.ask("GET", &path, Some(&mine), "").is(200)["outcome"], finished["outcome"]);
    // What does not run is the same problem as without a stream; so is what is on record already.
    for (body, status) in [
        (json!({ "tool": "none" }).to_string(), 404),
        (json!({ "tool": "files", "function": "read", "input": {} }).to_string(), 422),
    ] {
        let headers = format!("host: {}\r\n{}", server.address, authorized(&mine));
        let request = format!(
            "POST /v1/calls HTTP/1.1\r\n{headers}accept: text/event-stream\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        server.raw(request.as_bytes()).is(status);
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn output_is_shown_as_it_is_written() {
    let home = commanding(guests::TOOL_LINES, "lines");
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let body = json!({ "tool": "lines", "stdin": "hello\nthere\n" }).to_string();
    let seen = server.events("POST", "/v1/calls", &authorized(&mine), &body).until("finished");
    let written: String =
        seen.iter().filter(|event| event.name == "stdout").filter_map(|event| event.data["data"].as_str()).collect();
    assert_eq!(json!(written), seen.last().expect("an end").data["outcome"]["stdout"]);
    assert!(!written.is_empty(), "{seen:?}");
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn nothing_is_shown_that_may_be_taken_out() {
    // OUT-04: where policies have the last word on an answer, nobody sees it before they have spoken.
    let home = commanding(guests::TOOL_LINES, "lines");
    let component = guests::HOSTILE_POLICY_SCRIPTED;
    let settings = r#"{ call = "permit", result = "forbid" }"#;
    extend(&home, &format!("[policies.scripted]\ncomponent = \"{component}\"\nsettings = {settings}\n"));
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let body = json!({ "tool": "lines", "stdin": "hello\nthere\n" }).to_string();
    let seen = server.events("POST", "/v1/calls", &authorized(&mine), &body).until("finished");
    assert_eq!(names(&seen), ["started", "finished"], "{seen:?}");
    assert_eq!(seen[1].data["outcome"]["error"]["code"], "denied.result");
    assert_eq!(server.stop(), 0);
    home.run(["log", "verify"]).code(0);
}

#[test]
fn watched_call_goes_on_without_its_watcher() {
    // MAL-09
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    extend(&home, "[tools.spinner.grant.limits]\nwall-ms = 2000\n");
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let headers = format!("{}idempotency-key: one\r\n", authorized(&mine));
    let body = json!({ "tool": "spinner" }).to_string();
    let started = server.events("POST", "/v1/calls", &headers, &body).until("started");
    let call = started[0].data["call"].as_str().expect("an id").to_owned();
    let began = Instant::now();
    let ended = loop {
        let answer = server.ask("GET", &format!("/v1/calls/{call}"), Some(&mine), "");
        if answer.status == 200 && answer.json()["state"] == "finished" {
            break answer.json();
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(ended["outcome"]["error"]["code"], "tool.limit.time");
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn streams_are_as_many_as_configured() {
    // MAL-09: an operator can have more of them or fewer, an eighth for each principal, and there are connections besides.
    let home = reading();
    extend(&home, "[server]\nstreams = 16\n");
    let tokens: Vec<_> = (0..9).map(|n| token(&home, &format!("t{n}"), &format!("agent:a{n}"), "call")).collect();
    let server = Server::new(&home);
    let open = |token: &str| {
        let head = format!("host: {}\r\n{}accept: text/event-stream\r\n", server.address, authorized(token));
        let stream = stalled(&server, format!("GET /mcp HTTP/1.1\r\n{head}\r\n").as_bytes());
        let mut status = [0; 12];
        std::io::Read::read_exact(&mut &stream, &mut status).expect("a status");
        (String::from_utf8_lossy(&status).into_owned(), stream)
    };
    let held: Vec<_> = tokens[..8].iter().flat_map(|token| [open(token), open(token)]).collect();
    assert!(
        held.iter().all(|(status, _)| status == "HTTP/1.1 200"),
        "{:?}",
        held.iter().map(|(s, _)| s).collect::<Vec<_>>()
    );
    // A ninth principal finds none left, and can call all the same.
    assert_eq!(open(&tokens[8]).0, "HTTP/1.1 429");
    server.ask("POST", "/v1/calls", Some(&tokens[8]), &read()).is(200);
    drop(held);
    let headers = authorized(&tokens[8]);
    eventually(200, || {
        let request = format!("host: {}\r\n{headers}", server.address);
        server.ask_with("GET", "/mcp", &request, "")
    });
    assert_eq!(server.stop(), 0);
    for (streams, why) in [("0", "nonzero"), ("16385", "a server has at most 16384 streams open at a time")] {
        home.configure(&format!("[server]\nstreams = {streams}\n"));
        let message = home.refuses(["doctor"], 1);
        assert!(message.contains(why), "{message}");
    }
    home.configure("");
    home.is_well();
}
