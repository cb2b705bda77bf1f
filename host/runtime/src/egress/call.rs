//! One call's way out: what its grant says of hosts and addresses, and what became of each attempt.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use ringfence_model::decision::OutgoingKind;
use ringfence_model::egress::AddressKind;
use ringfence_model::egress::Host;
use ringfence_model::egress::HostPattern;
use ringfence_model::egress::HttpRule;
use ringfence_model::egress::HttpTarget;
use ringfence_model::egress::Name;
use ringfence_model::egress::Protocol;
use ringfence_model::egress::SocketRule;
use ringfence_model::egress::kind;
use ringfence_model::grant::NetworkGrant;
use ringfence_model::outcome::HostCall;
use ringfence_model::outcome::Trace;
use ringfence_model::outcome::one_line;
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;

use crate::egress::Egress;
use crate::egress::Judge;
use crate::egress::Onlooker;
use crate::egress::Outgoing;
use crate::egress::account::Account;
use crate::egress::connect::is_own;
use crate::egress::resolve::ResolveError;
use crate::egress::secret::Placeholders;

/// Why something was not let out. The texts are for the trace; a guest is told a code.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("leads to {} only, and no rule names it", .0.name())]
    Address(AddressKind),
    #[error("leads to this host itself, and no rule names it")]
    OwnAddress,
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Limit(&'static str),
    #[error("{0}")]
    Malformed(&'static str),
    #[error("nothing granted allows it; the nearest is `{0}`")]
    NearestRule(Box<HttpRule>),
    #[error("nothing granted allows it")]
    NotGranted,
    #[error("it carries the placeholder of secret `{0}` to where that secret may not go")]
    Secret(String),
}

impl Refusal {
    pub(crate) const CONNECTED: Self = Self::Limit("as many connections as allowed are open");
    pub(crate) const RECEIVED: Self = Self::Limit("the call has received all it may");
    pub(crate) const REQUESTED: Self = Self::Limit("the call has made all its requests");
    pub(crate) const SENT: Self = Self::Limit("the call has sent all it may");
}

/// One call's way out. Cheap to clone: all of them share one account.
#[derive(Clone, Debug)]
pub(crate) struct CallEgress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    account: Account,
    egress: Arc<Egress>,
    grant: NetworkGrant,
    judge: Option<Arc<dyn Judge>>,
    /// Which names led to an address: a socket knows addresses only.
    looked_up: Mutex<HashMap<IpAddr, Vec<Name>>>,
    onlooker: OnceLock<Arc<dyn Onlooker>>,
    placeholders: Placeholders,
    trace: Mutex<Trace>,
}

impl CallEgress {
    pub(super) fn new(
        egress: Arc<Egress>,
        grant: NetworkGrant,
        placeholders: Placeholders,
        judge: Option<Arc<dyn Judge>>,
    ) -> Self {
        let account = Account::new(grant.limits);
        let (looked_up, trace) = (Mutex::default(), Mutex::default());
        let onlooker = OnceLock::new();
        Self(Arc::new(Inner { account, egress, grant, judge, looked_up, onlooker, placeholders, trace }))
    }

    pub(super) fn account(&self) -> &Account {
        &self.0.account
    }

    pub(super) fn judge(&self) -> Option<&Arc<dyn Judge>> {
        self.0.judge.as_ref()
    }

    pub(super) fn egress(&self) -> &Egress {
        &self.0.egress
    }

    pub(crate) fn placeholders(&self) -> &Placeholders {
        &self.0.placeholders
    }

    /// Whether any socket could ever be connected.
    pub(crate) fn has_sockets(&self, protocol: Protocol) -> bool {
        self.0.grant.sockets.iter().any(|rule| rule.protocol == protocol)
    }

    /// Has somebody told of every attempt as it is made, from now on.
    pub(crate) fn show(&self, onlooker: Arc<dyn Onlooker>) {
        // There is one at most: a call has one caller.
        let _ = self.0.onlooker.set(onlooker);
    }

    /// Notes an attempt.
    pub(crate) fn note(&self, import: &str, what: &str, refused: Option<&Refusal>) {
        let detail = refused.map_or_else(|| what.to_owned(), |refusal| format!("{what}: {refusal}"));
        if let Some(onlooker) = self.0.onlooker.get() {
            let (allowed, detail) = (refused.is_none(), Some(one_line(&detail)));
            onlooker.sees(HostCall { allowed, detail, import: import.to_owned() });
        }
        let mut trace = self.0.trace.lock().unwrap_or_else(PoisonError::into_inner);
        trace.push_with(import.to_owned(), Some(&detail), refused.is_none());
    }

