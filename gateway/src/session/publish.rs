//! PUBLISH from the client, and its acknowledgements.

use std::num::NonZeroU16;

use mqtt::{DisconnectReasonCode as Code, Packet, PubAck, PubAckCode, Publish, QoS, TopicName, Version};

use iot_policy::Action;

use super::{Effect, NO_QOS_2, Record, Session, ending::Ending, limits};
use crate::clock::Moment;

impl Session {
    pub(super) fn on_publish(&mut self, publish: Publish, effects: &mut Vec<Effect>) {
        let topic = match self.topic(&publish).and_then(|topic| within_limits(topic, &publish)) {
            Ok(topic) => topic,
            Err(ending) => return self.end(ending, effects),
        };
        if publish.qos == QoS::ExactlyOnce {
            return self.on_qos_2(&topic, effects);
        }
        let denial = self.enforcement.decide_publish(&topic, publish.retain).denial();
        if let Some(record) = denial {
            effects.push(Effect::Log(record));
            return self.refuse_publish(publish.packet_id, effects);
        }
        let packet_id = publish.packet_id;
        effects.push(Effect::Route(topic, without_alias(publish)));
        if let Some(packet_id) = packet_id {
            effects.push(Effect::Send(Packet::PubAck(PubAck::new(packet_id, PubAckCode::Success))));
        }
    }

    /// A QoS 1 message was too large for the client: all goes on as if it had been acknowledged (MQTT 5
    /// section 3.1.2.11.4).
    pub fn on_left_out(&mut self, packet_id: NonZeroU16, now: Moment, effects: &mut Vec<Effect>) {
        self.on_pub_ack(packet_id, now, effects);
    }

    pub(super) fn on_pub_ack(&mut self, packet_id: NonZeroU16, now: Moment, effects: &mut Vec<Effect>) {
        self.flow.acknowledged(packet_id, now, effects);
    }

    /// The topic, by name or by an alias that the client set before (MQTT 5 section 3.3.2.3.4).
    fn topic(&mut self, publish: &Publish) -> Result<TopicName, Ending> {
        let invalid =
            Ending::Protocol(Code::TopicAliasInvalid, "a topic alias that is out of range or not set");
        let Some(alias) = publish.topic_alias() else {
            return publish.topic.clone().ok_or(invalid);
        };
        let slot = self.aliases.get_mut(usize::from(alias.get()) - 1).ok_or(invalid)?;
        if let Some(topic) = &publish.topic {
            *slot = Some(topic.clone());
        }
        slot.clone().ok_or(invalid)
    }

    /// AWS acknowledges no QoS 2 (developer guide, `mqtt`). An MQTT 5 client was told so by Maximum QoS, so it
    /// breaks the protocol (MQTT 5 section 3.2.2.3.4).
    fn on_qos_2(&mut self, topic: &TopicName, effects: &mut Vec<Effect>) {
        if self.version == Version::V5 {
            return self.end(Ending::Protocol(Code::QosNotSupported, NO_QOS_2), effects);
        }
        effects.push(Effect::Log(Record::without_answer(Action::Publish, topic.as_str())));
    }

    /// 3.1.1 has no way to say no, so the connection ends. MQTT 5 has PUBACK for QoS 1 *(unverified: AWS may
    /// end the connection here too, which [`super::Rules`] can say)*.
    fn refuse_publish(&mut self, packet_id: Option<NonZeroU16>, effects: &mut Vec<Effect>) {
        match packet_id {
            Some(packet_id) if self.version == Version::V5 => {
                let ack = PubAck::new(packet_id, PubAckCode::NotAuthorized);
                effects.push(Effect::Send(Packet::PubAck(ack)));
                if self.rules.denied_publish_disconnects {
                    self.end(Ending::Forbidden, effects);
                }
            }
            _ => self.end(Ending::Forbidden, effects),
        }
    }
}

fn within_limits(topic: TopicName, publish: &Publish) -> Result<TopicName, Ending> {
    limits::check(&topic, &publish.payload)?;
    let user = publish.properties.as_deref().map_or(&[][..], |properties| &properties.user_properties);
    limits::check_properties(user)?;
    Ok(topic)
}

/// An alias means something on the client's own connection only.
fn without_alias(mut publish: Publish) -> Publish {
    if let Some(properties) = &mut publish.properties
        && properties.topic_alias.is_some()
    {
        std::sync::Arc::make_mut(properties).topic_alias = None;
    }
    publish
}
