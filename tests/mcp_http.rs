//! MCP over HTTP and between messages: methods, malformed messages, giving up, progress, changed lists, held calls.

use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts as guests;
use ringfence_model::limits;
use ringfence_server::mcp::METHODS;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Raw;
use crate::harness::server::Answer;
use crate::harness::server::Events;
use crate::harness::server::SPINNER;
use crate::harness::server::Server;
use crate::harness::server::extend;
use crate::harness::server::reading;
use crate::harness::server::token;

fn request(id: impl Into<Value>, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params }).to_string()
}

fn read() -> Value {
    json!({ "name": "files_read", "arguments": { "path": "/docs/a.txt" } })
}

/// A home with `spinner` registered, which spins until its time is over.
fn spinning(wall_ms: u64) -> Home {
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    // What can read something is on record before it runs.
    let folder = home.dir("docs", "/docs", "ro");
    extend(&home, &format!("[tools.spinner.grant]\nfolders = ['{folder}']\nlimits = {{ wall-ms = {wall_ms} }}\n"));
    home
}

/// Follows the log of a server, of which one process at a time can read.
fn following(server: &Server, auditor: &str) -> Events {
    server.events("GET", "/v1/events", &format!("authorization: Bearer {auditor}\r\n"), "")
}

/// Waits until so many more calls have begun.
fn begun(events: &mut Events, count: usize) {
    (0..count).for_each(|_| drop(events.until("begun")));
}

