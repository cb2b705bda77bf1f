//! Tools that nobody built here: components and core modules written in WAT, so that no test needs a network, and what is
//! shown of them.

use std::process::Command;

use serde_json::Value;

use crate::harness::Home;

/// A preview-1 program: writes a line.
pub const HELLO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "hello from preview 1\n")
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 16))
        (i32.store (i32.const 4) (i32.const 21))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

pub fn wasm(home: &Home, name: &str, wat: &str) -> String {
    let bytes = wat::parse_str(wat).expect("wat");
    home.file(&format!("tools/{name}.wasm"), bytes).display().to_string()
}

pub fn inspect(home: &Home, tool: &str) -> Value {
    home.run(["inspect", tool, "--format", "json"]).code(0).json()
}

/// SHA-256 by a program that is not ours.
pub fn sha256sum(path: &str) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("`sha256sum` runs");
    let text = String::from_utf8(output.stdout).expect("text");
    format!("sha256:{}", text.split_whitespace().next().expect("a digest"))
}

pub fn names(inspected: &Value) -> Vec<&str> {
    let functions = inspected["functions"].as_array().expect("functions").iter();
    functions.map(|function| function["name"].as_str().expect("a name")).collect()
}

pub fn function<'a>(inspected: &'a Value, name: &str) -> &'a Value {
    let mut functions = inspected["functions"].as_array().expect("functions").iter();
    functions.find(|function| function["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {inspected:#}"))
}

/// A component or module that does not load: exit 1, a good error, and nothing in the log.
#[track_caller]
pub fn does_not_load(tool: &str, says: &[&str]) {
    let home = Home::new();
    for args in [&["inspect", tool][..], &["run", tool], &["run", tool, "f"]] {
        let ran = home.run(args);
        ran.code(1).fails_well();
        for text in says {
            ran.says(text);
        }
    }
    assert_eq!(home.entries().len(), 1);
    home.is_well();
}
