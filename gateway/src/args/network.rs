//! This machine's own addresses, by which devices on the network reach it.

use std::net::IpAddr;

/// The addresses of the network interfaces, as texts: those that another machine can dial. Empty if the system does not
/// tell them.
pub(super) fn addresses() -> Vec<String> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses = interfaces.iter().map(if_addrs::Interface::ip).filter(is_dialled).collect::<Vec<_>>();
    addresses.sort();
    addresses.dedup();
    addresses.iter().map(ToString::to_string).collect()
}

/// Whether another machine can dial an address. One that is local to a link needs the name of an interface too.
pub(super) fn is_dialled(address: &IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !address.is_loopback() && !address.is_unspecified() && !is_link_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_another_machine_can_dial_are_listed() {
        let cases = [
            ("192.168.1.10", true),
            ("2001:db8::1", true),
            ("fd00::1", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("169.254.3.4", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
        ];
        for (address, expected) in cases {
            assert_eq!(is_dialled(&address.parse().unwrap()), expected, "{address}");
        }
        assert!(addresses().iter().all(|address| is_dialled(&address.parse().unwrap())));
    }
}
