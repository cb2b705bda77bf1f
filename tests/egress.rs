//! Where requests go: to what was granted, by its name and its address, and nowhere else.

use ringfence_artifacts as guests;
use serde_json::Value;
use serde_json::json;

use crate::harness;
use crate::harness::dns::Reply;
use crate::harness::network::GRANTED;
use crate::harness::network::HERE;
use crate::harness::network::Network;
use crate::harness::network::SOON;
use crate::harness::network::VALUE;
use crate::harness::network::http;
use crate::harness::tls::Identity;
use crate::harness::web::CANARY;
use crate::harness::web::Honeypot;
use crate::harness::web::Web;
use crate::harness::web::ok;
use crate::harness::web::redirect;

/// Lets names lead to any address of this machine.
const HEREABOUTS: &str = "--address=127.0.0.0/8";

/// Addresses in every spelling that somebody might take for a public host.
fn spellings(port: u16) -> Vec<String> {
    let hosts = [
        // NET-03
        "127.0.0.1",
        "127.1.2.3",
        "localhost",
        "LOCALHOST.",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        // NET-04
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[ff02::1]",
        // NET-05
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::80ff:fffe]",
        // NET-06
        "0x7f.1",
        "0x7f000001",
        "017700000001",
        "0177.0.0.1",
        "2130706433",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "127.0.0.01",
        "127.0.0.1%00",
        "１２７.０.０.１",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "%31%32%37.0.0.1",
        "%6c%6f%63%61%6c%68%6f%73%74",
        "loc\u{ad}alhost",
        // NET-27
        "[fe80::1%25lo]",
        "[fe80::1%lo]",
        "[::1%25lo]",
        "[::1%lo]",
        "[::1",
        "::1",
    ];
    hosts.iter().map(|host| format!("http://{host}:{port}/")).collect()
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Checks that attempts ended where they were decided, and not because the network here does not lead there.
#[track_caller]
fn was_decided(said: &str) {
    for sign in ["Connection", "Timeout", "Unavailable", "Unroutable", "NotFound", "DnsError"] {
        let lost: Vec<_> = said.lines().filter(|line| line.contains(sign)).collect();
        assert!(lost.is_empty(), "tried all the same: {lost:#?}");
    }
}

/// One test for each hostile guest, by its name: `isolation.rs` checks that none is missing.
pub mod hostile {
    use super::*;

    #[test]
    pub fn fetch_denied_urls() {
        // NET-03, NET-04, NET-05, NET-06, NET-27: under a grant that has nothing to do with them, and under one that
        // says `*`, which is every public address.
        let net = Network::new();
        let (web, honeypot) = (Web::new(|_| ok("granted")), Honeypot::new());
        let (rule, wide) = (http("GET", GRANTED, web.port(), "/"), "--http=GET http://*:*/");
        let own = format!("http://{GRANTED}:{}/", web.port());
        net.permits(guests::HOSTILE_FETCH_DENIED_URLS, &[&rule, HERE], &[&own]);
        let urls = spellings(honeypot.port());
        for grants in [&[&rule, HERE][..], &[wide, "--ring", "1"]] {
            let said = net.contains(guests::HOSTILE_FETCH_DENIED_URLS, grants, &borrowed(&urls), urls.len());
            was_decided(&said.replace("localhost", "").replace("LOCALHOST", ""));
        }
        assert_eq!((honeypot.visits(), web.requests().len()), (0, 1));
    }

