//! The reasons for which a connection ends, with AWS's name and MQTT's code for each.

use std::borrow::Cow;

use mqtt::{DecodeError, DisconnectReasonCode as Code};

use super::reason_string::{NOT_AUTHORIZED, SUBSCRIPTION_ID};
use crate::quotas::LimitError;

/// The reason for which a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The client sent DISCONNECT, or closed its WebSocket.
    Client {
        /// It wants its last will published (MQTT 5).
        with_will: bool,
    },
    /// An API call ended the connection.
    Api {
        /// The last will is published.
        with_will: bool,
    },
    /// The connection broke.
    Lost,
    /// Another connection has the client id now.
    TakenOver,
    /// The policy does not allow what the client did.
    Forbidden,
    /// At a refresh, the authorizer refused or could not be asked.
    RefreshRefused,
    /// `disconnectAfterInSeconds` has passed.
    TimeToLive,
    /// `websocket_seconds` have passed.
    WebSocketTimeToLive,
    /// No packet came for one and a half keep-alive times.
    KeepAlive,
    /// The client sent bytes that are not a packet.
    Malformed(DecodeError),
    /// The client broke the protocol's rules.
    Protocol(Code, &'static str),
    /// The client broke one of AWS's limits.
    Limit(Code, LimitError),
    /// The client does not read its messages fast enough.
    SlowReader,
    /// The sessions' file can't be written.
    NotWritten,
    /// The gateway stops.
    Shutdown,
}

impl DisconnectReason {
    /// AWS's `disconnectReason` (developer guide, `life-cycle-events`).
    #[must_use]
    pub fn aws_name(self) -> &'static str {
        match self {
            Self::Client { .. } => "CLIENT_INITIATED_DISCONNECT",
            Self::Api { .. } => "API_INITIATED_DISCONNECT",
            Self::Lost => "CONNECTION_LOST",
            Self::TakenOver => "DUPLICATE_CLIENTID",
            Self::Forbidden | Self::RefreshRefused => "AUTH_ERROR",
            Self::TimeToLive => "CUSTOMAUTH_TTL_EXPIRATION",
            Self::WebSocketTimeToLive => "WEBSOCKET_TTL_EXPIRATION",
            Self::KeepAlive => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::Malformed(_) | Self::Protocol(..) | Self::Limit(..) => "CLIENT_ERROR",
            Self::SlowReader => "THROTTLED",
            Self::NotWritten => "SERVER_ERROR",
            Self::Shutdown => "SERVER_INITIATED_DISCONNECT",
        }
    }

    /// AWS's `reason` in the log (developer guide, `cwl-format`). Only the one of a take-over is known, and differs from
    /// `disconnectReason`.
    #[must_use]
    pub fn log_reason(self) -> &'static str {
        if self == Self::TakenOver { "DUPLICATE_CLIENT_ID" } else { self.aws_name() }
    }

    /// AWS's words for the reason, where they are known.
    #[must_use]
    pub fn message(self) -> Option<&'static str> {
        (self == Self::TakenOver).then_some("A new connection was established with the same client ID")
    }

    /// More details, for a person to read.
    #[must_use]
    pub fn details(self) -> Option<String> {
        match self {
            Self::Malformed(error) => Some(error.to_string()),
            Self::Protocol(_, details) => Some(details.to_owned()),
            Self::Limit(_, error) => Some(error.to_string()),
            Self::SlowReader => Some("the client does not read its QoS 1 messages fast enough".to_owned()),
            Self::NotWritten => Some("the gateway can't write its sessions' file".to_owned()),
            _ => None,
        }
    }

    /// The cause, and what to do about it, for the log.
    #[must_use]
    pub fn explanation(self) -> Option<String> {
        let text = match self {
            Self::Client { with_will: false } => return None,
            Self::Client { with_will: true } => "the client asked for its last will (0x04)",
            Self::Lost => "the network failed, or the client closed without DISCONNECT",
            Self::TakenOver => {
                "give each device a client id of its own, or wait longer before a new connection"
            }
            Self::Forbidden => "the policies don't allow what the line before names",
            Self::RefreshRefused => "the authorizer was asked again, and the line before says why it refused",
            Self::TimeToLive => {
                "`disconnectAfterInSeconds` of the authorizer's answer has passed; connect again"
            }
            Self::WebSocketTimeToLive => "a WebSocket lasts no longer (`websocket_seconds`); connect again",
            Self::KeepAlive => {
                "no packet came for one and a half keep-alive times; send PINGREQ in time, or ask for a longer keep-alive"
            }
            Self::SlowReader => {
                "the client does not read or acknowledge its QoS 1 messages as fast as they come; subscribe to less, or \
                 send PUBACK sooner"
            }
            Self::NotWritten => "the gateway can't write its sessions' file; the line before says why",
            Self::Shutdown => "the gateway stops; connect again, with backoff",
            Self::Api { .. } => "somebody called DeleteConnection; the client may connect again",
            Self::Malformed(_) | Self::Protocol(..) | Self::Limit(..) => return self.details(),
        };
        Some(text.to_owned())
    }

    /// The text of the reason string for an MQTT 5 client. AWS's is known for two of them.
    #[must_use]
    pub fn text(self) -> Cow<'static, str> {
        match self {
            Self::Forbidden | Self::RefreshRefused => NOT_AUTHORIZED.into(),
            Self::Protocol(Code::SubscriptionIdentifiersNotSupported, _) => SUBSCRIPTION_ID.into(),
            Self::Api { .. } => "an API call ended the connection".into(),
            Self::TakenOver => "another connection uses the client id".into(),
            Self::TimeToLive | Self::WebSocketTimeToLive => "the connection's time is over".into(),
            Self::KeepAlive => "no packet came within one and a half keep-alive times".into(),
            Self::Shutdown => "the server stops".into(),
            other => other.details().map_or("the connection ends".into(), Cow::Owned),
        }
    }

    /// The code for an MQTT 5 client. A 3.1.1 client only sees the end of the connection.
    #[must_use]
    pub fn disconnect_code(self) -> Option<Code> {
        Some(match self {
            Self::Client { .. } | Self::Lost => return None,
            // *(guess: DISCONNECT of a connection that an API call ends)*
            Self::Api { .. } => Code::AdministrativeAction,
            Self::TakenOver => Code::SessionTakenOver,
            Self::Forbidden | Self::RefreshRefused => Code::NotAuthorized,
            Self::TimeToLive | Self::WebSocketTimeToLive => Code::MaximumConnectTime,
            Self::KeepAlive => Code::KeepAliveTimeout,
            Self::Malformed(error) => error.reason_code(),
            Self::Protocol(code, _) | Self::Limit(code, _) => code,
            Self::SlowReader => Code::QuotaExceeded,
            Self::NotWritten => Code::UnspecifiedError,
            Self::Shutdown => Code::ServerShuttingDown,
        })
    }

    /// Whether the last will is published: always, but after a disconnect by the client that does not ask for it, or by an API
    /// call that prevents it (MQTT 5 section 3.1.2.5; developer guide, `life-cycle-events`).
    #[must_use]
    pub fn publishes_will(self) -> bool {
        !matches!(self, Self::Client { with_will: false } | Self::Api { with_will: false })
    }
}
