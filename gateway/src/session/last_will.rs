//! A client's last will, when its connection has ended.

use std::{sync::Arc, time::Duration};

use mqtt::{LastWillProperties, Publish, PublishProperties};

use super::{Effect, Session};

impl Session {
    /// A last will is a PUBLISH like any other: never a way around the policy.
    pub(super) fn publish_will(&mut self, effects: &mut Vec<Effect>) {
        let Some(will) = self.last_will.take() else { return };
        let delay =
            Duration::from_secs(will.properties.delay_interval.unwrap_or_default().into()).min(self.expiry);
        let publish = Publish {
            qos: will.qos,
            retain: will.retain,
            properties: will_properties(will.properties),
            ..Publish::new(will.topic.clone(), will.payload)
        };
        match self.enforcement.decide_publish(&will.topic, publish.retain).denial() {
            Some(record) => effects.push(Effect::Log(record)),
            None if delay.is_zero() => effects.push(Effect::Route(will.topic, publish)),
            None => effects.push(Effect::RouteLater(will.topic, publish, delay)),
        }
    }
}

/// What a will carries besides its payload (MQTT 5 section 3.1.3.2).
fn will_properties(properties: LastWillProperties) -> Option<Arc<PublishProperties>> {
    let properties = PublishProperties {
        payload_is_utf8: properties.payload_is_utf8.unwrap_or_default(),
        message_expiry_interval: properties.message_expiry_interval,
        topic_alias: None,
        response_topic: properties.response_topic,
        correlation_data: properties.correlation_data,
        content_type: properties.content_type,
        subscription_ids: Vec::new(),
        user_properties: properties.user_properties,
    };
    (properties != PublishProperties::default()).then(|| Arc::new(properties))
}
