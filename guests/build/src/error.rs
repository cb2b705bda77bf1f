//! What can go wrong while guests are built, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why guests could not be built.
#[derive(Debug)]
pub enum GuestBuildError {
    /// A program that is part of the tool-chain reported a failure; its own messages came before.
    Failed {
        /// What it was to build.
        what: String,
    },
    /// A file could not be read or written.
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program of the tool-chain could not be started.
    NotStarted {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no `OUT_DIR`.
    NotABuildScript,
    /// Nothing is prepared, or not for this compiler.
    NotPrepared,
    /// The settings file of the tool-chain lacks an entry.
    SettingMissing {
        /// Its key.
        key: &'static str,
    },
}

impl GuestBuildError {
    /// What would help, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotPrepared | Self::NotStarted { .. } | Self::SettingMissing { .. } => Some("run `make setup`"),
            Self::Failed { .. } | Self::File { .. } | Self::NotABuildScript => None,
        }
    }
}

impl fmt::Display for GuestBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { what } => write!(f, "could not build {what}"),
            Self::File { path, source } => write!(f, "`{}`: {source}", path.display()),
            Self::NotStarted { program, source } => write!(f, "could not start `{program}`: {source}"),
            Self::NotABuildScript => write!(f, "guests are only built by build scripts"),
            Self::NotPrepared => write!(f, "the guest tool-chain is not prepared"),
            Self::SettingMissing { key } => write!(f, "the guest tool-chain's settings lack `{key}`"),
        }
    }
}

impl std::error::Error for GuestBuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::NotStarted { source, .. } => Some(source),
            _ => None,
        }
    }
}
