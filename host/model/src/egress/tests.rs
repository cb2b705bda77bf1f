use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn rules_read_as_they_are_written() {
    for text in [
        "GET,HEAD https://api.example.com/v1",
        "* http://*:*/",
        "POST https://*.example.com:8443/a/b",
        "GET http://127.0.0.1:1-1024/",
        "GET http://[10.0.0.0/8]/x",
        "GET http://[::1]:8080/",
        "GET http://[fd00::/8]/",
        "M-SEARCH http://example.com/",
    ] {
        assert_eq!(text.parse::<HttpRule>().map(|rule| rule.to_string()).as_deref(), Ok(text));
    }
    for text in ["tcp://db.example.com:5432", "udp://[10.0.0.0/8]:53", "tcp://[fd00::/8]:1-1024", "tcp://*:*"] {
        assert_eq!(text.parse::<SocketRule>().map(|rule| rule.to_string()).as_deref(), Ok(text));
    }
    for (text, wanted) in [
        ("https://EXAMPLE.com.", "GET,HEAD https://example.com/"),
        ("GET https://bücher.example/", "GET https://xn--bcher-kva.example/"),
        ("POST,GET https://example.com:443/", "GET,POST https://example.com/"),
        ("GET http://[10.0.0.1/32]/8", "GET http://10.0.0.1/8"),
    ] {
        assert_eq!(text.parse::<HttpRule>().map(|rule| rule.to_string()).as_deref(), Ok(wanted));
    }
}

#[test]
fn malformed_rules_are_named() {
    // NET-06, NET-09, NET-22, NET-25, NET-27
    for (text, wanted) in [
        ("example.com", "is not written as"),
        ("ftp://example.com/", "is not written as"),
        ("get https://example.com/", "`get` is not a method"),
        ("CONNECT https://example.com/", "`CONNECT` is not a method"),
        (" https://example.com/", "is not a method"),
        ("GET, https://example.com/", "is not a method"),
        ("https:///", "neither a host"),
        ("https://a*.example.com/", "neither a host"),
        ("https://*.*.example.com/", "neither a host"),
        ("https://user@example.com/", "neither a host"),
        ("https://127.1/", "neither a host"),
        ("https://0x7f.1/", "neither a host"),
        ("https://2130706433/", "neither a host"),
        ("https://017700000001/", "neither a host"),
        ("https://1.2.3.4.5/", "neither a host"),
        ("https://[fe80::1%25eth0]/", "neither a host"),
        ("https://[10.0.0.1/8]/", "bits beyond its prefix; the network is `10.0.0.0/8`"),
        ("https://example.com:0/", "`0` is neither a port"),
        ("https://example.com:65536/", "`65536` is neither a port"),
        ("https://example.com:+80/", "`+80` is neither a port"),
        ("https://example.com:90-80/", "`90-80` is neither a port"),
        ("https://example.com/a/../b", "is not a path"),
        ("https://example.com/a/%2e%2E/b", "is not a path"),
        ("https://example.com/a/..;x=y/b", "is not a path"),
        ("https://example.com/a%2fb", "is not a path"),
        ("https://example.com/a%252fb", "is not a path"),
        ("https://example.com//a", "is not a path"),
        ("https://example.com/a?b", "is not a path"),
        ("https://example.com/%", "is not a path"),
        ("https://example.com/%+1", "is not a path"),
        ("https://-a.example/", "neither a host"),
        ("https://exa mple.com/", "is not a method"),
    ] {
        let error = text.parse::<HttpRule>().expect_err(text).to_string();
        assert!(error.contains(wanted) && !error.contains('\n'), "{text}: {error}");
    }
    assert!(matches!("x".repeat(1 << 20).parse::<HttpRule>(), Err(RuleError::TooLong(_))));
    for text in ["db:5432", "sctp://db:1", "tcp://db", "tcp://db:", "tcp://:1", "tcp://[::1]"] {
        assert!(text.parse::<SocketRule>().is_err(), "{text}");
    }
}

fn target(method: &str, url: &str) -> HttpTarget {
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some((_, rest)) => (Scheme::Https, rest),
        None => panic!("{url}"),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    HttpTarget {
        host: host.parse().expect("a host"),
        method: method.to_owned(),
        path: UrlPath::new(path).expect("a path"),
        port: port.parse().unwrap_or(scheme.default_port()),
        scheme,
    }
}

#[test]
fn hosts_match_by_whole_labels() {
    // NET-09
    let rule: HttpRule = "GET https://*.example.com/v1".parse().expect("a rule");
    for (method, url, wanted) in [
        ("GET", "https://api.example.com/v1", true),
        ("GET", "https://a.b.example.com/v1/x", true),
        ("GET", "https://API.Example.COM./v1", true),
        ("GET", "https://example.com/v1", false),
        ("GET", "https://evil-example.com/v1", false),
        ("GET", "https://example.com.evil.net/v1", false),
        ("GET", "https://api.examp1e.com/v1", false),
        ("GET", "https://api.ехample.com/v1", false),
        ("get", "https://api.example.com/v1", false),
        ("POST", "https://api.example.com/v1", false),
        ("GET", "http://api.example.com/v1", false),
        ("GET", "https://api.example.com:8443/v1", false),
        ("GET", "https://api.example.com/v10", false),
        ("GET", "https://api.example.com/", false),
    ] {
        assert_eq!(rule.matches(&target(method, url)), wanted, "{method} {url}");
    }
}

