//! `ringfence bench`: each part against its floor, interleaved in one process.

use std::fmt::Display;

use ringfence_runtime::bench;
use ringfence_runtime::bench::Part;
use ringfence_runtime::bench::endurance;
use ringfence_runtime::bench::history;
use serde::Serialize;

use crate::args::BenchArgs;
use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub fn run(args: &BenchArgs, output: Output) -> Result<Exit, CommandError> {
    let policies: Vec<_> = ringfence_policies::ALL.iter().map(|policy| (policy.name, policy.component)).collect();
    let parts = if args.only.is_empty() { Part::ALL } else { &args.only };
    let plan = bench::Plan { millis: args.seconds.millis, parts, entries: args.entries, policies: &policies };
    let note = |text: &str| output.note(text);
    match (args.soak, args.held, args.history) {
        (Some(calls), ..) => show(&measured(endurance::soak(&plan, calls, note))?, output),
        (_, Some(sandboxes), _) => show(&measured(endurance::held(&plan, sandboxes))?, output),
        (.., Some(entries)) => show(&measured(history::run(&plan, entries, note))?, output),
        (None, None, None) => show(&measured(bench::run(&plan, note))?, output),
    }
    Ok(Exit::Done)
}

fn measured<T>(measuring: impl Future<Output = Result<T, String>>) -> Result<T, CommandError> {
    commands::serve_on_all(async { measuring.await.map_err(CommandError::environment) })
}

fn show(report: &(impl Display + Serialize), output: Output) {
    if output.is_json() {
        output.json(report);
    } else {
        output.line(&report.to_string());
    }
}
