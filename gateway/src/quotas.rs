//! AWS's quotas on a connection and its messages. Each is a setting, and its default is AWS's value.
//!
//! Source: AWS general reference, `iot-core`; for the values in CONNACK the developer guide, `mqtt`.

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use iot_policy::limits;

/// The quotas of one account. A rate that is absent has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes of a client id.
    pub client_id_bytes: usize,
    /// CONNECTs a second of all clients.
    pub connects_per_second: Option<NonZeroU32>,
    /// CONNECTs a second of one client id.
    pub connects_per_second_per_client_id: Option<NonZeroU32>,
    /// Bytes of a topic or topic filter.
    pub topic_bytes: usize,
    /// Slashes in a topic or topic filter.
    pub topic_slashes: usize,
    /// Bytes of a message's payload.
    pub payload_bytes: usize,
    /// Filters in one SUBSCRIBE.
    pub filters_per_subscribe: usize,
    /// Subscriptions of one connection.
    pub subscriptions_per_connection: usize,
    /// Messages a second on one connection, in and out together; one more from the client is discarded.
    pub publishes_per_second: Option<NonZeroU32>,
    /// Bytes a second of payloads from one client; more is delayed. AWS counts both directions *(unverified: how)*.
    pub bytes_per_second: Option<NonZeroU32>,
    /// Messages that a client may have been sent and not acknowledged.
    pub unacknowledged_messages: NonZeroU16,
    /// Seconds of keep-alive, at least.
    pub min_keep_alive_seconds: NonZeroU16,
    /// Seconds of keep-alive, at most; also what 0 becomes.
    pub max_keep_alive_seconds: NonZeroU16,
    /// Bytes of a packet from a client.
    pub packet_bytes: NonZeroU32,
    /// Topic aliases of one client.
    pub topic_aliases: u16,
    /// The Receive Maximum that a client is told.
    pub receive_maximum: NonZeroU16,
    /// For how long a session outlives its connection; in 3.1.1, which can't say, for so long.
    pub session_expiry: Duration,
}

impl Quotas {
    /// AWS's own, as an account has them that asked for no others.
    pub const AWS: Self = Self {
        client_id_bytes: limits::MAX_CLIENT_ID_BYTES,
        connects_per_second: NonZeroU32::new(limits::MAX_CONNECTS_PER_SECOND),
        connects_per_second_per_client_id: NonZeroU32::new(limits::MAX_CONNECTS_PER_SECOND_PER_CLIENT_ID),
        topic_bytes: limits::MAX_TOPIC_BYTES,
        topic_slashes: limits::MAX_TOPIC_SLASHES,
        payload_bytes: limits::MAX_PAYLOAD_BYTES,
        filters_per_subscribe: limits::MAX_FILTERS_PER_SUBSCRIBE,
        subscriptions_per_connection: limits::MAX_SUBSCRIPTIONS_PER_CONNECTION,
        publishes_per_second: NonZeroU32::new(limits::MAX_PUBLISHES_PER_SECOND_PER_CONNECTION),
        bytes_per_second: NonZeroU32::new(limits::MAX_BYTES_PER_SECOND_PER_CONNECTION),
        unacknowledged_messages: limits::MAX_UNACKNOWLEDGED_MESSAGES,
        min_keep_alive_seconds: limits::MIN_KEEP_ALIVE_SECONDS,
        max_keep_alive_seconds: limits::MAX_KEEP_ALIVE_SECONDS,
        packet_bytes: limits::MQTT5_MAXIMUM_PACKET_SIZE,
        topic_aliases: limits::MQTT5_TOPIC_ALIAS_MAXIMUM,
        receive_maximum: limits::MQTT5_RECEIVE_MAXIMUM,
        session_expiry: Duration::from_secs(limits::DEFAULT_SESSION_EXPIRY_SECONDS as u64),
    };

    /// The same without bounds to how fast anything is.
    #[must_use]
    pub const fn at_any_rate(self) -> Self {
        Self {
            connects_per_second: None,
            connects_per_second_per_client_id: None,
            publishes_per_second: None,
            bytes_per_second: None,
            ..self
        }
    }
}
