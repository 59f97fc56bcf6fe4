//! What API calls and the console read of the broker's memory: retained messages, subscriptions, sessions and the names of shadows.

use std::sync::Arc;

use mqtt::{Publish, QoS, TopicFilter, TopicName, Version};

use super::{
    Broker,
    client::{Client, ClientState},
};
use crate::{clock::Moment, shadow::ShadowId};

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

/// A session, and what is on its way to its client.
#[derive(Clone, Debug)]
pub struct SessionEntry {
    /// The session's owner.
    pub principal_id: Arc<str>,
    /// The version of MQTT. `None` if the file does not say it.
    pub version: Option<Version>,
    /// Whether its client is connected.
    pub is_connected: bool,
    /// Whether it outlives its connection.
    pub is_persistent: bool,
    /// When it ends, while its client is away.
    pub ends_at: Option<Moment>,
    /// Messages that wait.
    pub waiting: usize,
    /// Messages that were sent and not acknowledged.
    pub inflight: usize,
    /// Bytes of both.
    pub bytes: usize,
    /// How many topic filters it has.
    pub subscriptions: usize,
}

impl Broker {
    /// The client ids that have a session, in no order.
    #[must_use]
    pub fn client_ids(&self) -> Vec<Arc<str>> {
        self.operations.with_state(|state| state.clients.keys().cloned().collect())
    }

    /// The session of a client.
    #[must_use]
    pub fn session(&self, client_id: &str) -> Option<SessionEntry> {
        self.operations.with_state(|state| {
            let Client { principal_id, version, outbox, queue, state: client, .. } =
                state.clients.get(client_id)?;
            let (waiting, inflight) = outbox.lock().counts();
            let (is_connected, is_persistent, ends_at) = match client {
                ClientState::Connected { persistent, .. } => (true, *persistent, None),
                ClientState::Away { ends_at, .. } => (false, true, Some(*ends_at)),
            };
            Some(SessionEntry {
                principal_id: Arc::clone(principal_id),
                version: *version,
                is_connected,
                is_persistent,
                ends_at,
                waiting,
                inflight,
                bytes: queue.bytes(),
                subscriptions: state.subscriptions.count(client_id),
            })
        })
    }

    /// The next shadows that have a document, in their order, after one of them.
    #[must_use]
    pub fn shadows_after(&self, after: Option<&ShadowId>, max: usize) -> Vec<ShadowId> {
        self.operations.with_state(|state| state.shadows.ids_after(after, max))
    }

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
