//! The retained messages, one for each topic. Their number and their bytes are bounded.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;
use mqtt::{Publish, TopicName};

use super::{
    inspection::RetainedEntry,
    queue::{expires_at, weight},
    steps::step,
    store::Changes,
};
use crate::clock::Moment;

const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The retained messages.
pub(super) struct Retained {
    max_messages: usize,
    messages: BTreeMap<TopicName, RetainedMessage>,
    /// The messages whose time ends, by that time: so that those that are over are found without a look at the others.
    expiring: BTreeSet<(Moment, TopicName)>,
    bytes: usize,
}

pub(super) struct RetainedMessage {
    publish: Publish,
    expires_at: Option<Moment>,
    stored_at: Moment,
}

/// The change that a message makes to its topic's retained message.
pub(super) enum RetainedChange {
    None,
    Replace(RetainedMessage),
    Remove,
}

/// Messages whose time is over that each message removes: more than it adds, so they don't gather.
const REMOVED_AT_ONCE: usize = 2;
/// As many as one message removes at most if it has no room: its work does not grow with what others stored.
const REMOVED_FOR_ROOM: usize = 1_000;

impl Retained {
    pub(super) fn new(max_messages: usize) -> Self {
        Self { max_messages, messages: BTreeMap::new(), expiring: BTreeSet::new(), bytes: 0 }
    }

    /// The change that a message makes, which is to be applied once the file has it. The message replaces its topic's earlier
    /// one. An empty payload only removes that (MQTT 5 section 3.3.1.3).
    pub(super) fn prepare(
        &mut self,
        topic: &TopicName,
        publish: &Publish,
        now: Moment,
        changes: &mut Changes,
    ) -> RetainedChange {
        if publish.payload.is_empty() {
            changes.unretained(topic);
            return RetainedChange::Remove;
        }
        let publish = with_own_buffers(publish);
        let bytes = weight(&publish);
        self.remove_expired(topic, bytes, now, changes);
        if !self.has_room(topic, bytes) {
            tracing::warn!("no room for another retained message");
            return RetainedChange::None;
        }
        let message = RetainedMessage { expires_at: expires_at(&publish, now), publish, stored_at: now };
        changes.retained(topic, &message.publish, message.expires_at);
        RetainedChange::Replace(message)
    }

    /// Applies a change.
    pub(super) fn apply(&mut self, topic: &TopicName, change: RetainedChange) {
        match change {
            RetainedChange::None => {}
            RetainedChange::Replace(message) => self.insert(topic.clone(), message),
            RetainedChange::Remove => self.remove(topic),
        }
    }

    /// Adds a message from the file, unless its time is over.
    pub(super) fn restore(&mut self, publish: Publish, expires_at: Option<Moment>, now: Moment) {
        if let Some(topic) = publish.topic.clone().filter(|_| expires_at.is_none_or(|at| at > now)) {
            self.insert(topic, RetainedMessage { publish, expires_at, stored_at: now });
        }
    }

    fn insert(&mut self, topic: TopicName, message: RetainedMessage) {
        self.remove(&topic);
        self.bytes += weight(&message.publish);
        if let Some(at) = message.expires_at {
            self.expiring.insert((at, topic.clone()));
        }
        self.messages.insert(topic, message);
    }

    /// Whether a message of this many bytes has room, in place of the topic's earlier one.
    fn has_room(&self, topic: &TopicName, bytes: usize) -> bool {
        let earlier = self.messages.get(topic);
        let others = self.messages.len() - usize::from(earlier.is_some());
        let left = self.bytes - earlier.map_or(0, |message| weight(&message.publish));
        others < self.max_messages && left + bytes <= MAX_BYTES
    }

    fn remove(&mut self, topic: &TopicName) {
        if let Some(earlier) = self.messages.remove(topic) {
            self.bytes -= weight(&earlier.publish);
            if let Some(at) = earlier.expires_at {
                self.expiring.remove(&(at, topic.clone()));
            }
        }
    }

    /// Removes some messages whose time is over, and more while a message of this many bytes has no room.
    fn remove_expired(&mut self, topic: &TopicName, bytes: usize, now: Moment, changes: &mut Changes) {
        for removed in 0..REMOVED_FOR_ROOM {
            let expired = self.expiring.first().filter(|(at, _)| *at <= now).cloned();
            let Some((_, expired)) = expired else { return };
            if removed >= REMOVED_AT_ONCE && self.has_room(topic, bytes) {
                return;
            }
            step();
            self.remove(&expired);
            changes.unretained(&expired);
        }
    }

    /// The message of a topic, if its time is not over, and when it is.
    pub(super) fn of_topic(&self, topic: &TopicName, now: Moment) -> Option<(&Publish, Option<Moment>)> {
        let RetainedMessage { publish, expires_at, .. } = self.messages.get(topic)?;
        expires_at.is_none_or(|at| at > now).then_some((publish, *expires_at))
    }

    /// The message of a topic, if its time is not over, for an API call.
    pub(super) fn entry(&self, topic: &TopicName, now: Moment) -> Option<RetainedEntry> {
        self.messages.get(topic)?.entry(topic, now)
    }

    /// The next messages whose time is not over, in the order of their topics, after one of them.
    pub(super) fn entries_after(
        &self,
        after: Option<&TopicName>,
        count: usize,
        now: Moment,
    ) -> Vec<RetainedEntry> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let messages = self.messages.range::<TopicName, _>((begin, Bound::Unbounded));
        messages.filter_map(|(topic, message)| message.entry(topic, now)).take(count).collect()
    }

    /// How many messages there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }
}

impl RetainedMessage {
    fn entry(&self, topic: &TopicName, now: Moment) -> Option<RetainedEntry> {
        let is_over = self.expires_at.is_some_and(|at| at <= now);
        (!is_over).then(|| RetainedEntry {
            topic: topic.clone(),
            publish: self.publish.clone(),
            stored_at: self.stored_at,
        })
    }
}

