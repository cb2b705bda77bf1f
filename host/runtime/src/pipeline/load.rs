//! Load: the policies' say on a component before it is compiled, and before anything of it runs.
//!
//! What is known then is its bytes: their digest, their size, what they import, where they come from and who signed
//! them. That it was admitted is written down with the first call that is made of it, or when it is registered; that it
//! was not, at once.

use ringfence_model::decision::Answer;
use ringfence_model::decision::ComponentSubject;
use ringfence_model::decision::Decision;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::DenialReason;
use ringfence_model::decision::Origin;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::digest::Digest;
use ringfence_model::outcome::one_line;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::ToolRef;

use crate::engine::sections;
use crate::ledger::DecisionDraft;
use crate::ledger::decisions::DecidedDraft;
use crate::pipeline::decide;
use crate::pipeline::denial::all_shown;
use crate::policy::PolicySet;

/// A component that somebody wants loaded.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The name it goes by.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Where it comes from.
    pub origin: Origin,
    /// How it was named in a registry.
    pub reference: Option<&'a str>,
    /// Why its operator has revoked it or who signed it, if they have.
    pub revoked: Option<&'a str>,
    /// Names of the trusted signers whose signatures were checked.
    pub signers: &'a [String],
}

/// How the policies decided on a component.
#[derive(Clone, Debug)]
pub struct Admission {
    decision: DecisionDraft,
    denied: Vec<DenialReason>,
    principal: Principal,
    ring: Ring,
    tool: ToolRef,
}

impl Admission {
    /// Why it may not be loaded, on one line; none if it may.
    pub fn denial(&self) -> Option<String> {
        (!self.decision.allowed).then(|| all_shown(&self.denied))
    }

    /// The component.
    pub fn tool(&self) -> &ToolRef {
        &self.tool
    }

    /// The decision, if any policy was asked.
    pub(crate) fn decision(&self) -> Option<&DecisionDraft> {
        (!self.decision.rulings.is_empty()).then_some(&self.decision)
    }

    /// The entry that tells of it by itself.
    pub fn into_entry(self) -> DecidedDraft {
        DecidedDraft {
            decision: self.decision,
            point: DecisionPoint::Admit,
            principal: self.principal,
            redacted: 0,
            ring: self.ring,
            session: None,
            tool: Some(self.tool),
        }
    }
}

/// Asks the policies whether a component may be loaded. Of one that its operator has revoked, nobody is asked.
pub fn admission(
    policies: &PolicySet,
    arrival: Arrival<'_>,
    principal: &Principal,
    ring: Ring,
    now: Timestamp,
) -> Admission {
    let tool = ToolRef { digest: Digest::of(arrival.bytes), name: one_line(arrival.name) };
    let subject = ComponentSubject {
        bytes: u64::try_from(arrival.bytes.len()).unwrap_or(u64::MAX),
        imports: sections::imports(arrival.bytes).iter().map(|name| one_line(name)).collect(),
        origin: arrival.origin,
        reference: arrival.reference.map(one_line),
        signers: arrival.signers.to_vec(),
        tool: tool.clone(),
    };
    let request = PolicyRequest {
        claimed: Vec::new(),
        principal: principal.clone(),
        ring,
        session: None,
        subject: Subject::Admit(Box::new(subject)),
        time_ms: now.as_millis(),
        usage: Vec::new(),
    };
    let Decision { rulings, answer } = match arrival.revoked {
        Some(why) => Decision::revoked(why),
        None => policies.decide(&request),
    };
    let allowed = matches!(answer, Answer::Allow(_));
    let decision = decide::draft(policies, &request, allowed, rulings);
    let denied = match answer {
        Answer::Allow(_) => Vec::new(),
        Answer::Deny(reasons) => reasons,
    };
    Admission { decision, denied, principal: principal.clone(), ring, tool }
}
