//! Retained messages: one a topic, in memory, bounded.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use mqtt::{Publish, TopicFilter, TopicName};

use super::queue::weight;

const MAX_MESSAGES: usize = 10_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The retained messages.
#[derive(Default)]
pub(super) struct Retained {
    messages: HashMap<TopicName, Publish>,
    bytes: usize,
}

impl Retained {
    /// Keeps a message in its topic's earlier one's place; an empty payload only removes that (MQTT 5 section
    /// 3.3.1.3). Whether there was room.
    pub(super) fn keep(&mut self, topic: &TopicName, publish: &Publish) -> bool {
        if let Some(earlier) = self.messages.remove(topic) {
            self.bytes -= weight(&earlier);
        }
        if publish.payload.is_empty() {
            return true;
        }
        let kept = on_its_own(publish);
        let bytes = weight(&kept);
        if self.messages.len() >= MAX_MESSAGES || self.bytes + bytes > MAX_BYTES {
            return false;
        }
        self.bytes += bytes;
        self.messages.insert(topic.clone(), kept);
        true
    }

    /// The messages whose topics a filter matches.
    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a TopicFilter,
    ) -> impl Iterator<Item = (&'a TopicName, &'a Publish)> {
        self.messages.iter().filter(|(topic, _)| filter.matches(topic))
    }
}

/// What is received shares the connection's read buffer; what is kept must not hold that.
fn on_its_own(publish: &Publish) -> Publish {
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

    #[test]
    fn there_is_a_bound_and_a_cleared_topic_makes_room() {
        let mut retained = Retained::default();
        let topic = |n: usize| format!("t/{n}").parse::<TopicName>().unwrap();
        let message = |n, payload: &'static str| Publish::new(topic(n), payload);
        for n in 0..MAX_MESSAGES {
            assert!(retained.keep(&topic(n), &message(n, "x")));
        }
        assert!(!retained.keep(&topic(MAX_MESSAGES), &message(MAX_MESSAGES, "x")));
        assert!(retained.keep(&topic(0), &message(0, "another")), "one that replaces another needs no room");
        assert!(retained.keep(&topic(0), &message(0, "")));
        assert!(retained.keep(&topic(MAX_MESSAGES), &message(MAX_MESSAGES, "x")));
        assert_eq!(retained.matching(&"#".parse().unwrap()).count(), MAX_MESSAGES);
    }

    #[test]
    fn large_messages_are_bounded_by_their_bytes() {
        let mut retained = Retained::default();
        let topic = |n: usize| format!("t/{n}").parse::<TopicName>().unwrap();
        let large = vec![1; 1024 * 1024];
        let kept =
            (0..100).filter(|&n| retained.keep(&topic(n), &Publish::new(topic(n), large.clone()))).count();
        assert_eq!(kept, 63);
    }
}
