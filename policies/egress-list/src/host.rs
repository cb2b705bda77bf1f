//! Hosts and patterns of hosts: names by their labels, addresses by their networks.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// One host, in the spelling that was decided on.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// By its address.
    Address(IpAddr),
    /// By its name.
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads a host; nothing if it could be spelled in another way.
    pub fn decided(text: &'a str) -> Option<Self> {
        address(text).map(Self::Address).or_else(|| name(text).map(Self::Name))
    }
}

/// A set of hosts.
#[derive(Clone, Debug)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// One name.
    Name(String),
    /// The addresses that begin with so many bits.
    Network(IpAddr, u8),
    /// Every name below this one, which is not meant itself.
    Subdomains(String),
}

impl HostPattern {
    /// Reads a pattern in its one spelling.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(parent) = text.strip_prefix("*.") {
            return name(parent).map(|name| Self::Subdomains(name.to_owned()));
        }
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Some((address, bits)) = inner.split_once('/') {
            return network(address, bits);
        }
        match Host::decided(text)? {
            Host::Address(address) => Some(Self::Network(address, width(address))),
            Host::Name(name) => Some(Self::Name(name.to_owned())),
        }
    }

    /// Whether a host is meant.
    pub fn covers(&self, host: &Host<'_>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Name(mine), Host::Name(name)) => mine == name,
            (Self::Subdomains(parent), Host::Name(name)) => {
                name.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            (Self::Network(network, bits), Host::Address(address)) => {
                prefix(*network, *bits) == prefix(*address, *bits)
            }
            _ => false,
        }
    }
}

/// An address in its one usual spelling; IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(IpAddr::V4(address));
    }
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    inner.parse::<Ipv6Addr>().ok().filter(|address| address.to_string() == inner).map(IpAddr::V6)
}

/// A name as IDNA writes it. What ends in a number is an address to some reader or other, so it is never a name.
fn name(text: &str) -> Option<&str> {
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(known)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next()?;
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    (text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label) && !is_number).then_some(text)
}

/// A network; bits behind the prefix are refused, not dropped.
fn network(text: &str, bits: &str) -> Option<HostPattern> {
    let address = address(text).filter(|_| !text.starts_with('['))?;
    let count = bits.parse::<u8>().ok().filter(|count| count.to_string() == bits && *count <= width(address))?;
    let (_, kept) = prefix(address, count);
    let behind = u32::from(width(address) - count);
    let is_clean = kept.checked_shl(behind).unwrap_or(0) == number(address).1;
    is_clean.then_some(HostPattern::Network(address, count))
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The family, by its width, and the first bits of an address. Those of another family never compare as equal.
fn prefix(address: IpAddr, bits: u8) -> (u8, u128) {
    let (width, number) = number(address);
    (width, number.checked_shr(u32::from(width.saturating_sub(bits))).unwrap_or(0))
}

fn number(address: IpAddr) -> (u8, u128) {
    match address {
        IpAddr::V4(address) => (32, u128::from(u32::from(address))),
        IpAddr::V6(address) => (128, u128::from(address)),
    }
}
