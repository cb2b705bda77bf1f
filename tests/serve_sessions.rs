//! Sessions over HTTP: whose they are, in which ring, how they are named, and how many there can be.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::harness::server::PATIENCE;
use crate::harness::server::Server;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::token;

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
fn session_narrows_what_is_listed_and_called() {
    // AGT-04, API-13: what a session does not allow is neither listed in it nor called by name, by whatever way in.
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call,session");
    let server = Server::new(&home);
    let open = |body: &Value| server.ask("POST", "/v1/sessions", Some(&mine), &body.to_string());
    let narrow = open(&json!({ "name": "s", "allow": ["files/stat", "files/read"] })).is(201);
    assert_eq!(narrow["allow"], json!(["files/stat", "files/read"]));
    let whole = open(&json!({ "name": "s", "allow": ["files/*"] })).is(201)["session"].clone();
    let nothing = open(&json!({ "name": "s", "allow": [] })).is(201)["session"].clone();
    let within = |session: &Value| {
        let session = session.as_str().expect("an id");
        format!("host: {}\r\nauthorization: Bearer {mine}\r\nringfence-session: {session}\r\n", server.address)
    };
    let names = |headers: &str| -> Vec<String> {
        let tools = server.ask_with("GET", "/v1/tools", headers, "").is(200);
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
        let listed = server.ask_with("POST", "/mcp", headers, &list).is(200);
        let of = |all: &Value| -> Vec<String> {
            let all = all.as_array().expect("a list").iter();
            all.map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
        };
        assert_eq!(of(&tools), of(&listed["result"]["tools"]));
        of(&tools)
    };
    assert_eq!(names(&within(&narrow["session"])), ["files_read", "files_stat"]);
    assert!(names(&within(&whole)).contains(&"files_list".to_owned()));
    assert_eq!(names(&within(&nothing)), [""; 0]);
    let call = |session: &Value, function: &str| {
        let body = json!({ "tool": "files", "function": function, "input": { "path": "/docs/a.txt" } });
        server.ask_with("POST", "/v1/calls", &within(session), &body.to_string())
    };
    call(&narrow["session"], "stat").is(200);
    call(&narrow["session"], "list").is(404);
    call(&whole, "stat").is(200);
    call(&nothing, "stat").is(404);
    for bad in [json!("files/*"), json!(["files"]), json!(["*/stat"]), json!(vec!["files/*"; 65])] {
        open(&json!({ "name": "s", "allow": bad })).is(400);
    }
    assert_eq!(server.stop(), 0);
    // The host holds a call to it as well, whoever makes it.
    let opened = ["session", "open", "o", "--allow", "files/stat"];
    let session = home.run(opened).code(0).text().split(' ').next().expect("an id").to_owned();
    let call = |function: &str| {
        home.run(["call", "files", function, "--session", &session, "--input", r#"{"path":"/docs/a.txt"}"#])
    };
    call("stat").code(0);
    call("list").code(3).says("does not allow `files/list`");
    home.is_well();
}
