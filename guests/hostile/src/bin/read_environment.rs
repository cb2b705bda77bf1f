//! Prints everything it can learn about where it runs: environment, arguments, current folder, and files that would
//! tell more (FS-02). Each argument is the name of an environment variable that was granted; any other is an escape.

use std::env;
use std::fs;
use std::process::ExitCode;

use hostile::{Attempts, control, is_control};

const TELLING: [&str; 8] = [
    "/proc/self/environ",
    "/proc/self/cmdline",
    "/proc/self/maps",
    "/proc/1/environ",
    "/etc/hostname",
    "/etc/passwd",
    "/sys/class/net",
    "/dev/random",
];

fn main() -> ExitCode {
    for (index, argument) in env::args().enumerate() {
        println!("argument {index}: {argument}");
    }
    for (name, value) in env::vars() {
        println!("variable {name}: {value}");
    }
    println!("folder: {:?}", env::current_dir());
    if is_control() {
        return control(Ok::<_, ()>(()));
    }
    let mut attempts = Attempts::default();
    let granted: Vec<_> = env::args().skip(1).collect();
    for (name, _) in env::vars().filter(|(name, _)| !granted.contains(name)) {
        attempts.escaped(&format!("environment variable {name}"));
    }
    for path in TELLING {
        attempts.refused(&format!("read {path}"), fs::read(path));
        attempts.refused(&format!("list {path}"), fs::read_dir(path));
    }
    attempts.finish()
}
