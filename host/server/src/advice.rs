//! What an agent can do about a call that did not go well: the one place where that is said to agents.
//!
//! An agent can change its input, wait, or ask a person. It can't change a grant, a policy or a configuration, so nothing
//! here speaks of them but as somebody else's matter; the ways out of an operator are written in the command line's own
//! place. One line each, for a reader that takes them literally.

use ringfence_model::decision::DenialReason;
use ringfence_model::grant::Refusal;
use ringfence_model::grant::Wanted;
use ringfence_model::limits;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::OutcomeKind;
use ringfence_runtime::pipeline::Denial;
use ringfence_runtime::pipeline::Response;
use ringfence_runtime::pipeline::Unreached;
use ringfence_runtime::toolbox::Function;
use ringfence_runtime::toolbox::InputProblem;

use crate::service::ServiceError;

/// What went wrong, as an agent is told. Where folders lie on the host is for the operator alone, and so is what policies
/// say: their words may quote their settings (POL-19).
pub fn message(response: &Response) -> String {
    match (&response.denial, &response.outcome.error) {
        (Some(Denial::Layer(refusal)), _) => of_layer(refusal),
        (Some(Denial::Policy(reasons)), _) => of_policies(reasons),
        (Some(Denial::Held(approval)), _) => {
            format!("approval `{}` is needed until {}", approval.approval, approval.expires)
        }
        (Some(Denial::Capped(_)), _) => "a limit on use is reached".to_owned(),
        (_, Some(error)) => error.message.clone(),
        (_, None) => "the call did not return".to_owned(),
    }
}

/// The codes that policies give, and none of their words: these are in the entry as well.
fn of_policies(reasons: &[DenialReason]) -> String {
    let what = if reasons.iter().any(|reason| reason.is_fault) { "could not decide on" } else { "forbids" };
    let mut codes: Vec<_> = reasons.iter().map(|reason| reason.reason.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes.truncate(limits::REASONS_RECORDED_MAX);
    format!("a policy {what} this call ({})", codes.join(", "))
}

/// The layer and the capability, by the name that the guest has for it. What the layer would allow names the host's own.
pub(crate) fn of_layer(refusal: &Refusal) -> String {
    let wanted = match &refusal.wanted {
        Wanted::Folder(folder) => format!("folder `{}` ({})", folder.guest, folder.access),
        Wanted::FolderPair(one, other) => {
            format!("folder `{}` ({}) together with `{}` ({})", one.guest, one.access, other.guest, other.access)
        }
        other => other.to_string(),
    };
    format!("{wanted} was asked for, but the {} layer does not allow it", refusal.layer)
}

/// What to do about a response; nothing, if it is the result that was asked for.
pub fn of(response: &Response, function: &Function) -> Vec<String> {
    match &response.denial {
        Some(denial) => of_denial(denial, function),
        None => of_outcome(&response.outcome),
    }
}

fn of_denial(denial: &Denial, function: &Function) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match denial {
        Denial::Input(InputProblem::Unsupported { .. }) => one("this function can't be called; use another"),
        Denial::Input(_) => vec![corrected(function)],
        Denial::Caller(_) | Denial::Function(_) => one("correct the call, then make it again; nothing has run"),
        Denial::Busy(busy) => vec![format!(
            "nothing has run and nothing is wrong with the call: make it again after {} ms",
            busy.retry_after_ms
        )],
        Denial::Capped(capped) => vec![format!(
            "nothing has run: a limit on use is reached; make the same call again after {} ms at the earliest",
            capped.retry_after_ms
        )],
        Denial::Halted => one(
            "nothing runs here for now, by the operator's decision: don't make the call again before a person says so",
        ),
        Denial::Held(approval) => vec![
            format!("nothing has run: a person has to approve first; tell them the id `{}`", approval.approval),
            "once it is approved, make exactly this call again: same arguments, same idempotency key".to_owned(),
        ],
        Denial::Rejected(_) => one("a person has said no to exactly this call; don't make it again"),
        Denial::Session(_) => one("nothing can be called in this session as it is; its operator can open another"),
        Denial::Key { code: "denied.in-progress", .. } => {
            one("the same call runs now; make it again later under the same key to get its result")
        }
        Denial::Key { code: "denied.effect-unknown", .. } => {
            one("it may have had its effect, so it does not run again; a person has to find out what happened")
        }
        Denial::Key { code: "denied.settled", .. } => {
            one("it was done already, though its result is lost: go on as after a success, and don't make it again")
        }
        Denial::Key { code: "denied.approval", .. } => {
            one("the approval was used or has expired; make the call again to ask for another")
        }
        Denial::Key { .. } => one("the key stands for another call; use a new key for this one"),
        Denial::Policy(_) | Denial::Obligation(_) => one(
            "nothing has run: a policy forbids this call as it is, and will again; make another, or ask the operator",
        ),
        Denial::Unreached(Unreached::Declined) => one("nothing has run; don't make it again before a person says so"),
        Denial::Unreached(Unreached::Grant) => one("nothing has run; only the tool's operator can change that"),
        Denial::Unreached(Unreached::Session) => {
            one("nothing can be called in this session as it is; its operator can open another")
        }
        Denial::Unreached(Unreached::Tool) => one("call what is in the list of tools"),
        Denial::Unreached(Unreached::TooMany) => one("make no call for a minute"),
        Denial::Layer(_) => {
            one("nothing has run: the tool is not granted what this needs, and only its operator can change that")
        }
    }
}

/// What to do about a call that could not be made.
pub fn of_failure(error: ServiceError) -> String {
    match error {
        ServiceError::Denied { retry_after_ms } => format!(
            "nothing has run: make no call for {retry_after_ms} ms, then change what was refused before you make it again"
        ),
        ServiceError::Grant => "nothing has run; only the tool's operator can change that".to_owned(),
        ServiceError::Host => "don't make it again before a person has looked at what happened".to_owned(),
        ServiceError::InVain { retry_after_ms } => {
            format!("nothing has run: call what is in the list of tools, or wait for {retry_after_ms} ms")
        }
        ServiceError::Unavailable => {
            "nothing has run and nothing is wrong with the call: make it again a little later".to_owned()
        }
    }
}

fn of_outcome(outcome: &Outcome) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match outcome.kind {
        OutcomeKind::Returned => Vec::new(),
        OutcomeKind::ToolError => one("the tool says so itself: change the input by what it says, then call it again"),
        OutcomeKind::Trapped => one("the tool broke down; the same input will most likely break it again"),
        OutcomeKind::Limit => {
            one("ask for less at once, such as a smaller range or a narrower path, then call it again")
        }
        OutcomeKind::Denied => {
            one("the tool reached for something it is not granted; only its operator can change that")
        }
        OutcomeKind::Cancelled if outcome.code() == "host.busy" => {
            one("nothing has run and nothing is wrong with the call: make it again a little later")
        }
        OutcomeKind::Cancelled => {
            one("it was stopped before its end; look at what it may have done, then call it again")
        }
    }
}

/// How the input would have to be, if that can be said in a few lines.
fn corrected(function: &Function) -> String {
    let schema = function.input_schema.as_ref().map(ToString::to_string).unwrap_or_default();
    if schema.is_empty() || schema.len() > limits::SCHEMA_SHOWN_BYTES_MAX {
        return "nothing has run: correct the arguments by the schema in the list of tools, then call it again"
            .to_owned();
    }
    format!("nothing has run: correct the arguments, then call it again; they have to fit {schema}")
}
