//! A connection's place in the broker.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use mqtt::{QoS, SubscribeFilter, TopicFilter};
use tokio::sync::{mpsc, oneshot};

pub use super::client::Signals;
use super::{
    Broker, State,
    client::{Client, Place},
    queue::{Delivery, Queue},
    subscriptions::Subscriber,
};
use crate::{
    clock::{Clock, Moment},
    session::flow::Unfinished,
};

/// Messages that wait for one connection to take them over: many more than a burst of many clients brings at once to
/// one that reads.
const MAILBOX_MESSAGES: usize = 4_096;
/// Sessions of clients that are away: one more ends the one with the least time left *(unverified: AWS names no number)*.
const MAX_AWAY: usize = 20_000;
/// How long a connection that was taken over has to hand over its session.
const HANDOVER_LIMIT: Duration = Duration::from_secs(5);

/// A connection's place in the broker. Dropping it takes the connection out, and its subscriptions if its session does not
/// outlive it.
pub struct Registration {
    broker: Arc<Broker>,
    client_id: Arc<str>,
    connection: u64,
    earlier: Earlier,
    /// Messages for this connection.
    pub messages: Messages,
    /// What ends it from outside.
    pub signals: Signals,
}

/// Messages on their way to one connection.
pub struct Messages {
    /// Those that its new subscriptions bring. They come before those of the mailbox, which are newer.
    retained: VecDeque<Delivery>,
    mailbox: mpsc::Receiver<Delivery>,
}

/// What a client asks for in its CONNECT, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The principal: nobody goes on with another's session *(unverified)*.
    pub principal_id: Arc<str>,
    /// To begin anew: `CleanSession` or Clean Start.
    pub clean: bool,
    /// That the session outlives this connection.
    pub keeps: bool,
}

/// The session that was there before.
enum Earlier {
    None,
    Away(Unfinished),
    /// Its connection is about to hand it over; behind it comes what found no room there.
    Ending(oneshot::Receiver<Unfinished>, VecDeque<Delivery>),
}

impl Broker {
    /// Enters a connection; an earlier one with the same client id is told that it is over.
    pub fn register(self: &Arc<Self>, client_id: &Arc<str>, wish: Wish, now: Moment) -> Registration {
        let (sender, mailbox) = mpsc::channel(MAILBOX_MESSAGES);
        let signals = Signals::default();
        let mut state = self.state(now);
        let Wish { principal_id, clean, keeps } = wish;
        let (queue, earlier) = state.take_over(client_id, &principal_id, clean);
        state.connections += 1;
        let connection = state.connections;
        let overflow = VecDeque::new();
        let place = Place::Connected { mailbox: sender, signals: signals.clone(), keeps, overflow };
        state.clients.insert(Arc::clone(client_id), Client { connection, queue, principal_id, place });
        Registration {
            broker: Arc::clone(self),
            client_id: Arc::clone(client_id),
            connection,
            earlier,
            messages: Messages { retained: VecDeque::new(), mailbox },
            signals,
        }
    }
}

impl State {
    /// Ends whatever has the client id, and says what of it goes on. Subscriptions stay only with a session that does.
    fn take_over(&mut self, client_id: &Arc<str>, principal_id: &str, clean: bool) -> (Queue, Earlier) {
        let Some(Client { queue, place, connection, principal_id: earlier }) = self.clients.remove(client_id)
        else {
            return (Queue::default(), Earlier::None);
        };
        let clean = clean || *earlier != *principal_id;
        let earlier = match place {
            Place::Away { unfinished, ends_at } => {
                self.endings.remove(&(ends_at, connection, Arc::clone(client_id)));
                if clean { Earlier::None } else { Earlier::Away(unfinished) }
            }
            Place::Connected { signals, keeps, overflow, .. } => {
                let (heir, session) = oneshot::channel();
                let inherits = keeps && !clean;
                if inherits {
                    *signals.heir.lock().unwrap_or_else(PoisonError::into_inner) = Some(heir);
                }
                signals.taken_over.cancel();
                if inherits { Earlier::Ending(session, overflow) } else { Earlier::None }
            }
        };
        match earlier {
            Earlier::None => {
                self.subscriptions.remove_client(client_id);
                (Queue::default(), Earlier::None)
            }
            earlier => (queue, earlier),
        }
    }
}

