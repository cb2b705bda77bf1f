//! What hostile guests try with files, environment and handles, and that it stays inside.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ringfence_artifacts as guests;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::SECRET;

/// What an attack may take that ends by itself.
const SOON: Duration = Duration::from_secs(40);

/// A hostile guest without a test does not compile.
mod every_hostile_guest_has_a_test {
    use crate::egress::hostile::*;
    use crate::filesystem::hostile::*;
    use crate::isolation::hostile::*;
    use crate::limit::hostile::*;
    use crate::wire::hostile::*;

    macro_rules! has_a_test {
        ($name:ident) => {
            const _: fn() = $name;
        };
    }
    ringfence_artifacts::for_each_hostile!(has_a_test);
}

/// Checks that a hostile program has tried a good deal, and that nothing of it worked.
#[track_caller]
pub fn is_contained(home: &Home, tool: &str, args: &[&str], attempts_min: usize) -> Value {
    let (ran, value) = home.attack(tool, args);
    let said = value["outcome"]["stdout"].as_str().expect("text");
    let escaped: Vec<_> = said.lines().filter(|line| line.starts_with("escaped")).collect();
    assert!(escaped.is_empty(), "{escaped:#?}");
    let contained = said.lines().filter(|line| line.starts_with("contained")).count();
    assert!(contained >= attempts_min, "{contained} attempts: {said}");
    ran.code(0).within(SOON);
    home.is_well();
    value
}

/// Checks that the permitted twin works.
#[track_caller]
pub fn control_works(home: &Home, tool: &str, args: &[&str]) {
    let (ran, value) = home.attack(tool, args);
    ran.code(0).within(SOON);
    assert!(value["outcome"]["stdout"].as_str().is_some_and(|said| said.contains("control: ok")), "{value}");
}

/// Mode, size, time of the last change (with nanoseconds), links and content.
type Facts = (u32, u64, i64, i64, u64, Vec<u8>);

/// Everything that can be told about what is in a folder, but for when it was read.
fn snapshot(folder: &Path) -> BTreeMap<String, Facts> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let own = folder.symlink_metadata().expect("a folder");
        let describe = |data: &std::fs::Metadata, content| {
            (data.mode(), data.len(), data.mtime(), data.mtime_nsec(), data.nlink(), content)
        };
        found.insert(folder.display().to_string(), describe(&own, Vec::new()));
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let data = path.symlink_metadata().expect("an entry");
            if data.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).unwrap_or_default();
                found.insert(path.display().to_string(), describe(&data, content));
            }
        }
    }
    found
}

/// One test for each hostile guest, by its name.
pub mod hostile {
    use super::*;

    #[test]
    pub fn climb_out_of_preopen() {
        // FS-01, FS-02, FS-06
        let home = Home::new();
        home.file("outside/canary", "unharmed");
        let dir = home.dir("outside/cage/work", "/work", "rw");
        let args = ["--ring", "2", "--dir", &dir, "--"];
        // What is granted may change; all around it must not.
        let around = || {
            let mut around = snapshot(&home.folder("outside"));
            around.retain(|path, _| !path.contains("/work"));
            around
        };
        control_works(&home, guests::HOSTILE_CLIMB_OUT_OF_PREOPEN, &[&args[..], &["control"]].concat());
        let before = around();
        for canary in ["../canary", "../../canary"] {
            is_contained(&home, guests::HOSTILE_CLIMB_OUT_OF_PREOPEN, &[&args[..], &[canary]].concat(), 400);
            assert_eq!(around(), before);
        }
    }

    #[test]
    pub fn exhaust_handles() {
        // FS-23, HOST-04
        let home = Home::new();
        let dir = home.dir("work", "/work", "ro");
        let (ran, value) = home.attack(guests::HOSTILE_EXHAUST_HANDLES, &["--dir", &dir]);
        ran.code(4).within(SOON);
        assert_eq!(value["outcome"]["error"]["code"], "tool.limit.handles");
        let said = value["outcome"]["stdout"].as_str().expect("text");
        assert!(said.contains("reached: 1000 handles") && !said.contains("reached: 1100"), "{said}");
        home.is_well();
        control_works(&home, guests::HOSTILE_EXHAUST_HANDLES, &["--dir", &dir, "--", "control"]);
    }

    #[test]
    pub fn follow_symlink_out() {
        // FS-03, FS-04, FS-05, FS-06, FS-07
        let home = Home::new();
        let canary = home.file("outside/canary", "unharmed");
        let folder = home.folder("outside");
        let absolute = canary.display().to_string();
        for (case, link) in [
            ("absolute", absolute.as_str()),
            ("absolute-slash", &format!("{absolute}/")),
            ("relative", "../canary"),
            ("above", ".."),
            ("root", "/"),
            ("chain", "second"),
            ("loop", "link-out"),
        ] {
            let work = home.folder(&format!("outside/{case}"));
            symlink(link, work.join("link-out")).expect("a link");
            symlink("third", work.join("second")).expect("a link");
            symlink(&canary, work.join("third")).expect("a link");
            let dir = home.dir(&format!("outside/{case}"), "/work", "rw");
            let args = ["--ring", "2", "--dir", &dir];
            control_works(&home, guests::HOSTILE_FOLLOW_SYMLINK_OUT, &[&args[..], &["--", "control"]].concat());
            let value = is_contained(&home, guests::HOSTILE_FOLLOW_SYMLINK_OUT, &args, 250);
            assert!(!value["outcome"]["stdout"].as_str().is_some_and(|said| said.contains("skipped")), "{case}");
            assert_eq!(std::fs::read_to_string(&canary).expect("the canary"), "unharmed");
            assert_eq!(canary.metadata().expect("the canary").nlink(), 1);
            for stray in ["escaped", "stolen", "moved", "canary-new"] {
                assert!(!folder.join(stray).exists(), "{case}: {stray}");
            }
        }
    }

