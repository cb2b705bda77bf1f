//! `ringfence serve`: the registered tools over HTTP, as an API and as MCP, behind tokens.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

use ringfence_runtime::descriptors;
use ringfence_server::http;
use ringfence_server::http::Origins;
use ringfence_server::http::Server;
use ringfence_server::http::token::Credential;
use ringfence_server::http::token::Tokens;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;

use crate::args::ServeArgs;
use crate::commands;
use crate::commands::serving;
use crate::commands::serving::Reading;
use crate::commands::serving::Serving;
use crate::commands::serving::SharedLog;
use crate::config::Config;
use crate::config::ServerTable;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::telemetry::Reporting;
use crate::tls;
use crate::tls::Clients;
use crate::tls::TlsTable;
use crate::tokens;

/// Where it listens if nothing says otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8790);

/// Where a server of this home listens, and who gets in; where somebody has to be asked who they are and can't be, it does not.
pub fn ways_in(home: &Home, listen: Option<SocketAddr>) -> Result<(SocketAddr, Tokens), CommandError> {
    let (tokens, table) = (tokens::known(home)?, &home.config().server);
    if !tokens.any(|credential| gets_in(credential, table)) {
        return Err(CommandError::no_tokens());
    }
    let listen = listen.or(table.listen).unwrap_or(LISTEN);
    if !listen.ip().is_loopback() && table.hosts.is_empty() {
        return Err(CommandError::open_listener(&listen.to_string()));
    }
    Ok((listen, tokens))
}

pub fn run(home: Home, args: &ServeArgs, output: Output) -> Result<Exit, CommandError> {
    let ((listen, tokens), table) = (ways_in(&home, args.listen)?, home.config().server.clone());
    let connections = descriptors::for_connections(descriptors::raise());
    if connections < Server::connections_wanted(table.streams_max()) {
        output.note(&format!("warning: no more than {connections} connections are held at a time"));
        output.note("hint: let this process have more file descriptors: `LimitNOFILE=` of its unit, or `ulimit -n`");
    }
    let clients = table.tls.as_ref().map(|tls| Clients::read(&home, tls)).transpose()?.unwrap_or_default();
    let identity = table.tls.as_ref().map(|tls| tls::identity(&home, tls, &clients)).transpose()?;
    let reporting = Reporting::of(&home)?;
    let scheme = if identity.is_some() { "https" } else { "http" };
    let Serving { service, log } = serving::open(home, &[], output)?;
    commands::serve_on_all(async move {
        let bound =
            TcpListener::bind(listen).await.map_err(|error| CommandError::listener(&listen.to_string(), &error))?;
        let address = bound.local_addr().map_err(|error| CommandError::listener(&listen.to_string(), &error))?;
        let server = Server::new(service, tokens, origins(scheme, address, &table)).with_streams(table.streams_max());
        let server = server.with_connections(connections);
        let server = Arc::new(match identity {
            Some(identity) => server.over_tls(identity),
            None => server,
        });
        let stop = serving::asked_to_stop(output)?;
        let hang_up = serving::listen_for(SignalKind::hangup())?;
        let minder = tokio::spawn(Arc::clone(&log).mind());
        let sending = reporting.start(server.service(), server.metrics(), output);
        let first = Readings::new(&log, &server, (table, clients), output).all();
        let reloader = tokio::spawn(serving::reload(Arc::clone(&log), Arc::clone(server.service()), hang_up, first));
        // What came of it is told where it matters: to the operator, and to whoever asks whether the server is ready.
        let _ = server.service().host().await;
        output.line(&format!("listening on {scheme}://{address}"));
        http::serve(server, bound, stop).await;
        reloader.abort();
        minder.abort();
        let let_go = serving::let_go(log).await;
        if let Some(sending) = sending {
            sending.end().await;
        }
        let_go
    })?;
    Ok(Exit::Done)
}

/// Whether somebody can get in by what they are known by.
fn gets_in(credential: &Credential, table: &ServerTable) -> bool {
    match credential {
        Credential::Certificate(_) => table.tls.as_ref().is_some_and(|tls| tls.client_roots.is_some()),
        Credential::Token(_) => true,
    }
}

/// What is read anew first of all, and whatever else is wrong: one that was taken back does not get in again, and a
/// certificate that runs out is replaced.
struct Readings {
    log: Arc<SharedLog>,
    server: Arc<Server>,
    /// What stood under `[server.tls]` when the configuration could be read last.
    tls: RwLock<Option<TlsTable>>,
    /// Whom the server believes: of each file what could be read last.
    clients: Mutex<Clients>,
    /// What stood under `[server]` at the start, where all of it but TLS is settled.
    settled: ServerTable,
    output: Output,
}

