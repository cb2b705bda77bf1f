//! Policies that look at what is handed back, and at what an agent has said.
//!
//! Their tables of cases run with everybody's; here stands what a row can't say: what exactly is taken out, what a
//! mended transcript comes to when it is asked about again, and how much of their fuel a large body takes.

use std::collections::BTreeSet;

use ringfence_model::decision::AnswerSubject;
use ringfence_model::decision::Obligation;
use ringfence_model::decision::PolicyFault;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::RedactedPart;
use ringfence_model::decision::Redaction;
use ringfence_model::decision::Ruling;
use ringfence_model::decision::Subject;
use ringfence_model::decision::TranscriptSubject;
use ringfence_model::decision::Verdict;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Used;
use ringfence_model::id::CallId;
use ringfence_model::json;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::PolicyError;
use serde_json::Value;
use serde_json::json;

use crate::harness::ENGINE;
use crate::harness::Home;

/// One for all tests: each holds a pool of instances.
fn policy(name: &str, settings: &Value) -> Policy {
    Policy::load(&ENGINE, name, builtin(name), settings).expect("settings that make sense")
}

fn asked(subject: Subject) -> PolicyRequest {
    PolicyRequest {
        claimed: Vec::new(),
        principal: Principal::anonymous(),
        ring: Ring::Sandbox,
        session: None,
        subject,
        time_ms: 0,
        usage: Vec::new(),
    }
}

fn answer(body: String) -> PolicyRequest {
    asked(Subject::Result(Box::new(AnswerSubject {
        body,
        call: CallId::from_random([0; 16]),
        effect: Effect::Reads,
        function: "read".to_owned(),
        kind: OutcomeKind::Returned,
        mismatch: None,
        tool: ToolRef { digest: Digest::of(b"tool"), name: "tool".to_owned() },
        used: Used::default(),
    })))
}

fn canonical(value: &Value) -> String {
    String::from_utf8(json::canonical(value)).expect("JSON is UTF-8")
}

fn permitted(ruling: Ruling) -> (Vec<String>, Vec<Redaction>) {
    let Ok(Verdict::Permit(reasons, obligations)) = ruling.verdict else { panic!("{ruling:?}") };
    let redactions = obligations.into_iter().flat_map(|obligation| match obligation {
        Obligation::Redact(redactions) => redactions,
        other => panic!("{other:?}"),
    });
    (reasons.into_iter().map(|reason| reason.code).collect(), redactions.collect())
}

/// What is left when the redactions are carried out, each pointing into what was there before.
fn redacted(value: &Value, redactions: &[Redaction]) -> Option<Value> {
    fn left(value: &Value, pointer: &str, redactions: &[Redaction]) -> Option<Value> {
        match redactions.iter().find(|redaction| redaction.pointer == pointer).map(|redaction| &redaction.part) {
            Some(RedactedPart::Member) => return None,
            Some(RedactedPart::Value) => return Some("[redacted]".into()),
            Some(RedactedPart::Spans(spans)) => {
                return Some(cut_out(value.as_str().expect("spans are in text"), spans).into());
            }
            None => {}
        }
        Some(match value {
            Value::Array(items) => {
                let item = |(index, item)| left(item, &format!("{pointer}/{index}"), redactions);
                items.iter().enumerate().filter_map(item).collect()
            }
            Value::Object(members) => {
                let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
                let member = |(key, value): (&String, &Value)| {
                    Some((key.clone(), left(value, &format!("{pointer}/{}", escaped(key)), redactions)?))
                };
                Value::Object(members.iter().filter_map(member).collect())
            }
            other => other.clone(),
        })
    }
    left(value, "", redactions)
}

/// A text without its spans. It panics where one is not at the border of characters.
fn cut_out(text: &str, spans: &[(u32, u32)]) -> String {
    let (mut left, mut from) = (String::new(), 0);
    for (start, end) in spans.iter().map(|(start, end)| (*start as usize, *end as usize)) {
        left += &text[from..start];
        left += "[redacted]";
        from = end;
    }
    left + &text[from..]
}

