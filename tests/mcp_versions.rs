//! MCP where its versions differ: who goes away, whose request an id is, what is subscribed to, what a head says.

use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts as guests;
use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Raw;
use crate::harness::server::Answer;
use crate::harness::server::Events;
use crate::harness::server::SPINNER;
use crate::harness::server::Server;
use crate::harness::server::eventually;
use crate::harness::server::extend;
use crate::harness::server::reading;
use crate::harness::server::token;

/// The first version without a handshake, and the last with one.
const NEWEST: &str = "2026-07-28";
const BEFORE: &str = "2025-11-25";
const CHANGED: &str = "notifications/tools/list_changed";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A request, as a version has it.
fn request(version: &str, id: u64, method: &str, mut params: Value) -> String {
    if version == NEWEST {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": NEWEST,
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {} });
        for (key, value) in meta.as_object().expect("an object") {
            params["_meta"][key] = value.clone();
        }
    }
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// What stands in the head of a request of a version.
fn head(version: &str, token: &str, method: &str, name: &str) -> String {
    let named = if name.is_empty() { String::new() } else { format!("mcp-name: {name}\r\n") };
    format!("authorization: Bearer {token}\r\nmcp-protocol-version: {version}\r\nmcp-method: {method}\r\n{named}")
}

/// Sends a request, and leaves the connection to whoever called.
fn sent(server: &Server, headers: &str, body: &str) -> TcpStream {
    let mut stream = server.connect();
    let length = body.len();
    let text = format!(
        "POST /mcp HTTP/1.1\r\nhost: {}\r\n{headers}accept: application/json, text/event-stream\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}",
        server.address
    );
    stream.write_all(text.as_bytes()).expect("written");
    stream
}

fn whole(mut stream: TcpStream) -> Answer {
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("an answer");
    Answer::of(&said)
}

