//! A shared subscription: the clients that share it, and the messages that wait until one of them is connected.

use std::{collections::HashMap, sync::Arc};

use device_core::random::SplitMix64;
use mqtt::{Publish, TopicFilter};

use super::{
    queue::{Delivery, Queue, QueuedBytes},
    store::{Changes, StoredMessage},
    subscriber::Subscriber,
    waiting::Waiting,
};
use crate::clock::Moment;

/// The clients that share a subscription. Each message goes to one of them, at random among those that are connected. If none
/// is, it waits for the first one that joins or comes back (developer guide, `mqtt`).
#[derive(Debug)]
pub(super) struct Group {
    /// The filter, with `$share/` and the group's name.
    filter: TopicFilter,
    members: HashMap<Arc<str>, Member>,
    connected: Vec<Arc<str>>,
    /// Members whose sessions outlive their connections.
    persistent: usize,
    /// Bounds the bytes that wait.
    queue: Queue,
    waiting: Waiting,
}

#[derive(Debug)]
struct Member {
    subscriber: Subscriber,
    persistent: bool,
    /// The place among the connected members.
    connected: Option<usize>,
}

impl Group {
    pub(super) fn new(filter: TopicFilter, bytes: &QueuedBytes) -> Self {
        Self {
            filter,
            members: HashMap::new(),
            connected: Vec::new(),
            persistent: 0,
            queue: Queue::new(bytes),
            waiting: Waiting::default(),
        }
    }

    pub(super) fn filter(&self) -> &TopicFilter {
        &self.filter
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    /// Whether messages are kept in the file until a member acknowledges them.
    pub(super) fn is_persistent(&self) -> bool {
        self.persistent > 0
    }

    /// Adds a member that is away, or replaces its options. Returns whether it is new.
    pub(super) fn insert(&mut self, client_id: &Arc<str>, subscriber: Subscriber) -> bool {
        if let Some(member) = self.members.get_mut(client_id) {
            member.subscriber = subscriber;
            return false;
        }
        self.persistent += 1;
        self.members.insert(Arc::clone(client_id), Member { subscriber, persistent: true, connected: None });
        true
    }

    pub(super) fn remove(&mut self, client_id: &str) {
        self.leave(client_id);
        if let Some(member) = self.members.remove(client_id) {
            self.persistent -= usize::from(member.persistent);
        }
    }

    /// A member is connected.
    pub(super) fn join(&mut self, client_id: &Arc<str>, persistent: bool) {
        if let Some(member) = self.members.get_mut(client_id) {
            self.persistent = self.persistent - usize::from(member.persistent) + usize::from(persistent);
            member.persistent = persistent;
            if member.connected.is_none() {
                member.connected = Some(self.connected.len());
                self.connected.push(Arc::clone(client_id));
            }
        }
    }

    /// A member is not connected any more.
    pub(super) fn leave(&mut self, client_id: &str) {
        let Some(place) = self.members.get_mut(client_id).and_then(|member| member.connected.take()) else {
            return;
        };
        self.connected.swap_remove(place);
        let moved = self.connected.get(place).and_then(|moved| self.members.get_mut(moved));
        if let Some(member) = moved {
            member.connected = Some(place);
        }
    }

    /// One of the members that are connected.
    pub(super) fn pick(&self, random: &mut SplitMix64) -> Option<(Arc<str>, Subscriber)> {
        let place = random.next_u64().checked_rem(self.connected.len() as u64)?;
        let client_id = self.connected.get(usize::try_from(place).ok()?)?;
        Some((Arc::clone(client_id), self.members.get(client_id)?.subscriber))
    }

    /// The options of a member.
    pub(super) fn subscriber(&self, client_id: &str) -> Option<Subscriber> {
        self.members.get(client_id).map(|member| member.subscriber)
    }

    /// Accepts a message that waits for a member, and writes it into the file. If there is no room, it is dropped, and what
    /// waits stays.
    pub(super) fn accept(
        &mut self,
        publish: Publish,
        now: Moment,
        changes: &mut Changes,
    ) -> Option<Delivery> {
        if !self.queue.has_room_to_wait() {
            for id in self.waiting.remove_expired(now) {
                changes.settled(id);
            }
        }
        let delivery = self.queue.has_room_to_wait().then(|| self.queue.accept(publish, now)).flatten();
        let mut delivery = delivery?.shared_by(&self.filter);
        delivery.keep_shared(changes);
        Some(delivery)
    }

    /// A message waits for a member.
    pub(super) fn add_waiting(&mut self, delivery: Delivery) {
        self.waiting.push(delivery);
    }

    /// A message waits again, before those that were not sent yet.
    pub(super) fn return_waiting(&mut self, delivery: &Delivery) {
        self.waiting.push_front(delivery.moved_to(&self.queue, delivery.publish().clone()));
    }

    /// A message of the file waits.
    pub(super) fn restore(&mut self, message: StoredMessage) {
        let StoredMessage { id, publish, expires_at, .. } = message;
        self.waiting.push(self.queue.restore(publish, id, expires_at).shared_by(&self.filter));
    }

    /// The next message that waits.
    pub(super) fn next_waiting(&mut self) -> Option<Delivery> {
        self.waiting.pop()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use mqtt::QoS;

    use super::*;

    #[test]
    fn every_member_that_is_connected_is_picked_and_no_other() {
        let mut group = Group::new("$share/g/t".parse().unwrap(), &QueuedBytes::default());
        let subscriber = Subscriber { qos: QoS::AtLeastOnce, no_local: false, retain_as_published: false };
        let ids = ["a", "b", "c", "d"].map(Arc::<str>::from);
        for id in &ids {
            assert!(group.insert(id, subscriber) && !group.insert(id, subscriber));
        }
        let mut random = SplitMix64::new(0);
        let mut picked = |group: &Group| {
            let picked = (0..200).filter_map(|_| group.pick(&mut random)).map(|(id, _)| id.to_string());
            picked.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<String>()
        };
        assert_eq!(picked(&group), "");
        for id in &ids {
            group.join(id, id.as_ref() < "c");
            group.join(id, id.as_ref() < "c");
        }
        assert_eq!(picked(&group), "abcd");
        group.leave("a");
        group.leave("a");
        assert_eq!(picked(&group), "bcd");
        group.remove("c");
        group.join(&ids[0], true);
        assert_eq!((picked(&group), group.persistent, group.members()), ("abd".into(), 2, 3));
        group.remove("b");
        group.remove("d");
        assert_eq!((picked(&group), group.is_persistent()), ("a".into(), true));
        group.join(&ids[0], false);
        assert!(!group.is_persistent());
        group.remove("a");
        assert!(group.is_empty() && group.connected.is_empty());
    }
}
