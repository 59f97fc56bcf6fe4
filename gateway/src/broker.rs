//! Who is connected or away, who subscribes to what, and the way of a message from one to the others.

mod client;
pub mod queue;
pub mod registration;
mod restoring;
mod retained;
pub mod store;
pub mod subscriptions;

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroU16,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mqtt::{Publish, TopicName};

use self::{
    client::Client,
    queue::{Delivery, Waiting},
    retained::{Change, Retained},
    store::{Journal, MessageId, Store, StoreError},
    subscriptions::{Matching, Subscriptions},
};
use crate::clock::{Clock, Moment};

/// The message broker. It knows no policy: sessions ask for nothing that they may not have.
pub struct Broker {
    state: Mutex<State>,
    /// Whoever holds the state may take the store, and never the reverse.
    store: Store,
}

#[derive(Default)]
struct State {
    clients: HashMap<Arc<str>, Client>,
    subscriptions: Subscriptions,
    retained: Retained,
    /// What waits for all clients together.
    waiting: Waiting,
    connections: u64,
    /// When the sessions of those who are away end, and whose connection each was.
    endings: BTreeSet<(Moment, u64, Arc<str>)>,
}

impl Broker {
    /// The broker of a data folder, with the sessions and retained messages that are there.
    ///
    /// # Errors
    ///
    /// When the file can't be used; nothing of it is used then.
    pub fn open(folder: &Path, clock: &Clock) -> Result<Self, StoreError> {
        let (store, stored) = Store::open(&folder.join(store::FILE), clock)?;
        Ok(Self { state: Mutex::new(State::restored(stored, clock.now())), store })
    }

    /// Sends a message to everyone who subscribes to its topic, once each, and keeps it if it is to be retained. What is to
    /// outlive the process is in the file when this returns.
    ///
    /// # Errors
    ///
    /// When the file can't be written: then the message must not be acknowledged.
    pub fn publish(
        &self,
        from: &str,
        topic: &TopicName,
        publish: &Publish,
        now: Moment,
    ) -> Result<(), StoreError> {
        let mut state = self.state(now);
        let mut journal = self.store.journal();
        let change = if publish.retain {
            state.retained.change(topic, publish, now, &mut journal)?
        } else {
            Change::Nothing
        };
        let deliveries = state.accept(from, topic, publish, now, &mut journal)?;
        // What is not in the file did not happen.
        journal.commit()?;
        state.retained.apply(topic, change);
        for (client_id, delivery) in deliveries {
            if let Some(client) = state.clients.get_mut(&client_id) {
                client.deliver(delivery);
            }
        }
        Ok(())
    }

    /// A message from the file is about to be sent under this packet id.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn sent(&self, message: MessageId, packet_id: NonZeroU16) -> Result<(), StoreError> {
        let mut journal = self.store.journal();
        journal.sent(message, packet_id)?;
        journal.commit()
    }

    /// A message from the file is done with.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn settled(&self, message: MessageId) -> Result<(), StoreError> {
        let mut journal = self.store.journal();
        journal.settled(message)?;
        journal.commit()
    }

    /// The state, without the sessions whose time is over.
    fn state(&self, now: Moment) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = state.end_sessions(now, &self.store) {
            // They are over all the same, and at the next start their time will be.
            tracing::error!(%error, "sessions that are over stay in the file");
        }
        state
    }
}

impl State {
    /// The message for each who subscribes to its topic and has room for it.
    fn accept(
        &mut self,
        from: &str,
        topic: &TopicName,
        publish: &Publish,
        now: Moment,
        journal: &mut Journal<'_>,
    ) -> Result<Vec<(Arc<str>, Delivery)>, StoreError> {
        let Self { clients, subscriptions, .. } = self;
        let Matching { own, shared } = subscriptions
            .matching(topic, |client_id| clients.get(client_id).is_some_and(Client::is_connected));
        let mut deliveries = Vec::with_capacity(own.len() + shared.len());
        if own.is_empty() && shared.is_empty() || queue::is_over(publish) {
            return Ok(deliveries);
        }
        // A payload shares its sender's read buffer, which must not wait with it in somebody else's queue.
        let publish = retained::on_its_own(publish);
        for (client_id, subscriber) in own.into_iter().chain(shared) {
            if subscriber.no_local && *client_id == *from {
                continue;
            }
            let message =
                subscriber.message(&publish, topic, publish.retain && subscriber.retain_as_published);
            if let Some(client) = clients.get_mut(&client_id)
                && let Some(delivery) = client.accept(&client_id, message, now, journal)?
            {
                deliveries.push((client_id, delivery));
            }
        }
        Ok(deliveries)
    }

    /// Takes a client out, with its subscriptions.
    fn remove(&mut self, client_id: &str) {
        self.clients.remove(client_id);
        self.subscriptions.remove_client(client_id);
    }

    fn end_sessions(&mut self, now: Moment, store: &Store) -> Result<(), StoreError> {
        let mut journal = store.journal();
        let mut done = Ok(());
        while self.endings.first().is_some_and(|(at, ..)| *at <= now) {
            done = done.and(self.end_first_session(&mut journal));
        }
        done.and_then(|()| journal.commit())
    }

    /// Ends the session of whoever is away and has the least time left.
    fn end_first_session(&mut self, journal: &mut Journal<'_>) -> Result<(), StoreError> {
        let Some((_, connection, client_id)) = self.endings.pop_first() else { return Ok(()) };
        if self.clients.get(&client_id).is_some_and(|client| client.is_away(connection)) {
            self.remove(&client_id);
            journal.session_ends(&client_id)?;
        }
        Ok(())
    }
}
