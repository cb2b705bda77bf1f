//! Calls that are made again: by a key that is made of the input or of a task, after a crash by what their tool can tell, and
//! with the same key for whoever the tool asks.

use ringfence_model::content::ContentName;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ringfence_artifacts::TOOL_ECHO;
use ringfence_artifacts::TOOL_FILES;
use ringfence_artifacts::TOOL_ORDERS;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::web::Answer;
use crate::harness::web::Seen;
use crate::harness::web::Step;
use crate::harness::web::Web;
use crate::harness::web::answer;
use crate::harness::web::ok;
use crate::points::scripted;
use crate::record::kill;
use crate::record::owned;
use crate::record::rw;
use crate::record::start;
use crate::record::wait_for;

/// How a shop takes orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Open,
    /// It takes an order and does not answer.
    Silent,
    /// It forgets what it is asked for, and does not answer.
    Forgetful,
    /// It is broken.
    Broken,
}

/// A shop, and a home from which it is asked.
pub struct Shop {
    pub home: Home,
    web: Web,
    mood: Arc<Mutex<Mood>>,
}

impl Shop {
    pub fn new() -> Self {
        let (mood, orders) = (Arc::new(Mutex::new(Mood::Open)), Mutex::new(BTreeSet::new()));
        let of_web = Arc::clone(&mood);
        let web =
            Web::new(move |seen| serve(seen, *of_web.lock().expect("a mood"), &mut orders.lock().expect("orders")));
        let shop = Self { home: Home::new(), web, mood };
        shop.home.run(["run", TOOL_ORDERS, "find"]).code(2);
        shop
    }

    pub fn is(&self, mood: Mood) {
        *self.mood.lock().expect("a mood") = mood;
    }

    pub fn order(&self, function: &str, order: &str, item: &str, more: &[&str]) -> Vec<String> {
        let shop = format!("http://127.0.0.1:{}", self.web.port());
        let input = json!({ "shop": shop, "order": order, "item": item }).to_string();
        let rule = format!("--http=GET,POST,PUT {shop}/");
        let rule = if more.iter().any(|flag| flag.starts_with("--http")) { None } else { Some(rule) };
        let call = ["run", TOOL_ORDERS, function, "--ring", "1", "--format", "json", "--input", &input];
        call.into_iter().chain(rule.as_deref()).chain(more.iter().copied()).map(str::to_owned).collect()
    }

    pub fn run(&self, args: &[String]) -> (Ran, Value) {
        let ran = self.home.run(args);
        let value = ran.json();
        (ran, value)
    }

    /// Makes a call that reaches the shop and is killed there.
    pub fn cut_off(&self, mood: Mood, args: &[String]) {
        let before = self.web.requests().len();
        self.is(mood);
        let child = start(&self.home, args);
        wait_for(|| self.web.requests().len() > before);
        kill(child);
        self.is(Mood::Open);
    }

    /// What the shop was asked, by methods.
    pub fn asked(&self, method: &str) -> Vec<Seen> {
        let is = |seen: &Seen| seen.first_line().starts_with(method);
        self.web.requests().into_iter().filter(is).collect()
    }

    /// What is on record from an index on: kinds, and what each says of its call.
    pub fn recorded(&self, from: usize) -> Vec<String> {
        let said = |entry: &Value| {
            let body = &entry["body"];
            let fields = [&entry["kind"], &body["function"], &body["effect"], &body["how"]];
            fields.into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        self.home.entries()[from..].iter().map(said).collect()
    }
}

fn serve(seen: &Seen, mood: Mood, orders: &mut BTreeSet<String>) -> Answer {
    let is_asked = seen.first_line().starts_with("GET ");
    if !is_asked && mood != Mood::Forgetful && mood != Mood::Broken {
        orders.insert(seen.path());
    }
    match mood {
        Mood::Open if is_asked && !orders.contains(&seen.path()) => answer("404 Not Found", "", ""),
        Mood::Open => ok(format!("confirmed {}", seen.path())),
        Mood::Silent | Mood::Forgetful => vec![Step::Wait(Duration::from_secs(30))],
        Mood::Broken => answer("500 Broken", "", ""),
    }
}

#[test]
fn what_was_found_is_what_it_comes_to() {
    // CR-09 to CR-12, queryable; IDM-01, IDM-07
    let shop = Shop::new();
    let args = shop.order("place", "a", "tea", &["--idempotency-key", "k"]);
    let from = shop.home.entries().len();
    shop.cut_off(Mood::Silent, &args);
    let (ran, value) = shop.run(&args);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], "confirmed /orders/a");
    let story = [
        "begun place external",
        "finished unknown",
        "begun find reads",
        "finished committed",
        "settled committed",
        "begun place external",
        "finished committed",
    ];
    assert_eq!(shop.recorded(from), story);
    let entries = shop.home.entries();
    let settled = &entries[from + 4]["body"];
    assert_eq!((&settled["by"], &settled["call"]), (&json!("service:ringfence"), &entries[from]["body"]["call"]));
    // It was asked with what is left of the grant for somebody who only looks.
    let grant = shop.home.behind(&entries[from + 2]["body"], ContentName::Grant).bytes;
    let grant: Value = serde_json::from_slice(&grant).expect("JSON");
    assert_eq!(grant["network"]["http"], json!([format!("GET http://127.0.0.1:{}/", shop.web.port())]));
    assert_eq!(grant["environment"], json!(["RINGFENCE_CALL_KEY"]));
    // From then on it is an answer like any other.
    let (ran, again) = shop.run(&args);
    ran.code(0);
    assert_eq!((&again["call"], &again["outcome"]), (&value["call"], &value["outcome"]));
    assert_eq!((shop.asked("POST").len(), shop.asked("GET").len()), (1, 1));
    assert_eq!(shop.recorded(from), story);
    shop.home.is_well();
}

