//! `ringfence call`: one call of a registered tool, with the grant and the ring of its registration.

use crate::args::CallArgs;
use crate::commands::invoke::Invocation;
use crate::commands::invoke::invoke;
use crate::error::CommandError;
use crate::error::RingKey;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::tools;

pub fn run(home: &Home, args: &CallArgs, output: Output) -> Result<Exit, CommandError> {
    let engine = home.engine()?;
    let tool = tools::load(home, &engine, &args.tool)?;
    let table = tools::table(home, &args.tool)?;
    let asked = tools::asked(&args.tool, &table.grant)?;
    let ring_key = RingKey::Tool(args.tool.as_str());
    invoke(home, engine, &tool, Invocation { asked, call: &args.call, ring: table.ring, ring_key }, output)
}