    #[test]
    pub fn follow_redirects_out() {
        // NET-13: the host follows nothing, and each hop that the tool makes is a request of its own.
        let net = Network::new();
        let honeypot = Honeypot::new();
        let (inside, other) = (format!("http://127.0.0.1:{}/", honeypot.port()), "http://other.test/".to_owned());
        let web = Web::new(move |seen| match seen.path().as_str() {
            "/inside/301" => redirect(301, &inside),
            "/inside/302" => redirect(302, &inside),
            "/inside/307" => redirect(307, &inside),
            "/inside/308" => redirect(308, &inside),
            "/other" => redirect(302, &other),
            "/file" => redirect(302, "file:///etc/passwd"),
            "/loop" => redirect(302, &format!("http://{}/loop", seen.header("host")[0])),
            "/well" => redirect(302, &format!("http://{}/end", seen.header("host")[0])),
            _ => ok("the end"),
        });
        let rule = http("GET", GRANTED, web.port(), "/");
        let url = |path: &str| format!("http://{GRANTED}:{}{path}", web.port());
        net.permits(guests::HOSTILE_FOLLOW_REDIRECTS_OUT, &[&rule, HERE], &[&url("/well")]);
        assert_eq!(web.requests().len(), 2);
        let urls = ["/inside/301", "/inside/302", "/inside/307", "/inside/308", "/other", "/file", "/loop"].map(url);
        net.contains(guests::HOSTILE_FOLLOW_REDIRECTS_OUT, &[&rule, HERE], &borrowed(&urls), urls.len());
        assert_eq!(honeypot.visits(), 0);
        let before = web.requests().len();
        let (_, value) = net.get(&format!("http://{GRANTED}:{}/inside/302", web.port()), &[&rule, HERE]);
        assert_eq!(value["outcome"]["value"]["status"], 302, "{value}");
        assert_eq!(web.requests().len(), before + 1);
    }

    #[test]
    pub fn connect_over_tcp() {
        // NET-01, NET-04, NET-05
        let net = Network::new();
        let (web, honeypot) = (Web::new(|_| ok("granted")), Honeypot::new());
        let rule = format!("--socket=tcp://127.0.0.1:{}", web.port());
        net.permits(guests::HOSTILE_CONNECT_OVER_TCP, &[&rule], &[&web.address().to_string()]);
        let addresses = denied(honeypot.port());
        let said = net.contains(guests::HOSTILE_CONNECT_OVER_TCP, &[&rule], &borrowed(&addresses), 20);
        let is_refusal = |line: &str| line.ends_with("access-denied") || line.ends_with("invalid-argument");
        assert!(said.lines().all(is_refusal), "tried all the same: {said}");
        let wide = ["--socket=tcp://*:*", "--ring", "1"];
        net.contains(guests::HOSTILE_CONNECT_OVER_TCP, &wide, &borrowed(&addresses), 20);
        assert_eq!((honeypot.visits(), web.connections()), (0, 1));
    }

    #[test]
    pub fn send_over_udp() {
        // NET-02
        let net = Network::new();
        let (echo, honeypot) = (Honeypot::new(), Honeypot::new());
        let rule = format!("--socket=udp://127.0.0.1:{}", echo.port());
        let own = format!("127.0.0.1:{}", echo.port());
        net.permits(guests::HOSTILE_SEND_OVER_UDP, &[&rule], &[&own]);
        let visits = echo.visits();
        let addresses = denied(honeypot.port());
        net.contains(guests::HOSTILE_SEND_OVER_UDP, &[&rule], &borrowed(&addresses), 100);
        let wide = ["--socket=udp://*:*", "--ring", "1"];
        net.contains(guests::HOSTILE_SEND_OVER_UDP, &wide, &borrowed(&addresses), 100);
        assert_eq!((honeypot.visits(), echo.visits()), (0, visits));
    }

    #[test]
    pub fn listen_on_sockets() {
        // NET-01: nobody asks to be connected to, whatever else is granted.
        let net = Network::new();
        let web = Web::new(|_| ok("granted"));
        let rule = format!("--socket=tcp://127.0.0.1:{}", web.port());
        let here = web.address().to_string();
        net.permits(guests::HOSTILE_LISTEN_ON_SOCKETS, &[&rule], &[&here]);
        let addresses = ["127.0.0.1:0", "[::1]:0", "127.0.0.1:8080"];
        for grants in [&[rule.as_str()][..], &["--socket=udp://127.0.0.1:*", "--socket=tcp://127.0.0.1:*"]] {
            net.contains(guests::HOSTILE_LISTEN_ON_SOCKETS, grants, &addresses, 9);
        }
    }

