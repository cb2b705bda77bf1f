//! Rust: cargo, with a standard library for WebAssembly that is installed already, or one that was prepared.
//!
//! A policy is built for a target without any import. One whose crates want a clock or chance does not compile for that;
//! it is built for WASI then, and linked with stubs in its place, so that it has no imports either.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::SystemTime;

use ringfence_guest_build::Toolchain;
use ringfence_guest_build::cargo_build;
use ringfence_model::limits;
use serde_json::Value;

use crate::build::BuildError;
use crate::build::Kind;
use crate::build::Needed;
use crate::build::Project;
use crate::build::RUST;
use crate::build::Wasi;
use crate::files;

/// A standard library without any import.
const POLICY_TARGET: &str = "wasm32-unknown-unknown";
/// A standard library over WASI as it was when a program imported plain functions, which can be stubbed.
const STUBBED_TARGET: &str = "wasm32-wasip1";
/// Standard libraries over WASI, the better one first.
const TOOL_TARGETS: [&str; 2] = ["wasm32-wasip2", "wasm32-wasip1"];
/// What stands in for WASI in a policy.
const STUBS: &str = include_str!("wasi_stubs.wat");
const STUBBED_MODULE: &str = "wasi_snapshot_preview1";
/// What turns the linker's module into a component; it comes with Rust.
const LINKER: &str = "wasm-component-ld";
/// Where tool-chains are prepared, and what says so: see `scripts/guest-toolchain.sh`.
const PREPARED: &str = "RINGFENCE_GUEST_TOOLCHAIN";
const PREPARED_FOLDER: &str = "ringfence-guest-toolchain";

pub(super) fn package_name(manifest: &Path) -> Result<String, BuildError> {
    let text = files::read_text(manifest, limits::CONFIG_BYTES_MAX).map_err(BuildError::file(manifest))?;
    let wrong = |why: String| BuildError::Project { path: manifest.to_owned(), why };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    let name = table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    name.map(ToOwned::to_owned).ok_or_else(|| wrong("it is not the manifest of a package".to_owned()))
}

/// What a project is compiled for: how a prepared tool-chain calls it, and which targets will do.
struct Base {
    key: &'static str,
    targets: &'static [&'static str],
}

impl Base {
    fn of(project: &Project, wasi: Wasi) -> Self {
        match (project.kind(), wasi) {
            (Kind::Policy, Wasi::AsItIs) => Self { key: "POLICY_TARGET", targets: &[POLICY_TARGET] },
            (Kind::Policy, Wasi::Stubbed) => Self { key: "TOOL_TARGET", targets: &[STUBBED_TARGET] },
            (Kind::Tool, _) => Self { key: "TOOL_TARGET", targets: &TOOL_TARGETS },
        }
    }

    /// The target of a tool-chain, if it is one of these.
    fn target<'a>(&self, toolchain: &'a Toolchain) -> Option<&'a str> {
        toolchain.one(self.key).ok().filter(|target| self.targets.contains(target))
    }
}

pub(super) fn build(project: &Project, wasi: Wasi) -> Result<Vec<u8>, BuildError> {
    let base = Base::of(project, wasi);
    let missing = || BuildError::Missing(Needed::RustTarget(base.targets));
    let toolchain = installed(project, &base).or_else(|| prepared(&base)).ok_or_else(missing)?;
    let triple = base.target(&toolchain).ok_or_else(missing)?;
    let mut command = cargo_build(&toolchain, triple, &[(&project.folder, &project.name)])?;
    if wasi == Wasi::Stubbed {
        command.arg("--config").arg(stubs(project, triple)?);
    }
    command.current_dir(&project.folder).arg("--message-format=json-render-diagnostics");
    let path = only_component(&messages(&mut command)?, &project.folder.join(RUST))?;
    files::read(&path, limits::COMPONENT_BYTES_MAX).map_err(BuildError::file(&path))
}