#[test]
fn what_was_not_found_runs_once_more() {
    let shop = Shop::new();
    let args = shop.order("place", "a", "tea", &["--idempotency-key", "k"]);
    let from = shop.home.entries().len();
    shop.cut_off(Mood::Forgetful, &args);
    let (ran, value) = shop.run(&args);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], "confirmed /orders/a");
    assert_eq!(shop.recorded(from)[4..], ["settled not-executed", "begun place external", "finished committed"]);
    shop.run(&args).0.code(0);
    assert_eq!((shop.asked("POST").len(), shop.asked("GET").len()), (2, 1));
    shop.home.is_well();
}

#[test]
fn whoever_can_not_tell_changes_nothing() {
    let shop = Shop::new();
    let args = shop.order("place", "a", "tea", &["--idempotency-key", "k"]);
    shop.cut_off(Mood::Silent, &args);
    shop.is(Mood::Broken);
    for _ in 0..2 {
        let (ran, value) = shop.run(&args);
        assert_eq!(ran.code(3).code, 3);
        assert_eq!(value["outcome"]["error"]["code"], "denied.effect-unknown");
    }
    assert_eq!((shop.asked("POST").len(), shop.asked("GET").len()), (1, 2));
    // An operator can still say so; then nobody is asked any more.
    shop.is(Mood::Open);
    let call = shop.home.run(["--format", "json", "ledger", "list", "--unknown"]).json()[0]["call"].clone();
    let call = call.as_str().expect("a call");
    shop.home.run(["ledger", "settle", call, "--committed", "--reason", "looked"]).code(0);
    assert_eq!(shop.run(&args).1["outcome"]["error"]["code"], "denied.settled");
    assert_eq!(shop.asked("GET").len(), 2);
    shop.home.is_well();
}

