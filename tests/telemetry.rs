//! Telemetry as a collector meets it: what it is told of calls, what it never is, and that nobody waits for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Raw;
use crate::harness::server::Server;
use crate::harness::server::eventually;
use crate::harness::server::extend;
use crate::harness::server::reading;
use crate::harness::server::token;
use crate::harness::tls::Authority;
use crate::harness::web::Answer;
use crate::harness::web::Step;
use crate::harness::web::Web;
use crate::harness::web::answer;
use crate::harness::web::ok;

const CANARY: &str = "canary-5f3a";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A home that tells a collector, and has a file whose name and text nobody else may learn of.
fn telling(endpoint: &str, more: &str) -> Home {
    let home = reading();
    home.file(&format!("docs/{CANARY}.txt"), format!("{CANARY} text"));
    extend(&home, &format!("[telemetry]\nendpoint = '{endpoint}'\n{more}"));
    home
}

fn body(path: &str) -> String {
    json!({ "tool": "files", "function": "read", "input": { "path": path } }).to_string()
}

fn taken() -> Answer {
    answer("200 OK", "content-type: application/json\r\n", "{}")
}

/// What a collector was sent to a path, oldest first.
fn sent(web: &Web, path: &str) -> Vec<Value> {
    let requests = web.requests().into_iter().filter(|seen| seen.path() == path);
    let body = |text: String| text.split_once("\r\n\r\n").expect("a body").1.to_owned();
    requests.map(|seen| serde_json::from_str(&body(seen.text())).expect("JSON")).collect()
}

/// Every span that it was told of.
fn spans(web: &Web) -> Vec<Value> {
    let of = |sent: &Value| {
        let resource = &sent["resourceSpans"][0];
        assert_eq!(attribute(&resource["resource"], "service.name"), Some(json!("claims-host")));
        resource["scopeSpans"][0]["spans"].as_array().expect("spans").clone()
    };
    sent(web, "/otlp/v1/traces").iter().flat_map(of).collect()
}

fn attribute(of: &Value, key: &str) -> Option<Value> {
    let attributes = of["attributes"].as_array().expect("attributes");
    let found = attributes.iter().find(|attribute| attribute["key"] == key)?;
    Some(found["value"].as_object().expect("a value").values().next().expect("a value").clone())
}