    #[test]
    pub fn replay_secret_placeholder() {
        // SEC-02, SEC-05, OUT-04: the secret arrives in one header of one server, encrypted, and nowhere else.
        let net = Network::new();
        net.keep_secret();
        net.dns.set("other.test", [Reply::at(&["127.0.0.1"])]);
        let web = Web::encrypted(&net.authority.server(GRANTED), |seen| ok(&seen.bytes));
        let other = Web::encrypted(&net.authority.server("other.test"), |seen| ok(&seen.bytes));
        let plain = Web::new(|seen| ok(&seen.bytes));
        let url = format!("https://{GRANTED}:{}/", web.port());
        let others = [format!("https://other.test:{}/", other.port()), format!("http://{GRANTED}:{}/", plain.port())];
        let rules: Vec<_> = [&url, &others[0], &others[1]].map(|url| format!("--http=GET,POST {url}")).into();
        let grants = [&borrowed(&rules)[..], &[HERE, "--secret=TOKEN"]].concat();
        let said = net.permits(guests::HOSTILE_REPLAY_SECRET_PLACEHOLDER, &grants, &["TOKEN", &url]);
        assert_eq!(web.requests()[0].header("authorization"), [format!("Bearer {VALUE}")]);
        assert!(said.contains("authorization: Bearer rfsec_") && !said.contains(VALUE), "{said}");
        let arguments = ["TOKEN", &url, &others[0], &others[1]];
        let said = net.contains(guests::HOSTILE_REPLAY_SECRET_PLACEHOLDER, &grants, &arguments, 14);
        let after = web.requests().into_iter().skip(1);
        let arrived: Vec<_> = after.chain(other.requests()).chain(plain.requests()).map(|seen| seen.text()).collect();
        assert!(arrived.iter().all(|text| !text.contains(VALUE)), "{arrived:#?}");
        assert!(!said.contains(VALUE) && !net.home.log_holds(VALUE));
        // Not granted, it is not even there.
        let (_, value) = net.run(guests::HOSTILE_REPLAY_SECRET_PLACEHOLDER, &grants[..4], &arguments);
        assert!(value["outcome"]["stdout"].as_str().is_some_and(|said| said.contains("was not granted")), "{value}");
    }

    #[test]
    pub fn look_up_denied_names() {
        // NET-26: what is not granted is not even asked for.
        let net = Network::new();
        let rule = format!("--name={GRANTED}");
        let said = net.permits(guests::HOSTILE_LOOK_UP_DENIED_NAMES, &[&rule, HERE], &[GRANTED]);
        assert!(said.contains("found: [127.0.0.1]"), "{said}");
        let asked = net.dns.names().len();
        let names = [
            "other.test",
            "sub.granted.test",
            "granted.test.other.test",
            "evil-granted.test",
            "gr\u{430}nted.test",
            "localhost",
            "0x7f.1",
            "",
            ".",
            "granted.test .other.test",
            "data-that-leaves.other.test",
        ];
        net.contains(guests::HOSTILE_LOOK_UP_DENIED_NAMES, &[&rule, HERE], &names, names.len());
        assert_eq!(net.dns.names().len(), asked, "{:?}", net.dns.names());
        // A name that is granted does not lead to an address that is not.
        net.contains(guests::HOSTILE_LOOK_UP_DENIED_NAMES, &[&rule], &[GRANTED], 1);
    }
}

/// Socket addresses that nobody granted.
fn denied(port: u16) -> Vec<String> {
    let hosts = [
        "127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fe80::1%1]",
        "[fd00::1]",
    ];
    hosts.iter().map(|host| format!("{host}:{port}")).collect()
}

#[test]
fn only_granted_ports_and_schemes() {
    // NET-22, NET-25
    let net = Network::new();
    let (web, honeypot) = (Web::new(|_| ok("granted")), Honeypot::new());
    let port = web.port();
    let rule = http("GET", GRANTED, port, "/");
    let other = honeypot.port();
    let urls = [
        format!("http://{GRANTED}:{other}/"),
        format!("http://{GRANTED}/"),
        format!("http://{GRANTED}:0/"),
        format!("http://{GRANTED}:22/"),
        format!("http://{GRANTED}:25/"),
        format!("http://{GRANTED}:6379/"),
        format!("http://{GRANTED}:65535/"),
        format!("http://{GRANTED}:65536/"),
        format!("http://{GRANTED}:-1/"),
        format!("https://{GRANTED}:{port}/"),
        format!("ftp://{GRANTED}:{port}/"),
        format!("ws://{GRANTED}:{port}/"),
        format!("gopher://{GRANTED}:{port}/"),
        format!("unix://{GRANTED}:{port}/"),
        format!("HTTP2://{GRANTED}:{port}/"),
        "file:///etc/passwd".to_owned(),
        format!("file://{GRANTED}:{port}/etc/passwd"),
        "unix:///run/docker.sock".to_owned(),
        "data:text/plain,x".to_owned(),
    ];
    let said = net.contains(guests::HOSTILE_FETCH_DENIED_URLS, &[&rule, HERE], &borrowed(&urls), urls.len());
    was_decided(&said);
    assert_eq!((honeypot.visits(), web.connections()), (0, 0));
    net.permits(guests::HOSTILE_FETCH_DENIED_URLS, &[&rule, HERE], &[&format!("http://{GRANTED}:{port}/")]);
}

