//! Why a connection ends, in AWS's words and in MQTT's.

use mqtt::{DecodeError, DisconnectReasonCode as Code};

use crate::quotas::LimitError;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client sent DISCONNECT.
    Client {
        /// It wants its last will published (MQTT 5).
        with_will: bool,
    },
    /// The connection broke.
    Lost,
    /// Another connection has the client id now.
    TakenOver,
    /// The policy does not allow what the client did.
    Forbidden,
    /// The authorizer refused at a refresh, or could not be asked.
    RefreshRefused,
    /// `disconnectAfterInSeconds` has passed.
    TimeToLive,
    /// Nothing was heard for one and a half keep-alive times.
    KeepAlive,
    /// The client sent what is no packet.
    Malformed(DecodeError),
    /// The client broke the protocol's rules.
    Protocol(Code, &'static str),
    /// The client broke one of AWS's limits.
    Limit(Code, LimitError),
    /// The client does not take its messages.
    SlowReader,
    /// What is to outlive the gateway's process can't be written.
    NotWritten,
    /// The gateway stops.
    Shutdown,
}

impl Ending {
    /// AWS's `disconnectReason` (developer guide, `life-cycle-events`).
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Client { .. } => "CLIENT_INITIATED_DISCONNECT",
            Self::Lost => "CONNECTION_LOST",
            Self::TakenOver => "DUPLICATE_CLIENTID",
            Self::Forbidden => "FORBIDDEN_ACCESS",
            Self::RefreshRefused => "AUTH_ERROR",
            Self::TimeToLive => "CUSTOMAUTH_TTL_EXPIRATION",
            Self::KeepAlive => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::Malformed(_) | Self::Protocol(..) | Self::Limit(..) => "CLIENT_ERROR",
            Self::SlowReader => "THROTTLED",
            Self::NotWritten => "SERVER_ERROR",
            Self::Shutdown => "SERVER_INITIATED_DISCONNECT",
        }
    }

    /// What a person should know beyond the reason.
    #[must_use]
    pub fn details(self) -> Option<String> {
        match self {
            Self::Malformed(error) => Some(error.to_string()),
            Self::Protocol(_, details) => Some(details.to_owned()),
            Self::Limit(_, error) => Some(error.to_string()),
            Self::SlowReader => Some("the client does not take its QoS 1 messages fast enough".to_owned()),
            Self::NotWritten => Some("the gateway can't write its sessions' file".to_owned()),
            _ => None,
        }
    }

    /// What an MQTT 5 client is told; a 3.1.1 client only sees the end.
    #[must_use]
    pub fn disconnect_code(self) -> Option<Code> {
        Some(match self {
            Self::Client { .. } | Self::Lost => return None,
            Self::TakenOver => Code::SessionTakenOver,
            Self::Forbidden | Self::RefreshRefused => Code::NotAuthorized,
            Self::TimeToLive => Code::MaximumConnectTime,
            Self::KeepAlive => Code::KeepAliveTimeout,
            Self::Malformed(error) => error.reason_code(),
            Self::Protocol(code, _) | Self::Limit(code, _) => code,
            Self::SlowReader => Code::QuotaExceeded,
            Self::NotWritten => Code::UnspecifiedError,
            Self::Shutdown => Code::ServerShuttingDown,
        })
    }

    /// Every end but a DISCONNECT that does not ask for it (MQTT 5 section 3.1.2.5), and but a refusal at the
    /// refresh: whom the authorizer no longer lets in publishes nothing more *(unverified)*.
    #[must_use]
    pub fn publishes_will(self) -> bool {
        !matches!(self, Self::Client { with_will: false } | Self::RefreshRefused)
    }
}
