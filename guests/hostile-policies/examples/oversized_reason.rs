//! Permits with a reason of four mebibytes, far beyond what a reason may have: the reply has to be refused without
//! taking the host's memory, and the call denied (POL-03).

use hostile_policies::hostile_policy;
use hostile_policies::support::permit;
use hostile_policies::support::types::Reason;

const TEXT_BYTES: usize = 4 * 1024 * 1024;

hostile_policy!("oversized-reason", |_| {
    permit(Reason { code: "permitted".to_owned(), text: "x".repeat(TEXT_BYTES) }, Vec::new())
});
