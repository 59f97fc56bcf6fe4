//! The subscriptions of all clients, as a tree of topic levels.

use std::{collections::HashMap, sync::Arc};

use device_core::random::SplitMix64;
use mqtt::{QoS, TopicFilter, TopicName};

use super::{group::Group, queue::QueuedBytes, steps::step, subscriber::Subscriber};

/// The subscriptions of all clients.
#[derive(Default, Debug)]
pub(super) struct Subscriptions {
    root: Node,
    by_client: HashMap<Arc<str>, Vec<TopicFilter>>,
    groups: usize,
    /// The bytes that wait for all clients and groups together.
    bytes: QueuedBytes,
}

/// The clients that get one message.
#[derive(Default, Debug)]
pub(super) struct Matching {
    /// Each client with a matching subscription of its own. Where several of its filters match, the highest QoS counts (MQTT 5
    /// section 3.3.4), and its own messages are left out only if each filter says so.
    pub(super) own: HashMap<Arc<str>, Subscriber>,
    /// Each group with a matching shared subscription.
    pub(super) shared: Vec<SharedMatch>,
}

/// A group that gets a message.
#[derive(Debug)]
pub(super) struct SharedMatch {
    pub(super) filter: TopicFilter,
    /// Whether the message is kept in the file until a member acknowledges it.
    pub(super) persistent: bool,
    /// The member that gets it. If no member is connected, it waits.
    pub(super) member: Option<(Arc<str>, Subscriber)>,
}

#[derive(Default, Debug)]
struct Node {
    children: HashMap<Box<str>, Node>,
    subscribers: HashMap<Arc<str>, Subscriber>,
    groups: HashMap<Box<str>, Group>,
}

impl Subscriptions {
    /// No subscriptions. The bytes that wait in groups count with those that wait for clients.
    pub(super) fn new(bytes: &QueuedBytes) -> Self {
        Self { bytes: Arc::clone(bytes), ..Self::default() }
    }

    /// The groups of shared subscriptions.
    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// How many filters one client has.
    pub(super) fn count(&self, client_id: &str) -> usize {
        self.by_client.get(client_id).map_or(0, Vec::len)
    }

    /// The filters of one client.
    pub(super) fn of_client(&self, client_id: &str) -> Vec<TopicFilter> {
        self.by_client.get(client_id).cloned().unwrap_or_default()
    }

    /// The subscriptions of one client, with the highest QoS of each.
    pub(super) fn with_qos(&mut self, client_id: &str) -> Vec<(TopicFilter, QoS)> {
        let filters = self.of_client(client_id);
        filters
            .into_iter()
            .filter_map(|filter| Some((filter.clone(), self.qos(&filter, client_id)?)))
            .collect()
    }

    fn qos(&mut self, filter: &TopicFilter, client_id: &str) -> Option<QoS> {
        if let Some(group) = self.group_mut(filter) {
            return group.subscriber(client_id).map(|subscriber| subscriber.qos);
        }
        let mut node = &self.root;
        for level in filter.levels() {
            step();
            node = node.children.get(level)?;
        }
        node.subscribers.get(client_id).map(|subscriber| subscriber.qos)
    }

    /// Whether a client has a subscription with this filter.
    pub(super) fn has(&self, filter: &TopicFilter, client_id: &str) -> bool {
        self.by_client.get(client_id).is_some_and(|filters| filters.contains(filter))
    }

    /// Adds a subscription, or replaces the one with the same filter. Returns whether it is new. A new member of a group is
    /// away until it [joins](Self::join).
    pub(super) fn insert(
        &mut self,
        filter: &TopicFilter,
        client_id: &Arc<str>,
        subscriber: Subscriber,
    ) -> bool {
        let mut node = &mut self.root;
        for level in filter.levels() {
            node = node.children.entry(level.into()).or_default();
        }
        let new = match filter.shared() {
            Some((name, _)) => {
                let group = node.groups.entry(name.into()).or_insert_with(|| {
                    self.groups += 1;
                    Group::new(filter.clone(), &self.bytes)
                });
                group.insert(client_id, subscriber)
            }
            None => node.subscribers.insert(Arc::clone(client_id), subscriber).is_none(),
        };
        if new {
            self.by_client.entry(Arc::clone(client_id)).or_default().push(filter.clone());
        }
        new
    }

    /// Removes a subscription. Returns whether there was one.
    pub(super) fn remove(&mut self, filter: &TopicFilter, client_id: &str) -> bool {
        let Some(filters) = self.by_client.get_mut(client_id) else { return false };
        let Some(at) = filters.iter().position(|known| known == filter) else { return false };
        filters.swap_remove(at);
        if filters.is_empty() {
            self.by_client.remove(client_id);
        }
        self.remove_from_tree(filter, client_id);
        true
    }

