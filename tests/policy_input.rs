//! One input has one reading: what a policy is told, what the tool gets, and what is refused before either.

use ringfence_model::digest::Digest;
use ringfence_model::json;
use serde_json::Value;

use crate::harness::Home;
use crate::harness::policies::in_force;
use crate::harness::policies::kinds;
use crate::harness::policies::read;
use crate::harness::policies::request_behind;

const FILES: &str = ringfence_artifacts::TOOL_FILES;
const ECHO: &str = ringfence_artifacts::TOOL_ECHO;

/// The request of the newest entry that has a decision.
fn last_request(home: &Home) -> Vec<u8> {
    let entries = home.entries();
    let body = entries.iter().rev().map(|entry| &entry["body"]).find(|body| body["decision"].is_object());
    request_behind(home, body.expect("a decision"))
}

fn seen(home: &Home) -> Value {
    json::parse(&last_request(home)).expect("a request")
}

#[test]
fn policy_and_tool_see_the_same_input() {
    // POL-07: however the input was spelled, the policy sees it in one way, and the tool gets what that says.
    let home = Home::new();
    for (function, input) in [
        ("string", r#" { "value" : "\u0041\/\ud83d\ude00\u0000 \"'<>&" } "#),
        ("string", "{\"\\u0076alue\":\"é e\u{301} \u{202e} \u{feff}\"}"),
        ("numbers", r#"{"value":[9007199254740993,18446744073709551615,0]}"#),
        ("s64", r#"{"value":-9223372036854775808}"#),
        ("f64", r#"{"value":1.50e+2}"#),
        ("f64", r#"{"value":5e-324}"#),
        ("record", r#"{"value":{"name":"b","height":null,"at":{"y":-1,"x":2}}}"#),
        ("record", r#"{"value":{"at":{"x":2,"y":-1},"name":"b"}}"#),
        ("strings", r#"{"value":["a",  "b"	]}"#),
    ] {
        let (ran, value) = home.call(ECHO, &[function, "--input", input]);
        ran.code(0);
        let request = seen(&home);
        let text = request["subject"]["call"]["input"].as_str().expect("the input");
        let shown = json::parse(text.as_bytes()).expect("JSON");
        assert_eq!(text.as_bytes(), json::canonical(&shown), "{input}");
        assert_eq!(shown, json::parse(input.trim().as_bytes()).expect("JSON"));
        let returned = &value["outcome"]["value"];
        if function == "record" {
            // The tool has a value for the field that may be left out.
            assert_eq!((&returned["at"], &returned["height"]), (&shown["value"]["at"], &Value::Null));
        } else {
            assert_eq!(json::canonical(returned), json::canonical(&shown["value"]), "{input}");
        }
    }
}

#[test]
fn policy_sees_what_is_asked_and_no_more() {
    let home = Home::new();
    let dir = format!("{}::/docs", home.folder("docs").display());
    let lines = ringfence_artifacts::TOOL_LINES;
    let stdin = home.file("in.txt", "standard input");
    let stdin = stdin.display().to_string();
    home.configure(&in_force("hostile", ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS));
    home.call(lines, &["--dir", &dir, "--stdin", &stdin, "--memory", "32", "--", "-n", "a b"]).0.code(4);
    let request = seen(&home);
    let call = &request["subject"]["call"];
    assert_eq!(call["arguments"], serde_json::json!(["-n", "a b"]));
    assert_eq!((&call["function"], &call["effect"]), (&"run".into(), &"reads".into()));
    assert_eq!((&request["ring"], &call["required-ring"]), (&3.into(), &3.into()));
    assert_eq!(call["asked"]["folders"], serde_json::json!([{ "access": "read", "guest-path": "/docs" }]));
    assert_eq!(call["asked"]["limits"]["memory_bytes"], 32 * 1024 * 1024);
    let digest = Digest::of(&std::fs::read(lines).expect("the file")).to_string();
    assert_eq!(call["tool"], serde_json::json!({ "digest": digest, "name": "lines" }));
    // Where the folder really is, is none of a policy's business.
    let text = String::from_utf8(last_request(&home)).expect("text");
    assert!(!text.contains(&home.folder("docs").display().to_string()), "{text}");
}

#[test]
fn input_with_two_readings_is_refused_at_the_edge() {
    // POL-08: no policy is asked, no tool runs.
    let home = Home::new();
    let dir = format!("{}::/docs", home.folder("docs").display());
    home.file("docs/a", "one");
    for input in [
        r#"{"path":"/docs/a","path":"/docs/b"}"#,
        r#"{"path":"/docs/a","\u0070ath":"/docs/b"}"#,
        r#"{"path":{"a":1,"a":1}}"#,
        r#"{"path":"/docs/a"} {"path":"/docs/b"}"#,
        r#"{"path":"/docs/a"},"#,
        r#"{"path":"/docs/a",}"#,
        r#"{"path":"/docs/a"/* ! */}"#,
        r#"{"path":"/docs/a"}//"#,
        "\u{feff}{\"path\":\"/docs/a\"}",
        "{'path':'/docs/a'}",
        r#"{path:"/docs/a"}"#,
        r#"{"path":"\ud800"}"#,
        r#"{"path":1e309}"#,
        r#"{"path":18446744073709551616}"#,
        r#"{"path":NaN}"#,
        r#"{"path":01}"#,
        "{\"path\":\"/docs/\u{1}\"}",
        "",
    ] {
        let ran = home.run(["run", FILES, "read", "--dir", &dir, "--input", input]);
        assert_eq!(ran.code, 2, "{input}: {ran:?}");
        ran.fails_well();
    }
    let deep = home.file("deep.json", format!("{}{}", r#"{"path":"#.repeat(10_000), "}".repeat(10_000)));
    let latin = home.file("latin.json", b"{\"path\":\"/docs/\xe9\"}");
    for file in [deep, latin] {
        let file = format!("@{}", file.display());
        home.run(["run", FILES, "read", "--dir", &dir, "--input", &file]).code(2).fails_well();
    }
    assert_eq!(kinds(&home), ["opened"]);
    // The control: the same, said once.
    read(&home, "/docs/a", &["--dir", &dir]).0.code(0);
}

#[test]
fn key_that_only_looks_right_is_refused_unjudged() {
    // POL-08, POL-10: what a policy would overlook and a tool might honour never gets that far.
    let home = Home::new();
    let inputs = [
        r#"{"path":"/a","Path":"/b"}"#,
        r#"{"PATH":"/a"}"#,
        r#"{"path ":"/a"}"#,
        r#"{"pаth":"/a"}"#,
        r#"{"path":"/a","extra":null}"#,
        r#"{"path":null}"#,
        r#"{"path":["/a"]}"#,
        "{}",
        "null",
        r#"["/a"]"#,
    ];
    for input in inputs {
        let (ran, value) = home.call(FILES, &["read", "--input", input]);
        ran.code(2);
        assert_eq!(value["outcome"]["error"]["code"], "caller.bad-input", "{input}");
    }
    let entries = home.entries();
    assert_eq!(entries.len(), 1 + inputs.len());
    for entry in &entries[1..] {
        let body = &entry["body"];
        assert_eq!((&entry["kind"], &body["stage"]), (&"refused".into(), &"admit".into()));
        assert!(body.get("decision").is_none(), "{body}");
    }
    home.is_well();
}

#[test]
fn key_gives_no_answer_that_is_now_forbidden() {
    // POL-12: the policies are asked anew, whatever is stored under the key.
    let home = Home::new();
    let args = ["string", "--input", r#"{"value":"classified"}"#, "--idempotency-key", "k1"];
    assert_eq!(home.call(ECHO, &args).1["outcome"]["value"], "classified");
    assert_eq!(home.call(ECHO, &args).1["outcome"]["value"], "classified");
    home.configure(&in_force("hostile", ringfence_artifacts::HOSTILE_POLICY_FORBID_ALWAYS));
    let (ran, value) = home.call(ECHO, &args);
    ran.code(3);
    assert_eq!((&value["outcome"]["kind"], &value["outcome"]["value"]), (&"denied".into(), &Value::Null));
    assert!(!ran.text().contains("classified"));
    home.configure("");
    home.is_well();
}
