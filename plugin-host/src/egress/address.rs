//! Which addresses may never be connected to, whatever name led there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why `address` is refused; `None` when it may be connected to. `allow_loopback` lifts the refusal
/// of this machine itself and of nothing else.
pub(super) fn refusal(address: IpAddr, allow_loopback: bool) -> Option<&'static str> {
    if allow_loopback && address.is_loopback() {
        return None;
    }
    match address {
        IpAddr::V4(v4) => refusal_v4(v4),
        IpAddr::V6(v6) => refusal_v6(v6),
    }
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "unspecified",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "carrier-grade NAT",
        [127, ..] => "loopback",
        // Where clouds keep their metadata services.
        [169, 254, ..] => "link-local",
        [192, 0, 0, _] => "IETF protocol",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation",
        [192, 88, 99, _] => "6to4 relay",
        [198, 18 | 19, ..] => "benchmarking",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    Some(match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0, 0, 0, 0, 0, 0xffff, ..] => "IPv4-mapped",
        [0x64, 0xff9b, ..] => "NAT64",
        [0xfc00..=0xfdff, ..] => "unique-local",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => "documentation",
        [0x2001, 0..=0x1ff, ..] => "IETF protocol",
        [0x2002, ..] => "6to4",
        [0x2000..=0x3fff, ..] => return None,
        _ => "not global unicast",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: Option<&str>) {
        let parsed: IpAddr = address.parse().unwrap();
        assert_eq!(refusal(parsed, false), expected, "{address}");
    }

    #[test]
    fn addresses_inside_are_refused_and_public_ones_are_not() {
        for (address, expected) in [
            ("0.0.0.0", Some("unspecified")),
            ("0.1.2.3", Some("unspecified")),
            ("10.0.0.1", Some("private")),
            ("172.15.255.255", None),
            ("172.16.0.1", Some("private")),
            ("172.31.255.255", Some("private")),
            ("172.32.0.1", None),
            ("192.168.1.1", Some("private")),
            ("100.63.255.255", None),
            ("100.64.0.1", Some("carrier-grade NAT")),
            ("100.100.100.200", Some("carrier-grade NAT")),
            ("100.128.0.1", None),
            ("127.0.0.1", Some("loopback")),
            ("127.255.255.254", Some("loopback")),
            ("169.254.169.254", Some("link-local")),
            ("192.0.0.192", Some("IETF protocol")),
            ("192.0.2.1", Some("documentation")),
            ("198.51.100.1", Some("documentation")),
            ("203.0.113.1", Some("documentation")),
            ("192.88.99.1", Some("6to4 relay")),
            ("198.18.0.1", Some("benchmarking")),
            ("224.0.0.1", Some("multicast")),
            ("255.255.255.255", Some("reserved")),
            ("8.8.8.8", None),
            ("::", Some("unspecified")),
            ("::1", Some("loopback")),
            ("::ffff:8.8.8.8", Some("IPv4-mapped")),
            ("::ffff:127.0.0.1", Some("IPv4-mapped")),
            ("::7f00:1", Some("not global unicast")),
            ("64:ff9b::808:808", Some("NAT64")),
            ("64:ff9b:1::1", Some("NAT64")),
            ("fd00:ec2::254", Some("unique-local")),
            ("fe80::1", Some("link-local")),
            ("fec0::1", Some("site-local")),
            ("ff02::1", Some("multicast")),
            ("2001::1", Some("IETF protocol")),
            ("2001:db8::1", Some("documentation")),
            ("3fff::1", Some("documentation")),
            ("2002:7f00:1::", Some("6to4")),
            ("100::1", Some("not global unicast")),
            ("2606:4700::1111", None),
        ] {
            check(address, expected);
        }
    }

    #[test]
    fn allowing_loopback_allows_nothing_else() {
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(refusal(address.parse().unwrap(), true), None, "{address}");
        }
        for address in ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0"] {
            assert!(refusal(address.parse().unwrap(), true).is_some(), "{address}");
        }
    }
}
