//! PUBLISH from the client, acknowledgements, and the last will.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use iot_policy::Action;
use mqtt::{
    DisconnectReasonCode as Code, LastWillProperties, Packet, PubAck, PubAckCode, Publish, PublishProperties,
    QoS, TopicName, Version,
};

use super::{
    BrokerEffect, Effect, Session,
    disconnect_reason::DisconnectReason,
    enforcement::{NO_QOS_2, Rejection},
    reason_string::NOT_AUTHORIZED,
    reserved_topic::{self, Recipient},
    send,
};
use crate::{
    broker::shadow_requests::ShadowMessage, clock::Moment, event_log::EventType, quotas::LimitError,
};

impl Session {
    pub(super) fn on_publish(&mut self, publish: Publish, now: Moment, effects: &mut Vec<Effect>) {
        let topic = match self.topic(&publish).and_then(|topic| self.within_quotas(topic, &publish)) {
            Ok(topic) => topic,
            Err(reason) => return self.end(reason, effects),
        };
        self.count_bytes_in(publish.payload.len(), now, effects);
        if let Err(error) = self.count_message(now) {
            let rejection = Rejection::throttled(Action::Publish, topic.as_str(), error);
            return effects.push(Effect::Log(rejection));
        }
        if publish.qos == QoS::ExactlyOnce {
            return self.on_qos_2(&topic, effects);
        }
        let denial = self.enforcement.decide_publish(&topic, publish.retain).denial();
        if let Some(rejection) = denial {
            effects.push(Effect::Log(rejection));
            return self.refuse_publish(publish.packet_id, effects);
        }
        // Taking a retained message away is not throttled (AWS general reference, `iot-core`).
        if publish.retain
            && !publish.payload.is_empty()
            && let Err(error) = self.account_rates.retain(&topic, &self.settings.quotas, now)
        {
            let rejection = Rejection::throttled(Action::RetainPublish, topic.as_str(), error);
            return effects.push(Effect::Log(rejection));
        }
        let packet_id = publish.packet_id;
        let recipient = match recipient(&topic, publish.retain) {
            Ok(recipient) => recipient,
            Err(reason) => return self.end(reason, effects),
        };
        effects.push(match recipient {
            None => Effect::Broker(BrokerEffect::Publish(topic, without_alias(publish))),
            Some(Recipient::Service) => Effect::Unserved(topic),
            Some(Recipient::Shadow(requests)) => {
                let (request, unanswered) = self.shadow_request(requests, &publish.payload, now);
                let message = ShadowMessage { topic, publish: without_alias(publish), request, unanswered };
                Effect::Broker(BrokerEffect::RequestShadow(Box::new(message)))
            }
        });
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
        self.settings.quotas.check_message(&topic, &publish.payload, publish.properties.as_deref())?;
        Ok(topic)
    }

    /// Counts a message of the connection, in or out. One that exceeds the rate is discarded without an acknowledgement (AWS
    /// general reference, `iot-core`).
    pub(super) fn count_message(&mut self, now: Moment) -> Result<(), LimitError> {
        match self.settings.quotas.publishes_per_second {
            Some(rate) if !self.publishes.try_take(rate, now) => Err(LimitError::Publishes(rate)),
            _ => Ok(()),
        }
    }

    /// Counts payload bytes from the client. Above the rate, nothing is read from the client until the rate is kept again (AWS
    /// general reference, `iot-core`).
    fn count_bytes_in(&mut self, bytes: usize, now: Moment, effects: &mut Vec<Effect>) {
        if let Some(rate) = self.settings.quotas.bytes_per_second {
            let wait = self.bytes_in.take(bytes, rate, now);
            self.pause(wait, LimitError::BytesIn(rate), now, effects);
        }
    }

    /// Counts payload bytes to the client. Above the rate, messages wait until it is kept again. The client is read meanwhile:
    /// it is not held back for what others send to it *(guess: a client is read while messages to it are delayed)*.
    pub(super) fn count_bytes_out(&mut self, bytes: usize, now: Moment, effects: &mut Vec<Effect>) {
        if let Some(rate) = self.settings.quotas.bytes_per_second {
            let wait = self.bytes_out.take(bytes, rate, now);
            if !wait.is_zero() {
                self.sending_paused_until = Some(now + wait);
                if !std::mem::replace(&mut self.said_sending_paused, true) {
                    let rejection = Rejection::paused(EventType::PublishOut, LimitError::BytesOut(rate));
                    effects.push(Effect::Log(rejection));
                }
            }
        }
    }

    /// Counts packets from the client, so that one client can't keep the gateway busy for all others.
    pub(super) fn count_packets(&mut self, packets: usize, now: Moment, effects: &mut Vec<Effect>) {
        if let Some(rate) = self.settings.quotas.packets_per_second {
            let wait = self.packets.take(packets, rate, now);
            self.pause(wait, LimitError::Packets(rate), now, effects);
        }
    }

    fn pause(&mut self, wait: Duration, rate: LimitError, now: Moment, effects: &mut Vec<Effect>) {
        if !wait.is_zero() {
            self.paused_until = self.paused_until.max(Some(now + wait));
            if !std::mem::replace(&mut self.said_paused, true) {
                effects.push(Effect::Log(Rejection::paused(EventType::PublishIn, rate)));
            }
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
        if let Ok(Some(Recipient::Service)) = recipient(&will.topic, publish.retain) {
            return effects.push(Effect::Unserved(will.topic));
        }
        // Subscribers of a shadow's topics get the will, and the shadow ignores it (developer guide, `device-shadow-comms-app`).
        effects.push(if delay.is_zero() {
            Effect::Broker(BrokerEffect::Publish(will.topic, publish))
        } else {
            Effect::DelayWill(will.topic, publish, delay)
        });
    }
}

/// Who gets a message that the policies allow; `None` are the subscribers of a topic that is not reserved.
///
/// # Errors
///
/// When the topic is a reserved one that clients can't publish to.
fn recipient(topic: &TopicName, retain: bool) -> Result<Option<Recipient>, DisconnectReason> {
    if !reserved_topic::is_reserved(topic.as_str()) {
        return Ok(None);
    }
    reserved_topic::recipient(topic, retain).map(Some)
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
