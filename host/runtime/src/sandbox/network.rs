//! Sockets and names: wasmtime's own implementation, behind doors that ask the call's way out.
//!
//! Three functions lead to everything in `wasi:sockets`: creating a TCP socket, creating a UDP socket, looking up a
//! name. They are replaced here; what a socket connects to is asked of the way out as well, address by address; what flows
//! is counted (`meter`). No tool listens: nothing can reach in.

pub(super) mod meter;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::vec;

use ringfence_model::decision::OutgoingKind;
use ringfence_model::egress::Protocol;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::HasData;
use wasmtime::component::Linker;
use wasmtime::component::Resource;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::Network;
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi::p2::SocketError;
use wasmtime_wasi::p2::SocketResult;
use wasmtime_wasi::p2::TcpSocket;
use wasmtime_wasi::p2::UdpSocket;
use wasmtime_wasi::p2::bindings::sockets::network;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::bindings::sockets::network::IpAddress;
use wasmtime_wasi::p2::bindings::sockets::network::IpAddressFamily;
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket;
use wasmtime_wasi::p2::subscribe;
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::sockets::WasiSocketsCtxView;

use crate::egress::CallEgress;
use crate::egress::Outgoing;
use crate::egress::Refusal;
use crate::egress::ResolveError;
use crate::egress::Unreachable;
use crate::sandbox::network::meter::OpenSockets;
use crate::sandbox::state::State;

mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/deps/io.wit", "../../wit/deps/clocks.wit", "../../wit/deps/sockets.wit"],
        inline: "
            package ringfence:names;
            world names {
                import wasi:sockets/ip-name-lookup@0.2.12;
            }
        ",
        world: "ringfence:names/names",
        require_store_data_send: true,
        imports: { default: trappable },
        trappable_error_type: { "wasi:sockets/network.error-code" => wasmtime_wasi::p2::SocketError },
        with: {
            "wasi:io/poll": wasmtime_wasi_io::bindings::wasi::io::poll,
            "wasi:sockets/network": wasmtime_wasi::p2::bindings::sockets::network,
            "wasi:sockets/ip-name-lookup.resolve-address-stream": super::Lookup,
        },
    });
}

use bindings::wasi::sockets::ip_name_lookup;

const CREATE_TCP: &str = "wasi:sockets/tcp-create-socket#create-tcp-socket";
const CREATE_UDP: &str = "wasi:sockets/udp-create-socket#create-udp-socket";
const CONNECT_TCP: &str = "wasi:sockets/tcp#connect";
const SEND_UDP: &str = "wasi:sockets/udp#send";
const LISTEN: &str = "wasi:sockets/tcp#listen";
const BIND: &str = "wasi:sockets/network#bind";
const LOOK_UP: &str = "wasi:sockets/ip-name-lookup#resolve-addresses";

/// Opens what the grant could open at all, and asks about every address.
pub(super) fn open(builder: &mut WasiCtxBuilder, egress: &CallEgress) {
    let call = egress.clone();
    builder
        .allow_tcp(egress.has_sockets(Protocol::Tcp))
        .allow_udp(egress.has_sockets(Protocol::Udp))
        // Names are looked up here, never by wasmtime's own resolver.
        .allow_ip_name_lookup(false)
        .socket_addr_check(move |address, usage| {
            let call = call.clone();
            Box::pin(async move { allows(&call, address, usage).await })
        });
}

/// NET-02: what is asked about is each single use of each address.
async fn allows(call: &CallEgress, address: SocketAddr, usage: SocketAddrUse) -> bool {
    let (import, mut decision) = match usage {
        // Every connection starts with this: any local address, any port. Another one would be a choice, and a server's.
        SocketAddrUse::TcpBind | SocketAddrUse::UdpBind if address.ip().is_unspecified() && address.port() == 0 => {
            return true;
        }
        SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => (BIND, Err(Refusal::NotGranted)),
        SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => (LISTEN, Err(Refusal::NotGranted)),
        SocketAddrUse::TcpConnect => {
            (CONNECT_TCP, call.decide_socket(address, Protocol::Tcp).and_then(|()| call.count_request()))
        }
        SocketAddrUse::UdpSend => {
            (SEND_UDP, call.decide_socket(address, Protocol::Udp).and_then(|()| call.count_request()))
        }
        SocketAddrUse::UdpReceive => return call.decide_socket(address, Protocol::Udp).is_ok(),
    };
    let (scheme, kind) =
        if matches!(import, SEND_UDP) { ("udp", OutgoingKind::Udp) } else { ("tcp", OutgoingKind::Tcp) };
    if decision.is_ok() {
        decision = call.ask(Outgoing::plain(kind, address.ip().to_string(), address.port())).await;
    }
    call.note(import, &format!("{scheme}://{address}"), decision.as_ref().err());
    decision.is_ok()
}