#[test]
fn names_that_look_granted_are_not() {
    // NET-09: every name leads to the honeypot, which is at the granted port and a granted address.
    let net = Network::new();
    let web = Web::new(|_| ok("granted"));
    let port = web.port();
    let honeypot = Honeypot::at(&[[127, 0, 0, 2].into()], port);
    let alike = [
        "evil-granted.test",
        "evilgranted.test",
        "granted.test.evil.test",
        "granted.tes",
        "granted.testt",
        "granted-test",
        "grantedtest",
        "test",
        "gr\u{430}nted.test",
        "xn--grnted-2ve.test",
        "granted\u{200b}.test",
        "granted..test",
        ".granted.test",
        "granted.test..",
        "granted%2etest",
        "granted_test",
        "*.granted.test",
        "*",
    ];
    for name in alike {
        net.dns.set(name, [Reply::at(&["127.0.0.2"])]);
    }
    for name in ["sub.granted.test", "a.b.granted.test"] {
        net.dns.set(name, [Reply::at(&["127.0.0.1"])]);
    }
    let url = |name: &str| format!("http://{name}:{port}/");
    let urls = alike.map(url);
    for (name, own, others) in [
        (GRANTED, &[GRANTED, "GRANTED.Test", "granted.test."][..], &["sub.granted.test"][..]),
        ("*.granted.test", &["sub.granted.test", "SUB.granted.test", "a.b.granted.test"], &[GRANTED]),
    ] {
        let rule = http("GET", name, port, "/");
        let grants = [rule.as_str(), HEREABOUTS, "--ring", "1"];
        net.permits(
            guests::HOSTILE_FETCH_DENIED_URLS,
            &grants,
            &borrowed(&own.iter().copied().map(url).collect::<Vec<_>>()),
        );
        let urls: Vec<_> = urls.iter().cloned().chain(others.iter().copied().map(url)).collect();
        was_decided(&net.contains(guests::HOSTILE_FETCH_DENIED_URLS, &grants, &borrowed(&urls), urls.len()));
    }
    assert_eq!(honeypot.visits(), 0);
}

#[test]
fn names_lead_to_public_addresses_only() {
    // NET-07, NET-09: by their own records, by another name's, among other addresses, in IPv6's spellings of IPv4.
    let net = Network::new();
    let honeypot = Honeypot::new();
    let cases = [
        ("private.test", vec!["10.0.0.1"]),
        ("here.test", vec!["127.0.0.1"]),
        ("here6.test", vec!["::1"]),
        ("mapped.test", vec!["::ffff:127.0.0.1"]),
        ("translated.test", vec!["64:ff9b::7f00:1"]),
        ("tunnelled.test", vec!["2002:7f00:1::"]),
        ("metadata.test", vec!["169.254.169.254"]),
        ("zero.test", vec!["0.0.0.0", "::"]),
        ("several.test", vec!["127.0.0.1", "10.0.0.1", "::1", "fe80::1"]),
    ];
    for (name, addresses) in &cases {
        net.dns.set(name, [Reply::at(addresses)]);
    }
    net.dns.set("alias.test", [Reply::Alias("further.test")]);
    net.dns.set("further.test", [Reply::Alias("here.test")]);
    let names: Vec<_> = cases.iter().map(|(name, _)| *name).chain(["alias.test"]).collect();
    let rules: Vec<_> = names.iter().map(|name| http("GET", name, honeypot.port(), "/")).collect();
    let urls: Vec<_> = names.iter().map(|name| format!("http://{name}:{}/", honeypot.port())).collect();
    let said = net.contains(guests::HOSTILE_FETCH_DENIED_URLS, &borrowed(&rules), &borrowed(&urls), urls.len());
    assert!(!said.contains("Connection") && !said.contains("Timeout"), "{said}");
    assert_eq!(honeypot.visits(), 0);
    // NET-28: nobody is told where a name leads.
    for sign in ["127.0.0.1", "10.0.0.1", "169.254", "::1"] {
        assert!(!said.contains(sign), "{sign}: {said}");
    }
    let grants = [&borrowed(&rules)[..], &[HERE]].concat();
    net.permits(guests::HOSTILE_FETCH_DENIED_URLS, &grants, &[&urls[1], &urls[9]]);
    assert!(honeypot.visits() > 0, "the honeypot would have noticed");
}

