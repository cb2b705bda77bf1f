//! What hostile guests try with memory, time, fuel, stack and output, and where they end.

use std::process::Command;
use std::time::Duration;

use ringfence_artifacts as guests;
use serde_json::Value;

use crate::harness::Home;
use crate::harness::server;
use crate::harness::server::Server;

/// What an attack may take that should end by itself.
const SOON: Duration = Duration::from_secs(40);

/// Bytes of standard output, and of standard error, that a call may have.
const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A core module that is all of a component, with a function `f`.
fn component(core: &str, ty: &str, options: &str) -> String {
    format!(
        r#"(component
          (core module $main {core})
          (core instance $main (instantiate $main))
          (func (export "f") {ty} (canon lift (core func $main "f") {options})))"#
    )
}

/// Checks how an attack ended: exit code 4 and this code, in time, with the host well after it.
#[track_caller]
fn ends(home: &Home, tool: &str, args: &[&str], code: &str, deadline: Duration) -> Value {
    let (ran, value) = home.attack(tool, args);
    assert_eq!(value["outcome"]["error"]["code"], code, "{tool} {args:?}: {}", value["outcome"]);
    ran.code(4).within(deadline);
    assert_eq!(home.ending(&value)["body"]["code"], code);
    home.is_well();
    value
}

/// Checks that the permitted twin works.
#[track_caller]
fn returns(home: &Home, tool: &str, args: &[&str]) -> Value {
    let (ran, value) = home.attack(tool, args);
    assert_eq!(value["outcome"]["kind"], "returned", "{tool} {args:?}: {}", value["outcome"]);
    ran.code(0).within(SOON);
    value
}

fn used(home: &Home, value: &Value, what: &str) -> u64 {
    home.ending(value)["body"]["used"][what].as_u64().expect("a number")
}

/// One test for each hostile guest, by its name: `isolation.rs` checks that none is missing.
pub mod hostile {
    use super::*;

    #[test]
    pub fn flood_output() {
        // OUT-01, HOST-06
        let home = Home::new();
        for (args, flooded, other) in [(&[][..], "stdout", "stderr"), (&["--", "stderr"], "stderr", "stdout")] {
            let value = ends(&home, guests::HOSTILE_FLOOD_OUTPUT, args, "tool.limit.output", SOON);
            let kept = value["outcome"][flooded].as_str().expect("text");
            assert_eq!(kept.len(), OUTPUT_BYTES_MAX);
            assert!(kept.starts_with("the quick brown fox"));
            assert!(value["outcome"][other].as_str().expect("text").len() < 1024);
            assert!(used(&home, &value, "output_bytes") < OUTPUT_BYTES_MAX as u64 + 1024);
        }
        returns(&home, guests::HOSTILE_FLOOD_OUTPUT, &["--", "control"]);
    }

    #[test]
    pub fn grow_memory() {
        // RES-03, RES-05
        let home = Home::new();
        for mebibytes in [2, 16, 256] {
            let limit = mebibytes.to_string();
            let value = returns(&home, guests::HOSTILE_GROW_MEMORY, &["--memory", &limit]);
            let said = value["outcome"]["stdout"].as_str().expect("text");
            assert!(said.contains("contained: grow beyond") && !said.contains("escaped"), "{said}");
            assert!(used(&home, &value, "memory_bytes") <= mebibytes * 1024 * 1024);
            home.is_well();
        }
        returns(&home, guests::HOSTILE_GROW_MEMORY, &["--memory", "16", "--", "control"]);
        ends(&home, guests::HOSTILE_GROW_MEMORY, &["--memory", "1", "--", "control"], "tool.limit.memory", SOON);
    }

    #[test]
    pub fn recurse_deep() {
        // RES-02
        let home = Home::new();
        ends(&home, guests::HOSTILE_RECURSE_DEEP, &[], "tool.limit.stack", SOON);
        returns(&home, guests::HOSTILE_RECURSE_DEEP, &["--", "control"]);
    }

