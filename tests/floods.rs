//! Floods of calls that are refused: each refusal is an entry, and one principal may not fill the disk with them.

use std::io::Read as _;
use std::io::Write as _;
use std::time::Duration;

use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Raw;
use crate::harness::server::Answer;
use crate::harness::server::Server;
use crate::harness::server::extend;
use crate::harness::server::reading;
use crate::harness::server::token;

/// What the policy lets everybody read, and what it forbids.
const OPEN: &str = "/docs/a.txt";
const CLOSED: &str = "/docs/b.txt";

/// What somebody is told of a call.
struct Said {
    /// The code of what went wrong; nothing, if it returned.
    code: String,
    /// After how many seconds it makes sense to come again.
    retry_after: Option<u64>,
    text: String,
}

/// Somebody who calls, and what they call through.
struct Caller<'s> {
    server: &'s Server,
    token: String,
    lines: Option<Raw>,
}

/// A way in: a file is to be read, once if there is a key.
type Way = fn(&mut Caller<'_>, &str, Option<&str>) -> Said;

const WAYS: &[(&str, Way)] = &[
    ("http", |caller, path, key| of_http(&post(caller, "", &call(path), key))),
    ("watched", |caller, path, key| {
        let headers = "accept: text/event-stream\r\n";
        let answer = post(caller, headers, &call(path), key);
        if answer.status == 200 { returned(&answer.body) } else { of_http(&answer) }
    }),
    ("mcp-http", |caller, path, key| {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params(path, key) });
        of_mcp(&caller.server.ask("POST", "/mcp", Some(&caller.token), &message.to_string()).is(200))
    }),
    ("mcp-lines", |caller, path, key| {
        let lines = caller.lines.as_mut().expect("a server of lines");
        of_mcp(&lines.ask("tools/call", &params(path, key)))
    }),
];

fn call(path: &str) -> String {
    json!({ "tool": "files", "function": "read", "input": { "path": path } }).to_string()
}

fn params(path: &str, key: Option<&str>) -> Value {
    let mut params = json!({ "name": "files_read", "arguments": { "path": path } });
    if let Some(key) = key {
        params["_meta"] = json!({ "ringfence/idempotency-key": key });
    }
    params
}