impl Readings {
    fn new(
        log: &Arc<SharedLog>,
        server: &Arc<Server>,
        (table, clients): (ServerTable, Clients),
        output: Output,
    ) -> Arc<Self> {
        let (log, server) = (Arc::clone(log), Arc::clone(server));
        let (tls, clients) = (RwLock::new(table.tls.clone()), Mutex::new(clients));
        Arc::new(Self { log, server, tls, clients, settled: table, output })
    }

    /// Each by itself, in this order. Fail closed: an authority that was taken out is out of force also where the server's own
    /// certificate, changed in the same step, can't be used, and so is a certificate that was revoked where the authorities
    /// can't be read. All or nothing would keep whoever was thrown out for the sake of a typing mistake that has nothing to do
    /// with them.
    fn all(self: Arc<Self>) -> Vec<Reading> {
        let reading = |name, read: fn(&Self) -> Result<(), CommandError>| -> Reading {
            let readings = Arc::clone(&self);
            (name, Box::new(move || read(&readings)))
        };
        let tokens = reading("tokens", Self::tokens);
        let settings = reading("settings of TLS", Self::settings);
        if self.table().is_none() {
            return vec![tokens, settings];
        }
        vec![
            tokens,
            settings,
            reading("client authorities", Self::authorities),
            reading("revocation lists", Self::revocations),
            reading("certificates", Self::certificates),
        ]
    }

    fn tokens(&self) -> Result<(), CommandError> {
        self.log.tokens().map(|tokens| self.server.put_tokens(tokens))
    }

    /// Which files these are. Whether TLS is spoken at all is no matter of a connection that is there already.
    fn settings(&self) -> Result<(), CommandError> {
        let path = self.log.with_home(Home::config_path);
        let table = Config::read(&path)?.server;
        if !is_settled_alike(&table, &self.settled) {
            let what = "what stands under `[server]` beside `tls`";
            self.output.note(&format!("warning: {what} has changed, and is in force from the next start"));
        }
        let read = table.tls;
        let mut known = self.tls.write().unwrap_or_else(PoisonError::into_inner);
        if read.is_some() != known.is_some() {
            return Err(CommandError::tls_at_start(known.is_some()));
        }
        *known = read;
        Ok(())
    }

    fn authorities(&self) -> Result<(), CommandError> {
        self.believe(|home, table, clients| Ok(Clients { roots: tls::roots(home, table)?, ..clients }))
    }

    fn revocations(&self) -> Result<(), CommandError> {
        self.believe(|home, table, clients| Ok(Clients { revocations: tls::revocations(home, table)?, ..clients }))
    }

    /// Believes whom `read` makes of those who are believed now.
    fn believe(
        &self,
        read: impl FnOnce(&Home, &TlsTable, Clients) -> Result<Clients, CommandError>,
    ) -> Result<(), CommandError> {
        let Some(table) = self.table() else { return Ok(()) };
        let mut known = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        self.log.with_home(|home| {
            let clients = read(home, &table, known.clone())?;
            let believed = clients.believed(home, &table)?;
            self.server.believe(believed).map_err(|error| tls::refused(home, &table, &error))?;
            *known = clients;
            Ok(())
        })
    }

    fn certificates(&self) -> Result<(), CommandError> {
        let Some(table) = self.table() else { return Ok(()) };
        self.log.with_home(|home| {
            let shown = tls::shown(home, &table)?;
            self.server.show(shown).map_err(|error| tls::refused(home, &table, &error))
        })
    }

    fn table(&self) -> Option<TlsTable> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether two tables are alike in what is settled at the start.
fn is_settled_alike(one: &ServerTable, other: &ServerTable) -> bool {
    let address = |table: &ServerTable| (table.listen, table.streams);
    address(one) == address(other) && one.hosts == other.hosts && one.origins == other.origins
}

/// What `Host` and `Origin` may be: this machine's own names where the listener is on loopback, and what is configured. Its own
/// origin is foreign to no server: nobody but itself could have sent a page from there.
fn origins(scheme: &str, address: SocketAddr, table: &ServerTable) -> Origins {
    let port = if address.port() == port_of(scheme) { String::new() } else { format!(":{}", address.port()) };
    let own = ["127.0.0.1", "localhost", "[::1]"].into_iter().filter(|_| address.ip().is_loopback());
    let hosts = own.map(|host| format!("{host}{port}")).chain(table.hosts.iter().map(|host| host.to_ascii_lowercase()));
    let hosts: Vec<_> = hosts.collect();
    let named = table.origins.iter().map(|origin| origin.to_ascii_lowercase());
    let origins = hosts.iter().map(|host| format!("{scheme}://{host}")).chain(named).collect();
    Origins { hosts, origins }
}

/// The port that an address of a scheme leaves out.
fn port_of(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}
