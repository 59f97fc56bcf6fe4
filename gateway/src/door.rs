//! The doors of the gateway: the TLS handshake. Port, ALPN and SNI decide whether a connection is accepted, which protocol
//! it has and how its client authenticates. A refused connection gets the TLS alert that names the cause.
//!
//! Source: AWS IoT Core developer guide, `protocols`.

pub mod client_certificate;
pub mod definition;
pub mod domain;
pub mod handshake_error;
pub mod route;
pub mod tls;

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::Acceptor;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server::TlsStream};

use self::{
    client_certificate::ClientCertificateError,
    definition::DomainDefinition,
    domain::{Domain, DomainStatus, Domains},
    handshake_error::{FailedHandshake, HandshakeError},
    route::{Access, Authentication, MQTT, PROTOCOLS, Port, Protocol, Route},
};
use crate::{
    certificate::Authority,
    registry::{Certificate, CertificateId, Registry},
};

/// What a client needs for a handshake where AWS's pages disagree: each setting chooses the stricter page.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct DoorRequirements {
    /// A client that sends no server name (SNI) is refused, as page `mqtt` of the developer guide has it. Page
    /// `transport-security` only recommends SNI.
    pub require_server_name: bool,
    /// MQTT with custom authentication needs port 443 and ALPN `mqtt` on every domain configuration, as page `custom-auth`
    /// has it. By page `protocols`, that table is for domain configurations that fix nothing.
    pub require_alpn: bool,
}

/// The doors of a gateway. API calls change its domain configurations while clients connect: a handshake is served by those that
/// there were when it began.
pub struct Doors {
    domains: RwLock<Arc<Domains>>,
    /// Held by one change from its checks until it is in force.
    changes: tokio::sync::Mutex<()>,
    requirements: DoorRequirements,
    registry: Arc<dyn Registry>,
    authority: Arc<Authority>,
}

/// A connection after its TLS handshake.
pub struct AcceptedConnection {
    /// The encrypted connection.
    pub stream: TlsStream<TcpStream>,
    /// What the handshake decided.
    pub info: ConnectionInfo,
}

/// What the handshake decided about a connection.
#[derive(Clone)]
pub struct ConnectionInfo {
    /// The port of AWS's that it came to.
    pub port: Port,
    /// The version of TLS, such as `TLSv1_3`.
    pub tls: &'static str,
    /// The protocol that ALPN agreed on, if any.
    pub alpn: Option<String>,
    /// The server name that the client asked for (SNI), if any.
    pub server_name: Option<String>,
    /// Its domain configuration.
    pub domain: Arc<Domain>,
    /// Its protocol.
    pub protocol: Protocol,
    /// How its client authenticates.
    pub identification: Identification,
}

/// How a client authenticates. The handshake has proved that it has the key of its certificate.
#[derive(Clone)]
pub enum Identification {
    /// By an authorizer's function.
    Custom,
    /// By this certificate.
    X509(Arc<Certificate>),
    /// By this certificate, and then by an authorizer's function.
    CustomX509(Arc<Certificate>),
}

/// The longest part of an offered protocol that is logged.
const SHOWN_BYTES: usize = 32;
/// TLS alert descriptions (RFC 8446 section 6, RFC 7301 section 3.2, RFC 6066 section 3).
const NO_APPLICATION_PROTOCOL: u8 = 120;
const UNRECOGNIZED_NAME: u8 = 112;

impl Doors {
    /// The doors of these domain configurations, for these certificates.
    #[must_use]
    pub fn new(
        domains: Domains,
        requirements: DoorRequirements,
        registry: Arc<dyn Registry>,
        authority: Arc<Authority>,
    ) -> Self {
        Self {
            domains: RwLock::new(Arc::new(domains)),
            changes: tokio::sync::Mutex::new(()),
            requirements,
            registry,
            authority,
        }
    }

