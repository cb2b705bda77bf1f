//! Web servers of the tests' own, on this machine: they keep what arrives byte for byte and answer as they are told,
//! which a real server would not.
//!
//! Written on bare sockets, so that what is asserted about the wire was not put in order by a library first.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::harness::tls::Identity;

/// What a honeypot answers to whoever gets through.
pub const CANARY: &str = "canary-b27c61d0-of-another-server";

/// The most bytes of one request that are kept.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes that one end of a request is recognised by.
const TAIL_BYTES: usize = 8;
/// How long a server waits for what nobody announced.
const SURPLUS_WAIT: Duration = Duration::from_millis(10);
/// How long a server waits for more of a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// One piece of what a server does once it has a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Ends the connection at once, without saying so.
    Reset,
    /// Sends these bytes so many times.
    Send(Vec<u8>, u64),
    /// Does nothing for a while.
    Wait(Duration),
}

/// What a server does once it has a request.
pub type Answer = Vec<Step>;

/// An answer in one piece.
pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
    vec![Step::Send(bytes.into(), 1)]
}

/// An answer with a status line, more headers and a body.
pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    raw([head.as_bytes(), body].concat())
}

/// What most requests are to get.
pub fn ok(body: impl AsRef<[u8]>) -> Answer {
    answer("200 OK", "content-type: text/plain\r\n", body)
}

/// An answer that sends its reader elsewhere.
pub fn redirect(status: u16, location: &str) -> Answer {
    answer(&format!("{status} Elsewhere"), &format!("location: {location}\r\n"), "")
}

/// An answer that begins like any other and goes on in this way.
pub fn ok_then(headers: &str, steps: impl IntoIterator<Item = Step>) -> Answer {
    let mut answer = raw(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{headers}\r\n"));
    answer.extend(steps);
    answer
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Head and body, or as much of them as is kept.
    pub bytes: Vec<u8>,
    /// The name that was asked for when the connection was encrypted.
    pub server_name: Option<String>,
}

impl Seen {
    /// All of it as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Its first line.
    pub fn first_line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// What it asks for.
    pub fn path(&self) -> String {
        self.first_line().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
    }
}

type Script = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// A server that runs until it is dropped.
pub struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    requests: Mutex<Vec<Seen>>,
    is_over: AtomicBool,
}

impl Web {
    /// A server on this machine, at a port of its own.
    pub fn new(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), None, Arc::new(script)).expect("a port")
    }

    /// The same, encrypted.
    pub fn encrypted(identity: &Identity, script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), Some(identity.clone()), Arc::new(script)).expect("a port")
    }

    fn at(address: SocketAddr, identity: Option<Identity>, script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let of_listener = Arc::clone(&shared);
        std::thread::spawn(move || listen(&listener, identity.as_ref(), &script, &of_listener));
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How often somebody connected.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// The requests that arrived whole, oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.requests.lock().expect("the requests").clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
        // The listener waits for a connection; where it can't be had, there is no listener.
        let _ = TcpStream::connect(self.address);
    }
}

fn listen(listener: &TcpListener, identity: Option<&Identity>, script: &Script, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.is_over.load(SeqCst) {
            return;
        }
        shared.connections.fetch_add(1, SeqCst);
        let Ok(connection) = connection else { continue };
        let (identity, script, shared) = (identity.cloned(), Arc::clone(script), Arc::clone(shared));
        // Whoever goes away in the middle is no concern of the server's.
        std::thread::spawn(move || drop(serve(connection, identity.as_ref(), &script, &shared)));
    }
}

fn serve(connection: TcpStream, identity: Option<&Identity>, script: &Script, shared: &Shared) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let socket = connection.try_clone()?;
    let Some(identity) = identity else { return exchange(connection, &socket, None, script, shared) };
    let mut stream = identity.accept(connection)?;
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let name = stream.conn.server_name().map(str::to_owned);
    exchange(&mut stream, &socket, name, script, shared)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// One request and its answer. The socket is the one below the stream.
fn exchange(
    mut stream: impl Read + Write,
    socket: &TcpStream,
    server_name: Option<String>,
    script: &Script,
    shared: &Shared,
) -> io::Result<()> {
    let mut request = Request::default();
    request.read_announced(&mut stream)?;
    socket.set_read_timeout(Some(SURPLUS_WAIT))?;
    request.read_surplus(&mut stream);
    let seen = Seen { bytes: request.kept, server_name };
    shared.requests.lock().expect("the requests").push(seen.clone());
    for step in script(&seen) {
        match step {
            Step::Reset => return reset(socket),
            Step::Send(bytes, times) => (0..times).try_for_each(|_| stream.write_all(&bytes))?,
            Step::Wait(time) => std::thread::sleep(time),
        }
        stream.flush()?;
    }
    Ok(())
}

/// A socket that is closed without any time to linger is reset.
fn reset(socket: &TcpStream) -> io::Result<()> {
    TcpSocket::from_std_stream(socket.try_clone()?).set_zero_linger()
}

/// A request as it is read: head, body, and what comes behind them though nobody announced it.
#[derive(Default)]
struct Request {
    kept: Vec<u8>,
    /// The last bytes, kept or not.
    tail: Vec<u8>,
}

