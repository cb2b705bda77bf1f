//! The positive control: an honest policy that permits everything, so that a test whose policies all deny proves
//! nothing by itself.

use hostile_policies::hostile_policy;
use hostile_policies::support::{permit, reason};

hostile_policy!("permit-always", |_| permit(reason("permitted", "everything is permitted"), Vec::new()));
