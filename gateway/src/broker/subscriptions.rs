//! The subscriptions of all clients, as a tree of topic levels.

use std::{collections::HashMap, sync::Arc};

use mqtt::{Publish, QoS, SubscribeFilter, TopicFilter, TopicName};

/// The options of one client's subscription to one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// The highest QoS with which messages are sent.
    pub qos: QoS,
    /// The client's own messages are not sent to it.
    pub no_local: bool,
    /// Messages keep the retain flag with which they were published.
    pub retain_as_published: bool,
}

/// The subscriptions of all clients.
#[derive(Default, Debug)]
pub struct Subscriptions {
    root: Node,
    by_client: HashMap<Arc<str>, Vec<TopicFilter>>,
}

/// The clients that get one message.
#[derive(Default, Debug)]
pub struct Matching {
    /// Each client with a matching subscription of its own. Where several of its filters match, the highest QoS counts (MQTT 5
    /// section 3.3.4), and its own messages are left out only if each filter says so.
    pub own: HashMap<Arc<str>, Subscriber>,
    /// One member of each group with a matching shared subscription: the one whose turn it is (MQTT 5 section 4.8.2).
    pub shared: Vec<(Arc<str>, Subscriber)>,
}

#[derive(Default, Debug)]
struct Node {
    children: HashMap<Box<str>, Node>,
    subscribers: HashMap<Arc<str>, Subscriber>,
    groups: HashMap<Box<str>, Group>,
}

/// The members of a shared subscription. Each message goes to one of them.
#[derive(Default, Debug)]
struct Group {
    members: Vec<(Arc<str>, Subscriber)>,
    /// The index of the member whose turn it is.
    next: usize,
}

impl From<&SubscribeFilter> for Subscriber {
    fn from(filter: &SubscribeFilter) -> Self {
        Self { qos: filter.qos, no_local: filter.no_local, retain_as_published: filter.retain_as_published }
    }
}

impl Subscriber {
    /// The message, as this subscriber gets it.
    #[must_use]
    pub fn message(self, publish: &Publish, topic: &TopicName, retain: bool) -> Publish {
        Publish {
            topic: Some(topic.clone()),
            qos: publish.qos.min(self.qos),
            retain,
            dup: false,
            packet_id: None,
            ..publish.clone()
        }
    }
}

impl Subscriptions {
    /// The filters of one client.
    #[must_use]
    pub fn of_client(&self, client_id: &str) -> Vec<TopicFilter> {
        self.by_client.get(client_id).cloned().unwrap_or_default()
    }

    /// Whether a client has a subscription with this filter.
    #[must_use]
    pub fn has(&self, filter: &TopicFilter, client_id: &str) -> bool {
        self.by_client.get(client_id).is_some_and(|filters| filters.contains(filter))
    }

    /// Adds a subscription, or replaces the one with the same filter. Returns whether it is new.
    pub fn insert(&mut self, filter: &TopicFilter, client_id: &Arc<str>, subscriber: Subscriber) -> bool {
        let mut node = &mut self.root;
        for level in filter.levels() {
            node = node.children.entry(level.into()).or_default();
        }
        let new = match filter.shared() {
            Some((group, _)) => node.groups.entry(group.into()).or_default().insert(client_id, subscriber),
            None => node.subscribers.insert(Arc::clone(client_id), subscriber).is_none(),
        };
        if new {
            self.by_client.entry(Arc::clone(client_id)).or_default().push(filter.clone());
        }
        new
    }

    /// Removes a subscription. Returns whether there was one.
    pub fn remove(&mut self, filter: &TopicFilter, client_id: &str) -> bool {
        let Some(filters) = self.by_client.get_mut(client_id) else { return false };
        let Some(at) = filters.iter().position(|known| known == filter) else { return false };
        filters.swap_remove(at);
        if filters.is_empty() {
            self.by_client.remove(client_id);
        }
        self.root.remove(filter.levels(), group_of(filter), client_id);
        true
    }

    /// Removes all of a client's subscriptions.
    pub fn remove_client(&mut self, client_id: &str) {
        for filter in self.by_client.remove(client_id).unwrap_or_default() {
            self.root.remove(filter.levels(), group_of(&filter), client_id);
        }
    }

    /// The clients that get a message on the topic. Of a group it is a member that `is_there` accepts, or else any member.
    pub fn matching(&mut self, topic: &TopicName, is_there: impl Fn(&str) -> bool) -> Matching {
        let mut found = Matching::default();
        let levels = topic.levels().collect::<Vec<_>>();
        // A wildcard at the first level doesn't match a topic that begins with `$`.
        let reserved = topic.as_str().starts_with('$');
        self.root.visit(&levels, reserved, &mut |node| {
            node.add_to(&mut found.own);
            found.shared.extend(node.groups.values_mut().filter_map(|group| group.take_turn(&is_there)));
        });
        found
    }
}

fn group_of(filter: &TopicFilter) -> Option<&str> {
    filter.shared().map(|(group, _)| group)
}

