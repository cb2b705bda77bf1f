//! `ringfence run`: one call, from a file to a receipt.

use std::collections::BTreeMap;

use ringfence_model::capability::Asked;
use ringfence_model::capability::LimitCeiling;
use ringfence_model::decision::Origin;
use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::ring::Ring;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::pipeline::Admission;
use ringfence_runtime::pipeline::Arrival;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::toolbox::Tool;
use ringfence_runtime::toolbox::ToolFile;

use crate::args::RunArgs;
use crate::args::tool_name;
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

pub fn run(home: &Home, args: &RunArgs, output: Output) -> Result<Exit, CommandError> {
    let ring = ring(home, args)?;
    let engine = home.engine()?;
    let policies = PolicySet::new(commands::policies_in_force(&engine, home)?);
    let (tool, admission) = load(&engine, home, args, ring, &policies, output)?;
    let (asked, call) = (asked(args)?, &args.call);
    let invocation = Invocation { admission, asked, call, policies, ring, ring_key: RingKey::Run };
    invoke(home, engine, &tool, invocation, output)
}

fn load(
    engine: &Engine,
    home: &Home,
    args: &RunArgs,
    ring: Ring,
    policies: &PolicySet,
    output: Output,
) -> Result<(Tool, Admission), CommandError> {
    let bytes = commands::read(&args.file)?;
    let name = tool_name(&args.file, &Digest::of(&bytes));
    let manifest = commands::manifest_beside(&args.file)?;
    let arrival = Arrival { name: &name, bytes: &bytes, origin: Origin::File, reference: None, signers: &[] };
    let admission = admit(home, policies, arrival, ring, output)?;
    announce_compilation(engine, &name, &bytes, output);
    let imports = commands::imports(home, ring, &args.network.asked());
    let file = ToolFile { name: &name, bytes: &bytes, manifest: manifest.as_deref(), imports };
    let tool = commands::block_on(async { Ok(Tool::load(engine, file).await?) })?;
    Ok((tool, admission))
}

fn ring(home: &Home, args: &RunArgs) -> Result<Ring, CommandError> {
    match args.ring {
        Some(number) => Ring::try_from(number).map_err(|error| CommandError::command_line(error.to_string())),
        None => Ok(home.config().run.ring),
    }
}

fn asked(args: &RunArgs) -> Result<Asked, CommandError> {
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
