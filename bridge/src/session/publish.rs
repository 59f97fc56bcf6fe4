//! Messages of the device: sent up, stored, sent again, acknowledged.

use std::num::NonZeroU16;
use std::sync::Arc;

use mqtt::{
    DisconnectReasonCode as Code, Packet, PubAck, PubAckCode, Publish, PublishProperties, QoS, TopicName,
};

use super::{
    CONNECT_TOPIC_ALIASES, Effect, End, MAX_INFLIGHT, Pending, Received, Rejected, Session, Storing,
};
use crate::rules::Translation;

/// A message that is stored: its number, the attempts to read it, and itself.
pub type StoredMessage = (u64, Publish);

impl Session {
    pub(super) fn publish(&mut self, mut message: Publish, effects: &mut Vec<Effect>) {
        let qos = message.qos;
        let device_id = message.packet_id;
        if let Err(end) = self.resolve_alias(&mut message) {
            return effects.push(Effect::End(end));
        }
        if let Some(id) = device_id {
            if qos == QoS::ExactlyOnce {
                match self.received.get(&id) {
                    Some(Received::Answered) => {
                        let again = PubAck::new(id, PubAckCode::Success);
                        return effects.push(Effect::ToDevice(Packet::PubRec(again)));
                    }
                    Some(Received::Unanswered) => return,
                    None => _ = self.received.insert(id, Received::Unanswered),
                }
            } else if message.dup && self.is_unanswered(id) {
                return;
            }
        }
        if let Some(max) = self.rules.max_payload_bytes.filter(|&max| message.payload.len() > max) {
            tracing::debug!(bytes = message.payload.len(), max, "a message is too large");
            effects.push(Effect::Count(Translation::Oversize));
            if let Some(id) = device_id {
                self.answer(qos, PubAck::new(id, PubAckCode::Success), effects);
            }
            return;
        }
        self.translate_message(&mut message, effects);
        let Some(device_id) = device_id else {
            if self.connected {
                effects.push(Effect::ToUpstream(Packet::Publish(message)));
            } else {
                effects.push(Effect::Count(Translation::Qos0Lost));
            }
            return;
        };
        match &mut self.store {
            // What is stored goes first, so that messages stay in their order.
            Some(store) if !self.connected || store.backlog > 0 || !store.storing.is_empty() => {
                store.storing.push_back(Storing { device_id: Some(device_id), qos });
                effects.push(Effect::Store(message));
            }
            store => {
                let kept = store.is_some().then(|| Box::new(message.clone()));
                let id = self.upstream_id();
                self.pending.insert(
                    id,
                    Pending::Message { device_id, qos, topic: message.topic.clone(), message: kept },
                );
                message.packet_id = Some(id);
                effects.push(Effect::ToUpstream(Packet::Publish(message)));
            }
        }
    }

    /// A message was stored under this number, or could not be.
    pub fn stored(&mut self, stored: bool, effects: &mut Vec<Effect>) {
        let Some(store) = &mut self.store else { return };
        let Some(Storing { device_id, qos }) = store.storing.pop_front() else { return };
        if !stored {
            return effects.push(Effect::End(End::Storage));
        }
        store.backlog += 1;
        if let Some(id) = device_id {
            self.answer(qos, PubAck::new(id, PubAckCode::Success), effects);
        }
        self.fetch(effects);
    }

    /// Stored messages that were asked for, in their order; none if there are none.
    pub fn fetched(&mut self, messages: Vec<StoredMessage>, effects: &mut Vec<Effect>) {
        let Some(store) = &mut self.store else { return };
        if !std::mem::take(&mut store.fetching) || !self.connected {
            return;
        }
        let in_flight = self.pending.values().any(|pending| matches!(pending, Pending::Stored { .. }));
        if messages.is_empty() && !in_flight && store.storing.is_empty() {
            // Some may have been dropped to make room.
            store.backlog = 0;
        }
        for (number, mut message) in messages {
            if let Some(store) = &mut self.store {
                store.read = number;
            }
            let id = self.upstream_id();
            self.pending.insert(id, Pending::Stored { number, topic: message.topic.clone() });
            (message.packet_id, message.dup, message.qos) = (Some(id), false, QoS::AtLeastOnce);
            effects.push(Effect::ToUpstream(Packet::Publish(message)));
        }
        self.fetch(effects);
    }

