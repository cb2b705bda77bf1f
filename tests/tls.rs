//! `ringfence serve` over TLS, with clients that show certificates: the right ones, and every other.

use std::fs;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::StreamOwned;
use serde_json::json;

use crate::harness::Home;
use crate::harness::server::Answer;
use crate::harness::server::PATIENCE;
use crate::harness::server::Server;
use crate::harness::server::extend;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::token;
use crate::harness::tls::Authority;
use crate::harness::tls::Shown;
use crate::harness::tls::call;

pub const AGENT: &str = "uri:spiffe://example.org/agent";

/// A home whose server shows a certificate of one authority's, and believes clients of another's.
pub struct Place {
    pub home: Home,
    servers: Authority,
    pub clients: Authority,
}

impl Place {
    fn new(more: &str) -> Self {
        Self::of(Authority::new(), more)
    }

    /// One that believes clients of this authority's.
    pub fn of(clients: Authority, more: &str) -> Self {
        let place = Self { home: reading(), servers: Authority::new(), clients };
        place.show(&place.servers);
        put(&place.home, "clients.pem", &place.clients.pem(), 0o644);
        extend(
            &place.home,
            &format!(
                "[server.tls]\ncertificate = 'server.pem'\nkey = 'server.key'\nclient-roots = 'clients.pem'\n{more}"
            ),
        );
        place
    }

    /// The same, with somebody who is known by a certificate, which they show, and its server.
    fn served(more: &str) -> (Self, Server, Shown) {
        let place = Self::new(more);
        place.know("agent", AGENT, "agent:a", "call");
        let (server, agent) = (Server::new(&place.home), place.clients.client(&[AGENT]));
        (place, server, agent)
    }

    /// Has the server show a certificate of this authority's from now on.
    fn show(&self, authority: &Authority) {
        let (certificate, key) = authority.pem_of("localhost");
        put(&self.home, "server.pem", &certificate, 0o644);
        put(&self.home, "server.key", &key, 0o600);
    }

    /// Says whom a name in a certificate stands for.
    pub fn know(&self, name: &str, certificate: &str, principal: &str, scopes: &str) {
        let args = ["token", "new", name, "--as", principal, "--scope", scopes, "--certificate", certificate];
        assert!(self.home.run(args).code(0).text().contains(certificate));
    }

    pub fn visitor(&self, shown: Option<&Shown>) -> ClientConfig {
        self.servers.visitor(shown)
    }

    /// What a client is answered that shows something for itself; nothing, if it is not spoken to.
    pub fn get(&self, server: &Server, shown: Option<&Shown>, token: Option<&str>) -> Option<u16> {
        ask(server, self.visitor(shown), "GET", &authorization(token), "").ok().map(|answer| answer.status)
    }
}

/// Puts a file into a home.
pub fn put(home: &Home, name: &str, content: &str, mode: u32) {
    let path = home.path().join(name);
    drop(fs::remove_file(&path));
    fs::write(&path, content).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

fn authorization(token: Option<&str>) -> String {
    token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default()
}

/// One request over a connection of its own: for the tools, or a call if there is a body.
fn ask(server: &Server, config: ClientConfig, method: &str, headers: &str, body: &str) -> io::Result<Answer> {
    let path = if body.is_empty() { "/v1/tools" } else { "/v1/calls" };
    let (host, length) = (&server.address, body.len());
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    let mut stream = call(&server.address, config);
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}{kind}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    if said.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Answer::of(&said)) }
}

/// Asks for the tools over a connection that stays.
pub fn again(stream: &mut StreamOwned<ClientConnection, TcpStream>, server: &Server) -> u16 {
    let request = format!("GET /v1/tools HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).expect("written");
    let (mut said, mut part) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let length = stream.read(&mut part).expect("an answer");
        assert!(length > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&part[..length]);
        let answer = Answer::of(&said);
        let announced = answer.header("content-length").and_then(|length| length.parse().ok());
        if announced == Some(answer.body.len()) {
            return answer.status;
        }
    }
}

