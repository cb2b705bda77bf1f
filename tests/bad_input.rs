//! Every bad input gets one clear message, its exit code, and loses nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use ringfence_artifacts::HOSTILE_POLICY_IMPORTS_CLOCK;
use ringfence_artifacts::HOSTILE_POLICY_TRAP;
use ringfence_artifacts::HOSTILE_SPIN_FOREVER;
use ringfence_artifacts::TOOL_ECHO;
use ringfence_artifacts::TOOL_FILES;
use ringfence_artifacts::TOOL_LINES;
use ringfence_artifacts::TOOL_TABLE;
use serde_json::Value;

use crate::harness::Home;
use crate::harness::command;
use crate::harness::finish;

/// The start of a component, and of a core module.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

#[test]
fn files_that_are_no_components_are_refused() {
    // MAL-02
    let home = Home::cold();
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let compiled = std::fs::read_dir(home.path().join("cache")).expect("the cache").next().expect("a file");
    let compiled = std::fs::read(compiled.expect("a file").path()).expect("a compiled component");
    let whole = std::fs::read(TOOL_FILES).expect("a component");
    let section = |rest: &[u8]| [COMPONENT, rest].concat();
    let cases: [(&str, Vec<u8>, &str); 14] = [
        ("text", b"#!/bin/sh\necho hello\n".to_vec(), "does not start like"),
        ("empty", Vec::new(), "does not start like"),
        ("magic-alone", b"\0asm".to_vec(), "is not a component"),
        ("truncated", whole[..whole.len() / 2].to_vec(), "is not a component"),
        ("random", noise(4096), "does not start like"),
        ("random-inside", section(&noise(4096)), "is not a component"),
        ("length-4-gib", section(b"\x00\xff\xff\xff\xff\x0f"), "unexpected end"),
        ("length-overlong", section(b"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "is not a component"),
        ("count-4-gib", section(b"\x07\x05\xff\xff\xff\xff\x0f"), "is not a component"),
        ("module-count-4-gib", [MODULE, b"\x01\x05\xff\xff\xff\xff\x0f"].concat(), "is not a component"),
        ("elf", b"\x7fELF\x02\x01\x01".to_vec(), "does not start like"),
        ("compiled", compiled, "does not start like"),
        ("wrong-version", b"\0asm\x0e\0\x01\0".to_vec(), "is not a component"),
        ("zip", b"PK\x03\x04".to_vec(), "does not start like"),
    ];
    for (name, bytes, says) in cases {
        let path = home.file(&format!("{name}.wasm"), bytes);
        let message = home.refuses(["run".as_ref(), path.as_os_str()], 1);
        assert!(message.contains(says) && message.contains(&format!("`{name}`")), "{message}");
        assert_eq!(home.refuses(["inspect".as_ref(), path.as_os_str()], 1), message);
    }
    for path in [home.folder("folder"), home.folder("folder").join("none.wasm")] {
        let message = home.refuses(["run".as_ref(), path.as_os_str()], 1);
        assert!(message.contains(&format!("`{}`", path.display())), "{message}");
        home.refuses(["inspect".as_ref(), path.as_os_str()], 1);
    }
    // Nothing was called, so nothing is on record but the one good call.
    assert_eq!(home.entries().len(), 3);
    home.is_well();
}

#[test]
fn components_that_ask_for_more_name_it() {
    // MAL-02, MAL-03
    let home = Home::new();
    let cases = [
        ("wasi-0-1", "(module (import \"wasi_snapshot_preview1\" \"fd_teleport\" (func)))", "fd_teleport"),
        ("other-host", "(module (import \"env\" \"launch\" (func)) (func (export \"_start\")))", "env"),
        (
            "interface",
            "(component (import \"acme:vault/door@1.0.0\" (instance (export \"open\" (func)))))",
            "acme:vault/door",
        ),
        ("function", "(component (import \"launch\" (func)))", "launch"),
        ("nothing", "(component)", "exports nothing"),
        ("empty-module", "(module)", "exports nothing"),
        ("no-start", "(module (func (export \"main\")))", "exports nothing"),
        ("memory64", "(component (core module (memory i64 1)))", "memory64"),
        ("threads", "(component (core module (memory 1 1 shared)))", "shared"),
        ("gc", "(component (core module (type (struct))))", "gc"),
    ];
    for (name, text, says) in cases {
        let path = home.file(&format!("{name}.wasm"), wat::parse_str(text).expect(name));
        let message = home.refuses(["run".as_ref(), path.as_os_str()], 1);
        assert!(message.contains(says) && message.contains(&format!("`{name}`")), "{name}: {message}");
    }
    assert_eq!(home.entries().len(), 1);
    home.is_well();
}

#[test]
fn mutated_components_never_crash_inspection() {
    // MAL-01; the engine's own fuzzing covers the rest of the hundred thousand.
    let home = Home::new();
    let mut intact = 0;
    for (tool, count) in [(TOOL_ECHO, 260), (TOOL_FILES, 40)] {
        let whole = std::fs::read(tool).expect("a component");
        let numbers = noise(count * 8);
        for (turn, seed) in numbers.chunks_exact(8).enumerate() {
            let seed = usize::try_from(u64::from_le_bytes(seed.try_into().expect("8 bytes")) >> 8).expect("64 bits");
            let mut bytes = whole.clone();
            // Most of a component is code and data: half the flips go to its structure, at the start or the end.
            let near = if seed & 256 == 0 { seed % 2_000 } else { bytes.len() - 1 - seed % 2_000 };
            match turn % 4 {
                0 | 1 => bytes.truncate(seed % whole.len()),
                2 => bytes[seed % whole.len()] ^= 1 << (seed / whole.len() % 8),
                _ => bytes[near] ^= 1 << (seed / 2_000 % 8),
            }
            let path = home.file("mutated.wasm", bytes);
            let ran = home.run(["inspect".as_ref(), path.as_os_str()]);
            assert!(ran.elapsed < Duration::from_secs(20), "turn {turn}: {:?}", ran.elapsed);
            match ran.code {
                0 => intact += 1,
                1 => drop(ran.fails_well()),
                code => panic!("turn {turn}: {code}: {}", ran.stderr),
            }
        }
    }
    assert!((1..150).contains(&intact), "{intact} of 300 were taken for components");
    home.is_well();
}

#[test]
fn functions_that_are_not_there_list_those_that_are() {
    let home = Home::new();
    for (args, says) in [
        (&["run", TOOL_FILES, "delete"][..], "tool `files` has no function `delete`"),
        (&["run", TOOL_FILES], "tool `files` has 5 functions; one of them has to be named"),
        (&["run", TOOL_FILES, ""], "has no function"),
        (&["run", TOOL_FILES, "List"], "has no function `List`"),
        (&["run", TOOL_TABLE, "describe"], "has no function `describe`"),
        (&["run", TOOL_LINES, "_start"], "has no function `_start`"),
        (&["run", TOOL_FILES, "a\u{1b}[2J\nb"], "has no function"),
    ] {
        assert!(home.refuses(args, 2).contains(says), "{args:?}");
    }
    let ran = home.run(["run", TOOL_FILES, "delete"]);
    ran.says("hint: it has `list`, `read`, `stat`, `grep`, `write`");
    assert!(!ran.stderr.contains('\u{1b}'));
    // AUD-20: each attempt is one entry, and none began.
    assert!(home.entries()[1..].iter().all(|entry| entry["kind"] == "refused"));
    home.is_well();
}

#[test]
fn inputs_that_do_not_fit_say_where() {
    let home = Home::new();
    let cases = [
        ("bool", r#"{"value":1}"#, "`/value`"),
        ("bool", "{}", "value"),
        ("bool", "[]", "in the input as a whole"),
        ("bool", "null", "in the input as a whole"),
        ("bool", r#"{"value":true,"more":1}"#, "unknown key `more`"),
        ("bool", r#"{"Value":true}"#, "`Value`"),
        ("s8", r#"{"value":-129}"#, "`/value`"),
        ("s8", r#"{"value":128}"#, "from -128 to 127"),
        ("u8", r#"{"value":-1}"#, "from 0 to 255"),
        ("u16", r#"{"value":65536}"#, "`/value`"),
        ("s32", r#"{"value":2147483648}"#, "`/value`"),
        ("s64", r#"{"value":9223372036854775808}"#, "`/value`"),
        ("u32", r#"{"value":1.5}"#, "`/value`"),
        ("u64", r#"{"value":"1"}"#, "`/value`"),
        ("f32", r#"{"value":1e39}"#, "`/value`"),
        ("f64", r#"{"value":"nan"}"#, "`/value`"),
        ("char", r#"{"value":"ab"}"#, "`/value`"),
        ("char", r#"{"value":""}"#, "`/value`"),
        ("string", r#"{"value":null}"#, "`/value`"),
        ("bytes", r#"{"value":"a"}"#, "`/value`"),
        ("bytes", r#"{"value":[1]}"#, "`/value`"),
        ("strings", r#"{"value":["a",2]}"#, "`/value/1`"),
        ("numbers", r#"{"value":[1,2,-3]}"#, "`/value/2`"),
        ("tuple", r#"{"value":[1,"a"]}"#, "`/value`"),
        ("tuple", r#"{"value":[1,"a","b"]}"#, "`/value/2`"),
        ("record", r#"{"value":{"name":"x","at":{"x":1}}}"#, "`/value/at`"),
        ("record", r#"{"value":{"name":"x","at":{"x":1,"y":2,"z":3}}}"#, "unknown key `z`"),
        ("record", r#"{"value":{"name":"x","at":{"x":1,"y":2},"height":"tall"}}"#, "`/value/height`"),
        ("variant", r#"{"value":"circle"}"#, "`/value`"),
        ("variant", r#"{"value":{"dot":1}}"#, "`/value"),
        ("variant", r#"{"value":{"square":1}}"#, "`/value`"),
        ("variant", r#"{"value":{"circle":1,"other":"x"}}"#, "`/value`"),
        ("variant", r#"{"value":{"polygon":[{"x":1,"y":2},{"x":1,"y":"2"}]}}"#, "`/value/polygon/1/y`"),
        ("enum", r#"{"value":"blue"}"#, "`/value`"),
        ("enum", r#"{"value":0}"#, "`/value`"),
        ("flags", r#"{"value":["read","own"]}"#, "`/value/1`"),
        ("flags", r#"{"value":["read","read"]}"#, "`/value"),
        ("flags", r#"{"value":"read"}"#, "`/value`"),
        ("option", r#"{"value":1}"#, "`/value`"),
        ("nested-option", r#"{"value":7}"#, "`/value`"),
        ("nested-option", r#"{"value":{"some":-7}}"#, "`/value/some`"),
        ("result", r#"{"value":{"task":"t","outcome":{"ok":"x"}}}"#, "`/value/outcome/ok`"),
        ("result", r#"{"value":{"task":"t","outcome":{"ok":1,"err":"x"}}}"#, "`/value/outcome`"),
        ("several", r#"{"first":1,"second":"x","third":["red","pink"]}"#, "`/third/1`"),
        ("several", r#"{"first":1,"second":"x"}"#, "third"),
        ("nothing", r#"{"value":1}"#, "unknown key `value`"),
    ];
    let table = [
        ("count", "{}", "path"),
        ("count", r#"{"path":1}"#, "`/path`"),
        ("count", r#"{"path":"/t.csv","more":1}"#, "more"),
        ("quantiles", r#"{"path":"/t.csv","column":"a","q":[]}"#, "`/q`"),
        ("quantiles", r#"{"path":"/t.csv","column":"a","q":[0.5,2]}"#, "`/q/1`"),
        ("quantiles", r#"{"path":"/t.csv","column":"a","q":"0.5"}"#, "`/q`"),
    ];
    let cases = cases.map(|case| (TOOL_ECHO, case)).into_iter().chain(table.map(|case| (TOOL_TABLE, case)));
    for (tool, (function, input, says)) in cases {
        let message = home.refuses(["run", tool, function, "--input", input], 2);
        assert!(message.contains(says) && message.contains(&format!("`{function}`")), "{input}: {message}");
    }
    // AUD-20: every one is on record, once, and none began.
    let entries = home.entries();
    assert_eq!(entries.len(), 1 + 2 * (46 + 6));
    assert!(entries[1..].iter().all(|entry| entry["kind"] == "refused" && entry["body"]["code"] == "caller.bad-input"));
    home.is_well();
}

#[test]
fn texts_that_are_not_one_json_value_are_refused() {
    // MAL-05
    let home = Home::new();
    let deep = format!("{{\"value\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!("{{\"value\":\"{}\"}}", "x".repeat(5 * 1024 * 1024));
    let cases: [(&str, &[u8], &str); 17] = [
        ("empty", b"", "line 1"),
        ("word", b"value", "line 1"),
        ("cut-off", b"{\"value\":", "line 1"),
        ("duplicate-key", b"{\"value\":1,\n\"value\":2}", "duplicate key at `/value` at line 2"),
        ("duplicate-inside", b"{\"value\":{\"a\":1,\"a\":2}}", "duplicate key at `/value/a`"),
        ("duplicate-escaped", b"{\"value\":1,\"\\u0076alue\":2}", "duplicate key at `/value`"),
        ("trailing", b"{\"value\":1} 2", "trailing characters at line 1, column 13"),
        ("two-values", b"{}{}", "trailing characters"),
        ("1e400", b"{\"value\":1e400}", "number out of range"),
        ("over-64-bits", b"{\"value\":18446744073709551616}", "`18446744073709551616` is beyond 64 bits"),
        ("under-64-bits", b"{\"value\":-9223372036854775809}", "`-9223372036854775809` is beyond 64 bits"),
        ("nan", b"{\"value\":NaN}", "expected value"),
        ("byte-order-mark", b"\xef\xbb\xbf{\"value\":1}", "line 1, column 1"),
        ("utf-16", b"\xff\xfe{\0}\0", "line 1"),
        ("not-utf-8", b"{\"value\":\"\xff\"}", "line 1"),
        ("lone-surrogate", b"{\"value\":\"\\ud800\"}", "line 1"),
        ("deep", deep.as_bytes(), "levels of nesting"),
    ];
    for (name, bytes, says) in cases {
        let file = format!("@{}", home.file(&format!("{name}.json"), bytes).display());
        let message = home.refuses(["run", TOOL_ECHO, "u8", "--input", &file], 2);
        assert!(message.starts_with("the input is not JSON") && message.contains(says), "{name}: {message}");
        let piped = home.run_with_stdin(["run", TOOL_ECHO, "u8", "--input", "-"], bytes);
        assert!(piped.code(2).fails_well().stderr.contains(&message), "{name}: {}", piped.stderr);
        if let (Ok(text), true) = (str::from_utf8(bytes), bytes.len() < 1000) {
            assert_eq!(home.refuses(["run", TOOL_ECHO, "u8", "--input", text], 2), message);
        }
    }
    let file = format!("@{}", home.file("large.json", &large).display());
    assert!(home.refuses(["run", TOOL_ECHO, "string", "--input", &file], 2).contains("is larger than 4194304 bytes"));
    home.run_with_stdin(["run", TOOL_ECHO, "string", "--input", "-"], large.as_bytes()).code(2).fails_well();
    assert_eq!(home.entries().len(), 1);
    home.is_well();
}

#[test]
fn inputs_of_the_wrong_kind_are_refused() {
    let home = Home::new();
    let input = home.file("input.txt", "a line\n");
    let input = input.to_str().expect("text");
    let missing = format!("@{}.none", home.path().display());
    let folder = format!("@{}", home.path().display());
    for (args, code, says) in [
        (&[TOOL_ECHO, "u8", "--input", "-", "--stdin", "-"][..], 2, "can't both read standard input"),
        (&[TOOL_ECHO, "u8", "--input", &missing], 1, ".none` can't be used"),
        (&[TOOL_ECHO, "u8", "--input", &folder], 1, "can't be used"),
        (&[TOOL_ECHO, "u8", "--input", "@"], 1, "can't be used"),
        (&[TOOL_ECHO, "u8", "--input", r#"{"value":1}"#, "--stdin", input], 2, "`u8` takes JSON"),
        (&[TOOL_ECHO, "u8", "--input", r#"{"value":1}"#, "--", "1"], 2, "`u8` takes JSON"),
        (&[TOOL_TABLE, "count", "--", "x"], 2, "`count` takes JSON"),
        (&[TOOL_LINES, "--input", "{}"], 2, "takes arguments and standard input"),
        (&[TOOL_LINES, "--stdin", "/nowhere"], 1, "`/nowhere` can't be used"),
        (&[TOOL_ECHO, "nothing", "--env", "A=1", "--env", "A=2"], 2, "`--env A` is given twice"),
        (&[TOOL_ECHO, "nothing", "--idempotency-key", ""], 2, "is not an idempotency key"),
        (&[TOOL_ECHO, "nothing", "--idempotency-key", "clé"], 2, "is not an idempotency key"),
        (&[TOOL_ECHO, "nothing", "--idempotency-key", "a\nb"], 2, "is not an idempotency key"),
    ] {
        let message = home.refuses(["run"].iter().chain(args), code);
        assert!(message.contains(says), "{args:?}: {message}");
    }
    // IDM-04
    let long = "k".repeat(257);
    let message = home.refuses(["run", TOOL_ECHO, "nothing", "--idempotency-key", &long], 2);
    assert!(message.contains("256") && message.len() < 300, "{message}");
    home.run(["run", TOOL_ECHO, "nothing", "--idempotency-key", &long[1..]]).code(0);
    home.is_well();
}

#[test]
fn command_lines_that_make_no_sense_are_refused() {
    let home = Home::new();
    for args in [
        &["frobnicate"][..],
        &[],
        &["run"],
        &["run", TOOL_ECHO, "nothing", "--bogus"],
        &["run", TOOL_ECHO, "nothing", "--ring", "4"],
        &["run", TOOL_ECHO, "nothing", "--ring", "-1"],
        &["run", TOOL_ECHO, "nothing", "--ring", "three"],
        &["run", TOOL_ECHO, "nothing", "--dir", "/tmp"],
        &["run", TOOL_ECHO, "nothing", "--dir", "/tmp::work"],
        &["run", TOOL_ECHO, "nothing", "--dir", "/tmp::/a/../b"],
        &["run", TOOL_ECHO, "nothing", "--dir", "/tmp::/a:rwx"],
        &["run", TOOL_ECHO, "nothing", "--dir", "::/a"],
        &["run", TOOL_ECHO, "nothing", "--env", "NAME"],
        &["run", TOOL_ECHO, "nothing", "--env", "=value"],
        &["run", TOOL_ECHO, "nothing", "--timeout", "0"],
        &["run", TOOL_ECHO, "nothing", "--timeout", "-1"],
        &["run", TOOL_ECHO, "nothing", "--timeout", "soon"],
        &["run", TOOL_ECHO, "nothing", "--timeout", "1e9"],
        &["run", TOOL_ECHO, "nothing", "--timeout", "NaN"],
        &["run", TOOL_ECHO, "nothing", "--memory", "1.5"],
        &["run", TOOL_ECHO, "nothing", "--fuel", "99999999999999999999"],
        &["run", TOOL_ECHO, "nothing", "--ring", "3", "--ring", "2"],
        &["log", "prove", "x"],
        &["log", "show", "--limit", "-1"],
        &["--format", "xml", "log", "show"],
    ] {
        let ran = home.run(args);
        ran.code(2);
        assert_eq!(ran.stderr.matches("error: ").count(), 1, "{args:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{args:?}: {}", ran.text());
        if args.first() == Some(&"run") && args.len() > 1 {
            let value = home.run(["--format=json"].iter().chain(args)).code(2).json();
            assert_eq!(value["error"]["code"], "caller.command-line", "{args:?}");
            let message = value["error"]["message"].as_str().expect("a message");
            assert!(ran.stderr.contains(message) && !message.contains('\n'), "{args:?}: {message}");
        }
    }
    let message = home.refuses(["log", "prove", "99"], 2);
    assert!(message.contains("there is no entry `99`"), "{message}");
    assert_eq!(home.entries().len(), 1);
    home.is_well();
}

#[test]
fn folders_that_are_none_are_refused() {
    let home = Home::new();
    let file = home.file("a.txt", "no folder");
    let dangling = home.folder("links").join("dangling");
    std::os::unix::fs::symlink("/nowhere", &dangling).expect("a link");
    let looping = home.folder("links").join("looping");
    std::os::unix::fs::symlink(&looping, &looping).expect("a link");
    for host in [&home.folder("f").join("none"), &file, &dangling, &looping, Path::new("/proc/self/mem")] {
        let dir = format!("{}::/work", host.display());
        let message = home.refuses(["run", TOOL_ECHO, "nothing", "--dir", &dir], 1);
        assert!(message.contains(&format!("`{}`", host.display())), "{message}");
    }
    // The host's own state is no folder to hand out (FS-14, CR-32).
    let dir = format!("{}::/work", home.path().display());
    home.refuses(["run", TOOL_ECHO, "nothing", "--dir", &dir], 3);
    home.is_well();
}

#[test]
fn wrong_configurations_name_file_and_line() {
    // MAL-04
    let home = Home::new();
    for (text, line, says) in [
        ("[run]\nrign = 2\n", 2, "unknown field `rign`"),
        ("[rnu]\n", 1, "unknown field `rnu`"),
        ("# one\n[run]\nring = \"high\"\n", 3, "invalid type"),
        ("[run]\nring = 4\n", 2, "`4` is not a ring"),
        ("[run]\nring = -1\n", 2, "-1"),
        ("[run]\nring = 2\nring = 3\n", 3, "duplicate key"),
        ("[run]\n[run]\n", 2, "duplicate key"),
        ("[rings.4]\n", 1, "`4` is not a ring"),
        ("[operator]\nfolders = \"/srv\"\n", 2, "invalid type"),
        ("[operator]\nfolders = [\"srv\"]\n", 2, "`srv` is not an absolute path"),
        ("[operator]\nfilesystem = \"all\"\n", 2, "all"),
        ("[operator.limits]\nfuel = 1.5\n", 2, "invalid type"),
        ("[policies.ring-default]\ndigest = \"sha256:12\"\n", 2, "sha256:12"),
        ("[policies.ring-default]\nsetting = {}\n", 2, "unknown field `setting`"),
        ("[log]\nhead = 1979-05-27\n", 2, "invalid type"),
        ("a = no\n", 1, ""),
        ("[run\n", 1, ""),
        ("\u{feff}[run]\nrign = 1\n", 2, "unknown field `rign`"),
        ("[run]\r\nrign = 1\r\n", 2, "unknown field `rign`"),
        ("[run]\nring = 1 # \u{0}\n", 2, ""),
    ] {
        home.configure(text);
        let message = home.refuses(["run", TOOL_ECHO, "nothing"], 1);
        let place = format!("the configuration `{}/ringfence.toml` is wrong at line {line}: ", home.path().display());
        assert!(message.starts_with(&place) && message.contains(says), "{text:?}: {message}");
        home.run(["log", "verify"]).code(1);
    }
    for bytes in [b"\xff\xfe".to_vec(), vec![b'#'; 1024 * 1024 + 1]] {
        std::fs::write(home.path().join("ringfence.toml"), bytes).expect("the configuration");
        let message = home.refuses(["run", TOOL_ECHO, "nothing"], 1);
        assert!(message.contains("ringfence.toml` can't be read"), "{message}");
    }
    home.configure("");
    assert_eq!(home.entries().len(), 1);
    home.is_well();
}

#[test]
fn policies_that_can_not_rule_stop_everything() {
    // POL-05, POL-08: no call is decided without a policy that was meant to decide it.
    let home = Home::new();
    let text = home.file("text.wasm", "not a policy");
    let empty = home.file("empty.wasm", COMPONENT);
    let zeros = format!("[policies.ring-default]\ndigest = \"sha256:{}\"\n", "0".repeat(64));
    let component = |path: &str| format!("[policies.mine]\ncomponent = \"{path}\"\n");
    for (config, says) in [
        ("[policies.mine]\n".to_owned(), "there is no policy `mine`"),
        (component(text.to_str().expect("text")), "policy `mine` is not a component"),
        (component("none.wasm"), "none.wasm` can't be used"),
        (component(HOSTILE_POLICY_IMPORTS_CLOCK), "policy `mine` imports `wasi:"),
        (component(TOOL_ECHO), "policy `mine` imports `wasi:"),
        (component(empty.to_str().expect("text")), "component `mine` is not a policy"),
        (component(HOSTILE_POLICY_TRAP), "policy `mine`"),
        (zeros, "is pinned"),
        ("[policies.path-scope]\n".to_owned(), "the settings of policy `path-scope` are wrong at `/roots`"),
        ("[policies.path-scope]\nsettings = { roots = [1] }\n".to_owned(), "`/roots/0`"),
        ("[policies.path-scope]\nsettings = { roots = [\"/a\"], rots = 1 }\n".to_owned(), "`/rots`"),
        ("[policies.ring-default]\nsettings = { strict = true }\n".to_owned(), "`/strict`"),
        ("[policies.ring-default]\nsettings = 7\n".to_owned(), "settings of policy `ring-default`"),
    ] {
        home.configure(&config);
        if says == "policy `mine`" {
            // It loads, and then it traps: it is its ruling that counts, and that denies.
            let (ran, value) = home.call(TOOL_ECHO, &["nothing"]);
            assert_eq!((ran.code, &value["outcome"]["error"]["code"]), (3, &Value::from("denied.policy-fault")));
            continue;
        }
        let message = home.refuses(["run", TOOL_ECHO, "nothing"], 1);
        assert!(message.contains(says), "{config}: {message}");
    }
    home.configure("");
    for (name, says) in [("mine", "there is no policy `mine`"), ("path-scope", "`/roots`"), ("../x", "`../x`")] {
        let message = home.refuses(["run", TOOL_ECHO, "nothing", "--policy", name], 1);
        assert!(message.contains(says), "{message}");
    }
    home.is_well();
}

#[test]
fn no_policy_permits_nothing() {
    // POL-05, AUD-20
    let home = Home::new();
    home.configure("[policies]\n");
    let message = home.refuses(["run", TOOL_ECHO, "nothing"], 3);
    assert_eq!(message, "no policy in force is asked at `call`, so nothing is permitted");
    let kinds: Vec<_> = home.entries().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["opened", "refused", "refused"]);
    home.configure("");
    home.is_well();
}

#[test]
fn homes_are_made_once_and_never_by_accident() {
    let home = Home::new();
    assert!(home.refuses(["init"], 1).contains("is a ringfence home already"));
    let other = home.folder("other");
    let other = other.to_str().expect("text");
    for args in [
        &["--home", other, "run", TOOL_ECHO, "nothing"][..],
        &["--home", other, "log", "show"],
        &["--home", other, "log", "verify"],
        &["--home", other, "log", "checkpoint"],
        &["--home", other, "doctor"],
    ] {
        assert_eq!(home.refuses(args, 1), format!("`{other}` is not a ringfence home"));
    }
    assert_eq!(std::fs::read_dir(other).expect("a folder").count(), 0, "something was made by accident");
    let file = home.file("file", "not a folder");
    let file = file.to_str().expect("text");
    assert!(home.refuses(["--home", file, "init"], 1).contains("can't be used"));
    assert!(home.refuses(["--home", other, "init", "--origin", "two words"], 1).contains("log.key"));
    home.is_well();
}

#[test]
fn keys_that_others_can_read_are_refused() {
    // SEC-04
    let home = Home::new();
    for name in ["log.key", "cache.key"] {
        let key = home.path().join("keys").join(name);
        let run = || home.refuses(["run", TOOL_ECHO, "nothing"], 1);
        let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("a mode");
        for exposed in [0o640, 0o604, 0o620, 0o601] {
            mode(exposed);
            let message = run();
            assert!(message.contains(name) && message.contains("others than its owner"), "{message}");
        }
        mode(0o600);
        let content = std::fs::read(&key).expect("a key");
        for garbage in [&b""[..], b"garbage\n", b"\xff\xfe\xfd", &content[..content.len() / 2]] {
            std::fs::write(&key, garbage).expect("a key");
            let message = run();
            assert!(message.contains(name), "{message}");
        }
        std::fs::remove_file(&key).expect("a key");
        assert!(run().contains(name));
        let elsewhere = home.file("elsewhere.key", &content);
        std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        std::os::unix::fs::symlink(&elsewhere, &key).expect("a link");
        assert!(run().contains("not a regular file"));
        std::fs::remove_file(&key).expect("a link");
        std::fs::write(&key, &content).expect("a key");
        mode(0o600);
    }
    // Another key is not this log's, however good a key it is.
    let other = Home::new();
    let (ours, theirs) = (home.path().join("keys/log.key"), other.path().join("keys/log.key"));
    let content = std::fs::read(&ours).expect("a key");
    std::fs::copy(theirs, &ours).expect("a key");
    let message = home.refuses(["run", TOOL_ECHO, "nothing"], 1);
    assert!(message.contains("the log names key"), "{message}");
    std::fs::write(&ours, content).expect("a key");
    assert_eq!(home.entries().len(), 1);
    home.is_well();
}

#[test]
fn failing_writes_start_no_tool() {
    // AUD-19, CR-22: writes begin to fail at each size a file may have, from none at all to enough. RLIMIT_FSIZE does that
    // to root as well. Under the smallest the engine can't even set up a policy, which is a refusal too.
    let home = Home::new();
    let work = home.folder("work");
    let dir = format!("{}::/work:rw", work.display());
    home.is_well();
    let mut ran = home.entries().len() / 2;
    for blocks in (0..160).step_by(8) {
        let file = format!("/work/{blocks}");
        let input = format!(r#"{{"path":"{file}","content":"written"}}"#);
        let args = ["run", TOOL_FILES, "write", "--ring", "2", "--input", &input, "--dir", &dir];
        let mut limited = Command::new("sh");
        limited.args(["-c", "trap '' XFSZ; ulimit -f \"$0\" && exec \"$@\"", &blocks.to_string()]);
        let inner = command(&home.path(), args);
        limited.arg(inner.get_program()).args(inner.get_args());
        limited.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let result = finish(limited, b"");
        let wrote = work.join(blocks.to_string()).exists();
        home.run(["log", "verify"]).code(0);
        let entries = home.entries();
        let begun = entries.iter().filter(|entry| entry["kind"] == "begun").count();
        match result.code {
            0 => assert!(wrote, "{}", result.stderr),
            code => assert!(code == 1 && result.fails_well().stderr.contains("hint: "), "{result:?}"),
        }
        assert!(!wrote || begun > ran, "a tool ran that is not on record, at {blocks}: {}", result.stderr);
        ran = begun;
        if blocks == 0 {
            assert!(result.code == 1 && !wrote && entries.len() == 3, "{}", result.stderr);
        }
    }
    assert!(ran > 1, "no limit was wide enough");
    home.is_well();
}

#[test]
fn homes_that_can_not_be_written_start_no_tool() {
    // AUD-19, CR-32
    let home = Home::new();
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let work = home.folder("work");
    let dir = format!("{}::/work:rw", work.display());
    let input = r#"{"path":"/work/a","content":"written"}"#;
    let write = ["run", TOOL_FILES, "write", "--ring", "2", "--input", input, "--dir", &dir];
    let modes = |folder, log| {
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        };
        set(&home.path().join("log.sqlite"), log);
        set(&home.path(), folder);
    };
    for (folder, log) in [(0o500, 0o400), (0o500, 0o600), (0o700, 0o400)] {
        modes(folder, log);
        let ran = finish(without_privileges(command(&home.path(), write)), b"");
        ran.code(1).fails_well().says("read-only");
        assert!(!work.join("a").exists());
        finish(without_privileges(command(&home.path(), ["log", "verify"])), b"").code(0);
        finish(without_privileges(command(&home.path(), ["log", "show"])), b"").code(0);
        finish(without_privileges(command(&home.path(), ["doctor"])), b"").code(1);
    }
    modes(0o700, 0o600);
    home.run(write).code(0);
    assert!(work.join("a").exists());
    home.is_well();
}

/// Root writes where the mode says nobody may: the same command without that privilege.
fn without_privileges(inner: Command) -> Command {
    if !rustix::process::getuid().is_root() {
        return inner;
    }
    let mut outer = Command::new("setpriv");
    outer.args(["--bounding-set", "-all", "--inh-caps", "-all"]).arg(inner.get_program()).args(inner.get_args());
    outer.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer
}

#[test]
fn commands_beside_each_other_wait_for_the_log() {
    // CR-31: a short command waits for another; one that would wait for long says what for.
    let home = Home::new();
    std::thread::scope(|scope| {
        let runs = [0, 1, 2, 3].map(|_| scope.spawn(|| home.run(["run", TOOL_ECHO, "nothing"]).code));
        for run in runs {
            assert_eq!(run.join().expect("a run"), 0);
        }
    });
    assert_eq!(home.entries().len(), 1 + 4 * 2);
    let dir = format!("{}::/work:rw", home.folder("work").display());
    let mut long = command(&home.path(), ["run", HOSTILE_SPIN_FOREVER, "--ring", "2", "--dir", &dir]);
    let mut long = long.stderr(Stdio::null()).spawn().expect("a long call");
    let wal = home.path().join("log.sqlite-wal");
    while wal.metadata().map_or(0, |wal| wal.len()) <= 4096 {
        assert!(long.try_wait().expect("a process").is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let refused = home.run(["run", TOOL_ECHO, "nothing"]);
    long.kill().expect("an end");
    long.wait().expect("an end");
    refused.code(1).fails_well().says("the log is in use by another process").says("wait until");
    assert!(refused.elapsed < Duration::from_secs(15), "{:?}", refused.elapsed);
    home.is_well();
}

/// Bytes that look like noise and are the same each time (xorshift64).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}
