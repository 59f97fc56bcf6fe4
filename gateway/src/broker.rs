//! Who is connected or away, who subscribes to what, and the way of a message from one to the others.

mod client;
pub mod queue;
pub mod registration;
mod retained;
pub mod subscriptions;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mqtt::{Publish, TopicName};

use self::{
    client::Client,
    retained::Retained,
    subscriptions::{Matching, Subscriptions},
};
use crate::clock::Moment;

/// The message broker. It knows no policy: sessions ask for nothing that they may not have.
#[derive(Default)]
pub struct Broker(Mutex<State>);

#[derive(Default)]
struct State {
    clients: HashMap<Arc<str>, Client>,
    subscriptions: Subscriptions,
    retained: Retained,
    connections: u64,
    /// When the sessions of those who are away end, and whose connection each was.
    endings: BTreeSet<(Moment, u64, Arc<str>)>,
}

impl Broker {
    /// Sends a message to everyone who subscribes to its topic, once each, and keeps it if it is to be retained.
    pub fn publish(&self, from: &str, topic: &TopicName, publish: &Publish, now: Moment) {
        let mut state = self.state(now);
        if publish.retain && !state.retained.keep(topic, publish, now) {
            tracing::warn!("no room for another retained message");
        }
        let State { clients, subscriptions, .. } = &mut *state;
        let Matching { own, shared } = subscriptions
            .matching(topic, |client_id| clients.get(client_id).is_some_and(Client::is_connected));
        if own.is_empty() && shared.is_empty() {
            return;
        }
        // A payload shares its sender's read buffer, which must not wait with it in somebody else's queue.
        let publish = retained::on_its_own(publish);
        for (client_id, subscriber) in own.into_iter().chain(shared) {
            if subscriber.no_local && *client_id == *from {
                continue;
            }
            let retain = publish.retain && subscriber.retain_as_published;
            if let Some(client) = state.clients.get_mut(&client_id) {
                client.deliver(subscriber.message(&publish, topic, retain), now);
            }
        }
    }

    /// The state, without the sessions whose time is over.
    fn state(&self, now: Moment) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.end_sessions(now);
        state
    }
}

impl State {
    fn end_sessions(&mut self, now: Moment) {
        while self.endings.first().is_some_and(|(at, ..)| *at <= now) {
            self.end_first_session();
        }
    }

    /// Ends the session of whoever is away and has the least time left.
    fn end_first_session(&mut self) {
        let Some((_, connection, client_id)) = self.endings.pop_first() else { return };
        if self.clients.get(&client_id).is_some_and(|client| client.is_away(connection)) {
            self.clients.remove(&client_id);
            self.subscriptions.remove_client(&client_id);
        }
    }
}
