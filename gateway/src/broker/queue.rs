//! A bound to the bytes of the messages on their way to a client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use iot_policy::limits::{MAX_MESSAGE_EXPIRY_SECONDS, MIN_MESSAGE_EXPIRY_SECONDS};
use mqtt::{Publish, TopicFilter, TopicName};

use super::{
    direct::DirectMessage,
    store::{Changes, MessageId},
};
use crate::clock::Moment;

/// Bytes that may wait for one client. A client that reads its messages is far below.
const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that may wait for all clients together that are away.
const MAX_WAITING_BYTES: usize = 512 * 1024 * 1024;
/// Bytes of a message besides its text and payload.
const OVERHEAD_BYTES: usize = 256;
/// Bytes of a user property besides its two texts.
const PROPERTY_OVERHEAD_BYTES: usize = 64;

/// The bytes that wait for all clients of a broker.
pub(super) type QueuedBytes = Arc<AtomicUsize>;

/// The bytes that wait for one client. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    own: Arc<AtomicUsize>,
    all: QueuedBytes,
}

/// A message for one client. Its bytes count for as long as it exists.
#[derive(Debug)]
pub struct Delivery {
    publish: Publish,
    /// The message's id in the file, if it is there.
    id: Option<MessageId>,
    /// The shared subscription that it came by.
    shared: Option<TopicFilter>,
    /// Its sender, if it is a direct message.
    direct: Option<DirectMessage>,
    queue: Queue,
    /// The bytes that it counts for its client, and for all clients.
    own_bytes: usize,
    bytes: usize,
    expires_at: Option<Moment>,
}

impl Queue {
    /// A queue of a broker's, whose bytes count together with those of its others.
    pub(super) fn new(all: &QueuedBytes) -> Self {
        Self { own: Arc::default(), all: Arc::clone(all) }
    }

    /// Accepts a message. `None` if too much waits already.
    #[must_use]
    pub fn accept(&self, publish: Publish, now: Moment) -> Option<Delivery> {
        let expires_at = expires_at(&publish, now);
        self.accept_until(publish, expires_at)
    }

    /// Accepts a message whose time is over at a certain moment, if ever. `None` if too much waits already.
    #[must_use]
    pub fn accept_until(&self, publish: Publish, expires_at: Option<Moment>) -> Option<Delivery> {
        let fits = self.own.load(Ordering::Relaxed) < MAX_QUEUED_BYTES;
        fits.then(|| self.delivery(publish, None, expires_at))
    }

    /// Accepts a message from the file.
    pub(super) fn restore(&self, publish: Publish, id: MessageId, expires_at: Option<Moment>) -> Delivery {
        self.delivery(publish, Some(id), expires_at)
    }

    /// The bytes that wait for the client.
    pub(super) fn bytes(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }

    /// Whether one more message may wait for a client that is away.
    pub(super) fn has_room_to_wait(&self) -> bool {
        self.own.load(Ordering::Relaxed) < MAX_QUEUED_BYTES
            && self.all.load(Ordering::Relaxed) < MAX_WAITING_BYTES
    }

    fn delivery(&self, publish: Publish, id: Option<MessageId>, expires_at: Option<Moment>) -> Delivery {
        let bytes = weight(&publish);
        self.own.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed);
        let queue = self.clone();
        Delivery { publish, id, shared: None, direct: None, queue, own_bytes: bytes, bytes, expires_at }
    }
}

impl Delivery {
    /// Adds the message to the file, where it stays until it is settled.
    pub(super) fn keep(&mut self, client_id: &Arc<str>, changes: &mut Changes) {
        self.id = Some(changes.queued(client_id, &self.publish, self.expires_at));
    }

    /// The message came by a shared subscription.
    #[must_use]
    pub(super) fn shared_by(mut self, filter: &TopicFilter) -> Self {
        self.shared = Some(filter.clone());
        self
    }

    /// The message is a direct one.
    #[must_use]
    pub(super) fn sent_directly(mut self, direct: DirectMessage) -> Self {
        self.direct = Some(direct);
        self
    }

    /// Adds the message to the file for the members of its shared subscription, where it stays until it is settled.
    pub(super) fn keep_shared(&mut self, changes: &mut Changes) {
        if let Some(filter) = &self.shared {
            self.id = Some(changes.queued_shared(filter, &self.publish, self.expires_at));
        }
    }

    /// The message, in this form, for another client or group.
    pub(super) fn moved_to(&self, queue: &Queue, publish: Publish) -> Self {
        let mut moved = queue.delivery(publish, self.id, self.expires_at);
        moved.shared.clone_from(&self.shared);
        moved
    }

