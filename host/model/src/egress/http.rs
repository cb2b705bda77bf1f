//! Rules for requests over HTTP: methods, a scheme, hosts, ports and a path they start with.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::capability::contains;
use crate::egress::Host;
use crate::egress::HostPattern;
use crate::egress::PortRange;
use crate::egress::Rule;
use crate::egress::RuleError;
use crate::egress::quoted;
use crate::egress::serde_as_text;
use crate::limits;

const FORM: &str = "GET,POST https://HOST[:PORT]/PATH";

/// Methods that no rule allows: the one opens a tunnel that nothing can look into, the other gives headers back.
const NEVER: [&str; 2] = ["CONNECT", "TRACE"];

/// What a rule allows if it names no method.
const DEFAULT: [&str; 2] = ["GET", "HEAD"];

/// A set of methods.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Methods {
    /// Every method that any rule can allow.
    Any,
    /// These.
    Listed(BTreeSet<String>),
}

impl Methods {
    /// Whether a method is among them. Methods are case-sensitive (RFC 9110).
    pub fn holds(&self, method: &str) -> bool {
        match self {
            Self::Any => !NEVER.iter().any(|never| never.eq_ignore_ascii_case(method)),
            Self::Listed(methods) => methods.contains(method),
        }
    }
}

impl Rule for Methods {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Listed(mine), Self::Listed(theirs)) => theirs.is_subset(mine),
            (Self::Listed(_), Self::Any) => false,
        }
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, both) | (both, Self::Any) => Some(both.clone()),
            (Self::Listed(one), Self::Listed(other)) => {
                let both: BTreeSet<_> = one.intersection(other).cloned().collect();
                (!both.is_empty()).then_some(Self::Listed(both))
            }
        }
    }
}

impl FromStr for Methods {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let is_method = |text: &str| {
            (1..=32).contains(&text.len())
                && text.bytes().all(|c| c.is_ascii_uppercase() || c == b'-')
                && !NEVER.contains(&text)
        };
        let method = |text: &str| {
            if is_method(text) { Ok(text.to_owned()) } else { Err(RuleError::Method(quoted(text))) }
        };
        text.split(',').map(method).collect::<Result<_, _>>().map(Self::Listed)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Listed(methods) => f.write_str(&methods.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
        }
    }
}

/// With or without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without.
    Http,
    /// With.
    Https,
}

impl Scheme {
    /// The port that goes without saying.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// The path of a URL: absolute, without query, and one path to every reader. No part of it is `.` or `..`, however it
/// was escaped and whatever parameters it has, and no escape in it hides a separator or a control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UrlPath(String);

impl UrlPath {
    /// Checks a path.
    pub fn new(text: &str) -> Result<Self, RuleError> {
        let refuse = || RuleError::Path(quoted(text));
        let plain = |c: u8| {
            c.is_ascii_graphic()
                && !matches!(c, b'?' | b'#' | b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
        };
        if text.len() > limits::URL_BYTES_MAX || !text.starts_with('/') || !text.bytes().all(plain) {
            return Err(refuse());
        }
        let decoded = decode(text).ok_or_else(refuse)?;
        // Some servers take what follows `;` for a parameter and drop it before they walk the path.
        let is_step = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
        // Two slashes at the start would be a host to some readers.
        if decoded.split('/').any(is_step) || decoded.starts_with("//") {
            return Err(refuse());
        }
        Ok(Self(text.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path with its escapes undone; what is no text in it is `\u{fffd}`.
    pub fn decoded(&self) -> String {
        decode(&self.0).unwrap_or_else(|| self.0.clone())
    }

    /// Whether `other` is this path or lies under it, part by part.
    pub fn contains(&self, other: &Self) -> bool {
        contains(&self.0, &other.0)
    }
}

/// The path with its escapes undone, until there are none; nothing if an escape is broken, or hides what must not be hidden.
fn decode(path: &str) -> Option<String> {
    let Some((before, rest)) = path.split_once('%') else { return Some(path.to_owned()) };
    let (digits, after) = (rest.get(..2)?, rest.get(2..)?);
    if !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    match u8::from_str_radix(digits, 16).ok()? {
        // An escaped percent sign, separator or control character is read once more by some, and so is refused.
        b'%' | b'/' | b'\\' | 0..=0x1f | 0x7f => None,
        byte @ 0x20..=0x7e => Some(format!("{before}{}{}", char::from(byte), decode(after)?)),
        _ => Some(format!("{before}\u{fffd}{}", decode(after)?)),
    }
}

/// A request as far as rules go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// The host.
    pub host: Host,
    /// The method.
    pub method: String,
    /// The path.
    pub path: UrlPath,
    /// The port.
    pub port: u16,
    /// With or without TLS.
    pub scheme: Scheme,
}

impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}://{}", quoted(&self.method), self.scheme, self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path.0)
    }
}

/// Requests that may be sent: `GET,POST https://api.example.com/v1`. Without methods it is `GET,HEAD`; without a port, the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpRule {
    /// The hosts.
    pub host: HostPattern,
    /// The methods.
    pub methods: Methods,
    /// What the path is or lies under.
    pub path: UrlPath,
    /// The ports.
    pub ports: PortRange,
    /// With or without TLS.
    pub scheme: Scheme,
}

