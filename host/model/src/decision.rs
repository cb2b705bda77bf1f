//! Decisions: what policies are asked, what each says, and how that becomes one answer.
//!
//! The rule, all of it in [`Decision::combine`]: any forbid denies; any fault denies; at least one permit is needed;
//! every obligation of every permit must be one the host carries out at that point. The order of policies never
//! matters. At *admit* an operator has named the component, and *egress* and *result* come after the permit of the call:
//! there nobody has to permit anew, and what a policy says can only take away.

mod obligation;
mod request;
mod scope;

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

pub use crate::decision::obligation::ApprovalDemand;
pub use crate::decision::obligation::CacheDemand;
pub use crate::decision::obligation::Cap;
pub use crate::decision::obligation::CountScope;
pub use crate::decision::obligation::Narrowing;
pub use crate::decision::obligation::Obligation;
pub use crate::decision::obligation::Obligations;
pub use crate::decision::obligation::RedactedPart;
pub use crate::decision::obligation::Redaction;
pub use crate::decision::obligation::Unit;
pub use crate::decision::obligation::Window;
pub use crate::decision::request::AnswerSubject;
pub use crate::decision::request::AskedSummary;
pub use crate::decision::request::CallSubject;
pub use crate::decision::request::Claim;
pub use crate::decision::request::ComponentSubject;
pub use crate::decision::request::Count;
pub use crate::decision::request::ElevationSubject;
pub use crate::decision::request::FolderSummary;
pub use crate::decision::request::Origin;
pub use crate::decision::request::OutgoingKind;
pub use crate::decision::request::OutgoingSubject;
pub use crate::decision::request::PolicyRequest;
pub use crate::decision::request::SessionSummary;
pub use crate::decision::request::Subject;
pub use crate::decision::request::TranscriptSubject;
pub use crate::decision::request::Usage;
pub use crate::decision::scope::PolicyScope;
pub use crate::decision::scope::ScopeError;
use crate::digest::Digest;
use crate::limits;

/// Where in the life of a call a policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionPoint {
    /// May this component be loaded?
    Admit,
    /// May this call run?
    Call,
    /// May this outgoing request leave?
    Egress,
    /// May this session move to a more privileged ring?
    Elevate,
    /// May this result be handed back?
    Result,
    /// May this transcript go on?
    Transcript,
}

impl DecisionPoint {
    /// Every point.
    pub const ALL: [Self; 6] = [Self::Admit, Self::Call, Self::Egress, Self::Elevate, Self::Result, Self::Transcript];

    /// Its name, as it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Call => "call",
            Self::Egress => "egress",
            Self::Elevate => "elevate",
            Self::Result => "result",
            Self::Transcript => "transcript",
        }
    }

    /// Whether a policy has to permit here. What is loaded was named by an operator; within a call the permit of the call
    /// stands.
    pub const fn needs_permit(self) -> bool {
        matches!(self, Self::Call | Self::Elevate | Self::Transcript)
    }

    /// Whether what is decided here is always about a tool.
    pub const fn is_about_a_tool(self) -> bool {
        !matches!(self, Self::Elevate | Self::Transcript)
    }

    /// Whether the host can carry out such an obligation here.
    pub const fn carries_out(self, obligation: &Obligation) -> bool {
        match obligation {
            Obligation::Narrow(_) | Obligation::Cap(_) | Obligation::Cache(_) => matches!(self, Self::Call),
            Obligation::Approve(_) => matches!(self, Self::Call | Self::Elevate),
            Obligation::Redact(_) => matches!(self, Self::Call | Self::Result | Self::Transcript),
            Obligation::Named(_) => false,
        }
    }
}

impl fmt::Display for DecisionPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a policy decided as it did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// A stable code in kebab-case.
    pub code: String,
    /// One line for people.
    pub text: String,
}

/// What one policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not its concern.
    Abstain,
    /// No.
    Forbid(Vec<Reason>),
    /// Yes, under the obligations.
    Permit(Vec<Reason>, Vec<Obligation>),
}

/// Why there is no verdict. Every fault denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyFault {
    /// It asked for more memory than a decision gets.
    OutOfMemory,
    /// It used up its fuel.
    OutOfFuel,
    /// Its reply is larger than a verdict may be, or breaks another rule; the text says which.
    BadReply(String),
    /// It trapped.
    Trapped(String),
    /// The host could not give it an instance.
    Unavailable(String),
}

