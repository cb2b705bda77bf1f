//! Has no opinion, ever: when all abstain, nothing was permitted (POL-05).

use hostile_policies::hostile_policy;
use hostile_policies::support::types::Verdict;

hostile_policy!("abstain-always", |_| Verdict::Abstain);
