//! What whoever calls is told of a denial: its codes, and nothing that stands in a policy's settings (POL-19); and what is
//! on record of attempts that reach nothing (AUD-20).

use std::fs;

use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Raw;
use crate::harness::server::Server;
use crate::harness::server::extend;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::token;

/// Stands in the settings of a policy, and nowhere else.
const CANARY: &str = "canary-9b2e";

/// A policy's settings as TOML, with the code of what comes of it, the code of the reason, and whether the operator is told
/// of the canary. Each policy has it in what it says: what is nowhere said can't be kept from anybody.
struct Denied {
    policies: String,
    code: &'static str,
    reason: &'static str,
    is_shown: bool,
}

/// Policies that quote their settings about a call, or about a result, which is withheld from everybody; and a permit that
/// demands an approval for a reason.
fn denied() -> Vec<Denied> {
    let of = |policies: &str, code, reason, is_shown| {
        let policies = format!("[policies.ring-default]\n{}\n", policies.replace("CANARY", CANARY));
        Denied { policies, code, reason, is_shown }
    };
    let rego = |point| {
        format!(
            "[policies.rego]\nsettings.modules.a = '''\npackage ringfence\n\
             verdict := {{\"verdict\": \"forbid\", \"reasons\": [{{\"code\": \"no\", \"text\": \"CANARY\"}}]}} \
             if input.subject.{point}\n'''"
        )
    };
    let scripted = ringfence_artifacts::HOSTILE_POLICY_SCRIPTED;
    let approve = r#"{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "CANARY" }] }"#;
    vec![
        of(
            "[policies.argument-schema.settings.tools.\"files/read\".fields]\n\"/CANARY\" = { required = true }",
            "denied.policy",
            "field-missing",
            true,
        ),
        of(
            "[policies.cedar]\nsettings.policies = '''\n@id(\"no\") @reason(\"CANARY\")\n\
             forbid (principal, action == Action::\"call\", resource) when { context.function != \"CANARY\" };\n'''",
            "denied.policy",
            "no",
            true,
        ),
        of(&rego("call"), "denied.policy", "no", true),
        of(&rego("result"), "denied.result", "no", false),
        of(
            &format!("[policies.scripted]\ncomponent = \"{scripted}\"\nsettings = {approve}"),
            "denied.approval",
            "",
            true,
        ),
    ]
}

fn message(params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}

fn params() -> Value {
    json!({ "name": "files_read", "arguments": { "path": "/docs/a.txt" } })
}

/// What an agent is told, over everything that it can call through.
fn told(server: &Server, home: &Home, token: &str) -> Vec<(&'static str, String)> {
    let authorized = format!("authorization: Bearer {token}\r\n");
    let body = read();
    let watched = format!(
        "POST /v1/calls HTTP/1.1\r\nhost: {}\r\n{authorized}accept: text/event-stream\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        server.address,
        body.len()
    );
    let mut stream = server.connect();
    std::io::Write::write_all(&mut stream, watched.as_bytes()).expect("written");
    let mut seen = String::new();
    std::io::Read::read_to_string(&mut stream, &mut seen).expect("text");
    let called = server.ask("POST", "/v1/calls", Some(token), &body);
    let call = called.json()["call"].as_str().expect("a call").to_owned();
    let again = server.ask("GET", &format!("/v1/calls/{call}"), Some(token), "");
    let over_mcp = server.ask("POST", "/mcp", Some(token), &message(&params()));
    let mut raw = Raw::initialized(home, &["--as", "agent:a"]);
    let on_a_line = raw.ask("tools/call", &params());
    assert_eq!(raw.leave(), 0);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    vec![
        ("HTTP", text(&called.body)),
        ("HTTP, watched", seen),
        ("HTTP, looked at again", text(&again.body)),
        ("MCP over HTTP", text(&over_mcp.body)),
        ("MCP", on_a_line.to_string()),
    ]
}

