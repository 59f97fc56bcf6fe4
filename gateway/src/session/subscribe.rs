//! SUBSCRIBE and UNSUBSCRIBE.

use iot_policy::Action;
use mqtt::{
    DisconnectReasonCode as Code, InvalidFilter, Packet, QoS, SubAck, SubAckCode, Subscribe,
    SubscribeFailure, SubscribeFilter, UnsubAck, UnsubAckCode, Unsubscribe, Version,
};

use super::{
    BrokerEffect, Effect, Session, disconnect_reason::DisconnectReason, enforcement::Rejection,
    reason_string::NOT_AUTHORIZED, reserved_topic, send,
};
use crate::{clock::Moment, event_log::EventType, quotas::LimitError};

impl Session {
    pub(super) fn on_subscribe(&mut self, subscribe: Subscribe, now: Moment, effects: &mut Vec<Effect>) {
        if subscribe.subscription_id.is_some() {
            let code = Code::SubscriptionIdentifiersNotSupported;
            return self.end(
                DisconnectReason::Protocol(code, "subscription identifiers are not supported"),
                effects,
            );
        }
        let quota = self.settings.quotas.filters_per_subscribe;
        if subscribe.filters.len() + subscribe.invalid.len() > quota {
            let error = LimitError::FiltersPerSubscribe(quota);
            return self.end(DisconnectReason::Limit(Code::QuotaExceeded, error), effects);
        }
        // AWS does not answer a SUBSCRIBE that asks for QoS 2 (developer guide, `mqtt`).
        let qos_2 = subscribe.filters.iter().find(|filter| filter.qos == QoS::ExactlyOnce);
        if let Some(filter) = qos_2.filter(|_| self.version == Version::V311) {
            let rejection = Rejection::qos_2(Action::Subscribe, filter.filter.as_str());
            return effects.push(Effect::Log(rejection));
        }
        let (mut outcomes, mut granted) = (Vec::with_capacity(subscribe.filters.len()), Vec::new());
        for filter in subscribe.filters {
            let name = filter.filter.clone();
            match self.subscribe_one(filter, now, &mut granted, effects) {
                Ok(code) => outcomes.push((name, code)),
                // None of the subscriptions is added, because the session may outlive the connection.
                Err(reason) => return self.end(reason, effects),
            }
        }
        let is_reported = !granted.is_empty();
        effects.extend(granted.into_iter().map(|filter| Effect::Broker(BrokerEffect::Subscribe(filter))));
        effects.extend(
            subscribe
                .invalid
                .iter()
                .map(|filter| Effect::Log(Rejection::invalid_filter(EventType::Subscribe, filter))),
        );
        let mut codes = outcomes.iter().map(|(_, code)| *code).collect::<Vec<_>>();
        let invalid = SubAckCode::Failed(SubscribeFailure::TopicFilterInvalid);
        insert_at(&subscribe.invalid, invalid, &mut codes);
        let failure = codes.iter().find_map(|code| match code {
            SubAckCode::Failed(failure) => Some(*failure),
            SubAckCode::Granted(_) => None,
        });
        let reason_string = failure.and_then(|failure| self.reason_string("SUBACK", text(failure)));
        let ack = SubAck { packet_id: subscribe.packet_id, codes, reason_string };
        effects.push(send(Packet::SubAck(ack)));
        effects.extend(is_reported.then_some(Effect::Subscribed(outcomes)));
    }

    /// AWS's codes for UNSUBACK don't include 0x11 (developer guide, `mqtt`): a subscription that does not exist ends as one
    /// that does.
    pub(super) fn on_unsubscribe(&mut self, unsubscribe: &Unsubscribe, effects: &mut Vec<Effect>) {
        let quota = self.settings.quotas.filters_per_subscribe;
        if unsubscribe.filters.len() + unsubscribe.invalid.len() > quota {
            let error = LimitError::FiltersPerUnsubscribe(quota);
            return self.end(DisconnectReason::Limit(Code::QuotaExceeded, error), effects);
        }
        let mut removed = Vec::new();
        for filter in &unsubscribe.filters {
            if let Some(at) = self.subscriptions.iter().position(|known| known == filter) {
                self.subscriptions.swap_remove(at);
                effects.push(Effect::Broker(BrokerEffect::Unsubscribe(filter.clone())));
                removed.push(filter.clone());
            }
        }
        effects.extend(
            unsubscribe
                .invalid
                .iter()
                .map(|filter| Effect::Log(Rejection::invalid_filter(EventType::Unsubscribe, filter))),
        );
        let mut codes = Vec::new();
        if self.version == Version::V5 {
            codes.resize(unsubscribe.filters.len(), UnsubAckCode::Success);
            insert_at(&unsubscribe.invalid, UnsubAckCode::TopicFilterInvalid, &mut codes);
        }
        let reason_string = match &*unsubscribe.invalid {
            [] => None,
            [_, ..] => self.reason_string("UNSUBACK", text(SubscribeFailure::TopicFilterInvalid)),
        };
        let ack = UnsubAck { packet_id: unsubscribe.packet_id, codes, reason_string };
        effects.push(send(Packet::UnsubAck(ack)));
        effects.push(Effect::Unsubscribed(removed));
    }