impl HttpRule {
    /// Whether a request may be sent, as far as this rule goes.
    pub fn matches(&self, target: &HttpTarget) -> bool {
        self.scheme == target.scheme
            && self.methods.holds(&target.method)
            && self.host.matches(&target.host)
            && self.ports.holds(target.port)
            && self.path.contains(&target.path)
    }

    /// What of it is left to somebody who only looks; none if that is nothing.
    #[must_use]
    pub fn to_read(&self) -> Option<Self> {
        let methods = self.methods.meet(&Methods::Listed(DEFAULT.map(str::to_owned).into()))?;
        Some(Self { methods, ..self.clone() })
    }

    /// In how many of its parts this rule fits a request: what is nearest teaches most.
    pub fn nearness(&self, target: &HttpTarget) -> usize {
        let host = if self.host.matches(&target.host) { 8 } else { 0 };
        let others = [
            self.scheme == target.scheme,
            self.methods.holds(&target.method),
            self.ports.holds(target.port),
            self.path.contains(&target.path),
        ];
        host + others.into_iter().filter(|fits| *fits).count()
    }
}

impl Rule for HttpRule {
    fn covers(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.methods.covers(&other.methods)
            && self.host.covers(&other.host)
            && self.ports.covers(&other.ports)
            && self.path.contains(&other.path)
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        if self.scheme != other.scheme {
            return None;
        }
        let path = match (self.path.contains(&other.path), other.path.contains(&self.path)) {
            (true, _) => &other.path,
            (_, true) => &self.path,
            _ => return None,
        };
        Some(Self {
            host: self.host.meet(&other.host)?,
            methods: self.methods.meet(&other.methods)?,
            path: path.clone(),
            ports: self.ports.meet(&other.ports)?,
            scheme: self.scheme,
        })
    }
}

impl FromStr for HttpRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text.len() > limits::RULE_BYTES_MAX {
            return Err(RuleError::TooLong(text.len()));
        }
        let form = || RuleError::Form { text: quoted(text), wanted: FORM };
        let (methods, url) = match text.split_once(' ') {
            Some((methods, url)) => (methods.parse()?, url),
            None => (Methods::Listed(DEFAULT.map(str::to_owned).into()), text),
        };
        let (scheme, rest) = match url.split_once("://").ok_or_else(form)? {
            ("http", rest) => (Scheme::Http, rest),
            ("https", rest) => (Scheme::Https, rest),
            _ => return Err(form()),
        };
        let (authority, path) = split_path(rest);
        let (host, ports) = split_port(authority);
        let ports = match ports {
            Some(ports) => ports.parse()?,
            None => PortRange::one(scheme.default_port()).ok_or_else(form)?,
        };
        Ok(Self { host: host.parse()?, methods, path: UrlPath::new(path)?, ports, scheme })
    }
}

/// Where the path starts: at the first slash outside of brackets, for a network has a slash of its own.
fn split_path(rest: &str) -> (&str, &str) {
    let inner = if rest.starts_with('[') { rest.find(']').unwrap_or(0) } else { 0 };
    match rest.get(inner..).and_then(|rest| rest.find('/')) {
        Some(at) => rest.split_at(inner + at),
        None => (rest, "/"),
    }
}

/// Splits off what stands behind the last colon outside of brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}://{}", self.methods, self.scheme, self.host)?;
        if Some(self.ports) != PortRange::one(self.scheme.default_port()) {
            write!(f, ":{}", self.ports)?;
        }
        f.write_str(self.path.as_str())
    }
}

serde_as_text!(HttpRule);
