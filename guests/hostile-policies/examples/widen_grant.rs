//! Permits under a "narrowing" to more than was asked for: every folder, writable, and limits without end. A grant can
//! only shrink, so none of it may change anything.

use hostile_policies::hostile_policy;
use hostile_policies::support::types::{Access, Narrowing, Obligation};
use hostile_policies::support::{permit, reason};

hostile_policy!("widen-grant", |_| {
    let narrowing = Narrowing {
        access: Some(Access::ReadWrite),
        folders: Some(vec!["/".to_owned()]),
        environment: None,
        memory_bytes: Some(u64::MAX),
        fuel: Some(u64::MAX),
        wall_ms: Some(u64::MAX),
    };
    permit(reason("permitted", "help yourself"), vec![Obligation::Narrow(narrowing)])
});
