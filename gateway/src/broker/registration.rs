//! A connection's registration with the broker, under its client id.

use std::{
    sync::{Arc, MutexGuard},
    time::Duration,
};

use mqtt::{QoS, RetainHandling, SubscribeFilter, TopicFilter, TopicName, Version};
use tokio::sync::oneshot;

pub use super::client::Signals;
use super::{
    Broker, State,
    client::{Client, ClientState, SharedOutbox},
    operations::{Completion, Grouping, Operations, Pending},
    outbox::{DeliveryLimits, Outbox},
    queue::{Delivery, Queue},
    store::{Changes, StoreError},
    subscriber::Subscriber,
};
use crate::{clock::Moment, rate::Rate};

/// Sessions of clients that are away: a limit of the gateway's own. One more ends the one with the least time left.
const MAX_AWAY: usize = 20_000;

/// A connection's registration. It ends by [`Registration::leave`] or [`Registration::end`]. Dropping it only removes the
/// connection from memory, as the end of the process does.
pub struct Registration {
    operations: Arc<Operations>,
    client_id: Arc<str>,
    connection: u64,
    expiry: Duration,
    outbox: SharedOutbox,
    ended: bool,
    /// The subscriptions of the session that the connection resumes. `None` if the session is new.
    pub resumed: Option<Vec<TopicFilter>>,
    /// The broker's signals to this connection.
    pub signals: Signals,
}

/// The session that a client requests in its CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRequest {
    /// The session's owner. A principal can't resume another one's session *(guess: another principal gets a new
    /// session)*.
    pub principal_id: Arc<str>,
    /// The protocol version. A client of the other version can't resume the session.
    pub version: Version,
    /// Start a new session: `CleanSession` or Clean Start.
    pub clean: bool,
    /// For how long the session outlives this connection.
    pub expiry: Duration,
    /// How the connection gets its messages.
    pub limits: DeliveryLimits,
}

/// The state of a session after its connection has ended.
#[derive(Debug)]
pub enum Departure {
    /// The session waits. The receiver gets a value when its client resumes it, and fails when the session ends before that.
    Waiting(oneshot::Receiver<()>),
    /// Another connection has resumed the session.
    Resumed,
    /// The session has ended.
    Ended,
}

impl Completion for Departure {
    fn broker_stopped() -> Self {
        Self::Ended
    }
}

impl Broker {
    /// Registers a connection. An earlier one with the same client id gets the signal that it was taken over, and its outbox
    /// is lent to the new one if the session is resumed.
    ///
    /// # Errors
    ///
    /// When the session can't be written into the file. Then nothing changes.
    pub fn register(
        &self,
        client_id: &Arc<str>,
        request: SessionRequest,
        now: Moment,
    ) -> Pending<Result<Registration, StoreError>> {
        let (operations, client_id) = (Arc::clone(&self.operations), Arc::clone(client_id));
        let prepare = {
            let (client_id, request) = (Arc::clone(&client_id), request.clone());
            move |state: &mut State, changes: &mut Changes| {
                let clean = request.clean || !state.may_resume(&client_id, &request);
                let was_persistent = state.clients.get(&client_id).is_some_and(Client::is_persistent);
                let SessionRequest { principal_id, version, expiry, .. } = request;
                if !expiry.is_zero() && was_persistent && !clean {
                    changes.session(&client_id, &principal_id, Some(version), expiry, None);
                } else {
                    if was_persistent || !expiry.is_zero() {
                        state.end_in_file(&client_id, changes);
                    }
                    if !expiry.is_zero() {
                        changes.session(&client_id, &principal_id, Some(version), expiry, None);
                    }
                }
                clean
            }
        };
        let apply = move |state: &mut State, clean: bool, written: Result<(), StoreError>| {
            written?;
            Ok(state.enter(operations, client_id, request, clean, now))
        };
        self.operations.submit(Grouping::Alone, now, prepare, apply)
    }
}

impl State {
    /// Whether the client id is free, or its session is this client's.
    fn may_resume(&self, client_id: &str, request: &SessionRequest) -> bool {
        let client = self.clients.get(client_id);
        client.is_none_or(|client| client.may_be_resumed_by(&request.principal_id, request.version))
    }

