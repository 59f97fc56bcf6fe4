//! A bound to the bytes of the messages on their way to a client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mqtt::{Publish, PublishProperties};

use super::store::{Changes, MessageId};
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
        let fits = self.own.load(Ordering::Relaxed) < MAX_QUEUED_BYTES;
        let expires_at = expires_at(&publish, now);
        fits.then(|| self.delivery(publish, None, expires_at))
    }

    /// Accepts a message from the file.
    pub(super) fn restore(&self, publish: Publish, id: MessageId, expires_at: Option<Moment>) -> Delivery {
        self.delivery(publish, Some(id), expires_at)
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
        Delivery { publish, id, queue: self.clone(), own_bytes: bytes, bytes, expires_at }
    }
}

impl Delivery {
    /// Adds the message to the file, where it stays until it is settled.
    pub(super) fn keep(&mut self, client_id: &Arc<str>, changes: &mut Changes) {
        self.id = Some(changes.queued(client_id, &self.publish, self.expires_at));
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

/// Whether a message's time was over before it came.
pub(super) fn is_over(publish: &Publish) -> bool {
    publish.properties.as_deref().and_then(|properties| properties.message_expiry_interval) == Some(0)
}

/// When a message's time is over, if it came now (MQTT 5 section 3.3.2.3.3).
pub(super) fn expires_at(publish: &Publish, now: Moment) -> Option<Moment> {
    let seconds = publish.properties.as_deref()?.message_expiry_interval?;
    Some(now + Duration::from_secs(seconds.into()))
}

/// The message with the seconds that are left to it, rounded up. `None` if there are none
/// (`[MQTT-3.3.2-5]`, `[MQTT-3.3.2-6]`).
pub(super) fn sent_at(publish: &Publish, expires_at: Option<Moment>, now: Moment) -> Option<Publish> {
    let Some(expires_at) = expires_at else { return Some(publish.clone()) };
    let left = expires_at - now;
    if left.is_zero() {
        return None;
    }
    let seconds = u32::try_from(left.as_secs() + u64::from(left.subsec_nanos() > 0)).unwrap_or(u32::MAX);
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
    let topic = publish.topic.as_ref().map_or(0, |topic| topic.as_str().len());
    OVERHEAD_BYTES
        + topic
        + publish.payload.len()
        + publish.properties.as_deref().map_or(0, properties_weight)
}

fn properties_weight(properties: &PublishProperties) -> usize {
    let user = properties.user_properties.iter();
    let user = user.map(|(name, value)| PROPERTY_OVERHEAD_BYTES + name.len() + value.len()).sum::<usize>();
    let texts = properties.content_type.as_deref().map_or(0, str::len)
        + properties.response_topic.as_ref().map_or(0, |topic| topic.as_str().len());
    user + texts + properties.correlation_data.as_ref().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Moment {
        crate::clock::Clock::Manual(crate::clock::ManualClock::new()).now()
    }

    #[test]
    fn message_is_sent_with_the_time_that_is_left_to_it_and_not_after() {
        let properties =
            PublishProperties { message_expiry_interval: Some(10), ..PublishProperties::default() };
        let message =
            Publish { properties: Some(properties.into()), ..Publish::new("t".parse().unwrap(), "x") };
        let now = now();
        let delivery = Queue::default().accept(message, now).unwrap();
        let at = |millis| {
            let sent = delivery.at(now + Duration::from_millis(millis))?;
            sent.properties.unwrap().message_expiry_interval
        };
        let expected = [(0, Some(10)), (999, Some(10)), (1_000, Some(9)), (9_999, Some(1)), (10_000, None)];
        for (millis, left) in expected {
            assert_eq!(at(millis), left, "{millis}");
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
