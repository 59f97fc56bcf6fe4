//! The address and the ALPN protocol of an endpoint, as a user writes them.

use std::fmt;
use std::str::FromStr;

/// `HOST:PORT`: a DNS name or an IP address (version 6 in brackets), and a port from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Where `latchkey local` listens by default.
    #[must_use]
    pub fn local() -> Self {
        Self { host: "localhost".to_owned(), port: 10_443 }
    }

    /// Whether AWS owns the host's name.
    #[must_use]
    pub fn is_awss(&self) -> bool {
        [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|suffix| self.host.ends_with(suffix))
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(error)?;
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match in_brackets {
            Some(host) if host.parse::<std::net::Ipv6Addr>().is_ok() => host,
            None if !host.is_empty() && !host.contains([':', '/', '[', ']', ' ']) => host,
            _ => return Err(error()),
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A text that is not an [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an endpoint: write it as HOST:PORT, like `localhost:10443`")]
pub struct AddressError(String);

/// The application protocols that are offered in the TLS handshake (RFC 7301): `mqtt` by default. With `none`, no protocol
/// is offered; several have commas between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alpn(Vec<String>);

impl Alpn {
    /// No protocol.
    #[must_use]
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// One of AWS's protocols.
    #[must_use]
    pub(super) fn of(protocol: &'static str) -> Self {
        Self(vec![protocol.to_owned()])
    }

    /// The first protocol, if one is offered.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// All protocols that are offered.
    #[must_use]
    pub fn protocols(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

impl Default for Alpn {
    fn default() -> Self {
        Self::of("mqtt")
    }
}

impl FromStr for Alpn {
    type Err = AlpnError;

    fn from_str(text: &str) -> Result<Self, AlpnError> {
        if text == "none" {
            return Ok(Self::none());
        }
        let protocols = text.split(',').map(str::to_owned).collect::<Vec<_>>();
        if protocols.iter().all(|protocol| (1..=255).contains(&protocol.len())) {
            Ok(Self(protocols))
        } else {
            Err(AlpnError)
        }
    }
}

impl fmt::Display for Alpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { f.write_str(&self.0.join(",")) }
    }
}

/// A text that is not an [`Alpn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an ALPN protocol has 1 to 255 bytes: pass `mqtt`, or `none` for none")]
pub struct AlpnError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_accepted_or_refused() {
        let accepted = [
            ("localhost:10443", "localhost", 10_443),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:443", "::1", 443),
            ("x-ats.iot.eu-west-1.amazonaws.com:443", "x-ats.iot.eu-west-1.amazonaws.com", 443),
        ];
        for (text, host, port) in accepted {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, port));
            assert_eq!(address.to_string(), text);
        }
        for text in
            ["", "localhost", ":443", "localhost:", "localhost:0", "localhost:65536", "::1:443", "[x]:1"]
        {
            assert_eq!(text.parse::<Address>(), Err(AddressError(text.to_owned())), "{text}");
        }
        assert!("mqtts://localhost:443".parse::<Address>().is_err());
    }

    #[test]
    fn alpn_can_be_left_out() {
        assert_eq!(Alpn::default().protocol(), Some("mqtt"));
        assert_eq!("none".parse::<Alpn>().unwrap().protocol(), None);
        assert_eq!("x-amzn-mqtt-ca".parse::<Alpn>().unwrap().to_string(), "x-amzn-mqtt-ca");
        let several = "mqtt,http/1.1".parse::<Alpn>().unwrap();
        assert_eq!((several.protocol(), several.protocols()), (Some("mqtt"), vec!["mqtt", "http/1.1"]));
        assert_eq!(several.to_string(), "mqtt,http/1.1");
        assert_eq!("mqtt,".parse::<Alpn>(), Err(AlpnError));
        assert_eq!("".parse::<Alpn>(), Err(AlpnError));
        assert_eq!("x".repeat(256).parse::<Alpn>(), Err(AlpnError));
    }
}