#[test]
fn names_are_resolved_once_each_request() {
    // NET-08: an answer that changes; a name with a good and a bad address; each at the port of both servers.
    let net = Network::new();
    let web = Web::new(|_| ok("granted"));
    let honeypot = Honeypot::at(&[[127, 0, 0, 2].into()], web.port());
    let (good, bad) = (Reply::at(&["127.0.0.1"]), Reply::at(&["127.0.0.2"]));
    net.dns.set("rebind.test", [good, bad]);
    net.dns.set("mixed.test", [Reply::at(&["127.0.0.2", "127.0.0.1", "127.0.0.2"])]);
    let url = |name: &str| format!("http://{name}:{}/", web.port());
    let grant = |name: &str| http("GET", name, web.port(), "/");
    let (rebind, mixed) = (grant("rebind.test"), grant("mixed.test"));
    net.permits(guests::HOSTILE_FETCH_DENIED_URLS, &[&rebind, HERE], &[&url("rebind.test")]);
    assert_eq!((net.dns.look_ups("rebind.test"), web.connections(), honeypot.visits()), (1, 1, 0));
    // By now the name leads elsewhere; what was decided before does not count.
    net.contains(guests::HOSTILE_FETCH_DENIED_URLS, &[&rebind, HERE], &[&url("rebind.test")], 1);
    assert_eq!((net.dns.look_ups("rebind.test"), web.connections(), honeypot.visits()), (2, 1, 0));
    for _ in 0..4 {
        net.run(guests::HOSTILE_FETCH_DENIED_URLS, &[&mixed, HERE], &[&url("mixed.test")]);
    }
    assert_eq!(honeypot.visits(), 0);
}

#[test]
fn name_servers_that_fail_end_in_errors() {
    let net = Network::new();
    net.dns.set("missing.test", [Reply::Missing]);
    net.dns.set("broken.test", [Reply::Broken]);
    net.dns.set("silent.test", [Reply::Silence]);
    net.dns.set("empty.test", [Reply::at(&[])]);
    net.dns.set("circle.test", [Reply::Alias("circle.test")]);
    for name in ["missing.test", "broken.test", "silent.test", "empty.test", "circle.test"] {
        let (ran, value) = net.get(&format!("http://{name}/"), &[&http("GET", name, 80, "/")]);
        ran.code(4).within(SOON);
        assert!(error(&value, "dns").is_string(), "{name}: {value}");
    }
    net.home.is_well();
}

#[test]
fn long_answers_of_name_servers_are_fetched() {
    let net = Network::new();
    let web = Web::new(|_| ok("granted"));
    net.dns.be_wordy();
    let url = format!("http://{GRANTED}:{}/", web.port());
    net.get(&url, &[&http("GET", GRANTED, web.port(), "/"), HERE]).0.code(0);
}

