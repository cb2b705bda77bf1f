//! The collector: where it is, and one request to it.
//!
//! It is the operator's, so it is reached past everything that bounds tools. One connection for each request, HTTP/1.1,
//! with TLS for `https`; no proxy of the environment, no redirection, no more of an answer than there is to learn from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ringfence_model::limits;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use serde_json::Value;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why there is no such collector.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CollectorError {
    /// Its address is none.
    #[error("`{0}` is not written as `https://HOST[:PORT][/PATH]`, or with `http`")]
    Address(String),
    /// A header can't be sent to it.
    #[error("line {0} is not a header, as in `authorization: Bearer …`")]
    Header(usize),
    /// There is no TLS to be had.
    #[error("TLS can't be spoken: {0}")]
    Tls(String),
}

/// Why a request came to nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum Refused {
    /// It will not be taken another time either.
    #[error("{0}")]
    ForGood(String),
    /// It may be taken later.
    #[error("{0}")]
    ForNow(String),
}

/// A collector of the operator's.
pub struct Collector {
    host: String,
    port: u16,
    /// What stands before `/v1/…`.
    base: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    headers: HeaderMap,
}

impl Collector {
    /// The collector at an address, trusted by these roots if it speaks TLS. `headers` is a line each.
    pub fn new(address: &str, headers: &str, roots: RootCertStore) -> Result<Self, CollectorError> {
        let wrong = || CollectorError::Address(address.to_owned());
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority().ok_or_else(wrong)?);
        let is_encrypted = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        if authority.as_str().contains('@') || uri.query().is_some() || address.contains('#') {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // What is written and is no port is not left out: the scheme's own may be somebody else's.
        let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or_default() {
            "" if is_encrypted => 443,
            "" => 80,
            written => match written.strip_prefix(':').and_then(|port| port.parse().ok()) {
                None | Some(0) => return Err(wrong()),
                Some(port) => port,
            },
        };
        let name = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
        let tls = is_encrypted.then(|| connector(roots)).transpose()?.map(|connector| (connector, name));
        let base = uri.path().trim_end_matches('/').to_owned();
        let mut all = read_headers(headers)?;
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        all.insert(header::HOST, HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?);
        let agent = concat!("ringfence/", env!("CARGO_PKG_VERSION"));
        all.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        Ok(Self { host, port, base, tls, headers: all })
    }

    /// Sends it something, in time. How much of it was not taken.
    pub(super) async fn post(&self, path: &str, body: Bytes) -> Result<u64, Refused> {
        let time = Duration::from_millis(limits::TELEMETRY_POST_MS_MAX);
        let late = || Refused::ForNow("it does not answer in time".to_owned());
        tokio::time::timeout(time, self.sent(path, body)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn sent(&self, path: &str, body: Bytes) -> Result<u64, Refused> {
        let unreached = |error: std::io::Error| Refused::ForNow(format!("it can't be reached: {error}"));
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreached)?;
        match &self.tls {
            None => self.asked(stream, path, body).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(unreached)?;
                self.asked(stream, path, body).await
            }
        }
    }

    async fn asked<S>(&self, stream: S, path: &str, body: Bytes) -> Result<u64, Refused>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let broken = |error: hyper::Error| Refused::ForNow(format!("it does not speak HTTP: {error}"));
        let mut request = Request::post(format!("{}{path}", self.base)).body(Full::new(body));
        if let Ok(request) = &mut request {
            request.headers_mut().extend(self.headers.clone());
        }
        let request = request.map_err(|error| Refused::ForGood(error.to_string()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), limits::TELEMETRY_ANSWER_BYTES_MAX).collect().await;
            Ok::<_, Refused>((status, body.map(http_body_util::Collected::to_bytes).unwrap_or_default()))
        };
        let mut answer = std::pin::pin!(answer);
        let mut connection = std::pin::pin!(connection);
        let (status, body) = tokio::select! {
            answer = &mut answer => answer?,
            // The connection is worked on for as long as the answer is waited for; it ends first only if it is broken.
            _ = &mut connection => answer.await?,
        };
        judged(status, &body)
    }
}

/// What an answer says (OTLP over HTTP): a success may be one in part.
fn judged(status: StatusCode, body: &[u8]) -> Result<u64, Refused> {
    let said = format!("it answers {status}");
    match status {
        StatusCode::OK => Ok(refused_in_part(body)),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Err(Refused::ForNow(said)),
        _ => Err(Refused::ForGood(said)),
    }
}

fn refused_in_part(body: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let refused = answer.pointer("/partialSuccess/rejectedSpans");
    refused.and_then(|refused| refused.as_u64().or_else(|| refused.as_str()?.parse().ok())).unwrap_or(0)
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, CollectorError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| CollectorError::Tls(error.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()).into())
}

fn read_headers(text: &str) -> Result<HeaderMap, CollectorError> {
    let mut headers = HeaderMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = || CollectorError::Header(index + 1);
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        let is_ours = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(&name);
        if is_ours || headers.len() >= limits::TELEMETRY_HEADERS_MAX {
            return Err(wrong());
        }
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        let made = |address: &str| Collector::new(address, "", RootCertStore::empty());
        for (address, host, port, base) in [
            ("http://127.0.0.1:4318", "127.0.0.1", 4318, ""),
            ("http://[::1]:4318/", "::1", 4318, ""),
            ("https://collector.example/otlp/", "collector.example", 443, "/otlp"),
            ("http://collector", "collector", 80, ""),
        ] {
            let collector = made(address).expect(address);
            assert_eq!((collector.host.as_str(), collector.port, collector.base.as_str()), (host, port, base));
            assert_eq!(collector.tls.is_some(), address.starts_with("https"));
        }
        for wrong in [
            "",
            "collector:4318",
            "ftp://a",
            "http://",
            "/v1",
            "http://a:b@c",
            "http://a/?q",
            "http://a/#f",
            "grpc://a:4317",
            "https://a:99999",
            "https://a:0",
            "https://a:",
        ] {
            assert!(made(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_are_read_and_kept_quiet() {
        let headers = read_headers("authorization: Bearer canary\n\nx-key: 1\n").expect("headers");
        assert_eq!((headers.len(), &headers["x-key"]), (2, &HeaderValue::from_static("1")));
        assert!(!format!("{headers:?}").contains("canary"));
        for (wrong, line) in [("nothing", 1), ("a: b\nhost: c", 2), ("a b: c", 1), ("a: b\u{7}", 1), (": a", 1)] {
            assert_eq!(read_headers(wrong).err(), Some(CollectorError::Header(line)), "{wrong}");
        }
    }

    #[test]
    fn answers_say_what_to_do() {
        for (status, body, wanted) in [
            (200, "", Ok(0)),
            (200, "no JSON", Ok(0)),
            (200, r#"{"partialSuccess":{"rejectedSpans":"3"}}"#, Ok(3)),
            (200, r#"{"partialSuccess":{"rejectedSpans":4}}"#, Ok(4)),
            (503, "", Err(true)),
            (429, "", Err(true)),
            (400, "", Err(false)),
            (302, "", Err(false)),
            (500, "", Err(false)),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let said = judged(status, body.as_bytes()).map_err(|refused| matches!(refused, Refused::ForNow(_)));
            assert_eq!(said, wanted, "{status} {body}");
        }
    }
}
