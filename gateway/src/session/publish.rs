//! PUBLISH from the client, and its acknowledgements.

use std::num::NonZeroU16;

use mqtt::{DisconnectReasonCode as Code, Packet, PubAck, PubAckCode, Publish, QoS, TopicName, Version};

use iot_policy::Action;

use super::{Effect, NO_QOS_2, Record, Session, ending::Ending, quotas::check_properties};
use crate::{broker::queue::Delivery, clock::Moment};

impl Session {
    pub(super) fn on_publish(&mut self, publish: Publish, now: Moment, effects: &mut Vec<Effect>) {
        let topic = match self.topic(&publish).and_then(|topic| self.within_quotas(topic, &publish)) {
            Ok(topic) => topic,
            Err(ending) => return self.end(ending, effects),
        };
        self.count_bytes(publish.payload.len(), now);
        if !self.may_publish(now) {
            effects.push(Effect::Log(Record::throttled(Action::Publish, &topic)));
            return;
        }
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

    fn within_quotas(&self, topic: TopicName, publish: &Publish) -> Result<TopicName, Ending> {
        self.settings.quotas.check(&topic, &publish.payload)?;
        let user = publish.properties.as_deref().map_or(&[][..], |properties| &properties.user_properties);
        check_properties(user)?;
        Ok(topic)
    }

    /// A message that is too many is discarded, without an acknowledgement (AWS general reference, `iot-core`).
    fn may_publish(&mut self, now: Moment) -> bool {
        let rate = self.settings.quotas.publishes_per_second;
        rate.is_none_or(|rate| self.publishes.try_take(rate, now))
    }

    /// Whether a message may be sent now. One of QoS 1 always may: beyond the rate it only does not count *(unverified)*.
    pub(super) fn may_send(&mut self, delivery: &Delivery, now: Moment) -> bool {
        self.may_publish(now) || delivery.publish().qos > QoS::AtMostOnce
    }

    /// What is too much is delayed (AWS general reference, `iot-core`): nothing is taken from the client meanwhile.
    fn count_bytes(&mut self, bytes: usize, now: Moment) {
        let Some(rate) = self.settings.quotas.bytes_per_second else { return };
        let wait = self.bytes.take(bytes, rate, now);
        if !wait.is_zero() {
            self.held_until = Some(now + wait);
        }
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
    /// end the connection here too, see the setting `denied_publish_disconnects`)*.
    fn refuse_publish(&mut self, packet_id: Option<NonZeroU16>, effects: &mut Vec<Effect>) {
        match packet_id {
            Some(packet_id) if self.version == Version::V5 => {
                let ack = PubAck::new(packet_id, PubAckCode::NotAuthorized);
                effects.push(Effect::Send(Packet::PubAck(ack)));
                if self.settings.denied_publish_disconnects {
                    self.end(Ending::Forbidden, effects);
                }
            }
            _ => self.end(Ending::Forbidden, effects),
        }
    }
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