/// The values of a number, by one of its attributes.
fn counted(web: &Web, name: &str, key: &str) -> Vec<(Value, Value)> {
    let last = sent(web, "/otlp/v1/metrics").pop().expect("numbers");
    let metrics = last["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().expect("numbers").clone();
    let metric = metrics.into_iter().find(|metric| metric["name"] == name).expect(name);
    assert_eq!((&metric["sum"]["isMonotonic"], &metric["sum"]["aggregationTemporality"]), (&json!(true), &json!(2)));
    let points = metric["sum"]["dataPoints"].as_array().expect("points").clone();
    points.iter().map(|point| (attribute(point, key).expect(key), point["asInt"].clone())).collect()
}

fn nanos(span: &Value, key: &str) -> u128 {
    span[key].as_str().expect(key).parse().expect("a number")
}

#[test]
#[expect(clippy::too_many_lines, reason = "one run of a server, looked at from every side")]
fn collector_is_told_of_calls() {
    // OUT-07, SEC-02, API-15
    let web = Web::new(|_| taken());
    let more = "service-name = 'claims-host'\nheaders-file = 'collector'\n";
    let home = telling(&format!("http://{}/otlp/", web.address()), more);
    let path = home.path().join("collector");
    fs::write(&path, format!("x-key: key-{CANARY}\n")).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    let mine = token(&home, "mine", &format!("agent:{CANARY}"), "call,operate");
    let server = Server::new(&home);
    let ask = |more: &str, body: &str| {
        let headers = format!("host: {}\r\nauthorization: Bearer {mine}\r\n{more}", server.address);
        server.ask_with("POST", "/v1/calls", &headers, body)
    };
    let traced = format!("traceparent: 00-{TRACE}-{SPAN}-00\r\ntracestate: a={CANARY}\r\nbaggage: b={CANARY}\r\n");
    let keyed = format!("{traced}idempotency-key: {CANARY}\r\n");
    let read = ask(&keyed, &body(&format!("/docs/{CANARY}.txt"))).is(200);
    assert_eq!(read["outcome"]["value"], format!("{CANARY} text"));
    let missing = ask("", &body(&format!("/docs/{CANARY}-missing"))).is(200);
    assert_eq!(missing["outcome"]["kind"], "tool_error");
    for odd in [
        "traceparent: 00-x-y-00\r\n",
        "traceparent: \r\n",
        &traced.repeat(2),
        &format!("traceparent: {}\r\n", "0".repeat(8000)),
    ] {
        ask(odd, &body("/docs/a.txt")).is(200);
    }
    ask("", &json!({ "tool": "files", "function": "read", "input": { CANARY: 1 } }).to_string()).is(422);
    ask("", &json!({ "tool": "files", "function": CANARY }).to_string()).is(404);
    let message = |name: &str| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": name, "arguments": { "path": format!("/docs/{CANARY}.txt") },
            "_meta": { "traceparent": format!("00-{TRACE}-{SPAN}-01") } } })
        .to_string()
    };
    let headers = format!("host: {}\r\nauthorization: Bearer {mine}\r\n", server.address);
    server.ask_with("POST", "/mcp", &headers, &message("files_read")).is(200);
    // What is not there at all, and a session that is not open.
    server.ask_with("POST", "/mcp", &headers, &message(CANARY)).is(200);
    ask("", &json!({ "tool": CANARY, "function": CANARY, "input": { CANARY: 1 } }).to_string()).is(404);
    ask("ringfence-session: ses_00000000000000000000000000000000\r\n", &body("/docs/a.txt")).is(404);
    let shown = String::from_utf8(server.ask("GET", "/metrics", Some(&mine), "").body).expect("text");
    assert_eq!(server.stop(), 0);

    let told = spans(&web);
    let calls: Vec<_> = told.iter().filter(|span| span["name"] == "execute_tool files_read").collect();
    let of_call = |id: &Value| {
        *calls.iter().find(|span| attribute(span, "gen_ai.tool.call.id").as_ref() == Some(id)).expect("a span")
    };
    let (whole, failed) = (of_call(&read["call"]), of_call(&missing["call"]));
    assert_eq!((&whole["traceId"], &whole["parentSpanId"], &whole["kind"]), (&json!(TRACE), &json!(SPAN), &json!(1)));
    for (key, value) in [
        ("gen_ai.operation.name", json!("execute_tool")),
        ("gen_ai.tool.name", json!("files_read")),
        ("ringfence.outcome", json!("returned")),
        ("ringfence.entry", json!(read["entry"].to_string())),
        ("ringfence.ring", json!("3")),
    ] {
        assert_eq!(attribute(whole, key), Some(value), "{key}");
    }
    assert_eq!((attribute(whole, "error.type"), &whole["status"]), (None, &json!({})));
    assert_eq!((attribute(failed, "error.type"), &failed["status"]["code"]), (Some(json!("tool.error")), &json!(2)));
    assert!(failed["parentSpanId"].is_null() && failed["traceId"] != TRACE);
    // What is below a call happens within it, in this order.
    let steps: Vec<_> = told.iter().filter(|span| span["parentSpanId"] == whole["spanId"]).collect();
    let names: Vec<_> = steps.iter().map(|span| span["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["decide", "enter", "begin", "run", "judge", "finish"]);
    let mut before = nanos(whole, "startTimeUnixNano");
    for span in &steps {
        assert_eq!(span["traceId"], whole["traceId"]);
        let (start, end) = (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano"));
        assert!(before <= start && start <= end && end <= nanos(whole, "endTimeUnixNano"), "{span}");
        before = end;
    }
    // A trace that can't be read is none, and what is forged hides no call.
    let within = calls.iter().filter(|span| span["traceId"] == TRACE).count();
    assert_eq!((calls.len(), within), (8, 2), "{calls:?}");
    let codes: Vec<_> = calls.iter().filter_map(|span| attribute(span, "error.type")).collect();
    assert!(codes.contains(&json!("caller.bad-input")), "{codes:?}");
    // What was asked for and is not there is told of without its name.
    let unknown = told.iter().find(|span| span["name"] == "execute_tool files").expect("a span");
    assert_eq!(attribute(unknown, "error.type"), Some(json!("caller.unknown-function")));
    let nameless: Vec<_> = told.iter().filter(|span| span["name"] == "execute_tool").collect();
    let code = |span: &&Value| attribute(span, "error.type").expect("a code");
    let codes: Vec<_> = nameless.iter().map(code).collect();
    assert_eq!(codes, ["caller.unknown-function", "caller.unknown-function", "denied.session"]);
    assert_eq!((&nameless[0]["traceId"], &nameless[0]["parentSpanId"]), (&json!(TRACE), &json!(SPAN)));
    for span in nameless {
        assert_eq!((attribute(span, "gen_ai.tool.name"), attribute(span, "ringfence.tool.digest")), (None, None));
        assert!(attribute(span, "ringfence.entry").is_some() && span["status"]["code"] == 2, "{span}");
    }
    let ids: std::collections::BTreeSet<_> = told.iter().map(|span| span["spanId"].to_string()).collect();
    assert_eq!(ids.len(), told.len());
    // The numbers are those that are shown.
    for (outcome, calls) in counted(&web, "ringfence.calls", "outcome") {
        let (outcome, calls) =
            (outcome.as_str().expect("a text").to_owned(), calls.as_str().expect("a number").to_owned());
        assert!(
            shown.contains(&format!("ringfence_calls_total{{outcome=\"{outcome}\"}} {calls}\n")),
            "{outcome}: {shown}"
        );
    }
    assert!(counted(&web, "ringfence.http_requests", "route").iter().any(|(route, _)| route == "mcp"));
    // Nothing that a caller, a tool or a secret has said has left, but the header that it was meant for.
    for seen in web.requests() {
        let text = seen.text();
        assert_eq!((text.matches(CANARY).count(), seen.header("x-key")), (1, vec![format!("key-{CANARY}")]), "{text}");
        assert_eq!(seen.header("content-type"), ["application/json"]);
        assert!(!text.contains(&mine) && !text.contains("/docs"), "{text}");
    }
    home.is_well();
}

#[test]
fn agent_on_lines_is_told_of() {
    let web = Web::new(|_| taken());
    let home = telling(&format!("http://{}/otlp", web.address()), "service-name = 'claims-host'\n");
    let mut agent = Raw::initialized(&home, &[]);
    let traced = json!({ "name": "files_read", "arguments": { "path": "/docs/a.txt" },
        "_meta": { "traceparent": format!("00-{TRACE}-{SPAN}-01") } });
    assert_eq!(agent.ask("tools/call", &traced)["result"]["isError"], false);
    assert_eq!(agent.leave(), 0);
    let whole = spans(&web).into_iter().find(|span| span["name"] == "execute_tool files_read").expect("a span");
    assert_eq!((&whole["traceId"], &whole["parentSpanId"]), (&json!(TRACE), &json!(SPAN)));
    assert_eq!(counted(&web, "ringfence.calls", "outcome"), [(json!("returned"), json!("1"))]);
}

#[test]
fn dead_collector_holds_up_nobody() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let silent = Web::new(|_| vec![Step::Wait(Duration::from_mins(2))]);
    let refusing = Web::new(|_| answer("500 Broken", "", ""));
    let busy = Web::new(|_| answer("503 Busy", "", ""));
    let garbled = Web::new(|_| vec![Step::Send(vec![0xff; 4096], 100)]);
    for (what, address) in [
        ("nobody", nobody),
        ("silent", silent.address()),
        ("refusing", refusing.address()),
        ("busy", busy.address()),
        ("garbled", garbled.address()),
    ] {
        let home = telling(&format!("http://{address}"), "");
        let mine = token(&home, "mine", "agent:a", "call,operate");
        let server = Server::new(&home);
        for _ in 0..20 {
            let started = Instant::now();
            server.ask("POST", "/v1/calls", Some(&mine), &body("/docs/a.txt")).is(200);
            assert!(started.elapsed() < Duration::from_secs(5), "{what}: {:?}", started.elapsed());
        }
        if what == "refusing" {
            // What is not taken is counted.
            eventually(200, || {
                let mut metrics = server.ask("GET", "/metrics", Some(&mine), "");
                let is_counted =
                    String::from_utf8_lossy(&metrics.body).contains("telemetry_spans_total{fate=\"refused\"} ");
                metrics.status = if is_counted { 200 } else { 404 };
                metrics
            });
            while !server.note().contains("the collector of telemetry takes nothing: it answers 500") {}
        }
        let started = Instant::now();
        assert_eq!(server.stop(), 0, "{what}");
        let most = Duration::from_millis(limits::TELEMETRY_END_MS_MAX + 5_000);
        assert!(started.elapsed() < most, "{what}: {:?}", started.elapsed());
        home.is_well();
    }
    assert!(refusing.connections() > 0 && silent.connections() > 0 && busy.connections() > 0);
}

#[test]
fn what_is_not_taken_now_is_sent_again() {
    let busy = AtomicUsize::new(2);
    let web = Web::new(move |seen| {
        let is_trace = seen.path() == "/otlp/v1/traces";
        let counted = |left: usize| left.checked_sub(1).filter(|_| is_trace);
        match busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted) {
            Ok(_) => answer("503 Busy", "", ""),
            Err(_) => taken(),
        }
    });
    let home = telling(&format!("http://{}/otlp", web.address()), "service-name = 'claims-host'\n");
    let mine = token(&home, "mine", "agent:a", "call,operate");
    let server = Server::new(&home);
    server.ask("POST", "/v1/calls", Some(&mine), &body("/docs/a.txt")).is(200);
    eventually(200, || {
        let mut metrics = server.ask("GET", "/metrics", Some(&mine), "");
        let is_sent = String::from_utf8_lossy(&metrics.body).contains("telemetry_spans_total{fate=\"sent\"} 7\n");
        metrics.status = if is_sent { 200 } else { 404 };
        metrics
    });
    while !server.note().contains("the collector of telemetry takes nothing: it answers 503") {}
    while !server.note().contains("takes what it is told again") {}
    assert_eq!(server.stop(), 0);
    let told = sent(&web, "/otlp/v1/traces");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0] == told[1] && told[1] == told[2], "{told:?}");
}

