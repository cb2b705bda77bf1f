//! Decide: the policies in force are asked, and their rulings become one decision.
//!
//! A policy sees the request's bytes and nothing else: no file, no socket, no ledger, no clock but the one in the
//! request. This module asks; it enforces nothing.

pub mod archive;
pub mod cases;
pub mod diff;
pub mod explain;
mod guest;
mod module;
pub mod replay;
pub mod shown;

use ringfence_model::decision::Decision;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::digest::Digest;
use ringfence_model::limits;

pub use crate::policy::module::Policy;
pub use crate::policy::module::PolicyDescription;
pub use crate::policy::module::PolicyError;

/// The policies in force. An empty set permits nothing.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    policies: Vec<Policy>,
}

impl PolicySet {
    /// A set of policies, whatever their order.
    pub fn new(policies: Vec<Policy>) -> Self {
        Self { policies }
    }

    /// The set with these as well, which can forbid and narrow but not permit; a policy that is in it already, with the same settings, is not asked twice.
    #[must_use]
    pub fn with(&self, more: Vec<Policy>) -> Self {
        let mut policies = self.policies.clone();
        for policy in more {
            if policies.iter().all(|known| known.reference() != policy.reference()) {
                policies.push(policy.in_addition());
            }
        }
        Self { policies }
    }

    /// The policies.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// What identifies the set, whatever the names and order: SHA-256 over the sorted lines `component settings\n`, or
    /// `component settings scope\n` for a policy that is not asked everywhere.
    pub fn digest(&self) -> Digest {
        let line = |policy: &Policy| {
            let reference = policy.reference();
            let scope =
                if policy.scope().is_everywhere() { String::new() } else { format!(" {}", policy.scope().digest()) };
            format!("{} {}{scope}\n", reference.digest, reference.settings)
        };
        let mut lines: Vec<_> = self.policies.iter().map(line).collect();
        lines.sort();
        Digest::of(lines.concat().as_bytes())
    }

    /// Whether some policy is asked at a point.
    pub fn is_asked_at(&self, point: DecisionPoint) -> bool {
        self.policies.iter().any(|policy| policy.points().contains(&point))
    }

    /// Asks every policy that wants to be asked at the request's point and whose scope covers it. A set of more policies
    /// than an entry can tell of permits nothing.
    pub fn decide(&self, request: &PolicyRequest) -> Decision {
        let point = request.point();
        if self.policies.len() > limits::POLICIES_PER_SET_MAX {
            return Decision::too_many(self.policies.len());
        }
        let asked = self.policies.iter().filter(|policy| policy.is_asked(request));
        Decision::combine(point, asked.map(|policy| policy.ask(request)).collect())
    }
}
