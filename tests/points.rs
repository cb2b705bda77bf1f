//! Decision points and obligations: each in its place, carried out or the call is denied, and written down.

use std::path::Path;

use ringfence_artifacts as guests;
use ringfence_model::digest::Digest;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::network::GRANTED;
use crate::harness::network::HERE;
use crate::harness::network::Network;
use crate::harness::network::http;
use crate::harness::web::Web;
use crate::harness::web::ok;

const ECHO: &str = guests::TOOL_ECHO;
const FILES: &str = guests::TOOL_FILES;

/// What nobody may find where it was taken out.
const CANARY: &str = "canary-4e1f-of-the-result";

/// Puts a policy in force that says what `settings`, TOML, tells it to.
pub fn scripted(settings: &str) -> String {
    let component = guests::HOSTILE_POLICY_SCRIPTED;
    let digest = Digest::of(&std::fs::read(component).expect("a component"));
    format!("[policies.scripted]\ncomponent = \"{component}\"\ndigest = \"{digest}\"\nsettings = {settings}\n")
}

fn home(settings: &str) -> Home {
    let home = Home::new();
    home.configure(&scripted(settings));
    home
}

fn echo(home: &Home, text: &str, more: &[&str]) -> (Ran, Value) {
    let input = json!({ "value": text }).to_string();
    home.call(ECHO, &[&["string", "--input", &input], more].concat())
}

fn code(value: &Value) -> &str {
    value["outcome"]["error"]["code"].as_str().unwrap_or_default()
}

fn kinds(home: &Home) -> Vec<String> {
    home.entries().iter().map(|entry| entry["kind"].as_str().expect("a kind").to_owned()).collect()
}

/// Whether any file there has this text in it. What is only linked to is not the home's own.
fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_symlink() {
            return false;
        }
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn is_well(home: &Home) {
    home.configure("");
    home.is_well();
}

mod result {
    use super::*;

