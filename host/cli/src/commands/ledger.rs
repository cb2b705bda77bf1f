//! `ringfence ledger`: calls whose effect is unknown, and what somebody who has looked says of them.

use ringfence_model::entry::Settlement;
use ringfence_model::outcome::one_line;
use ringfence_runtime::ledger::settlements::Doubtful;
use serde_json::json;

use crate::args::LedgerCommand;
use crate::args::SettleArgs;
use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

pub fn run(home: &Home, command: &LedgerCommand, output: Output) -> Result<Exit, CommandError> {
    match command {
        LedgerCommand::List { unknown } => list(home, *unknown, output),
        LedgerCommand::Settle(settle) => self::settle(home, settle, output),
    }
}

fn list(home: &Home, only_unknown: bool, output: Output) -> Result<Exit, CommandError> {
    let mut found = home.ledger_read_only()?.doubtful()?;
    found.retain(|doubtful| !only_unknown || (doubtful.settlement.is_none() && doubtful.again.is_none()));
    if output.is_json() {
        output.json(&found);
    } else {
        for doubtful in &found {
            print(doubtful, output);
        }
    }
    Ok(Exit::Done)
}

fn print(doubtful: &Doubtful, output: Output) {
    let Doubtful { again, call, function, has_key, principal, settlement, time, tool, .. } = doubtful;
    let state = match settlement {
        None => "unknown",
        Some(settlement) => settlement.how.as_str(),
    };
    let key = if *has_key { "with a key" } else { "without a key" };
    output.line(&format!("{call}  {state}  {} {}  {principal}  {time}  {key}", tool.name, one_line(function)));
    if let Some(settlement) = settlement {
        output.line(&format!("      settled by {} on {}, entry {}", settlement.by, settlement.time, settlement.index));
    }
    if let Some(again) = again {
        output.line(&format!("      made again with the same key, and done: {again}"));
    }
}

fn settle(home: &Home, args: &SettleArgs, output: Output) -> Result<Exit, CommandError> {
    let by = match &args.principal {
        Some(principal) => principal.clone(),
        None => commands::operator()?,
    };
    let how = if args.how.committed { Settlement::Committed } else { Settlement::NotExecuted };
    let (ledger, sequencer) = commands::open_log(home, output)?;
    let index = ledger.settle(args.call, how, &by, &one_line(&args.reason))?;
    sequencer.publish(&ledger)?;
    if output.is_json() {
        output.json(&json!({ "by": by, "call": args.call, "entry": index, "how": how }));
    } else {
        output.line(&format!("{}  {}  by {by}", args.call, how.as_str()));
        output.note(&format!("recorded: entry {index}"));
        output.note(match how {
            Settlement::Committed => "hint: the same call under its key is told that it was done, and does not run",
            Settlement::NotExecuted => "hint: the same call under its key runs the next time",
        });
    }
    Ok(Exit::Done)
}
