//! What goes over the wire and how much of it: one request for each that was asked for, as it was decided, within
//! limits.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_artifacts as guests;
use serde_json::Value;
use serde_json::json;

use crate::harness::flow::Drain;
use crate::harness::flow::Fountain;
use crate::harness::network::GRANTED;
use crate::harness::network::HERE;
use crate::harness::network::Network;
use crate::harness::network::SOON;
use crate::harness::network::http;
use crate::harness::web::Answer;
use crate::harness::web::Honeypot;
use crate::harness::web::Seen;
use crate::harness::web::Step;
use crate::harness::web::Web;
use crate::harness::web::ok;
use crate::harness::web::ok_then;
use crate::harness::web::raw;

/// A gzip file that unpacks to hundreds of times its size.
const BOMB: &str = "1f8b08000000000002ffedc13101000000c2a04aeb9fce1a1e40010000000000000000000000000000000000000000000000\
    0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    0000000000000000000000000000000000000000000000af0685c24dc5a0860100";

/// Bytes that a call may send or receive where that is tried.
const CAP: usize = 2 * 1024 * 1024;

/// `--socket` for one address.
fn socket(protocol: &str, address: SocketAddr) -> String {
    format!("--socket={protocol}://{address}")
}

fn echo(seen: &Seen) -> Answer {
    ok(&seen.bytes)
}

/// A server that answers with what it got, the grant for it and its URL.
fn echoing(methods: &str) -> (Web, String, String) {
    let web = Web::new(echo);
    let (rule, url) = (http(methods, GRANTED, web.port(), "/"), format!("http://{GRANTED}:{}/echo", web.port()));
    (web, rule, url)
}

/// Every request asks for a path, of the one host that was granted.
#[track_caller]
fn asks_for_paths(web: &Web) {
    for seen in web.requests() {
        let line = seen.first_line();
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words.len(), 3, "{line}");
        assert!(words[1].starts_with('/') && words[2] == "HTTP/1.1", "{line}");
        assert_eq!(seen.header("host"), [format!("{GRANTED}:{}", web.port())], "{}", seen.text());
    }
}

/// One test for each hostile guest, by its name: `isolation.rs` checks that none is missing.
pub mod hostile {
    use super::*;

    #[test]
    pub fn bomb_headers() {
        // NET-17
        let net = Network::new();
        let (web, rule, url) = echoing("GET");
        net.permits(guests::HOSTILE_BOMB_HEADERS, &[&rule, HERE], &["x", &url]);
        for part in ["fields", "values", "value", "name", "url", "authority"] {
            let (ran, value) = net.run(guests::HOSTILE_BOMB_HEADERS, &[&rule, HERE], &[part, &url]);
            ran.within(SOON);
            let said = value["outcome"]["stdout"].as_str().unwrap_or_default();
            assert!(!said.contains("escaped") && (ran.code == 0) == said.contains("contained"), "{part}: {value}");
            assert!([0, 4].contains(&ran.code), "{part}: {value}");
            net.home.is_well();
        }
        assert_eq!(web.requests().len(), 1);
    }

    #[test]
    pub fn confuse_authority() {
        // NET-10
        let net = Network::new();
        let (web, rule, _) = echoing("GET");
        let honeypot = Honeypot::new();
        let own = format!("{GRANTED}:{}", web.port());
        net.permits(guests::HOSTILE_CONFUSE_AUTHORITY, &[&rule, HERE], &[&own, "other.test:80"]);
        for other in [format!("127.0.0.1:{}", honeypot.port()), format!("other.test:{}", honeypot.port())] {
            net.contains(guests::HOSTILE_CONFUSE_AUTHORITY, &[&rule, HERE], &[&own, &other], 40);
        }
        assert_eq!((honeypot.visits(), web.requests().len()), (0, 1));
        asks_for_paths(&web);
    }

    #[test]
    pub fn confuse_path() {
        // NET-11
        let net = Network::new();
        let (web, _, _) = echoing("GET");
        let rule = http("GET", GRANTED, web.port(), "/granted");
        let honeypot = Honeypot::new();
        let (own, other) = (format!("{GRANTED}:{}", web.port()), format!("127.0.0.1:{}", honeypot.port()));
        let arguments = [own.as_str(), "/granted/", &other];
        net.permits(guests::HOSTILE_CONFUSE_PATH, &[&rule, HERE], &arguments);
        net.contains(guests::HOSTILE_CONFUSE_PATH, &[&rule, HERE], &arguments, 50);
        assert_eq!(honeypot.visits(), 0);
        asks_for_paths(&web);
        assert_eq!(web.requests().len(), 1, "{:?}", web.requests().iter().map(Seen::first_line).collect::<Vec<_>>());
    }