#[test]
fn methods_are_the_same_over_http() {
    // API-03: what is in the table answers, what is not does not exist, whatever carries it.
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let params = json!({ "name": "none", "uri": "a:b", "level": "info", "taskId": "1", "notifications": {},
        "ref": { "type": "ref/prompt", "name": "x" }, "argument": { "name": "a", "value": "b" } });
    let others = [
        "completion/complete",
        "elicitation/create",
        "logging/setLevel",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "roots/list",
        "sampling/createMessage",
        "tasks/list",
        "admin/reload",
        "TOOLS/LIST",
        "",
    ];
    for method in METHODS.iter().copied().chain(others) {
        if *method == *"subscriptions/listen" {
            // There since 2026 only; `tests/mcp_versions.rs` has it.
            continue;
        }
        let answer = server.ask("POST", "/mcp", Some(&mine), &request(1, method, &params)).json();
        assert_eq!(answer["error"]["code"] != json!(-32_601), METHODS.contains(&method), "{method}: {answer}");
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn session_narrows_every_method() {
    // API-04, API-13
    let home = reading();
    let config = std::fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    home.configure(&config.replace("[tools.files]\n", "[tools.files]\nring = 2\n"));
    home.run(["tool", "add", guests::TOOL_ECHO]).code(0);
    let (mine, operator) = (token(&home, "mine", "agent:a", "call"), token(&home, "op", "operator:o", "operate"));
    let server = Server::new(&home);
    let open = |ring: u8| {
        let body = json!({ "name": "s", "principal": "agent:a", "ring": ring }).to_string();
        server.ask("POST", "/v1/sessions", Some(&operator), &body).is(201)["session"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let (wide, narrow, closed) = (open(2), open(3), open(2));
    server.ask("DELETE", &format!("/v1/sessions/{closed}"), Some(&operator), "").is(200);
    let ask = |session: &str, method: &str, params: &Value| {
        let headers =
            format!("host: {}\r\nauthorization: Bearer {mine}\r\nringfence-session: {session}\r\n", server.address);
        server.ask_with("POST", "/mcp", &headers, &request(1, method, params)).json()
    };
    let info =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    for (session, has_files, has_echo) in [(&wide, true, true), (&narrow, false, true), (&closed, false, false)] {
        for method in METHODS {
            match *method {
                "tools/list" => {
                    let listed = ask(session, method, &json!({}));
                    let names = listed["result"]["tools"]
                        .as_array()
                        .expect("a list")
                        .iter()
                        .map(|tool| tool["name"].to_string());
                    let names: Vec<_> = names.collect();
                    assert_eq!(names.iter().any(|name| name.contains("files_")), has_files, "{names:?}");
                    assert_eq!(names.iter().any(|name| name.contains("echo_")), has_echo, "{names:?}");
                }
                "tools/call" => {
                    let called = ask(session, method, &read());
                    assert_eq!(called["result"]["isError"] == json!(false), has_files, "{called}");
                    let nothing = ask(session, method, &json!({ "name": "files_nothing", "arguments": {} }));
                    let alike = |answer: &Value| answer["error"].to_string().replace("files_read", "files_nothing");
                    assert!(has_files || alike(&called) == alike(&nothing), "{called} {nothing}");
                }
                // These say nothing of any tool, so the same to everybody.
                _ => assert_eq!(ask(session, method, &info), ask(&wide, method, &info), "{method}"),
            }
        }
    }
    // That somebody asked in a session that is closed is on record, though they are told nothing of it.
    let refused = home.entries().into_iter().rfind(|entry| entry["kind"] == "refused").expect("an entry");
    assert_eq!((&refused["body"]["session"], &refused["body"]["code"]), (&json!(closed), &json!("denied.session")));
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn malformed_messages_are_answered_over_http() {
    // MAL-05
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let before = home.entries().len();
    let deep = "[".repeat(100_000);
    for (body, status, code) in [
        ("not json", 400, -32_700),
        (&deep, 400, -32_700),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, 400, -32_700),
        ("[]", 400, -32_600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, 400, -32_600),
        ("7", 400, -32_600),
        (r#"{"id":1,"method":"ping"}"#, 400, -32_600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400, -32_600),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, 400, -32_600),
        (r#"{"jsonrpc":"2.0","id":7,"method":{}}"#, 400, -32_600),
        (r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":[]}"#, 400, -32_602),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":3}"#, 400, -32_602),
    ] {
        let answer = server.ask("POST", "/mcp", Some(&mine), body);
        let shown: String = body.chars().take(60).collect();
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)), "{shown}: {answer:?}");
        let said = answer.json()["error"]["message"].as_str().expect("a message").to_owned();
        assert!(!said.contains("serde") && !said.contains("untagged") && !said.ends_with('.'), "{said}");
    }
    // A call that nobody wants to hear of is not made, and neither is an answer to a question that was not asked.
    let call = json!({ "jsonrpc": "2.0", "method": "tools/call", "params": read() }).to_string();
    for (body, status) in [
        (call.as_str(), 202),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, 202),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#, 202),
        (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, 400),
    ] {
        assert_eq!(server.ask("POST", "/mcp", Some(&mine), body).status, status, "{body}");
    }
    let own = format!("host: {}\r\nauthorization: Bearer {mine}\r\n", server.address);
    let ping = request(1, "ping", &json!({}));
    for (headers, status, code) in [
        ("content-type: text/plain\r\naccept: application/json, text/event-stream\r\n", 415, "caller.content-type"),
        ("content-type: application/json\r\naccept: application/json\r\n", 406, "caller.accept"),
        ("content-type: application/json\r\naccept: text/html\r\n", 406, "caller.accept"),
        ("content-type: application/json\r\n", 406, "caller.accept"),
    ] {
        let request = format!(
            "POST /mcp HTTP/1.1\r\n{own}{headers}content-length: {}\r\nconnection: close\r\n\r\n{ping}",
            ping.len()
        );
        assert_eq!(server.raw(request.as_bytes()).is(status)["code"], code, "{headers}");
    }
    assert_eq!(home.entries().len(), before, "something has run");
    let called = server.ask("POST", "/mcp", Some(&mine), &request(1, "tools/call", &read())).is(200);
    assert_eq!(called["result"]["isError"], false);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn call_over_http_is_given_up() {
    let home = spinning(30_000);
    let (mine, theirs) = (token(&home, "mine", "agent:a", "call,operate"), token(&home, "theirs", "agent:a", "call"));
    let auditor = token(&home, "auditor", "service:audit", "audit");
    let server = Server::new(&home);
    let mut events = following(&server, &auditor);
    let call = |id: u64| request(id, "tools/call", &json!({ "name": "spinner_spin", "arguments": {} }));
    let give_up = |token: &str, id: u64| {
        let params = json!({ "requestId": id });
        let message = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }).to_string();
        assert_eq!(server.ask("POST", "/mcp", Some(token), &message).status, 202);
    };
    let started = Instant::now();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asking: Vec<_> = [7, 8]
            .map(|id| {
                let (server, mine, call) = (&server, &mine, &call);
                scope.spawn(move || server.ask("POST", "/mcp", Some(mine), &call(id)))
            })
            .into();
        begun(&mut events, 2);
        // By another token the same id is another request.
        give_up(&theirs, 7);
        give_up(&mine, 9);
        std::thread::sleep(Duration::from_millis(300));
        assert!(asking.iter().all(|asked| !asked.is_finished()));
        give_up(&mine, 7);
        give_up(&mine, 8);
        asking.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    for answer in answers {
        // What was given up is not answered, and something has to come back.
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")), "{said}");
        assert!(!said.contains("jsonrpc"), "{said}");
    }
    let codes: Vec<_> = home
        .entries()
        .iter()
        .filter(|entry| entry["kind"] == "finished")
        .map(|entry| entry["body"]["code"].clone())
        .collect();
    assert_eq!(codes, ["host.cancelled", "host.cancelled"]);
    // Calls are counted whatever carries them.
    let metrics = server.ask("GET", "/metrics", Some(&mine), "");
    let text = String::from_utf8(metrics.body).expect("text");
    assert!(text.contains("ringfence_calls_total{outcome=\"cancelled\"} 2"), "{text}");
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn two_requests_of_one_id_are_nobodys() {
    let home = spinning(1_500);
    let mine = token(&home, "mine", "agent:a", "call");
    let auditor = token(&home, "auditor", "service:audit", "audit");
    let server = Server::new(&home);
    let mut events = following(&server, &auditor);
    let call = request(7, "tools/call", &json!({ "name": "spinner_spin", "arguments": {} }));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..2).map(|_| scope.spawn(|| server.ask("POST", "/mcp", Some(&mine), &call))).collect();
        begun(&mut events, 2);
        let message = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
        assert_eq!(server.ask("POST", "/mcp", Some(&mine), message).status, 202);
        asking.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    for answer in answers {
        assert_eq!(answer.is(200)["result"]["_meta"]["ringfence/error"]["code"], "tool.limit.time");
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn progress_is_told_to_who_asks() {
    let home = reading();
    let mut call = read();
    let mut raw = Raw::initialized(&home, &[]);
    assert_eq!(raw.ask("tools/call", &call)["result"]["isError"], false);
    call["_meta"] = json!({ "progressToken": "p" });
    let told = raw.ask("tools/call", &call);
    assert_eq!((&told["method"], &told["params"]["progressToken"]), (&json!("notifications/progress"), &json!("p")));
    assert!(told["params"]["message"].as_str().is_some_and(|message| message.starts_with("call_")), "{told}");
    let mut last = told["params"]["progress"].as_f64().expect("a number");
    loop {
        let next = raw.hear();
        if next["id"] == "tools/call" {
            assert_eq!(next["result"]["isError"], false);
            break;
        }
        let progress = next["params"]["progress"].as_f64().expect("a number");
        assert!(progress > last, "{next}");
        last = progress;
    }
    assert_eq!(raw.leave(), 0);
    // Over HTTP it comes before the result, in the same answer.
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let headers = format!("authorization: Bearer {mine}\r\naccept: application/json\r\n");
    let mut stream = server.connect();
    let body = request(3, "tools/call", &call);
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: {}\r\n{headers}accept: text/event-stream\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        server.address,
        body.len()
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).expect("written");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut stream, &mut said).expect("an answer");
    let (progress, result) = (said.find("notifications/progress"), said.find("structuredContent"));
    assert!(progress.is_some() && progress < result, "{said}");
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn progress_comes_before_its_answer() {
    let home = reading();
    let mut raw = Raw::initialized(&home, &[]);
    let (mut call, mut told) = (read(), 0);
    for number in 0..40 {
        call["_meta"] = json!({ "progressToken": number });
        raw.say(&request(number, "tools/call", &call));
        loop {
            let next = raw.hear();
            if next["id"] == number {
                break;
            }
            assert_eq!(next["params"]["progressToken"], number, "{next}");
            told += 1;
        }
    }
    assert!(told >= 40 && raw.is_silent());
    assert_eq!(raw.leave(), 0);
}

/// Has a server of lines read its configuration anew.
fn hang_up(raw: &Raw) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(raw.pid()).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("a signal");
}

const CHANGED: &str = "notifications/tools/list_changed";

#[test]
fn changed_list_is_told_of() {
    let home = reading();
    let (mine, operator) = (token(&home, "mine", "agent:a", "call"), token(&home, "op", "operator:o", "operate"));
    let mut raw = Raw::initialized(&home, &[]);
    let server = Server::new(&home);
    let opened = server.ask("POST", "/v1/sessions", Some(&operator), r#"{"name":"s","principal":"agent:a","ring":3}"#);
    let session = opened.is(201)["session"].as_str().expect("an id").to_owned();
    let headers = format!("authorization: Bearer {mine}\r\n");
    let mut listening = server.events("GET", "/mcp", &headers, "");
    let mut within = server.events("GET", "/mcp", &format!("{headers}ringfence-session: {session}\r\n"), "");
    let before = raw.ask("tools/list", &json!({}))["result"]["tools"].as_array().map_or(0, Vec::len);
    // Nothing has changed: nothing is said.
    hang_up(&raw);
    assert!(raw.is_silent());
    home.run(["tool", "add", guests::TOOL_ECHO]).code(0);
    hang_up(&raw);
    assert_eq!(raw.hear()["method"], CHANGED);
    assert!(raw.ask("tools/list", &json!({}))["result"]["tools"].as_array().map_or(0, Vec::len) > before);
    server.hang_up();
    assert_eq!(listening.next().expect("an event").data["method"], CHANGED);
    assert_eq!(within.next().expect("an event").data["method"], CHANGED);
    // A function that is treated as of a stricter effect is shown in other words.
    extend(&home, "[tools.echo.effects]\nstring = 'reads'\n");
    server.hang_up();
    assert_eq!(listening.next().expect("an event").data["method"], CHANGED);
    assert_eq!(within.next().expect("an event").data["method"], CHANGED);
    // A session that is closed leaves nothing to call.
    server.ask("DELETE", &format!("/v1/sessions/{session}"), Some(&operator), "").is(200);
    assert_eq!(within.next().expect("an event").data["method"], CHANGED);
    assert_eq!(raw.leave(), 0);
    assert_eq!(server.stop(), 0);
    assert_eq!(listening.next(), None);
}

#[test]
fn held_call_completes_by_elicitation() {
    // POL-16: what the client says approves nothing.
    let home = reading();
    let component = guests::HOSTILE_POLICY_SCRIPTED;
    let settings = r#"{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "x" }] }"#;
    extend(&home, &format!("[policies.scripted]\ncomponent = \"{component}\"\nsettings = {settings}\n"));
    for (is_approved, action, code) in [
        (true, "accept", Value::Null),
        (false, "accept", json!("denied.approval")),
        (true, "decline", json!("denied.declined")),
        (false, "decline", json!("denied.declined")),
        (false, "cancel", json!("denied.declined")),
    ] {
        let mut raw = Raw::new(&home, &["--as", &format!("agent:{is_approved}-{action}")]);
        let info = json!({ "protocolVersion": "2025-06-18", "capabilities": { "elicitation": {} },
            "clientInfo": { "name": "t", "version": "1" } });
        raw.ask("initialize", &info);
        raw.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        let asked = raw.ask("tools/call", &read());
        assert_eq!(asked["method"], "elicitation/create", "{asked}");
        let message = asked["params"]["message"].as_str().expect("a message");
        let id = message.split('`').nth(1).expect("an id").to_owned();
        if is_approved {
            home.run(["approve", &id]).code(0);
        }
        raw.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "action": action } }).to_string());
        let result = raw.hear()["result"].clone();
        assert_eq!(result["_meta"]["ringfence/error"]["code"], code, "{result}");
        assert_eq!(raw.leave(), 0);
        let last = home.entries().pop().expect("an entry");
        assert_eq!(last["body"]["code"] == "denied.declined", code == "denied.declined", "{last}");
    }
    // A question that is given up is taken back.
    let mut raw = Raw::new(&home, &["--as", "agent:patient"]);
    let info = json!({ "protocolVersion": "2025-06-18", "capabilities": { "elicitation": { "form": {}, "url": {} } },
        "clientInfo": { "name": "t", "version": "1" } });
    raw.ask("initialize", &info);
    raw.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    raw.say(&request(77, "tools/call", &read()));
    let asked = raw.hear();
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    raw.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}"#);
    let taken_back = raw.hear();
    assert_eq!(taken_back["method"], "notifications/cancelled", "{taken_back}");
    assert_eq!(taken_back["params"]["requestId"], asked["id"]);
    assert_eq!(raw.leave(), 0);
    // Who does not say that they can ask anybody, or only elsewhere, is not asked.
    let mut raw = Raw::new(&home, &["--as", "agent:elsewhere"]);
    let info = json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": { "url": {} } },
        "clientInfo": { "name": "t", "version": "1" } });
    raw.ask("initialize", &info);
    raw.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert_eq!(raw.ask("tools/call", &read())["result"]["_meta"]["ringfence/error"]["code"], "denied.approval");
    assert_eq!(raw.leave(), 0);
    let mut raw = Raw::initialized(&home, &["--as", "agent:mute"]);
    assert_eq!(raw.ask("tools/call", &read())["result"]["_meta"]["ringfence/error"]["code"], "denied.approval");
    assert_eq!(raw.leave(), 0);
}

