//! `ringfence inspect`: what a component is, by looking at it.
//!
//! A described tool is asked to describe itself, with nothing granted; nothing else of a tool is run.

use std::path::Path;

use ringfence_model::decision::Origin;
use ringfence_model::digest::Digest;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_model::tool::ManifestCapabilities;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::pipeline::Arrival;
use ringfence_runtime::sandbox::link::Imports;
use ringfence_runtime::toolbox::Function;
use ringfence_runtime::toolbox::Tool;
use ringfence_runtime::toolbox::ToolFile;
use serde_json::Value;
use serde_json::json;

use crate::args::InspectArgs;
use crate::commands;
use crate::commands::admit::to_look_at;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::policies::Policies;
use crate::tools::artifact::tool_name;

pub fn run(home: Option<&Path>, args: &InspectArgs, output: Output) -> Result<Exit, CommandError> {
    // A home is of use for its cache, and for whom it asks; inspecting needs none.
    let home = home.filter(|folder| folder.join("keys").exists()).map(Home::open).transpose()?;
    let engine = match &home {
        Some(home) => home.engine()?,
        None => commands::compile::engine_without_home()?,
    };
    let bytes = commands::read(&args.file)?;
    if let Some(home) = &home {
        ask(home, &engine, &args.file, &bytes)?;
    }
    let tool = load(&engine, &args.file, &bytes, output)?;
    if output.is_json() {
        output.json(&described(&tool));
    } else {
        print(&tool, output);
    }
    Ok(Exit::Done)
}

/// Whether the policies of a home would let it in: before it is compiled, and before a tool that describes itself is run.
fn ask(home: &Home, engine: &Engine, path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let policies = Policies::of(Some(home)).set(engine)?;
    let digest = Digest::of(bytes);
    let (name, revoked) = (tool_name(path, &digest), home.config().revocation(&digest, &[]));
    let (origin, revoked) = (Origin::File, revoked.as_deref());
    let arrival = Arrival { name: &name, bytes, origin, reference: None, revoked, signers: &[] };
    to_look_at(&policies, &commands::operator()?, Ring::Sandbox)(arrival)
}

pub(super) fn load(engine: &Engine, path: &Path, bytes: &[u8], output: Output) -> Result<Tool, CommandError> {
    let name = tool_name(path, &Digest::of(bytes));
    let manifest = manifest_beside(path)?;
    announce_compilation(engine, &name, bytes, output);
    let file = ToolFile { name: &name, bytes, manifest: manifest.as_deref(), imports: Imports::Refuse };
    commands::block_on(async { Ok(Tool::load(engine, file).await?) })
}

/// The text of `NAME.toml` beside `NAME.wasm`. One that is there and can't be read is an error: without it the tool
/// would be narrowed by nothing.
pub fn manifest_beside(path: &Path) -> Result<Option<Vec<u8>>, CommandError> {
    commands::read_if_there(&path.with_extension("toml"))
}

/// Compiling takes seconds for a large component; who waits should know what for.
pub(super) fn announce_compilation(engine: &Engine, name: &str, bytes: &[u8], output: Output) {
    if bytes.len() > 1_000_000 && !engine.is_compiled(&Digest::of(bytes)) {
        output.note(&format!("compiling `{name}` ({} MiB); this is done once", bytes.len() / (1024 * 1024)));
    }
}

fn described(tool: &Tool) -> Value {
    let reference = tool.reference();
    json!({
        "name": reference.name,
        "digest": reference.digest,
        "shape": tool.shape(),
        "lifted": tool.is_lifted(),
        "bytes": tool.bytes(),
        "summary": tool.summary(),
        "imports": tool.imports(),
        "manifest": tool.manifest(),
        "functions": tool.functions().iter().map(described_function).collect::<Vec<_>>(),
    })
}

fn described_function(function: &Function) -> Value {
    json!({
        "name": function.name,
        "description": function.description,
        "effect": function.effect,
        "idempotent": function.idempotent,
        "id_from": function.id_from,
        "reconcile": function.reconcile,
        "required_ring": function.effect.required_ring(),
        "input_schema": function.input_schema,
        "output_schema": function.output_schema,
        "unsupported": function.unsupported,
    })
}

fn print(tool: &Tool, output: Output) {
    let reference = tool.reference();
    let lifted = if tool.is_lifted() { ", lifted from a preview-1 core module" } else { "" };
    output.line(&format!("name      {}", reference.name));
    output.line(&format!("digest    {}", reference.digest));
    output.line(&format!("shape     {}{lifted}", tool.shape()));
    output.line(&format!("size      {} bytes", tool.bytes()));
    if !tool.summary().is_empty() {
        output.line(&format!("summary   {}", tool.summary()));
    }
    if let Some(manifest) = tool.manifest() {
        let asked = &manifest.capabilities;
        let environment = if asked.environment.is_empty() { "none".to_owned() } else { names(&asked.environment) };
        output.line(&format!("asks for  filesystem: {}; environment: {environment}", asked.filesystem));
        print_network(asked, output);
    }
    output.line(if tool.imports().is_empty() { "imports   none" } else { "imports" });
    for import in tool.imports() {
        output.line(&format!("  {import}"));
    }
    output.line("functions");
    for function in tool.functions() {
        print_function(function, output);
    }
}

fn print_network(asked: &ManifestCapabilities, output: Output) {
    let text = |rules: &[String]| rules.join(", ");
    let lines = [
        ("http", text(&asked.http.iter().map(ToString::to_string).collect::<Vec<_>>())),
        ("sockets", text(&asked.sockets.iter().map(ToString::to_string).collect::<Vec<_>>())),
        ("names", text(&asked.names.iter().map(ToString::to_string).collect::<Vec<_>>())),
        ("addresses", text(&asked.addresses.iter().map(ToString::to_string).collect::<Vec<_>>())),
        ("secrets", names(&asked.secrets)),
    ];
    for (kind, rules) in lines.into_iter().filter(|(_, rules)| !rules.is_empty()) {
        output.line(&format!("          {kind}: {rules}"));
    }
}

/// Names out of a manifest are its author's text.
fn names(names: &[String]) -> String {
    names.iter().map(|name| one_line(name)).collect::<Vec<_>>().join(", ")
}

fn print_function(function: &Function, output: Output) {
    let effect = serde_json::to_value(function.effect).unwrap_or_default();
    let effect = effect.as_str().unwrap_or_default();
    output.line(&format!("  {}  (effect: {effect}; ring {})", function.name, function.effect.required_ring()));
    if !function.description.is_empty() {
        output.line(&format!("    {}", function.description));
    }
    if let Some(what) = &function.unsupported {
        output.line(&format!("    can't be called from outside: {what}"));
    }
    if let Some(schema) = &function.input_schema {
        output.line(&format!("    input   {schema}"));
    }
    if let Some(schema) = &function.output_schema {
        output.line(&format!("    output  {schema}"));
    }
}