    #[test]
    pub fn flood_request_body() {
        // NET-20
        let net = Network::new();
        net.configure("[operator.limits]\nsent-bytes = 8388608\n");
        let reads = Web::new(|_| ok("read"));
        let silent = Web::new(|_| vec![Step::Wait(Duration::from_mins(1))]);
        for web in [&reads, &silent] {
            let (rule, url) = (http("POST", GRANTED, web.port(), "/"), format!("http://{GRANTED}:{}/", web.port()));
            let (ran, value) = net.run(guests::HOSTILE_FLOOD_REQUEST_BODY, &[&rule, HERE], &[&url]);
            ran.within(SOON);
            let said = value["outcome"]["stdout"].as_str().unwrap_or_default();
            assert!(!said.contains("escaped") && !said.contains("reached: 16 MiB"), "{value}");
            net.home.is_well();
        }
        let (rule, url) = (http("POST", GRANTED, reads.port(), "/"), format!("http://{GRANTED}:{}/", reads.port()));
        net.permits(guests::HOSTILE_FLOOD_REQUEST_BODY, &[&rule, HERE], &[&url]);
    }

    #[test]
    pub fn flood_requests() {
        // NET-24, NET-23: as many as are allowed, and none over a connection that another had used.
        let net = Network::new();
        net.configure("[operator.limits]\nrequests = 50\nconnections = 4\n");
        let (web, rule, url) = echoing("GET");
        let mut before = 0;
        for way in ["one-by-one", "at-once", "unread"] {
            let (ran, value) = net.run(guests::HOSTILE_FLOOD_REQUESTS, &[&rule, HERE], &[way, &url]);
            ran.within(SOON);
            let said = value["outcome"]["stdout"].as_str().unwrap_or_default();
            assert!(!said.contains("escaped"), "{way}: {value}");
            let requests = web.requests().len() - before;
            assert!((1..=50).contains(&requests), "{way}: {requests} requests");
            before = web.requests().len();
            assert_eq!(web.connections(), before, "{way}");
            net.home.is_well();
        }
        net.permits(guests::HOSTILE_FLOOD_REQUESTS, &[&rule, HERE], &["one", &url]);
    }

    #[test]
    pub fn flood_sockets() {
        // NET-20: what leaves is what the call may send, to the byte.
        let net = Network::new();
        net.configure(&format!("[operator.limits]\nsent-bytes = {CAP}\n"));
        let drain = Drain::new();
        for way in ["tcp", "udp"] {
            let (rule, address) = (socket(way, drain.address()), drain.address().to_string());
            net.permits(guests::HOSTILE_FLOOD_SOCKETS, &[&rule], &[way, &address]);
            let permitted = drain.take_bytes();
            let said = net.contains(guests::HOSTILE_FLOOD_SOCKETS, &[&rule], &[way, &address], 1);
            assert!(said.contains(&format!("sent: {CAP}\n")), "{way}: {said}");
            let arrived = drain.take_bytes();
            if way == "tcp" {
                assert_eq!((permitted, arrived), (CAP / 2, CAP));
            } else {
                assert!(permitted > 0 && (1..=CAP).contains(&arrived), "{permitted}, {arrived}");
            }
        }
    }

    #[test]
    pub fn hoard_sockets() {
        // NET-24: a socket is a connection from when it is made until it is closed, which nobody does here before the end.
        let net = Network::new();
        net.configure("[operator.limits]\nconnections = 4\n");
        for (way, protocol) in [("tcp", "tcp"), ("udp", "udp"), ("unconnected", "tcp")] {
            let (drain, other) = (Drain::new(), Drain::new());
            let (rule, address) = (socket(protocol, other.address()), other.address().to_string());
            net.permits(guests::HOSTILE_HOARD_SOCKETS, &[&rule], &[way, &address]);
            let (rule, address) = (socket(protocol, drain.address()), drain.address().to_string());
            let said = net.contains(guests::HOSTILE_HOARD_SOCKETS, &[&rule], &[way, &address], 1);
            assert!(said.contains("kept: 4\n") && said.contains("new-socket-limit"), "{way}: {said}");
            assert_eq!(drain.connections(), if way == "tcp" { 4 } else { 0 }, "{way}");
        }
    }

