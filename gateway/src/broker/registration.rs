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
    store::StoreError,
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

/// A connection's place in the broker. It ends by [`Registration::leave`] or [`Registration::end`]; dropping it only takes
/// the connection out of the memory, as the end of the process does.
pub struct Registration {
    broker: Arc<Broker>,
    client_id: Arc<str>,
    connection: u64,
    expiry: Duration,
    earlier: Earlier,
    /// Messages for this connection. Boxed, because a channel keeps room for 32 of what it carries.
    pub mailbox: mpsc::Receiver<Box<Delivery>>,
    /// What ends it from outside.
    pub signals: Signals,
}

/// What a client asks for in its CONNECT, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The principal: nobody goes on with another's session *(unverified)*.
    pub principal_id: Arc<str>,
    /// To begin anew: `CleanSession` or Clean Start.
    pub clean: bool,
    /// For how long the session outlives this connection.
    pub expiry: Duration,
}

/// What became of a session whose connection is over.
#[derive(Debug)]
pub enum Left {
    /// It waits. This tells when its client comes back, and fails when the session ends without that.
    Waiting(oneshot::Receiver<()>),
    /// Another connection goes on with it.
    GoesOn,
    /// It has ended.
    Ended,
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
    ///
    /// # Errors
    ///
    /// When the session can't be written into the file. Then it is as if the connection had not been.
    pub fn register(
        self: &Arc<Self>,
        client_id: &Arc<str>,
        wish: Wish,
        now: Moment,
    ) -> Result<Registration, StoreError> {
        let (sender, mailbox) = mpsc::channel(MAILBOX_MESSAGES);
        let signals = Signals::default();
        let mut state = self.state(now);
        let Wish { principal_id, clean, expiry } = wish;
        let clean = clean || !state.is_of(client_id, &principal_id);
        self.write_session(&state, client_id, &principal_id, clean, expiry)?;
        let keeps = !expiry.is_zero();
        let (queue, earlier) = state.take_over(client_id, clean);
        state.connections += 1;
        let connection = state.connections;
        let overflow = VecDeque::new();
        let place = Place::Connected { mailbox: sender, signals: signals.clone(), keeps, overflow };
        state.clients.insert(Arc::clone(client_id), Client { connection, queue, principal_id, place });
        Ok(Registration {
            broker: Arc::clone(self),
            client_id: Arc::clone(client_id),
            connection,
            expiry,
            earlier,
            mailbox,
            signals,
        })
    }

    /// Writes what a CONNECT makes of the session in the file.
    fn write_session(
        &self,
        state: &State,
        client_id: &str,
        principal_id: &str,
        clean: bool,
        expiry: Duration,
    ) -> Result<(), StoreError> {
        let kept = state.clients.get(client_id).is_some_and(Client::keeps);
        let mut journal = self.store.journal();
        match (expiry.is_zero(), kept) {
            (true, true) => journal.session_ends(client_id)?,
            (true, false) => {}
            (false, true) if !clean => journal.session_goes_on(client_id, expiry)?,
            (false, _) => journal.session_begins(client_id, principal_id, expiry)?,
        }
        journal.commit()
    }
}

impl State {
    /// Whether nobody else has the client id, here or away.
    fn is_of(&self, client_id: &str, principal_id: &str) -> bool {
        self.clients.get(client_id).is_none_or(|client| *client.principal_id == *principal_id)
    }

