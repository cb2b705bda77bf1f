//! `ringfence policy`: list, test and ask policies, and make recorded decisions again. Nothing here runs a tool or writes
//! to the log.

mod diff;
mod eval;
mod explain;
mod list;
mod progress;
mod record;
mod render;
mod replay;
mod test;

use std::path::Path;

use crate::args::PolicyCommand;
use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::policies::Policies;

pub fn run(home: Option<&Path>, command: PolicyCommand, output: Output) -> Result<Exit, CommandError> {
    // Policies can be tested without a home; with one, its configuration and cache are used.
    let home = home.filter(|folder| folder.join("keys").exists()).map(Home::open).transpose()?;
    let engine = match &home {
        Some(home) => home.engine()?,
        None => commands::compile::engine_without_home()?,
    };
    match command {
        PolicyCommand::Diff(args) => diff::run(&engine, home, &args, output),
        PolicyCommand::Eval { name, request, settings } => {
            eval::run(&engine, home.as_ref(), &name, &request, settings.as_deref(), output)
        }
        PolicyCommand::Explain(args) => explain::run(&engine, home.as_ref(), &args, output),
        PolicyCommand::List => list::run(&engine, &Policies::of(home.as_ref()), output),
        PolicyCommand::Replay(args) => replay::run(&engine, home, &args, output),
        PolicyCommand::Test(args) => test::run(&engine, &args, output),
    }
}
