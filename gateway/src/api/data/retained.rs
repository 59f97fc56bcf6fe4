//! `GetRetainedMessage` and `ListRetainedMessages`.
//!
//! Source: API reference, `API_iotdata_GetRetainedMessage` and `API_iotdata_ListRetainedMessages`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mqtt::TopicName;
use serde_json::{Value, json};

use super::publish::topic;
use crate::{
    api::{
        Api,
        answer::{Answer, with},
        error::ApiError,
        input::Input,
        page::Page,
        text::Text,
    },
    broker::inspection::RetainedEntry,
    message_properties::encoded_user_properties,
};

/// `GetRetainedMessage`.
///
/// # Errors
///
/// When the topic has none.
pub fn get(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let topic = topic(&input.path("topic", &Text::ANY)?)?;
    let found = api.shared.broker.retained_message(&topic, api.shared.clock.now());
    let entry = found.ok_or_else(|| ApiError::not_found("No retained message exists for the topic"))?;
    let mut answer = summary(api, &entry);
    let properties = entry.publish.properties.as_deref().map(|properties| &*properties.user_properties);
    let members = [
        ("payload", Some(STANDARD.encode(&entry.publish.payload))),
        ("userProperties", properties.and_then(encoded_user_properties)),
    ];
    if let Some(object) = answer.as_object_mut() {
        object.remove("payloadSize");
        object.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
    }
    Ok(answer.into())
}

/// `ListRetainedMessages`, in the order of the topics.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let page = Page::read(input, "ListRetainedMessages", "maxResults", 200, "nextToken")?;
    let after = match page.after.as_deref() {
        Some([last]) => Some(topic(last)?),
        _ => None,
    };
    let now = api.shared.clock.now();
    let found = api.shared.broker.retained_messages(after.as_ref(), page.limit(), now);
    let (entries, token) = page.cut(found, |last| vec![last.topic.as_str().to_owned()]);
    let summaries = entries.iter().map(|entry| summary(api, entry)).collect::<Vec<_>>();
    Ok(with(json!({"retainedTopics": summaries}), "nextToken", token).into())
}

fn summary(api: &Api, entry: &RetainedEntry) -> Value {
    let RetainedEntry { topic, publish, stored_at } = entry;
    json!({
        "topic": TopicName::as_str(topic), "payloadSize": publish.payload.len(), "qos": u8::from(publish.qos),
        "lastModifiedTime": api.millis(*stored_at),
    })
}
