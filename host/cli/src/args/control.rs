//! Sessions, approvals, transcripts, halts and settlements: what is decided beside the calls.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::Subcommand;
use ringfence_model::function_pattern::FunctionPattern;
use ringfence_model::id::ApprovalId;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::principal::Principal;

use crate::args::Seconds;

#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Open a session, and print its id
    Open {
        /// A name for people and policies
        name: String,
        /// Whose it is [default: you]
        #[arg(long = "as", value_name = "PRINCIPAL")]
        principal: Option<Principal>,
        /// Its ring, 0 to 3
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=3))]
        ring: u8,
        /// A file that bounds all its calls, with the keys of `[operator]`
        #[arg(long, value_name = "FILE")]
        within: Option<PathBuf>,
        /// What may be called in it, and nothing else: `files/stat`, `files/*`; can be repeated
        #[arg(long, value_name = "TOOL/FUNCTION")]
        allow: Vec<FunctionPattern>,
    },
    /// List sessions
    List {
        /// Those that are closed as well
        #[arg(long)]
        all: bool,
    },
    /// Show a session
    Show {
        /// The session
        id: SessionId,
    },
    /// Close a session: nothing runs in it any more, and its scratch folder is removed
    Close {
        /// The session
        id: SessionId,
    },
    /// Move a session to a more privileged ring for a time, if the policies permit it
    Elevate {
        /// The session
        id: SessionId,
        /// The ring it asks for
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=3))]
        ring: u8,
        /// For how long
        #[arg(long = "for", value_name = "SECONDS", default_value = "300")]
        duration: Seconds,
        /// Why; policies see it as a claim
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

#[derive(ClapArgs, Debug)]
pub struct AnswerArgs {
    /// What `ringfence approvals` lists
    pub id: ApprovalId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum TranscriptCommand {
    /// Print what of the messages may go on
    Check {
        /// The messages, a JSON array: a file, or `-` for standard input
        file: PathBuf,
        /// The session they belong to: what its last transcript held is compared
        #[arg(long, value_name = "ID")]
        session: Option<SessionId>,
    },
}

#[derive(ClapArgs, Debug)]
pub struct HaltArgs {
    /// Why, for the record
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
}

#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// List the calls whose effect was found to be unknown, and what has been said of them since
    List {
        /// Only those that nobody has settled
        #[arg(long)]
        unknown: bool,
    },
    /// Say what became of a call whose effect is unknown: once, on record, for good
    Settle(SettleArgs),
}

#[derive(ClapArgs, Debug)]
pub struct SettleArgs {
    /// What `ringfence ledger list` lists
    pub call: CallId,
    #[command(flatten)]
    pub how: SettlementFlags,
    /// How you know
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// The operator who looked [default: you]
    #[arg(long = "as", value_name = "PRINCIPAL")]
    pub principal: Option<Principal>,
}

#[derive(ClapArgs, Debug)]
#[group(required = true, multiple = false)]
pub struct SettlementFlags {
    /// It had its effect: the same call under its key is told so, and never runs again
    #[arg(long)]
    pub committed: bool,
    /// It had none: the same call under its key runs the next time
    #[arg(long)]
    pub not_executed: bool,
}
