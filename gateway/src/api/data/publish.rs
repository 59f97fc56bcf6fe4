//! `Publish`, by a caller of the API.
//!
//! Source: API reference, `API_iotdata_Publish`.

use mqtt::{Publish, QoS, TopicName};
use serde_json::json;
use uuid::Uuid;

use crate::{
    api::{Api, answer::Answer, error::ApiError, input::Input, text::Text},
    message_properties,
    session::reserved_topic,
    shared::PublishError,
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
    let recipient = reserved_topic::recipient_over_https(&topic, retain)
        .map_err(|reason| ApiError::invalid_request(reason.details().unwrap_or_default()))?;
    let publish = Publish { qos, retain, properties, ..Publish::new(topic.clone(), input.body.clone()) };
    shared.publish(topic, publish, recipient, now).await.map_err(|error| match error {
        PublishError::Throttled(error) => ApiError::throttling(error.to_string()),
        PublishError::NotWritten(error) => {
            tracing::error!(%error, "a message of an API call is lost");
            ApiError::internal_failure()
        }
    })?;
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
