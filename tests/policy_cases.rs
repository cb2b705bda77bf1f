//! Tables of cases: those of the policies that come with Ringfence pass, and a row that fails is named.

use std::collections::BTreeSet;

use ringfence_runtime::policy::cases::Cases;
use serde_json::Value;

use crate::harness::ENGINE;
use crate::harness::Home;
use crate::harness::policies::kinds;

/// The folder of a policy's source and cases.
fn source(name: &str) -> String {
    format!("{}/../../policies/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn cases_of_shipped_policies_pass() {
    let home = Home::new();
    for name in ringfence_policies::ALL.iter().map(|policy| policy.name) {
        let ran = home.run(["policy", "test", &source(name)]);
        ran.code(0);
        assert!(ran.text().contains(" 0 failed") && !ran.text().contains("FAILED"), "{}", ran.text());

        let json = home.run(["policy", "test", &source(name), "--format", "json"]).code(0).json();
        assert_eq!((&json["policy"], &json["failed"]), (&Value::from(name), &Value::from(0)));
        let rows = std::fs::read_to_string(format!("{}/cases.toml", source(name))).expect("the table");
        let rows = rows.lines().filter(|line| *line == "[[cases]]").count();
        assert_eq!(json["cases"].as_array().expect("cases").len(), rows);
        assert!(rows >= 25, "{name} has {rows} cases");
    }
    assert_eq!(kinds(&home), ["opened"]);
}

#[test]
fn every_row_passes_in_process() {
    for policy in ringfence_policies::ALL {
        let table = std::fs::read_to_string(format!("{}/cases.toml", source(policy.name))).expect("the table");
        let cases = Cases::parse(&table).expect("cases");
        let first = cases.run(&ENGINE, policy.name, policy.component).expect("results");
        for result in &first {
            assert!(result.passed, "{}: {result:?}", policy.name);
        }
        // The same rows once more: nothing is remembered, not even in the fuel.
        let again = cases.run(&ENGINE, policy.name, policy.component).expect("results");
        assert_eq!(serde_json::to_value(&first).expect("json"), serde_json::to_value(&again).expect("json"));
    }
}

#[test]
fn every_shipped_policy_has_cases() {
    let folders = std::fs::read_dir(format!("{}/../../policies", env!("CARGO_MANIFEST_DIR"))).expect("the folder");
    let with_cases: BTreeSet<_> = folders
        .map(|entry| entry.expect("a folder").path())
        .filter(|path| path.join("cases.toml").exists())
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    let builtin: BTreeSet<_> = ringfence_policies::ALL.iter().map(|policy| policy.name.to_owned()).collect();
    assert_eq!(with_cases, builtin);
}

#[test]
fn failing_case_is_named() {
    let home = Home::new();
    let table = home.file(
        "mine/cases.toml",
        "policy = 'ring-default'\n\
         [[cases]]\nname = 'reading is fine'\nring = 3\neffect = 'reads'\nexpect = 'permit'\n\
         [[cases]]\nname = 'writing is fine too'\nring = 3\neffect = 'writes'\nexpect = 'permit'\n\
         [[cases]]\nname = 'for another reason'\nring = 3\neffect = 'reads'\nexpect = 'permit'\nreasons = ['luck']\n",
    );
    let folder = table.parent().expect("a folder").display().to_string();
    let ran = home.run(["policy", "test", &folder]);
    ran.code(4);
    let text = ran.text();
    assert!(text.contains("ok      reading is fine"), "{text}");
    assert!(text.contains("FAILED  writing is fine too"), "{text}");
    assert!(text.contains("expected permit\n          got      forbid (ring-not-privileged-enough)"), "{text}");
    assert!(text.contains("FAILED  for another reason"), "{text}");
    assert!(text.contains("1 passed, 2 failed"), "{text}");

    let json = home.run(["policy", "test", &folder, "--format", "json"]).code(4).json();
    let passed: Vec<_> =
        json["cases"].as_array().expect("cases").iter().map(|case| case["passed"] == Value::Bool(true)).collect();
    assert_eq!((passed, &json["failed"]), (vec![true, false, false], &Value::from(2)));
}

#[test]
fn table_that_cannot_be_run_is_refused() {
    let home = Home::new();
    let row = "[[cases]]\nname = 'x'\nexpect = 'permit'\n";
    for (name, table) in [
        ("not toml", "[[cases]\n".to_owned()),
        ("empty", String::new()),
        ("no rows", "cases = []\n".to_owned()),
        ("an unknown key", format!("policy = 'ring-default'\n{row}colour = 'red'\n")),
        ("an unknown verdict", "[[cases]]\nname = 'x'\nexpect = 'maybe'\n".to_owned()),
        ("an unknown ring", format!("{row}ring = 4\n")),
        ("an unknown effect", format!("{row}effect = 'magic'\n")),
        ("a folder that is no path", format!("{row}folders = [{{ guest-path = '..', access = 'read' }}]\n")),
        ("no expectation", "[[cases]]\nname = 'x'\n".to_owned()),
        ("an unknown policy", format!("policy = 'nobody'\n{row}")),
        ("wrong settings", format!("policy = 'path-scope'\n{row}")),
    ] {
        let path = home.file("mine/cases.toml", table);
        let ran = home.run(["policy", "test", &path.parent().expect("a folder").display().to_string()]);
        assert_eq!(ran.code, 1, "{name}: {ran:?}");
        ran.fails_well();
    }
}

#[test]
fn component_can_be_named_either_way() {
    let home = Home::new();
    let row = "[[cases]]\nname = 'x'\neffect = 'external'\nring = 3\nexpect = 'permit'\nreasons = ['permitted']\n";
    let permit = ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS;
    let plain = home.file("plain/cases.toml", row);
    let plain = plain.parent().expect("a folder").display().to_string();
    home.run(["policy", "test", &plain, "--component", permit]).code(0);
    home.run(["policy", "test", &plain]).code(1).says("`plain`");

    std::fs::copy(permit, home.folder("named").join("mine.wasm")).expect("a copy");
    home.file("named/cases.toml", format!("component = 'mine.wasm'\n{row}"));
    home.run(["policy", "test", &home.folder("named").display().to_string()]).code(0);
}

#[test]
fn faults_can_be_expected_in_cases() {
    let home = Home::new();
    for (component, code) in [
        (ringfence_artifacts::HOSTILE_POLICY_TRAP, "policy-trap"),
        (ringfence_artifacts::HOSTILE_POLICY_SPIN_FOREVER, "policy-out-of-fuel"),
    ] {
        let row = format!("[[cases]]\nname = 'x'\nexpect = 'fault'\nreasons = ['{code}']\n");
        let table = home.file("mine/cases.toml", row);
        let folder = table.parent().expect("a folder").display().to_string();
        home.run(["policy", "test", &folder, "--component", component]).code(0);
    }
}
