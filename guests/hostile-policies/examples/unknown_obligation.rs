//! Permits under a condition that no host knows: the call has to be denied, not run without it (POL-03).

use hostile_policies::hostile_policy;
use hostile_policies::support::types::{NamedObligation, Obligation};
use hostile_policies::support::{permit, reason};

hostile_policy!("unknown-obligation", |_| {
    let obligation = NamedObligation { name: "stand-on-one-leg".to_owned(), parameters: "{}".to_owned() };
    permit(reason("permitted", "only on one leg"), vec![Obligation::Named(obligation)])
});
