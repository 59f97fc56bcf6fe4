//! AWS's quotas on a connection and its messages. Each is a setting, and its default is AWS's value.
//!
//! Source: AWS general reference, `iot-core`; for the values in CONNACK the developer guide, `mqtt`.

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use iot_policy::limits;
use serde::{Deserialize, Deserializer};

/// The quotas of one account: the table `[quotas]` of the settings file, and what a running gateway reads. A quota that
/// the file leaves out has AWS's value. A rate that is `None`, which is 0 in the file, has no limit.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Bytes of a client id.
    pub client_id_bytes: usize,
    /// CONNECTs a second of all clients.
    #[serde(deserialize_with = "rate")]
    pub connects_per_second: Option<NonZeroU32>,
    /// CONNECTs a second of one client id.
    #[serde(deserialize_with = "rate")]
    pub connects_per_second_per_client_id: Option<NonZeroU32>,
    /// Bytes of a topic or topic filter.
    pub topic_bytes: usize,
    /// Slashes in a topic or topic filter.
    pub topic_slashes: usize,
    /// Bytes of a message's payload.
    pub payload_bytes: usize,
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE.
    pub filters_per_subscribe: usize,
    /// Subscriptions of one connection.
    pub subscriptions_per_connection: usize,
    /// Messages a second on one connection, in and out together; one more from the client is discarded. As many are stored
    /// for a client that is away. An HTTPS connection has as many requests, and a principal as many HTTPS publishes on all of
    /// its connections.
    #[serde(deserialize_with = "rate")]
    pub publishes_per_second: Option<NonZeroU32>,
    /// Messages that are to be retained, a second on one topic; one more is discarded.
    #[serde(deserialize_with = "rate")]
    pub retained_publishes_per_second_per_topic: Option<NonZeroU32>,
    /// Messages that are to be retained, a second of all clients.
    #[serde(deserialize_with = "rate")]
    pub retained_publishes_per_second: Option<NonZeroU32>,
    /// Topic filters a second in the SUBSCRIBEs of all clients.
    #[serde(deserialize_with = "rate")]
    pub subscriptions_per_second: Option<NonZeroU32>,
    /// The gateway's own: packets a second from one client, and topic filters of its SUBSCRIBEs and UNSUBSCRIBEs; more is
    /// delayed.
    #[serde(deserialize_with = "rate")]
    pub packets_per_second: Option<NonZeroU32>,
    /// Bytes of an MQTT 5 content type.
    pub content_type_bytes: usize,
    /// Bytes of MQTT 5 correlation data.
    pub correlation_data_bytes: usize,
    /// Bytes of the user properties of a packet, names and values.
    pub user_property_bytes: usize,
    /// The gateway's own: user properties of a packet.
    pub user_properties: usize,
    /// The Maximum Packet Size of an MQTT 5 client, at least.
    pub min_maximum_packet_bytes: u32,
    /// Seconds that a WebSocket connection lasts; 0 has no limit.
    #[serde(deserialize_with = "rate")]
    pub websocket_seconds: Option<NonZeroU32>,
    /// Bytes a second from one client, and as many to it; more is delayed *(guess: payloads count for this rate)*.
    #[serde(deserialize_with = "rate")]
    pub bytes_per_second: Option<NonZeroU32>,
    /// Messages that a client may have been sent and not acknowledged.
    pub unacknowledged_messages: NonZeroU16,
    /// Groups of shared subscriptions.
    pub shared_groups: usize,
    /// Members of one group.
    pub shared_group_members: usize,
    /// Retained messages.
    pub retained_messages: usize,
    /// Requests a second for all device shadows; one more is rejected.
    #[serde(deserialize_with = "rate")]
    pub shadow_requests_per_second: Option<NonZeroU32>,
    /// Requests a second for one shadow.
    #[serde(deserialize_with = "rate")]
    pub shadow_requests_per_second_per_shadow: Option<NonZeroU32>,
    /// Requests of one connection for the shadows of one Thing that are not answered yet.
    pub shadow_requests_unanswered: usize,
    /// Bytes of a shadow's `desired` and `reported` sections.
    pub shadow_document_bytes: usize,
    /// Levels of a shadow's `desired` or `reported` section.
    pub shadow_levels: usize,
    /// The gateway's own: shadows, with deleted ones whose version is remembered.
    pub shadows: usize,
    /// The gateway's own: bytes of all shadows together.
    pub shadow_bytes: usize,
    /// Seconds that a client has to acknowledge a message before it is sent again *(guess: sent again every 30 s)*.
    pub resend_after_seconds: NonZeroU16,
    /// Seconds for which a message is sent again to an MQTT 3.1.1 client. After that it is dropped.
    pub resend_for_seconds_mqtt_3: u32,
    /// The same for an MQTT 5 client.
    pub resend_for_seconds_mqtt_5: u32,
    /// Stored messages a second that a client gets when it resumes its session.
    #[serde(deserialize_with = "rate")]
    pub stored_messages_per_second: Option<NonZeroU32>,
    /// Messages a second that are stored for clients that are away, and in shared subscriptions; one more is dropped.
    #[serde(deserialize_with = "rate")]
    pub queued_messages_per_second: Option<NonZeroU32>,
    /// Messages a second that waited in shared subscriptions and that one member gets.
    #[serde(deserialize_with = "rate")]
    pub shared_messages_per_second: Option<NonZeroU32>,
    /// Seconds of keep-alive, at least.
    pub min_keep_alive_seconds: NonZeroU16,
    /// Seconds of keep-alive, at most; 0 becomes this value.
    pub max_keep_alive_seconds: NonZeroU16,
    /// Bytes of a packet from a client.
    pub packet_bytes: NonZeroU32,
    /// Topic aliases of one client.
    pub topic_aliases: u16,
    /// The Receive Maximum in the CONNACK.
    pub receive_maximum: NonZeroU16,
    /// The longest time that a session outlives its connection, and the time of an MQTT 3.1.1 session, which can't set
    /// its own.
    #[serde(rename = "session_expiry_seconds", deserialize_with = "session_expiry")]
    pub session_expiry: Duration,
}

