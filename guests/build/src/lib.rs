//! Builds guests (tools, policies, fixtures) from a build script, with the tool-chain that `scripts/guest-toolchain.sh`
//! prepared.
//!
//! It owns the translation from "these packages, for that target" to one nested cargo run or a few clang runs, and
//! puts a tool's manifest and the doc comments of its WIT into its component. It never installs anything: when nothing is prepared it fails and says
//! what to run. It has no dependencies, as every build waits for it.

mod cargo;
mod clang;
mod docs;
mod error;
mod section;
mod toolchain;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use crate::cargo::{Crate, Program, Target, cargo_build};
pub use crate::error::GuestBuildError;
pub use crate::toolchain::Toolchain;

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
    /// A tool's `manifest.toml` and the doc comments of its `wit` folder, if it has them, are inside the component that
    /// is returned.
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

    /// Puts in what describes a tool, and has the build script run again when somebody removes the component.
    fn finished(&self, component: PathBuf, folder: &str) -> Result<PathBuf, GuestBuildError> {
        let component = self.with_sections(component, &self.repo.join(folder))?;
        println!("cargo::rerun-if-changed={}", component.display());
        Ok(component)
    }

    fn with_sections(&self, component: PathBuf, folder: &Path) -> Result<PathBuf, GuestBuildError> {
        let plain = read(&component)?;
        let bytes = described(plain.clone(), folder)?;
        if bytes == plain {
            return Ok(component);
        }
        let copy = self.target_folder.join("tools").join(component.file_name().unwrap_or_default());
        write(&copy, &bytes)?;
        Ok(copy)
    }
}

/// Puts what describes a tool into its component: the `manifest.toml` of its folder and the doc comments of its `wit`
/// folder, if it has them.
pub fn described(component: Vec<u8>, folder: &Path) -> Result<Vec<u8>, GuestBuildError> {
    let (manifest, wit) = (folder.join("manifest.toml"), folder.join("wit"));
    let manifest = if manifest.exists() { Some(read(&manifest)?) } else { None };
    let docs = if wit.exists() { docs::section(&read_texts(&wit, "wit")?) } else { None };
    let sections = [(section::MANIFEST, manifest), (section::DOCS, docs)];
    let present = sections.into_iter().filter_map(|(name, data)| Some((name, data?)));
    Ok(present.fold(component, |bytes, (name, data)| section::append(&bytes, name, &data)))
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

/// The texts of the files in a folder whose names end so.
fn read_texts(folder: &Path, extension: &str) -> Result<Vec<String>, GuestBuildError> {
    let text = |path: &PathBuf| Ok(String::from_utf8_lossy(&read(path)?).into_owned());
    files_with_extension(folder, extension)?.iter().map(text).collect()
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