/// Has the linker put the stubs in. Where they lie is among the flags, and other flags mean that everything is compiled
/// anew: it is always the same place.
fn stubs(project: &Project, triple: &str) -> Result<String, BuildError> {
    let folder = project.folder.join("target");
    let path = folder.join("wasi_stubs.wat");
    fs::create_dir_all(&folder).and_then(|()| fs::write(&path, STUBS)).map_err(BuildError::file(&path))?;
    let flag = format!("-Clink-arg=--adapt={STUBBED_MODULE}={}", path.display());
    Ok(format!("target.{triple}.rustflags=[{flag:?}]"))
}

/// What cargo says it did; for people it prints on standard error.
fn messages(command: &mut Command) -> Result<String, BuildError> {
    let ran = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
    match ran {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => Err(BuildError::Failed("cargo".to_owned())),
    }
}

fn only_component(messages: &str, manifest: &Path) -> Result<PathBuf, BuildError> {
    let of_package = |message: &Value| {
        message["reason"] == "compiler-artifact" && message["manifest_path"].as_str().map(Path::new) == Some(manifest)
    };
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(of_package);
    let files = |message: Value| message.get("filenames").and_then(Value::as_array).cloned().unwrap_or_default();
    let paths = messages.flat_map(files).filter_map(|file| file.as_str().map(PathBuf::from));
    let found: Vec<_> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect();
    match <[PathBuf; 1]>::try_from(found) {
        Ok([path]) => Ok(path),
        Err(found) => {
            let why = format!("it makes {} components, and has to make one: a `cdylib` or a program", found.len());
            Err(BuildError::Project { path: manifest.to_owned(), why })
        }
    }
}

/// The compiler that is used in that folder, if it has a standard library for what is to be built.
fn installed(project: &Project, base: &Base) -> Option<Toolchain> {
    let rustc = |args: &[&str]| {
        let output =
            Command::new("rustc").current_dir(&project.folder).args(args).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim_end());
    let version = rustc(&["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    let libraries = sysroot.join("lib/rustlib");
    let target = base.targets.iter().find(|target| has_std(&libraries.join(target).join("lib")))?;
    let tools = libraries.join(host).join("bin");
    let settings = [
        ("CARGO", "cargo".into()),
        ("RUSTC", sysroot.join("bin/rustc")),
        (base.key, target.into()),
        ("LINKER", tools.join(LINKER)),
        ("PATH_PREFIX", tools.join("gcc-ld")),
    ];
    let lines: Vec<_> = settings.iter().map(|(key, value)| format!("{key}={}", value.display())).collect();
    Some(Toolchain::parse(&lines.join("\n")))
}

fn has_std(folder: &Path) -> bool {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// The newest of those that were prepared for this, and whose compiler is still the one they were prepared for.
fn prepared(base: &Base) -> Option<Toolchain> {
    let folder = prepared_folder()?;
    let mut found: Vec<(SystemTime, Toolchain)> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter_map(|entry| read(&entry.path().join("env")).ok().flatten())
        .filter(|(_, toolchain)| base.target(toolchain).is_some())
        .collect();
    found.sort_by_key(|(time, _)| *time);
    found.pop().map(|(_, toolchain)| toolchain)
}

fn prepared_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || folder("XDG_CACHE_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    folder(PREPARED).or_else(|| cache().map(|cache| cache.join(PREPARED_FOLDER)))
}

fn read(settings: &Path) -> io::Result<Option<(SystemTime, Toolchain)>> {
    let time = fs::metadata(settings)?.modified()?;
    let toolchain = Toolchain::parse(&files::read_text(settings, limits::CONFIG_BYTES_MAX)?);
    let version = |rustc: &str| Command::new(rustc).arg("-V").output().map(|output| output.stdout);
    let is_current = match (toolchain.one("RUSTC"), toolchain.one("RUSTC_VERSION")) {
        (Ok(rustc), Ok(known)) => version(rustc)?.trim_ascii_end() == known.as_bytes(),
        _ => false,
    };
    Ok(is_current.then_some((time, toolchain)))
}