    /// Puts a connection in the place of the one that had the client id.
    fn enter(
        &mut self,
        operations: Arc<Operations>,
        client_id: Arc<str>,
        request: SessionRequest,
        clean: bool,
        now: Moment,
    ) -> Registration {
        let SessionRequest { principal_id, version, expiry, limits, .. } = request;
        let persistent = !expiry.is_zero();
        let resumed = self.take_over(&client_id, clean);
        let (queue, outbox) =
            resumed.clone().unwrap_or_else(|| (Queue::new(&self.waiting), SharedOutbox::new(Outbox::new())));
        self.connections += 1;
        let connection = self.connections;
        outbox.lock().lend(connection, persistent, limits);
        let signals = Signals::default();
        let state = ClientState::Connected { signals: signals.clone(), persistent };
        let outbox_of_client = outbox.clone();
        let client = Client {
            connection,
            queue,
            principal_id,
            version: Some(version),
            outbox: outbox_of_client,
            state,
            stored: Rate::new(now),
        };
        self.clients.insert(Arc::clone(&client_id), client);
        let resumed = resumed.map(|_| self.subscriptions.of_client(&client_id));
        self.subscriptions.join(&client_id, persistent);
        self.deliver_shared(&client_id, now);
        Registration { operations, client_id, connection, expiry, outbox, ended: false, resumed, signals }
    }

    /// Ends the connection that has the client id, or the absence of its client. Returns what a session that is resumed goes
    /// on with.
    fn take_over(&mut self, client_id: &Arc<str>, clean: bool) -> Option<(Queue, SharedOutbox)> {
        let Client { queue, outbox, state, connection, .. } = self.clients.remove(client_id)?;
        let is_resumed = match state {
            ClientState::Away { ends_at, resumed } => {
                self.endings.remove(&(ends_at, connection, Arc::clone(client_id)));
                if !clean {
                    // Only a delayed last will waits for this.
                    _ = resumed.map(|resumed| resumed.send(()));
                }
                !clean
            }
            ClientState::Connected { signals, persistent } => {
                signals.taken_over.cancel();
                persistent && !clean
            }
        };
        if is_resumed {
            return Some((queue, outbox));
        }
        let shared = outbox.lock().take_shared();
        self.subscriptions.remove_client(client_id);
        self.return_shared(shared);
        None
    }

    /// The client, if this connection has its client id.
    pub(super) fn current(&mut self, client_id: &str, connection: u64) -> Option<&mut Client> {
        self.clients.get_mut(client_id).filter(|client| client.connection == connection)
    }
}

