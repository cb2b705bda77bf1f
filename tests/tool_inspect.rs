//! What `ringfence inspect` shows of a tool: shape, functions, schemas, imports, digest.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;

use crate::harness::ADD;
use crate::harness::Home;
use crate::harness::tools::function;
use crate::harness::tools::inspect;
use crate::harness::tools::names;
use crate::harness::tools::sha256sum;
use crate::harness::tools::wasm;

const ECHO: &str = ringfence_artifacts::TOOL_ECHO;
const FILES: &str = ringfence_artifacts::TOOL_FILES;
const LINES: &str = ringfence_artifacts::TOOL_LINES;
const TABLE: &str = ringfence_artifacts::TOOL_TABLE;

#[test]
fn shipped_tools_show_what_they_are() {
    let home = Home::new();
    let (reads, writes, none) = (("reads", 3), ("writes", 2), ("none", 3));
    let cases = [
        (FILES, "files", "typed", vec![("list", reads), ("read", reads), ("grep", reads), ("write", writes)]),
        (TABLE, "table", "described", vec![("count", reads), ("group-by", reads), ("mean", reads)]),
        (LINES, "lines", "command", vec![("run", reads)]),
        (ECHO, "echo", "typed", vec![("u64", none), ("nested-option", none), ("nothing", none)]),
    ];
    for (path, name, shape, functions) in cases {
        let shown = inspect(&home, path);
        assert_eq!((&shown["name"], &shown["shape"]), (&name.into(), &shape.into()));
        assert_eq!((&shown["lifted"], &shown["digest"]), (&false.into(), &sha256sum(path).into()), "{name}");
        assert_eq!(shown["bytes"], std::fs::metadata(path).expect("the file").len());
        assert_eq!(shown["manifest"]["name"], name);
        let imports = shown["imports"].as_array().expect("imports");
        assert!(imports.iter().any(|import| import == "wasi:filesystem/preopens@0.2.6"), "{imports:?}");
        for (function_name, (effect, ring)) in functions {
            let function = function(&shown, function_name);
            assert_eq!((&function["effect"], &function["required_ring"]), (&effect.into(), &ring.into()));
            assert_eq!((&function["unsupported"], &function["idempotent"]), (&Value::Null, &true.into()));
        }
    }
    assert_eq!(home.entries().len(), 1);
}

#[test]
fn people_are_shown_the_same() {
    let home = Home::new();
    for (path, shape) in [(FILES, "typed"), (TABLE, "described"), (LINES, "command"), (ECHO, "typed")] {
        let (text, shown) = (home.run(["inspect", path]).code(0).text(), inspect(&home, path));
        assert!(text.contains(&format!("digest    {}\n", sha256sum(path))), "{text}");
        assert!(text.contains(&format!("shape     {shape}\n")), "{text}");
        for function in shown["functions"].as_array().expect("functions") {
            let field = |key: &str| function[key].as_str().expect("text").to_owned();
            let ring = &function["required_ring"];
            let line = format!("  {}  (effect: {}; ring {ring})\n", field("name"), field("effect"));
            assert!(text.contains(&line), "`{line}` is not in {text}");
            if function["input_schema"].is_object() {
                assert!(text.contains(&format!("    input   {}\n", function["input_schema"])), "{text}");
            }
        }
        for import in shown["imports"].as_array().expect("imports") {
            assert!(text.contains(&format!("  {}\n", import.as_str().expect("text"))), "{text}");
        }
    }
}

