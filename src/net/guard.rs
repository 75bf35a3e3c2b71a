//! The address guard: what an address is, in whatever disguise. Pure, so that a table of hostile addresses tests it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of destination an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum AddressClass {
    /// An ordinary address. Documentation ranges count as ordinary: nothing answers there.
    Public,
    /// Of a private network (RFC 1918, RFC 4193, carrier NAT of RFC 6598): internal APIs live there.
    Private,
    /// Never a legitimate API: says what it is.
    Forbidden(&'static str),
}

/// Metadata services of clouds that are not link-local. 169.254.169.254 and its neighbours are.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];

/// The same in IPv6: unique local addresses that a private network would otherwise be allowed to have.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),      // AWS
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),       // Google
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // Oracle
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),        // Scaleway
];

/// What `address` is. `own`: the addresses of this machine's interfaces.
pub fn classify(address: IpAddr, own: &[IpAddr]) -> AddressClass {
    if own.iter().any(|known| known.to_canonical() == address.to_canonical()) {
        return AddressClass::Forbidden("an address of this machine");
    }
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => {
            // What it carries is judged as well: a gateway would unpack it.
            let embedded = embedded_v4(address).into_iter().flatten();
            embedded.map(|inner| classify(inner.into(), own)).fold(classify_v6(address), stricter)
        }
    }
}

fn stricter(one: AddressClass, other: AddressClass) -> AddressClass {
    match (one, other) {
        (AddressClass::Forbidden(_), _) | (AddressClass::Private, AddressClass::Public) => one,
        (AddressClass::Public | AddressClass::Private, _) => other,
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        _ if METADATA_V4.contains(&address) => AddressClass::Forbidden("a cloud metadata service"),
        (0, ..) => AddressClass::Forbidden("an unspecified address"),
        (127, ..) => AddressClass::Forbidden("a loopback address"),
        (169, 254, _) => AddressClass::Forbidden("a link-local address"),
        (224..=239, ..) => AddressClass::Forbidden("a multicast address"),
        (240..=255, ..) => AddressClass::Forbidden("a reserved or broadcast address"),
        // RFC 1918, RFC 6598, RFC 6890 (protocol assignments), RFC 2544 (benchmarks).
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) => {
            AddressClass::Private
        }
        _ => AddressClass::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    let first = address.segments()[0];
    match first {
        _ if METADATA_V6.contains(&address) => AddressClass::Forbidden("a cloud metadata service"),
        _ if address.is_unspecified() => AddressClass::Forbidden("an unspecified address"),
        _ if address.is_loopback() => AddressClass::Forbidden("a loopback address"),
        0xfe80..=0xfebf => AddressClass::Forbidden("a link-local address"),
        0xff00..=0xffff => AddressClass::Forbidden("a multicast address"),
        0xfc00..=0xfdff | 0xfec0..=0xfeff => AddressClass::Private,
        _ => AddressClass::Public,
    }
}

/// The IPv4 addresses that translators, tunnels and stacks would take out of `address`.
fn embedded_v4(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let octets = address.octets();
    let at = |places: [usize; 4]| Some(Ipv4Addr::from(places.map(|place| octets[place])));
    let last = at([12, 13, 14, 15]);
    match address.segments() {
        // Unspecified and loopback have their own names.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 4],
        // Compatible (RFC 4291 2.5.5.1), mapped (2.5.5.2), translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            [last, None, None, None]
        }
        // Local-use NAT64 (RFC 8215): the length of its prefix is the operator's choice (RFC 6052 2.2), so every place
        // that may hold an address is judged. Zeros there are the padding of another length.
        [0x64, 0xff9b, 1, ..] => [last, at([6, 7, 9, 10]), at([7, 9, 10, 11]), at([9, 10, 11, 12])]
            .map(|inner| inner.filter(|inner| inner.octets()[0] != 0)),
        // Teredo (RFC 4380): the server, and the client with its bits turned over.
        [0x2001, 0, ..] => [at([4, 5, 6, 7]), last.map(|client| Ipv4Addr::from(!u32::from(client))), None, None],
        // 6to4 (RFC 3056).
        [0x2002, ..] => [at([2, 3, 4, 5]), None, None, None],
        // ISATAP (RFC 5214) under any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [last, None, None, None],
        _ => [None; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> AddressClass {
        let own = ["203.0.113.77".parse().expect("own"), "2001:db8::77".parse().expect("own")];
        classify(text.parse().expect(text), &own)
    }

    #[test]
    fn what_is_never_an_api_is_refused_in_every_disguise() {
        let cases = [
            ("loopback", &["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::127.0.0.1"][..]),
            ("loopback", &["64:ff9b::127.0.0.1", "2002:7f00:1::", "::ffff:0:127.0.0.1", "fe81::5efe:127.0.0.1"]),
            ("loopback", &["2001:0:7f00:1::", "2001:0:102:304::80ff:fffe", "2001:db8::200:5efe:127.0.0.1"]),
            (
                "loopback",
                &["64:ff9b:1:7f00:0:100::", "64:ff9b:1:7f:0:1::", "64:ff9b:1::7f:0:100:0", "64:ff9b:1::7f00:1"],
            ),
            ("unspecified", &["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "64:ff9b::"]),
            ("link-local", &["169.254.0.1", "169.254.169.254", "fe80::1", "febf::1", "::ffff:169.254.169.254"]),
            ("link-local", &["169.254.170.2", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"]),
            ("metadata", &["100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]),
            ("metadata", &["fd00:c1::a9fe:a9fe", "fd00:42::42", "::ffff:100.100.100.200", "64:ff9b::6464:64c8"]),
            ("multicast", &["224.0.0.1", "239.255.255.255", "ff02::1", "::ffff:224.0.0.1"]),
            ("reserved", &["240.0.0.1", "255.255.255.255", "::ffff:255.255.255.255"]),
            ("this machine", &["203.0.113.77", "2001:db8::77", "::ffff:203.0.113.77", "64:ff9b::203.0.113.77"]),
        ];
        for (reason, addresses) in cases {
            for address in addresses {
                match class(address) {
                    AddressClass::Forbidden(text) if text.contains(reason) => {}
                    // A disguise inside a forbidden prefix may be refused for the prefix.
                    AddressClass::Forbidden(_) if address.starts_with("fe") => {}
                    other => panic!("{address}: {other:?}, expected {reason}"),
                }
            }
        }
    }

    #[test]
    fn private_networks_are_told_apart() {
        for address in [
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:c0a8:101::",
            "64:ff9b:1:a00:0:100::",
        ] {
            assert_eq!(class(address), AddressClass::Private, "{address}");
        }
    }

    #[test]
    fn ordinary_and_documentation_addresses_pass() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.1",
            "192.167.0.1",
            "192.169.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.0.1",
            "169.255.0.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "2606:4700::1111",
            "2001:db8::1",
            "3fff::1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::",
            "::ffff:1.1.1.1",
            "2a00:1450::5efe:1.1.1.1",
        ] {
            assert_eq!(class(address), AddressClass::Public, "{address}");
        }
    }
}
