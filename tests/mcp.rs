//! `ringfence mcp` as agents meet it: with the protocol's own client, and with lines that no client would write.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts as guests;
use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Agent;
use crate::harness::agent::Raw;

/// Spins until it is stopped.
const SPINNER: &str = r#"(component
    (core module $m (func (export "spin") (loop $forever (br $forever))))
    (core instance $i (instantiate $m))
    (func (export "spin") (canon lift (core func $i "spin"))))"#;

/// A component of many functions, all of them the same.
fn wide(functions: usize) -> String {
    let export = |index: usize| format!(r#"(func (export "f{index}") (canon lift (core func $i "f")))"#);
    let exports: String = (0..functions).map(export).collect();
    format!(r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m)) {exports})"#)
}

fn extend(home: &Home, lines: &str) {
    let path = home.path().join("ringfence.toml");
    let config = fs::read_to_string(&path).expect("the configuration");
    home.configure(&format!("{config}\n{lines}"));
}

/// A home with `files` registered to read one folder.
fn reading() -> Home {
    let home = Home::new();
    home.file("docs/a.txt", "hello");
    home.run(["tool", "add", guests::TOOL_FILES]).code(0);
    extend(&home, &format!("[tools.files.grant]\nfolders = ['{}']\n", home.dir("docs", "/docs", "ro")));
    home
}

/// A home with `files` registered to write to one folder, in ring 2.
fn writing() -> Home {
    let home = Home::new();
    home.run(["tool", "add", guests::TOOL_FILES]).code(0);
    let ring = "signer = \"none\"\nring = 2\n";
    let config = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    home.configure(&config.replace("signer = \"none\"\n", ring));
    extend(&home, &format!("[tools.files.grant]\nfolders = ['{}']\n", home.dir("out", "/out", "rw")));
    home
}

fn read() -> Value {
    json!({ "path": "/docs/a.txt" })
}

fn write() -> Value {
    json!({ "path": "/out/a", "content": "b" })
}

/// The lines an agent reads of a result that is an error.
#[track_caller]
fn text(result: &Value) -> String {
    assert_eq!(result["isError"], true, "{result}");
    assert_eq!(result["structuredContent"], Value::Null, "{result}");
    result["content"][0]["text"].as_str().expect("a text").to_owned()
}

fn last(home: &Home, kind: &str) -> Value {
    home.entries().into_iter().rev().find(|entry| entry["kind"] == kind).expect("an entry")
}