    #[test]
    pub fn forge_headers() {
        // NET-12, NET-14, NET-16
        let net = Network::new();
        let (web, rule, url) = echoing("GET");
        net.permits(guests::HOSTILE_FORGE_HEADERS, &[&rule, HERE], &[&url]);
        net.contains(guests::HOSTILE_FORGE_HEADERS, &[&rule, HERE], &[&url], 400);
        asks_for_paths(&web);
    }

    #[test]
    pub fn forge_trailers() {
        // NET-16
        let net = Network::new();
        let (web, rule, url) = echoing("POST");
        net.permits(guests::HOSTILE_FORGE_TRAILERS, &[&rule, HERE], &[&url]);
        net.contains(guests::HOSTILE_FORGE_TRAILERS, &[&rule, HERE], &[&url], 40);
        asks_for_paths(&web);
    }

    #[test]
    pub fn read_endless_answers() {
        // NET-19
        let net = Network::new();
        net.configure("[operator.limits]\nreceived-bytes = 8388608\n");
        let mebibyte = vec![b'x'; 1024 * 1024];
        let web = Web::new(move |seen| match seen.path().as_str() {
            "/endless" => ok_then("", [Step::Send(mebibyte.clone(), u64::MAX)]),
            "/large" => ok_then("content-length: 10737418240\r\n", [Step::Send(mebibyte.clone(), 10 * 1024)]),
            "/chunks" => ok_then("transfer-encoding: chunked\r\n", [Step::Send(b"1\r\nx\r\n".to_vec(), u64::MAX)]),
            "/head" => vec![Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec(), 1), Step::Send(b"x: y\r\n".to_vec(), u64::MAX)],
            "/interim" => vec![Step::Send(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), u64::MAX)],
            "/short" => ok_then("content-length: 100\r\n", [Step::Send(b"x".to_vec(), 1)]),
            "/reset" => ok_then("content-length: 100\r\n", [Step::Send(b"x".to_vec(), 1), Step::Reset]),
            "/lengths" => raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
            "/smuggled" => raw("HTTP/1.1 200 OK\r\nx : y\r\ncontent-length: +1\r\n\r\nab"),
            "/noise" => raw("hello\r\n\r\n"),
            "/nothing" => Vec::new(),
            _ => ok("the end"),
        });
        let rule = http("GET", GRANTED, web.port(), "/");
        let url = |path: &str| format!("http://{GRANTED}:{}{path}", web.port());
        net.permits(guests::HOSTILE_READ_ENDLESS_ANSWERS, &[&rule, HERE], &[&url("/")]);
        let endings = ["/head", "/interim", "/short", "/reset", "/lengths", "/smuggled", "/noise", "/nothing"];
        for path in ["/endless", "/large", "/chunks"].into_iter().chain(endings) {
            let grants = [rule.as_str(), HERE, "--timeout", "5"];
            let (ran, value) = net.run(guests::HOSTILE_READ_ENDLESS_ANSWERS, &grants, &[&url(path)]);
            ran.within(Duration::from_secs(5));
            let said = value["outcome"]["stdout"].as_str().unwrap_or_default();
            assert!(!said.contains("escaped") && !said.contains("reached: 16777216"), "{path}: {value}");
            net.home.is_well();
        }
    }

    #[test]
    pub fn read_endless_sockets() {
        // NET-19
        let net = Network::new();
        net.configure(&format!("[operator.limits]\nreceived-bytes = {CAP}\n"));
        let piece = vec![b'x'; 64 * 1024];
        let web = Web::new(move |_| vec![Step::Send(piece.clone(), u64::MAX)]);
        let fountain = Fountain::new();
        for (way, address) in [("tcp", web.address()), ("udp", fountain.address())] {
            let (rule, address) = (socket(way, address), address.to_string());
            net.permits(guests::HOSTILE_READ_ENDLESS_SOCKETS, &[&rule], &[way, &address]);
            let said = net.contains(guests::HOSTILE_READ_ENDLESS_SOCKETS, &[&rule], &[way, &address], 1);
            assert!(said.contains(&format!("read: {CAP}\n")), "{way}: {said}");
        }
    }

    #[test]
    pub fn smuggle_requests() {
        // NET-15
        let net = Network::new();
        let (web, rule, url) = echoing("GET,POST");
        net.permits(guests::HOSTILE_SMUGGLE_REQUESTS, &[&rule, HERE], &[&url]);
        net.contains(guests::HOSTILE_SMUGGLE_REQUESTS, &[&rule, HERE], &[&url], 40);
        asks_for_paths(&web);
        assert!(web.requests().iter().all(|seen| seen.path() == "/echo"));
    }

    #[test]
    pub fn stretch_timeouts() {
        // NET-18: no time at all, and all the time in the world, ended by the call's own.
        let net = Network::new();
        let web = Web::new(|seen| match seen.path().as_str() {
            "/silent" => vec![Step::Wait(Duration::from_mins(1))],
            "/slow" => {
                ok_then("content-length: 1000\r\n", [Step::Send(b"x".to_vec(), 1), Step::Wait(Duration::from_mins(1))])
            }
            _ => ok("at once"),
        });
        let rule = http("GET", GRANTED, web.port(), "/");
        let url = |path: &str| format!("http://{GRANTED}:{}{path}", web.port());
        net.permits(guests::HOSTILE_STRETCH_TIMEOUTS, &[&rule, HERE], &["10000000000", &url("/")]);
        let (silent, slow) = (url("/silent"), url("/slow"));
        for nanoseconds in ["0", "1"] {
            net.contains(guests::HOSTILE_STRETCH_TIMEOUTS, &[&rule, HERE], &[nanoseconds, &silent, &slow], 2);
        }
        for url in [&silent, &slow] {
            let arguments = [u64::MAX.to_string(), url.clone()];
            let arguments = [arguments[0].as_str(), arguments[1].as_str()];
            let (ran, value) = net.run(guests::HOSTILE_STRETCH_TIMEOUTS, &[&rule, HERE, "--timeout", "2"], &arguments);
            ran.code(4).within(Duration::from_secs(2));
            assert_eq!(value["outcome"]["error"]["code"], "tool.limit.time", "{value}");
            net.home.is_well();
        }
    }

    #[test]
    pub fn use_denied_methods() {
        // NET-14
        let net = Network::new();
        let (web, rule, url) = echoing("GET");
        net.permits(guests::HOSTILE_USE_DENIED_METHODS, &[&rule, HERE], &[&url]);
        net.contains(guests::HOSTILE_USE_DENIED_METHODS, &[&rule, HERE], &[&url], 26);
        assert_eq!(web.requests().len(), 1);
        asks_for_paths(&web);
        // No rule can grant a tunnel.
        let tunnel = http("CONNECT", GRANTED, web.port(), "/");
        net.home
            .attack_plainly(guests::HOSTILE_USE_DENIED_METHODS, &[&tunnel, "--", &url])
            .code(2)
            .says("is not a method");
    }
}