    /// Decides about one filter of a SUBSCRIBE. The error ends the connection.
    fn subscribe_one(
        &mut self,
        filter: SubscribeFilter,
        now: Moment,
        granted: &mut Vec<SubscribeFilter>,
        effects: &mut Vec<Effect>,
    ) -> Result<SubAckCode, DisconnectReason> {
        if let Err(error) = self.settings.quotas.check_filter(&filter.filter) {
            return match self.version {
                Version::V311 => Err(DisconnectReason::Limit(Code::TopicFilterInvalid, error)),
                Version::V5 => {
                    effects.push(Effect::Log(Rejection::limit(&filter.filter, error)));
                    Ok(SubAckCode::Failed(SubscribeFailure::TopicFilterInvalid))
                }
            };
        }
        let denial = self.enforcement.decide(Action::Subscribe, filter.filter.as_str()).denial();
        if let Some(rejection) = denial {
            effects.push(Effect::Log(rejection));
            return match self.version {
                Version::V311 => Err(DisconnectReason::Forbidden),
                Version::V5 => Ok(SubAckCode::Failed(SubscribeFailure::NotAuthorized)),
            };
        }
        let topics = filter.filter.unshared();
        if reserved_topic::is_reserved(topics) && !reserved_topic::can_subscribe(topics) {
            return Err(DisconnectReason::Limit(Code::TopicFilterInvalid, LimitError::ReservedFilter));
        }
        if let Err(error) = self.account_rates.subscribe(&self.settings.quotas, now) {
            let rejection = Rejection::throttled(Action::Subscribe, filter.filter.as_str(), error);
            effects.push(Effect::Log(rejection));
            return Ok(SubAckCode::Failed(SubscribeFailure::QuotaExceeded));
        }
        if !self.subscriptions.contains(&filter.filter) {
            if self.full_groups.contains(&filter.filter) {
                effects.push(Effect::Log(Rejection::limit(&filter.filter, LimitError::FullGroup)));
                return Ok(SubAckCode::Failed(SubscribeFailure::QuotaExceeded));
            }
            let quota = self.settings.quotas.subscriptions_per_connection;
            if self.subscriptions.len() >= quota {
                let error = LimitError::SubscriptionsPerConnection(quota);
                effects.push(Effect::Log(Rejection::limit(&filter.filter, error)));
                return Ok(SubAckCode::Failed(SubscribeFailure::QuotaExceeded));
            }
            self.subscriptions.push(filter.filter.clone());
        }
        let qos = filter.qos.min(QoS::AtLeastOnce);
        granted.push(SubscribeFilter { qos, ..filter });
        Ok(SubAckCode::Granted(qos))
    }
}

/// Completes the codes of the valid filters with those of the invalid ones.
fn insert_at<C: Copy>(invalid: &[InvalidFilter], code: C, codes: &mut Vec<C>) {
    for filter in invalid {
        codes.insert(filter.position.min(codes.len()), code);
    }
}

/// The text of the reason string for the first filter that is refused. For SUBACK and UNSUBACK none of AWS's is known.
fn text(failure: SubscribeFailure) -> &'static str {
    match failure {
        SubscribeFailure::NotAuthorized => NOT_AUTHORIZED,
        SubscribeFailure::TopicFilterInvalid => {
            "a topic filter is not valid, or has too many bytes or slashes"
        }
        SubscribeFailure::QuotaExceeded => "a quota of subscriptions is exceeded",
        _ => "a topic filter is refused",
    }
}
