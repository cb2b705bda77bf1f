//! Peers: who is at the other end of a connection, as far as their certificate says so.
//!
//! A certificate is known by the names that stand in it, URIs and names of hosts; its subject says nothing here. That it
//! leads to an authority is found out when a connection is made, again whenever the authorities were read anew, and every few
//! seconds while it is used ([`super::tls`]): what has run out, or whose authority was taken out, opens nothing and keeps no
//! stream open, however old the connection is.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::DnsName;
use serde::Deserialize;
use serde::Serialize;
use webpki::EndEntityCert;

/// A name that stands in a certificate (subject alternative name), written as `dns:…` or `uri:…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Name {
    /// The name of a host, in lower case. A pattern is none.
    Dns(String),
    /// A URI, byte for byte.
    Uri(String),
}

impl Name {
    fn dns(name: &str) -> Option<Self> {
        let is_name = DnsName::try_from(name).is_ok() && !name.ends_with('.');
        is_name.then(|| Self::Dns(name.to_ascii_lowercase()))
    }

    fn uri(uri: &str) -> Option<Self> {
        let has_scheme = uri.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
        let is_uri = uri.len() <= limits::CERTIFICATE_NAME_BYTES_MAX && uri.bytes().all(|byte| byte.is_ascii_graphic());
        (has_scheme && is_uri).then(|| Self::Uri(uri.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
        }
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = match text.split_once(':') {
            Some(("dns", name)) => Self::dns(name),
            Some(("uri", uri)) => Self::uri(uri),
            _ => None,
        };
        name.ok_or_else(|| {
            "the name in a certificate is written as in `uri:spiffe://example.org/agent` or `dns:agent.example.org`"
                .to_owned()
        })
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

/// Whoever has shown a certificate.
#[derive(Debug)]
pub(super) struct Peer {
    /// Their own certificate.
    pub(super) certificate: CertificateDer<'static>,
    /// What they have sent along to lead to an authority.
    pub(super) intermediates: Vec<CertificateDer<'static>>,
    names: Vec<Name>,
    /// By what the server believed then, by its number, and when that was found out last.
    believed: Mutex<Option<(u64, Instant)>>,
}

impl Peer {
    /// Whoever has shown these, their own first. Nobody, if that can't be read.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (certificate, intermediates) = chain.split_first()?;
        let read = EndEntityCert::try_from(certificate).ok()?;
        let names = read.valid_dns_names().filter_map(Name::dns).chain(read.valid_uri_names().filter_map(Name::uri));
        let names: Vec<_> = names.take(limits::CERTIFICATE_NAMES_MAX + 1).collect();
        // One that has more of them than anybody needs is known by none.
        let names = if names.len() > limits::CERTIFICATE_NAMES_MAX { Vec::new() } else { names };
        let intermediates = intermediates.iter().map(|one| one.clone().into_owned()).collect();
        Some(Self { certificate: certificate.clone().into_owned(), intermediates, names, believed: Mutex::default() })
    }

    /// Whether `believes` holds, which is asked anew where another `identity` was asked, or it is a while ago: what somebody
    /// sends along to lead to an authority is their own choice, and may take a hundred signatures to look at.
    pub(super) fn is_believed(&self, identity: u64, believes: impl FnOnce() -> bool) -> bool {
        let a_while = Duration::from_millis(limits::CERTIFICATE_BELIEVED_MS);
        let mut last = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|(by, at)| by == identity && at.elapsed() < a_while) {
            return true;
        }
        *last = believes().then(|| (identity, Instant::now()));
        last.is_some()
    }

    /// The names that stand in the certificate.
    pub(super) fn names(&self) -> &[Name] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for (text, wanted) in [
            ("dns:Agent.Example", Some("dns:agent.example")),
            ("uri:spiffe://example.org/Agent", Some("uri:spiffe://example.org/Agent")),
            ("dns:*.example", None),
            ("dns:a.example.", None),
            ("dns:", None),
            ("dns:a b", None),
            ("uri:", None),
            ("uri:agent", None),
            ("uri::agent", None),
            ("uri:spiffe://a b", None),
            ("uri:spiffe://ä", None),
            ("URI:spiffe://a", None),
            ("spiffe://a", None),
            ("email:a@example.org", None),
            ("", None),
        ] {
            let name = text.parse::<Name>().ok().map(|name| name.to_string());
            assert_eq!(name.as_deref(), wanted, "{text}");
        }
        let long = format!("uri:a:{}", "b".repeat(limits::CERTIFICATE_NAME_BYTES_MAX));
        assert!(long.parse::<Name>().is_err());
    }

    #[test]
    fn belief_is_of_one_identity() {
        let certificate = CertificateDer::from(Vec::new());
        let peer = Peer { certificate, intermediates: Vec::new(), names: Vec::new(), believed: Mutex::default() };
        assert!(!peer.is_believed(1, || false));
        assert!(peer.is_believed(1, || true));
        assert!(peer.is_believed(1, || unreachable!("it was asked just now")));
        assert!(!peer.is_believed(2, || false), "another asks for itself");
        assert!(!peer.is_believed(1, || false), "a no is not kept from who asks again");
    }

    #[test]
    fn what_is_no_certificate_is_nobody() {
        for bytes in [&b""[..], b"\x30\x00", &[0x30; 64], &[0xff; 4096]] {
            assert!(Peer::of(&[CertificateDer::from(bytes)]).is_none());
        }
        assert!(Peer::of(&[]).is_none());
    }
}
