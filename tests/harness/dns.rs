//! A name server of the tests' own: it answers each query for a name as it is told, lies where it is told to, and
//! counts.
//!
//! The few bytes of the protocol that it needs are written out here (RFC 1035, 4.1): what the host reads with a library
//! is not made by the same library.

use std::collections::HashMap;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

/// Types of records.
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
/// The class of all of them: the Internet.
const IN: u16 = 1;
/// How long an answer may be kept, in seconds: not at all.
const TTL: u32 = 0;
/// Flags of an answer: it is one, recursion was available.
const ANSWER: u16 = 0x8080;
const TRUNCATED: u16 = 0x0200;
const PATIENCE: Duration = Duration::from_secs(5);

/// What to say about a name.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It has these addresses.
    Addresses(Vec<IpAddr>),
    /// It is another name, which the same answer says more about.
    Alias(&'static str),
    /// Nobody knows.
    Broken,
    /// There is no such name.
    Missing,
    /// Nothing at all.
    Silence,
}

impl Reply {
    /// It has these addresses.
    pub fn at(addresses: &[&str]) -> Self {
        Self::Addresses(addresses.iter().map(|address| address.parse().expect("an address")).collect())
    }
}

/// A server that runs until the process ends.
pub struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    replies: HashMap<String, Vec<Reply>>,
    /// Names and types that were asked for, oldest first.
    queries: Vec<(String, u16)>,
    /// Whether datagrams are too small for what it has to say.
    is_wordy: bool,
}

impl Dns {
    /// One that knows nothing yet, over UDP and TCP.
    pub fn new() -> Self {
        let (udp, tcp) = sockets();
        let address = udp.local_addr().expect("an address");
        let zone = Arc::new(Mutex::new(Zone::default()));
        let (of_udp, of_tcp) = (Arc::clone(&zone), Arc::clone(&zone));
        std::thread::spawn(move || serve_udp(&udp, &of_udp));
        std::thread::spawn(move || serve_tcp(&tcp, &of_tcp));
        Self { address, zone }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says what the first, the second and further queries for a name's addresses get, for each kind of address; the
    /// last one stays.
    pub fn set(&self, name: &str, replies: impl IntoIterator<Item = Reply>) {
        self.zone.lock().expect("the zone").replies.insert(name.to_owned(), replies.into_iter().collect());
    }

    /// From here on, answers over UDP are cut off.
    pub fn be_wordy(&self) {
        self.zone.lock().expect("the zone").is_wordy = true;
    }

    /// Every name that somebody asked for, oldest first.
    pub fn names(&self) -> Vec<String> {
        self.zone.lock().expect("the zone").queries.iter().map(|(name, _)| name.clone()).collect()
    }

    /// How often somebody asked for a name's addresses of one kind, whichever was asked for more often.
    pub fn look_ups(&self, name: &str) -> usize {
        let zone = self.zone.lock().expect("the zone");
        [A, AAAA].map(|ty| zone.count(name, ty)).into_iter().max().unwrap_or_default()
    }
}

/// UDP and TCP at the same port.
fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut query = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut query) {
        if let Some(answer) = zone.lock().expect("the zone").answer(&query[..length], true) {
            // Whoever asked may be gone.
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Mutex<Zone>) {
    for connection in listener.incoming().flatten() {
        // The same.
        let _ = connection.set_read_timeout(Some(PATIENCE)).and_then(|()| answer_tcp(connection, zone));
    }
}

fn answer_tcp(mut connection: TcpStream, zone: &Mutex<Zone>) -> std::io::Result<()> {
    let mut length = [0; 2];
    connection.read_exact(&mut length)?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    connection.read_exact(&mut query)?;
    let Some(answer) = zone.lock().expect("the zone").answer(&query, false) else { return Ok(()) };
    let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
    connection.write_all(&[&length.to_be_bytes(), &answer[..]].concat())
}

impl Zone {
    fn count(&self, name: &str, ty: u16) -> usize {
        self.queries.iter().filter(|(asked, of)| asked == name && *of == ty).count()
    }

    /// The answer to a query, if there is to be one.
    fn answer(&mut self, query: &[u8], is_udp: bool) -> Option<Vec<u8>> {
        let (name, ty, question) = question(query)?;
        let is_cut = is_udp && self.is_wordy;
        if !is_cut {
            self.queries.push((name.clone(), ty));
        }
        let (code, records) = if is_cut { (0, Vec::new()) } else { self.records(&name, ty)? };
        let recursion_desired = u16::from_be_bytes([query[2], query[3]]) & 0x0100;
        let flags = ANSWER | recursion_desired | code | if is_cut { TRUNCATED } else { 0 };
        let counts = [1, u16::try_from(records.len()).ok()?, 0, 0];
        let mut answer = query[..2].to_vec();
        answer.extend(flags.to_be_bytes());
        answer.extend(counts.iter().flat_map(|count: &u16| count.to_be_bytes()));
        answer.extend(question);
        answer.extend(records.concat());
        Some(answer)
    }

    /// The answer's code and records.
    fn records(&self, name: &str, ty: u16) -> Option<(u16, Vec<Vec<u8>>)> {
        const BROKEN: u16 = 2;
        const MISSING: u16 = 3;
        let mut records = Vec::new();
        let mut name = name.to_owned();
        loop {
            let replies = self.replies.get(&name).filter(|replies| !replies.is_empty());
            let Some(replies) = replies else { return Some((MISSING, records)) };
            // The query itself has been counted; names that another leads to are at their first reply.
            let turn = self.count(&name, ty).saturating_sub(1).min(replies.len() - 1);
            match &replies[turn] {
                Reply::Silence => return None,
                Reply::Broken => return Some((BROKEN, records)),
                Reply::Missing => return Some((MISSING, records)),
                Reply::Addresses(addresses) => {
                    records.extend(addresses.iter().filter_map(|address| of_address(&name, *address, ty)));
                    return Some((0, records));
                }
                Reply::Alias(target) => {
                    records.push(record(&name, CNAME, &labels(target)));
                    name = (*target).to_owned();
                }
            }
            if records.len() > 64 {
                return Some((0, records));
            }
        }
    }
}

/// The name in lower case, the type, and the question's bytes as they came.
fn question(query: &[u8]) -> Option<(String, u16, &[u8])> {
    let mut name = Vec::new();
    let mut at = 12;
    while let Some(length) = query.get(at).copied().filter(|length| *length > 0) {
        name.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + usize::from(length))?).to_ascii_lowercase());
        at += 1 + usize::from(length);
    }
    let ty = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    Some((name.join("."), ty, query.get(12..at + 5)?))
}

