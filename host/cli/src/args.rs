//! The command line as clap sees it: the commands here, what each takes in the files below. Doc comments are the help text.

mod call;
mod control;
mod home;
mod log;
mod policy;
mod serve;
mod tool;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap::FromArgMatches as _;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::error::CommandError;

pub use call::AskedFlags;
pub use call::CallArgs;
pub use call::CallFlags;
pub use call::RunArgs;
pub use control::AnswerArgs;
pub use control::HaltArgs;
pub use control::LedgerCommand;
pub use control::SessionCommand;
pub use control::SettleArgs;
pub use control::TranscriptCommand;
pub use home::BackupArgs;
pub use home::BenchArgs;
pub use home::COMPILE;
pub use home::CompileArgs;
pub use home::InitArgs;
pub use home::RestoreArgs;
pub use log::BundleArgs;
pub use log::DiffArgs;
pub use log::LogCommand;
pub use log::ReceiptCommand;
pub use log::RedactArgs;
pub use log::SubjectArgs;
pub use policy::ExplainArgs;
pub use policy::PolicyCommand;
pub use policy::PolicyDiffArgs;
pub use policy::PolicyTestArgs;
pub use policy::RecordArgs;
pub use serve::McpArgs;
pub use serve::ServeArgs;
pub use serve::TokenCommand;
pub use tool::BuildArgs;
pub use tool::InspectArgs;
pub use tool::KeyCommand;
pub use tool::Language;
pub use tool::NewArgs;
pub use tool::NewCommand;
pub use tool::PushArgs;
pub use tool::SignArgs;
pub use tool::ToolAddArgs;
pub use tool::ToolCommand;
pub use values::DirArg;
pub use values::EnvArg;
pub use values::Redacted;
pub use values::Remark;
pub use values::Seconds;
pub use values::Side;

/// Run untrusted tools as WebAssembly components, in privilege rings, under policies, with a record that verifies.
#[derive(Debug, Parser)]
#[command(name = "ringfence", version = version(), propagate_version = true, max_term_width = 100)]
pub struct Args {
    /// The folder of this host's state [default: `$RINGFENCE_HOME`, else the platform's data folder]
    #[arg(long, global = true, value_name = "DIR", env = "RINGFENCE_HOME", hide_env = true)]
    pub home: Option<PathBuf>,

    /// How results and errors are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,

    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    /// Reads the command line. What is wrong with it is clap's to say; whoever asked for JSON gets an error to print.
    pub fn read() -> Result<Self, CommandError> {
        let words: Vec<_> = std::env::args_os().collect();
        let read = known().try_get_matches_from(&words).and_then(|matches| Self::from_arg_matches(&matches));
        read.map_err(|error| {
            if !error.use_stderr() || !asks_for_json(&words) {
                error.exit();
            }
            let text = error.to_string();
            let message = text.lines().next().unwrap_or_default();
            CommandError::command_line(message.strip_prefix("error: ").unwrap_or(message))
                .hint("`ringfence help`, and `--help` after any command, show what can be written")
        })
    }

    /// How remarks are written, the last one too.
    pub fn notes(&self) -> Format {
        match &self.command {
            Command::Serve(serve) => serve.log_format,
            _ => Format::Human,
        }
    }
}

/// What can be written. A variable that is empty is as if it were not set.
fn known() -> clap::Command {
    let known = Args::command();
    if std::env::var_os("RINGFENCE_HOME").is_some_and(|folder| folder.is_empty()) {
        return known.mut_arg("home", |home| home.env(None::<&'static str>));
    }
    known
}

/// Whether a command line that can't be read asks for JSON all the same. What comes after `--` is a tool's.
fn asks_for_json(words: &[OsString]) -> bool {
    let ours = words.split(|word| word == "--").next().unwrap_or_default();
    ours.iter().any(|word| word == "--format=json") || ours.windows(2).any(|two| two == ["--format", "json"])
}

/// How results and errors are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object on standard output.
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a home: keys, an empty log and a commented configuration
    Init(InitArgs),
    /// Check that this home and this machine can do their work
    Doctor,
    /// Show what a component is: shape, functions, schemas, imports, required ring, digest
    Inspect(InspectArgs),
    /// Run one function of a component, or a command, in a ring
    Run(Box<RunArgs>),
    /// Call a function of a registered tool, with the grant and the ring of its registration
    Call(CallArgs),
    /// Serve the registered tools to an agent: the Model Context Protocol over standard input and output
    Mcp(McpArgs),
    /// Serve the registered tools over HTTP: an API for programs and MCP for agents, behind tokens
    Serve(ServeArgs),
    /// Make tokens for the server, list them, take them back
    #[command(subcommand)]
    Token(TokenCommand),
    /// Build a component from a folder of source in Rust, Python or JavaScript
    Build(BuildArgs),
    /// Make a folder of source to start from
    #[command(subcommand)]
    New(NewCommand),
    /// Register tools: pinned, described, with grants in the configuration
    #[command(subcommand)]
    Tool(ToolCommand),
    /// Sign a component: writes FILE.sig
    Sign(SignArgs),
    /// Put a component into a registry, with its manifest and its signature
    Push(PushArgs),
    /// Make a key that signs tools, or replace the one that signs checkpoints
    #[command(subcommand)]
    Key(KeyCommand),
    /// List, test and ask policies, and make their decisions again
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Open sessions, close them, move them to another ring for a time
    #[command(subcommand)]
    Session(SessionCommand),
    /// List what waits for somebody's approval
    Approvals {
        /// Those that were answered, used or have expired as well
        #[arg(long)]
        all: bool,
    },
    /// Approve what a policy holds: once, for exactly what was asked
    Approve(AnswerArgs),
    /// Reject what a policy holds: it stays rejected
    Reject(AnswerArgs),
    /// Have policies judge an agent's messages before they go on
    #[command(subcommand)]
    Transcript(TranscriptCommand),
    /// Stop every call that runs, and start none until `resume`
    Halt(HaltArgs),
    /// Let calls run again after `halt`
    Resume(HaltArgs),
    /// List calls whose effect is unknown, and say what became of them
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Read, verify and export the log
    #[command(subcommand)]
    Log(LogCommand),
    /// Check what a caller kept of a call
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Write everything about a call, a session or a part of the log into one file that verifies by itself
    Bundle(BundleArgs),
    /// Copy this home into a new folder, as of one moment: log, head, keys, configuration, tools
    Backup(BackupArgs),
    /// Make a home from a backup that is whole, where there is none
    Restore(RestoreArgs),
    /// Show what is different between two calls, or between the calls of two bundles
    Diff(DiffArgs),
    /// Measure each part against its floor, in one process
    Bench(BenchArgs),
    /// Compile a component, or lift a module: what the other commands start, in a process of its own
    #[command(name = COMPILE, hide = true)]
    Compile(CompileArgs),
}

/// The version, with that of the engine: what an advisory is about is told by the patch level.
fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (wasmtime 48.0.8)")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn only_the_compiler_is_hidden() {
        // POL-11: a way in that the help does not list would be one that no test walks.
        fn hidden(command: &clap::Command, found: &mut Vec<String>) {
            for below in command.get_subcommands() {
                found.extend(Some(below.get_name().to_owned()).filter(|_| below.is_hide_set()));
                hidden(below, found);
            }
        }
        let mut found = Vec::new();
        hidden(&Args::command(), &mut found);
        assert_eq!(found, [COMPILE]);
    }
}
