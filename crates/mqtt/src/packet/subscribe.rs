//! SUBSCRIBE, UNSUBSCRIBE and their answers (sections 3.8 to 3.11).

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use super::{QoS, UserProperty};
use crate::reason::{SubAckCode, UnknownCode, UnsubAckCode};
use crate::topic::TopicFilter;

/// A request for subscriptions (section 3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The packet id that the answer repeats.
    pub packet_id: NonZeroU16,
    /// What is asked for: at least one.
    pub filters: Vec<SubscribeFilter>,
    /// The number that messages for these subscriptions carry, up to 268,435,455 (MQTT 5; section 3.8.2.1.2).
    pub subscription_id: Option<NonZeroU32>,
    /// Names and values; left out in 3.1.1.
    pub user_properties: Vec<UserProperty>,
}

/// One filter of a SUBSCRIBE with its options (section 3.8.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// The topics.
    pub filter: TopicFilter,
    /// The highest QoS to be sent.
    pub qos: QoS,
    /// Not the client's own messages (MQTT 5).
    pub no_local: bool,
    /// Keep the retain flag as it was published (MQTT 5).
    pub retain_as_published: bool,
    /// When retained messages are sent (MQTT 5).
    pub retain_handling: RetainHandling,
}

impl SubscribeFilter {
    /// A filter with the options of 3.1.1.
    #[must_use]
    pub fn new(filter: TopicFilter, qos: QoS) -> Self {
        let retain_handling = RetainHandling::Send;
        Self { filter, qos, no_local: false, retain_as_published: false, retain_handling }
    }
}

/// When retained messages are sent (section 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every subscribe; the only way of 3.1.1.
    Send = 0,
    /// At a subscribe that makes a new subscription.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

impl From<RetainHandling> for u8 {
    fn from(handling: RetainHandling) -> u8 {
        handling as u8
    }
}

impl TryFrom<u8> for RetainHandling {
    type Error = UnknownCode;

    fn try_from(value: u8) -> Result<Self, UnknownCode> {
        match value {
            0 => Ok(Self::Send),
            1 => Ok(Self::SendIfNew),
            2 => Ok(Self::DoNotSend),
            other => Err(UnknownCode(other)),
        }
    }
}

/// The answer to SUBSCRIBE (section 3.9). User properties are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// The packet id of the SUBSCRIBE.
    pub packet_id: NonZeroU16,
    /// One code a filter, in their order. In 3.1.1 every failure is 0x80.
    pub codes: Vec<SubAckCode>,
    /// An explanation for people; left out in 3.1.1.
    pub reason_string: Option<Arc<str>>,
}

/// A request to end subscriptions (section 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The packet id that the answer repeats.
    pub packet_id: NonZeroU16,
    /// The filters of the subscriptions: at least one.
    pub filters: Vec<TopicFilter>,
    /// Names and values; left out in 3.1.1.
    pub user_properties: Vec<UserProperty>,
}

/// The answer to UNSUBSCRIBE (section 3.11). User properties are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// The packet id of the UNSUBSCRIBE.
    pub packet_id: NonZeroU16,
    /// One code a filter, in their order. 3.1.1 has none: they are left out, and empty when received.
    pub codes: Vec<UnsubAckCode>,
    /// An explanation for people; left out in 3.1.1.
    pub reason_string: Option<Arc<str>>,
}