#[test]
fn certificate_says_who_calls() {
    let place = Place::new("");
    place.know("agent", AGENT, "agent:a", "call");
    place.know("host", "dns:b.example.org", "agent:b", "audit");
    let server = Server::new(&place.home);
    let agent = place.clients.client(&[AGENT]);
    let called = ask(&server, place.visitor(Some(&agent)), "POST", "", &read()).expect("an answer");
    assert_eq!(called.is(200)["outcome"]["value"], "hello");
    // API-05: its own origin is that of TLS, and of no page that came without.
    for (scheme, status) in [("https", 200), ("http", 403)] {
        let origin = format!("origin: {scheme}://{}\r\n", server.address);
        let answer = ask(&server, place.visitor(Some(&agent)), "GET", &origin, "").expect("an answer");
        assert_eq!(answer.status, status, "{origin}");
    }
    for (names, status) in [
        (&[AGENT][..], 200),
        (&[AGENT, "dns:elsewhere.example.org"], 200),
        // A certificate has the scopes that its name was given.
        (&["dns:b.example.org"], 403),
        (&["dns:B.Example.org"], 403),
        // API-14: who is two is nobody.
        (&[AGENT, "dns:b.example.org"], 401),
        (&["uri:spiffe://example.org/Agent"], 401),
        (&["uri:spiffe://example.org/agent/"], 401),
        (&["dns:*.example.org"], 401),
        (&[], 401),
    ] {
        let shown = place.clients.client(names);
        assert_eq!(place.get(&server, Some(&shown), None), Some(status), "{names:?}");
    }
    assert_eq!(server.stop(), 0);
    let begun = place.home.entries().into_iter().find(|entry| entry["body"]["call"] == called.json()["call"]);
    assert_eq!(begun.expect("an entry")["body"]["principal"], "agent:a");
    let listed = place.home.run(["token", "list", "--format", "json"]).code(0).json();
    assert_eq!((&listed[0]["certificate"], &listed[0]["digest"]), (&json!(AGENT), &json!(null)));
    place.home.is_well();
}

#[test]
fn connection_takes_certificate_that_is_believed() {
    // API-14, API-01: nobody without one, where it is required; where it is not, nobody with a bad one.
    for (more, bare) in [("", None), ("clients = 'required'\n", None), ("clients = 'optional'\n", Some(401))] {
        let place = Place::new(more);
        place.know("agent", AGENT, "agent:a", "call");
        let mine = token(&place.home, "mine", "agent:a", "call");
        let server = Server::new(&place.home);
        assert_eq!(place.get(&server, Some(&place.clients.client(&[AGENT])), None), Some(200), "{more}");
        assert_eq!(place.get(&server, None, None), bare, "{more}");
        assert_eq!(place.get(&server, None, Some(&mine)), bare.map(|_| 200), "{more}");
        for (why, shown) in [
            ("expired", place.clients.expired_client(&[AGENT])),
            ("of another authority", Authority::new().client(&[AGENT])),
            ("of the server's own authority", place.servers.client(&[AGENT])),
        ] {
            for token in [None, Some(mine.as_str())] {
                assert_eq!(place.get(&server, Some(&shown), token), None, "{more}: {why}");
            }
        }
        // Who is not spoken to has not been heard.
        assert_eq!(place.get(&server, Some(&place.clients.client(&[AGENT])), None), Some(200), "{more}");
        assert_eq!(server.stop(), 0);
    }
}

