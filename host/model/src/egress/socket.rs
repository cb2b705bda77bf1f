//! Rules for sockets: a protocol, hosts, and ports.

use std::fmt;
use std::str::FromStr;

use crate::egress::HostPattern;
use crate::egress::Rule;
use crate::egress::RuleError;
use crate::egress::quoted;
use crate::egress::serde_as_text;
use crate::limits;

const FORM: &str = "tcp://HOST:PORT";

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Ports from one to another, both of them included; never port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port.
    pub const ANY: Self = Self { first: 1, last: u16::MAX };

    /// One port.
    pub fn one(port: u16) -> Option<Self> {
        (port > 0).then_some(Self { first: port, last: port })
    }

    /// Whether a port is among them.
    pub fn holds(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl Rule for PortRange {
    fn covers(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        let meet = Self { first: self.first.max(other.first), last: self.last.min(other.last) };
        (meet.first <= meet.last).then_some(meet)
    }
}

impl FromStr for PortRange {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let refuse = || RuleError::Port(quoted(text));
        let port = |text: &str| match text.parse::<u16>() {
            // A sign or a leading zero would be another spelling of the same port.
            Ok(port) if port > 0 && port.to_string() == text => Ok(port),
            _ => Err(refuse()),
        };
        if text == "*" {
            return Ok(Self::ANY);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self { first: port(first)?, last: port(last)? };
        if range.first <= range.last { Ok(range) } else { Err(refuse()) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            _ if *self == Self::ANY => f.write_str("*"),
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// What may be connected to: `tcp://db.example.com:5432`, `udp://10.0.0.0/8:53`, `tcp://[fd00::/8]:1-1024`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SocketRule {
    /// The hosts.
    pub host: HostPattern,
    /// Their ports.
    pub ports: PortRange,
    /// The transport.
    pub protocol: Protocol,
}

impl Rule for SocketRule {
    fn covers(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.host.covers(&other.host) && self.ports.covers(&other.ports)
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        if self.protocol != other.protocol {
            return None;
        }
        let (host, ports) = (self.host.meet(&other.host)?, self.ports.meet(&other.ports)?);
        Some(Self { host, ports, protocol: self.protocol })
    }
}

impl FromStr for SocketRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text.len() > limits::RULE_BYTES_MAX {
            return Err(RuleError::TooLong(text.len()));
        }
        let form = || RuleError::Form { text: quoted(text), wanted: FORM };
        let (protocol, rest) = match text.split_once("://").ok_or_else(form)? {
            ("tcp", rest) => (Protocol::Tcp, rest),
            ("udp", rest) => (Protocol::Udp, rest),
            _ => return Err(form()),
        };
        let (host, ports) = rest.rsplit_once(':').ok_or_else(form)?;
        Ok(Self { host: host.parse()?, ports: ports.parse()?, protocol })
    }
}

impl fmt::Display for SocketRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.protocol, self.host, self.ports)
    }
}

serde_as_text!(SocketRule);