#[test]
fn denial_tells_codes_and_no_rule() {
    // POL-19
    let home = reading();
    let config = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    let (mine, approver) = (token(&home, "mine", "agent:a", "call"), token(&home, "op", "operator:o", "approve"));
    let server = Server::new(&home);
    for Denied { policies, code, reason, is_shown } in denied() {
        home.configure(&config);
        extend(&home, &policies);
        server.hang_up();
        let before = home.entries().len();
        for (how, said) in told(&server, &home, &mine) {
            assert!(!said.contains(CANARY), "{how}: {policies}: {said}");
            assert!(said.contains(reason), "{how}: {policies}: {said}");
            assert!(said.contains(code) || how.contains("again"), "{how}: {policies}: {said}");
        }
        // What it says is in the record by its code, of which the caller has a receipt.
        let entries = home.entries().split_off(before);
        assert!(!entries.is_empty() && !json!(entries).to_string().contains(CANARY), "{policies}");
        assert!(json!(entries).to_string().contains(reason), "{policies}");
        // Whoever runs the command may read the settings, and is told in full.
        let ran = home.run(["call", "files", "read", "--input", r#"{"path":"/docs/a.txt"}"#, "--as", "agent:a"]);
        assert_eq!(ran.code(3).stderr.contains(CANARY), is_shown, "{policies}: {}", ran.stderr);
    }
    // So is whoever is asked to approve.
    let listed = server.ask("GET", "/v1/approvals", Some(&approver), "").is(200);
    assert!(listed.to_string().contains(CANARY), "{listed}");
    assert_eq!(server.stop(), 0);
    home.configure(&config);
    home.is_well();
}

#[test]
fn hidden_tool_is_like_one_that_is_not() {
    // POL-19, API-13: a function beyond one's ring is answered like one that is not there, and leaves the same on record;
    // one that is listed and that a policy forbids is said to be forbidden.
    let home = reading();
    extend(&home, "[policies.ring-default]\n[policies.path-scope]\nsettings = { roots = [\"/elsewhere\"] }\n");
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let call = |tool: &str, function: &str| {
        let body = json!({ "tool": tool, "function": function, "input": { "path": "/docs/a.txt" } }).to_string();
        server.ask("POST", "/v1/calls", Some(&mine), &body)
    };
    let named = |name: &str| {
        let answer = server.ask("POST", "/mcp", Some(&mine), &message(&json!({ "name": name, "arguments": {} })));
        answer.json().to_string().replace(name, "NAME")
    };
    let (hidden, absent) = (call("files", "write"), call("none", "write"));
    assert_eq!((hidden.is(404), hidden.head.lines().count()), (absent.is(404), absent.head.lines().count()));
    assert_eq!(call("files", "read").is(403)["code"], "denied.policy");
    assert_eq!(named("files_write"), named("files_none"));
    assert_eq!(named("files_write"), named("nothing"));
    assert_eq!(server.stop(), 0);
    home.configure("");
    home.is_well();
}

/// The one entry that there is more, a refusal.
#[track_caller]
fn refused(home: &Home, before: usize) -> Value {
    let entries = home.entries().split_off(before);
    let [entry] = &entries[..] else { panic!("not one entry: {entries:?}") };
    assert_eq!(entry["kind"], "refused", "{entry}");
    entry["body"].clone()
}

#[test]
fn attempt_that_reaches_nothing_is_on_record() {
    // AUD-20: whoever is known and asks for what can't be had is on record, by whatever way they ask. What they ask for is
    // named, and nothing else of it, so that what is hidden looks like what is not there (API-13).
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let http = |tool: &str, function: &str, session: Option<&str>| {
        let mut body = json!({ "tool": tool, "function": function, "input": { "path": "/docs/a.txt" } });
        body["session"] = session.map_or(Value::Null, |session| json!(session));
        server.ask("POST", "/v1/calls", Some(&mine), &body.to_string())
    };
    let mcp = |name: &str| {
        let params = json!({ "name": name, "arguments": { "path": "/docs/a.txt" } });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
        server.ask("POST", "/mcp", Some(&mine), &message).json()
    };
    let nobody = format!("sha256:{}", "0".repeat(64));
    let none = "ses_00000000000000000000000000000000";
    for (what, tool, function, session, code) in [
        ("no such tool", "none", "read", None, "caller.unknown-function"),
        ("a function beyond the ring", "files", "write", None, "caller.unknown-function"),
        ("no such session", "files", "read", Some(none), "denied.session"),
    ] {
        let before = home.entries().len();
        http(tool, function, session).is(404);
        let body = refused(&home, before);
        assert_eq!((&body["code"], &body["principal"]), (&json!(code), &json!("agent:a")), "{what}");
        assert_eq!(body["tool"], json!({ "digest": nobody, "name": tool }), "{what}");
        assert_eq!((&body["function"], &body["decision"]), (&json!(function), &Value::Null), "{what}");
        assert_eq!(body["session"], session.map_or(Value::Null, |session| json!(session)), "{what}");
    }
    for name in ["files_write", "none_read", "\u{202e}"] {
        let before = home.entries().len();
        assert_eq!(mcp(name)["error"]["code"], -32_602);
        let body = refused(&home, before);
        assert_eq!((&body["code"], &body["tool"]["digest"]), (&json!("caller.unknown-function"), &json!(nobody)));
        assert!(!body.to_string().contains('\u{202e}'), "{body}");
    }
    // A function that a tool which can be seen does not have: then it is known which tool it is.
    let before = home.entries().len();
    http("files", "nothing", None).is(404);
    assert_ne!(refused(&home, before)["tool"]["digest"], json!(nobody));
    // What is no call of anybody's is none: bad JSON, unknown fields, no token.
    let before = home.entries().len();
    for (token, body, status) in [
        (Some(mine.as_str()), "{", 400),
        (Some(&mine), r#"{"tool":"none","x":1}"#, 400),
        (None, r#"{"tool":"none"}"#, 401),
    ] {
        server.ask("POST", "/v1/calls", token, body).is(status);
    }
    assert_eq!(home.entries().len(), before);
    // The twin: what is there is called.
    http("files", "read", None).is(200);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn asking_in_vain_fills_no_disk() {
    // AUD-20: what no policy, cap or place bounds is bounded by how often, and by how much of each is kept.
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let others = token(&home, "others", "agent:b", "call");
    let server = Server::new(&home);
    let ask = |token: &str, tool: &str, input: &str| {
        let body = json!({ "tool": tool, "function": "read", "input": { "path": input } }).to_string();
        server.ask("POST", "/v1/calls", Some(token), &body)
    };
    let before = home.entries().len();
    ask(&mine, "none", &"x".repeat(4_000_000)).is(404);
    assert_eq!(home.entries().len(), before + 1);
    let log = fs::metadata(home.path().join("log.sqlite")).expect("the log").len();
    let wal = fs::metadata(home.path().join("log.sqlite-wal")).map_or(0, |wal| wal.len());
    assert!(log + wal < 4_000_000, "{log} {wal}");
    let last = (0..200).map(|_| ask(&mine, "none", "x").status).find(|status| *status != 404);
    assert_eq!(last, Some(429));
    let again = ask(&mine, "none", "x");
    assert!(again.is(429)["code"] == "host.busy" && again.header("retry-after").is_some(), "{}", again.head);
    // Of those that are not written down one entry tells.
    let told = home.entries().into_iter().filter(|entry| entry["body"]["code"] == "denied.too-many").count();
    assert_eq!(told, 1);
    // What is hidden is like what is not there, then too; what is there is called, and everybody else is served.
    assert_eq!(server.ask("POST", "/v1/calls", Some(&mine), r#"{"tool":"files","function":"write"}"#).status, 429);
    assert_eq!(ask(&mine, "files", "/docs/a.txt").status, 200);
    ask(&others, "none", "x").is(404);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn call_without_its_grant_is_on_record() {
    // AUD-20: a folder that is gone is the operator's to mend; that a call was wanted is on record, however it came.
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let body = json!({ "tool": "files", "function": "read", "input": { "path": "/docs/a.txt" } }).to_string();
    server.ask("POST", "/v1/calls", Some(&mine), &body).is(200);
    let docs = home.folder("docs");
    fs::rename(&docs, home.folder("elsewhere").join("docs")).expect("moved");
    let is_recorded = |before: usize| {
        let entry = refused(&home, before);
        assert_eq!((&entry["code"], &entry["function"]), (&json!("host.grant"), &json!("read")));
        assert_eq!((&entry["stage"], &entry["tool"]["name"]), (&json!("narrow"), &json!("files")));
    };
    let before = home.entries().len();
    let problem = server.ask("POST", "/v1/calls", Some(&mine), &body).is(503);
    assert_eq!(problem["code"], "host.grant");
    assert!(!problem.to_string().contains(&docs.display().to_string()), "{problem}");
    is_recorded(before);
    let before = home.entries().len();
    let params = json!({ "name": "files_read", "arguments": { "path": "/docs/a.txt" } });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
    let told = server.ask("POST", "/mcp", Some(&mine), &message).is(200);
    assert_eq!(told["result"]["_meta"]["ringfence/error"]["code"], "host.grant", "{told}");
    is_recorded(before);
    assert_eq!(server.stop(), 0);
    let before = home.entries().len();
    home.run(["call", "files", "read", "--input", r#"{"path":"/docs/a.txt"}"#]).code(1).fails_well();
    is_recorded(before);
    fs::rename(home.folder("elsewhere").join("docs"), &docs).expect("moved");
    home.run(["call", "files", "read", "--input", r#"{"path":"/docs/a.txt"}"#]).code(0);
    home.is_well();
}
