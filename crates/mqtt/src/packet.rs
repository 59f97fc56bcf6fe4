//! The packets (chapter 3), the same for both versions.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, EncodeError};
use crate::field::MAX_PACKET_SIZE;
use crate::header::{self, Gate, Role};
use crate::reason::{
    ConnectReasonCode, DisconnectReasonCode, PubAckCode, PubRelCode, QoS, SubAckCode, UnsubAckCode, codes,
};
use crate::topic::{TopicFilter, TopicName};
use crate::{decode, encode};

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5, protocol level 5.
    V5,
}

/// One control packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A client asks for a connection (section 3.1).
    Connect(Box<Connect>),
    /// The server's answer to CONNECT (section 3.2).
    ConnAck(Box<ConnAck>),
    /// A message (section 3.3).
    Publish(Publish),
    /// The answer to a QoS 1 message (section 3.4).
    PubAck(PubAck),
    /// The first answer to a QoS 2 message (section 3.5).
    PubRec(PubAck),
    /// The sender releases a QoS 2 message (section 3.6).
    PubRel(PubRel),
    /// The end of a QoS 2 exchange (section 3.7).
    PubComp(PubRel),
    /// A request for subscriptions (section 3.8).
    Subscribe(Subscribe),
    /// The answer to SUBSCRIBE (section 3.9).
    SubAck(SubAck),
    /// A request to end subscriptions (section 3.10).
    Unsubscribe(Unsubscribe),
    /// The answer to UNSUBSCRIBE (section 3.11).
    UnsubAck(UnsubAck),
    /// A client asks for a sign of life (section 3.12).
    PingReq,
    /// The answer to PINGREQ (section 3.13).
    PingResp,
    /// The end of the connection (section 3.14).
    Disconnect(Disconnect),
    /// A step of extended authentication (section 3.15). Its content is dropped, and it can't be sent.
    Auth,
}

impl Packet {
    /// The packet type, 1 to 15 (section 2.1.2).
    #[must_use]
    pub fn packet_type(&self) -> u8 {
        match self {
            Self::Connect(_) => 1,
            Self::ConnAck(_) => 2,
            Self::Publish(_) => 3,
            Self::PubAck(_) => 4,
            Self::PubRec(_) => 5,
            Self::PubRel(_) => 6,
            Self::PubComp(_) => 7,
            Self::Subscribe(_) => 8,
            Self::SubAck(_) => 9,
            Self::Unsubscribe(_) => 10,
            Self::UnsubAck(_) => 11,
            Self::PingReq => 12,
            Self::PingResp => 13,
            Self::Disconnect(_) => 14,
            Self::Auth => 15,
        }
    }

    /// Whether it answers a message or a request for subscriptions.
    pub(crate) fn is_acknowledgement(&self) -> bool {
        matches!(self, Self::PubAck(_) | Self::PubRec(_) | Self::SubAck(_) | Self::UnsubAck(_))
    }

    /// Takes the reason string out, if there is one.
    pub(crate) fn take_reason_string(&mut self) -> Option<Arc<str>> {
        match self {
            Self::ConnAck(answer) => answer.properties.reason_string.take(),
            Self::PubAck(answer) | Self::PubRec(answer) => answer.reason_string.take(),
            Self::SubAck(answer) => answer.reason_string.take(),
            Self::UnsubAck(answer) => answer.reason_string.take(),
            Self::Disconnect(reason) => reason.reason_string.take(),
            _ => None,
        }
    }
}

/// A name and a value whose meaning the two ends agree on (section 1.5.7). Names may repeat.
pub type UserProperty = (Arc<str>, Arc<str>);

