//! Retained messages, shadows, and messages that are published from outside every policy.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mqtt::{Publish, PublishProperties, QoS, TopicName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, CallError, Query, observer::message};
use crate::{
    broker::inspection::RetainedEntry,
    clock::Moment,
    session::{reserved_topic, shadow},
    shadow::{Operation, RequestTopic, ShadowId},
    shared::{PublishError, Shared},
};

/// A message to publish.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Message {
    topic: String,
    /// In base64.
    payload: String,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    content_type: Option<String>,
    response_topic: Option<String>,
    #[serde(default)]
    user_properties: Vec<(String, String)>,
}

/// A shadow, and the request's document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ShadowCall {
    thing: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    document: Value,
}

/// Publishes a message, as AWS's API does for the account itself: no policy is asked, and quotas hold, also the rates of retained messages.
pub(super) async fn publish(shared: &Shared, asked: Message, now: Moment) -> Answer {
    let topic = topic(&asked.topic)?;
    let payload =
        STANDARD.decode(&asked.payload).map_err(|_| CallError::invalid("`payload` is not base64"))?;
    let qos = match asked.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => return Err(CallError::invalid("`qos` has to be 0 or 1")),
    };
    let has_properties =
        asked.content_type.is_some() || asked.response_topic.is_some() || !asked.user_properties.is_empty();
    let properties = PublishProperties {
        content_type: asked.content_type.map(Arc::from),
        response_topic: asked.response_topic.as_deref().map(self::topic).transpose()?,
        user_properties: asked
            .user_properties
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .collect(),
        ..PublishProperties::default()
    };
    let has_nul =
        asked.user_properties.iter().any(|(name, value)| name.contains('\0') || value.contains('\0'))
            || properties.content_type.as_deref().is_some_and(|text| text.contains('\0'));
    if has_nul {
        return Err(CallError::invalid("a property has a character that MQTT does not allow"));
    }
    let properties = has_properties.then(|| Arc::new(properties));
    let quotas = &shared.settings.quotas;
    let wrong = |details: Option<String>| CallError::invalid(details.unwrap_or_default());
    quotas
        .check_message(&topic, &payload, properties.as_deref())
        .map_err(|reason| wrong(reason.details()))?;
    let recipient = reserved_topic::recipient_over_https(&topic, asked.retain)
        .map_err(|reason| wrong(reason.details()))?;
    let publish = Publish {
        qos,
        retain: asked.retain,
        properties,
        ..Publish::new(topic.clone(), Bytes::from(payload))
    };
    shared.publish(topic, publish, recipient, now).await.map_err(|error| match error {
        PublishError::Throttled(error) => CallError::throttled(error.to_string()),
        PublishError::NotWritten(error) => {
            tracing::error!(%error, "a message of the console is lost");
            CallError::unavailable("the sessions' file can't be written")
        }
    })?;
    Ok(json!({}))
}

/// Retained messages in the order of their topics.
pub(super) fn list_retained(shared: &Shared, query: &Query, now: Moment) -> Answer {
    let (_, limit) = query.page()?;
    let after = Some(query.text("after")).filter(|text| !text.is_empty()).map(topic).transpose()?;
    let entries = shared.broker.retained_messages(after.as_ref(), limit, now);
    let next = entries.last().map(|entry| entry.topic.clone()).filter(|_| entries.len() == limit);
    let rows = entries.iter().map(|entry| {
        json!({
            "topic": entry.topic.as_str(), "bytes": entry.publish.payload.len(), "qos": u8::from(entry.publish.qos),
            "at": millis(shared, entry),
        })
    });
    Ok(json!({"messages": rows.collect::<Vec<_>>(), "next": next.as_ref().map(TopicName::as_str)}))
}

/// The retained message of a topic.
pub(super) fn get_retained(shared: &Shared, query: &Query, now: Moment) -> Answer {
    let found = shared.broker.retained_message(&topic(query.text("topic"))?, now);
    let entry = found.ok_or_else(|| CallError::not_found("the topic has no retained message"))?;
    let publish = Publish { topic: Some(entry.topic.clone()), ..entry.publish.clone() };
    Ok(message(&publish, millis(shared, &entry)))
}

/// The shadows that have a document, in their order.
pub(super) fn list_shadows(shared: &Shared, query: &Query) -> Answer {
    let (_, limit) = query.page()?;
    let after = match query.text("thing") {
        "" => None,
        thing => Some(id(thing, query.text("name"))?),
    };
    let ids = shared.broker.shadows_after(after.as_ref(), limit);
    let next = ids.last().map(shadow_name).filter(|_| ids.len() == limit);
    Ok(json!({"shadows": ids.iter().map(shadow_name).collect::<Vec<_>>(), "next": next}))
}

fn shadow_name(id: &ShadowId) -> Value {
    json!({"thing": id.thing(), "name": id.name().unwrap_or_default()})
}

/// The document of a shadow.
pub(super) async fn get_shadow(shared: &Shared, query: &Query, now: Moment) -> Answer {
    call(shared, id(query.text("thing"), query.text("name"))?, Operation::Get, b"", now).await
}

/// Changes a shadow, as a message on its topic `update` does.
pub(super) async fn update_shadow(shared: &Shared, asked: &ShadowCall, now: Moment) -> Answer {
    let document = asked.document.to_string();
    call(shared, id(&asked.thing, &asked.name)?, Operation::Update, document.as_bytes(), now).await
}

/// Deletes a shadow.
pub(super) async fn delete_shadow(shared: &Shared, asked: &ShadowCall, now: Moment) -> Answer {
    call(shared, id(&asked.thing, &asked.name)?, Operation::Delete, b"", now).await
}

async fn call(shared: &Shared, id: ShadowId, operation: Operation, payload: &[u8], now: Moment) -> Answer {
    let topic = RequestTopic { id: Ok(id), operation };
    let request = shadow::request(topic, payload, &shared.settings.quotas, &shared.account_rates, now);
    let request = request.map_err(|rejected| CallError::invalid(rejected.error.to_string()))?;
    let answered = shared.broker.call_shadow(request, shared.clock.epoch().unix_seconds(now), now).await;
    let answer = answered.map_err(|error| {
        tracing::error!(%error, "a shadow can't be written");
        CallError::unavailable("the sessions' file can't be written")
    })?;
    match answer {
        Ok(answer) => Ok(serde_json::from_slice(&answer.payload).unwrap_or_default()),
        Err(rejected) if rejected.error.code() == 404 => {
            Err(CallError::not_found(rejected.error.to_string()))
        }
        Err(rejected) => Err(CallError::invalid(rejected.error.to_string())),
    }
}

fn id(thing: &str, name: &str) -> Result<ShadowId, CallError> {
    let name = Some(name).filter(|name| !name.is_empty());
    ShadowId::new(thing, name).map_err(|error| CallError::invalid(error.to_string()))
}

fn topic(text: &str) -> Result<TopicName, CallError> {
    text.parse().map_err(|error| CallError::invalid(format!("the topic can't be used: {error}")))
}

fn millis(shared: &Shared, entry: &RetainedEntry) -> i64 {
    shared.clock.epoch().unix_millis(entry.stored_at)
}
