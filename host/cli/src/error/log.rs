//! The log, and what is taken out of it: receipts, bundles, checkpoints, a published log.

use std::path::Path;

use ringfence_audit::bundle::BundleError;
use ringfence_audit::verify::Finding;
use ringfence_model::outcome::one_line;
use ringfence_runtime::ledger::LedgerError;
use ringfence_runtime::ledger::backend::BackendError;
use ringfence_runtime::sequencer::SequencerError;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::published::PublishedError;

impl CommandError {
    /// Bytes in the log that are no entry.
    pub fn no_entry(index: u64) -> Self {
        Self::evidence(format!("entry {index} of the log can't be read"))
            .code("audit.corrupt")
            .hint("`ringfence log verify` says everything that is wrong")
    }

    /// A receipt without anything to check it by.
    pub fn no_key() -> Self {
        Self::environment("there is no key to check the receipt by")
            .hint("pass the log's verifier key with `--key`; its operator has it from `ringfence init`")
    }

    /// An entry that is recorded, and not published yet.
    pub fn not_published(index: u64, size: u64) -> Self {
        Self::environment(format!("entry `{index}` is not published yet: what is there covers {size} entries"))
            .hint("`ringfence log publish` publishes it; until then the receipt stays pending")
    }

    /// A folder that no log is published in.
    pub fn no_checkpoint(folder: &Path) -> Self {
        Self::environment(format!("`{}` holds no published log: it has no `checkpoint`", folder.display()))
            .hint("`ringfence log publish --to DIR` publishes one; for an export, name its file")
    }

    /// A cosigned checkpoint that is not kept.
    pub fn cosignature(path: &Path, why: &str) -> Self {
        Self::evidence(format!("`{}` is not kept: {why}", path.display())).code("audit.cosignature").hint(
            "it is the checkpoint that `ringfence log checkpoint` printed, with a line more by a witness of the configuration",
        )
    }

    /// An old checkpoint that the log does not go on from.
    pub fn other_history(why: impl Into<String>) -> Self {
        Self::evidence(why).code("audit.history").hint(
            "keep that checkpoint: with the log's own it shows that there were two histories; `ringfence log verify --against` says more",
        )
    }

    /// A bundle of what is not in the log.
    pub fn nothing_to_bundle(what: &str) -> Self {
        Self::command_line(format!("the log has no entry of {what}"))
            .hint("`ringfence log show` lists entries with the calls they are of")
    }

    /// A bundle that can't be made.
    pub fn bundle(error: &BundleError) -> Self {
        let hint = match error {
            BundleError::TooLarge => {
                "leave the contents out with `--without-content`, or bundle less with `--from` and `--to`"
            }
            BundleError::TooManyEntries(_) => "bundle less at a time with `--from` and `--to`",
            BundleError::Entry(_) | BundleError::Json(_) => "`ringfence log verify` says what is wrong with the log",
        };
        Self::environment(one_line(&error.to_string())).code("host.bundle").hint(hint)
    }

    /// A bundle in a file that does not verify by itself.
    pub fn damaged_bundle(path: &Path, finding: Option<&Finding>) -> Self {
        let why = finding.map(ToString::to_string).unwrap_or_default();
        Self::evidence(format!("`{}` is no whole bundle: {}", path.display(), one_line(&why)))
            .hint("`ringfence-verify` says everything that is wrong with it")
    }

    /// A redaction of a call that does not say of what.
    pub fn nothing_to_redact() -> Self {
        Self::command_line("`--what` is missing: it says which contents of the call to remove")
            .hint("choose of `--what input,output,trace,request,grant,admission,reason`")
    }

    /// Nothing says what to prune.
    pub fn no_retention(config: &Path) -> Self {
        let mut error = Self::environment("every content is kept: there is no limit on their age or size")
            .code("host.retention")
            .hint(format!("set one in `{}`:", config.display()));
        error.hints.extend(["    [log.retention]".to_owned(), "    max-age-days = 90".to_owned()]);
        error
    }
}

