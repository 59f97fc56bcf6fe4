//! Retained messages: one a topic, bounded.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use mqtt::{Publish, TopicFilter, TopicName};

use super::{
    queue::{expires_at, is_over, sent_at, weight},
    store::{Journal, StoreError},
};
use crate::clock::Moment;

const MAX_MESSAGES: usize = 10_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The retained messages.
#[derive(Default)]
pub(super) struct Retained {
    messages: HashMap<TopicName, Kept>,
    bytes: usize,
}

/// What a message does to the one that is retained.
pub(super) enum Change {
    Nothing,
    Keep(Kept),
    Remove,
}

pub(super) struct Kept {
    publish: Publish,
    expires_at: Option<Moment>,
}

impl Retained {
    /// Writes down that a message takes the place of its topic's earlier one; an empty payload, or a time that is over
    /// already, only removes that (MQTT 5 section 3.3.1.3). The change is to be applied once the file has it.
    pub(super) fn change(
        &mut self,
        topic: &TopicName,
        publish: &Publish,
        now: Moment,
        journal: &mut Journal<'_>,
    ) -> Result<Change, StoreError> {
        if publish.payload.is_empty() || is_over(publish) {
            journal.unretained(topic)?;
            return Ok(Change::Remove);
        }
        let kept = on_its_own(publish);
        let bytes = weight(&kept);
        if !self.has_room(topic, bytes) {
            self.remove_expired(now, journal)?;
        }
        if !self.has_room(topic, bytes) {
            tracing::warn!("no room for another retained message");
            return Ok(Change::Nothing);
        }
        let kept = Kept { expires_at: expires_at(&kept, now), publish: kept };
        journal.retained(topic, &kept.publish, kept.expires_at)?;
        Ok(Change::Keep(kept))
    }

    /// Does what is written down.
    pub(super) fn apply(&mut self, topic: &TopicName, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Keep(kept) => self.insert(topic.clone(), kept),
            Change::Remove => self.remove(topic),
        }
    }

    /// Takes in a message that the file holds.
    pub(super) fn restore(&mut self, publish: Publish, expires_at: Option<Moment>, now: Moment) {
        if let Some(topic) = publish.topic.clone().filter(|_| expires_at.is_none_or(|at| at > now)) {
            self.insert(topic, Kept { publish, expires_at });
        }
    }

    fn insert(&mut self, topic: TopicName, kept: Kept) {
        self.remove(&topic);
        self.bytes += weight(&kept.publish);
        self.messages.insert(topic, kept);
    }

    /// Whether there is room for a message of so many bytes in the place of the topic's earlier one.
    fn has_room(&self, topic: &TopicName, bytes: usize) -> bool {
        let earlier = self.messages.get(topic);
        let others = self.messages.len() - usize::from(earlier.is_some());
        let left = self.bytes - earlier.map_or(0, |kept| weight(&kept.publish));
        others < MAX_MESSAGES && left + bytes <= MAX_BYTES
    }

    fn remove(&mut self, topic: &TopicName) {
        if let Some(earlier) = self.messages.remove(topic) {
            self.bytes -= weight(&earlier.publish);
        }
    }

    fn remove_expired(&mut self, now: Moment, journal: &mut Journal<'_>) -> Result<(), StoreError> {
        let expired = self.messages.iter().filter(|(_, kept)| kept.expires_at.is_some_and(|at| at <= now));
        for topic in expired.map(|(topic, _)| topic.clone()).collect::<Vec<_>>() {
            self.remove(&topic);
            journal.unretained(&topic)?;
        }
        Ok(())
    }

    /// The messages whose topics a filter matches and whose time is not over.
    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a TopicFilter,
        now: Moment,
    ) -> impl Iterator<Item = (&'a TopicName, Publish)> {
        let matching = self.messages.iter().filter(|(topic, _)| filter.matches(topic));
        matching.filter_map(move |(topic, kept)| Some((topic, sent_at(&kept.publish, kept.expires_at, now)?)))
    }
}

/// What is received shares the connection's read buffer; what is kept must not hold that.
pub(super) fn on_its_own(publish: &Publish) -> Publish {
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
    use crate::{
        broker::store::Store,
        clock::{Clock, ManualClock},
    };

    /// Whether a message is retained, or cleared.
    fn keep(
        retained: &mut Retained,
        topic: &TopicName,
        publish: &Publish,
        now: Moment,
        journal: &mut Journal<'_>,
    ) -> bool {
        let change = retained.change(topic, publish, now, journal).unwrap();
        let changes = !matches!(change, Change::Nothing);
        retained.apply(topic, change);
        changes
    }

    /// What a store's file would hold, and the time.
    fn store() -> (Store, Moment) {
        let clock = Clock::Manual(ManualClock::new());
        (Store::in_memory(&clock), clock.now())
    }

    #[test]
    fn there_is_a_bound_and_a_cleared_topic_makes_room() {
        let (mut retained, (store, now)) = (Retained::default(), store());
        let mut journal = store.journal();
        let topic = |n: usize| format!("t/{n}").parse::<TopicName>().unwrap();
        let message = |n, payload: &'static str| Publish::new(topic(n), payload);
        for n in 0..MAX_MESSAGES {
            assert!(keep(&mut retained, &topic(n), &message(n, "x"), now, &mut journal));
        }
        assert!(!keep(&mut retained, &topic(MAX_MESSAGES), &message(MAX_MESSAGES, "x"), now, &mut journal));
        assert!(
            keep(&mut retained, &topic(0), &message(0, "another"), now, &mut journal),
            "one that replaces another needs no room"
        );
        assert!(keep(&mut retained, &topic(0), &message(0, ""), now, &mut journal));
        assert!(keep(&mut retained, &topic(MAX_MESSAGES), &message(MAX_MESSAGES, "x"), now, &mut journal));
        assert_eq!(retained.matching(&"#".parse().unwrap(), now).count(), MAX_MESSAGES);
    }

    #[test]
    fn large_messages_are_bounded_by_their_bytes() {
        let (mut retained, (store, now)) = (Retained::default(), store());
        let mut journal = store.journal();
        let topic = |n: usize| format!("t/{n}").parse::<TopicName>().unwrap();
        let large = vec![1; 1024 * 1024];
        let kept = (0..100)
            .filter(|&n| {
                keep(&mut retained, &topic(n), &Publish::new(topic(n), large.clone()), now, &mut journal)
            })
            .count();
        assert_eq!(kept, 63);
    }
}
