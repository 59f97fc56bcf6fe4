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
pub struct SessionRequest {
    /// The principal: nobody goes on with another's session *(unverified)*.
    pub principal_id: Arc<str>,
    /// To begin anew: `CleanSession` or Clean Start.
    pub clean: bool,
    /// For how long the session outlives this connection.
    pub expiry: Duration,
}

/// What became of a session whose connection is over.
#[derive(Debug)]
pub enum Departure {
    /// It waits. This tells when its client comes back, and fails when the session ends without that.
    Waiting(oneshot::Receiver<()>),
    /// Another connection goes on with it.
    Resumed,
    /// It has ended.
    Ended,
}

/// The session that was there before.
enum Earlier {
    None,
    Away(Unfinished),
    /// Its connection is about to hand it over; behind it comes what found no room there.
    DisconnectReason(oneshot::Receiver<Unfinished>, VecDeque<Delivery>),
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
        request: SessionRequest,
        now: Moment,
    ) -> Result<Registration, StoreError> {
        let (sender, mailbox) = mpsc::channel(MAILBOX_MESSAGES);
        let signals = Signals::default();
        let mut state = self.state(now);
        let SessionRequest { principal_id, clean, expiry } = request;
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
            (false, true) if !clean => journal.session(client_id, principal_id, expiry, None)?,
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
                if inherits { Earlier::DisconnectReason(session, overflow) } else { Earlier::None }
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
            Earlier::DisconnectReason(session, mut overflow) => {
                let Some(Ok(mut unfinished)) = clock.timeout(HANDOVER_LIMIT, session).await else {
                    self.begin_anew(clock.now());
                    return None;
                };
                unfinished.waiting.append(&mut overflow);
                Some(unfinished)
            }
        }
    }

    /// The session that was to be handed over is lost, with what came for it since.
    fn begin_anew(&mut self, now: Moment) {
        let broker = Arc::clone(&self.broker);
        let mut state = broker.state(now);
        let there =
            state.clients.get_mut(&self.client_id).filter(|client| client.connection == self.connection);
        let Some(client) = there else { return };
        if let Place::Connected { overflow, .. } = &mut client.place {
            overflow.clear();
        }
        while self.mailbox.try_recv().is_ok() {}
        let mut journal = broker.store.journal();
        let written = if self.expiry.is_zero() {
            Ok(())
        } else {
            journal.session_begins(&self.client_id, &client.principal_id, self.expiry)
        };
        report(written.and_then(|()| journal.commit()));
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
        let new = !state.subscriptions.has(&filter.filter, &self.client_id);
        let send = match filter.retain_handling {
            // Retained messages are not for those who share (MQTT 5 section 4.8.2).
            _ if filter.filter.shared().is_some() => false,
            mqtt::RetainHandling::Send => true,
            mqtt::RetainHandling::SendIfNew => new,
            mqtt::RetainHandling::DoNotSend => false,
        };
        let mut deliveries = Vec::new();
        if send {
            let retained = state.retained.matching(&filter.filter, now);
            let messages = retained.map(|(topic, publish)| subscriber.message(&publish, topic, true));
            deliveries.extend(messages.map_while(|message| queue.accept(message, now)));
        }
        for delivery in deliveries.iter_mut().filter(|d| keeps && d.publish().qos > QoS::AtMostOnce) {
            delivery.keep(&self.client_id, &mut journal)?;
        }
        journal.commit()?;
        state.subscriptions.insert(&filter.filter, &self.client_id, subscriber);
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
        let mut journal = self.broker.store.journal();
        if !self.expiry.is_zero() {
            journal.unsubscribed(&self.client_id, filter)?;
        }
        journal.commit()?;
        state.subscriptions.remove(filter, &self.client_id);
        Ok(())
    }

    /// The connection is over, and its session with it.
    pub fn end(self, now: Moment) {
        let mut state = self.broker.state(now);
        let mut journal = self.broker.store.journal();
        let mut written = Ok(());
        if self.is_current(&state) {
            if !self.expiry.is_zero() {
                written = journal.session_ends(&self.client_id);
            }
            // Under the same lock: nobody writes a message for a session that is no more.
            state.remove(&self.client_id);
        }
        report(written.and_then(|()| journal.commit()));
    }

    /// The connection is over, and its session waits until `ends_at`; or somebody else goes on with it already.
    pub fn leave(mut self, mut unfinished: Unfinished, ends_at: Moment, now: Moment) -> Departure {
        let broker = Arc::clone(&self.broker);
        let mut state = broker.state(now);
        // What was on its way to the session when that ended.
        self.mailbox.close();
        while let Ok(delivery) = self.mailbox.try_recv() {
            if delivery.publish().qos > QoS::AtMostOnce {
                unfinished.waiting.push_back(*delivery);
            }
        }
        if self.is_current(&state) {
            let (awaited, back) = oneshot::channel();
            self.send_away(&mut state, unfinished, ends_at, awaited);
            return Departure::Waiting(back);
        }
        let heir = self.signals.heir.lock().unwrap_or_else(PoisonError::into_inner).take();
        match heir.map(|heir| heir.send(unfinished)) {
            Some(Ok(())) => Departure::Resumed,
            // The heir has gone too, or has begun anew.
            Some(Err(_)) | None => Departure::Ended,
        }
    }

    fn send_away(
        &self,
        state: &mut State,
        mut unfinished: Unfinished,
        ends_at: Moment,
        awaited: oneshot::Sender<()>,
    ) {
        let Some(client) = state.clients.get_mut(&self.client_id) else { return };
        if let Place::Connected { overflow, .. } = &mut client.place {
            unfinished.waiting.append(overflow);
        }
        client.place = Place::Away { unfinished, ends_at, awaited: Some(awaited) };
        let mut journal = self.broker.store.journal();
        let principal_id = &client.principal_id;
        let mut written = journal.session(&self.client_id, principal_id, self.expiry, Some(ends_at));
        state.endings.insert((ends_at, self.connection, Arc::clone(&self.client_id)));
        if state.endings.len() > MAX_AWAY {
            written = written.and(state.end_first_session(&mut journal));
        }
        report(written.and_then(|()| journal.commit()));
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
        if there.is_some_and(Client::is_connected) && self.is_current(&state) {
            state.remove(&self.client_id);
        }
    }
}

/// What can't be written when a connection ends keeps nobody from anything: after a new start the session has its whole time
/// again, or is there again.
fn report(written: Result<(), StoreError>) {
    if let Err(error) = written {
        tracing::error!(%error, "the end of a connection is not in the file");
    }
}

#[cfg(test)]
mod tests;
