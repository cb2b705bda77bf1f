//! What went wrong with a command, and the way out: hints are written in this module and nowhere else.
//!
//! Libraries say what is wrong; here it gets an exit code, a stable code and hints. Messages are one line, lower-case,
//! without a final period, values in backticks.

mod call;
mod control;
mod home;
mod layers;
mod log;
mod policy;
mod serve;
mod tool;

use std::io;
use std::path::Path;

use ringfence_model::outcome::one_line;

use crate::exit::Exit;

pub use call::RingKey;
pub use call::denial_hints;
pub use layers::Reached;
pub use layers::reached_hints;
pub use log::memory_log_hints;
pub use serve::nothing_offered_hints;
pub use tool::grant_hints;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct CommandError {
    pub exit: Exit,
    /// A stable code for programs.
    pub code: &'static str,
    /// One line for people.
    pub message: String,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl CommandError {
    pub fn environment(message: impl Into<String>) -> Self {
        Self { exit: Exit::Environment, code: "host.environment", message: message.into(), hints: Vec::new() }
    }

    pub fn command_line(message: impl Into<String>) -> Self {
        Self { exit: Exit::CommandLine, code: "caller.command-line", message: message.into(), hints: Vec::new() }
    }

    pub fn evidence(message: impl Into<String>) -> Self {
        Self { exit: Exit::Evidence, code: "audit.evidence", message: message.into(), hints: Vec::new() }
    }

    /// The policies, or who was asked, say no.
    pub fn denied(code: &'static str, message: &str) -> Self {
        Self { exit: Exit::Denied, code, message: one_line(message), hints: Vec::new() }
    }

    /// A file that can't be read or written.
    pub fn file(path: &Path, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "check the path: a relative one starts at the folder this command is run in",
            _ => "check what the path leads to, and who may read and write it",
        };
        Self::environment(format!("`{}` can't be used: {error}", path.display())).hint(hint)
    }

    /// A path that can't be written into a configuration or a grant.
    pub fn not_text(path: &Path) -> Self {
        Self::environment(format!("`{}` is not a path of Unicode text", path.display()))
            .hint("use a path whose every part is text")
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
