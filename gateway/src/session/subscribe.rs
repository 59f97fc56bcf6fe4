//! SUBSCRIBE and UNSUBSCRIBE.

use iot_policy::Action;
use mqtt::{
    DisconnectReasonCode as Code, Packet, QoS, SubAck, SubAckCode, Subscribe, SubscribeFailure,
    SubscribeFilter, UnsubAck, UnsubAckCode, Unsubscribe, Version,
};

use super::{
    BrokerEffect, Effect, Session, disconnect_reason::DisconnectReason, enforcement::Rejection, send,
};
use crate::quotas::LimitError;

impl Session {
    pub(super) fn on_subscribe(&mut self, subscribe: Subscribe, effects: &mut Vec<Effect>) {
        if subscribe.subscription_id.is_some() {
            let code = Code::SubscriptionIdentifiersNotSupported;
            return self.end(
                DisconnectReason::Protocol(code, "subscription identifiers are not supported"),
                effects,
            );
        }
        let quota = self.settings.quotas.filters_per_subscribe;
        if subscribe.filters.len() > quota {
            let error = LimitError::FiltersPerSubscribe(quota);
            return self.end(DisconnectReason::Limit(Code::QuotaExceeded, error), effects);
        }
        // AWS does not answer a SUBSCRIBE that asks for QoS 2 (developer guide, `mqtt`).
        let qos_2 = subscribe.filters.iter().find(|filter| filter.qos == QoS::ExactlyOnce);
        if let Some(filter) = qos_2.filter(|_| self.version == Version::V311) {
            let rejection = Rejection::qos_2(Action::Subscribe, filter.filter.as_str());
            return effects.push(Effect::Log(rejection));
        }
        let (mut codes, mut granted) = (Vec::with_capacity(subscribe.filters.len()), Vec::new());
        for filter in subscribe.filters {
            codes.push(self.subscribe_one(filter, &mut granted, effects));
        }
        let denied = SubAckCode::Failed(SubscribeFailure::NotAuthorized);
        if self.version == Version::V311 && codes.contains(&denied) {
            // None of the subscriptions is added, because the session may outlive the connection.
            return self.end(DisconnectReason::Forbidden, effects);
        }
        effects.extend(granted.into_iter().map(|filter| Effect::Broker(BrokerEffect::Subscribe(filter))));
        let ack = SubAck { packet_id: subscribe.packet_id, codes, reason_string: None };
        effects.push(send(Packet::SubAck(ack)));
    }

    pub(super) fn on_unsubscribe(&mut self, unsubscribe: &Unsubscribe, effects: &mut Vec<Effect>) {
        let mut codes = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            let Some(at) = self.subscriptions.iter().position(|known| known == filter) else {
                codes.push(UnsubAckCode::NoSubscriptionExisted);
                continue;
            };
            self.subscriptions.swap_remove(at);
            effects.push(Effect::Broker(BrokerEffect::Unsubscribe(filter.clone())));
            codes.push(UnsubAckCode::Success);
        }
        if self.version == Version::V311 {
            codes.clear();
        }
        let ack = UnsubAck { packet_id: unsubscribe.packet_id, codes, reason_string: None };
        effects.push(send(Packet::UnsubAck(ack)));
    }

    /// Decides about one filter of a SUBSCRIBE.
    fn subscribe_one(
        &mut self,
        filter: SubscribeFilter,
        granted: &mut Vec<SubscribeFilter>,
        effects: &mut Vec<Effect>,
    ) -> SubAckCode {
        // Whether AWS counts `$share/` and the group is *(unverified)*.
        if !self.settings.quotas.fits(filter.filter.unshared()) {
            return SubAckCode::Failed(SubscribeFailure::TopicFilterInvalid);
        }
        let denial = self.enforcement.decide(Action::Subscribe, filter.filter.as_str()).denial();
        if let Some(rejection) = denial {
            effects.push(Effect::Log(rejection));
            return SubAckCode::Failed(SubscribeFailure::NotAuthorized);
        }
        if !self.subscriptions.contains(&filter.filter) {
            if self.subscriptions.len() >= self.settings.quotas.subscriptions_per_connection {
                return SubAckCode::Failed(SubscribeFailure::QuotaExceeded);
            }
            self.subscriptions.push(filter.filter.clone());
        }
        let qos = filter.qos.min(QoS::AtLeastOnce);
        granted.push(SubscribeFilter { qos, ..filter });
        SubAckCode::Granted(qos)
    }
}
