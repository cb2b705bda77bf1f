//! What a layer says of the network a call asks for.

use std::fmt::Display;

use serde::Serialize;

use crate::capability::Ceiling;
use crate::capability::NetworkAsked;
use crate::egress::HostPattern;
use crate::egress::NetworkCeiling;
use crate::egress::Rule;
use crate::grant::Layer;
use crate::grant::Refusal;
use crate::grant::Wanted;
use crate::grant::checks::listed;
use crate::limits;

/// Refuses more rules than anyone reads.
pub(super) fn refuse_too_many(asked: &NetworkAsked) -> Result<(), Box<Refusal>> {
    let NetworkAsked { addresses, http, names, secrets, sockets } = asked;
    let most = [addresses.len(), http.len(), names.len(), secrets.len(), sockets.len()].into_iter().max();
    match most {
        Some(count) if count > limits::RULES_MAX => {
            let nearest = format!("at most {} rules of each kind", limits::RULES_MAX);
            Err(Refusal::new(Layer::Host, Wanted::TooManyRules(count), nearest))
        }
        _ => Ok(()),
    }
}

/// Whether a layer covers everything that is asked for.
pub(super) fn check(layer: Layer, ceiling: &Ceiling, asked: &NetworkAsked) -> Result<(), Box<Refusal>> {
    for (wanted, host) in wanted(asked) {
        check_width(layer, ceiling.network, wanted, host)?;
    }
    let NetworkAsked { addresses, http, names, secrets, sockets } = asked;
    check_rules(layer, ("http", ceiling.http.as_deref()), http, "requests", Wanted::Http)?;
    check_rules(layer, ("sockets", ceiling.sockets.as_deref()), sockets, "sockets", Wanted::Socket)?;
    check_rules(layer, ("names", ceiling.names.as_deref()), names, "lookups", Wanted::Name)?;
    check_rules(layer, ("addresses", ceiling.addresses.as_deref()), addresses, "addresses", Wanted::Address)?;
    check_rules(layer, ("secrets", ceiling.secrets.as_deref()), secrets, "secrets", Wanted::Secret)
}

/// Everything that goes to the network, and the pattern of hosts it goes to, if it has one.
fn wanted(asked: &NetworkAsked) -> impl Iterator<Item = (Wanted, Option<&HostPattern>)> {
    let http = asked.http.iter().map(|rule| (Wanted::Http(rule.clone()), Some(&rule.host)));
    let sockets = asked.sockets.iter().map(|rule| (Wanted::Socket(rule.clone()), Some(&rule.host)));
    let names = asked.names.iter().map(|pattern| (Wanted::Name(pattern.clone()), Some(pattern)));
    let addresses = asked.addresses.iter().map(|network| (Wanted::Address(*network), None));
    let secrets = asked.secrets.iter().map(|name| (Wanted::Secret(name.clone()), None));
    http.chain(sockets).chain(names).chain(addresses).chain(secrets)
}

fn check_width(
    layer: Layer,
    ceiling: Option<NetworkCeiling>,
    wanted: Wanted,
    host: Option<&HostPattern>,
) -> Result<(), Box<Refusal>> {
    // NET-26: under a wildcard, data can leave in the name itself.
    let is_wildcard = host.is_some_and(HostPattern::is_wildcard);
    let nearest = match ceiling {
        Some(NetworkCeiling::None) => "no network",
        Some(NetworkCeiling::Named) if is_wildcard => "hosts that are named one by one",
        _ => return Ok(()),
    };
    let needed = if is_wildcard { NetworkCeiling::Any } else { NetworkCeiling::Named };
    Err(Refusal::new(layer, wanted, nearest).allowed_by("network", needed))
}

fn check_rules<T: Rule + Clone + Display + Serialize>(
    layer: Layer,
    (key, ceiling): (&'static str, Option<&[T]>),
    asked: &[T],
    kind: &str,
    wanted: fn(T) -> Wanted,
) -> Result<(), Box<Refusal>> {
    let Some(bounds) = ceiling else { return Ok(()) };
    let Some(refused) = asked.iter().find(|rule| !bounds.iter().any(|bound| bound.covers(rule))) else { return Ok(()) };
    let nearest = if bounds.is_empty() { format!("no {kind}") } else { format!("{kind} within {}", listed(bounds)) };
    Err(Refusal::new(layer, wanted(refused.clone()), nearest).allowed_by_list(key, bounds, refused))
}