/// Replaces the doors in a linker that has wasmtime's own.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    tcp_create_socket::add_to_linker::<State, Doors>(linker, doors)?;
    udp_create_socket::add_to_linker::<State, Doors>(linker, doors)?;
    ip_name_lookup::add_to_linker::<State, Doors>(linker, doors)?;
    meter::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Doors;

impl HasData for Doors {
    type Data<'a> = DoorsView<'a>;
}

struct DoorsView<'a> {
    egress: CallEgress,
    open: &'a mut OpenSockets,
    sockets: WasiSocketsCtxView<'a>,
}

impl DoorsView<'_> {
    /// A place for a socket that could be connected at all.
    fn place(&self, protocol: Protocol, import: &str) -> SocketResult<OwnedSemaphorePermit> {
        let refuse = |refusal: &Refusal, code: ErrorCode| {
            self.egress.note(import, "a socket", Some(refusal));
            code
        };
        if !self.egress.has_sockets(protocol) {
            return Err(refuse(&Refusal::NotGranted, ErrorCode::AccessDenied).into());
        }
        Ok(self.egress.connection().map_err(|full| refuse(&full, ErrorCode::NewSocketLimit))?)
    }

    fn table(&mut self) -> &mut ResourceTable {
        self.sockets.table
    }
}

fn doors(state: &mut State) -> DoorsView<'_> {
    let egress = state.egress().clone();
    let (sockets, open) = state.socket_parts();
    DoorsView { egress, open, sockets }
}

impl tcp_create_socket::Host for DoorsView<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let place = self.place(Protocol::Tcp, CREATE_TCP)?;
        let socket = tcp_create_socket::Host::create_tcp_socket(&mut self.sockets, family)?;
        self.open.admit(socket.rep(), place);
        Ok(socket)
    }
}

impl udp_create_socket::Host for DoorsView<'_> {
    async fn create_udp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        let place = self.place(Protocol::Udp, CREATE_UDP)?;
        let socket = udp_create_socket::Host::create_udp_socket(&mut self.sockets, family).await?;
        self.open.admit(socket.rep(), place);
        Ok(socket)
    }
}

impl network::Host for DoorsView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        network::Host::convert_error_code(&mut self.sockets, error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.sockets, error)
    }
}

impl network::HostNetwork for DoorsView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets, network)
    }
}

/// A lookup on its way, or what it found.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum Lookup {
    Found(vec::IntoIter<IpAddr>),
    Failed(ErrorCode),
    Waiting(AbortOnDropJoinHandle<Result<Vec<IpAddr>, ErrorCode>>),
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Self::Waiting(lookup) = self {
            *self = match Pin::new(lookup).await {
                Ok(found) => Self::Found(found.into_iter()),
                Err(code) => Self::Failed(code),
            };
        }
    }
}

impl ip_name_lookup::Host for DoorsView<'_> {
    fn resolve_addresses(&mut self, network: Resource<Network>, name: String) -> Result<Resource<Lookup>, SocketError> {
        let _ = self.table().get(&network)?;
        let egress = self.egress.clone();
        let lookup = wasmtime_wasi::runtime::spawn(async move {
            let found = egress.look_up(&name).await;
            let refused = match &found {
                Err(Unreachable::Refused(refusal)) => Some(refusal),
                _ => None,
            };
            egress.note(LOOK_UP, &name, refused);
            found.map_err(|error| code(&error))
        });
        Ok(self.table().push(Lookup::Waiting(lookup))?)
    }
}

fn code(error: &Unreachable) -> ErrorCode {
    match error {
        Unreachable::Refused(Refusal::Malformed(_)) => ErrorCode::InvalidArgument,
        Unreachable::Refused(_) => ErrorCode::AccessDenied,
        Unreachable::Resolve(ResolveError::NotFound) => ErrorCode::NameUnresolvable,
        Unreachable::Resolve(ResolveError::TimedOut) => ErrorCode::TemporaryResolverFailure,
        Unreachable::Resolve(ResolveError::Unavailable) => ErrorCode::PermanentResolverFailure,
    }
}

impl ip_name_lookup::HostResolveAddressStream for DoorsView<'_> {
    fn resolve_next_address(&mut self, lookup: Resource<Lookup>) -> Result<Option<IpAddress>, SocketError> {
        match self.table().get_mut(&lookup)? {
            Lookup::Found(found) => Ok(found.next().map(IpAddress::from)),
            Lookup::Failed(code) => Err((*code).into()),
            Lookup::Waiting(_) => Err(ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(&mut self, lookup: Resource<Lookup>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table(), lookup)
    }

    fn drop(&mut self, lookup: Resource<Lookup>) -> wasmtime::Result<()> {
        self.table().delete(lookup)?;
        Ok(())
    }
}