/// A client asks for a connection (section 3.1).
///
/// `Debug` shows neither user name nor password: both can be, or hold, the device's credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The version that the client speaks.
    pub version: Version,
    /// The client id. Empty asks the server for one (section 3.1.3.1); in 3.1.1 only with `clean_start`.
    pub client_id: Arc<str>,
    /// Whether an earlier session is dropped; `CleanSession` in 3.1.1 (section 3.1.2.4).
    pub clean_start: bool,
    /// The keep-alive time in seconds; 0 is none (section 3.1.2.10).
    pub keep_alive: u16,
    /// The user name (section 3.1.3.5).
    pub username: Option<Arc<str>>,
    /// The password (section 3.1.3.6). In 3.1.1 only with a user name.
    pub password: Option<Bytes>,
    /// What the server publishes when the connection breaks (section 3.1.2.5).
    pub last_will: Option<LastWill>,
    /// The properties of MQTT 5; left out in 3.1.1.
    pub properties: ConnectProperties,
}

impl Connect {
    /// A CONNECT with a clean start, without credentials, will, keep-alive and properties.
    pub fn new(version: Version, client_id: impl Into<Arc<str>>) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            clean_start: true,
            keep_alive: 0,
            username: None,
            password: None,
            last_will: None,
            properties: ConnectProperties::default(),
        }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("username", &hidden(self.username.as_ref()))
            .field("password", &hidden(self.password.as_ref()))
            .field("last_will", &self.last_will)
            .field("properties", &self.properties)
            .finish()
    }
}

/// The properties of CONNECT (section 3.1.2.11).
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectProperties {
    /// Seconds for which the session outlives the connection; `u32::MAX` is for ever.
    pub session_expiry_interval: u32,
    /// How many unacknowledged QoS 1 and 2 messages the client accepts; 65,535 if absent.
    pub receive_maximum: Option<NonZeroU16>,
    /// The largest packet that the client accepts, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The highest topic alias that the client accepts; 0 is none.
    pub topic_alias_maximum: u16,
    /// Whether the server may send reason strings and user properties with acknowledgements. True if absent.
    /// A server's codec leaves them out by itself (`[MQTT-3.1.2-29]`).
    pub request_problem_information: bool,
    /// Whether the client asks for response information.
    pub request_response_information: bool,
    /// The name of the extended authentication's method.
    pub authentication_method: Option<Arc<str>>,
    /// The method's first data. `Debug` does not show it.
    pub authentication_data: Option<Bytes>,
    /// The user properties.
    pub user_properties: Vec<UserProperty>,
}

impl Default for ConnectProperties {
    fn default() -> Self {
        Self {
            session_expiry_interval: 0,
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_problem_information: true,
            request_response_information: false,
            authentication_method: None,
            authentication_data: None,
            user_properties: Vec::new(),
        }
    }
}

impl fmt::Debug for ConnectProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectProperties")
            .field("session_expiry_interval", &self.session_expiry_interval)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("request_problem_information", &self.request_problem_information)
            .field("request_response_information", &self.request_response_information)
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &hidden(self.authentication_data.as_ref()))
            .field("user_properties", &self.user_properties.len())
            .finish()
    }
}

/// What the server publishes when the connection breaks (section 3.1.2.5). `Debug` shows no payload.
#[derive(Clone, PartialEq, Eq)]
pub struct LastWill {
    /// The topic that the will is published to.
    pub topic: TopicName,
    /// The content of the will.
    pub payload: Bytes,
    /// The QoS that the will is published with.
    pub qos: QoS,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
    /// The properties of MQTT 5; left out in 3.1.1.
    pub properties: LastWillProperties,
}

impl LastWill {
    /// A QoS 0 will that is not retained.
    #[must_use]
    pub fn new(topic: TopicName, payload: Bytes) -> Self {
        let properties = LastWillProperties::default();
        Self { topic, payload, qos: QoS::AtMostOnce, retain: false, properties }
    }
}

impl fmt::Debug for LastWill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastWill")
            .field("topic", &self.topic)
            .field("payload_bytes", &self.payload.len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}