#[test]
fn what_is_not_there_is_on_record_once_asked_for() {
    // AUD-20, API-13
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let before = home.entries().len();
    let body = json!({ "tool": "files", "function": "nothing" }).to_string();
    let known = server.ask("POST", "/v1/calls", Some(&mine), &body).is(404);
    let unknown = server.ask("POST", "/v1/calls", Some(&mine), &body.replace("files", "none")).is(404);
    assert_eq!(known, unknown);
    // Both are: of the one it is known which tool it is, and of the other what it was called.
    let entries = home.entries();
    assert_eq!(entries.len(), before + 2);
    let refused = &entries[before];
    assert_eq!(
        (&refused["kind"], &refused["body"]["code"], &refused["body"]["function"]),
        (&json!("refused"), &json!("caller.unknown-function"), &json!("nothing"))
    );
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn inputs_take_room_until_their_calls_end() {
    // MAL-05: one sender's documents are bounded as values, whatever became of who sent them.
    let home = reading();
    let (mine, theirs) = (token(&home, "mine", "agent:a", "call"), token(&home, "theirs", "agent:b", "call"));
    let server = Server::new(&home);
    let many = format!("[{}0]", "[],".repeat(limits::JSON_VALUES_MAX - 10));
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let ask = || server.ask("POST", "/v1/calls", Some(&mine), &many).status;
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    assert!(statuses.iter().all(|status| matches!(status, 400 | 429)) && statuses.contains(&400), "{statuses:?}");
    let called = json!({ "tool": "files", "function": "read", "input": { "path": "/docs/a.txt" } }).to_string();
    server.ask("POST", "/v1/calls", Some(&theirs), &called).is(200);
    server.ask("POST", "/v1/calls", Some(&mine), &called).is(200);
    assert_eq!(server.stop(), 0);
    home.is_well();
}