    /// The domain configurations as they are now.
    #[must_use]
    pub fn domains(&self) -> Arc<Domains> {
        Arc::clone(&self.domains.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a change. The next one begins when this is dropped.
    pub async fn begin_change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changes.lock().await
    }

    /// From now on, handshakes are served by these.
    pub fn replace(&self, domains: Domains) {
        *self.domains.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(domains);
    }

    /// The domain configuration of an API call, with a certificate of the gateway's CA.
    ///
    /// # Errors
    ///
    /// When a certificate can't have its server name, or AWS does not accept its access.
    pub fn issue(&self, name: String, definition: DomainDefinition) -> anyhow::Result<Domain> {
        Domain::of_api(name, definition, &self.authority, &self.registry)
    }

    /// Does the TLS handshake, or refuses the connection after its `ClientHello`.
    ///
    /// # Errors
    ///
    /// When the connection is refused. The client has received a TLS alert.
    pub async fn enter(&self, port: Port, stream: TcpStream) -> Result<AcceptedConnection, FailedHandshake> {
        let handshake =
            LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(HandshakeError::from)?;
        let hello = handshake.client_hello();
        let server_name = hello.server_name().map(str::to_ascii_lowercase);
        let offered = hello.alpn().into_iter().flatten().map(shown).collect::<Vec<_>>();
        let (domain, route) = match self.find(port, server_name.as_deref(), offered) {
            Ok((domain, route)) if domain.definition.status == DomainStatus::Disabled => {
                // *(guess: a disabled domain configuration ends the handshake)*
                send_alert(handshake.io, UNRECOGNIZED_NAME).await;
                let (error, authentication) = (HandshakeError::Disabled, Some(route.authentication));
                return Err(FailedHandshake { error, server_name, authentication });
            }
            Ok(found) => found,
            Err((error, alert)) => {
                send_alert(handshake.io, alert).await;
                return Err(FailedHandshake { error, server_name, authentication: None });
            }
        };
        match self.complete(handshake, &domain, route).await {
            Ok((stream, identification)) => {
                let tls = stream.get_ref().1;
                let version = tls.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
                let alpn = tls.alpn_protocol().map(shown);
                let protocol = route.protocol;
                let info = ConnectionInfo {
                    port,
                    tls: version,
                    alpn,
                    server_name,
                    domain,
                    protocol,
                    identification,
                };
                Ok(AcceptedConnection { stream, info })
            }
            Err(error) => {
                Err(FailedHandshake { error, server_name, authentication: Some(route.authentication) })
            }
        }
    }

    async fn complete(
        &self,
        handshake: StartHandshake<TcpStream>,
        domain: &Domain,
        route: Route,
    ) -> Result<(TlsStream<TcpStream>, Identification), HandshakeError> {
        let config = domain.tls.config(route).ok_or_else(|| std::io::Error::other("no TLS configuration"))?;
        let stream = handshake.into_stream(config).await?;
        let identification = self.identify(&stream, route.authentication)?;
        Ok((stream, identification))
    }

    /// The route of a connection. A client that connects to an address sends no server name.
    fn find(
        &self,
        port: Port,
        server_name: Option<&str>,
        offered: Vec<String>,
    ) -> Result<(Arc<Domain>, Route), (HandshakeError, u8)> {
        if server_name.is_none() && self.requirements.require_server_name {
            // *(guess: a client without SNI)*
            return Err((HandshakeError::NoServerName, UNRECOGNIZED_NAME));
        }
        let domains = self.domains();
        let domain = domains.find(server_name).ok_or((HandshakeError::ServerName, UNRECOGNIZED_NAME))?;
        if let Some(route) = self.route(domain.access, port, &offered) {
            return Ok((Arc::clone(domain), route));
        }
        let all = [None].into_iter().chain(PROTOCOLS.map(Some));
        let accepted = all.filter(|alpn| {
            let offered = alpn.map(str::to_owned).into_iter().collect::<Vec<_>>();
            self.route(domain.access, port, &offered).is_some()
        });
        Err((HandshakeError::Alpn { port, offered, accepted: accepted.collect() }, NO_APPLICATION_PROTOCOL))
    }

    /// The route of a connection, if it meets the requirements too.
    fn route(&self, access: Access, port: Port, offered: &[String]) -> Option<Route> {
        let route = access.route(port, offered)?;
        let is_mqtt_with_custom_auth =
            route.protocol == Protocol::Mqtt && route.authentication == Authentication::Custom;
        let is_met = !self.requirements.require_alpn
            || !is_mqtt_with_custom_auth
            || (port, route.alpn) == (Port::P443, Some(MQTT));
        is_met.then_some(route)
    }

    /// The connection as a request with this `Host` header sees it. A client with custom authentication that sends no SNI has to
    /// name a domain configuration there, whose settings then apply (developer guide, `custom-auth-troubleshooting`). `None` if
    /// it names none, or one that is not for HTTP with custom authentication.
    #[must_use]
    pub fn with_host(&self, info: &ConnectionInfo, host: Option<&str>) -> Option<ConnectionInfo> {
        if info.server_name.is_some() || !matches!(info.identification, Identification::Custom) {
            return Some(info.clone());
        }
        let name = host?.trim_matches(['[', ']']).to_ascii_lowercase();
        let domains = self.domains();
        let domain = domains.find(Some(&name)).filter(|it| it.definition.status == DomainStatus::Enabled)?;
        let domain = Arc::clone(domain);
        // Only port 443 has custom authentication without SNI.
        let route = domain.access.route(Port::P443, &[])?;
        let fits = route.authentication == Authentication::Custom && route.protocol != Protocol::Mqtt;
        fits.then(|| ConnectionInfo { domain, protocol: route.protocol, ..info.clone() })
    }

    /// The handshake only proved that the client has the key of this certificate, so the registry is asked again.
    fn identify(
        &self,
        stream: &TlsStream<TcpStream>,
        authentication: Authentication,
    ) -> Result<Identification, HandshakeError> {
        if !authentication.needs_certificate() {
            return Ok(Identification::Custom);
        }
        let presented = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let id = CertificateId::of(presented.ok_or(HandshakeError::NoCertificate)?);
        let unknown =
            || HandshakeError::Certificate(ClientCertificateError::Unknown(Arc::clone(id.as_str())));
        let certificate = self.registry.certificate(&id).ok_or_else(unknown)?;
        Ok(match authentication {
            Authentication::CustomX509 => Identification::CustomX509(certificate),
            _ => Identification::X509(certificate),
        })
    }
}

impl Identification {
    /// The kind of authentication.
    #[must_use]
    pub fn authentication(&self) -> Authentication {
        match self {
            Self::Custom => Authentication::Custom,
            Self::X509(_) => Authentication::X509,
            Self::CustomX509(_) => Authentication::CustomX509,
        }
    }
}

impl ConnectionInfo {
    /// The client's certificate, whose key it has.
    #[must_use]
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        match &self.identification {
            Identification::Custom => None,
            Identification::X509(certificate) | Identification::CustomX509(certificate) => Some(certificate),
        }
    }
}

/// A protocol's name for the log. Every known name is shorter than the limit.
fn shown(protocol: &[u8]) -> String {
    protocol.iter().take(SHOWN_BYTES).map(|byte| byte.escape_ascii().to_string()).collect()
}

/// Sends a fatal alert before the keys are agreed on, so without encryption: type 21, version 3.3, two bytes. The
/// connection ends even if the alert can't be sent.
async fn send_alert(mut stream: TcpStream, description: u8) {
    const FATAL: u8 = 2;
    _ = stream.write_all(&[21, 3, 3, 0, 2, FATAL, description]).await;
    _ = stream.shutdown().await;
}
