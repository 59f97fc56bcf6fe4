//! The grants that every store knows.

use std::collections::BTreeMap;

use super::{GrantDefinition, template::TopicTemplate};

/// The name of the grant for everything under `{client_id}/`.
pub const OWN_TOPICS: &str = "own-topics";
/// The name of the grant for an SHT20 temperature and humidity sensor.
pub const SHT20: &str = "sht20";

/// The name of the grant for a device that comes from Alibaba Cloud IoT Platform.
pub const ALIBABA: &str = "alibaba";
/// The name of the grant for a device that comes from Tencent Cloud IoT Hub.
pub const TENCENT: &str = "tencent";

/// The built-in grants by name.
#[must_use]
pub fn all() -> BTreeMap<String, GrantDefinition> {
    let own_topics = both_ways(&["{client_id}/*"]);
    let sht20 = both_ways(&["sensor/{client_id}/temperature", "sensor/{client_id}/humidity"]);
    let grants = [(OWN_TOPICS, own_topics), (SHT20, sht20), (ALIBABA, alibaba()), (TENCENT, tencent())];
    BTreeMap::from(grants.map(|(name, grant)| (name.to_owned(), grant)))
}

/// The device's custom topics and the platform's own ones about it (help document 73731, "Topics"), both ways:
/// a device publishes what happened and answers, and it subscribes to requests and to the answers to its own.
fn alibaba() -> GrantDefinition {
    both_ways(&["/{product}/{device}/user/*", "/sys/{product}/{device}/*"])
}

/// The three topics that each product has (document 634/32546, "Topic permissions"): `control` to the device, `event` from it, `data` both
/// ways. There was neither a last will nor a retained message.
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

/// Publish to, subscribe to and receive from the same topics, as the SHT20 policy that people know does it:
/// with a plain `iot:Connect`, which leaves last will and persistent session to the device.
fn both_ways(topics: &[&str]) -> GrantDefinition {
    let templates = templates(topics);
    GrantDefinition {
        publish: templates.clone(),
        subscribe: templates.clone(),
        receive: templates,
        retain: Vec::new(),
        last_will: true,
        persistent_session: true,
    }
}

fn templates(topics: &[&str]) -> Vec<TopicTemplate> {
    topics.iter().filter_map(|topic| TopicTemplate::try_from((*topic).to_owned()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_template_was_dropped() {
        let counts = all().into_iter().map(|(name, grant)| (name, grant.templates().count()));
        let expected = [(ALIBABA, 6), (OWN_TOPICS, 3), (SHT20, 6), (TENCENT, 6)];
        assert_eq!(counts.collect::<Vec<_>>(), expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
