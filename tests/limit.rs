//! What hostile guests try with memory, time, fuel, stack and output, and where they end.

use std::time::Duration;
use std::time::Instant;

use crate::harness::Home;
use crate::harness::LATE_MAX;

#[test]
fn probe() {
    let home = Home::new();
    let body = |core: &str| {
        format!(
            r#"(component
              (import "wasi:random/random@0.2.0" (instance $random
                (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
              (core module $memory (memory (export "memory") 3200)
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
    };
    for (name, core) in [
        ("fill", "(loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 200000000)) (br $l))"),
        ("copy", "(loop $l (memory.copy (i32.const 0) (i32.const 7) (i32.const 200000000)) (br $l))"),
        ("random", "(loop $l (call $bytes (i64.const 65536) (i32.const 0)) (br $l))"),
        ("table", "(loop $l (table.fill $t (i32.const 0) (ref.null func) (i32.const 90000)) (br $l))"),
    ] {
        let file = home.component(name, &body(core));
        let started = Instant::now();
        let (ran, value) = home.attack(&file, &["--timeout", "1", "--fuel", "50000000"]);
        println!("{name} peak {} {:?} {} {} {}", ran.peak_kib, started.elapsed(), ran.code, value["outcome"], ran.stderr);
        println!("{}", home.ending(&value)["body"]["used"]);
    }
    let _ = (LATE_MAX, Duration::ZERO);
}
