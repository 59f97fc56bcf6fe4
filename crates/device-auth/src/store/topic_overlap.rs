//! Checks that no two devices share a topic through the values of their grants' placeholders.
//!
//! Two topic templates meet never, always, or only with certain values of their placeholders. They always meet if their
//! text means it, as with a dashboard's `sensor/#` and a sensor's `sensor/{client_id}/temperature`. If only some values
//! make them meet, two devices with such values share a topic that neither grant names for both: that is an error if at
//! least one of the two may publish to it.
//!
//! Pairs of templates are compared, not pairs of devices: for each pair that can meet, the devices are joined by the values
//! that would have to be equal.

mod pattern;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::pattern::{Pattern, Side};
use super::id_ranges::IdRanges;
use crate::{
    device_name::DeviceName,
    grant::{
        Grant, Grants,
        template::{Level, TopicTemplate},
    },
    record::{ClientIdRule, Record},
    scheme::Scheme,
};

/// Two devices that share a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "device `{publisher}` (grant `{publisher_grant}`) may publish to `{topic}`, which device `{other}` (grant \
     `{other_grant}`) {other_use}; change a name, a parameter or a grant's topics, or set `shared` in both grants if that \
     is intended"
)]
pub struct TopicOverlap {
    /// A device that may publish to the topic.
    pub publisher: DeviceName,
    /// Its grant.
    pub publisher_grant: String,
    /// The other device.
    pub other: DeviceName,
    /// The other device's grant.
    pub other_grant: String,
    /// `may publish to too` or `may read`.
    pub other_use: &'static str,
    /// A topic that both reach, or a part of the topics: `*` is any text.
    pub topic: String,
}

/// A template of a grant, and the devices that have the grant.
struct Use<'a> {
    grant: &'a Grant,
    template: &'a TopicTemplate,
    publishes: bool,
    devices: &'a [Device<'a>],
}

type Device<'a> = (&'a DeviceName, &'a Record);

/// How two templates meet.
enum Meeting<'a> {
    /// With no values, or with all of them.
    WhateverTheValues,
    /// With certain values only.
    DependsOnValues {
        /// The placeholders of the one and of the other that have to have equal values.
        equal: Vec<(&'a str, &'a str)>,
        /// The levels that the `{client_id}` of the one, or of the other, has to be.
        client_id_of_one: Option<&'a str>,
        client_id_of_other: Option<&'a str>,
    },
}

