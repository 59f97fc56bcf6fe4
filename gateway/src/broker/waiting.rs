//! Messages that wait, in their order. Those whose time is over are found without a look at the others.

use std::collections::{BTreeSet, VecDeque};

use super::{queue::Delivery, steps::step, store::MessageId};
use crate::clock::Moment;

/// Places that are not worth giving back.
const FEW: usize = 64;

/// Messages that wait, in their order.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// `None` is the place of a message that was removed.
    places: VecDeque<Option<Delivery>>,
    /// The number of the first place. The numbers of the others follow it.
    first: i64,
    messages: usize,
    /// The messages whose time ends, by that time, with the numbers of their places.
    expiring: BTreeSet<(Moment, i64)>,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.messages
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    pub(super) fn push(&mut self, message: Delivery) {
        let place = self.first.saturating_add_unsigned(self.places.len() as u64);
        self.expiring.extend(message.expires_at().map(|at| (at, place)));
        self.places.push_back(Some(message));
        self.messages += 1;
    }

    /// Adds a message before all others.
    pub(super) fn push_front(&mut self, message: Delivery) {
        self.first -= 1;
        self.expiring.extend(message.expires_at().map(|at| (at, self.first)));
        self.places.push_front(Some(message));
        self.messages += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Delivery> {
        loop {
            step();
            let place = self.places.pop_front()?;
            self.first += 1;
            if let Some(message) = place {
                self.messages -= 1;
                if let Some(at) = message.expires_at() {
                    self.expiring.remove(&(at, self.first - 1));
                }
                return Some(message);
            }
        }
    }

    /// Removes the messages whose time is over. Those in the file are to be deleted there.
    pub(super) fn remove_expired(&mut self, now: Moment) -> Vec<MessageId> {
        let mut removed = Vec::new();
        while let Some((at, place)) = self.expiring.first().copied().filter(|(at, _)| *at <= now) {
            step();
            self.expiring.remove(&(at, place));
            let place = usize::try_from(place - self.first).ok().and_then(|at| self.places.get_mut(at));
            if let Some(message) = place.and_then(Option::take) {
                self.messages -= 1;
                removed.extend(message.id());
            }
        }
        // Places of removed messages are given back once they are more than half of all, so this costs no more than the
        // removals.
        if self.places.len() > 2 * self.messages + FEW {
            self.retain(|_| true);
        }
        removed
    }

    /// Keeps the messages that `keep` accepts.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Delivery) -> bool) {
        for message in std::mem::take(self) {
            step();
            if keep(&message) {
                self.push(message);
            }
        }
    }
}

impl IntoIterator for Waiting {
    type Item = Delivery;
    type IntoIter = std::iter::Flatten<std::collections::vec_deque::IntoIter<Option<Delivery>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.places.into_iter().flatten()
    }
}

impl Extend<Delivery> for Waiting {
    fn extend<T: IntoIterator<Item = Delivery>>(&mut self, messages: T) {
        for message in messages {
            step();
            self.push(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mqtt::{Publish, PublishProperties};

    use super::*;
    use crate::{
        broker::{queue::Queue, steps::counted},
        clock::{Clock, ManualClock},
    };

    #[test]
    fn places_of_expired_messages_are_given_back() {
        let now = Clock::Manual(ManualClock::new()).now();
        let mut waiting = Waiting::default();
        for n in 0..1_000 {
            let properties = PublishProperties {
                message_expiry_interval: (n > 0).then_some(1),
                ..PublishProperties::default()
            };
            let publish = Publish::new("t".parse().unwrap(), n.to_string());
            let publish = Publish { properties: Some(properties.into()), ..publish };
            let later = now + Duration::from_secs(n);
            waiting.remove_expired(later);
            waiting.push(Queue::default().accept(publish, later).unwrap());
            assert!(waiting.places.len() <= 2 + FEW + 1, "{n}");
        }
        assert_eq!((waiting.len(), &waiting.pop().unwrap().publish().payload[..]), (2, &b"0"[..]));
    }

    #[test]
    fn messages_leave_in_their_order_or_when_their_time_is_over() {
        let now = Clock::Manual(ManualClock::new()).now();
        let mut waiting = Waiting::default();
        for (n, seconds) in [(0, None), (1, Some(20)), (2, Some(10)), (3, None), (4, Some(10))] {
            let properties =
                PublishProperties { message_expiry_interval: seconds, ..PublishProperties::default() };
            let publish = Publish::new("t".parse().unwrap(), n.to_string());
            let publish = Publish { properties: Some(properties.into()), ..publish };
            waiting.push(Queue::default().accept(publish, now).unwrap());
        }
        let pop = |waiting: &mut Waiting| waiting.pop().map(|message| message.publish().payload.clone());
        assert_eq!(pop(&mut waiting).unwrap(), "0");
        let removed = counted(|| waiting.remove_expired(now + Duration::from_secs(9)).len());
        assert_eq!((removed, waiting.len()), ((0, 0), 4), "without a look at any");
        waiting.remove_expired(now + Duration::from_secs(10));
        assert_eq!((waiting.len(), pop(&mut waiting).unwrap()), (2, "1".into()));
        waiting.retain(|message| message.publish().payload == "3");
        waiting.remove_expired(now + Duration::from_hours(1));
        assert_eq!((waiting.len(), pop(&mut waiting).unwrap()), (1, "3".into()));
        for n in ["b", "a"] {
            let properties =
                PublishProperties { message_expiry_interval: Some(5), ..PublishProperties::default() };
            let publish =
                Publish { properties: Some(properties.into()), ..Publish::new("t".parse().unwrap(), n) };
            waiting.push_front(Queue::default().accept(publish, now).unwrap());
        }
        assert_eq!(pop(&mut waiting).unwrap(), "a");
        waiting.remove_expired(now + Duration::from_secs(5));
        assert!(waiting.is_empty() && waiting.expiring.is_empty() && pop(&mut waiting).is_none());
    }
}
