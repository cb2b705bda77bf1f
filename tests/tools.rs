//! The shipped tools do what they say, each in its shape: typed, described, or a command. They are real components in Rust
//! and C.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::tools::wasm;

const ECHO: &str = ringfence_artifacts::TOOL_ECHO;
const FILES: &str = ringfence_artifacts::TOOL_FILES;
const LINES: &str = ringfence_artifacts::TOOL_LINES;
const TABLE: &str = ringfence_artifacts::TOOL_TABLE;

/// A preview-1 program: copies standard input to standard output, byte for byte.
const CAT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (loop $more
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 1024))
            (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then return))
            (if (i32.eqz (i32.load (i32.const 8))) (then return))
            (i32.store (i32.const 4) (i32.load (i32.const 8)))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
            (br $more))))"#;

mod files {
    use super::*;

    fn setup() -> (Home, String) {
        let home = Home::new();
        home.file("docs/b.txt", "second\n");
        home.file("docs/a.txt", "first\nälteste\n");
        home.file("docs/sub/c.md", "# third\nfirst again\n");
        home.file("docs/binary", [0xff, 0xfe, 0x00]);
        std::os::unix::fs::symlink("a.txt", home.folder("docs").join("link")).expect("a link");
        let dir = format!("{}::/docs", home.folder("docs").display());
        (home, dir)
    }

    fn call(home: &Home, dir: &str, function: &str, input: &Value) -> (i32, Value) {
        let (ran, value) = home.call(FILES, &[function, "--dir", dir, "--input", &input.to_string()]);
        let outcome = &value["outcome"];
        (ran.code, if ran.code == 0 { outcome["value"].clone() } else { outcome["error"]["value"].clone() })
    }

    #[test]
    fn folder_is_listed_in_order() {
        let (home, dir) = setup();
        let (code, value) = call(&home, &dir, "list", &json!({ "path": "/docs" }));
        assert_eq!(code, 0);
        let wanted = json!([
            { "name": "a.txt", "kind": "file", "size": 15 },
            { "name": "b.txt", "kind": "file", "size": 7 },
            { "name": "binary", "kind": "file", "size": 3 },
            { "name": "link", "kind": "link", "size": 0 },
            { "name": "sub", "kind": "folder", "size": 0 },
        ]);
        assert_eq!(value, wanted);
    }

    #[test]
    fn file_is_read_whole() {
        let (home, dir) = setup();
        for path in ["/docs/a.txt", "/docs/link", "/docs/./sub/../a.txt"] {
            assert_eq!(call(&home, &dir, "read", &json!({ "path": path })), (0, "first\nälteste\n".into()));
        }
        home.file("docs/full", "x".repeat(1 << 20));
        let (code, value) = call(&home, &dir, "read", &json!({ "path": "/docs/full" }));
        assert_eq!((code, value.as_str().map(str::len)), (0, Some(1 << 20)));
        home.file("docs/more", "x".repeat((1 << 20) + 1));
        let wanted = json!({ "too-large": (1 << 20) + 1 });
        assert_eq!(call(&home, &dir, "read", &json!({ "path": "/docs/more" })), (4, wanted));
    }

    #[test]
    fn stat_tells_kind_size_and_time() {
        let (home, dir) = setup();
        let file = std::fs::File::options().write(true).open(home.folder("docs").join("a.txt")).expect("the file");
        file.set_modified(UNIX_EPOCH + Duration::from_millis(1_234_567_890_123)).expect("a time");
        let wanted = json!({ "kind": "file", "size": 15, "modified-ms": 1_234_567_890_123_u64 });
        assert_eq!(call(&home, &dir, "stat", &json!({ "path": "/docs/link" })), (0, wanted));
        let (_, folder) = call(&home, &dir, "stat", &json!({ "path": "/docs/sub" }));
        assert_eq!((&folder["kind"], &folder["size"]), (&"folder".into(), &0.into()));
    }

