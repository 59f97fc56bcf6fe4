//! PUBLISH from the client, acknowledgements, and the last will.

use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    time::Duration,
};

use iot_policy::Action;
use mqtt::{
    DisconnectReasonCode as Code, LastWillProperties, Packet, PubAck, PubAckCode, Publish, PublishProperties,
    QoS, TopicName, Version,
};

use super::{
    BrokerEffect, Effect, Session,
    disconnect_reason::DisconnectReason,
    enforcement::{NO_QOS_2, Rejection},
    quotas::check_user_properties,
    reason_string::NOT_AUTHORIZED,
    reserved_topic::{self, Recipient},
    send,
};
use crate::clock::Moment;

impl Session {
    pub(super) fn on_publish(&mut self, publish: Publish, now: Moment, effects: &mut Vec<Effect>) {
        let topic = match self.topic(&publish).and_then(|topic| self.within_quotas(topic, &publish)) {
            Ok(topic) => topic,
            Err(reason) => return self.end(reason, effects),
        };
        self.count_bytes(publish.payload.len(), now);
        if let Err(rate) = self.count_message(now) {
            effects.push(Effect::Log(Rejection::throttled(Action::Publish, &topic, rate)));
            return;
        }
        if publish.qos == QoS::ExactlyOnce {
            return self.on_qos_2(&topic, effects);
        }
        let denial = self.enforcement.decide_publish(&topic, publish.retain).denial();
        if let Some(rejection) = denial {
            effects.push(Effect::Log(rejection));
            return self.refuse_publish(publish.packet_id, effects);
        }
        let packet_id = publish.packet_id;
        match has_subscribers(&topic, publish.retain, effects) {
            Ok(true) => effects.push(Effect::Broker(BrokerEffect::Publish(topic, without_alias(publish)))),
            Ok(false) => {}
            Err(reason) => return self.end(reason, effects),
        }
        if let Some(packet_id) = packet_id {
            effects.push(send(Packet::PubAck(PubAck::new(packet_id, PubAckCode::Success))));
        }
    }

    /// The topic, from its name or from an alias that the client set before (MQTT 5 section 3.3.2.3.4).
    fn topic(&mut self, publish: &Publish) -> Result<TopicName, DisconnectReason> {
        let invalid = DisconnectReason::Protocol(
            Code::TopicAliasInvalid,
            "a topic alias that is out of range or not set",
        );
        let Some(alias) = publish.topic_alias() else {
            return publish.topic.clone().ok_or(invalid);
        };
        let slot = self.aliases.get_mut(usize::from(alias.get()) - 1).ok_or(invalid)?;
        if let Some(topic) = &publish.topic {
            *slot = Some(topic.clone());
        }
        slot.clone().ok_or(invalid)
    }

    fn within_quotas(&self, topic: TopicName, publish: &Publish) -> Result<TopicName, DisconnectReason> {
        self.settings.quotas.check(&topic, &publish.payload)?;
        let user = publish.properties.as_deref().map_or(&[][..], |properties| &properties.user_properties);
        check_user_properties(user)?;
        Ok(topic)
    }

    /// Counts a message of the connection, in or out. The error is the rate, in messages a second, that it exceeds: then it
    /// is discarded without an acknowledgement (AWS general reference, `iot-core`).
    pub(super) fn count_message(&mut self, now: Moment) -> Result<(), NonZeroU32> {
        match self.settings.quotas.publishes_per_second {
            Some(rate) if !self.publishes.try_take(rate, now) => Err(rate),
            _ => Ok(()),
        }
    }

    /// Counts payload bytes from the client. Above the rate, nothing is read from the client until the rate is kept again
    /// (AWS general reference, `iot-core`).
    fn count_bytes(&mut self, bytes: usize, now: Moment) {
        let Some(rate) = self.settings.quotas.bytes_per_second else { return };
        let wait = self.bytes.take(bytes, rate, now);
        if !wait.is_zero() {
            self.paused_until = Some(now + wait);
        }
    }

    /// AWS does not acknowledge QoS 2 (developer guide, `mqtt`). An MQTT 5 client knows that from Maximum QoS, so it breaks
    /// the protocol (MQTT 5 section 3.2.2.3.4).
    fn on_qos_2(&mut self, topic: &TopicName, effects: &mut Vec<Effect>) {
        if self.version == Version::V5 {
            return self.end(DisconnectReason::Protocol(Code::QosNotSupported, NO_QOS_2), effects);
        }
        effects.push(Effect::Log(Rejection::qos_2(Action::Publish, topic.as_str())));
    }

    /// Refuses a PUBLISH. In 3.1.1 that can only be said by ending the connection. In MQTT 5 a PUBACK says it for QoS 1.
    fn refuse_publish(&mut self, packet_id: Option<NonZeroU16>, effects: &mut Vec<Effect>) {
        match packet_id {
            Some(packet_id) if self.version == Version::V5 => {
                let mut ack = PubAck::new(packet_id, PubAckCode::NotAuthorized);
                ack.reason_string = self.reason_string("PUBACK", NOT_AUTHORIZED);
                effects.push(send(Packet::PubAck(ack)));
            }
            _ => self.end(DisconnectReason::Forbidden, effects),
        }
    }

    /// Publishes the last will when the connection has ended. The policies that hold then decide about it as about any other
    /// PUBLISH; those of the CONNECT have allowed it.
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
        if let Some(rejection) = self.enforcement.decide_publish(&will.topic, publish.retain).denial() {
            return effects.push(Effect::Log(rejection));
        }
        // The CONNECT was refused if clients can't publish to the topic.
        if !has_subscribers(&will.topic, publish.retain, effects).unwrap_or_default() {
            return;
        }
        effects.push(if delay.is_zero() {
            Effect::Broker(BrokerEffect::Publish(will.topic, publish))
        } else {
            Effect::DelayWill(will.topic, publish, delay)
        });
    }
}

/// Whether a message that the policies allow goes to subscribers. On a reserved topic it may be for a service alone.
///
/// # Errors
///
/// When the topic is a reserved one that clients can't publish to.
fn has_subscribers(
    topic: &TopicName,
    retain: bool,
    effects: &mut Vec<Effect>,
) -> Result<bool, DisconnectReason> {
    if !reserved_topic::is_reserved(topic.as_str()) {
        return Ok(true);
    }
    let has_subscribers = reserved_topic::recipient(topic, retain)? == Recipient::ServiceAndSubscribers;
    effects.push(Effect::Unserved { topic: topic.clone(), has_subscribers });
    Ok(has_subscribers)
}

/// An alias is valid only on the client's own connection.
fn without_alias(mut publish: Publish) -> Publish {
    if let Some(properties) = &mut publish.properties
        && properties.topic_alias.is_some()
    {
        Arc::make_mut(properties).topic_alias = None;
    }
    publish
}

/// The properties of the message that a last will becomes (MQTT 5 section 3.1.3.2).
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
