//! The message broker: sessions, subscriptions, and the messages between connections.

mod client;
pub mod direct;
mod group;
#[cfg(test)]
mod histories;
mod inflight;
pub mod inspection;
mod operations;
pub mod outbox;
mod pace;
pub mod queue;
pub mod registration;
mod retained;
pub mod shadow_requests;
mod steps;
pub mod store;
mod subscriber;
mod subscriptions;
mod waiting;

use std::{
    collections::{BTreeSet, HashMap},
    num::{NonZeroU16, NonZeroU32},
    path::Path,
    sync::Arc,
};

use device_core::random::SplitMix64;
use mqtt::{Publish, QoS, TopicFilter, TopicName};

pub use self::operations::{Broker, Completion, Pending};
use self::{
    client::{Client, ClientState, SharedOutbox},
    operations::Grouping,
    outbox::Outbox,
    queue::{Delivery, Queue, QueuedBytes},
    retained::{Retained, RetainedChange},
    steps::step,
    store::{Changes, MessageId, Store, StoreError, Stored, StoredSession},
    subscriptions::{Matching, SharedMatch, Subscriptions},
};
use crate::{
    clock::{Clock, Moment},
    quotas::Quotas,
    rate::Rate,
    shadow::shadows::{Change, ShadowLimits, Shadows},
};

/// The broker's memory.
struct State {
    clients: HashMap<Arc<str>, Client>,
    subscriptions: Subscriptions,
    retained: Retained,
    shadows: Shadows,
    /// The bytes that wait for all clients together.
    waiting: QueuedBytes,
    storing: StoringRates,
    connections: u64,
    /// Chooses members of shared subscriptions.
    random: SplitMix64,
    /// When the sessions of clients that are away end, with the number of each one's last connection.
    endings: BTreeSet<(Moment, u64, Arc<str>)>,
}

/// How many messages a second are stored until a client comes for them. One more is dropped (AWS general reference, `iot-core`).
struct StoringRates {
    /// For one session whose client is away.
    each: Option<NonZeroU32>,
    /// For all of them, and for shared subscriptions without a connected member.
    all: Option<NonZeroU32>,
    stored: Rate,
}

/// A message that was accepted for somebody.
struct Accepted {
    delivery: Delivery,
    receiver: Receiver,
}

enum Receiver {
    Client(Arc<str>),
    /// The members of a shared subscription, none of whom is connected.
    Group(TopicFilter),
}

/// The broker knows no policy: sessions request nothing that their policies do not allow.
impl Broker {
    /// The broker of a data folder, with the sessions, retained messages and shadows in it, and more up to the quotas.
    ///
    /// # Errors
    ///
    /// When not everything in the file can be read.
    pub fn open(folder: &Path, quotas: &Quotas, clock: &Clock) -> Result<Self, StoreError> {
        let (store, stored) = Store::open(&folder.join(store::FILE), clock)?;
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let state = State::new(SplitMix64::new(seed), quotas, clock.now());
        Ok(Self::start(state.restored(stored, clock.now()), store))
    }