    #[test]
    pub fn read_environment() {
        // SEC-01, FS-02: `attack` has put a secret into the host's environment.
        let home = Home::new();
        let value = is_contained(&home, guests::HOSTILE_READ_ENVIRONMENT, &[], 16);
        let said = value["outcome"]["stdout"].as_str().expect("text");
        assert!(!said.contains("variable ") && !said.contains("argument 1"), "{said}");
        let args = ["--env", "GIVEN=as it is", "--", "GIVEN"];
        let value = is_contained(&home, guests::HOSTILE_READ_ENVIRONMENT, &args, 16);
        let said = value["outcome"]["stdout"].as_str().expect("text");
        let variables: Vec<_> = said.lines().filter(|line| line.starts_with("variable ")).collect();
        assert_eq!(variables, ["variable GIVEN: as it is"]);
        assert!(said.contains("folder: Ok(\"/\")"), "{said}");
        control_works(&home, guests::HOSTILE_READ_ENVIRONMENT, &["--", "control"]);
    }

    #[test]
    pub fn write_through_read_only() {
        // FS-09, FS-10, FS-11
        let home = Home::new();
        home.file("ro/file", "as it was");
        home.file("ro/sub/other", "as it was too");
        symlink("file", home.folder("ro").join("link")).expect("a link");
        let (ro, rw) = (home.dir("ro", "/ro", "ro"), home.dir("rw", "/rw", "rw"));
        let args = ["--ring", "2", "--dir", &ro, "--dir", &rw];
        control_works(&home, guests::HOSTILE_WRITE_THROUGH_READ_ONLY, &[&args[..], &["--", "control"]].concat());
        for file in ["file", "sub/other"] {
            let before = snapshot(&home.folder("ro"));
            let args = [&args[..], &["--", file]].concat();
            is_contained(&home, guests::HOSTILE_WRITE_THROUGH_READ_ONLY, &args, 45);
            assert_eq!(snapshot(&home.folder("ro")), before);
        }
        for stray in ["linked", "renamed"] {
            assert!(!home.folder("rw").join(stray).exists(), "{stray}");
        }
        // The same attack where it is allowed: it would have worked.
        let open = home.dir("ro", "/ro", "rw");
        let (ran, value) =
            home.attack(guests::HOSTILE_WRITE_THROUGH_READ_ONLY, &["--ring", "2", "--dir", &open, "--dir", &rw]);
        ran.code(4);
        let said = value["outcome"]["stdout"].as_str().expect("text");
        assert!(said.lines().filter(|line| line.starts_with("escaped")).count() > 5, "{said}");
    }
}

#[test]
fn overlapping_folders_are_refused() {
    // FS-12
    let home = Home::new();
    home.file("data/tmp/file", "x");
    symlink(home.folder("data"), home.folder("links").join("data")).expect("a link");
    let input = r#"{"path":"/a"}"#;
    for (one, other) in [
        (home.dir("data", "/a", "ro"), home.dir("data/tmp", "/b", "rw")),
        (home.dir("data", "/a", "rw"), home.dir("data/tmp", "/b", "ro")),
        (home.dir("data", "/a", "ro"), home.dir("data", "/b", "rw")),
        (home.dir("data", "/a", "ro"), home.dir("links/data", "/b", "rw")),
        (home.dir("data", "/a", "ro"), home.dir("links/data/tmp", "/b", "rw")),
        (home.dir("data", "/a", "ro"), home.dir("other", "/a", "ro")),
    ] {
        let args = ["list", "--input", input, "--ring", "2", "--dir", &one, "--dir", &other];
        let (ran, value) = home.attack(guests::TOOL_FILES, &args);
        ran.code(3).within(SOON);
        assert_eq!(value["outcome"]["error"]["code"], "denied.host", "{one} {other}");
        assert_eq!(home.ending(&value)["body"]["layer"], "host");
    }
    home.is_well();
    let (one, other) = (home.dir("data", "/a", "ro"), home.dir("data-too", "/a-too", "rw"));
    let args = ["list", "--input", input, "--ring", "2", "--dir", &one, "--dir", &other];
    home.attack(guests::TOOL_FILES, &args).0.code(0);
}

#[test]
fn linked_folder_is_resolved_once() {
    // FS-13: the grant, and with it the record and every check, names where the folder really is.
    let home = Home::new();
    home.file("real/a.txt", "here");
    let link = home.folder("links").join("docs");
    symlink(home.folder("real"), &link).expect("a link");
    let dir = format!("{}::/docs", link.display());
    let args = ["read", "--input", r#"{"path":"/docs/a.txt"}"#, "--dir", &dir];
    let (ran, value) = home.attack(guests::TOOL_FILES, &args);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], "here");
    let real = home.folder("real").canonicalize().expect("a path").display().to_string();
    assert!(home.log_holds(&real) && !home.log_holds(&link.display().to_string()));
    // A ceiling that covers the link and not the folder covers nothing.
    for (allowed, code) in [(home.folder("links"), 3), (home.folder("real"), 0)] {
        let allowed = allowed.canonicalize().expect("a path");
        home.configure(&format!("[operator]\nfolders = [{:?}]\n", allowed.display().to_string()));
        home.attack(guests::TOOL_FILES, &args).0.code(code);
    }
    home.configure("");
    home.is_well();
}

