//! What went wrong with a command, and the way out: the one place hints are written.
//!
//! Libraries say what is wrong; here it gets an exit code, a stable code and hints. Messages are one line, lower-case,
//! without a final period, values in backticks.

use ringfence_model::decision::DenialReason;
use ringfence_model::grant::Layer;
use ringfence_model::grant::Refusal;
use ringfence_model::grant::Wanted;
use ringfence_model::outcome::HostCall;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_runtime::engine::CompileError;
use ringfence_runtime::ledger::LedgerError;
use ringfence_runtime::ledger::backend::BackendError;
use ringfence_runtime::pipeline::CallFailure;
use ringfence_runtime::pipeline::Denial;
use ringfence_runtime::policy::PolicyError;
use ringfence_runtime::sequencer::SequencerError;
use ringfence_runtime::toolbox::InputProblem;
use ringfence_runtime::toolbox::ToolError;

use crate::exit::Exit;
use crate::home::HomeError;

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

    /// A component that can't be compiled: `error` says so, `why` is the reason.
    pub fn compile(error: &impl std::fmt::Display, why: &CompileError) -> Self {
        let hint = match why {
            CompileError::Compiler(_) => {
                "`ringfence doctor` tries the compiler; it needs `/proc`, and memory for a process"
            }
            CompileError::Memory { .. } | CompileError::Cpu { .. } | CompileError::Time { .. } => {
                "no honest tool is known to need that much; if `[limits]` lowers it, review the component first"
            }
            _ => "its author has to mend this: less code in one component, or in one function",
        };
        let code = if matches!(why, CompileError::Compiler(_)) { "host.compiler" } else { "host.compile-limit" };
        Self::environment(one_line(&error.to_string())).code(code).hint(hint)
    }

    /// A file that can't be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "check the path: a relative one starts at the folder this command is run in"
            }
            _ => "check what the path leads to, and who may read and write it",
        };
        Self::environment(format!("`{}` can't be used: {error}", path.display())).hint(hint)
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
                .hint("a key is readable by its owner alone: `chmod 600` it, if nobody else can have read it"),
            HomeError::Key { .. } => Self::environment(message)
                .code("host.key")
                .hint("restore the key from a copy: the log goes on under the key that its first entry names"),
            HomeError::Config(_) => Self::environment(message)
                .code("host.config")
                .hint("docs/reference.toml shows every key with its default"),
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
            LedgerError::Storage(BackendError::Unusable { .. }) => Self::environment(message)
                .code("host.log")
                .hint("restore the log from a copy; `ringfence init` makes a new one in another home"),
            LedgerError::Misuse(_) => {
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
                .hint("restore the key from a copy: the log goes on under the key that its first entry names"),
            SequencerError::HeadFile { .. } => Self::environment(message)
                .code("host.log")
                .hint("make the head file readable and writable, or name another place with `[log] head`"),
            _ => Self::environment(message).code("host.log").hint("`ringfence log show` lists the last entries"),
        }
    }
}

impl From<CallFailure> for CommandError {
    fn from(error: CallFailure) -> Self {
        match error {
            CallFailure::Ledger(error) => error.into(),
            other => Self { exit: Exit::Internal, ..Self::environment(one_line(&other.to_string())) },
        }
    }
}

impl From<PolicyError> for CommandError {
    fn from(error: PolicyError) -> Self {
        if let PolicyError::Compile { source, .. } = &error {
            return Self::compile(&error, source);
        }
        let message = one_line(&error.to_string());
        let hint = match error {
            PolicyError::BadSettings { .. } => "`ringfence policy list` shows the settings each policy takes",
            PolicyError::HasImport { .. } => "build it for `wasm32-unknown-unknown`, without a WASI adapter",
            _ => "a policy is a component of the world `policy` in wit/policy",
        };
        Self::environment(message).code("host.policy").hint(hint)
    }
}

