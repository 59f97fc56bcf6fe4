//! A limit on last wills that wait for their delay, in number and in bytes. One more is published without its delay.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mqtt::Publish;

use crate::broker::queue::content_bytes;

/// The limit on last wills that wait for their delay.
pub struct DelayedWillLimit {
    most: DelayedWills,
    waiting: Mutex<DelayedWills>,
}

/// A number of last wills, and the bytes that they have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DelayedWills {
    /// The number.
    pub number: usize,
    /// The bytes of their topics, payloads and properties.
    pub bytes: usize,
}

/// Allows one last will to wait. Dropping it releases it.
pub struct DelayedWillPermit {
    limit: Arc<DelayedWillLimit>,
    bytes: usize,
}

impl DelayedWillLimit {
    /// A limit of up to `most` wills and bytes.
    #[must_use]
    pub fn new(most: DelayedWills) -> Arc<Self> {
        Arc::new(Self { most, waiting: Mutex::default() })
    }

    /// A permit for one more will. `None` if too many wait.
    #[must_use]
    pub fn acquire(self: &Arc<Self>, publish: &Publish) -> Option<DelayedWillPermit> {
        let bytes = content_bytes(publish);
        let mut waiting = self.lock();
        let more = DelayedWills { number: waiting.number + 1, bytes: waiting.bytes.checked_add(bytes)? };
        if more.number > self.most.number || more.bytes > self.most.bytes {
            return None;
        }
        *waiting = more;
        Some(DelayedWillPermit { limit: Arc::clone(self), bytes })
    }

    /// The wills that wait.
    #[must_use]
    pub fn waiting(&self) -> DelayedWills {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, DelayedWills> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DelayedWillPermit {
    fn drop(&mut self) {
        let mut waiting = self.limit.lock();
        waiting.number = waiting.number.saturating_sub(1);
        waiting.bytes = waiting.bytes.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use mqtt::PublishProperties;

    use super::*;

    #[test]
    fn wills_wait_up_to_a_number_and_to_bytes_until_their_permits_are_dropped() {
        let limit = DelayedWillLimit::new(DelayedWills { number: 2, bytes: 10 });
        let acquire = |payload: &'static str| limit.acquire(&Publish::new("t".parse().unwrap(), payload));
        let first = acquire("1234").unwrap();
        assert!(acquire("12345").is_none(), "11 bytes together");
        let second = acquire("1234").unwrap();
        assert_eq!(limit.waiting(), DelayedWills { number: 2, bytes: 10 });
        assert!(acquire("").is_none(), "a third one");
        drop(first);
        drop(acquire("1234").unwrap());
        drop(second);
        assert_eq!(limit.waiting(), DelayedWills::default());
    }

    #[test]
    fn properties_count() {
        let properties = PublishProperties {
            user_properties: vec![("ab".into(), "c".into())],
            content_type: Some("text".into()),
            ..PublishProperties::default()
        };
        let publish = Publish::new("t".parse().unwrap(), "xy");
        let publish = Publish { properties: Some(properties.into()), ..publish };
        assert_eq!(content_bytes(&publish), 1 + 2 + 3 + 4);
    }
}