#[test]
fn odd_paths_end_in_errors() {
    // FS-01, FS-02, FS-16: an error of the tool, whatever the path.
    let home = Home::new();
    home.file("docs/a.txt", "here");
    let canary = home.file("canary", "unharmed").display().to_string();
    let dir = home.dir("docs", "/docs", "ro");
    let deep = "a/".repeat(4_096);
    for path in [
        String::new(),
        "/".to_owned(),
        "\0".to_owned(),
        "/docs/a.txt\0".to_owned(),
        "/docs/\0/a.txt".to_owned(),
        "/docs/\u{202e}\u{fffd}\u{10ffff}".to_owned(),
        format!("/docs/{}", "x".repeat(64 * 1024)),
        format!("/docs/{deep}"),
        format!("/docs/{}", "../".repeat(4_096)),
        format!("/docs/{}", "./".repeat(4_096)),
        format!("/docs/{}etc/passwd", "../".repeat(64)),
        "/docs/../canary".to_owned(),
        "/docs/../../../../../../etc/passwd".to_owned(),
        "/etc/passwd".to_owned(),
        "//etc/passwd".to_owned(),
        "/proc/self/environ".to_owned(),
        "/dev/fd/0".to_owned(),
        "\\\\?\\C:\\docs".to_owned(),
        "CON".to_owned(),
    ] {
        let input = home.file("input.json", json!({ "path": path }).to_string());
        let input = format!("@{}", input.display());
        let (ran, value) = home.attack(guests::TOOL_FILES, &["read", "--input", &input, "--dir", &dir]);
        assert_eq!(value["outcome"]["kind"], "tool_error", "{path:.80}: {}", value["outcome"]);
        ran.code(4).within(SOON);
    }
    let input = json!({ "path": canary }).to_string();
    let ran = home.attack_plainly(guests::TOOL_FILES, &["read", "--input", &input, "--dir", &dir]);
    ran.code(4).says("not-permitted");
    for text in [r#"{"path":"\ud800"}"#, r#"{"path":"\udc00\ud800"}"#, "{\"path\":\"a\0\"}"] {
        let input = format!("@{}", home.file("input.json", text).display());
        home.attack_plainly(guests::TOOL_FILES, &["read", "--input", &input, "--dir", &dir]).code(2);
    }
    home.is_well();
    let (ran, value) =
        home.attack(guests::TOOL_FILES, &["read", "--input", r#"{"path":"/docs/./a.txt"}"#, "--dir", &dir]);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], "here");
}

#[test]
fn host_state_is_never_granted() {
    // FS-26: not the home, not what is in it, not what holds it, and by no other name.
    let home = Home::cold();
    let (state, links) = (home.path(), home.folder("links"));
    symlink(&state, links.join("home")).expect("a link");
    let (head, roots) = (home.folder("head"), home.folder("roots"));
    let above = state.parent().expect("a parent").to_owned();
    home.configure(&format!(
        "[log]\nhead = {:?}\n[signers.ada]\nidentity = 'ada@a.example'\nissuer = 'https://a.example'\ntrusted-root = {:?}\n",
        head.join("log.head").display().to_string(),
        roots.join("trusted_root.json").display().to_string(),
    ));
    for folder in [
        state.clone(),
        state.join("cache"),
        state.join("keys"),
        state.join("keys/../cache"),
        above,
        "/".into(),
        links.join("home"),
        links.join("home/keys"),
        head,
        roots,
    ] {
        for access in ["ro", "rw"] {
            let dir = format!("{}::/state:{access}", folder.display());
            let args = ["list", "--input", r#"{"path":"/state"}"#, "--ring", "2", "--dir", &dir];
            let (ran, value) = home.attack(guests::TOOL_FILES, &args);
            ran.code(3).within(SOON);
            assert_eq!(value["outcome"]["error"]["code"], "denied.host", "{dir}");
            assert_eq!(home.ending(&value)["body"]["layer"], "host");
        }
    }
    home.is_well();
    let beside = home.dir("home-too", "/state", "ro");
    home.attack(guests::TOOL_FILES, &["list", "--input", r#"{"path":"/state"}"#, "--dir", &beside]).0.code(0);
}

#[test]
fn impossible_sizes_and_offsets_fail() {
    // FS-18, FS-22: by way of preview 1, whose numbers reach furthest. The exit code is the error's.
    let home = Home::new();
    let dir = home.dir("work", "/work", "rw");
    for (name, call, works) in [
        ("size-most", "(call $set_size (local.get $fd) (i64.const -1))", false),
        ("size-exbi", "(call $set_size (local.get $fd) (i64.const 0x7fffffffffffffff))", false),
        ("size-some", "(call $set_size (local.get $fd) (i64.const 1000))", true),
        (
            "write-most",
            "(call $pwrite (local.get $fd) (i32.const 0) (i32.const 1) (i64.const -1) (i32.const 8))",
            false,
        ),
        (
            "write-end",
            "(call $pwrite (local.get $fd) (i32.const 0) (i32.const 1) (i64.const 0x7ffffffffffffffe) (i32.const 8))",
            false,
        ),
        ("write-some", "(call $pwrite (local.get $fd) (i32.const 0) (i32.const 1) (i64.const 9) (i32.const 8))", true),
        ("renumber-root", "(call $renumber (local.get $fd) (i32.const 9999))", false),
        ("renumber-closed", "(call $renumber (i32.const 9999) (local.get $fd))", false),
        ("close-twice", "(drop (call $close (local.get $fd))) (call $close (local.get $fd))", false),
        ("close-once", "(call $close (local.get $fd))", true),
    ] {
        let file = home.component(name, &preview_1(call));
        let (ran, value) = home.attack(&file, &["--ring", "2", "--dir", &dir]);
        ran.within(SOON);
        assert_ne!(value["outcome"]["kind"], "denied", "{name}");
        assert_eq!(ran.code == 0, works, "{name}: {}", value["outcome"]);
        home.is_well();
    }
    let written = home.folder("work").join("file").metadata().expect("the file").len();
    assert!(written < 2_000, "{written}");
}

/// A preview-1 program that opens `file` in its first folder as `$fd`, and exits with the error of a call.
fn preview_1(call: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $set_size (param i32 i64) (result i32)))
          (import "wasi_snapshot_preview1" "fd_pwrite" (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\10\00\00\00\04\00\00\00")
          (data (i32.const 16) "file")
          (func (export "_start") (local $fd i32)
            (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 1)
              (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 12))
            (if (then (call $exit (i32.const 100))))
            (local.set $fd (i32.load (i32.const 12)))
            (call $exit {call})))"#
    )
}

/// A component whose function `f` answers with a value of this type, made by `core`; `data` stands at 16.
fn answering(ty: &str, core: &str, data: &str, encoding: &str) -> String {
    format!(
        r#"(component
          {ty}
          (core module $main
            (memory (export "memory") 1)
            (data (i32.const 16) "{data}")
            (func (export "f") (result i32) {core}))
          (core instance $main (instantiate $main))
          (func $f (result $t)
            (canon lift (core func $main "f") (memory (core memory $main "memory")) {encoding}))
          (export "f" (func $f)))"#
    )
}

/// Code that answers with a pointer and a length.
fn pair(pointer: i64, length: i64) -> String {
    format!(
        "(i32.store (i32.const 0) (i32.const {pointer})) (i32.store (i32.const 4) (i32.const {length})) (i32.const 0)"
    )
}

#[test]
fn malformed_strings_and_lists_trap() {
    // HOST-03, HOST-08
    let home = Home::new();
    let (utf8, utf16, latin) = ("string-encoding=utf8", "string-encoding=utf16", "string-encoding=latin1+utf16");
    let (string, words) = ("(type $t string)", "(type $t (list u32))");
    for (name, ty, encoding, data, pointer, length, answer) in [
        ("utf8", string, utf8, "ok", 16, 2, json!("ok")),
        ("utf8-stray", string, utf8, "\\ff\\fe", 16, 2, Value::Null),
        ("utf8-surrogate", string, utf8, "\\ed\\a0\\80", 16, 3, Value::Null),
        ("utf8-overlong", string, utf8, "\\c0\\80", 16, 2, Value::Null),
        ("utf8-cut", string, utf8, "\\e2\\82", 16, 2, Value::Null),
        ("utf8-too-high", string, utf8, "\\f4\\90\\80\\80", 16, 4, Value::Null),
        ("utf8-over-end", string, utf8, "", 65_530, 7, Value::Null),
        ("utf8-outside", string, utf8, "", 65_537, 1, Value::Null),
        ("utf8-all", string, utf8, "", 1, 0xffff_ffff, Value::Null),
        ("utf8-tag", string, utf8, "", 16, 0x8000_0002, Value::Null),
        ("utf8-gibibyte", string, utf8, "", 16, 1 << 30, Value::Null),
        ("utf16", string, utf16, "o\\00k\\00", 16, 2, json!("ok")),
        ("utf16-surrogate", string, utf16, "\\00\\d8o\\00", 16, 2, Value::Null),
        ("utf16-odd", string, utf16, "o\\00k\\00", 17, 1, Value::Null),
        ("utf16-wraps", string, utf16, "", 16, 0x8000_0001, Value::Null),
        ("latin1", string, latin, "\\e9", 16, 1, json!("é")),
        ("latin1-wide", string, latin, "\\e9\\00", 16, 0x8000_0001, json!("é")),
        ("latin1-odd", string, latin, "\\e9\\00", 17, 0x8000_0001, Value::Null),
        ("latin1-surrogate", string, latin, "\\00\\dc", 16, 0x8000_0001, Value::Null),
        ("latin1-all", string, latin, "", 16, 0xffff_ffff, Value::Null),
        ("words", words, "", "\\07\\00\\00\\00", 16, 1, json!([7])),
        ("words-odd", words, "", "\\07\\00\\00\\00", 18, 1, Value::Null),
        ("words-wrap", words, "", "", 16, 0x4000_0001, Value::Null),
        ("words-all", words, "", "", 16, 0xffff_ffff, Value::Null),
        ("words-over-end", words, "", "", 65_532, 2, Value::Null),
    ] {
        let file = home.component(name, &answering(ty, &pair(pointer, length), data, encoding));
        answers(&home, name, &file, &answer);
    }
    home.is_well();
}

/// Checks that a call returns a value or, for null, traps.
#[track_caller]
fn answers(home: &Home, name: &str, file: &str, answer: &Value) {
    let (ran, value) = home.attack(file, &[]);
    ran.within(SOON);
    let outcome = &value["outcome"];
    if answer.is_null() {
        assert_eq!((ran.code, &outcome["kind"]), (4, &json!("trapped")), "{name}: {outcome}");
    } else {
        assert_eq!((ran.code, &outcome["value"]), (0, answer), "{name}: {outcome}");
    }
}

#[test]
fn values_out_of_range_trap() {
    // HOST-09. The canonical ABI reads any number but 0 as `true`, and takes no notice of flags that are not declared.
    let home = Home::new();
    let (en, va) = (
        r#"(type $e (enum "a" "b")) (export $t "e" (type $e))"#,
        r#"(type $e (variant (case "a") (case "b" u8))) (export $t "e" (type $e))"#,
    );
    let flags = r#"(type $e (flags "a" "b")) (export $t "e" (type $e))"#;
    for (name, ty, core, answer) in [
        ("bool", "(type $t bool)", "i32.const 1", json!(true)),
        ("bool-2", "(type $t bool)", "i32.const 2", json!(true)),
        ("char", "(type $t char)", "i32.const 0x61", json!("a")),
        ("char-surrogate", "(type $t char)", "i32.const 0xd800", Value::Null),
        ("char-high", "(type $t char)", "i32.const 0x110000", Value::Null),
        ("char-most", "(type $t char)", "i32.const -1", Value::Null),
        ("u8-wide", "(type $t u8)", "i32.const 0x1ff", json!(255)),
        ("s8-wide", "(type $t s8)", "i32.const 0x180", json!(-128)),
        ("enum", en, "i32.const 1", json!("b")),
        ("enum-2", en, "i32.const 2", Value::Null),
        ("enum-most", en, "i32.const -1", Value::Null),
        ("variant", va, "(i32.store8 (i32.const 0) (i32.const 0)) i32.const 0", json!("a")),
        ("variant-2", va, "(i32.store8 (i32.const 0) (i32.const 2)) i32.const 0", Value::Null),
        ("option-2", "(type $t (option u32))", "(i32.store8 (i32.const 0) (i32.const 2)) i32.const 0", Value::Null),
        ("flags", flags, "i32.const 3", json!(["a", "b"])),
        ("flags-unused", flags, "i32.const 0xff", json!(["a", "b"])),
        ("return-outside", "(type $t (option u32))", "i32.const 65536", Value::Null),
        ("return-odd", "(type $t (option u32))", "i32.const 2", Value::Null),
    ] {
        let file = home.component(name, &answering(ty, core, "", ""));
        answers(&home, name, &file, &answer);
    }
    home.is_well();
}

#[test]
fn host_allocates_little_for_guests() {
    // HOST-01, HOST-02: `attack` has an eye on the host's memory.
    let home = Home::new();
    for (name, len, works) in [("16", "16", true), ("tib", "1099511627776", false), ("most", "-1", false)] {
        let file = home.component(
            &format!("random-{name}"),
            &random("", &format!("(call $bytes (i64.const {len}) (i32.const 0))")),
        );
        let (ran, value) = home.attack(&file, &[]);
        assert_eq!(value["outcome"]["kind"], if works { "returned" } else { "trapped" }, "{name}: {value}");
        ran.code(if works { 0 } else { 4 }).within(SOON);
        home.is_well();
    }
    // Eight bytes of the guest's become many of the host's: empty strings, lists of lists, and one long list of bytes.
    let many = |count: u32, pages: u32, ty: &str| {
        format!(
            r#"(component
              (type $t {ty})
              (core module $main
                (memory (export "memory") {pages})
                (func (export "f") (result i32)
                  (i32.store (i32.const 0) (i32.const 8)) (i32.store (i32.const 4) (i32.const {count})) (i32.const 0)))
              (core instance $main (instantiate $main))
              (func (export "f") (result $t) (canon lift (core func $main "f") (memory (core memory $main "memory")))))"#
        )
    };
    for (name, count, ty, works) in [
        ("strings", 20_000_000, "(list string)", false),
        ("lists", 20_000_000, "(list (list string))", false),
        ("bytes", 200_000_000, "(list u8)", false),
        ("options", 100_000_000, "(list (option u8))", false),
        ("units", 200_000_000, "(list bool)", false),
        ("strings-few", 1_000, "(list string)", true),
    ] {
        let file = home.component(name, &many(count, 3_200, ty));
        let (ran, value) = home.attack(&file, &[]);
        ran.code(if works { 0 } else { 4 }).within(SOON);
        if !works {
            assert_eq!(value["outcome"]["error"]["code"], "tool.limit.host-call", "{name}: {}", value["outcome"]);
        }
        home.is_well();
    }
}

