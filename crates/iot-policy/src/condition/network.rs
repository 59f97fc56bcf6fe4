//! Ranges of IP addresses (IAM user guide, `reference_policies_elements_condition_operators`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::ConditionError;

/// The addresses of one family that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    V4 { first: u32, mask: u32 },
    V6 { first: u128, mask: u128 },
}

impl Network {
    /// Reads `ADDRESS/BITS`, or an IPv4 address alone *(guess: bits after the prefix of an address range are ignored)*.
    ///
    /// An IPv6 address alone is refused, because the page reads it as `/32`, which no author means, and an IPv4 address
    /// in IPv6 as well, because such clients are seen by their IPv4 address.
    pub(super) fn parse(text: &str) -> Result<Self, ConditionError> {
        let error = || ConditionError::NotNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(read_bits(bits).ok_or_else(error)?)),
            None => (text, None),
        };
        match (address.parse().map_err(|_| error())?, bits) {
            (IpAddr::V4(address), bits) => Self::v4(address, bits.unwrap_or(Ipv4Addr::BITS)),
            (IpAddr::V6(address), Some(bits)) if address.to_ipv4_mapped().is_none() => {
                Self::v6(address, bits)
            }
            _ => None,
        }
        .ok_or_else(error)
    }

    pub(super) fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { first, mask }, IpAddr::V4(address)) => address.to_bits() & mask == first,
            (Self::V6 { first, mask }, IpAddr::V6(address)) => address.to_bits() & mask == first,
            _ => false,
        }
    }

    fn v4(address: Ipv4Addr, bits: u32) -> Option<Self> {
        let mask = u32::MAX.checked_shl(Ipv4Addr::BITS.checked_sub(bits)?).unwrap_or(0);
        Some(Self::V4 { first: address.to_bits() & mask, mask })
    }

    fn v6(address: Ipv6Addr, bits: u32) -> Option<Self> {
        let mask = u128::MAX.checked_shl(Ipv6Addr::BITS.checked_sub(bits)?).unwrap_or(0);
        Some(Self::V6 { first: address.to_bits() & mask, mask })
    }
}

fn read_bits(text: &str) -> Option<u32> {
    let is_plain = text == "0" || !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses_only() {
        let table = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.9/24", "192.0.2.1", true),
            ("192.0.2.1/32", "192.0.2.0", false),
            ("192.0.2.0/31", "192.0.2.1", true),
            ("128.0.0.0/1", "127.255.255.255", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:DB8:1234:5678::/64", "2001:db8:1234:5678:ffff::", true),
            ("2001:db8:1234:5678::/64", "2001:db8:1234:5679::", false),
            ("2001:db8::1/128", "2001:db8::2", false),
        ];
        for (network, address, contained) in table {
            let contains = Network::parse(network).unwrap().contains(address.parse().unwrap());
            assert_eq!(contains, contained, "{network} {address}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "/",
            "*",
            "192.0.2.*",
            "192.0.2",
            "192.0.2.01",
            "192.0.2.1 ",
            "192.0.2.1/",
            "192.0.2.1/33",
            "192.0.2.1/-1",
            "192.0.2.1/+8",
            "192.0.2.1/08",
            "192.0.2.1/00",
            "192.0.2.1/255.255.255.0",
            "192.0.2.1/8/8",
            "192.0.2.1/99999999999",
            "2001:db8::1",
            "2001:db8::/129",
            "[2001:db8::]/64",
            "fe80::1%eth0/64",
            "::ffff:192.0.2.0/120",
            "${aws:SourceIp}",
        ] {
            assert_eq!(Network::parse(text), Err(ConditionError::NotNetwork(text.to_owned())), "{text}");
        }
    }
}
