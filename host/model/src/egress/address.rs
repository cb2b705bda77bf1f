//! What an address leads to: which ones no name may lead a guest to.
//!
//! The list follows IANA's registries of special-purpose addresses (RFC 6890) and adds the metadata services of clouds.
//! An IPv6 address that carries an IPv4 address in it is judged by both: it is public only if each is (NET-05).

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;

/// What an address leads to. Only [`AddressKind::Public`] can be reached through a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// A host of the internet.
    Public,
    /// Every host of a network.
    Broadcast,
    /// A network provider's own side of address translation (RFC 6598).
    CarrierNat,
    /// Addresses of examples and measurements.
    Documentation,
    /// Hosts on the same link.
    LinkLocal,
    /// This host.
    Loopback,
    /// A cloud's metadata service.
    Metadata,
    /// A group of hosts.
    Multicast,
    /// A private network.
    Private,
    /// Addresses nobody has, and obsolete ways to write others.
    Reserved,
    /// No address.
    Unspecified,
}

impl AddressKind {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Broadcast => "broadcast",
            Self::CarrierNat => "carrier NAT",
            Self::Documentation => "documentation",
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
            Self::Metadata => "cloud metadata",
            Self::Multicast => "multicast",
            Self::Private => "private",
            Self::Reserved => "reserved",
            Self::Unspecified => "unspecified",
        }
    }
}

/// What an address leads to, in whatever spelling.
pub fn kind(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => match kind_v6(address) {
            AddressKind::Public => embedded(address).map_or(AddressKind::Public, kind_v4),
            other => other,
        },
    }
}

fn kind_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        // Azure's wire server stands among public addresses; Alibaba's and Oracle's metadata among reserved ones.
        [169, 254, 169, 254] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => AddressKind::Metadata,
        [0, 0, 0, 0] => AddressKind::Unspecified,
        [255, 255, 255, 255] => AddressKind::Broadcast,
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressKind::Private,
        [100, 64..=127, ..] => AddressKind::CarrierNat,
        [169, 254, ..] => AddressKind::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => AddressKind::Documentation,
        [224..=239, ..] => AddressKind::Multicast,
        [0 | 240..=255, ..]
        | [192, 0, 0, _]
        | [192, 31, 196, _]
        | [192, 52, 193, _]
        | [192, 88, 99, _]
        | [192, 175, 48, _] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> AddressKind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        // The metadata service of EC2 over IPv6, and that of Google's.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => AddressKind::Metadata,
        [0xff00..=0xffff, ..] => AddressKind::Multicast,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        // Unique local, the site-local that came before it, and NAT64 of one's own network (RFC 8215).
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => AddressKind::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2001, 2, 0, ..] => AddressKind::Documentation,
        // Teredo and ORCHID.
        [0x2001, 0..=0x1ff, ..] => AddressKind::Reserved,
        // What is mapped, translated, and global unicast, 6to4 among it; what they carry is judged as well.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x2000..=0x3fff, ..] => AddressKind::Public,
        // IPv4-compatible, discard-only, and whatever nobody has.
        _ => AddressKind::Reserved,
    }
}

/// The IPv4 address that an IPv6 address carries: mapped, NAT64 or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(of(high, low))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet_is_public() {
        // NET-03, NET-04, NET-05
        for (address, wanted) in [
            ("8.8.8.8", AddressKind::Public),
            ("172.32.0.1", AddressKind::Public),
            ("100.128.0.1", AddressKind::Public),
            ("2606:4700::1111", AddressKind::Public),
            ("::ffff:8.8.8.8", AddressKind::Public),
            ("64:ff9b::808:808", AddressKind::Public),
            ("127.0.0.1", AddressKind::Loopback),
            ("127.255.255.254", AddressKind::Loopback),
            ("0.0.0.0", AddressKind::Unspecified),
            ("0.1.2.3", AddressKind::Reserved),
            ("::", AddressKind::Unspecified),
            ("::1", AddressKind::Loopback),
            ("10.1.2.3", AddressKind::Private),
            ("172.16.0.1", AddressKind::Private),
            ("172.31.255.255", AddressKind::Private),
            ("192.168.0.1", AddressKind::Private),
            ("100.64.0.1", AddressKind::CarrierNat),
            ("169.254.1.1", AddressKind::LinkLocal),
            ("169.254.169.254", AddressKind::Metadata),
            ("168.63.129.16", AddressKind::Metadata),
            ("100.100.100.200", AddressKind::Metadata),
            ("fd00:ec2::254", AddressKind::Metadata),
            ("192.0.0.1", AddressKind::Reserved),
            ("192.0.2.1", AddressKind::Documentation),
            ("198.18.0.1", AddressKind::Documentation),
            ("224.0.0.1", AddressKind::Multicast),
            ("240.0.0.1", AddressKind::Reserved),
            ("255.255.255.255", AddressKind::Broadcast),
            ("fc00::1", AddressKind::Private),
            ("fdff::1", AddressKind::Private),
            ("fec0::1", AddressKind::Private),
            ("fe80::1", AddressKind::LinkLocal),
            ("ff02::1", AddressKind::Multicast),
            ("2001:db8::1", AddressKind::Documentation),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("::ffff:169.254.169.254", AddressKind::Metadata),
            ("::127.0.0.1", AddressKind::Reserved),
            ("64:ff9b::7f00:1", AddressKind::Loopback),
            ("64:ff9b:1::7f00:1", AddressKind::Private),
            ("2002:7f00:1::", AddressKind::Loopback),
            ("2002:a00:1::1", AddressKind::Private),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", AddressKind::Reserved),
            ("100::1", AddressKind::Reserved),
            ("4000::1", AddressKind::Reserved),
        ] {
            assert_eq!(kind(address.parse().expect("an address")), wanted, "{address}");
        }
    }
}
