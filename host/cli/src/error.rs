//! What went wrong with a command, and the way out: the one place hints are written.
//!
//! Libraries say what is wrong; here it gets an exit code, a stable code and hints. Messages are one line, lower-case,
//! without a final period, values in backticks.

mod layers;

use std::io;
use std::path::Path;

use ringfence_audit::bundle::BundleError;
use ringfence_audit::verify::Finding;
use ringfence_model::capability::Access;
use ringfence_model::decision::DenialReason;
use ringfence_model::description::Description;
use ringfence_model::description::Hidden;
use ringfence_model::digest::Digest;
use ringfence_model::id::CallId;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_model::tool::ANY_SECRET;
use ringfence_runtime::engine::CompileError;
use ringfence_runtime::ledger::LedgerError;
use ringfence_runtime::ledger::approvals::AnswerError;
use ringfence_runtime::ledger::backend::BackendError;
use ringfence_runtime::ledger::halts::HaltError;
use ringfence_runtime::ledger::sessions::SessionError;
use ringfence_runtime::ledger::settlements::SettleError;
use ringfence_runtime::pipeline::CallFailure;
use ringfence_runtime::pipeline::Denial;
use ringfence_runtime::policy::PolicyError;
use ringfence_runtime::policy::archive::ArchiveError;
use ringfence_runtime::policy::cases::CaseResult;
use ringfence_runtime::policy::explain::NotAsked;
use ringfence_runtime::sequencer::SequencerError;
use ringfence_runtime::toolbox::InputProblem;
use ringfence_runtime::toolbox::ToolError;

use crate::build::BuildError;
use crate::build::Needed;
use crate::config::ConfigError;
use crate::config::tools::Name;
use crate::exit::Exit;
use crate::home::Home;
use crate::home::HomeError;
use crate::published::PublishedError;
use crate::tools::RegisteredError;
use crate::tools::oci::OciError;
use crate::tools::signature::SignatureError;
use crate::tools::store::StoreError;

pub use layers::Reached;
pub use layers::reached_hints;

