//! Rules, as lines: the same that the configuration of a host has.

use core::ops::RangeInclusive;

use crate::host::HostPattern;
use crate::path::UrlPath;

/// Methods that no rule allows: the one opens a tunnel that nothing can look into, the other gives headers back.
const NEVER: [&str; 2] = ["CONNECT", "TRACE"];
const METHOD_BYTES_MAX: usize = 32;

/// A set of methods.
#[derive(Clone, Debug)]
pub enum Methods {
    /// Every method that any rule can allow.
    Any,
    /// These.
    Listed(Vec<String>),
}

impl Methods {
    /// Whether a method is among them. Methods are case-sensitive (RFC 9110).
    pub fn holds(&self, method: &str) -> bool {
        match self {
            Self::Any => !NEVER.iter().any(|never| never.eq_ignore_ascii_case(method)),
            Self::Listed(methods) => methods.iter().any(|listed| listed == method),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let is_method = |text: &str| {
            (1..=METHOD_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
                && !NEVER.contains(&text)
        };
        text.split(',').map(|text| is_method(text).then(|| text.to_owned())).collect::<Option<_>>().map(Self::Listed)
    }
}

/// With or without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Requests: `GET,POST https://api.example.com/v1`. Without methods it is `GET,HEAD`; without a port, the scheme's own.
#[derive(Clone, Debug)]
pub struct HttpRule {
    pub host: HostPattern,
    pub methods: Methods,
    pub path: UrlPath,
    pub ports: RangeInclusive<u16>,
    pub scheme: Scheme,
}

impl HttpRule {
    /// Reads a line.
    pub fn parse(text: &str) -> Option<Self> {
        let (methods, url) = text.split_once(' ').unwrap_or(("GET,HEAD", text));
        let (scheme, rest) = match url.split_once("://")? {
            ("http", rest) => (Scheme::Http, rest),
            ("https", rest) => (Scheme::Https, rest),
            _ => return None,
        };
        let (authority, path) = split(rest, '/');
        let (host, port) = split(authority, ':');
        let ports = match port.strip_prefix(':') {
            Some(text) => ports(text)?,
            None => scheme.port()..=scheme.port(),
        };
        let path = UrlPath::of_rule(if path.is_empty() { "/" } else { path })?;
        Some(Self { host: HostPattern::parse(host)?, methods: Methods::parse(methods)?, path, ports, scheme })
    }
}

/// Transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Sockets: `tcp://db.example.com:5432`.
#[derive(Clone, Debug)]
pub struct SocketRule {
    pub host: HostPattern,
    pub ports: RangeInclusive<u16>,
    pub protocol: Protocol,
}

impl SocketRule {
    /// Reads a line.
    pub fn parse(text: &str) -> Option<Self> {
        let (protocol, rest) = match text.split_once("://")? {
            ("tcp", rest) => (Protocol::Tcp, rest),
            ("udp", rest) => (Protocol::Udp, rest),
            _ => return None,
        };
        let (host, text) = rest.rsplit_once(':')?;
        Some(Self { host: HostPattern::parse(host)?, ports: ports(text)?, protocol })
    }
}

/// Splits before the first separator that is not in brackets: a network has a slash, and an address colons, of its own.
fn split(text: &str, separator: char) -> (&str, &str) {
    let inner = if text.starts_with('[') { text.find(']').unwrap_or(0) } else { 0 };
    let at = text.get(inner..).and_then(|rest| rest.find(separator)).map_or(text.len(), |at| inner + at);
    text.split_at(at)
}

/// A port, ports from one to another, or `*` for all; never port 0.
fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    // A sign or a leading zero would be another spelling of the same port.
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0 && port.to_string() == text);
    if text == "*" {
        return Some(1..=u16::MAX);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = port(first)?..=port(last)?;
    (!range.is_empty()).then_some(range)
}