    /// Removes all of a client's subscriptions.
    pub(super) fn remove_client(&mut self, client_id: &str) {
        for filter in self.by_client.remove(client_id).unwrap_or_default() {
            self.remove_from_tree(&filter, client_id);
        }
    }

    /// A client is connected: its groups may choose it.
    pub(super) fn join(&mut self, client_id: &Arc<str>, persistent: bool) {
        for filter in self.shared_by(client_id) {
            if let Some(group) = self.group_mut(&filter) {
                group.join(client_id, persistent);
            }
        }
    }

    /// A client is away.
    pub(super) fn leave(&mut self, client_id: &str) {
        for filter in self.shared_by(client_id) {
            if let Some(group) = self.group_mut(&filter) {
                group.leave(client_id);
            }
        }
    }

    /// The shared filters of a client.
    pub(super) fn shared_by(&self, client_id: &str) -> Vec<TopicFilter> {
        let filters = self.by_client.get(client_id).into_iter().flatten();
        filters.filter(|filter| filter.shared().is_some()).cloned().collect()
    }

    /// The shared filters that no other client has.
    pub(super) fn shared_by_no_other(&mut self, client_id: &str) -> Vec<TopicFilter> {
        let mut filters = self.shared_by(client_id);
        filters.retain(|filter| self.group_mut(filter).is_some_and(|group| group.members() == 1));
        filters
    }

    /// The group of a shared filter.
    pub(super) fn group_mut(&mut self, filter: &TopicFilter) -> Option<&mut Group> {
        let (name, _) = filter.shared()?;
        let mut node = &mut self.root;
        for level in filter.levels() {
            step();
            node = node.children.get_mut(level)?;
        }
        node.groups.get_mut(name)
    }

    /// The clients that get a message on the topic.
    pub(super) fn matching(&self, topic: &TopicName, random: &mut SplitMix64) -> Matching {
        let mut found = Matching::default();
        let levels = topic.levels().collect::<Vec<_>>();
        // A wildcard at the first level doesn't match a topic that begins with `$`.
        let reserved = topic.as_str().starts_with('$');
        self.root.visit(&levels, reserved, &mut |node| {
            node.add_to(&mut found.own);
            found.shared.extend(node.groups.values().map(|group| {
                step();
                let (filter, persistent) = (group.filter().clone(), group.is_persistent());
                SharedMatch { filter, persistent, member: group.pick(random) }
            }));
        });
        found
    }

    fn remove_from_tree(&mut self, filter: &TopicFilter, client_id: &str) {
        let group = filter.shared().map(|(group, _)| group);
        if self.root.remove(filter.levels(), group, client_id) {
            self.groups -= 1;
        }
    }
}

impl Node {
    /// Removes a subscription. Returns whether its group has ended with it.
    fn remove<'l>(
        &mut self,
        mut levels: impl Iterator<Item = &'l str>,
        group: Option<&str>,
        client_id: &str,
    ) -> bool {
        step();
        let Some(level) = levels.next() else { return self.remove_here(group, client_id) };
        let Some(child) = self.children.get_mut(level) else { return false };
        let ended = child.remove(levels, group, client_id);
        if child.children.is_empty() && child.subscribers.is_empty() && child.groups.is_empty() {
            self.children.remove(level);
        }
        ended
    }

    fn remove_here(&mut self, group: Option<&str>, client_id: &str) -> bool {
        let Some(name) = group else {
            self.subscribers.remove(client_id);
            return false;
        };
        let Some(group) = self.groups.get_mut(name) else { return false };
        group.remove(client_id);
        group.is_empty() && self.groups.remove(name).is_some()
    }

    /// Calls `each` with every node whose filter matches. If `reserved`, the topic begins with `$`, and a wildcard at this level
    /// does not match it.
    fn visit(&self, levels: &[&str], reserved: bool, each: &mut impl FnMut(&Self)) {
        step();
        let Some((first, rest)) = levels.split_first() else { return each(self) };
        // `#` does not match the level above it (developer guide, `mqtt`).
        if let Some(all) = self.children.get("#").filter(|_| !reserved) {
            each(all);
        }
        if let Some(any) = self.children.get("+").filter(|_| !reserved) {
            any.visit(rest, false, each);
        }
        if let Some(child) = self.children.get(*first) {
            child.visit(rest, false, each);
        }
    }

    fn add_to(&self, found: &mut HashMap<Arc<str>, Subscriber>) {
        for (client_id, subscriber) in &self.subscribers {
            step();
            let merge = |known: &mut Subscriber| {
                known.qos = known.qos.max(subscriber.qos);
                known.no_local &= subscriber.no_local;
                known.retain_as_published |= subscriber.retain_as_published;
            };
            found.entry(Arc::clone(client_id)).and_modify(merge).or_insert(*subscriber);
        }
    }
}

#[cfg(test)]
mod tests {
    use mqtt::QoS;
    use proptest::prelude::*;

    use super::*;

