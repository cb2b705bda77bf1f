//! Tools, and components as such: built, signed, fetched, admitted, registered, granted.

use std::path::Path;

use ringfence_model::capability::Access;
use ringfence_model::description::Description;
use ringfence_model::description::Hidden;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_model::tool::ANY_SECRET;
use ringfence_runtime::engine::CompileError;
use ringfence_runtime::toolbox::ToolError;

use crate::build::BuildError;
use crate::build::Needed;
use crate::config::tools::Name;
use crate::error::CommandError;
use crate::home::HomeError;
use crate::tools::RegisteredError;
use crate::tools::oci::OciError;
use crate::tools::signature::SignatureError;
use crate::tools::store::StoreError;

const WHO_LETS_IN: &str =
    "`ringfence policy list` shows who is asked at `admit`; what is revoked stands in the configuration";

impl CommandError {
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

    /// ART-07: an older version may have a hole that the newer one mended.
    pub fn older_version(name: &Name, new: &str, old: &str) -> Self {
        Self::environment(format!("version `{new}` is older than version `{old}` of tool `{name}`"))
            .code("host.tool-older")
            .hint("an older version may have faults that are known; if you mean it, add `--older`")
    }

    /// A variable of a registered tool's grant without a value.
    pub fn granted_value(tool: &str, variable: &str, from: &str) -> Self {
        Self::environment(format!("tool `{tool}` is granted variable `{variable}`, but there is no text in `{from}`"))
            .code("host.grant")
            .hint(format!("set it, or take `{variable}` out of [tools.{tool}.grant]"))
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
