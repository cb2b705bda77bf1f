//! What hostile policies come to: one test for each, by its name. The macro below does not compile if one is missing.

use std::time::Duration;

use ringfence_model::decision::Answer;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Verdict;
use ringfence_runtime::policy::PolicySet;

use crate::harness::Home;
use crate::harness::policies::in_force;
use crate::harness::policies::is_denied;
use crate::harness::policies::kinds;
use crate::harness::policies::load;
use crate::harness::policies::request;
use crate::harness::policies::rulings;
use crate::harness::policies::write;
use crate::harness::policies::written;

const FILES: &str = ringfence_artifacts::TOOL_FILES;

macro_rules! has_a_test {
    ($name:ident) => {
        const _: fn() = $name;
    };
}

ringfence_artifacts::for_each_hostile_policy!(has_a_test);

/// Alone, and with an honest policy that permits: neither way may it get the call through.
#[track_caller]
fn is_denied_anyway(component: &str, code: &str, said: &str) {
    let honest = "[policies.ring-default]\n";
    let hostile = in_force("hostile", component);
    let wanted = format!("hostile {said}");
    is_denied(&hostile, &[], code, &[&wanted]);
    is_denied(&format!("{honest}{hostile}"), &[], code, &[&wanted, "ring-default permit within-ring"]);
}

#[test]
fn abstain_always() {
    // POL-05: when all abstain nothing was permitted, and an abstention takes nothing away.
    let component = ringfence_artifacts::HOSTILE_POLICY_ABSTAIN_ALWAYS;
    is_denied(&in_force("hostile", component), &[], "denied.policy", &["hostile abstain"]);
    let two = in_force("one", component) + &in_force("two", component);
    is_denied(&two, &[], "denied.policy", &["one abstain", "two abstain"]);

    let home = Home::new();
    home.configure(&format!("[policies.ring-default]\n{}", in_force("hostile", component)));
    write(&home, &[]).0.code(0);
    assert_eq!(rulings(&home.entries()[1]["body"]), ["hostile abstain", "ring-default permit within-ring"]);
}

#[test]
fn forbid_always() {
    // POL-06: whatever the order in the file and of the names.
    let forbid = ringfence_artifacts::HOSTILE_POLICY_FORBID_ALWAYS;
    let permit = ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS;
    is_denied_anyway(forbid, "denied.policy", "forbid forbidden");
    for (one, other) in [("a", "b"), ("b", "a")] {
        let (no, yes) = (in_force(one, forbid), in_force(other, permit));
        let mut wanted = [format!("{one} forbid forbidden"), format!("{other} permit permitted")];
        wanted.sort();
        let wanted = wanted.each_ref().map(String::as_str);
        is_denied(&format!("{no}{yes}"), &[], "denied.policy", &wanted);
        is_denied(&format!("{yes}{no}"), &[], "denied.policy", &wanted);
    }
}

#[test]
fn garbage_reply() {
    // POL-03: whatever the bytes are, they are no verdict; laid out soundly by the same hand they are one.
    let component = ringfence_artifacts::HOSTILE_POLICY_GARBAGE_REPLY;
    let replying = |kind: &str| format!("{}settings = {{ reply = \"{kind}\" }}\n", in_force("hostile", component));
    for kind in [
        "address-outside",
        "address-odd",
        "tag-unknown",
        "list-outside",
        "list-endless",
        "list-odd",
        "text-outside",
        "text-endless",
        "text-gibibyte",
        "text-not-unicode",
        "text-surrogate",
        "obligation-unknown",
        "settings-as-obligations",
    ] {
        let config = format!("[policies.ring-default]\n{}", replying(kind));
        let wanted = ["hostile fault policy-bad-reply", "ring-default permit within-ring"];
        is_denied(&config, &[], "denied.policy-fault", &wanted);
    }
    let home = Home::new();
    home.configure(&replying("permit"));
    write(&home, &[]).0.code(0);
    assert_eq!(rulings(&home.entries()[1]["body"]), ["hostile permit"]);
}

#[test]
fn grow_memory() {
    // POL-02
    is_denied_anyway(
        ringfence_artifacts::HOSTILE_POLICY_GROW_MEMORY,
        "denied.policy-fault",
        "fault policy-out-of-memory",
    );
}

#[test]
fn imports_clock() {
    // POL-13: it is not a policy, so nothing runs, not even under the honest one beside it.
    let component = ringfence_artifacts::HOSTILE_POLICY_IMPORTS_CLOCK;
    for honest in ["", "[policies.ring-default]\n"] {
        let home = Home::new();
        home.configure(&format!("{honest}{}", in_force("hostile", component)));
        let dir = format!("{}::/out:rw", home.folder("out").display());
        let input = r#"{"path":"/out/a.txt","content":"x"}"#;
        let ran = home.run(["run", FILES, "write", "--ring", "2", "--input", input, "--dir", &dir]);
        ran.code(1).fails_well().says("policy `hostile` imports `wasi:");
        assert_eq!((written(&home), kinds(&home)), (0, vec!["opened".to_owned()]));
        home.configure("");
        home.is_well();
    }
}

#[test]
fn oversized_reason() {
    // POL-03
    is_denied_anyway(
        ringfence_artifacts::HOSTILE_POLICY_OVERSIZED_REASON,
        "denied.policy-fault",
        "fault policy-bad-reply",
    );
}

