//! What packets travel in, and where the authorizer's parameters go, as a user names them.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Address, Alpn};

/// What packets travel in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Transport {
    /// MQTT over TLS
    #[default]
    Mqtt,
    /// MQTT in a WebSocket over TLS
    #[value(name = "websocket")]
    WebSocket,
    /// One HTTPS request for each message: nothing can be received
    Https,
    /// MQTT over TCP without TLS, which AWS IoT Core does not accept
    Tcp,
}

/// Where the authorizer's name, the token and its signature are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ParameterPlace {
    /// After the `?` of the MQTT user name; over HTTPS in the query string
    #[default]
    UserName,
    /// In the query string of the HTTP request
    Query,
    /// In headers of the HTTP request
    Headers,
}

/// The files of a device's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those of its issuers if the server does not have them, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// The ports of AWS IoT Core, and of the gateway, that serve HTTPS with client certificates and nothing else.
const HTTPS_PORTS: [u16; 2] = [8_443, 18_443];

impl Transport {
    /// The ALPN protocol that the door for this transport expects (AWS IoT Core developer guide, "Device communication
    /// protocols").
    #[must_use]
    pub fn alpn(self, has_certificate: bool, address: &Address) -> Alpn {
        let protocol = match (self, has_certificate) {
            (Self::Mqtt, false) => "mqtt",
            (Self::Mqtt, true) => "x-amzn-mqtt-ca",
            (Self::Https, true) if !HTTPS_PORTS.contains(&address.port()) => "x-amzn-http-ca",
            (Self::WebSocket | Self::Https, _) => "http/1.1",
            (Self::Tcp, _) => return Alpn::none(),
        };
        Alpn::of(protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_door_gets_its_protocol() {
        let cases = [
            (Transport::Mqtt, false, 443, "mqtt"),
            (Transport::Mqtt, true, 8_883, "x-amzn-mqtt-ca"),
            (Transport::Mqtt, true, 443, "x-amzn-mqtt-ca"),
            (Transport::WebSocket, false, 443, "http/1.1"),
            (Transport::Https, false, 443, "http/1.1"),
            (Transport::Https, true, 443, "x-amzn-http-ca"),
            (Transport::Https, true, 10_443, "x-amzn-http-ca"),
            (Transport::Https, true, 8_443, "http/1.1"),
            (Transport::Https, true, 18_443, "http/1.1"),
            (Transport::Tcp, false, 1_883, "none"),
        ];
        for (transport, has_certificate, port, alpn) in cases {
            let address = format!("localhost:{port}").parse().unwrap();
            assert_eq!(transport.alpn(has_certificate, &address).to_string(), alpn, "{transport:?} {port}");
        }
    }
}
