//! AWS's table of ports and ALPN protocols, and what a domain configuration says instead: which protocol is spoken on a
//! connection, and how its client authenticates.
//!
//! Source: AWS IoT Core developer guide, `protocols`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A port of AWS IoT Core, which another port of this machine may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// 443: MQTT, WebSocket and HTTPS, distinguished by ALPN.
    P443,
    /// 8883: MQTT with a client certificate.
    P8883,
    /// 8443: HTTPS publish with a client certificate.
    P8443,
}

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT.
    Mqtt,
    /// HTTP/1.1.
    Http(Http),
}

/// What HTTP requests may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    /// An upgrade to WebSocket at `/mqtt`.
    pub websocket: bool,
    /// A publish at `/topics/…`.
    pub publish: bool,
}

/// How a client authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// By an authorizer's function.
    Custom,
    /// By a registered certificate.
    X509,
    /// By a registered certificate, and then by an authorizer's function, which receives the certificate.
    CustomX509,
}

/// `authenticationType` of a domain configuration.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthenticationType {
    /// `DEFAULT`: by port and ALPN.
    Default,
    /// `CUSTOM_AUTH`.
    CustomAuth,
    /// `CUSTOM_AUTH_X509`.
    #[serde(rename = "CUSTOM_AUTH_X509")]
    CustomAuthX509,
    /// `AWS_X509`.
    #[serde(rename = "AWS_X509")]
    AwsX509,
}

/// `applicationProtocol` of a domain configuration.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApplicationProtocol {
    /// `DEFAULT`: by port and ALPN.
    Default,
    /// `SECURE_MQTT`.
    SecureMqtt,
    /// `MQTT_WSS`.
    MqttWss,
    /// `HTTPS`.
    Https,
}

/// The authentication type and the application protocol of a domain configuration: one of the pairs that AWS accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    kind: Kind,
    authentication: AuthenticationType,
    protocol: ApplicationProtocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ByTable,
    Fixed(Protocol, Authentication),
}

/// A pair that AWS does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`authentication_type` {0} does not go with `application_protocol` {1}: CUSTOM_AUTH goes with SECURE_MQTT, MQTT_WSS \
     and HTTPS, AWS_X509 and CUSTOM_AUTH_X509 with SECURE_MQTT and HTTPS, DEFAULT with DEFAULT"
)]
pub struct UnsupportedPair(pub AuthenticationType, pub ApplicationProtocol);

/// The protocol and the authentication of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The protocol.
    pub protocol: Protocol,
    /// How the client authenticates.
    pub authentication: Authentication,
    /// The ALPN protocol that the server answers with.
    pub alpn: Option<&'static str>,
}

/// MQTT with custom authentication.
pub const MQTT: &str = "mqtt";
/// MQTT with a client certificate.
pub const MQTT_CA: &str = "x-amzn-mqtt-ca";
/// HTTP; a client may also leave ALPN out.
pub const HTTP: &str = "http/1.1";
/// HTTPS publish with a client certificate.
pub const HTTP_CA: &str = "x-amzn-http-ca";
/// Every ALPN protocol of AWS.
pub const PROTOCOLS: [&str; 4] = [MQTT, MQTT_CA, HTTP, HTTP_CA];

const WEBSOCKET: Protocol = Protocol::Http(Http { websocket: true, publish: false });
const PUBLISH: Protocol = Protocol::Http(Http { websocket: false, publish: true });
const WEBSOCKET_OR_PUBLISH: Protocol = Protocol::Http(Http { websocket: true, publish: true });

/// AWS's table. Of several protocols that a client offers, the first in it counts *(guess: of several ALPN protocols)*.
const TABLE: [(Port, Option<&str>, Protocol, Authentication); 9] = [
    (Port::P443, Some(MQTT), Protocol::Mqtt, Authentication::Custom),
    (Port::P443, Some(MQTT_CA), Protocol::Mqtt, Authentication::X509),
    (Port::P443, Some(HTTP), WEBSOCKET_OR_PUBLISH, Authentication::Custom),
    (Port::P443, None, WEBSOCKET_OR_PUBLISH, Authentication::Custom),
    (Port::P443, Some(HTTP_CA), PUBLISH, Authentication::X509),
    (Port::P8883, None, Protocol::Mqtt, Authentication::X509),
    // Not in AWS's table, but its SDKs offer it by default, and connect.
    (Port::P8883, Some(MQTT_CA), Protocol::Mqtt, Authentication::X509),
    (Port::P8443, None, PUBLISH, Authentication::X509),
    // Not in AWS's table, but `curl` offers it, and connects (measured: `docs/fidelity.md`).
    (Port::P8443, Some(HTTP), PUBLISH, Authentication::X509),
];

impl Port {
    /// Every port.
    pub const ALL: [Self; 3] = [Self::P443, Self::P8883, Self::P8443];