/// The properties of a will (section 3.1.3.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastWillProperties {
    /// Seconds from the end of the connection to the publication.
    pub delay_interval: Option<u32>,
    /// Whether the sender says that the payload is UTF-8.
    pub payload_is_utf8: Option<bool>,
    /// Seconds after which the message is dropped. 0 can be received and not be sent.
    pub message_expiry_interval: Option<u32>,
    /// The type of the payload, as a MIME type for example.
    pub content_type: Option<Arc<str>>,
    /// The topic for an answer.
    pub response_topic: Option<TopicName>,
    /// Data that an answer repeats.
    pub correlation_data: Option<Bytes>,
    /// The user properties.
    pub user_properties: Vec<UserProperty>,
}

fn hidden<T>(value: Option<T>) -> Option<&'static str> {
    value.map(|_| "(hidden)")
}

/// The server's answer to CONNECT (section 3.2).
///
/// An acceptance states its limits and flags, those with their default values too, as AWS IoT Core does. A refusal states
/// what is not at its default.
///
/// In 3.1.1 nothing is written for a code that has no return code ([`ConnectReasonCode::return_code`]): the server
/// only closes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server goes on with an earlier session. Never with a refusal.
    pub session_present: bool,
    /// The outcome.
    pub code: ConnectReasonCode,
    /// The properties of MQTT 5; left out in 3.1.1.
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
    /// How many unacknowledged QoS 1 and 2 messages the server accepts; 65,535 by default.
    pub receive_maximum: NonZeroU16,
    /// The highest QoS that the server accepts; exactly once by default.
    pub maximum_qos: QoS,
    /// Whether the server keeps retained messages; true by default.
    pub retain_available: bool,
    /// The largest packet that the server accepts, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The client id that the server chose for a client without one.
    pub assigned_client_id: Option<Arc<str>>,
    /// The highest topic alias that the server accepts; 0, none, by default.
    pub topic_alias_maximum: u16,
    /// An explanation for a reader.
    pub reason_string: Option<Arc<str>>,
    /// Whether filters may hold wildcards; true by default.
    pub wildcard_subscription_available: bool,
    /// Whether subscriptions may have identifiers; true by default.
    pub subscription_identifiers_available: bool,
    /// Whether subscriptions may be shared; true by default.
    pub shared_subscription_available: bool,
    /// The keep-alive time that the client must use instead of its own, in seconds.
    pub server_keep_alive: Option<u16>,
    /// Text from which the client makes response topics.
    pub response_information: Option<Arc<str>>,
    /// Another server that the client can use.
    pub server_reference: Option<Arc<str>>,
    /// The name of the extended authentication's method.
    pub authentication_method: Option<Arc<str>>,
    /// The last data of that method.
    pub authentication_data: Option<Bytes>,
    /// The user properties.
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

/// A message (section 3.3). A clone shares topic, payload and properties.
///
/// The payload of a message that was received shares the read buffer: copy it before keeping it for long.
/// `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Publish {
    /// The topic. Absent only in MQTT 5, where a topic alias can replace it (section 3.3.2.3.4).
    pub topic: Option<TopicName>,
    /// The content of the message.
    pub payload: Bytes,
    /// The QoS that it is sent with.
    pub qos: QoS,
    /// From a client: whether the server retains the message for its topic. From a server: whether the message was
    /// retained.
    pub retain: bool,
    /// Whether the message may have been sent before. Never with QoS 0.
    pub dup: bool,
    /// The packet id: with QoS 1 and 2, and only then.
    pub packet_id: Option<NonZeroU16>,
    /// The properties of MQTT 5; absent if there are none, and left out in 3.1.1.
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

    /// The message as the PUBLISH packet of MQTT 5 that a client sends, with which a program can store it.
    ///
    /// # Errors
    ///
    /// As the codec's: a message without topic and alias, or with a QoS and no packet id, can't be written.
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        let mut bytes = BytesMut::new();
        let packet = Packet::Publish(self.clone());
        encode::packet(&packet, Version::V5, Role::Client, MAX_PACKET_SIZE, &mut bytes)?;
        Ok(bytes.freeze())
    }

    /// The message that [`Self::to_bytes`] has written.
    ///
    /// # Errors
    ///
    /// If the bytes are something else, or are damaged.
    pub fn from_bytes(bytes: &Bytes) -> Result<Self, DecodeError> {
        let gate = Gate {
            role: Role::Server,
            version: Some(Version::V5),
            v31: false,
            opened: true,
            max_packet_size: MAX_PACKET_SIZE,
        };
        let header = gate.header(bytes)?.ok_or(DecodeError::Truncated)?;
        if header.kind != header::PUBLISH || header.end != bytes.len() {
            return Err(DecodeError::Malformed);
        }
        decode::publish(header.flags, &bytes.slice(header.body..), Version::V5, Role::Server)
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
    /// Whether the sender says that the payload is UTF-8.
    pub payload_is_utf8: bool,
    /// Seconds after which the message is dropped. 0 can be received and not be sent.
    pub message_expiry_interval: Option<u32>,
    /// A number that replaces the topic on this connection.
    pub topic_alias: Option<NonZeroU16>,
    /// The topic for an answer.
    pub response_topic: Option<TopicName>,
    /// Data that an answer repeats.
    pub correlation_data: Option<Bytes>,
    /// The type of the payload, as a MIME type for example.
    pub content_type: Option<Arc<str>>,
    /// The subscriptions that the message is for. A client must not send them.
    pub subscription_ids: Vec<NonZeroU32>,
    /// The user properties.
    pub user_properties: Vec<UserProperty>,
}

