//! What is known about devices: from an export, a list of topics, a broker's log, or captured packets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cli::output::escaped;
use device_auth::client_id::ClientId;
use iot_policy::limits::{
    MAX_CLIENT_ID_BYTES, MAX_FILTERS_PER_SUBSCRIBE, MAX_KEEP_ALIVE_SECONDS, MAX_PAYLOAD_BYTES,
    MAX_TOPIC_BYTES, MAX_TOPIC_SLASHES,
};

use super::problem::Problem;

/// How many examples of a problem are kept.
const EXAMPLES: usize = 3;
/// How much of an example is kept.
const EXAMPLE_CHARACTERS: usize = 120;
/// From how many different client ids of one user on they are taken for ids that change. More are not kept.
const CHANGING_IDS: usize = 4;

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Observed {
    exported: BTreeSet<String>,
    /// The devices of the export, and whatever connected.
    devices: BTreeMap<String, BTreeSet<Problem>>,
    /// The problems that every device has.
    of_all: BTreeSet<Problem>,
    /// The problems of an address that connected with TLS, inside which nothing can be read.
    addresses: BTreeMap<String, BTreeSet<Problem>>,
    examples: BTreeMap<Problem, BTreeSet<String>>,
    client_ids: HashMap<String, BTreeSet<String>>,
    users: HashMap<String, String>,
    /// The host names in SNI.
    hosts: BTreeMap<String, u64>,
}

/// A CONNECT.
pub(super) struct Connected<'a> {
    pub(super) client_id: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) keep_alive: u16,
    /// Whether it is MQTT 3.1.
    pub(super) is_old: bool,
    /// Whether the broker chose the client id, which the client left empty.
    pub(super) is_assigned: bool,
}

impl Observed {
    /// A device of the export.
    pub(super) fn device(&mut self, name: &str) {
        self.exported.insert(name.to_owned());
        self.devices.entry(name.to_owned()).or_default();
    }

    /// A problem of one device.
    pub(super) fn add(&mut self, device: &str, problem: Problem, example: &str) {
        self.devices.entry(device.to_owned()).or_default().insert(problem);
        self.example(problem, example);
    }

    /// A problem of every device.
    pub(super) fn add_to_all(&mut self, problem: Problem, example: &str) {
        self.of_all.insert(problem);
        self.example(problem, example);
    }

    /// An address that connected with TLS.
    pub(super) fn address(&mut self, address: &str) {
        self.addresses.entry(address.to_owned()).or_default();
    }

    /// A problem of an address whose device is not known.
    pub(super) fn add_to_address(&mut self, address: &str, problem: Problem, example: &str) {
        self.addresses.entry(address.to_owned()).or_default().insert(problem);
        self.example(problem, example);
    }