    /// The number that AWS gives it.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::P443 => 443,
            Self::P8883 => 8883,
            Self::P8443 => 8443,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

impl Access {
    /// By port and ALPN, as in AWS's table: `DEFAULT` with `DEFAULT`.
    pub const BY_TABLE: Self = Self {
        kind: Kind::ByTable,
        authentication: AuthenticationType::Default,
        protocol: ApplicationProtocol::Default,
    };

    /// The access of this pair.
    ///
    /// # Errors
    ///
    /// When AWS does not accept the pair.
    pub fn new(
        authentication: AuthenticationType,
        protocol: ApplicationProtocol,
    ) -> Result<Self, UnsupportedPair> {
        let authenticates = match authentication {
            AuthenticationType::Default => None,
            AuthenticationType::CustomAuth => Some(Authentication::Custom),
            AuthenticationType::CustomAuthX509 => Some(Authentication::CustomX509),
            AuthenticationType::AwsX509 => Some(Authentication::X509),
        };
        let spoken = match protocol {
            ApplicationProtocol::Default => None,
            ApplicationProtocol::SecureMqtt => Some(Protocol::Mqtt),
            ApplicationProtocol::MqttWss => Some(WEBSOCKET),
            ApplicationProtocol::Https => Some(PUBLISH),
        };
        let kind = match (spoken, authenticates) {
            (None, None) => Kind::ByTable,
            (Some(spoken), Some(Authentication::Custom)) => Kind::Fixed(spoken, Authentication::Custom),
            (Some(spoken), Some(authenticates)) if spoken != WEBSOCKET => Kind::Fixed(spoken, authenticates),
            _ => return Err(UnsupportedPair(authentication, protocol)),
        };
        Ok(Self { kind, authentication, protocol })
    }

    /// The pair that it is of.
    #[must_use]
    pub fn pair(self) -> (AuthenticationType, ApplicationProtocol) {
        (self.authentication, self.protocol)
    }

    /// The route of a connection to `port` that offers these ALPN protocols; `None` if it is refused.
    #[must_use]
    pub fn route(self, port: Port, offered: &[String]) -> Option<Route> {
        match self.kind {
            Kind::ByTable => TABLE
                .into_iter()
                .filter(|(of, ..)| *of == port)
                .find(|(_, alpn, ..)| matches(*alpn, offered))
                .map(|(_, alpn, protocol, authentication)| Route { protocol, authentication, alpn }),
            Kind::Fixed(protocol, authentication) => fixed(protocol, authentication, port, offered),
        }
    }
}

/// The route of a domain configuration that sets both. It needs no ALPN *(guess: a client without ALPN on a domain)*. A
/// client that offers ALPN has to offer a protocol of this kind *(guess: ALPN of another door on such a domain)*, because
/// its SDK means another route otherwise. It is not on every port *(guess: a domain with a fixed protocol)*.
fn fixed(
    protocol: Protocol,
    authentication: Authentication,
    port: Port,
    offered: &[String],
) -> Option<Route> {
    let (ports, own): (&[Port], &[&'static str]) = match protocol {
        Protocol::Mqtt => (&[Port::P443, Port::P8883], &[MQTT, MQTT_CA]),
        WEBSOCKET => (&[Port::P443], &[HTTP]),
        Protocol::Http(_) => (&[Port::P443, Port::P8443], &[HTTP, HTTP_CA]),
    };
    let fits = |alpn: &str| match authentication {
        Authentication::Custom => alpn != MQTT_CA && alpn != HTTP_CA,
        Authentication::X509 => alpn != MQTT,
        Authentication::CustomX509 => true,
    };
    let known = own.iter().copied().filter(|alpn| fits(alpn)).map(Some);
    let alpn = known.chain([None]).find(|alpn| matches(*alpn, offered))?;
    ports.contains(&port).then_some(Route { protocol, authentication, alpn })
}

fn matches(alpn: Option<&str>, offered: &[String]) -> bool {
    alpn.map_or(offered.is_empty(), |alpn| offered.iter().any(|protocol| protocol == alpn))
}

impl Authentication {
    /// AWS's name for it in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Custom => "CUSTOM_AUTH",
            Self::X509 => "AWS_X509",
            Self::CustomX509 => "CUSTOM_AUTH_X509",
        }
    }

    /// Whether the client needs a certificate.
    #[must_use]
    pub fn needs_certificate(self) -> bool {
        self != Self::Custom
    }
}

impl fmt::Display for AuthenticationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "DEFAULT",
            Self::CustomAuth => "CUSTOM_AUTH",
            Self::CustomAuthX509 => "CUSTOM_AUTH_X509",
            Self::AwsX509 => "AWS_X509",
        })
    }
}

