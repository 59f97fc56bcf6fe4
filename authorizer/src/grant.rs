//! Grants: what a device may do, said as intent and with placeholders.

pub mod built_in;
pub mod template;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub use self::template::TopicTemplate;
use crate::client_id::ClientId;

/// A grant as it is written down: lists of topic templates, and two switches about the CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantDefinition {
    /// Topics that the device may publish to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<TopicTemplate>,
    /// Topic filters that the device may subscribe to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<TopicTemplate>,
    /// Topics from which messages may reach the device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receive: Vec<TopicTemplate>,
    /// Topics on which the device may leave a retained message; `publish` must cover them too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retain: Vec<TopicTemplate>,
    /// Whether the CONNECT may carry a last will.
    pub last_will: bool,
    /// Whether the CONNECT may ask for a persistent session.
    pub persistent_session: bool,
}

/// A grant with its name, ready for use.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    name: String,
    definition: GrantDefinition,
    /// First topic levels that another grant names and that a value put in here must therefore not be.
    reserved: BTreeSet<String>,
}

/// Every grant that a store knows: the built-in ones and its own.
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

    /// Whether `client_id` is kept free because it is the first level of another grant's topics.
    ///
    /// A device called `sensor` that owned `sensor/*` would own the topics of every `sht20` device.
    #[must_use]
    pub fn reserves(&self, client_id: &ClientId) -> bool {
        self.reserved.contains(client_id.as_str())
    }
}

impl GrantDefinition {
    /// Every template, whatever it is for.
    pub fn templates(&self) -> impl Iterator<Item = &TopicTemplate> {
        [&self.publish, &self.subscribe, &self.receive, &self.retain].into_iter().flatten()
    }
}

impl Grants {
    /// The built-in grants together with `own`.
    ///
    /// # Errors
    ///
    /// When `own` gives a built-in grant's name another meaning.
    pub fn new(own: BTreeMap<String, GrantDefinition>) -> Result<Self, String> {
        let mut definitions = built_in::all();
        for (name, definition) in own {
            if definitions.insert(name.clone(), definition).is_some() {
                return Err(format!("grant `{name}` is built in; give yours another name"));
            }
        }
        let levels = definitions.values().flat_map(GrantDefinition::templates);
        let taken = levels.filter_map(TopicTemplate::literal_first_level).map(str::to_owned);
        let taken = taken.collect::<BTreeSet<_>>();
        let named = |(name, definition): (String, GrantDefinition)| {
            let open = definition.templates().any(|template| template.literal_first_level().is_none());
            let reserved = if open { taken.clone() } else { BTreeSet::new() };
            (name.clone(), Arc::new(Grant { name, definition, reserved }))
        };
        Ok(Self(definitions.into_iter().map(named).collect()))
    }

    /// The grant called `name`.
    ///
    /// # Errors
    ///
    /// When there is none; the message lists those that there are.
    pub fn get(&self, name: &str) -> Result<Arc<Grant>, String> {
        self.0.get(name).cloned().ok_or_else(|| {
            let known = self.0.keys().map(String::as_str).collect::<Vec<_>>().join("`, `");
            format!("there is no grant `{name}`; the grants are `{known}`")
        })
    }
}
