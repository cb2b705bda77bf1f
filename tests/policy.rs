//! What policies say together: the order changes nothing, no permit means no, and whatever is no policy stops everything.
//!
//! A policy is put in force the way an operator does it, through `ringfence.toml`, and judged by what is left behind: an
//! exit code, an untouched folder, and one entry that says who decided what.

use std::path::Path;
use std::path::PathBuf;

use ringfence_model::decision::Answer;
use ringfence_model::decision::Decision;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::digest::Digest;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::PolicySet;
use serde_json::Value;

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

fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = items.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for shorter in permutations(rest) {
        for place in 0..=shorter.len() {
            let mut longer = shorter.clone();
            longer.insert(place, first.clone());
            all.push(longer);
        }
    }
    all
}

#[test]
fn order_of_policies_changes_nothing() {
    // POL-05, POL-06: every subset of five policies that say different things, in every order.
    let policies = [
        load("permit", ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS),
        load("forbid", ringfence_artifacts::HOSTILE_POLICY_FORBID_ALWAYS),
        load("abstain", ringfence_artifacts::HOSTILE_POLICY_ABSTAIN_ALWAYS),
        load("trap", ringfence_artifacts::HOSTILE_POLICY_TRAP),
        load("oblige", ringfence_artifacts::HOSTILE_POLICY_UNKNOWN_OBLIGATION),
    ];
    let request: PolicyRequest = serde_json::from_value(request(3, "reads", "agent:a")).expect("a request");
    for subset in 0_u32..1 << policies.len() {
        let has = |index: usize| subset & (1 << index) != 0;
        let chosen: Vec<_> = (0..policies.len()).filter(|index| has(*index)).map(|i| policies[i].clone()).collect();
        let decide = |order: Vec<Policy>| {
            let set = PolicySet::new(order);
            (set.digest(), set.decide(&request))
        };
        let (digest, decision): (Digest, Decision) = decide(chosen.clone());
        assert_eq!(matches!(decision.answer, Answer::Allow(_)), has(0) && !has(1) && !has(3) && !has(4), "{subset}");
        for order in permutations(&chosen) {
            assert_eq!(decide(order), (digest, decision.clone()), "{subset}");
        }
    }
}

#[test]
fn set_is_named_by_content_alone() {
    // The digest in the record is that of components and settings: a name can't make one set look like another.
    let (permit, abstain) =
        (ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS, ringfence_artifacts::HOSTILE_POLICY_ABSTAIN_ALWAYS);
    let set_of = |config: String| {
        let home = Home::new();
        home.configure(&config);
        write(&home, &[]).0.code(0);
        home.entries()[1]["body"]["decision"]["policy_set"].clone()
    };
    let one = set_of(in_force("a", permit) + &in_force("b", abstain));
    assert_eq!(one, set_of(in_force("b", abstain) + &in_force("a", permit)));
    assert_eq!(one, set_of(in_force("a", abstain) + &in_force("b", permit)));
    assert_ne!(one, set_of(in_force("a", permit)));
    assert_ne!(one, set_of(format!("[policies.ring-default]\n{}", in_force("a", permit))));
}

#[test]
fn empty_set_permits_nothing() {
    // POL-05
    is_denied("[policies]\n", &[], "denied.policy", &[]);
    let home = Home::new();
    home.configure("[policies]\n");
    let (_, value) = write(&home, &[]);
    let hints = value["outcome"]["error"]["hints"].to_string();
    assert!(hints.contains("[policies.ring-default]"), "{hints}");
}

#[test]
fn policy_of_one_call_can_forbid_it() {
    let permit = in_force("hostile", ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS);
    let home = Home::new();
    home.configure(&permit);
    let input = r#"{"path":"/nowhere","content":""}"#;
    // Ring 3 may not write: that is what `ring-default` knows, and only it.
    home.call(FILES, &["write", "--input", input]).0.code(4);
    let (ran, value) = home.call(FILES, &["write", "--input", input, "--policy", "ring-default"]);
    ran.code(3);
    assert_eq!(value["outcome"]["error"]["code"], "denied.policy");
    let wanted = ["hostile permit permitted", "ring-default forbid ring-not-privileged-enough"];
    assert_eq!(rulings(&value["receipt"]["entry"]["body"]), wanted);
    home.is_well();
}

#[test]
fn policy_of_one_call_cannot_permit_more() {
    let forbid = in_force("hostile", ringfence_artifacts::HOSTILE_POLICY_FORBID_ALWAYS);
    let wanted = ["hostile forbid forbidden", "ring-default permit within-ring"];
    is_denied(&forbid, &["--policy", "ring-default"], "denied.policy", &wanted);
}

#[test]
fn policy_named_twice_is_asked_once() {
    let home = Home::new();
    let (ran, _) = write(&home, &["--policy", "ring-default", "--policy", "ring-default"]);
    ran.code(0);
    assert_eq!(rulings(&home.entries()[1]["body"]), ["ring-default permit within-ring"]);
}

/// A call under this configuration never starts: exit 1, an error with a hint, nothing written, nothing recorded.
#[track_caller]
fn nothing_runs(config: &str, says: &str) {
    let home = Home::new();
    home.configure(config);
    let dir = format!("{}::/out:rw", home.folder("out").display());
    let input = r#"{"path":"/out/a.txt","content":"x"}"#;
    let ran = home.run(["run", FILES, "write", "--ring", "2", "--input", input, "--dir", &dir]);
    ran.code(1).says(says);
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    assert_eq!((written(&home), kinds(&home)), (0, vec!["opened".to_owned()]), "{config}");
    home.configure("");
    home.is_well();
}

