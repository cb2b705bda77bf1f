//! Builds guests (tools, policies, fixtures) from a build script, with the tool-chain that `scripts/guest-toolchain.sh`
//! prepared.
//!
//! It owns the translation from "these packages, for that target" to one nested cargo run or a few clang runs, and
//! puts a tool's manifest into its component. It never installs anything: when nothing is prepared it fails and says
//! what to run. It has no dependencies, as every build waits for it.

mod cargo;
mod clang;
mod error;
mod manifest;
mod toolchain;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use crate::cargo::{Crate, Program, Target};
pub use crate::error::GuestBuildError;
use crate::toolchain::Toolchain;

/// Runs the body of a build script, and reports its error to the person who started the build.
pub fn run(body: impl FnOnce(&GuestBuild) -> Result<(), GuestBuildError>) -> ExitCode {
    match GuestBuild::prepare().and_then(|build| body(&build)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// A prepared tool-chain, and where things are.
#[derive(Debug)]
pub struct GuestBuild {
    repo: PathBuf,
    out: PathBuf,
    target_folder: PathBuf,
    toolchain: Toolchain,
}

impl GuestBuild {
    /// Finds the repository and the tool-chain; only works in a build script.
    pub fn prepare() -> Result<Self, GuestBuildError> {
        let repo = repository();
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(GuestBuildError::NotABuildScript)?);
        let toolchain = Toolchain::read(&repo)?;
        let build = Self { target_folder: target_folder(&out), repo, out, toolchain };
        build.watch("wit");
        build.watch("guests/Cargo.toml");
        build.watch("guests/Cargo.lock");
        build.watch("scripts/guest-toolchain.sh");
        Ok(build)
    }

    /// Builds crates of the guest workspace in one go; answers with the path of each component, in the same order.
    ///
    /// A tool's `manifest.toml`, if it has one, is inside the component that is returned.
    pub fn crates(&self, target: Target, crates: &[Crate<'_>]) -> Result<Vec<PathBuf>, GuestBuildError> {
        for guest in crates {
            self.watch(guest.folder);
        }
        cargo::build(self, target, crates)?
            .into_iter()
            .zip(crates)
            .map(|(component, guest)| self.finished(component, guest.folder))
            .collect()
    }

    /// Builds every `.c` file of a folder into one command; answers with the path of the component.
    pub fn c_command(&self, folder: &str) -> Result<PathBuf, GuestBuildError> {
        self.watch(folder);
        let component = clang::build(self, folder)?;
        self.finished(component, folder)
    }

    /// Writes a generated source file into `OUT_DIR`.
    pub fn write_source(&self, name: &str, text: &str) -> Result<(), GuestBuildError> {
        write(&self.out.join(name), text.as_bytes())
    }

    /// The names of the Rust programs in a folder, in order: a file is a program.
    pub fn programs(&self, folder: &str) -> Result<Vec<String>, GuestBuildError> {
        self.watch(folder);
        let stem = |path: &PathBuf| Some(path.file_stem()?.to_string_lossy().into_owned());
        Ok(files_with_extension(&self.repo.join(folder), "rs")?.iter().filter_map(stem).collect())
    }

    /// Has the build script run again when something under this path, relative to the repository, changes.
    pub fn watch(&self, path: &str) {
        println!("cargo::rerun-if-changed={}", self.repo.join(path).display());
    }

    /// Puts in the manifest, and has the build script run again when somebody removes the component.
    fn finished(&self, component: PathBuf, folder: &str) -> Result<PathBuf, GuestBuildError> {
        let component = self.with_manifest(component, folder)?;
        println!("cargo::rerun-if-changed={}", component.display());
        Ok(component)
    }

    fn with_manifest(&self, component: PathBuf, folder: &str) -> Result<PathBuf, GuestBuildError> {
        let source = self.repo.join(folder).join("manifest.toml");
        if !source.exists() {
            return Ok(component);
        }
        let embedded = manifest::embed(&read(&component)?, &read(&source)?);
        let copy = self.target_folder.join("tools").join(component.file_name().unwrap_or_default());
        write(&copy, &embedded)?;
        Ok(copy)
    }
}

/// Rust source of a documented `&str` constant that holds a path.
pub fn path_constant(name: &str, doc: &str, path: &Path) -> String {
    let mut text = String::new();
    // Writing to a `String` can't fail.
    let _ = writeln!(text, "/// {doc}\npub const {name}: &str = {:?};", path.display().to_string());
    text
}

/// Makes a constant's name of a guest's: `climb-out` becomes `CLIMB_OUT`.
pub fn constant_name(guest: &str) -> String {
    guest.replace('-', "_").to_uppercase()
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// `guests` in the target folder of the build that is under way, so that a build elsewhere has guests of its own.
fn target_folder(out: &Path) -> PathBuf {
    // OUT_DIR is <target>/<profile>/build/<package>/out, with a triple before the profile in a cross build.
    let target = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    target.or_else(|| out.ancestors().nth(4)).unwrap_or(out).join("guests")
}

/// The files in a folder whose names end so, in order.
fn files_with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, GuestBuildError> {
    let entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| GuestBuildError::File { path: folder.to_path_buf(), source })?;
    let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>, GuestBuildError> {
    fs::read(path).map_err(|source| GuestBuildError::File { path: path.to_path_buf(), source })
}

/// Writes a file unless it holds these bytes already, so that its time stamp means something.
fn write(path: &Path, bytes: &[u8]) -> Result<(), GuestBuildError> {
    let put = || {
        if fs::read(path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, bytes)
    };
    put().map_err(|source| GuestBuildError::File { path: path.to_path_buf(), source })
}
