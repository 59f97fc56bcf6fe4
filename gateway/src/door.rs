//! The front door: TLS, and by ALPN and SNI whether this connection may come in here.
//!
//! Source: AWS IoT Core developer guide, `protocols`: with custom authentication, MQTT is port 443 with ALPN `mqtt`;
//! MQTT over WebSocket and HTTPS publish are the same port without ALPN or with `http/1.1`. A connection that does
//! not match is ended with the TLS alert that names the cause.

use std::{fmt, io, sync::Arc};

use rustls::{ServerConfig, server::Acceptor};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

/// The ALPN protocol for MQTT with custom authentication.
pub const MQTT: &str = "mqtt";
/// The ALPN protocol for HTTP, which a client may also leave out.
pub const HTTP: &str = "http/1.1";
/// What a client may offer. Of several that it offers, the first of these is taken.
pub const PROTOCOLS: [&str; 2] = [MQTT, HTTP];

/// A door on one port.
pub struct Door {
    config: Arc<ServerConfig>,
    /// The host names that the certificate holds; a client that names another one is refused.
    server_names: Vec<String>,
}

/// A connection that came in.
pub struct Entered {
    /// The connection, encrypted.
    pub stream: TlsStream<TcpStream>,
    /// The server name that the client asked for (SNI), if it did.
    pub server_name: Option<String>,
    /// What is spoken on it.
    pub protocol: Protocol,
}

/// What a client speaks, as the handshake has settled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT.
    Mqtt,
    /// HTTP/1.1: MQTT over WebSocket, or HTTPS publish.
    Http,
}

/// Why a connection did not come in.
#[derive(Debug)]
pub enum Refusal {
    /// It offered ALPN protocols, and none that this door knows.
    Alpn {
        /// What it offered, for the log.
        offered: Vec<String>,
    },
    /// It asked for a server name that is not ours.
    ServerName,
    /// The handshake failed.
    Tls(io::Error),
}

/// How many of the offered protocols, and how much of each, goes into the log.
const SHOWN_PROTOCOLS: usize = 4;
const SHOWN_BYTES: usize = 32;
/// TLS alert descriptions (RFC 8446 section 6, RFC 7301 section 3.2, RFC 6066 section 3).
const NO_APPLICATION_PROTOCOL: u8 = 120;
const UNRECOGNIZED_NAME: u8 = 112;

impl Door {
    /// A door with this certificate. `server_names` without regard to case.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>, server_names: &[String]) -> Self {
        Self { config, server_names: server_names.iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Does the handshake, unless the `ClientHello` already shows that it is in vain.
    ///
    /// # Errors
    ///
    /// Why the connection was refused; the client was told by a TLS alert.
    pub async fn enter(&self, stream: TcpStream) -> Result<Entered, Refusal> {
        let handshake = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(Refusal::Tls)?;
        let hello = handshake.client_hello();
        let server_name = hello.server_name().map(str::to_ascii_lowercase);
        let offered = hello.alpn().into_iter().flatten().map(shown).collect::<Vec<_>>();
        if let Some((refusal, alert)) = self.refusal(server_name.as_deref(), offered) {
            send_alert(handshake.io, alert).await;
            return Err(refusal);
        }
        let stream = handshake.into_stream(Arc::clone(&self.config)).await.map_err(Refusal::Tls)?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(protocol) if protocol == MQTT.as_bytes() => Protocol::Mqtt,
            _ => Protocol::Http,
        };
        Ok(Entered { stream, server_name, protocol })
    }

    /// A client may leave out SNI, as one that dials an address does; a name must be ours.
    fn refusal(&self, server_name: Option<&str>, offered: Vec<String>) -> Option<(Refusal, u8)> {
        if server_name.is_some_and(|name| !self.server_names.iter().any(|known| known == name)) {
            return Some((Refusal::ServerName, UNRECOGNIZED_NAME));
        }
        if !offered.is_empty() && !offered.iter().any(|protocol| PROTOCOLS.contains(&protocol.as_str())) {
            return Some((Refusal::Alpn { offered }, NO_APPLICATION_PROTOCOL));
        }
        None
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

impl Refusal {
    /// AWS's name for it in the log: `Connection.AuthNError` has one for SNI only.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Alpn { .. } => "ALPN_NOT_SUPPORTED",
            Self::ServerName => "SNI_MISUSED",
            Self::Tls(_) => "TLS_HANDSHAKE_FAILED",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alpn { offered } => {
                let (shown, more) = offered.split_at(offered.len().min(SHOWN_PROTOCOLS));
                let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
                write!(
                    f,
                    "the client offered ALPN {shown:?}{more}; this port takes `{MQTT}`, and for WebSocket and HTTPS \
                     `{HTTP}` or none"
                )
            }
            Self::ServerName => f.write_str(
                "the client asked for a server name (SNI) that this gateway doesn't have; add it with `--name`",
            ),
            Self::Tls(error) => f.write_str(&describe(error)),
        }
    }
}

/// What people get wrong most often, in words that name the cure.
fn describe(error: &io::Error) -> String {
    use rustls::{AlertDescription, Error, InvalidMessage};
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the client spoke without TLS; this port takes TLS only (`mqtts://`)".to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::UnknownCA)) => {
            "the client does not trust the server's certificate (unknown_ca): give it this gateway's ca.pem"
                .to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::CertificateExpired)) => {
            "the client holds the certificate for expired: its clock is wrong".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(server_name: Option<&str>, offered: &[&str]) -> Option<&'static str> {
        let authority = crate::certificate::Authority::open(tempfile::tempdir().unwrap().path()).unwrap();
        let names = ["localhost".to_owned()];
        let door = Door::new(authority.server_config(&names, &PROTOCOLS).unwrap(), &names);
        let offered = offered.iter().map(|&name| name.to_owned()).collect();
        door.refusal(server_name, offered).map(|(refusal, _)| refusal.reason())
    }

    #[test]
    fn the_hello_decides() {
        let cases: [(Option<&str>, &[&str], Option<&str>); 10] = [
            (Some("localhost"), &["mqtt"], None),
            (Some("localhost"), &["http/1.1", "mqtt"], None),
            (None, &["mqtt"], None),
            (Some("localhost"), &[], None),
            (Some("localhost"), &["http/1.1"], None),
            (Some("localhost"), &["h2", "http/1.1"], None),
            (Some("localhost"), &["h2"], Some("ALPN_NOT_SUPPORTED")),
            (Some("localhost"), &["MQTT"], Some("ALPN_NOT_SUPPORTED")),
            (Some("localhost"), &["x-amzn-mqtt-ca"], Some("ALPN_NOT_SUPPORTED")),
            (Some("example.com"), &["mqtt"], Some("SNI_MISUSED")),
        ];
        for (server_name, offered, expected) in cases {
            assert_eq!(reason(server_name, offered), expected, "{server_name:?} {offered:?}");
        }
    }
}