    #[test]
    pub fn sleep_forever() {
        // RES-11: neither fuel nor an epoch counts inside a host call.
        let home = Home::new();
        let deadline = Duration::from_secs(1);
        let value = ends(&home, guests::HOSTILE_SLEEP_FOREVER, &["--timeout", "1"], "tool.limit.time", deadline);
        assert!(used(&home, &value, "wall_ms") >= 1_000);
        returns(&home, guests::HOSTILE_SLEEP_FOREVER, &["--timeout", "1", "--", "control"]);
    }

    #[test]
    pub fn spin_forever() {
        // RES-01
        let home = Home::new();
        let deadline = Duration::from_secs(1);
        ends(&home, guests::HOSTILE_SPIN_FOREVER, &["--timeout", "1"], "tool.limit.time", deadline);
        for _ in 0..2 {
            let args = ["--fuel", "20000000"];
            let value = ends(&home, guests::HOSTILE_SPIN_FOREVER, &args, "tool.limit.fuel", SOON);
            assert_eq!(used(&home, &value, "fuel"), 20_000_000);
        }
        returns(&home, guests::HOSTILE_SPIN_FOREVER, &["--fuel", "20000000", "--", "control"]);
    }

    #[test]
    pub fn trap_midway() {
        // CM-05: what was done before stays, and is on record.
        let home = Home::new();
        let dir = home.dir("work", "/work", "rw");
        let args = ["--ring", "2", "--dir", &dir];
        let value = ends(&home, guests::HOSTILE_TRAP_MIDWAY, &args, "tool.trap", SOON);
        assert_eq!(value["outcome"]["kind"], "trapped");
        assert_eq!(value["outcome"]["stdout"], "started\nwritten: /work/half-done\n");
        let written = home.folder("work").join("half-done");
        assert_eq!(std::fs::read_to_string(&written).expect("a file"), "written before the trap");
        let ending = home.ending(&value);
        assert_eq!((&ending["body"]["outcome"], &ending["body"]["effect"]), (&"trapped".into(), &"committed".into()));
        std::fs::remove_file(&written).expect("the file goes");
        returns(&home, guests::HOSTILE_TRAP_MIDWAY, &["--ring", "2", "--dir", &dir, "--", "control"]);
        assert!(written.exists());
    }
}

#[test]
fn every_place_that_spins_is_interrupted() {
    // RES-01
    let home = Home::new();
    for (place, wat, input) in places_to_spin("(loop $l (br $l))") {
        let file = home.component(&format!("spin-{place}"), &wat);
        let deadline = Duration::from_millis(300);
        ends(&home, &file, &["--timeout", "0.3", "--input", input], "tool.limit.time", deadline);
        let value = ends(&home, &file, &["--fuel", "3000000", "--input", input], "tool.limit.fuel", SOON);
        assert_eq!(used(&home, &value, "fuel"), 3_000_000, "{place}");
    }
    for (place, wat, input) in places_to_spin("") {
        let file = home.component(&format!("calm-{place}"), &wat);
        returns(&home, &file, &["--fuel", "3000000", "--input", input]);
    }
}