/// Checks that no two of the devices share a topic through the values of placeholders. `ids` has the client ids of all of
/// them, which are known to be different.
///
/// # Errors
///
/// Two devices, their grants, and a topic that both reach.
pub fn check<'a>(
    records: impl Iterator<Item = (&'a DeviceName, &'a Record)>,
    ids: &IdRanges,
) -> Result<(), Box<TopicOverlap>> {
    let (mut devices, mut by_name) = (BTreeMap::<&str, Vec<Device<'_>>>::new(), HashMap::new());
    for (name, record) in records {
        devices.entry(record.grant.name()).or_default().push((name, record));
        by_name.insert(name, record);
    }
    let uses = devices.values().flat_map(|devices| uses(devices)).collect::<Vec<_>>();
    for (position, one) in uses.iter().enumerate() {
        for other in uses.iter().skip(position) {
            let intended = one.grant.definition().shared && other.grant.definition().shared;
            if intended || !(one.publishes || other.publishes) {
                continue;
            }
            if let Some((one_device, other_device, topic)) = shared_topic(one, other, ids, &by_name) {
                return Err(Box::new(TopicOverlap::new((one, one_device), (other, other_device), topic)));
            }
        }
    }
    Ok(())
}

/// Items of a table in which devices meet whose values of placeholders make them share a topic.
pub(super) struct Slots {
    /// What the device is found by.
    pub(super) marks: BTreeSet<String>,
    /// What it finds others by.
    pub(super) watched: BTreeSet<String>,
    /// Whether another device's client id may be equal to the device's `{device}`.
    pub(super) needs_device: bool,
}

/// The pairs of a template of one grant and a template of any grant that meet with certain values only. A pair in which a
/// client id has to be equal to a value needs no slot: the id has an owner.
pub(super) struct SlotPairs<'g> {
    pairs: Vec<(&'g TopicTemplate, &'g TopicTemplate, Equal<'g>)>,
    needs_device: bool,
}

/// The placeholders of the one and of the other template that have to have equal values.
type Equal<'g> = Vec<(&'g str, &'g str)>;

impl<'g> SlotPairs<'g> {
    pub(super) fn of(own: &'g Grant, grants: &'g Grants) -> Self {
        let mut all = Self { pairs: Vec::new(), needs_device: false };
        for (template, is_published) in distinct_templates(own) {
            for grant in grants.all() {
                if grant.definition().shared && own.definition().shared {
                    continue;
                }
                for (other, _) in templates(grant).filter(|(_, publishes)| *publishes || is_published) {
                    let Meeting::DependsOnValues { equal, client_id_of_one, client_id_of_other } =
                        meeting(template, other)
                    else {
                        continue;
                    };
                    // Such a client id is refused when its device connects.
                    let is_reserved = |grant: &Grant, id: Option<&str>| {
                        id.is_some_and(|id| grant.reserves("client_id", id))
                    };
                    if is_reserved(own, client_id_of_one) || is_reserved(grant, client_id_of_other) {
                        continue;
                    }
                    all.needs_device |= equal.contains(&("device", "client_id"));
                    if !equal.iter().any(|(a, b)| *a == "client_id" || *b == "client_id") {
                        all.pairs.push((template, other, equal));
                    }
                }
            }
        }
        all
    }

    /// The slots of a record with this grant: one for each pair, with the record's values.
    pub(super) fn slots(&self, record: &Record) -> Slots {
        let (mut marks, mut watched) = (BTreeSet::new(), BTreeSet::new());
        for (own, other, equal) in &self.pairs {
            let any_other = Pattern::any(other);
            if !patterns(own, record).any(|it| it.meets(&any_other).is_some()) {
                continue;
            }
            let values = equal.iter().map(|(name, _)| record.value(name)).collect::<Option<Vec<_>>>();
            let Some(values) = values else { continue };
            let [one, other] = [*own, *other].map(|template| String::from(template.clone()));
            let values = values.join(" ");
            marks.insert(format!("#topic {one} {other} {values}"));
            watched.insert(format!("#topic {other} {one} {values}"));
        }
        Slots { marks, watched, needs_device: self.needs_device }
    }
}

/// The grant with topics that a device without a record would share through its name, which is not a value of a record.
pub fn grant_reached_by_newcomer<'g>(
    record: &Record,
    mut grants: impl Iterator<Item = &'g Grant>,
) -> Option<&'g Grant> {
    let devices = [(&record.device, record)];
    let own = uses(&devices);
    let meets = |template: &TopicTemplate, publishes: bool| {
        own.iter().filter(|own| publishes || own.publishes).any(|own| {
            let other = Pattern::any(template);
            // Where placeholders would have to be equal, they are not: nobody else has this name.
            matches!(meeting(own.template, template), Meeting::DependsOnValues { equal, .. } if equal.is_empty())
                && patterns(own.template, record).any(|pattern| pattern.meets(&other).is_some())
        })
    };
    grants.find(|grant| {
        let intended = grant.definition().shared && record.grant.definition().shared;
        !intended && templates(grant).any(|(template, publishes)| meets(template, publishes))
    })
}

impl TopicOverlap {
    fn new(one: (&Use<'_>, &DeviceName), other: (&Use<'_>, &DeviceName), topic: String) -> Self {
        let (publisher, other) = if one.0.publishes { (one, other) } else { (other, one) };
        Self {
            publisher: publisher.1.clone(),
            publisher_grant: publisher.0.grant.name().to_owned(),
            other: other.1.clone(),
            other_grant: other.0.grant.name().to_owned(),
            other_use: if other.0.publishes { "may publish to too" } else { "may read" },
            topic,
        }
    }
}

/// The templates of a grant, each with whether it is for publishing.
fn templates(grant: &Grant) -> impl Iterator<Item = (&TopicTemplate, bool)> {
    let definition = grant.definition();
    let published = definition.publish.iter().chain(&definition.retain).map(|template| (template, true));
    let read = definition.subscribe.iter().chain(&definition.receive).map(|template| (template, false));
    published.chain(read)
}

