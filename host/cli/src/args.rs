//! The command line. Doc comments here are the help text.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args as ClapArgs;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use ringfence_audit::witness::Witness;
use ringfence_model::capability::Access;
use ringfence_model::capability::GuestPath;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Digest;
use ringfence_model::egress::HostPattern;
use ringfence_model::egress::HttpRule;
use ringfence_model::egress::Network;
use ringfence_model::egress::SocketRule;
use ringfence_model::glob::Glob;
use ringfence_model::id::ApprovalId;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::limits;
use ringfence_model::outcome::is_unprintable;
use ringfence_model::principal::Principal;
use ringfence_model::time::Timestamp;
use ringfence_runtime::bench::Part;
use ringfence_server::http::peer::Name as CertificateName;
use ringfence_server::http::token::Scope;

use crate::config::tools::Name;
use crate::error::CommandError;
use crate::tools::oci::OciRef;
use crate::tools::oci::Source;

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
        Self::try_parse_from(&words).map_err(|error| {
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

/// The command that compiles, which nobody has to know.
pub const COMPILE: &str = "compile-component";

#[derive(ClapArgs, Debug)]
pub struct CompileArgs {
    /// Lift a core module to a component
    #[arg(long)]
    pub lift: bool,
    /// Bytes of memory it may take
    pub memory_bytes: u64,
    /// Seconds of processor time it may take
    pub cpu_seconds: u64,
}

#[derive(ClapArgs, Debug)]
pub struct BuildArgs {
    /// The folder, with `Cargo.toml`, `app.py` or `app.js`; what is a policy has its WIT in `wit`
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the component goes [default: NAME.wasm in the folder]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// For a policy in Rust whose crates want WASI, a clock or chance: stubs that always answer alike
    #[arg(long)]
    pub stub_wasi: bool,
}

#[derive(Debug, Subcommand)]
pub enum NewCommand {
    /// A policy, with its table of cases
    Policy(NewArgs),
    /// A tool, with its manifest
    Tool(NewArgs),
}

#[derive(ClapArgs, Debug)]
pub struct NewArgs {
    /// What it is called, in kebab-case
    pub name: Name,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
    /// The folder to make [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What a component is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Built by componentize-js.
    #[value(name = "javascript")]
    JavaScript,
    /// Built by componentize-py.
    Python,
    /// Built by cargo.
    Rust,
}

#[derive(ClapArgs, Debug)]
pub struct InitArgs {
    /// The log's permanent name, as it stands in every checkpoint [default: a random one]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// Keep the log in a database (`postgres://USER@HOST[:PORT]/DATABASE`), or in `memory`, where it ends with each process
    /// [default: a file in the home]
    #[arg(long, value_name = "PLACE")]
    pub store: Option<String>,
    /// The file that holds the password of the database; else it stands in `RINGFENCE_STORE_PASSWORD`
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_password_file: Option<PathBuf>,
    /// Certificates (PEM) that the server's has to lead to [default: Mozilla's roots]
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_roots: Option<PathBuf>,
    /// Keep the newest checkpoint a second time in this file or database (`postgres://…`) [default: a file in the home]
    #[arg(long, value_name = "PLACE")]
    pub head: Option<String>,
    /// The file that holds the password of the head's database; else it stands in `RINGFENCE_HEAD_PASSWORD`
    #[arg(long, value_name = "FILE", requires = "head")]
    pub head_password_file: Option<PathBuf>,
    /// Certificates (PEM) that the server's of the head has to lead to [default: Mozilla's roots]
    #[arg(long, value_name = "FILE", requires = "head")]
    pub head_roots: Option<PathBuf>,
}

#[derive(ClapArgs, Debug)]
pub struct InspectArgs {
    /// A component, or a preview-1 core module
    pub file: PathBuf,
}

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

#[derive(ClapArgs, Debug)]
pub struct CallArgs {
    /// The name that the tool is registered by
    pub tool: Name,

    #[command(flatten)]
    pub call: CallFlags,
}

#[derive(ClapArgs, Debug)]
pub struct McpArgs {
    /// Offer this registered tool; may be given more than once [default: every one that loads]
    #[arg(long = "tool", value_name = "NAME")]
    pub tools: Vec<Name>,

    /// Offer what runs in this ring or in a less privileged one, 0 to 3 [default: whatever a tool is registered for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub ring: Option<u8>,

    /// Call for this agent or service rather than as yourself, as in `agent:claims-7`
    #[arg(long = "as", value_name = "PRINCIPAL")]
    pub principal: Option<Principal>,

    /// Call within a session; whose it is, calls, and what its ring does not reach is not offered
    #[arg(long, value_name = "ID", conflicts_with = "principal")]
    pub session: Option<SessionId>,
}

#[derive(ClapArgs, Debug)]
pub struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:8790, or `[server] listen` of the configuration]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// How remarks are written to standard error: for people, or a line of JSON each
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    pub log_format: Format,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and show it once; or say whom a certificate stands for
    New {
        /// A name for it
        name: Name,
        /// Whom it stands for, as in `agent:claims-7`
        #[arg(long = "as", value_name = "PRINCIPAL")]
        principal: Principal,
        /// Nothing that it calls runs in a more privileged ring than this, 0 to 3
        #[arg(long, value_name = "N")]
        ring: Option<u8>,
        /// What it may be used for: `call`, `session`, `approve`, `operate`, `audit`
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// No token: a name in a certificate by `[server.tls] client-roots`, as in `uri:spiffe://example.org/agent`
        #[arg(long, value_name = "NAME")]
        certificate: Option<CertificateName>,
    },
    /// List who holds a token
    List,
    /// Take a token back
    Revoke {
        /// The token's name
        name: Name,
    },
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

#[derive(Debug, Subcommand)]
pub enum ToolCommand {
    /// Register a component: keep its file, pin it and what it says of itself. Grants nothing
    Add(ToolAddArgs),
    /// List the registered tools
    List,
    /// Check that registered tools still are what was registered
    Verify {
        /// One tool [default: all of them]
        name: Option<Name>,
    },
    /// Remove a tool, its grant and its file
    Remove {
        /// The tool
        name: Name,
    },
}

#[derive(ClapArgs, Debug)]
pub struct ToolAddArgs {
    /// A component or a preview-1 core module: a file, or `oci://HOST/NAME:TAG`
    pub source: Source,

    /// The name to register it by [default: the tool's own]
    #[arg(long, value_name = "NAME")]
    pub name: Option<Name>,

    /// Put it in the place of the tool of that name. Its grant stays if this one asks for nothing more
    #[arg(long)]
    pub replace: bool,

    /// Register it although nobody has signed it and somebody should have
    #[arg(long)]
    pub unsigned: bool,

    /// A bundle of cosign's that vouches for it, instead of the signature beside it
    #[arg(long, value_name = "FILE", requires = "signer")]
    pub bundle: Option<PathBuf>,

    /// Whose key made the bundle: one of `[signers]` with a `cosign-key`
    #[arg(long, value_name = "NAME", requires = "bundle")]
    pub signer: Option<Name>,

    /// With `--replace`, accept an older version than the one that is registered
    #[arg(long, requires = "replace")]
    pub older: bool,
}

#[derive(ClapArgs, Debug)]
pub struct SignArgs {
    /// A component, or a preview-1 core module
    pub file: PathBuf,

    /// The key to sign with, as `ringfence key new` made it
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub struct PushArgs {
    /// A component, or a preview-1 core module
    pub file: PathBuf,

    /// Where to: `oci://HOST/NAME:TAG`
    pub to: OciRef,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key, and print the line that others trust it by
    New {
        /// The name it signs under: a domain and a path of yours, for example
        name: String,
        /// The file to write; only its owner may read it
        #[arg(long = "output", value_name = "FILE")]
        file: PathBuf,
    },
    /// Replace the key that signs this home's checkpoints: an entry that both keys sign
    Rotate,
}

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

#[derive(ClapArgs, Debug)]
pub struct PolicyDiffArgs {
    /// Two sets, or the one to compare the set in force with: a configuration, or a folder with a `ringfence.toml`
    #[arg(required = true, num_args = 1..=2, value_name = "SET")]
    pub sets: Vec<PathBuf>,

    #[command(flatten)]
    pub record: RecordArgs,
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
pub struct HaltArgs {
    /// Why, for the record
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
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

/// What is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redacted {
    Call(CallId),
    Commitment(Digest),
}

impl FromStr for Redacted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(CallId::PREFIX) {
            return text.parse().map(Self::Call).map_err(|error: ringfence_model::id::IdError| error.to_string());
        }
        text.parse().map(Self::Commitment).map_err(|_| "it is neither a call id nor a commitment".to_owned())
    }
}

/// A line that is written into an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark(pub String);

impl FromStr for Remark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            _ if text.trim().is_empty() => Err("it is empty".to_owned()),
            _ if text.len() > limits::REMARK_BYTES_MAX => {
                Err(format!("it is longer than {} bytes", limits::REMARK_BYTES_MAX))
            }
            _ if text.chars().any(is_unprintable) => Err("it holds characters that can't be printed".to_owned()),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

#[derive(ClapArgs, Debug)]
pub struct RestoreArgs {
    /// The folder that `ringfence backup` made. `--home` says where to
    pub from: PathBuf,

    /// The key that must have signed the log [default: the one that the backup itself names]
    #[arg(long)]
    pub key: Vec<String>,

    /// Put the log into a database that holds none: `postgres://USER@HOST[:PORT]/DATABASE` [default: a file in the home]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,

    /// The file that holds the password of the database; else it stands in `RINGFENCE_STORE_PASSWORD`
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_password_file: Option<PathBuf>,

    /// Certificates (PEM) that the server's has to lead to [default: Mozilla's roots]
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_roots: Option<PathBuf>,
}

#[derive(ClapArgs, Debug)]
pub struct BackupArgs {
    /// The folder to make
    pub to: PathBuf,

    /// Leave out the keys. Nothing runs in a home that is restored without them
    #[arg(long)]
    pub without_keys: bool,
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

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    Call(CallId),
    File(PathBuf),
    Session(SessionId),
}

impl FromStr for Side {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let call = || text.parse().map(Self::Call).ok();
        let session = || text.parse().map(Self::Session).ok();
        Ok(call().or_else(session).unwrap_or_else(|| Self::File(text.into())))
    }
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
pub struct BenchArgs {
    /// Measure only this: policies, calls, record, log, network or files
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = part)]
    pub only: Vec<Part>,
    /// Measure for about this long at each row
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    pub seconds: Seconds,
    /// Entries of the log that is verified
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub entries: u64,
    /// Instead of the rows: the host's memory over so many calls, recorded on disk
    #[arg(long, value_name = "CALLS")]
    pub soak: Option<u64>,
    /// Instead of the rows: the memory of so many sandboxes that are open at once
    #[arg(long, value_name = "N", conflicts_with = "soak")]
    pub held: Option<u64>,
    /// Instead of the rows: a log of so many entries on disk against one of 10,000
    #[arg(long, value_name = "ENTRIES", conflicts_with_all = ["soak", "held"], value_parser = clap::value_parser!(u64).range(20..))]
    pub history: Option<u64>,
}

