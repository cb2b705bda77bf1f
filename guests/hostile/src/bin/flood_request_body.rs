//! Sends a body without end, and says as it goes how much there was (NET-20). The argument is a granted URL, the server
//! of which reads everything, or nothing.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::{Fields, Outcome, Request};

/// More than anybody needs: ten gibibytes.
const UNLIMITED_PARTS: u64 = 10 * 1024;
/// How much is sent between two reports, in bytes.
const PART_BYTES: usize = 1024 * 1024;

fn main() -> ExitCode {
    let [url] = &targets()[..] else { return ExitCode::FAILURE };
    if is_control() {
        return control(flood(url, 1));
    }
    let mut attempts = Attempts::default();
    attempts.refused("send a body without end", flood(url, UNLIMITED_PARTS));
    attempts.finish()
}

fn flood(url: &str, parts: u64) -> Outcome<()> {
    let part = vec![b'x'; PART_BYTES];
    let mut sending = Request::post(url, b"").start(Fields::new())?;
    for sent in 0..parts {
        println!("reached: {sent} MiB");
        sending.write(&part)?;
    }
    sending.finish(&[])?.answer().map(drop)
}