#[test]
fn permit_always() {
    // The positive control of everything here.
    let home = Home::new();
    home.configure(&in_force("hostile", ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS));
    let (ran, value) = write(&home, &[]);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], 7);
    assert_eq!(std::fs::read_to_string(home.folder("out").join("a.txt")).expect("the file"), "written");
    let entries = home.entries();
    assert_eq!(kinds(&home), ["opened", "begun", "finished"]);
    assert_eq!(rulings(&entries[1]["body"]), ["hostile permit permitted"]);
    assert_eq!(entries[1]["body"]["decision"]["allowed"], true);
    home.is_well();
}

#[test]
fn remember_across_calls() {
    // Each question goes to a fresh instance, so it is the first one every time: within a run, across runs, and
    // within one process.
    let component = ringfence_artifacts::HOSTILE_POLICY_REMEMBER_ACROSS_CALLS;
    is_denied_anyway(component, "denied.policy", "forbid first-time");
    let home = Home::new();
    home.configure(&(in_force("one", component) + &in_force("two", component)));
    for _ in 0..3 {
        write(&home, &[]).0.code(3);
    }
    assert_eq!(kinds(&home), ["opened", "refused", "refused", "refused"]);
    for entry in &home.entries()[1..] {
        // Two names, one component and one set of settings.
        assert_eq!(rulings(&entry["body"]), ["one forbid first-time", "two forbid first-time"]);
    }

    let request: PolicyRequest = serde_json::from_value(request(3, "reads", "agent:a")).expect("a request");
    let policy = load("memory", component);
    let set = PolicySet::new(vec![policy.clone(), policy.clone()]);
    for _ in 0..3 {
        assert!(matches!(policy.ask(&request).verdict, Ok(Verdict::Forbid(_))));
        assert!(matches!(set.decide(&request).answer, Answer::Deny(_)));
    }
}

#[test]
fn scripted() {
    // What other tests make policies out of does what its settings say: the positive control of `points.rs`.
    let component = ringfence_artifacts::HOSTILE_POLICY_SCRIPTED;
    for (settings, code) in [(r#"{ call = "permit" }"#, 0), (r#"{ call = "forbid" }"#, 3), ("{ }", 3)] {
        let home = Home::new();
        home.configure(&format!("{}settings = {settings}\n", in_force("scripted", component)));
        write(&home, &[]).0.code(code);
    }
}

#[test]
fn spin_forever() {
    // POL-02
    let component = ringfence_artifacts::HOSTILE_POLICY_SPIN_FOREVER;
    is_denied_anyway(component, "denied.policy-fault", "fault policy-out-of-fuel");
    let home = Home::new();
    home.configure(&in_force("hostile", component));
    write(&home, &[]);
    assert!(write(&home, &[]).0.elapsed < Duration::from_secs(10));
}

#[test]
fn trap() {
    // POL-01
    is_denied_anyway(ringfence_artifacts::HOSTILE_POLICY_TRAP, "denied.policy-fault", "fault policy-trap");
}

#[test]
fn unknown_obligation() {
    // POL-03: its verdict is a permit, and the condition on it can't be met.
    let component = ringfence_artifacts::HOSTILE_POLICY_UNKNOWN_OBLIGATION;
    is_denied_anyway(component, "denied.policy-fault", "permit permitted");
    let home = Home::new();
    home.configure(&in_force("hostile", component));
    let (_, value) = write(&home, &[]);
    let message = value["outcome"]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("`stand-on-one-leg`") && message.contains("(unknown-obligation)"), "{message}");
}

#[test]
fn widen_grant() {
    let widen = in_force("hostile", ringfence_artifacts::HOSTILE_POLICY_WIDEN_GRANT);
    let honest = in_force("hostile", ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS);
    let begun = |home: &Home| home.entries()[1]["body"].clone();
    let write_to = |config: &str, ring: &str, access: &str| {
        let home = Home::new();
        home.configure(config);
        let dir = format!("{}::/out:{access}", home.folder("out").display());
        let input = r#"{"path":"/out/a.txt","content":"x"}"#;
        let limits = ["--memory", "16", "--fuel", "5000000", "--timeout", "5"];
        let args = [&["write", "--ring", ring, "--input", input, "--dir", &dir][..], &limits].concat();
        let (ran, value) = home.call(FILES, &args);
        (home, ran, value)
    };
    for (ring, access) in [("3", "ro"), ("2", "ro")] {
        let (home, ran, value) = write_to(&widen, ring, access);
        ran.code(4);
        assert_eq!(value["outcome"]["error"]["value"]["not-permitted"], "/out/a.txt");
        let (control, ..) = write_to(&honest, ring, access);
        assert_eq!(written(&home), 0);
        assert_eq!(begun(&home)["limits"], begun(&control)["limits"]);
        assert_eq!(begun(&home)["limits"]["memory_bytes"], 16 * 1024 * 1024);
        assert_eq!((&begun(&home)["limits"]["fuel"], &begun(&home)["reach"]), (&5_000_000.into(), &"reads".into()));
    }
    let (home, ran, value) = write_to(&widen, "3", "rw");
    ran.code(3);
    assert_eq!((&value["outcome"]["error"]["code"], written(&home)), (&"denied.ring".into(), 0));
    let (home, ran, _) = write_to(&widen, "2", "rw");
    ran.code(0);
    assert_eq!(written(&home), 1);
    home.is_well();
}