#[test]
fn token_and_certificate_are_of_one() {
    // API-14
    let place = Place::new("clients = 'optional'\n");
    place.know("agent", AGENT, "agent:a", "audit");
    place.know("host", "dns:b.example.org", "agent:b", "audit");
    let (same, other) = (token(&place.home, "same", "agent:a", "call"), token(&place.home, "other", "agent:b", "call"));
    let server = Server::new(&place.home);
    let (agent, stranger) = (place.clients.client(&[AGENT]), place.clients.client(&["dns:c.example.org"]));
    let both = place.clients.client(&[AGENT, "dns:b.example.org"]);
    let wrong = same.replace(|c: char| c.is_ascii_digit(), "0");
    for (shown, token, status) in [
        // The token says what may be done.
        (Some(&agent), Some(&same), 200),
        (Some(&agent), None, 403),
        (Some(&agent), Some(&other), 401),
        (Some(&agent), Some(&wrong), 401),
        // Who is two is neither of them, nor anybody else.
        (Some(&both), Some(&same), 401),
        (Some(&both), Some(&other), 401),
        (Some(&both), None, 401),
        // Somebody who is nobody by their certificate is who their token says.
        (Some(&stranger), Some(&other), 200),
        (Some(&stranger), None, 401),
        (None, Some(&other), 200),
        (None, None, 401),
    ] {
        assert_eq!(place.get(&server, shown, token.map(String::as_str)), Some(status), "{token:?}");
    }
    for header in ["x-forwarded-client-cert: URI=spiffe://example.org/agent\r\n", "x-ssl-client-verify: SUCCESS\r\n"] {
        // API-09
        let answer = ask(&server, place.visitor(None), "GET", header, "").expect("an answer");
        answer.is(401);
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn certificates_are_read_anew() {
    let (place, server, agent) = Place::served("");
    let mut kept = call(&server.address, place.visitor(Some(&agent)));
    assert_eq!(again(&mut kept, &server), 200);
    // What is broken leaves what was in force, and says so.
    let (certificate, key) = place.servers.pem_of("localhost");
    for (name, content, mode, why) in [
        ("server.pem", "nonsense".to_owned(), 0o644, "it holds no certificate"),
        ("server.pem", certificate, 0o644, "the key is not that of the certificate"),
        ("server.key", key, 0o644, "others than its owner"),
        ("clients.pem", "-----BEGIN CERTIFICATE-----\n".to_owned(), 0o644, "clients.pem"),
    ] {
        let before = fs::read_to_string(place.home.path().join(name)).expect("a file");
        put(&place.home, name, &content, mode);
        let told = server.hang_up();
        let what = if name == "clients.pem" { "client authorities" } else { "certificates" };
        let stays = format!("{what} were not read anew, and stay");
        let is_told = |note: &String| note.contains(&stays) && note.contains(why);
        assert!(told.iter().any(is_told), "{name}: {told:?}");
        assert_eq!(place.get(&server, Some(&agent), None), Some(200), "{name}");
        assert_eq!(again(&mut kept, &server), 200, "{name}");
        put(&place.home, name, &before, if name.ends_with("key") { 0o600 } else { 0o644 });
    }
    // Another certificate of the server's, whatever else is wrong: who has one of the old connections keeps it.
    let others = Authority::new();
    place.show(&others);
    let before = fs::read_to_string(place.home.path().join("ringfence.toml")).expect("a configuration");
    place.home.configure("[[[");
    assert!(server.hang_up().iter().any(|note| note.contains("certificates were read anew")));
    place.home.configure(&before);
    assert_eq!(place.get(&server, Some(&agent), None), None);
    let answer = ask(&server, others.visitor(Some(&agent)), "GET", "", "").expect("an answer");
    assert_eq!((answer.status, again(&mut kept, &server)), (200, 200));
    // AGT-11: a name that is taken back is nobody's, over a connection that was there before as well.
    place.home.run(["token", "revoke", "agent"]).code(0);
    server.hang_up();
    assert_eq!(again(&mut kept, &server), 401);
    place.know("agent", AGENT, "agent:a", "call");
    server.hang_up();
    assert_eq!(again(&mut kept, &server), 200);
    // So is one by an authority that is not believed any more.
    put(&place.home, "clients.pem", &others.pem(), 0o644);
    server.hang_up();
    assert_eq!(again(&mut kept, &server), 401);
    assert!(ask(&server, others.visitor(Some(&agent)), "GET", "", "").is_err());
    let newer = others.client(&[AGENT]);
    assert_eq!(ask(&server, others.visitor(Some(&newer)), "GET", "", "").expect("an answer").status, 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn authority_taken_out_is_out_whatever_else_is_wrong() {
    // API-14: the server's own key, replaced in the same step, can't be used, and then the configuration can't be either.
    let (place, server, agent) = Place::served("");
    let mut kept = call(&server.address, place.visitor(Some(&agent)));
    assert_eq!(again(&mut kept, &server), 200);
    let others = Authority::new();
    let newer = others.client(&[AGENT]);
    put(&place.home, "clients.pem", &others.pem(), 0o644);
    put(&place.home, "server.key", &place.servers.pem_of("localhost").1, 0o600);
    let told = server.hang_up();
    assert!(told.iter().any(|note| note.contains("client authorities were read anew")), "{told:?}");
    assert!(told.iter().any(|note| note.contains("certificates were not read anew, and stay")), "{told:?}");
    assert_eq!(again(&mut kept, &server), 401);
    assert_eq!(place.get(&server, Some(&agent), None), None);
    // Under the certificate that was there before.
    assert_eq!(place.get(&server, Some(&newer), None), Some(200));
    let configuration = fs::read_to_string(place.home.path().join("ringfence.toml")).expect("a configuration");
    place.home.configure("[[[");
    put(&place.home, "clients.pem", &place.clients.pem(), 0o644);
    server.hang_up();
    assert_eq!(place.get(&server, Some(&newer), None), None);
    assert_eq!(place.get(&server, Some(&agent), None), Some(200));
    place.home.configure(&configuration);
    assert_eq!(server.stop(), 0);
}

#[test]
fn settings_of_tls_are_read_anew() {
    let (place, server, agent) = Place::served("");
    assert_eq!(place.get(&server, Some(&agent), None), Some(200));
    let (servers, clients) = (Authority::new(), Authority::new());
    let (certificate, key) = servers.pem_of("localhost");
    put(&place.home, "server-2.pem", &certificate, 0o644);
    put(&place.home, "server-2.key", &key, 0o600);
    put(&place.home, "clients-2.pem", &clients.pem(), 0o644);
    let before = fs::read_to_string(place.home.path().join("ringfence.toml")).expect("a configuration");
    let after =
        before.replace("server.", "server-2.").replace("[server-2.", "[server.").replace("clients.", "clients-2.");
    place.home.configure(&(after + "clients = 'optional'\n"));
    assert!(server.hang_up().iter().any(|note| note.contains("settings of TLS were read anew")));
    let newer = clients.client(&[AGENT]);
    assert_eq!(ask(&server, servers.visitor(Some(&newer)), "GET", "", "").expect("an answer").status, 200);
    assert_eq!(ask(&server, servers.visitor(None), "GET", "", "").expect("an answer").status, 401);
    for (authority, shown) in [(&servers, &agent), (&place.servers, &newer)] {
        assert!(ask(&server, authority.visitor(Some(shown)), "GET", "", "").is_err());
    }
    // Whether it is spoken at all is settled at the start.
    let plain = before.split("[server.tls]").next().expect("what comes before").to_owned();
    place.home.configure(&plain);
    let told = server.hang_up();
    assert!(told.iter().any(|note| note.contains("`[server.tls]` was taken out, and TLS is spoken still")), "{told:?}");
    assert_eq!(ask(&server, servers.visitor(Some(&newer)), "GET", "", "").expect("an answer").status, 200);
    assert_eq!(server.stop(), 0);
    let mine = token(&place.home, "mine", "agent:b", "call");
    let server = Server::new(&place.home);
    place.home.configure(&before);
    let told = server.hang_up();
    assert!(told.iter().any(|note| note.contains("`[server.tls]` is there, and no TLS is spoken")), "{told:?}");
    server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn certificate_that_runs_out_opens_nothing_more() {
    // API-14, API-01: over a connection that was made while it was good.
    let place = Place::new("");
    place.know("agent", AGENT, "agent:a", "call");
    let server = Server::new(&place.home);
    let (time, started) = (Duration::from_secs(5), Instant::now());
    let (brief, good) = (place.clients.client_for(&[AGENT], time), place.clients.client(&[AGENT]));
    let mut kept = [&brief, &good].map(|shown| call(&server.address, place.visitor(Some(shown))));
    assert_eq!(kept.each_mut().map(|stream| again(stream, &server)), [200, 200]);
    let [brief, good] = &mut kept;
    while again(brief, &server) == 200 {
        assert_eq!(again(good, &server), 200);
        assert!(started.elapsed() < PATIENCE, "it is believed still");
        std::thread::sleep(Duration::from_millis(200));
    }
    let most = time + Duration::from_millis(limits::CERTIFICATE_BELIEVED_MS) + Duration::from_secs(5);
    assert!(started.elapsed() < most, "{:?}", started.elapsed());
    assert_eq!((again(brief, &server), again(good, &server)), (401, 200));
    assert_eq!(server.stop(), 0);
}

#[test]
fn connections_are_not_resumed() {
    // API-14: each proves itself anew.
    let place = Place::new("");
    place.know("agent", AGENT, "agent:a", "call");
    let server = Server::new(&place.home);
    let config = place.visitor(Some(&place.clients.client(&[AGENT])));
    for _ in 0..3 {
        // What is kept of a session is kept with the settings that it was agreed on under.
        let mut stream = call(&server.address, config.clone());
        assert_eq!(again(&mut stream, &server), 200);
        assert_eq!(stream.conn.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn doctor_looks_at_tls() {
    let place = Place::new("");
    let doctor = |code| {
        let ran = place.home.run(["doctor"]);
        ran.code(code);
        ran.text().lines().filter(|line| line.contains(" tls ")).collect::<String>()
    };
    let line = doctor(0);
    assert!(line.starts_with("ok ") && line.contains("the certificate is good for "), "{line}");
    assert!(line.contains("client authorities can be read"), "{line}");
    let (certificate, key) = place.servers.expired_pem_of("localhost");
    for (name, content, mode, why) in [
        ("server.key", key.as_str(), 0o600, "the key is not that of the certificate"),
        ("server.pem", certificate.as_str(), 0o644, "days ago"),
        ("server.key", key.as_str(), 0o644, "others than its owner"),
        ("clients.pem", "nonsense", 0o644, "it holds no certificate"),
    ] {
        let path = place.home.path().join(name);
        let before = fs::read_to_string(&path).expect("a file");
        put(&place.home, name, content, mode);
        if why == "days ago" {
            put(&place.home, "server.key", &key, 0o600);
        }
        let line = doctor(1);
        assert!(line.starts_with("FAILED ") && line.contains(why) && line.contains(name), "{line}");
        if why == "days ago" {
            place.show(&place.servers);
            continue;
        }
        put(&place.home, name, &before, if name.ends_with("key") { 0o600 } else { 0o644 });
    }
    assert!(doctor(0).starts_with("ok "));
    place.home.configure("");
    assert!(doctor(0).contains("HTTP in the clear"));
}

#[test]
fn stream_ends_with_its_certificate() {
    // API-01, API-14: of whoever is not believed any more, and not only of whose name was taken back.
    let place = Place::new("");
    place.know("auditor", AGENT, "agent:a", "audit");
    let server = Server::new(&place.home);
    let mut stream = call(&server.address, place.visitor(Some(&place.clients.client(&[AGENT]))));
    let request = format!("GET /v1/events HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).expect("written");
    let (mut said, mut part) = (Vec::new(), [0; 16 * 1024]);
    let length = stream.read(&mut part).expect("a head");
    assert!(part[..length].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&part[..length]));
    put(&place.home, "clients.pem", &Authority::new().pem(), 0o644);
    assert!(server.hang_up().iter().any(|note| note.contains("certificates were read anew")));
    let started = Instant::now();
    // What says nothing for as long goes on being said until then.
    while !said.ends_with(b"0\r\n\r\n") && started.elapsed() < PATIENCE {
        let length = stream.read(&mut part).expect("more, or the end");
        assert!(length > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&part[..length]);
    }
    assert!(started.elapsed() < PATIENCE, "{}", String::from_utf8_lossy(&said));
    assert_eq!(server.stop(), 0);
}

#[test]
fn nonsense_instead_of_tls_ends_its_connection() {
    // MAL-07
    let place = Place::new("");
    place.know("agent", AGENT, "agent:a", "call,operate");
    let server = Server::new(&place.home);
    let request = format!("GET /v1/tools HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    let longest = [&[22, 3, 1, 0xff, 0xff][..], &vec![1; 70_000]].concat();
    let cut_off = [22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
    for bytes in [
        request.as_bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0; 5],
        &[0xff; 4096],
        &[0x80, 0x2e, 1, 0, 2],
        &[22, 3, 1, 0, 0],
        &[21, 3, 3, 0, 2, 2, 40],
        &[23, 3, 3, 0, 1, 0],
        &longest,
        &cut_off,
        b"",
    ] {
        let mut stream = server.connect();
        // Whoever is hung up on in the middle has been answered.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        // At most an alert: nothing of HTTP, and nothing of TLS that goes on.
        assert!(said.len() <= 7 && said.first().is_none_or(|kind| *kind == 21), "{bytes:?}: {said:?}");
    }
    let agent = place.clients.client(&[AGENT]);
    // A client that wants another protocol only is told so.
    let mut modern = place.visitor(Some(&agent));
    modern.alpn_protocols = vec![b"h2".to_vec()];
    assert!(ask(&server, modern, "GET", "", "").is_err());
    let mut both = place.visitor(Some(&agent));
    both.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    assert_eq!(ask(&server, both, "GET", "", "").expect("an answer").status, 200);
    let mut stream = call(&server.address, place.visitor(Some(&agent)));
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).expect("written");
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics).expect("numbers");
    let counted = |outcome: &str| {
        let name = format!("ringfence_tls_handshakes_total{{outcome=\"{outcome}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)
    };
    assert!(counted("failed") >= 11 && counted("done") >= 2, "{metrics}");
    assert_eq!(server.stop(), 0);
}

#[test]
fn slow_handshakes_leave_room_for_others() {
    // MAL-07: more of them than have a place, one that sends a byte now and then, and clients that know what they want.
    let (place, server, agent) = Place::served("");
    let mut kept = call(&server.address, place.visitor(Some(&agent)));
    assert_eq!(again(&mut kept, &server), 200);
    let started = Instant::now();
    let silent: Vec<_> = (0..limits::HTTP_HANDSHAKES_MAX + 20).map(|_| server.connect()).collect();
    let mut slow = server.connect();
    let dripping = std::thread::spawn(move || {
        let hello = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
        let mut drips = hello.iter().chain(std::iter::repeat(&7));
        let (began, mut answer) = (Instant::now(), [0; 1]);
        slow.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        while began.elapsed() < PATIENCE {
            if slow.write_all(&[*drips.next().expect("a byte")]).is_err() {
                break;
            }
            if matches!(slow.read(&mut answer), Ok(0)) {
                break;
            }
        }
        began.elapsed()
    });
    // Whoever has agreed with the server before is not held up by who never does.
    assert_eq!(again(&mut kept, &server), 200);
    assert!(started.elapsed() < Duration::from_millis(limits::HTTP_HANDSHAKE_MS_MAX), "{:?}", started.elapsed());
    // Others wait for nobody: whoever was first makes room.
    assert_eq!(place.get(&server, Some(&agent), None), Some(200));
    assert!(started.elapsed() < Duration::from_millis(limits::HTTP_HANDSHAKE_MS_MAX), "{:?}", started.elapsed());
    let dripped = dripping.join().expect("a time");
    assert!(dripped < Duration::from_millis(3 * limits::HTTP_HANDSHAKE_MS_MAX), "{dripped:?}");
    drop(silent);
    assert_eq!(server.stop(), 0);
}

#[test]
fn unfit_files_keep_server_from_starting() {
    // SEC-04
    let place = Place::new("");
    place.know("agent", AGENT, "agent:a", "call");
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let (_, other_key) = place.servers.pem_of("localhost");
    let certificate = fs::read_to_string(place.home.path().join("server.pem")).expect("a file");
    for (name, content, mode, why) in [
        ("server.key", other_key.as_str(), 0o600, "the key is not that of the certificate"),
        ("server.key", other_key.as_str(), 0o640, "others than its owner can read or write it"),
        ("server.key", certificate.as_str(), 0o600, "it is no private key in PEM"),
        ("server.key", "", 0o600, "it is no private key in PEM"),
        ("server.pem", other_key.as_str(), 0o644, "it holds no certificate in PEM"),
        ("server.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644, "at line 1"),
        ("clients.pem", "", 0o644, "it holds no certificate in PEM"),
    ] {
        let path = place.home.path().join(name);
        let before = fs::read_to_string(&path).expect("a file");
        put(&place.home, name, content, mode);
        let message = place.home.refuses(serve, 1);
        assert!(message.contains(why) && message.contains(name), "{name}: {message}");
        put(&place.home, name, &before, if name.ends_with("key") { 0o600 } else { 0o644 });
    }
    let key = place.home.path().join("server.key");
    fs::rename(&key, place.home.path().join("elsewhere.key")).expect("moved");
    let message = place.home.refuses(serve, 1);
    assert!(message.contains("server.key"), "{message}");
    std::os::unix::fs::symlink("elsewhere.key", &key).expect("a link");
    let message = place.home.refuses(serve, 1);
    assert!(message.contains("not a regular file"), "{message}");
    fs::remove_file(&key).expect("removed");
    fs::rename(place.home.path().join("elsewhere.key"), &key).expect("moved back");
    let server = Server::new(&place.home);
    assert_eq!(place.get(&server, Some(&place.clients.client(&[AGENT])), None), Some(200));
    assert_eq!(server.stop(), 0);
}

#[test]
fn files_of_a_server_are_never_granted() {
    // FS-26
    let home = Home::new();
    let at = |folder: &str| home.folder(folder).join("file").display().to_string();
    let (certificate, key, roots) = (at("certificate"), at("key"), at("roots"));
    let (headers, collector) = (at("headers"), at("collector"));
    home.configure(&format!(
        "[server.tls]\ncertificate = '{certificate}'\nkey = '{key}'\nclient-roots = '{roots}'\n\
         [telemetry]\nheaders-file = '{headers}'\nroots = '{collector}'\n"
    ));
    let list = ["run", ringfence_artifacts::TOOL_FILES, "list", "--input", r#"{"path":"/t"}"#, "--dir"];
    for folder in ["certificate", "key", "roots", "headers", "collector"] {
        let dir = home.dir(folder, "/t", "ro");
        assert!(home.refuses(list.iter().copied().chain([dir.as_str()]), 3).contains("host layer"), "{folder}");
    }
    let beside = home.dir("beside", "/t", "ro");
    home.run(list.iter().copied().chain([beside.as_str()])).code(0);
}

#[test]
fn certificates_alone_open_nothing_without_authorities() {
    // API-12
    let home = reading();
    let known = ["token", "new", "agent", "--as", "agent:a", "--scope", "call", "--certificate"];
    home.run(known.iter().chain(&[AGENT])).code(0);
    assert!(home.refuses(["serve", "--listen", "127.0.0.1:0"], 1).contains("there is no token"));
    // A name stands for one, and has one spelling.
    let twice = ["token", "new", "two", "--as", "agent:b", "--scope", "call", "--certificate", AGENT];
    assert!(home.refuses(twice, 1).contains("stands for somebody already"));
    for wrong in ["spiffe://example.org/agent", "dns:*.example.org", "uri:", "email:a@example.org"] {
        home.run(["token", "new", "two", "--as", "agent:b", "--scope", "call", "--certificate", wrong]).code(2);
    }
    let path = home.path().join("tokens.toml");
    let kept = fs::read_to_string(&path).expect("the tokens");
    for (from, to) in [
        (format!("certificate = \"{AGENT}\"\n"), String::new()),
        ("principal".to_owned(), format!("digest = \"sha256:{}\"\nprincipal", "0".repeat(64))),
    ] {
        fs::write(&path, kept.replace(&from, &to)).expect("a file");
        assert!(home.refuses(["token", "list"], 1).contains("tokens.toml"), "{from}");
    }
}