fn part(text: &str) -> Result<Part, String> {
    Part::named(text).ok_or_else(|| {
        format!("it is none of {}", Part::ALL.iter().map(|part| part.name()).collect::<Vec<_>>().join(", "))
    })
}

/// `HOST::GUEST[:ro|rw][,deny=GLOB][,bytes=N][,files=N]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirArg {
    pub host: PathBuf,
    pub guest: GuestPath,
    pub access: Access,
    pub deny: Vec<Glob>,
    pub bytes: Option<u64>,
    pub files: Option<u64>,
}

impl FromStr for DirArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, rest) = text.split_once("::").ok_or("write HOST::GUEST, as in `./docs::/docs`")?;
        let mut words = rest.split(',');
        let opened = words.next().unwrap_or_default();
        let (guest, access) = match opened.rsplit_once(':') {
            Some((guest, "ro")) => (guest, Access::Read),
            Some((guest, "rw")) => (guest, Access::ReadWrite),
            Some((_, other)) => return Err(format!("`{other}` is neither `ro` nor `rw`")),
            None => (opened, Access::Read),
        };
        if host.is_empty() {
            return Err("the folder of this machine is missing before `::`".to_owned());
        }
        let guest = guest_path(guest)?;
        let mut dir = Self { host: host.into(), guest, access, deny: Vec::new(), bytes: None, files: None };
        words.try_for_each(|word| dir.narrow(word))?;
        Ok(dir)
    }
}