impl PolicyFault {
    /// A stable code for records and programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfMemory => "policy-out-of-memory",
            Self::OutOfFuel => "policy-out-of-fuel",
            Self::BadReply(_) => "policy-bad-reply",
            Self::Trapped(_) => "policy-trap",
            Self::Unavailable(_) => "policy-unavailable",
        }
    }
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("the policy asked for more memory than a decision gets"),
            Self::OutOfFuel => f.write_str("the policy used up the fuel of a decision"),
            Self::BadReply(why) => write!(f, "the policy's reply can't be used: {why}"),
            Self::Trapped(why) => write!(f, "the policy trapped: {why}"),
            Self::Unavailable(why) => write!(f, "the policy could not be asked: {why}"),
        }
    }
}

/// A policy in force, pinned: its component and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRef {
    /// The name the operator knows it by.
    pub name: String,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// SHA-256 of the settings' canonical JSON.
    pub settings: Digest,
}

/// What came of asking one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The policy.
    pub policy: PolicyRef,
    /// Its verdict, or why there is none.
    pub verdict: Result<Verdict, PolicyFault>,
    /// Fuel it used.
    pub fuel: u64,
    /// Whether its permit counts. A policy that is only asked in addition can forbid and narrow, and no more.
    pub may_permit: bool,
}

/// Why a call is denied: one reason, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenialReason {
    /// Whether a policy was at fault, rather than said no.
    pub is_fault: bool,
    /// The policy that gave it; none if the rule of combination did.
    pub policy: Option<String>,
    /// What it is.
    pub reason: Reason,
}

/// The combined answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, if these are carried out.
    Allow(Obligations),
    /// No.
    Deny(Vec<DenialReason>),
}

/// The combined answer and the rulings it comes from, sorted by policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The rulings.
    pub rulings: Vec<Ruling>,
    /// The answer.
    pub answer: Answer,
}

impl Decision {
    /// Combines rulings at a point: forbid wins, no permit denies where one is needed, a fault denies, an obligation
    /// that can't be carried out there denies.
    pub fn combine(point: DecisionPoint, mut rulings: Vec<Ruling>) -> Self {
        rulings.sort_by(|a, b| {
            let key = |r: &Ruling| (r.policy.name.clone(), r.policy.digest, r.policy.settings);
            key(a).cmp(&key(b))
        });
        let mut denials = Vec::new();
        let mut demanded = Obligations::default();
        let mut permitted = !point.needs_permit();
        for ruling in &rulings {
            match &ruling.verdict {
                Ok(Verdict::Abstain) => {}
                Ok(Verdict::Forbid(reasons)) => denials.extend(forbidden(ruling, reasons)),
                Ok(Verdict::Permit(_, obligations)) => {
                    permitted |= ruling.may_permit;
                    let (known, unknown): (Vec<_>, Vec<_>) = obligations.iter().partition(|o| point.carries_out(o));
                    for obligation in known {
                        demanded.add(obligation);
                    }
                    denials.extend(unknown.into_iter().map(|obligation| not_carried_out(ruling, point, obligation)));
                }
                Err(fault) => denials.push(faulty(ruling, fault)),
            }
        }
        if !permitted && denials.is_empty() {
            denials.push(no_permit(point, &rulings));
        }
        let answer = if denials.is_empty() { Answer::Allow(demanded) } else { Answer::Deny(denials) };
        Self { rulings, answer }
    }
}

impl Decision {
    /// The answer about what an operator has revoked: nobody is asked.
    pub fn revoked(why: &str) -> Self {
        let reason = Reason { code: "revoked".to_owned(), text: why.to_owned() };
        let answer = Answer::Deny(vec![DenialReason { is_fault: false, policy: None, reason }]);
        Self { rulings: Vec::new(), answer }
    }

    /// The answer of a set that has more policies than can be told of: whatever the point, no.
    pub fn too_many(count: usize) -> Self {
        let text = format!("{count} policies are in force, and at most {} can be", limits::POLICIES_PER_SET_MAX);
        let reason = Reason { code: "too-many-policies".to_owned(), text };
        let answer = Answer::Deny(vec![DenialReason { is_fault: true, policy: None, reason }]);
        Self { rulings: Vec::new(), answer }
    }
}

fn denial(ruling: &Ruling, reason: Reason, is_fault: bool) -> DenialReason {
    DenialReason { is_fault, policy: Some(ruling.policy.name.clone()), reason }
}

fn forbidden(ruling: &Ruling, reasons: &[Reason]) -> Vec<DenialReason> {
    if reasons.is_empty() {
        let reason = Reason { code: "forbidden".to_owned(), text: "the policy gave no reason".to_owned() };
        return vec![denial(ruling, reason, false)];
    }
    reasons.iter().map(|reason| denial(ruling, reason.clone(), false)).collect()
}

fn faulty(ruling: &Ruling, fault: &PolicyFault) -> DenialReason {
    denial(ruling, Reason { code: fault.code().to_owned(), text: fault.to_string() }, true)
}

