//! Grants: what a device may do, as topics with placeholders.

pub mod template;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use self::template::Level;
pub use self::template::TopicTemplate;

/// The names of the built-in grants, which every store has.
pub mod built_in {
    /// The grant for everything under `{client_id}/`.
    pub const OWN_TOPICS: &str = "own-topics";
    /// The grant for an SHT20 temperature and humidity sensor.
    pub const SHT20: &str = "sht20";
    /// The grant for the device shadows of the Thing that has the client id as its name.
    pub const SHADOW: &str = "shadow";

    /// The grant for a device that comes from Alibaba Cloud IoT Platform.
    pub const ALIBABA: &str = "alibaba";
    /// The grant for a device that comes from Tencent Cloud IoT Hub.
    pub const TENCENT: &str = "tencent";
}

/// A grant in a store: lists of topic templates, and two switches for the CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object with `publish`, `subscribe` and others")]
pub struct GrantDefinition {
    /// Topics that the device may publish to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<TopicTemplate>,
    /// Topic filters that the device may subscribe to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<TopicTemplate>,
    /// Topics whose messages the device may receive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receive: Vec<TopicTemplate>,
    /// Topics on which the device may publish retained messages. `publish` must cover them too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retain: Vec<TopicTemplate>,
    /// Whether devices of this grant may share topics with each other, and with those of other grants that say so too. If
    /// not, a store in which the values of placeholders make two devices share a topic is refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Whether the CONNECT may have a last will.
    pub last_will: bool,
    /// Whether the CONNECT may ask for a persistent session.
    pub persistent_session: bool,
}

/// A grant with its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    name: String,
    definition: GrantDefinition,
    /// The values that a placeholder must not have, because they would make the topic another grant's.
    reserved: Reserved,
}

/// Why a name is not the name of a grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// A store's own grant has the name of a built-in one.
    #[error("grant `{0}` is built in; give yours another name")]
    BuiltIn(String),
    /// No grant has the name.
    #[error("grant `{name}` does not exist; the grants are `{known}`")]
    Unknown {
        /// The name.
        name: String,
        /// The names of all grants.
        known: String,
    },
}

/// A wildcard of MQTT where a policy reads it as a character. No client may use it in a topic (MQTT 5, section 4.7.1), so
/// the topic allows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "grant `{grant}`: in `{list}` a policy reads `+` and `#` of `{topic}` as characters, so it allows nothing: {}",
    self.cure()
)]
pub struct LiteralWildcard {
    /// The grant's name.
    pub grant: String,
    /// The grant's list.
    pub list: &'static str,
    /// The topic.
    pub topic: String,
    /// What the topic may be instead. None if a `*` may not be there.
    pub instead: Option<String>,
}

/// All grants of a store: the built-in ones and its own.
#[derive(Debug)]
pub struct Grants(BTreeMap<String, Arc<Grant>>);

impl Grant {
    /// The grant's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it allows.
    #[must_use]
    pub fn definition(&self) -> &GrantDefinition {
        &self.definition
    }

    /// Whether `placeholder` must not have this value, because a grant has it as a literal level in the same position.
    ///
    /// For example, a device called `sensor` with `sensor/*` would own the topics of every `sht20` device.
    #[must_use]
    pub fn reserves(&self, placeholder: &str, value: &str) -> bool {
        self.reserved.contains(placeholder, value)
    }
}

impl GrantDefinition {
    /// The topics with a wildcard of MQTT where it is a character. `name` is the grant's.
    pub fn literal_wildcards<'g>(&'g self, name: &'g str) -> impl Iterator<Item = LiteralWildcard> + 'g {
        let lists = [("publish", &self.publish), ("receive", &self.receive), ("retain", &self.retain)];
        let topics =
            lists.into_iter().flat_map(|(list, topics)| topics.iter().map(move |topic| (list, topic)));
        topics.filter_map(move |(list, topic)| {
            let topic = String::from(topic.clone());
            topic.contains(['+', '#']).then(|| {
                let instead = topic.replace(['+', '#'], "*");
                let instead = TopicTemplate::try_from(instead.clone()).is_ok().then_some(instead);
                LiteralWildcard { grant: name.to_owned(), list, topic, instead }
            })
        })
    }

    /// All templates.
    pub fn templates(&self) -> impl Iterator<Item = &TopicTemplate> {
        [&self.publish, &self.subscribe, &self.receive, &self.retain].into_iter().flatten()
    }
}

impl LiteralWildcard {
    fn cure(&self) -> String {
        match &self.instead {
            Some(instead) => {
                format!("write `{instead}`, where `*` is any text with any number of levels")
            }
            None => "name that level, or write a placeholder for it; a `*` before a placeholder would reach into other \
                     devices' topics"
                .to_owned(),
        }
    }
}