impl From<ToolError> for CommandError {
    fn from(error: ToolError) -> Self {
        if let ToolError::Compile { source, .. } = &error {
            return Self::compile(&error, source);
        }
        let message = one_line(&error.to_string());
        let hint = match error {
            ToolError::NotAComponent { .. } => {
                "a tool is a WebAssembly component, or a core module built for WASI preview 1"
            }
            ToolError::Import { .. } => {
                "a tool may import WASI 0.2 and nothing else; `ringfence inspect` lists imports"
            }
            ToolError::Manifest { .. } => "a manifest has `name`, `version`, `[capabilities]` and `[functions.NAME]`",
            ToolError::NoFunctions { .. } => "a tool exports functions, or `ringfence:tool/tool`, or `wasi:cli/run`",
            _ => "the tool's author has to mend this",
        };
        Self::environment(message).code("host.tool").hint(hint)
    }
}

/// What would have let a refused call through. Whoever follows it should look first: that is said each time.
pub fn denial_hints(denial: &Denial, ring: Ring, config: &std::path::Path) -> Vec<String> {
    match denial {
        Denial::Caller(_) | Denial::Input(InputProblem::Unsupported { .. }) => Vec::new(),
        Denial::Function(error) => vec![format!("it has {}", listed(&error.available))],
        Denial::Input(InputProblem::Schema { .. }) => {
            vec!["`ringfence inspect FILE` shows the schema of every function".to_owned()]
        }
        Denial::Input(InputProblem::WrongKind { .. }) => {
            vec!["give a function `--input JSON`; give a command `-- ARGS` and `--stdin FILE`".to_owned()]
        }
        Denial::Busy(busy) => vec![
            format!("try again after {} ms; nothing has run", busy.retry_after_ms),
            format!(
                "`{}` may have lowered how many calls run at the same time, under [limits] or [rings.{ring}]",
                config.display()
            ),
        ],
        Denial::Key { .. } => vec!["another `--idempotency-key` makes another call".to_owned()],
        Denial::Policy(reasons) => {
            // Two reasons often have one way out: it is said once.
            let mut ways_out: Vec<Vec<String>> = Vec::new();
            for way_out in reasons.iter().map(|reason| policy_hints(reason, ring, config)) {
                if !ways_out.contains(&way_out) {
                    ways_out.push(way_out);
                }
            }
            ways_out.concat()
        }
        Denial::Layer(refusal) => layer_hints(refusal, ring, config),
    }
}

/// The flags that would allow what a tool reached for while it ran.
pub fn refusal_hints(refused: &[HostCall]) -> Vec<String> {
    let mut hints = Vec::new();
    for call in refused {
        let detail = call.detail.as_deref().unwrap_or_default();
        let what = detail.split(": ").next().unwrap_or_default();
        let flag = match call.import.as_str() {
            _ if detail.ends_with("no rule names it") => "--address NETWORK".to_owned(),
            "wasi:http/outgoing-handler#handle" if what.contains("://") => format!("--http '{what}'"),
            "wasi:sockets/tcp#connect" | "wasi:sockets/udp#send" => format!("--socket '{what}'"),
            "wasi:sockets/ip-name-lookup#resolve-addresses" => format!("--name '{what}'"),
            _ => continue,
        };
        let hint = format!(
            "review first, then allow it for one call with `{flag}`, in a ring that has the network (`--ring 2`)"
        );
        if !hints.contains(&hint) && hints.len() < REFUSAL_HINTS_MAX {
            hints.push(hint);
        }
    }
    hints
}

/// Ways out that are shown at once; more would not be read.
const REFUSAL_HINTS_MAX: usize = 4;

fn policy_hints(reason: &DenialReason, ring: Ring, config: &std::path::Path) -> Vec<String> {
    let config = config.display();
    let more_privileged = Ring::ALL.into_iter().rev().find(|other| other.number() < ring.number());
    match (reason.reason.code.as_str(), more_privileged) {
        ("ring-not-privileged-enough" | "folder-not-read-only", Some(other)) => vec![
            format!(
                "review first, then allow it for this call with `--ring {other}`, or for every call in `{config}`:"
            ),
            "    [run]".to_owned(),
            format!("    ring = {other}"),
        ],
        ("no-permit", _) => vec![
            format!("review first, then put a policy that permits it in force in `{config}`:"),
            "    [policies.ring-default]".to_owned(),
        ],
        ("path-outside-scope", _) => vec![
            format!("review first, then widen the policy's settings in `{config}`:"),
            "    [policies.path-scope]".to_owned(),
            "    settings = { roots = [\"/FOLDER\"] }".to_owned(),
        ],
        _ => match &reason.policy {
            Some(policy) => vec![format!("the policy is configured in `{config}` under [policies.{policy}]")],
            None => Vec::new(),
        },
    }
}

