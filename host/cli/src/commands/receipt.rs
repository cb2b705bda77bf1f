//! `ringfence receipt verify`: check what a caller kept, offline.

use std::path::Path;

use ringfence_audit::receipt::Receipt;
use ringfence_audit::verify::Kind;
use ringfence_model::json;
use serde_json::Value;

use crate::args::ReceiptCommand;
use crate::commands;
use crate::commands::log::keys;
use crate::commands::log::print_report;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

pub fn run(home: Option<&Path>, command: ReceiptCommand, output: Output) -> Result<Exit, CommandError> {
    let ReceiptCommand::Verify { file, key } = command;
    let bytes = commands::read(&file)?;
    let (receipt, outcome) = receipt(&bytes).map_err(|why| {
        CommandError::evidence(format!("`{}` is not a receipt: {why}", file.display()))
            .hint("`ringfence log prove INDEX` makes one again, from the log")
    })?;
    let keys = keys(key.as_deref(), || match home.map(Home::open) {
        Some(Ok(home)) => Ok(vec![home.verifier()?]),
        _ => Err(CommandError::environment("there is no key to check the receipt by")
            .hint("pass the log's verifier key with `--key`; its operator has it from `ringfence init`")),
    })?;
    if let Some(outcome) = outcome {
        check_outcome(&receipt, &outcome).map_err(|why| {
            CommandError::evidence(format!("the outcome beside the receipt is not on record: {why}"))
                .code("audit.outcome")
                .hint("the receipt alone may still verify: `ringfence log prove INDEX` makes it again, from the log")
        })?;
    }
    let report = receipt.verify(&keys);
    let exit = print_report(&report, output);
    if report.findings.iter().any(|finding| finding.kind == Kind::Pending) {
        let index = receipt.index;
        output.note(&format!("hint: `ringfence log prove {index}` makes the whole receipt, in the home that wrote it"));
    }
    Ok(exit)
}

/// Whether an outcome is the one that the entry commits to. Of a refusal the entry holds no output, but the reason.
fn check_outcome(receipt: &Receipt, outcome: &Value) -> Result<(), String> {
    if receipt.entry.pointer("/kind").is_some_and(|kind| kind == "refused") {
        let codes = [outcome.pointer("/error/code"), receipt.entry.pointer("/body/code")];
        let is_denial = outcome.pointer("/kind").is_some_and(|kind| kind == "denied");
        let [Some(said), Some(recorded)] = codes else { return Err("it is not a refusal".to_owned()) };
        return if is_denial && said == recorded { Ok(()) } else { Err(format!("the call was refused: {recorded}")) };
    }
    receipt.check_opening("output", &json::canonical(outcome)).map_err(|error| error.to_string())
}

/// A receipt, or the output of `run --format json`, which holds one beside the outcome that it is for.
fn receipt(bytes: &[u8]) -> Result<(Receipt, Option<Value>), String> {
    if let Ok(Value::Object(mut printed)) = json::parse(bytes)
        && let Some(receipt) = printed.remove("receipt")
    {
        let receipt = Receipt::parse(&json::canonical(&receipt)).map_err(|error| error.to_string())?;
        return Ok((receipt, printed.remove("outcome")));
    }
    Ok((Receipt::parse(bytes).map_err(|error| error.to_string())?, None))
}