#[test]
fn wildcard_names_no_inner_address() {
    // NET-04
    let inner = "127.0.0.1".parse().expect("an address");
    for (pattern, wanted) in
        [("*", false), ("*.local", false), ("127.0.0.1", true), ("127.0.0.0/8", true), ("10.0.0.0/8", false)]
    {
        assert_eq!(pattern.parse::<HostPattern>().expect(pattern).names_address(inner), wanted, "{pattern}");
    }
    let any: HostPattern = "*".parse().expect("a pattern");
    assert!(!any.covers(&"127.0.0.1".parse().expect("a pattern")));
}

fn pattern() -> impl Strategy<Value = HostPattern> {
    prop::sample::select(vec![
        "*",
        "*.b",
        "*.a.b",
        "a.b",
        "x.a.b",
        "b",
        "c",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.3",
        "[fd00::/8]",
    ])
    .prop_map(|text| text.parse().expect("a pattern"))
}

fn ports() -> impl Strategy<Value = PortRange> {
    prop::sample::select(vec!["*", "80", "443", "1-1024", "400-500", "2000-3000"])
        .prop_map(|text| text.parse().expect("ports"))
}

fn methods() -> impl Strategy<Value = Methods> {
    let listed = prop::collection::btree_set(prop::sample::select(vec!["GET", "HEAD", "POST"]), 1..3);
    prop_oneof![
        Just(Methods::Any),
        listed.prop_map(|set| Methods::Listed(set.into_iter().map(str::to_owned).collect::<BTreeSet<_>>()))
    ]
}

pub(crate) fn http_rule() -> impl Strategy<Value = HttpRule> {
    let path =
        prop::sample::select(vec!["/", "/a", "/a/", "/a/b", "/b"]).prop_map(|path| UrlPath::new(path).expect("a path"));
    let scheme = prop_oneof![Just(Scheme::Http), Just(Scheme::Https)];
    (pattern(), methods(), path, ports(), scheme).prop_map(|(host, methods, path, ports, scheme)| HttpRule {
        host,
        methods,
        path,
        ports,
        scheme,
    })
}

fn socket_rule() -> impl Strategy<Value = SocketRule> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    (pattern(), ports(), protocol).prop_map(|(host, ports, protocol)| SocketRule { host, ports, protocol })
}

fn network() -> impl Strategy<Value = Network> {
    prop::sample::select(vec!["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "fd00::/8", "::/0"])
        .prop_map(|text| text.parse().expect("a network"))
}

/// The laws of a partial order with greatest lower bounds.
fn holds_the_laws<T: Rule + Clone + PartialEq + std::fmt::Debug>(a: &T, b: &T, c: &T) {
    assert!(a.covers(a), "{a:?} covers itself");
    if a.covers(b) && b.covers(c) {
        assert!(a.covers(c), "{a:?} {b:?} {c:?}");
    }
    let Some(both) = a.meet(b) else {
        assert!(!(a.covers(c) && b.covers(c)), "{a:?} and {b:?} have {c:?} in common");
        return;
    };
    assert!(a.covers(&both) && b.covers(&both), "{a:?} {b:?} {both:?}");
    if a.covers(c) && b.covers(c) {
        assert!(both.covers(c), "{a:?} {b:?} {c:?}");
    }
    let other = b.meet(a).expect("the same the other way round");
    assert!(both.covers(&other) && other.covers(&both));
}

proptest! {
    #[test]
    fn http_rules_are_ordered(a in http_rule(), b in http_rule(), c in http_rule()) {
        holds_the_laws(&a, &b, &c);
    }

    #[test]
    fn socket_rules_are_ordered(a in socket_rule(), b in socket_rule(), c in socket_rule()) {
        holds_the_laws(&a, &b, &c);
    }

    #[test]
    fn networks_are_ordered(a in network(), b in network(), c in network()) {
        holds_the_laws(&a, &b, &c);
    }

    #[test]
    fn covered_rule_allows_no_more(a in http_rule(), b in http_rule(), host in pattern(), path in prop::sample::select(vec!["/", "/a", "/a/b", "/ab"])) {
        let host = match host {
            HostPattern::Name(name) => Host::Name(name),
            HostPattern::Network(network) => Host::Address(network.to_string().split('/').next().expect("an address").parse().expect("an address")),
            _ => return Ok(()),
        };
        for method in ["GET", "POST", "DELETE", "CONNECT"] {
            for port in [80, 443, 450] {
                let path = UrlPath::new(path).expect("a path");
                let target = HttpTarget { host: host.clone(), method: method.into(), path, port, scheme: b.scheme };
                prop_assert!(!(a.covers(&b) && b.matches(&target)) || a.matches(&target));
            }
        }
    }

    #[test]
    fn odd_rules_never_panic(text in "\\PC{0,60}") {
        let _ = text.parse::<HttpRule>().map(|rule| rule.to_string().parse::<HttpRule>().expect("what was written"));
        let _ = text.parse::<SocketRule>();
        let _ = text.parse::<HostPattern>();
        let _ = UrlPath::new(&text);
    }
}
