//! Where a policy applies: an operator's choice, part of what identifies a policy set.

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::decision::DecisionPoint;
use crate::decision::PolicyRequest;
use crate::digest::Digest;
use crate::principal::PrincipalPattern;
use crate::ring::Ring;
use crate::tool::ToolRef;

/// A scope in which a policy would never be asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is an empty list, so the policy would never be asked: leave it out to have it asked everywhere")]
pub struct ScopeError(pub &'static str);

/// Where a policy is asked. A list that is missing narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PolicyScope {
    /// At these points, of those it wants to be asked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<Vec<DecisionPoint>>,
    /// For these principals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principals: Option<Vec<PrincipalPattern>>,
    /// In these rings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rings: Option<Vec<Ring>>,
    /// For these tools, by registered name or by digest. What is about no tool is not within such a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
}

impl PolicyScope {
    /// Refuses a scope in which the policy would never be asked: that is a mistake, not a wish.
    pub fn check(&self) -> Result<(), ScopeError> {
        let lists = [
            ("points", self.points.as_ref().is_some_and(Vec::is_empty)),
            ("principals", self.principals.as_ref().is_some_and(Vec::is_empty)),
            ("rings", self.rings.as_ref().is_some_and(Vec::is_empty)),
            ("tools", self.tools.as_ref().is_some_and(Vec::is_empty)),
        ];
        lists.into_iter().find(|(_, is_empty)| *is_empty).map_or(Ok(()), |(name, _)| Err(ScopeError(name)))
    }

    /// Whether a request lies within.
    pub fn covers(&self, request: &PolicyRequest) -> bool {
        let within = |tools: &Vec<String>| request.subject.tool().is_some_and(|tool| names(tools, tool));
        self.points.as_ref().is_none_or(|points| points.contains(&request.point()))
            && self.principals.as_ref().is_none_or(|all| all.iter().any(|one| one.covers(&request.principal)))
            && self.rings.as_ref().is_none_or(|rings| rings.contains(&request.ring))
            && self.tools.as_ref().is_none_or(within)
    }

    /// The points at which a policy is asked within it, of those it wants to be asked at.
    pub fn reaches(&self, wanted: &[DecisionPoint]) -> Vec<DecisionPoint> {
        let listed = |point: &DecisionPoint| self.points.as_ref().is_none_or(|points| points.contains(point));
        let has_tool = |point: &DecisionPoint| self.tools.is_none() || point.is_about_a_tool();
        DecisionPoint::ALL.into_iter().filter(|p| wanted.contains(p) && listed(p) && has_tool(p)).collect()
    }

    /// Whether it narrows nothing.
    pub fn is_everywhere(&self) -> bool {
        *self == Self::default()
    }

    /// What identifies it: SHA-256 of its canonical JSON with every list sorted and without repetition.
    pub fn digest(&self) -> Digest {
        let mut sorted = self.clone();
        sort(&mut sorted.points, Ord::cmp);
        sort(&mut sorted.principals, |a, b| a.to_string().cmp(&b.to_string()));
        sort(&mut sorted.rings, |a, b| a.number().cmp(&b.number()));
        sort(&mut sorted.tools, Ord::cmp);
        // Lists of names and numbers: serialising them can't fail.
        let value = serde_json::to_value(&sorted).unwrap_or_default();
        Digest::of(&crate::json::canonical(&value))
    }
}

fn names(tools: &[String], tool: &ToolRef) -> bool {
    let digest = tool.digest.to_string();
    // What looks like a digest is one: a tool's name that imitates it is not within (POL-09).
    tools.iter().any(|wanted| if wanted.starts_with("sha256:") { *wanted == digest } else { *wanted == tool.name })
}

fn sort<T: PartialEq>(list: &mut Option<Vec<T>>, order: impl FnMut(&T, &T) -> std::cmp::Ordering) {
    if let Some(list) = list {
        list.sort_by(order);
        list.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::ElevationSubject;
    use crate::decision::Subject;
    use crate::principal::Principal;

    fn elevation() -> PolicyRequest {
        let subject = ElevationSubject {
            claimed_reason: String::new(),
            current: Ring::Sandbox,
            duration_ms: 1,
            wanted: Ring::Standard,
        };
        PolicyRequest {
            claimed: Vec::new(),
            principal: Principal::anonymous(),
            ring: Ring::Sandbox,
            session: None,
            subject: Subject::Elevate(Box::new(subject)),
            time_ms: 0,
            usage: Vec::new(),
        }
    }

    fn scope(json: &str) -> PolicyScope {
        serde_json::from_str(json).expect("a scope")
    }

    #[test]
    fn scope_covers_what_it_lists() {
        for (json, wanted) in [
            ("{}", true),
            (r#"{"points":["elevate"]}"#, true),
            (r#"{"points":["call"]}"#, false),
            (r#"{"rings":[3,2]}"#, true),
            (r#"{"rings":[0]}"#, false),
            (r#"{"principals":["agent:*"]}"#, true),
            (r#"{"principals":["operator:*"]}"#, false),
            (r#"{"tools":["files"]}"#, false),
        ] {
            assert_eq!(scope(json).covers(&elevation()), wanted, "{json}");
        }
    }

    #[test]
    fn scope_reaches_what_is_wanted_within() {
        use DecisionPoint::{Call, Egress, Elevate, Transcript};
        for (json, wanted, reached) in [
            ("{}", &[Egress, Call, Call][..], &[Call, Egress][..]),
            ("{}", &[], &[]),
            (r#"{"points":["egress","result"]}"#, &[Call, Egress], &[Egress]),
            (r#"{"points":["egress"]}"#, &[Call], &[]),
            (r#"{"tools":["files"]}"#, &[Call, Elevate, Transcript], &[Call]),
            (r#"{"tools":["files"]}"#, &[Elevate, Transcript], &[]),
        ] {
            assert_eq!(scope(json).reaches(wanted), reached, "{json}");
        }
    }

    #[test]
    fn digest_ignores_order_and_repetition() {
        let (a, b) = (scope(r#"{"rings":[3,2,2],"tools":["b","a"]}"#), scope(r#"{"rings":[2,3],"tools":["a","b"]}"#));
        assert_eq!(a.digest(), b.digest());
        assert_ne!(a.digest(), scope(r#"{"rings":[2],"tools":["a","b"]}"#).digest());
    }

    #[test]
    fn empty_list_is_refused() {
        for name in ["points", "principals", "rings", "tools"] {
            assert_eq!(scope(&format!(r#"{{"{name}":[]}}"#)).check(), Err(ScopeError(name)));
        }
        assert!(scope("{}").is_everywhere());
    }
}