const WHO_LETS_IN: &str =
    "`ringfence policy list` shows who is asked at `admit`; what is revoked stands in the configuration";

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

    /// The policies, or who was asked, say no.
    pub fn denied(code: &'static str, message: &str) -> Self {
        Self { exit: Exit::Denied, code, message: one_line(message), hints: Vec::new() }
    }

    /// A component that the policies don't let in.
    pub fn not_admitted(name: &str, why: &str, index: u64) -> Self {
        Self::denied("denied.admit", &format!("`{name}` may not be loaded: {why}"))
            .hint(format!("entry {index} of the log tells of it; {WHO_LETS_IN}"))
    }

    /// A component that the policies would not let in.
    pub fn would_not_be_admitted(name: &str, why: &str) -> Self {
        Self::denied("denied.admit", &format!("`{name}` may not be loaded: {why}")).hint(WHO_LETS_IN)
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
    pub fn file(path: &Path, error: &std::io::Error) -> Self {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "check the path: a relative one starts at the folder this command is run in"
            }
            _ => "check what the path leads to, and who may read and write it",
        };
        Self::environment(format!("`{}` can't be used: {error}", path.display())).hint(hint)
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

    /// A folder that no log is published in.
    pub fn no_checkpoint(folder: &Path) -> Self {
        Self::environment(format!("`{}` holds no published log: it has no `checkpoint`", folder.display()))
            .hint("`ringfence log publish --to DIR` publishes one; for an export, name its file")
    }

    /// A variable of a registered tool's grant without a value.
    pub fn granted_value(tool: &str, variable: &str, from: &str) -> Self {
        Self::environment(format!("tool `{tool}` is granted variable `{variable}`, but there is no text in `{from}`"))
            .code("host.grant")
            .hint(format!("set it, or take `{variable}` out of [tools.{tool}.grant]"))
    }

    /// The file of the server's tokens.
    pub fn tokens(path: &Path, why: &str) -> Self {
        Self::environment(format!("`{}` can't be used: {}", path.display(), one_line(why)))
            .code("host.tokens")
            .hint("`ringfence token` writes it; remove it to take every token back, and make new ones")
    }

    /// A token by a name that is taken.
    pub fn token_taken(name: &str) -> Self {
        Self::environment(format!("there is a token `{name}` already"))
            .code("host.tokens")
            .hint("choose another name, or take that one back with `ringfence token revoke` first")
    }

    /// A token that is not there.
    pub fn no_token(name: &str) -> Self {
        Self::command_line(format!("there is no token `{name}`")).hint("`ringfence token list` shows what there is")
    }

    /// A server that nobody could use.
    pub fn no_tokens() -> Self {
        Self::environment("there is no token, so nobody could use the server")
            .code("host.tokens")
            .hint("`ringfence token new NAME --as PRINCIPAL --scope call` makes one")
            .hint("whoever is known by a certificate gets in where `[server.tls] client-roots` has its authority")
    }

    /// A name in a certificate that stands for somebody already.
    pub fn certificate_taken(name: &str) -> Self {
        Self::environment(format!("`{}` stands for somebody already", one_line(name)))
            .code("host.tokens")
            .hint("`ringfence token list` shows for whom; a certificate is one principal's")
    }

    /// A collector of telemetry that nobody can be told of.
    pub fn collector(what: &str, why: &impl std::fmt::Display) -> Self {
        Self::environment(format!("`{}` can't be used for telemetry: {}", one_line(what), one_line(&why.to_string())))
            .code("host.telemetry")
            .hint("[telemetry] names a collector's address, a file of headers and one of certificates")
    }

    /// A file of headers that can't be read, or that others can.
    pub fn headers_file(error: HomeError) -> Self {
        match &error {
            HomeError::Key { path, why } | HomeError::File { path, why } => Self::collector(path, why),
            _ => error.into(),
        }
    }

    /// What the server would show for itself, or whom it would believe.
    pub fn tls(path: &Path, why: &str) -> Self {
        Self::environment(format!("`{}` can't be used for TLS: {}", path.display(), one_line(why)))
            .code("host.tls")
            .hint("[server.tls] names PEM files: the certificate first in its file, and the key that is its own")
    }

    /// TLS that was configured, or taken out of the configuration, while the server runs.
    pub fn tls_at_start(is_spoken: bool) -> Self {
        let what = if is_spoken { "was taken out, and TLS is spoken still" } else { "is there, and no TLS is spoken" };
        Self::environment(format!("`[server.tls]` {what}"))
            .code("host.tls")
            .hint("whether TLS is spoken is settled when the server starts: start it anew")
    }

    /// A certificate of the server's that nobody believes any more.
    pub fn tls_expired(path: &Path, days: u64) -> Self {
        Self::environment(format!("the certificate `{}` ran out {days} days ago", path.display()))
            .code("host.tls")
            .hint("put another one in its place, with its key; a server that runs reads both at SIGHUP")
    }

    /// A file for TLS that can't be read, or that others can.
    pub fn tls_file(error: HomeError) -> Self {
        match &error {
            HomeError::Key { path, why } | HomeError::File { path, why } => Self::tls(Path::new(path), why),
            _ => error.into(),
        }
    }

    /// A listener that others reach, of a server that does not say what it is called.
    pub fn open_listener(address: &str) -> Self {
        Self::environment(format!("`{address}` can be reached from elsewhere, and `[server] hosts` names nobody"))
            .code("host.listener")
            .hint("listen on 127.0.0.1; or name in `[server] hosts` what it is called, with [server.tls] or a proxy that does TLS")
    }

    /// An address that can't be listened on.
    pub fn listener(address: &str, error: &std::io::Error) -> Self {
        Self::environment(format!("`{address}` can't be listened on: {error}"))
            .code("host.listener")
            .hint("another process may have the port; `--listen` names another one")
    }

    /// A key of an author's.
    pub fn signing_key(error: HomeError) -> Self {
        let hints =
            vec!["`ringfence key new NAME --output FILE` makes one; only its owner may read the file".to_owned()];
        Self { hints, ..error.into() }
    }

    /// A file of credentials that has none for a registry.
    pub fn credentials(path: &Path, host: &str) -> Self {
        let host = one_line(host);
        Self::environment(format!("`{}` has no credentials for `{host}`", path.display()))
            .code("host.registry")
            .hint(format!("it is JSON with `auths`, in it `{host}`, in it `auth`: base64 of USER:PASSWORD"))
    }

    /// A file of credentials that can't be read.
    pub fn credentials_file(path: &Path, line: usize, host: &str) -> Self {
        let Self { hints, .. } = Self::credentials(path, host);
        let message =
            format!("`{}` holds no credentials: at line {line} it is another than it has to be", path.display());
        Self { hints, ..Self::environment(message).code("host.registry") }
    }

    /// A folder for something new that holds something already.
    pub fn folder_in_use(folder: &Path) -> Self {
        Self::environment(format!("`{}` is not empty", folder.display()))
            .hint("choose another folder with `--dir`; nothing is overwritten")
    }

    /// A kind of component that there is no template for.
    pub fn no_template() -> Self {
        Self::command_line("there is a template of a tool in Rust only")
            .hint("any component that exports functions is a tool: docs/guide/write-a-tool.md shows what it needs")
    }

    /// A name that no package can have.
    pub fn package_name(name: &str) -> Self {
        Self::command_line(format!("`{}` can't be the name of a package", one_line(name)))
            .hint("let it begin with a letter")
    }

    /// A path that can't be written into a configuration or a grant.
    pub fn not_text(path: &Path) -> Self {
        Self::environment(format!("`{}` is not a path of Unicode text", path.display()))
            .hint("use a path whose every part is text")
    }

    /// A file of what bounds a session.
    pub fn ceiling(path: &Path, line: usize, why: &str) -> Self {
        Self::environment(format!("`{}` bounds no session: at line {line}: {}", path.display(), one_line(why)))
            .code("host.configuration")
            .hint("it has the keys of [operator], and of that table's `limits`: docs/reference.toml")
    }

    /// A tool whose description shows less than it says.
    pub fn hidden_text(name: &str, hidden: &Hidden) -> Self {
        Self::environment(format!("`{}` can't be registered: {hidden}", one_line(name)))
            .code("host.tool-description")
            .hint("the tool's author has to mend this: a model would read what you can't see")
    }

    /// A name that is taken; what would be different comes as lines.
    pub fn registered_already(name: &Name, differences: &[String], keeps_grant: bool) -> Self {
        let mut error = Self::environment(format!("tool `{name}` is registered already")).code("host.tool-exists");
        if differences.is_empty() {
            return error.hint("what it says of itself is the same; `--replace` puts this file in its place");
        }
        error = error.hint("review first what is different, then put it in its place with `--replace`:");
        error.hints.extend(differences.iter().map(|line| one_line(line)));
        if keeps_grant {
            return error;
        }
        error.hint("it asks for more than before, so what was granted will be taken out of the configuration")
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

    /// A backup that is not what its list says.
    pub fn damaged_backup(from: &Path, why: &str) -> Self {
        Self::evidence(format!("the backup `{}` is damaged: {}", from.display(), one_line(why)))
            .code("audit.backup")
            .hint("take another backup; nothing was restored")
    }

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

    /// A home with more files than a backup may have.
    pub fn too_much_to_back_up(root: &Path) -> Self {
        Self::environment(format!("`{}` holds more than {} files", root.display(), limits::BACKUP_FILES_MAX))
            .code("host.backup")
            .hint("move what is no part of the home out of it")
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

    /// ART-07: an older version may have a hole that the newer one mended.
    pub fn older_version(name: &Name, new: &str, old: &str) -> Self {
        Self::environment(format!("version `{new}` is older than version `{old}` of tool `{name}`"))
            .code("host.tool-older")
            .hint("an older version may have faults that are known; if you mean it, add `--older`")
    }

    /// A policy that is neither built in nor configured with a component.
    pub fn unknown_policy(name: &str, builtin: &[String]) -> Self {
        let builtin = listed(builtin);
        Self::environment(format!("there is no policy `{}`", one_line(name)))
            .code("host.policy")
            .hint(format!("built in are {builtin}; others have a `component` in the configuration under [policies]"))
    }

    /// POL-12: a policy whose component is not the one that is pinned.
    pub fn other_policy(name: &str, actual: &Digest, pinned: &Digest) -> Self {
        Self::environment(format!("policy `{name}` is `{actual}`, but `{pinned}` is pinned"))
            .code("host.policy")
            .hint("review the new component, then pin its digest")
    }

    /// A file that is no policy request.
    pub fn not_a_request(path: &Path, why: &str) -> Self {
        Self::command_line(format!("`{}` is not a policy request: {}", path.display(), one_line(why)))
            .hint("docs/FORMAT.md shows a request; the record of every call holds one")
    }

    /// A command about recorded decisions, where there is no record.
    pub fn no_record() -> Self {
        Self::environment("there is no home with a record of decisions")
            .code("host.not-initialised")
            .hint("name one with `--home DIR`, or another's with `--log DIR`")
    }

    /// An explanation that needs a configuration.
    pub fn no_home_to_explain() -> Self {
        Self::environment("there is no home whose configuration could be explained")
            .code("host.not-initialised")
            .hint("create one with `ringfence init`, or name one with `--home DIR`")
    }

    /// A call that has no recorded decision.
    pub fn no_decision_of(call: CallId) -> Self {
        Self::command_line(format!("no entry that was looked at has a decision on `{call}`"))
            .hint("`ringfence log show` lists calls; a call that was not admitted was never decided on")
    }

    /// Bytes in the log that are no entry.
    pub fn no_entry(index: u64) -> Self {
        Self::evidence(format!("entry {index} of the log can't be read"))
            .code("audit.corrupt")
            .hint("`ringfence log verify` says everything that is wrong")
    }

    /// Flags that grant, for a tool whose grant stands in its table.
    pub fn granted_by_table(name: &Name) -> Self {
        Self::command_line(format!("tool `{name}` is registered: its ring and its grant stand in its table"))
            .hint("leave the flags out, or name the component's file instead")
    }

    /// A table of cases that can't be run.
    pub fn bad_cases(path: &Path, why: &str) -> Self {
        let why = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        Self::environment(format!("`{}` is not a table of cases: {why}", path.display()))
            .code("host.policy-cases")
            .hint("each row is `[[cases]]` with `name`, `expect` and what the request says")
    }

    /// A policy that does not do what its own cases say.
    pub fn failed_cases(name: &str, failed: usize, first: &CaseResult, path: &Path) -> Self {
        let CaseResult { name: case, expected, actual, .. } = first;
        let case = one_line(case);
        Self::environment(format!(
            "policy `{name}` fails {failed} of its own cases, the first is `{case}`: expected {expected}, got {actual}"
        ))
        .code("host.policy-cases")
        .hint(format!("`ringfence policy test {}` shows all of them", path.parent().unwrap_or(path).display()))
        .hint("nothing is permitted until every policy in force passes, or its `cases` are taken out")
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

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Self::environment(one_line(&error.to_string()))
            .code("host.tools")
            .hint("check that the home's folder `tools` is there, and who may use it")
    }
}

impl From<OciError> for CommandError {
    fn from(error: OciError) -> Self {
        let hint = match error {
            OciError::NotATool(..) => "a tool is a Wasm OCI artifact with one component, as `ringfence push` makes it",
            OciError::Reference(..) => "name the registry and the tag or the digest",
            OciError::Registry(..) | OciError::TooLong(..) => {
                "check the reference; `[registries.\"HOST\"] credentials` names a file if the registry wants to know you"
            }
        };
        Self::environment(one_line(&error.to_string())).code("host.registry").hint(hint)
    }
}

impl From<RegisteredError> for CommandError {
    fn from(error: RegisteredError) -> Self {
        let message = one_line(&error.to_string());
        let again = "`ringfence tool add FILE --replace` registers it anew, and shows first what is different";
        match error {
            RegisteredError::Load(error) => error.into(),
            RegisteredError::Description { .. } => Self::environment(message).code("host.tool-description").hint(again),
            RegisteredError::Store { source: StoreError::Changed { .. }, .. } => {
                Self::environment(message).code("host.tool-changed").hint(
                    "somebody has written to the home: look who can; then register the tool anew from a copy you trust",
                )
            }
            RegisteredError::Store { .. } => Self::environment(message).code("host.tools").hint(again),
            RegisteredError::Effects { .. } => Self::environment(message)
                .code("host.config")
                .hint("mend `effects` in the tool's table: functions it has, effects no laxer than its author's"),
            RegisteredError::Signature { source, .. } | RegisteredError::Unsigned { source, .. } => {
                let hint = match source {
                    SignatureError::Bad(_) | SignatureError::Other { .. } => {
                        "get the tool and its signature from its author again; one of the two was changed"
                    }
                    SignatureError::Missing => {
                        "its author signs it with `ringfence sign`; `--unsigned` registers it without, if you mean it"
                    }
                    SignatureError::Trust(_) => {
                        "`trusted-root` of the signer names a `trusted_root.json` of sigstore's, which is replaced when its keys are"
                    }
                    SignatureError::Untrusted(_) => {
                        "review who signed it, then trust them in the configuration: `[signers.NAME]` with `key`, `cosign-key` or `identity`"
                    }
                };
                Self::environment(message).code("host.tool-signature").hint(hint)
            }
            RegisteredError::Unknown(_) => Self::command_line(message)
                .code("caller.unknown-tool")
                .hint("`ringfence tool list` shows what is registered; `ringfence tool add FILE` registers more"),
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

impl From<SessionError> for CommandError {
    fn from(error: SessionError) -> Self {
        let message = one_line(&error.to_string());
        match error {
            SessionError::Ledger(error) => error.into(),
            SessionError::Unknown(_) => {
                Self::command_line(message).hint("`ringfence session list --all` shows every session there was")
            }
            _ => Self::denied("denied.session", &message).hint("`ringfence session show ID` says how it stands"),
        }
    }
}

impl From<AnswerError> for CommandError {
    fn from(error: AnswerError) -> Self {
        let message = one_line(&error.to_string());
        match error {
            AnswerError::Ledger(error) => error.into(),
            AnswerError::Unknown(_) => {
                Self::command_line(message).hint("`ringfence approvals --all` shows every one there was")
            }
            _ => Self::denied("denied.approval", &message).hint("`ringfence approvals --all` says how each stands"),
        }
    }
}

impl From<SettleError> for CommandError {
    fn from(error: SettleError) -> Self {
        let message = one_line(&error.to_string());
        match error {
            SettleError::Ledger(error) => error.into(),
            SettleError::NoCall(_) => {
                Self::command_line(message).hint("`ringfence ledger list --unknown` lists what can be settled")
            }
            SettleError::NotOperator(_) => {
                Self::denied("denied.settle", &message).hint("leave `--as` out, or name an operator: `operator:NAME`")
            }
            SettleError::NotUnknown(..) | SettleError::Settled(..) => Self::denied("denied.settle", &message)
                .hint("`ringfence ledger list` says what was settled; what is on record stays as it is"),
        }
    }
}

impl From<HaltError> for CommandError {
    fn from(error: HaltError) -> Self {
        match error {
            HaltError::Ledger(error) => error.into(),
            HaltError::NotOperator(_) => Self::denied("denied.halt", &one_line(&error.to_string())),
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

impl From<CallFailure> for CommandError {
    fn from(error: CallFailure) -> Self {
        match error {
            CallFailure::Ledger(error) => error.into(),
            other => Self { exit: Exit::Internal, ..Self::environment(one_line(&other.to_string())) },
        }
    }
}

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        let hint = match &error {
            BuildError::Failed(program) if program == "cargo" => {
                "what it printed before says what is wrong; `--stub-wasi` builds a policy whose crates want a clock or chance"
            }
            BuildError::Failed(_) => "what it printed before says what is wrong",
            BuildError::File { .. } => "check what the path leads to, and who may read and write it",
            BuildError::Missing(Needed::ComponentizeJs) => "run `npm install` in the project's folder",
            BuildError::Missing(Needed::ComponentizePy) => {
                "install it with `pip install componentize-py`, or install uv or pipx, which fetch it"
            }
            BuildError::Missing(Needed::Node) => "install Node.js",
            BuildError::Missing(Needed::RustTarget(targets)) => &match targets.first() {
                Some(target) => format!("run `rustup target add {target}`"),
                None => "run `rustup target list`".to_owned(),
            },
            BuildError::NoProject(_) => "`ringfence new` makes a folder to start from",
            BuildError::Project { .. } => "a component is built from one package, for one world",
            BuildError::StubbedTool => "leave `--stub-wasi` out, and grant what it needs",
        };
        Self::environment(one_line(&error.to_string())).code("host.build").hint(hint)
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
            PolicyError::NeverAsked { .. } => {
                "`ringfence policy list` shows the points a policy wants; what is about no tool is not within `tools`"
            }
            PolicyError::NotAPolicy { .. } => {
                "build it against the `policy.wit` of this host: a policy exports `ringfence:policy/judge@0.1`"
            }
            PolicyError::HasImport { .. } => "build it for `wasm32-unknown-unknown`, without a WASI adapter",
            _ => "a policy is a component of the world `policy` in wit/policy",
        };
        Self::environment(message).code("host.policy").hint(hint)
    }
}

impl From<NotAsked> for CommandError {
    fn from(error: NotAsked) -> Self {
        Self::command_line(one_line(&error.to_string()))
            .code("caller.not-asked")
            .hint("no policy is asked about this; `ringfence inspect FILE` shows functions and their schemas")
    }
}

impl From<ArchiveError> for CommandError {
    fn from(error: ArchiveError) -> Self {
        Self::environment(one_line(&error.to_string()))
            .code("host.policy-archive")
            .hint("what has been in force is kept in the home's folder `archive`: check who may use it")
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

/// What in the configuration sets the ring of a call.
#[derive(Clone, Copy, Debug)]
pub enum RingKey<'a> {
    /// `[run] ring`, unless `--ring` is given.
    Run,
    /// `ring` of a registered tool.
    Tool(&'a str),
}

impl RingKey<'_> {
    fn hints(self, ring: Ring, config: &Path) -> Vec<String> {
        let config = config.display();
        let (review, table) = match self {
            Self::Run => (
                format!(
                    "review first, then allow it for this call with `--ring {ring}`, or for every call in `{config}`:"
                ),
                "[run]".to_owned(),
            ),
            Self::Tool(name) => (format!("review first, then allow it in `{config}`:"), format!("[tools.{name}]")),
        };
        vec![review, format!("    {table}"), format!("    ring = {ring}")]
    }
}

/// What would have let a refused call through. Whoever follows it should look first: that is said each time.
pub fn denial_hints(denial: &Denial, ring: Ring, key: RingKey<'_>, home: &Home) -> Vec<String> {
    let config = &home.config_path();
    match denial {
        Denial::Caller(_) | Denial::Input(InputProblem::Unsupported { .. }) => Vec::new(),
        Denial::Input(InputProblem::NoKeyField { .. }) => {
            vec!["give the field, or a key of your own with `--idempotency-key`".to_owned()]
        }
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
        Denial::Held(approval) => vec![
            format!(
                "`ringfence approve {}`, by somebody else than who asks; then make the same call again",
                approval.approval
            ),
            "`ringfence approvals` lists what waits".to_owned(),
        ],
        Denial::Rejected(_) => {
            vec!["what was rejected stays so: another input, grant or policy set makes another question".to_owned()]
        }
        Denial::Capped(capped) => vec![
            format!("try again after {} ms at the latest; nothing has run", capped.retry_after_ms),
            "a policy in force sets this cap: `ringfence policy list`".to_owned(),
        ],
        Denial::Obligation(_) => {
            vec!["narrow where the policy is asked, or what it demands, under [policies]".to_owned()]
        }
        Denial::Halted => vec![
            "`ringfence resume --reason …` lets calls run again; `ringfence log show` says who halted it".to_owned(),
        ],
        Denial::Session(_) => vec!["`ringfence session list` shows what is open, and in which ring".to_owned()],
        Denial::Key { code: "denied.effect-unknown", .. } => vec![
            "find out what it did, then say so: `ringfence ledger settle CALL --committed`, or `--not-executed`"
                .to_owned(),
            "`ringfence ledger list --unknown` lists what waits for that".to_owned(),
        ],
        Denial::Key { .. } => vec!["another `--idempotency-key` makes another call".to_owned()],
        Denial::Policy(reasons) => {
            // Two reasons often have one way out: it is said once.
            let mut ways_out: Vec<Vec<String>> = Vec::new();
            for way_out in reasons.iter().map(|reason| policy_hints(reason, ring, key, config)) {
                if !ways_out.contains(&way_out) {
                    ways_out.push(way_out);
                }
            }
            ways_out.concat()
        }
        Denial::Layer(refusal) => layers::hints(refusal, ring, key, home),
        Denial::Unreached(_) => vec!["`ringfence tool list` shows what is registered".to_owned()],
    }
}

fn policy_hints(reason: &DenialReason, ring: Ring, key: RingKey<'_>, path: &Path) -> Vec<String> {
    let config = path.display();
    let more_privileged = Ring::ALL.into_iter().rev().find(|other| other.number() < ring.number());
    match (reason.reason.code.as_str(), more_privileged) {
        ("ring-not-privileged-enough" | "folder-not-read-only", Some(other)) => key.hints(other, path),
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

/// The lines that would grant a tool what it asks for, and what they are to be read with.
pub fn grant_hints(name: &str, description: &Description, config: &Path) -> Vec<String> {
    let config = config.display();
    let Some(asked) = &description.capabilities else {
        return vec![format!("it has no manifest, so it does not say what it needs; grants stand in `{config}`")];
    };
    let rings = description.functions.iter().map(|function| function.effect.required_ring().number());
    let ring = rings.min().unwrap_or(Ring::Sandbox.number());
    let mut lines =
        vec![format!("    [tools.{name}]"), format!("    ring = {ring}"), format!("    [tools.{name}.grant]")];
    let access = match asked.filesystem.access() {
        Some(Access::Read) => Some("ro"),
        Some(Access::ReadWrite) => Some("rw"),
        None => None,
    };
    lines.extend(access.map(|access| format!("    folders = [\"/FOLDER::/FOLDER:{access}\"]")));
    if !asked.environment.is_empty() {
        let value = |name: &String| {
            let name = toml::Value::String(one_line(name));
            format!("{name} = {{ env = {name} }}")
        };
        let values: Vec<_> = asked.environment.iter().map(value).collect();
        lines.push(format!("    environment = {{ {} }}", values.join(", ")));
    }
    let texts = |rules: Vec<String>| rules.into_iter().map(|rule| toml::Value::String(one_line(&rule)).to_string());
    for (key, rules) in [
        ("http", asked.http.iter().map(ToString::to_string).collect::<Vec<_>>()),
        ("sockets", asked.sockets.iter().map(ToString::to_string).collect()),
        ("names", asked.names.iter().map(ToString::to_string).collect()),
        ("addresses", asked.addresses.iter().map(ToString::to_string).collect()),
        ("secrets", asked.secrets.clone()),
    ] {
        // What asks for everything there is, names nothing that could be granted.
        let is_everything = |rule: &String| rule == ANY_SECRET || rule.ends_with("/0") || rule.contains("/0]");
        let rules: Vec<_> = rules.into_iter().filter(|rule| !is_everything(rule)).collect();
        if !rules.is_empty() {
            lines.push(format!("    {key} = [{}]", texts(rules).collect::<Vec<_>>().join(", ")));
        }
    }
    let review = if ring == Ring::Sandbox.number() && lines.len() == 3 {
        return vec!["it asks for nothing, and can be called as it is".to_owned()];
    } else {
        format!("review first, then grant what you mean to of what it asks for in `{config}`:")
    };
    [review].into_iter().chain(lines).collect()
}

/// What to do where a log in memory is not what was meant.
pub fn memory_log_hints(config: &Path) -> Vec<String> {
    vec![format!(
        "take `store = \"memory\"` out of `[log]` in `{}` where what is called has to stay on record",
        config.display()
    )]
}

/// How a server gets something to offer.
pub fn nothing_offered_hints() -> Vec<String> {
    vec![
        "`ringfence tool add` registers tools; a function is offered where its tool's `ring` is privileged enough for it"
            .to_owned(),
    ]
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
