//! The hosts to which plain HTTP may carry a secret or decide about one: this machine only.

use std::net::IpAddr;

/// Whether a URL's host is this machine: `localhost` or a loopback address, an IPv6 address in brackets or not.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localhost_and_loopback_addresses_are_this_machine() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "10.0.0.1",
            "0.0.0.0",
            "[::ffff:10.0.0.1]",
            "[localhost]",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
