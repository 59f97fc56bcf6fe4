//! The way to a connection: TCP, a proxy, TLS, a WebSocket, CONNECT.

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use mqtt::wire::dial::{DialError, dial};
use mqtt::wire::stream::{Stream, UpgradeError, WebSocket};
use mqtt::wire::{ReceiveError, SendError, Wire};
use mqtt::{Codec, ConnAck, Connect, ConnectReasonCode, DecodeError, Packet};
use rustls::{AlertDescription, CertificateError};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

use super::Options;
use super::error::{ConnectError, Step, TlsError};
use crate::doctor::bridge::Side;
use crate::endpoint::{Endpoint, ParameterPlace, Transport};
use crate::login::Login;

/// Connects, and returns the wire with the CONNACK that accepted it.
pub(super) async fn connect(
    endpoint: &Endpoint,
    login: &Login,
    options: &Options,
) -> Result<(Box<Wire>, Box<ConnAck>), ConnectError> {
    let limit = Limit::begin(options.time_limit);
    let tcp = limit.within(Step::Tcp, tcp(endpoint)).await?;
    let has_request = endpoint.transport() == Transport::WebSocket;
    let (user_name, parameters) = match endpoint.parameters() {
        ParameterPlace::Query | ParameterPlace::Headers if has_request => login.without_parameters(),
        _ => (login.user_name.as_str(), Vec::new()),
    };
    let stream = match endpoint.transport() {
        Transport::Tcp => Stream::Tcp(tcp),
        Transport::Mqtt | Transport::Https => limit.within(Step::Tls, tls(endpoint, tcp)).await?.into(),
        Transport::WebSocket => {
            let tls = limit.within(Step::Tls, tls(endpoint, tcp)).await?;
            // In a box of its own, so that the other ways in do not keep the room for it.
            let upgraded = Box::pin(upgrade(endpoint, tls, parameters));
            limit.within(Step::WebSocket, upgraded).await?.into()
        }
    };
    // Boxed once, because it is moved often from here on, and a future keeps room for every move.
    let codec = Codec::client(options.version, MAX_PACKET);
    let wire = Box::new(Wire::new(stream, codec, READ_SIZE));
    let packet = connect_packet(login, user_name, options);
    limit.within(Step::Connack, shake_hands(wire, endpoint, packet)).await
}

/// The largest packet that is accepted: what AWS IoT Core sends at most (AWS General Reference, "AWS IoT Core
/// endpoints and quotas").
const MAX_PACKET: u32 = 149_504;
/// Acknowledgements and pings are a few bytes.
const READ_SIZE: usize = 256;

/// The time limit of a whole connect.
pub(super) struct Limit {
    after: Duration,
    at: Instant,
}

impl Limit {
    pub(super) fn begin(after: Duration) -> Self {
        Self { after, at: Instant::now() + after }
    }

    pub(super) async fn within<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let late = ConnectError::Timeout { step, after: self.after };
        timeout_at(self.at, work).await.unwrap_or(Err(late))
    }
}

/// TCP, through the proxy if there is one.
pub(super) async fn tcp(endpoint: &Endpoint) -> Result<TcpStream, ConnectError> {
    let address = endpoint.address();
    dial(address.host(), address.port(), endpoint.proxy()).await.map_err(|error| match error {
        DialError::NameNotFound { host, source } => ConnectError::NameNotFound { host, source },
        DialError::Tcp { address, source } => ConnectError::Tcp { address, source },
        DialError::Proxy { proxy, error } => ConnectError::Proxy { proxy, error },
    })
}

/// The TLS session.
pub(super) async fn tls(endpoint: &Endpoint, tcp: TcpStream) -> Result<TlsStream<TcpStream>, ConnectError> {
    let (connector, name) = endpoint.tls();
    connector.connect(name, tcp).await.map_err(|error| tls_error(error, endpoint).into())
}

