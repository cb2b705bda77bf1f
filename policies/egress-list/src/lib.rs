//! Forbids what leaves for hosts, methods, ports and paths that are not listed, or for hosts that are denied.
//!
//! It compares rules with a request whose spellings the host has decided, label by label and part by part. A spelling
//! that no host of ours decides on is forbidden rather than read. It takes away from a call's grant and can't add to it; it
//! resolves nothing, so what a name leads to stays the host's business.

mod host;
mod path;
mod rule;
mod settings;

use ringfence_policy_support::settings::not_valid;
use ringfence_policy_support::types::{
    DecisionPoint, Description, Outgoing, OutgoingKind, Reason, Request, SettingsProblem, Subject, Verdict,
};
use ringfence_policy_support::{Guest, forbid, permit, quoted, reason};

use crate::host::Host;
use crate::path::UrlPath;
use crate::rule::{HttpRule, Protocol, SocketRule};
use crate::settings::{SETTINGS_SCHEMA, Settings};

struct EgressList;

ringfence_policy_support::export!(EgressList with_types_in ringfence_policy_support::bindings);

impl Guest for EgressList {
    fn describe() -> Description {
        Description {
            name: "egress-list".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Forbids requests, connections and lookups that are not listed, those to denied hosts, and those \
                      beyond a number for each call."
                .to_owned(),
            points: vec![DecisionPoint::Egress],
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        Settings::parse(&settings).map(drop)
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        let Subject::Egress(outgoing) = &request.subject else { return Verdict::Abstain };
        let Ok(settings) = Settings::parse(&settings) else { return not_valid() };
        match objection(&settings, outgoing) {
            Some(objection) => forbid(objection),
            None => permit(reason("egress-listed", format!("host {} is listed", quoted(&outgoing.host))), Vec::new()),
        }
    }
}

fn objection(settings: &Settings, outgoing: &Outgoing) -> Option<Reason> {
    let name = quoted(&outgoing.host);
    let Some(host) = Host::decided(&outgoing.host) else {
        return Some(reason("host-not-plain", format!("{name} is no host in its decided spelling")));
    };
    if settings.deny.iter().any(|pattern| pattern.covers(&host)) {
        return Some(reason("host-denied", format!("host {name} is denied")));
    }
    if let Some(max) = settings.requests_max.filter(|max| outgoing.before >= *max) {
        let text = format!("a call may make {max} requests and connections, and this one has");
        return Some(reason("too-many-requests", text));
    }
    match outgoing.kind {
        OutgoingKind::Http => http(&settings.http, outgoing, &host),
        OutgoingKind::Tcp => socket(&settings.sockets, Protocol::Tcp, outgoing, &host),
        OutgoingKind::Udp => socket(&settings.sockets, Protocol::Udp, outgoing, &host),
        OutgoingKind::Lookup => {
            let is_listed = settings.names.iter().any(|pattern| pattern.covers(&host));
            (!is_listed).then(|| reason("host-not-listed", format!("no rule allows to look up {name}")))
        }
    }
}

/// What a rule has to fit in, and what is said when none does.
type Step<'a, R> = (&'a str, String, &'a dyn Fn(&R) -> bool);

fn http(rules: &[HttpRule], outgoing: &Outgoing, host: &Host<'_>) -> Option<Reason> {
    let sent = quoted(&outgoing.path);
    let Some(path) = UrlPath::new(&outgoing.path) else {
        return Some(reason("path-not-plain", format!("{sent} is no plain path")));
    };
    let (name, method, scheme) = (quoted(&outgoing.host), quoted(&outgoing.method), quoted(&outgoing.scheme));
    nearest(
        rules,
        &[
            ("host-not-listed", format!("no rule allows requests to {name}"), &|rule| rule.host.covers(host)),
            ("scheme-not-listed", format!("no rule allows {scheme} to {name}"), &|rule| {
                rule.scheme.name() == outgoing.scheme
            }),
            ("port-not-listed", format!("no rule allows port `{}` of {name}", outgoing.port), &|rule| {
                rule.ports.contains(&outgoing.port)
            }),
            ("method-not-listed", format!("no rule allows {method} to {name}"), &|rule| {
                rule.methods.holds(&outgoing.method)
            }),
            ("path-not-listed", format!("no rule allows {sent} there"), &|rule| rule.path.contains(&path)),
        ],
    )
}

fn socket(rules: &[SocketRule], protocol: Protocol, outgoing: &Outgoing, host: &Host<'_>) -> Option<Reason> {
    let (name, port, transport) = (quoted(&outgoing.host), outgoing.port, protocol.name());
    nearest(
        rules,
        &[
            ("host-not-listed", format!("no rule allows sockets to {name}"), &|rule| rule.host.covers(host)),
            ("protocol-not-listed", format!("no rule allows `{transport}` to {name}"), &|rule| {
                rule.protocol == protocol
            }),
            ("port-not-listed", format!("no rule allows port `{port}` of {name}"), &|rule| rule.ports.contains(&port)),
        ],
    )
}

/// Keeps the rules that fit in one thing after the other; what leaves none is the objection.
fn nearest<R>(rules: &[R], steps: &[Step<'_, R>]) -> Option<Reason> {
    let mut left: Vec<_> = rules.iter().collect();
    for (code, text, fits) in steps {
        left.retain(|rule| fits(*rule));
        if left.is_empty() {
            return Some(reason(code, text.as_str()));
        }
    }
    None
}
