//! `ringfence call`: one call of a registered tool, with the grant and the ring of its registration.

use ringfence_model::capability::Asked;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::pipeline::Admission;
use ringfence_runtime::pipeline::Attempt;
use ringfence_runtime::pipeline::Unreached;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::toolbox::Tool;

use crate::args::CallArgs;
use crate::commands;
use crate::commands::admit::admit;
use crate::commands::invoke;
use crate::commands::invoke::Invocation;
use crate::commands::invoke::invoke;
use crate::error::CommandError;
use crate::error::RingKey;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::policies;
use crate::tools;

pub fn run(home: &Home, args: &CallArgs, output: Output) -> Result<Exit, CommandError> {
    let engine = home.engine()?;
    let table = tools::table(home, &args.tool)?;
    let policies = policies::put_in_force(&engine, home)?;
    let mut admission = None;
    let tool = tools::load(home, &engine, &args.tool, |arrival| {
        admission = Some(admit(home, &policies, arrival, table.ring, output)?);
        Ok(())
    })?;
    let admission = admission.ok_or_else(|| CommandError::environment("the tool was loaded without being admitted"))?;
    let asked = match tools::asked(&args.tool, &table.grant) {
        Ok(asked) => asked,
        Err(error) => {
            write_down(home, engine, &tool, args, (admission, policies), output)?;
            return Err(error);
        }
    };
    let ring_key = RingKey::Tool(args.tool.as_str());
    let (call, ring) = (&args.call, table.ring);
    invoke(home, engine, &tool, Invocation { admission, asked, call, policies, ring, ring_key }, output)
}

/// Somebody wanted a call whose grant can't be had: that is on record, as it is when a server is asked for it.
fn write_down(
    home: &Home,
    engine: Engine,
    tool: &Tool,
    args: &CallArgs,
    (admission, policies): (Admission, PolicySet),
    output: Output,
) -> Result<(), CommandError> {
    let ring = tools::table(home, &args.tool)?.ring;
    let host = invoke::host(home, engine, policies, &[], output)?;
    let request = invoke::request(&host, &args.call, ring, Asked::default())?;
    let attempt = Attempt {
        principal: request.principal,
        ring,
        session: request.session,
        tool: tool.reference().clone(),
        function: request.function,
        input: request.input,
        why: Unreached::Grant,
    };
    commands::block_on(async {
        host.settle_admission(admission).await?;
        Ok(host.refuse(attempt).await?)
    })?;
    host.publish().map(drop).map_err(CommandError::from)
}
