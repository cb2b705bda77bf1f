//! The network as it is configured, turned into what the runtime takes: name servers, roots of trust, secrets.
//!
//! Files are read when a command needs them and no sooner; a secret that a call does not use is never in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use ringfence_model::egress::HostPattern;
use ringfence_runtime::egress::Egress;
use ringfence_runtime::egress::EgressConfig;
use ringfence_runtime::egress::Secret;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::files;
use crate::home::Home;
use crate::home::HomeError;
use crate::home::file_error;
use crate::home::read_key;

/// The largest file of certificates, and the largest secret.
const ROOTS_BYTES_MAX: u64 = 4 * 1024 * 1024;
const SECRET_BYTES_MAX: usize = 8 * 1024;
/// The shortest secret: it is looked for in what tools put out, and must not be found by chance.
const SECRET_BYTES_MIN: usize = 8;

/// What stands under `[egress]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct EgressTable {
    /// Name servers, `address:port`; the system's, if there are none.
    pub nameservers: Vec<std::net::SocketAddr>,
    /// A file of certificates (PEM) to trust instead of Mozilla's roots, relative to the home.
    pub roots: Option<PathBuf>,
}

/// What stands under `[secrets.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretTable {
    /// The file that holds it, relative to the home.
    pub file: PathBuf,
    /// The headers it may stand in.
    pub headers: Vec<String>,
    /// The hosts it may be sent to, over TLS.
    pub hosts: Vec<HostPattern>,
}

impl SecretTable {
    /// What the shape of the types does not say already.
    pub fn check(&self, name: &str) -> Result<(), String> {
        let is_start = |c: u8| c.is_ascii_alphabetic() || c == b'_';
        let is_name =
            name.bytes().next().is_some_and(is_start) && name.bytes().all(|c| is_start(c) || c.is_ascii_digit());
        if !is_name {
            return Err(
                "a secret's name is that of the variable its placeholder stands in: letters, digits and `_`".to_owned()
            );
        }
        let is_header = |header: &String| {
            !header.is_empty() && header.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        };
        match self.headers.iter().find(|header| !is_header(header)) {
            Some(header) => Err(format!("`{}` is not a header in lower case", header.escape_debug())),
            None => Ok(()),
        }
    }
}

/// What the calls of a command share, with these secrets.
pub fn open(home: &Home, names: &[String]) -> Result<Egress, HomeError> {
    let table = &home.config().egress;
    let roots = table.roots.as_ref().map(|path| certificates(&home.folder().join(path))).transpose()?;
    let config = EgressConfig { nameservers: table.nameservers.clone(), roots, secrets: secrets(home, names)? };
    Egress::new(config).map_err(|error| {
        let path = table.roots.as_ref().map(|path| home.folder().join(path).display().to_string());
        HomeError::File { path: path.unwrap_or_default(), why: error.to_string() }
    })
}

fn secrets(home: &Home, names: &[String]) -> Result<BTreeMap<String, Secret>, HomeError> {
    let configured = home.config().secrets.iter().filter(|(name, _)| names.contains(name));
    configured
        .map(|(name, table)| {
            let path = home.folder().join(&table.file);
            let text = Zeroizing::new(read_key(&path)?);
            let value = text.trim_end_matches(['\r', '\n']);
            let is_header_value = value.bytes().all(|c| (0x20..0x7f).contains(&c));
            if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&value.len()) || !is_header_value {
                let why = format!(
                    "a secret is one line of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} printable ASCII characters"
                );
                return Err(HomeError::File { path: path.display().to_string(), why });
            }
            let value = Zeroizing::new(value.to_owned());
            Ok((name.clone(), Secret { headers: table.headers.clone(), hosts: table.hosts.clone(), value }))
        })
        .collect()
}

/// The certificates in a file: at least one, and each can be trusted.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, HomeError> {
    let refuse = |why: String| HomeError::File { path: path.display().to_string(), why };
    let pem = files::read(path, ROOTS_BYTES_MAX).map_err(|error| file_error(path, &error))?;
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let line = line_of_certificate(&pem, certificates.len());
        let certificate = certificate.map_err(|error| refuse(format!("at line {line}: it is not PEM: {error}")))?;
        let tried = RootCertStore::empty().add(certificate.clone());
        tried.map_err(|error| refuse(format!("at line {line}: no certificate that can be trusted: {error}")))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(refuse("it holds no certificate in PEM".to_owned()));
    }
    Ok(certificates)
}

/// Where a certificate begins, by how many there are before it.
fn line_of_certificate(pem: &[u8], before: usize) -> usize {
    let lines = pem.split(|byte| *byte == b'\n').enumerate();
    let begins = |(_, line): &(usize, &[u8])| line.starts_with(b"-----BEGIN CERTIFICATE");
    lines.filter(begins).nth(before).map_or(1, |(index, _)| index + 1)
}
