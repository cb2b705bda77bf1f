//! The `ringfence` command: parse, run, exit.

#![forbid(unsafe_code)]
#![expect(unreachable_pub, reason = "a binary has no public interface; `pub` marks what other modules use")]

mod args;
mod build;
mod commands;
mod config;
mod egress;
mod error;
mod exit;
mod files;
mod home;
mod log;
mod output;
mod policies;
mod published;
mod telemetry;
mod tls;
mod tokens;
mod tools;

use crate::args::Args;

fn main() -> std::process::ExitCode {
    exit::tell_panics();
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return output::Output::new(args::Format::Json).error(&error).into(),
    };
    let output = output::Output::new(args.format).with_notes(args.notes());
    let exit = commands::run(args, output).unwrap_or_else(|error| output.error(&error));
    output.finish(exit).into()
}
