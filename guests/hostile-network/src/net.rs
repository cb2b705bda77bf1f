//! WASI's sockets and name lookup, called directly.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/deps/io.wit", "../../wit/deps/clocks.wit", "../../wit/deps/sockets.wit"],
        inline: "
            package ringfence:hostile-net;
            world net {
                import wasi:sockets/instance-network@0.2.12;
                import wasi:sockets/ip-name-lookup@0.2.12;
                import wasi:sockets/tcp-create-socket@0.2.12;
                import wasi:sockets/udp-create-socket@0.2.12;
            }
        ",
        world: "ringfence:hostile-net/net",
        generate_all,
    });
}

use bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use bindings::wasi::sockets::instance_network::instance_network;
use bindings::wasi::sockets::ip_name_lookup::resolve_addresses;
use bindings::wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
pub use bindings::wasi::sockets::tcp::TcpSocket;
use bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;
use bindings::wasi::sockets::udp::{IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket};
use bindings::wasi::sockets::udp_create_socket::create_udp_socket;

/// What the host answered instead of doing it.
#[derive(Clone, Debug)]
pub struct Refusal(String);

/// The outcome of a call.
pub type Outcome<T> = Result<T, Refusal>;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self(code.name().to_owned())
    }
}

impl From<StreamError> for Refusal {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Closed => Self("closed".to_owned()),
            StreamError::LastOperationFailed(error) => Self(error.to_debug_string()),
        }
    }
}

/// A TCP connection. The streams go before the socket they belong to.
pub struct Connection {
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
}

impl Connection {
    /// Connects.
    pub fn open(to: SocketAddr) -> Outcome<Self> {
        let socket = create_tcp_socket(family(to))?;
        socket.start_connect(&instance_network(), wasi(to))?;
        let (input, output) = settled(|| socket.finish_connect(), || socket.subscribe().block())?;
        Ok(Self { input, output, _socket: socket })
    }

    /// Sends something and waits for something.
    pub fn exchange(&self, bytes: &[u8]) -> Outcome<Vec<u8>> {
        self.send(bytes)?;
        self.receive(4096)
    }

    /// Sends at most 4 KiB.
    pub fn send(&self, bytes: &[u8]) -> Outcome<()> {
        Ok(self.output.blocking_write_and_flush(bytes)?)
    }

    /// Waits for at most so many bytes.
    pub fn receive(&self, bytes_max: u64) -> Outcome<Vec<u8>> {
        Ok(self.input.blocking_read(bytes_max)?)
    }
}

/// A TCP socket that is not connected, of the kind that an address takes.
pub fn unconnected(to: SocketAddr) -> Outcome<TcpSocket> {
    Ok(create_tcp_socket(family(to))?)
}

/// Listens for TCP connections; answers with the socket that does.
pub fn listen(at: SocketAddr) -> Outcome<TcpSocket> {
    let socket = bind_tcp(at)?;
    socket.start_listen()?;
    settled(|| socket.finish_listen(), || socket.subscribe().block())?;
    Ok(socket)
}

/// Binds a TCP socket.
pub fn bind_tcp(at: SocketAddr) -> Outcome<TcpSocket> {
    let socket = create_tcp_socket(family(at))?;
    socket.start_bind(&instance_network(), wasi(at))?;
    settled(|| socket.finish_bind(), || socket.subscribe().block())?;
    Ok(socket)
}

/// Binds a TCP socket and connects it.
pub fn connect_from(at: SocketAddr, to: SocketAddr) -> Outcome<TcpSocket> {
    let socket = bind_tcp(at)?;
    socket.start_connect(&instance_network(), wasi(to))?;
    settled(|| socket.finish_connect(), || socket.subscribe().block())?;
    Ok(socket)
}

/// A UDP socket. The streams go before the socket they belong to.
pub struct Datagrams {
    input: IncomingDatagramStream,
    output: OutgoingDatagramStream,
    _socket: UdpSocket,
}

impl Datagrams {
    /// Makes a socket and perhaps connects it.
    pub fn open(from: SocketAddr, connected_to: Option<SocketAddr>) -> Outcome<Self> {
        let socket = bind_udp(from)?;
        let (input, output) = socket.stream(connected_to.map(wasi))?;
        Ok(Self { input, output, _socket: socket })
    }

    /// Makes a socket, connects it to one address and then to another.
    pub fn reconnect(from: SocketAddr, first: SocketAddr, then: SocketAddr) -> Outcome<Self> {
        let socket = bind_udp(from)?;
        // The streams of the first connection have to be gone before there can be a second.
        drop(socket.stream(Some(wasi(first)))?);
        let (input, output) = socket.stream(Some(wasi(then)))?;
        Ok(Self { input, output, _socket: socket })
    }

    /// Sends a datagram, to the address the socket is connected to or to another.
    pub fn send(&self, data: &[u8], to: Option<SocketAddr>) -> Outcome<()> {
        self.output.subscribe().block();
        self.output.check_send()?;
        let sent = self.output.send(&[OutgoingDatagram { data: data.to_vec(), remote_address: to.map(wasi) }])?;
        if sent == 1 { Ok(()) } else { Err(Refusal(format!("{sent} datagrams were sent"))) }
    }

    /// Waits for a datagram.
    pub fn receive(&self) -> Outcome<Vec<u8>> {
        self.input.subscribe().block();
        Ok(self.input.receive(1)?.into_iter().flat_map(|datagram| datagram.data).collect())
    }
}

/// Binds a UDP socket.
pub fn bind_udp(at: SocketAddr) -> Outcome<UdpSocket> {
    let socket = create_udp_socket(family(at))?;
    socket.start_bind(&instance_network(), wasi(at))?;
    settled(|| socket.finish_bind(), || socket.subscribe().block())?;
    Ok(socket)
}

/// Looks a name up and waits for all its addresses.
pub fn look_up(name: &str) -> Outcome<Vec<IpAddr>> {
    let stream = resolve_addresses(&instance_network(), name)?;
    let mut found = Vec::new();
    while let Some(address) = settled(|| stream.resolve_next_address(), || stream.subscribe().block())? {
        found.push(rust(address));
    }
    Ok(found)
}

/// Any address of the kind that another has, for sockets that only send.
pub fn any_like(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn settled<T>(finish: impl Fn() -> Result<T, ErrorCode>, block: impl Fn()) -> Result<T, ErrorCode> {
    loop {
        match finish() {
            Err(ErrorCode::WouldBlock) => block(),
            settled => return settled,
        }
    }
}

fn family(address: SocketAddr) -> IpAddressFamily {
    if address.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 }
}

fn wasi(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(address) => {
            let [a, b, c, d] = address.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: address.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: address.port(),
                flow_info: address.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: address.scope_id(),
            })
        }
    }
}

fn rust(address: IpAddress) -> IpAddr {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).into(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => Ipv6Addr::new(a, b, c, d, e, f, g, h).into(),
    }
}
