//! What becomes of a call whose effect is unknown: an operator says so, once, on record, and its key follows.

use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::record::effect;
use crate::record::effects;
use crate::record::kill;
use crate::record::only;
use crate::record::owned;
use crate::record::rw;
use crate::record::start;
use crate::record::wait_for;

/// A home with a call under the key `k` that was killed after its effect; its id, and the command line that made it.
struct CutOff {
    home: Home,
    call: String,
    args: Vec<String>,
}

impl CutOff {
    fn new() -> Self {
        let home = Home::new();
        let tool = effect(&home, "(loop $l (br $l))");
        let work = home.folder("work");
        let args = owned(&["run", &tool, "--ring", "2", "--idempotency-key", "k", "--dir", &rw(&work)]);
        let child = start(&home, &args);
        wait_for(|| effects(&work) == 1);
        kill(child);
        let call = only(&home, "begun")["body"]["call"].as_str().expect("a call").to_owned();
        Self { home, call, args }
    }

    fn effects(&self) -> u64 {
        effects(&self.home.folder("work"))
    }

    /// The same call, with the time that it may take.
    fn again(&self) -> Vec<String> {
        [&self.args[..], &owned(&["--timeout", "1"])].concat()
    }

    fn settle(&self, how: &str) -> Vec<String> {
        owned(&["ledger", "settle", &self.call, how, "--reason", "counted the rows"])
    }

    fn listed(&self, more: &[&str]) -> Vec<Value> {
        let ran = self.home.run([&["--format", "json", "ledger", "list"], more].concat());
        ran.code(0);
        ran.json().as_array().expect("a list").clone()
    }
}

/// Runs what is no call and is not done: the message, which programs get with its code and a hint.
#[track_caller]
fn declined(home: &Home, args: &[String]) -> String {
    home.run(args).code(3).fails_well();
    let ran = home.run([&owned(&["--format", "json"])[..], args].concat());
    let error = ran.code(3).json()["error"].clone();
    assert_eq!(error["code"], "denied.settle");
    error["message"].as_str().expect("a message").to_owned()
}

#[test]
fn settled_as_committed_never_runs_again() {
    // IDM-01, IDM-07; CR-05 to CR-12, blind
    let cut = CutOff::new();
    assert!(cut.home.refuses(cut.again(), 3).contains("may have had its effect"));
    cut.home.run(cut.settle("--committed")).code(0).says("recorded: entry");
    let settled = only(&cut.home, "settled");
    let body = &settled["body"];
    assert_eq!((&body["call"], &body["how"], &body["finished"]), (&json!(cut.call), &json!("committed"), &json!(2)));
    assert!(body["by"].as_str().expect("a principal").starts_with("operator:uid-"), "{body}");
    // Each repeat is told so, as a refusal on record with a code of its own.
    let before = cut.home.entries().len();
    let message = cut.home.refuses(cut.again(), 3);
    assert!(message.contains(&cut.call) && message.contains("settled it as committed on 20"), "{message}");
    let ran = cut.home.run([&owned(&["--format", "json"])[..], &cut.again()].concat());
    assert_eq!(ran.code(3).json()["outcome"]["error"]["code"], "denied.settled");
    let entries = cut.home.entries().split_off(before);
    assert!(entries.iter().all(|entry| entry["kind"] == "refused" && entry["body"]["stage"] == "begin"), "{entries:?}");
    assert_eq!(cut.effects(), 1);
    cut.home.is_well();
}

#[test]
fn settled_as_not_executed_runs_once_more() {
    // IDM-07
    let cut = CutOff::new();
    cut.home.run(cut.settle("--not-executed")).code(0).says("runs the next time");
    cut.home.run(cut.again()).code(4).says("tool.limit.time");
    assert_eq!(cut.effects(), 2);
    // And what it came to now is what the key stands for.
    cut.home.run(cut.again()).code(4).says("tool.limit.time");
    assert_eq!(cut.effects(), 2);
    let kinds: Vec<_> = cut.home.entries().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["opened", "begun", "finished", "settled", "begun", "finished"]);
    cut.home.is_well();
}

#[test]
fn settlement_is_said_once_for_good() {
    let cut = CutOff::new();
    cut.home.run(cut.settle("--not-executed")).code(0);
    let len = cut.home.entries().len();
    for how in ["--committed", "--not-executed"] {
        let message = declined(&cut.home, &cut.settle(how));
        assert_eq!(message, format!("`{}` has been settled already, by entry 3", cut.call));
    }
    assert_eq!(cut.home.entries().len(), len);
    cut.home.is_well();
}

#[test]
fn only_operators_say_what_became_of_calls() {
    let cut = CutOff::new();
    for who in ["agent:a", "service:a"] {
        let message = declined(&cut.home, &[cut.settle("--committed"), owned(&["--as", who])].concat());
        assert_eq!(message, format!("`{who}` can't settle a call: only an operator can"));
    }
    cut.home.run([cut.settle("--committed"), owned(&["--as", "operator:night-shift"])].concat()).code(0);
    assert_eq!(only(&cut.home, "settled")["body"]["by"], "operator:night-shift");
    cut.home.is_well();
}

