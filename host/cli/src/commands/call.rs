//! `ringfence call`: one call of a registered tool, with the grant and the ring of its registration.

use ringfence_model::capability::Asked;

use crate::args::CallArgs;
use crate::commands::admit::admit;
use crate::commands::invoke::Invocation;
use crate::commands::invoke::invoke;
use crate::commands::invoke::write_down;
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
    let ring_key = RingKey::Tool(args.tool.as_str());
    let (call, ring) = (&args.call, table.ring);
    let invocation = |asked| Invocation { admission, asked, call, policies, ring, ring_key };
    match tools::asked(&args.tool, &table.grant) {
        Ok(asked) => invoke(home, engine, &tool, invocation(asked), output),
        Err(error) => {
            write_down(home, engine, &tool, invocation(Asked::default()), output)?;
            Err(error)
        }
    }
}