    /// Ends whatever has the client id, and says what of it goes on. Subscriptions stay only with a session that does.
    fn take_over(&mut self, client_id: &Arc<str>, clean: bool) -> (Queue, Earlier) {
        let Some(Client { queue, place, connection, .. }) = self.clients.remove(client_id) else {
            return (Queue::new(&self.waiting), Earlier::None);
        };
        let earlier = match place {
            Place::Away { unfinished, ends_at, awaited } => {
                self.endings.remove(&(ends_at, connection, Arc::clone(client_id)));
                if clean {
                    Earlier::None
                } else {
                    // Nobody may be interested.
                    _ = awaited.map(|awaited| awaited.send(()));
                    Earlier::Away(unfinished)
                }
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
                (Queue::new(&self.waiting), Earlier::None)
            }
            earlier => (queue, earlier),
        }
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
                    self.begin_anew(clock.now());
                    return None;
                };
                unfinished.waiting.append(&mut overflow);
                Some(unfinished)
            }
        }
    }

    /// The session that was to be handed over is lost.
    fn begin_anew(&self, now: Moment) {
        let mut state = self.broker.state(now);
        let there = state.clients.get(&self.client_id).filter(|client| client.connection == self.connection);
        let Some(client) = there else { return };
        let mut journal = self.broker.store.journal();
        let begun = journal.session_begins(&self.client_id, &client.principal_id, self.expiry);
        if let Err(error) = begun.and_then(|()| journal.commit()) {
            tracing::error!(%error, "a session that is over stays in the file");
        }
        state.subscriptions.remove_client(&self.client_id);
    }

    /// The filters to which the client is subscribed already.
    #[must_use]
    pub fn subscribed(&self, now: Moment) -> Vec<TopicFilter> {
        self.broker.state(now).subscriptions.of_client(&self.client_id)
    }

    /// Adds a subscription, or replaces the one with the same filter, and returns the retained messages that follow as
    /// MQTT has it, as many as have room together.
    ///
    /// # Errors
    ///
    /// When the file can't be written. Then there is no subscription.
    pub fn subscribe(&self, filter: &SubscribeFilter, now: Moment) -> Result<Vec<Delivery>, StoreError> {
        let subscriber = Subscriber::from(filter);
        let mut state = self.broker.state(now);
        let Some(client) = state.clients.get(&self.client_id).filter(|c| c.connection == self.connection)
        else {
            return Ok(Vec::new());
        };
        let (queue, keeps) = (client.queue.clone(), client.keeps());
        let mut journal = self.broker.store.journal();
        if keeps {
            journal.subscribed(&self.client_id, &filter.filter, subscriber)?;
        }
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
        let mut deliveries = messages.map_while(|message| queue.accept(message, now)).collect::<Vec<_>>();
        for delivery in deliveries.iter_mut().filter(|d| keeps && d.publish().qos > QoS::AtMostOnce) {
            delivery.keep(&self.client_id, &mut journal)?;
        }
        journal.commit()?;
        Ok(deliveries)
    }

    /// Removes a subscription, if there is one.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn unsubscribe(&self, filter: &TopicFilter, now: Moment) -> Result<(), StoreError> {
        let mut state = self.broker.state(now);
        if !self.is_current(&state) {
            return Ok(());
        }
        state.subscriptions.remove(filter, &self.client_id);
        let mut journal = self.broker.store.journal();
        if !self.expiry.is_zero() {
            journal.unsubscribed(&self.client_id, filter)?;
        }
        journal.commit()
    }

    /// The connection is over, and its session with it.
    ///
    /// # Errors
    ///
    /// When the file can't be written: after a new start the session is there again.
    pub fn end(self, now: Moment) -> Result<(), StoreError> {
        let state = self.broker.state(now);
        let mut journal = self.broker.store.journal();
        if self.is_current(&state) && !self.expiry.is_zero() {
            journal.session_ends(&self.client_id)?;
        }
        let ended = journal.commit();
        drop(state);
        ended
    }

    /// The connection is over, and its session waits until `ends_at`; or somebody else goes on with it already.
    ///
    /// # Errors
    ///
    /// When the file can't be written: after a new start the session has its whole time again.
    pub fn leave(
        mut self,
        mut unfinished: Unfinished,
        ends_at: Moment,
        now: Moment,
    ) -> Result<Left, StoreError> {
        let broker = Arc::clone(&self.broker);
        let mut state = broker.state(now);
        let mut journal = broker.store.journal();
        // What was on its way to the session when that ended.
        self.mailbox.close();
        while let Ok(delivery) = self.mailbox.try_recv() {
            if delivery.publish().qos > QoS::AtMostOnce {
                unfinished.waiting.push_back(*delivery);
            }
        }
        let left = if self.is_current(&state) {
            let (awaited, back) = oneshot::channel();
            if let Some(client) = state.clients.get_mut(&self.client_id) {
                if let Place::Connected { overflow, .. } = &mut client.place {
                    unfinished.waiting.append(overflow);
                }
                client.place = Place::Away { unfinished, ends_at, awaited: Some(awaited) };
            }
            state.endings.insert((ends_at, self.connection, Arc::clone(&self.client_id)));
            journal.session_waits(&self.client_id, ends_at)?;
            if state.endings.len() > MAX_AWAY {
                state.end_first_session(&mut journal)?;
            }
            Left::Waiting(back)
        } else if let Some(heir) = self.signals.heir.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The heir may have gone too.
            _ = heir.send(unfinished);
            Left::GoesOn
        } else {
            Left::Ended
        };
        let written = journal.commit();
        drop(state);
        written.map(|()| left)
    }

    /// Whether the client id is still this connection's.
    fn is_current(&self, state: &State) -> bool {
        state.clients.get(&self.client_id).is_some_and(|client| client.connection == self.connection)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.broker.state.lock().unwrap_or_else(PoisonError::into_inner);
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
    use std::sync::Mutex;

    use mqtt::Publish;

    use super::*;
    use crate::{broker::store::Store, clock::ManualClock};

    fn clean_start() -> Wish {
        Wish { principal_id: "p".into(), clean: true, expiry: Duration::ZERO }
    }

    fn broker(clock: &Clock) -> Arc<Broker> {
        Arc::new(Broker { state: Mutex::default(), store: Store::in_memory(clock) })
    }

    #[tokio::test]
    async fn there_is_a_bound_to_those_who_are_away_and_the_first_to_end_goes_first() {
        let clock = Clock::Manual(ManualClock::new());
        let (broker, now) = (broker(&clock), clock.now());
        let wish = |clean| Wish { clean, expiry: Duration::from_hours(1), ..clean_start() };
        for n in 0..=MAX_AWAY {
            let registration = broker.register(&n.to_string().into(), wish(true), now).unwrap();
            let left = u64::try_from(MAX_AWAY - n).unwrap();
            registration.leave(Unfinished::default(), now + Duration::from_secs(60 + left), now).unwrap();
        }
        let present = async |n: usize| {
            let mut registration = broker.register(&n.to_string().into(), wish(false), now).unwrap();
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
        let clock = Clock::Manual(ManualClock::new());
        let (broker, now) = (broker(&clock), clock.now());
        let (client_id, topic) = ("c".into(), "t".parse().unwrap());
        let filter = SubscribeFilter::new("t".parse().unwrap(), QoS::AtMostOnce);
        let old = broker.register(&client_id, clean_start(), now).unwrap();
        let mut new = broker.register(&client_id, clean_start(), now).unwrap();
        assert!(old.signals.taken_over.is_cancelled());
        old.subscribe(&SubscribeFilter::new("other".parse().unwrap(), QoS::AtMostOnce), now).unwrap();
        new.subscribe(&filter, now).unwrap();
        old.unsubscribe(&filter.filter, now).unwrap();
        drop(old);
        let message = |topic: &str, payload: &'static str| Publish::new(topic.parse().unwrap(), payload);
        broker.publish("x", &"other".parse().unwrap(), &message("other", "lost"), now).unwrap();
        broker.publish("x", &topic, &message("t", "arrives"), now).unwrap();
        assert_eq!(new.mailbox.recv().await.unwrap().publish().payload, "arrives");
    }
}