#[test]
fn registered_functions_are_shown_as_tools() {
    let home = reading();
    let agent = Agent::new(&home, &[]);
    let tools = agent.tools();
    let read = tools.iter().find(|tool| tool["name"] == "files_read").expect("a tool");
    assert_eq!((&read["inputSchema"]["type"], &read["inputSchema"]["required"]), (&json!("object"), &json!(["path"])));
    assert_eq!(read["outputSchema"]["properties"]["result"]["type"], "string", "{read}");
    assert!(read["description"].as_str().is_some_and(|text| !text.is_empty()));
    let hints =
        json!({ "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false });
    assert_eq!(read["annotations"], hints);
    let listed = home.run(["tool", "list", "--format", "json"]).code(0).json();
    assert_eq!(read["_meta"]["ringfence/digest"], listed[0]["digest"]);
    assert_eq!((&read["_meta"]["ringfence/ring"], &read["_meta"]["ringfence/effect"]), (&json!(3), &json!("reads")));
    // In ring 3 nothing is written, so a function that writes is not offered there.
    assert!(!agent.names().contains(&"files_write".to_owned()));
    assert_eq!(agent.leave(), 0);
    let home = writing();
    let agent = Agent::new(&home, &[]);
    let tools = agent.tools();
    let write = tools.iter().find(|tool| tool["name"] == "files_write").expect("a tool");
    assert_eq!(
        (&write["annotations"]["readOnlyHint"], &write["annotations"]["destructiveHint"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(agent.leave(), 0);
}

#[test]
fn names_fit_every_client() {
    // AGT-02
    let home = Home::new();
    let long = "a".repeat(64);
    for (name, file) in [("echo", guests::TOOL_ECHO), ("table", guests::TOOL_TABLE), ("lines", guests::TOOL_LINES)] {
        home.run(["tool", "add", file, "--name", name]).code(0);
    }
    home.run(["tool", "add", guests::TOOL_FILES, "--name", &long]).code(0);
    let names = || {
        let agent = Agent::new(&home, &[]);
        let names = agent.names();
        agent.leave();
        names
    };
    let first = names();
    let fits = |name: &String| {
        name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    assert!(first.len() > 10 && first.iter().all(fits), "{first:?}");
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len());
    // Another tool more or less changes no name.
    home.run(["tool", "remove", "echo"]).code(0);
    let without: Vec<_> = first.iter().filter(|name| !name.starts_with("echo_")).cloned().collect();
    assert_eq!(names(), without);
}

#[test]
fn call_answers_with_what_is_on_record() {
    let home = reading();
    for agent in [Agent::new(&home, &["--as", "agent:one"]), Agent::discovering(&home, &["--as", "agent:one"])] {
        let result = agent.call("files_read", read());
        assert_eq!((&result["structuredContent"], &result["isError"]), (&json!({ "result": "hello" }), &json!(false)));
        assert_eq!(result["content"][0]["text"], "hello");
        let listed = agent.call("files_list", json!({ "path": "/docs" }));
        assert_eq!(listed["structuredContent"]["result"][0]["name"], "a.txt");
        assert_eq!(agent.leave(), 0);
        // The entry that the result names is the call's, judged by the policies in force, and under a checkpoint.
        let entries = home.entries();
        let index = usize::try_from(result["_meta"]["ringfence/entry"].as_u64().expect("an index")).expect("small");
        assert_eq!(entries[index]["body"]["call"], result["_meta"]["ringfence/call"]);
        let begun = &entries[index - 1]["body"];
        assert_eq!((&begun["principal"], &begun["decision"]["allowed"]), (&json!("agent:one"), &json!(true)));
        assert_eq!(begun["decision"]["rulings"][0]["name"], "ring-default");
    }
    home.is_well();
}

#[test]
fn every_shape_can_be_called() {
    let home = Home::new();
    for file in [guests::TOOL_LINES, guests::TOOL_TABLE, guests::TOOL_ECHO] {
        home.run(["tool", "add", file]).code(0);
    }
    let agent = Agent::new(&home, &[]);
    let lines = agent.call("lines_run", json!({ "arguments": ["-n"], "stdin": "a\nb\nc\n" }));
    assert_eq!((&lines["structuredContent"]["exit_code"], &lines["isError"]), (&json!(0), &json!(false)), "{lines}");
    assert!(lines["structuredContent"]["stdout"].as_str().is_some_and(|out| out.contains('3')), "{lines}");
    let failed = agent.call("lines_run", json!({ "arguments": ["/not/there"] }));
    assert!(text(&failed).contains("[tool.error]"), "{failed}");
    let echoed = agent.call("echo_string", json!({ "value": "x" }));
    assert_eq!(echoed["structuredContent"], json!({ "result": "x" }));
    // Integers of 64 bits keep every digit on the way in and out.
    let echoed = agent.call("echo_u64", json!({ "value": u64::MAX }));
    assert_eq!(echoed["structuredContent"]["result"], json!(u64::MAX), "{echoed}");
    let described: Vec<_> = agent.names().into_iter().filter(|name| name.starts_with("table_")).collect();
    assert!(!described.is_empty());
    let odd = agent.call("lines_run", json!({ "arguments": [7] }));
    assert!(text(&odd).contains("[caller.bad-input]"), "{odd}");
    assert_eq!(agent.leave(), 0);
    home.is_well();
}

#[test]
fn refusals_say_what_to_do() {
    let home = reading();
    let agent = Agent::new(&home, &[]);
    for (name, arguments, wanted) in [
        ("files_read", json!({ "path": 7 }), ["[caller.bad-input]", "correct the arguments", "\"path\""]),
        ("files_read", json!({}), ["[caller.bad-input]", "nothing has run", "\"required\""]),
        (
            "files_read",
            json!({ "path": "/docs/none" }),
            ["[tool.error]", "the tool says so itself", "change the input"],
        ),
    ] {
        let result = agent.call(name, arguments);
        let text = text(&result);
        assert!(wanted.iter().all(|wanted| text.contains(wanted)), "{text}");
        assert_eq!(result["_meta"]["ringfence/error"]["code"].as_str().map(|code| text.contains(code)), Some(true));
    }
    // What is not there is a fault of the protocol, and so is what may not be seen.
    for name in ["files_write", "files_nothing", "", "\u{202e}"] {
        let error = agent.try_call(name, json!({}), None).expect_err(name).to_string();
        assert!(error.contains("-32602") && !error.contains('\u{202e}'), "{error}");
    }
    assert_eq!(agent.leave(), 0);
    let entries = home.entries();
    let refused = entries.iter().filter(|entry| entry["kind"] == "refused");
    let codes: Vec<_> = refused.filter_map(|entry| entry["body"]["code"].as_str()).collect();
    assert_eq!(codes, [["caller.bad-input"; 2].as_slice(), &["caller.unknown-function"; 4]].concat());
    home.is_well();
}

#[test]
fn policy_forbids_over_the_protocol_too() {
    let home = reading();
    extend(&home, "[policies.ring-default]\n[policies.path-scope]\nsettings = { roots = [\"/elsewhere\"] }\n");
    let agent = Agent::new(&home, &["--as", "agent:two"]);
    let text = text(&agent.call("files_read", read()));
    assert!(text.contains("[denied.policy]") && text.contains("a policy forbids this call"), "{text}");
    // An agent is not told of the operator's files.
    assert!(!text.contains("ringfence.toml") && !text.contains(&home.path().display().to_string()), "{text}");
    agent.leave();
    let refused = last(&home, "refused");
    assert_eq!(
        (&refused["body"]["principal"], &refused["body"]["decision"]["allowed"]),
        (&json!("agent:two"), &json!(false))
    );
}

#[test]
fn held_call_runs_once_after_approval() {
    // The server runs all along: the log is not its alone.
    let home = writing();
    let component = guests::HOSTILE_POLICY_SCRIPTED;
    let settings = r#"{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "x" }] }"#;
    extend(&home, &format!("[policies.scripted]\ncomponent = \"{component}\"\nsettings = {settings}\n"));
    let agent = Agent::new(&home, &["--as", "agent:three"]);
    let held = agent.call_once("files_write", write(), "k");
    let lines = text(&held);
    let id = held["_meta"]["ringfence/error"]["value"]["approval"].as_str().expect("an id").to_owned();
    assert!(
        lines.contains("[denied.approval]") && lines.contains(&id) && lines.contains("same idempotency key"),
        "{lines}"
    );
    assert!(!home.folder("out").join("a").exists());
    home.run(["approve", &id]).code(0);
    let written = agent.call_once("files_write", write(), "k");
    assert_eq!(written["isError"], false, "{written}");
    assert_eq!(fs::read_to_string(home.folder("out").join("a")).expect("written"), "b");
    // Under its key the answer stays; without it, somebody is asked again.
    let again = agent.call_once("files_write", write(), "k");
    assert_eq!(again["_meta"]["ringfence/call"], written["_meta"]["ringfence/call"]);
    assert!(text(&agent.call("files_write", write())).contains("[denied.approval]"));
    assert_eq!(agent.leave(), 0);
}

#[test]
fn key_makes_a_call_once() {
    let home = writing();
    let agent = Agent::new(&home, &[]);
    let first = agent.call_once("files_write", write(), "order 1");
    fs::write(home.folder("out").join("a"), "changed").expect("written");
    let again = agent.call_once("files_write", write(), "order 1");
    assert_eq!(first["_meta"], again["_meta"]);
    assert_eq!(fs::read_to_string(home.folder("out").join("a")).expect("a file"), "changed");
    let other = agent.call_once("files_write", json!({ "path": "/out/b", "content": "" }), "order 1");
    assert!(text(&other).contains("[denied.idempotency-conflict]"), "{other}");
    for key in ["", "\n", &"k".repeat(300)] {
        let error = agent.try_call("files_write", write(), Some(key)).expect_err("no key").to_string();
        assert!(error.contains("-32602") && error.contains("idempotency-key"), "{error}");
    }
    agent.leave();
}

#[test]
fn session_narrows_what_is_listed() {
    let home = writing();
    home.run(["tool", "add", guests::TOOL_ECHO]).code(0);
    let open = |ring: &str| {
        let opened = home.run(["session", "open", "s", "--as", "agent:four", "--ring", ring, "--format", "json"]);
        opened.code(0).json()["session"].as_str().expect("an id").to_owned()
    };
    let (wide, narrow) = (open("2"), open("3"));
    let agent = Agent::new(&home, &["--session", &wide]);
    assert!(agent.names().contains(&"files_write".to_owned()) && agent.names().contains(&"echo_string".to_owned()));
    agent.leave();
    for args in [["--session", &narrow], ["--ring", "3"]] {
        let agent = Agent::new(&home, &args);
        let names = agent.names();
        assert!(names.iter().all(|name| name.starts_with("echo_")) && !names.is_empty(), "{args:?}: {names:?}");
        assert!(agent.try_call("files_write", write(), None).is_err());
        assert_eq!(agent.call("echo_string", json!({ "value": "x" }))["isError"], false);
        if args[0] == "--session" {
            // A session that is closed meanwhile leaves nothing, now and not at the next start.
            home.run(["session", "close", &narrow]).code(0);
            assert_eq!(agent.names(), Vec::<String>::new());
            assert!(agent.try_call("echo_string", json!({ "value": "x" }), None).is_err());
        }
        agent.leave();
    }
    let begun = last(&home, "begun");
    assert_eq!(begun["body"]["session"], Value::Null);
    home.run(["mcp", "--session", &narrow]).code(3).fails_well();
    home.refuses(["mcp", "--as", "operator:root"], 2);
    home.refuses(["mcp", "--tool", "none"], 2);
}

#[test]
fn given_up_call_stops_the_guest() {
    // IDM-10
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    let agent = Agent::new(&home, &["--as", "agent:five"]);
    let started = Instant::now();
    agent.give_up("spinner_spin", json!({}), Duration::from_millis(500));
    assert_eq!(agent.leave(), 0);
    // Ring 3 would have let it spin for thirty seconds.
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    let finished = last(&home, "finished");
    let (code, effect) = (&finished["body"]["code"], &finished["body"]["effect"]);
    assert_eq!((code, effect), (&json!("host.cancelled"), &json!("aborted")));
    home.is_well();
}

#[test]
fn server_that_is_told_to_stop_settles_its_calls() {
    // CR-30
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    for how in ["signal", "end of input"] {
        let mut raw = Raw::initialized(&home, &[]);
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "spinner_spin" } });
        raw.say(&call.to_string());
        std::thread::sleep(Duration::from_millis(700));
        let started = Instant::now();
        let code = if how == "signal" {
            let pid = rustix_pid(raw.pid());
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
            let said = raw.hear()["result"]["content"][0]["text"].to_string();
            assert!(said.contains("the host was told to stop"), "{said}");
            raw.ends()
        } else {
            raw.leave()
        };
        assert_eq!(code, 0, "{how}");
        assert!(started.elapsed() < Duration::from_secs(20), "{how}: {:?}", started.elapsed());
        assert_eq!(last(&home, "finished")["body"]["code"], "host.cancelled", "{how}");
    }
    // Nothing was left for recovery.
    let ran = home.run(["log", "verify"]);
    assert!(!ran.code(0).stderr.contains("cut off"), "{}", ran.stderr);
    home.is_well();
}

#[test]
fn long_lists_come_in_pages() {
    let home = Home::new();
    home.run(["tool", "add", &home.component("wide", &wide(250))]).code(0);
    let mut raw = Raw::initialized(&home, &[]);
    let (mut cursor, mut names, mut pages) = (None, Vec::new(), 0);
    loop {
        let params = cursor.as_ref().map_or(json!({}), |cursor| json!({ "cursor": cursor }));
        let page = raw.ask("tools/list", &params);
        let tools = page["result"]["tools"].as_array().expect("a page");
        assert!(tools.len() <= limits::OFFERS_PER_PAGE_MAX);
        names.extend(tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()));
        (cursor, pages) = (page["result"].get("nextCursor").cloned(), pages + 1);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((names.len(), pages), (250, 3));
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 250);
    for bad in ["", &"c".repeat(65), "é"] {
        assert_eq!(raw.ask("tools/list", &json!({ "cursor": bad }))["error"]["code"], -32_602, "{bad}");
    }
    assert_eq!(raw.leave(), 0);
}

#[test]
fn there_are_the_listed_methods_only() {
    // API-03: every method of the protocol, and some of none. What is in the table answers, what is not does not exist.
    let home = reading();
    let mut raw = Raw::initialized(&home, &[]);
    let methods = [
        "completion/complete",
        "elicitation/create",
        "initialize",
        "logging/setLevel",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/directory/read",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "roots/list",
        "sampling/createMessage",
        "server/discover",
        "skills/get",
        "skills/list",
        "subscriptions/listen",
        "tasks/cancel",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "tasks/update",
        "tools/call",
        "tools/list",
        "rpc.discover",
        "admin/reload",
        "TOOLS/LIST",
        "tools/list/",
        "",
    ];
    let params = json!({ "name": "none", "uri": "skill://a/SKILL.md", "level": "info", "taskId": "1", "ref": { "type": "ref/prompt",
        "name": "x" }, "argument": { "name": "a", "value": "b" }, "notifications": {} });
    for method in methods {
        let code = match method {
            // There since 2026 only: `tests/mcp_versions.rs` has it.
            "subscriptions/listen" => Value::Null,
            _ => raw.ask(method, &params)["error"]["code"].clone(),
        };
        let is_there = code != json!(-32_601);
        assert_eq!(is_there, ringfence_server::mcp::METHODS.contains(&method), "{method}: {code}");
    }
    // Params that are not a method's are the caller's mistake, not a method that is missing.
    assert_eq!(raw.ask("tools/call", &json!({ "name": 7 }))["error"]["code"], -32_602);
    assert_eq!(raw.leave(), 0);
}

#[test]
fn malformed_lines_leave_the_server_alive() {
    // MAL-05
    let home = reading();
    let before = home.entries().len();
    let mut raw = Raw::new(&home, &[]);
    let deep = "[".repeat(100_000);
    let batch = format!("[{}]", vec!["{}"; 100_000].join(","));
    let bomb = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}1{}}}"#,
        r#"{"a":"#.repeat(5_000),
        "}".repeat(5_000)
    );
    let huge = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "m".repeat(limits::MESSAGE_BYTES_MAX));
    for (line, code) in [
        ("", 0),
        ("not json", -32_700),
        (&deep, -32_700),
        (&bomb, -32_700),
        (&batch, -32_600),
        (&huge, -32_600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":1e400,"method":"tools/list"}"#, -32_700),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"tools/list"}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":7,"method":{}}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":[]}"#, -32_602),
        // A call that nobody wants to hear of is not made.
        (
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"files_read","arguments":{"path":"/docs/a.txt"}}}"#,
            0,
        ),
        (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, 0),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#, 0),
        (r#"{"jsonrpc":"2.0","method":"notifications/nonsense"}"#, 0),
    ] {
        raw.say(line);
        let shown: String = line.chars().take(60).collect();
        if code == 0 {
            assert!(raw.is_silent(), "{shown}");
        } else {
            let answer = raw.hear();
            assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
        }
    }
    assert_eq!(home.entries().len(), before, "something has run");
    let hello =
        json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    assert_eq!(raw.ask("initialize", &hello)["result"]["protocolVersion"], "2024-11-05");
    let call = json!({ "name": "files_read", "arguments": read() });
    assert_eq!(raw.ask("tools/call", &call)["result"]["content"][0]["text"], "hello");
    assert_eq!(raw.leave(), 0);
    home.is_well();
}

