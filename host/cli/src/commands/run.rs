//! `ringfence run`: one call, from a file to a receipt.

use std::collections::BTreeMap;
use std::path::Path;

use ringfence_model::capability::Asked;
use ringfence_model::capability::LimitCeiling;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::Origin;
use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::ring::Ring;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::pipeline::Arrival;
use ringfence_runtime::toolbox::Tool;
use ringfence_runtime::toolbox::ToolFile;

use crate::args::AskedFlags;
use crate::args::RunArgs;
use crate::commands;
use crate::commands::admit::admit;
use crate::commands::inspect::announce_compilation;
use crate::commands::invoke::Invocation;
use crate::commands::invoke::invoke;
use crate::error::CommandError;
use crate::error::RingKey;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::policies;
use crate::tools::artifact::tool_name;
use crate::tools::signature;
use crate::tools::signature::Signed;

pub fn run(home: &Home, args: &RunArgs, output: Output) -> Result<Exit, CommandError> {
    let ring = ring(home, args.ring)?;
    let engine = home.engine()?;
    let policies = policies::put_in_force(&engine, home)?;
    let place = (ring, &args.asked.network.asked());
    let admit = |arrival: Arrival<'_>| admit(home, &policies, arrival, ring, output);
    let (tool, admission) = load((&engine, home), &args.file, place, output, admit)?;
    let (asked, call) = (asked(&args.asked)?, &args.call);
    let invocation = Invocation { admission, asked, call, policies, ring, ring_key: RingKey::Run };
    invoke(home, engine, &tool, invocation, output)
}

/// Loads a tool from a file, for calls in a ring with a network, if `admit` lets it in.
pub(super) fn load<T>(
    (engine, home): (&Engine, &Home),
    path: &Path,
    (ring, network): (Ring, &NetworkAsked),
    output: Output,
    admit: impl FnOnce(Arrival<'_>) -> Result<T, CommandError>,
) -> Result<(Tool, T), CommandError> {
    let bytes = commands::read(path)?;
    let digest = Digest::of(&bytes);
    let name = tool_name(path, &digest);
    let manifest = commands::manifest_beside(path)?;
    let signed =
        Signed { bytes: &bytes, component: digest, manifest: manifest.as_deref().map(Digest::of), signature: &[] };
    let by = signature::beside(path, signed, &home.config().signers)?;
    let (origin, revoked) = (Origin::File, home.config().revocation(&digest, &by));
    let revoked = revoked.as_deref();
    let admission = admit(Arrival { name: &name, bytes: &bytes, origin, reference: None, revoked, signers: &[] })?;
    announce_compilation(engine, &name, &bytes, output);
    let imports = commands::imports(home, ring, network);
    let file = ToolFile { name: &name, bytes: &bytes, manifest: manifest.as_deref(), imports };
    let tool = commands::block_on(async { Ok(Tool::load(engine, file).await?) })?;
    Ok((tool, admission))
}

/// The ring that was named, else the configuration's.
pub(super) fn ring(home: &Home, named: Option<u8>) -> Result<Ring, CommandError> {
    match named {
        Some(number) => Ring::try_from(number).map_err(|error| CommandError::command_line(error.to_string())),
        None => Ok(home.config().run.ring),
    }
}

/// What the flags ask for.
pub(super) fn asked(args: &AskedFlags) -> Result<Asked, CommandError> {
    let mut environment = BTreeMap::new();
    for variable in &args.env {
        if environment.insert(variable.name.clone(), variable.value.clone()).is_some() {
            return Err(CommandError::command_line(format!("`--env {}` is given twice", variable.name))
                .hint("give each variable once"));
        }
    }
    Ok(Asked {
        folders: args.dirs.iter().map(commands::folder).collect::<Result<_, _>>()?,
        environment,
        network: args.network.asked(),
        clock: args.clock,
        seed: args.seed,
        limits: LimitCeiling {
            memory_bytes: args.memory.map(|mebibytes| mebibytes.saturating_mul(limits::MIB)),
            fuel: args.fuel,
            wall_ms: args.timeout.map(|seconds| seconds.millis),
            ..LimitCeiling::default()
        },
        scratch: args.scratch.clone(),
    })
}
