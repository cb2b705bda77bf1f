//! Computes for ever: only an interruption from outside ends it (RES-01).

use std::hint::black_box;
use std::process::ExitCode;

use hostile::{control, is_control};

/// What the permitted twin does: a moment's work.
const CONTROL_TURNS: u64 = 1_000;

fn main() -> ExitCode {
    if is_control() {
        return control(Ok::<_, ()>((0..CONTROL_TURNS).map(black_box).sum::<u64>()));
    }
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns).wrapping_add(1);
    }
}
