//! From a folder of source to the bytes of a component.
//!
//! It finds out what the folder holds and has the language's own tools build it. It installs nothing, and does not judge
//! what comes out: whether that is a policy or a tool is found out by loading it.

mod javascript;
mod python;
mod rust;
mod wit;

use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use ringfence_guest_build::GuestBuildError;
use ringfence_model::limits;
use thiserror::Error;

pub use crate::build::wit::Kind;
use crate::build::wit::Wit;
use crate::files;

/// The file that a project in Python begins with.
const PYTHON: &str = "app.py";
/// The file that a project in JavaScript begins with.
const JAVASCRIPT: &str = "app.js";
/// The file that a project in Rust begins with.
const RUST: &str = "Cargo.toml";

/// Why a folder did not become a component.
#[derive(Debug, Error)]
pub enum BuildError {
    /// A file of the project, or what was built, can't be used.
    #[error("`{}` can't be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing in the folder says what it is.
    #[error("`{}` holds none of `Cargo.toml`, `app.py` and `app.js`", .0.display())]
    NoProject(PathBuf),
    /// The project's own description can't be used.
    #[error("`{}` can't be built: {why}", path.display())]
    Project {
        /// The file that says so.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Something that is needed is not there.
    #[error("{0} is not installed")]
    Missing(Needed),
    /// A tool was to be built without WASI.
    #[error("only a policy is built with stubs for WASI: a tool reaches it as far as it is granted")]
    StubbedTool,
    /// A program was there and failed; it has said why.
    #[error("`{0}` failed")]
    Failed(String),
}

/// What building needs, and does not install by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// What builds JavaScript.
    ComponentizeJs,
    /// What builds Python.
    ComponentizePy,
    /// What runs what builds JavaScript.
    Node,
    /// A standard library of Rust for WebAssembly, for one of these targets.
    RustTarget(&'static [&'static str]),
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ComponentizeJs => f.write_str("`@bytecodealliance/componentize-js`"),
            Self::ComponentizePy => f.write_str("`componentize-py`"),
            Self::Node => f.write_str("`node`"),
            Self::RustTarget(targets) => write!(f, "a standard library of Rust for `{}`", targets.join("` or `")),
        }
    }
}

impl BuildError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

impl From<GuestBuildError> for BuildError {
    fn from(error: GuestBuildError) -> Self {
        match error {
            GuestBuildError::File { path, source } => Self::File { path, source },
            other => Self::Failed(other.to_string()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    JavaScript,
    Python,
    Rust,
}

/// What becomes of the WASI that a policy is built over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wasi {
    /// It stays an import, and then the component is no policy.
    AsItIs,
    /// Stubs that tell every policy the same take its place.
    Stubbed,
}

/// A folder that can be built.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
    language: Language,
    name: String,
    wit: Wit,
}

impl Project {
    /// Finds out what a folder holds.
    pub fn open(folder: &Path) -> Result<Self, BuildError> {
        let folder = folder.canonicalize().map_err(BuildError::file(folder))?;
        let languages = [(RUST, Language::Rust), (PYTHON, Language::Python), (JAVASCRIPT, Language::JavaScript)];
        let found = languages.into_iter().find(|(file, _)| folder.join(file).is_file());
        let (_, language) = found.ok_or_else(|| BuildError::NoProject(folder.clone()))?;
        let name = match language {
            Language::Rust => rust::package_name(&folder.join(RUST))?,
            Language::JavaScript | Language::Python => folder_name(&folder),
        };
        Ok(Self { wit: Wit::read(&folder.join("wit"))?, folder, language, name })
    }

    /// What the component is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is meant to be.
    pub fn kind(&self) -> Kind {
        self.wit.kind()
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bytes of the component, with what describes it inside. The tools of the language say on standard error how
    /// they get on.
    ///
    /// A policy in Python or JavaScript has nothing of WASI either way: their tools take it out.
    ///
    /// # Errors
    ///
    /// What can't be built, and WASI to be stubbed in a tool, which is granted it.
    pub fn build(&self, wasi: Wasi) -> Result<Vec<u8>, BuildError> {
        if self.kind() == Kind::Tool && wasi == Wasi::Stubbed {
            return Err(BuildError::StubbedTool);
        }
        let component = match self.language {
            Language::JavaScript => javascript::build(self)?,
            Language::Python => python::build(self)?,
            Language::Rust => rust::build(self, wasi)?,
        };
        match self.kind() {
            Kind::Policy => Ok(component),
            Kind::Tool => Ok(ringfence_guest_build::described(component, &self.folder)?),
        }
    }
}

fn folder_name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A program by its name, if it is on the path.
fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Runs a program of a language's to its end. What it prints is progress, so none of it is output of ours.
fn run(command: &mut Command) -> Result<(), BuildError> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).stdout(io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(BuildError::Failed(name)),
    }
}

/// A file that a program is told to write, in a folder that goes away.
fn built(write: impl FnOnce(&Path) -> Result<(), BuildError>) -> Result<Vec<u8>, BuildError> {
    let folder = tempfile::tempdir().map_err(BuildError::file(Path::new("a temporary folder")))?;
    let path = folder.path().join("built.wasm");
    write(&path)?;
    files::read(&path, limits::COMPONENT_BYTES_MAX).map_err(BuildError::file(&path))
}
