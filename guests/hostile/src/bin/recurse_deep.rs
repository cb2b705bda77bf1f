//! Calls itself until the stack is used up: the guest has to trap, the host must not notice (RES-02).

use std::hint::black_box;
use std::process::ExitCode;

use hostile::{control, is_control};

/// What the permitted twin does.
const CONTROL_DEPTH: u64 = 100;

fn main() -> ExitCode {
    if is_control() {
        return control(Ok::<_, ()>(descend(CONTROL_DEPTH)));
    }
    println!("escaped: came back from {}", descend(u64::MAX));
    ExitCode::FAILURE
}

/// Goes as many calls deep as asked; each waits for the next, so none can be turned into a loop.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    if depth == 0 {
        return 0;
    }
    let next: fn(u64) -> u64 = black_box(descend);
    black_box(next(depth - 1)).wrapping_mul(31).wrapping_add(depth)
}
