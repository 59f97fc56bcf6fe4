//! The grants that every store knows.

use std::collections::BTreeMap;

use super::{GrantDefinition, template::TopicTemplate};

/// The name of the grant for everything under `{client_id}/`.
pub const OWN_TOPICS: &str = "own-topics";
/// The name of the grant for an SHT20 temperature and humidity sensor.
pub const SHT20: &str = "sht20";

/// The built-in grants by name.
#[must_use]
pub fn all() -> BTreeMap<String, GrantDefinition> {
    let own_topics = both_ways(&["{client_id}/*"]);
    let sht20 = both_ways(&["sensor/{client_id}/temperature", "sensor/{client_id}/humidity"]);
    BTreeMap::from([(OWN_TOPICS.to_owned(), own_topics), (SHT20.to_owned(), sht20)])
}

/// Publish to, subscribe to and receive from the same topics, as the SHT20 policy that people know does it:
/// with a plain `iot:Connect`, which leaves last will and persistent session to the device.
fn both_ways(topics: &[&str]) -> GrantDefinition {
    let templates = topics.iter().filter_map(|topic| TopicTemplate::try_from((*topic).to_owned()).ok());
    let templates = templates.collect::<Vec<_>>();
    GrantDefinition {
        publish: templates.clone(),
        subscribe: templates.clone(),
        receive: templates,
        retain: Vec::new(),
        last_will: true,
        persistent_session: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_template_was_dropped() {
        let counts = all().into_iter().map(|(name, grant)| (name, grant.templates().count()));
        assert_eq!(counts.collect::<Vec<_>>(), [(OWN_TOPICS.to_owned(), 3), (SHT20.to_owned(), 6)]);
    }
}