impl DirArg {
    /// One of the words behind the first: each of them takes something away.
    fn narrow(&mut self, word: &str) -> Result<(), String> {
        let slot = match word.split_once('=') {
            Some(("deny", glob)) => {
                self.deny.push(Glob::new(glob).map_err(|error| error.to_string())?);
                return Ok(());
            }
            Some(("bytes", _)) => &mut self.bytes,
            Some(("files", _)) => &mut self.files,
            _ => return Err(format!("`{word}` is none of `deny=GLOB`, `bytes=N` and `files=N`")),
        };
        if self.access == Access::Read {
            return Err(format!("`{word}` bounds what is written, but the folder is opened to read: write `:rw`"));
        }
        let (name, number) = word.split_once('=').unwrap_or_default();
        let number = number.parse().map_err(|_| format!("`{number}` is not a number of {name}"))?;
        if slot.replace(number).is_some() { Err(format!("`{name}` is given twice")) } else { Ok(()) }
    }
}

fn guest_path(text: &str) -> Result<GuestPath, String> {
    GuestPath::new(text).map_err(|error| error.to_string())
}

/// `K=V`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvArg {
    pub name: String,
    pub value: String,
}

impl FromStr for EnvArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err("write NAME=VALUE".to_owned()),
        }
    }
}