fn not_carried_out(ruling: &Ruling, point: DecisionPoint, obligation: &Obligation) -> DenialReason {
    let (code, text) = match obligation {
        Obligation::Named(name) => {
            let text = format!("the permit demands `{}`, which this host can't carry out", name.escape_debug());
            ("unknown-obligation", text)
        }
        known => {
            let name = known.name();
            ("misplaced-obligation", format!("the permit demands `{name}`, which has no meaning at `{point}`"))
        }
    };
    denial(ruling, Reason { code: code.to_owned(), text }, true)
}

fn no_permit(point: DecisionPoint, rulings: &[Ruling]) -> DenialReason {
    let text = match rulings.len() {
        0 => format!("no policy in force is asked at `{point}`, so nothing is permitted"),
        count => format!("none of the {count} policies asked at `{point}` permits it"),
    };
    DenialReason { is_fault: false, policy: None, reason: Reason { code: "no-permit".to_owned(), text } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ruling(name: &str, verdict: Result<Verdict, PolicyFault>) -> Ruling {
        let policy = PolicyRef { name: name.to_owned(), digest: Digest::of(name.as_bytes()), settings: Digest::ZERO };
        Ruling { policy, verdict, fuel: 0, may_permit: true }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a verdict in a ruling may be missing")]
    fn permit() -> Result<Verdict, PolicyFault> {
        Ok(Verdict::Permit(Vec::new(), Vec::new()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "a verdict in a ruling may be missing")]
    fn forbid() -> Result<Verdict, PolicyFault> {
        Ok(Verdict::Forbid(vec![Reason { code: "no".into(), text: "no".into() }]))
    }

    fn allows(verdicts: Vec<Result<Verdict, PolicyFault>>) -> bool {
        let rulings = verdicts.into_iter().enumerate().map(|(i, v)| ruling(&i.to_string(), v)).collect();
        matches!(Decision::combine(DecisionPoint::Call, rulings).answer, Answer::Allow(_))
    }

    #[test]
    fn combination_follows_the_rule() {
        // POL-05, POL-06
        let abstain = || Ok(Verdict::Abstain);
        let fault = || Err(PolicyFault::OutOfFuel);
        let narrow = || Ok(Verdict::Permit(Vec::new(), vec![Obligation::Narrow(Narrowing::default())]));
        let named = || Ok(Verdict::Permit(Vec::new(), vec![Obligation::Named("sing".into())]));
        for (verdicts, wanted) in [
            (vec![], false),
            (vec![abstain()], false),
            (vec![abstain(), abstain()], false),
            (vec![permit()], true),
            (vec![permit(), abstain()], true),
            (vec![permit(), forbid()], false),
            (vec![permit(), fault()], false),
            (vec![fault()], false),
            (vec![narrow()], true),
            (vec![permit(), named()], false),
        ] {
            assert_eq!(allows(verdicts.clone()), wanted, "{verdicts:?}");
        }
    }

    #[test]
    fn policy_asked_in_addition_never_permits() {
        let added = Ruling { may_permit: false, ..ruling("added", permit()) };
        assert!(matches!(Decision::combine(DecisionPoint::Call, vec![added.clone()]).answer, Answer::Deny(_)));
        let in_force = ruling("in-force", permit());
        assert!(matches!(
            Decision::combine(DecisionPoint::Call, vec![added, in_force.clone()]).answer,
            Answer::Allow(_)
        ));
        let forbidding = Ruling { may_permit: false, ..ruling("added", forbid()) };
        assert!(matches!(Decision::combine(DecisionPoint::Call, vec![forbidding, in_force]).answer, Answer::Deny(_)));
    }

    fn any_verdict() -> impl Strategy<Value = Result<Verdict, PolicyFault>> {
        prop_oneof![
            Just(Ok(Verdict::Abstain)),
            Just(permit()),
            Just(forbid()),
            Just(Err(PolicyFault::Trapped("x".into()))),
            Just(Ok(Verdict::Permit(Vec::new(), vec![Obligation::Named("n".into())]))),
        ]
    }

    proptest! {
        #[test]
        fn order_of_policies_never_matters(
            (verdicts, shuffled) in prop::collection::vec(any_verdict(), 0..6).prop_flat_map(|verdicts| {
                let rulings: Vec<_> = verdicts.into_iter().enumerate().map(|(i, v)| ruling(&i.to_string(), v)).collect();
                (Just(rulings.clone()), Just(rulings).prop_shuffle())
            })
        ) {
            prop_assert_eq!(Decision::combine(DecisionPoint::Call, verdicts), Decision::combine(DecisionPoint::Call, shuffled));
        }
    }
}
