//! TLS: what the server shows for itself, and whose certificates it believes.
//!
//! TLS 1.3 and 1.2, HTTP/1.1 over it. No connection is resumed: each proves itself anew, so nothing that was believed once
//! outlives the certificates that it was believed for. A handshake has a place of its own and little time
//! ([`super::listener`]); whoever speaks something else ends their own connection. Certificates come parsed, and so do the
//! lists of those that were revoked ([`super::revocation`]): this reads no file.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use serde::Deserialize;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;
use webpki::KeyUsage;

use crate::http::peer::Peer;
use crate::http::revocation::Revocations;

/// The protocol that is spoken over TLS, as it is agreed on (ALPN).
const PROTOCOL: &[u8] = b"http/1.1";

/// The number of the identity that is made next.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// Whether a client has to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Whoever shows none needs a token.
    Optional,
    /// Whoever shows none is not spoken to.
    #[default]
    Required,
}

/// Whose certificates are believed, and whether one has to be shown.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The authorities.
    pub roots: Vec<CertificateDer<'static>>,
    /// Whether a certificate has to be shown.
    pub demand: Demand,
    /// What authorities say of those they have revoked. If there is any, each certificate up to an authority needs a list that is
    /// good and does not name it.
    pub revocations: Revocations,
}

/// Why a server can't show something for itself.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TlsError {
    /// The certificate, or what it leads to, can't be used.
    #[error("the certificate can't be used: {0}")]
    Certificate(String),
    /// A client's authority can't be used.
    #[error("an authority can't be used: {0}")]
    Clients(String),
    /// They do not belong together.
    #[error("the key is not that of the certificate")]
    OtherKey,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Shown(Arc<CertifiedKey>);

impl Shown {
    /// A certificate, its own first, and what leads from it to an authority.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(unusable)?;
        Ok(Self(Arc::new(certified)))
    }

    /// When its own certificate runs out, since 1970. Who it is for, and whether anybody believes it, is not looked at.
    pub fn expires(&self) -> Option<Duration> {
        // It has run out by then, and when it did is the first thing that is said of it.
        let at_the_end = UnixTime::since_unix_epoch(Duration::MAX);
        let own = EndEntityCert::try_from(self.0.cert.first()?).ok()?;
        let verified = own.verify_for_usage(&[], &[], &[], at_the_end, KeyUsage::server_auth(), None, None);
        match verified.err()? {
            webpki::Error::CertExpired { not_after, .. } => Some(Duration::from_secs(not_after.as_secs())),
            _ => None,
        }
    }
}

/// Whose certificates are believed.
#[derive(Clone)]
pub struct Believed(Arc<dyn ClientCertVerifier>);

impl Believed {
    /// Those that lead to one of these authorities.
    pub fn new(clients: Clients) -> Result<Self, TlsError> {
        verifier(clients).map(Self)
    }
}

/// What the server shows for itself, and whom it believes.
pub struct Identity {
    /// No other in this process has it.
    number: u64,
    acceptor: TlsAcceptor,
    shown: Shown,
    clients: Option<Believed>,
}

impl Identity {
    /// Shows a certificate. Without `clients` nobody is asked for one.
    pub fn new(shown: Shown, clients: Option<Believed>) -> Result<Self, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match &clients {
            Some(Believed(clients)) => builder.with_client_cert_verifier(Arc::clone(clients)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&shown.0))));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        Ok(Self { number, acceptor: Arc::new(config).into(), shown, clients })
    }

    /// Believes whom this one does, and shows something else for itself.
    pub(super) fn showing(&self, shown: Shown) -> Result<Self, TlsError> {
        Self::new(shown, self.clients.clone())
    }

    /// Shows what this one does, and believes others.
    pub(super) fn believing(&self, clients: Option<Believed>) -> Result<Self, TlsError> {
        Self::new(self.shown.clone(), clients)
    }

    /// Agrees with whoever is at the other end, and finds out who they are if they show a certificate.
    pub(super) async fn accept<S>(&self, stream: S) -> std::io::Result<(TlsStream<S>, Option<Peer>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.acceptor.accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = Peer::of(shown);
        if !shown.is_empty() && peer.is_none() {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        Ok((stream, peer))
    }

    /// Whether somebody's certificate leads to an authority that is believed now.
    pub(super) fn believes(&self, peer: &Peer) -> bool {
        let Some(Believed(clients)) = &self.clients else { return false };
        peer.is_believed(self.number, || {
            clients.verify_client_cert(&peer.certificate, &peer.intermediates, UnixTime::now()).is_ok()
        })
    }
}

fn verifier(clients: Clients) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let refused = |why: &dyn fmt::Display| TlsError::Clients(why.to_string());
    let mut roots = RootCertStore::empty();
    for root in clients.roots {
        roots.add(root).map_err(|error| refused(&error))?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    // Fail closed: whom no list speaks of is not believed, and neither is who is known by a list that has run out.
    let verifier = verifier.with_crls(clients.revocations.into_lists()).enforce_revocation_expiration();
    let verifier = match clients.demand {
        Demand::Optional => verifier.allow_unauthenticated(),
        Demand::Required => verifier,
    };
    verifier.build().map_err(|error| refused(&error))
}

fn unusable(error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::OtherKey,
        other => TlsError::Certificate(other.to_string()),
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl fmt::Debug for Believed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Believed").finish_non_exhaustive()
    }
}