#[test]
fn what_a_policy_took_out_was_not_found() {
    // IDM-01, IDM-07: the shop has the order and says so, and a policy redacts the answer. Nobody can tell, so nothing runs
    // and nothing is settled.
    let shop = Shop::new();
    let args = shop.order("place", "a", "tea", &["--idempotency-key", "k"]);
    shop.cut_off(Mood::Silent, &args);
    let redact = r#"[{ is = "redact", pointer = "/value", part = "value" }]"#;
    shop.home.configure(&scripted(&format!(r#"{{ call = "permit", result = {redact} }}"#)));
    let (_, value) = shop.run(&args);
    assert_eq!(value["outcome"]["error"]["code"], "denied.effect-unknown", "{value}");
    assert_eq!((shop.asked("POST").len(), shop.asked("GET").len()), (1, 1));
    assert!(shop.recorded(0).iter().all(|said| !said.starts_with("settled")));
    // Whole, it is found.
    shop.home.configure("");
    let (ran, value) = shop.run(&args);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], "confirmed /orders/a");
    shop.home.is_well();
}

#[test]
fn looking_is_never_granted_more_than_reading() {
    // A grant without any reading in it leaves nothing to look with; nobody is asked then, and nothing is settled.
    let shop = Shop::new();
    let rule = format!("--http=POST http://127.0.0.1:{}/", shop.web.port());
    let args = shop.order("place", "a", "tea", &["--idempotency-key", "k", &rule]);
    shop.cut_off(Mood::Silent, &args);
    let (_, value) = shop.run(&args);
    assert_eq!(value["outcome"]["error"]["code"], "denied.effect-unknown");
    assert_eq!((shop.asked("POST").len(), shop.asked("GET").len()), (1, 0));
    shop.home.is_well();
}

#[test]
fn key_that_is_passed_on_stays_the_same() {
    // CR-09 to CR-12, idempotent; IDM-07
    let shop = Shop::new();
    let args = shop.order("reserve", "a", "tea", &["--idempotency-key", "k"]);
    shop.cut_off(Mood::Silent, &args);
    shop.run(&args).0.code(0);
    let keys = |seen: Vec<Seen>| seen.iter().flat_map(|seen| seen.header("idempotency-key")).collect::<Vec<_>>();
    let same = keys(shop.asked("PUT"));
    assert!(same.len() == 2 && same[0] == same[1] && same[0].starts_with("call-sha256:"), "{same:?}");
    // Once it has ended it is not asked again; another key, or another principal, passes on another.
    shop.run(&args).0.code(0);
    shop.run(&shop.order("reserve", "a", "tea", &["--idempotency-key", "l"])).0.code(0);
    shop.run(&shop.order("reserve", "a", "tea", &["--idempotency-key", "k", "--as", "agent:b"])).0.code(0);
    let keys = keys(shop.asked("PUT"));
    assert_eq!((keys.len(), keys.iter().collect::<BTreeSet<_>>().len()), (4, 3), "{keys:?}");
    shop.home.is_well();
}

#[test]
fn call_made_again_waits_for_nobody() {
    // IDM-07: what was cut off and what was made again are one call to whom the tool asks, so there is nothing to settle.
    let shop = Shop::new();
    let args = shop.order("reserve", "a", "tea", &["--idempotency-key", "k"]);
    let listed = |more: &[&str]| {
        let ran = shop.home.run([&["--format", "json", "ledger", "list"], more].concat());
        ran.code(0).json().as_array().expect("a list").clone()
    };
    shop.cut_off(Mood::Silent, &args);
    let waiting = listed(&["--unknown"]);
    assert_eq!((waiting.len(), &waiting[0]["again"]), (1, &Value::Null));
    // Made again and cut off again, both wait.
    shop.cut_off(Mood::Silent, &args);
    assert_eq!(listed(&["--unknown"]).len(), 2);
    let (_, value) = shop.run(&args);
    assert_eq!(listed(&["--unknown"]), Vec::<Value>::new());
    let again: Vec<_> = listed(&[]).iter().map(|one| one["again"].clone()).collect();
    assert_eq!(again, [value["call"].clone(), value["call"].clone()]);
    assert!(shop.home.run(["ledger", "list"]).code(0).text().contains("made again with the same key, and done: call_"));
    // A call that nobody makes again goes on waiting.
    shop.cut_off(Mood::Silent, &shop.order("reserve", "b", "tea", &["--idempotency-key", "l"]));
    assert_eq!(listed(&["--unknown"]).len(), 1);
    shop.home.is_well();
}

#[test]
fn input_says_which_call_it_is() {
    // IDM-02, IDM-04
    let shop = Shop::new();
    let (ran, first) = shop.run(&shop.order("place", "a", "tea", &[]));
    ran.code(0);
    let (ran, again) = shop.run(&shop.order("place", "a", "tea", &[]));
    ran.code(0);
    assert_eq!(again["call"], first["call"]);
    let (ran, other) = shop.run(&shop.order("place", "a", "coffee", &[]));
    ran.code(3);
    assert_eq!(other["outcome"]["error"]["code"], "denied.idempotency-conflict");
    // Another order, function, principal, or a key of the caller's own is another call.
    for (function, order, more) in [
        ("place", "b", &[][..]),
        ("reserve", "a", &[]),
        ("place", "a", &["--as", "agent:b"]),
        ("place", "a", &["--idempotency-key", "mine"]),
    ] {
        let (ran, value) = shop.run(&shop.order(function, order, "tea", more));
        ran.code(0);
        assert_ne!(value["call"], first["call"], "{function} {order} {more:?}");
    }
    assert_eq!((shop.asked("POST").len(), shop.asked("PUT").len()), (4, 1));
    shop.home.is_well();
}

/// A component with a function that takes something that may be missing, and one that reads.
const OPTIONAL: &str = r#"(component
  (core module $m
    (func (export "f") (param i32 i32) (result i32) (i32.const 7))
    (func (export "g") (param i32) (result i32) (i32.const 7)))
  (core instance $i (instantiate $m))
  (func (export "f") (param "id" (option u32)) (result u32) (canon lift (core func $i "f")))
  (func (export "g") (param "id" u32) (result u32) (canon lift (core func $i "g")))
  (func (export "h") (param "id" (option u32)) (result u32) (canon lift (core func $i "f"))))"#;

fn optional(home: &Home, functions: &str) -> String {
    let tool = home.component("optional", OPTIONAL);
    home.file("optional.toml", format!("name = \"optional\"\nversion = \"0.1.0\"\n{functions}"));
    tool
}

