//! Rust guests: one nested cargo run for all crates of a target, each becoming a component.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::GuestBuild;
use crate::error::GuestBuildError;
use crate::toolchain::{self, Toolchain};

/// What a guest may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing: a component without imports.
    Policy,
    /// WASI 0.2.
    Tool,
}

/// A crate of the guest workspace, or one program of it.
#[derive(Clone, Copy, Debug)]
pub struct Crate<'a> {
    /// Its folder, relative to the repository.
    pub folder: &'a str,
    /// The package's name.
    pub package: &'a str,
    /// Which of its programs.
    pub program: Program<'a>,
}

/// Kinds of programs in a crate.
#[derive(Clone, Copy, Debug)]
pub enum Program<'a> {
    /// A binary: a command.
    Bin(&'a str),
    /// An example that is a library: a component with exports.
    Example(&'a str),
    /// The library itself: a component with exports.
    Lib,
}

impl<'a> Crate<'a> {
    /// The library of a package that is named after its folder.
    pub fn library(folder: &'a str) -> Self {
        let package = folder.rsplit('/').next().unwrap_or(folder);
        Self { folder, package, program: Program::Lib }
    }

    /// A binary of a package.
    pub fn bin(folder: &'a str, package: &'a str, name: &'a str) -> Self {
        Self { folder, package, program: Program::Bin(name) }
    }

    /// An example of a package.
    pub fn example(folder: &'a str, package: &'a str, name: &'a str) -> Self {
        Self { folder, package, program: Program::Example(name) }
    }

    /// What the program is called.
    pub fn name(&self) -> &'a str {
        match self.program {
            Program::Bin(name) | Program::Example(name) => name,
            Program::Lib => self.package,
        }
    }

    /// Where cargo leaves the component, relative to the folder of the target's release profile.
    fn file(&self) -> String {
        match self.program {
            Program::Bin(name) => format!("{name}.wasm"),
            Program::Example(name) => format!("examples/{}.wasm", name.replace('-', "_")),
            Program::Lib => format!("{}.wasm", self.package.replace('-', "_")),
        }
    }
}

pub(crate) fn build(build: &GuestBuild, target: Target, crates: &[Crate<'_>]) -> Result<Vec<PathBuf>, GuestBuildError> {
    let triple = build.toolchain.one(match target {
        Target::Policy => "POLICY_TARGET",
        Target::Tool => "TOOL_TARGET",
    })?;
    let names: Vec<_> = crates.iter().map(Crate::name).collect();
    toolchain::run(&mut command(build, triple, crates)?, &names.join(", "))?;
    let folder = build.target_folder.join(triple).join("release");
    Ok(crates.iter().map(|guest| folder.join(guest.file())).collect())
}

fn command(build: &GuestBuild, triple: &str, crates: &[Crate<'_>]) -> Result<Command, GuestBuildError> {
    let mut command = cargo_build(&build.toolchain, triple, &[(&build.repo, "ringfence")])?;
    command
        .current_dir(build.repo.join("guests"))
        .env("CARGO_TARGET_DIR", &build.target_folder)
        .args(["--locked", "--quiet"]);
    select(&mut command, crates);
    Ok(command)
}

/// `cargo build` of a tool-chain, for a target of its own. Components hold the names of source files: folders that are
/// given, and cargo's own, are called otherwise in them.
pub fn cargo_build(toolchain: &Toolchain, triple: &str, folders: &[(&Path, &str)]) -> Result<Command, GuestBuildError> {
    let mut command = toolchain.command(toolchain.one("CARGO")?)?;
    command
        .env("RUSTC", toolchain.one("RUSTC")?)
        .args(["build", "--release", "--target", triple])
        .arg("--config")
        .arg(format!("target.{triple}.linker={:?}", toolchain.one("LINKER")?))
        .arg("--config")
        .arg(format!("target.{triple}.rustflags={:?}", rust_flags(toolchain, folders)));
    Ok(command)
}

/// Cargo takes `--lib` only once, for all packages; building a library too many does no harm.
fn select(command: &mut Command, crates: &[Crate<'_>]) {
    for guest in crates {
        command.args(["--package", guest.package]);
        match guest.program {
            Program::Bin(name) => command.args(["--bin", name]),
            Program::Example(name) => command.args(["--example", name]),
            Program::Lib => &mut *command,
        };
    }
    if crates.iter().any(|guest| matches!(guest.program, Program::Lib)) {
        command.arg("--lib");
    }
}

/// The tool-chain's own flags, and what keeps this machine's paths out of components.
fn rust_flags(toolchain: &Toolchain, folders: &[(&Path, &str)]) -> Vec<String> {
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags = toolchain.all("RUSTFLAGS").to_vec();
    flags.extend(folders.iter().map(|(folder, name)| remap(folder, name)));
    flags.extend(registry_sources().iter().map(|folder| remap(folder, "crates")));
    flags
}

/// Where cargo unpacks crates, one folder for each registry; the script has fetched them, so they are there.
fn registry_sources() -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let entries = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    let mut folders: Vec<_> = entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders
}
