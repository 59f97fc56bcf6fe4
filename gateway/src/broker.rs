//! The message broker: sessions, subscriptions, and the messages between connections.

mod client;
mod operations;
pub mod outbox;
pub mod queue;
pub mod registration;
mod retained;
pub mod store;
pub mod subscriptions;

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroU16,
    path::Path,
    sync::Arc,
};

use mqtt::{Publish, TopicName};

pub use self::operations::{Broker, Completion, Pending};
use self::{
    client::{Client, ClientState, SharedOutbox},
    operations::Grouping,
    outbox::Outbox,
    queue::{Delivery, Queue, QueuedBytes},
    retained::{Retained, RetainedChange},
    store::{Changes, MessageId, Store, StoreError, Stored, StoredSession},
    subscriptions::{Matching, Subscriptions},
};
use crate::clock::{Clock, Moment};

/// The broker's memory.
#[derive(Default)]
struct State {
    clients: HashMap<Arc<str>, Client>,
    subscriptions: Subscriptions,
    retained: Retained,
    /// The bytes that wait for all clients together.
    waiting: QueuedBytes,
    connections: u64,
    /// When the sessions of clients that are away end, with the number of each one's last connection.
    endings: BTreeSet<(Moment, u64, Arc<str>)>,
}

/// The broker knows no policy: sessions request nothing that their policies do not allow.
impl Broker {
    /// The broker of a data folder, with the sessions and retained messages in it.
    ///
    /// # Errors
    ///
    /// When not everything in the file can be read.
    pub fn open(folder: &Path, clock: &Clock) -> Result<Self, StoreError> {
        let (store, stored) = Store::open(&folder.join(store::FILE), clock)?;
        Ok(Self::start(State::restored(stored, clock.now()), store))
    }

    /// A broker whose file ends with the process.
    #[cfg(test)]
    fn in_memory(clock: &Clock) -> Arc<Self> {
        Arc::new(Self::start(State::default(), Store::in_memory(clock)))
    }

    /// Delivers a message to each subscriber of its topic, and retains it if it says so.
    ///
    /// # Errors
    ///
    /// When the file can't be written. Then nobody gets the message, and it must not be acknowledged.
    pub fn publish(
        &self,
        from: Arc<str>,
        topic: TopicName,
        publish: Publish,
        now: Moment,
    ) -> Pending<Result<(), StoreError>> {
        let prepare = move |state: &mut State, changes: &mut Changes| {
            let retained = if publish.retain {
                state.retained.prepare(&topic, &publish, now, changes)
            } else {
                RetainedChange::None
            };
            let deliveries = state.accept(&from, &topic, &publish, now, changes);
            (topic, retained, deliveries)
        };
        let apply = |state: &mut State, (topic, retained, deliveries), written: Result<(), StoreError>| {
            written?;
            state.retained.apply(&topic, retained);
            state.deliver(deliveries);
            Ok(())
        };
        self.operations.submit(Grouping::WithOthers, now, prepare, apply)
    }

    /// A message in the file is about to be sent for the first time, under this packet id.
    ///
    /// # Errors
    ///
    /// When the file can't be written. Then the message must not be sent.
    pub fn sent(
        &self,
        message: MessageId,
        packet_id: NonZeroU16,
        now: Moment,
    ) -> Pending<Result<(), StoreError>> {
        let prepare = move |_: &mut State, changes: &mut Changes| changes.sent(message, packet_id);
        self.operations.submit(Grouping::WithOthers, now, prepare, |_: &mut State, (), written| written)
    }

    /// A message in the file has reached its client, or is not to reach it any more.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn settled(&self, message: MessageId, now: Moment) -> Pending<Result<(), StoreError>> {
        let prepare = move |_: &mut State, changes: &mut Changes| changes.settled(message);
        self.operations.submit(Grouping::WithOthers, now, prepare, |_: &mut State, (), written| written)
    }
}

impl State {
    /// The sessions and retained messages of the file. Every client is away.
    fn restored(stored: Stored, now: Moment) -> Self {
        let mut state = Self::default();
        for (publish, expires_at) in stored.retained {
            state.retained.restore(publish, expires_at, now);
        }
        for (client_id, session) in stored.sessions {
            let StoredSession { principal_id, ends_at, subscriptions, messages } = session;
            for (filter, subscriber) in &subscriptions {
                state.subscriptions.insert(filter, &client_id, *subscriber);
            }
            state.connections += 1;
            let (connection, queue) = (state.connections, Queue::new(&state.waiting));
            let outbox = SharedOutbox::new(Outbox::restored(messages, &queue));
            let away = ClientState::Away { ends_at, resumed: None };
            state.endings.insert((ends_at, connection, Arc::clone(&client_id)));
            state.clients.insert(client_id, Client { connection, queue, principal_id, outbox, state: away });
        }
        state
    }

    /// The message for each subscriber of its topic that has room for it.
    fn accept(
        &mut self,
        from: &str,
        topic: &TopicName,
        publish: &Publish,
        now: Moment,
        changes: &mut Changes,
    ) -> Vec<(Arc<str>, Delivery)> {
        let Self { clients, subscriptions, .. } = self;
        let Matching { own, shared } = subscriptions
            .matching(topic, |client_id| clients.get(client_id).is_some_and(Client::is_connected));
        let mut deliveries = Vec::with_capacity(own.len() + shared.len());
        if own.is_empty() && shared.is_empty() || queue::is_over(publish) {
            return deliveries;
        }
        // The payload is part of the sender's read buffer, which must not stay in memory as long as the message waits.
        let publish = retained::with_own_buffers(publish);
        for (client_id, subscriber) in own.into_iter().chain(shared) {
            if subscriber.no_local && *client_id == *from {
                continue;
            }
            let message =
                subscriber.message(&publish, topic, publish.retain && subscriber.retain_as_published);
            if let Some(client) = clients.get_mut(&client_id)
                && let Some(delivery) = client.accept(&client_id, message, now, changes)
            {
                deliveries.push((client_id, delivery));
            }
        }
        deliveries
    }

    fn deliver(&mut self, deliveries: Vec<(Arc<str>, Delivery)>) {
        for (client_id, delivery) in deliveries {
            if let Some(client) = self.clients.get_mut(&client_id) {
                client.deliver(delivery);
            }
        }
    }

    /// Removes a client, with its subscriptions.
    fn remove(&mut self, client_id: &str) {
        self.clients.remove(client_id);
        self.subscriptions.remove_client(client_id);
    }

    /// Whether the time of a session is over whose client is away.
    fn has_session_to_end(&self, now: Moment) -> bool {
        self.endings.first().is_some_and(|(at, ..)| *at <= now)
    }

    /// Ends the sessions whose time is over.
    fn end_sessions(&mut self, now: Moment, changes: &mut Changes) {
        while self.has_session_to_end(now) {
            self.end_first_session(changes);
        }
    }

    /// Ends the session with the least time left, of those whose clients are away.
    fn end_first_session(&mut self, changes: &mut Changes) {
        let Some((_, connection, client_id)) = self.endings.pop_first() else { return };
        if self.clients.get(&client_id).is_some_and(|client| client.is_away_since(connection)) {
            self.remove(&client_id);
            changes.session_ended(&client_id);
        }
    }
}
