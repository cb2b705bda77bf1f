//! Decisions that are made again: explained before a call, replayed after it, compared under another set, shuffled,
//! timed, and asked in two processes.
//!
//! What is claimed is that a verdict follows from bytes alone, so everything here goes through real logs, real archives and
//! the real command.

use ringfence_model::content::ContentName;
use std::path::PathBuf;
use std::process::Command;

use ringfence_model::decision::PolicyRequest;
use ringfence_model::digest::Digest;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::cases::Cases;
use serde_json::Value;
use serde_json::json;

use crate::harness::ENGINE;
use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::policies::in_force;
use crate::harness::policies::kinds;
use crate::harness::policies::request;
use crate::harness::policies::rulings;
use crate::record::tamper;

const FILES: &str = ringfence_artifacts::TOOL_FILES;
const FORBID: &str = ringfence_artifacts::HOSTILE_POLICY_FORBID_ALWAYS;
const PERMIT: &str = ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS;

/// What `run` and `explain` have in common: a call that writes.
fn writing(home: &Home, ring: &str, access: &str) -> Vec<String> {
    let dir = format!("{}::/out:{access}", home.folder("out").display());
    let input = r#"{"path":"/out/a.txt","content":"x"}"#;
    [FILES, "write", "--ring", ring, "--input", input, "--dir", &dir].map(str::to_owned).to_vec()
}

fn run(home: &Home, args: &[String]) -> Ran {
    home.run(["run".to_owned()].iter().chain(args))
}

fn explain(home: &Home, args: &[String], more: &[&str]) -> (i32, Value) {
    let words = ["policy", "explain", "--format", "json"].map(str::to_owned);
    let ran = home.run(words.iter().chain(args).cloned().chain(more.iter().map(|word| (*word).to_owned())));
    (ran.code, ran.json())
}

fn replay(home: &Home, more: &[&str]) -> (i32, Value) {
    let ran = home.run([&["policy", "replay", "--format", "json"], more].concat());
    (ran.code, ran.json())
}

/// What an entry's decision commits to.
fn request_behind(home: &Home, body: &Value) -> Value {
    serde_json::from_slice(&home.behind(body, ContentName::Request).bytes).expect("JSON")
}

/// A log with a few decisions under several sets, which are out of force by now.
fn history(home: &Home) {
    let file = home.file("policies/mine.wasm", std::fs::read(PERMIT).expect("a policy"));
    let mine = in_force("mine", &file.display().to_string());
    for config in [
        String::new(),
        mine.clone(),
        format!("[policies.ring-default]\n{}", in_force("no", FORBID)),
        "[policies.ring-default]\n[policies.path-scope]\nsettings = { roots = ['/out'] }\n".to_owned(),
        "[policies]\n".to_owned(),
        in_force("trap", ringfence_artifacts::HOSTILE_POLICY_TRAP),
        in_force("spin", ringfence_artifacts::HOSTILE_POLICY_SPIN_FOREVER),
        format!("{mine}settings = {{ a = 1 }}\n"),
    ] {
        home.configure(&config);
        run(home, &writing(home, "2", "rw"));
        run(home, &writing(home, "3", "rw"));
    }
    // Neither the configuration nor the file is there any more.
    std::fs::remove_file(file).expect("removed");
    home.configure("");
}

mod explained {
    use super::*;