    /// A host name that a client asked for.
    pub(super) fn host(&mut self, name: &str) {
        let count = self.hosts.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    fn example(&mut self, problem: Problem, example: &str) {
        let examples = self.examples.entry(problem).or_default();
        if examples.len() < EXAMPLES {
            let shown = example.chars().take(EXAMPLE_CHARACTERS).collect::<String>();
            examples.insert(escaped(shown).into_owned());
        }
    }

    /// A CONNECT. Returns what its device is called here: its user name if it has one, and else its client id.
    pub(super) fn connected(&mut self, connect: &Connected<'_>) -> String {
        let Connected { client_id, user, keep_alive, is_old, is_assigned } = *connect;
        // An authorizer's name after a `?`, and Tencent's fields after a `;`, are not a part of the name.
        let name = user.map(|user| user.split(['?', ';']).next().unwrap_or_default());
        let device = name.unwrap_or(client_id).to_owned();
        self.devices.entry(device.clone()).or_default();
        let mut add = |problem, example: &str| self.add(&device, problem, example);
        if user.is_none() {
            add(Problem::Anonymous, client_id);
        }
        if client_id.is_empty() || is_assigned {
            add(Problem::ClientIdEmpty, &device);
        } else if client_id.len() > MAX_CLIENT_ID_BYTES {
            add(Problem::ClientIdLong, client_id);
        } else if ClientId::try_from(client_id).is_err() {
            add(Problem::ClientIdCharacters, client_id);
        }
        if keep_alive == 0 || keep_alive > MAX_KEEP_ALIVE_SECONDS.get() {
            add(Problem::KeepAlive, &format!("{device}: {keep_alive} s"));
        }
        if is_old {
            add(Problem::Mqtt31, &device);
        }
        if ["authType=register", "authType=regnwl"].iter().any(|parameter| client_id.contains(parameter)) {
            add(Problem::Registration, client_id);
        }
        self.client_id(&device, client_id, is_assigned);
        device
    }

    fn client_id(&mut self, device: &str, client_id: &str, is_assigned: bool) {
        if client_id.is_empty() || is_assigned {
            return;
        }
        let ids = self.client_ids.entry(device.to_owned()).or_default();
        if ids.len() < CHANGING_IDS {
            ids.insert(client_id.to_owned());
        }
        if ids.len() >= CHANGING_IDS {
            self.add(device, Problem::ClientIdChanges, &format!("{device}: {client_id}"));
        }
        let first = self.users.entry(client_id.to_owned()).or_insert_with(|| device.to_owned());
        if first != device {
            let (first, example) = (first.clone(), format!("{client_id} of {first} and {device}"));
            self.add(&first, Problem::ClientIdOfTwo, &example);
            self.add(device, Problem::ClientIdOfTwo, &example);
        }
    }

    /// A topic or filter that a device uses, or with None one that all use.
    pub(super) fn topic(&mut self, device: Option<&str>, topic: &str) {
        // A shared subscription's `$share/GROUP/` is not reserved.
        let plain = topic
            .strip_prefix("$share/")
            .and_then(|rest| rest.split_once('/'))
            .map_or(topic, |(_, topic)| topic);
        let problems = [
            (Problem::ReservedTopic, plain.starts_with('$') && !plain.starts_with("$aws/")),
            (Problem::TopicSlashes, plain.split('/').count() > MAX_TOPIC_SLASHES.saturating_add(1)),
            (Problem::TopicLong, topic.len() > MAX_TOPIC_BYTES),
        ];
        for (problem, _) in problems.into_iter().filter(|(_, is_there)| *is_there) {
            match device {
                Some(device) => self.add(device, problem, topic),
                None => self.add_to_all(problem, topic),
            }
        }
    }

    /// A message of a device.
    pub(super) fn published(&mut self, device: &str, topic: &str, qos: u8, bytes: usize) {
        self.topic(Some(device), topic);
        if qos == 2 {
            self.add(device, Problem::Qos2, topic);
        }
        if bytes > MAX_PAYLOAD_BYTES {
            self.add(device, Problem::PayloadLarge, &format!("{topic}: {bytes} bytes"));
        }
    }

    /// A SUBSCRIBE of a device: filters with their QoS.
    pub(super) fn subscribed<'a>(&mut self, device: &str, filters: impl Iterator<Item = (&'a str, u8)>) {
        let mut count = 0_usize;
        for (filter, qos) in filters {
            count = count.saturating_add(1);
            self.topic(Some(device), filter);
            if qos == 2 {
                self.add(device, Problem::Qos2, filter);
            }
        }
        if count > MAX_FILTERS_PER_SUBSCRIBE {
            self.add(device, Problem::TooManyFilters, &format!("{device}: {count} filters"));
        }
    }

    /// What every address has is true of every device.
    pub(super) fn conclude(&mut self) {
        let mut of_addresses = self.addresses.values();
        if let Some(first) = of_addresses.next() {
            let common = of_addresses
                .fold(first.clone(), |common, other| common.intersection(other).copied().collect());
            self.of_all.extend(common);
        }
    }

    /// The problems of each device of the export, with those of all.
    pub(super) fn exported(&self) -> impl Iterator<Item = BTreeSet<Problem>> {
        let devices = self.devices.iter().filter(|(name, _)| self.exported.contains(*name));
        devices.map(|(_, problems)| problems.union(&self.of_all).copied().collect())
    }

    /// How many clients connected that are not in the export.
    pub(super) fn others(&self) -> usize {
        self.devices.len().saturating_sub(self.exported.len())
    }

    /// The addresses that connected with TLS.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &BTreeSet<Problem>> {
        self.addresses.values()
    }

    /// Every problem that anybody has.
    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        self.examples.keys().copied()
    }

    pub(super) fn examples(&self, problem: Problem) -> impl Iterator<Item = &str> {
        self.examples.get(&problem).into_iter().flatten().map(String::as_str)
    }

    pub(super) fn hosts(&self) -> &BTreeMap<String, u64> {
        &self.hosts
    }
}