    /// What was attempted, with the sum of it at the end.
    pub(crate) fn take_trace(&self) -> Trace {
        let mut trace = std::mem::take(&mut *self.0.trace.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(summary) = self.0.account.summary() {
            trace.push_with("network".to_owned(), Some(&summary), true);
        }
        trace
    }

    /// Decides on a request; answers with the rules that allow it.
    pub(super) fn decide(&self, target: &HttpTarget) -> Result<Vec<HostPattern>, Refusal> {
        let rules = &self.0.grant.http;
        let hosts: Vec<_> = rules.iter().filter(|rule| rule.matches(target)).map(|rule| rule.host.clone()).collect();
        if !hosts.is_empty() {
            return Ok(hosts);
        }
        let nearest = rules.iter().max_by_key(|rule| rule.nearness(target));
        Err(nearest.map_or(Refusal::NotGranted, |rule| Refusal::NearestRule(Box::new(rule.clone()))))
    }

    /// The addresses of a host that may be connected to under these patterns. A name is resolved once; addresses it may not lead
    /// to are left out (NET-07, NET-08).
    pub(super) async fn addresses(&self, host: &Host, patterns: &[HostPattern]) -> Result<Vec<IpAddr>, Unreachable> {
        let found = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.0.egress.resolver.resolve(name).await?,
        };
        let mut refused = Refusal::NotGranted;
        let mut allowed = Vec::new();
        for address in found {
            let address = address.to_canonical();
            match self.check(address, patterns) {
                Ok(()) => allowed.push(address),
                Err(refusal) => refused = refusal,
            }
        }
        if allowed.is_empty() { Err(Unreachable::Refused(refused)) } else { Ok(allowed) }
    }

    /// What is not public is reached where the grant names it literally, and nowhere else.
    fn check(&self, address: IpAddr, patterns: &[HostPattern]) -> Result<(), Refusal> {
        let named = patterns.iter().any(|pattern| pattern.names_address(address));
        if named || self.0.grant.addresses.iter().any(|network| network.holds(address)) {
            return Ok(());
        }
        match kind(address) {
            AddressKind::Public if is_own(address) => Err(Refusal::OwnAddress),
            AddressKind::Public => Ok(()),
            other => Err(Refusal::Address(other)),
        }
    }

    /// Looks a name up for the guest, and remembers what it led to.
    pub(crate) async fn look_up(&self, text: &str) -> Result<Vec<IpAddr>, Unreachable> {
        let host: Host = text.parse().map_err(|_| Refusal::Malformed("it is no host name"))?;
        let Host::Name(name) = &host else {
            // An address stands for itself; whether it may be used is asked when it is.
            return self.addresses(&host, &[]).await.or_else(|_| match host {
                Host::Address(address) => Ok(vec![address]),
                Host::Name(_) => Ok(Vec::new()),
            });
        };
        let sockets = self.0.grant.sockets.iter().map(|rule| &rule.host);
        let patterns: Vec<_> = self.0.grant.names.iter().chain(sockets).filter(|p| p.matches(&host)).cloned().collect();
        if patterns.is_empty() {
            return Err(Refusal::NotGranted.into());
        }
        self.count_request()?;
        self.ask(Outgoing::plain(OutgoingKind::Lookup, name.to_string(), 0)).await?;
        let addresses = self.addresses(&host, &patterns).await?;
        let mut looked_up = self.0.looked_up.lock().unwrap_or_else(PoisonError::into_inner);
        for address in &addresses {
            let names = looked_up.entry(*address).or_default();
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Ok(addresses)
    }

    /// Decides on a socket's other end: by its address, or by a name that was looked up in this call and led there.
    pub(crate) fn decide_socket(&self, address: SocketAddr, protocol: Protocol) -> Result<(), Refusal> {
        let ip = address.ip().to_canonical();
        let names =
            self.0.looked_up.lock().unwrap_or_else(PoisonError::into_inner).get(&ip).cloned().unwrap_or_default();
        let hosts: Vec<_> = std::iter::once(Host::Address(ip)).chain(names.into_iter().map(Host::Name)).collect();
        let allows = |rule: &&SocketRule| {
            rule.protocol == protocol
                && rule.ports.holds(address.port())
                && hosts.iter().any(|host| rule.host.matches(host))
        };
        let patterns: Vec<_> = self.0.grant.sockets.iter().filter(allows).map(|rule| rule.host.clone()).collect();
        if patterns.is_empty() {
            return Err(Refusal::NotGranted);
        }
        self.check(ip, &patterns)
    }

    /// Counts a request, a connection, a datagram or a lookup.
    pub(crate) fn count_request(&self) -> Result<(), Refusal> {
        if self.0.account.request() { Ok(()) } else { Err(Refusal::REQUESTED) }
    }

    /// A place among the call's open connections, held as long as the permit is.
    pub(crate) fn connection(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.0.account.connection().ok_or(Refusal::CONNECTED)
    }

    /// Counts bytes before they are sent.
    pub(crate) fn send(&self, bytes: usize) -> Result<(), Refusal> {
        if self.0.account.send(bytes) { Ok(()) } else { Err(Refusal::SENT) }
    }

    /// Bytes that could still be sent.
    pub(crate) fn sendable(&self) -> u64 {
        self.0.account.sendable()
    }

    /// Takes back bytes that were counted, and then not sent.
    pub(crate) fn take_back(&self, bytes: usize) {
        self.0.account.take_back(bytes);
    }

    /// Counts bytes before the guest gets them.
    pub(crate) fn receive(&self, bytes: usize) -> Result<(), Refusal> {
        if self.0.account.receive(bytes) { Ok(()) } else { Err(Refusal::RECEIVED) }
    }

    /// Bytes that could still be received.
    pub(crate) fn receivable(&self) -> u64 {
        self.0.account.receivable()
    }
}

/// Why a host can't be reached.
#[derive(Clone, Debug, Error)]
pub(crate) enum Unreachable {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}