    /// A broker whose file ends with the process.
    #[cfg(test)]
    fn in_memory(clock: &Clock) -> Arc<Self> {
        let quotas = Quotas { retained_messages: 10_000, ..Quotas::AWS.at_any_rate() };
        Arc::new(Self::start(State::new(SplitMix64::new(0), &quotas, clock.now()), Store::in_memory(clock)))
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
            for accepted in deliveries {
                state.deliver(accepted);
            }
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
    fn new(random: SplitMix64, quotas: &Quotas, now: Moment) -> Self {
        let waiting = QueuedBytes::default();
        let shadows = ShadowLimits {
            document_bytes: quotas.shadow_document_bytes,
            shadows: quotas.shadows,
            bytes: quotas.shadow_bytes,
        };
        Self {
            clients: HashMap::new(),
            subscriptions: Subscriptions::new(&waiting),
            retained: Retained::new(quotas.retained_messages),
            shadows: Shadows::new(shadows),
            waiting,
            storing: StoringRates {
                each: quotas.publishes_per_second,
                all: quotas.queued_messages_per_second,
                stored: Rate::new(now),
            },
            connections: 0,
            random,
            endings: BTreeSet::new(),
        }
    }

    /// The sessions, retained messages and shadows of the file. Every client is away.
    fn restored(mut self, stored: Stored, now: Moment) -> Self {
        let state = &mut self;
        for (publish, expires_at) in stored.retained {
            state.retained.restore(publish, expires_at, now);
        }
        for (id, shadow) in stored.shadows {
            state.shadows.apply(Change::Set(id, shadow));
        }
        for (client_id, session) in stored.sessions {
            let StoredSession { principal_id, version, ends_at, subscriptions, messages } = session;
            for (filter, subscriber) in &subscriptions {
                state.subscriptions.insert(filter, &client_id, *subscriber);
            }
            state.connections += 1;
            let (connection, queue) = (state.connections, Queue::new(&state.waiting));
            let outbox = SharedOutbox::new(Outbox::restored(messages, &queue));
            let away = ClientState::Away { ends_at, resumed: None };
            state.endings.insert((ends_at, connection, Arc::clone(&client_id)));
            let stored = Rate::new(now);
            let client = Client { connection, queue, principal_id, version, outbox, state: away, stored };
            state.clients.insert(client_id, client);
        }
        for (filter, message) in stored.shared {
            if let Some(group) = state.subscriptions.group_mut(&filter) {
                group.restore(message);
            }
        }
        self
    }

    /// The message for each subscriber of its topic that has room for it.
    fn accept(
        &mut self,
        from: &str,
        topic: &TopicName,
        publish: &Publish,
        now: Moment,
        changes: &mut Changes,
    ) -> Vec<Accepted> {
        let Self { clients, subscriptions, random, storing, .. } = self;
        let Matching { own, shared } = subscriptions.matching(topic, random);
        let mut all = Vec::with_capacity(own.len() + shared.len());
        if own.is_empty() && shared.is_empty() {
            return all;
        }
        // The payload is part of the sender's read buffer, which must not stay in memory as long as the message waits.
        let publish = retained::with_own_buffers(publish);
        for (client_id, subscriber) in own {
            step();
            if subscriber.no_local && *client_id == *from {
                continue;
            }
            let message =
                subscriber.message(&publish, topic, publish.retain && subscriber.retain_as_published);
            let client = clients.get_mut(&client_id);
            if let Some(delivery) =
                client.and_then(|it| it.accept(&client_id, message, now, storing, changes))
            {
                all.push(Accepted { delivery, receiver: Receiver::Client(client_id) });
            }
        }
        for SharedMatch { filter, persistent, member } in shared {
            step();
            let Some((client_id, subscriber)) = member else {
                let group = subscriptions.group_mut(&filter).filter(|_| publish.qos > QoS::AtMostOnce);
                let group = group.filter(|_| storing.admit(now));
                let message = Publish { topic: Some(topic.clone()), ..publish.clone() };
                if let Some(delivery) = group.and_then(|it| it.accept(message, now, changes)) {
                    all.push(Accepted { delivery, receiver: Receiver::Group(filter) });
                }
                continue;
            };
            let message =
                subscriber.message(&publish, topic, publish.retain && subscriber.retain_as_published);
            let client = clients.get_mut(&client_id);
            let accepted = client.and_then(|it| it.accept_shared(&filter, persistent, message, now, changes));
            if let Some(delivery) = accepted {
                all.push(Accepted { delivery, receiver: Receiver::Client(client_id) });
            }
        }
        all
    }

    fn deliver(&mut self, Accepted { delivery, receiver }: Accepted) {
        match receiver {
            Receiver::Client(client_id) => {
                if let Some(client) = self.clients.get_mut(&client_id) {
                    client.deliver(delivery);
                }
            }
            Receiver::Group(filter) => {
                if let Some(group) = self.subscriptions.group_mut(&filter) {
                    group.add_waiting(delivery);
                }
            }
        }
    }

    /// Delivers messages that wait in a client's shared subscriptions, as many as its rate allows now (developer guide,
    /// `mqtt`). They have QoS 1 *(guess: a member with QoS 0 gets none of them)*.
    fn deliver_shared(&mut self, client_id: &str, now: Moment) {
        let Some(client) = self.clients.get_mut(client_id).filter(|client| client.is_connected()) else {
            return;
        };
        let room = client.outbox.lock().room_for_shared(now);
        let (mut delivered, mut more) = (0, false);
        for filter in self.subscriptions.shared_by(client_id) {
            step();
            let Some(group) = self.subscriptions.group_mut(&filter) else { continue };
            let Some(subscriber) = group.subscriber(client_id).filter(|it| it.qos > QoS::AtMostOnce) else {
                continue;
            };
            while delivered < room
                && let Some(message) = group.next_waiting()
            {
                client.deliver(client.shaped(&message, subscriber));
                delivered += usize::from(!message.is_over(now));
            }
            more |= group.has_waiting();
        }
        client.outbox.lock().delivered_shared(delivered, more, now);
    }

    /// Messages of shared subscriptions that a client does not acknowledge any more go to other members: to those that are
    /// connected, or to the next one (developer guide, `mqtt`).
    fn return_shared(&mut self, messages: Vec<Delivery>) {
        let mut unclaimed = Vec::new();
        for message in messages {
            step();
            let Some(filter) = message.shared().cloned() else { continue };
            let Some(group) = self.subscriptions.group_mut(&filter) else { continue };
            let member = group.pick(&mut self.random).filter(|(_, it)| it.qos > QoS::AtMostOnce);
            match member {
                None => unclaimed.push((filter, message)),
                Some((client_id, subscriber)) => {
                    if let Some(client) = self.clients.get_mut(&client_id) {
                        client.deliver(client.shaped(&message, subscriber));
                    }
                }
            }
        }
        // The last one first, because each comes before those that wait.
        for (filter, message) in unclaimed.into_iter().rev() {
            if let Some(group) = self.subscriptions.group_mut(&filter) {
                group.return_waiting(&message);
            }
        }
    }

    /// The shared filters to which a client can't subscribe, because there are as many groups, or as many members of its group,
    /// as the quotas allow.
    fn full_groups(
        &mut self,
        client_id: &str,
        filters: &[&TopicFilter],
        max_groups: usize,
        max_members: usize,
    ) -> Vec<TopicFilter> {
        let (mut groups, mut full) = (self.subscriptions.groups(), Vec::new());
        for &filter in filters.iter().filter(|filter| filter.shared().is_some()) {
            step();
            let is_full = match self.subscriptions.group_mut(filter) {
                Some(group) => group.members() >= max_members && group.subscriber(client_id).is_none(),
                None if groups >= max_groups => true,
                None => {
                    groups += 1;
                    false
                }
            };
            full.extend(is_full.then(|| filter.clone()));
        }
        full
    }

    /// Removes a client, with its subscriptions.
    fn remove(&mut self, client_id: &str) {
        self.subscriptions.remove_client(client_id);
        if let Some(client) = self.clients.remove(client_id) {
            let shared = client.outbox.lock().take_shared();
            self.return_shared(shared);
        }
    }

    /// A session ends in the file, and so do the messages of shared subscriptions that have no other member.
    fn end_in_file(&mut self, client_id: &Arc<str>, changes: &mut Changes) {
        changes.session_ended(client_id);
        for filter in self.subscriptions.shared_by_no_other(client_id) {
            changes.shared_ended(&filter);
        }
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
        step();
        let Some((_, connection, client_id)) = self.endings.pop_first() else { return };
        if self.clients.get(&client_id).is_some_and(|client| client.is_away_since(connection)) {
            self.end_in_file(&client_id, changes);
            self.remove(&client_id);
        }
    }
}

impl StoringRates {
    /// Counts a message. `false` if it is to be dropped.
    fn admit(&mut self, now: Moment) -> bool {
        self.all.is_none_or(|rate| self.stored.try_take(rate, now))
    }

    /// Counts a message for a session, to which as many were `stored` so far. `false` if it is to be dropped.
    fn admit_for(&mut self, stored: &mut Rate, now: Moment) -> bool {
        self.each.is_none_or(|rate| stored.try_take(rate, now)) && self.admit(now)
    }
}
