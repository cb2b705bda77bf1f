//! Tasks that are made again: a step runs once, whatever carries it.

use std::fs;

use ringfence_artifacts as guests;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Raw;
use crate::harness::server::Server;
use crate::harness::server::extend;
use crate::harness::server::token;

/// A home with `files` registered to write to one folder.
fn writing() -> Home {
    let home = Home::new();
    home.run(["tool", "add", guests::TOOL_FILES]).code(0);
    let config = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    home.configure(&config.replace("[tools.files]\n", "[tools.files]\nring = 2\n"));
    extend(&home, &format!("[tools.files.grant]\nfolders = ['{}']\n", home.dir("out", "/out", "rw")));
    home
}

/// A call of a step that writes `content`.
fn step(task: Option<&str>, step: Option<&str>, content: &str) -> Value {
    let input = json!({ "path": "/out/a", "content": content });
    let mut body = json!({ "tool": "files", "function": "write", "input": input });
    for (name, value) in [("task", task), ("step", step)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    body
}

/// The same as a message of MCP.
fn message(meta: &Value, content: &str) -> String {
    let arguments = json!({ "path": "/out/a", "content": content });
    let params = json!({ "name": "files_write", "arguments": arguments, "_meta": meta });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}

fn called(answer: &Value) -> &Value {
    &answer["result"]["_meta"]["ringfence/call"]
}

#[test]
fn step_runs_once_whatever_carries_it() {
    // IDM-01, IDM-02
    let home = writing();
    let (mine, theirs) = (token(&home, "mine", "agent:a", "call"), token(&home, "theirs", "agent:b", "call"));
    let server = Server::new(&home);
    let call = |token: &str, body: &Value| server.ask("POST", "/v1/calls", Some(token), &body.to_string());
    let mcp = |meta: &Value, content: &str| server.ask("POST", "/mcp", Some(&mine), &message(meta, content)).is(200);
    let first = call(&mine, &step(Some("t"), Some("1"), "one")).is(200);
    let written = || fs::read_to_string(home.folder("out").join("a")).expect("a file");
    fs::write(home.folder("out").join("a"), "changed since").expect("a file");
    let again = call(&mine, &step(Some("t"), Some("1"), "one")).is(200);
    assert_eq!((&again["call"], written()), (&first["call"], "changed since".to_owned()));
    // Over MCP it is the same step, and on the command line.
    let over_mcp = mcp(&json!({ "ringfence/task": "t", "ringfence/step": "1" }), "one");
    assert_eq!(called(&over_mcp), &first["call"], "{over_mcp}");
    let input = r#"{"path":"/out/a","content":"one"}"#;
    let args = ["call", "files", "write", "--as", "agent:a", "--task", "t", "--step", "1", "--input", input];
    assert_eq!(home.run(["--format", "json"].iter().chain(&args)).code(0).json()["call"], first["call"]);
    assert_eq!(written(), "changed since");
    // Another input is a conflict.
    assert_eq!(call(&mine, &step(Some("t"), Some("1"), "other")).is(409)["code"], "denied.idempotency-conflict");
    let conflict = mcp(&json!({ "ringfence/task": "t", "ringfence/step": "1" }), "other");
    assert_eq!(conflict["result"]["_meta"]["ringfence/error"]["code"], "denied.idempotency-conflict", "{conflict}");
    // Without a name a step goes by its function.
    let named = call(&mine, &step(Some("t"), None, "two")).is(200);
    assert_eq!(call(&mine, &step(Some("t"), Some("files/write"), "two")).is(200)["call"], named["call"]);
    assert_eq!(called(&mcp(&json!({ "ringfence/task": "t" }), "two")), &named["call"]);
    // Another step, task or principal is another call.
    for (token, task, name) in [(&mine, "t", "2"), (&mine, "u", "1"), (&theirs, "t", "1")] {
        assert_ne!(call(token, &step(Some(task), Some(name), "one")).is(200)["call"], first["call"], "{task} {name}");
    }
    assert_eq!(server.stop(), 0);
    // On lines as well.
    let mut raw = Raw::initialized(&home, &["--as", "agent:a"]);
    raw.say(&message(&json!({ "ringfence/task": "t", "ringfence/step": "1" }), "one"));
    assert_eq!(called(&raw.hear()), &first["call"]);
    assert_eq!(raw.leave(), 0);
    home.is_well();
}

#[test]
fn step_without_a_task_is_refused() {
    // IDM-04
    let home = writing();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let before = home.entries().len();
    let headers = format!("host: {}\r\nauthorization: Bearer {mine}\r\n", server.address);
    let keyed = format!("{headers}idempotency-key: k\r\n");
    for (headers, body, why) in [
        (&headers, step(None, Some("1"), "x"), "`step` is nothing without `task`"),
        (&headers, step(Some("t"), Some(""), "x"), "`step` has 1 to 256 bytes"),
        (&headers, step(Some(""), None, "x"), "`task`: "),
        (&headers, step(Some("\u{e9}"), None, "x"), "`task`: "),
        (&keyed, step(Some("t"), None, "x"), "`idempotency-key` and `task` can't both say which call this is"),
    ] {
        let problem = server.ask_with("POST", "/v1/calls", headers, &body.to_string()).is(400);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.starts_with(why)), "{problem}");
    }
    for meta in [
        json!({ "ringfence/step": "1" }),
        json!({ "ringfence/task": 7 }),
        json!({ "ringfence/task": "t", "ringfence/idempotency-key": "k" }),
    ] {
        let refused = server.ask("POST", "/mcp", Some(&mine), &message(&meta, "x")).json();
        assert_eq!(refused["error"]["code"], -32_602, "{refused}");
    }
    assert_eq!(home.entries().len(), before, "something was called");
    assert_eq!(server.stop(), 0);
    home.is_well();
}