/// Whether no answer has come yet. The log says nothing of it: it is the server's while calls run.
fn waits(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("set");
    let come = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("set");
    come.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// A home with `spinner` registered, which spins until its time is over, and is on record before it runs.
fn spinning(wall_ms: u64) -> Home {
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    let folder = home.dir("docs", "/docs", "ro");
    extend(&home, &format!("[tools.spinner.grant]\nfolders = ['{folder}']\nlimits = {{ wall-ms = {wall_ms} }}\n"));
    home
}

fn following(server: &Server, auditor: &str) -> Events {
    server.events("GET", "/v1/events", &format!("authorization: Bearer {auditor}\r\n"), "")
}

fn last(home: &Home) -> Value {
    home.entries().into_iter().rfind(|entry| entry["kind"] == "finished").expect("an entry")["body"].clone()
}

#[test]
fn going_away_gives_up_from_2026_on() {
    // IDM-10
    let home = spinning(4_000);
    let (mine, auditor) = (token(&home, "mine", "agent:a", "call"), token(&home, "auditor", "service:audit", "audit"));
    let server = Server::new(&home);
    let mut events = following(&server, &auditor);
    // Before its first word, and in the middle of a stream; in versions before it may come again for the answer.
    for (version, is_stream, code) in [
        (NEWEST, false, "host.cancelled"),
        (NEWEST, true, "host.cancelled"),
        (BEFORE, false, "tool.limit.time"),
        (BEFORE, true, "tool.limit.time"),
    ] {
        let meta = if is_stream { json!({ "progressToken": "p" }) } else { json!({}) };
        let call = request(version, 7, "tools/call", json!({ "name": "spinner_spin", "arguments": {}, "_meta": meta }));
        let mut gone = sent(&server, &head(version, &mine, "tools/call", "spinner_spin"), &call);
        let started = Instant::now();
        events.until("begun");
        if is_stream {
            gone.read_exact(&mut [0; 16]).expect("the head of a stream");
        }
        drop(gone);
        events.until("finished");
        let finished = last(&home);
        assert_eq!(finished["code"], code, "{version} {is_stream}");
        assert_eq!(started.elapsed() < Duration::from_millis(3_500), version == NEWEST, "{:?}", started.elapsed());
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn clients_under_one_token_are_apart() {
    // API-06: what tells them apart opens nothing.
    let home = spinning(5_000);
    let (mine, theirs) = (token(&home, "mine", "agent:a", "call"), token(&home, "theirs", "agent:b", "call"));
    let auditor = token(&home, "auditor", "service:audit", "audit");
    let server = Server::new(&home);
    let mut events = following(&server, &auditor);
    let hello = || {
        let info =
            json!({ "protocolVersion": BEFORE, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let answer = server.ask("POST", "/mcp", Some(&mine), &request(BEFORE, 0, "initialize", info));
        answer.is(200);
        answer.header("mcp-session-id").expect("an id").to_owned()
    };
    let (one, other) = (hello(), hello());
    assert!(one != other && one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one} {other}");
    let named =
        |token: &str, client: &str| format!("{}mcp-session-id: {client}\r\n", head(BEFORE, token, "tools/call", ""));
    let call = request(BEFORE, 7, "tools/call", json!({ "name": "spinner_spin", "arguments": {} }));
    let asked = [&one, &other].map(|client| sent(&server, &named(&mine, client), &call));
    (0..2).for_each(|_| drop(events.until("begun")));
    let give_up = |headers: &str| {
        let params = json!({ "requestId": 7 });
        let message = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }).to_string();
        assert_eq!(whole(sent(&server, headers, &message)).status, 202);
    };
    // Under no id, under one that nobody has, and under another token: nobody's.
    give_up(&head(BEFORE, &mine, "notifications/cancelled", ""));
    give_up(&named(&mine, "made-up"));
    give_up(&named(&theirs, &one));
    std::thread::sleep(Duration::from_millis(300));
    assert!(asked.iter().all(waits));
    give_up(&named(&mine, &one));
    let [unanswered, left] = asked.map(whole);
    // What was given up is not answered.
    assert_eq!((unanswered.status, unanswered.header("content-type")), (200, Some("text/event-stream")));
    assert!(!String::from_utf8_lossy(&unanswered.body).contains("jsonrpc"), "{unanswered:?}");
    assert_eq!(left.is(200)["result"]["_meta"]["ringfence/error"]["code"], "tool.limit.time");
    for bad in ["a b", &"x".repeat(limits::CLIENT_ID_BYTES_MAX + 1)] {
        let ping = request(BEFORE, 1, "ping", json!({}));
        whole(sent(&server, &named(&mine, bad), &ping)).is(400);
        // From 2026 on there is no such thing, so it says nothing.
        let listed = request(NEWEST, 1, "tools/list", json!({}));
        let headers = format!("{}mcp-session-id: {bad}\r\n", head(NEWEST, &mine, "tools/list", ""));
        assert!(whole(sent(&server, &headers, &listed)).is(200)["result"]["tools"].is_array());
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

/// Opens a subscription.
fn subscribed(server: &Server, token: &str, more: &str, wanted: &Value) -> Events {
    let body = request(NEWEST, 5, "subscriptions/listen", json!({ "notifications": wanted }));
    let headers = format!("{}{more}accept: application/json\r\n", head(NEWEST, token, "subscriptions/listen", ""));
    server.events("POST", "/mcp", &headers, &body)
}

#[test]
fn subscription_is_told_of_changed_lists() {
    let home = reading();
    let (mine, operator) = (token(&home, "mine", "agent:a", "call"), token(&home, "op", "operator:o", "operate"));
    let server = Server::new(&home);
    let opened = server.ask("POST", "/v1/sessions", Some(&operator), r#"{"name":"s","principal":"agent:a","ring":3}"#);
    let session = opened.is(201)["session"].as_str().expect("an id").to_owned();
    let discover = request(NEWEST, 1, "server/discover", json!({}));
    let headers = format!("host: {}\r\n{}", server.address, head(NEWEST, &mine, "server/discover", ""));
    let offered = server.ask_with("POST", "/mcp", &headers, &discover).is(200);
    assert_eq!(offered["result"]["capabilities"]["tools"]["listChanged"], true, "{offered}");
    let wanted = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["a:b"] });
    let mut all = subscribed(&server, &mine, "", &wanted);
    let mut within = subscribed(&server, &mine, &format!("ringfence-session: {session}\r\n"), &wanted);
    let mut none = subscribed(&server, &mine, "", &json!({ "promptsListChanged": true }));
    for (events, taken) in [
        (&mut all, json!({ "toolsListChanged": true })),
        (&mut within, json!({ "toolsListChanged": true })),
        (&mut none, json!({})),
    ] {
        let told = events.next().expect("an event").data;
        assert_eq!(told["method"], "notifications/subscriptions/acknowledged", "{told}");
        assert_eq!((&told["params"]["notifications"], &told["params"]["_meta"][SUBSCRIPTION]), (&taken, &json!(5)));
    }
    home.run(["tool", "add", guests::TOOL_ECHO]).code(0);
    server.hang_up();
    for events in [&mut all, &mut within] {
        let told = events.next().expect("an event").data;
        assert_eq!((&told["method"], &told["params"]["_meta"][SUBSCRIPTION]), (&json!(CHANGED), &json!(5)), "{told}");
    }
    // A session that is closed leaves nothing to call.
    server.ask("DELETE", &format!("/v1/sessions/{session}"), Some(&operator), "").is(200);
    assert_eq!(within.next().expect("an event").data["method"], CHANGED);
    drop(within);
    assert_eq!(server.stop(), 0);
    // A server that stops says that it was the last word.
    for events in [&mut all, &mut none] {
        let end = events.next().expect("an end").data;
        assert_eq!((&end["id"], end["result"].is_object()), (&json!(5), true), "{end}");
        assert_eq!(events.next(), None);
    }
    home.is_well();
}

#[test]
fn subscriptions_are_bounded_like_streams() {
    // MAL-09
    let home = reading();
    let (mine, other) = (token(&home, "mine", "agent:a", "call"), token(&home, "other", "agent:b", "call"));
    let blind = token(&home, "blind", "agent:a", "audit");
    let server = Server::new(&home);
    let ask = |token: &str| {
        let body = request(NEWEST, 5, "subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
        let headers = format!("host: {}\r\n{}", server.address, head(NEWEST, token, "subscriptions/listen", ""));
        server.ask_with("POST", "/mcp", &headers, &body)
    };
    let wanted = json!({ "toolsListChanged": true });
    let max = limits::HTTP_STREAMS_PER_PRINCIPAL_MAX;
    let held: Vec<_> = (0..max).map(|_| subscribed(&server, &mine, "", &wanted)).collect();
    assert_eq!(ask(&mine).is(429)["code"], "host.busy");
    assert_eq!(ask(&other).status, 200);
    ask(&blind).is(403);
    // They take nothing of what requests have.
    let listed = server.ask("POST", "/mcp", Some(&mine), &request(BEFORE, 1, "tools/list", json!({})));
    assert!(listed.is(200)["result"]["tools"].is_array());
    drop(held);
    eventually(200, || ask(&mine));
    assert_eq!(server.stop(), 0);
}

#[test]
fn subscription_on_lines_ends_when_cancelled() {
    let home = reading();
    let mut raw = Raw::new(&home, &[]);
    let hang_up = |raw: &Raw| {
        let pid = rustix::process::Pid::from_raw(i32::try_from(raw.pid()).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("a signal");
    };
    raw.say(&request(NEWEST, 5, "subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } })));
    let told = raw.hear();
    assert_eq!(told["method"], "notifications/subscriptions/acknowledged", "{told}");
    home.run(["tool", "add", guests::TOOL_ECHO]).code(0);
    hang_up(&raw);
    let told = raw.hear();
    assert_eq!((&told["method"], &told["params"]["_meta"][SUBSCRIPTION]), (&json!(CHANGED), &json!(5)), "{told}");
    raw.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#);
    // The answer to this comes after what is made of the line before it.
    raw.say(&request(NEWEST, 6, "tools/list", json!({})));
    assert_eq!(raw.hear()["id"], 6);
    home.run(["tool", "remove", "echo"]).code(0);
    hang_up(&raw);
    // That nothing comes has no sign to wait for: longer than the notification above took to come.
    std::thread::sleep(Duration::from_secs(1));
    assert!(raw.is_silent());
    raw.say(&request(NEWEST, 8, "tools/list", json!({})));
    // A notification that was late would be heard first.
    let listed = raw.hear();
    assert_eq!(listed["id"], 8, "{listed}");
    assert!(!listed.to_string().contains("echo_string"), "{listed}");
    assert_eq!(raw.leave(), 0);
    home.is_well();
}

#[test]
fn heads_are_read_or_refused_as_messages() {
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let ask = |headers: &str, body: &str| {
        let length = body.len();
        let text = format!(
            "POST /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {mine}\r\n{headers}content-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}",
            server.address
        );
        server.raw(text.as_bytes())
    };
    let ping = request(BEFORE, 1, "ping", json!({}));
    for accepted in
        ["*/*", "application/*, text/*", "application/json, text/event-stream", "text/event-stream;q=0.5, */*"]
    {
        assert_eq!(ask(&format!("accept: {accepted}\r\n"), &ping).is(200)["id"], 1, "{accepted}");
    }
    ask("accept: application/json\r\n", &ping).is(406);
    let any = "accept: */*\r\n";
    for version in ["1999-01-01", "2099-01-01", &"9".repeat(4_000), "<script>"] {
        let answer = ask(&format!("{any}mcp-protocol-version: {version}\r\n"), &ping);
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/json")), "{answer:?}");
        let error = answer.json();
        assert_eq!((&error["id"], error["error"]["code"].is_i64()), (&json!(1), true), "{error}");
        assert!(error["error"]["data"]["supported"].as_array().is_some_and(|known| known.contains(&json!(NEWEST))));
        assert!(answer.body.len() < 500, "{error}");
    }
    // Who says hello may offer what is not known here.
    let info =
        json!({ "protocolVersion": "2099-01-01", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello =
        ask(&format!("{any}mcp-protocol-version: 2099-01-01\r\n"), &request(BEFORE, 0, "initialize", info)).is(200);
    assert_eq!(hello["result"]["protocolVersion"], BEFORE, "{hello}");
    // What progress is told under is a text or an integer.
    let call = |token: &Value| {
        let params = json!({ "name": "files_read", "arguments": { "path": "/docs/a.txt" }, "_meta": { "progressToken": token } });
        request(BEFORE, 3, "tools/call", params)
    };
    let mut raw = Raw::initialized(&home, &[]);
    for bad in [json!(1.5), json!({}), json!([1]), json!(true), json!("t".repeat(limits::MESSAGE_ID_BYTES_MAX + 1))] {
        let error = ask(any, &call(&bad)).json();
        assert_eq!((&error["error"]["code"], &error["id"]), (&json!(-32_602), &json!(3)), "{bad}: {error}");
        raw.say(&call(&bad));
        assert_eq!(raw.hear()["error"]["code"], -32_602, "{bad}");
    }
    assert_eq!(ask(any, &call(&Value::Null)).is(200)["result"]["isError"], false);
    // What could not be told has an id all the same.
    let error = ask(any, "{").json();
    assert_eq!((error.get("id"), &error["error"]["code"]), (Some(&Value::Null), &json!(-32_700)));
    for bad in ["{", "[]", "7"] {
        raw.say(bad);
        assert_eq!(raw.hear().get("id"), Some(&Value::Null), "{bad}");
    }
    assert_eq!(raw.leave(), 0);
    assert_eq!(server.stop(), 0);
    home.is_well();
}
