//! The log over HTTP: the same bytes that `ringfence log` hands out, and what the policies would say.

use std::fs;

use ringfence_artifacts as guests;
use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::server::Server;
use crate::harness::server::eventually;
use crate::harness::server::extend;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::token;
use crate::publish::files;

/// A home whose log has more entries than one tile holds.
pub fn long() -> Home {
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    // Refusals are an entry each.
    let wrong = json!({ "tool": "files", "function": "read", "input": {} }).to_string();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..65).for_each(|_| drop(server.ask("POST", "/v1/calls", Some(&mine), &wrong).is(422))));
        }
    });
    assert_eq!(server.stop(), 0);
    home
}

#[test]
fn log_is_served_as_it_is_published() {
    let home = long();
    let auditor = token(&home, "auditor", "service:audit", "audit");
    let to = home.folder("www").join("log");
    home.run(["log".as_ref(), "publish".as_ref(), "--to".as_ref(), to.as_os_str()]).code(0);
    let (published, lines) = (files(&to), home.run(["log", "export"]).code(0).text());
    let count = lines.lines().count();
    assert!(published.contains_key("tile/entries/000") && published.contains_key("tile/1/000.p/1"), "{published:?}");
    let server = Server::new(&home);
    let get = |path: &str| server.ask("GET", path, Some(&auditor), "");
    for (path, bytes) in &published {
        let given = get(&format!("/v1/log/{path}"));
        assert!(given.status == 200 && given.body == *bytes, "{path}: {}", given.head);
    }
    // A narrower tile is a part of it; a wider one is not there yet, and neither is another spelling.
    assert_eq!(get("/v1/log/tile/0/000.p/3").body, published["tile/0/000"][..96]);
    for path in ["0/001.p/255", "0/001", "entries/002", "0/0", "8/000", "data/000", "0/000.p/256", "0/%30%30%30"] {
        get(&format!("/v1/log/tile/{path}")).is(404);
    }
    // Pages of entries are the lines of an export, whatever their length.
    let (mut path, mut paged) = ("?limit=100".to_owned(), Vec::new());
    loop {
        let answer = get(&format!("/v1/log/entries{path}"));
        paged.extend(answer.is(200).as_array().expect("a list").iter().map(Value::to_string));
        let Some(link) = answer.header("link") else { break };
        path = link.trim_start_matches('<').split('>').next().expect("an address").to_owned();
        assert!(link.ends_with("; rel=\"next\"") && path.contains("limit=100"), "{link}");
    }
    assert_eq!(paged, lines.lines().collect::<Vec<_>>());
    assert_eq!(get("/v1/log/entries").is(200).as_array().map(Vec::len), Some(count.min(limits::LOG_PAGE_ENTRIES_MAX)));
    assert_eq!(get("/v1/log/entries?limit=9999").is(200).as_array().map(Vec::len), Some(limits::LOG_PAGE_ENTRIES_MAX));
    for (index, line) in [0, 7, count - 1].map(|index| (index, lines.lines().nth(index).expect("a line"))) {
        assert_eq!(get(&format!("/v1/log/entries/{index}")).body, line.as_bytes());
        let receipt = get(&format!("/v1/log/entries/{index}/proof"));
        let file = home.file("receipt.json", &receipt.body);
        home.run(["receipt".as_ref(), "verify".as_ref(), file.as_os_str()]).code(0);
        let printed = home.run(["log", "prove", &index.to_string()]).code(0).json();
        assert_eq!(receipt.is(200), printed);
    }
    for path in ["entries/9999", "entries/9999/proof", "entries/07", "entries/+7", "entries/x", "entries/-1"] {
        get(&format!("/v1/log/{path}")).is(404);
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn served_log_proves_that_it_goes_on() {
    let home = reading();
    let (mine, auditor) = (token(&home, "mine", "agent:a", "call"), token(&home, "auditor", "service:audit", "audit"));
    let server = Server::new(&home);
    let get = |path: &str| server.ask("GET", path, Some(&auditor), "");
    let old = get("/v1/log/checkpoint");
    old.is(200);
    let size = String::from_utf8_lossy(&old.body).lines().nth(1).expect("a size").to_owned();
    let called = server.ask("POST", "/v1/calls", Some(&mine), &read()).is(200);
    // What no checkpoint covers yet can't be proven, for a moment.
    eventually(200, || get(&format!("/v1/log/entries/{}/proof", called["entry"])));
    let proof = get(&format!("/v1/log/consistency?from={size}"));
    proof.is(200);
    let (proof, old) = (home.file("proof.json", &proof.body), home.file("old", &old.body));
    home.run([
        "log".as_ref(),
        "verify".as_ref(),
        "--proof".as_ref(),
        proof.as_os_str(),
        "--against".as_ref(),
        old.as_os_str(),
    ])
    .code(0);
    get("/v1/log/consistency").is(400);
    get("/v1/log/consistency?from=x").is(400);
    assert_eq!(get("/v1/log/consistency?from=999999").is(404)["code"], "caller.not-covered");
    assert_eq!(get("/v1/log/consistency?from=1&to=999999").is(404)["code"], "caller.not-covered");
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn explanation_is_that_of_the_command() {
    // API-13: but for where folders lie on the host, which is for the operator alone.
    let home = reading();
    let auditor = token(&home, "auditor", "service:audit", "audit");
    extend(&home, "[policies.path-scope]\nsettings = { roots = [\"/docs\"] }\n[policies.ring-default]\n");
    let server = Server::new(&home);
    let before = home.entries().len();
    let host = home.folder("docs").display().to_string();
    for (path, is_allowed) in [("/docs/a.txt", true), ("/other", false)] {
        let input = json!({ "path": path });
        let body = json!({ "tool": "files", "function": "read", "input": input, "principal": "agent:a" });
        let answer = server.ask("POST", "/v1/policies/explain", Some(&auditor), &body.to_string());
        let mut given = answer.is(200);
        assert_eq!(given["allowed"], is_allowed, "{given}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(&host));
        let input = input.to_string();
        let args = ["--format", "json", "policy", "explain", "files", "read", "--input", &input, "--as", "agent:a"];
        let mut printed = home.run(args).code(if is_allowed { 0 } else { 3 }).json();
        printed.as_object_mut().expect("an object").remove("hints");
        for folder in printed.pointer_mut("/grant/folders").and_then(Value::as_array_mut).into_iter().flatten() {
            folder.as_object_mut().expect("an object").remove("host").expect("a folder of the host");
        }
        for explained in [&mut given, &mut printed] {
            explained["request"].as_object_mut().expect("a request").remove("time-ms").expect("a time");
        }
        assert_eq!(given, printed);
    }
    for (body, status, code) in [
        (json!({ "tool": "files", "function": "read", "input": {} }), 422, "caller.not-asked"),
        (json!({ "tool": "none" }), 404, "caller.unknown-function"),
        (json!({ "tool": "files", "ring": 0 }), 400, "caller.bad-request"),
        (json!({ "tool": "files", "function": "read", "principal": "x" }), 400, "caller.bad-request"),
    ] {
        let answer = server.ask("POST", "/v1/policies/explain", Some(&auditor), &body.to_string());
        assert_eq!(answer.is(status)["code"], code);
    }
    assert_eq!(home.entries().len(), before, "something was written down");
    assert_eq!(server.stop(), 0);
    home.run(["log", "verify"]).code(0);
}

#[test]
fn lists_come_in_pages() {
    let home = reading();
    let operator = token(&home, "op", "operator:o", "operate,call");
    let theirs = token(&home, "other", "operator:p", "session");
    let server = Server::new(&home);
    let mut opened: Vec<_> = (0..7)
        .map(|index| {
            let body = json!({ "name": format!("s{index}") }).to_string();
            server.ask("POST", "/v1/sessions", Some(&operator), &body).is(201)["session"].clone()
        })
        .collect();
    let (mut query, mut listed) = ("?limit=3".to_owned(), Vec::new());
    for pages in 1.. {
        let answer = server.ask("GET", &format!("/v1/sessions{query}"), Some(&operator), "");
        listed.extend(answer.is(200).as_array().expect("a list").iter().map(|session| session["session"].clone()));
        let Some(link) = answer.header("link") else {
            assert_eq!(pages, 3);
            break;
        };
        query = link.trim_start_matches('<').split('>').next().expect("an address").to_owned();
        // What has gone meanwhile is no reason to lose one's place.
        let path = format!("/v1/sessions/{}", listed.last().expect("one").as_str().expect("an id"));
        server.ask("DELETE", &path, Some(&operator), "").is(200);
    }
    let by_text = |id: &Value| id.to_string();
    listed.sort_by_key(by_text);
    opened.sort_by_key(by_text);
    assert_eq!(listed, opened);
    // One's place is where somebody has seen something: what is no session, or is not there for them, is none.
    let hidden = server.ask("POST", "/v1/sessions", Some(&theirs), r#"{"name":"s"}"#).is(201)["session"].clone();
    for cursor in [hidden.as_str().expect("an id"), "ses_00000000000000000000000000000000", "x"] {
        let path = format!("/v1/sessions?cursor={cursor}");
        assert_eq!(server.ask("GET", &path, Some(&operator), "").is(400)["code"], "caller.bad-request", "{cursor}");
    }
    let first = server.ask("GET", "/v1/tools?limit=1", Some(&operator), "");
    assert_eq!(first.is(200).as_array().map(Vec::len), Some(1));
    assert!(first.header("link").is_some_and(|link| link.contains("cursor=files_")), "{}", first.head);
    assert_eq!(server.stop(), 0);
}

#[test]
fn approvals_come_in_pages() {
    // API-04: what waits for others is in no page, and what was answered is looked at by nobody.
    let home = reading();
    let component = guests::HOSTILE_POLICY_SCRIPTED;
    let demand = |by: &str| format!(r#"{{ is = "approve", by = ["{by}"], valid-ms = 600000, reason = "x" }}"#);
    let config = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    let judged = |by: &str| {
        let settings = format!("settings = {{ call = [{}] }}", demand(by));
        home.configure(&format!("{config}\n[policies.scripted]\ncomponent = \"{component}\"\n{settings}\n"));
    };
    judged("operator:o");
    let mine = token(&home, "mine", "agent:a", "call");
    let [approver, other] = ["operator:o", "operator:p"].map(|who| token(&home, &who.replace(':', ""), who, "approve"));
    let server = Server::new(&home);
    let hold = |number: u32| {
        let input = json!({ "path": format!("/docs/{number}") });
        let body = json!({ "tool": "files", "function": "read", "input": input }).to_string();
        let held = server.ask("POST", "/v1/calls", Some(&mine), &body).is(403);
        held["value"]["approval"].as_str().expect("an id").to_owned()
    };
    let asked: Vec<_> = (0..5).map(hold).collect();
    judged("operator:p");
    server.hang_up();
    let others = hold(9);
    let (mut query, mut listed, mut pages) = ("?limit=2".to_owned(), Vec::new(), 0);
    loop {
        let answer = server.ask("GET", &format!("/v1/approvals{query}"), Some(&approver), "");
        let page = answer.is(200);
        listed.extend(
            page.as_array().expect("a list").iter().map(|it| it["approval"].as_str().expect("an id").to_owned()),
        );
        pages += 1;
        let Some(link) = answer.header("link") else { break };
        query = link.trim_start_matches('<').split('>').next().expect("an address").to_owned();
        // What was answered meanwhile is no reason to lose one's place.
        let last = listed.last().expect("one");
        server.ask("POST", &format!("/v1/approvals/{last}/approve"), Some(&approver), "").is(200);
    }
    assert_eq!((&listed, pages), (&asked, 3));
    let listed = |token: &str| server.ask("GET", "/v1/approvals", Some(token), "").is(200);
    assert_eq!(listed(&approver).as_array().map(Vec::len), Some(3));
    assert_eq!(listed(&other)[0]["approval"], others);
    assert_eq!(server.stop(), 0);
    let on_the_command_line = home.run(["approvals", "--format", "json"]).code(0).json();
    assert_eq!(on_the_command_line.as_array().map(Vec::len), Some(4));
    let all = home.run(["approvals", "--all", "--format", "json"]).code(0).json();
    assert_eq!(all.as_array().map(Vec::len), Some(6));
    home.configure(&config);
    home.is_well();
}