/// A component whose `f` has `$bytes`, which asks for random bytes; `realloc` is what its allocator does first.
fn random(realloc: &str, core: &str) -> String {
    format!(
        r#"(component
          (import "wasi:random/random@0.2.0" (instance $random
            (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
          (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
          (core func $now (canon lower (func $clock "now")))
          (core module $memory
            (import "" "now" (func $now (result i64)))
            (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc} i32.const 1024))
          (core instance $memory (instantiate $memory (with "" (instance (export "now" (func $now))))))
          (core func $bytes (canon lower (func $random "get-random-bytes")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
          (core module $main
            (import "" "bytes" (func $bytes (param i64 i32)))
            (import "" "now" (func $now (result i64)))
            (func (export "f") {core}))
          (core instance $main (instantiate $main
            (with "" (instance (export "bytes" (func $bytes)) (export "now" (func $now))))))
          (func (export "f") (canon lift (core func $main "f"))))"#
    )
}

#[test]
fn host_calls_at_wrong_times_trap() {
    // CM-01: from the allocator while the host answers, from post-return, from a start function.
    let home = Home::new();
    let ask = "(call $bytes (i64.const 16) (i32.const 0))";
    let clock = r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
        (core func $now (canon lower (func $clock "now")))"#;
    let post = |what: &str| {
        format!(
            r#"(component {clock}
              (core module $main
                (import "" "now" (func $now (result i64)))
                (func (export "f") (result i32) i32.const 7)
                (func (export "post") (param i32) {what}))
              (core instance $main (instantiate $main (with "" (instance (export "now" (func $now))))))
              (func (export "f") (result u32)
                (canon lift (core func $main "f") (post-return (core func $main "post")))))"#
        )
    };
    let start = format!(
        r#"(component {clock}
          (core module $main
            (import "" "now" (func $now (result i64)))
            (func $s (drop (call $now))) (start $s) (func (export "f")))
          (core instance $main (instantiate $main (with "" (instance (export "now" (func $now))))))
          (func (export "f") (canon lift (core func $main "f"))))"#
    );
    for (name, wat, kind) in [
        ("realloc-calls", random("(drop (call $now))", ask), "trapped"),
        ("realloc-calm", random("", ask), "returned"),
        ("post-calls", post("(drop (call $now))"), "trapped"),
        ("post-calm", post(""), "returned"),
        ("start-calls", start, "returned"),
    ] {
        let file = home.component(name, &wat);
        let (ran, value) = home.attack(&file, &[]);
        assert_eq!(value["outcome"]["kind"], kind, "{name}: {}", value["outcome"]);
        ran.within(SOON);
        home.is_well();
    }
}

#[test]
fn forged_handles_trap() {
    // HOST-04: a number that is no handle, one that was given back, one of another type.
    let home = Home::new();
    for (name, core, kind) in [
        ("forged", "(call $drop (i32.const 4711))", "trapped"),
        ("zero", "(call $drop (i32.const 0))", "trapped"),
        ("most", "(call $drop (i32.const -1))", "trapped"),
        (
            "twice",
            "(local.set $h (call $new (i32.const 1))) (call $drop (local.get $h)) (call $drop (local.get $h))",
            "trapped",
        ),
        (
            "after",
            "(local.set $h (call $new (i32.const 1))) (call $drop (local.get $h)) (drop (call $rep (local.get $h)))",
            "trapped",
        ),
        ("other", "(call $drop-other (call $new (i32.const 1)))", "trapped"),
        ("once", "(call $drop (call $new (i32.const 1)))", "returned"),
    ] {
        let file = home.component(
            name,
            &format!(
                r#"(component
                  (type $r (resource (rep i32)))
                  (type $o (resource (rep i32)))
                  (core func $new (canon resource.new $r))
                  (core func $rep (canon resource.rep $r))
                  (core func $drop (canon resource.drop $r))
                  (core func $drop-other (canon resource.drop $o))
                  (core module $main
                    (import "" "new" (func $new (param i32) (result i32)))
                    (import "" "rep" (func $rep (param i32) (result i32)))
                    (import "" "drop" (func $drop (param i32)))
                    (import "" "drop-other" (func $drop-other (param i32)))
                    (func (export "f") (local $h i32) {core}))
                  (core instance $main (instantiate $main (with "" (instance
                    (export "new" (func $new)) (export "rep" (func $rep))
                    (export "drop" (func $drop)) (export "drop-other" (func $drop-other))))))
                  (func (export "f") (canon lift (core func $main "f"))))"#
            ),
        );
        let (ran, value) = home.attack(&file, &[]);
        assert_eq!(value["outcome"]["kind"], kind, "{name}: {}", value["outcome"]);
        ran.within(SOON);
    }
    home.is_well();
}

/// A component that asks for a socket of this kind, and answers with what it got: 257 is `access-denied`.
fn socket(kind: &str) -> String {
    format!(
        r#"(component
          (import "wasi:sockets/network@0.2.0" (instance $network
            (type $code (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
              "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
              "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused" "connection-reset"
              "connection-aborted" "datagram-too-large" "name-unresolvable" "temporary-resolver-failure"
              "permanent-resolver-failure"))
            (export "error-code" (type (eq $code)))
            (type $family (enum "ipv4" "ipv6"))
            (export "ip-address-family" (type (eq $family)))))
          (alias export $network "error-code" (type $code))
          (alias export $network "ip-address-family" (type $family))
          (import "wasi:sockets/{kind}@0.2.0" (instance $kind (export "{kind}-socket" (type (sub resource)))))
          (alias export $kind "{kind}-socket" (type $socket))
          (import "wasi:sockets/{kind}-create-socket@0.2.0" (instance $create
            (alias outer 1 $code (type $code0)) (export "error-code" (type $code (eq $code0)))
            (alias outer 1 $family (type $family0)) (export "ip-address-family" (type $family (eq $family0)))
            (alias outer 1 $socket (type $socket0)) (export "{kind}-socket" (type $socket (eq $socket0)))
            (export "create-{kind}-socket" (func (param "address-family" $family)
              (result (result (own $socket) (error $code)))))))
          (core module $memory (memory (export "memory") 1))
          (core instance $memory (instantiate $memory))
          (core func $create (canon lower (func $create "create-{kind}-socket") (memory (core memory $memory "memory"))))
          (core module $main
            (import "" "memory" (memory 1))
            (import "" "create" (func $create (param i32 i32)))
            (func (export "f") (result i32)
              (call $create (i32.const 0) (i32.const 0))
              (i32.add (i32.mul (i32.load8_u (i32.const 0)) (i32.const 256)) (i32.load8_u (i32.const 4)))))
          (core instance $main (instantiate $main
            (with "" (instance (export "memory" (memory $memory "memory")) (export "create" (func $create))))))
          (func (export "f") (result u32) (canon lift (core func $main "f"))))"#
    )
}