#[test]
fn rings_bound_the_network() {
    // NET-26: below ring 1 nobody chooses the names that data could leave in.
    let net = Network::new();
    let web = Web::new(|_| ok("granted"));
    let (named, url) = (http("GET", GRANTED, web.port(), "/"), format!("http://{GRANTED}:{}/", web.port()));
    for (grants, code) in [
        (&[named.as_str(), HERE, "--ring", "3"][..], 3),
        (&[&named, HERE, "--ring", "2"], 0),
        (&["--http=http://*:*/", HERE, "--ring", "2"], 3),
        (&["--http=http://*.test:*/", HERE, "--ring", "2"], 3),
        (&["--http=http://*:*/", HERE, "--ring", "1"], 0),
    ] {
        let (ran, value) = net.run(guests::HOSTILE_FETCH_DENIED_URLS, grants, &["control", &url]);
        assert_eq!(ran.code, code, "{grants:?}: {value}");
    }
    for (config, code) in [
        ("[operator]\nhttp = [\"GET http://granted.test:*/\"]\naddresses = [\"127.0.0.0/8\"]\n", 0),
        ("[operator]\nhttp = [\"GET http://other.test:*/\"]\naddresses = [\"127.0.0.0/8\"]\n", 3),
        ("[operator]\naddresses = [\"10.0.0.0/8\"]\n", 3),
        ("[operator]\nnetwork = \"none\"\n", 3),
        ("[rings.2]\nnetwork = \"none\"\n", 3),
    ] {
        net.configure(config);
        let (ran, value) = net.run(guests::HOSTILE_FETCH_DENIED_URLS, &[&named, HERE], &["control", &url]);
        assert_eq!(ran.code, code, "{config}: {value}");
    }
    assert_eq!(web.requests().len(), 3);
}

#[test]
fn record_says_where_requests_went() {
    // NET-26, U4: what was sent, and what was not, with its host.
    let net = Network::new();
    let web = Web::new(|_| ok("granted"));
    let (rule, port) = (http("GET", GRANTED, web.port(), "/"), web.port());
    let urls = [format!("http://{GRANTED}:{port}/sent?query"), format!("http://other.test:{port}/refused")];
    net.run(guests::HOSTILE_FETCH_DENIED_URLS, &[&rule, HERE], &borrowed(&urls));
    for (path, is_allowed) in [(format!("{GRANTED}:{port}/sent"), true), (format!("other.test:{port}/refused"), false)]
    {
        let entries = net.home.run(["log", "export"]).text();
        let contents = net.home.log_holds(&format!("GET http://{path}"));
        assert!(contents, "{path}: {entries}");
        let traced = format!(r#"{{"allowed":{is_allowed},"detail":"GET http://{path}"#);
        assert!(net.home.log_holds(&traced), "{traced}");
    }
}

#[test]
fn proxies_of_environment_are_ignored() {
    // NET-14
    let net = Network::new();
    let (web, honeypot) = (Web::new(|_| ok("granted")), Honeypot::new());
    let (rule, url) = (http("GET", GRANTED, web.port(), "/"), format!("http://{GRANTED}:{}/", web.port()));
    let args = ["run", guests::HOSTILE_FETCH_DENIED_URLS, "--ring", "2", &rule, HERE, "--", "control", &url];
    let mut command = harness::command(&net.home.path(), args);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, format!("http://127.0.0.1:{}", honeypot.port()));
    }
    harness::finish(command, b"").code(0);
    assert_eq!((web.requests().len(), honeypot.visits()), (1, 0));
}

/// What the fetch tool says went wrong, if it is of this kind.
fn error(value: &Value, kind: &str) -> Value {
    value["outcome"]["error"]["value"][kind].clone()
}

#[test]
fn fetch_tool_sends_secrets_unseen() {
    // SEC-02: whoever writes the input knows the secret's name; nobody but the server knows more.
    let net = Network::new();
    net.keep_secret();
    let web = Web::encrypted(&net.authority.server(GRANTED), |seen| ok(&seen.bytes));
    let (url, rule) = (format!("https://{GRANTED}:{}/", web.port()), format!("--http=GET https://{GRANTED}:*/"));
    let ask = |header: &str, grants: &[&str]| {
        let input = json!({ "url": url, "headers": [["Authorization", header]] }).to_string();
        net.home
            .attack(guests::TOOL_FETCH, &[&["get", "--ring", "2", "--input", &input, HERE, &rule][..], grants].concat())
    };
    let (ran, value) = ask("Bearer ${TOKEN}", &["--secret=TOKEN"]);
    ran.code(0);
    assert_eq!(web.requests()[0].header("authorization"), [format!("Bearer {VALUE}")]);
    let echo = value["outcome"]["value"]["body"]["text"].as_str().expect("text");
    assert!(echo.contains("Bearer rfsec_") && !value.to_string().contains(VALUE), "{value}");
    for (header, grants) in [
        ("Bearer ${TOKEN}", &[][..]),
        ("Bearer ${OTHER}", &["--secret=TOKEN"]),
        ("Bearer ${TOKEN", &["--secret=TOKEN"]),
    ] {
        let (ran, value) = ask(header, grants);
        ran.code(4);
        assert!(error(&value, "denied").is_string(), "{header}: {value}");
    }
    assert_eq!(web.requests().len(), 1);
    assert!(!net.home.log_holds(VALUE));
}