/// The templates of the devices' grant.
fn uses<'a>(devices: &'a [Device<'a>]) -> Vec<Use<'a>> {
    let Some((_, record)) = devices.first() else { return Vec::new() };
    let grant = &*record.grant;
    let templates = distinct_templates(grant).into_iter();
    templates.map(|(template, publishes)| Use { grant, template, publishes, devices }).collect()
}

/// The templates of a grant. One that is in several of its lists counts once.
fn distinct_templates(grant: &Grant) -> Vec<(&TopicTemplate, bool)> {
    let mut distinct = Vec::<(&TopicTemplate, bool)>::new();
    for (template, publishes) in templates(grant) {
        if !distinct.iter().any(|(known, _)| *known == template) {
            distinct.push((template, publishes));
        }
    }
    distinct
}

/// Two devices that share a topic by these templates, and the topic.
fn shared_topic<'a>(
    one: &Use<'a>,
    other: &Use<'a>,
    ids: &IdRanges,
    by_name: &HashMap<&'a DeviceName, &'a Record>,
) -> Option<(&'a DeviceName, &'a DeviceName, String)> {
    let Meeting::DependsOnValues { equal, client_id_of_one, client_id_of_other } =
        meeting(one.template, other.template)
    else {
        return None;
    };
    let verify = |a: Device<'a>, b: Device<'a>| -> Option<(&'a DeviceName, &'a DeviceName, String)> {
        let topic = (a.0 != b.0).then(|| topic_of_both(one.template, a.1, other.template, b.1)).flatten()?;
        Some((a.0, b.0, topic))
    };
    // The device that may use `text` as its client id, if it has the grant of `side`. Binding refuses a reserved client id,
    // which a rule with a prefix may cover.
    let owner_in = |side: &Use<'a>, text: &str, not: Option<&DeviceName>| {
        if side.grant.reserves("client_id", text) {
            return None;
        }
        let owner = ids.owner(text, not)?;
        let (name, record) = by_name.get_key_value(owner)?;
        (record.grant.name() == side.grant.name()).then_some((*name, *record))
    };
    let of_client_id = equal.iter().find(|(a, b)| *a == "client_id" || *b == "client_id");
    match of_client_id {
        // No two devices may use the same client id.
        Some(("client_id", "client_id")) => None,
        Some(("client_id", placeholder)) => {
            other.devices.iter().find_map(|b| verify(owner_in(one, b.1.value(placeholder)?, Some(b.0))?, *b))
        }
        Some((placeholder, _)) => {
            one.devices.iter().find_map(|a| verify(*a, owner_in(other, a.1.value(placeholder)?, Some(a.0))?))
        }
        None if client_id_of_one.is_some() || client_id_of_other.is_some() => {
            let owner_of_one = client_id_of_one.map(|text| owner_in(one, text, None));
            let owner_of_other = client_id_of_other.map(|text| owner_in(other, text, None));
            match (owner_of_one, owner_of_other) {
                (Some(None), _) | (_, Some(None)) | (None, None) => None,
                (Some(Some(a)), Some(Some(b))) => verify(a, b),
                (Some(Some(a)), None) => other.devices.iter().find_map(|b| verify(a, *b)),
                (None, Some(Some(b))) => one.devices.iter().find_map(|a| verify(*a, b)),
            }
        }
        None => joined(one, other, &equal).find_map(|(a, b)| verify(a, b)),
    }
}

