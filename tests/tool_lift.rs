//! Modules for WASI preview 1 are lifted to components and run; what is no program is named for what it is.

use crate::harness::Home;
use crate::harness::tools::HELLO;
use crate::harness::tools::does_not_load;
use crate::harness::tools::inspect;
use crate::harness::tools::names;
use crate::harness::tools::sha256sum;
use crate::harness::tools::wasm;

const ECHO: &str = ringfence_artifacts::TOOL_ECHO;

#[test]
fn preview_one_program_is_lifted_and_runs() {
    let home = Home::new();
    let hello = wasm(&home, "hello", HELLO);
    let shown = inspect(&home, &hello);
    assert_eq!((&shown["lifted"], &shown["shape"]), (&true.into(), &"command".into()));
    assert_eq!((&shown["digest"], names(&shown)), (&sha256sum(&hello).into(), vec!["run"]));
    assert!(home.run(["inspect", &hello]).text().contains("command, lifted from a preview-1 core module"));
    let ran = home.run(["run", &hello]);
    ran.code(0);
    assert_eq!(ran.text(), "hello from preview 1\n");
    let (_, value) = home.call(&hello, &[]);
    assert_eq!((&value["outcome"]["stdout"], &value["outcome"]["exit_code"]), (&ran.text().into(), &0.into()));
    // What is pinned in the record is what was given, not what it was lifted to.
    assert_eq!(home.entries()[1]["body"]["tool"]["digest"], sha256sum(&hello));
    home.is_well();
}

#[test]
fn exit_code_of_a_lifted_program_is_zero_or_one() {
    let home = Home::new();
    for (code, wanted, exit) in [(0, 0, 0), (1, 1, 4), (42, 1, 4)] {
        let wat = format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1)
                (func (export "_start") (call $exit (i32.const {code}))))"#
        );
        let tool = wasm(&home, &format!("exit{code}"), &wat);
        let (ran, value) = home.call(&tool, &[]);
        ran.code(exit);
        assert_eq!(value["outcome"]["exit_code"], wanted, "{code}");
    }
}

#[test]
fn preview_one_library_is_named_for_what_it_is() {
    let scratch = Home::new();
    let library = wasm(
        &scratch,
        "library",
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "work") (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
    );
    does_not_load(&library, &["`library`", "nothing that can be called"]);
}

#[test]
fn module_of_another_world_is_named_for_what_it_is() {
    let scratch = Home::new();
    let foreign = r#"(module (import "env" "now" (func)) (memory (export "memory") 1) (func (export "_start")))"#;
    does_not_load(&wasm(&scratch, "foreign", foreign), &["core module that can't be lifted", "env"]);
    does_not_load(&scratch.file("text.wasm", "hello").display().to_string(), &["`text` is not a component"]);
    does_not_load(&scratch.file("none.wasm", "").display().to_string(), &["`none` is not a component"]);
    let cut = std::fs::read(ECHO).expect("the tool");
    let cut = scratch.file("cut.wasm", &cut[..cut.len() / 2]).display().to_string();
    does_not_load(&cut, &["`cut` is not a component"]);
    does_not_load(&scratch.folder("folder").display().to_string(), &["/folder`"]);
    does_not_load("/nowhere/tool.wasm", &["/nowhere/tool.wasm"]);
    does_not_load(&wasm(&scratch, "empty", "(component)"), &["exports nothing that can be called"]);
}
