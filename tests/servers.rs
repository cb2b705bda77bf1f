//! Several servers with one log in a database: a session, a key, a task and an approval are the same at each of them, and
//! when one is killed another goes on and settles what it was at.

use std::fs;
use std::thread;
use std::time::Duration;

use ringfence_artifacts as guests;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::postgres::Database;
use crate::harness::server::Answer;
use crate::harness::server::Server;
use crate::harness::server::eventually;
use crate::harness::server::extend;
use crate::harness::server::token;
use crate::record::copy;
use crate::record::effect;
use crate::record::effects;
use crate::record::rw;
use crate::record::wait_for;

/// Two homes with one log, the same tools and the same tokens.
struct Pair {
    homes: [Home; 2],
    agent: String,
    operator: String,
    auditor: String,
    _database: Database,
}

impl Pair {
    fn new() -> Self {
        let database = Database::new();
        let one = Home::made_with(&["--store", &database.url()]);
        one.run(["tool", "add", guests::TOOL_FILES]).code(0);
        one.run(["tool", "add", &effect(&one, "(loop $l (br $l))"), "--name", "endless"]).code(0);
        let config = fs::read_to_string(one.path().join("ringfence.toml")).expect("the configuration");
        let config = config.replace("[tools.files]\n", "[tools.files]\nring = 2\n");
        one.configure(&config.replace("[tools.endless]\n", "[tools.endless]\nring = 2\n"));
        extend(&one, &format!("[tools.files.grant]\nfolders = ['{}']\n", one.dir("out", "/out", "rw")));
        extend(&one, &format!("[tools.endless.grant]\nfolders = ['{}']\n", rw(&one.folder("work"))));
        let agent = token(&one, "agent", "agent:a", "call,session");
        let operator = token(&one, "operator", "operator:o", "approve,operate");
        let auditor = token(&one, "auditor", "service:audit", "audit");
        let other = one.on_another_host();
        copy(&one.path().join("tools"), &other.path().join("tools"));
        fs::copy(one.path().join("tokens.toml"), other.path().join("tokens.toml")).expect("a copy");
        Self { homes: [one, other], agent, operator, auditor, _database: database }
    }

    fn servers(&self) -> [Server; 2] {
        self.homes.each_ref().map(Server::new)
    }

    fn out(&self) -> std::path::PathBuf {
        self.homes[0].folder("out")
    }
}

fn write(file: &str, content: &str) -> Value {
    let input = json!({ "path": format!("/out/{file}"), "content": content });
    json!({ "tool": "files", "function": "write", "input": input })
}

fn keyed(server: &Server, token: &str, key: &str, body: &Value) -> Answer {
    let headers = format!("host: {}\r\nauthorization: Bearer {token}\r\nidempotency-key: {key}\r\n", server.address);
    server.ask_with("POST", "/v1/calls", &headers, &body.to_string())
}

/// Every entry, as a server hands it out.
fn entries(server: &Server, token: &str) -> Value {
    server.ask("GET", "/v1/log/entries", Some(token), "").is(200)
}

