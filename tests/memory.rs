//! A log in memory: what works with it, what it leaves alone, and what refuses it.

use std::fs;
use std::time::Duration;

use ringfence_artifacts as guests;
use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Raw;
use crate::harness::server::Server;
use crate::harness::server::eventually;
use crate::harness::server::extend;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::token;

const READ: [&str; 5] = ["call", "files", "read", "--input", r#"{"path":"/docs/a.txt"}"#];

/// A home with a tool, and its log in memory.
fn passing() -> Home {
    let home = reading();
    extend(&home, "[log]\nstore = 'memory'\n");
    home
}

/// The home's own log and its head, byte for byte.
fn kept(home: &Home) -> [Vec<u8>; 2] {
    ["log.sqlite", "log.head"].map(|name| fs::read(home.path().join(name)).expect("a file"))
}

/// The key that the operator is told of, once.
fn key(stderr: &str) -> String {
    let told: Vec<_> = stderr.lines().filter(|line| line.contains("the log is in memory")).collect();
    let [told] = told[..] else { panic!("not once: {stderr}") };
    assert!(told.contains("it is gone when this process ends"), "{told}");
    told.split('`').nth(1).expect("a key").to_owned()
}

#[test]
fn log_in_memory_ends_with_its_process() {
    // AUD-07, AUD-08: nothing of the log on disk is used for it, so there is nothing that it could contradict.
    let home = reading();
    let (before, entries) = (kept(&home), home.entries().len());
    let configuration = fs::read_to_string(home.path().join("ringfence.toml")).expect("a configuration");
    extend(&home, "[log]\nstore = 'memory'\n");
    let receipt = home.folder("receipts").join("receipt.json").display().to_string();
    let call = |more: &[&str]| home.run(READ.iter().chain(more).chain(&["--format", "json"]));
    let first = call(&["--idempotency-key", "k", "--receipt", &receipt]);
    assert_eq!(first.code(0).json()["outcome"]["value"], "hello");
    let key = key(&first.stderr);
    home.run(["receipt", "verify", &receipt, "--key", &key]).code(0);
    // By no key of the home's.
    home.run(["receipt", "verify", &receipt]).code(1).says("--key");
    let second = call(&["--idempotency-key", "k"]);
    assert_ne!(first.code(0).json()["call"], second.code(0).json()["call"], "the key was remembered");
    assert_eq!(first.json()["receipt"]["index"], second.json()["receipt"]["index"], "it began empty");
    assert_ne!(key, self::key(&second.stderr), "two logs have one key");
    let ran = home.run(["run", guests::TOOL_ECHO, "nothing"]);
    self::key(&ran.code(0).stderr);
    assert_eq!(kept(&home), before);
    home.configure(&configuration);
    assert_eq!(home.entries().len(), entries);
    home.is_well();
}

#[test]
fn server_keeps_its_log_while_it_lives() {
    let home = passing();
    let before = kept(&home);
    let mine = token(&home, "mine", "agent:a", "audit,call,operate,session");
    let server = Server::new(&home);
    let ask = |key: &str| {
        let headers = format!("host: {}\r\nauthorization: Bearer {mine}\r\nidempotency-key: {key}\r\n", server.address);
        server.ask_with("POST", "/v1/calls", &headers, &read()).is(200)
    };
    let get = |path: &str| server.ask("GET", path, Some(&mine), "");
    let first = ask("k");
    assert_eq!(first["outcome"]["value"], "hello");
    let session = server.ask("POST", "/v1/sessions", Some(&mine), r#"{"name":"s"}"#).is(201)["session"].clone();
    // It is let go, so that others can use the home, and is there again.
    std::thread::sleep(Duration::from_millis(4 * limits::LOG_LINGER_MS));
    home.run(["tool", "add", guests::TOOL_ECHO]).code(0);
    assert_eq!(ask("k")["call"], first["call"], "the key was forgotten");
    // Nor does it begin anew where the configuration is read.
    let told = server.hang_up();
    assert!(told.iter().any(|note| note.contains("policies and tools were read anew")), "{told:?}");
    assert_eq!(ask("k")["call"], first["call"], "the key was forgotten");
    let echo = json!({ "tool": "echo", "function": "string", "input": { "value": "x" } }).to_string();
    server.ask("POST", "/v1/calls", Some(&mine), &echo).is(200);
    let open = get("/v1/sessions").is(200);
    assert!(open.as_array().expect("a list").iter().any(|open| open["session"] == session), "{open}");
    let entries = get("/v1/log/entries?limit=100").is(200);
    let calls =
        |entries: &Value, kind: &str| entries.as_array().expect("a list").iter().filter(|e| e["kind"] == kind).count();
    assert_eq!(calls(&entries, "begun"), 2, "{entries}");
    // All of it under a checkpoint, by the key that the first entry names.
    let last = entries.as_array().expect("a list").len() - 1;
    eventually(200, || get(&format!("/v1/log/entries/{last}/proof")));
    let proof = home.file("proof.json", get(&format!("/v1/log/entries/{last}/proof")).body).display().to_string();
    let key = entries[0]["body"]["key"].as_str().expect("a key").to_owned();
    home.run(["receipt", "verify", &proof, "--key", &key]).code(0);
    get(&format!("/v1/log/consistency?from=1&to={}", last + 1)).is(200);
    assert_eq!(get("/v1/log/checkpoint").status, 200);
    assert_eq!(server.stop(), 0);
    let server = Server::new(&home);
    let anew = server.ask("GET", "/v1/log/entries?limit=100", Some(&mine), "").is(200);
    assert_eq!(calls(&anew, "begun"), 0, "{anew}");
    assert_eq!(server.stop(), 0);
    assert_eq!(kept(&home), before);
}

#[test]
fn agents_on_lines_use_a_log_in_memory() {
    let home = passing();
    let before = kept(&home);
    let mut raw = Raw::initialized(&home, &["--as", "agent:a"]);
    let call = json!({ "name": "files_read", "arguments": { "path": "/docs/a.txt" },
        "_meta": { "ringfence/idempotency-key": "k" } });
    let first = raw.ask("tools/call", &call)["result"].clone();
    assert_eq!(first["structuredContent"], json!({ "result": "hello" }));
    std::thread::sleep(Duration::from_millis(4 * limits::LOG_LINGER_MS));
    let again = raw.ask("tools/call", &call)["result"].clone();
    assert_eq!(again["_meta"]["ringfence/call"], first["_meta"]["ringfence/call"]);
    assert_eq!(raw.leave(), 0);
    assert_eq!(kept(&home), before);
}

#[test]
fn what_outlasts_a_process_refuses_a_log_in_memory() {
    let home = passing();
    let before = kept(&home);
    let at = |name: &str| home.folder("to").join(name).display().to_string();
    let (backup, published, receipt) = (at("backup"), at("www"), home.file("receipt.json", "{}").display().to_string());
    let (call, approval) = (format!("call_{}", "0".repeat(32)), format!("apr_{}", "0".repeat(32)));
    let session = format!("ses_{}", "0".repeat(32));
    for args in [
        &["log", "verify"][..],
        &["log", "show"],
        &["log", "export"],
        &["log", "checkpoint"],
        &["log", "publish", "--to", &published],
        &["log", "prove", "0"],
        &["log", "prove", "--from", "0"],
        &["log", "prune"],
        &["ledger", "list"],
        &["ledger", "settle", &call, "--committed", "--reason", "x"],
        &["bundle", "--call", &call],
        &["backup", &backup],
        &["key", "rotate"],
        &["approvals"],
        &["approve", &approval],
        &["reject", &approval],
        &["session", "list"],
        &["session", "show", &session],
        &["policy", "replay"],
        &["receipt", "complete", &receipt],
        &["diff", &call, &call],
    ] {
        let ran = home.run(args);
        assert!(ran.code != 2, "{args:?} is no command: {}", ran.stderr);
        let message = home.refuses(args, 1);
        assert!(message.contains("is in memory, and this process has none of an earlier one"), "{args:?}: {message}");
    }
    assert_eq!(kept(&home), before);
    assert!(!home.folder("to").join("backup").exists() && !home.folder("to").join("www").exists());
    // What stops everything stops it here as well.
    home.run(["halt", "--reason", "x"]).code(0).says("on record nowhere");
    assert!(home.refuses(READ, 3).contains("halted"));
    home.run(["resume", "--reason", "x"]).code(0);
    home.run(READ).code(0);
    let doctor = home.run(["doctor"]);
    assert!(doctor.code(0).text().contains("ok      store     memory: empty at each start"), "{}", doctor.text());
    assert!(doctor.text().contains("ok      head      none"), "{}", doctor.text());
}

#[test]
fn log_in_memory_stands_alone() {
    let home = Home::none();
    let init = ["init", "--origin", "test.example/log", "--store", "memory"];
    assert!(home.refuses(init.iter().chain(&["--head", "log.head"]), 2).contains("a log in memory has no head"));
    home.run(init).code(0);
    let table = fs::read_to_string(home.path().join("ringfence.toml")).expect("a configuration");
    assert!(table.contains("[log]\nstore = \"memory\"\n"), "{table}");
    home.run(["run", guests::TOOL_ECHO, "nothing"]).code(0).says("the log is in memory");
    for (more, why) in [
        ("head = 'elsewhere'\n", "`head` can't be set beside `store = \"memory\"`"),
        ("[log.retention]\nmax-age-days = 1\n", "as long as its process lives"),
    ] {
        home.configure(&format!("{table}{more}"));
        assert!(home.refuses(["run", guests::TOOL_ECHO, "nothing"], 1).contains(why), "{more}");
    }
    // The log on disk was there all the time.
    home.configure("");
    home.is_well();
}