#[test]
fn several_servers_share_one_log() {
    let home = reading();
    let agents: Vec<_> = (0..3).map(|_| Agent::new(&home, &["--as", "agent:six"])).collect();
    std::thread::scope(|scope| {
        for agent in &agents {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(agent.call("files_read", read())["isError"], false);
                }
            });
        }
    });
    // And a command beside them.
    home.run(["call", "files", "read", "--input", r#"{"path":"/docs/a.txt"}"#]).code(0);
    for agent in agents {
        assert_eq!(agent.leave(), 0);
    }
    let finished = home.entries().iter().filter(|entry| entry["kind"] == "finished").count();
    assert_eq!(finished, 16);
    home.is_well();
}

#[test]
fn tool_that_does_not_load_is_left_out() {
    let home = reading();
    home.run(["tool", "add", guests::TOOL_ECHO]).code(0);
    let listed = home.run(["tool", "list", "--format", "json"]).code(0).json();
    let digest =
        listed.as_array().expect("a list").iter().find(|tool| tool["name"] == "echo").expect("echo")["digest"].clone();
    let digits = digest.as_str().and_then(|digest| digest.split(':').nth(1)).expect("digits").to_owned();
    let stored = fs::read_dir(home.path().join("tools")).expect("the store").map(|entry| entry.expect("a file").path());
    let file = stored.into_iter().find(|path| path.display().to_string().contains(&digits)).expect("the component");
    fs::write(&file, b"another").expect("written");
    let agent = Agent::new(&home, &[]);
    assert!(agent.names().iter().all(|name| name.starts_with("files_")));
    assert_eq!(agent.call("files_read", read())["isError"], false);
    agent.leave();
    home.refuses(["mcp", "--tool", "echo"], 1);
}

fn rustix_pid(pid: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid")
}

#[test]
fn session_that_others_close_changes_the_list() {
    // The list of a session follows what is done to it elsewhere; an agent without one has nobody look for it.
    let home = reading();
    let opened = home.run(["--format", "json", "session", "open", "s", "--as", "agent:a"]).code(0).json();
    let session = opened["session"].as_str().expect("an id").to_owned();
    let mut raw = Raw::initialized(&home, &["--session", &session]);
    let names = |listed: &Value| listed["result"]["tools"].as_array().map_or(0, Vec::len);
    assert!(names(&raw.ask("tools/list", &json!({}))) > 0);
    home.run(["session", "close", &session]).code(0);
    assert_eq!(raw.hear()["method"], "notifications/tools/list_changed");
    assert_eq!(names(&raw.ask("tools/list", &json!({}))), 0);
    assert_eq!(raw.leave(), 0);
    home.is_well();
}