    fn subscriber(qos: QoS) -> Subscriber {
        Subscriber { qos, no_local: false, retain_as_published: false }
    }

    fn level() -> impl Strategy<Value = String> {
        prop_oneof![Just("a"), Just("b"), Just(""), Just("+"), Just("$s"), Just("ä")].prop_map(str::to_owned)
    }

    fn filter() -> impl Strategy<Value = TopicFilter> {
        (prop::collection::vec(level(), 1..4), any::<bool>()).prop_filter_map(
            "a filter",
            |(mut levels, all)| {
                if all {
                    levels.push("#".to_owned());
                }
                levels.join("/").parse().ok()
            },
        )
    }

    fn topic() -> impl Strategy<Value = TopicName> {
        prop::collection::vec(level(), 1..4)
            .prop_filter_map("a topic", |levels| levels.join("/").parse().ok())
    }

    proptest! {
        /// The tree compared with each filter by itself, also after some filters were removed.
        #[test]
        fn the_tree_finds_what_each_filter_by_itself_matches(
            filters in prop::collection::vec(filter(), 0..12),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            topic in topic(),
        ) {
            let mut tree = Subscriptions::default();
            let mut naive = Vec::new();
            for (n, filter) in filters.iter().enumerate() {
                let client: Arc<str> = format!("c{}", n % 4).into();
                if tree.insert(filter, &client, subscriber(QoS::AtLeastOnce)) {
                    naive.push((client, filter.clone()));
                }
            }
            for index in gone {
                if naive.is_empty() { break }
                let (client, filter) = naive.swap_remove(index.index(naive.len()));
                prop_assert!(tree.remove(&filter, &client));
                prop_assert!(!tree.remove(&filter, &client));
            }
            let expected = naive.iter().filter(|(_, f)| f.matches(&topic)).map(|(c, _)| Arc::clone(c));
            let expected = expected.collect::<std::collections::BTreeSet<_>>();
            let found = tree.matching(&topic, &mut SplitMix64::new(0)).own.into_keys().collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(found, expected);
            for client in ["c0", "c1", "c2", "c3"] {
                tree.remove_client(client);
            }
            prop_assert!(tree.root.children.is_empty() && tree.by_client.is_empty());
        }
    }

    #[test]
    fn shared_message_goes_to_one_connected_member_of_each_group() {
        let mut tree = Subscriptions::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let (shared, other) = ("$share/g/t/#".parse().unwrap(), "$share/other/t/+".parse().unwrap());
        for (filter, client) in [(&shared, &a), (&shared, &b), (&other, &a)] {
            assert!(tree.insert(filter, client, subscriber(QoS::AtLeastOnce)));
        }
        assert!(!tree.insert(&shared, &a, subscriber(QoS::AtLeastOnce)));
        assert_eq!(tree.groups, 2);
        let topic = "t/x".parse().unwrap();
        let chosen = |tree: &Subscriptions| {
            let found = tree.matching(&topic, &mut SplitMix64::new(0));
            assert!(found.own.is_empty(), "nobody has it for himself");
            let chosen = found.shared.into_iter().map(|SharedMatch { filter, persistent, member }| {
                let member = member.map(|(client_id, _)| client_id.to_string()).unwrap_or_default();
                (filter.as_str().to_owned(), persistent, member)
            });
            let mut chosen = chosen.collect::<Vec<_>>();
            chosen.sort();
            chosen
        };
        let row = |filter: &TopicFilter, persistent: bool, member: &str| {
            (filter.as_str().to_owned(), persistent, member.to_owned())
        };
        assert_eq!(chosen(&tree), [row(&shared, true, ""), row(&other, true, "")]);
        tree.join(&b, false);
        assert_eq!(chosen(&tree), [row(&shared, true, "b"), row(&other, true, "")]);
        tree.join(&a, false);
        tree.leave("b");
        assert_eq!(chosen(&tree), [row(&shared, false, "a"), row(&other, false, "a")]);
        assert_eq!(tree.shared_by_no_other("a"), std::slice::from_ref(&other));
        assert!(tree.remove(&shared, &b));
        assert_eq!(tree.shared_by_no_other("a").len(), 2);
        tree.remove_client("a");
        assert!(tree.root.children.is_empty() && tree.by_client.is_empty() && tree.groups == 0);
    }

    #[test]
    fn overlapping_filters_give_one_message_with_the_highest_qos() {
        let mut tree = Subscriptions::default();
        let client: Arc<str> = "c".into();
        tree.insert(&"a/+".parse().unwrap(), &client, subscriber(QoS::AtMostOnce));
        tree.insert(&"a/#".parse().unwrap(), &client, subscriber(QoS::AtLeastOnce));
        let found = tree.matching(&"a/b".parse().unwrap(), &mut SplitMix64::new(0));
        assert_eq!(found.own.into_values().collect::<Vec<_>>(), [subscriber(QoS::AtLeastOnce)]);
    }
}