impl Quotas {
    /// AWS's default quotas.
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
        retained_publishes_per_second_per_topic: NonZeroU32::new(
            limits::MAX_RETAINED_PUBLISHES_PER_SECOND_PER_TOPIC,
        ),
        retained_publishes_per_second: NonZeroU32::new(limits::MAX_RETAINED_PUBLISHES_PER_SECOND),
        subscriptions_per_second: NonZeroU32::new(limits::MAX_SUBSCRIPTIONS_PER_SECOND),
        // Ten times as many as a connection's messages.
        packets_per_second: NonZeroU32::new(1_000),
        content_type_bytes: limits::MAX_CONTENT_TYPE_BYTES,
        correlation_data_bytes: limits::MAX_CORRELATION_DATA_BYTES,
        user_property_bytes: limits::MAX_USER_PROPERTY_BYTES,
        user_properties: 100,
        min_maximum_packet_bytes: limits::MIN_MAXIMUM_PACKET_BYTES,
        websocket_seconds: NonZeroU32::new(limits::MAX_WEBSOCKET_SECONDS),
        bytes_per_second: NonZeroU32::new(limits::MAX_BYTES_PER_SECOND_PER_CONNECTION),
        unacknowledged_messages: limits::MAX_UNACKNOWLEDGED_MESSAGES,
        shared_groups: limits::MAX_SHARED_GROUPS,
        shared_group_members: limits::MAX_SHARED_GROUP_MEMBERS,
        retained_messages: limits::MAX_RETAINED_MESSAGES,
        shadow_requests_per_second: NonZeroU32::new(limits::MAX_SHADOW_REQUESTS_PER_SECOND),
        shadow_requests_per_second_per_shadow: NonZeroU32::new(
            limits::MAX_SHADOW_REQUESTS_PER_SECOND_PER_SHADOW,
        ),
        shadow_requests_unanswered: limits::MAX_UNANSWERED_SHADOW_REQUESTS,
        shadow_document_bytes: limits::MAX_SHADOW_DOCUMENT_BYTES,
        shadow_levels: limits::MAX_SHADOW_LEVELS,
        shadows: 100_000,
        shadow_bytes: 256 * 1024 * 1024,
        resend_after_seconds: NonZeroU16::new(30).unwrap(),
        resend_for_seconds_mqtt_3: limits::MAX_RESEND_SECONDS_MQTT_3,
        resend_for_seconds_mqtt_5: limits::MAX_RESEND_SECONDS_MQTT_5,
        stored_messages_per_second: NonZeroU32::new(limits::MAX_STORED_MESSAGES_PER_SECOND),
        queued_messages_per_second: NonZeroU32::new(limits::MAX_QUEUED_MESSAGES_PER_SECOND),
        shared_messages_per_second: NonZeroU32::new(limits::MAX_SHARED_QUEUED_MESSAGES_PER_SECOND),
        min_keep_alive_seconds: limits::MIN_KEEP_ALIVE_SECONDS,
        max_keep_alive_seconds: limits::MAX_KEEP_ALIVE_SECONDS,
        packet_bytes: limits::MQTT5_MAXIMUM_PACKET_SIZE,
        topic_aliases: limits::MQTT5_TOPIC_ALIAS_MAXIMUM,
        receive_maximum: limits::MQTT5_RECEIVE_MAXIMUM,
        session_expiry: Duration::from_secs(limits::DEFAULT_SESSION_EXPIRY_SECONDS as u64),
    };

    /// The same quotas without limits on rates.
    #[must_use]
    pub const fn at_any_rate(self) -> Self {
        Self {
            connects_per_second: None,
            connects_per_second_per_client_id: None,
            publishes_per_second: None,
            retained_publishes_per_second_per_topic: None,
            retained_publishes_per_second: None,
            subscriptions_per_second: None,
            packets_per_second: None,
            bytes_per_second: None,
            stored_messages_per_second: None,
            queued_messages_per_second: None,
            shared_messages_per_second: None,
            shadow_requests_per_second: None,
            shadow_requests_per_second_per_shadow: None,
            ..self
        }
    }

    /// The same quotas with another session expiry, up to AWS's maximum.
    #[must_use]
    pub fn with_session_expiry(self, seconds: u32) -> Self {
        let seconds = seconds.min(limits::MAX_SESSION_EXPIRY_SECONDS);
        Self { session_expiry: Duration::from_secs(seconds.into()), ..self }
    }

    /// Checks the quotas against each other.
    ///
    /// # Errors
    ///
    /// When two contradict each other.
    pub fn validate(&self) -> Result<(), QuotasError> {
        if self.min_keep_alive_seconds > self.max_keep_alive_seconds {
            return Err(QuotasError::KeepAlive);
        }
        if self.payload_bytes > self.packet_bytes.get() as usize {
            return Err(QuotasError::Payload);
        }
        Ok(())
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self::AWS
    }
}

