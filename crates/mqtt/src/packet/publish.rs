//! PUBLISH and its answers (sections 3.3 to 3.7).

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use bytes::Bytes;

use super::{QoS, UserProperty};
use crate::reason::{PubAckCode, PubRelCode};
use crate::topic::TopicName;

/// A message (section 3.3). A clone shares topic, payload and properties.
///
/// The payload of a message that was received shares the read buffer: copy it before keeping it for long.
/// `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Publish {
    /// Where to. Absent only in MQTT 5, when the topic alias stands for it (section 3.3.2.3.4).
    pub topic: Option<TopicName>,
    /// What.
    pub payload: Bytes,
    /// How surely.
    pub qos: QoS,
    /// From a client: keep it as the topic's retained message. From a server: it was retained.
    pub retain: bool,
    /// Whether it may be a repetition. Never with QoS 0.
    pub dup: bool,
    /// The packet id: with QoS 1 and 2, and only then.
    pub packet_id: Option<NonZeroU16>,
    /// What only MQTT 5 has, and absent if there is nothing of it; left out in 3.1.1.
    pub properties: Option<Arc<PublishProperties>>,
}

impl Publish {
    /// A QoS 0 message that is not retained.
    #[must_use]
    pub fn new(topic: TopicName, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: Some(topic),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            packet_id: None,
            properties: None,
        }
    }

    /// The topic alias, if there is one.
    #[must_use]
    pub fn topic_alias(&self) -> Option<NonZeroU16> {
        self.properties.as_ref()?.topic_alias
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .field("payload_bytes", &self.payload.len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("dup", &self.dup)
            .field("packet_id", &self.packet_id)
            .field("properties", &self.properties)
            .finish()
    }
}

/// The properties of PUBLISH (section 3.3.2.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishProperties {
    /// Whether the payload is said to be UTF-8.
    pub payload_is_utf8: bool,
    /// Seconds after which the message is dropped. 0 can be received and not be sent.
    pub message_expiry_interval: Option<u32>,
    /// The number that stands for the topic on this connection.
    pub topic_alias: Option<NonZeroU16>,
    /// Where an answer goes.
    pub response_topic: Option<TopicName>,
    /// What an answer repeats.
    pub correlation_data: Option<Bytes>,
    /// What the payload is.
    pub content_type: Option<Arc<str>>,
    /// The subscriptions that the message is for. A client must not send them.
    pub subscription_ids: Vec<NonZeroU32>,
    /// Names and values.
    pub user_properties: Vec<UserProperty>,
}

/// The answer to a message: PUBACK and PUBREC (sections 3.4 and 3.5). User properties are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubAck {
    /// The message's packet id.
    pub packet_id: NonZeroU16,
    /// The outcome. 3.1.1 can't write a failure: it has no negative answer.
    pub code: PubAckCode,
    /// An explanation for people; left out in 3.1.1.
    pub reason_string: Option<Arc<str>>,
}

impl PubAck {
    /// An answer without an explanation.
    #[must_use]
    pub fn new(packet_id: NonZeroU16, code: PubAckCode) -> Self {
        Self { packet_id, code, reason_string: None }
    }
}

/// PUBREL and PUBCOMP (sections 3.6 and 3.7). Reason string and user properties are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubRel {
    /// The message's packet id.
    pub packet_id: NonZeroU16,
    /// The outcome. 3.1.1 can't write a failure.
    pub code: PubRelCode,
}
