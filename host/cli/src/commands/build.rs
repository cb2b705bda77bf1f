//! `ringfence build`: a folder of source becomes a component that was loaded once.

use std::path::Path;
use std::path::PathBuf;

use ringfence_model::digest::Digest;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::Policy;
use serde_json::json;

use crate::args::BuildArgs;
use crate::build::Kind;
use crate::build::Project;
use crate::build::Wasi;
use crate::commands;
use crate::commands::inspect;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

pub fn run(home: Option<&Path>, args: &BuildArgs, output: Output) -> Result<Exit, CommandError> {
    let project = Project::open(&args.dir)?;
    let out = args.out.clone().unwrap_or_else(|| project.folder().join(format!("{}.wasm", project.name())));
    output.note(&format!("building {} `{}`", word(project.kind()), project.name()));
    let component = project.build(if args.stub_wasi { Wasi::Stubbed } else { Wasi::AsItIs })?;
    check(home, &project, &out, &component, output)?;
    commands::write(&out, &component)?;
    told(&project, &out, &component, output);
    Ok(Exit::Done)
}

/// Loads it as what it is meant to be. What can't be loaded is not left behind under the name.
fn check(
    home: Option<&Path>,
    project: &Project,
    out: &Path,
    component: &[u8],
    output: Output,
) -> Result<(), CommandError> {
    let engine = engine(home)?;
    match project.kind() {
        Kind::Policy => {
            inspect::announce_compilation(&engine, project.name(), component, output);
            Policy::describe(&engine, project.name(), component)?;
        }
        Kind::Tool => drop(inspect::load(&engine, out, component, output)?),
    }
    Ok(())
}

/// A home is of use for its cache only.
fn engine(home: Option<&Path>) -> Result<Engine, CommandError> {
    match home.map(Home::open) {
        Some(Ok(home)) => Ok(home.engine()?),
        _ => commands::compile::engine_without_home(),
    }
}

fn told(project: &Project, out: &Path, component: &[u8], output: Output) {
    let (kind, digest) = (word(project.kind()), Digest::of(component));
    if output.is_json() {
        let component: PathBuf = out.to_owned();
        output.json(&json!({ "name": project.name(), "kind": kind, "component": component, "digest": digest }));
    } else {
        output.line(&format!("{kind}  {}  {digest}", out.display()));
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Policy => "policy",
        Kind::Tool => "tool",
    }
}