#[test]
fn missing_field_is_refused_by_name() {
    // IDM-04
    let home = Home::new();
    let tool = optional(&home, "[functions.f]\nid-from = [\"/id\"]\n");
    let call = |input: &str| home.call(&tool, &["f", "--input", input]);
    let (ran, first) = call(r#"{"id":1}"#);
    ran.code(0);
    assert_eq!(call(r#"{ "id": 1 }"#).1["call"], first["call"]);
    assert_ne!(call(r#"{"id":2}"#).1["call"], first["call"]);
    for input in ["{}", r#"{"id":null}"#] {
        let message = home.refuses(["run", &tool, "f", "--input", input], 2);
        assert_eq!(message, "the idempotency key of `f` is made from `/id`, which the input does not have");
    }
    // A key of the caller's own needs no field.
    home.call(&tool, &["f", "--input", "{}", "--idempotency-key", "k"]).0.code(0);
    home.is_well();
}

#[test]
fn manifest_promises_what_can_be_done() {
    // MAL-04
    let home = Home::new();
    for (functions, says) in [
        ("[functions.f]\nid-from = [\"id\"]", "`id` is not a JSON Pointer"),
        ("[functions.f]\nid-from = [\"/~2\"]", "`/~2` is not a JSON Pointer"),
        ("[functions.f]\nreconcile = \"nobody\"", "`f` is reconciled by `nobody`, which is no function"),
        ("[functions.f]\nreconcile = \"h\"", "its effect has to be `none` or `reads`"),
        ("[functions.f]\nreconcile = \"g\"\n[functions.g]\neffect = \"reads\"", "it takes another input"),
        ("[functions.f]\nreconcile = \"h\"\n[functions.h]\neffect = \"reads\"", "it has to return an `option`"),
        (
            "[functions.f]\nreconcile = \"h\"\n[functions.h]\neffect = \"reads\"\nreconcile = \"f\"",
            "it is reconciled itself",
        ),
        (
            "[functions.f]\nreconcile = \"h\"\n[functions.h]\neffect = \"reads\"\nid-from = [\"/id\"]",
            "it would be answered from the record",
        ),
    ] {
        let tool = optional(&home, functions);
        let ran = home.run(["run", &tool, "f", "--input", "{}"]);
        assert!(ran.code != 0 && ran.stderr.contains(says), "{functions}: {}", ran.stderr);
        ran.fails_well();
    }
    let many: Vec<_> = (0..17).map(|field| format!("\"/{field}\"")).collect();
    let tool = optional(&home, &format!("[functions.f]\nid-from = [{}]", many.join(", ")));
    home.run(["run", &tool, "f", "--input", "{}"]).says("17 fields are more than 16");
    home.is_well();
}

#[test]
fn task_made_again_goes_on_where_it_was() {
    // IDM-01, IDM-02
    let home = Home::new();
    let work = home.folder("work");
    let dir = rw(&work);
    let write = |task: &str, step: &[&str], content: &str| {
        let input = json!({ "path": "/work/a", "content": content }).to_string();
        let args = ["write", "--ring", "2", "--dir", &dir, "--input", &input, "--task", task];
        home.call(TOOL_FILES, &[&args[..], step].concat())
    };
    // A task of three calls; the process ends after the second.
    let (first, second) = (write("t", &["--step", "1"], "one").1, write("t", &["--step", "2"], "two").1);
    assert_ne!(first["call"], second["call"]);
    // Made again from its start: what was made is answered, and the third runs.
    assert_eq!(write("t", &["--step", "1"], "one").1["call"], first["call"]);
    assert_eq!(write("t", &["--step", "2"], "two").1["call"], second["call"]);
    assert_eq!(std::fs::read_to_string(work.join("a")).expect("a file"), "two");
    write("t", &["--step", "3"], "three").0.code(0);
    assert_eq!(std::fs::read_to_string(work.join("a")).expect("a file"), "three");
    // A step is one call: with another input it is a conflict. Without a name it goes by its function.
    let (ran, value) = write("t", &["--step", "2"], "other");
    ran.code(3);
    assert_eq!(value["outcome"]["error"]["code"], "denied.idempotency-conflict");
    let named = write("t", &[], "four").1;
    assert_eq!(write("t", &["--step", "files/write"], "four").1["call"], named["call"]);
    // Another task is another task, and another principal's as well.
    assert_ne!(write("u", &[], "four").1["call"], named["call"]);
    assert_ne!(write("t", &["--as", "agent:b"], "four").1["call"], named["call"]);
    let echo = owned(&["run", TOOL_ECHO, "nothing"]);
    for (flags, says) in [
        (&["--task", "t", "--idempotency-key", "k"][..], "cannot be used with"),
        (&["--step", "1"], "--task"),
        (&["--task", ""], "`--task` can't be used: `` is not an idempotency key"),
        (&["--idempotency-key", "\u{e9}"], "`--idempotency-key` can't be used: `\u{e9}` is not an idempotency key"),
    ] {
        home.run([&echo[..], &owned(flags)].concat()).code(2).says(says);
    }
    home.is_well();
}
