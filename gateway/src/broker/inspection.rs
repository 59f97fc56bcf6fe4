//! What API calls read of the broker's memory: retained messages and subscriptions.

use mqtt::{Publish, QoS, TopicFilter, TopicName};

use super::Broker;
use crate::clock::Moment;

/// A retained message.
#[derive(Clone, Debug)]
pub struct RetainedEntry {
    /// Its topic.
    pub topic: TopicName,
    /// The message.
    pub publish: Publish,
    /// When it was stored. A message of the file has the moment at which the gateway started.
    pub stored_at: Moment,
}

impl Broker {
    /// The retained message of a topic.
    #[must_use]
    pub fn retained_message(&self, topic: &TopicName, now: Moment) -> Option<RetainedEntry> {
        self.operations.with_state(|state| state.retained.entry(topic, now))
    }

    /// The next retained messages in the order of their topics, after one of them.
    #[must_use]
    pub fn retained_messages(
        &self,
        after: Option<&TopicName>,
        count: usize,
        now: Moment,
    ) -> Vec<RetainedEntry> {
        self.operations.with_state(|state| state.retained.entries_after(after, count, now))
    }

    /// The subscriptions of a client, in the order of their filters; `None` if it has no session.
    #[must_use]
    pub fn subscriptions_of(&self, client_id: &str) -> Option<Vec<(TopicFilter, QoS)>> {
        self.operations.with_state(|state| {
            state.clients.get(client_id)?;
            let mut subscriptions = state.subscriptions.with_qos(client_id);
            subscriptions.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
            Some(subscriptions)
        })
    }
}