#[test]
fn answers_arrive_as_they_were_sent() {
    // NET-19: nothing is unpacked.
    let net = Network::new();
    let bomb = hex::decode(BOMB).expect("hex");
    let sent = bomb.clone();
    let web = Web::new(move |_| {
        let head = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", sent.len());
        ok_then(&head, [Step::Send(sent.clone(), 1)])
    });
    let url = format!("http://{GRANTED}:{}/", web.port());
    let (ran, value) = net.get(&url, &[&http("GET", GRANTED, web.port(), "/"), HERE]);
    ran.code(0);
    assert_eq!(
        value["outcome"]["value"]["body"]["bytes"],
        STANDARD.encode(bomb),
        "{}",
        value["outcome"]["value"]["headers"]
    );
}

#[test]
fn fetch_tool_speaks_plain_http() {
    let net = Network::new();
    let (web, rule, url) = echoing("GET,POST");
    let input = json!({
        "url": format!("{url}?q=1#part"),
        "headers": [["X-Mine", "yes"]],
        "body": { "text": "hello" },
        "content-type": "text/plain",
    });
    let args = ["post", "--ring", "1", &rule, HERE, "--input", &input.to_string()];
    let (ran, value) = net.home.attack(guests::TOOL_FETCH, &args);
    ran.code(0);
    let answer: &Value = &value["outcome"]["value"];
    assert_eq!(answer["status"], 200, "{value}");
    let seen = &web.requests()[0];
    assert_eq!(answer["body"]["text"], seen.text());
    assert_eq!(seen.first_line(), "POST /echo?q=1 HTTP/1.1");
    assert_eq!((seen.header("x-mine"), seen.header("content-length")), (vec!["yes".into()], vec!["5".into()]));
    assert_eq!(seen.header("content-type"), ["text/plain"]);
    assert!(seen.text().ends_with("\r\n\r\nhello"), "{}", seen.text());
    asks_for_paths(&web);
}
