//! The device's subscriptions, with QoS 1 at most and AWS's names of topics.

use mqtt::{
    DisconnectReasonCode as Code, Packet, QoS, SubAck, SubAckCode, Subscribe, SubscribeFilter, TopicFilter,
    UnsubAck, Unsubscribe,
};

use super::{Effect, End, MAX_WAITING_REQUESTS, Pending, Session};
use crate::rules::Translation;

impl Session {
    pub(super) fn subscribe(&mut self, mut request: Subscribe, effects: &mut Vec<Effect>) {
        for wanted in &mut request.filters {
            if let Some(filter) = self.rules.topics.filter_to_cloud(&wanted.filter, &mut self.known) {
                wanted.filter = filter;
                effects.push(Effect::Count(Translation::Topic));
            }
            if wanted.qos == QoS::ExactlyOnce && !self.rules.keep_qos2 {
                wanted.qos = QoS::AtLeastOnce;
                effects.push(Effect::Count(Translation::SubscribeQos2));
            }
        }
        if self.connected {
            self.send_subscribe(request, effects);
        } else {
            self.wait(Packet::Subscribe(request), effects);
        }
    }

    pub(super) fn send_subscribe(&mut self, mut request: Subscribe, effects: &mut Vec<Effect>) {
        let device_id = request.packet_id;
        let id = self.upstream_id();
        let mut filters = request.filters.iter().cloned().map(Some).collect::<Vec<Option<SubscribeFilter>>>();
        for invalid in &request.invalid {
            filters.insert(invalid.position.min(filters.len()), None);
        }
        self.pending.insert(id, Pending::Subscribe { device_id, filters });
        request.packet_id = id;
        effects.push(Effect::ToUpstream(Packet::Subscribe(request)));
    }

    pub(super) fn subscribed(&mut self, mut answer: SubAck, effects: &mut Vec<Effect>) {
        match self.pending.remove(&answer.packet_id) {
            Some(Pending::Subscribe { device_id, filters }) => {
                if let Some(store) = &mut self.store {
                    for (filter, code) in filters.into_iter().zip(&answer.codes) {
                        if let (Some(filter), SubAckCode::Granted(_)) = (filter, code) {
                            store.subscriptions.insert(filter.filter.clone(), filter);
                        }
                    }
                }
                answer.packet_id = device_id;
                effects.push(Effect::ToDevice(Packet::SubAck(answer)));
            }
            Some(Pending::Resubscribe) | None => {}
            Some(other) => _ = self.pending.insert(answer.packet_id, other),
        }
    }

    pub(super) fn unsubscribe(&mut self, mut request: Unsubscribe, effects: &mut Vec<Effect>) {
        for filter in &mut request.filters {
            if let Some(mapped) = self.rules.topics.filter_to_cloud(filter, &mut self.known) {
                *filter = mapped;
            }
        }
        if self.connected {
            self.send_unsubscribe(request, effects);
        } else {
            self.wait(Packet::Unsubscribe(request), effects);
        }
    }

    pub(super) fn send_unsubscribe(&mut self, mut request: Unsubscribe, effects: &mut Vec<Effect>) {
        let (device_id, id) = (request.packet_id, self.upstream_id());
        let filters = request.filters.clone();
        self.forget(&filters);
        self.pending.insert(id, Pending::Unsubscribe { device_id, filters });
        request.packet_id = id;
        effects.push(Effect::ToUpstream(Packet::Unsubscribe(request)));
    }

    pub(super) fn unsubscribed(&mut self, mut answer: UnsubAck, effects: &mut Vec<Effect>) {
        match self.pending.remove(&answer.packet_id) {
            Some(Pending::Unsubscribe { device_id, .. }) => {
                answer.packet_id = device_id;
                effects.push(Effect::ToDevice(Packet::UnsubAck(answer)));
            }
            Some(other) => _ = self.pending.insert(answer.packet_id, other),
            None => {}
        }
    }

    fn forget(&mut self, filters: &[TopicFilter]) {
        if let Some(store) = &mut self.store {
            store.subscriptions.retain(|filter, _| !filters.contains(filter));
        }
    }

    /// Keeps a request until there is a connection upstream.
    fn wait(&mut self, request: Packet, effects: &mut Vec<Effect>) {
        let Some(store) = &mut self.store else { return };
        if store.waiting.len() < MAX_WAITING_REQUESTS {
            store.waiting.push(request);
        } else {
            let details = "too many requests while there is no connection to AWS";
            effects.push(Effect::End(End::Violation(Code::QuotaExceeded, details)));
        }
    }
}