impl Messages {
    /// The next message. One that was retained waits until the client `takes` more: there can be any number of them.
    pub async fn next(&mut self, takes: bool) -> Option<Delivery> {
        if self.retained.is_empty() {
            return self.mailbox.recv().await;
        }
        if takes { self.retained.pop_front() } else { std::future::pending().await }
    }
}

impl Registration {
    /// Greater than those of all connections before.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.connection
    }

    /// The earlier session, if there is one to go on with. A connection that was taken over hands it over when it has
    /// ended; if it does not in time, or has none to hand over, the session is over.
    pub async fn earlier(&mut self, clock: &Clock) -> Option<Unfinished> {
        match std::mem::replace(&mut self.earlier, Earlier::None) {
            Earlier::None => None,
            Earlier::Away(unfinished) => Some(unfinished),
            Earlier::Ending(session, mut overflow) => {
                let Some(Ok(mut unfinished)) = clock.timeout(HANDOVER_LIMIT, session).await else {
                    self.broker.state(clock.now()).subscriptions.remove_client(&self.client_id);
                    return None;
                };
                unfinished.waiting.append(&mut overflow);
                Some(unfinished)
            }
        }
    }

    /// The filters to which the client is subscribed already.
    #[must_use]
    pub fn subscribed(&self, now: Moment) -> Vec<TopicFilter> {
        self.broker.state(now).subscriptions.of_client(&self.client_id)
    }

    /// Adds a subscription, or replaces the one with the same filter; retained messages follow as MQTT has it.
    pub fn subscribe(&mut self, filter: &SubscribeFilter, now: Moment) {
        let subscriber = Subscriber::from(filter);
        let mut state = self.broker.state(now);
        let Some(client) = state.clients.get(&self.client_id).filter(|c| c.connection == self.connection)
        else {
            return;
        };
        let queue = client.queue.clone();
        let new = state.subscriptions.insert(&filter.filter, &self.client_id, subscriber);
        let send = match filter.retain_handling {
            // Retained messages are not for those who share (MQTT 5 section 4.8.2).
            _ if filter.filter.shared().is_some() => false,
            mqtt::RetainHandling::Send => true,
            mqtt::RetainHandling::SendIfNew => new,
            mqtt::RetainHandling::DoNotSend => false,
        };
        let retained = state.retained.matching(&filter.filter, now).filter(|_| send);
        let messages = retained.map(|(topic, publish)| subscriber.message(&publish, topic, true));
        self.messages.retained.extend(messages.map_while(|message| queue.accept(message, now)));
    }

    /// Removes a subscription, if there is one.
    pub fn unsubscribe(&self, filter: &TopicFilter, now: Moment) {
        let mut state = self.broker.state(now);
        if self.is_current(&state) {
            state.subscriptions.remove(filter, &self.client_id);
        }
    }

    /// The connection is over, and its session waits until `ends_at`; or somebody else goes on with it already.
    pub fn leave(mut self, mut unfinished: Unfinished, ends_at: Moment, now: Moment) {
        let broker = Arc::clone(&self.broker);
        let mut state = broker.state(now);
        // What was on its way to the session when that ended.
        self.messages.mailbox.close();
        let mut left = std::mem::take(&mut self.messages.retained);
        while let Ok(delivery) = self.messages.mailbox.try_recv() {
            left.push_back(delivery);
        }
        unfinished
            .waiting
            .extend(left.into_iter().filter(|delivery| delivery.publish().qos > QoS::AtMostOnce));
        if self.is_current(&state) {
            if let Some(client) = state.clients.get_mut(&self.client_id) {
                if let Place::Connected { overflow, .. } = &mut client.place {
                    unfinished.waiting.append(overflow);
                }
                client.place = Place::Away { unfinished, ends_at };
            }
            state.endings.insert((ends_at, self.connection, Arc::clone(&self.client_id)));
            if state.endings.len() > MAX_AWAY {
                state.end_first_session();
            }
        } else if let Some(heir) = self.signals.heir.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The heir may have gone too.
            _ = heir.send(unfinished);
        }
        drop(state);
    }

    /// Whether the client id is still this connection's.
    fn is_current(&self, state: &State) -> bool {
        state.clients.get(&self.client_id).is_some_and(|client| client.connection == self.connection)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.broker.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = state.clients.get(&self.client_id);
        let connected = there.is_some_and(|client| matches!(client.place, Place::Connected { .. }));
        if connected && self.is_current(&state) {
            state.clients.remove(&self.client_id);
            state.subscriptions.remove_client(&self.client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use mqtt::Publish;

    use super::*;
    use crate::clock::ManualClock;

    fn clean_start() -> Wish {
        Wish { principal_id: "p".into(), clean: true, keeps: false }
    }

    #[tokio::test]
    async fn retained_messages_wait_for_the_client_and_newer_ones_behind_them() {
        let (broker, topic) = (Arc::new(Broker::default()), "t".parse().unwrap());
        let now = Clock::Manual(ManualClock::new()).now();
        let message = |payload: &'static str| Publish::new("t".parse().unwrap(), payload);
        broker.publish("x", &topic, &Publish { retain: true, ..message("retained") }, now);
        let mut client = broker.register(&"c".into(), clean_start(), now);
        client.subscribe(&SubscribeFilter::new("t".parse().unwrap(), QoS::AtMostOnce), now);
        broker.publish("x", &topic, &message("newer"), now);
        assert!(client.messages.next(false).now_or_never().is_none());
        for (takes, payload) in [(true, "retained"), (false, "newer")] {
            assert_eq!(client.messages.next(takes).await.unwrap().publish().payload, payload);
        }
    }

    #[tokio::test]
    async fn there_is_a_bound_to_those_who_are_away_and_the_first_to_end_goes_first() {
        let (broker, clock) = (Arc::new(Broker::default()), Clock::Manual(ManualClock::new()));
        let now = clock.now();
        let wish = |clean| Wish { clean, keeps: true, ..clean_start() };
        for n in 0..=MAX_AWAY {
            let registration = broker.register(&n.to_string().into(), wish(true), now);
            let left = u64::try_from(MAX_AWAY - n).unwrap();
            registration.leave(Unfinished::default(), now + Duration::from_secs(60 + left), now);
        }
        let present = async |n: usize| {
            let mut registration = broker.register(&n.to_string().into(), wish(false), now);
            registration.earlier(&clock).await.is_some()
        };
        // The last to come had the least time left.
        assert_eq!(
            [present(0).await, present(MAX_AWAY - 1).await, present(MAX_AWAY).await],
            [true, true, false]
        );
    }

    #[tokio::test]
    async fn a_connection_that_was_taken_over_can_do_nothing_to_its_heir() {
        let (broker, client_id, topic) = (Arc::new(Broker::default()), "c".into(), "t".parse().unwrap());
        let now = Clock::Manual(ManualClock::new()).now();
        let filter = SubscribeFilter::new("t".parse().unwrap(), QoS::AtMostOnce);
        let mut old = broker.register(&client_id, clean_start(), now);
        let mut new = broker.register(&client_id, clean_start(), now);
        assert!(old.signals.taken_over.is_cancelled());
        old.subscribe(&SubscribeFilter::new("other".parse().unwrap(), QoS::AtMostOnce), now);
        new.subscribe(&filter, now);
        old.unsubscribe(&filter.filter, now);
        drop(old);
        let message = |topic: &str, payload: &'static str| Publish::new(topic.parse().unwrap(), payload);
        broker.publish("x", &"other".parse().unwrap(), &message("other", "lost"), now);
        broker.publish("x", &topic, &message("t", "arrives"), now);
        assert_eq!(new.messages.next(true).await.unwrap().publish().payload, "arrives");
    }
}