    #[test]
    fn what_goes_wrong_is_an_error_value() {
        let (home, dir) = setup();
        for (function, path, wanted) in [
            ("read", "/docs/none", json!({ "not-found": "/docs/none" })),
            ("list", "/docs/none", json!({ "not-found": "/docs/none" })),
            ("stat", "/docs/none/deeper", json!({ "not-found": "/docs/none/deeper" })),
            ("read", "/docs/sub", json!({ "wrong-kind": "/docs/sub" })),
            ("list", "/docs/a.txt", json!({ "wrong-kind": "/docs/a.txt" })),
            ("read", "/docs/binary", json!({ "not-text": "/docs/binary" })),
            ("read", "/etc/passwd", json!({ "not-permitted": "/etc/passwd" })),
            ("read", "/docs/../../etc/passwd", json!({ "not-permitted": "/docs/../../etc/passwd" })),
            ("list", "/", json!({ "not-permitted": "/" })),
        ] {
            assert_eq!(call(&home, &dir, function, &json!({ "path": path })), (4, wanted), "{function} {path}");
        }
        let grep = json!({ "path": "/docs", "pattern": "(" });
        let (code, value) = call(&home, &dir, "grep", &grep);
        assert!(code == 4 && value["bad-pattern"].is_string(), "{value}");
        home.is_well();
    }

    #[test]
    fn writing_replaces_and_counts_bytes() {
        let (home, dir) = setup();
        let dir = format!("{dir}:rw");
        let write = |path: &str, content: &str| {
            let input = json!({ "path": path, "content": content }).to_string();
            let (ran, value) = home.call(FILES, &["write", "--ring", "2", "--dir", &dir, "--input", &input]);
            (ran.code, value["outcome"].clone())
        };
        let on_disk = |name: &str| std::fs::read(home.folder("docs").join(name)).expect("the file");
        for (path, content) in [("/docs/a.txt", "é"), ("/docs/new", "a\u{0}b"), ("/docs/sub/empty", "")] {
            let (code, outcome) = write(path, content);
            assert_eq!((code, &outcome["value"]), (0, &content.len().into()));
            assert_eq!(on_disk(path.trim_start_matches("/docs/")), content.as_bytes());
        }
        assert_eq!(write("/docs/sub", "x").1["error"]["value"], json!({ "wrong-kind": "/docs/sub" }));
        assert_eq!(write("/docs/none/x", "x").1["error"]["value"], json!({ "not-found": "/docs/none/x" }));
        assert_eq!(write("/tmp/x", "x").1["error"]["value"], json!({ "not-permitted": "/tmp/x" }));
        home.is_well();
    }

    /// Lines that hold `needle` in the files under `folder`, by walking it in plain Rust.
    fn matching(folder: &Path, guest: &str, needle: &str, found: &mut Vec<(String, usize)>) {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        entries.sort();
        for path in entries {
            let below = format!("{guest}/{}", path.file_name().expect("a name").to_string_lossy());
            if path.is_dir() {
                matching(&path, &below, needle, found);
            } else {
                let text = std::fs::read_to_string(&path).expect("text");
                let lines = text.lines().enumerate().filter(|(_, line)| line.contains(needle));
                found.extend(lines.map(|(index, _)| (below.clone(), index + 1)));
            }
        }
    }

    #[test]
    fn grep_finds_what_is_there() {
        // Real text: the WIT packages of this repository.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit").canonicalize().expect("the folder");
        let mut wanted = Vec::new();
        matching(&folder, "/wit", "interface ", &mut wanted);
        assert!(wanted.len() > 20, "{wanted:?}");
        let home = Home::new();
        let dir = format!("{}::/wit", folder.display());
        let input = json!({ "path": "/wit", "pattern": "interface " });
        let (code, value) = call(&home, &dir, "grep", &input);
        assert_eq!((code, &value["truncated"], &value["skipped"]), (0, &false.into(), &0.into()));
        let place = |found: &Value| {
            let line = usize::try_from(found["line"].as_u64().expect("a line")).expect("a line");
            (found["path"].as_str().expect("a path").to_owned(), line)
        };
        let found: Vec<_> = value["found"].as_array().expect("lines").iter().map(place).collect();
        assert_eq!(found, wanted);

        let input = json!({ "path": "/wit", "pattern": "^package ringfence:(tool|policy)@\\d" });
        let (_, value) = call(&home, &dir, "grep", &input);
        assert_eq!(value["found"].as_array().expect("lines").len(), 2);
    }

    #[test]
    fn grep_skips_binary_and_follows_no_link() {
        let (home, dir) = setup();
        let (_, value) = call(&home, &dir, "grep", &json!({ "path": "/docs", "pattern": "first" }));
        let wanted = json!([
            { "path": "/docs/a.txt", "line": 1, "text": "first" },
            { "path": "/docs/sub/c.md", "line": 2, "text": "first again" },
        ]);
        assert_eq!((&value["found"], &value["files"], &value["skipped"]), (&wanted, &3.into(), &1.into()));
    }
}

