//! Servers that take whatever comes, and one that sends for ever: they count, and know no protocol.

use std::io::Read as _;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Bytes of one datagram of a flood.
const DATAGRAM_BYTES: usize = 4096;
/// How long a server waits for something to do before it looks whether it is over.
const PATIENCE: Duration = Duration::from_millis(20);

/// A place, over TCP and UDP at one port, that swallows everything.
pub struct Drain {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    bytes: AtomicUsize,
    /// Connections that there ever were.
    connections: AtomicUsize,
    is_over: AtomicBool,
    open: AtomicUsize,
}

impl Drain {
    /// On this machine, at a port of its own.
    pub fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let socket = UdpSocket::bind(address).expect("the same port");
        let shared = Arc::new(Shared::default());
        let (of_listener, of_socket) = (Arc::clone(&shared), Arc::clone(&shared));
        std::thread::spawn(move || listen(&listener, &of_listener));
        std::thread::spawn(move || swallow_datagrams(&socket, &of_socket));
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that came since the last time somebody asked, once no more of them come.
    pub fn take_bytes(&self) -> usize {
        self.settle();
        self.shared.bytes.swap(0, SeqCst)
    }

    /// How often somebody connected, once nobody is connected any more.
    pub fn connections(&self) -> usize {
        self.settle();
        self.shared.connections.load(SeqCst)
    }

    fn settle(&self) {
        let seen = || (self.shared.bytes.load(SeqCst), self.shared.connections.load(SeqCst));
        let mut before = None;
        while before != Some(seen()) || self.shared.open.load(SeqCst) > 0 {
            before = Some(seen());
            std::thread::sleep(5 * PATIENCE);
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
        // The listener waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.is_over.load(SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        shared.open.fetch_add(1, SeqCst);
        shared.connections.fetch_add(1, SeqCst);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            swallow(connection, &shared);
            shared.open.fetch_sub(1, SeqCst);
        });
    }
}

fn swallow(mut connection: TcpStream, shared: &Shared) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = connection.read(&mut bytes) {
        shared.bytes.fetch_add(length, SeqCst);
    }
}

fn swallow_datagrams(socket: &UdpSocket, shared: &Shared) {
    socket.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut bytes = vec![0; 64 * 1024];
    while !shared.is_over.load(SeqCst) {
        // Whoever sent something may be gone, which is told to whoever listens next.
        let length = socket.recv(&mut bytes).unwrap_or(0);
        shared.bytes.fetch_add(length, SeqCst);
    }
}

/// A place that answers the first datagram with more of them, until it is dropped.
pub struct Fountain {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
}

impl Fountain {
    /// On this machine, at a port of its own.
    pub fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = socket.local_addr().expect("an address");
        let is_over = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&is_over);
        std::thread::spawn(move || flow(&socket, &of_thread));
        Self { address, is_over }
    }

    /// Where it waits.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Fountain {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
    }
}

/// To whoever came last, in bursts that a reader can keep up with.
fn flow(socket: &UdpSocket, is_over: &AtomicBool) {
    socket.set_read_timeout(Some(PATIENCE / 10)).expect("a time");
    let mut reader = None;
    while !is_over.load(SeqCst) {
        reader = socket.recv_from(&mut [0; 64]).ok().map(|(_, from)| from).or(reader);
        let Some(reader) = reader else { continue };
        for _ in 0..16 {
            let _ = socket.send_to(&[b'x'; DATAGRAM_BYTES], reader);
        }
    }
}
