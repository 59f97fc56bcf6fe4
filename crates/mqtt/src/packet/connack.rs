//! CONNACK (section 3.2).

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use bytes::Bytes;

use super::{QoS, UserProperty};
use crate::reason::ConnectReasonCode;

/// The server's answer to CONNECT (section 3.2).
///
/// In 3.1.1 a code that has no return code there ([`ConnectReasonCode::return_code`]) is written as nothing at
/// all: the server just closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server goes on with an earlier session. Never with a refusal.
    pub session_present: bool,
    /// The outcome.
    pub code: ConnectReasonCode,
    /// What only MQTT 5 has; left out in 3.1.1.
    pub properties: ConnAckProperties,
}

impl ConnAck {
    /// An acceptance.
    #[must_use]
    pub fn accepted(session_present: bool) -> Self {
        Self { session_present, code: ConnectReasonCode::Success, properties: ConnAckProperties::default() }
    }

    /// A refusal, or with [`ConnectReasonCode::Success`] the acceptance of a new session.
    #[must_use]
    pub fn new(code: ConnectReasonCode) -> Self {
        Self { session_present: false, code, properties: ConnAckProperties::default() }
    }
}

/// The properties of CONNACK (section 3.2.2.3). The defaults are what an absent property means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct ConnAckProperties {
    /// Seconds for which the session outlives the connection; absent is what the client asked for.
    pub session_expiry_interval: Option<u32>,
    /// Unacknowledged QoS 1 and 2 messages that the server takes; 65,535 by default.
    pub receive_maximum: NonZeroU16,
    /// The highest QoS that the server takes; exactly once by default.
    pub maximum_qos: QoS,
    /// Whether the server keeps retained messages; true by default.
    pub retain_available: bool,
    /// The largest packet that the server takes, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The client id that the server chose for a client without one.
    pub assigned_client_id: Option<Arc<str>>,
    /// The highest topic alias that the server takes; 0, none, by default.
    pub topic_alias_maximum: u16,
    /// An explanation for people.
    pub reason_string: Option<Arc<str>>,
    /// Whether filters may hold wildcards; true by default.
    pub wildcard_subscription_available: bool,
    /// Whether subscriptions may have identifiers; true by default.
    pub subscription_identifiers_available: bool,
    /// Whether subscriptions may be shared; true by default.
    pub shared_subscription_available: bool,
    /// The keep-alive time that the client must use instead of its own, in seconds.
    pub server_keep_alive: Option<u16>,
    /// The start of a response topic.
    pub response_information: Option<Arc<str>>,
    /// Another server.
    pub server_reference: Option<Arc<str>>,
    /// The method of extended authentication.
    pub authentication_method: Option<Arc<str>>,
    /// The method's last data.
    pub authentication_data: Option<Bytes>,
    /// Names and values.
    pub user_properties: Vec<UserProperty>,
}

impl Default for ConnAckProperties {
    fn default() -> Self {
        Self {
            session_expiry_interval: None,
            receive_maximum: NonZeroU16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: None,
            assigned_client_id: None,
            topic_alias_maximum: 0,
            reason_string: None,
            wildcard_subscription_available: true,
            subscription_identifiers_available: true,
            shared_subscription_available: true,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
            user_properties: Vec::new(),
        }
    }
}
