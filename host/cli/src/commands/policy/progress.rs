//! How far a long command has come, on standard error: nothing in the first second, then a line a second at most.

use std::time::Duration;
use std::time::Instant;

use crate::output::Output;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Says how far a command has come.
#[derive(Debug)]
pub(super) struct Progress {
    output: Output,
    next: Instant,
}

impl Progress {
    pub(super) fn new(output: Output) -> Self {
        Self { output, next: Instant::now() + PAUSE }
    }

    pub(super) fn tell(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + PAUSE;
            self.output.note(&text());
        }
    }
}
