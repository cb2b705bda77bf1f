//! Decides by the clock: it is built for WASI and imports it, so it is not a policy and must not load as one (POL-13).

use std::time::{SystemTime, UNIX_EPOCH};

use hostile_policies::hostile_policy;
use hostile_policies::support::types::Verdict;
use hostile_policies::support::{permit, reason};

hostile_policy!("imports-clock", |_| {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    if seconds % 2 == 0 {
        permit(reason("even-second", "the clock says yes"), Vec::new())
    } else {
        Verdict::Forbid(vec![reason("odd-second", "the clock says no")])
    }
});
