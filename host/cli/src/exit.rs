//! Exit codes: each answers the question that was asked.

use std::io::Write as _;
use std::process::ExitCode;

use ringfence_model::outcome::one_line;

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

/// Has a panic say in one line that it is our bug, and end the command if it was in the first thread. It may also be a library's
/// answer to a machine that has no memory or no thread left, and then that is said (CR-29).
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let payload = info.payload_as_str().unwrap_or_default();
        let mut stderr = std::io::stderr();
        let exit = if is_want(payload) {
            let _ = writeln!(stderr, "error: no memory or no thread is left: {}", one_line(payload));
            let _ = writeln!(stderr, "hint: look at the limits of this process and its group, and at what else runs");
            Exit::Environment
        } else {
            let _ = writeln!(stderr, "error: a bug in ringfence stopped the command{place}");
            let _ = writeln!(stderr, "hint: please report it, with what you were doing");
            Exit::Internal
        };
        // What unwinds from here waits for threads that nobody has told to end. The log needs no farewell.
        if std::thread::current().name() == Some("main") {
            std::process::exit(exit.code().into());
        }
    }));
}

/// Whether a panic says that the system refused memory or a thread: `EAGAIN` or `ENOMEM`, as errors are shown or debugged.
fn is_want(payload: &str) -> bool {
    ["(os error 11)", "(os error 12)", "code: 11,", "code: 12,"].iter().any(|sign| payload.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_is_told_from_bugs() {
        // CR-29
        let no_thread = "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)";
        let no_stack = "failed to allocate: Os { code: 12, kind: OutOfMemory, message: \"Cannot allocate memory\" }";
        for (payload, is) in [(no_thread, true), (no_stack, true), ("index out of bounds", false), ("", false)] {
            assert_eq!(is_want(payload), is, "{payload}");
        }
    }
}
