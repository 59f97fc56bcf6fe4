//! The retained messages, one for each topic. Their number and their bytes are bounded.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use mqtt::{Publish, TopicFilter, TopicName};

use super::{
    queue::{expires_at, is_over, sent_at, weight},
    store::Changes,
};
use crate::clock::Moment;

const MAX_MESSAGES: usize = 10_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The retained messages.
#[derive(Default)]
pub(super) struct Retained {
    messages: HashMap<TopicName, RetainedMessage>,
    bytes: usize,
}

pub(super) struct RetainedMessage {
    publish: Publish,
    expires_at: Option<Moment>,
}

/// The change that a message makes to its topic's retained message.
pub(super) enum RetainedChange {
    None,
    Replace(RetainedMessage),
    Remove,
}

impl Retained {
    /// The change that a message makes, which is to be applied once the file has it. The message replaces its topic's earlier
    /// one. An empty payload, or a time that is over already, only removes that (MQTT 5 section 3.3.1.3).
    pub(super) fn prepare(
        &mut self,
        topic: &TopicName,
        publish: &Publish,
        now: Moment,
        changes: &mut Changes,
    ) -> RetainedChange {
        if publish.payload.is_empty() || is_over(publish) {
            changes.unretained(topic);
            return RetainedChange::Remove;
        }
        let publish = with_own_buffers(publish);
        let bytes = weight(&publish);
        if !self.has_room(topic, bytes) {
            self.remove_expired(now, changes);
        }
        if !self.has_room(topic, bytes) {
            tracing::warn!("no room for another retained message");
            return RetainedChange::None;
        }
        let message = RetainedMessage { expires_at: expires_at(&publish, now), publish };
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
            self.insert(topic, RetainedMessage { publish, expires_at });
        }
    }

    fn insert(&mut self, topic: TopicName, message: RetainedMessage) {
        self.remove(&topic);
        self.bytes += weight(&message.publish);
        self.messages.insert(topic, message);
    }

    /// Whether a message of this many bytes has room, in place of the topic's earlier one.
    fn has_room(&self, topic: &TopicName, bytes: usize) -> bool {
        let earlier = self.messages.get(topic);
        let others = self.messages.len() - usize::from(earlier.is_some());
        let left = self.bytes - earlier.map_or(0, |message| weight(&message.publish));
        others < MAX_MESSAGES && left + bytes <= MAX_BYTES
    }

    fn remove(&mut self, topic: &TopicName) {
        if let Some(earlier) = self.messages.remove(topic) {
            self.bytes -= weight(&earlier.publish);
        }
    }

    fn remove_expired(&mut self, now: Moment, changes: &mut Changes) {
        let expired =
            self.messages.iter().filter(|(_, message)| message.expires_at.is_some_and(|at| at <= now));
        for topic in expired.map(|(topic, _)| topic.clone()).collect::<Vec<_>>() {
            self.remove(&topic);
            changes.unretained(&topic);
        }
    }

    /// The messages whose topics a filter matches and whose time is not over.
    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a TopicFilter,
        now: Moment,
    ) -> impl Iterator<Item = (&'a TopicName, Publish)> {
        let matching = self.messages.iter().filter(|(topic, _)| filter.matches(topic));
        matching.filter_map(move |(topic, message)| {
            Some((topic, sent_at(&message.publish, message.expires_at, now)?))
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
    use super::*;
    use crate::clock::{Clock, ManualClock};

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
        let (mut retained, (mut changes, now)) = (Retained::default(), changes());
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
        assert_eq!(retained.matching(&"#".parse().unwrap(), now).count(), MAX_MESSAGES);
    }

    #[test]
    fn large_messages_are_bounded_by_their_bytes() {
        let (mut retained, (mut changes, now)) = (Retained::default(), changes());
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
