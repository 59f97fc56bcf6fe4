//! Who is connected, who subscribes to what, and the way of a message from one to the others.

pub mod queue;
mod retained;
pub mod subscriptions;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use mqtt::{Publish, SubscribeFilter, TopicFilter, TopicName};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::{
    queue::{Delivery, Queue},
    retained::Retained,
    subscriptions::{Subscriber, Subscriptions},
};

/// Messages that wait for one connection to take them over.
const MAILBOX_MESSAGES: usize = 256;

/// The message broker. It knows no policy: sessions ask for nothing that they may not have.
#[derive(Default)]
pub struct Broker(Mutex<State>);

#[derive(Default)]
struct State {
    clients: HashMap<Arc<str>, Client>,
    subscriptions: Subscriptions,
    retained: Retained,
    connections: u64,
}

struct Client {
    connection: u64,
    mailbox: mpsc::Sender<Delivery>,
    queue: Queue,
    signals: Signals,
}

/// What ends a connection from outside it.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Another connection has the client id now.
    pub taken_over: CancellationToken,
    /// A QoS 1 message found the mailbox full.
    pub overflowed: CancellationToken,
}

/// A connection's place in the broker. Dropping it takes the connection and its subscriptions out.
pub struct Registration {
    broker: Arc<Broker>,
    client_id: Arc<str>,
    connection: u64,
    /// Messages for this connection.
    pub mailbox: mpsc::Receiver<Delivery>,
    /// What ends it from outside.
    pub signals: Signals,
}

impl Broker {
    /// Enters a connection; an earlier one with the same client id is told that it is over.
    pub fn register(self: &Arc<Self>, client_id: &Arc<str>) -> Registration {
        let (sender, mailbox) = mpsc::channel(MAILBOX_MESSAGES);
        let signals = Signals::default();
        let mut state = self.state();
        state.connections += 1;
        let connection = state.connections;
        let client =
            Client { connection, mailbox: sender, queue: Queue::default(), signals: signals.clone() };
        if let Some(earlier) = state.clients.insert(Arc::clone(client_id), client) {
            state.subscriptions.remove_client(client_id);
            earlier.signals.taken_over.cancel();
        }
        Registration {
            broker: Arc::clone(self),
            client_id: Arc::clone(client_id),
            connection,
            mailbox,
            signals,
        }
    }

    /// Sends a message to everyone who subscribes to its topic, once each, and keeps it if it is to be retained.
    pub fn publish(&self, from: &str, topic: &TopicName, publish: &Publish) {
        let mut state = self.state();
        if publish.retain && !state.retained.keep(topic, publish) {
            tracing::warn!("no room for another retained message");
        }
        let matching = state.subscriptions.matching(topic);
        if matching.is_empty() {
            return;
        }
        // A payload shares its sender's read buffer, which must not wait with it in somebody else's queue.
        let publish = Publish { payload: Bytes::copy_from_slice(&publish.payload), ..publish.clone() };
        for (client_id, subscriber) in matching {
            if subscriber.no_local && *client_id == *from {
                continue;
            }
            let retain = publish.retain && subscriber.retain_as_published;
            if let Some(client) = state.clients.get(&client_id) {
                client.deliver(outgoing(&publish, topic, subscriber, retain));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// Adds a subscription, or replaces the one with the same filter; retained messages follow as MQTT has it.
    pub fn subscribe(&self, filter: &SubscribeFilter) {
        let subscriber = Subscriber::from(filter);
        let mut state = self.broker.state();
        let Some(client) = state.clients.get(&self.client_id).filter(|c| c.connection == self.connection)
        else {
            return;
        };
        let (mailbox, queue) = (client.mailbox.clone(), client.queue.clone());
        let new = state.subscriptions.insert(&filter.filter, &self.client_id, subscriber);
        let send = match filter.retain_handling {
            mqtt::RetainHandling::Send => true,
            mqtt::RetainHandling::SendIfNew => new,
            mqtt::RetainHandling::DoNotSend => false,
        };
        let retained = state.retained.matching(&filter.filter).filter(|_| send);
        let messages = retained.map(|(topic, publish)| outgoing(publish, topic, subscriber, true));
        for delivery in messages.map_while(|message| queue.accept(message)) {
            // More retained messages than the mailbox holds are not sent: the client would not keep up.
            if mailbox.try_send(delivery).is_err() {
                break;
            }
        }
    }

    /// Removes a subscription, if there is one.
    pub fn unsubscribe(&self, filter: &TopicFilter) {
        let mut state = self.broker.state();
        if self.is_current(&state) {
            state.subscriptions.remove(filter, &self.client_id);
        }
    }

    /// Whether the client id is still this connection's.
    fn is_current(&self, state: &State) -> bool {
        state.clients.get(&self.client_id).is_some_and(|client| client.connection == self.connection)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.broker.state();
        if self.is_current(&state) {
            state.clients.remove(&self.client_id);
            state.subscriptions.remove_client(&self.client_id);
        }
    }
}

impl Client {
    /// A full mailbox loses a QoS 0 message; for QoS 1 it ends the connection, so that nothing is lost in silence.
    fn deliver(&self, publish: Publish) {
        let at_least_once = publish.qos > mqtt::QoS::AtMostOnce;
        let delivery = self.queue.accept(publish);
        let delivered = delivery.is_some_and(|delivery| self.mailbox.try_send(delivery).is_ok());
        if !delivered && at_least_once {
            self.signals.overflowed.cancel();
        }
    }
}

fn outgoing(publish: &Publish, topic: &TopicName, subscriber: Subscriber, retain: bool) -> Publish {
    Publish {
        topic: Some(topic.clone()),
        qos: publish.qos.min(subscriber.qos),
        retain,
        dup: false,
        packet_id: None,
        ..publish.clone()
    }
}

#[cfg(test)]
mod tests {
    use mqtt::QoS;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_was_taken_over_can_do_nothing_to_its_heir() {
        let (broker, client_id, topic) = (Arc::new(Broker::default()), "c".into(), "t".parse().unwrap());
        let filter = SubscribeFilter::new("t".parse().unwrap(), QoS::AtMostOnce);
        let old = broker.register(&client_id);
        let mut new = broker.register(&client_id);
        assert!(old.signals.taken_over.is_cancelled());
        old.subscribe(&SubscribeFilter::new("other".parse().unwrap(), QoS::AtMostOnce));
        new.subscribe(&filter);
        old.unsubscribe(&filter.filter);
        drop(old);
        broker.publish("x", &"other".parse().unwrap(), &Publish::new("other".parse().unwrap(), "lost"));
        broker.publish("x", &topic, &Publish::new(topic.clone(), "arrives"));
        assert_eq!(new.mailbox.recv().await.unwrap().publish().payload, "arrives");
    }
}