async fn upgrade(
    endpoint: &Endpoint,
    tls: TlsStream<TcpStream>,
    parameters: Vec<(String, String)>,
) -> Result<WebSocket, ConnectError> {
    let (target, headers) = match endpoint.parameters() {
        ParameterPlace::Headers => (PATH.to_owned(), parameters),
        _ => (crate::login::with_query(PATH, &parameters), Vec::new()),
    };
    let upgraded = WebSocket::upgrade(tls, &endpoint.authority(), &target, &headers).await;
    upgraded.map_err(|error| match error {
        UpgradeError::Io(error) => match lost(error, endpoint) {
            ConnectError::ClosedBeforeConnAck => ConnectError::Tls(TlsError::Closed),
            other => other,
        },
        other => ConnectError::WebSocket(other),
    })
}

/// Where AWS IoT Core serves MQTT over WebSocket (AWS IoT Core developer guide, "Device communication protocols").
const PATH: &str = "/mqtt";

async fn shake_hands(
    mut wire: Box<Wire>,
    endpoint: &Endpoint,
    connect: Connect,
) -> Result<(Box<Wire>, Box<ConnAck>), ConnectError> {
    match wire.send_secret(Packet::Connect(Box::new(connect))).await {
        Ok(()) => {}
        Err(SendError::Encode(error)) => return Err(ConnectError::Unsendable(error)),
        Err(SendError::Io(error)) => return Err(lost(error, endpoint)),
    }
    match wire.next().await {
        Ok(Some(Packet::ConnAck(answer))) if answer.code == ConnectReasonCode::Success => Ok((wire, answer)),
        Ok(Some(Packet::ConnAck(answer))) => {
            let bridge = Side::of(&answer.properties);
            Err(ConnectError::Refused { code: answer.code, reason: answer.properties.reason_string, bridge })
        }
        // AUTH, which is not asked for.
        Ok(Some(_)) => Err(ConnectError::Protocol(DecodeError::NotConnAck)),
        Ok(None) => Err(ConnectError::ClosedBeforeConnAck),
        Err(ReceiveError::Io(error)) => Err(lost(error, endpoint)),
        Err(ReceiveError::Decode(error)) => Err(ConnectError::Protocol(error)),
    }
}

/// In TLS 1.3 the client's handshake is over before the server has judged it: its alert comes as the answer to
/// CONNECT.
fn lost(error: io::Error, endpoint: &Endpoint) -> ConnectError {
    match tls_error(error, endpoint) {
        TlsError::Closed | TlsError::Io(_) => ConnectError::ClosedBeforeConnAck,
        error => error.into(),
    }
}

fn connect_packet(login: &Login, user_name: &str, options: &Options) -> Connect {
    let mut connect = Connect::new(options.version, login.client_id.as_str());
    connect.clean_start = options.clean_start;
    connect.keep_alive = options.keep_alive;
    connect.username = (!user_name.is_empty()).then(|| user_name.into());
    connect.password = (!login.password.expose().is_empty()).then(|| login.password.to_bytes());
    connect.properties.maximum_packet_size = NonZeroU32::new(MAX_PACKET);
    connect.properties.session_expiry_interval = options.session_expiry;
    connect.last_will.clone_from(&options.last_will);
    connect
}

/// Why there is no TLS session with an endpoint, from the error of the connection.
#[must_use]
pub fn tls_error(error: io::Error, endpoint: &Endpoint) -> TlsError {
    use io::ErrorKind as Kind;
    let kind = error.kind();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (inner, kind) {
        (Some(inner), _) => refused(inner, endpoint),
        (None, Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe) => {
            TlsError::Closed
        }
        (None, _) => TlsError::Io(error),
    }
}

fn refused(error: &rustls::Error, endpoint: &Endpoint) -> TlsError {
    use CertificateError as Certificate;
    use rustls::Error::{AlertReceived, InvalidCertificate};
    match error {
        InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            TlsError::UnknownCa(endpoint.ca().map(std::path::Path::to_owned))
        }
        InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            TlsError::WrongName(endpoint.server_name())
        }
        InvalidCertificate(
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. },
        ) => TlsError::WrongTime,
        AlertReceived(AlertDescription::NoApplicationProtocol) => {
            TlsError::AlpnRefused(endpoint.alpn().to_string())
        }
        AlertReceived(AlertDescription::UnrecognisedName) => TlsError::NameRefused(endpoint.server_name()),
        other => TlsError::Other(other.clone()),
    }
}
