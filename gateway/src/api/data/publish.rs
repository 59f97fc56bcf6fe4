//! `Publish`, by a caller of the API.
//!
//! Source: API reference, `API_iotdata_Publish`.

use std::sync::Arc;

use mqtt::{Publish, QoS, TopicName};
use serde_json::json;
use uuid::Uuid;

use crate::{
    api::{Api, answer::Answer, error::ApiError, input::Input, text::Text},
    broker::shadow_requests::ShadowMessage,
    message_properties,
    metrics::Direction,
    session::{
        reserved_topic::{self, Recipient},
        shadow,
    },
};

/// `Publish`. The caller has every right, as the one key of the port has.
///
/// # Errors
///
/// When the message breaks a quota, or no client can publish to its topic.
pub async fn publish(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let shared = &api.shared;
    let (quotas, now) = (&shared.settings.quotas, shared.clock.now());
    let topic = topic(&input.path("topic", &Text::ANY)?)?;
    let qos = match input.query_number("qos")? {
        None | Some(0) => QoS::AtMostOnce,
        Some(1) => QoS::AtLeastOnce,
        Some(_) => return Err(ApiError::invalid_request("qos has to be 0 or 1")),
    };
    let retain = input.query_flag("retain")?;
    let properties = message_properties::read(&input.query, &input.headers);
    let properties = properties.map_err(|error| ApiError::invalid_request(error.to_string()))?;
    let within = quotas.check_message(&topic, &input.body, properties.as_deref());
    within.map_err(|reason| ApiError::invalid_request(reason.details().unwrap_or_default()))?;
    let recipient = if reserved_topic::is_reserved(topic.as_str()) {
        let recipient = reserved_topic::recipient_over_https(&topic, retain);
        Some(recipient.map_err(|reason| ApiError::invalid_request(reason.details().unwrap_or_default()))?)
    } else {
        None
    };
    if retain
        && !input.body.is_empty()
        && let Err(error) = shared.account_rates.retain(&topic, quotas, now)
    {
        return Err(ApiError::throttling(error.to_string()));
    }
    let publish = Publish { qos, retain, properties, ..Publish::new(topic.clone(), input.body.clone()) };
    // No client has an empty id, so no subscriber is taken for the sender.
    let from = Arc::default();
    let published = match recipient {
        Some(Recipient::Service) => None,
        None => Some(shared.broker.publish(from, topic, publish, now)),
        Some(Recipient::Shadow(requests)) => {
            let request = shadow::request(requests, &publish.payload, quotas, &shared.account_rates, now);
            let at = shared.clock.epoch().unix_seconds(now);
            let message = ShadowMessage { topic, publish, request, unanswered: None };
            Some(shared.broker.request_shadow(from, message, at, now))
        }
    };
    if let Some(published) = published {
        published.await.map_err(|error| {
            tracing::error!(%error, "a message of an API call is lost");
            ApiError::internal_failure()
        })?;
    }
    shared.log.metrics().message(Direction::In);
    Ok(json!({"message": "OK", "traceId": Uuid::new_v4().to_string()}).into())
}

/// A topic of a path.
///
/// # Errors
///
/// When it can't be one.
pub(super) fn topic(text: &str) -> Result<TopicName, ApiError> {
    text.parse().map_err(|error| ApiError::invalid_request(format!("the topic can't be used: {error}")))
}
