//! Why a connection was not made, or why it ended: one line of the serial log each, with the fix where it is known.

use core::fmt;

pub use minimq::ReasonCode;

use crate::sntp::SntpError;
use crate::tls::TlsError;

/// Why there is no connection, or no longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// DNS has no address for the time server.
    #[error("time: no address found for `time_host`; does DNS work?")]
    TimeServerNotFound,
    /// The time server sent no usable time.
    #[error("time: {0} (without the time no certificate can be checked)")]
    Time(SntpError),
    /// DNS has no address for the endpoint.
    #[error("network: no address found for `host`; is it spelled right, and does DNS work?")]
    HostNotFound,
    /// TCP could not connect.
    #[error("network: the server can't be reached; are `host` and `port` right, and is the port open?")]
    Unreachable,
    /// The TLS handshake failed.
    #[error("tls: {0}")]
    Tls(TlsError),
    /// The CONNACK has an error code.
    #[error("mqtt: the server refused the connection: {0}")]
    ConnectRefused(Reason),
    /// The server closed the connection and sent no CONNACK.
    #[error(
        "mqtt: the server closed the connection instead of answering; are the password and the client id right?"
    )]
    ClosedBeforeConnack,
    /// The PUBACK has an error code that may pass.
    #[error("mqtt: the server does not accept readings now: {0}")]
    PublishDeferred(Reason),
    /// A packet is larger than the send buffer.
    #[error("mqtt: the packet does not fit the send buffer; use a shorter user name, secret or `will_topic`")]
    PacketTooLarge,
    /// The server closed the connection.
    #[error("mqtt: the server closed the connection")]
    Closed,
    /// The TCP or TLS connection failed.
    #[error("mqtt: the connection was lost")]
    Lost,
    /// The server violated MQTT, or sent a packet that is larger than the receive buffer.
    #[error("mqtt: the server sent a packet that is malformed or too large")]
    Protocol,
    /// There was no answer in time.
    #[error("{0}: no answer in time")]
    Timeout(Stage),
}

/// The step of a connection that an error belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// DNS and TCP.
    Network,
    /// The TLS handshake.
    Tls,
    /// MQTT packets.
    Mqtt,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Mqtt => "mqtt",
        })
    }
}

/// The reason code of a CONNACK or PUBACK, printed with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason(pub ReasonCode);

impl Reason {
    /// Whether the server would refuse the same message again. A quota or a restart, for example, passes.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        matches!(
            self.0,
            ReasonCode::NotAuthorized | ReasonCode::TopicNameInvalid | ReasonCode::PayloadFormatInvalid
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            ReasonCode::ClientIdentifierInvalid => "the client id is not accepted",
            ReasonCode::BadUsernameOrPassword => "the user name or password is wrong",
            ReasonCode::NotAuthorized => {
                "not authorized; is the password right, and may this device use this client id and topic?"
            }
            ReasonCode::ServerUnavailable | ReasonCode::ServerBusy => "the server is busy",
            ReasonCode::QuotaExceeded | ReasonCode::ConnectionRateExceeded => {
                "too many requests; do two devices use this client id?"
            }
            ReasonCode::TopicNameInvalid => "the topic is not accepted",
            _ => "see the reason code",
        };
        write!(f, "{meaning} ({:#04x})", u8::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_printed_with_its_code() {
        let cases = [
            (
                ReasonCode::NotAuthorized,
                "not authorized; is the password right, and may this device use this client id and topic? (0x87)",
            ),
            (
                ReasonCode::ConnectionRateExceeded,
                "too many requests; do two devices use this client id? (0x9f)",
            ),
            (ReasonCode::PacketTooLarge, "see the reason code (0x95)"),
        ];
        for (reason, text) in cases {
            assert_eq!(Reason(reason).to_string(), text);
        }
    }
}
