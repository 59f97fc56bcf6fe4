//! Messages for the device, and its acknowledgements.

use std::num::NonZeroU16;
use std::sync::Arc;

use mqtt::{Packet, PubAck, PubAckCode, Publish, TopicName};

use super::{Effect, Session, next_id};

impl Session {
    pub(super) fn deliver(&mut self, mut message: Publish, effects: &mut Vec<Effect>) {
        if let Some(topic) = message.topic.as_ref().and_then(|topic| self.device_topic(topic)) {
            message.topic = Some(topic);
        }
        let response = message.properties.as_ref().and_then(|properties| properties.response_topic.clone());
        if let Some(response) = response.and_then(|topic| self.device_topic(&topic))
            && let Some(properties) = &mut message.properties
        {
            Arc::make_mut(properties).response_topic = Some(response);
        }
        if let Some(upstream_id) = message.packet_id {
            let again = self.deliveries.iter().find(|(_, id)| **id == Some(upstream_id));
            let device_id = if let Some((id, _)) = again {
                message.dup = true;
                *id
            } else {
                let id = next_id(&mut self.last_device_id, |id| self.deliveries.contains_key(&id));
                self.deliveries.insert(id, Some(upstream_id));
                id
            };
            message.packet_id = Some(device_id);
        }
        effects.push(Effect::ToDevice(Packet::Publish(message)));
    }

    /// The device has acknowledged a message.
    pub(super) fn delivered(&mut self, id: NonZeroU16, code: PubAckCode, effects: &mut Vec<Effect>) {
        if let Some(Some(upstream_id)) = self.deliveries.remove(&id)
            && self.connected
        {
            effects.push(Effect::ToUpstream(Packet::PubAck(PubAck::new(upstream_id, code))));
        }
    }

    /// A message is larger than the device accepts, so it counts as delivered (MQTT 5 section 3.1.2.11.4).
    pub fn undeliverable(&mut self, id: Option<NonZeroU16>, effects: &mut Vec<Effect>) {
        if let Some(id) = id {
            self.delivered(id, PubAckCode::Success, effects);
        }
    }

    fn device_topic(&self, topic: &TopicName) -> Option<TopicName> {
        let mapped = self.rules.topics.to_device(topic.as_str(), &self.known)?;
        TopicName::try_from(mapped.as_str()).ok()
    }
}
