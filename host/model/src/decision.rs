//! Decisions: what policies are asked, what each says, and how that becomes one answer.
//!
//! The rule, all of it in [`Decision::combine`]: any forbid denies; any fault denies; at least one permit is needed;
//! every obligation of every permit must be one the host carries out. The order of policies never matters.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::capability::Access;
use crate::capability::GuestPath;
use crate::capability::NetworkAsked;
use crate::digest::Digest;
use crate::egress::HostPattern;
use crate::egress::HttpRule;
use crate::egress::Network;
use crate::egress::SocketRule;
use crate::grant::Limits;
use crate::principal::Principal;
use crate::ring::Ring;
use crate::tool::Effect;
use crate::tool::ToolRef;

/// Where in the life of a call a policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Everything a policy is told at the point *call*. Its canonical JSON is what the record commits to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyRequest {
    /// The arguments of a command.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// The capabilities asked for.
    pub asked: AskedSummary,
    /// What the caller says of itself.
    #[serde(default)]
    pub claimed: Vec<Claim>,
    /// What the function may do to the world.
    #[serde(default)]
    pub effect: Effect,
    /// The function.
    pub function: String,
    /// The input, canonical JSON.
    pub input: String,
    /// The authenticated actor.
    pub principal: Principal,
    /// The least privileged ring that the effect may run in.
    pub required_ring: Ring,
    /// The ring the call would run in.
    pub ring: Ring,
    /// The session, if the call belongs to one.
    #[serde(default)]
    pub session: Option<String>,
    /// Bytes of the standard input.
    #[serde(default)]
    pub stdin_bytes: u64,
    /// SHA-256 of the standard input.
    #[serde(default = "Digest::of_nothing")]
    pub stdin_digest: Digest,
    /// The host's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// The component.
    pub tool: ToolRef,
}

/// Capabilities as a policy sees them: no host path and no value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AskedSummary {
    /// Names of environment variables.
    #[serde(default)]
    pub environment: Vec<String>,
    /// Folders.
    #[serde(default)]
    pub folders: Vec<FolderSummary>,
    /// Limits.
    pub limits: Limits,
    /// What would be reached over the network.
    #[serde(default, skip_serializing_if = "NetworkAsked::is_empty")]
    pub network: NetworkAsked,
}

/// A folder as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FolderSummary {
    /// How much of it is opened.
    pub access: Access,
    /// Where the guest sees it.
    pub guest_path: GuestPath,
}

/// Something the caller says and the host can't vouch for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What it is about.
    pub name: String,
    /// What the caller says.
    pub value: String,
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

/// Bounds that a permit puts on the grant. What is missing stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Folders keep at most this access.
    pub access: Option<Access>,
    /// Only what lies under these guest paths stays granted.
    pub folders: Option<Vec<GuestPath>>,
    /// Only these environment variables stay granted.
    pub environment: Option<Vec<String>>,
    /// Only what lies within these rules for requests stays granted.
    pub http: Option<Vec<HttpRule>>,
    /// Only what lies within these rules for sockets stays granted.
    pub sockets: Option<Vec<SocketRule>>,
    /// Only names within these patterns can still be looked up.
    pub names: Option<Vec<HostPattern>>,
    /// Only addresses within these networks stay granted.
    pub addresses: Option<Vec<Network>>,
    /// Only these secrets stay granted.
    pub secrets: Option<Vec<String>>,
    /// At most this many bytes of memory.
    pub memory_bytes: Option<u64>,
    /// At most this much fuel.
    pub fuel: Option<u64>,
    /// At most this many milliseconds.
    pub wall_ms: Option<u64>,
}

/// A condition on a permit: the host carries it out, or denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obligation {
    /// Something by name that this host does not know.
    Named(String),
    /// Shrink the grant.
    Narrow(Narrowing),
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

/// The combined answer for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may run, narrowed by these.
    Allow(Vec<Narrowing>),
    /// It may not.
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
    /// Combines rulings: forbid wins, no permit denies, a fault denies, an obligation that can't be carried out denies.
    pub fn combine(mut rulings: Vec<Ruling>) -> Self {
        rulings.sort_by(|a, b| {
            let key = |r: &Ruling| (r.policy.name.clone(), r.policy.digest, r.policy.settings);
            key(a).cmp(&key(b))
        });
        let mut denials = Vec::new();
        let mut narrowings = Vec::new();
        let mut permitted = false;
        for ruling in &rulings {
            match &ruling.verdict {
                Ok(Verdict::Abstain) => {}
                Ok(Verdict::Forbid(reasons)) => denials.extend(forbidden(ruling, reasons)),
                Ok(Verdict::Permit(_, obligations)) => {
                    permitted |= ruling.may_permit;
                    for obligation in obligations {
                        match obligation {
                            Obligation::Narrow(narrowing) => narrowings.push(narrowing.clone()),
                            Obligation::Named(name) => denials.push(unknown_obligation(ruling, name)),
                        }
                    }
                }
                Err(fault) => denials.push(faulty(ruling, fault)),
            }
        }
        if !permitted && denials.is_empty() {
            denials.push(no_permit(&rulings));
        }
        let answer = if denials.is_empty() { Answer::Allow(narrowings) } else { Answer::Deny(denials) };
        Self { rulings, answer }
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

fn unknown_obligation(ruling: &Ruling, name: &str) -> DenialReason {
    let text = format!("the permit demands `{}`, which this host can't carry out", name.escape_debug());
    denial(ruling, Reason { code: "unknown-obligation".to_owned(), text }, true)
}

fn no_permit(rulings: &[Ruling]) -> DenialReason {
    let text = match rulings.len() {
        0 => "no policy is in force, so nothing is permitted".to_owned(),
        count => format!("none of the {count} policies in force permits it"),
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
        matches!(Decision::combine(rulings).answer, Answer::Allow(_))
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
        assert!(matches!(Decision::combine(vec![added.clone()]).answer, Answer::Deny(_)));
        let in_force = ruling("in-force", permit());
        assert!(matches!(Decision::combine(vec![added, in_force.clone()]).answer, Answer::Allow(_)));
        let forbidding = Ruling { may_permit: false, ..ruling("added", forbid()) };
        assert!(matches!(Decision::combine(vec![forbidding, in_force]).answer, Answer::Deny(_)));
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
            prop_assert_eq!(Decision::combine(verdicts), Decision::combine(shuffled));
        }
    }
}