#[test]
fn pages_show_settings_that_work() {
    for name in ["prompt-guard", "quality-gate", "secret-scan"] {
        let page = format!("{}/../../docs/guide/policies/{name}.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(page).expect("a page");
        let (_, example) = page.split_once("```toml\n# ringfence.toml\n").expect("an example");
        let (example, _) = example.split_once("```").expect("its end");
        let home = Home::new();
        home.configure(example);
        let list = home.run(["policy", "list"]).code(0).text();
        assert!(list.contains(&format!("in force  {name}")), "{list}");

        let table = format!("{}/../../policies/{name}/cases.toml", env!("CARGO_MANIFEST_DIR"));
        let table = std::fs::read_to_string(table).expect("the table");
        let codes: BTreeSet<_> =
            table.lines().filter_map(|line| line.strip_prefix("reasons = ")).flat_map(codes).collect();
        for code in codes {
            let code = code.strip_prefix("secret-").unwrap_or(code);
            assert!(page.contains(&format!("`{code}`")) || code == "badge", "{name}: {code}");
        }
    }
}

fn codes(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

#[test]
fn settings_problems_are_named_where_they_are() {
    for (name, settings, pointer) in [
        ("prompt-guard", json!([]), ""),
        ("prompt-guard", json!({ "repair": 1 }), "/repair"),
        ("prompt-guard", json!({ "roles": [] }), "/roles"),
        ("prompt-guard", json!({ "roles": "user" }), "/roles"),
        ("prompt-guard", json!({ "roles": ["user", ""] }), "/roles/1"),
        ("prompt-guard", json!({ "duplicates": "never" }), "/duplicates"),
        ("prompt-guard", json!({ "dropped-turns": true }), "/dropped-turns"),
        ("prompt-guard", json!({ "max-messages": 0 }), "/max-messages"),
        ("prompt-guard", json!({ "max-messages": 100_001 }), "/max-messages"),
        ("prompt-guard", json!({ "max-tokens": 1.5 }), "/max-tokens"),
        ("prompt-guard", json!({ "a/b~c": 1 }), "/a~1b~0c"),
        ("quality-gate", json!({ "require-returned": "yes" }), "/require-returned"),
        ("quality-gate", json!({ "rules": {} }), "/rules"),
        ("quality-gate", json!({ "rules": vec![json!({}); 65] }), "/rules"),
        ("quality-gate", json!({ "rules": [{}, 1] }), "/rules/1"),
        ("quality-gate", json!({ "rules": [{ "tol": "x" }] }), "/rules/0/tol"),
        ("quality-gate", json!({ "rules": [{ "tool": "" }] }), "/rules/0/tool"),
        ("quality-gate", json!({ "rules": [{ "required": ["a"] }] }), "/rules/0/required/0"),
        ("quality-gate", json!({ "rules": [{ "texts": [{}] }] }), "/rules/0/texts/0/pointer"),
        ("quality-gate", json!({ "rules": [{ "texts": [{ "pointer": "/~2" }] }] }), "/rules/0/texts/0/pointer"),
        (
            "quality-gate",
            json!({ "rules": [{ "texts": [{ "pointer": "", "min-chars": 2, "max-chars": 1 }] }] }),
            "/rules/0/texts/0/max-chars",
        ),
        (
            "quality-gate",
            json!({ "rules": [{ "texts": [{ "pointer": "", "forbidden": ["a", "("] }] }] }),
            "/rules/0/texts/0/forbidden/1",
        ),
        (
            "quality-gate",
            json!({ "rules": [{ "numbers": [{ "pointer": "", "minimum": 1, "maximum": 0.5 }] }] }),
            "/rules/0/numbers/0/maximum",
        ),
        (
            "quality-gate",
            json!({ "rules": [{ "numbers": [{ "pointer": "", "minimum": "1" }] }] }),
            "/rules/0/numbers/0/minimum",
        ),
        ("secret-scan", json!({ "on-finding": "tell" }), "/on-finding"),
        ("secret-scan", json!({ "except": ["password", "entropy"] }), "/except/1"),
        ("secret-scan", json!({ "allow": [""] }), "/allow/0"),
        ("secret-scan", json!({ "allow": vec!["x"; 257] }), "/allow"),
        ("secret-scan", json!({ "entropy": true }), "/entropy"),
        ("secret-scan", json!({ "entropy": { "min-bytes": 15 } }), "/entropy/min-bytes"),
        ("secret-scan", json!({ "entropy": { "min-bits": 6.1 } }), "/entropy/min-bits"),
        ("secret-scan", json!({ "entropy": { "bits": 4 } }), "/entropy/bits"),
        ("secret-scan", json!({ "patterns": [{ "name": "a" }] }), "/patterns/0/pattern"),
        ("secret-scan", json!({ "patterns": [{ "pattern": "a" }] }), "/patterns/0/name"),
        ("secret-scan", json!({ "patterns": [{ "name": "A", "pattern": "a" }] }), "/patterns/0/name"),
        ("secret-scan", json!({ "patterns": [{ "name": "jwt", "pattern": "a" }] }), "/patterns/0/name"),
        ("secret-scan", json!({ "patterns": [{ "name": "a", "pattern": "(" }] }), "/patterns/0/pattern"),
        ("secret-scan", json!({ "patterns": [{ "name": "a", "pattern": "a*" }] }), "/patterns/0/pattern"),
        ("secret-scan", json!({ "patterns": [{ "name": "a", "pattern": "a".repeat(513) }] }), "/patterns/0/pattern"),
        ("secret-scan", json!({ "patterns": [{ "name": "a", "pattern": "(a{100}){100}" }] }), "/patterns/0/pattern"),
        (
            "secret-scan",
            json!({ "patterns": [{ "name": "a", "pattern": "a" }, { "name": "a", "pattern": "b" }] }),
            "/patterns",
        ),
        ("secret-scan", json!({ "rules": [] }), "/rules"),
    ] {
        match Policy::load(&ENGINE, name, builtin(name), &settings) {
            Err(PolicyError::BadSettings { pointer: found, .. }) => assert_eq!(found, pointer, "{name} {settings}"),
            other => panic!("{name} {settings}: {other:?}"),
        }
    }
}

fn builtin(name: &str) -> &'static [u8] {
    ringfence_policies::ALL.iter().find(|policy| policy.name == name).expect("a built-in policy").component
}

mod secrets {
    use super::*;

    const MIB: usize = 1024 * 1024;
    const PROSE: &str = "The quick brown fox jumps over the lazy dog, and nobody minds: it is 3 o'clock.\n";
    const CODE: &str = "let total_count = first_value + second_value; // a-b: see https://example.com/x?y=z\n";

    fn scan(settings: &Value, body: &Value) -> Ruling {
        policy("secret-scan", settings).ask(&answer(canonical(body)))
    }

    /// Two parts of a made-up secret: together in a source they would look like one.
    fn gitlab() -> String {
        ["glpat", "abcdefABCDEF01234567"].join("-")
    }

    #[test]
    fn nothing_but_the_secret_goes() {
        let token = gitlab();
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
        for (text, left) in [
            (token.clone(), "[redacted]".to_owned()),
            (format!("a {token} b"), "a [redacted] b".to_owned()),
            (format!("größe {token}, 日本 {token}✓"), "größe [redacted], 日本 [redacted]✓".to_owned()),
            (format!("tab\t\"{token}\"\n\\{token}\u{1}"), "tab\t\"[redacted]\"\n\\[redacted]\u{1}".to_owned()),
            (format!("Authorization: Bearer {jwt}\nHost: x"), "Authorization: Bearer [redacted]\nHost: x".to_owned()),
            ("https://bob:s3cret@example.com/".to_owned(), "https://bob:[redacted]@example.com/".to_owned()),
            ("password = 'pässwörter ✓ x' # y".to_owned(), "password = '[redacted]' # y".to_owned()),
            ("Uid=sa;Pwd=hunter22;Db=x".to_owned(), "Uid=sa;Pwd=[redacted];Db=x".to_owned()),
            (format!("password={token}{token}"), "password=[redacted]".to_owned()),
            (
                "a\n-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\nb".to_owned(),
                "a\n[redacted]\nb".to_owned(),
            ),
        ] {
            let body = json!({ "stdout": text, "value": { "text": text, "n": 1 } });
            let (_, redactions) = permitted(scan(&json!({}), &body));
            let wanted = json!({ "stdout": left, "value": { "text": left, "n": 1 } });
            assert_eq!(redacted(&body, &redactions), Some(wanted), "{text:?}");
        }
    }

    #[test]
    fn what_is_left_has_no_secret() {
        let token = gitlab();
        let body = json!({
            "stderr": format!("{token} AKIAIOSFODNN7EXAMPLE"),
            "stdout": { "base64": "/3Bhc3N3b3JkPWh1bnRlcjIyIA==" },
            "value": { "rows": [{ "password": "hunter22" }, { &token: 1 }, { "a/b~c": [token] }] },
        });
        let (_, redactions) = permitted(scan(&json!({}), &body));
        let left = redacted(&body, &redactions).expect("a body");
        assert_eq!(permitted(scan(&json!({}), &left)), (vec!["no-secret-found".to_owned()], Vec::new()), "{left:#}");
    }

    #[test]
    fn secret_is_never_repeated() {
        // POL-19
        let token = gitlab();
        let body = json!({ "stdout": token, "value": { &token: { &token: token } } });
        for settings in [json!({}), json!({ "on-finding": "withhold" })] {
            let ruling = scan(&settings, &body);
            assert!(!format!("{:?}", ruling.verdict).contains(&token), "{ruling:?}");
            assert!(!matches!(&ruling.verdict, Ok(Verdict::Abstain) | Err(_)), "{ruling:?}");
        }
    }

    #[test]
    fn many_secrets_take_their_members_along() {
        let token = gitlab();
        let few: Vec<_> = (0..1_000).map(|_| token.clone()).collect();
        let (_, redactions) = permitted(scan(&json!({}), &json!({ "stdout": "x", "value": few })));
        assert_eq!(redactions.len(), 1_000);

        let many: Vec<_> = (0..1_001).map(|_| token.clone()).collect();
        let body = json!({ "stdout": format!("{token} "), "value": { "rows": many } });
        let (_, redactions) = permitted(scan(&json!({}), &body));
        let whole = |pointer: &str| Redaction { part: RedactedPart::Value, pointer: pointer.to_owned() };
        assert_eq!(redactions, [whole("/stdout"), whole("/value")]);

        let body = json!({ "stdout": format!("{token} ").repeat(4_001), "value": 1 });
        assert_eq!(permitted(scan(&json!({}), &body)).1, [whole("/stdout")]);
    }

    #[test]
    fn long_pointers_end_early() {
        let key = "k".repeat(600);
        let body = json!({ "value": { &key: { &key: { "a": gitlab() } } } });
        let (_, redactions) = permitted(scan(&json!({}), &body));
        assert_eq!(redactions, [Redaction { part: RedactedPart::Value, pointer: format!("/value/{key}") }]);
    }

    #[test]
    fn body_that_is_not_canonical_is_withheld() {
        for body in ["", "{", "{}x", "{\"a\":\"\\q\"}", "{\"a\":\"\\ud800\"}", "{ }", "[1,]", "\"a"] {
            let ruling = policy("secret-scan", &json!({})).ask(&answer(body.to_owned()));
            let Ok(Verdict::Forbid(reasons)) = ruling.verdict else { panic!("{body}: {ruling:?}") };
            assert_eq!(reasons[0].code, "body-not-readable");
        }
    }

    /// What a byte of each costs at most. The last three are made to cost as much as they can.
    const FUEL: [(&str, &str, u64); 8] = [
        ("prose", PROSE, 40),
        ("code", CODE, 120),
        ("letters", "abcdefghijklmnopqrstuvwxyz.", 30),
        ("base64", "QUJD", 210),
        ("dashes", "-", 380),
        ("words that end like a key begins", "sk-a-", 3_000),
        ("names of secrets", "password=\"a\" ", 3_000),
        ("folders", "pwd:/", 3_000),
    ];

    #[test]
    fn fuel_grows_with_the_size_alone() {
        for (name, unit, fuel_per_byte_max) in FUEL {
            let fuel = |bytes: usize| {
                let body = json!({ "stdout": unit.repeat(bytes / unit.len()) });
                let ruling = scan(&json!({}), &body);
                assert!(ruling.verdict.is_ok(), "{name}: {ruling:?}");
                ruling.fuel / bytes as u64
            };
            let (small, large) = (fuel(MIB / 128), fuel(MIB / 16));
            println!("{name}: {small} and {large} for a byte");
            assert!(large <= fuel_per_byte_max, "{name} takes {large} for a byte");
            assert!(large <= small * 11 / 10 + 1, "{name} takes {large} for a byte, and {small} when it is short");
        }
    }

    #[test]
    fn bodies_of_the_documented_sizes_fit() {
        let row = json!({ "name": "somebody", "city": "Bern", "n": 12.5 });
        let prose = |bytes: usize| PROSE.repeat(bytes / PROSE.len());
        let pattern = json!({ "patterns": [{ "name": "a", "pattern": "ACME-[0-9]{6}" }] });
        for (name, settings, body) in [
            ("prose", json!({}), json!({ "stdout": prose(5 * MIB) })),
            ("code", json!({}), json!({ "stdout": CODE.repeat(3 * MIB / 2 / CODE.len()) })),
            ("bytes", json!({}), json!({ "value": "QUJD".repeat(MIB * 3 / 4 / 4) })),
            ("rows", json!({}), json!({ "value": vec![row; MIB / 43] })),
            ("numbers", json!({}), json!({ "value": vec![7; MIB * 3 / 4] })),
            ("prose with entropy", json!({ "entropy": {} }), json!({ "stdout": prose(3 * MIB / 2) })),
            ("prose with a pattern", pattern, json!({ "stdout": prose(MIB / 16) })),
        ] {
            let ruling = scan(&settings, &body);
            println!("{name}: {} for {} bytes", ruling.fuel, canonical(&body).len());
            assert!(ruling.verdict.is_ok(), "{name}: {ruling:?}");
        }
    }

    #[test]
    fn body_beyond_the_fuel_is_a_fault() {
        let body = json!({ "stdout": PROSE.repeat(8 * MIB / PROSE.len()) });
        assert_eq!(scan(&json!({}), &body).verdict, Err(PolicyFault::OutOfFuel));
    }
}

mod prompts {
    use proptest::prelude::*;

    use super::*;

    fn judged(settings: &Value, messages: &Value, known: &[&Value]) -> Ruling {
        let known = known.iter().map(|message| Digest::of(&json::canonical(message))).collect();
        let subject = TranscriptSubject { known, messages: canonical(messages) };
        policy("prompt-guard", settings).ask(&asked(Subject::Transcript(Box::new(subject))))
    }

    /// What is left when the parts are taken out one after the other, in the order they are named.
    fn one_by_one(messages: &Value, redactions: &[Redaction]) -> Value {
        let mut left = messages.clone();
        for Redaction { pointer, part } in redactions {
            assert_eq!(*part, RedactedPart::Member);
            let (parent, last) = pointer.rsplit_once('/').expect("a member or element");
            match left.pointer_mut(parent).expect("what it is in") {
                Value::Array(items) => drop(items.remove(last.parse().expect("an index"))),
                Value::Object(members) => drop(members.remove(last).expect("a member")),
                other => panic!("{other}"),
            }
        }
        left
    }

    fn id() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["call_1", "call_2", "call_3", "fc_1", "fc_2", "toolu_1", ""])
    }

    fn text() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", ""])
    }

    fn tool_call() -> impl Strategy<Value = Value> {
        (id(), text(), prop::option::weighted(0.2, 0_u64..3), prop::bool::weighted(0.1)).prop_map(
            |(id, arguments, index, is_parsed)| {
                let mut call =
                    json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": arguments } });
                if let Some(index) = index {
                    call["index"] = index.into();
                }
                if is_parsed {
                    call["function"]["parsed_arguments"] = json!({});
                }
                call
            },
        )
    }

    fn block() -> impl Strategy<Value = Value> {
        prop_oneof![
            text().prop_map(|text| json!({ "type": "text", "text": text })),
            id().prop_map(|id| json!({ "type": "tool_use", "id": id, "name": "f", "input": {} })),
            (id(), text()).prop_map(|(id, text)| json!({ "type": "tool_result", "tool_use_id": id, "content": text })),
        ]
    }

    fn content() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            text().prop_map(Value::from),
            prop::collection::vec(block(), 0..4).prop_map(Value::from),
        ]
    }

    fn message() -> impl Strategy<Value = Value> {
        let role = prop::sample::select(vec!["assistant", "assistant", "system", "user"]);
        let calls = prop::collection::vec(tool_call(), 0..4);
        let spoken = (role, content(), prop::option::of(calls), prop::bool::weighted(0.1)).prop_map(
            |(role, content, calls, is_parsed)| {
                let mut message = json!({ "role": role, "content": content });
                if let Some(calls) = calls {
                    message["tool_calls"] = calls.into();
                }
                if is_parsed {
                    message["parsed"] = json!({});
                }
                message
            },
        );
        let result = (id(), content())
            .prop_map(|(id, content)| json!({ "role": "tool", "tool_call_id": id, "content": content }));
        prop_oneof![2 => spoken, 1 => result]
    }

    proptest! {
        #[test]
        fn mended_transcript_is_in_order(
            messages in prop::collection::vec(message(), 0..12),
            duplicates in prop::sample::select(vec!["adjacent", "allowed", "anywhere"]),
        ) {
            let messages = Value::from(messages);
            let (codes, redactions) =
                permitted(judged(&json!({ "repair": true, "duplicates": duplicates }), &messages, &[]));
            let left = redacted(&messages, &redactions).expect("the list");
            prop_assert_eq!(&left, &one_by_one(&messages, &redactions));
            prop_assert_eq!(redactions.is_empty(), codes == ["transcript-in-order"]);

            let again = judged(&json!({ "duplicates": duplicates }), &left, &[]);
            prop_assert_eq!(permitted(again), (vec!["transcript-in-order".to_owned()], Vec::new()));
        }
    }

    #[test]
    fn too_many_faults_are_not_mended() {
        let results = |count: usize| -> Value {
            (0..count).map(|id| json!({ "role": "tool", "tool_call_id": id.to_string(), "content": "" })).collect()
        };
        let settings = json!({ "repair": true });
        assert_eq!(permitted(judged(&settings, &results(2_000), &[])).1.len(), 2_000);
        let ruling = judged(&settings, &results(2_001), &[]);
        let Ok(Verdict::Forbid(reasons)) = ruling.verdict else { panic!("{ruling:?}") };
        let codes: BTreeSet<_> = reasons.iter().map(|reason| reason.code.as_str()).collect();
        assert_eq!(codes, BTreeSet::from(["orphaned-tool-result", "too-much-to-mend"]));
    }

    #[test]
    fn transcripts_of_the_documented_sizes_fit() {
        const MIB: usize = 1024 * 1024;
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(45);
        let messages = |count: usize, text: &str| -> Vec<Value> {
            (0..count).map(|n| json!({ "role": "user", "content": format!("{n} {text}") })).collect()
        };
        for (name, messages, is_known) in [
            ("long messages", messages(4 * MIB / 2_100, &text), false),
            ("long messages that are known", messages(3 * MIB / 2 / 2_100, &text), true),
            ("short messages", messages(10_000, "hi"), false),
            ("short messages that are known", messages(5_000, "hi"), true),
        ] {
            let known: Vec<_> = if is_known { messages.iter().collect() } else { Vec::new() };
            let list = Value::from(messages.clone());
            let ruling = judged(&json!({}), &list, &known);
            println!("{name}: {} for {} bytes", ruling.fuel, canonical(&list).len());
            assert!(ruling.verdict.is_ok(), "{name}: {ruling:?}");
        }
    }
}
