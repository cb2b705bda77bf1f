//! Calls that wait for somebody, over HTTP: what whoever answers is shown, and how a client of MCP comes back.

use ringfence_artifacts as guests;
use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
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
    let held = home.entries().into_iter().rfind(|entry| entry["kind"] == "held").expect("an entry");
    assert_eq!(held["body"]["input"], shown["input"]["commitment"]);
    // Every other scope is told that it may not, whether there is such an approval or not.
    for path in [path.clone(), "/v1/approvals/apr_00000000000000000000000000000000".to_owned()] {
        assert_eq!(server.ask("GET", &path, Some(&mine), "").is(403)["code"], "caller.scope");
        server.ask("GET", &path, None, "").is(401);
    }
    for path in ["/v1/approvals/apr_00000000000000000000000000000000", "/v1/approvals/x"] {
        server.ask("GET", path, Some(&approver), "").is(404);
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
