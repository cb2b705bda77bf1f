//! Values from JSON into a component and back: every type, every bound, every digit.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::tools::inspect;
use crate::harness::tools::names;

const ECHO: &str = ringfence_artifacts::TOOL_ECHO;

fn echo(home: &Home, function: &str, value: &str) -> Ran {
    home.run(["run", ECHO, function, "--input", &format!(r#"{{"value":{value}}}"#)])
}

/// Values of every type, each as the JSON text that has to come back.
fn table() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("bool", vec!["true", "false"]),
        ("s8", vec!["-128", "127", "0"]),
        ("s16", vec!["-32768", "32767"]),
        ("s32", vec!["-2147483648", "2147483647"]),
        ("s64", vec!["-9223372036854775808", "9223372036854775807", "-9007199254740993"]),
        ("u8", vec!["0", "255"]),
        ("u16", vec!["65535"]),
        ("u32", vec!["4294967295"]),
        ("u64", vec!["18446744073709551615", "9007199254740993", "0"]),
        ("f32", vec!["0.1", "-1.5", "3.4028235e38", "1e-45", r#""NaN""#, r#""Infinity""#, r#""-Infinity""#]),
        ("f64", vec!["0.1", "1e308", "5e-324", "-2.5", r#""NaN""#, r#""Infinity""#, r#""-Infinity""#]),
        ("char", vec![r#""a""#, r#""é""#, r#""\u0000""#, r#""😀""#, r#""\uD83D\uDE00""#, "\"\u{10ffff}\""]),
        ("string", vec![r#""""#, r#""a\"b\\c\n""#, r#""日本 👩‍🚀 \u0000""#]),
        ("bytes", vec![r#""""#, r#""AAH/""#, r#""AA==""#]),
        ("strings", vec!["[]", r#"["","a","😀"]"#]),
        ("numbers", vec!["[]", "[18446744073709551615,0,9007199254740993]"]),
        ("tuple", vec![r#"[255,"",false]"#]),
        (
            "record",
            vec![r#"{"name":"x","at":{"x":-1,"y":2},"height":null}"#, r#"{"name":"","at":{"x":0,"y":0},"height":1.5}"#],
        ),
        (
            "variant",
            vec![
                r#""dot""#,
                r#"{"circle":1.5}"#,
                r#"{"polygon":[]}"#,
                r#"{"polygon":[{"x":1,"y":2}]}"#,
                r#"{"other":"dot"}"#,
            ],
        ),
        ("enum", vec![r#""red""#, r#""deep-blue""#]),
        ("flags", vec!["[]", r#"["read","write","execute-all"]"#, r#"["execute-all"]"#]),
        ("option", vec!["null", r#""""#, r#""null""#]),
        ("nested-option", vec!["null", r#"{"some":null}"#, r#"{"some":7}"#]),
        ("result", vec![r#"{"task":"t","outcome":{"ok":7}}"#, r#"{"task":"","outcome":{"err":"no"}}"#]),
    ])
}

#[test]
fn every_type_comes_back_as_it_went() {
    let home = Home::new();
    for (function, values) in table() {
        for text in values {
            let input = format!(r#"{{"value":{text}}}"#);
            let (ran, value) = home.call(ECHO, &[function, "--input", &input]);
            ran.code(0);
            let wanted: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(value["outcome"]["kind"], "returned");
            assert_eq!(value["outcome"]["value"], wanted, "{function} {text}");
        }
    }
    home.is_well();
}

#[test]
fn every_function_of_echo_is_called_here() {
    let home = Home::new();
    let shown = inspect(&home, ECHO);
    let known: BTreeSet<_> = table().into_keys().chain(["several", "fallible", "nothing"]).collect();
    assert_eq!(names(&shown).into_iter().collect::<BTreeSet<_>>(), known);
}

#[test]
fn large_integers_keep_every_digit() {
    // Compared as text: a reader that goes through a float would agree with its own mistake.
    let home = Home::new();
    for (function, digits) in [
        ("u64", "18446744073709551615"),
        ("u64", "9007199254740993"),
        ("s64", "-9223372036854775808"),
        ("s64", "9223372036854775807"),
    ] {
        assert_eq!(echo(&home, function, digits).code(0).text(), format!("{digits}\n"));
        let input = format!(r#"{{"value":{digits}}}"#);
        let raw = home.run(["run", ECHO, function, "--format", "json", "--input", &input]).text();
        assert!(raw.contains(&format!("\"value\": {digits}\n")), "{raw}");
    }
    let several = "[18446744073709551615,9007199254740993]";
    let text = echo(&home, "numbers", several).text().replace([' ', '\n'], "");
    assert_eq!(text, several);
}

#[test]
fn value_outside_its_type_is_refused() {
    let home = Home::new();
    for (function, value) in [
        ("bool", "1"),
        ("s8", "128"),
        ("s8", "-129"),
        ("u8", "256"),
        ("u8", "-1"),
        ("u8", "1.5"),
        ("u8", "\"1\""),
        ("u8", "null"),
        ("u64", "-1"),
        ("u64", "1e19"),
        ("s64", "9223372036854775808"),
        ("f32", "3.5e38"),
        ("f64", "\"nan\""),
        ("f64", "\"1\""),
        ("char", "\"\""),
        ("char", "\"ab\""),
        ("char", "\"e\u{301}\""),
        ("string", "1"),
        ("bytes", "\"A\""),
        ("bytes", "[1,2]"),
        ("strings", "[\"a\",null]"),
        ("tuple", "[1,\"a\"]"),
        ("tuple", "[1,\"a\",true,0]"),
        ("record", r#"{"name":"x"}"#),
        ("record", r#"{"name":"x","at":{"x":0,"y":0},"color":1}"#),
        ("variant", "\"circle\""),
        ("variant", r#"{"dot":null}"#),
        ("variant", r#"{"square":1}"#),
        ("variant", r#"{"circle":1,"other":"x"}"#),
        ("enum", "\"blue\""),
        ("flags", r#"["read","read"]"#),
        ("flags", r#"["execute"]"#),
        ("nested-option", "7"),
        ("result", r#"{"task":"t","outcome":{"ok":1,"err":"x"}}"#),
    ] {
        let ran = echo(&home, function, value);
        assert_eq!(ran.code, 2, "{function} {value}: {ran:?}");
        ran.says("[caller.bad-input]");
    }
    let refused = home.entries();
    assert!(refused[1..].iter().all(|entry| entry["body"]["stage"] == "admit"));
    home.is_well();
}

#[test]
fn several_arguments_keep_their_places() {
    let home = Home::new();
    let input = r#"{"third":["red","deep-blue"],"first":4294967295,"second":"two"}"#;
    let (ran, value) = home.call(ECHO, &["several", "--input", input]);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], json!([u32::MAX, "two", ["red", "deep-blue"]]));
    home.call(ECHO, &["several", "--input", r#"{"first":1,"second":"two"}"#]).0.code(2);
}

#[test]
fn error_of_a_function_is_its_outcome() {
    let home = Home::new();
    let (ran, value) = home.call(ECHO, &["fallible", "--input", r#"{"succeed":true}"#]);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], "as asked");
    let (ran, value) = home.call(ECHO, &["fallible", "--input", r#"{"succeed":false}"#]);
    ran.code(4);
    let outcome = &value["outcome"];
    assert_eq!((&outcome["kind"], &outcome["value"]), (&"tool_error".into(), &Value::Null));
    assert_eq!(outcome["error"]["code"], "tool.error");
    assert_eq!(outcome["error"]["value"], "failed as asked");
    assert_eq!(home.entries().last().expect("an entry")["body"]["outcome"], "tool_error");
    home.run(["run", ECHO, "fallible", "--input", r#"{"succeed":false}"#]).code(4).says("error: failed as asked");
}

#[test]
fn function_without_a_result_answers_null() {
    let home = Home::new();
    let (ran, value) = home.call(ECHO, &["nothing"]);
    ran.code(0);
    assert_eq!((&value["outcome"]["kind"], &value["outcome"]["value"]), (&"returned".into(), &Value::Null));
    assert_eq!(home.run(["run", ECHO, "nothing"]).code(0).text(), "");
    home.call(ECHO, &["nothing", "--input", r#"{"value":1}"#]).0.code(2);
}

#[test]
fn input_comes_from_a_file_or_a_pipe() {
    let home = Home::new();
    let file = format!("@{}", home.file("input.json", r#"{"value":"from a file"}"#).display());
    assert_eq!(home.run(["run", ECHO, "string", "--input", &file]).code(0).text(), "from a file\n");
    let piped = home.run_with_stdin(["run", ECHO, "string", "--input", "-"], br#"{"value":"from a pipe"}"#);
    assert_eq!(piped.code(0).text(), "from a pipe\n");
    home.run(["run", ECHO, "string", "--input", "@/nowhere"]).code(1);
    home.run(["run", ECHO, "string", "--input", "-", "--stdin", "-"]).code(2).says("can't both");
}
