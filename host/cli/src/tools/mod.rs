//! Registered tools: kept by digest, loaded only if they still are what was registered.
//!
//! What is loaded is checked against every pin, each time: the bytes, what the tool says of itself, who signed it.
//! Nothing here grants; a grant is what the operator wrote into the tool's table.

pub mod artifact;
pub mod bundle;
pub mod identity;
pub mod oci;
mod provider;
pub mod signature;
pub mod store;

use ringfence_model::capability::Asked;
use ringfence_model::decision::Origin;
use ringfence_model::digest::Digest;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::pipeline::Arrival;
use ringfence_runtime::toolbox::EffectError;
use ringfence_runtime::toolbox::Tool;
use ringfence_runtime::toolbox::ToolError;
use ringfence_runtime::toolbox::ToolFile;
use thiserror::Error;

use crate::commands;
use crate::config::tools::GrantTable;
use crate::config::tools::Name;
use crate::config::tools::ToolTable;
use crate::config::tools::ValueSource;
use crate::error::CommandError;
use crate::home::Home;
use crate::tools::signature::SignatureError;
use crate::tools::signature::Signed;
use crate::tools::store::Kind;
use crate::tools::store::Store;
use crate::tools::store::StoreError;

/// Why a registered tool is not what was registered, or can't be had.
#[derive(Debug, Error)]
pub enum RegisteredError {
    /// It says other things of itself.
    #[error("tool `{name}` describes itself otherwise: `{found}`, but `{pinned}` is pinned")]
    Description { name: Name, found: Digest, pinned: Digest },
    /// Its table makes a function laxer, or names one that is not there.
    #[error("the effects of tool `{name}` can't be used: {source}")]
    Effects { name: Name, source: EffectError },
    /// It does not load.
    #[error(transparent)]
    Load(#[from] ToolError),
    /// Nobody who is trusted vouches for it.
    #[error("tool `{name}` can't be trusted: {source}")]
    Signature { name: Name, source: SignatureError },
    /// Its files are not what is pinned, or can't be read.
    #[error("tool `{name}` can't be loaded: {source}")]
    Store { name: Name, source: StoreError },
    /// Nobody who is trusted vouches for what was to be registered.
    #[error("`{name}` can't be registered: {source}")]
    Unsigned { name: String, source: SignatureError },
    /// There is no such tool.
    #[error("there is no tool `{0}`")]
    Unknown(Name),
}

/// The table of a registered tool.
pub fn table<'a>(home: &'a Home, name: &Name) -> Result<&'a ToolTable, RegisteredError> {
    home.config().tools.get(name).ok_or_else(|| RegisteredError::Unknown(name.clone()))
}

/// Loads a registered tool, if it still is what was registered and `admit` lets it in.
pub fn load(
    home: &Home,
    engine: &Engine,
    name: &Name,
    admit: impl FnOnce(Arrival<'_>) -> Result<(), CommandError>,
) -> Result<Tool, CommandError> {
    let table = table(home, name)?;
    let tool = load_pinned(home, engine, name, table, admit)?;
    let effects = tool.with_effects(&table.effects);
    Ok(effects.map_err(|source| RegisteredError::Effects { name: name.clone(), source })?.named(name.as_str()))
}

/// Loads a registered tool as its author made it, and checks every pin.
pub fn load_pinned(
    home: &Home,
    engine: &Engine,
    name: &Name,
    table: &ToolTable,
    admit: impl FnOnce(Arrival<'_>) -> Result<(), CommandError>,
) -> Result<Tool, CommandError> {
    let store = Store::open(home.tools_path())?;
    let changed = |source| RegisteredError::Store { name: name.clone(), source };
    let bytes = store.get(Kind::Component, &table.digest).map_err(changed)?;
    let manifest = table.manifest_digest.map(|digest| store.get(Kind::Manifest, &digest)).transpose();
    let manifest = manifest.map_err(changed)?;
    if let Some(digest) = table.signature_digest {
        let note = store.get(Kind::Signature, &digest).map_err(changed)?;
        let (component, manifest) = (table.digest, table.manifest_digest);
        let signed = Signed { bytes: &bytes, component, manifest, signature: &note };
        signature::check(signed, &table.signer, &home.config().signers)
            .map_err(|source| RegisteredError::Signature { name: name.clone(), source })?;
    }
    let signers: Vec<_> = table.signature_digest.map(|_| table.signer.to_string()).into_iter().collect();
    let reference = table.source.starts_with("oci://").then_some(table.source.as_str());
    let (origin, name_text) = (Origin::Registered, name.as_str());
    let revoked = home.config().revocation(&table.digest, &signers);
    let revoked = revoked.as_deref();
    admit(Arrival { name: name_text, bytes: &bytes, origin, reference, revoked, signers: &signers })?;
    let imports = commands::imports(home, table.ring, &table.grant.network());
    let file = ToolFile { name: name.as_str(), bytes: &bytes, manifest: manifest.as_deref(), imports };
    let tool = commands::block_on(async { Ok(Tool::load(engine, file).await?) })?;
    let (found, pinned) = (tool.description().digest(), table.description_digest);
    if found != pinned {
        return Err(RegisteredError::Description { name: name.clone(), found, pinned }.into());
    }
    Ok(tool)
}

/// What a registered tool's grant asks for at a call: folders as they are now, values as they are now.
pub fn asked(name: &Name, grant: &GrantTable) -> Result<Asked, CommandError> {
    let folders = grant.folders.iter().map(|folder| commands::folder(&folder.0)).collect::<Result<_, _>>()?;
    let value = |(variable, source): (&String, &ValueSource)| Ok((variable.clone(), value(name, variable, source)?));
    let environment = grant.environment.iter().map(value).collect::<Result<_, CommandError>>()?;
    let (network, scratch) = (grant.network(), grant.scratch.clone());
    Ok(Asked { folders, environment, network, clock: grant.clock, seed: grant.seed, limits: grant.limits, scratch })
}

fn value(name: &Name, variable: &str, source: &ValueSource) -> Result<String, CommandError> {
    let missing = |from: &str| CommandError::granted_value(name.as_str(), variable, from);
    match source {
        ValueSource::Text(text) => Ok(text.clone()),
        ValueSource::Env(from) => std::env::var(from).map_err(|_| missing(from)),
        ValueSource::File(path) => {
            let text = String::from_utf8(commands::read(path)?);
            let text = text.map_err(|_| missing(&path.display().to_string()))?;
            Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
        }
    }
}
