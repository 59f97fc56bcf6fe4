//! Why a connection did not come about, or ended: one line for the serial log, with the cure where it is known.

use core::fmt;

pub use minimq::ReasonCode;

use crate::sntp::SntpFailure;
use crate::tls::TlsFailure;

/// Why there is no connection, or no longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// DNS knows no address of the time server's.
    #[error("time: no address is found for `time_host`; is there DNS?")]
    TimeServerUnknown,
    /// There is no time.
    #[error("time: {0} (without the time no certificate can be checked)")]
    Time(SntpFailure),
    /// DNS knows no address of the server's.
    #[error("network: no address is found for `host`; is it spelt right, and is there DNS?")]
    NameUnknown,
    /// The server takes no connection.
    #[error("network: the server can't be reached; are `host` and `port` right, and is the port open?")]
    Unreachable,
    /// There is no TLS.
    #[error("tls: {0}")]
    Tls(TlsFailure),
    /// The server refused the CONNECT.
    #[error("mqtt: the server refused the connection: {0}")]
    Refused(Refusal),
    /// The server closed in the place of an answer to the CONNECT.
    #[error(
        "mqtt: the server closed the connection in the place of an answer; are password and client id right?"
    )]
    ClosedAtConnect,
    /// The server takes no reading at the moment.
    #[error("mqtt: the server takes no reading now: {0}")]
    Postponed(Refusal),
    /// What the device would send does not fit.
    #[error(
        "mqtt: what the device should send does not fit; make its user name, secret or `will_topic` shorter"
    )]
    Unsendable,
    /// The connection ended.
    #[error("mqtt: the server ended the connection")]
    Ended,
    /// The connection broke.
    #[error("mqtt: the connection broke off")]
    Broken,
    /// The server does not keep to MQTT, or a packet outgrew its buffer.
    #[error("mqtt: the server sent what can't be understood")]
    Protocol,
    /// Something took too long.
    #[error("{0}: no answer in time")]
    TimedOut(Stage),
}

/// A step of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// DNS and TCP.
    Network,
    /// The TLS handshake.
    Tls,
    /// MQTT.
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

/// The reason code of a CONNACK or PUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub ReasonCode);

impl Refusal {
    /// Whether the same message would be refused again; a quota or a restart, for example, passes.
    #[must_use]
    pub const fn is_for_good(self) -> bool {
        matches!(
            self.0,
            ReasonCode::NotAuthorized | ReasonCode::TopicNameInvalid | ReasonCode::PayloadFormatInvalid
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            ReasonCode::ClientIdentifierInvalid => "the client id is not taken",
            ReasonCode::BadUsernameOrPassword => "user name or password is wrong",
            ReasonCode::NotAuthorized => {
                "not authorized; is the password right, and may this device use this client id and topic?"
            }
            ReasonCode::ServerUnavailable | ReasonCode::ServerBusy => "the server is busy",
            ReasonCode::QuotaExceeded | ReasonCode::ConnectionRateExceeded => {
                "too often; is the client id used twice?"
            }
            ReasonCode::TopicNameInvalid => "the topic is not taken",
            _ => "see the reason code",
        };
        write!(f, "{meaning} ({:#04x})", u8::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_show_their_code() {
        let cases = [
            (
                ReasonCode::NotAuthorized,
                "not authorized; is the password right, and may this device use this client id and topic? (0x87)",
            ),
            (ReasonCode::ConnectionRateExceeded, "too often; is the client id used twice? (0x9f)"),
            (ReasonCode::PacketTooLarge, "see the reason code (0x95)"),
        ];
        for (reason, text) in cases {
            assert_eq!(Refusal(reason).to_string(), text);
        }
    }
}