    #[test]
    fn explanation_agrees_with_the_call() {
        // POL-21: the same answer as a call gets, from the same request, and nothing else happens.
        for (config, ring, access, code) in [
            (String::new(), "2", "rw", 0),
            (String::new(), "3", "rw", 3),
            (in_force("no", FORBID), "2", "rw", 3),
            (in_force("yes", PERMIT), "3", "rw", 3),
            ("[policies]\n".to_owned(), "2", "rw", 3),
            (in_force("trap", ringfence_artifacts::HOSTILE_POLICY_TRAP), "2", "rw", 3),
            ("[operator]\nfilesystem = 'read'\n".to_owned(), "2", "rw", 3),
        ] {
            let home = Home::new();
            home.configure(&config);
            let args = writing(&home, ring, access);
            let before = std::fs::read(home.path().join("log.sqlite")).expect("the log");
            let (exit, explained) = explain(&home, &args, &[]);
            assert_eq!(exit, code, "{config}: {explained:#}");
            assert_eq!(std::fs::read(home.path().join("log.sqlite")).expect("the log"), before);
            assert!(
                !home.path().join("archive").exists()
                    && std::fs::read_dir(home.folder("out")).expect("it").count() == 0
            );

            run(&home, &args).code(code);
            let body = &home.entries()[1]["body"];
            assert_eq!(explained["policy_set"], body["decision"]["policy_set"]);
            assert_eq!(explained["allowed"], body["decision"]["allowed"]);
            let mut said = explained["policies"]
                .as_array()
                .expect("policies")
                .iter()
                .zip(body["decision"]["rulings"].as_array().expect("rulings"));
            assert!(
                said.all(|(now, then)| now["verdict"] == then["verdict"] && now["fuel"] == then["fuel"]),
                "{explained:#}"
            );
            assert_eq!(explained["refused"]["layer"], body["layer"], "{explained:#}");
            // What the policies would be told is what they are told, but for the time.
            let mut recorded = request_behind(&home, body);
            recorded["time-ms"] = explained["request"]["time-ms"].clone();
            assert_eq!(explained["request"], recorded);
        }
    }

    #[test]
    fn explanation_needs_no_key() {
        // POL-21: what can't sign can't record.
        let home = Home::new();
        let args = writing(&home, "2", "rw");
        std::fs::remove_file(home.path().join("keys/log.key")).expect("removed");
        let before = std::fs::read(home.path().join("log.sqlite")).expect("the log");
        let (code, explained) = explain(&home, &args, &[]);
        assert_eq!((code, &explained["allowed"]), (0, &Value::from(true)));
        assert!(explained["grant"]["folders"][0]["guest"] == "/out", "{explained:#}");
        assert_eq!(std::fs::read(home.path().join("log.sqlite")).expect("the log"), before);
    }

    #[test]
    fn explanation_is_for_whoever_is_named() {
        let home = Home::new();
        let args = writing(&home, "0", "rw");
        assert_eq!(explain(&home, &args, &[]).0, 0);
        let (code, explained) = explain(&home, &args, &["--as", "agent:claims-7"]);
        assert_eq!((code, &explained["reasons"][0]["code"]), (3, &"root-is-for-operators".into()));
        assert_eq!(explained["reasons"][0]["policy"], "ring-default");
        home.configure(&format!("[policies.ring-default]\n{}principals = [\"agent:*\"]\n", in_force("no", FORBID)));
        let args = writing(&home, "2", "rw");
        let (code, explained) = explain(&home, &args, &[]);
        assert_eq!((code, &explained["not_asked"]), (0, &json!(["no"])));
        assert_eq!(explain(&home, &args, &["--as", "agent:a"]).0, 3);
        let ran = home.run(["policy", "explain"].map(str::to_owned).iter().chain(&args));
        let text = ran.code(0).text();
        assert!(text.contains("policy   no  (not asked") && text.contains("decision allowed\ngrant    {"), "{text}");
        assert_eq!(kinds(&home), ["opened"]);
    }

    #[test]
    fn layers_refuse_in_the_explanation_too() {
        let home = Home::new();
        home.configure(&format!("[operator]\nfilesystem = 'read'\n{}", in_force("yes", PERMIT)));
        let ran = home.run(["policy", "explain"].map(str::to_owned).iter().chain(&writing(&home, "2", "rw")));
        let text = ran.code(3).text();
        assert!(text.contains("decision allowed\nrefused  by operator: "), "{text}");
        ran.says("hint: review first").says("    [operator]\n    filesystem = \"read-write\"");
    }

