//! `ringfence push`: a tool into a registry, with what lies beside it.

use std::path::Path;

use serde_json::json;

use crate::args::PushArgs;
use crate::commands;
use crate::config::Config;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::tools::artifact::Artifact;
use crate::tools::oci;

pub fn run(home: Option<&Path>, args: &PushArgs, output: Output) -> Result<Exit, CommandError> {
    // A home is of use for its credentials only: pushing needs none.
    let home = home.filter(|folder| folder.join("keys").exists()).map(Home::open).transpose()?;
    let auth = home.as_ref().map_or(&Config::default(), Home::config).registry_auth(args.to.registry())?;
    let engine = commands::compile::engine_without_home()?;
    let candidate = Artifact::from_file(&args.file)?.load(&engine)?;
    if candidate.artifact.signature.is_none() {
        output.note("warning: it is not signed, so nobody can add it without saying `--unsigned`");
        output.note("hint: `ringfence sign` writes the signature beside the file");
    }
    let place = commands::block_on(async { Ok(oci::push(candidate.artifact, &args.to, &auth).await?) })?;
    if output.is_json() {
        output.json(&json!({ "pushed": place }));
    } else {
        output.line(&format!("pushed  {place}"));
    }
    Ok(Exit::Done)
}
