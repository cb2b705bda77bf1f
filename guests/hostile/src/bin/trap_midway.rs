//! Prints, writes a file in `/work` if that was granted, and traps: what it did before must be on record, and nothing
//! of the instance may live on (CM-05).

use std::fs;
use std::process::ExitCode;

use hostile::{control, is_control};

fn main() -> ExitCode {
    println!("started");
    match fs::write("/work/half-done", "written before the trap") {
        Ok(()) => println!("written: /work/half-done"),
        Err(error) => println!("not written: {error}"),
    }
    if is_control() {
        return control(Ok::<_, ()>(()));
    }
    core::arch::wasm32::unreachable()
}
