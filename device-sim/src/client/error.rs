//! Why a connection did not come about, or came to its end. No message holds a user name or a password.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cli::output::escaped;
use mqtt::tls_failure::{End, TlsWords};
use mqtt::wire::{ReceiveError, dial::ProxyError, stream::UpgradeError};
use mqtt::{ConnectReasonCode, DecodeError, DisconnectReasonCode, EncodeError, PubAckCode, SubscribeFailure};

use crate::doctor::bridge::Side;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host's name leads to no address.
    #[error("the name `{host}` is not found: {error}; check `--endpoint`", error = detail(source))]
    NameNotFound {
        /// The name.
        host: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The host could not be reached.
    #[error("{}", tcp_message(address, source))]
    Tcp {
        /// Host and port.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The proxy did not open the connection.
    #[error("the proxy `{proxy}` {}: check `--proxy`", escaped(error.to_string()))]
    Proxy {
        /// The proxy.
        proxy: String,
        /// What it did instead.
        error: ProxyError,
    },
    /// There is no TLS session.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no WebSocket.
    #[error("{}", escaped(.0.to_string()))]
    WebSocket(UpgradeError),
    /// The server answered the CONNECT with a refusal.
    #[error("the server refused the connection: {}{}", spoken(*code, u8::from(*code)), Explained(reason))]
    Refused {
        /// Its code; in 3.1.1 the return code's counterpart.
        code: ConnectReasonCode,
        /// Its explanation, which only MQTT 5 has.
        reason: Option<Arc<str>>,
        /// The side that has decided, if the server is a bridge that says so.
        bridge: Option<Side>,
    },
    /// The server closed the connection instead of answering the CONNECT. AWS IoT Core refuses a device with MQTT 3.1.1
    /// so, and sends a code to MQTT 5.
    #[error(
        "the server closed the connection without an answer to CONNECT, as AWS IoT Core does to refuse MQTT 3.1.1"
    )]
    ClosedBeforeConnAck,
    /// The time limit was reached.
    #[error("no {step} from the server within {after:?}")]
    Timeout {
        /// What was waited for.
        step: Step,
        /// The limit for the whole connect.
        after: Duration,
    },
    /// The server's answer is not MQTT as it must be.
    #[error("the server does not speak MQTT as it must: {0}")]
    Protocol(#[source] DecodeError),
    /// The CONNECT can't be written, such as with a user name above 65,535 bytes.
    #[error("the CONNECT can't be sent: {0}")]
    Unsendable(#[source] EncodeError),
}

impl ConnectError {
    /// Whether the server understood the device and turned it away.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::ClosedBeforeConnAck)
    }

    /// Whether another attempt can succeed without anybody's doing. A refusal may pass too: how often to try
    /// is the caller's choice.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Tls(error) => matches!(error, TlsError::Closed | TlsError::Io(_)),
            Self::Unsendable(_) | Self::Protocol(_) | Self::WebSocket(_) => false,
            _ => true,
        }
    }

    /// A stable `snake_case` name, for counting.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::NameNotFound { .. } => "name_not_found".to_owned(),
            Self::Tcp { source, .. } => format!("tcp_{}", snake_case(&source.kind())),
            Self::Proxy { .. } => "proxy".to_owned(),
            Self::Tls(error) => error.reason().to_owned(),
            Self::WebSocket(_) => "websocket".to_owned(),
            Self::Refused { code, .. } => snake_case(code),
            Self::ClosedBeforeConnAck => "closed_before_connack".to_owned(),
            Self::Timeout { step, .. } => format!("timeout_{}", snake_case(step)),
            Self::Protocol(_) => "protocol_error".to_owned(),
            Self::Unsendable(_) => "unsendable".to_owned(),
        }
    }
}

/// The steps of a connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Name look-up and TCP.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// The HTTP request for a WebSocket.
    WebSocket,
    /// From CONNECT to CONNACK.
    Connack,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP connection",
            Self::Tls => "TLS session",
            Self::WebSocket => "WebSocket",
            Self::Connack => "CONNACK",
        })
    }
}

