//! The front doors: TLS, and by port, ALPN and SNI whether a connection may come in, and what awaits it.
//!
//! Source: AWS IoT Core developer guide, `protocols`. A connection that does not match is ended with the TLS alert that
//! names the cause.

pub mod client_certificate;
pub mod domain;
pub mod handshake_error;
pub mod route;
pub mod tls;

use std::sync::Arc;

use rustls::server::Acceptor;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use self::{
    client_certificate::ClientCertificateError,
    domain::{Domain, Domains},
    handshake_error::HandshakeError,
    route::{Authentication, Port, Protocol, Route},
};
use crate::registry::{Certificate, CertificateId, Registry};

/// All doors of a gateway.
pub struct Doors {
    domains: Domains,
    registry: Arc<dyn Registry>,
}

/// A connection that came in.
pub struct AcceptedConnection {
    /// The connection, encrypted.
    pub stream: TlsStream<TcpStream>,
    /// How it came in.
    pub info: ConnectionInfo,
}

/// How a connection came in.
#[derive(Clone)]
pub struct ConnectionInfo {
    /// The server name that the client asked for (SNI), if it did.
    pub server_name: Option<String>,
    /// The domain configuration that holds for it.
    pub domain: Arc<Domain>,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// How the client shows who it is.
    pub identification: Identification,
}

/// How a client shows who it is, and with which certificate, whose key it has.
#[derive(Clone)]
pub enum Identification {
    /// To an authorizer's function.
    Custom,
    /// By this certificate.
    X509(Arc<Certificate>),
    /// By this certificate, and then to an authorizer's function.
    CustomX509(Arc<Certificate>),
}

/// How much of an offered protocol goes into the log.
const SHOWN_BYTES: usize = 32;
/// TLS alert descriptions (RFC 8446 section 6, RFC 7301 section 3.2, RFC 6066 section 3).
const NO_APPLICATION_PROTOCOL: u8 = 120;
const UNRECOGNIZED_NAME: u8 = 112;

impl Doors {
    /// The doors of these domain configurations, for these certificates.
    #[must_use]
    pub fn new(domains: Domains, registry: Arc<dyn Registry>) -> Self {
        Self { domains, registry }
    }

    /// Does the handshake, unless the `ClientHello` already shows that it is in vain.
    ///
    /// # Errors
    ///
    /// Why the connection was refused; the client was told by a TLS alert.
    pub async fn enter(&self, port: Port, stream: TcpStream) -> Result<AcceptedConnection, HandshakeError> {
        let handshake = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = handshake.client_hello();
        let server_name = hello.server_name().map(str::to_ascii_lowercase);
        let offered = hello.alpn().into_iter().flatten().map(shown).collect::<Vec<_>>();
        let (domain, route) = match self.find(port, server_name.as_deref(), offered) {
            Ok(found) => found,
            Err((refusal, alert)) => {
                send_alert(handshake.io, alert).await;
                return Err(refusal);
            }
        };
        let config = domain.tls.config(route).ok_or_else(|| std::io::Error::other("no TLS configuration"))?;
        let stream = handshake.into_stream(config).await?;
        let identification = self.identify(&stream, route.authentication)?;
        let info = ConnectionInfo { server_name, domain, protocol: route.protocol, identification };
        Ok(AcceptedConnection { stream, info })
    }

    /// A client may leave out SNI, as one that dials an address does; a name must be ours.
    fn find(
        &self,
        port: Port,
        server_name: Option<&str>,
        offered: Vec<String>,
    ) -> Result<(Arc<Domain>, Route), (HandshakeError, u8)> {
        let domain = self.domains.find(server_name).ok_or((HandshakeError::ServerName, UNRECOGNIZED_NAME))?;
        if let Some(route) = domain.access.route(port, &offered) {
            return Ok((Arc::clone(domain), route));
        }
        let taken = domain.access.taken(port).collect();
        Err((HandshakeError::Alpn { port, offered, taken }, NO_APPLICATION_PROTOCOL))
    }

    /// The registry is asked again: the handshake only proved that the client has the key of this certificate.
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

impl ConnectionInfo {
    /// The certificate whose key the client has shown.
    #[must_use]
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        match &self.identification {
            Identification::Custom => None,
            Identification::X509(certificate) | Identification::CustomX509(certificate) => Some(certificate),
        }
    }
}

/// A protocol's name as far as it may go into the log; a longer one is none that is known.
fn shown(protocol: &[u8]) -> String {
    protocol.iter().take(SHOWN_BYTES).map(|byte| byte.escape_ascii().to_string()).collect()
}

/// A fatal alert before any key was agreed on is plain: type 21, version 3.3, two bytes. The connection ends
/// either way, so that it could not be sent changes nothing.
async fn send_alert(mut stream: TcpStream, description: u8) {
    const FATAL: u8 = 2;
    _ = stream.write_all(&[21, 3, 3, 0, 2, FATAL, description]).await;
    _ = stream.shutdown().await;
}
