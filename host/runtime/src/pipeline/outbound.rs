//! Outbound: the policies' say on each request of a call, as the one the sandbox's way out asks.
//!
//! The sandbox knows that somebody is asked, and not who. What was decided is collected here and goes into the call's
//! trace, which its last entry commits to.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use ringfence_model::decision::Answer;
use ringfence_model::decision::Decision;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::OutgoingSubject;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::digest::Digest;
use ringfence_model::outcome::Trace;
use ringfence_model::outcome::TracedDecision;
use ringfence_model::time::Clock;

use crate::egress::Judge;
use crate::egress::Outgoing;
use crate::host::Parts;
use crate::pipeline::decide;
use crate::pipeline::denial::all_coded;
use crate::policy::PolicySet;
use crate::session::AdmittedCall;

/// The policies, with what they have to know of one call.
pub(super) struct Outbound {
    clock: Arc<dyn Clock>,
    policies: Arc<PolicySet>,
    policy_set: Digest,
    /// What every request of the call has in common.
    request: PolicyRequest,
    subject: OutgoingSubject,
    trace: Mutex<Trace>,
}

impl Outbound {
    /// None if no policy wants to be asked.
    pub(super) fn new(parts: &Parts, policies: &Arc<PolicySet>, admitted: &AdmittedCall<'_>) -> Option<Arc<Self>> {
        if !policies.is_asked_at(DecisionPoint::Egress) {
            return None;
        }
        let subject = OutgoingSubject {
            before: 0,
            call: admitted.request.call,
            function: admitted.function.name.clone(),
            headers: Vec::new(),
            host: String::new(),
            kind: ringfence_model::decision::OutgoingKind::Http,
            method: String::new(),
            path: String::new(),
            port: 0,
            query: String::new(),
            scheme: String::new(),
            secrets: Vec::new(),
            tool: admitted.tool.reference().clone(),
        };
        let request = decide::about(parts, admitted, Subject::Egress(Box::new(subject.clone())));
        Some(Arc::new(Self {
            clock: Arc::clone(&parts.clock),
            policies: Arc::clone(policies),
            policy_set: policies.digest(),
            request,
            subject,
            trace: Mutex::default(),
        }))
    }

    /// Adds what was decided to the call's trace.
    pub(super) fn settle(&self, trace: &mut Trace) {
        trace.append(std::mem::take(&mut *self.trace.lock().unwrap_or_else(PoisonError::into_inner)));
    }

    fn request(&self, outgoing: Outgoing) -> PolicyRequest {
        let Outgoing { before, headers, host, kind, method, path, port, query, scheme, secrets } = outgoing;
        let call = OutgoingSubject {
            before,
            headers,
            host,
            kind,
            method,
            path,
            port,
            query,
            scheme,
            secrets,
            ..self.subject.clone()
        };
        let subject = Subject::Egress(Box::new(call));
        PolicyRequest { subject, time_ms: self.clock.now().as_millis(), ..self.request.clone() }
    }
}

impl Judge for Outbound {
    fn judge(&self, outgoing: Outgoing) -> Result<(), String> {
        let request = self.request(outgoing);
        let Decision { rulings, answer } = self.policies.decide(&request);
        let allowed = matches!(answer, Answer::Allow(_));
        if !rulings.is_empty() || !allowed {
            let rulings = decide::recorded(rulings);
            let decision = TracedDecision { allowed, policy_set: self.policy_set, request, rulings };
            self.trace.lock().unwrap_or_else(PoisonError::into_inner).decided(decision);
        }
        match answer {
            Answer::Allow(_) => Ok(()),
            Answer::Deny(reasons) => Err(all_coded(&reasons)),
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("policy_set", &self.policy_set).finish_non_exhaustive()
    }
}