#[test]
fn schemas_follow_the_types() {
    let home = Home::new();
    let files = inspect(&home, FILES);
    let input = &function(&files, "grep")["input_schema"];
    assert_eq!(input["required"], json!(["path", "pattern"]));
    assert_eq!((&input["additionalProperties"], &input["type"]), (&false.into(), &"object".into()));
    assert_eq!(input["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let entry = &function(&files, "list")["output_schema"]["items"];
    assert_eq!(entry["properties"]["kind"]["enum"], json!(["file", "folder", "link", "other"]));
    assert_eq!(function(&files, "read")["description"], "Reads a text file of at most a mebibyte.");

    let echo = inspect(&home, ECHO);
    let of = |name: &str| function(&echo, name)["input_schema"]["properties"]["value"].clone();
    assert_eq!((&of("u64")["maximum"], &of("s64")["minimum"]), (&u64::MAX.into(), &i64::MIN.into()));
    assert_eq!(of("enum"), json!({ "type": "string", "enum": ["red", "green", "deep-blue"] }));
    assert_eq!(of("option")["anyOf"], json!([{ "type": "string" }, { "type": "null" }]));
    assert_eq!(function(&echo, "option")["input_schema"]["required"], json!([]));
    assert_eq!(function(&echo, "nothing")["output_schema"], Value::Null);
    let raw = home.run(["inspect", ECHO, "--format", "json"]).text();
    assert!(raw.contains("\"maximum\": 18446744073709551615"), "digits are lost");

    let table = inspect(&home, TABLE);
    let q = &function(&table, "quantiles")["input_schema"]["properties"]["q"];
    assert_eq!((&q["items"]["maximum"], &q["maxItems"]), (&1.into(), &100.into()));
    assert_eq!(function(&inspect(&home, LINES), "run")["input_schema"], Value::Null);
}

#[test]
fn home_is_not_needed_to_inspect() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = crate::harness::ringfence(&folder.path().join("none"), ["inspect", ECHO], b"");
    ran.code(0);
    assert!(!folder.path().join("none").exists());
}

#[test]
fn functions_at_the_root_are_tools() {
    let home = Home::new();
    let add = wasm(&home, "add", ADD);
    let shown = inspect(&home, &add);
    assert_eq!((&shown["name"], &shown["shape"], &shown["manifest"]), (&"add".into(), &"typed".into(), &Value::Null));
    assert_eq!((&shown["imports"], &shown["digest"]), (&json!([]), &sha256sum(&add).into()));
    let function = function(&shown, "add");
    // Nobody has said what it does: the sandbox holds it to reading.
    assert_eq!((&function["effect"], &function["required_ring"]), (&"unknown".into(), &3.into()));
    assert_eq!(function["input_schema"]["required"], json!(["a", "b"]));
    // The only function there is needs no name.
    for named in [&["add"][..], &[]] {
        let args = [named, &["--input", r#"{"a":-2,"b":2147483647}"#]].concat();
        let (ran, value) = home.call(&add, &args);
        ran.code(0);
        assert_eq!(value["outcome"]["value"], 2_147_483_645);
    }
    home.is_well();
}

#[test]
fn shared_names_are_told_apart() {
    let home = Home::new();
    let two = |first: &str, second: &str| {
        format!(
            r#"(component
                (core module $m
                    (func (export "one") (result i32) (i32.const 1))
                    (func (export "two") (result i32) (i32.const 2)))
                (core instance $i (instantiate $m))
                (func $one (result u32) (canon lift (core func $i "one")))
                (func $two (result u32) (canon lift (core func $i "two")))
                (instance $a (export "answer" (func $one)) (export "only" (func $one)))
                (instance $b (export "answer" (func $two)))
                (export "{first}" (instance $a))
                (export "{second}" (instance $b)))"#
        )
    };
    for (first, second, wanted) in [
        ("acme:one/first@1.0.0", "acme:one/second@1.0.0", ["first.answer", "second.answer"]),
        (
            "acme:one/values@1.0.0",
            "acme:two/values@1.0.0",
            ["acme:one/values@1.0.0.answer", "acme:two/values@1.0.0.answer"],
        ),
        (
            "acme:one/values@1.0.0",
            "acme:one/values@2.0.0",
            ["acme:one/values@1.0.0.answer", "acme:one/values@2.0.0.answer"],
        ),
    ] {
        let tool = wasm(&home, "two", &two(first, second));
        let shown = inspect(&home, &tool);
        let found: BTreeSet<_> = names(&shown).into_iter().collect();
        assert_eq!(found, BTreeSet::from([wanted[0], wanted[1], "only"]));
        for (name, answer) in [(wanted[0], 1), (wanted[1], 2), ("only", 1)] {
            let (ran, value) = home.call(&tool, &[name]);
            ran.code(0);
            assert_eq!(value["outcome"]["value"], answer, "{name}");
            assert_eq!(home.entries().last().expect("an entry")["kind"], "finished");
        }
        let ran = home.run(["run", &tool, "answer"]);
        ran.code(2).says("no function `answer`").says(wanted[0]);
    }
}

#[test]
fn function_has_to_be_named_among_many() {
    let home = Home::new();
    home.run(["run", FILES]).code(2).says("one of them has to be named").says("hint: it has `list`");
    for name in ["nobody", "List", "list ", "files.list", "ringfence:files/files@0.1.0", "", "wr\u{456}te"] {
        let (ran, value) = home.call(FILES, &[name]);
        ran.code(2);
        assert_eq!(value["outcome"]["error"]["code"], "caller.unknown-function", "{name}");
    }
    home.is_well();
}