mod table {
    use super::*;

    const CSV: &str = "city,state,people\n\"Berlin, Mitte\",BE,10\nKöln,NW,20\nBonn,NW,3\n\"Ü\"\"x\"\"\n\",NW,7\n";

    fn call(home: &Home, function: &str, input: &Value) -> (i32, Value) {
        let dir = format!("{}::/data:ro", home.folder("data").display());
        let (ran, value) = home.call(TABLE, &[function, "--dir", &dir, "--input", &input.to_string()]);
        (ran.code, value["outcome"].clone())
    }

    #[test]
    fn questions_have_known_answers() {
        let home = Home::new();
        home.file("data/t.csv", CSV);
        let column = |name: &str| json!({ "path": "/data/t.csv", "column": name });
        for (function, input, wanted) in [
            ("count", json!({ "path": "/data/t.csv" }), json!({ "rows": 4, "columns": ["city", "state", "people"] })),
            (
                "group-by",
                column("state"),
                json!({ "groups": [{ "value": "BE", "rows": 1 }, { "value": "NW", "rows": 3 }] }),
            ),
            ("mean", column("people"), json!({ "mean": 10, "rows": 4 })),
            (
                "quantiles",
                json!({ "path": "/data/t.csv", "column": "people", "q": [0.5, 0, 1, 0.25] }),
                json!({ "rows": 4, "quantiles": [
                    { "q": 0.5, "value": 8.5 }, { "q": 0, "value": 3 },
                    { "q": 1, "value": 20 }, { "q": 0.25, "value": 6 },
                ]}),
            ),
        ] {
            let (code, outcome) = call(&home, function, &input);
            assert_eq!((code, &outcome["value"]), (0, &wanted), "{function}");
        }
        home.is_well();
    }

    #[test]
    fn question_that_makes_no_sense_is_a_tool_error() {
        let home = Home::new();
        home.file("data/t.csv", CSV);
        home.file("data/none.csv", "a\n");
        home.file("data/ragged.csv", "a,b\n1\n");
        let asked = |file: &str, column: &str| json!({ "path": format!("/data/{file}"), "column": column });
        for (input, kind, says) in [
            (asked("t.csv", "height"), "invalid-input", "no column `height`, only `city`, `state`, `people`"),
            (asked("t.csv", "city"), "invalid-input", "not a number"),
            (asked("none.csv", "a"), "invalid-input", "no rows"),
            (asked("ragged.csv", "a"), "invalid-input", "not a table"),
            (asked("missing.csv", "a"), "unavailable", "there is no file"),
        ] {
            let (code, outcome) = call(&home, "mean", &input);
            assert_eq!((code, &outcome["kind"]), (4, &"tool_error".into()), "{outcome}");
            let text = outcome["error"]["value"][kind].as_str().unwrap_or_else(|| panic!("{outcome}"));
            assert!(text.contains(says), "{text}");
        }
        let outside = json!({ "path": "/etc/passwd" });
        assert!(call(&home, "count", &outside).1["error"]["value"]["unavailable"].is_string());
    }

    #[test]
    fn input_is_held_to_the_tools_schema() {
        // POL-10: the tool is not started.
        let home = Home::new();
        home.file("data/t.csv", CSV);
        let many = vec![0.5; 101];
        for (function, input) in [
            ("count", json!({})),
            ("count", json!({ "path": 1 })),
            ("count", json!({ "path": "/data/t.csv", "limit": 1 })),
            ("count", json!([])),
            ("mean", json!({ "path": "/data/t.csv" })),
            ("quantiles", json!({ "path": "/data/t.csv", "column": "people", "q": [] })),
            ("quantiles", json!({ "path": "/data/t.csv", "column": "people", "q": [1.5] })),
            ("quantiles", json!({ "path": "/data/t.csv", "column": "people", "q": 0.5 })),
            ("quantiles", json!({ "path": "/data/t.csv", "column": "people", "q": many })),
        ] {
            let (code, outcome) = call(&home, function, &input);
            assert_eq!((code, &outcome["error"]["code"]), (2, &"caller.bad-input".into()), "{input}");
        }
        assert!(home.entries()[1..].iter().all(|entry| entry["kind"] == "refused"));
        home.is_well();
    }
}

mod commands {
    use super::*;