fn component(home: &Home, name: &str, wat: &str) -> PathBuf {
    home.file(name, wat::parse_str(wat).expect("wat"))
}

fn of_file(path: &Path) -> String {
    format!("[policies.ring-default]\n[policies.mine]\ncomponent = \"{}\"\n", path.display())
}

#[test]
fn policy_that_is_none_stops_everything() {
    // POL-04, beside a good policy that would permit.
    let scratch = Home::new();
    nothing_runs("[policies.ring-default]\n[policies.nobody]\n", "there is no policy `nobody`");
    nothing_runs(&of_file(Path::new("/nowhere/policy.wasm")), "/nowhere/policy.wasm");
    nothing_runs(&of_file(&scratch.file("text.wasm", "not wasm")), "policy `mine` is not a component");
    nothing_runs(&of_file(&scratch.file("empty.wasm", "")), "policy `mine` is not a component");
    nothing_runs(&of_file(&component(&scratch, "module.wasm", "(module)")), "policy `mine` is not a component");
    let nothing = component(&scratch, "nothing.wasm", "(component)");
    nothing_runs(&of_file(&nothing), "component `mine` is not a policy of `ringfence:policy@0.1`");
    nothing_runs(&of_file(Path::new(FILES)), "policy `mine` imports `wasi:");
    let good = std::fs::read(ringfence_artifacts::POLICY_RING_DEFAULT).expect("a policy");
    let cut = scratch.file("cut.wasm", &good[..good.len() - 100]);
    nothing_runs(&of_file(&cut), "policy `mine` is not a component");
}

#[test]
fn policy_of_another_version_is_none() {
    // POL-04: it has the names, under a version that this host does not know.
    let scratch = Home::new();
    let other = component(
        &scratch,
        "other.wasm",
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $judge (export "describe" (func $f)) (export "validate-settings" (func $f))
                (export "evaluate" (func $f)))
            (export "ringfence:policy/judge@0.2.0" (instance $judge)))"#,
    );
    nothing_runs(&of_file(&other), "component `mine` is not a policy of `ringfence:policy@0.1`");
    // The right version, and functions of other types.
    let lying = component(
        &scratch,
        "lying.wasm",
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $judge (export "describe" (func $f)) (export "validate-settings" (func $f))
                (export "evaluate" (func $f)))
            (export "ringfence:policy/judge@0.1.0" (instance $judge)))"#,
    );
    nothing_runs(&of_file(&lying), "component `mine` is not a policy of `ringfence:policy@0.1`");
}

#[test]
fn unused_import_is_still_an_import() {
    // POL-13
    let scratch = Home::new();
    let idle = component(&scratch, "idle.wasm", r#"(component (import "log" (func)))"#);
    nothing_runs(&of_file(&idle), "policy `mine` imports `log`");
}

#[test]
fn component_other_than_pinned_is_refused() {
    // POL-12: the file is exchanged behind the operator's back.
    let home = Home::new();
    let path = home.folder("policies").join("mine.wasm");
    std::fs::copy(ringfence_artifacts::HOSTILE_POLICY_FORBID_ALWAYS, &path).expect("a copy");
    home.configure(&in_force("mine", &path.display().to_string()));
    write(&home, &[]).0.code(3);
    std::fs::copy(ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS, &path).expect("a copy");
    let dir = format!("{}::/out:rw", home.folder("out").display());
    let input = r#"{"path":"/out/a.txt","content":"x"}"#;
    let ran = home.run(["run", FILES, "write", "--ring", "2", "--input", input, "--dir", &dir]);
    ran.code(1).fails_well().says("is pinned");
    assert_eq!((written(&home), kinds(&home)), (0, vec!["opened".to_owned(), "refused".to_owned()]));
}

#[test]
fn wrong_settings_stop_everything() {
    for (settings, says) in [
        ("", "at `/roots`"),
        ("settings = {}", "at `/roots`"),
        ("settings = { roots = [] }", "at `/roots`"),
        ("settings = { roots = ['/a'], rots = 1 }", "at `/rots`"),
        ("settings = { roots = ['docs'] }", "at `/roots/0`"),
        ("settings = []", "settings of policy `path-scope`"),
    ] {
        nothing_runs(&format!("[policies.ring-default]\n[policies.path-scope]\n{settings}\n"), says);
    }
    nothing_runs("[policies.ring-default]\nsettings = { strict = true }\n", "at `/strict`");
}

#[test]
fn list_says_what_is_in_force() {
    let home = Home::new();
    let names = |home: &Home| -> Vec<(String, bool)> {
        let list = home.run(["policy", "list", "--format", "json"]).code(0).json();
        let row = |row: &Value| {
            (row["configured_name"].as_str().expect("a name").to_owned(), row["in_force"] == Value::Bool(true))
        };
        list["policies"].as_array().expect("rows").iter().map(row).collect()
    };
    let builtin = |in_force: &str| -> Vec<(String, bool)> {
        ringfence_policies::ALL.iter().map(|policy| (policy.name.to_owned(), policy.name == in_force)).collect()
    };
    assert_eq!(names(&home), builtin("ring-default"));
    home.configure(&in_force("mine", ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS));
    let mut wanted = builtin("");
    wanted.push(("mine".to_owned(), true));
    wanted.sort();
    assert_eq!(names(&home), wanted);
    let text = home.run(["policy", "list"]).code(0).text();
    assert!(text.contains("in force  mine  sha256:") && !text.contains("in force  ring-default"), "{text}");
    home.configure(&in_force("mine", ringfence_artifacts::HOSTILE_POLICY_IMPORTS_CLOCK));
    home.run(["policy", "list"]).code(1).fails_well();
}
