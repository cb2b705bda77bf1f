//! `ringfence sign` and `ringfence key`: an author's side of a signature. Needs no home.

use std::path::Path;
use std::path::PathBuf;

use ringfence_audit::signer::Signer as _;
use ringfence_audit::statement::Statement;
use ringfence_model::digest::Digest;
use serde_json::json;

use crate::args::SignArgs;
use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home;
use crate::output::Output;
use crate::tools::artifact::Artifact;

/// Makes a key.
pub(super) fn key(name: &str, file: &Path, output: Output) -> Result<Exit, CommandError> {
    let key = home::new_signer(file, name).map_err(CommandError::signing_key)?.verifier().to_string();
    if output.is_json() {
        output.json(&json!({ "file": file, "key": key }));
    } else {
        output.line(&format!("key  {key}"));
        output.note("hint: give this line to whoever is to trust it; it is public, the file is not");
    }
    Ok(Exit::Done)
}

/// Signs a tool: what is signed has been loaded, so that nobody vouches for what is none.
pub(super) fn sign(args: &SignArgs, output: Output) -> Result<Exit, CommandError> {
    let signer = home::read_signer(&args.key).map_err(CommandError::signing_key)?;
    let engine = commands::compile::engine_without_home()?;
    let candidate = Artifact::from_file(&args.file)?.load(&engine)?;
    let statement = Statement {
        component: candidate.tool.reference().digest,
        manifest: candidate.artifact.manifest.as_deref().map(Digest::of),
        name: candidate.tool.reference().name.clone(),
    };
    let note = statement.sign(&signer).map_err(|error| CommandError::environment(error.to_string()))?;
    let path = beside(&args.file);
    commands::write(&path, note.as_bytes())?;
    if output.is_json() {
        output.json(&json!({ "file": path, "signer": signer.verifier().to_string(), "name": statement.name }));
    } else {
        output.line(&format!("signed  {} as `{}`: {}", statement.component, statement.name, path.display()));
    }
    Ok(Exit::Done)
}

/// Where the signature of a file lies: `FILE.sig`.
pub fn beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}
