//! Calls that wait for somebody, over HTTP: what whoever answers is shown, and how a client of MCP comes back.

use ringfence_artifacts as guests;
use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Raw;
use crate::harness::server::Server;
use crate::harness::server::extend;
use crate::harness::server::reading;
use crate::harness::server::token;

const REASON: &str = "somebody looks at every file";

/// A home in which every call waits for an operator.
fn holding() -> Home {
    let home = reading();
    let component = guests::HOSTILE_POLICY_SCRIPTED;
    let settings =
        format!(r#"{{ call = [{{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "{REASON}" }}] }}"#);
    extend(&home, &format!("[policies.scripted]\ncomponent = \"{component}\"\nsettings = {settings}\n"));
    home
}

fn body(path: &str) -> String {
    json!({ "tool": "files", "function": "read", "input": { "path": path } }).to_string()
}

#[test]
fn approver_sees_what_they_are_asked() {
    // POL-22: who asks, for what, under which grant, why, and with what input; and nobody else does.
    let home = holding();
    let mine = token(&home, "mine", "agent:a", "call,session,audit,operate");
    let approver = token(&home, "approver", "operator:o", "approve");
    let stranger = token(&home, "stranger", "service:s", "approve");
    let asker = token(&home, "asker", "agent:a", "call,approve");
    let server = Server::new(&home);
    let hold = |path: &str| {
        let held = server.ask("POST", "/v1/calls", Some(&mine), &body(path)).is(403);
        assert_eq!(held["code"], "denied.approval");
        held["value"]["approval"].as_str().expect("an approval").to_owned()
    };
    let hiding = "/docs/a.txt\u{202e}txt.b";
    let id = hold(hiding);
    let path = format!("/v1/approvals/{id}");
    let answer = server.ask("GET", &path, Some(&approver), "");
    let shown = answer.is(200);
    assert_eq!((&shown["approval"]["principal"], &shown["approval"]["function"]), (&json!("agent:a"), &json!("read")));
    assert_eq!((&shown["approval"]["tool"]["name"], &shown["approval"]["ring"]), (&json!("files"), &json!(3)));
    assert_eq!(shown["approval"]["demands"][0]["reason"], REASON);
    assert_eq!(shown["asked"]["folders"][0]["guest-path"], "/docs", "{shown}");
    // What it is bound to, as text that shows what it is; where folders lie on the host is not said.
    let text = shown["input"]["text"].as_str().expect("a text");
    assert!(text.contains("\\u202e") && !text.contains('\u{202e}'), "{text}");
    let input: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!((&input["function"], &input["value"]["path"]), (&json!("read"), &json!(hiding)));
    assert_eq!(shown["input"]["is_cut"], false);
    let host = home.folder("docs").display().to_string();
    assert!(!String::from_utf8_lossy(&answer.body).contains(&host), "{shown}");
    // It is what the entry commits to.
    let entry = home.entries().into_iter().rfind(|entry| entry["kind"] == "held").expect("an entry");
    assert_eq!(entry["body"]["input"], shown["input"]["commitment"]);
    // Every other scope is told that it may not, whether there is such an approval or not.
    for path in [path.clone(), "/v1/approvals/apr_00000000000000000000000000000000".to_owned()] {
        assert_eq!(server.ask("GET", &path, Some(&mine), "").is(403)["code"], "caller.scope");
        server.ask("GET", &path, None, "").is(401);
    }
    for path in ["/v1/approvals/apr_00000000000000000000000000000000", "/v1/approvals/x"] {
        server.ask("GET", path, Some(&approver), "").is(404);
    }
    // Nor is it there for an approver whom the policy does not name, or for whoever asks.
    let listed = |token: &str| server.ask("GET", "/v1/approvals", Some(token), "").is(200);
    assert_eq!(listed(&approver)[0]["approval"], id);
    for other in [&stranger, &asker] {
        assert_eq!(listed(other), json!([]));
        let absent = server.ask("GET", "/v1/approvals/apr_00000000000000000000000000000000", Some(other), "");
        assert_eq!(server.ask("GET", &path, Some(other), "").is(404), absent.is(404));
    }
    // A large input is cut, and says so.
    let long = hold(&format!("/docs/{}", "a".repeat(limits::APPROVAL_INPUT_BYTES_MAX)));
    let shown = server.ask("GET", &format!("/v1/approvals/{long}"), Some(&approver), "").is(200);
    assert_eq!(shown["input"]["is_cut"], true);
    assert!(shown["input"]["bytes"].as_u64() > Some(limits::APPROVAL_INPUT_BYTES_MAX as u64));
    assert_eq!(shown["input"]["text"].as_str().map(str::len), Some(limits::APPROVAL_INPUT_BYTES_MAX));
    // It can still be looked at once it has been answered.
    server.ask("POST", &format!("{path}/reject"), Some(&approver), "").is(200);
    assert_eq!(server.ask("GET", &path, Some(&approver), "").is(200)["approval"]["state"]["is"], "rejected");
    assert_eq!(server.stop(), 0);
    home.configure("");
    home.is_well();
}

/// A call as a message, under a key, of a client that says of itself what it can do.
fn call(more: &Value, is_asking: bool) -> String {
    let capabilities = if is_asking { json!({ "elicitation": { "form": {} } }) } else { json!({}) };
    let mut params = json!({
        "name": "files_read",
        "arguments": { "path": "/docs/a.txt" },
        "_meta": {
            "ringfence/idempotency-key": "k",
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        },
    });
    if let (Value::Object(params), Value::Object(more)) = (&mut params, more) {
        params.extend(more.clone());
    }
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}

fn said(action: &str) -> Value {
    json!({ "inputResponses": { "approval": { "action": action } } })
}

#[test]
fn question_is_the_answer_where_clients_come_back() {
    // POL-16: over HTTP and on lines; what the client says approves nothing, and a no is not made into a call.
    let home = holding();
    let (mine, approver) = (token(&home, "mine", "agent:a", "call"), token(&home, "op", "operator:o", "approve"));
    let server = Server::new(&home);
    let headers = format!(
        "host: {}\r\nauthorization: Bearer {mine}\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\n\
         mcp-name: files_read\r\n",
        server.address
    );
    let ask = |body: &str| server.ask_with("POST", "/mcp", &headers, body).is(200)["result"].clone();
    let code = |result: &Value| result["_meta"]["ringfence/error"]["code"].clone();
    // A no to what nobody was asked is not written down, and is not a call either.
    let before = home.entries().len();
    for no in ["decline", "cancel", "else"] {
        assert_eq!(code(&ask(&call(&said(no), true))), "caller.bad-input", "{no}");
    }
    assert_eq!(home.entries().len(), before);
    let question = ask(&call(&json!({}), true));
    assert_eq!(question["resultType"], "input_required", "{question}");
    let message = question["inputRequests"]["approval"]["params"]["message"].as_str().expect("a message");
    let id = message.split('`').nth(1).expect("an id").to_owned();
    // Accepted before anybody has approved: it is held still, and nobody is asked a second time.
    assert_eq!(code(&ask(&call(&said("accept"), true))), "denied.approval");
    let before = home.entries().len();
    let declined = ask(&call(&said("decline"), true));
    assert_eq!(code(&declined), "denied.declined");
    // It was asked about this call, and about no other.
    let mut other = said("decline");
    other["arguments"] = json!({ "path": "/docs/other" });
    assert_eq!(code(&ask(&call(&other, true))), "caller.bad-input");
    // The no is an entry, and nothing else has come of it: what was asked waits for whoever may answer.
    let entries = home.entries().split_off(before);
    assert_eq!((entries.len(), &entries[0]["kind"]), (1, &json!("refused")), "{entries:?}");
    assert_eq!(
        (&entries[0]["body"]["code"], &entries[0]["body"]["principal"]),
        (&json!("denied.declined"), &json!("agent:a"))
    );
    assert_eq!(
        (&entries[0]["body"]["tool"]["name"], &entries[0]["body"]["function"]),
        (&json!("files"), &json!("read"))
    );
    assert_eq!(declined["_meta"]["ringfence/entry"], entries[0]["index"]);
    server.ask("POST", &format!("/v1/approvals/{id}/approve"), Some(&approver), "").is(200);
    let answered = ask(&call(&said("accept"), true));
    assert_eq!(answered["structuredContent"], json!({ "result": "hello" }), "{answered}");
    // Who can't be asked is told, as always.
    let other = call(&json!({ "arguments": { "path": "/docs/other" } }), false).replace("\"k\"", "\"l\"");
    assert_eq!(code(&ask(&other)), "denied.approval");
    assert_eq!(server.stop(), 0);
    let mut raw = Raw::new(&home, &["--as", "agent:lines"]);
    raw.say(&call(&json!({}), true));
    assert_eq!(raw.hear()["result"]["resultType"], "input_required");
    assert_eq!(raw.leave(), 0);
    home.configure("");
    home.is_well();
}

#[test]
fn held_call_completes_by_a_later_retry() {
    // POL-16: versions up to 2025 over HTTP, where nothing ties an answer to the request that it was asked in.
    let home = holding();
    let (mine, approver) = (token(&home, "mine", "agent:a", "call"), token(&home, "op", "operator:o", "approve"));
    let server = Server::new(&home);
    let ask = |id: u64| {
        let params = json!({ "name": "files_read", "arguments": { "path": "/docs/a.txt" },
            "_meta": { "ringfence/idempotency-key": "k" } });
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string();
        server.ask("POST", "/mcp", Some(&mine), &message).is(200)["result"].clone()
    };
    let info = json!({ "protocolVersion": "2025-06-18", "capabilities": { "elicitation": {} },
        "clientInfo": { "name": "t", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": info }).to_string();
    server.ask("POST", "/mcp", Some(&mine), &hello).is(200);
    let held = ask(1);
    assert_eq!(held["_meta"]["ringfence/error"]["code"], "denied.approval", "{held}");
    let id = held["_meta"]["ringfence/error"]["value"]["approval"].as_str().expect("an id").to_owned();
    // An answer to a question that was never asked is refused, and approves nothing.
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}"#;
    assert_eq!(server.ask("POST", "/mcp", Some(&mine), answer).status, 400);
    assert_eq!(ask(2)["_meta"]["ringfence/error"]["code"], "denied.approval");
    server.ask("POST", &format!("/v1/approvals/{id}/approve"), Some(&approver), "").is(200);
    let first = ask(3);
    assert_eq!(first["structuredContent"], json!({ "result": "hello" }), "{first}");
    // Once: from then on its key has the answer.
    let entries = home.entries().len();
    assert_eq!(ask(4)["_meta"]["ringfence/call"], first["_meta"]["ringfence/call"]);
    assert_eq!(home.entries().len(), entries);
    assert_eq!(server.stop(), 0);
    home.configure("");
    home.is_well();
}
