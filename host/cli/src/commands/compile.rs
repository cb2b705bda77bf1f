//! `ringfence compile-component`: the compiler's process, and where the other commands find it.
//!
//! It has no home and reads no configuration: its limits stand on its command line.

use std::ffi::OsString;
use std::path::PathBuf;

use ringfence_model::digest::Digest;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::engine::child;
use ringfence_runtime::engine::child::Work;
use ringfence_runtime::engine::compiler::CompileLimits;
use ringfence_runtime::engine::compiler::Compiler;

use crate::args::COMPILE;
use crate::args::CompileArgs;
use crate::error::CommandError;

/// The program that runs now, by what the kernel holds: it is the same even when its file has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Compiles or lifts standard input to standard output, and ends the process: its exit code is a code of the compiler's.
pub fn run(args: &CompileArgs) -> ! {
    let limits = CompileLimits { memory_bytes: args.memory_bytes, cpu_seconds: args.cpu_seconds, wall_ms: u64::MAX };
    let work = if args.lift { Work::Lift } else { Work::Compile };
    std::process::exit(i32::from(child::serve(work, &limits).code()))
}

/// The door to that command.
pub fn compiler(limits: CompileLimits) -> Compiler {
    Compiler::new(PathBuf::from(THIS_PROGRAM), vec![OsString::from(COMPILE)], limits)
}

/// Compiles the smallest component there is.
pub fn try_out(limits: CompileLimits) -> Result<(), CommandError> {
    let smallest = b"\0asm\x0d\0\x01\0";
    let engine = engine()?.with_compiler(compiler(limits));
    engine.compile(&Digest::of(smallest), smallest).map(drop).map_err(|error| CommandError::compile(&error, &error))
}

/// An engine without a home: it keeps nothing of what it compiles.
pub fn engine_without_home() -> Result<Engine, CommandError> {
    Ok(engine()?.with_compiler(compiler(CompileLimits::default())))
}

fn engine() -> Result<Engine, CommandError> {
    Engine::new().map_err(|error| CommandError::environment(error.to_string()))
}