/// Quotas that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotasError {
    /// No keep-alive is within both bounds.
    #[error("`min_keep_alive_seconds` is more than `max_keep_alive_seconds`")]
    KeepAlive,
    /// The largest payload does not fit into the largest packet.
    #[error("`payload_bytes` is more than `packet_bytes`: such a message can't be sent")]
    Payload,
}

/// A limit that a packet breaks, with the quota in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// `topic_bytes`.
    #[error("the topic is longer than {0} bytes")]
    TopicBytes(usize),
    /// `topic_slashes`.
    #[error("the topic has more than {0} slashes")]
    TopicSlashes(usize),
    /// The topic is reserved for AWS, and clients can't publish to it.
    #[error("topics that begin with `$` are reserved, and clients can't publish to this one")]
    ReservedTopic,
    /// The topic is reserved for AWS, and the message is to be retained.
    #[error("a message on a reserved topic, which begins with `$`, can't be retained")]
    RetainedReservedTopic,
    /// The topic filter is reserved for AWS, and clients can't subscribe to it.
    #[error("topics that begin with `$` are reserved, and clients can't subscribe to this filter")]
    ReservedFilter,
    /// `payload_bytes`.
    #[error("the payload is larger than {0} bytes")]
    PayloadBytes(usize),
    /// `filters_per_subscribe`.
    #[error("a SUBSCRIBE has more than {0} filters")]
    FiltersPerSubscribe(usize),
    /// `filters_per_subscribe`, which holds for UNSUBSCRIBE too.
    #[error("an UNSUBSCRIBE has more than {0} filters")]
    FiltersPerUnsubscribe(usize),
    /// `subscriptions_per_connection`.
    #[error("the connection has {0} subscriptions already")]
    SubscriptionsPerConnection(usize),
    /// `shared_groups` or `shared_group_members`.
    #[error("there are as many shared subscriptions, or as many members of this one, as the quotas allow")]
    FullGroup,
    /// The largest message of the WebSocket transport, which is not a quota.
    #[error("a WebSocket message is larger than {0} bytes")]
    WebSocketMessageBytes(usize),
    /// `user_properties`.
    #[error("more than {0} user properties")]
    UserProperties(usize),
    /// `user_property_bytes`.
    #[error("the user properties are larger than {0} bytes")]
    UserPropertyBytes(usize),
    /// `content_type_bytes`.
    #[error("the content type is longer than {0} bytes")]
    ContentTypeBytes(usize),
    /// `correlation_data_bytes`.
    #[error("the correlation data are larger than {0} bytes")]
    CorrelationDataBytes(usize),
    /// `publishes_per_second`.
    #[error("discarded: the connection has more than {0} messages a second")]
    Publishes(NonZeroU32),
    /// `publishes_per_second`, for the requests of an HTTPS connection.
    #[error("the connection has more than {0} requests a second: wait a second")]
    Requests(NonZeroU32),
    /// `publishes_per_second`, for the HTTPS publishes of a principal.
    #[error("discarded: the principal has more than {0} HTTPS publishes a second: wait a second")]
    PublishesOfPrincipal(NonZeroU32),
    /// `retained_publishes_per_second_per_topic`.
    #[error("discarded: at most {0} a second of the messages on a topic may be retained")]
    RetainedPerTopic(NonZeroU32),
    /// `retained_publishes_per_second`.
    #[error("discarded: at most {0} a second of all messages may be retained")]
    Retained(NonZeroU32),
    /// `bytes_per_second`, from the client.
    #[error(
        "the client sends more than {0} bytes a second: the gateway reads nothing from it until the rate is kept again"
    )]
    BytesIn(NonZeroU32),
    /// `bytes_per_second`, to the client.
    #[error(
        "more than {0} bytes a second go to the client: further messages wait until the rate is kept again"
    )]
    BytesOut(NonZeroU32),
    /// `packets_per_second`.
    #[error(
        "the client sends more than {0} packets or topic filters a second: the gateway reads nothing from it until the rate \
         is kept again"
    )]
    Packets(NonZeroU32),
    /// `subscriptions_per_second`.
    #[error("all clients together subscribe to more than {0} topic filters a second")]
    Subscriptions(NonZeroU32),
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU32>, D::Error> {
    u32::deserialize(deserializer).map(NonZeroU32::new)
}