#[test]
fn what_one_server_knows_the_other_knows() {
    // IDM-01, IDM-02: sessions, keys, tasks, lists and the log itself.
    let pair = Pair::new();
    let [one, other] = pair.servers();
    let opened =
        one.ask("POST", "/v1/sessions", Some(&pair.operator), r#"{"name":"s","principal":"agent:a","ring":2}"#);
    let session = opened.is(201)["session"].as_str().expect("an id").to_owned();
    let within = |file: &str| {
        let mut body = write(file, "x");
        body["session"] = json!(session);
        body.to_string()
    };
    other.ask("POST", "/v1/calls", Some(&pair.agent), &within("session")).is(200);
    assert!(pair.out().join("session").exists());
    // A key, and a step of a task.
    let first = keyed(&one, &pair.agent, "k", &write("key", "one")).is(200);
    fs::write(pair.out().join("key"), "changed since").expect("a file");
    assert_eq!(keyed(&other, &pair.agent, "k", &write("key", "one")).is(200)["call"], first["call"]);
    let conflict = keyed(&other, &pair.agent, "k", &write("key", "two")).is(409);
    assert_eq!(conflict["code"], "denied.idempotency-conflict");
    let mut step = write("step", "one");
    (step["task"], step["step"]) = (json!("t"), json!("1"));
    let made = one.ask("POST", "/v1/calls", Some(&pair.agent), &step.to_string()).is(200);
    fs::remove_file(pair.out().join("step")).expect("a file");
    assert_eq!(other.ask("POST", "/v1/calls", Some(&pair.agent), &step.to_string()).is(200)["call"], made["call"]);
    assert_eq!(fs::read_to_string(pair.out().join("key")).expect("a file"), "changed since");
    assert!(!pair.out().join("step").exists());
    // What there is to call, and what has happened.
    let tools = |server: &Server| server.ask("GET", "/v1/tools", Some(&pair.agent), "").is(200);
    assert_eq!(tools(&one), tools(&other));
    assert_eq!(entries(&one, &pair.auditor), entries(&other, &pair.auditor));
    let authorized = format!("authorization: Bearer {}\r\n", pair.auditor);
    let mut streams = [&one, &other].map(|server| server.events("GET", "/v1/events?from=0", &authorized, ""));
    let count = entries(&one, &pair.auditor).as_array().map_or(0, Vec::len);
    let [here, there] = streams.each_mut().map(|stream| (0..count).map(|_| stream.next()).collect::<Vec<_>>());
    assert_eq!(here, there);
    // A session that is closed at one is closed at the other.
    other.ask("DELETE", &format!("/v1/sessions/{session}"), Some(&pair.operator), "").is(200);
    one.ask("POST", "/v1/calls", Some(&pair.agent), &within("closed")).is(404);
    assert!(!pair.out().join("closed").exists());
    drop(streams);
    assert_eq!((one.stop(), other.stop()), (0, 0));
    for home in &pair.homes {
        home.run(["log", "verify"]).code(0);
    }
}

#[test]
fn approval_at_one_server_counts_at_the_other() {
    // POL-16, POL-22: once, wherever it is made use of.
    let pair = Pair::new();
    let component = guests::HOSTILE_POLICY_SCRIPTED;
    let settings = r#"{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "x" }] }"#;
    for home in &pair.homes {
        extend(home, &format!("[policies.scripted]\ncomponent = \"{component}\"\nsettings = {settings}\n"));
    }
    let [one, other] = pair.servers();
    let body = write("approved", "x").to_string();
    let call = |server: &Server| server.ask("POST", "/v1/calls", Some(&pair.agent), &body);
    let held = call(&one).is(403);
    let id = held["value"]["approval"].as_str().expect("an approval").to_owned();
    assert_eq!(call(&other).is(403)["value"]["approval"], held["value"]["approval"], "it is the same question");
    let shown = other.ask("GET", &format!("/v1/approvals/{id}"), Some(&pair.operator), "").is(200);
    assert_eq!(shown["approval"]["principal"], "agent:a");
    other.ask("POST", &format!("/v1/approvals/{id}/approve"), Some(&pair.operator), "").is(200);
    let answers = thread::scope(|scope| {
        let asked = [&one, &other].map(|server| scope.spawn(|| call(server)));
        asked.map(|asked| asked.join().expect("an answer"))
    });
    let ran = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(ran, 1, "{answers:?}");
    assert!(pair.out().join("approved").exists());
    assert_eq!((one.stop(), other.stop()), (0, 0));
    let begun = pair.homes[0].entries().iter().filter(|entry| entry["kind"] == "begun").count();
    assert_eq!(begun, 1);
}

#[test]
fn checkpoint_of_one_leads_on_at_the_other() {
    // AUD-24
    let pair = Pair::new();
    let [one, other] = pair.servers();
    let size = |server: &Server| {
        let note = server.ask("GET", "/v1/log/checkpoint", Some(&pair.auditor), "");
        let line = String::from_utf8(note.body).expect("a note").lines().nth(1).map(str::to_owned);
        line.and_then(|size| size.parse::<u64>().ok()).unwrap_or_default()
    };
    wait_for(|| size(&other) > 0);
    let before = size(&other);
    one.ask("POST", "/v1/calls", Some(&pair.agent), &write("more", "x").to_string()).is(200);
    wait_for(|| size(&one) > before);
    let path = format!("/v1/log/consistency?from={before}&to={}", size(&one));
    for server in [&one, &other] {
        eventually(200, || server.ask("GET", &path, Some(&pair.auditor), ""));
    }
    assert_eq!((one.stop(), other.stop()), (0, 0));
}

#[test]
fn killed_server_leaves_its_calls_to_another() {
    // CR-31, IDM-05, IDM-06
    let pair = Pair::new();
    let [one, other] = pair.servers();
    let endless = json!({ "tool": "endless" });
    let work = pair.homes[0].folder("work");
    thread::scope(|scope| {
        // Nobody is answered: its server is gone.
        scope.spawn(|| keyed(&one, &pair.agent, "k", &endless));
        wait_for(|| effects(&work) == 1);
        // While it runs, its key is taken, and everybody else is served.
        assert_eq!(keyed(&other, &pair.agent, "k", &endless).is(409)["code"], "denied.in-progress");
        other.ask("POST", "/v1/calls", Some(&pair.agent), &write("meanwhile", "x").to_string()).is(200);
        let pid = Pid::from_raw(i32::try_from(one.pid()).expect("a pid")).expect("a pid");
        kill_process(pid, Signal::KILL).expect("a signal");
    });
    other.ask("POST", "/v1/calls", Some(&pair.agent), &write("after", "x").to_string()).is(200);
    // Once its lease is over, what it was at is settled as of unknown effect, and does not run again.
    // Nobody takes over before its lease of ten seconds is over; one more for a server that is late.
    thread::sleep(Duration::from_secs(11));
    eventually(409, || keyed(&other, &pair.agent, "k", &endless));
    let code = || keyed(&other, &pair.agent, "k", &endless).is(409)["code"].clone();
    wait_for(|| code() == "denied.effect-unknown");
    assert_eq!(effects(&work), 1);
    // The one that was killed comes back, and knows all of it.
    let again = Server::new(&pair.homes[0]);
    assert_eq!(keyed(&again, &pair.agent, "k", &endless).is(409)["code"], "denied.effect-unknown");
    assert_eq!(entries(&again, &pair.auditor), entries(&other, &pair.auditor));
    assert_eq!((again.stop(), other.stop()), (0, 0));
    for home in &pair.homes {
        home.run(["log", "verify"]).code(0);
    }
}