    /// Asks for the next stored messages. After a connection that the server ended, the first one is sent alone: it may be the
    /// reason.
    pub(super) fn fetch(&mut self, effects: &mut Vec<Effect>) {
        let Some(store) = &mut self.store else { return };
        let in_flight = self.pending.values().filter(|it| matches!(it, Pending::Stored { .. })).count();
        let window = if store.suspect.is_some() { 1 } else { MAX_INFLIGHT / 2 };
        let unread = store.backlog > in_flight as u64;
        if self.connected && !store.fetching && unread && in_flight < window.div_ceil(2) {
            store.fetching = true;
            effects.push(Effect::Fetch { after: store.read, limit: window - in_flight });
        }
    }

    /// The server's answer to a message.
    pub(super) fn acknowledged(&mut self, answer: PubAck, effects: &mut Vec<Effect>) {
        let PubAck { packet_id, code, reason_string } = answer;
        let failed = u8::from(code) >= 0x80;
        match self.pending.remove(&packet_id) {
            Some(Pending::Message { device_id, qos, topic, .. }) => {
                if failed {
                    let reason_string = reason_string.clone();
                    effects.push(Effect::Rejected(Rejected { topic, code: Some(code), reason_string }));
                }
                self.answer(qos, PubAck { packet_id: device_id, code, reason_string }, effects);
            }
            Some(Pending::Stored { number, topic }) => {
                if failed {
                    effects.push(Effect::Rejected(Rejected { topic, code: Some(code), reason_string }));
                }
                effects.push(Effect::Delete(number));
                if let Some(store) = &mut self.store {
                    store.backlog = store.backlog.saturating_sub(1);
                    store.suspect = None;
                }
                self.fetch(effects);
            }
            // An answer to something else. What waits for an answer stays.
            Some(other) => _ = self.pending.insert(packet_id, other),
            None => {}
        }
    }

    /// Whether this message of the device is on its way.
    fn is_unanswered(&self, id: NonZeroU16) -> bool {
        let pending = |it: &Pending| matches!(it, Pending::Message { device_id, .. } if *device_id == id);
        self.pending.values().any(pending)
            || self
                .store
                .as_ref()
                .is_some_and(|store| store.storing.iter().any(|it| it.device_id == Some(id)))
    }

    /// Replaces the device's topic alias by the topic: the server's side has none.
    fn resolve_alias(&mut self, message: &mut Publish) -> Result<(), End> {
        let Some(alias) = message.topic_alias() else { return Ok(()) };
        let invalid = |details| End::Violation(Code::TopicAliasInvalid, details);
        if alias.get() > CONNECT_TOPIC_ALIASES {
            return Err(invalid("a topic alias above the maximum"));
        }
        let number = usize::from(alias.get());
        if self.aliases.len() < number {
            self.aliases.resize(number, None);
        }
        let Some(known) = self.aliases.get_mut(number - 1) else { return Ok(()) };
        match &message.topic {
            Some(topic) => *known = Some(topic.clone()),
            None => message.topic = Some(known.clone().ok_or(invalid("a topic alias without a topic"))?),
        }
        if let Some(properties) = &mut message.properties {
            Arc::make_mut(properties).topic_alias = None;
            if **properties == PublishProperties::default() {
                message.properties = None;
            }
        }
        Ok(())
    }

    /// Topic, QoS and retain flag as they go up.
    fn translate_message(&mut self, message: &mut Publish, effects: &mut Vec<Effect>) {
        if let Some(topic) = message.topic.as_ref().and_then(|topic| self.cloud_topic(topic)) {
            message.topic = Some(topic);
            effects.push(Effect::Count(Translation::Topic));
        }
        let response = message.properties.as_ref().and_then(|properties| properties.response_topic.clone());
        if let Some(response) = response.and_then(|topic| self.cloud_topic(&topic))
            && let Some(properties) = &mut message.properties
        {
            Arc::make_mut(properties).response_topic = Some(response);
        }
        if message.qos == QoS::ExactlyOnce && !self.rules.keep_qos2 {
            message.qos = QoS::AtLeastOnce;
            effects.push(Effect::Count(Translation::PublishQos2));
        }
        let topic = message.topic.as_ref();
        if message.retain && topic.is_some_and(|topic| self.rules.drops_retain(topic)) {
            message.retain = false;
            effects.push(Effect::Count(Translation::Retain));
        }
    }

    pub(super) fn cloud_topic(&mut self, topic: &TopicName) -> Option<TopicName> {
        let mapped = self.rules.topics.to_cloud(topic.as_str(), &mut self.known)?;
        TopicName::try_from(mapped.as_str()).ok()
    }
}