impl fmt::Display for ApplicationProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "DEFAULT",
            Self::SecureMqtt => "SECURE_MQTT",
            Self::MqttWss => "MQTT_WSS",
            Self::Https => "HTTPS",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// AWS's whole table: everything else is refused.
    #[test]
    fn default_access_is_awss_table() {
        use Authentication::{Custom, X509};
        let taken = [
            (Port::P443, "mqtt", Protocol::Mqtt, Custom),
            (Port::P443, "x-amzn-mqtt-ca", Protocol::Mqtt, X509),
            (Port::P443, "http/1.1", WEBSOCKET_OR_PUBLISH, Custom),
            (Port::P443, "", WEBSOCKET_OR_PUBLISH, Custom),
            (Port::P443, "x-amzn-http-ca", PUBLISH, X509),
            (Port::P8883, "", Protocol::Mqtt, X509),
            (Port::P8883, "x-amzn-mqtt-ca", Protocol::Mqtt, X509),
            (Port::P8443, "", PUBLISH, X509),
            (Port::P8443, "http/1.1", PUBLISH, X509),
        ];
        for port in Port::ALL {
            for alpn in ["", "mqtt", "x-amzn-mqtt-ca", "http/1.1", "x-amzn-http-ca", "h2", "MQTT"] {
                let names = if alpn.is_empty() { vec![] } else { vec![alpn.to_owned()] };
                let route = Access::BY_TABLE.route(port, &names);
                let expected = taken.iter().find(|(of, name, ..)| (*of, *name) == (port, alpn));
                assert_eq!(
                    route.map(|route| (route.protocol, route.authentication)),
                    expected.map(|(.., protocol, authentication)| (*protocol, *authentication)),
                    "{port} {alpn:?}"
                );
                assert_eq!(
                    route.and_then(|route| route.alpn),
                    expected.and_then(|(_, name, ..)| (!name.is_empty()).then_some(*name))
                );
            }
        }
    }

    #[test]
    fn first_offered_protocol_of_the_table_counts() {
        for (names, alpn) in [
            (&["x-amzn-mqtt-ca", "http/1.1", "mqtt"][..], Some("mqtt")),
            (&["h2", "http/1.1"], Some("http/1.1")),
            (&["h2", "x"], None),
        ] {
            let route = Access::BY_TABLE.route(Port::P443, &offered(names));
            assert_eq!(route.and_then(|route| route.alpn), alpn, "{names:?}");
        }
    }

    #[test]
    fn pair_that_aws_does_not_accept_is_an_error() {
        use ApplicationProtocol::{Default as AnyProtocol, Https, MqttWss, SecureMqtt};
        use AuthenticationType::{AwsX509, CustomAuth, CustomAuthX509, Default as AnyAuthentication};
        let pairs = [
            (AnyAuthentication, AnyProtocol),
            (CustomAuth, SecureMqtt),
            (CustomAuth, MqttWss),
            (CustomAuth, Https),
            (AwsX509, SecureMqtt),
            (AwsX509, Https),
            (CustomAuthX509, SecureMqtt),
            (CustomAuthX509, Https),
        ];
        for authentication in [AnyAuthentication, CustomAuth, CustomAuthX509, AwsX509] {
            for protocol in [AnyProtocol, SecureMqtt, MqttWss, Https] {
                let taken = Access::new(authentication, protocol).is_ok();
                assert_eq!(taken, pairs.contains(&(authentication, protocol)), "{authentication} {protocol}");
            }
        }
    }

    #[test]
    fn fixed_domain_needs_no_alpn_and_accepts_only_its_own() {
        use ApplicationProtocol::{Https, MqttWss, SecureMqtt};
        use AuthenticationType::{AwsX509, CustomAuth, CustomAuthX509};
        let cases: [(_, _, &[Port], &[&str]); 7] = [
            (CustomAuth, SecureMqtt, &[Port::P443, Port::P8883], &["", "mqtt"]),
            (CustomAuth, MqttWss, &[Port::P443], &["", "http/1.1"]),
            (CustomAuth, Https, &[Port::P443, Port::P8443], &["", "http/1.1"]),
            (AwsX509, SecureMqtt, &[Port::P443, Port::P8883], &["", "x-amzn-mqtt-ca"]),
            (AwsX509, Https, &[Port::P443, Port::P8443], &["", "http/1.1", "x-amzn-http-ca"]),
            (CustomAuthX509, SecureMqtt, &[Port::P443, Port::P8883], &["", "mqtt", "x-amzn-mqtt-ca"]),
            (CustomAuthX509, Https, &[Port::P443, Port::P8443], &["", "http/1.1", "x-amzn-http-ca"]),
        ];
        for (authentication, protocol, ports, alpns) in cases {
            let access = Access::new(authentication, protocol).unwrap();
            for port in Port::ALL {
                for alpn in ["", "mqtt", "x-amzn-mqtt-ca", "http/1.1", "x-amzn-http-ca", "h2"] {
                    let names = if alpn.is_empty() { vec![] } else { vec![alpn.to_owned()] };
                    let expected = ports.contains(&port) && alpns.contains(&alpn);
                    let taken = access.route(port, &names).is_some();
                    assert_eq!(taken, expected, "{authentication} {protocol} {port} {alpn:?}");
                }
            }
        }
    }
}
