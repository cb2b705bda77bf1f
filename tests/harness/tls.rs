//! Certificates of the tests' own: an authority, and what it signs, well and badly.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertificateRevocationListParams;
use rcgen::CertifiedIssuer;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyIdMethod;
use rcgen::KeyPair;
use rcgen::RevocationReason;
use rcgen::RevokedCertParams;
use rcgen::SanType;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;

/// Who signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a server shows for itself.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
}

impl Authority {
    /// One that nobody trusts who was not told to.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, key()).expect("an authority") }
    }

    /// One by a name of its own.
    pub fn called(name: &str) -> Self {
        Self { issuer: CertifiedIssuer::self_signed(authority(name), key()).expect("an authority") }
    }

    /// One by another name that this one vouches for, in a certificate of this number.
    pub fn below(&self, name: &str, number: u64) -> Self {
        let mut params = authority(name);
        params.serial_number = Some(number.into());
        Self { issuer: CertifiedIssuer::signed_by(params, key(), &self.issuer).expect("an authority") }
    }

    /// What it has revoked, by the numbers of certificates, as a file; the list is good from 2020 to the beginning of a year.
    pub fn revokes(&self, numbers: &[u64], until: i32) -> String {
        let revoked = |number: &u64| RevokedCertParams {
            serial_number: (*number).into(),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(until, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        pem("X509 CRL", list.signed_by(&self.issuer).expect("a list").der())
    }

    /// A certificate of this number for a client with a name.
    pub fn numbered_client(&self, name: &str, number: u64) -> Shown {
        let mut params = named(&[name]);
        params.serial_number = Some(number.into());
        self.show(&params)
    }

    /// Its certificate as a file for whoever is to trust it.
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", self.issuer.der())
    }

    /// A server with this name.
    pub fn server(&self, name: &str) -> Identity {
        self.sign(&params(name))
    }

    /// A certificate for a server with this name, and its key, as files.
    pub fn pem_of(&self, name: &str) -> (String, String) {
        let key = key();
        let certificate = params(name).signed_by(&key, &self.issuer).expect("a certificate");
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    /// The same, of which the time has run out.
    pub fn expired_pem_of(&self, name: &str) -> (String, String) {
        let (key, mut params) = (key(), params(name));
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    /// A server with this name whose certificate has run out.
    pub fn expired_server(&self, name: &str) -> Identity {
        let mut params = params(name);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    /// A server with this name that speaks to nobody without a certificate of this authority's.
    pub fn demanding_server(&self, name: &str) -> Identity {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions of TLS").with_client_cert_verifier(verifier.expect("a verifier"));
        let key = key();
        let certificate = params(name).signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = config.with_single_cert(vec![certificate.der().clone(), self.issuer.der().clone()], key.into());
        Identity { config: Arc::new(config.expect("an identity")) }
    }

    /// A certificate for a client with these names, each `dns:` or `uri:` and the name.
    pub fn client(&self, names: &[&str]) -> Shown {
        self.show(&named(names))
    }

    /// The same, of which the time has run out.
    pub fn expired_client(&self, names: &[&str]) -> Shown {
        let mut params = named(names);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.show(&params)
    }

    /// One whose time runs out soon.
    #[expect(clippy::disallowed_methods, reason = "a certificate has the time of the machine that looks at it")]
    pub fn client_for(&self, names: &[&str], time: Duration) -> Shown {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time");
        let mut params = named(names);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since + time;
        self.show(&params)
    }

    /// A client that trusts this authority alone, and shows something for itself or nothing.
    pub fn visitor(&self, shown: Option<&Shown>) -> ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions of TLS").with_root_certificates(roots);
        match shown {
            None => config.with_no_client_auth(),
            Some(Shown { chain, key }) => {
                let key = PrivatePkcs8KeyDer::from(key.clone());
                config.with_client_auth_cert(chain.clone(), key.into()).expect("a client's certificate")
            }
        }
    }

    fn show(&self, params: &CertificateParams) -> Shown {
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Shown { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity::new(vec![certificate.der().clone(), self.issuer.der().clone()], &key)
    }
}

/// What a client shows for itself.
#[derive(Clone)]
pub struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Shown {
    /// The same, with the certificate of an authority that leads on to another.
    pub fn by(mut self, authority: &Authority) -> Self {
        self.chain.push(authority.issuer.der().clone());
        self
    }
}

/// Speaks TLS to a server on this machine. Nothing has been said yet.
pub fn call(address: &str, config: ClientConfig) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(std::time::Duration::from_mins(1))).expect("a timeout");
    StreamOwned::new(client, stream)
}

/// A server that answers whoever wants to speak TLS in a version of twenty years ago, and keeps what comes.
pub struct Antique {
    port: u16,
    heard: std::thread::JoinHandle<Vec<u8>>,
}

impl Antique {
    /// On this machine, at a port of its own: version 3.MINOR, of which 3.1 is TLS 1.0.
    pub fn new(minor: u8) -> Self {
        use std::io::Read as _;
        use std::io::Write as _;

        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut heard = vec![0; 5];
            stream.read_exact(&mut heard).expect("the head of a record");
            let mut hello = vec![0; usize::from(u16::from_be_bytes([heard[3], heard[4]]))];
            stream.read_exact(&mut hello).expect("a greeting");
            heard.extend(hello);
            // A greeting with that version, a random number, no session, a cipher of then and no compression.
            let mut answer = vec![22, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
            answer.extend([7; 32]);
            answer.extend([0, 0, 0x2f, 0]);
            stream.write_all(&answer).expect("an answer");
            // Whoever resets the connection has said enough.
            let _ = stream.read_to_end(&mut heard);
            heard
        });
        Self { port, heard }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The kinds of the records that came.
    pub fn kinds_of_records(self) -> Vec<u8> {
        let heard = self.heard.join().expect("what was heard");
        let (mut kinds, mut rest) = (Vec::new(), heard.as_slice());
        while let [kind, _, _, high, low, more @ ..] = rest {
            kinds.push(*kind);
            rest = more.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
        }
        kinds
    }
}

impl Identity {
    /// A server with this name that vouches for itself.
    pub fn self_signed(name: &str) -> Self {
        let key = key();
        Self::new(vec![params(name).self_signed(&key).expect("a certificate").der().clone()], &key)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions of TLS").with_no_client_auth().with_single_cert(chain, key.into());
        Self { config: Arc::new(config.expect("an identity")) }
    }

    /// Encrypts a connection that somebody has made.
    pub fn accept(&self, connection: TcpStream) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
        let server = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        Ok(StreamOwned::new(server, connection))
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der).into_bytes();
    let lines: Vec<_> = text.chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn named(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.split_once(':').expect("a kind") {
            ("dns", name) => SanType::DnsName(name.try_into().expect("a name")),
            (_, uri) => SanType::URI(uri.try_into().expect("a URI")),
        })
        .collect();
    params
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("a name")
}

#[test]
fn server_is_trusted_through_authority() {
    use crate::harness::web::Web;
    use crate::harness::web::ok;
    use std::io::Read as _;
    use std::io::Write as _;

    let authority = Authority::new();
    let web = Web::encrypted(&authority.server("a.test"), |_| ok("hello"));
    for (trusted, name, is_well) in
        [(&authority, "a.test", true), (&authority, "b.test", false), (&Authority::new(), "a.test", false)]
    {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.issuer.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions of TLS").with_root_certificates(roots).with_no_client_auth();
        let name = rustls::pki_types::ServerName::try_from(name).expect("a name");
        let client = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut stream = StreamOwned::new(client, TcpStream::connect(web.address()).expect("a connection"));
        let mut answer = String::new();
        let result = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer));
        assert_eq!((result.is_ok(), answer.ends_with("hello")), (is_well, is_well), "{result:?}");
    }
    assert_eq!(web.requests().len(), 1);
    assert_eq!(web.requests()[0].server_name.as_deref(), Some("a.test"));
}