/// Components that do something in each place where a guest runs, and an input for each.
fn places_to_spin(what: &str) -> Vec<(&'static str, String, &'static str)> {
    let memory = r#"(memory (core memory $main "memory"))"#;
    let realloc = format!(
        r#"(memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) {what} i32.const 64)
        (func (export "f") (param i32 i32))"#
    );
    let post = format!(
        r#"(func (export "f") (result i32) i32.const 7)
        (func (export "post") (param i32) {what})"#
    );
    let destructor = format!(
        r#"(component
          (core module $dtor (func (export "dtor") (param i32) {what}))
          (core instance $dtor (instantiate $dtor))
          (type $r (resource (rep i32) (dtor (core func $dtor "dtor"))))
          (core func $new (canon resource.new $r))
          (core func $drop (canon resource.drop $r))
          (core module $main
            (import "" "new" (func $new (param i32) (result i32)))
            (import "" "drop" (func $drop (param i32)))
            (func (export "f") (call $drop (call $new (i32.const 1)))))
          (core instance $main (instantiate $main
            (with "" (instance (export "new" (func $new)) (export "drop" (func $drop))))))
          (func (export "f") (canon lift (core func $main "f"))))"#
    );
    vec![
        ("body", component(&format!(r#"(func (export "f") {what})"#), "", ""), "{}"),
        ("start", component(&format!(r#"(func $s {what}) (start $s) (func (export "f"))"#), "", ""), "{}"),
        (
            "realloc",
            component(&realloc, r#"(param "s" string)"#, &format!(r#"{memory} (realloc (core func $main "realloc"))"#)),
            r#"{"s":"x"}"#,
        ),
        ("post-return", component(&post, "(result u32)", r#"(post-return (core func $main "post"))"#), "{}"),
        ("destructor", destructor, "{}"),
    ]
}

#[test]
fn cheap_calls_do_not_delay_deadline() {
    // RES-06, RES-10: what costs little fuel but much time, again and again.
    let home = Home::new();
    for (name, core) in [
        ("fill", "(loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 100000000)) (br $l))"),
        ("copy", "(loop $l (memory.copy (i32.const 0) (i32.const 7) (i32.const 100000000)) (br $l))"),
        ("table", "(loop $l (table.fill $t (i32.const 0) (ref.null func) (i32.const 90000)) (br $l))"),
        ("random", "(loop $l (call $bytes (i64.const 4096) (i32.const 0)) (br $l))"),
    ] {
        let file = home.component(name, &busy(core));
        ends(&home, &file, &["--timeout", "1"], "tool.limit.time", Duration::from_secs(1));
    }
    let file = home.component("once", &busy("(call $bytes (i64.const 4096) (i32.const 0))"));
    returns(&home, &file, &["--timeout", "1"]);
}

fn busy(core: &str) -> String {
    format!(
        r#"(component
          (import "wasi:random/random@0.2.0" (instance $random
            (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
          (core module $memory (memory (export "memory") 1600)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
          (core instance $memory (instantiate $memory))
          (core func $bytes (canon lower (func $random "get-random-bytes")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
          (core module $main
            (import "" "memory" (memory 1))
            (import "" "bytes" (func $bytes (param i64 i32)))
            (table $t 90000 funcref)
            (func (export "f") {core}))
          (core instance $main (instantiate $main
            (with "" (instance (export "memory" (memory $memory "memory")) (export "bytes" (func $bytes))))))
          (func (export "f") (canon lift (core func $main "f"))))"#
    )
}

#[test]
fn polling_does_not_delay_deadline() {
    // RES-10: each round asks for hundreds of pollables, all of which are ready.
    let home = Home::new();
    let wat = |again: &str| {
        format!(
            r#"(component
              (import "wasi:io/poll@0.2.0" (instance $poll
                (export "pollable" (type $p (sub resource)))
                (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
              (alias export $poll "pollable" (type $pollable))
              (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
                (alias outer 1 $pollable (type $outer))
                (export "pollable" (type $p (eq $outer)))
                (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
              (core module $memory (memory (export "memory") 2)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536))
              (core instance $memory (instantiate $memory))
              (core func $subscribe (canon lower (func $clock "subscribe-duration")))
              (core func $poll (canon lower (func $poll "poll")
                (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
              (core module $main
                (import "" "memory" (memory 1))
                (import "" "subscribe" (func $subscribe (param i64) (result i32)))
                (import "" "poll" (func $poll (param i32 i32 i32)))
                (func (export "f") (local $i i32)
                  (loop $l
                    (i32.store (i32.mul (local.get $i) (i32.const 4)) (call $subscribe (i64.const 0)))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $l (i32.lt_u (local.get $i) (i32.const 400))))
                  (loop $l (call $poll (i32.const 0) (i32.const 400) (i32.const 8192)) {again})))
              (core instance $main (instantiate $main (with "" (instance
                (export "memory" (memory $memory "memory"))
                (export "subscribe" (func $subscribe)) (export "poll" (func $poll))))))
              (func (export "f") (canon lift (core func $main "f"))))"#
        )
    };
    let file = home.component("poll", &wat("(br $l)"));
    ends(&home, &file, &["--timeout", "1"], "tool.limit.time", Duration::from_secs(1));
    let file = home.component("poll-once", &wat(""));
    returns(&home, &file, &["--timeout", "1"]);
}

#[test]
fn memories_share_one_limit() {
    // RES-03: twenty memories of two mebibytes each.
    let home = Home::new();
    let instances = "(core instance (instantiate $m))".repeat(19);
    let file = home.component(
        "memories",
        &format!(
            r#"(component
              (core module $m (memory 32) (func (export "f")))
              {instances}
              (core instance $last (instantiate $m))
              (func (export "f") (canon lift (core func $last "f"))))"#
        ),
    );
    ends(&home, &file, &["--memory", "16"], "tool.limit.memory", SOON);
    let value = returns(&home, &file, &["--memory", "64"]);
    assert_eq!(used(&home, &value, "memory_bytes"), 40 * 1024 * 1024);
}

#[test]
fn oversized_declarations_are_refused() {
    // RES-03, RES-04: before the guest runs, as a limit of the call or as a component that can't be loaded.
    let home = Home::new();
    let many = |item: &str, count: usize| item.repeat(count);
    for (name, core) in [
        ("initial-memory", "(memory 65536)".to_owned()),
        ("initial-memory-of-the-pool", "(memory 16384)".to_owned()),
        ("initial-table", "(table 4294967295 funcref)".to_owned()),
        ("initial-table-over-limit", "(table 100001 funcref)".to_owned()),
        ("tables", many("(table 1 funcref)", 200)),
        ("types", many("(type (func (param i32)))", 1_100_000)),
        ("globals", many("(global i32 (i32.const 0))", 1_100_000)),
        ("locals", format!("(func (local {}))", many("i64 ", 100_000))),
    ] {
        let file = home.component(name, &component(&format!(r#"{core} (func (export "f"))"#), "", ""));
        let ran = home.attack_plainly(&file, &["--timeout", "5"]);
        assert!([1, 4].contains(&ran.code), "{name}: {ran:?}");
        ran.within(SOON);
        assert!(ran.stderr.contains("error: ") && ran.stderr.len() < 2_000, "{name}: {}", ran.stderr);
        home.is_well();
    }
    let file = home.component("modest", &component(r#"(memory 16) (table 1000 funcref) (func (export "f"))"#, "", ""));
    returns(&home, &file, &[]);
}

#[test]
fn growth_beyond_limit_is_refused() {
    // RES-03, RES-04: memory.grow and table.grow answer -1, whatever is asked for.
    let home = Home::new();
    for (what, core, granted) in [
        (
            "table-all",
            "(table $t 1 funcref) (func (export \"f\") (result i32) (table.grow $t (ref.null func) (i32.const -1)))",
            false,
        ),
        (
            "table-many",
            "(table $t 1 funcref) (func (export \"f\") (result i32) (table.grow $t (ref.null func) (i32.const 200000)))",
            false,
        ),
        (
            "table-some",
            "(table $t 1 funcref) (func (export \"f\") (result i32) (table.grow $t (ref.null func) (i32.const 100)))",
            true,
        ),
        ("memory-all", "(memory 1) (func (export \"f\") (result i32) (memory.grow (i32.const -1)))", false),
        ("memory-many", "(memory 1) (func (export \"f\") (result i32) (memory.grow (i32.const 256)))", false),
        ("memory-some", "(memory 1) (func (export \"f\") (result i32) (memory.grow (i32.const 255)))", true),
    ] {
        let file = home.component(what, &component(core, "(result s32)", ""));
        let value = returns(&home, &file, &["--memory", "16"]);
        assert_eq!(value["outcome"]["value"] != -1, granted, "{what}: {}", value["outcome"]);
        assert!(used(&home, &value, "memory_bytes") <= 16 * 1024 * 1024, "{what}");
        home.is_well();
    }
}

#[test]
fn refused_growth_hides_no_other_limit() {
    // RES-03: growing was refused, but what ended the guest was something else.
    let home = Home::new();
    let grow = "(drop (memory.grow (i32.const 65535)))";
    for (name, then, code) in [
        ("then-spin", "(loop $l (br $l))", "tool.limit.fuel"),
        ("then-recurse", "(call $f)", "tool.limit.stack"),
        ("then-trap", "unreachable", "tool.limit.memory"),
    ] {
        let core = format!(r#"(memory 1) (func $f (export "f") {grow} {then})"#);
        let file = home.component(name, &component(&core, "", ""));
        ends(&home, &file, &["--fuel", "20000000", "--memory", "16"], code, SOON);
    }
}

#[test]
fn handles_of_own_resources_are_limited() {
    // HOST-04: a resource that the guest defines itself never reaches the host's table.
    let home = Home::new();
    let wat = |count: u32| {
        format!(
            r#"(component
              (type $r (resource (rep i32)))
              (core func $new (canon resource.new $r))
              (core module $main
                (import "" "new" (func $new (param i32) (result i32)))
                (func (export "f") (local $i i32)
                  (loop $l
                    (drop (call $new (local.get $i)))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $l (i32.lt_u (local.get $i) (i32.const {count}))))))
              (core instance $main (instantiate $main (with "" (instance (export "new" (func $new))))))
              (func (export "f") (canon lift (core func $main "f"))))"#
        )
    };
    let file = home.component("many", &wat(10_000_000));
    ends(&home, &file, &[], "tool.limit.handles", SOON);
    let file = home.component("few", &wat(1_000));
    returns(&home, &file, &[]);
}

#[test]
fn pollables_are_handles_too() {
    // HOST-05: what is subscribed to and never dropped.
    let home = Home::new();
    let wat = |count: u32| {
        format!(
            r#"(component
              (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
              (alias export $poll "pollable" (type $pollable))
              (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
                (alias outer 1 $pollable (type $outer))
                (export "pollable" (type $p (eq $outer)))
                (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
              (core func $subscribe (canon lower (func $clock "subscribe-duration")))
              (core module $main
                (import "" "subscribe" (func $subscribe (param i64) (result i32)))
                (func (export "f") (local $i i32)
                  (loop $l
                    (drop (call $subscribe (i64.const 1000000000000)))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $l (i32.lt_u (local.get $i) (i32.const {count}))))))
              (core instance $main (instantiate $main (with "" (instance (export "subscribe" (func $subscribe))))))
              (func (export "f") (canon lift (core func $main "f"))))"#
        )
    };
    let file = home.component("many", &wat(1_000_000));
    ends(&home, &file, &[], "tool.limit.handles", SOON);
    let file = home.component("few", &wat(400));
    returns(&home, &file, &[]);
}

#[test]
fn returned_value_is_limited() {
    // OUT-05: more than an answer may be, as text and as bytes.
    let home = Home::new();
    let wat = |ty: &str, bytes: usize| {
        let core = format!(
            r#"(memory (export "memory") 200)
            (func (export "f") (result i32)
              (memory.fill (i32.const 16) (i32.const 97) (i32.const {bytes}))
              (i32.store (i32.const 0) (i32.const 16))
              (i32.store (i32.const 4) (i32.const {bytes}))
              (i32.const 0))"#
        );
        component(&core, &format!("(result {ty})"), r#"(memory (core memory $main "memory"))"#)
    };
    for (name, ty) in [("text", "string"), ("bytes", "(list u8)")] {
        let file = home.component(&format!("{name}-long"), &wat(ty, OUTPUT_BYTES_MAX + 1));
        let (ran, value) = home.attack(&file, &[]);
        ran.code(4).within(SOON);
        assert_eq!(value["outcome"]["value"], Value::Null, "{name}");
        assert!(ran.stdout.len() < 64 * 1024, "{name}");
        home.is_well();
        let file = home.component(&format!("{name}-short"), &wat(ty, 1_000));
        returns(&home, &file, &[]);
    }
}

/// A text as data of the text format.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| escaped + &format!("\\{byte:02x}"))
}

/// A preview-1 program that writes this to standard output and standard error.
fn writer(text: &str) -> String {
    let data = escaped(text);
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 16) "{data}")
          (func (export "_start")
            (i32.store (i32.const 0) (i32.const 16))
            (i32.store (i32.const 4) (i32.const {length}))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
        length = text.len(),
    )
}

const FORGED: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\rreceipt: entry 1\u{202e}\u{200b}\nerror: forged";

#[test]
fn guest_escapes_are_data() {
    // OUT-02: on standard error and in JSON; standard output that is no terminal is the guest's own bytes.
    let home = Home::new();
    let file = home.component("escapes", &writer(FORGED));
    let ran = home.attack_plainly(&file, &[]);
    ran.code(0).says("\\u{1b}[2J").says("\\u{202e}");
    assert_no_controls(&ran.stderr);
    assert_eq!(ran.text(), FORGED);
    let (ran, value) = home.attack(&file, &[]);
    assert_no_controls(&ran.text());
    assert_no_controls(&ran.stderr);
    for stream in ["stdout", "stderr"] {
        assert_eq!(value["outcome"][stream], FORGED);
    }
    home.is_well();
}

#[test]
fn escapes_in_messages_are_shown() {
    // OUT-02: an error value, the name of a function that is not there, the name of a file, an import.
    let home = Home::new();
    let data = escaped(FORGED);
    let core = format!(
        r#"(memory (export "memory") 1)
        (data (i32.const 0) "\01\00\00\00\10\00\00\00\{:02x}\00\00\00")
        (data (i32.const 16) "{data}")
        (func (export "f") (result i32) (i32.const 0))"#,
        FORGED.len()
    );
    let wat = component(&core, "(result (result (error string)))", r#"(memory (core memory $main "memory"))"#);
    let failing = home.component("failing", &wat);
    let named = home.component("named\u{1b}[2J\r", &wat);
    let importing = home
        .component("importing", r#"(component (core module $m (import "\1b[2J" "\0d" (func)) (func (export "f"))))"#);
    for (args, code) in [
        (vec![failing.as_str()], 4),
        (vec![failing.as_str(), FORGED], 2),
        (vec![failing.as_str(), "--input", "{\"\u{1b}[2J\":1}"], 2),
        (vec![named.as_str()], 4),
        (vec![importing.as_str()], 1),
        (vec!["no\u{1b}[2Jsuch.wasm"], 1),
    ] {
        for format in ["human", "json"] {
            let ran = home.attack_plainly(args[0], &[&args[1..], &["--format", format]].concat());
            ran.code(code);
            assert_no_controls(&ran.stderr);
            assert_no_controls(&ran.text());
            let forged = ran
                .stderr
                .lines()
                .any(|line| line.starts_with("error: forged") || line.starts_with("receipt: entry 1\u{202e}"));
            assert!(!forged, "{}", ran.stderr);
        }
    }
    home.is_well();
}

#[track_caller]
fn assert_no_controls(text: &str) {
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t' || matches!(c, '\u{202e}') && !text.starts_with('{');
    assert!(!text.contains(odd), "{text:?}");
}

#[test]
fn remarks_nobody_reads_stop_no_call() {
    // OUT-08: what a server tells its operator fills a pipe that is not read; calls go on, and what is lost is counted.
    let home = server::reading();
    // One principal alone would be turned away before that.
    let tokens: Vec<_> =
        (0..4).map(|n| server::token(&home, &format!("t{n}"), &format!("agent:a{n}"), "call")).collect();
    server::extend(&home, &format!("[operator]\nfolders = ['/{}']\n", "elsewhere/".repeat(50)));
    let (server, stderr) = Server::unread(&home, &[]);
    for token in tokens.iter().cycle().take(800) {
        let denied = server.ask("POST", "/v1/calls", Some(token), &server::read()).is(403);
        assert_eq!(denied["code"], "denied.operator");
    }
    // Whoever reads again is told.
    let reader = std::thread::spawn(move || std::io::read_to_string(stderr).expect("text"));
    assert_eq!(server.stop(), 0);
    let said = reader.join().expect("it ends");
    let told = said.lines().filter(|line| line.contains("was denied")).count();
    let lost = said.lines().filter(|line| line.contains("remarks are lost")).map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        words[1].parse::<usize>().expect("a number")
    });
    let lost: usize = lost.sum();
    assert!(lost > 0 && told + lost >= 800, "{told} {lost}");
    home.configure("");
    home.is_well();
}

#[test]
fn giant_names_stay_out_of_messages() {
    // OUT-06: the name section is the guest's own text.
    let home = Home::new();
    for (name, symbol) in [("long", "x".repeat(90_000)), ("escapes", "\\1b[2J\\0d\\0aerror: forged".to_owned())] {
        let core = format!(r#"(func $"{symbol}" unreachable) (func (export "f") (call $"{symbol}"))"#);
        let file = home.component(name, &component(&core, "", ""));
        let ran = home.attack_plainly(&file, &[]);
        ran.code(4).within(SOON);
        assert!(ran.stderr.len() < 2_000 && !ran.stderr.contains("forged"), "{}", ran.stderr);
        assert_no_controls(&ran.stderr);
        ends(&home, &file, &[], "tool.trap", SOON);
    }
}

#[test]
fn limit_above_ring_is_refused() {
    let home = Home::new();
    let tool = guests::HOSTILE_SPIN_FOREVER;
    for (ring, flag, most, over) in [
        ("3", "--memory", "256", "257"),
        ("2", "--memory", "512", "513"),
        ("1", "--memory", "1024", "18446744073709551615"),
        ("3", "--timeout", "30", "30.001"),
        ("2", "--timeout", "120", "86400"),
        ("3", "--fuel", "1000000000000", "1000000000001"),
        ("0", "--fuel", "1000000000000", "18446744073709551615"),
    ] {
        let (ran, value) = home.attack(tool, &["--ring", ring, flag, over]);
        assert_eq!(value["outcome"]["error"]["code"], "denied.ring", "{ring} {flag}: {}", value["outcome"]);
        ran.code(3).within(SOON);
        assert_eq!(home.ending(&value)["body"]["layer"], "ring");
        returns(&home, tool, &["--ring", ring, flag, most, "--", "control"]);
    }
    home.attack_plainly(tool, &["--memory", "257"]).code(3).says("ring layer").says("hint: ");
    home.is_well();
}

#[test]
fn special_files_do_not_block_the_end() {
    // FS-14: opening a FIFO waits for somebody at the other end.
    let home = Home::new();
    let docs = home.folder("docs");
    home.file("docs/plain", "plain");
    let made = Command::new("mkfifo").arg(docs.join("fifo")).status().expect("mkfifo");
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(docs.join("socket")).expect("a socket");
    let dir = home.dir("docs", "/docs", "rw");
    for (function, input) in [
        ("read", r#"{"path":"/docs/fifo"}"#),
        ("write", r#"{"path":"/docs/fifo","content":"x"}"#),
        ("grep", r#"{"path":"/docs/fifo","pattern":"x"}"#),
        ("read", r#"{"path":"/docs/socket"}"#),
    ] {
        let args = [function, "--input", input, "--ring", "2", "--dir", &dir, "--timeout", "1"];
        let (ran, value) = home.attack(guests::TOOL_FILES, &args);
        ran.code(4).within(Duration::from_secs(1));
        assert_ne!(value["outcome"]["kind"], "returned", "{function} {input}");
        home.is_well();
    }
    let (ran, value) =
        home.call(guests::TOOL_FILES, &["read", "--input", r#"{"path":"/docs/plain"}"#, "--dir", &dir, "--ring", "2"]);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], "plain");
}
