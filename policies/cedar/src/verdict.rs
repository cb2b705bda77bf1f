//! Cedar's answer as a verdict.

use cedar_policy::{AuthorizationError, Decision, Policy, PolicyId, PolicySet, Response};
use ringfence_policy_support::types::{Permission, Reason, Verdict};
use ringfence_policy_support::{REASONS_MAX, one_line, reason};

/// The annotation that becomes the code of a reason.
pub const ID: &str = "id";
/// The annotation that becomes the text of a reason.
pub const REASON: &str = "reason";

/// The verdict that an answer means, with its reasons in an order that depends on nothing but what they are.
pub fn of(answer: &Response, policies: &PolicySet) -> Verdict {
    let determining = answer.diagnostics().reason().filter_map(|id| policies.policy(id));
    let reasons = sorted(determining.map(|policy| determined(policy, answer.decision())).collect());
    let failures = sorted(answer.diagnostics().errors().map(|error| failed(error, policies)).collect());
    match answer.decision() {
        Decision::Allow if failures.is_empty() => Verdict::Permit(Permission { reasons, obligations: Vec::new() }),
        Decision::Allow => Verdict::Forbid(failures),
        Decision::Deny if failures.is_empty() && reasons.is_empty() => Verdict::Abstain,
        Decision::Deny => Verdict::Forbid(first([reasons, failures].concat())),
    }
}

/// What a policy is called in reasons: its `@id`, else the id that Cedar gives it by its place.
pub fn code(policy: &Policy) -> String {
    annotation(policy, ID).map_or_else(|| policy.id().to_string(), ToOwned::to_owned)
}

fn determined(policy: &Policy, decision: Decision) -> Reason {
    let code = code(policy);
    let text = annotation(policy, REASON).map(ToOwned::to_owned).unwrap_or_else(|| match decision {
        Decision::Allow => format!("policy `{code}` permits it"),
        Decision::Deny => format!("policy `{code}` forbids it"),
    });
    reason(&code, text)
}

fn failed(error: &AuthorizationError, policies: &PolicySet) -> Reason {
    let AuthorizationError::PolicyEvaluationError(error) = error;
    let name = |id: &PolicyId| policies.policy(id).map_or_else(|| id.to_string(), code);
    let text = format!("policy `{}` can't be evaluated: {}", name(error.policy_id()), error.inner());
    reason("evaluation-error", one_line(&text))
}

/// Looked up by comparing: Cedar's own way parses the key anew each time.
fn annotation<'a>(policy: &'a Policy, key: &str) -> Option<&'a str> {
    policy.annotations().find(|(found, _)| *found == key).map(|(_, value)| value)
}

fn sorted(mut reasons: Vec<Reason>) -> Vec<Reason> {
    reasons.sort_by(|a, b| (&a.code, &a.text).cmp(&(&b.code, &b.text)));
    first(reasons)
}

fn first(mut reasons: Vec<Reason>) -> Vec<Reason> {
    reasons.truncate(REASONS_MAX);
    reasons
}
