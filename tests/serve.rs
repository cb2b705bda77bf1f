//! `ringfence serve` as programs meet it: calls, problems, policies that change, and how a server ends.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts as guests;
use ringfence_model::limits;
use ringfence_server::http::openapi;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::server::PATIENCE;
use crate::harness::server::SPINNER;
use crate::harness::server::Server;
use crate::harness::server::extend;
use crate::harness::server::head;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::stalled;
use crate::harness::server::token;

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
    // API-06: nothing is kept for a session of the protocol, so there is none to guess; who calls is the token's holder, each time.
    let home = reading();
    let (mine, blind) = (token(&home, "mine", "agent:a", "call"), token(&home, "blind", "agent:b", "audit"));
    let server = Server::new(&home);
    let ask = |body: &Value| server.ask("POST", "/mcp", Some(&mine), &body.to_string());
    let info =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = ask(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info }));
    assert_eq!(hello.is(200)["result"]["serverInfo"]["name"], "ringfence");
    let client = hello.header("mcp-session-id").expect("an id").to_owned();
    let listed = ask(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).is(200);
    assert!(listed["result"]["tools"].as_array().expect("a list").iter().any(|tool| tool["name"] == "files_read"));
    let call = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "files_read",
        "arguments": { "path": "/docs/a.txt" } } });
    assert_eq!(ask(&call).is(200)["result"]["structuredContent"], json!({ "result": "hello" }));
    server.ask("POST", "/mcp", Some(&blind), &call.to_string()).is(403);
    server.ask("POST", "/mcp", None, &call.to_string()).is(401);
    // What a client was given opens nothing.
    let headers = format!("host: {}\r\nmcp-session-id: {client}\r\n", server.address);
    server.ask_with("POST", "/mcp", &headers, &call.to_string()).is(401);
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
fn description_is_the_golden_one() {
    let found = serde_json::to_string_pretty(&openapi::document()).expect("JSON") + "\n";
    let golden = include_str!("golden/openapi.json");
    assert!(found == golden, "the API has changed; if that is meant, tests/golden/openapi.json is to be:\n{found}");
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
