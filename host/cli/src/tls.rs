//! TLS of the server as it is configured: files, turned into what the server shows for itself and whom it believes.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ringfence_model::limits;
use ringfence_model::time::Clock as _;
use ringfence_server::http::revocation::Revocations;
use ringfence_server::http::tls;
use ringfence_server::http::tls::Believed;
use ringfence_server::http::tls::Demand;
use ringfence_server::http::tls::Identity;
use ringfence_server::http::tls::Shown;
use ringfence_server::http::tls::TlsError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::egress::certificates;
use crate::error::CommandError;
use crate::files;
use crate::home::Home;
use crate::home::HomeError;
use crate::home::SystemClock;
use crate::home::read_key;

/// What stands under `[server.tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsTable {
    /// The server's certificate and what leads from it to an authority (PEM), relative to the home.
    pub certificate: PathBuf,
    /// Its key (PEM), relative to the home.
    pub key: PathBuf,
    /// The authorities of clients (PEM), relative to the home. Missing: no client is asked for a certificate.
    pub client_roots: Option<PathBuf>,
    /// Lists of those of their certificates that were revoked (PEM), relative to the home. Missing: none is asked.
    pub client_revocations: Option<Vec<PathBuf>>,
    /// Whether a client has to show a certificate.
    pub clients: Option<Demand>,
}

impl TlsTable {
    /// What the shape of the types does not say already.
    pub fn check(&self) -> Result<(), String> {
        if self.clients.is_some() && self.client_roots.is_none() {
            return Err("`clients` says something of certificates by `client-roots`, and there are none".to_owned());
        }
        let Some(lists) = &self.client_revocations else { return Ok(()) };
        if self.client_roots.is_none() {
            return Err("`client-revocations` takes back certificates by `client-roots`, and there are none".to_owned());
        }
        match lists.len() {
            // Whoever names none may believe that they have one.
            0 => Err("`client-revocations` names no file: take it out, or name a list".to_owned()),
            1..=limits::REVOCATION_FILES_MAX => Ok(()),
            _ => Err(format!("`client-revocations` names at most {} files", limits::REVOCATION_FILES_MAX)),
        }
    }

    /// The files that tell whom the server believes.
    pub fn client_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.client_roots.iter().chain(self.client_revocations.iter().flatten())
    }
}

/// Whom the server believes, as it stands in files.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// The authorities; nobody is asked for a certificate, if there is no file of them.
    pub roots: Option<Vec<CertificateDer<'static>>>,
    /// What they have revoked.
    pub revocations: Revocations,
}

impl Clients {
    /// All of it.
    pub fn read(home: &Home, table: &TlsTable) -> Result<Self, CommandError> {
        Ok(Self { roots: roots(home, table)?, revocations: revocations(home, table)? })
    }

    /// Whom the server believes by that.
    pub fn believed(&self, home: &Home, table: &TlsTable) -> Result<Option<Believed>, CommandError> {
        let Some(roots) = self.roots.clone() else { return Ok(None) };
        let (demand, revocations) = (table.clients.unwrap_or_default(), self.revocations.clone());
        let believed = Believed::new(tls::Clients { roots, demand, revocations });
        believed.map(Some).map_err(|error| refused(home, table, &error))
    }
}

/// What the server shows for itself, and whom it believes.
pub fn identity(home: &Home, table: &TlsTable, clients: &Clients) -> Result<Identity, CommandError> {
    let identity = Identity::new(shown(home, table)?, clients.believed(home, table)?);
    identity.map_err(|error| refused(home, table, &error))
}

/// What the server shows for itself, read from its files.
pub fn shown(home: &Home, table: &TlsTable) -> Result<Shown, CommandError> {
    let chain = certificates(&home.folder().join(&table.certificate)).map_err(CommandError::tls_file)?;
    let key = key(&home.folder().join(&table.key)).map_err(CommandError::tls_file)?;
    Shown::new(chain, key).map_err(|error| refused(home, table, &error))
}

/// The authorities of clients, read from their file, if there is one.
pub fn roots(home: &Home, table: &TlsTable) -> Result<Option<Vec<CertificateDer<'static>>>, CommandError> {
    let file = table.client_roots.as_ref();
    file.map(|file| certificates(&home.folder().join(file))).transpose().map_err(CommandError::tls_file)
}

/// What they have revoked, read from its files. A list whose time is over says nothing, and is none.
pub fn revocations(home: &Home, table: &TlsTable) -> Result<Revocations, CommandError> {
    let now = Duration::from_millis(SystemClock.now().as_millis());
    let (mut all, mut last) = (Vec::new(), PathBuf::new());
    for file in table.client_revocations.iter().flatten() {
        last = home.folder().join(file);
        for list in lists(&last).map_err(CommandError::tls_file)? {
            let end = Revocations::new(vec![list.clone()]).map_err(|why| CommandError::tls(&last, &why))?.end();
            if let Some(end) = end.filter(|end| *end <= now) {
                return Err(CommandError::revocations_expired(&last, days(now.saturating_sub(end))));
            }
            all.push(list);
        }
    }
    Revocations::new(all).map_err(|why| CommandError::tls(&last, &why))
}

/// The lists in a file: at least one.
fn lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, HomeError> {
    let refuse = |why: String| HomeError::File { path: path.display().to_string(), why };
    let pem = files::read(path, limits::REVOCATIONS_BYTES_MAX).map_err(|error| refuse(error.to_string()))?;
    let lists = CertificateRevocationListDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let lists = lists.map_err(|error| refuse(format!("it is not PEM: {error}")))?;
    if lists.is_empty() { Err(refuse("it holds no revocation list in PEM".to_owned())) } else { Ok(lists) }
}

/// What can't be used, by its file.
pub fn refused(home: &Home, table: &TlsTable, error: &TlsError) -> CommandError {
    let path = match error {
        TlsError::Certificate(_) => &table.certificate,
        TlsError::Clients(_) => table.client_roots.as_ref().unwrap_or(&table.certificate),
        TlsError::OtherKey => &table.key,
    };
    CommandError::tls(&home.folder().join(path), &error.to_string())
}

/// Whole days of a time.
pub fn days(time: Duration) -> u64 {
    time.as_secs() / (24 * 60 * 60)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, HomeError> {
    let pem = Zeroizing::new(read_key(path)?);
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| HomeError::Key { path: path.display().to_string(), why: "it is no private key in PEM".to_owned() })
}