/// A copy with buffers of its own. A received message is part of its connection's read buffer, which must not stay in memory
/// as long as the message does.
pub(super) fn with_own_buffers(publish: &Publish) -> Publish {
    let mut kept = Publish { payload: Bytes::copy_from_slice(&publish.payload), ..publish.clone() };
    if let Some(properties) = &mut kept.properties
        && let Some(data) = &properties.correlation_data
    {
        let data = Bytes::copy_from_slice(data);
        Arc::make_mut(properties).correlation_data = Some(data);
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mqtt::PublishProperties;

    use super::*;
    use crate::broker::steps::counted;
    use crate::clock::{Clock, ManualClock};

    const MAX_MESSAGES: usize = 1_000;

    /// Retains a message, or clears its topic. Whether there was room.
    fn retain(
        retained: &mut Retained,
        topic: &TopicName,
        publish: &Publish,
        now: Moment,
        changes: &mut Changes,
    ) -> bool {
        let change = retained.prepare(topic, publish, now, changes);
        let had_room = !matches!(change, RetainedChange::None);
        retained.apply(topic, change);
        had_room
    }

    fn changes() -> (Changes, Moment) {
        let clock = Clock::Manual(ManualClock::new());
        (Changes::new(Arc::default()), clock.now())
    }

    #[test]
    fn there_is_a_bound_and_a_cleared_topic_makes_room() {
        let (mut retained, (mut changes, now)) = (Retained::new(MAX_MESSAGES), changes());
        let topic = |n: usize| format!("t/{n}").parse::<TopicName>().unwrap();
        let message = |n, payload: &'static str| Publish::new(topic(n), payload);
        for n in 0..MAX_MESSAGES {
            assert!(retain(&mut retained, &topic(n), &message(n, "x"), now, &mut changes));
        }
        assert!(!retain(&mut retained, &topic(MAX_MESSAGES), &message(MAX_MESSAGES, "x"), now, &mut changes));
        assert!(
            retain(&mut retained, &topic(0), &message(0, "another"), now, &mut changes),
            "one that replaces another needs no room"
        );
        assert!(retain(&mut retained, &topic(0), &message(0, ""), now, &mut changes));
        assert!(retain(&mut retained, &topic(MAX_MESSAGES), &message(MAX_MESSAGES, "x"), now, &mut changes));
        assert_eq!(retained.len(), MAX_MESSAGES);
    }

    #[test]
    fn expired_messages_make_room() {
        let (mut retained, (mut changes, now)) = (Retained::new(MAX_MESSAGES), changes());
        let topic = |n: usize| format!("t/{n}").parse::<TopicName>().unwrap();
        for n in 0..MAX_MESSAGES {
            let seconds = if n % 2 == 0 { 10 } else { 20 };
            let properties =
                PublishProperties { message_expiry_interval: Some(seconds), ..PublishProperties::default() };
            let message = Publish { properties: Some(properties.into()), ..Publish::new(topic(n), "x") };
            assert!(retain(&mut retained, &topic(n), &message, now, &mut changes));
        }
        let (soon, late) = (now + Duration::from_secs(9), now + Duration::from_secs(10));
        let message = Publish::new(topic(MAX_MESSAGES), "x");
        let refused = || retain(&mut retained, &topic(MAX_MESSAGES), &message, soon, &mut changes);
        assert_eq!(counted(refused), (0, false), "without a look at the others");
        let accepted = || retain(&mut retained, &topic(MAX_MESSAGES), &message, late, &mut changes);
        assert_eq!(
            counted(accepted),
            (REMOVED_AT_ONCE, true),
            "with a look at as many as one message removes"
        );
        assert_eq!(retained.len(), MAX_MESSAGES - REMOVED_AT_ONCE + 1);
        assert!(retained.of_topic(&topic(0), late).is_none() && retained.of_topic(&topic(1), late).is_some());
    }

    #[test]
    fn one_message_removes_a_bounded_number_of_expired_ones() {
        let (mut retained, (mut changes, now)) = (Retained::new(usize::MAX), changes());
        let properties =
            PublishProperties { message_expiry_interval: Some(10), ..PublishProperties::default() };
        let topic = |n: usize| format!("t/{n}").parse::<TopicName>().unwrap();
        let message = |n, payload: Vec<u8>| Publish {
            properties: Some(properties.clone().into()),
            ..Publish::new(topic(n), payload)
        };
        let mut n = 0;
        while retain(&mut retained, &topic(n), &message(n, vec![1; 40 * 1024]), now, &mut changes) {
            n += 1;
        }
        assert!(n > REMOVED_FOR_ROOM, "{n}");
        // It has room only in place of more than it may remove.
        let late = now + Duration::from_secs(10);
        let huge = message(n, vec![1; 63 * 1024 * 1024]);
        let dropped = || retain(&mut retained, &topic(n), &huge, late, &mut changes);
        assert_eq!(counted(dropped), (REMOVED_FOR_ROOM, false));
        assert!(retain(&mut retained, &topic(n), &huge, late, &mut changes), "the next one has room");
    }

    #[test]
    fn large_messages_are_bounded_by_their_bytes() {
        let (mut retained, (mut changes, now)) = (Retained::new(MAX_MESSAGES), changes());
        let topic = |n: usize| format!("t/{n}").parse::<TopicName>().unwrap();
        let large = vec![1; 1024 * 1024];
        let kept = (0..100)
            .filter(|&n| {
                retain(&mut retained, &topic(n), &Publish::new(topic(n), large.clone()), now, &mut changes)
            })
            .count();
        assert_eq!(kept, 63);
    }
}
