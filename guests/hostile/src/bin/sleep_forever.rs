//! Sleeps for centuries inside a host call, where neither fuel nor an epoch counts (RES-11).

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use hostile::{control, is_control};

/// Nearly as long as a 64-bit number of nanoseconds can say.
const CENTURIES: Duration = Duration::from_secs(500 * 365 * 24 * 60 * 60);

fn main() -> ExitCode {
    if is_control() {
        return control(Ok::<_, ()>(sleep(Duration::from_millis(1))));
    }
    loop {
        sleep(CENTURIES);
    }
}
