//! Forbids the first request and permits the second one that the same instance sees: in a fresh instance for each
//! request it always forbids, whatever came before.

use std::sync::atomic::{AtomicU32, Ordering};

use hostile_policies::hostile_policy;
use hostile_policies::support::types::Verdict;
use hostile_policies::support::{permit, reason};

static SEEN: AtomicU32 = AtomicU32::new(0);

hostile_policy!("remember-across-calls", |_| {
    if SEEN.fetch_add(1, Ordering::Relaxed) == 0 {
        Verdict::Forbid(vec![reason("first-time", "this instance has seen no request before")])
    } else {
        permit(reason("seen-before", "this instance has seen a request before"), Vec::new())
    }
});
