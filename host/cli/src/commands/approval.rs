//! `ringfence approvals`, `approve`, `reject`: what policies hold until somebody says yes.

use ringfence_model::outcome::one_line;
use ringfence_model::time::Clock as _;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::ledger::approvals::Approval;
use ringfence_runtime::ledger::approvals::ApprovalState;
use serde_json::Value;
use serde_json::json;

use crate::args::AnswerArgs;
use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::home::SystemClock;
use crate::output::Output;

/// Questions that are read at a time.
const PAGE: usize = 256;

pub fn list(home: &Home, all: bool, output: Output) -> Result<Exit, CommandError> {
    let ledger = home.ledger_read_only()?;
    let mut found = if all { ledger.approvals()? } else { waiting(&ledger)? };
    found.sort_by_key(|approval| approval.held);
    if output.is_json() {
        output.json(&found.iter().map(rendered).collect::<Vec<_>>());
    } else {
        for approval in &found {
            print(approval, output);
        }
    }
    Ok(Exit::Done)
}

/// What waits for an answer, whatever was asked before.
fn waiting(ledger: &Ledger) -> Result<Vec<Approval>, CommandError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.waiting(after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.place.clone());
        found.extend(page.into_iter().map(|waiting| waiting.approval));
    }
}

pub fn answer(home: &Home, args: &AnswerArgs, is_yes: bool, output: Output) -> Result<Exit, CommandError> {
    let by = commands::operator()?;
    let (ledger, sequencer) = commands::open_log(home, output)?;
    let reason = args.reason.as_deref().map(one_line);
    let (approval, index) = ledger.answer(args.id, &by, is_yes, reason.as_deref())?;
    sequencer.publish(&ledger)?;
    if output.is_json() {
        let mut answer = rendered(&approval);
        if let Value::Object(fields) = &mut answer {
            fields.insert("entry".to_owned(), json!(index));
        }
        output.json(&answer);
    } else {
        print(&approval, output);
        output.note(&format!("recorded: entry {index}"));
        if is_yes {
            output.note(&format!("hint: the same call, made again until {}, runs once", approval.expires));
        }
    }
    Ok(Exit::Done)
}

fn print(approval: &Approval, output: Output) {
    let Approval { approval: id, point, principal, expires, ring, .. } = approval;
    let tool = approval.tool.as_ref().map_or("-", |tool| &tool.name);
    let function = approval.function.as_deref().map(one_line).unwrap_or_default();
    output.line(&format!("{id}  {}  {point}  {tool} {function}  ring {ring}  {principal}", state(approval)));
    output.line(&format!("      until {expires}"));
    for demand in &approval.demands {
        let by: Vec<_> = demand.by.iter().map(ToString::to_string).collect();
        output.line(&format!("      {}  (by {})", one_line(&demand.reason), by.join(", ")));
    }
}

fn state(approval: &Approval) -> &'static str {
    if approval.is_expired(SystemClock.now()) {
        return "expired";
    }
    match approval.state {
        ApprovalState::Approved { .. } => "approved",
        ApprovalState::Pending => "pending",
        ApprovalState::Rejected { .. } => "rejected",
        ApprovalState::Used { .. } => "used",
    }
}

fn rendered(approval: &Approval) -> Value {
    let mut value = json!(approval);
    if let Value::Object(fields) = &mut value {
        fields.insert("state".to_owned(), json!(state(approval)));
        let by = match &approval.state {
            ApprovalState::Pending => None,
            ApprovalState::Approved { by } | ApprovalState::Rejected { by } | ApprovalState::Used { by } => Some(by),
        };
        fields.insert("by".to_owned(), json!(by));
    }
    value
}