/// Sends a call, and reads all that is answered.
fn post(caller: &Caller<'_>, headers: &str, body: &str, key: Option<&str>) -> Answer {
    let Caller { server, token, .. } = caller;
    let key = key.map(|key| format!("idempotency-key: {key}\r\n")).unwrap_or_default();
    let (host, length) = (&server.address, body.len());
    let request = format!(
        "POST /v1/calls HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n{key}{headers}\
         content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).expect("written");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("an answer");
    Answer::of(&said)
}

fn returned(body: &[u8]) -> Said {
    Said { code: String::new(), retry_after: None, text: String::from_utf8_lossy(body).into_owned() }
}

fn of_http(answer: &Answer) -> Said {
    if answer.status == 200 {
        return returned(&answer.body);
    }
    let problem = answer.is(answer.status);
    let retry_after: Option<u64> = answer.header("retry-after").map(|seconds| seconds.parse().expect("seconds"));
    assert_eq!(retry_after.is_some(), answer.status == 429, "{problem}");
    Said { code: problem["code"].as_str().expect("a code").to_owned(), retry_after, text: problem.to_string() }
}

fn of_mcp(message: &Value) -> Said {
    let (result, error) = (&message["result"], &message["result"]["_meta"]["ringfence/error"]);
    assert_eq!(result["isError"] == true, error.is_object(), "{message}");
    let retry_after = error["value"]["retry_after_ms"].as_u64().map(|ms| ms.div_ceil(1_000));
    let code = error["code"].as_str().unwrap_or_default().to_owned();
    Said { code, retry_after, text: result.to_string() }
}

/// A home whose policy forbids some of what its tool can read.
fn home() -> Home {
    let home = reading();
    home.file("docs/b.txt", "secret");
    let rule = "[policies.argument-schema.settings.tools.\"files/read\".fields]";
    extend(&home, &format!("[policies.ring-default]\n{rule}\n\"/path\" = {{ enum = [\"{OPEN}\"] }}\n"));
    home
}

/// The codes of what of a principal's is on record as refused, in order.
fn refused(home: &Home, principal: &str) -> Vec<String> {
    let entries = home.entries().into_iter();
    let bodies = entries.filter(|entry| entry["kind"] == "refused").map(|entry| entry["body"].clone());
    let own = bodies.filter(|body| body["principal"] == principal);
    own.map(|body| body["code"].as_str().expect("a code").to_owned()).collect()
}

#[test]
fn refused_calls_fill_no_disk() {
    // AUD-20, API-09: by whatever way they come, one principal has a bounded number of refusals on record in a minute, and
    // one entry that says so. Whatever it asks then is not looked at, but for what costs no entry: answers that it has.
    let home = home();
    let most = limits::DENIED_PER_MINUTE_MAX as usize;
    let tokens: Vec<_> = WAYS.iter().map(|(way, _)| token(&home, way, &format!("agent:{way}"), "call")).collect();
    let another = token(&home, "another", "agent:http", "call");
    let (honest, operator) = (token(&home, "honest", "agent:b", "call"), token(&home, "op", "operator:o", "operate"));
    let server = Server::new(&home);
    let mut flooded = Vec::new();
    for ((name, way), token) in WAYS.iter().zip(tokens) {
        let principal = format!("agent:{name}");
        let lines = (*name == "mcp-lines").then(|| Raw::initialized(&home, &["--as", &principal]));
        let mut caller = Caller { server: &server, token, lines };
        let kept = way(&mut caller, OPEN, Some("kept"));
        assert!(kept.code.is_empty() && kept.text.contains("hello"), "{name}: {}", kept.text);
        for _ in 0..most {
            assert_eq!(way(&mut caller, CLOSED, None).code, "denied.policy", "{name}");
        }
        let turned_away = |caller: &mut Caller<'_>, path, key| {
            let said = way(caller, path, key);
            assert_eq!(said.code, "denied.too-many", "{name}: {}", said.text);
            said.retry_after.expect("a time")
        };
        let mut last = 0;
        for (path, key) in [(CLOSED, None), (OPEN, None), (OPEN, Some("new")), (CLOSED, Some("new")), (CLOSED, None)] {
            last = turned_away(&mut caller, path, key);
            assert!((1..=60).contains(&last), "{name}: {last}");
        }
        let again = way(&mut caller, OPEN, Some("kept"));
        assert!(again.code.is_empty() && again.text.contains("hello"), "{name}: {}", again.text);
        // The key of an answer opens no other.
        turned_away(&mut caller, CLOSED, Some("kept"));
        let mut codes = refused(&home, &principal);
        assert_eq!(codes.pop().as_deref(), Some("denied.too-many"), "{name}");
        assert!(codes.len() == most && codes.iter().all(|code| code == "denied.policy"), "{name}: {}", codes.len());
        // Whoever is beside it is served.
        let mut beside = Caller { server: &server, token: honest.clone(), lines: None };
        assert!(WAYS[0].1(&mut beside, OPEN, None).text.contains("hello"), "{name}");
        assert_eq!(WAYS[0].1(&mut beside, CLOSED, None).code, "denied.policy", "{name}");
        if *name == "http" {
            // It is the principal, and not its token; and what is not there is not told apart.
            let other = Caller { server: &server, token: another.clone(), lines: None };
            for body in [&call(OPEN), r#"{"tool":"files","function":"none"}"#, r#"{"tool":"none"}"#] {
                assert_eq!(of_http(&post(&other, "", body, None)).code, "denied.too-many", "{body}");
            }
        }
        flooded.push((*name, *way, caller, last));
    }
    let metrics = server.ask("GET", "/metrics", Some(&operator), "");
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let turned_away = metrics
        .lines()
        .find_map(|line| line.strip_prefix("ringfence_calls_turned_away_total{code=\"denied.too-many\"} "));
    assert_eq!(turned_away, Some("21"), "{metrics}");
    // Whoever comes when they were told to is served: the time is what `Retry-After` said, and nothing shows that it is over.
    let longest = flooded.iter().map(|(.., last)| *last).max().expect("ways");
    std::thread::sleep(Duration::from_secs(longest));
    for (name, way, mut caller, _) in flooded {
        assert!(way(&mut caller, OPEN, None).text.contains("hello"), "{name}");
        assert_eq!(way(&mut caller, CLOSED, None).code, "denied.policy", "{name}");
        if let Some(lines) = caller.lines {
            assert_eq!(lines.leave(), 0);
        }
    }
    assert_eq!(server.stop(), 0);
    home.configure("");
    home.is_well();
}

#[test]
fn few_large_refusals_fill_no_disk() {
    // AUD-20: of a call that is refused its input is kept, twice.
    let home = home();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let large = format!("/docs/{}", "x".repeat(3_000_000));
    let asked = limits::DENIED_BYTES_PER_MINUTE_MAX / 3_000_000 + 1;
    for _ in 0..asked {
        server.ask("POST", "/v1/calls", Some(&mine), &call(&large)).is(403);
    }
    assert_eq!(server.ask("POST", "/v1/calls", Some(&mine), &call(&large)).is(429)["code"], "denied.too-many");
    let size = |name: &str| std::fs::metadata(home.path().join(name)).map_or(0, |file| file.len());
    let before = size("log.sqlite") + size("log.sqlite-wal");
    for _ in 0..asked {
        server.ask("POST", "/v1/calls", Some(&mine), &call(&large)).is(429);
    }
    assert!(size("log.sqlite") + size("log.sqlite-wal") <= before + 1_000_000);
    assert_eq!(server.stop(), 0);
    home.configure("");
    home.is_well();
}

#[test]
fn calls_beyond_their_rate_fill_no_disk() {
    // AUD-20: a limit on use bounds the calls that run, and not those that it refuses.
    let home = reading();
    let limit = "{ scope = 'principal', window = 'day', calls = 2 }";
    extend(&home, &format!("[policies.rate-limit]\nsettings = {{ permits = true, limits = [{limit}] }}\n"));
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let ask = || server.ask("POST", "/v1/calls", Some(&mine), &call("/docs/a.txt"));
    let statuses: Vec<_> = (0..limits::DENIED_PER_MINUTE_MAX + 10).map(|_| ask().status).collect();
    let counted = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((counted(200), counted(403), counted(429)), (2, limits::DENIED_PER_MINUTE_MAX as usize, 8));
    assert_eq!(refused(&home, "agent:a").len(), limits::DENIED_PER_MINUTE_MAX as usize + 1);
    assert_eq!(server.stop(), 0);
    home.is_well();
}
