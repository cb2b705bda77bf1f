//! Why a call was refused: what the caller is told, and in which words.

use ringfence_model::decision::Cap;
use ringfence_model::decision::DenialReason;
use ringfence_model::decision::Unit;
use ringfence_model::grant::Refusal;
use ringfence_model::limits;
use ringfence_model::outcome::Outcome;
use serde_json::json;

use crate::gate::Busy;
use crate::ledger::approvals::Approval;
use crate::ledger::usage::Capped;
use crate::pipeline::Unreached;
use crate::toolbox::FunctionError;
use crate::toolbox::InputProblem;

/// The code of a call that had no place, or no instance, and may be made again.
const BUSY: &str = "host.busy";

/// Why a call was refused.
#[derive(Clone, Debug)]
pub enum Denial {
    /// Something about the call itself, whatever the tool.
    Caller(String),
    /// The function.
    Function(FunctionError),
    /// The input.
    Input(InputProblem),
    /// A policy, or the rule of combination.
    Policy(Vec<DenialReason>),
    /// A layer of the grant.
    Layer(Box<Refusal>),
    /// The host has no place for it now; nothing is wrong with it.
    Busy(Busy),
    /// An operator halted the host.
    Halted,
    /// Somebody has to approve first, or has not answered yet.
    Held(Box<Approval>),
    /// Somebody was asked, and said no.
    Rejected(Box<Approval>),
    /// A cap of a policy is reached.
    Capped(Capped),
    /// An obligation of a permit can't be carried out for this call.
    Obligation(String),
    /// The session it names.
    Session(String),
    /// The idempotency key: it stands for another call, one that runs, one whose effect is unknown, or one that was done.
    Key {
        /// A stable code.
        code: &'static str,
        /// What it stands for.
        text: String,
    },
    /// There was nothing to try.
    Unreached(Unreached),
}

impl Denial {
    /// A stable code. Those that start with `caller.` are the caller's mistakes; `denied.` means no, `host.` not now.
    pub fn code(&self) -> String {
        match self {
            Self::Caller(_) => "caller.bad-call".to_owned(),
            Self::Function(_) => "caller.unknown-function".to_owned(),
            Self::Input(_) => "caller.bad-input".to_owned(),
            Self::Policy(reasons) if reasons.iter().any(|reason| reason.is_fault) => "denied.policy-fault".to_owned(),
            Self::Policy(_) => "denied.policy".to_owned(),
            Self::Layer(refusal) => format!("denied.{}", refusal.layer),
            Self::Halted => "denied.halted".to_owned(),
            Self::Held(_) => "denied.approval".to_owned(),
            Self::Rejected(_) => "denied.rejected".to_owned(),
            Self::Capped(_) => "denied.cap".to_owned(),
            Self::Obligation(_) => "denied.obligation".to_owned(),
            Self::Session(_) => "denied.session".to_owned(),
            Self::Busy(_) => BUSY.to_owned(),
            Self::Key { code, .. } => (*code).to_owned(),
            Self::Unreached(why) => why.code().to_owned(),
        }
    }

    /// What the caller is told. To be busy is no refusal of this call: it is stopped, and can be made again.
    pub(super) fn outcome(&self) -> Outcome {
        let value = match self {
            Self::Busy(busy) => return busy_outcome(&busy.to_string(), busy.retry_after_ms),
            Self::Unreached(Unreached::Grant) => return cancelled(&self.code(), &self.message()),
            Self::Held(approval) => Some(json!({ "approval": approval.approval, "expires": approval.expires })),
            Self::Rejected(approval) => Some(json!({ "approval": approval.approval })),
            Self::Capped(capped) => Some(json!({ "retry_after_ms": capped.retry_after_ms })),
            _ => None,
        };
        let mut outcome = Outcome::denied(&self.code(), &self.message());
        if let Some(error) = &mut outcome.error {
            error.value = value;
        }
        outcome
    }

    /// One line for the operator: it may quote a policy's settings.
    pub fn message(&self) -> String {
        match self {
            Self::Caller(text) | Self::Key { text, .. } | Self::Obligation(text) | Self::Session(text) => text.clone(),
            Self::Halted => "an operator halted the host: nothing starts until one lets it run again".to_owned(),
            Self::Held(approval) => held(approval),
            Self::Rejected(approval) => format!("approval `{}` was rejected", approval.approval),
            Self::Capped(capped) => {
                let Cap { at_most, scope, unit, window } = capped.cap;
                format!("{} a {} are allowed for one {}", counted(at_most, unit), word(window), word(scope))
            }
            Self::Function(error) => error.to_string(),
            Self::Input(problem) => problem.to_string(),
            Self::Policy(reasons) => all_shown(reasons),
            Self::Layer(refusal) => refusal.to_string(),
            Self::Busy(busy) => busy.to_string(),
            Self::Unreached(why) => why.message().to_owned(),
        }
    }
}

fn held(approval: &Approval) -> String {
    let reasons: Vec<_> = approval.demands.iter().map(|demand| demand.reason.as_str()).collect();
    format!("approval `{}` is needed until {}: {}", approval.approval, approval.expires, reasons.join("; "))
}

fn counted(at_most: u64, unit: Unit) -> String {
    match unit {
        Unit::Calls => format!("{at_most} calls"),
        Unit::Fuel => format!("{at_most} units of fuel"),
        Unit::WallMs => format!("{at_most} ms"),
    }
}

/// The word that policies have for it.
fn word(value: impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// Who has said no, and the codes of why: what whoever calls, the tool and the record may see. Texts may quote what stands
/// in a policy's settings (POL-19).
pub(super) fn all_coded(reasons: &[DenialReason]) -> String {
    let coded = |reason: &DenialReason| match &reason.policy {
        Some(policy) => format!("policy `{policy}` ({})", reason.reason.code),
        None => format!("the policies ({})", reason.reason.code),
    };
    reasons.iter().take(limits::REASONS_RECORDED_MAX).map(coded).collect::<Vec<_>>().join("; ")
}

/// Reasons of policies, on one line, for whoever may read the policies.
pub(super) fn all_shown(reasons: &[DenialReason]) -> String {
    reasons.iter().map(shown).collect::<Vec<_>>().join("; ")
}

fn shown(reason: &DenialReason) -> String {
    let text = &reason.reason.text;
    match &reason.policy {
        Some(policy) => format!("policy `{policy}`: {text} ({})", reason.reason.code),
        None => text.clone(),
    }
}

/// Nothing is wrong with the call: the host says when it may be made again.
pub(super) fn busy_outcome(message: &str, retry_after_ms: u64) -> Outcome {
    let mut outcome = cancelled(BUSY, message);
    if let Some(error) = &mut outcome.error {
        error.value = Some(json!({ "retry_after_ms": retry_after_ms }));
    }
    outcome
}

/// It was stopped before it began, for a reason that is the host's.
fn cancelled(code: &str, message: &str) -> Outcome {
    let mut outcome = Outcome::cancelled(message);
    if let Some(error) = &mut outcome.error {
        code.clone_into(&mut error.code);
    }
    outcome
}
