//! Reads answers to their end, though they have none or one that is far away, and says as it goes how much there was
//! (NET-19). The arguments are granted URLs.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::{Outcome, Request};

/// How often it says how much it has read.
const REPORT_BYTES: usize = 1024 * 1024;

fn main() -> ExitCode {
    if is_control() {
        return control(targets().iter().try_for_each(|url| read(url).map(drop)));
    }
    let mut attempts = Attempts::default();
    for url in targets() {
        attempts.refused(&format!("read {url}"), read(&url));
    }
    attempts.finish()
}

fn read(url: &str) -> Outcome<usize> {
    let mut body = Request::get(url).send()?.body()?;
    let (mut bytes, mut reported) = (0, 0);
    while let Some(part) = body.read()? {
        bytes += part.len();
        if bytes >= reported + REPORT_BYTES {
            reported = bytes;
            println!("reached: {bytes} bytes of {url}");
        }
    }
    println!("read: {bytes} bytes of {url}");
    Ok(bytes)
}
