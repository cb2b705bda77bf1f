//! Forbids everything: one forbid has to win over any number of permits, in any order (POL-06).

use hostile_policies::hostile_policy;
use hostile_policies::support::reason;
use hostile_policies::support::types::Verdict;

hostile_policy!("forbid-always", |_| Verdict::Forbid(vec![reason("forbidden", "everything is forbidden")]));
