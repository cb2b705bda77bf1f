//! What the hostile programs share: how they report, and the calls that Rust's library hides.
//!
//! A program prints `contained: WHAT: ERROR` for each attempt that was refused and `escaped: WHAT` for one that was
//! not; it fails when anything escaped. With the argument `control` it does the permitted twin instead, prints
//! `control: ok` and succeeds, so that a broken fixture can't pass for a contained one.

pub mod raw;

use std::env;
use std::fmt::{Debug, Display};
use std::process::ExitCode;

/// Whether the permitted twin was asked for.
pub fn is_control() -> bool {
    env::args().nth(1).is_some_and(|argument| argument == "control")
}

/// What the program is to try it on: its arguments, without the one that asks for the permitted twin.
pub fn targets() -> Vec<String> {
    env::args().skip(if is_control() { 2 } else { 1 }).collect()
}

/// Reports how the permitted twin went.
pub fn control<T, E: Debug>(result: Result<T, E>) -> ExitCode {
    match result {
        Ok(_) => {
            println!("control: ok");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("control: failed: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Attempts to get out, none of which may succeed.
#[derive(Default)]
pub struct Attempts {
    made: u32,
    escaped: u32,
}

impl Attempts {
    /// Reports an attempt: success is an escape.
    pub fn refused<T, E: Display>(&mut self, what: &str, result: Result<T, E>) {
        match result {
            Ok(_) => self.escaped(what),
            Err(error) => self.contained(what, &error.to_string()),
        }
    }

    /// Reports an attempt that came to nothing.
    pub fn contained(&mut self, what: &str, why: &str) {
        self.made += 1;
        println!("contained: {what}: {why}");
    }

    /// Reports an attempt that succeeded.
    pub fn escaped(&mut self, what: &str) {
        self.made += 1;
        self.escaped += 1;
        println!("escaped: {what}");
    }

    /// Fails where anything escaped, or where nothing was tried.
    pub fn finish(self) -> ExitCode {
        if self.escaped == 0 && self.made > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