impl Grants {
    /// The built-in grants together with `own`.
    ///
    /// # Errors
    ///
    /// When a grant in `own` has the name of a built-in one.
    pub fn new(own: BTreeMap<String, GrantDefinition>) -> Result<Self, GrantError> {
        let mut definitions = built_in_grants();
        for (name, definition) in own {
            if definitions.insert(name.clone(), definition).is_some() {
                return Err(GrantError::BuiltIn(name));
            }
        }
        let all = definitions.values().flat_map(GrantDefinition::templates).cloned().collect::<Vec<_>>();
        let grants = definitions.into_iter().map(|(name, definition)| {
            let reserved = Reserved::new(definition.templates(), &all);
            (name.clone(), Arc::new(Grant { name, definition, reserved }))
        });
        Ok(Self(grants.collect()))
    }

    /// Every grant.
    pub fn all(&self) -> impl Iterator<Item = &Grant> {
        self.0.values().map(|grant| &**grant)
    }

    /// The grant called `name`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn get(&self, name: &str) -> Result<Arc<Grant>, GrantError> {
        self.0.get(name).cloned().ok_or_else(|| GrantError::Unknown {
            name: name.to_owned(),
            known: self.0.keys().map(String::as_str).collect::<Vec<_>>().join("`, `"),
        })
    }
}

/// For each placeholder, the literal levels that a grant has in the same position.
///
/// With the topics `fleet/{client_id}/cmd` and `fleet/all/cmd`, a device with the client id `all` would own the broadcast.
/// A literal level with a wildcard is an operator's wide view and reserves nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reserved(BTreeMap<String, BTreeSet<String>>);

impl Reserved {
    /// The values that `own` templates must not have, given the templates of all grants.
    fn new<'t>(own: impl Iterator<Item = &'t TopicTemplate>, all: &[TopicTemplate]) -> Self {
        let mut reserved = Self::default();
        for template in own {
            for (at, level) in template.levels().iter().enumerate() {
                if let Level::Placeholder(name) = level {
                    let texts =
                        all.iter().filter_map(|other| literal_level(template.levels(), other.levels(), at));
                    reserved.0.entry(name.clone()).or_default().extend(texts.map(str::to_owned));
                }
            }
        }
        reserved
    }

    /// Whether `placeholder` must not have this value.
    fn contains(&self, placeholder: &str, value: &str) -> bool {
        self.0.get(placeholder).is_some_and(|texts| texts.contains(value))
    }
}

/// The literal level of `other` at position `at`, if the levels before it can be the same.
fn literal_level<'o>(template: &[Level], other: &'o [Level], at: usize) -> Option<&'o str> {
    let alike = template.iter().zip(other).take(at).all(|levels| match levels {
        (Level::Literal(one), Level::Literal(other)) => one == other,
        _ => true,
    });
    match other.get(at) {
        Some(Level::Literal(text)) if alike && !text.contains(['*', '+', '#']) => Some(text),
        _ => None,
    }
}

/// The built-in grants by name.
fn built_in_grants() -> BTreeMap<String, GrantDefinition> {
    let own_topics = both_ways(&["{client_id}/*"]);
    let sht20 = both_ways(&["sensor/{client_id}/temperature", "sensor/{client_id}/humidity"]);
    let grants = [
        (built_in::OWN_TOPICS, own_topics),
        (built_in::SHT20, sht20),
        (built_in::SHADOW, shadow()),
        (built_in::ALIBABA, alibaba()),
        (built_in::TENCENT, tencent()),
    ];
    BTreeMap::from(grants.map(|(name, grant)| (name.to_owned(), grant)))
}

/// The requests to the shadows of the client's own Thing, classic and named, and the answers to them (AWS IoT Core developer
/// guide, `device-shadow-mqtt`).
fn shadow() -> GrantDefinition {
    let answers = templates(&[
        "$aws/things/{client_id}/shadow/get/*",
        "$aws/things/{client_id}/shadow/update/*",
        "$aws/things/{client_id}/shadow/delete/*",
        "$aws/things/{client_id}/shadow/name/*",
    ]);
    GrantDefinition {
        publish: templates(&[
            "$aws/things/{client_id}/shadow/get",
            "$aws/things/{client_id}/shadow/update",
            "$aws/things/{client_id}/shadow/delete",
            "$aws/things/{client_id}/shadow/name/*",
        ]),
        subscribe: answers.clone(),
        receive: answers,
        persistent_session: true,
        ..GrantDefinition::default()
    }
}