#[test]
fn collector_proves_who_it_is() {
    let (trusted, other) = (Authority::new(), Authority::new());
    for (authority, is_told) in [(&trusted, true), (&other, false)] {
        let web = Web::encrypted(&authority.server("localhost"), |_| taken());
        let home = telling(
            &format!("https://localhost:{}/otlp", web.port()),
            "service-name = 'claims-host'\nroots = 'collector.pem'\n",
        );
        fs::write(home.path().join("collector.pem"), trusted.pem()).expect("a file");
        let mine = token(&home, "mine", "agent:a", "call");
        let server = Server::new(&home);
        server.ask("POST", "/v1/calls", Some(&mine), &body("/docs/a.txt")).is(200);
        assert_eq!(server.stop(), 0);
        assert_eq!((spans(&web).len() == 7, web.requests().is_empty()), (is_told, !is_told), "{:?}", web.requests());
    }
}

#[test]
fn collector_that_wanders_is_not_followed() {
    let elsewhere = Web::new(|_| ok("{}"));
    let to = format!("http://{}/v1/traces", elsewhere.address());
    let web = Web::new(move |_| answer("307 Elsewhere", &format!("location: {to}\r\n"), ""));
    let home = telling(&format!("http://{}", web.address()), "");
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    server.ask("POST", "/v1/calls", Some(&mine), &body("/docs/a.txt")).is(200);
    assert_eq!(server.stop(), 0);
    assert!(web.connections() > 0);
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn unfit_headers_keep_server_from_starting() {
    // SEC-04
    let home = telling("http://127.0.0.1:9", "headers-file = 'collector'\n");
    token(&home, "mine", "agent:a", "call");
    let path = home.path().join("collector");
    for (text, mode, why) in [
        (format!("x-key: {CANARY}"), 0o644, "others than its owner"),
        (CANARY.to_owned(), 0o600, "line 1 is not a header"),
        (format!("x-key: 1\nhost: {CANARY}"), 0o600, "line 2 is not a header"),
        ("a: b\n".repeat(limits::TELEMETRY_HEADERS_BYTES_MAX), 0o600, "larger than"),
    ] {
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["mcp"]] {
            let message = home.refuses(command, 1);
            assert!(message.contains(why) && !message.contains(CANARY), "{message}");
        }
    }
    fs::remove_file(&path).expect("removed");
    assert!(home.refuses(["mcp"], 1).contains("collector"));
}