    #[test]
    fn arguments_follow_the_dashes() {
        let home = Home::new();
        home.file("docs/a.txt", "one two\nthree\n");
        home.file("docs/b c.txt", "four");
        let dir = format!("{}::/docs", home.folder("docs").display());
        let (ran, value) = home.call(LINES, &["--dir", &dir, "--", "/docs/a.txt", "/docs/b c.txt"]);
        ran.code(0);
        let wanted = "2 3 14 /docs/a.txt\n0 1 4 /docs/b c.txt\n2 4 18 total\n";
        assert_eq!((&value["outcome"]["stdout"], &value["outcome"]["stderr"]), (&wanted.into(), &"".into()));
        assert_eq!((&value["outcome"]["exit_code"], &value["outcome"]["value"]), (&0.into(), &Value::Null));
        let ran = home.run(["run", LINES, "--dir", &dir, "--", "-n", "/docs/a.txt"]);
        assert_eq!(ran.code(0).text(), "2 /docs/a.txt\n");
        // What looks like an option of ours is the tool's, behind the dashes.
        let (ran, value) = home.call(LINES, &["--", "--ring"]);
        ran.code(4);
        let stderr = value["outcome"]["stderr"].as_str().expect("text");
        assert!(stderr.contains("unknown option --ring"), "{stderr}");
    }

    #[test]
    fn standard_input_comes_from_a_file_or_a_pipe() {
        let home = Home::new();
        let file = home.file("in.txt", "a b c\nd\n").display().to_string();
        assert_eq!(home.run(["run", LINES, "--stdin", &file]).code(0).text(), "2 4 8\n");
        let piped = home.run_with_stdin(["run", LINES, "--stdin", "-"], b"x\ny\nz");
        assert_eq!(piped.code(0).text(), "2 3 5\n");
        // Nothing is inherited: without `--stdin` there is nothing to read.
        let piped = home.run_with_stdin(["run", LINES], b"secret\n");
        assert_eq!(piped.code(0).text(), "0 0 0\n");
        home.run(["run", LINES, "--stdin", "/nowhere"]).code(1);
    }

    #[test]
    fn failing_command_says_so() {
        let home = Home::new();
        home.file("docs/a.txt", "1\n");
        let dir = format!("{}::/docs", home.folder("docs").display());
        let (ran, value) = home.call(LINES, &["--dir", &dir, "--", "/docs/none", "/docs/a.txt"]);
        ran.code(4);
        let outcome = &value["outcome"];
        assert_eq!((&outcome["kind"], &outcome["exit_code"]), (&"tool_error".into(), &1.into()));
        assert_eq!(outcome["stdout"], "1 1 2 /docs/a.txt\n1 1 2 total\n");
        assert_eq!(outcome["error"]["code"], "tool.error");
        assert!(outcome["stderr"].as_str().expect("text").starts_with("lines: /docs/none: "));
        let ran = home.run(["run", LINES, "--dir", &dir, "--", "/docs/none"]);
        ran.code(4).says("lines: /docs/none: ").says("error: the tool exited with code 1");
    }

    #[test]
    fn command_takes_no_json() {
        let home = Home::new();
        home.run(["run", LINES, "--input", "{}"]).code(2).says("takes arguments and standard input");
        home.run(["run", ECHO, "nothing", "--", "x"]).code(2).says("takes JSON");
        home.run(["run", ECHO, "nothing", "--stdin", ECHO]).code(2).says("takes JSON");
    }

    #[test]
    fn bytes_pass_through_unchanged() {
        let home = Home::new();
        let cat = wasm(&home, "cat", CAT);
        let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        let ran = home.run_with_stdin(["run", &cat, "--stdin", "-"], &all);
        ran.code(0);
        assert!(ran.stdout == all, "{} bytes came back", ran.stdout.len());
        // Nothing is lost in JSON either: text as text, everything else as base64.
        for (input, wanted) in [
            (&b"plain \xc3\xa9\x1b[2J\0"[..], json!("plain é\u{1b}[2J\u{0}")),
            (b"\xff\x00\x01", json!({ "base64": "/wAB" })),
            (b"half of \xe2\x82", json!({ "base64": "aGFsZiBvZiDigg==" })),
            (b"", json!("")),
        ] {
            let value = home.run_with_stdin(["run", &cat, "--format", "json", "--stdin", "-"], input).json();
            assert_eq!(value["outcome"]["stdout"], wanted);
        }
        home.is_well();
    }
}
