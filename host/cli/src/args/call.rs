//! `run` and `call`: which function, with what input, for whom, and what it asks for.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use ringfence_model::capability::GuestPath;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::egress::HostPattern;
use ringfence_model::egress::HttpRule;
use ringfence_model::egress::Network;
use ringfence_model::egress::SocketRule;
use ringfence_model::id::SessionId;
use ringfence_model::principal::Principal;
use ringfence_model::time::Timestamp;

use crate::args::DirArg;
use crate::args::EnvArg;
use crate::args::Seconds;
use crate::args::values::guest_path;
use crate::config::tools::Name;

#[derive(ClapArgs, Debug)]
pub struct RunArgs {
    /// A component, or a preview-1 core module
    pub file: PathBuf,

    #[command(flatten)]
    pub call: CallFlags,

    /// The ring to run in, 0 to 3: 3 reads only and has no network [default: 3, or `[run] ring` of the configuration]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub ring: Option<u8>,

    #[command(flatten)]
    pub asked: AskedFlags,
}

#[derive(ClapArgs, Debug)]
pub struct CallArgs {
    /// The name that the tool is registered by
    pub tool: Name,

    #[command(flatten)]
    pub call: CallFlags,
}

/// What every call has, whatever its tool comes from.
#[derive(ClapArgs, Debug)]
pub struct CallFlags {
    /// The function; not needed for a command or if there is only one
    pub function: Option<String>,

    /// The function's input: JSON, `@FILE`, or `-` for standard input [default: {}]
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub input: Option<String>,

    /// Standard input of a command: a file, or `-` for this command's own
    #[arg(long, value_name = "FILE|-")]
    pub stdin: Option<PathBuf>,

    /// Ask this policy too: a built-in one or one of the configuration. It can forbid and narrow, not permit
    #[arg(long, value_name = "NAME")]
    pub policy: Vec<String>,

    /// Run once under this key: a repeat gets the recorded answer
    #[arg(long, value_name = "K")]
    pub idempotency_key: Option<String>,

    /// Run once as a step of this task: the task made again gets the recorded answers of the steps it had made, and goes on
    #[arg(long, value_name = "K", conflicts_with = "idempotency_key")]
    pub task: Option<String>,

    /// Which step of the task this is: its place or its name [default: TOOL/FUNCTION]
    #[arg(long, value_name = "NAME", requires = "task")]
    pub step: Option<String>,

    /// Call for this agent or service rather than as yourself, as in `agent:claims-7`
    #[arg(long = "as", value_name = "PRINCIPAL")]
    pub principal: Option<Principal>,

    /// Call within a session; whose it is, calls
    #[arg(long, value_name = "ID", conflicts_with = "principal")]
    pub session: Option<SessionId>,

    /// Say something of yourself that policies see as a claim
    #[arg(long = "claim", value_name = "K=V")]
    pub claims: Vec<EnvArg>,

    /// Write the receipt to a file as well
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,

    /// Arguments of a command
    #[arg(last = true)]
    pub args: Vec<String>,
}

/// What a call asks for, where no registration says it.
#[derive(ClapArgs, Debug)]
pub struct AskedFlags {
    /// Open a folder of this machine to the tool, to read (`ro`, the default) or to read and write (`rw`), but for what
    /// `deny` patterns close, and within a quota of `bytes` and `files` that the call adds
    #[arg(long = "dir", value_name = "HOST::GUEST[:ro|rw][,deny=GLOB][,bytes=N][,files=N]")]
    pub dirs: Vec<DirArg>,

    /// Give the tool an empty folder of its own to write to, which is gone when the call ends
    #[arg(long, value_name = "GUEST", value_parser = guest_path)]
    pub scratch: Option<GuestPath>,

    /// Set an environment variable of the tool
    #[arg(long, value_name = "K=V")]
    pub env: Vec<EnvArg>,

    #[command(flatten)]
    pub network: NetworkArgs,

    /// Show the tool this time (RFC 3339) on all its clocks, all along
    #[arg(long, value_name = "TIME")]
    pub clock: Option<Timestamp>,

    /// Make the tool's random bytes from this number: the same each time
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Memory the tool may use, all of it together
    #[arg(long, value_name = "MiB")]
    pub memory: Option<u64>,

    /// Fuel the tool may use; about one unit each instruction
    #[arg(long, value_name = "N")]
    pub fuel: Option<u64>,

    /// Wall-clock time the tool may take
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<Seconds>,
}

/// What a tool may reach over the network.
#[derive(ClapArgs, Clone, Debug)]
pub struct NetworkArgs {
    /// Let the tool send requests, as in `GET,POST https://api.example.com/v1`; without methods: GET and HEAD
    #[arg(long = "http", value_name = "RULE")]
    pub http: Vec<HttpRule>,

    /// Let the tool open sockets, as in `tcp://db.example.com:5432`
    #[arg(long = "socket", value_name = "RULE")]
    pub sockets: Vec<SocketRule>,

    /// Let the tool look up names, as in `*.example.com`
    #[arg(long = "name", value_name = "PATTERN")]
    pub names: Vec<HostPattern>,

    /// Let names lead to addresses that are not public, as in `10.0.0.0/8`
    #[arg(long = "address", value_name = "NETWORK")]
    pub addresses: Vec<Network>,

    /// Let the tool use a secret of the configuration; it sees a placeholder
    #[arg(long = "secret", value_name = "NAME")]
    pub secrets: Vec<String>,
}

impl NetworkArgs {
    /// What is asked for.
    pub fn asked(&self) -> NetworkAsked {
        let Self { http, sockets, names, addresses, secrets } = self.clone();
        NetworkAsked { addresses, http, names, secrets, sockets }
    }
}
