//! Exit codes: each answers the question that was asked.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `verify`: intact.
    Done,
    /// The operator's configuration or the environment: config, disk, key, a file that is no component.
    Environment,
    /// The command line, and what stands on it: an unknown flag, an unknown function, an input that does not fit.
    CommandLine,
    /// Denied: a policy, a ring, a layer of the grant, an idempotency key.
    Denied,
    /// The tool failed: an error, a trap, a limit, a bad value.
    ToolFailed,
    /// Evidence does not verify.
    Evidence,
    /// Our bug.
    Internal,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Environment => 1,
            Self::CommandLine => 2,
            Self::Denied => 3,
            Self::ToolFailed => 4,
            Self::Evidence => 5,
            Self::Internal => 255,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Runs the command; a panic is our bug, and says so in one line instead of a backtrace.
pub fn catch_panics(run: impl FnOnce() -> Exit) -> Option<Exit> {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "error: a bug in ringfence stopped the command{place}");
        let _ = writeln!(stderr, "hint: please report it, with what you were doing");
    }));
    std::panic::catch_unwind(AssertUnwindSafe(run)).ok()
}