impl Group {
    /// Adds a member, or replaces its options. Returns whether it is new.
    fn insert(&mut self, client_id: &Arc<str>, subscriber: Subscriber) -> bool {
        if let Some((_, known)) = self.members.iter_mut().find(|(member, _)| member == client_id) {
            *known = subscriber;
            return false;
        }
        self.members.push((Arc::clone(client_id), subscriber));
        true
    }

    fn take_turn(&mut self, is_there: impl Fn(&str) -> bool) -> Option<(Arc<str>, Subscriber)> {
        let turns = (0..self.members.len()).map(|n| (self.next + n) % self.members.len());
        let there =
            turns.clone().find(|at| self.members.get(*at).is_some_and(|(member, _)| is_there(member)));
        let at = there.or_else(|| turns.clone().next())?;
        self.next = at + 1;
        self.members.get(at).cloned()
    }
}

impl Node {
    fn remove<'l>(
        &mut self,
        mut levels: impl Iterator<Item = &'l str>,
        group: Option<&str>,
        client_id: &str,
    ) {
        let Some(level) = levels.next() else { return self.remove_here(group, client_id) };
        if let Some(child) = self.children.get_mut(level) {
            child.remove(levels, group, client_id);
            if child.children.is_empty() && child.subscribers.is_empty() && child.groups.is_empty() {
                self.children.remove(level);
            }
        }
    }

    fn remove_here(&mut self, group: Option<&str>, client_id: &str) {
        let Some(name) = group else {
            self.subscribers.remove(client_id);
            return;
        };
        if let Some(group) = self.groups.get_mut(name) {
            group.members.retain(|(member, _)| **member != *client_id);
            if group.members.is_empty() {
                self.groups.remove(name);
            }
        }
    }

    /// Calls `each` with every node whose filter matches. If `reserved`, the topic begins with `$`, and a wildcard at this level
    /// does not match it.
    fn visit(&mut self, levels: &[&str], reserved: bool, each: &mut impl FnMut(&mut Self)) {
        // `#` also matches the level above it (MQTT 5 section 4.7.1.2).
        if let Some(all) = self.children.get_mut("#").filter(|_| !reserved) {
            each(all);
        }
        let Some((first, rest)) = levels.split_first() else { return each(self) };
        if let Some(any) = self.children.get_mut("+").filter(|_| !reserved) {
            any.visit(rest, false, each);
        }
        if let Some(child) = self.children.get_mut(*first) {
            child.visit(rest, false, each);
        }
    }

    fn add_to(&self, found: &mut HashMap<Arc<str>, Subscriber>) {
        for (client_id, subscriber) in &self.subscribers {
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
            let found = tree.matching(&topic, |_| true).own.into_keys().collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(found, expected);
            for client in ["c0", "c1", "c2", "c3"] {
                tree.remove_client(client);
            }
            prop_assert!(tree.root.children.is_empty() && tree.by_client.is_empty());
        }
    }

    #[test]
    fn shared_message_goes_to_each_member_in_turn_and_first_to_those_that_are_connected() {
        let mut tree = Subscriptions::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        for (filter, client) in [("$share/g/t/#", &a), ("$share/g/t/#", &b), ("$share/other/t/+", &a)] {
            assert!(tree.insert(&filter.parse().unwrap(), client, subscriber(QoS::AtLeastOnce)));
        }
        assert!(!tree.insert(&"$share/g/t/#".parse().unwrap(), &a, subscriber(QoS::AtLeastOnce)));
        let topic = "t/x".parse().unwrap();
        let mut turns = |there: &str| {
            let found = tree.matching(&topic, |client| there.contains(client)).shared;
            let mut found = found.into_iter().map(|(client, _)| client.to_string()).collect::<Vec<_>>();
            found.sort();
            found
        };
        assert_eq!([turns("ab"), turns("ab"), turns("ab")], [["a", "a"], ["a", "b"], ["a", "a"]]);
        assert_eq!([turns("b"), turns("b")], [["a", "b"], ["a", "b"]]);
        assert_eq!(turns("").len(), 2, "somebody's session keeps it");
        assert!(tree.matching(&topic, |_| true).own.is_empty(), "nobody has it for himself");
        assert!(tree.remove(&"$share/g/t/#".parse().unwrap(), &b));
        tree.remove_client("a");
        assert!(tree.root.children.is_empty() && tree.by_client.is_empty());
    }

    #[test]
    fn overlapping_filters_give_one_message_with_the_highest_qos() {
        let mut tree = Subscriptions::default();
        let client: Arc<str> = "c".into();
        tree.insert(&"a/+".parse().unwrap(), &client, subscriber(QoS::AtMostOnce));
        tree.insert(&"a/#".parse().unwrap(), &client, subscriber(QoS::AtLeastOnce));
        let found = tree.matching(&"a/b".parse().unwrap(), |_| true);
        assert_eq!(found.own.into_values().collect::<Vec<_>>(), [subscriber(QoS::AtLeastOnce)]);
    }
}