fn layer_hints(refusal: &Refusal, ring: Ring, config: &std::path::Path) -> Vec<String> {
    let config = config.display();
    let review = format!("review first, then allow it in `{config}`:");
    match (refusal.layer, &refusal.wanted) {
        (Layer::Operator, Wanted::Folder(folder))
            if refusal.nearest.contains("under") || refusal.nearest.contains("list") =>
        {
            let host = toml::Value::String(folder.host.clone());
            vec![
                format!("review first, then add it to what is listed in `{config}`:"),
                "    [operator]".to_owned(),
                format!("    folders = [{host}]"),
            ]
        }
        (Layer::Operator, Wanted::Folder(folder)) => {
            vec![review, "    [operator]".to_owned(), format!("    filesystem = \"{}\"", folder.access)]
        }
        (Layer::Operator, Wanted::Environment { name }) => {
            let name = toml::Value::String(name.clone());
            vec![
                format!("review first, then add it to what is listed in `{config}`:"),
                "    [operator]".to_owned(),
                format!("    environment = [{name}]"),
            ]
        }
        (Layer::Operator, Wanted::Scratch(_)) => {
            vec![
                review,
                "    [operator.limits]".to_owned(),
                "    write-bytes = 1048576".to_owned(),
                "    files = 100".to_owned(),
            ]
        }
        (Layer::Operator, Wanted::Limit { name, value }) => {
            vec![review, "    [operator.limits]".to_owned(), format!("    {name} = {value}")]
        }
        (Layer::Ring, _) => match Ring::ALL.into_iter().rev().find(|other| other.number() < ring.number()) {
            Some(other) => vec![
                format!(
                    "review first, then allow it for this call with `--ring {other}`, or for every call in `{config}`:"
                ),
                "    [run]".to_owned(),
                format!("    ring = {other}"),
            ],
            None => vec![format!("`{config}` lowers this ring under [rings.{ring}]")],
        },
        (Layer::Manifest, _) => {
            vec![
                "the tool's own manifest does not ask for this; its author can change that, an operator can't"
                    .to_owned(),
            ]
        }
        (Layer::Host, Wanted::FolderPair(..)) => {
            vec!["open the tree once, with the access that is really needed".to_owned()]
        }
        (Layer::Host, _) => vec!["this is refused to everybody".to_owned()],
        (Layer::Session, _) => {
            vec!["a session only narrows: open one that allows this, or call without one".to_owned()]
        }
        (Layer::Operator, wanted) => operator_lines(wanted, &refusal.nearest)
            .map(|line| {
                vec![
                    format!("review first, then add it to what is listed in `{config}`:"),
                    "    [operator]".to_owned(),
                    format!("    {line}"),
                ]
            })
            .unwrap_or_default(),
    }
}

/// The line under `[operator]` that would allow something of the network, of time or of chance.
fn operator_lines(wanted: &Wanted, nearest: &str) -> Option<String> {
    let is_wildcard = nearest.contains("one by one");
    if nearest == "no network" || is_wildcard {
        return Some(format!("network = \"{}\"", if is_wildcard { "any" } else { "named" }));
    }
    let list = |key: &str, rule: &str| Some(format!("{key} = [{}]", toml::Value::String(rule.to_owned())));
    match wanted {
        Wanted::Address(network) => list("addresses", &network.to_string()),
        Wanted::Http(rule) => list("http", &rule.to_string()),
        Wanted::Name(pattern) => list("names", &pattern.to_string()),
        Wanted::Secret(name) => list("secrets", name),
        Wanted::Socket(rule) => list("sockets", &rule.to_string()),
        Wanted::Clock(source) => Some(format!("clock = \"{source}\"")),
        Wanted::Random(source) => Some(format!("random = \"{source}\"")),
        _ => None,
    }
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
