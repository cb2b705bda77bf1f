//! Imports: WASI that exists and fits links, all else is refused by name, however deep it is nested.

use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::tools::does_not_load;
use crate::harness::tools::function;
use crate::harness::tools::inspect;
use crate::harness::tools::wasm;

/// A component that needs `import` for nothing, and exports a function `f`.
fn needing(import: &str) -> String {
    format!(
        r#"(component
            {import}
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func (export "f") (canon lift (core func $i "f"))))"#
    )
}

#[test]
fn import_outside_wasi_is_named() {
    let scratch = Home::new();
    for import in ["env", "acme:tools/secrets@1.0.0", "wasi-evil:filesystem/types@0.2.0", "ringfence:tool/tool@0.1.0"] {
        let wat = needing(&format!(r#"(import "{import}" (instance (export "g" (func))))"#));
        does_not_load(&wasm(&scratch, "needy", &wat), &[&format!("imports `{import}`")]);
    }
}

#[test]
fn wasi_that_does_not_exist_is_named() {
    // CM-07: a version, an interface or a function that no host has.
    let scratch = Home::new();
    for (interface, item) in [
        ("wasi:filesystem/preopens@0.2.99", "get-directories-of-everybody"),
        ("wasi:filesystem/preopens@0.2.6", "get-directories-of-everybody"),
        ("wasi:filesystem/preopens@0.3.0", "get-directories"),
        ("wasi:filesystem/preopens@9.0.0", "get-directories"),
        ("wasi:filesystem/backdoor@0.2.6", "open"),
        ("wasi:cli/run@0.2.6", "run"),
    ] {
        let wat = needing(&format!(r#"(import "{interface}" (instance (export "{item}" (func))))"#));
        does_not_load(&wasm(&scratch, "needy", &wat), &["`needy` can't be linked: the component's imports don't fit"]);
    }
}

#[test]
fn wasi_of_another_type_is_refused() {
    // CM-07: the right name with the wrong type.
    let scratch = Home::new();
    let wat =
        needing(r#"(import "wasi:random/random@0.2.6" (instance (export "get-random-u64" (func (result string)))))"#);
    does_not_load(&wasm(&scratch, "needy", &wat), &["`needy` can't be linked: the component's imports don't fit"]);
}

#[test]
fn older_and_newer_patch_versions_link() {
    // The positive control: 0.2.x is compatible as long as every item fits.
    let home = Home::new();
    for version in ["0.2.0", "0.2.6", "0.2.12", "0.2.99"] {
        let wat = needing(&format!(
            r#"(import "wasi:random/random@{version}" (instance (export "get-random-u64" (func (result u64)))))"#
        ));
        home.call(&wasm(&home, "needy", &wat), &["f"]).0.code(0);
    }
}

#[test]
fn streams_and_futures_are_refused_by_name() {
    // CM-06
    let scratch = Home::new();
    for (ty, word) in [("(stream u8)", "stream"), ("(future u8)", "future"), ("error-context", "error-context")] {
        let wat = format!(
            r#"(component
                (type $t {ty})
                (core module $m (func (export "f") (param i32)))
                (core instance $i (instantiate $m))
                (func (export "f") (param "x" $t) (canon lift (core func $i "f"))))"#
        );
        does_not_load(&wasm(&scratch, "odd", &wat), &["`odd` is not a component", word]);
    }
    let wat = r#"(component
        (core module $m (func (export "f") (result i32) i32.const 0)
            (func (export "cb") (param i32 i32 i32) (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func (export "f") async (canon lift (core func $i "f") async (callback (core func $i "cb")))))"#;
    does_not_load(&wasm(&scratch, "lifted", wat), &["`lifted` is not a component", "async"]);
}

#[test]
fn resource_in_a_signature_is_listed_as_out_of_reach() {
    let home = Home::new();
    let tool = wasm(
        &home,
        "handles",
        r#"(component
            (type $r' (resource (rep i32)))
            (export $r "thing" (type $r'))
            (core module $m (func (export "make") (result i32) i32.const 1) (func (export "ok") (result i32) i32.const 7))
            (core instance $i (instantiate $m))
            (func (export "make") (result (own $r)) (canon lift (core func $i "make")))
            (func (export "ok") (result u32) (canon lift (core func $i "ok"))))"#,
    );
    let shown = inspect(&home, &tool);
    assert!(function(&shown, "make")["unsupported"].is_string(), "{shown:#}");
    assert_eq!(function(&shown, "ok")["unsupported"], Value::Null);
    home.run(["run", &tool, "make"]).code(2).says("`make` can't be called from outside");
    assert_eq!(home.call(&tool, &["ok"]).1["outcome"]["value"], 7);
}

#[test]
fn imports_are_those_of_the_whole_graph() {
    // CM-08, ART-10: what is nested and passed on is an import all the same; what a sibling supplies is none.
    let home = Home::new();
    home.configure("[rings.3]\nimports = \"strict\"\n");
    let nested = |supplier: &str, given: &str| {
        format!(
            r#"(component
              {supplier}
              (component $inner
                (import "wasi:sockets/door@0.2.0" (instance $door (export "open" (func (result u32)))))
                (core func $open (canon lower (func $door "open")))
                (core module $m (import "" "open" (func $open (result i32))) (func (export "f") (result i32) (call $open)))
                (core instance $i (instantiate $m (with "" (instance (export "open" (func $open))))))
                (func (export "f") (result u32) (canon lift (core func $i "f"))))
              (instance $made (instantiate $inner (with "wasi:sockets/door@0.2.0" (instance {given}))))
              (export "f" (func $made "f")))"#
        )
    };
    let passed_on = r#"(import "evil:host/door@1.0.0" (instance $door (export "open" (func (result u32)))))"#;
    let file = home.component("passed-on", &nested(passed_on, "$door"));
    home.run(["run", &file]).code(1).fails_well().says("evil:host/door@1.0.0");
    let sibling = r#"(component $fake
        (core module $m (func (export "open") (result i32) (i32.const 7)))
        (core instance $i (instantiate $m))
        (func $open (result u32) (canon lift (core func $i "open")))
        (export "open" (func $open)))
      (instance $door (instantiate $fake))"#;
    let file = home.component("supplied", &nested(sibling, "$door"));
    assert_eq!(home.run(["inspect", &file, "--format", "json"]).code(0).json()["imports"], json!([]));
    assert_eq!(home.run(["run", &file, "--format", "json"]).code(0).json()["outcome"]["value"], 7);
}