    #[test]
    fn redacted_value_leaves_no_trace() {
        // The input is the caller's own and is kept; what was taken out of the result comes from a file.
        for (part, wanted) in
            [(r#"part = "value""#, "[redacted]".to_owned()), ("part = [[4, 29]]", "key=[redacted]!".to_owned())]
        {
            let redaction = format!(r#"[{{ is = "redact", pointer = "/value", {part} }}]"#);
            let home = home(&format!(r#"{{ call = "permit", result = {redaction} }}"#));
            let file = home.file("docs/a.txt", format!("key={CANARY}!"));
            let dir = format!("{}::/docs", file.parent().expect("a folder").display());
            let read = ["read", "--input", r#"{"path":"/docs/a.txt"}"#, "--dir", &dir, "--idempotency-key", "k"];
            for _ in 0..2 {
                let (ran, value) = home.call(FILES, &read);
                ran.code(0);
                assert_eq!(value["outcome"]["value"], json!(wanted), "{part}");
            }
            let finished = home.entries().pop().expect("an entry");
            assert_eq!((&finished["body"]["redacted"], &finished["kind"]), (&json!(1), &json!("finished")));
            assert_eq!(finished["body"]["decision"]["rulings"][0]["name"], "scripted");
            assert!(!holds(&home.path(), CANARY));
            is_well(&home);
        }
    }

    #[test]
    fn withheld_result_is_not_handed_back() {
        let home = home(r#"{ call = "permit", result = "forbid" }"#);
        let file = home.file("docs/a.txt", CANARY);
        let dir = format!("{}::/docs", file.parent().expect("a folder").display());
        let (ran, value) = home.call(FILES, &["read", "--input", r#"{"path":"/docs/a.txt"}"#, "--dir", &dir]);
        ran.code(3);
        assert_eq!((code(&value), &value["outcome"]["value"]), ("denied.result", &Value::Null));
        let entries = home.entries();
        let finished = &entries.last().expect("an entry")["body"];
        // The tool has run: what is withheld is its result, not what it did.
        assert_eq!((&finished["effect"], &finished["outcome"]), (&json!("committed"), &json!("denied")));
        assert_eq!(finished["decision"]["allowed"], false);
        assert!(!holds(&home.path(), CANARY));
        is_well(&home);
    }

    #[test]
    fn permit_of_a_call_can_demand_redaction() {
        let home = home(r#"{ call = [{ is = "redact", pointer = "/value", part = "value" }] }"#);
        let (ran, value) = echo(&home, CANARY, &[]);
        ran.code(0);
        assert_eq!(value["outcome"]["value"], "[redacted]");
        assert_eq!(home.entries().pop().expect("an entry")["body"]["redacted"], 1);
        is_well(&home);
    }

    #[test]
    fn redaction_that_fails_withholds_everything() {
        for redaction in [
            r#"{ is = "redact", pointer = "/value", part = [[0, 9999]] }"#,
            r#"{ is = "redact", pointer = "", part = "value" }"#,
            r#"{ is = "redact", pointer = "", part = "member" }"#,
        ] {
            let home = home(&format!(r#"{{ call = "permit", result = [{redaction}] }}"#));
            let (ran, value) = echo(&home, "short", &[]);
            ran.code(3);
            assert_eq!(code(&value), "denied.result", "{redaction}");
            is_well(&home);
        }
        // The control: one that points at nothing is carried out already.
        let home = home(r#"{ call = "permit", result = [{ is = "redact", pointer = "/none", part = "value" }] }"#);
        let (ran, value) = echo(&home, "short", &[]);
        ran.code(0);
        assert_eq!(value["outcome"]["value"], "short");
    }
}

#[test]
fn misplaced_obligation_denies() {
    // POL-03: what can't be carried out where it is demanded is not quietly left out.
    let redact = r#"[{ is = "redact", pointer = "/value", part = "value" }]"#;
    let cap = r#"[{ is = "cap", scope = "principal", unit = "calls", window = "day", at-most = 9 }]"#;
    let approve = r#"[{ is = "approve", by = ["operator:*"], valid-ms = 1000, reason = "x" }]"#;
    for (settings, wanted) in [
        (format!(r#"{{ call = "permit", result = {cap} }}"#), "denied.result"),
        (format!(r#"{{ call = "permit", result = {approve} }}"#), "denied.result"),
        (format!(r#"{{ call = "permit", admit = {redact} }}"#), "denied.admit"),
        (format!(r#"{{ call = "permit", admit = {approve} }}"#), "denied.admit"),
        (r#"{ call = [{ is = "sing" }] }"#.to_owned(), "denied.policy-fault"),
        (
            r#"{ call = [{ is = "approve", by = [], valid-ms = 1000, reason = "x" }] }"#.to_owned(),
            "denied.policy-fault",
        ),
        (
            r#"{ call = [{ is = "approve", by = ["nobody"], valid-ms = 1, reason = "" }] }"#.to_owned(),
            "denied.policy-fault",
        ),
        (r#"{ call = [{ is = "cache", valid-ms = 0 }] }"#.to_owned(), "denied.policy-fault"),
    ] {
        let home = home(&settings);
        let (ran, value) = echo(&home, "hello", &[]);
        ran.code(3);
        let found =
            if value["outcome"].is_null() { value["error"]["code"].as_str().unwrap_or_default() } else { code(&value) };
        assert_eq!(found, wanted, "{settings}");
        is_well(&home);
    }
}

mod admit {
    use super::*;

    #[test]
    fn component_that_is_not_admitted_never_loads() {
        let home = home(r#"{ call = "permit", admit = "forbid" }"#);
        // What would fail to compile is not even tried.
        let broken = home.file("broken.wasm", b"\0asm\x0d\0\x01\0garbage");
        for file in [ECHO, &broken.display().to_string()] {
            home.run(["run", file, "nothing"]).code(3).says("may not be loaded");
        }
        home.run(["tool", "add", ECHO]).code(3).says("may not be loaded");
        assert_eq!(kinds(&home), ["opened", "decided", "decided", "decided"]);
        let decided = &home.entries()[1]["body"];
        assert_eq!((&decided["point"], &decided["decision"]["allowed"]), (&json!("admit"), &json!(false)));
        assert_eq!(home.run(["tool", "list", "--format", "json"]).json(), json!([]));
        is_well(&home);
    }

    #[test]
    fn looking_asks_and_writes_nothing() {
        let home = home(r#"{ call = "permit", admit = "permit" }"#);
        home.run(["tool", "add", ECHO]).code(0);
        let looks: [&[&str]; 3] = [&["inspect", ECHO], &["tool", "verify"], &["doctor"]];
        for args in looks {
            home.run(args).code(0);
        }
        let before = home.entries().len();
        let config = std::fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
        home.configure(&config.replace(r#"admit = "permit""#, r#"admit = "forbid""#));
        for (args, code) in looks.into_iter().zip([3, 5, 1]) {
            let ran = home.run(args);
            ran.code(code);
            assert!((ran.text() + &ran.stderr).contains("`echo` may not be loaded"), "{args:?}: {}", ran.text());
        }
        // What would not even be compiled is not looked at either; and who has no policies asks none.
        let broken = home.file("broken.wasm", b"\0asm\x0d\0\x01\0garbage").display().to_string();
        home.run(["inspect", &broken]).code(3).says("may not be loaded");
        assert_eq!(home.entries().len(), before);
        let nowhere = home.folder("nowhere");
        crate::harness::ringfence(&nowhere, ["inspect", ECHO], b"").code(0);
        is_well(&home);
    }

    #[test]
    fn first_call_tells_of_the_admission() {
        let home = home(r#"{ call = "permit", admit = "permit" }"#);
        echo(&home, "hello", &[]).0.code(0);
        let entries = home.entries();
        let admission = &entries[1]["body"]["admission"];
        assert_eq!((&admission["allowed"], &admission["rulings"][0]["verdict"]), (&json!(true), &json!("permit")));
        home.run(["tool", "add", ECHO]).code(0);
        home.run(["call", "echo", "string", "--input", r#"{"value":"a"}"#]).code(0);
        assert_eq!(kinds(&home)[3..], ["decided", "begun", "finished"]);
        is_well(&home);
    }
}

#[test]
fn request_that_a_policy_forbids_never_leaves() {
    let net = Network::new();
    let web = Web::new(|_| ok("granted"));
    let rule = http("GET", GRANTED, web.port(), "/");
    let url = format!("http://{GRANTED}:{}/a?b=c", web.port());
    for (settings, visits) in
        [(r#"{ call = "permit", egress = "forbid" }"#, 0), (r#"{ call = "permit", egress = "permit" }"#, 1)]
    {
        net.configure(&scripted(settings));
        let input = json!({ "url": url, "headers": [["X-Test", "1"]] }).to_string();
        let (ran, value) = net.home.call(guests::TOOL_FETCH, &["get", "--ring", "2", "--input", &input, HERE, &rule]);
        ran.code(if visits == 1 { 0 } else { 4 });
        assert_eq!(web.requests().len(), visits, "{value}");
        let said = ran.text();
        // POL-19: by its code, and not in its words.
        assert_eq!(said.contains("policy `scripted` (scripted)"), visits == 0, "{said}");
        assert!(!said.contains("as the settings say"), "{said}");
    }
    net.configure("");
    net.home.is_well();
    // Both are decided again from what the traces say, years later.
    let entries = net.home.entries();
    let told =
        ["decision", "admission"].iter().flat_map(|key| entries.iter().filter(|entry| entry["body"][*key].is_object()));
    let report = net.home.run(["policy", "replay", "--format", "json"]).code(0).json();
    let decisions = told.count() + 2;
    assert_eq!((&report["decisions"], &report["reproduced"]), (&decisions.into(), &decisions.into()), "{report:#}");
}

mod approval {
    use super::*;

    const APPROVE: &str =
        r#"{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "money leaves" }] }"#;

    fn ask(home: &Home, text: &str) -> (Ran, Value) {
        echo(home, text, &["--as", "agent:a"])
    }

    fn held(value: &Value) -> String {
        assert_eq!(code(value), "denied.approval", "{value}");
        value["outcome"]["error"]["value"]["approval"].as_str().expect("an approval").to_owned()
    }

    #[test]
    fn held_call_runs_once_when_approved() {
        // POL-22
        let home = home(APPROVE);
        let (ran, value) = ask(&home, "pay 5");
        ran.code(3);
        let id = held(&value);
        // Asked again, it is the same question.
        assert_eq!(held(&ask(&home, "pay 5").1), id);
        assert!(home.run(["approvals"]).code(0).text().contains(&id));
        home.run(["approve", &id, "--reason", "fine"]).code(0);
        // Other arguments are another question.
        assert_ne!(held(&ask(&home, "pay 500").1), id);
        let (ran, value) = ask(&home, "pay 5");
        ran.code(0);
        assert_eq!(value["outcome"]["value"], "pay 5");
        let begun = home.entries().into_iter().rev().find(|entry| entry["kind"] == "begun").expect("a beginning");
        assert_eq!(begun["body"]["approval"], json!(id));
        // It is used up.
        assert_ne!(held(&ask(&home, "pay 5").1), id);
        home.run(["approve", &id]).code(3).says("used already");
        assert_eq!(kinds(&home)[1..5], ["held", "refused", "approved", "held"]);
        is_well(&home);
    }

    #[test]
    fn rejected_stays_rejected() {
        let home = home(APPROVE);
        let id = held(&ask(&home, "pay 5").1);
        home.run(["reject", &id, "--reason", "no"]).code(0);
        for _ in 0..2 {
            let (ran, value) = ask(&home, "pay 5");
            ran.code(3);
            assert_eq!(code(&value), "denied.rejected");
        }
        home.run(["approve", &id]).code(3).says("rejected already");
        assert_eq!(home.run(["approvals", "--format", "json"]).json(), json!([]));
        is_well(&home);
    }

    #[test]
    fn nobody_answers_their_own_question() {
        let home = home(APPROVE);
        let (_, value) = echo(&home, "pay 5", &[]);
        home.run(["approve", &held(&value)]).code(3).says("can't answer it");
        let named = home_named(r#"["operator:somebody-else"]"#);
        let (_, value) = ask(&named, "pay 5");
        named.run(["approve", &held(&value)]).code(3).says("the policy names `operator:somebody-else`");
        home.run(["run", ECHO, "nothing", "--as", "operator:eve"]).code(2).fails_well();
        is_well(&home);
    }

    fn home_named(by: &str) -> Home {
        home(&format!(r#"{{ call = [{{ is = "approve", by = {by}, valid-ms = 600000, reason = "x" }}] }}"#))
    }

    #[test]
    fn approval_ends_with_its_time() {
        let home = home(r#"{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 1, reason = "x" }] }"#);
        let id = held(&ask(&home, "pay 5").1);
        home.run(["approve", &id]).code(3).says("expired at");
        assert_ne!(held(&ask(&home, "pay 5").1), id);
        is_well(&home);
    }

    #[test]
    fn approval_is_bound_to_the_set() {
        let home = home(APPROVE);
        let id = held(&ask(&home, "pay 5").1);
        home.run(["approve", &id]).code(0);
        home.configure(&(scripted(APPROVE) + "[policies.ring-default]\n"));
        assert_ne!(held(&ask(&home, "pay 5").1), id);
        home.configure(&scripted(APPROVE));
        ask(&home, "pay 5").0.code(0);
        is_well(&home);
    }

    #[test]
    fn recorded_answer_needs_no_approval() {
        let home = home(APPROVE);
        let key = ["--as", "agent:a", "--idempotency-key", "k"];
        let id = held(&echo(&home, "pay 5", &key).1);
        home.run(["approve", &id]).code(0);
        for _ in 0..2 {
            echo(&home, "pay 5", &key).0.code(0);
        }
        assert_eq!(kinds(&home)[1..], ["held", "approved", "begun", "finished"]);
        is_well(&home);
    }

    #[test]
    fn unknown_approval_is_named() {
        let home = Home::new();
        for command in ["approve", "reject"] {
            home.run([command, "apr_00000000000000000000000000000000"])
                .code(2)
                .fails_well()
                .says("there is no approval");
            home.run([command, "apr_0"]).code(2).says("`apr_0` is not an id");
        }
    }
}

mod cap {
    use super::*;

    fn capped(scope: &str, unit: &str, at_most: u64) -> Home {
        let cap = format!(r#"is = "cap", scope = "{scope}", unit = "{unit}", window = "day", at-most = {at_most}"#);
        home(&format!("{{ call = [{{ {cap} }}] }}"))
    }

    #[test]
    fn calls_end_at_the_cap() {
        let home = capped("principal", "calls", 2);
        for _ in 0..2 {
            echo(&home, "a", &["--as", "agent:a"]).0.code(0);
        }
        let (ran, value) = echo(&home, "a", &["--as", "agent:a"]);
        ran.code(3);
        assert_eq!(code(&value), "denied.cap");
        assert!(value["outcome"]["error"]["value"]["retry_after_ms"].is_u64());
        // Another principal has an account of its own.
        echo(&home, "a", &["--as", "agent:b"]).0.code(0);
        is_well(&home);
    }

    #[test]
    fn fuel_left_bounds_the_call() {
        let home = capped("host", "fuel", 40_000);
        let (ran, _) = echo(&home, "a", &[]);
        ran.code(0);
        let spent = home.entries().pop().expect("an entry")["body"]["used"]["fuel"].as_u64().expect("fuel");
        let begun = |home: &Home| home.entries().into_iter().rev().find(|e| e["kind"] == "begun").expect("a beginning");
        assert_eq!(begun(&home)["body"]["limits"]["fuel"], 40_000);
        echo(&home, "a", &[]);
        assert_eq!(begun(&home)["body"]["limits"]["fuel"], 40_000 - spent);
        is_well(&home);
    }

    #[test]
    fn cap_on_sessions_needs_a_session() {
        let home = capped("session", "calls", 1);
        let (ran, value) = echo(&home, "a", &[]);
        ran.code(3);
        assert_eq!(code(&value), "denied.cap");
        let id = home.run(["session", "open", "s", "--format", "json"]).json()["session"].clone();
        let id = id.as_str().expect("an id");
        echo(&home, "a", &["--session", id]).0.code(0);
        echo(&home, "a", &["--session", id]).0.code(3);
        is_well(&home);
    }
}

mod cache {
    use super::*;

    fn caching(more: &str) -> Home {
        home(&format!(r#"{{ call = [{{ is = "cache", valid-ms = 600000{more} }}] }}"#))
    }

    #[test]
    fn kept_answer_is_handed_out_again() {
        let home = caching("");
        let folder = home.folder("docs");
        let dir = format!("{}::/docs", folder.display());
        let read =
            |who: &str| home.call(FILES, &["read", "--input", r#"{"path":"/docs/a"}"#, "--dir", &dir, "--as", who]);
        std::fs::write(folder.join("a"), "one").expect("a file");
        assert_eq!(read("agent:a").1["outcome"]["value"], "one");
        std::fs::write(folder.join("a"), "two").expect("a file");
        let (ran, value) = read("agent:a");
        ran.code(0);
        assert_eq!(value["outcome"]["value"], "one");
        // Two principals never share one, unless the policy says so.
        assert_eq!(read("agent:b").1["outcome"]["value"], "two");
        assert_eq!(kinds(&home)[1..], ["begun", "finished", "answered", "begun", "finished"]);
        let answered = &home.entries()[3]["body"];
        assert_eq!((&answered["answer"], &answered["decision"]["allowed"]), (&json!(2), &json!(true)));
        is_well(&home);
    }

    #[test]
    fn shared_answer_serves_others() {
        let home = caching(", shared = true");
        echo(&home, "a", &["--as", "agent:a"]).0.code(0);
        echo(&home, "a", &["--as", "agent:b"]).0.code(0);
        // Another input is another answer.
        echo(&home, "b", &["--as", "agent:b"]).0.code(0);
        assert_eq!(kinds(&home)[1..], ["begun", "finished", "answered", "begun", "finished"]);
        is_well(&home);
    }

    #[test]
    fn error_is_never_kept() {
        let home = caching("");
        let dir = format!("{}::/docs", home.folder("docs").display());
        let read = || home.call(FILES, &["read", "--input", r#"{"path":"/docs/a"}"#, "--dir", &dir]);
        read().0.code(4);
        home.file("docs/a", "there");
        let (ran, value) = read();
        ran.code(0);
        assert_eq!(value["outcome"]["value"], "there");
        is_well(&home);
    }

    #[test]
    fn answer_expires() {
        let home = home(r#"{ call = [{ is = "cache", valid-ms = 1 }] }"#);
        echo(&home, "a", &[]).0.code(0);
        std::thread::sleep(std::time::Duration::from_millis(5));
        echo(&home, "a", &[]).0.code(0);
        assert_eq!(kinds(&home)[1..], ["begun", "finished", "begun", "finished"]);
    }

    #[test]
    fn call_that_can_change_something_is_not_kept() {
        let home = caching("");
        let dir = format!("{}::/out:rw", home.folder("out").display());
        let input = r#"{"path":"/out/a","content":"x"}"#;
        let (ran, value) = home.call(FILES, &["write", "--ring", "2", "--input", input, "--dir", &dir]);
        ran.code(3);
        assert_eq!(code(&value), "denied.obligation");
        is_well(&home);
    }
}

mod session {
    use super::*;

    fn open(home: &Home, more: &[&str]) -> String {
        let all = ["session", "open", "nightly", "--format", "json"].into_iter().chain(more.iter().copied());
        let opened = home.run(all);
        opened.code(0).json()["session"].as_str().expect("an id").to_owned()
    }

    #[test]
    fn session_bounds_its_calls() {
        // POL-15
        let home = Home::new();
        let id = open(&home, &["--as", "agent:a"]);
        echo(&home, "a", &["--session", &id]).0.code(0);
        let entries = home.entries();
        let begun = &entries[2]["body"];
        assert_eq!((&begun["session"], &begun["principal"]), (&json!(id), &json!("agent:a")));
        let (ran, value) = echo(&home, "a", &["--session", &id, "--ring", "2"]);
        ran.code(3);
        assert_eq!(code(&value), "denied.session");
        assert!(home.run(["session", "list"]).code(0).text().contains("nightly"));
        home.run(["session", "close", &id]).code(0);
        let (ran, value) = echo(&home, "a", &["--session", &id]);
        ran.code(3);
        assert_eq!(code(&value), "denied.session");
        let (ran, value) = echo(&home, "a", &["--session", "ses_00000000000000000000000000000000"]);
        ran.code(3);
        assert_eq!(code(&value), "denied.session");
        home.is_well();
    }

    #[test]
    fn scratch_folder_lasts_as_long_as_its_session() {
        // FS-25
        let home = Home::new();
        let (id, other) = (open(&home, &["--ring", "2"]), open(&home, &["--ring", "2"]));
        let call = |session: &str, function: &str, input: &str| {
            let args = [function, "--ring", "2", "--input", input, "--scratch", "/tmp", "--session", session];
            home.call(FILES, &args)
        };
        call(&id, "write", r#"{"path":"/tmp/a","content":"kept"}"#).0.code(0);
        echo(&home, "another call, which clears what was left", &[]).0.code(0);
        let (ran, value) = call(&id, "read", r#"{"path":"/tmp/a"}"#);
        ran.code(0);
        assert_eq!(value["outcome"]["value"], "kept");
        // Clean for each session.
        call(&other, "read", r#"{"path":"/tmp/a"}"#).0.code(4);
        home.run(["session", "close", &id]).code(0);
        let left = std::fs::read_dir(home.path().join("scratch")).expect("the folder");
        let left: Vec<_> =
            left.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        assert_eq!(left, [format!("session-{other}")]);
        home.is_well();
    }

    #[test]
    fn elevation_ends_and_needs_approval() {
        // POL-16
        let home = Home::new();
        let id = open(&home, &["--as", "agent:a"]);
        let ring_2 = ["session", "elevate", &id, "--ring", "2", "--for", "1"];
        assert!(home.run(ring_2).code(0).text().contains("ring 2"));
        echo(&home, "a", &["--session", &id, "--ring", "2"]).0.code(0);
        home.run(ring_2).code(3);
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        let (ran, value) = echo(&home, "a", &["--session", &id, "--ring", "2"]);
        ran.code(3);
        assert_eq!(code(&value), "denied.session");

        let ring_1 = ["session", "elevate", &id, "--ring", "1", "--for", "60", "--format", "json"];
        home.run(ring_1).code(3);
        let waiting = home.run(["approvals", "--format", "json"]).json();
        let approval = waiting[0]["approval"].as_str().expect("an approval").to_owned();
        assert_eq!(waiting[0]["point"], "elevate");
        home.run(["approve", &approval]).code(0);
        home.run(ring_1).code(0);
        echo(&home, "a", &["--session", &id, "--ring", "1"]).0.code(0);
        home.run(["session", "elevate", &id, "--ring", "0"]).code(3).fails_well();
        let kinds = kinds(&home);
        assert!(kinds.contains(&"elevated".to_owned()) && kinds.contains(&"approved".to_owned()), "{kinds:?}");
        home.is_well();
    }
}

mod transcript {
    use super::*;

    const MESSAGES: &str = r#"[{"role":"user","content":"hi"},{"role":"tool","content":"orphan"}]"#;

    fn check(home: &Home, messages: &str, more: &[&str]) -> Ran {
        let file = home.file("messages.json", messages).display().to_string();
        home.run(["transcript", "check", &file].into_iter().chain(more.iter().copied()))
    }

    #[test]
    fn nobody_permits_by_default() {
        let home = Home::new();
        check(&home, MESSAGES, &[]).code(3).fails_well();
        assert_eq!(kinds(&home), ["opened", "decided"]);
        home.is_well();
    }

    #[test]
    fn repaired_messages_go_on() {
        let home = home(r#"{ transcript = [{ is = "redact", pointer = "/1", part = "member" }] }"#);
        let ran = check(&home, MESSAGES, &[]);
        ran.code(0);
        assert_eq!(ran.text().trim(), r#"[{"content":"hi","role":"user"}]"#);
        assert_eq!(home.entries()[1]["body"]["redacted"], 1);
        assert!(!holds(&home.path(), "orphan"));
        for bad in ["{}", "[1]", "not json", ""] {
            check(&home, bad, &[]).code(2).fails_well();
        }
        is_well(&home);
    }
}
