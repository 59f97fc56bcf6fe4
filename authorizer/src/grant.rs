//! Grants: what a device may do, said as intent and with placeholders.

pub mod built_in;
mod reserved;
pub mod template;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use self::reserved::Reserved;
pub use self::template::TopicTemplate;

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
    /// Values that a placeholder must not have, because they would make it somebody else's topic.
    reserved: Reserved,
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

    /// Whether `value` is kept from `placeholder`, because a grant names it literally where the placeholder stands.
    ///
    /// A device called `sensor` that owned `sensor/*` would own the topics of every `sht20` device.
    #[must_use]
    pub fn reserves(&self, placeholder: &str, value: &str) -> bool {
        self.reserved.contains(placeholder, value)
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
        let all = definitions.values().flat_map(GrantDefinition::templates).cloned().collect::<Vec<_>>();
        let named = |(name, definition): (String, GrantDefinition)| {
            let reserved = Reserved::new(definition.templates(), &all);
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
