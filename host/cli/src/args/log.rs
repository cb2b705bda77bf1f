//! The log, and what is taken out of it: receipts, bundles, comparisons.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::Subcommand;
use ringfence_audit::witness::Witness;
use ringfence_model::content::ContentName;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;

use crate::args::Redacted;
use crate::args::Remark;
use crate::args::Side;

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Show entries
    Show {
        /// The first entry to show
        #[arg(long, value_name = "INDEX")]
        from: Option<u64>,
        /// How many to show [default: the last 20]
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Check every entry, link, hash and checkpoint: of this home, or of an exported file
    Verify {
        /// An export, or the folder of a published log; without it, the log of this home
        file: Option<PathBuf>,
        /// A checkpoint that the log must extend [default for an export: FILE.checkpoint, if it is there]
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// An old checkpoint, from wherever it was kept: the log must go on from what it was then
        #[arg(long, value_name = "FILE")]
        against: Vec<PathBuf>,
        /// Instead of a log, what `log prove --from` printed: that it goes on from `--against`
        #[arg(long, value_name = "FILE", requires = "against", conflicts_with_all = ["file", "checkpoint"])]
        proof: Option<PathBuf>,
        /// The key of a witness that must have cosigned a checkpoint which covers the log
        #[arg(long, value_name = "KEY", conflicts_with = "proof")]
        witness: Vec<Witness>,
        /// A key that must have signed the checkpoints [default: the home's, or for an export the log's own]
        #[arg(long, value_name = "KEY")]
        key: Vec<String>,
    },
    /// Write one entry a line, exactly the bytes that are hashed
    Export {
        /// The file to write, with a checkpoint beside it [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Sign a checkpoint over everything recorded, and print it
    Checkpoint,
    /// Add what a witness has signed to the checkpoint that it is of
    Cosign {
        /// A checkpoint with cosignatures, as a witness gave it back; `[log] witnesses` says whose count
        #[arg(long, value_name = "FILE")]
        add: PathBuf,
    },
    /// Write the log as static files that any web server can hand out (C2SP tlog-tiles)
    Publish {
        /// The folder; what is there of this log already is added to
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Remove contents of a call for good. Entries and proofs stay, and that it was done becomes an entry
    Redact(RedactArgs),
    /// Remove contents that are older, or more, than `[log.retention]` keeps. Entries stay
    Prune {
        /// Only show what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the receipt of an entry, or with `--from` the proof that the log goes on from what it was
    Prove {
        /// The entry
        #[arg(required_unless_present = "from", conflicts_with = "from")]
        index: Option<u64>,
        /// How many entries there were, or the checkpoint of then
        #[arg(long, value_name = "SIZE|FILE")]
        from: Option<PathBuf>,
        /// Up to the checkpoint over so many entries [default: the last one]
        #[arg(long, value_name = "SIZE", requires = "from")]
        to: Option<u64>,
    },
}

#[derive(ClapArgs, Debug)]
pub struct RedactArgs {
    /// A call, or the commitment to one content as it stands in an entry
    #[arg(value_name = "ID|COMMITMENT")]
    pub target: Redacted,

    /// Which contents of a call: `input`, `output`, `trace`, `request`, `grant`, `admission`, `reason`. The policy request
    /// goes with the input, which it repeats
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub what: Vec<ContentName>,

    /// Who asked for it; written down for ever
    #[arg(long, value_name = "WHO")]
    pub by: Remark,

    /// Why; written down for ever, so don't repeat what is to be removed
    #[arg(long, value_name = "TEXT")]
    pub reason: Remark,
}

#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Check a receipt, offline
    Verify {
        /// The receipt, or what `run --format json` printed
        file: PathBuf,
        /// The key that must have signed its checkpoint [default: the home's]
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// Print a pending receipt with its proof
    Complete {
        /// The receipt, or what `run --format json` printed
        file: PathBuf,
        /// Take the proof from the folder of a published log [default: from the log of this home]
        #[arg(long, value_name = "DIR")]
        published: Option<PathBuf>,
        /// The key that must have signed what is published [default: the home's]
        #[arg(long, value_name = "KEY", requires = "published")]
        key: Option<String>,
    },
}

#[derive(ClapArgs, Debug)]
pub struct BundleArgs {
    #[command(flatten)]
    pub subject: SubjectArgs,

    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Leave out inputs, outputs, grants, requests and traces; what stands in the entries stays
    #[arg(long)]
    pub without_content: bool,
}

/// What a bundle is about.
#[derive(ClapArgs, Debug)]
#[group(required = true)]
pub struct SubjectArgs {
    /// One call
    #[arg(long, value_name = "ID", conflicts_with_all = ["session", "from", "to"])]
    pub call: Option<CallId>,

    /// Everything in a session
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "to"])]
    pub session: Option<SessionId>,

    /// Every entry from this one
    #[arg(long, value_name = "INDEX", requires = "to")]
    pub from: Option<u64>,

    /// … to this one
    #[arg(long, value_name = "INDEX", requires = "from")]
    pub to: Option<u64>,
}

#[derive(ClapArgs, Debug)]
pub struct DiffArgs {
    /// A call or a session of this home, or a bundle
    #[arg(value_name = "ID|FILE")]
    pub a: Side,

    /// The one to compare it with
    #[arg(value_name = "ID|FILE")]
    pub b: Side,
}
