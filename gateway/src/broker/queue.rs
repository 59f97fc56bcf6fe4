//! Messages on their way to one connection, bounded by their bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mqtt::{Publish, PublishProperties};

/// What may wait for one connection, in bytes. A client that takes its messages is far below it.
const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;
/// What a message costs beside its text and payload.
const OVERHEAD_BYTES: usize = 256;
/// What a user property costs beside its two texts.
const PROPERTY_OVERHEAD_BYTES: usize = 64;

/// How much waits for one connection. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Queue(Arc<AtomicUsize>);

/// A message for one connection. It weighs on the connection's queue for as long as it lives.
#[derive(Debug)]
pub struct Delivery {
    publish: Publish,
    queue: Queue,
    bytes: usize,
}

impl Queue {
    /// Takes a message in; `None` if too much waits already.
    #[must_use]
    pub fn accept(&self, publish: Publish) -> Option<Delivery> {
        let bytes = weight(&publish);
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let delivery = Delivery { publish, queue: self.clone(), bytes };
        // A message that is refused is dropped here, and with it its weight.
        (before < MAX_QUEUED_BYTES).then_some(delivery)
    }
}

impl Delivery {
    /// The message, its QoS lowered to what was subscribed, its retain flag as it is to be sent.
    #[must_use]
    pub fn publish(&self) -> &Publish {
        &self.publish
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.queue.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a message holds of the memory, roughly.
#[must_use]
pub fn weight(publish: &Publish) -> usize {
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

    #[test]
    fn what_waits_is_bounded_and_what_is_gone_makes_room() {
        let queue = Queue::default();
        let message = || Publish::new("t".parse().unwrap(), vec![0; 1024 * 1024]);
        let mut waiting = Vec::new();
        while let Some(delivery) = queue.accept(message()) {
            waiting.push(delivery);
        }
        assert_eq!(waiting.len(), 4);
        assert!(queue.accept(message()).is_none(), "a refused message leaves no weight behind");
        waiting.pop();
        assert!(queue.accept(message()).is_some());
        drop(waiting);
        assert_eq!(queue.0.load(Ordering::Relaxed), 0);
    }
}