/// Seconds, with decimals, as milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds {
    pub millis: u64,
}

impl FromStr for Seconds {
    type Err = String;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a number of seconds from 0.001 to 86400".to_owned();
        let seconds: f64 = text.parse().map_err(|_| wrong())?;
        if !(0.001..=86_400.0).contains(&seconds) {
            return Err(wrong());
        }
        Ok(Self { millis: (seconds * 1000.0).round() as u64 })
    }
}

/// The version, with that of the engine: what an advisory is about is told by the patch level.
fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (wasmtime 48.0.8)")
}

/// A tool's name from its file: without folder and extension.
pub fn tool_name(file: &std::path::Path, digest: &Digest) -> String {
    file.file_stem().and_then(|stem| stem.to_str()).map_or_else(|| digest.short(), str::to_owned)
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

    #[test]
    fn folders_are_read_strictly() {
        let dir: DirArg = "./docs::/docs:rw".parse().expect("a folder");
        assert_eq!((dir.guest.as_str(), dir.access), ("/docs", Access::ReadWrite));
        assert_eq!("a::/b".parse::<DirArg>().expect("a folder").access, Access::Read);
        let dir: DirArg = "a::/b:rw,deny=*.key,bytes=10,deny=a/**,files=2".parse().expect("a folder");
        assert_eq!(dir.deny.iter().map(Glob::as_str).collect::<Vec<_>>(), ["*.key", "a/**"]);
        assert_eq!((dir.bytes, dir.files), (Some(10), Some(2)));
        assert_eq!("a::/b,deny=x".parse::<DirArg>().expect("a folder").access, Access::Read);
        for text in ["a::/b,", "a::/b,deny=", "a::/b,deny=/x", "a::/b,bytes=1", "a::/b:ro,files=1", "a::/b:rw,bytes=-1"]
        {
            assert!(text.parse::<DirArg>().is_err(), "{text}");
        }
        for text in ["a::/b:rw,bytes=1,bytes=1", "a::/b:rw,bytes=", "a::/b:rw,quota=1", "a::/b,rw", "a::/b,deny=x:rw"] {
            assert_eq!(text.parse::<DirArg>().is_err(), text != "a::/b,deny=x:rw", "{text}");
        }
        for text in ["", "a", "a::b", "::/b", "a::/b:rx", "a::/../b", "a::/b:", "a:/b"] {
            assert!(text.parse::<DirArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!("0.25".parse::<Seconds>().expect("seconds").millis, 250);
        for text in ["", "-1", "0", "inf", "NaN", "1e9", "one"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }
}
