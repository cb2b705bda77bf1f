//! Telemetry as it is configured: where the collector is, what it is sent along, and whom it has to be.

use std::path::PathBuf;
use std::sync::Arc;

use ringfence_model::limits;
use ringfence_model::outcome::is_unprintable;
use ringfence_model::outcome::one_line;
use ringfence_server::http::metrics::Metrics;
use ringfence_server::service::Service;
use ringfence_server::telemetry::Collector;
use ringfence_server::telemetry::CollectorError;
use ringfence_server::telemetry::Sending;
use ringfence_server::telemetry::Telemetry;
use rustls::RootCertStore;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::egress::certificates;
use crate::error::CommandError;
use crate::home::Home;
use crate::home::read_key;
use crate::output::Output;

/// What the host calls itself if nothing says otherwise.
const SERVICE_NAME: &str = "ringfence";

/// What stands under `[telemetry]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TelemetryTable {
    /// The collector's address, without `/v1/…`. Missing: nobody is told of anything.
    pub endpoint: Option<String>,
    /// A file of headers that it is sent, a line each, relative to the home.
    pub headers_file: Option<PathBuf>,
    /// A file of certificates (PEM) to trust instead of Mozilla's roots, relative to the home.
    pub roots: Option<PathBuf>,
    /// What the host calls itself there.
    pub service_name: Option<String>,
}

impl TelemetryTable {
    /// What the shape of the types does not say already.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if let Some(endpoint) = &self.endpoint {
            let made = Collector::new(endpoint, "", RootCertStore::empty());
            made.map_err(|error| ("endpoint", one_line(&error.to_string())))?;
        }
        let name = self.service_name.as_deref().unwrap_or(SERVICE_NAME);
        let is_name = (1..=limits::TELEMETRY_NAME_BYTES_MAX).contains(&name.len()) && !name.contains(is_unprintable);
        if !is_name {
            let max = limits::TELEMETRY_NAME_BYTES_MAX;
            return Err(("service-name", format!("a name is a line of 1 to {max} bytes")));
        }
        Ok(())
    }
}

/// What a server tells a collector with, put together before the server starts: nobody, if none is configured.
#[derive(Debug)]
pub struct Reporting(Option<(Collector, String)>);

impl Reporting {
    /// As it is configured.
    pub fn of(home: &Home) -> Result<Self, CommandError> {
        let table = &home.config().telemetry;
        let Some(endpoint) = &table.endpoint else { return Ok(Self(None)) };
        let headers = headers(home, table)?;
        let collector = Collector::new(endpoint, &headers, roots(home, table)?);
        let collector = collector.map_err(|error| match (&error, &table.headers_file) {
            (CollectorError::Header(_), Some(file)) => CommandError::collector(&file.display().to_string(), &error),
            _ => CommandError::collector(endpoint, &error),
        })?;
        Ok(Self(Some((collector, table.service_name.clone().unwrap_or_else(|| SERVICE_NAME.to_owned())))))
    }

    /// Begins to tell of a service's calls, and of these numbers.
    pub fn start(self, service: &Service, metrics: &Arc<Metrics>, output: Output) -> Option<Sending> {
        let (collector, name) = self.0?;
        let notes = Arc::new(move |text: &str| output.note(&one_line(text)));
        let (telemetry, sending) = Telemetry::start(collector, &name, Arc::clone(metrics), notes);
        service.report(telemetry);
        Some(sending)
    }
}

fn headers(home: &Home, table: &TelemetryTable) -> Result<Zeroizing<String>, CommandError> {
    let Some(file) = &table.headers_file else { return Ok(Zeroizing::default()) };
    let path = home.folder().join(file);
    let text = Zeroizing::new(read_key(&path).map_err(CommandError::headers_file)?);
    if text.len() > limits::TELEMETRY_HEADERS_BYTES_MAX {
        let max = limits::TELEMETRY_HEADERS_BYTES_MAX;
        return Err(CommandError::collector(&path.display().to_string(), &format!("it is larger than {max} bytes")));
    }
    Ok(text)
}

fn roots(home: &Home, table: &TelemetryTable) -> Result<RootCertStore, CommandError> {
    let Some(file) = &table.roots else {
        return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&home.folder().join(file))? {
        roots.add(certificate).map_err(|error| CommandError::collector(&file.display().to_string(), &error))?;
    }
    Ok(roots)
}