#[test]
fn calls_that_are_known_are_not_settled() {
    let home = Home::new();
    let tool = effect(&home, "");
    let work = home.folder("work");
    home.run(["run", &tool, "--ring", "2", "--dir", &rw(&work)]).code(0);
    home.run(["run", &tool, "--dir", &rw(&work)]).code(3);
    let calls = |kind| only(&home, kind)["body"]["call"].as_str().expect("a call").to_owned();
    let (ran, refused, len) = (calls("begun"), calls("refused"), home.entries().len());
    let settle = |call: &str| owned(&["ledger", "settle", call, "--not-executed", "--reason", "x"]);
    assert!(declined(&home, &settle(&ran)).ends_with("it is on record that it ran to its end"));
    assert!(declined(&home, &settle(&refused)).ends_with("it did not run"));
    let nobody = format!("call_{}", "0".repeat(32));
    assert_eq!(home.refuses(settle(&nobody), 2), format!("there is no call `{nobody}`"));
    // The command line says how, and why.
    for args in [
        &["ledger", "settle", &ran, "--reason", "x"][..],
        &["ledger", "settle", &ran, "--committed"],
        &["ledger", "settle", &ran, "--committed", "--reason", ""],
        &["ledger", "settle", &ran, "--committed", "--not-executed", "--reason", "x"],
        &["ledger", "settle", "it", "--committed", "--reason", "x"],
    ] {
        home.run(args).code(2);
    }
    assert_eq!(home.entries().len(), len);
    home.is_well();
}

#[test]
fn list_shows_what_waits_to_be_settled() {
    let cut = CutOff::new();
    // Nothing has opened the log since the crash, and nothing is written to it by looking.
    let len = cut.home.entries().len();
    let listed = cut.listed(&["--unknown"]);
    assert_eq!(listed.len(), 1, "{listed:?}");
    let one = &listed[0];
    assert_eq!((&one["call"], &one["has_key"], &one["finished"]), (&json!(cut.call), &json!(true), &json!(null)));
    assert_eq!((&one["tool"]["name"], &one["settlement"]), (&json!("effect"), &json!(null)));
    assert!(one["principal"].as_str().expect("a principal").starts_with("operator:uid-"), "{one}");
    assert!(one["time"].is_string() && one["function"].is_string(), "{one}");
    assert_eq!(cut.home.entries().len(), len);
    let ran = cut.home.run(["ledger", "list"]);
    ran.code(0);
    assert!(ran.text().contains(&cut.call) && ran.text().contains("  unknown  effect "), "{}", ran.text());

    cut.home.run(cut.settle("--committed")).code(0);
    assert_eq!(cut.listed(&["--unknown"]), Vec::<Value>::new());
    let listed = cut.listed(&[]);
    assert_eq!((&listed[0]["settlement"]["how"], &listed[0]["settlement"]["index"]), (&json!("committed"), &json!(3)));
    assert!(cut.home.run(["ledger", "list"]).text().contains("      settled by operator:uid-"));
    assert!(cut.home.run(["log", "show"]).text().contains("  settled   "), "the log tells of it");
    cut.home.is_well();
}

#[test]
fn settlement_that_is_forged_is_named() {
    // AUD-01: the word that decides, in an export without its checkpoint.
    let cut = CutOff::new();
    cut.home.run(cut.settle("--committed")).code(0);
    cut.home.run(cut.again()).code(3);
    let export = cut.home.run(["log", "export"]).code(0).text();
    let forged = export.replacen("\"how\":\"committed\"", "\"how\":\"not-executed\"", 1);
    assert_ne!(export, forged);
    for (text, code) in [(export, 0), (forged, 5)] {
        let file = cut.home.file("export/log.jsonl", text);
        let ran = cut.home.run(["log".as_ref(), "verify".as_ref(), file.as_os_str()]);
        ran.code(code);
        assert_eq!(ran.text().contains("entry 3: "), code == 5, "{}", ran.text());
    }
}

#[test]
fn bundle_of_a_call_holds_its_settlement() {
    let cut = CutOff::new();
    cut.home.run(cut.settle("--committed")).code(0);
    let file = cut.home.folder("out").join("call.bundle");
    let path = file.to_str().expect("text");
    cut.home.run(["bundle", "--out", path, "--call", &cut.call]).code(0);
    let text = std::fs::read_to_string(&file).expect("a bundle");
    assert!(text.contains("settled"), "{text}");
    assert!(text.contains("counted the rows"), "the reason is a content like any other");
}

#[test]
fn settlement_that_is_killed_is_there_or_not() {
    // CR-05 to CR-14, CR-26: killed at some millisecond; the log is whole, and the settlement is said at most once.
    let cut = CutOff::new();
    for millis in [0, 1, 2, 4, 8, 12, 16, 24, 32] {
        let child = start(&cut.home, &cut.settle("--committed"));
        std::thread::sleep(std::time::Duration::from_millis(millis));
        kill(child);
        cut.home.run(["log", "verify"]).code(0);
    }
    let said = cut.listed(&[])[0]["settlement"].is_null();
    cut.home.run(cut.settle("--committed")).code(if said { 0 } else { 3 });
    only(&cut.home, "settled");
    assert!(cut.home.refuses(cut.again(), 3).contains("settled it as committed"));
    assert_eq!(cut.effects(), 1);
    cut.home.is_well();
}
