//! TLS of the server as it is configured: files, turned into what the server shows for itself and whom it believes.

use std::path::PathBuf;

use ringfence_server::http::tls::Believed;
use ringfence_server::http::tls::Clients;
use ringfence_server::http::tls::Demand;
use ringfence_server::http::tls::Identity;
use ringfence_server::http::tls::Shown;
use ringfence_server::http::tls::TlsError;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::egress::certificates;
use crate::error::CommandError;
use crate::home::Home;
use crate::home::HomeError;
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
    /// Whether a client has to show a certificate.
    pub clients: Option<Demand>,
}

impl TlsTable {
    /// What the shape of the types does not say already.
    pub fn check(&self) -> Result<(), String> {
        if self.clients.is_some() && self.client_roots.is_none() {
            return Err("`clients` says something of certificates by `client-roots`, and there are none".to_owned());
        }
        Ok(())
    }
}

/// What the server shows for itself, and whom it believes.
pub fn identity(home: &Home, table: &TlsTable) -> Result<Identity, CommandError> {
    let identity = Identity::new(shown(home, table)?, believed(home, table)?);
    identity.map_err(|error| refused(home, table, &error))
}

/// What the server shows for itself, read from its files.
pub fn shown(home: &Home, table: &TlsTable) -> Result<Shown, CommandError> {
    let chain = certificates(&home.folder().join(&table.certificate)).map_err(CommandError::tls_file)?;
    let key = key(&home.folder().join(&table.key)).map_err(CommandError::tls_file)?;
    Shown::new(chain, key).map_err(|error| refused(home, table, &error))
}

/// Whom the server believes, read from its file; nobody is asked for a certificate, if there is none.
pub fn believed(home: &Home, table: &TlsTable) -> Result<Option<Believed>, CommandError> {
    let Some(file) = &table.client_roots else { return Ok(None) };
    let roots = certificates(&home.folder().join(file)).map_err(CommandError::tls_file)?;
    let believed = Believed::new(Clients { roots, demand: table.clients.unwrap_or_default() });
    believed.map(Some).map_err(|error| refused(home, table, &error))
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

fn key(path: &std::path::Path) -> Result<PrivateKeyDer<'static>, HomeError> {
    let pem = Zeroizing::new(read_key(path)?);
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| HomeError::Key { path: path.display().to_string(), why: "it is no private key in PEM".to_owned() })
}