fn session_expiry<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = u32::deserialize(deserializer)?;
    Ok(Quotas::AWS.with_session_expiry(seconds).session_expiry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Quotas, String> {
        let quotas = toml::from_str::<Quotas>(text).map_err(|error| error.message().to_owned())?;
        quotas.validate().map(|()| quotas).map_err(|error| error.to_string())
    }

    #[test]
    fn absent_quota_is_awss_and_a_rate_of_0_has_no_limit() {
        assert_eq!(read(""), Ok(Quotas::AWS));
        let rates = "connects_per_second = 0\nconnects_per_second_per_client_id = 0\npublishes_per_second = 0\n\
                     bytes_per_second = 0\nstored_messages_per_second = 0\n\
                     queued_messages_per_second = 0\nshared_messages_per_second = 0\nretained_publishes_per_second_per_topic = 0\n\
                     retained_publishes_per_second = 0\nsubscriptions_per_second = 0\npackets_per_second = 0\n\
                     shadow_requests_per_second = 0\nshadow_requests_per_second_per_shadow = 0";
        assert_eq!(read(rates), Ok(Quotas::AWS.at_any_rate()));
        let quotas =
            read("publishes_per_second = 7\nsession_expiry_seconds = 9999999\ntopic_slashes = 3").unwrap();
        assert_eq!(quotas.publishes_per_second, NonZeroU32::new(7));
        assert_eq!(quotas.session_expiry, Duration::from_hours(7 * 24), "AWS's maximum");
        assert_eq!((quotas.topic_slashes, quotas.topic_bytes), (3, Quotas::AWS.topic_bytes));
    }

    #[test]
    fn session_expiry_of_the_command_line_wins() {
        let quotas = read("session_expiry_seconds = 10").unwrap().with_session_expiry(20);
        assert_eq!(quotas.session_expiry, Duration::from_secs(20));
    }

    #[test]
    fn quotas_that_contradict_each_other_are_an_error() {
        for (text, complaint) in [
            (
                "min_keep_alive_seconds = 60\nmax_keep_alive_seconds = 30",
                "`min_keep_alive_seconds` is more than",
            ),
            ("payload_bytes = 200000", "`payload_bytes` is more than `packet_bytes`"),
            ("receive_maximum = 0", "nonzero"),
            ("topic_bytes = -1", "integer"),
            ("topics = 1", "unknown field `topics`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