const HTTP: &str = r#"(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))))
  (core func $fields (canon lower (func $types "[constructor]fields")))
  (core module $main
    (import "" "fields" (func $fields (result i32)))
    (func (export "f") (drop (call $fields))))
  (core instance $main (instantiate $main (with "" (instance (export "fields" (func $fields))))))
  (func (export "f") (canon lift (core func $main "f"))))"#;

#[test]
fn sockets_are_refused_and_traced() {
    // NET-01: the interface has a way to say no, so the guest goes on and is told.
    let home = Home::new();
    for kind in ["tcp", "udp"] {
        let file = home.component(kind, &socket(kind));
        let traced = format!(
            r#"{{"allowed":false,"detail":"a socket: nothing granted allows it","import":"wasi:sockets/{kind}-create-socket"#
        );
        assert!(!home.log_holds(&traced));
        let (ran, value) = home.attack(&file, &[]);
        ran.code(0).within(SOON);
        assert_eq!(value["outcome"]["value"], 257, "{kind}: {}", value["outcome"]);
        assert!(home.log_holds(&traced), "{kind}");
        home.is_well();
    }
}

/// Asks `wasi:config/store` for a variable, and how many there are.
const CONFIG: &str = r#"(component
    (import "wasi:config/store@0.2.0-rc.1" (instance $store
        (type $variant (variant (case "upstream" string) (case "io" string)))
        (export "error" (type $error (eq $variant)))
        (export "get" (func (param "key" string) (result (result (option string) (error $error)))))
        (export "get-all" (func (result (result (list (tuple string string)) (error $error)))))))
    (core module $libc
        (memory (export "memory") 4)
        (global $next (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
            (global.set $next (i32.add (local.get $at) (local.get 3)))
            (local.get $at)))
    (core instance $libc (instantiate $libc))
    (core func $get (canon lower (func $store "get") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (core func $all (canon lower (func $store "get-all") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (core module $main
        (import "libc" "memory" (memory 4))
        (import "" "get" (func $get (param i32 i32 i32)))
        (import "" "all" (func $all (param i32)))
        (data (i32.const 128) "\88\00\00\00\04\00\00\00none")
        (func (export "get") (param i32 i32) (result i32)
            (call $get (local.get 0) (local.get 1) (i32.const 64))
            (if (i32.or (i32.load8_u (i32.const 64)) (i32.eqz (i32.load8_u (i32.const 68))))
                (then (return (i32.const 128))))
            (i32.const 72))
        (func (export "count") (result i32)
            (call $all (i32.const 64))
            (i32.load (i32.const 72))))
    (core instance $main (instantiate $main
        (with "libc" (instance $libc))
        (with "" (instance (export "get" (func $get)) (export "all" (func $all))))))
    (func (export "get") (param "key" string) (result string)
        (canon lift (core func $main "get") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (func (export "count") (result u32) (canon lift (core func $main "count"))))"#;

#[test]
fn config_store_has_granted_variables_alone() {
    // SEC-01: what lies in the host's environment is there no more than in the tool's.
    let home = Home::new();
    let tool = home.component("config", CONFIG);
    let get = |args: &[&str], key: &str| {
        let input = serde_json::json!({ "key": key }).to_string();
        let (ran, value) = home.attack(&tool, &[&["get", "--input", &input], args].concat());
        ran.code(0);
        value["outcome"]["value"].as_str().expect("text").to_owned()
    };
    let given = ["--env", "A=first", "--env", "B="];
    assert_eq!([get(&given, "A"), get(&given, "B"), get(&given, "a")], ["first", "", "none"]);
    for key in ["CANARY", "PATH", "RINGFENCE_HOME", "", "A=", "\u{0}"] {
        assert_eq!(get(&given, key), "none", "{key:?}");
    }
    for (args, count) in [(&given[..], 2), (&[], 0)] {
        let (ran, value) = home.attack(&tool, &[&["count"], args].concat());
        ran.code(0);
        assert_eq!(value["outcome"]["value"], count);
    }
    // The layers that bound variables bound these.
    home.configure("[operator]\nenvironment = ['B']\n");
    assert_eq!(home.attack(&tool, &["count", "--env", "A=first"]).0.code, 3);
    home.configure("");
    home.is_well();
}

#[test]
fn http_alone_reaches_nothing() {
    // NET-01: a set of headers is data and needs no grant; sending it somewhere does (tests/egress.rs).
    let home = Home::new();
    let file = home.component("http", HTTP);
    home.attack(&file, &[]).0.code(0).within(SOON);
}

#[test]
fn strict_imports_fail_the_load() {
    // NET-01, CM-07: only in the ring where it is configured.
    let home = Home::new();
    home.configure("[rings.3]\nimports = \"strict\"\n");
    for (name, wat) in [("http", HTTP.to_owned()), ("tcp", socket("tcp")), ("udp", socket("udp"))] {
        let file = home.component(name, &wat);
        let before = home.entries().len();
        let ran = home.attack_plainly(&file, &[]);
        ran.code(1).fails_well().says("which is not granted, and imports are strict here").within(SOON);
        assert_eq!(home.entries().len(), before, "no call was made");
        home.attack(&file, &["--ring", "2"]).0.code(0);
        home.is_well();
    }
}

#[test]
fn unknown_imports_fail_the_load() {
    // CM-07: another's interface, a version nobody has, a function nobody has, a type that does not fit.
    let home = Home::new();
    for (name, import) in [
        ("stranger", r#"(import "evil:door/open@1.0.0" (instance (export "open" (func))))"#),
        ("ours", r#"(import "ringfence:host/admin@0.1.0" (instance (export "open" (func))))"#),
        ("function", r#"(import "open" (func))"#),
        ("version", r#"(import "wasi:cli/environment@0.3.0" (instance (export "get-arguments" (func))))"#),
        ("extra", r#"(import "wasi:cli/environment@0.2.0" (instance (export "set-environment" (func))))"#),
        ("type", r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result string)))))"#),
    ] {
        let wat = format!(
            r#"(component {import}
              (core module $main (func (export "f")))
              (core instance $main (instantiate $main))
              (func (export "f") (canon lift (core func $main "f"))))"#
        );
        let ran = home.attack_plainly(&home.component(name, &wat), &[]);
        ran.code(1).fails_well().within(SOON);
        home.is_well();
    }
}

#[test]
fn nothing_is_left_for_next_instance() {
    // RES-14: memory, grown memory, a global and a table, through one pool, in one process.
    use ringfence_model::call::Input;
    use ringfence_model::grant::Grant;
    use ringfence_model::grant::Limits;
    use ringfence_model::ring::Ring;
    use ringfence_runtime::egress::Egress;
    use ringfence_runtime::egress::EgressConfig;
    use ringfence_runtime::engine::Engine;
    use ringfence_runtime::sandbox;
    use ringfence_runtime::sandbox::Interrupt;
    use ringfence_runtime::sandbox::Room;
    use ringfence_runtime::sandbox::link::Imports;
    use ringfence_runtime::toolbox::Tool;
    use ringfence_runtime::toolbox::ToolFile;

    let bytes = wat::parse_str(
        r#"(component
          (core module $main
            (memory 4)
            (global $left (mut i32) (i32.const 0))
            (table $t 10 funcref)
            (elem declare func $f)
            (func $f (export "f") (result i32) (local $at i32) (local $found i32)
              (drop (memory.grow (i32.const 60)))
              (loop $l
                (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
                  (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
                (i64.store (local.get $at) (i64.const 0x5a5a5a5a5a5a5a5a))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (br_if $l (i32.lt_u (local.get $at) (i32.const 0x400000))))
              (if (i32.eqz (ref.is_null (table.get $t (i32.const 5))))
                (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
              (table.set $t (i32.const 5) (ref.func $f))
              (local.set $found (i32.add (local.get $found) (global.get $left)))
              (global.set $left (i32.const 1))
              (local.get $found)))
          (core instance $main (instantiate $main))
          (func (export "f") (result u32) (canon lift (core func $main "f"))))"#,
    );
    let bytes = bytes.expect("a component");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let engine = Engine::new().expect("an engine");
        let file = ToolFile {
            name: "leftover",
            bytes: &bytes,
            manifest: None,
            imports: Imports::Strict { http: false, sockets: false },
        };
        let tool = Tool::load(&engine, file).await.expect("a tool");
        let function = tool.function(None).expect("a function");
        let grant = Grant::nothing(Limits::from_bounds(&Ring::Sandbox.ceiling().limits));
        let input = Input { value: None, arguments: Vec::new(), stdin: Vec::new() };
        let egress = Arc::new(Egress::new(EgressConfig::default()).expect("a way out"));
        for turn in 0..40 {
            let interrupt = Interrupt::never();
            let room = Room {
                grant: &grant,
                scratch: None,
                egress: &egress,
                judge: None,
                interrupt: &interrupt,
                watcher: None,
            };
            let run = sandbox::run(&tool, function, &input, &room).await.expect("a run");
            assert_eq!(run.outcome.value, Some(json!(0)), "turn {turn}: {:?}", run.outcome);
        }
    });
}

#[test]
fn secret_would_be_found() {
    // U6: the positive control of the check that every attack here ends with.
    let home = Home::new();
    let given = format!("GIVEN={SECRET}");
    let found = std::panic::catch_unwind(|| home.attack_plainly(guests::HOSTILE_READ_ENVIRONMENT, &["--env", &given]));
    assert!(found.is_err(), "the secret was given, and printed");
    assert!(home.log_holds(SECRET));
}
