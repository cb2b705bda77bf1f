//! Tools: from the bytes of a file to something that can be called.
//!
//! All three shapes go down the same path: lift, read the manifest and the docs, compile, link, list the functions. The
//! bytes are read once by the caller; what is hashed is what is compiled (ART-01). This module decides nothing about a
//! call.

mod bounds;
mod docs;
mod function;
pub mod manifest;
pub(crate) mod repeat;
pub mod schema;
pub mod value;

use std::collections::BTreeMap;
use std::fmt;

use ringfence_model::description::Description;
use ringfence_model::digest::Digest;
use ringfence_model::grant::Grant;
use ringfence_model::grant::Limits;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;
use ringfence_model::tool::Manifest;
use ringfence_model::tool::Shape;
use ringfence_model::tool::ToolRef;
use thiserror::Error;
use wasmtime::component::Component;
use wasmtime::component::InstancePre;
use wasmtime::component::types::ComponentItem;

use crate::engine::CompileError;
use crate::engine::Engine;
use crate::engine::LiftError;
use crate::sandbox;
use crate::sandbox::State;
use crate::sandbox::link;
use crate::sandbox::link::Imports;
use crate::toolbox::docs::Docs;
pub use crate::toolbox::function::Function;
pub use crate::toolbox::function::InputProblem;
pub(crate) use crate::toolbox::function::Target;
pub(crate) use crate::toolbox::function::compile_schema;

/// Why a file is not a tool that can be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ToolError {
    /// It is no component, and can't be made one.
    #[error("`{name}` is not a component: {why}")]
    NotAComponent {
        /// The file.
        name: String,
        /// What it is instead.
        why: String,
    },
    /// It can't be compiled within its limits, or at all.
    #[error("`{name}` can't be compiled: {source}")]
    Compile {
        /// The file.
        name: String,
        /// What stood in the way.
        source: CompileError,
    },
    /// It imports what no tool can import, or what is not granted and was to be loaded strictly.
    #[error("`{name}` can't be linked: {source}")]
    Import {
        /// The file.
        name: String,
        /// The import, and what is wrong with it.
        source: link::LinkError,
    },
    /// Its manifest can't be used.
    #[error("{manifest} can't be used: {source}")]
    Manifest {
        /// Which manifest.
        manifest: String,
        /// What is wrong with it.
        source: manifest::ManifestError,
    },
    /// It exports nothing that can be called.
    #[error("`{name}` exports nothing that can be called")]
    NoFunctions {
        /// The file.
        name: String,
    },
    /// What it says of itself can't be used.
    #[error("`{name}` does not describe itself properly: {why}")]
    Description {
        /// The file.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Why a function can't be picked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}", match .wanted {
    Some(wanted) => format!("tool `{tool}` has no function `{wanted}`"),
    None => format!("tool `{tool}` has {} functions; one of them has to be named", .available.len()),
})]
pub struct FunctionError {
    /// The tool.
    pub tool: String,
    /// The function that was asked for.
    pub wanted: Option<String>,
    /// The functions it has.
    pub available: Vec<String>,
}

/// Why a function can't be treated as of another effect than its author says.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EffectError {
    /// The author's word is stricter.
    #[error("function `{function}` is `{said}`, and can only be made stricter than that, not `{wanted}`")]
    Looser {
        /// The function.
        function: String,
        /// What its author says.
        said: Effect,
        /// What was wanted.
        wanted: Effect,
    },
    /// There is no such function.
    #[error(transparent)]
    Unknown(#[from] FunctionError),
}

/// A file that is to become a tool.
#[derive(Clone, Copy, Debug)]
pub struct ToolFile<'a> {
    /// The name it goes by: the file's, without folder and extension.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The text of a manifest beside it, used if none is embedded.
    pub manifest: Option<&'a [u8]>,
    /// What becomes of an import that nothing grants.
    pub imports: Imports,
}

/// A tool, ready to be called.
#[derive(Clone)]
pub struct Tool {
    reference: ToolRef,
    shape: Shape,
    lifted: bool,
    bytes: u64,
    summary: String,
    imports: Vec<String>,
    manifest: Option<Manifest>,
    manifest_beside: bool,
    functions: Vec<Function>,
    pre: InstancePre<State>,
}

impl Tool {
    /// Loads a tool.
    pub async fn load(engine: &Engine, file: ToolFile<'_>) -> Result<Self, ToolError> {
        let name = file.name.to_owned();
        let not_a_component = |why: String| ToolError::NotAComponent { name: name.clone(), why };
        let component_bytes = engine.lift(file.bytes).map_err(|error| match error {
            LiftError::Compiler(source) => ToolError::Compile { name: name.clone(), source },
            error => not_a_component(error.to_string()),
        })?;
        let lifted = component_bytes.as_ref() != file.bytes;
        let (manifest, manifest_beside) = read_manifest(&file)?;
        let compiled = engine.compile(&Digest::of(&component_bytes), &component_bytes);
        let component = compiled.map_err(|error| match error {
            CompileError::Invalid(why) => not_a_component(why),
            source => ToolError::Compile { name: name.clone(), source },
        })?;
        let pre = link::link(engine, &component, file.imports)
            .map_err(|source| ToolError::Import { name: name.clone(), source })?;
        let reference = ToolRef { digest: Digest::of(file.bytes), name: tool_name(&name, manifest.as_ref()) };
        let ty = component.component_type();
        let imports = ty.imports(engine.wasmtime()).map(|(import, _)| one_line(import)).collect();
        let mut tool = Self {
            shape: shape(engine, &component),
            reference,
            lifted,
            bytes: u64::try_from(file.bytes.len()).unwrap_or(u64::MAX),
            summary: manifest.as_ref().map(|manifest| one_line(&manifest.description)).unwrap_or_default(),
            imports,
            manifest,
            manifest_beside,
            functions: Vec::new(),
            pre,
        };
        tool.functions = tool.list_functions(engine, &component, &Docs::read(&component_bytes)).await?;
        Ok(tool)
    }