    /// The message is sent, and kept until it is acknowledged: it does not count as waiting for its client any more.
    pub(super) fn stop_waiting(&mut self) {
        let bytes = std::mem::take(&mut self.own_bytes);
        self.queue.own.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The message's id in the file, if it is there.
    #[must_use]
    pub fn id(&self) -> Option<MessageId> {
        self.id
    }

    /// The shared subscription that the message came by, as in SUBSCRIBE.
    #[must_use]
    pub fn shared(&self) -> Option<&TopicFilter> {
        self.shared.as_ref()
    }

    /// The sender, if this is a direct message. It is not kept for a later connection.
    #[must_use]
    pub fn direct(&self) -> Option<&DirectMessage> {
        self.direct.as_ref()
    }

    /// The message, with the QoS and the retain flag with which it is to be sent.
    #[must_use]
    pub fn publish(&self) -> &Publish {
        &self.publish
    }

    /// When the message's time is over, if ever.
    #[must_use]
    pub fn expires_at(&self) -> Option<Moment> {
        self.expires_at
    }

    /// Whether the message's time is over.
    #[must_use]
    pub fn is_over(&self, now: Moment) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The message as it is to be sent now. `None` if its time is over.
    #[must_use]
    pub fn at(&self, now: Moment) -> Option<Publish> {
        sent_at(&self.publish, self.expires_at, now)
    }
}

/// When a message's time is over, if it came now (MQTT 5 section 3.3.2.3.3). AWS raises an interval of 0, and lowers one of
/// more than seven days (developer guide, `mqtt`).
pub(super) fn expires_at(publish: &Publish, now: Moment) -> Option<Moment> {
    let seconds = publish.properties.as_deref()?.message_expiry_interval?;
    let seconds = seconds.clamp(MIN_MESSAGE_EXPIRY_SECONDS, MAX_MESSAGE_EXPIRY_SECONDS);
    Some(now + Duration::from_secs(seconds.into()))
}

/// The message with the seconds that are left to it, rounded down: less than one second is 0, as on AWS (developer guide,
/// `mqtt`). `None` if its time is over (`[MQTT-3.3.2-5]`, `[MQTT-3.3.2-6]`).
pub(super) fn sent_at(publish: &Publish, expires_at: Option<Moment>, now: Moment) -> Option<Publish> {
    let Some(expires_at) = expires_at else { return Some(publish.clone()) };
    let left = expires_at - now;
    if left.is_zero() {
        return None;
    }
    let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
    let mut sent = publish.clone();
    if let Some(properties) = &mut sent.properties
        && properties.message_expiry_interval != Some(seconds)
    {
        Arc::make_mut(properties).message_expiry_interval = Some(seconds);
    }
    Some(sent)
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.queue.own.fetch_sub(self.own_bytes, Ordering::Relaxed);
        self.queue.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The memory that a message uses, roughly, in bytes.
pub(super) fn weight(publish: &Publish) -> usize {
    let user_properties = publish.properties.as_deref().map_or(0, |it| it.user_properties.len());
    OVERHEAD_BYTES + PROPERTY_OVERHEAD_BYTES * user_properties + content_bytes(publish)
}

/// The bytes of a message's topic, payload and properties.
pub(crate) fn content_bytes(publish: &Publish) -> usize {
    let topic = |topic: &Option<TopicName>| topic.as_ref().map_or(0, |topic| topic.as_str().len());
    let properties = publish.properties.as_deref().map_or(0, |properties| {
        let user = properties.user_properties.iter();
        user.map(|(name, value)| name.len() + value.len()).sum::<usize>()
            + properties.content_type.as_deref().map_or(0, str::len)
            + topic(&properties.response_topic)
            + properties.correlation_data.as_ref().map_or(0, bytes::Bytes::len)
    });
    topic(&publish.topic) + publish.payload.len() + properties
}

#[cfg(test)]
mod tests {
    use mqtt::PublishProperties;

    use super::*;

    fn now() -> Moment {
        crate::clock::Clock::Manual(crate::clock::ManualClock::new()).now()
    }

    #[test]
    fn message_is_sent_with_the_time_that_is_left_to_it_and_not_after() {
        let now = now();
        let left = |interval, millis| {
            let properties =
                PublishProperties { message_expiry_interval: Some(interval), ..PublishProperties::default() };
            let message =
                Publish { properties: Some(properties.into()), ..Publish::new("t".parse().unwrap(), "x") };
            let delivery = Queue::default().accept(message, now).unwrap();
            let sent = delivery.at(now + Duration::from_millis(millis))?;
            sent.properties.unwrap().message_expiry_interval
        };
        for (interval, millis, expected) in [
            (10, 0, Some(10)),
            (10, 1_000, Some(9)),
            (10, 1_001, Some(8)),
            (10, 9_000, Some(1)),
            (10, 9_001, Some(0)),
            (10, 9_999, Some(0)),
            (10, 10_000, None),
            (0, 0, Some(1)),
            (0, 999, Some(0)),
            (0, 1_000, None),
            (604_801, 0, Some(604_800)),
            (u32::MAX, 604_799_999, Some(0)),
            (u32::MAX, 604_800_000, None),
        ] {
            assert_eq!(left(interval, millis), expected, "{interval} s after {millis} ms");
        }
        let forever = Queue::default().accept(Publish::new("t".parse().unwrap(), "x"), now).unwrap();
        assert!(forever.at(now + Duration::from_hours(1_000)).is_some());
    }

    #[test]
    fn waiting_bytes_are_bounded_and_a_dropped_message_makes_room() {
        let queue = Queue::default();
        let message = || Publish::new("t".parse().unwrap(), vec![0; 1024 * 1024]);
        let mut waiting = Vec::new();
        let now = now();
        while let Some(delivery) = queue.accept(message(), now) {
            waiting.push(delivery);
        }
        assert_eq!(waiting.len(), 4);
        assert!(queue.accept(message(), now).is_none(), "a refused message counts no bytes");
        waiting.pop();
        assert!(queue.accept(message(), now).is_some());
        drop(waiting);
        assert_eq!(queue.own.load(Ordering::Relaxed), 0);
    }
}
