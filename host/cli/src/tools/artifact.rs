//! What is to be registered: the files of a tool, from wherever they came, before anything is decided about them.

use std::path::Path;
use std::path::PathBuf;

use ringfence_model::description::Description;
use ringfence_model::digest::Digest;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::sandbox::link::Imports;
use ringfence_runtime::toolbox::Tool;
use ringfence_runtime::toolbox::ToolFile;

use crate::commands;
use crate::error::CommandError;

/// The files of a tool.
#[derive(Debug)]
pub struct Artifact {
    /// What it is called where it came from.
    pub name: String,
    pub component: Vec<u8>,
    /// The manifest beside the component.
    pub manifest: Option<Vec<u8>>,
    /// The signature beside the component.
    pub signature: Option<Vec<u8>>,
    /// The bundle that takes its place.
    pub bundle: Option<PathBuf>,
    /// Where it came from, in words that lead there again.
    pub source: String,
}

/// A tool that could be registered.
#[derive(Debug)]
pub struct Candidate {
    pub artifact: Artifact,
    pub description: Description,
    pub tool: Tool,
}

impl Artifact {
    /// A component's file, and what lies beside it.
    pub fn from_file(path: &Path) -> Result<Self, CommandError> {
        let component = commands::read(path)?;
        let full = path.canonicalize().map_err(|error| CommandError::file(path, &error))?;
        let source = full.into_os_string().into_string();
        Ok(Self {
            name: tool_name(path, &Digest::of(&component)),
            manifest: commands::manifest_beside(path)?,
            signature: commands::read_if_there(&commands::signature_beside(path))?,
            bundle: None,
            component,
            source: source.map_err(|_| CommandError::not_text(path))?,
        })
    }

    /// Has a bundle vouch for it.
    pub fn with_bundle(mut self, path: &Path) -> Result<Self, CommandError> {
        self.signature = Some(commands::read_cosign_bundle(path)?);
        self.bundle = Some(path.to_owned());
        Ok(self)
    }

    /// Where its signature comes from.
    pub fn signature_source(&self) -> String {
        match &self.bundle {
            Some(path) => path.display().to_string(),
            None => commands::signature_beside(Path::new(&self.source)).display().to_string(),
        }
    }

    /// Loads it, with nothing granted. A tool whose description hides something is no candidate (AGT-01).
    pub fn load(mut self, engine: &Engine) -> Result<Candidate, CommandError> {
        let (manifest, name) = (self.manifest.as_deref(), self.name.as_str());
        let file = ToolFile { name, bytes: &self.component, manifest, imports: Imports::Refuse };
        let tool = commands::block_on(async { Ok(Tool::load(engine, file).await?) })?;
        if !tool.has_manifest_beside() {
            self.manifest = None;
        }
        let description = tool.description();
        match description.hidden_text() {
            None => Ok(Candidate { artifact: self, description, tool }),
            Some(hidden) => Err(CommandError::hidden_text(&self.name, &hidden)),
        }
    }
}

/// A tool's name from its file: without folder and extension.
pub fn tool_name(file: &Path, digest: &Digest) -> String {
    file.file_stem().and_then(|stem| stem.to_str()).map_or_else(|| digest.short(), str::to_owned)
}
