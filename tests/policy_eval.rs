//! `policy eval`: one policy asked about one request, and recorded requests asked again.

use serde_json::Value;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::policies::kinds;
use crate::harness::policies::request;
use crate::harness::policies::request_behind;

const FILES: &str = ringfence_artifacts::TOOL_FILES;

fn eval(home: &Home, policy: &str, request: &[u8], more: &[&str]) -> Ran {
    let file = home.file("request.json", request).display().to_string();
    let args = ["policy", "eval", policy, "--request", &file];
    home.run(args.iter().chain(more))
}

#[test]
fn verdict_is_told_by_the_exit_code() {
    let home = Home::new();
    let settings = ["--settings", r#"{"roots":["/docs"]}"#, "--format", "json"];
    let outside = br#"{"path":"/etc/passwd"}"#;
    let mut elsewhere = request(3, "reads", "agent:a");
    elsewhere["subject"]["call"]["input"] = String::from_utf8_lossy(outside).into();
    let mut pathless = request(3, "reads", "agent:a");
    pathless["subject"]["call"]["input"] = "{}".into();
    for (asked, code, verdict, reason) in [
        (request(3, "reads", "agent:a"), 0, "permit", "path-in-scope"),
        (elsewhere, 3, "forbid", "path-outside-scope"),
        (pathless, 3, "abstain", ""),
    ] {
        let answer = eval(&home, "path-scope", asked.to_string().as_bytes(), &settings).code(code).json();
        assert_eq!(answer["verdict"], verdict);
        assert_eq!(answer["reasons"][0]["code"].as_str().unwrap_or_default(), reason);
        assert_eq!((&answer["policy"], &answer["fault"]), (&"path-scope".into(), &Value::Null));
        let narrowed: &Value = &answer["obligations"][0]["folders"];
        assert_eq!(*narrowed == serde_json::json!(["/docs"]), verdict == "permit", "{answer:#}");
    }
    let asked = request(3, "writes", "agent:a").to_string();
    let ran = eval(&home, "ring-default", asked.as_bytes(), &[]);
    ran.code(3);
    assert!(ran.text().starts_with("verdict  forbid\nreason   ring-not-privileged-enough: "), "{}", ran.text());
    assert_eq!(kinds(&home), ["opened"]);
}

#[test]
fn fault_is_told_and_denies() {
    let home = Home::new();
    let asked = request(3, "reads", "agent:a").to_string();
    let trap = ringfence_artifacts::HOSTILE_POLICY_TRAP;
    let answer = eval(&home, trap, asked.as_bytes(), &["--format", "json"]).code(3).json();
    assert_eq!((&answer["verdict"], &answer["fault"]["code"]), (&"fault".into(), &"policy-trap".into()));
    let odd = ringfence_artifacts::HOSTILE_POLICY_UNKNOWN_OBLIGATION;
    let answer = eval(&home, odd, asked.as_bytes(), &["--format", "json"]).json();
    assert_eq!(answer["obligations"][0]["known"], false);
    let clock = ringfence_artifacts::HOSTILE_POLICY_IMPORTS_CLOCK;
    eval(&home, clock, asked.as_bytes(), &[]).code(1).fails_well().says("imports `wasi:");
}

#[test]
fn recorded_request_gets_the_recorded_verdict() {
    // Replay: the bytes behind the commitment are all a policy was told, so they are all that is needed.
    let home = Home::new();
    let dir = format!("{}::/out:rw", home.folder("out").display());
    let input = r#"{"path":"/out/a.txt","content":"written"}"#;
    for (ring, code) in [("2", 0), ("3", 3)] {
        home.call(FILES, &["write", "--ring", ring, "--input", input, "--dir", &dir]).0.code(code);
        let entries = home.entries();
        let mut bodies = entries.iter().rev().map(|entry| &entry["body"]);
        let body = bodies.find(|body| body["decision"].is_object()).expect("a decision");
        let bytes = request_behind(&home, body);
        let first = eval(&home, "ring-default", &bytes, &["--format", "json"]);
        let again = eval(&home, "ring-default", &bytes, &["--format", "json"]);
        assert_eq!((first.code, &first.stdout), (code, &again.stdout));
        let (answer, ruling) = (first.json(), &body["decision"]["rulings"][0]);
        for field in ["verdict", "digest", "settings", "fuel"] {
            assert_eq!(answer[field], ruling[field], "{field}");
        }
        let codes: Vec<_> = answer["reasons"].as_array().expect("reasons").iter().map(|r| &r["code"]).collect();
        assert_eq!(codes, ruling["reasons"].as_array().expect("codes").iter().collect::<Vec<_>>());
    }
}

#[test]
fn claims_and_time_change_no_ring() {
    // POL-14: what the caller says of itself moves nothing.
    let home = Home::new();
    let mut asked = request(3, "writes", "agent:a");
    let plain = eval(&home, "ring-default", asked.to_string().as_bytes(), &["--format", "json"]).code(3).json();
    asked["claimed"] = serde_json::json!([{ "name": "ring", "value": "0" }, { "name": "trusted", "value": "yes" }]);
    asked["time-ms"] = 4_102_444_800_000_u64.into();
    let claimed = eval(&home, "ring-default", asked.to_string().as_bytes(), &["--format", "json"]).code(3).json();
    assert_eq!((&plain["verdict"], &plain["reasons"]), (&claimed["verdict"], &claimed["reasons"]));
}

#[test]
fn request_that_is_none_is_refused() {
    let home = Home::new();
    let good = request(3, "reads", "agent:a");
    let with = |key: &str, value: Value| {
        let mut bad = good.clone();
        bad[key] = value;
        bad.to_string()
    };
    let mut missing = good.clone();
    missing.as_object_mut().expect("an object").remove("ring");
    for bad in [
        String::new(),
        "[]".to_owned(),
        "not json".to_owned(),
        missing.to_string(),
        with("ring", 4.into()),
        with("ring", "3".into()),
        with("subject", serde_json::json!({})),
        with("subject", serde_json::json!({ "dance": {} })),
        good.to_string().replace("reads", "magic"),
        with("principal", "ada".into()),
        with("extra", 1.into()),
        good.to_string().replacen('{', r#"{"ring":0,"#, 1),
    ] {
        eval(&home, "ring-default", bad.as_bytes(), &[]).code(2).fails_well();
    }
    eval(&home, "ring-default", good.to_string().as_bytes(), &[]).code(0);
    eval(&home, "nobody", good.to_string().as_bytes(), &[]).code(1).fails_well();
    eval(&home, "ring-default", good.to_string().as_bytes(), &["--settings", "{"]).code(2);
    eval(&home, "ring-default", good.to_string().as_bytes(), &["--settings", r#"{"a":1}"#]).code(1).fails_well();
}