impl From<LedgerError> for CommandError {
    fn from(error: LedgerError) -> Self {
        let message = one_line(&error.to_string());
        match &error {
            LedgerError::Corrupt { .. } => Self::evidence(message)
                .code("audit.corrupt")
                .hint("`ringfence log verify` says everything that is wrong; nothing runs until the log is whole"),
            LedgerError::Storage(BackendError::Corrupt(_)) => Self::evidence(message).code("audit.corrupt").hint(
                "restore the log from a copy, and keep this one as evidence; nothing runs until the log is whole",
            ),
            LedgerError::Storage(BackendError::InUse) => Self::environment(message)
                .code("host.log-in-use")
                .hint("wait until the other command has ended, or give each its own home with `--home DIR`"),
            LedgerError::Storage(BackendError::Fenced) | LedgerError::Stopped(BackendError::Fenced) => {
                Self::environment(message).code("host.log-taken-over").hint(
                    "`ringfence ledger list --unknown` shows what became of its calls; the next command starts anew",
                )
            }
            LedgerError::Storage(BackendError::Lost(_)) => Self::environment(message)
                .code("host.log-store")
                .hint("look after the server that `[log] store` names and the way to it, then try again"),
            LedgerError::Storage(BackendError::Unusable { path, .. }) if path.starts_with("postgres://") => {
                Self::environment(message).code("host.log-store").hint(
                    "look at `[log] store` and its password (`store-password-file`, or RINGFENCE_STORE_PASSWORD); a log that \
                     is there already is used by a home with its keys, and `ringfence init --store URL` makes one in another database",
                )
            }
            LedgerError::Storage(BackendError::Unusable { .. }) => Self::environment(message)
                .code("host.log")
                .hint("restore the log from a copy; `ringfence init` makes a new one in another home"),
            LedgerError::NotNew => Self::environment(message).code("host.log-store").hint(
                "a log that is there already is used by a home with its keys; `ringfence init --store URL` makes one in another database",
            ),
            LedgerError::Misuse(_) | LedgerError::Step { .. } => {
                Self { exit: Exit::Internal, ..Self::environment(message) }.code("internal.ledger")
            }
            _ => Self::environment(message)
                .code("host.log")
                .hint("nothing runs that can't be written down: free space, or make the home writable, and try again"),
        }
    }
}

impl From<SequencerError> for CommandError {
    fn from(error: SequencerError) -> Self {
        let message = one_line(&error.to_string());
        match error {
            SequencerError::Ledger(error) => error.into(),
            SequencerError::RolledBack { .. } | SequencerError::Forked { .. } | SequencerError::Tree(_) => {
                Self::evidence(message).code("audit.history").hint(
                    "restore the newest log; if entries are really lost, keep this home as evidence and start a new one",
                )
            }
            SequencerError::Sign(_) => Self::environment(message)
                .code("host.key")
                .hint("restore the key from a copy, or the newest log: it goes on under the key that it names last"),
            SequencerError::HeadFile { .. } => Self::environment(message)
                .code("host.log")
                .hint("make the head file readable and writable, or name another place with `[log] head`"),
            SequencerError::HeadStore { .. } => Self::environment(message).code("host.log-head").hint(
                "look after the database that `[log] head` names, the way to it and its password (`head-password-file`, or \
                 RINGFENCE_HEAD_PASSWORD); until the head can be read nothing is written",
            ),
            _ => Self::environment(message).code("host.log").hint("`ringfence log show` lists the last entries"),
        }
    }
}

impl From<PublishedError> for CommandError {
    fn from(error: PublishedError) -> Self {
        let message = one_line(&error.to_string());
        match error {
            PublishedError::File { .. } => {
                Self::environment(message).hint("check what the path leads to, and who may read and write it")
            }
            PublishedError::Foreign { .. } => Self::evidence(message).code("audit.published").hint(
                "if it is another log's, publish to a folder of this log's own; else one of the two was put back: keep both",
            ),
            PublishedError::Damaged { .. } => Self::evidence(message).code("audit.published").hint(
                "publish to a new folder; a tile is never written twice, so somebody or something has changed it",
            ),
        }
    }
}

/// What to do where a log in memory is not what was meant.
pub fn memory_log_hints(config: &Path) -> Vec<String> {
    vec![format!(
        "take `store = \"memory\"` out of `[log]` in `{}` where what is called has to stay on record",
        config.display()
    )]
}