/// The answer to a message: PUBACK and PUBREC (sections 3.4 and 3.5). User properties are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubAck {
    /// The message's packet id.
    pub packet_id: NonZeroU16,
    /// The outcome. 3.1.1 can't write a failure: it has no negative answer.
    pub code: PubAckCode,
    /// An explanation for a reader; left out in 3.1.1.
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

/// A request for subscriptions (section 3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The packet id that the answer repeats.
    pub packet_id: NonZeroU16,
    /// The filters to subscribe to: at least one, with those that are invalid.
    pub filters: Vec<SubscribeFilter>,
    /// What a client of MQTT 5 sent in the place of a filter, in the order of their positions. The answer has a failure for
    /// each.
    pub invalid: Vec<InvalidFilter>,
    /// The number that messages for these subscriptions carry, up to 268,435,455 (MQTT 5; section 3.8.2.1.2).
    pub subscription_id: Option<NonZeroU32>,
    /// Names and values; left out in 3.1.1.
    pub user_properties: Vec<UserProperty>,
}

impl Subscribe {
    /// A request for these subscriptions, without properties.
    #[must_use]
    pub fn new(packet_id: NonZeroU16, filters: Vec<SubscribeFilter>) -> Self {
        Self { packet_id, filters, invalid: Vec::new(), subscription_id: None, user_properties: Vec::new() }
    }
}

/// A text in the place of a filter of a SUBSCRIBE or UNSUBSCRIBE that is not a topic filter (section 4.7). In 3.1.1 it is
/// an error, because UNSUBACK has no failure there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFilter {
    /// The position among all filters of the packet, from 0.
    pub position: usize,
    /// The text.
    pub text: Arc<str>,
}

/// One filter of a SUBSCRIBE with its options (section 3.8.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// The topics to subscribe to.
    pub filter: TopicFilter,
    /// The highest QoS of the messages that are sent for it.
    pub qos: QoS,
    /// Whether the client's own messages are left out (MQTT 5).
    pub no_local: bool,
    /// Whether messages keep the retain flag that they were published with (MQTT 5).
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

codes! {
    /// When retained messages are sent (section 3.8.3.1).
    pub enum RetainHandling {
        /// At every SUBSCRIBE, as always in 3.1.1.
        Send = 0,
        /// At a SUBSCRIBE that makes a new subscription.
        SendIfNew = 1,
        /// Not at all.
        DoNotSend = 2,
    }
}

/// The answer to SUBSCRIBE (section 3.9). User properties are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// The packet id of the SUBSCRIBE.
    pub packet_id: NonZeroU16,
    /// One code for each filter, in the order of the filters. In 3.1.1 every failure is 0x80.
    pub codes: Vec<SubAckCode>,
    /// An explanation for a reader; left out in 3.1.1.
    pub reason_string: Option<Arc<str>>,
}