impl Request {
    fn read_announced(&mut self, stream: &mut impl Read) -> io::Result<()> {
        self.read_until(stream, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.kept).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        if head.contains("transfer-encoding: chunked") {
            // The last chunk, and after it trailers and an empty line; a body with these bytes in it ends early here.
            self.read_until(stream, b"\r\n0\r\n")?;
            return self.read_until(stream, b"\r\n\r\n");
        }
        self.read_exactly(stream, length.unwrap_or(0))
    }

    /// Whatever comes soon.
    fn read_surplus(&mut self, stream: &mut impl Read) {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut bytes) {
            self.keep(&bytes[..length]);
        }
    }

    fn read_until(&mut self, stream: &mut impl Read, end: &[u8]) -> io::Result<()> {
        let mut byte = [0];
        while !self.tail.ends_with(end) {
            stream.read_exact(&mut byte)?;
            self.keep(&byte);
        }
        Ok(())
    }

    fn read_exactly(&mut self, stream: &mut impl Read, mut length: usize) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while length > 0 {
            let read = stream.read(&mut bytes[..length.min(4096)])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.keep(&bytes[..read]);
            length -= read;
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES_MAX - self.kept.len();
        self.kept.extend(&bytes[..bytes.len().min(room)]);
        self.tail.extend(bytes);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
    }
}

/// A place nobody may reach: it listens at one port on several addresses of this machine, over TCP and UDP, counts who
/// comes and tells them so.
pub struct Honeypot {
    servers: Vec<Web>,
    datagrams: Arc<AtomicUsize>,
    port: u16,
}

impl Honeypot {
    /// At a port of its own, on both of this machine's own addresses.
    pub fn new() -> Self {
        Self::at(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], 0)
    }

    /// At these addresses, and at a port that somebody else may have at others. A machine that does not have an address
    /// can't be reached there, either.
    pub fn at(addresses: &[IpAddr], port: u16) -> Self {
        let mut honeypot = Self { servers: Vec::new(), datagrams: Arc::default(), port };
        for address in addresses {
            honeypot.servers.extend(Web::at((*address, honeypot.port).into(), None, Arc::new(|_| ok(CANARY))).ok());
            honeypot.port = honeypot.servers.first().expect("the first address").port();
            honeypot.count_datagrams((*address, honeypot.port).into());
        }
        honeypot
    }

    fn count_datagrams(&self, address: SocketAddr) {
        let Ok(socket) = UdpSocket::bind(address) else { return };
        let count = Arc::clone(&self.datagrams);
        std::thread::spawn(move || {
            while let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                count.fetch_add(1, SeqCst);
                // Whoever asked may be gone.
                let _ = socket.send_to(CANARY.as_bytes(), from);
            }
        });
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How often somebody came.
    pub fn visits(&self) -> usize {
        self.servers.iter().map(Web::connections).sum::<usize>() + self.datagrams.load(SeqCst)
    }
}

/// Sends bytes to a server and reads what it answers to their end.
#[cfg(test)]
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    // A server that resets has said what it wanted to say.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn server_keeps_requests_as_sent() {
    let web = Web::new(|seen| ok(&seen.bytes));
    for request in [
        "GET  odd HTTP/9\r\nHOST:x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
        "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody that goes on",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx: 1\r\n\r\n",
    ] {
        assert!(ask(web.address(), request).ends_with(request), "{request}");
        let seen = web.requests();
        assert_eq!(seen.last().expect("a request").text(), request);
    }
    assert_eq!(web.requests()[0].path(), "");
    assert_eq!(web.requests()[0].header("host"), ["x"]);
    assert_eq!(web.connections(), 4);
}

#[test]
fn server_answers_as_told() {
    let steps = [Step::Send(b"ab".to_vec(), 3), Step::Wait(Duration::from_millis(1))];
    let web = Web::new(move |seen| match seen.path().as_str() {
        "/steps" => ok_then("x: y\r\n", steps.clone()),
        "/reset" => vec![Step::Reset],
        path => redirect(302, path),
    });
    assert_eq!(
        ask(web.address(), "GET /steps HTTP/1.1\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nconnection: close\r\nx: y\r\n\r\nababab"
    );
    assert_eq!(ask(web.address(), "GET /reset HTTP/1.1\r\n\r\n"), "");
    assert!(ask(web.address(), "GET /x HTTP/1.1\r\n\r\n").contains("\r\nlocation: /x\r\n"));
}

#[test]
fn honeypot_counts_every_visit() {
    let honeypot = Honeypot::new();
    assert_eq!(honeypot.visits(), 0);
    for (index, server) in honeypot.servers.iter().enumerate() {
        assert!(ask(server.address(), "GET / HTTP/1.1\r\n\r\n").ends_with(CANARY));
        assert_eq!(honeypot.visits(), index + 1);
    }
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.send_to(b"x", (Ipv4Addr::LOCALHOST, honeypot.port())).expect("sent");
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer).expect("an answer");
    assert_eq!(&answer[..length], CANARY.as_bytes());
    assert_eq!(honeypot.visits(), honeypot.servers.len() + 1);
}