    /// Its name and digest.
    pub fn reference(&self) -> &ToolRef {
        &self.reference
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether it was lifted from a core module.
    pub fn is_lifted(&self) -> bool {
        self.lifted
    }

    /// The size of its file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it is for, in its author's words.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// What it imports.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Whether its manifest lies beside its file, and so is not pinned by its digest.
    pub fn has_manifest_beside(&self) -> bool {
        self.manifest_beside
    }

    /// Its manifest.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The same tool under the name that its operator knows it by.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.reference.name);
        self
    }

    /// The same tool, with functions treated as of stricter effects than their author says.
    pub fn with_effects(mut self, effects: &BTreeMap<String, Effect>) -> Result<Self, EffectError> {
        for (name, wanted) in effects {
            let (said, wanted) = (self.function(Some(name))?.effect, *wanted);
            if !wanted.is_as_strict_as(said) {
                return Err(EffectError::Looser { function: name.clone(), said, wanted });
            }
            self.functions.iter_mut().filter(|function| function.name == *name).for_each(|f| f.effect = wanted);
        }
        Ok(self)
    }

    /// What it says of itself: what is pinned when it is registered.
    pub fn description(&self) -> Description {
        let manifest = self.manifest.as_ref();
        Description {
            capabilities: manifest.map(|manifest| manifest.capabilities.clone()),
            functions: self.functions.iter().map(Function::described_as).collect(),
            imports: self.imports.clone(),
            name: manifest.map(|manifest| one_line(&manifest.name)).unwrap_or_default(),
            summary: self.summary.clone(),
            version: manifest.map(|manifest| one_line(&manifest.version)).unwrap_or_default(),
        }
    }

    /// Its functions, in the order of the component.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The function by this name, or the only one there is.
    pub fn function(&self, wanted: Option<&str>) -> Result<&Function, FunctionError> {
        let found = match (wanted, self.functions.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(wanted), functions) => functions.iter().find(|function| function.name == wanted),
        };
        found.ok_or_else(|| FunctionError {
            tool: self.reference.name.clone(),
            wanted: wanted.map(one_line),
            available: self.functions.iter().map(|function| function.name.clone()).collect(),
        })
    }

    pub(crate) fn pre(&self) -> &InstancePre<State> {
        &self.pre
    }

    async fn list_functions(
        &self,
        engine: &Engine,
        component: &Component,
        docs: &Docs,
    ) -> Result<Vec<Function>, ToolError> {
        let describe = |why: String| ToolError::Description { name: self.reference.name.clone(), why };
        let manifest = self.manifest.as_ref();
        let functions = match self.shape {
            Shape::Command => function::command(engine, component, manifest).into_iter().collect(),
            Shape::Typed => function::typed(engine, component, docs, manifest).map_err(describe)?,
            Shape::Described => {
                let nothing = Grant::nothing(Limits::from_bounds(&Ring::Sandbox.ceiling().limits));
                let said = sandbox::describe(&self.pre, &nothing).await.map_err(describe)?;
                function::described(said, manifest).map_err(describe)?
            }
        };
        match functions.len() {
            0 => Err(ToolError::NoFunctions { name: self.reference.name.clone() }),
            count if count > limits::FUNCTIONS_PER_TOOL_MAX => {
                Err(describe(format!("{count} functions are more than {}", limits::FUNCTIONS_PER_TOOL_MAX)))
            }
            _ => repeat::check(&functions).map_err(describe).map(|()| functions),
        }
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool").field("reference", &self.reference).field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// The manifest, and whether it is the one beside the file. Looks into the file itself, which is what the digest pins:
/// lifting leaves the sections of a core module behind.
fn read_manifest(file: &ToolFile<'_>) -> Result<(Option<Manifest>, bool), ToolError> {
    let name = file.name;
    let inside = |source| ToolError::Manifest { manifest: format!("the manifest inside `{name}`"), source };
    if let Some(manifest) = manifest::embedded(file.bytes).map_err(inside)? {
        return Ok((Some(manifest), false));
    }
    let outside = |source| ToolError::Manifest { manifest: format!("the manifest `{name}.toml`"), source };
    let beside = file.manifest.map(manifest::parse).transpose().map_err(outside)?;
    let is_beside = beside.is_some();
    Ok((beside, is_beside))
}

/// The manifest's name if it has a sensible one, else the file's.
fn tool_name(file: &str, manifest: Option<&Manifest>) -> String {
    let sensible = |name: &&str| {
        !name.is_empty()
            && name.len() <= limits::NAME_BYTES_MAX
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let named = manifest.map(|manifest| manifest.name.as_str()).filter(sensible);
    named.map_or_else(|| one_line(file), str::to_owned)
}

fn shape(engine: &Engine, component: &Component) -> Shape {
    let ty = component.component_type();
    let exports = |prefix: &str| {
        ty.exports(engine.wasmtime())
            .any(|(name, item)| name.starts_with(prefix) && matches!(item.ty, ComponentItem::ComponentInstance(_)))
    };
    if exports("ringfence:tool/tool@0.1.") {
        Shape::Described
    } else if exports("wasi:cli/run@0.2.") {
        Shape::Command
    } else {
        Shape::Typed
    }
}
