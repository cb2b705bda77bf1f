//! Policies: their cases, and what hostile ones come to.
//!
//! A policy is put in force the way an operator does it, through `ringfence.toml`, and judged by what is left behind: an
//! exit code, an untouched folder, and one entry that says who decided what.

use ringfence_model::content::ContentName;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ringfence_model::decision::Answer;
use ringfence_model::decision::Decision;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Verdict;
use ringfence_model::digest::Digest;
use ringfence_model::json;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::policy::cases::Cases;
use serde_json::Value;

use crate::harness::ENGINE;
use crate::harness::Home;
use crate::harness::Ran;

const FILES: &str = ringfence_artifacts::TOOL_FILES;
const ECHO: &str = ringfence_artifacts::TOOL_ECHO;

/// One for all tests: each holds a pool of instances.
/// The folder of a policy's source and cases.
fn source(name: &str) -> String {
    format!("{}/../../policies/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Lines of the configuration that put a component in force under a name, pinned by its digest.
pub fn in_force(name: &str, component: &str) -> String {
    let digest = Digest::of(&std::fs::read(component).expect("a component"));
    format!("[policies.{name}]\ncomponent = \"{component}\"\ndigest = \"{digest}\"\n")
}

/// A call that would write, in ring 2, to a folder it is given to write to.
fn write(home: &Home, more: &[&str]) -> (Ran, Value) {
    let dir = format!("{}::/out:rw", home.folder("out").display());
    let input = r#"{"path":"/out/a.txt","content":"written"}"#;
    home.call(FILES, &[&["write", "--ring", "2", "--input", input, "--dir", &dir], more].concat())
}

fn written(home: &Home) -> usize {
    std::fs::read_dir(home.folder("out")).expect("the folder").count()
}

fn read(home: &Home, path: &str, more: &[&str]) -> (Ran, Value) {
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
fn is_denied(config: &str, more: &[&str], code: &str, wanted: &[&str]) {
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
fn request_behind(home: &Home, body: &Value) -> Vec<u8> {
    let content = home.behind(body, ContentName::Request);
    assert_eq!(content.nonce.commit(&content.bytes), content.commitment);
    content.bytes
}

/// The request of the newest entry that has a decision.
fn last_request(home: &Home) -> Vec<u8> {
    let entries = home.entries();
    let body = entries.iter().rev().map(|entry| &entry["body"]).find(|body| body["decision"].is_object());
    request_behind(home, body.expect("a decision"))
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

mod cases {
    use super::*;

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
}

/// One test for each hostile policy, by its name: the macro below does not compile if one is missing.
mod hostile {
    use super::*;

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
}

mod combination {
    use super::*;

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
            assert_eq!(
                matches!(decision.answer, Answer::Allow(_)),
                has(0) && !has(1) && !has(3) && !has(4),
                "{subset}"
            );
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
}

mod loading {
    use super::*;

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
}

mod path_scope {
    use super::*;

    const CONFIG: &str = "[policies.ring-default]\n[policies.path-scope]\nsettings = { roots = ['/docs'] }\n";

    fn two_folders(home: &Home) -> [String; 2] {
        home.file("docs/a.txt", "a document");
        home.file("secret/b.txt", "a secret");
        ["docs", "secret"].map(|name| format!("{}::/{name}", home.folder(name).display()))
    }

    #[test]
    fn path_in_scope_is_allowed() {
        let home = Home::new();
        home.configure(CONFIG);
        let [docs, _] = two_folders(&home);
        let (ran, value) = read(&home, "/docs/a.txt", &["--dir", &docs, "--policy", "path-scope"]);
        ran.code(0);
        assert_eq!(value["outcome"]["value"], "a document");
        let said = rulings(&home.entries()[1]["body"]);
        assert_eq!(said, ["path-scope permit path-in-scope", "ring-default permit within-ring"]);
        assert_eq!(kinds(&home), ["opened", "begun", "finished"]);
    }

    #[test]
    fn path_outside_scope_is_denied() {
        let home = Home::new();
        home.configure(CONFIG);
        let [docs, secret] = two_folders(&home);
        let dirs = ["--dir", &docs, "--dir", &secret];
        for path in ["/secret/b.txt", "/docs/../secret/b.txt", "/docs/./../secret//b.txt", "secret/b.txt", "/docsy"] {
            let (ran, value) = read(&home, path, &dirs);
            ran.code(3);
            let error = &value["outcome"]["error"];
            assert_eq!(error["code"], "denied.policy", "{path}");
            let hints = error["hints"].as_array().expect("hints");
            assert!(hints[0].as_str().expect("a hint").starts_with("review first"), "{hints:?}");
            assert!(hints.contains(&"    [policies.path-scope]".into()), "{hints:?}");
            assert!(!ran.text().contains("a secret"));
        }
        // The control: without the policy, the grant is enough.
        home.configure("");
        assert_eq!(read(&home, "/secret/b.txt", &dirs).1["outcome"]["value"], "a secret");
    }

    #[test]
    fn permit_takes_other_folders_away() {
        // The tool is given two folders, the obligation leaves one: what the tool sees is what is recorded.
        let home = Home::new();
        home.configure(CONFIG);
        let [docs, secret] = two_folders(&home);
        let lines = ringfence_artifacts::TOOL_LINES;
        let dirs = ["--dir", &docs, "--dir", &secret];
        // A command has no path argument, so nothing says which folder it will use: each has to be in scope.
        let args = [&dirs[..], &["--", "-n", "/secret/b.txt"]].concat();
        let (ran, value) = home.call(lines, &args);
        ran.code(3);
        let message = value["outcome"]["error"]["message"].as_str().expect("a message");
        assert!(message.contains("(folder-outside-scope)"), "{message}");
        home.call(lines, &["--dir", &docs, "--", "/docs/a.txt"]).0.code(0);
        // A function whose path is in scope.
        let (ran, value) = home.call(FILES, &[&["list", "--input", r#"{"path":"/docs"}"#], &dirs[..]].concat());
        ran.code(0);
        assert_eq!(value["outcome"]["value"].as_array().expect("entries").len(), 1);
        let grants: Vec<_> = home
            .entries()
            .iter()
            .filter(|entry| entry["kind"] == "begun")
            .map(|entry| folders_of_grant(&home, &entry["body"]))
            .collect();
        assert_eq!(grants, [vec!["/docs".to_owned()], vec!["/docs".to_owned()]]);
    }

    #[test]
    fn folder_taken_away_is_not_seen() {
        // The policy is told to look at another argument, so a path outside gets past it; the obligation still holds.
        let home = Home::new();
        let [docs, secret] = two_folders(&home);
        let input = r#"{"path":"/secret/b.txt","pattern":"/docs|secret"}"#;
        let args = ["grep", "--input", input, "--dir", &docs, "--dir", &secret];
        let (ran, value) = home.call(FILES, &args);
        ran.code(0);
        assert_eq!(value["outcome"]["value"]["found"][0]["text"], "a secret");
        home.configure(
            "[policies.ring-default]\n[policies.path-scope]\n\
             settings = { roots = ['/docs|secret'], arguments = ['/pattern'] }\n",
        );
        let (ran, value) = home.call(FILES, &args);
        ran.code(4);
        assert_eq!(value["outcome"]["error"]["value"]["not-permitted"], "/secret/b.txt");
        let entries = home.entries();
        let begun = entries.iter().rev().find(|entry| entry["kind"] == "begun").expect("an entry");
        assert_eq!((folders_of_grant(&home, &begun["body"]), &begun["body"]["reach"]), (vec![], &"nothing".into()));
        assert!(rulings(&begun["body"]).contains(&"path-scope permit path-in-scope".to_owned()));
    }

    #[test]
    fn folder_above_the_scope_goes_as_a_whole() {
        let home = Home::new();
        home.configure("[policies.ring-default]\n[policies.path-scope]\nsettings = { roots = ['/docs/open'] }\n");
        home.file("docs/open/a.txt", "a document");
        let dir = format!("{}::/docs", home.folder("docs").display());
        let (ran, value) = read(&home, "/docs/open/a.txt", &["--dir", &dir]);
        ran.code(4);
        assert_eq!(value["outcome"]["error"]["value"]["not-permitted"], "/docs/open/a.txt");
        let dir = format!("{}::/docs/open", home.folder("docs/open").display());
        assert_eq!(read(&home, "/docs/open/a.txt", &["--dir", &dir]).1["outcome"]["value"], "a document");
    }

    #[test]
    fn call_without_a_path_is_not_its_concern() {
        let home = Home::new();
        home.configure("[policies.path-scope]\nsettings = { roots = ['/docs'] }\n");
        let (ran, value) = home.call(ECHO, &["string", "--input", r#"{"value":"/etc/passwd"}"#]);
        ran.code(3);
        assert_eq!(rulings(&value["receipt"]["entry"]["body"]), ["path-scope abstain"]);
        home.configure(CONFIG);
        home.call(ECHO, &["string", "--input", r#"{"value":"/etc/passwd"}"#]).0.code(0);
    }

    fn folders_of_grant(home: &Home, body: &Value) -> Vec<String> {
        let grant = home.behind(body, ContentName::Grant).bytes;
        let grant: Value = serde_json::from_slice(&grant).expect("a grant");
        let folders = grant["folders"].as_array().expect("folders").iter();
        folders.map(|folder| folder["guest"].as_str().expect("a path").to_owned()).collect()
    }
}

mod rings {
    use super::*;

    #[test]
    fn sandbox_may_not_write() {
        let home = Home::new();
        let dir = format!("{}::/out", home.folder("out").display());
        let input = r#"{"path":"/out/a.txt","content":"x"}"#;
        let args = ["run", FILES, "write", "--input", input, "--dir", &dir];
        let ran = home.run(args);
        ran.code(3).says("needs ring `2` and the call has ring `3`").says("[denied.policy]");
        ran.says("hint: review first").says("--ring 2").says("    [run]\n    ring = 2\n");
        assert_eq!(written(&home), 0);
        // The lines of the hint are the lines that allow it.
        home.configure("[run]\nring = 2\n");
        home.run(args).code(4).says("not-permitted");
        let dir = format!("{dir}:rw");
        home.run(["run", FILES, "write", "--input", input, "--dir", &dir]).code(0);
        assert_eq!(written(&home), 1);
    }

    #[test]
    fn sandbox_has_no_writable_folder() {
        let home = Home::new();
        home.file("out/a.txt", "kept");
        let dir = format!("{}::/out:rw", home.folder("out").display());
        let (ran, value) = read(&home, "/out/a.txt", &["--dir", &dir]);
        ran.code(3);
        let body = &value["receipt"]["entry"]["body"];
        assert_eq!(rulings(body), ["ring-default forbid folder-not-read-only"]);
        // Without the policy's rule, the ring's ceiling still refuses it.
        home.configure(&in_force("hostile", ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS));
        let (ran, value) = read(&home, "/out/a.txt", &["--dir", &dir]);
        ran.code(3);
        assert_eq!(value["outcome"]["error"]["code"], "denied.ring");
        let body = &value["receipt"]["entry"]["body"];
        assert_eq!((&body["stage"], &body["layer"]), (&"narrow".into(), &"ring".into()));
        assert_eq!(rulings(body), ["hostile permit permitted"]);
    }

    #[test]
    fn standard_ring_may_write() {
        let home = Home::new();
        write(&home, &[]).0.code(0);
        assert_eq!(written(&home), 1);
        assert_eq!(home.entries()[1]["body"]["ring"], 2);
        home.is_well();
    }

    #[test]
    fn read_only_folder_stays_so_in_every_ring() {
        for ring in ["2", "1", "0"] {
            let home = Home::new();
            home.file("out/a.txt", "kept");
            let dir = format!("{}::/out:ro", home.folder("out").display());
            let input = r#"{"path":"/out/a.txt","content":"lost"}"#;
            let (ran, value) = home.call(FILES, &["write", "--ring", ring, "--input", input, "--dir", &dir]);
            ran.code(4);
            assert_eq!(value["outcome"]["kind"], "tool_error");
            assert_eq!(value["outcome"]["error"]["value"]["not-permitted"], "/out/a.txt");
            assert_eq!(std::fs::read_to_string(home.folder("out").join("a.txt")).expect("the file"), "kept");
        }
    }

    #[test]
    fn root_ring_is_for_operators() {
        // Whoever runs the command operates the host; that an agent may not is asked of the policy itself.
        let home = Home::new();
        let (ran, _) = write(&home, &["--ring", "0"]);
        assert_eq!(ran.code, 2, "a ring is given once");
        let dir = format!("{}::/out:rw", home.folder("out").display());
        let input = r#"{"path":"/out/a.txt","content":"x"}"#;
        home.call(FILES, &["write", "--ring", "0", "--input", input, "--dir", &dir]).0.code(0);
        let principal = home.entries()[1]["body"]["principal"].as_str().expect("a principal").to_owned();
        assert!(principal.starts_with("operator:uid-"), "{principal}");

        let asked = |principal: &str| {
            let file = home.file("request.json", request(0, "administrative", principal).to_string());
            let file = file.display().to_string();
            home.run(["policy", "eval", "ring-default", "--request", &file, "--format", "json"])
        };
        asked("operator:ada").code(0);
        for principal in ["agent:operator", "service:ci"] {
            let answer = asked(principal).code(3).json();
            assert_eq!(answer["reasons"][0]["code"], "root-is-for-operators");
        }
    }

    #[test]
    fn ring_that_is_none_is_refused() {
        let home = Home::new();
        for ring in ["4", "-1", "256", "root", ""] {
            home.run(["run", FILES, "list", "--ring", ring]).code(2);
        }
        assert_eq!(kinds(&home), ["opened"]);
    }
}

mod bytes {
    use super::*;

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
}

mod eval {
    use super::*;

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
}
