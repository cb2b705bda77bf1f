//! Hosts and patterns of hosts: names by their labels, addresses by their networks.
//!
//! A name is kept as IDNA writes it (UTS 46): lower case, ASCII, without the trailing dot. What looks like an
//! address must be one in its one usual spelling: `127.1`, `0x7f.1` and `2130706433` are no hosts (NET-06).

use core::net::IpAddr;
use core::net::Ipv6Addr;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use idna::AsciiDenyList;
use idna::uts46::DnsLength;
use idna::uts46::Hyphens;
use idna::uts46::Uts46;
use ipnet::IpNet;
use thiserror::Error;

use crate::egress::Rule;
use crate::egress::nested;
use crate::egress::quoted;
use crate::egress::serde_as_text;

/// A text that names no host.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostError {
    /// Neither a name nor an address in its usual spelling.
    #[error("`{0}` is neither a host name nor an address in its usual spelling")]
    NotAHost(String),
    /// No pattern of hosts.
    #[error("`{0}` is neither a host, nor `*.` and a name, nor a network like `[10.0.0.0/8]`, nor `*`")]
    NotAPattern(String),
    /// A network with bits set beyond its prefix: it is not clear what was meant.
    #[error("`{given}` has bits beyond its prefix; the network is `{network}`")]
    NotANetwork {
        /// As it was written.
        given: String,
        /// What it is part of.
        network: String,
    },
}

/// A DNS name: lower-case ASCII labels, as IDNA writes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Reads a name; one trailing dot is dropped.
    pub fn new(text: &str) -> Result<Self, HostError> {
        let refuse = || HostError::NotAHost(quoted(text));
        let name = text.strip_suffix('.').unwrap_or(text);
        let ascii: Cow<'_, str> = Uts46::new()
            .to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
            .map_err(|_| refuse())?;
        // What ends in a number is an address to some reader or other, so it is never a name.
        let last = ascii.rsplit('.').next().unwrap_or_default();
        let numeric = last.bytes().all(|c| c.is_ascii_digit()) || last.starts_with("0x");
        if numeric { Err(refuse()) } else { Ok(Self(ascii.into_owned())) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `parent` or lies under it, label by label.
    fn is_under(&self, parent: &Self) -> bool {
        self.0.strip_suffix(&parent.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// By its address.
    Address(IpAddr),
    /// By its name.
    Name(Name),
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            // Zone ids don't parse (NET-27).
            let address: Ipv6Addr = inner.parse().map_err(|_| HostError::NotAHost(quoted(text)))?;
            return Ok(Self::Address(IpAddr::V6(address)));
        }
        match text.parse() {
            Ok(address @ IpAddr::V4(_)) => Ok(Self::Address(address)),
            _ => Name::new(text).map(Self::Name),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// A set of hosts.
///
/// `*` and names lead to public addresses only; a network leads to whatever is in it. So `*` doesn't cover a network:
/// addresses that are not public are reached where a rule names them, and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Every name, and every public address.
    Any,
    /// One name.
    Name(Name),
    /// Addresses.
    Network(Network),
    /// Every name below this one, which is not meant itself.
    Subdomains(Name),
}

impl HostPattern {
    /// Whether the pattern names a host, or only says which kind.
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Any | Self::Subdomains(_))
    }

    /// Whether a host, as it was asked for, is meant.
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Name(mine), Host::Name(name)) => mine == name,
            (Self::Subdomains(parent), Host::Name(name)) => name != parent && name.is_under(parent),
            (Self::Network(network), Host::Address(address)) => network.holds(*address),
            _ => false,
        }
    }

    /// Whether the pattern says literally that this address may be reached, whatever it leads to.
    pub fn names_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.holds(address))
    }
}

impl Rule for HostPattern {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Network(mine), Self::Network(theirs)) => mine.covers(theirs),
            (Self::Any, Self::Any | Self::Name(_) | Self::Subdomains(_)) => true,
            (Self::Name(mine), Self::Name(theirs)) => mine == theirs,
            (Self::Subdomains(parent), Self::Name(name)) => name != parent && name.is_under(parent),
            (Self::Subdomains(parent), Self::Subdomains(child)) => child.is_under(parent),
            _ => false,
        }
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        nested(self, other)
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let refuse = || HostError::NotAPattern(quoted(text));
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(parent) = text.strip_prefix("*.") {
            return Name::new(parent).map(Self::Subdomains).map_err(|_| refuse());
        }
        if text.contains('/') {
            let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            return inner.parse().map(Self::Network);
        }
        match text.parse::<Host>() {
            Ok(Host::Name(name)) => Ok(Self::Name(name)),
            Ok(Host::Address(address)) => Ok(Self::Network(Network(IpNet::from(address)))),
            Err(_) => Err(refuse()),
        }
    }
}

/// Addresses: all of a prefix, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl Rule for Network {
    fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        nested(self, other)
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }
}

impl FromStr for Network {
    type Err = HostError;

    /// Reads `address/prefix`, or a single address; bits beyond the prefix are refused, not dropped.
    fn from_str(text: &str) -> Result<Self, HostError> {
        let network = match text.parse::<IpNet>() {
            Ok(network) => network,
            Err(_) => text.parse::<IpAddr>().map(IpNet::from).map_err(|_| HostError::NotAPattern(quoted(text)))?,
        };
        if network != network.trunc() {
            return Err(HostError::NotANetwork { given: network.to_string(), network: network.trunc().to_string() });
        }
        Ok(Self(network))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}

serde_as_text!(Network);

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => write!(f, "{name}"),
            Self::Subdomains(parent) => write!(f, "*.{parent}"),
            // Brackets keep a prefix apart from a path, and an IPv6 address from a port.
            Self::Network(network) => {
                let text = network.to_string();
                if text.contains(['/', ':']) { write!(f, "[{text}]") } else { f.write_str(&text) }
            }
        }
    }
}

serde_as_text!(HostPattern);
