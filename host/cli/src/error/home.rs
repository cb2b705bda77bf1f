//! The home: its files, its configuration, its backups, and where its log is kept.

use std::io;
use std::path::Path;

use ringfence_model::limits;
use ringfence_model::outcome::one_line;

use crate::config::ConfigError;
use crate::error::CommandError;
use crate::home::HomeError;

impl CommandError {
    /// Something stands where a home or a backup should go.
    pub fn place_is_taken(path: &Path) -> Self {
        Self::environment(format!("`{}` is there already", path.display()))
            .code("host.place-taken")
            .hint("nothing is overwritten: name another place, or move away what is there")
    }

    /// `--store` names no database.
    pub fn store_address(why: &str) -> Self {
        Self::command_line(format!("`--store` can't be used: {}", one_line(why)))
            .hint("`postgres://USER@HOST:PORT/DATABASE`; a password stands in a file (`--store-password-file`) or in RINGFENCE_STORE_PASSWORD")
    }

    /// `--head` names no database.
    pub fn head_address(why: &str) -> Self {
        Self::command_line(format!("`--head` can't be used: {}", one_line(why)))
            .hint("a file, or `postgres://USER@HOST:PORT/DATABASE`; a password stands in a file (`--head-password-file`) or in RINGFENCE_HEAD_PASSWORD")
    }

    /// Nothing can be run without a few file descriptors.
    pub fn no_descriptors(error: &io::Error) -> Self {
        Self::environment(format!("too few file descriptors are left to run anything: {error}"))
            .code("host.descriptors")
            .hint("let the process have more of them: `ulimit -n` says how many, and 256 are enough for a command")
    }

    /// A backup that is not what its list says.
    pub fn damaged_backup(from: &Path, why: &str) -> Self {
        Self::evidence(format!("the backup `{}` is damaged: {}", from.display(), one_line(why)))
            .code("audit.backup")
            .hint("take another backup; nothing was restored")
    }

    /// A home with more files than a backup may have.
    pub fn too_much_to_back_up(root: &Path) -> Self {
        Self::environment(format!("`{}` holds more than {} files", root.display(), limits::BACKUP_FILES_MAX))
            .code("host.backup")
            .hint("move what is no part of the home out of it")
    }
}

impl From<HomeError> for CommandError {
    fn from(error: HomeError) -> Self {
        let message = one_line(&error.to_string());
        match error {
            HomeError::NotInitialised(_) => Self::environment(message)
                .code("host.not-initialised")
                .hint("create one with `ringfence init`, or name one with `--home DIR`"),
            HomeError::AlreadyInitialised(_) => Self::environment(message)
                .code("host.already-initialised")
                .hint("use it, or name another with `--home DIR`"),
            HomeError::Exposed(_) => Self::environment(message)
                .code("host.key")
                .hint("a file like this is readable by its owner alone: `chmod 600` it, if nobody else can have read it"),
            HomeError::Key { .. } => Self::environment(message)
                .code("host.key")
                .hint("restore the key from a copy: the log goes on under the key that it names last"),
            HomeError::Config(_) => Self::environment(message)
                .code("host.config")
                .hint("docs/reference.toml shows every key with its default"),
            HomeError::HeadBesideLog(_) => Self::environment(message)
                .code("host.config")
                .hint("name a database for `[log] head` that nobody puts back together with the log's"),
            HomeError::LogInMemory(_) => Self::environment(message).code("host.log-in-memory").hint(
                "ask the server that has the log while it runs: `/v1/log/…`, `/v1/approvals`, `/v1/sessions`; or take `store = \"memory\"` \
                 out of `[log]`, and what is done from then on is kept",
            ),
            HomeError::HeadTaken(_) => Self::environment(message).code("host.log").hint(
                "it is another log's: leave it where it is, and give the new one another `--origin` or another head",
            ),
            HomeError::Ledger(error) => error.into(),
            HomeError::Sequencer(error) => error.into(),
            HomeError::File { .. } => Self::environment(message)
                .hint("check that it is there and who may use it; what is lost of a home comes back from a copy of it"),
            HomeError::Engine(_) => {
                Self::environment(message).hint("`ringfence doctor` looks at each part of this home")
            }
        }
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        HomeError::Config(error).into()
    }
}
