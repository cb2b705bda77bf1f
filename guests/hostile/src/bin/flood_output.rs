//! Prints without end, on standard output or, with the argument `stderr`, on standard error (OUT-01, HOST-06). It is
//! contained when writing fails or the program is ended.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use hostile::{control, is_control};

const LINE: &[u8] = b"the quick brown fox jumps over the lazy dog and is not done yet\n";
const LINES_AT_ONCE: usize = 1024;

fn main() -> ExitCode {
    if is_control() {
        return control(io::stdout().write_all(LINE));
    }
    let block = LINE.repeat(LINES_AT_ONCE);
    let to_stderr = env::args().nth(1).is_some_and(|argument| argument == "stderr");
    let error = if to_stderr { flood(&mut io::stderr(), &block) } else { flood(&mut io::stdout(), &block) };
    // One of the two can still be written to; if not, the exit code says it.
    let message = format!("contained: print without end: {error}\n");
    let _ = io::stdout().write_all(message.as_bytes());
    let _ = io::stderr().write_all(message.as_bytes());
    ExitCode::SUCCESS
}

fn flood(stream: &mut dyn Write, block: &[u8]) -> io::Error {
    loop {
        if let Err(error) = stream.write_all(block) {
            return error;
        }
    }
}
