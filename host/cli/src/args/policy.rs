//! Policies: asked, tested, explained, and asked again about what is on record.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::Subcommand;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;

use crate::args::AskedFlags;

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show which recorded decisions another set of policies would change. Exit code 3 if it changes any
    Diff(PolicyDiffArgs),
    /// Ask one policy about a request, without running anything
    Eval {
        /// A built-in policy, one of the configuration, or a component file
        name: String,
        /// The request: JSON, as recorded for a call
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// Settings, as JSON [default: those of the configuration, else {}]
        #[arg(long, value_name = "JSON")]
        settings: Option<String>,
    },
    /// Show what the policies in force would say to a call, and what it would be granted. Runs and records nothing
    Explain(Box<ExplainArgs>),
    /// List the policies that are built in or configured, which are in force, and where each is asked
    List,
    /// Make recorded decisions again, from digests alone. Exit code 5 if one comes out otherwise
    Replay(RecordArgs),
    /// Run the cases of a policy's folder (`cases.toml`)
    Test(PolicyTestArgs),
}

#[derive(ClapArgs, Debug)]
pub struct ExplainArgs {
    /// A component file, or the name of a registered tool
    #[arg(required_unless_present = "request")]
    pub tool: Option<String>,

    /// The function; not needed for a command or if there is only one
    pub function: Option<String>,

    /// Decide on this request instead of a call: JSON, as recorded, about any point
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tool", "function"])]
    pub request: Option<PathBuf>,

    /// The function's input: JSON, `@FILE`, or `-` for standard input [default: {}]
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub input: Option<String>,

    /// Standard input of a command: a file, or `-` for this command's own
    #[arg(long, value_name = "FILE|-")]
    pub stdin: Option<PathBuf>,

    /// Who would call, as in `agent:claims-7` [default: whoever runs this]
    #[arg(long = "as", value_name = "PRINCIPAL")]
    pub principal: Option<Principal>,

    /// The ring it would run in, 0 to 3 [default: as for `run`, or the registered tool's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub ring: Option<u8>,

    /// Ask this policy too, as `run` would
    #[arg(long, value_name = "NAME")]
    pub policy: Vec<String>,

    #[command(flatten)]
    pub asked: AskedFlags,

    /// Arguments of a command
    #[arg(last = true)]
    pub args: Vec<String>,
}

#[derive(ClapArgs, Debug)]
pub struct PolicyTestArgs {
    /// The folder
    pub dir: PathBuf,

    /// The policy's component [default: what `cases.toml` names, else the built-in policy of that name]
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,

    /// Count what the cases reach: verdicts, reasons, obligations, points
    #[arg(long)]
    pub coverage: bool,

    /// Ask in many orders, each case twice, and beside other policies in many orders: every answer has to be the same
    #[arg(long)]
    pub shuffle: bool,

    /// What `--shuffle` makes its orders from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Time each case, against a policy that does nothing
    #[arg(long)]
    pub bench: bool,
}

#[derive(ClapArgs, Debug)]
pub struct PolicyDiffArgs {
    /// Two sets, or the one to compare the set in force with: a configuration, or a folder with a `ringfence.toml`
    #[arg(required = true, num_args = 1..=2, value_name = "SET")]
    pub sets: Vec<PathBuf>,

    #[command(flatten)]
    pub record: RecordArgs,
}

/// Which recorded decisions.
#[derive(ClapArgs, Debug)]
pub struct RecordArgs {
    /// A home, or an export whose requests are in this home [default: this home]
    #[arg(long, value_name = "HOME|EXPORT")]
    pub log: Option<PathBuf>,

    /// Only decisions of this call
    #[arg(long, value_name = "ID")]
    pub call: Option<CallId>,

    /// Only from this entry on
    #[arg(long, value_name = "INDEX")]
    pub from: Option<u64>,

    /// Only up to this entry
    #[arg(long, value_name = "INDEX")]
    pub to: Option<u64>,
}