/// Why there is no TLS session.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate's chain does not end at the CA.
    #[error(
        "the server's certificate is not signed by {}: pass the server's CA with `--ca`",
        .0.as_ref().map_or("Amazon's roots".to_owned(), |file| format!("the CA in `{}`", file.display()))
    )]
    UnknownCa(Option<PathBuf>),
    /// The certificate is for other names.
    #[error("the server's certificate is not for `{0}`: pass the name that it is for with `--sni`")]
    WrongName(String),
    /// The certificate is not valid at this time.
    #[error("the server's certificate has expired or is not valid yet: check this machine's clock too")]
    WrongTime,
    /// The server takes none of the protocols offered.
    #[error("the server refused the ALPN protocol `{0}`: pass the one that it expects with `--alpn`")]
    AlpnRefused(String),
    /// The server does not know the name that it was asked for.
    #[error("the server does not know the name `{0}`: pass one that it serves with `--sni`")]
    NameRefused(String),
    /// The server closed the connection during the handshake.
    #[error(
        "the server closed the connection during the TLS handshake: check that the port speaks TLS, \
         `--sni` and `--alpn`"
    )]
    Closed,
    /// The connection broke during the handshake.
    #[error("{}", WORDS.describe(.0))]
    Io(io::Error),
    /// Anything else that TLS refuses.
    #[error("{}", WORDS.describe_tls(.0))]
    Other(rustls::Error),
}

/// A device's words about its handshakes with a server.
pub(crate) const WORDS: TlsWords = TlsWords {
    end: End::Client,
    peer: "the server",
    own: "this client",
    no_tls: "check the address and its port, and what may answer in the server's place: a proxy, or a network's login page",
    certificate: "check which devices the server knows",
    trust: "pass the server's CA with `--ca`",
    dates: "check this machine's clock too",
    closed: "the server name or the ALPN protocol is wrong: check `--sni` and `--alpn`",
};

impl TlsError {
    const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownCa(_) => "tls_unknown_ca",
            Self::WrongName(_) => "tls_wrong_name",
            Self::WrongTime => "tls_wrong_time",
            Self::AlpnRefused(_) => "tls_alpn_refused",
            Self::NameRefused(_) => "tls_name_refused",
            Self::Closed => "tls_closed",
            Self::Io(_) => "tls_io",
            Self::Other(_) => "tls_failed",
        }
    }
}

/// How a connection ended that had been accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The server closed it and gave no reason; in 3.1.1 it has no other way.
    #[error("the server closed the connection")]
    ByServer,
    /// The server sent DISCONNECT (MQTT 5).
    #[error("the server ended the connection: {}{}", spoken(*code, u8::from(*code)), Explained(reason))]
    Disconnected {
        /// Its code.
        code: DisconnectReasonCode,
        /// Its explanation.
        reason: Option<Arc<str>>,
    },
    /// The server did not answer PINGREQ.
    #[error("the server did not answer a ping within {0:?}")]
    Silent(Duration),
    /// The network failed.
    #[error("the connection broke: {0}")]
    Io(io::ErrorKind),
    /// The server sent what MQTT does not allow.
    #[error("the server does not speak MQTT as it must: {0}")]
    Protocol(DecodeError),
}

impl Closed {
    /// A stable `snake_case` name, for counting.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::ByServer => "closed_by_server".to_owned(),
            Self::Disconnected { code, .. } => snake_case(code),
            Self::Silent(_) => "no_ping_response".to_owned(),
            Self::Io(kind) => format!("io_{}", snake_case(kind)),
            Self::Protocol(_) => "protocol_error".to_owned(),
        }
    }

    /// A connection that the other end shut looks like an error here if it was in the middle of something.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => {
                Self::ByServer
            }
            kind => Self::Io(kind),
        }
    }
}

impl From<ReceiveError> for Closed {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Io(error) => Self::from_io(&error),
            ReceiveError::Decode(error) => Self::Protocol(error),
        }
    }
}

/// Why the server did not do what it was asked for on a connection that it had accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The connection ended first.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// No answer came in time. The connection is still there, and the answer may yet come.
    #[error("the server did not acknowledge within {0:?}")]
    NotAcknowledged(Duration),
    /// The message was refused (MQTT 5).
    #[error("the server refused the message: {}{}", spoken(*code, u8::from(*code)), Explained(reason))]
    PublishRefused {
        /// Its code.
        code: PubAckCode,
        /// Its explanation.
        reason: Option<Arc<str>>,
    },
    /// The subscription was refused.
    #[error("the server refused the subscription: {}{}", spoken(*code, u8::from(*code)), Explained(reason))]
    SubscribeRefused {
        /// Its code; 3.1.1 has only `UnspecifiedError`.
        code: SubscribeFailure,
        /// Its explanation, which only MQTT 5 has.
        reason: Option<Arc<str>>,
    },
    /// QoS 2, which AWS IoT Core does not support (AWS IoT Core developer guide, "MQTT").
    #[error("QoS 2 can't be used: AWS IoT Core supports QoS 0 and 1")]
    QosUnsupported,
    /// The message was refused over HTTPS.
    #[error("the server refused the message with HTTP {status}{}", Explained(message))]
    HttpRefused {
        /// The status.
        status: u16,
        /// Its explanation.
        message: Option<Arc<str>>,
    },
    /// The packet can't be written.
    #[error("the packet can't be sent: {0}")]
    Unsendable(EncodeError),
}

