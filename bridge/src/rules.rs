//! What the bridge changes in a device's packets. The rules can be replaced while devices are connected: a connection keeps
//! those that it began with.

use mqtt::{TopicFilter, TopicName};

use crate::client_ids::ClientIds;
use crate::topic_map::TopicMap;

/// The largest payload that AWS IoT Core accepts, in bytes (AWS General Reference, "AWS IoT Core endpoints and quotas").
pub const MAX_PAYLOAD_BYTES: usize = 131_072;

/// What the bridge changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Client ids that are replaced.
    pub client_ids: ClientIds,
    /// Topics that are replaced.
    pub topics: TopicMap,
    /// The topics, by AWS's names, whose messages lose their retain flag.
    pub drop_retain: Vec<TopicFilter>,
    /// The largest payload that goes up; a larger message is acknowledged and dropped. None lets AWS decide.
    pub max_payload_bytes: Option<usize>,
    /// Whether QoS 2 is passed on as it is, so that AWS refuses it.
    pub keep_qos2: bool,
}

impl Rules {
    /// Whether a message on this topic loses its retain flag.
    #[must_use]
    pub fn drops_retain(&self, topic: &TopicName) -> bool {
        self.drop_retain.iter().any(|filter| filter.matches(topic))
    }
}

/// Something that the bridge changed. Each is counted, and logged once a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Translation {
    /// The device speaks MQTT 3.1.
    Mqtt31,
    /// The device begins with the protocol level of a bridge.
    BridgeLevel,
    /// The client id is another one at AWS.
    ClientId,
    /// The keep-alive is not one that AWS has.
    KeepAlive,
    /// A QoS 2 message goes up with QoS 1.
    PublishQos2,
    /// A subscription is made with QoS 1 instead of 2.
    SubscribeQos2,
    /// A message lost its retain flag.
    Retain,
    /// A topic is another one at AWS.
    Topic,
    /// A message is larger than AWS accepts, and was dropped.
    Oversize,
    /// A QoS 0 message came while there was no connection to AWS, and was dropped.
    Qos0Lost,
}

impl Translation {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Mqtt31,
        Self::BridgeLevel,
        Self::ClientId,
        Self::KeepAlive,
        Self::PublishQos2,
        Self::SubscribeQos2,
        Self::Retain,
        Self::Topic,
        Self::Oversize,
        Self::Qos0Lost,
    ];

    /// The name in the log and in the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt31 => "MQTT_3_1",
            Self::BridgeLevel => "BRIDGE_LEVEL",
            Self::ClientId => "CLIENT_ID",
            Self::KeepAlive => "KEEP_ALIVE",
            Self::PublishQos2 => "PUBLISH_QOS_2",
            Self::SubscribeQos2 => "SUBSCRIBE_QOS_2",
            Self::Retain => "RETAIN",
            Self::Topic => "TOPIC",
            Self::Oversize => "OVERSIZE",
            Self::Qos0Lost => "QOS_0_LOST",
        }
    }

    /// What was done, for a person.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Mqtt31 => "the device speaks MQTT 3.1, and MQTT 3.1.1 is spoken to AWS",
            Self::BridgeLevel => "the device is a broker that bridges; AWS sees an ordinary client",
            Self::ClientId => {
                "AWS would refuse the client id, so another one is used; `upstreamClientId` is it"
            }
            Self::KeepAlive => "AWS gets the nearest keep-alive that it has; the device keeps its own",
            Self::PublishQos2 => "QoS 2 messages go up with QoS 1, so AWS may get one of them more than once",
            Self::SubscribeQos2 => "subscriptions with QoS 2 are granted QoS 1",
            Self::Retain => "the retain flag was dropped, as `drop_retain` says",
            Self::Topic => "topics were mapped; policies see AWS's names",
            Self::Oversize => {
                "a message with a payload above `max_payload_bytes` was acknowledged and dropped"
            }
            Self::Qos0Lost => "QoS 0 messages came while there was no connection to AWS, and were dropped",
        }
    }
}