impl Registration {
    /// The client's outbox. `None` once another connection has resumed the session.
    #[must_use]
    pub fn outbox(&self) -> Option<MutexGuard<'_, Outbox>> {
        Some(self.outbox.lock()).filter(|outbox| outbox.is_lent_to(self.connection))
    }

    /// The shared filters among these to which the client can't subscribe, because there are as many groups, or as many members
    /// of its group, as these quotas allow. Clients that subscribe at the same moment may exceed them.
    #[must_use]
    pub fn full_groups(
        &self,
        filters: &[&TopicFilter],
        max_groups: usize,
        max_members: usize,
    ) -> Vec<TopicFilter> {
        self.operations
            .with_state(|state| state.full_groups(&self.client_id, filters, max_groups, max_members))
    }

    /// Adds a subscription, or replaces the one with the same filter, and delivers the topic's retained message if the filter is
    /// a topic: AWS sends none for a filter with a wildcard (developer guide, `mqtt`).
    ///
    /// # Errors
    ///
    /// When the file can't be written. Then there is no subscription.
    pub fn subscribe(&self, filter: SubscribeFilter, now: Moment) -> Pending<Result<(), StoreError>> {
        let (client_id, connection) = (Arc::clone(&self.client_id), self.connection);
        let prepare = {
            let (client_id, filter) = (Arc::clone(&client_id), filter.clone());
            move |state: &mut State, changes: &mut Changes| {
                state.prepare_subscription(&client_id, connection, &filter, now, changes)
            }
        };
        let apply = move |state: &mut State, retained: Option<Delivery>, written: Result<(), StoreError>| {
            written?;
            let Some(client) = state.current(&client_id, connection) else { return Ok(()) };
            if let Some(retained) = retained {
                client.deliver(retained);
            }
            let persistent = client.is_persistent();
            state.subscriptions.insert(&filter.filter, &client_id, Subscriber::from(&filter));
            if filter.filter.shared().is_some() {
                state.subscriptions.join(&client_id, persistent);
                state.deliver_shared(&client_id, now);
            }
            Ok(())
        };
        self.operations.submit(Grouping::Alone, now, prepare, apply)
    }

    /// Removes a subscription, if there is one.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn unsubscribe(&self, filter: TopicFilter, now: Moment) -> Pending<Result<(), StoreError>> {
        let (client_id, connection) = (Arc::clone(&self.client_id), self.connection);
        let prepare = {
            let (client_id, filter, persistent) =
                (Arc::clone(&client_id), filter.clone(), !self.expiry.is_zero());
            move |state: &mut State, changes: &mut Changes| {
                if state.current(&client_id, connection).is_none() {
                    return;
                }
                if persistent {
                    changes.unsubscribed(&client_id, &filter);
                }
                if state.subscriptions.shared_by_no_other(&client_id).contains(&filter) {
                    changes.shared_ended(&filter);
                }
            }
        };
        let apply = move |state: &mut State, (): (), written: Result<(), StoreError>| {
            written?;
            if state.current(&client_id, connection).is_some() {
                state.subscriptions.remove(&filter, &client_id);
            }
            Ok(())
        };
        self.operations.submit(Grouping::Alone, now, prepare, apply)
    }

    /// Delivers messages that wait in the client's shared subscriptions, as many as its rate allows now.
    pub fn deliver_shared(&self, now: Moment) -> Pending<Result<(), StoreError>> {
        let (client_id, connection) = (Arc::clone(&self.client_id), self.connection);
        let apply = move |state: &mut State, (): (), written| {
            if state.current(&client_id, connection).is_some() {
                state.deliver_shared(&client_id, now);
            }
            written
        };
        self.operations.submit(Grouping::WithOthers, now, |_: &mut State, _: &mut Changes| (), apply)
    }

    /// Ends the connection, and its session with it.
    pub fn end(mut self, now: Moment) -> Pending<()> {
        self.ended = true;
        let (client_id, connection, expiry) = (Arc::clone(&self.client_id), self.connection, self.expiry);
        let prepare = move |state: &mut State, changes: &mut Changes| {
            if state.current(&client_id, connection).is_some() {
                if !expiry.is_zero() {
                    state.end_in_file(&client_id, changes);
                }
                state.remove(&client_id);
            }
        };
        self.operations.submit(Grouping::Alone, now, prepare, |_, (), written| report(written))
    }

    /// Ends the connection. Its session waits until `ends_at`, unless another connection has the client id already.
    pub fn leave(mut self, ends_at: Moment, now: Moment) -> Pending<Departure> {
        self.ended = true;
        let (client_id, connection, expiry) = (Arc::clone(&self.client_id), self.connection, self.expiry);
        let outbox = self.outbox.clone();
        let prepare = move |state: &mut State, changes: &mut Changes| match state.clients.get_mut(&client_id)
        {
            Some(client) if client.connection == connection => {
                let (resumed, receiver) = oneshot::channel();
                let shared = client.outbox.lock().take_shared();
                client.state = ClientState::Away { ends_at, resumed: Some(resumed) };
                changes.session(&client_id, &client.principal_id, client.version, expiry, Some(ends_at));
                state.subscriptions.leave(&client_id);
                state.return_shared(shared);
                state.endings.insert((ends_at, connection, client_id));
                if state.endings.len() > MAX_AWAY {
                    state.end_first_session(changes);
                }
                Departure::Waiting(receiver)
            }
            Some(client) if client.outbox.is_same(&outbox) => Departure::Resumed,
            _ => Departure::Ended,
        };
        let apply = |_: &mut State, departure, written| {
            report(written);
            departure
        };
        self.operations.submit(Grouping::Alone, now, prepare, apply)
    }
}

impl State {
    /// The retained message that a new subscription delivers, if this connection has the client id.
    fn prepare_subscription(
        &mut self,
        client_id: &Arc<str>,
        connection: u64,
        filter: &SubscribeFilter,
        now: Moment,
        changes: &mut Changes,
    ) -> Option<Delivery> {
        let subscriber = Subscriber::from(filter);
        let client = self.current(client_id, connection)?;
        let (queue, persistent) = (client.queue.clone(), client.is_persistent());
        if persistent {
            changes.subscribed(client_id, &filter.filter, subscriber);
        }
        let send = match filter.retain_handling {
            // A shared subscription gets no retained messages (MQTT 5 section 4.8.2).
            _ if filter.filter.shared().is_some() => false,
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => !self.subscriptions.has(&filter.filter, client_id),
            RetainHandling::DoNotSend => false,
        };
        // A filter with a wildcard is not a topic name.
        let topic = TopicName::try_from(filter.filter.as_str()).ok().filter(|_| send)?;
        let (publish, expires_at) = self.retained.of_topic(&topic, now)?;
        let mut delivery = queue.accept_until(subscriber.message(publish, &topic, true), expires_at)?;
        if persistent && delivery.publish().qos > QoS::AtMostOnce {
            delivery.keep(client_id, changes);
        }
        Some(delivery)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.ended {
            self.operations.forget(&self.client_id, self.connection);
        }
    }
}