fn of_address(name: &str, address: IpAddr, ty: u16) -> Option<Vec<u8>> {
    match (address, ty) {
        (IpAddr::V4(address), A) => Some(record(name, A, &address.octets())),
        (IpAddr::V6(address), AAAA) => Some(record(name, AAAA, &address.octets())),
        _ => None,
    }
}

fn record(name: &str, ty: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let mut record = labels(name);
    record.extend([ty.to_be_bytes(), IN.to_be_bytes()].concat());
    record.extend(TTL.to_be_bytes());
    record.extend(length.to_be_bytes());
    record.extend(data);
    record
}

fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap_or(63));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

#[test]
fn name_server_answers_in_turn() {
    let dns = Dns::new();
    dns.set("a.test", [Reply::at(&["192.0.2.1"]), Reply::at(&["192.0.2.2", "::1"])]);
    dns.set("b.test", [Reply::Alias("a.test")]);
    dns.set("broken.test", [Reply::Broken]);
    dns.set("silent.test", [Reply::Silence]);
    let ask = |name: &str, ty: u16| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a time");
        let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(labels(name));
        query.extend([ty.to_be_bytes(), IN.to_be_bytes()].concat());
        socket.send_to(&query, dns.address()).expect("sent");
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).ok()?;
        let question = query.len();
        assert_eq!(&answer[12..question], &query[12..]);
        Some((answer[3] & 15, answer[7], answer[question..length].to_vec()))
    };
    let (code, count, records) = ask("A.Test", A).expect("an answer");
    assert_eq!((code, count), (0, 1));
    assert!(records.ends_with(&[0, 0, 0, 0, 0, 4, 192, 0, 2, 1]), "{records:?}");
    assert!(ask("a.test", A).expect("an answer").2.ends_with(&[0, 4, 192, 0, 2, 2]));
    assert_eq!(ask("a.test", AAAA).expect("an answer").1, 0);
    assert_eq!(ask("a.test", AAAA).expect("an answer").1, 1);
    let (_, count, records) = ask("b.test", A).expect("an answer");
    assert_eq!(count, 2, "the alias and the address: {records:?}");
    assert_eq!(ask("broken.test", A).expect("an answer").0, 2);
    assert_eq!(ask("nobody.test", A).expect("an answer").0, 3);
    assert!(ask("silent.test", A).is_none());
    assert_eq!((dns.look_ups("a.test"), dns.look_ups("c.test")), (2, 0));
    assert_eq!(dns.names().first().map(String::as_str), Some("a.test"));
}

#[test]
fn name_server_answers_over_tcp() {
    let dns = Dns::new();
    dns.be_wordy();
    dns.set("a.test", [Reply::at(&["192.0.2.1"])]);
    let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(labels("a.test"));
    query.extend([A.to_be_bytes(), IN.to_be_bytes()].concat());
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    udp.send_to(&query, dns.address()).expect("sent");
    let mut answer = [0; 512];
    udp.recv(&mut answer).expect("an answer");
    assert_eq!((answer[2] & 2, answer[7]), (2, 0), "cut off");
    let mut tcp = TcpStream::connect(dns.address()).expect("a connection");
    let length = u16::try_from(query.len()).expect("a short query");
    tcp.write_all(&[&length.to_be_bytes(), &query[..]].concat()).expect("sent");
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("an answer");
    assert!(answer.ends_with(&[192, 0, 2, 1]), "{answer:?}");
}
