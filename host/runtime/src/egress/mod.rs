//! Egress: the only way out of a sandbox to a network.
//!
//! A request is parsed once, decided on by the rules of the call's grant, its name resolved once, every address checked,
//! and the connection made to a checked address; TLS is verified against the name that was decided on. There is
//! no proxy, no redirect that is followed, no connection that is used twice, and no cache of names that two calls share. What
//! a grant does not name is refused here, whatever the linker let through.
//!
//! The module knows grants and nothing of principals, rings or policies.

mod account;
mod call;
mod connect;
mod http;
mod judge;
mod resolve;
mod secret;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;

use ringfence_model::grant::NetworkGrant;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use thiserror::Error;

pub(crate) use crate::egress::call::CallEgress;
pub(crate) use crate::egress::call::Refusal;
pub(crate) use crate::egress::call::Unreachable;
pub(crate) use crate::egress::http::Hooks;
pub use crate::egress::judge::Judge;
pub(crate) use crate::egress::judge::Onlooker;
pub use crate::egress::judge::Outgoing;
pub(crate) use crate::egress::resolve::ResolveError;
use crate::egress::resolve::Resolver;
pub(crate) use crate::egress::secret::Placeholders;
pub use crate::egress::secret::Secret;

/// What the operator has configured of the network.
#[derive(Debug, Default)]
pub struct EgressConfig {
    /// Name servers to ask instead of the system's.
    pub nameservers: Vec<SocketAddr>,
    /// Certificates to trust instead of Mozilla's roots, DER.
    pub roots: Option<Vec<CertificateDer<'static>>>,
    /// Secrets, by name.
    pub secrets: BTreeMap<String, Secret>,
}

/// Why there can be no way out.
#[derive(Debug, Error)]
pub enum EgressError {
    /// A certificate can't be trusted.
    #[error("a root certificate can't be used: {0}")]
    Root(String),
}

/// A call's network can't be set up.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CallEgressError {
    /// The grant names a secret that nobody has configured.
    #[error("secret `{0}` is granted, but not configured")]
    UnknownSecret(String),
    /// The system has no random bytes.
    #[error("the system's random source can't be used")]
    NoRandomness,
}

/// What every call's network shares: where names are asked, whom TLS trusts, what the secrets are.
pub struct Egress {
    resolver: Resolver,
    roots: Option<RootCertStore>,
    secrets: BTreeMap<String, Secret>,
    /// Made when the first connection needs it: most calls need none.
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Egress {
    /// Sets up what calls share.
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        let EgressConfig { nameservers, roots, secrets } = config;
        let roots = roots.map(|roots| connect::root_store(Some(roots))).transpose()?;
        Ok(Self { resolver: Resolver::new(nameservers), roots, secrets, tls: OnceLock::new() })
    }

    /// What calls share that reach nothing.
    pub(crate) fn closed() -> Arc<Self> {
        let (resolver, secrets) = (Resolver::new(Vec::new()), BTreeMap::new());
        Arc::new(Self { resolver, roots: None, secrets, tls: OnceLock::new() })
    }

    /// Whether a secret is configured.
    pub fn has_secret(&self, name: &str) -> bool {
        self.secrets.contains_key(name)
    }

    fn tls(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(tls) = self.tls.get() {
            return Ok(Arc::clone(tls));
        }
        let roots = match &self.roots {
            Some(roots) => roots.clone(),
            None => connect::root_store(None).map_err(io::Error::other)?,
        };
        let tls = connect::tls_config(roots)?;
        Ok(Arc::clone(self.tls.get_or_init(|| tls)))
    }

    /// What one call may reach.
    pub(crate) fn call(
        self: &Arc<Self>,
        grant: &NetworkGrant,
        judge: Option<Arc<dyn Judge>>,
    ) -> Result<CallEgress, CallEgressError> {
        let placeholders = Placeholders::new(&self.secrets, &grant.secrets)?;
        Ok(CallEgress::new(Arc::clone(self), grant.clone(), placeholders, judge))
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("secrets", &self.secrets.keys()).finish_non_exhaustive()
    }
}