/// The device's custom topics and the platform's own ones about it (help document 73731, "Topics"), both ways:
/// a device publishes what happened and answers, and it subscribes to requests and to the answers to its own.
fn alibaba() -> GrantDefinition {
    both_ways(&["/{product}/{device}/user/*", "/sys/{product}/{device}/*"])
}

/// The three topics that each product has (document 634/32546, "Topic permissions"): `control` to the device, `event`
/// from it, `data` both ways. The platform has neither a last will nor retained messages.
fn tencent() -> GrantDefinition {
    let (control, event, data) =
        ("{product}/{device}/control", "{product}/{device}/event", "{product}/{device}/data");
    GrantDefinition {
        publish: templates(&[event, data]),
        subscribe: templates(&[control, data]),
        receive: templates(&[control, data]),
        persistent_session: true,
        ..GrantDefinition::default()
    }
}

/// A grant to publish to, subscribe to and receive from the same topics, as in the well-known SHT20 policy. Last will and
/// persistent session are allowed.
fn both_ways(topics: &[&str]) -> GrantDefinition {
    let templates = templates(topics);
    GrantDefinition {
        publish: templates.clone(),
        subscribe: templates.clone(),
        receive: templates,
        last_will: true,
        persistent_session: true,
        ..GrantDefinition::default()
    }
}

fn templates(topics: &[&str]) -> Vec<TopicTemplate> {
    topics.iter().filter_map(|topic| TopicTemplate::try_from((*topic).to_owned()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(own: &str, all: &[&str]) -> Reserved {
        let template = |text: &&str| TopicTemplate::try_from((*text).to_owned()).unwrap();
        Reserved::new([template(&own)].iter(), &all.iter().map(template).collect::<Vec<_>>())
    }

    #[test]
    fn literal_level_is_reserved_from_a_placeholder_in_its_position() {
        let cases = [
            ("{client_id}/*", "sensor/{client_id}/temperature", "client_id", "sensor", true),
            ("{device}/*", "sensor/x", "device", "sensor", true),
            ("{product}/{device}/data", "pk/broadcast/data", "device", "broadcast", true),
            ("fleet/{client_id}/cmd", "fleet/all/cmd", "client_id", "all", true),
            ("fleet/{client_id}/cmd", "other/all/cmd", "client_id", "all", false),
            ("fleet/{client_id}", "fleet/all/cmd", "client_id", "all", true),
            ("a/b/{client_id}", "a", "client_id", "a", false),
            ("{client_id}/*", "sensor*/x", "client_id", "sensor*", false),
            ("{client_id}/*", "+/x", "client_id", "+", false),
        ];
        for (own, other, placeholder, value, expected) in cases {
            assert_eq!(reserved(own, &[own, other]).contains(placeholder, value), expected, "{own} {other}");
        }
    }

    #[test]
    fn wildcard_of_mqtt_outside_subscribe_is_found_with_its_place() {
        let list = |topics: &[&str]| {
            topics.iter().map(|it| TopicTemplate::try_from((*it).to_owned()).unwrap()).collect::<Vec<_>>()
        };
        let grant = GrantDefinition {
            publish: list(&["{client_id}/ok", "a/+/b"]),
            subscribe: list(&["a/+/b", "#"]),
            receive: list(&["a/#", "*"]),
            retain: list(&["+/{client_id}/x", "a/b#"]),
            ..GrantDefinition::default()
        };
        let found = grant.literal_wildcards("line").map(|it| (it.list, it.topic.clone(), it.to_string()));
        let expected = [
            ("publish", "a/+/b", "write `a/*/b`, where `*` is any text"),
            ("receive", "a/#", "write `a/*`, where"),
            ("retain", "+/{client_id}/x", "name that level, or write a placeholder for it"),
            ("retain", "a/b#", "write `a/b*`, where"),
        ];
        let found = found.collect::<Vec<_>>();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((list, topic, text), (in_list, of, cure)) in found.into_iter().zip(expected) {
            assert_eq!((list, topic.as_str()), (in_list, of));
            assert!(text.contains(cure) && text.starts_with("grant `line`: in `"), "{text}");
        }
        for (name, grant) in built_in_grants() {
            assert_eq!(grant.literal_wildcards(&name).next(), None, "{name}");
        }
    }

    #[test]
    fn every_built_in_template_is_valid() {
        let counts = built_in_grants().into_iter().map(|(name, grant)| (name, grant.templates().count()));
        let expected = [
            (built_in::ALIBABA, 6),
            (built_in::OWN_TOPICS, 3),
            (built_in::SHADOW, 12),
            (built_in::SHT20, 6),
            (built_in::TENCENT, 6),
        ];
        assert_eq!(counts.collect::<Vec<_>>(), expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
