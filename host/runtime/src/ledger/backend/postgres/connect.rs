//! A connection to the server of an address: plain, or over TLS to a server that has proven who it is.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio_postgres::Config;
use tokio_postgres::NoTls;
use tokio_postgres::Socket;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::ChannelBinding;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::tls::TlsStream;
use tokio_rustls::TlsConnector;

use crate::ledger::backend::BackendError;
use crate::ledger::backend::postgres::Access;
use crate::ledger::backend::postgres::address::Server;
use crate::ledger::backend::postgres::error::not_connected;
use crate::ledger::backend::postgres::link::Session;

const CONNECT_TIME: Duration = Duration::from_secs(10);
/// After how long without a sign of the other end a connection is given up.
const SILENCE_TIME: Duration = Duration::from_secs(10);

/// Connects, and says nothing yet.
pub(super) async fn connect(access: &Access) -> Result<Session, BackendError> {
    let mut config = Config::new();
    let address = &access.address;
    config.user(&address.user).dbname(&address.database).application_name("ringfence");
    config.connect_timeout(CONNECT_TIME).tcp_user_timeout(SILENCE_TIME);
    config.keepalives_idle(SILENCE_TIME).keepalives_interval(SILENCE_TIME / 4).keepalives_retries(4);
    if let Some(password) = &access.password {
        config.password(password.as_bytes());
    }
    match &address.server {
        Server::Local { folder, port } => {
            config.host_path(folder).port(*port).ssl_mode(SslMode::Disable);
            connected(access, &config, NoTls).await
        }
        Server::Network { host, port, is_verified: false } => {
            config.host(host).port(*port).ssl_mode(SslMode::Disable);
            connected(access, &config, NoTls).await
        }
        Server::Network { host, port, is_verified: true } => {
            config.host(host).port(*port).ssl_mode(SslMode::Require);
            let tls = tls_config(access).map_err(|why| BackendError::Io(format!("TLS can't be set up: {why}")))?;
            connected(access, &config, VerifiedTls(tls)).await
        }
    }
}

async fn connected<T>(access: &Access, config: &Config, tls: T) -> Result<Session, BackendError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await.map_err(|error| not_connected(&access.address, &error))?;
    let driver = tokio::spawn(async move {
        // What ends a connection is told to whoever is waiting for an answer.
        let _ = connection.await;
    });
    Ok(Session::new(client, driver))
}

fn tls_config(access: &Access) -> Result<Arc<ClientConfig>, String> {
    let mut store = RootCertStore::empty();
    match &access.roots {
        Some(roots) => {
            for root in roots {
                store.add(root.clone()).map_err(|error| error.to_string())?;
            }
        }
        None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
}

/// TLS to a server whose certificate is for its name and leads to a root that is trusted.
struct VerifiedTls(Arc<ClientConfig>);

impl MakeTlsConnect<Socket> for VerifiedTls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Self::Error> {
        Ok(Handshake { config: Arc::clone(&self.0), name: ServerName::try_from(host)?.to_owned() })
    }
}

struct Handshake {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move { TlsConnector::from(self.config).connect(self.name, socket).await.map(Encrypted) })
    }
}

struct Encrypted(tokio_rustls::client::TlsStream<Socket>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        // The certificate is verified, and nobody can stand between.
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
