//! Policies put in force as an operator does it, calls to ask them about, and what was written down of their answers.

use ringfence_model::content::ContentName;
use ringfence_model::digest::Digest;
use ringfence_runtime::policy::Policy;
use serde_json::Value;

use crate::harness::ENGINE;
use crate::harness::Home;
use crate::harness::Ran;

const FILES: &str = ringfence_artifacts::TOOL_FILES;

/// Lines of the configuration that put a component in force under a name, pinned by its digest.
pub fn in_force(name: &str, component: &str) -> String {
    let digest = Digest::of(&std::fs::read(component).expect("a component"));
    format!("[policies.{name}]\ncomponent = \"{component}\"\ndigest = \"{digest}\"\n")
}

/// A call that would write, in ring 2, to a folder it is given to write to.
pub fn write(home: &Home, more: &[&str]) -> (Ran, Value) {
    let dir = format!("{}::/out:rw", home.folder("out").display());
    let input = r#"{"path":"/out/a.txt","content":"written"}"#;
    home.call(FILES, &[&["write", "--ring", "2", "--input", input, "--dir", &dir], more].concat())
}

pub fn written(home: &Home) -> usize {
    std::fs::read_dir(home.folder("out")).expect("the folder").count()
}

pub fn read(home: &Home, path: &str, more: &[&str]) -> (Ran, Value) {
    let input = serde_json::json!({ "path": path }).to_string();
    home.call(FILES, &[&["read", "--input", &input], more].concat())
}

/// The codes of what each policy said, as it is written down: `name verdict code code`.
pub fn rulings(body: &Value) -> Vec<String> {
    let said = |ruling: &Value| {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let head = format!("{} {}", text(&ruling["name"]), text(&ruling["verdict"]));
        ruling["reasons"].as_array().expect("reasons").iter().fold(head, |line, code| format!("{line} {}", text(code)))
    };
    body["decision"]["rulings"].as_array().expect("rulings").iter().map(said).collect()
}

pub fn kinds(home: &Home) -> Vec<String> {
    home.entries().iter().map(|entry| entry["kind"].as_str().expect("a kind").to_owned()).collect()
}

/// A writing call under this configuration is refused, and the tool was never started. What was written down is the
/// refusal and nothing else; the log verifies, and under the default policy the next call works.
#[track_caller]
pub fn is_denied(config: &str, more: &[&str], code: &str, wanted: &[&str]) {
    let home = Home::new();
    home.configure(config);
    let (ran, value) = write(&home, more);
    ran.code(3);
    assert_eq!(value["outcome"]["kind"], "denied");
    assert_eq!(value["outcome"]["error"]["code"], code, "{value:#}");
    assert_eq!(value["outcome"]["value"], Value::Null);
    assert_eq!(written(&home), 0);

    assert_eq!(kinds(&home), ["opened", "refused"]);
    let body = &home.entries()[1]["body"];
    assert_eq!((&body["code"], &body["stage"]), (&Value::from(code), &Value::from("decide")));
    assert_eq!(body["decision"]["allowed"], false);
    assert_eq!(rulings(body), wanted);
    assert_eq!(value["receipt"]["entry"]["body"], *body);

    home.configure("");
    home.is_well();
}

/// The request that the policies saw, from behind the commitment in an entry's decision.
pub fn request_behind(home: &Home, body: &Value) -> Vec<u8> {
    let content = home.behind(body, ContentName::Request);
    assert_eq!(content.nonce.commit(&content.bytes), content.commitment);
    content.bytes
}

/// Some request, as JSON: what a policy is told of a call of `files`.
pub fn request(ring: u8, effect: &str, principal: &str) -> Value {
    serde_json::json!({
        "principal": principal,
        "ring": ring,
        "subject": { "call": {
            "asked": {
                "environment": [],
                "folders": [{ "access": "read", "guest-path": "/docs" }],
                "limits": {
                    "fuel": 1_000_000, "handles": 16, "memory_bytes": 1_048_576, "output_bytes": 1024, "wall_ms": 1000,
                },
            },
            "effect": effect,
            "function": "read",
            "input": r#"{"path":"/docs/a"}"#,
            "required-ring": match effect { "writes" => 2, "external" => 1, "administrative" => 0, _ => 3 },
            "tool": { "digest": Digest::of(b"files").to_string(), "name": "files" },
        } },
        "time-ms": 0,
    })
}

pub fn load(name: &str, component: &str) -> Policy {
    let bytes = std::fs::read(component).expect("a component");
    Policy::load(&ENGINE, name, &bytes, &serde_json::json!({})).expect("a policy")
}
