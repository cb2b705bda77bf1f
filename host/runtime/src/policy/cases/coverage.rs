//! What the cases of a policy reach: how often each verdict, reason, obligation and point.
//!
//! Which codes a policy could give and never gave nobody can know from outside; the counts show its author what is thin.

use std::collections::BTreeMap;

use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::Verdict;
use ringfence_model::entry::VerdictKind;
use serde::Serialize;

use crate::policy::cases::LoadedCases;
use crate::policy::cases::said;
use crate::policy::cases::word;

/// How often each was reached, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Verdicts, those that no case reached among them.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Codes of reasons and of faults.
    pub reasons: BTreeMap<String, u64>,
    /// Obligations.
    pub obligations: BTreeMap<String, u64>,
    /// Points that the policy wants to be asked at, those without a case among them.
    pub points: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// The points that the policy wants to be asked at and no case is about.
    pub fn points_without_a_case(&self) -> Vec<&'static str> {
        self.points.iter().filter(|(_, count)| **count == 0).map(|(point, _)| *point).collect()
    }
}

impl LoadedCases {
    /// Asks every case and counts what is said.
    pub fn coverage(&self) -> Coverage {
        let kinds = [VerdictKind::Abstain, VerdictKind::Fault, VerdictKind::Forbid, VerdictKind::Permit];
        let wanted =
            |point: &DecisionPoint| self.rows.iter().any(|row| row.policy.description().points.contains(point));
        let mut coverage = Coverage {
            verdicts: kinds.into_iter().map(|kind| (word(kind), 0)).collect(),
            points: DecisionPoint::ALL.iter().filter(|p| wanted(p)).map(|point| (point.as_str(), 0)).collect(),
            ..Coverage::default()
        };
        for row in &self.rows {
            let verdict = row.policy.ask(&row.request).verdict;
            let (kind, codes) = said(&verdict);
            *coverage.verdicts.entry(word(kind)).or_default() += 1;
            *coverage.points.entry(row.request.point().as_str()).or_default() += 1;
            for code in codes {
                *coverage.reasons.entry(code).or_default() += 1;
            }
            if let Ok(Verdict::Permit(_, obligations)) = &verdict {
                for obligation in obligations {
                    *coverage.obligations.entry(obligation.name().to_owned()).or_default() += 1;
                }
            }
        }
        coverage
    }
}