/// A failed write at the end of a connection stops nothing. After the next start of the gateway the session has its whole
/// time again, or exists again.
fn report(written: Result<(), StoreError>) {
    if let Err(error) = written {
        tracing::error!(%error, "the end of a connection is not in the file");
    }
}

#[cfg(test)]
mod tests {
    use mqtt::Publish;

    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn clean_start() -> SessionRequest {
        SessionRequest {
            principal_id: "p".into(),
            version: Version::V5,
            clean: true,
            expiry: Duration::ZERO,
            limits: DeliveryLimits::of_tests(),
        }
    }

    #[tokio::test]
    async fn sessions_that_wait_are_bounded_and_the_one_with_the_least_time_left_ends_first() {
        let clock = Clock::Manual(ManualClock::new());
        let (broker, now) = (Broker::in_memory(&clock), clock.now());
        let request = |clean| SessionRequest { clean, expiry: Duration::from_hours(1), ..clean_start() };
        for n in 0..=MAX_AWAY {
            let registration = broker.register(&n.to_string().into(), request(true), now).await.unwrap();
            let left = u64::try_from(MAX_AWAY - n).unwrap();
            registration.leave(now + Duration::from_secs(60 + left), now).await;
        }
        let is_present = async |n: usize| {
            broker.register(&n.to_string().into(), request(false), now).await.unwrap().resumed.is_some()
        };
        // The last one had the least time left.
        let present = [is_present(0).await, is_present(MAX_AWAY - 1).await, is_present(MAX_AWAY).await];
        assert_eq!(present, [true, true, false]);
    }

    #[tokio::test]
    async fn connection_that_was_taken_over_can_change_nothing() {
        let clock = Clock::Manual(ManualClock::new());
        let (broker, now) = (Broker::in_memory(&clock), clock.now());
        let client_id = "c".into();
        let filter = |text: &str| SubscribeFilter::new(text.parse().unwrap(), QoS::AtMostOnce);
        let old = broker.register(&client_id, clean_start(), now).await.unwrap();
        let new = broker.register(&client_id, clean_start(), now).await.unwrap();
        assert!(old.signals.taken_over.is_cancelled());
        old.subscribe(filter("other"), now).await.unwrap();
        new.subscribe(filter("t"), now).await.unwrap();
        old.unsubscribe(filter("t").filter, now).await.unwrap();
        drop(old);
        for (topic, payload) in [("other", "lost"), ("t", "arrives")] {
            let message = Publish::new(topic.parse().unwrap(), payload);
            broker.publish("x".into(), topic.parse().unwrap(), message, now).await.unwrap();
        }
        assert_eq!(new.outbox().unwrap().next_delivered().unwrap().publish().payload, "arrives");
    }

    #[tokio::test]
    async fn outbox_of_a_resumed_session_belongs_to_the_new_connection_alone() {
        let clock = Clock::Manual(ManualClock::new());
        let (broker, now) = (Broker::in_memory(&clock), clock.now());
        let client_id = "c".into();
        let request = SessionRequest { clean: false, expiry: Duration::from_hours(1), ..clean_start() };
        let old = broker.register(&client_id, request.clone(), now).await.unwrap();
        old.subscribe(SubscribeFilter::new("t".parse().unwrap(), QoS::AtLeastOnce), now).await.unwrap();
        let message = Publish { qos: QoS::AtLeastOnce, ..Publish::new("t".parse().unwrap(), "x") };
        broker.publish("x".into(), "t".parse().unwrap(), message, now).await.unwrap();
        let new = broker.register(&client_id, request.clone(), now).await.unwrap();
        assert!(old.signals.taken_over.is_cancelled() && old.outbox().is_none());
        assert_eq!(new.resumed.as_deref().map(<[_]>::len), Some(1));
        assert!(new.outbox().unwrap().next_transmission(now).is_some());
        assert!(matches!(old.leave(now, now).await, Departure::Resumed));
        let clean = SessionRequest { clean: true, ..request };
        let newest = broker.register(&client_id, clean, now).await.unwrap();
        assert!(newest.resumed.is_none() && newest.outbox().unwrap().next_transmission(now).is_none());
        assert!(matches!(new.leave(now, now).await, Departure::Ended));
    }
}