/// A request to end subscriptions (section 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The packet id that the answer repeats.
    pub packet_id: NonZeroU16,
    /// The filters of the subscriptions: at least one, with those that are invalid.
    pub filters: Vec<TopicFilter>,
    /// As in [`Subscribe::invalid`].
    pub invalid: Vec<InvalidFilter>,
    /// Names and values; left out in 3.1.1.
    pub user_properties: Vec<UserProperty>,
}

impl Unsubscribe {
    /// A request to end these subscriptions, without properties.
    #[must_use]
    pub fn new(packet_id: NonZeroU16, filters: Vec<TopicFilter>) -> Self {
        Self { packet_id, filters, invalid: Vec::new(), user_properties: Vec::new() }
    }
}

/// The answer to UNSUBSCRIBE (section 3.11). User properties are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// The packet id of the UNSUBSCRIBE.
    pub packet_id: NonZeroU16,
    /// One code for each filter, in the order of the filters. 3.1.1 has none: they are left out, and empty when received.
    pub codes: Vec<UnsubAckCode>,
    /// An explanation for a reader; left out in 3.1.1.
    pub reason_string: Option<Arc<str>>,
}

/// The end of the connection (section 3.14). User properties are dropped.
///
/// In 3.1.1 only a client sends it, and it has no content. There a server's codec writes nothing for it, so that a
/// server can report why it closes the connection without asking for the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// The reason for the end.
    pub code: DisconnectReasonCode,
    /// A new session expiry interval in seconds. Only a client sends it.
    pub session_expiry_interval: Option<u32>,
    /// An explanation for a reader.
    pub reason_string: Option<Arc<str>>,
    /// Another server that the client can use. Only a server sends it.
    pub server_reference: Option<Arc<str>>,
}

impl Disconnect {
    /// A DISCONNECT with only a code.
    #[must_use]
    pub fn new(code: DisconnectReasonCode) -> Self {
        Self { code, session_expiry_interval: None, reason_string: None, server_reference: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_small() {
        assert!(size_of::<Packet>() <= 96, "{}", size_of::<Packet>());
    }

    #[test]
    fn a_stored_message_is_the_same_and_a_damaged_one_is_refused() {
        let mut message = Publish::new(TopicName::try_from("a/b").unwrap(), vec![0, 7, 255]);
        (message.qos, message.retain, message.packet_id) = (QoS::AtLeastOnce, true, NonZeroU16::new(9));
        message.properties = Some(Arc::new(PublishProperties {
            message_expiry_interval: Some(60),
            user_properties: vec![("k".into(), "v".into())],
            ..PublishProperties::default()
        }));
        let bytes = message.to_bytes().unwrap();
        assert_eq!(Publish::from_bytes(&bytes), Ok(message));
        for end in 0..bytes.len() {
            assert!(Publish::from_bytes(&bytes.slice(..end)).is_err(), "{end}");
        }
        assert_eq!(Publish::from_bytes(&Bytes::from_static(b"\xc0\x00")), Err(DecodeError::Malformed));
    }

    #[test]
    fn debug_shows_no_credential() {
        let mut connect = Connect::new(Version::V5, "thermometer");
        connect.username = Some("alice?token=tangerine".into());
        connect.password = Some(Bytes::from_static(b"hunter2"));
        connect.properties.authentication_data = Some(Bytes::from_static(b"marmalade"));
        connect.properties.user_properties.push(("key".into(), "quince".into()));
        connect.last_will =
            Some(LastWill::new(TopicName::try_from("gone").unwrap(), Bytes::from_static(b"apricot")));
        for shown in [format!("{connect:?}"), format!("{:#?}", crate::Packet::Connect(Box::new(connect)))] {
            assert!(shown.contains("thermometer") && shown.contains("(hidden)"), "{shown}");
            for secret in ["alice", "tangerine", "hunter2", "104, 117", "marmalade", "quince", "apricot"] {
                assert!(!shown.contains(secret), "{secret} in {shown}");
            }
        }
    }
}
