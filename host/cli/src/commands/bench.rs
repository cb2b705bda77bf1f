//! `ringfence bench`: each part against its floor, interleaved in one process.

use ringfence_runtime::bench;

use crate::args::BenchArgs;
use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub fn run(args: &BenchArgs, output: Output) -> Result<Exit, CommandError> {
    let plan =
        bench::Plan { millis: args.seconds.millis, entries: args.entries, policy: commands::builtin("ring-default")? };
    let report = commands::block_on(async {
        bench::run(&plan, |text| output.note(text)).await.map_err(CommandError::environment)
    })?;
    if output.is_json() {
        output.json(&report);
    } else {
        output.line(&report.to_string());
    }
    Ok(Exit::Done)
}