#[test]
fn only_trusted_servers_are_spoken_to() {
    // NET-21
    let net = Network::new();
    let trusted = net.authority.server(GRANTED);
    let stranger = harness::tls::Authority::new();
    let grant = |web: &Web| format!("--http=GET https://{GRANTED}:{}/", web.port());
    let url = |web: &Web| format!("https://{GRANTED}:{}/secret", web.port());
    let web = Web::encrypted(&trusted, |_| ok("granted"));
    let (ran, value) = net.get(&url(&web), &[&grant(&web), HERE]);
    ran.code(0);
    assert_eq!(value["outcome"]["value"]["body"]["text"], "granted", "{value}");
    let seen = &web.requests()[0];
    assert_eq!(seen.server_name.as_deref(), Some(GRANTED));
    assert_eq!(seen.header("host"), [format!("{GRANTED}:{}", web.port())]);
    for (case, identity) in [
        ("another authority", stranger.server(GRANTED)),
        ("itself", Identity::self_signed(GRANTED)),
        ("expired", net.authority.expired_server(GRANTED)),
        ("another name", net.authority.server("other.test")),
        ("a name below", net.authority.server("sub.granted.test")),
        ("a wildcard below", net.authority.server("*.granted.test")),
    ] {
        let web = Web::encrypted(&identity, |_| ok(CANARY));
        let (ran, value) = net.get(&url(&web), &[&grant(&web), HERE]);
        ran.code(4).within(SOON);
        assert!(error(&value, "tls").is_string(), "{case}: {value}");
        assert!(web.requests().is_empty(), "{case}: nothing was sent");
    }
    // A server that does not encrypt gets no request, either.
    let plain = Web::new(|_| ok(CANARY));
    let (ran, value) = net.get(&url(&plain), &[&grant(&plain), HERE]);
    ran.code(4);
    assert!(!value.to_string().contains(CANARY), "{value}");
    assert!(plain.requests().iter().all(|seen| !seen.text().contains("secret")));
}

#[test]
fn weak_or_nosy_servers_get_nothing() {
    // NET-21: a server that speaks a version nobody should, and one that wants to know who asks.
    let net = Network::new();
    let grant = |port: u16| format!("--http=GET https://{GRANTED}:{port}/");
    let url = |port: u16| format!("https://{GRANTED}:{port}/secret");
    let well = Web::encrypted(&net.authority.server(GRANTED), |_| ok("granted"));
    net.get(&url(well.port()), &[&grant(well.port()), HERE]).0.code(0);
    let nosy = Web::encrypted(&net.authority.demanding_server(GRANTED), |_| ok(CANARY));
    let (ran, value) = net.get(&url(nosy.port()), &[&grant(nosy.port()), HERE]);
    ran.code(4).within(SOON);
    assert!(!value.to_string().contains(CANARY) && nosy.connections() == 1, "{value}");
    assert!(nosy.requests().is_empty());
    for minor in [0, 1, 2] {
        let old = harness::tls::Antique::new(minor);
        let (ran, value) = net.get(&url(old.port()), &[&grant(old.port()), HERE]);
        ran.code(4).within(SOON);
        assert!(error(&value, "tls").is_string(), "{value}");
        // A handshake and at most an alert: no record of any other kind.
        let kinds = old.kinds_of_records();
        assert!(kinds.first() == Some(&22) && kinds[1..].iter().all(|kind| *kind == 21), "{kinds:?}");
    }
}
