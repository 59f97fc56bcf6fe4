//! CONNECT (section 3.1).

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use bytes::Bytes;

use super::{QoS, UserProperty, Version};
use crate::topic::TopicName;

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
    /// What only MQTT 5 has; left out in 3.1.1.
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
    /// Unacknowledged QoS 1 and 2 messages that the client takes; 65,535 if absent.
    pub receive_maximum: Option<NonZeroU16>,
    /// The largest packet that the client takes, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The highest topic alias that the client takes; 0 is none.
    pub topic_alias_maximum: u16,
    /// Whether the server may send reason strings and user properties with acknowledgements. True if absent.
    /// A server's codec heeds it by itself (`[MQTT-3.1.2-29]`).
    pub request_problem_information: bool,
    /// Whether the client asks for response information.
    pub request_response_information: bool,
    /// The method of extended authentication.
    pub authentication_method: Option<Arc<str>>,
    /// The method's first data. `Debug` does not show it.
    pub authentication_data: Option<Bytes>,
    /// Names and values.
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
    /// Where to.
    pub topic: TopicName,
    /// What.
    pub payload: Bytes,
    /// How surely.
    pub qos: QoS,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
    /// What only MQTT 5 has; left out in 3.1.1.
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
    /// Whether the payload is said to be UTF-8.
    pub payload_is_utf8: Option<bool>,
    /// Seconds after which the message is dropped. 0 can be received and not be sent.
    pub message_expiry_interval: Option<u32>,
    /// What the payload is.
    pub content_type: Option<Arc<str>>,
    /// Where an answer goes.
    pub response_topic: Option<TopicName>,
    /// What an answer repeats.
    pub correlation_data: Option<Bytes>,
    /// Names and values.
    pub user_properties: Vec<UserProperty>,
}

fn hidden<T>(value: Option<T>) -> Option<&'static str> {
    value.map(|_| "(hidden)")
}

#[cfg(test)]
mod tests {
    use super::*;

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