/// Pairs of devices whose values of the placeholders are equal. For each combination of values at most two devices of each
/// side are looked at: among them are two different ones if there are any.
fn joined<'a>(
    one: &Use<'a>,
    other: &Use<'a>,
    equal: &[(&str, &str)],
) -> impl Iterator<Item = (Device<'a>, Device<'a>)> {
    let (any_one, any_other) = (Pattern::any(one.template), Pattern::any(other.template));
    let mut groups = HashMap::<Vec<&str>, [Vec<Device<'a>>; 2]>::new();
    let mut add = |device: &Device<'a>, side: usize, key: Option<Vec<&'a str>>| {
        let Some(key) = key else { return };
        if let Some(group) = groups.entry(key).or_default().get_mut(side)
            && group.len() < 2
        {
            group.push(*device);
        }
    };
    for device in one.devices {
        // Only the values of this device decide whether it meets the literal levels of the other template.
        if patterns(one.template, device.1).any(|pattern| pattern.meets(&any_other).is_some()) {
            add(device, 0, equal.iter().map(|(name, _)| device.1.value(name)).collect());
        }
    }
    for device in other.devices {
        if patterns(other.template, device.1).any(|pattern| pattern.meets(&any_one).is_some()) {
            add(device, 1, equal.iter().map(|(_, name)| device.1.value(name)).collect());
        }
    }
    groups.into_values().flat_map(|[ones, others]| {
        let pairs = ones.iter().flat_map(|a| others.iter().map(move |b| (*a, *b)));
        pairs.collect::<Vec<_>>()
    })
}

fn meeting<'a>(one: &'a TopicTemplate, other: &'a TopicTemplate) -> Meeting<'a> {
    let levels = || aligned(pattern::read_levels(one)).zip(aligned(pattern::read_levels(other)));
    let differ = levels().any(|levels| match levels {
        (Level::Literal(a), Level::Literal(b)) => a != b && !is_wild(a) && !is_wild(b),
        _ => false,
    });
    let can_meet = !differ && Pattern::any(one).meets(&Pattern::any(other)).is_some();
    // With values that no other device has, only what the texts intend is left.
    let meets_always = || Pattern::fresh(one, Side::One).meets(&Pattern::fresh(other, Side::Other)).is_some();
    if !can_meet || meets_always() {
        return Meeting::WhateverTheValues;
    }
    let (mut equal, mut client_id_of_one, mut client_id_of_other) = (Vec::new(), None, None);
    for levels in levels() {
        match levels {
            (Level::Placeholder(a), Level::Placeholder(b)) => equal.push((a.as_str(), b.as_str())),
            (Level::Placeholder(a), Level::Literal(text)) if a == "client_id" && !is_wild(text) => {
                client_id_of_one = Some(text.as_str());
            }
            (Level::Literal(text), Level::Placeholder(b)) if b == "client_id" && !is_wild(text) => {
                client_id_of_other = Some(text.as_str());
            }
            _ => {}
        }
    }
    Meeting::DependsOnValues { equal, client_id_of_one, client_id_of_other }
}

/// The levels whose position is fixed: those before a wildcard that can be several levels.
fn aligned(levels: &[Level]) -> impl Iterator<Item = &Level> {
    levels.iter().take_while(|level| !matches!(level, Level::Literal(text) if text.contains(['*', '#'])))
}

fn is_wild(text: &str) -> bool {
    text.contains(['*', '+', '#'])
}

/// A topic that a device with the record `a` reaches by the template `one`, and one with the record `b` by `other`.
fn topic_of_both(one: &TopicTemplate, a: &Record, other: &TopicTemplate, b: &Record) -> Option<String> {
    patterns(one, a).find_map(|pattern| patterns(other, b).find_map(|other| pattern.meets(&other)))
}

/// The template with the record's values: one pattern for each rule for client ids, if they are in it.
fn patterns<'a>(template: &'a TopicTemplate, record: &'a Record) -> impl Iterator<Item = Pattern> + 'a {
    let has_tail = record.proof.scheme() == Scheme::Alibaba;
    let rules = if template.has("client_id") { record.client_ids.as_slice() } else { &[] };
    let of_rules = rules.iter().flat_map(move |rule| {
        let (id, is_prefix) = match rule {
            ClientIdRule::Exact(id) => (id.as_str(), false),
            ClientIdRule::Prefix(id) => (id.as_str(), true),
        };
        let exact = Pattern::filled(template, |name| record.value(name), Some((id, is_prefix)));
        // In Alibaba's scheme `|` and parameters may follow the id.
        let with_tail = (has_tail && !is_prefix)
            .then(|| Pattern::filled(template, |name| record.value(name), Some((&format!("{id}|"), true))));
        [exact, with_tail.flatten()].into_iter().flatten().collect::<Vec<_>>()
    });
    let without_id = rules.is_empty().then(|| Pattern::filled(template, |name| record.value(name), None));
    of_rules.chain(without_id.flatten())
}

#[cfg(test)]
mod tests;
