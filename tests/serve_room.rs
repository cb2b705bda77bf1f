//! How much at a time: a full host, slow senders, large bodies, answers that nobody reads, and requests that no program
//! would send.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits;
use serde_json::json;

use crate::harness::Home;
use crate::harness::server::PATIENCE;
use crate::harness::server::SPINNER;
use crate::harness::server::Server;
use crate::harness::server::eventually;
use crate::harness::server::extend;
use crate::harness::server::head;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::stalled;
use crate::harness::server::token;

#[test]
fn broken_requests_end_their_own_connection() {
    // MAL-07
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let head = format!("host: {}\r\nauthorization: Bearer {mine}\r\n", server.address);
    let many = "x: y\r\n".repeat(100_000);
    let wide = format!("x: {}\r\n", "y".repeat(1 << 20));
    let before = home.entries().len();
    // Whoever is hung up on in the middle of a long head may lose the answer with the connection: status 0. Whoever opens
    // in HTTP/2, which is not spoken here, is hung up on at once.
    let tools = "GET /v1/tools HTTP/1.1\r\n";
    let chunked = "POST /v1/calls HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let requests: [(String, &[u16]); 7] = [
        (format!("{tools}{head}{many}\r\n"), &[431, 400, 0]),
        (format!("{tools}{head}{wide}\r\n"), &[431, 400, 0]),
        (format!("GET /{} HTTP/1.1\r\n{head}\r\n", "a".repeat(1 << 20)), &[414, 431, 0]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), &[400, 403, 0]),
        ("nonsense\r\n\r\n".to_owned(), &[400]),
        (format!("{tools}{head}content-length: 5\r\ncontent-length: 6\r\n\r\n"), &[400]),
        (format!("{chunked}{head}connection: close\r\n\r\nZZ\r\n"), &[400]),
    ];
    for (request, statuses) in requests {
        let answer = server.raw(request.as_bytes());
        assert!(
            statuses.contains(&answer.status),
            "{}: {} {}",
            &request[..40.min(request.len())],
            answer.status,
            answer.head
        );
    }
    assert_eq!(home.entries().len(), before, "something has run");
    // A head that never ends is hung up on; others are served meanwhile.
    let mut slow = server.connect();
    slow.write_all(b"GET /v1/tools HTTP/1.1\r\nhost:").expect("written");
    let idle: Vec<_> = (0..200).map(|_| server.connect()).collect();
    server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    let started = Instant::now();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(started.elapsed() < Duration::from_millis(limits::HTTP_HEAD_MS_MAX * 3), "{:?}", started.elapsed());
    drop(idle);
    server.ask("POST", "/v1/calls", Some(&mine), &read()).is(200);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn full_host_says_when_to_come_again() {
    // CON-08, CON-09
    let home = Home::new();
    home.run(["tool", "add", &home.component("spinner", SPINNER)]).code(0);
    extend(&home, "[limits]\nqueued-calls-per-ring = 0\n[tools.spinner.grant.limits]\nwall-ms = 3000\n");
    let mine = token(&home, "mine", "agent:a", "call,operate");
    let server = Server::new(&home);
    let body = json!({ "tool": "spinner" }).to_string();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || server.ask("POST", "/v1/calls", Some(&mine), &body);
        let asking: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        // Whoever spins does not keep the server from saying how it is.
        std::thread::sleep(Duration::from_millis(500));
        let started = Instant::now();
        server.ask("GET", "/healthz", None, "").is(200);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        asking.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(busy.len() >= 2 && busy.len() < 6, "{answers:?}");
    assert!(busy.iter().all(|answer| answer.head.contains("retry-after: 1") && answer.json()["code"] == "host.busy"));
    let ran = answers.iter().filter(|answer| answer.status == 200);
    assert!(ran.into_iter().all(|answer| answer.json()["outcome"]["error"]["code"] == "tool.limit.time"));
    let metrics = server.ask("GET", "/metrics", Some(&mine), "");
    let text = String::from_utf8(metrics.body).expect("text");
    assert!(text.contains("ringfence_http_requests_total{route=\"call\",status=\"429\"}"), "{text}");
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn room_is_taken_with_a_token_only() {
    // API-10: bodies that never come, at what needs no token, and at what needs one.
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    for path in ["/healthz", "/readyz"] {
        server.ask("GET", path, None, "").is(200);
        let mut asking = stalled(&server, head(&server, "GET", path, None, 10).as_bytes());
        let mut said = [0; 12];
        asking.read_exact(&mut said).expect("an answer");
        assert_eq!(&said, b"HTTP/1.1 413", "{path}");
    }
    let slow = head(&server, "GET", "/healthz", None, 10);
    let held: Vec<_> = (0..limits::HTTP_REQUESTS_MAX).map(|_| stalled(&server, slow.as_bytes())).collect();
    server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    server.ask("GET", "/healthz", None, "").is(200);
    drop(held);
    assert_eq!(server.stop(), 0);
}

#[test]
fn slow_senders_shut_out_themselves_only() {
    // MAL-07: a body that never comes holds a place of its sender's share, and of nobody else's.
    let home = reading();
    let tokens: Vec<_> =
        (0..5).map(|number| token(&home, &format!("t{number}"), &format!("agent:a{number}"), "call")).collect();
    let server = Server::new(&home);
    let (last, slow) = tokens.split_last().expect("tokens");
    let stall = |token: &String| {
        let request = head(&server, "POST", "/v1/calls", Some(token), 10);
        (0..limits::HTTP_REQUESTS_PER_PRINCIPAL_MAX).map(|_| stalled(&server, request.as_bytes())).collect::<Vec<_>>()
    };
    let held: Vec<_> = slow.iter().map(stall).collect();
    for token in slow {
        eventually(429, || server.ask("GET", "/v1/tools", Some(token), ""));
    }
    server.ask("POST", "/v1/calls", Some(last), &read()).is(200);
    drop(held);
    for token in slow {
        eventually(200, || server.ask("GET", "/v1/tools", Some(token), ""));
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn bodies_of_one_sender_are_bounded() {
    // MAL-05: as bytes that have come, and as the values that they would be.
    let home = reading();
    let (mine, theirs) = (token(&home, "mine", "agent:a", "call"), token(&home, "theirs", "agent:b", "call"));
    let server = Server::new(&home);
    let count = limits::HTTP_BODIES_BYTES_PER_PRINCIPAL_MAX / limits::MESSAGE_BYTES_MAX;
    let mut request = head(&server, "POST", "/v1/calls", Some(&mine), limits::MESSAGE_BYTES_MAX).into_bytes();
    request.resize(request.len() + limits::MESSAGE_BYTES_MAX - 1, b' ');
    let held: Vec<_> = (0..count).map(|_| stalled(&server, &request)).collect();
    let small = || server.ask("POST", "/v1/calls", Some(&mine), "[0]");
    eventually(429, small);
    server.ask("POST", "/v1/calls", Some(&theirs), &read()).is(200);
    drop(held);
    eventually(400, small);
    let many = format!("[{}0]", "{\"\":0},".repeat(limits::JSON_VALUES_MAX));
    for path in ["/v1/calls", "/mcp"] {
        let answer = server.ask("POST", path, Some(&mine), &many);
        let said = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 400 && said.contains("more than 200000 values"), "{path}: {} {said}", answer.head);
    }
    server.ask("POST", "/v1/calls", Some(&mine), &read()).is(200);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

/// A component with a function that returns so many letters.
fn returning(bytes: usize) -> String {
    format!(
        r#"(component
          (core module $m (memory (export "memory") 200)
            (func (export "f") (result i32)
              (memory.fill (i32.const 16) (i32.const 97) (i32.const {bytes}))
              (i32.store (i32.const 0) (i32.const 16))
              (i32.store (i32.const 4) (i32.const {bytes}))
              (i32.const 0)))
          (core instance $i (instantiate $m))
          (func (export "f") (result string)
            (canon lift (core func $i "f") (memory (core memory $i "memory")))))"#
    )
}

#[test]
fn answers_that_nobody_reads_have_a_bound() {
    // MAL-09: whoever asks for much and takes none of it loses what has waited longest; nobody else loses anything.
    let home = Home::new();
    home.run(["tool", "add", &home.component("large", &returning(7 * 1024 * 1024))]).code(0);
    let (mine, other) = (token(&home, "mine", "agent:a", "call"), token(&home, "other", "agent:b", "call"));
    let server = Server::new(&home);
    let large = json!({ "tool": "large" }).to_string();
    let call = server.ask("POST", "/v1/calls", Some(&mine), &large).is(200)["call"].clone();
    let path = format!("/v1/calls/{}", call.as_str().expect("an id"));
    let length = server.ask("GET", &path, Some(&mine), "").body.len();
    assert!(length > 7 * 1024 * 1024, "{length}");
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let ask = |_| {
        // The system keeps little of it for whoever takes nothing.
        let connected = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(64 * 1024)?;
            socket.connect(server.address.parse().expect("an address")).await?.into_std()
        });
        let mut stream = connected.expect("a connection");
        stream.set_nonblocking(false).expect("a stream that waits");
        stream.write_all(head(&server, "GET", &path, Some(&mine), 0).as_bytes()).expect("written");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("a status");
        assert_eq!(&status, b"HTTP/1.1 200");
        stream
    };
    let mut held: Vec<_> = (0..limits::HTTP_UNREAD_BYTES_PER_PRINCIPAL_MAX / length + 4).map(ask).collect();
    server.ask("POST", "/v1/calls", Some(&other), &large).is(200);
    assert!(started.elapsed() < Duration::from_millis(limits::HTTP_WRITE_MS_MAX), "{:?}", started.elapsed());
    let taken = |mut stream: TcpStream| {
        let mut said = Vec::new();
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        // One whose rest is gone is hung up on.
        let _ = stream.read_to_end(&mut said);
        said.len()
    };
    let (newest, oldest) = (taken(held.pop().expect("a connection")), taken(held.remove(0)));
    assert!(newest > length && oldest < length, "{oldest} and {newest} of {length}");
    drop(held);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn client_that_never_reads_is_left() {
    // MAL-09
    let home = reading();
    token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let mut stream = server.connect();
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    let many = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", server.address).repeat(1_000);
    let started = Instant::now();
    let error = loop {
        if let Err(error) = stream.write_all(many.as_bytes()) {
            break error;
        }
    };
    let kind = error.kind();
    assert!(matches!(kind, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(limits::HTTP_WRITE_MS_MAX), "{:?}", started.elapsed());
    server.ask("GET", "/healthz", None, "").is(200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn silent_connections_leave_room_for_calls() {
    // CR-33, MAL-07: more strangers than there are file descriptors, who say nothing; whoever is connected is served.
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::within(&home, 256);
    let body = read();
    let call = format!(
        "POST /v1/calls HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {mine}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        server.address,
        body.len()
    );
    let mut honest = server.connect();
    let mut answered = || {
        honest.write_all(call.as_bytes()).expect("written");
        let mut said = [0; 16 * 1024];
        let length = honest.read(&mut said).expect("an answer");
        String::from_utf8_lossy(&said[..length]).into_owned()
    };
    assert!(answered().starts_with("HTTP/1.1 200"));
    // Half of them are taken, and the others wait in the system's queue, which is no longer than this everywhere.
    let silent: Vec<_> = (0..245).map(|_| server.connect()).collect();
    for _ in 0..3 {
        let answer = answered();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    drop(silent);
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn doctor_finds_what_keeps_a_server_down() {
    // API-01, CR-33
    let home = reading();
    let line = |code| {
        let ran = home.run(["doctor"]);
        ran.code(code);
        ran.text().lines().find(|line| line.contains(" server ")).expect("a line").to_owned()
    };
    assert!(line(0).contains("nobody has a token"));
    token(&home, "mine", "agent:a", "call");
    let connections = format!("up to {} connections", limits::HTTP_CONNECTIONS_MAX);
    assert!(line(0).contains(&connections), "{}", line(0));
    let path = home.path().join("tokens.toml");
    let whole = std::fs::read_to_string(&path).expect("tokens");
    for (mode, text) in [(0o644, whole.as_str()), (0o600, "[")] {
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        assert!(line(1).starts_with("FAILED"), "{mode:o}");
        home.refuses(["serve", "--listen", "127.0.0.1:0"], 1);
    }
}
