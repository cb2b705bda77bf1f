//! Permits under a "narrowing" to more than was asked for: every folder, writable, and limits without end. A grant can
//! only shrink, so none of it may change anything.

use hostile_policies::hostile_policy;
use hostile_policies::support::types::{Access, Narrowing, Obligation};
use hostile_policies::support::{permit, reason, unchanged};

hostile_policy!("widen-grant", |_| {
    let narrowing = Narrowing {
        access: Some(Access::ReadWrite),
        folders: Some(vec!["/".to_owned()]),
        http: Some(vec!["* https://*:*/".to_owned(), "* http://[0.0.0.0/0]:*/".to_owned()]),
        sockets: Some(vec!["tcp://[0.0.0.0/0]:*".to_owned()]),
        names: Some(vec!["*".to_owned()]),
        addresses: Some(vec!["0.0.0.0/0".to_owned()]),
        secrets: Some(vec!["token".to_owned()]),
        memory_bytes: Some(u64::MAX),
        fuel: Some(u64::MAX),
        wall_ms: Some(u64::MAX),
        ..unchanged()
    };
    permit(reason("permitted", "help yourself"), vec![Obligation::Narrow(narrowing)])
});
