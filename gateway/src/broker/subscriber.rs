//! A client's subscription to a filter.

use mqtt::{Publish, QoS, SubscribeFilter, TopicName};

/// The options of one client's subscription to one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscriber {
    /// The highest QoS with which messages are sent.
    pub(super) qos: QoS,
    /// The client's own messages are not sent to it.
    pub(super) no_local: bool,
    /// Messages keep the retain flag with which they were published.
    pub(super) retain_as_published: bool,
}

impl From<&SubscribeFilter> for Subscriber {
    fn from(filter: &SubscribeFilter) -> Self {
        Self { qos: filter.qos, no_local: filter.no_local, retain_as_published: filter.retain_as_published }
    }
}

impl Subscriber {
    /// The message, as this subscriber gets it.
    pub(super) fn message(self, publish: &Publish, topic: &TopicName, retain: bool) -> Publish {
        Publish {
            topic: Some(topic.clone()),
            qos: publish.qos.min(self.qos),
            retain,
            dup: false,
            packet_id: None,
            ..publish.clone()
        }
    }
}