impl RequestError {
    /// A stable `snake_case` name, for counting.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Closed(closed) => closed.reason(),
            Self::NotAcknowledged(_) => "not_acknowledged".to_owned(),
            Self::PublishRefused { code, .. } => snake_case(code),
            Self::SubscribeRefused { code, .. } => snake_case(code),
            Self::QosUnsupported => "qos_unsupported".to_owned(),
            Self::HttpRefused { status, .. } => format!("http_{status}"),
            Self::Unsendable(_) => "unsendable".to_owned(),
        }
    }
}

/// A code as a reader knows it: `not authorized (0x87)`.
fn spoken(code: impl fmt::Debug, value: u8) -> String {
    format!("{} (0x{value:02x})", snake_case(&code).replace('_', " "))
}

/// `NotAuthorized` becomes `not_authorized`, and `UnknownCA` `unknown_ca`.
pub(crate) fn snake_case(name: &impl fmt::Debug) -> String {
    let name = format!("{name:?}");
    let mut text = String::new();
    let mut before = None;
    let mut rest = name.chars().peekable();
    while let Some(character) = rest.next() {
        let ends_a_word = before.is_some_and(|before: char| !before.is_ascii_uppercase());
        let begins_a_word = rest.peek().is_some_and(char::is_ascii_lowercase);
        if character.is_ascii_uppercase() && before.is_some() && (ends_a_word || begins_a_word) {
            text.push('_');
        }
        text.push(character.to_ascii_lowercase());
        before = Some(character);
    }
    text
}

/// The server's explanation, as a part of a line.
struct Explained<'a>(&'a Option<Arc<str>>);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(reason) => write!(f, ", `{}`", escaped(&**reason)),
            None => Ok(()),
        }
    }
}

/// `EMFILE` on Linux and macOS, `WSAEMFILE` on Windows.
const TOO_MANY_FILES: [i32; 2] = [24, 10_024];

/// What follows Rust's own `failed to lookup address information: `.
fn detail(source: &io::Error) -> String {
    let text = source.to_string();
    text.rsplit_once(": ").map_or_else(|| text.clone(), |(_, detail)| detail.to_lowercase())
}

fn tcp_message(address: &str, source: &io::Error) -> String {
    if source.kind() == io::ErrorKind::ConnectionRefused {
        return format!("nothing listens on `{address}`: start it with `latchkey local`");
    }
    if source.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code)) {
        return "too many open files: allow more with `ulimit -n`, or simulate fewer devices".to_owned();
    }
    format!("cannot reach `{address}`: {source}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_to_do() {
        let tcp = |kind: io::ErrorKind| ConnectError::Tcp { address: "h:1".into(), source: kind.into() };
        let refused = |reason: Option<&str>| ConnectError::Refused {
            code: ConnectReasonCode::NotAuthorized,
            reason: reason.map(Into::into),
            bridge: None,
        };
        let cases = [
            (
                tcp(io::ErrorKind::ConnectionRefused),
                "nothing listens on `h:1`: start it with `latchkey local`",
                "tcp_connection_refused",
            ),
            (
                ConnectError::Tcp { address: "h:1".into(), source: io::Error::from_raw_os_error(24) },
                "too many open files: allow more with `ulimit -n`, or simulate fewer devices",
                "",
            ),
            (
                ConnectError::NameNotFound {
                    host: "nowhere.invalid".into(),
                    source: io::Error::other(
                        "failed to lookup address information: Name or service not known",
                    ),
                },
                "the name `nowhere.invalid` is not found: name or service not known; check `--endpoint`",
                "name_not_found",
            ),
            (refused(None), "the server refused the connection: not authorized (0x87)", "not_authorized"),
            (
                refused(Some("no\u{1b}[2J")),
                "the server refused the connection: not authorized (0x87), `no\\u001b[2J`",
                "not_authorized",
            ),
            (
                ConnectError::Timeout { step: Step::Connack, after: Duration::from_secs(10) },
                "no CONNACK from the server within 10s",
                "timeout_connack",
            ),
        ];
        for (error, message, reason) in cases {
            assert_eq!(error.to_string(), message);
            assert!(reason.is_empty() || error.reason() == reason, "{}", error.reason());
            assert!(error.is_retryable());
        }
        assert!(!ConnectError::Tls(TlsError::WrongTime).is_retryable());
    }

    #[test]
    fn an_unexpected_end_counts_as_closed_by_the_server() {
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
            assert_eq!(Closed::from_io(&kind.into()), Closed::ByServer);
        }
        assert_eq!(Closed::from_io(&io::ErrorKind::TimedOut.into()).reason(), "io_timed_out");
    }
}