    #[test]
    fn request_of_any_point_is_decided_by_the_set() {
        let home = Home::new();
        let elevation = json!({
            "principal": "agent:a", "ring": 3, "time-ms": 0,
            "subject": { "elevate": { "claimed-reason": "because", "current": 3, "duration-ms": 1000, "wanted": 1 } },
        });
        let outgoing = json!({
            "principal": "agent:a", "ring": 1, "time-ms": 0,
            "subject": { "egress": {
                "before": 0, "call": "call_00000000000000000000000000000000", "function": "get", "host": "example.com",
                "kind": "http", "method": "GET", "path": "/", "port": 443, "scheme": "https",
                "tool": { "digest": Digest::of(b"t").to_string(), "name": "t" },
            } },
        });
        for (request, point, code) in [
            (request(3, "reads", "agent:a"), "call", 0),
            (request(3, "writes", "agent:a"), "call", 3),
            (elevation, "elevate", 0),
            // Nobody is asked there, and nobody has to permit.
            (outgoing, "egress", 0),
        ] {
            let file = home.file("request.json", request.to_string()).display().to_string();
            let (exit, explained) = explain(&home, &[], &["--request", &file]);
            assert_eq!((exit, &explained["point"]), (code, &point.into()), "{explained:#}");
            assert_eq!(explained["policy_set"], home.run(["policy", "list", "--format", "json"]).json()["policy_set"]);
        }
        let file = home.file("request.json", "{}").display().to_string();
        home.run(["policy", "explain", "--request", &file]).code(2).fails_well();
        home.run(["policy", "explain"]).code(2);
        home.run(["policy", "explain", FILES, "dance"]).code(2).fails_well();
        home.run(["policy", "explain", FILES, "read", "--input", r#"{"path":1}"#]).code(2).fails_well();
    }
}

mod replayed {
    use super::*;

    #[test]
    fn every_decision_is_reproduced_from_digests() {
        let home = Home::new();
        history(&home);
        let entries = home.entries();
        let decided = entries.iter().filter(|entry| entry["body"]["decision"].is_object()).count();
        assert_eq!(decided, 16);
        let (code, report) = replay(&home, &[]);
        assert_eq!((code, &report["decisions"], &report["reproduced"]), (0, &16.into(), &16.into()), "{report:#}");
        assert_eq!((&report["differing"], &report["impossible"]), (&0.into(), &0.into()));
        let text = home.run(["policy", "replay"]).code(0).text();
        assert_eq!(text, "16 decisions: 16 reproduced, 0 differing, 0 impossible\n");
        // From another home, by an export whose requests are here, and in parts.
        let other = Home::new();
        assert_eq!(replay(&other, &["--log", &home.path().display().to_string()]).1, report);
        let export = home.folder("exports").join("log").display().to_string();
        home.run(["log", "export", "--output", &export]).code(0);
        assert_eq!(replay(&home, &["--log", &export]).1, report);
        let (code, foreign) = replay(&other, &["--log", &export]);
        let finished = entries.iter().filter(|entry| entry["kind"] == "finished").count();
        let unknown = 16 + finished;
        assert_eq!((code, &foreign["impossible"], &foreign["reproduced"]), (1, &unknown.into(), &0.into()));
        let last = entries.len() - 1;
        let parts: u64 = [(0, 3), (4, last / 2), (last / 2 + 1, last)]
            .iter()
            .map(|(from, to)| {
                let part = replay(&home, &["--from", &from.to_string(), "--to", &to.to_string()]).1;
                part["reproduced"].as_u64().expect("a number")
            })
            .sum();
        assert_eq!(parts, 16);
        let call = entries[1]["body"]["call"].as_str().expect("a call");
        assert_eq!(replay(&home, &["--call", call]).1["decisions"], 1);
        home.run(["policy", "replay", "--call", "call_00000000000000000000000000000000"]).code(2).fails_well();
    }

    #[test]
    fn policy_that_is_gone_is_impossible_not_agreed() {
        let home = Home::new();
        history(&home);
        let kept = |bytes: &[u8], extension: &str| {
            let name = format!("{}.{extension}", Digest::of(bytes).to_string().replace(':', "-"));
            home.path().join("archive").join(name)
        };
        let permit = std::fs::read(PERMIT).expect("a policy");
        let (component, settings) = (kept(&permit, "wasm"), kept(br#"{"a":1}"#, "json"));
        for (path, count, says) in [(&component, 4, "is not in the archive"), (&settings, 2, "is not in the archive")] {
            let content = std::fs::read(path).expect("kept");
            std::fs::remove_file(path).expect("removed");
            let (code, report) = replay(&home, &[]);
            assert_eq!(
                (code, &report["impossible"], &report["differing"]),
                (1, &count.into(), &0.into()),
                "{report:#}"
            );
            assert!(report["entries"][0]["impossible"].as_str().expect("why").contains(says), "{report:#}");
            std::fs::write(path, content).expect("put back");
        }
        // Somebody puts another policy under the name of the first: its digest gives it away.
        std::fs::write(&component, std::fs::read(FORBID).expect("a policy")).expect("exchanged");
        let (code, report) = replay(&home, &[]);
        assert_eq!((code, &report["impossible"]), (1, &4.into()));
        assert!(report["entries"][0]["impossible"].as_str().expect("why").contains("was changed"), "{report:#}");
        std::fs::write(&component, &permit).expect("put back");
        assert_eq!(replay(&home, &[]).0, 0);
    }

    #[test]
    fn removed_request_is_named() {
        let home = Home::new();
        history(&home);
        let index = remove_request(&home);
        let (code, report) = replay(&home, &[]);
        assert_eq!((code, &report["impossible"], &report["reproduced"]), (1, &1.into(), &15.into()), "{report:#}");
        assert_eq!(report["entries"][0]["entry"], index);
        assert!(report["entries"][0]["impossible"].as_str().expect("why").contains("not in the log"));
    }

    /// Takes the request of the first refusal out of the log, as redaction would; answers with the entry's index.
    fn remove_request(home: &Home) -> Value {
        let entries = home.entries();
        let entry = entries.iter().find(|entry| entry["kind"] == "refused").expect("a refusal");
        let request = entry["index"].as_u64().expect("an index") * 8 + 5;
        let script = format!("db.execute(\"DELETE FROM entry_contents WHERE id = {request}\")");
        tamper(&home.path().join("log.sqlite"), &script);
        entry["index"].clone()
    }

    #[test]
    fn edited_record_differs() {
        // An export whose entries say something else than the policies said: verdict, codes, fuel, or the answer.
        let home = Home::new();
        history(&home);
        let entries = home.entries();
        let edit = |name: &str, change: &dyn Fn(&mut Value)| {
            let mut entry = entries[1].clone();
            change(&mut entry["body"]["decision"]);
            home.file(name, ringfence_model::json::canonical(&entry)).display().to_string()
        };
        let first = |decision: &mut Value, field: &str, value: Value| decision["rulings"][0][field] = value;
        for edited in [
            edit("fuel", &|decision| first(decision, "fuel", 1.into())),
            edit("verdict", &|decision| first(decision, "verdict", "abstain".into())),
            edit("reasons", &|decision| first(decision, "reasons", json!(["luck"]))),
            edit("answer", &|decision| decision["rulings"] = json!([])),
        ] {
            let (code, report) = replay(&home, &["--log", &edited]);
            assert_eq!((code, &report["differing"]), (5, &1.into()), "{edited}: {report:#}");
        }
        let (code, report) = replay(&home, &["--log", &edit("same", &|_| ())]);
        assert_eq!((code, &report["reproduced"]), (0, &1.into()), "the control: {report:#}");
    }
}

mod compared {
    use super::*;

    fn set(home: &Home, name: &str, config: &str) -> PathBuf {
        home.file(&format!("sets/{name}.toml"), config)
    }

    fn diff(home: &Home, sets: &[&PathBuf], more: &[&str]) -> (i32, Value) {
        let sets = sets.iter().map(|set| set.display().to_string());
        let words = ["policy", "diff", "--format", "json"].map(str::to_owned).into_iter().chain(sets);
        let ran = home.run(words.chain(more.iter().map(|word| (*word).to_owned())));
        (ran.code, ran.json())
    }

    #[test]
    fn changes_are_those_of_the_other_set() {
        let home = Home::new();
        for ring in ["2", "3", "2"] {
            run(&home, &writing(&home, ring, "rw"));
        }
        let same = set(&home, "same", "[policies.ring-default]\n");
        let (code, report) = diff(&home, &[&same], &[]);
        assert_eq!((code, &report["decisions"], &report["unchanged"]), (0, &3.into(), &3.into()), "{report:#}");
        let strict = set(&home, "strict", &format!("[policies.ring-default]\n{}", in_force("no", FORBID)));
        let (code, report) = diff(&home, &[&strict], &[]);
        assert_eq!((code, &report["denied"], &report["allowed"]), (3, &2.into(), &0.into()), "{report:#}");
        let change = &report["changes"][0];
        assert_eq!((&change["from"], &change["to"]), (&"allowed".into(), &"denied".into()));
        assert_eq!((&change["by"], &change["function"]), (&json!(["no forbid (forbidden)"]), &"write".into()));
        assert!(change["principal"].as_str().expect("a principal").starts_with("operator:uid-"));
        // The other way round, and two sets that are both not in force.
        let lax = set(&home, "lax", &in_force("yes", PERMIT));
        let (code, report) = diff(&home, &[&strict, &lax], &[]);
        assert_eq!((code, &report["allowed"], &report["denied"]), (3, &3.into(), &0.into()), "{report:#}");
        let (_, report) = diff(&home, &[&same, &lax], &[]);
        assert_eq!((&report["allowed"], &report["unchanged"]), (&1.into(), &2.into()), "{report:#}");
        // What is compared is what would have been: the archive and the log stay as they are.
        assert_eq!(home.entries().iter().filter(|entry| entry["body"]["decision"].is_object()).count(), 3);
    }

    #[test]
    fn other_conditions_are_a_change() {
        let home = Home::new();
        let args = writing(&home, "2", "rw");
        run(&home, &args).code(0);
        let narrow = "[policies.ring-default]\n[policies.path-scope]\nsettings = { roots = ['/out'] }\n";
        let (code, report) = diff(&home, &[&set(&home, "narrow", narrow)], &[]);
        assert_eq!((code, &report["otherwise"]), (3, &1.into()), "{report:#}");
        assert_eq!(report["changes"][0]["by"], json!(["path-scope permit (path-in-scope)"]));
        let text = home.run(["policy", "diff", &home.folder("sets").join("narrow.toml").display().to_string()]).text();
        assert!(text.contains("allowed → allowed otherwise, by path-scope permit (path-in-scope)"), "{text}");
    }

    #[test]
    fn set_that_can_not_be_in_force_is_refused() {
        let home = Home::new();
        run(&home, &writing(&home, "2", "rw"));
        let broken = set(&home, "broken", "[policies.path-scope]\n");
        home.run(["policy", "diff", &broken.display().to_string()]).code(1).fails_well().says("at `/roots`");
        home.run(["policy", "diff", "/nowhere.toml"]).code(1).fails_well();
        home.run(["policy", "diff"]).code(2);
        // A folder with a configuration, and a home.
        let folder = set(&home, "ringfence", "[policies]\n").parent().expect("a folder").to_owned();
        assert_eq!(diff(&home, &[&folder], &[]).1["denied"], 1);
        assert_eq!(diff(&home, &[&home.path()], &[]).0, 0);
    }
}

mod tested {
    use super::*;

    fn source(name: &str) -> String {
        format!("{}/../../policies/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn coverage_counts_what_is_reached() {
        let home = Home::new();
        let report =
            home.run(["policy", "test", &source("path-scope"), "--coverage", "--format", "json"]).code(0).json();
        let coverage = &report["coverage"];
        let cases = report["cases"].as_array().expect("cases").len() as u64;
        let sum = |what: &str| {
            coverage[what].as_object().expect("counts").values().map(|n| n.as_u64().expect("a count")).sum::<u64>()
        };
        assert_eq!((sum("verdicts"), sum("points")), (cases, cases), "{coverage:#}");
        for (what, name) in
            [("verdicts", "permit"), ("reasons", "path-outside-scope"), ("obligations", "narrow"), ("points", "call")]
        {
            assert!(coverage[what][name].as_u64().is_some_and(|count| count > 0), "{what} {name}: {coverage:#}");
        }
        assert_eq!(coverage["verdicts"]["fault"], 0);
        // A point without a case is named.
        let table = home.file(
            "thin/cases.toml",
            "policy = 'ring-default'\n[[cases]]\nname = 'x'\nexpect = 'permit'\neffect = 'reads'\n",
        );
        let folder = table.parent().expect("a folder").display().to_string();
        home.run(["policy", "test", &folder, "--coverage"]).code(0).says("hint: no case is about elevate");
    }

    #[test]
    fn order_of_cases_changes_nothing() {
        let home = Home::new();
        for name in ["path-scope", "ring-default"] {
            let folder = source(name);
            let args = ["policy", "test", &folder, "--shuffle", "--seed", "7", "--format", "json"];
            let first = home.run(args).code(0).json();
            let shuffled = &first["shuffle"];
            let cases = first["cases"].as_array().expect("cases").len() as u64;
            assert_eq!((&shuffled["disagreeing"], &shuffled["seed"]), (&json!([]), &7.into()));
            assert_eq!(shuffled["asked"], cases * 2 * shuffled["orders"].as_u64().expect("orders"));
            assert_eq!(home.run(args).json(), first, "nothing of it is left to chance");
        }
    }

    #[test]
    fn bench_times_each_case_against_nothing() {
        let home = Home::new();
        let table = home.file(
            "few/cases.toml",
            "policy = 'ring-default'\n[[cases]]\nname = 'a'\nexpect = 'permit'\neffect = 'reads'\n\
             [[cases]]\nname = 'b'\nexpect = 'forbid'\neffect = 'writes'\n",
        );
        let folder = table.parent().expect("a folder").display().to_string();
        let report = home.run(["policy", "test", &folder, "--bench", "--format", "json"]).code(0).json();
        let timed = report["bench"].as_array().expect("rows");
        assert_eq!(timed.len(), 2);
        for row in timed {
            let number = |name: &str| row[name].as_f64().expect("a number");
            assert!(number("asked") >= 20.0 && number("median_us") > 0.0 && number("floor_median_us") > 0.0, "{row:#}");
            assert!(number("p95_us") >= number("median_us") && number("fuel") > number("floor_fuel"), "{row:#}");
        }
        let text = home.run(["policy", "test", &folder, "--bench"]).code(0).text();
        assert!(text.contains("µs median") && text.contains("µs floor"), "{text}");
    }
}

/// Random requests about every point get the same verdicts, in the same fuel, in two processes, one of which asks in the
/// opposite order. `RINGFENCE_DETERMINISM=1000000` makes it a million.
mod determinism {
    use super::*;

    const REQUESTS: u64 = 2_000;
    const SEED: u64 = 0x5eed;
    /// Set for the processes that this test starts: `forwards` or `backwards`.
    const DIRECTION: &str = "RINGFENCE_DETERMINISM_DIRECTION";
    const ANSWER: &str = "determinism: ";

    #[test]
    fn verdicts_agree_in_two_processes() {
        let count = std::env::var("RINGFENCE_DETERMINISM").ok().and_then(|n| n.parse().ok()).unwrap_or(REQUESTS);
        if let Ok(direction) = std::env::var(DIRECTION) {
            println!("{ANSWER}{}", digest_of_verdicts(count, direction == "backwards", SEED));
            return;
        }
        let ask = |direction: &str| {
            let this = std::env::current_exe().expect("this test");
            let name = "replay::determinism::verdicts_agree_in_two_processes";
            let mut child = Command::new(this);
            child.args(["--exact", name, "--nocapture"]).env(DIRECTION, direction).stdout(std::process::Stdio::piped());
            child.spawn().expect("it starts")
        };
        let answers = ["forwards", "backwards"].map(ask).map(|child| {
            let output = child.wait_with_output().expect("it ends");
            let text = String::from_utf8(output.stdout).expect("text");
            let (_, answer) = text.split_once(ANSWER).unwrap_or_else(|| panic!("no answer: {text}"));
            answer.lines().next().expect("a line").to_owned()
        });
        assert_eq!(answers[0], answers[1]);
        // The control: other requests get other verdicts, so the digest is of something.
        assert_ne!(digest_of_verdicts(50, false, SEED), digest_of_verdicts(50, false, SEED + 1));
    }

    /// SHA-256 over what each policy said to each request, in the order of the requests.
    fn digest_of_verdicts(count: u64, backwards: bool, seed: u64) -> Digest {
        let policies: Vec<_> =
            ringfence_policies::ALL.iter().map(|policy| (policy.name, load(policy.name, policy.component))).collect();
        assert!(policies.len() >= 2);
        let mut order: Vec<u64> = (0..count).collect();
        if backwards {
            order.reverse();
        }
        let mut said: Vec<Digest> = order
            .into_iter()
            .map(|number| {
                let request = any_request(&mut Numbers(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
                let asked = policies.iter().filter(|(name, _)| number % every(name) == 0);
                let rulings: Vec<_> = asked.map(|(_, policy)| format!("{:?}", policy.ask(&request))).collect();
                Digest::of(rulings.concat().as_bytes())
            })
            .collect();
        if backwards {
            said.reverse();
        }
        let bytes: Vec<_> = said.iter().flat_map(|digest| *digest.as_bytes()).collect();
        Digest::of(&bytes)
    }

    /// Every how many requests a policy is asked. An engine for a whole language takes as long as a hundred others.
    fn every(policy: &str) -> u64 {
        if ["cedar", "rego"].contains(&policy) { 20 } else { 1 }
    }

    /// A built-in policy with the first settings of its own cases that it takes.
    fn load(name: &str, component: &[u8]) -> Policy {
        let table = format!("{}/../../policies/{name}/cases.toml", env!("CARGO_MANIFEST_DIR"));
        let cases = Cases::parse(&std::fs::read_to_string(table).expect("cases")).expect("cases");
        let rows = cases.cases.iter().filter_map(|case| case.settings.clone());
        let mut settings = std::iter::once(cases.settings.clone()).chain(rows);
        let loaded = settings.find_map(|settings| Policy::load(&ENGINE, name, component, &settings).ok());
        loaded.unwrap_or_else(|| panic!("`{name}` takes none of the settings of its own cases"))
    }

    /// Numbers from a seed (splitmix64).
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        fn below(&mut self, bound: u64) -> u64 {
            self.next() % bound
        }

        fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[usize::try_from(self.below(of.len() as u64)).expect("an index")]
        }

        fn some(&mut self, of: &[&str]) -> Vec<String> {
            of.iter().filter(|_| self.below(2) == 0).map(|text| (*text).to_owned()).collect()
        }
    }

    fn any_request(numbers: &mut Numbers) -> PolicyRequest {
        let principal = numbers.one(&["agent:a", "agent:operator", "operator:ada", "service:ci"]);
        let mut request = json!({
            "principal": principal,
            "ring": numbers.below(4),
            "subject": any_subject(numbers),
            "time-ms": numbers.below(4_102_444_800_000),
        });
        if numbers.below(3) == 0 {
            request["claimed"] =
                json!([{ "name": numbers.one(&["ring", "role"]), "value": numbers.one(&["0", "é", ""]) }]);
        }
        serde_json::from_value(request.clone()).unwrap_or_else(|error| panic!("{error}: {request}"))
    }

    fn any_subject(numbers: &mut Numbers) -> Value {
        let tool = json!({ "digest": Digest::of(&numbers.below(8).to_be_bytes()).to_string(), "name": numbers.one(&["files", "fetch"]) });
        let call = "call_00000000000000000000000000000000";
        let function = numbers.one(&["read", "write", "x"]);
        let effect = numbers.one(&["none", "reads", "writes", "external", "administrative", "unknown"]);
        match numbers.below(6) {
            0 => json!({ "admit": {
                "bytes": numbers.below(1 << 24),
                "imports": numbers.some(&["wasi:http/outgoing-handler", "wasi:cli/environment"]),
                "origin": numbers.one(&["file", "registered", "registry"]), "signers": numbers.some(&["ada"]), "tool": tool,
            } }),
            1 => json!({ "egress": {
                "before": numbers.below(9), "call": call, "function": function, "headers": numbers.some(&["accept", "cookie"]),
                "host": numbers.one(&["example.com", "10.0.0.1", "[::1]"]), "kind": numbers.one(&["http", "tcp", "udp", "lookup"]),
                "method": numbers.one(&["GET", "POST", ""]), "path": numbers.one(&["/", "/v1/a%20b"]),
                "port": numbers.below(65_536), "scheme": numbers.one(&["http", "https", ""]), "secrets": numbers.some(&["TOKEN"]), "tool": tool,
            } }),
            2 => json!({ "elevate": {
                "claimed-reason": numbers.one(&["", "because"]), "current": numbers.below(4),
                "duration-ms": numbers.below(7_200_000), "wanted": numbers.below(4),
            } }),
            3 => json!({ "result": {
                "body": json!({ "value": numbers.below(100) }).to_string(), "call": call, "effect": effect, "function": function,
                "kind": numbers.one(&["returned", "tool_error", "trapped"]), "tool": tool,
            } }),
            4 => json!({ "transcript": {
                "known": [Digest::of(&numbers.below(4).to_be_bytes()).to_string()],
                "messages": json!([{ "role": numbers.one(&["user", "assistant"]), "content": numbers.one(&["hi", "sk-0123456789abcdef"]) }]).to_string(),
            } }),
            _ => any_call(numbers, function, effect, &tool),
        }
    }

    fn any_call(numbers: &mut Numbers, function: &str, effect: &str, tool: &Value) -> Value {
        let folders: Vec<_> = numbers
            .some(&["/docs", "/tmp", "/"])
            .into_iter()
            .map(|path| json!({ "guest-path": path, "access": numbers.one(&["read", "read-write"]) }))
            .collect();
        let path = numbers.one(&["/docs/a", "/docs/../etc/passwd", "/tmp", "docs", "", "/docs//b/./c", "/döcs"]);
        let input = match numbers.below(5) {
            0 => "{}".to_owned(),
            1 => json!({ "path": [path] }).to_string(),
            2 => json!({ "other": numbers.next() }).to_string(),
            _ => json!({ "path": path }).to_string(),
        };
        json!({ "call": {
            "arguments": numbers.some(&["-n", "a b"]),
            "asked": {
                "environment": numbers.some(&["LANG", "TOKEN"]), "folders": folders,
                "limits": { "fuel": numbers.below(1 << 40), "handles": 16, "memory_bytes": numbers.below(1 << 30), "output_bytes": 1024, "wall_ms": 1000 },
            },
            "effect": effect, "function": function, "input": input, "required-ring": numbers.below(4), "tool": tool,
        } })
    }
}

#[test]
fn recorded_rulings_are_what_replay_compares() {
    // The control of everything above: a log does have rulings of all kinds.
    let home = Home::new();
    history(&home);
    let entries = home.entries();
    let said: String =
        entries.iter().filter(|e| e["body"]["decision"].is_object()).flat_map(|e| rulings(&e["body"])).collect();
    for kind in ["permit", "forbid", "policy-trap", "policy-out-of-fuel"] {
        assert!(said.contains(kind), "{said}");
    }
}
