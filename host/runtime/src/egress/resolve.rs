//! Names to addresses: asked once for each request, and kept nowhere.
//!
//! There is no cache: two calls that shared one could learn from each other what was looked up (SEC-03), and an answer
//! that is older than the decision could lead elsewhere.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::DnsError;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use ringfence_model::egress::Name;
use ringfence_model::limits;
use thiserror::Error;
use tokio::sync::OnceCell;

/// How long one name server is waited for, and how often it is asked again.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

/// Why a name has no address. The texts hold no address of a name server.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum ResolveError {
    #[error("the name has no address")]
    NotFound,
    #[error("no name server can be asked")]
    Unavailable,
    #[error("no name server answered in time")]
    TimedOut,
}

/// Asks name servers.
#[derive(Debug)]
pub(super) struct Resolver {
    nameservers: Vec<SocketAddr>,
    /// Made when the first name is asked for: a call that needs no name needs no name server.
    inner: OnceCell<TokioResolver>,
}

impl Resolver {
    /// A resolver that asks these servers; the system's, if there are none.
    pub(super) fn new(nameservers: Vec<SocketAddr>) -> Self {
        Self { nameservers, inner: OnceCell::new() }
    }

    /// Every address of a name, up to a maximum.
    pub(super) async fn resolve(&self, name: &Name) -> Result<Vec<IpAddr>, ResolveError> {
        let resolver = self.inner.get_or_try_init(|| async { self.build() }).await?;
        // With the dot at its end a name is whole: no search domain of this host is tried behind it.
        let found = resolver.lookup_ip(format!("{name}.")).await.map_err(|error| reason(&error))?;
        let addresses: Vec<_> = found.iter().take(limits::ADDRESSES_PER_NAME_MAX).collect();
        if addresses.is_empty() { Err(ResolveError::NotFound) } else { Ok(addresses) }
    }

    fn build(&self) -> Result<TokioResolver, ResolveError> {
        let unavailable = |_| ResolveError::Unavailable;
        let mut builder = if self.nameservers.is_empty() {
            TokioResolver::builder_tokio().map_err(unavailable)?
        } else {
            let servers = self.nameservers.iter().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.attempts = ATTEMPTS;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = ANSWER_WAIT;
        builder.build().map_err(unavailable)
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn reason(error: &NetError) -> ResolveError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(_) | DnsError::ResponseCode(_)) => ResolveError::NotFound,
        NetError::Timeout => ResolveError::TimedOut,
        _ => ResolveError::Unavailable,
    }
}
