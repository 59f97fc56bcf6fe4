//! A subscriber that is no client: it has no policy, no session in the file and no line in the log. The page says so.

use std::{
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mqtt::{Publish, QoS, SubscribeFilter, TopicFilter, Version};
use serde_json::{Value, json};
use uuid::Uuid;

use super::CallError;
use crate::{
    broker::{
        outbox::DeliveryLimits,
        registration::{Registration, SessionRequest},
    },
    shared::Shared,
};

/// The topic filters of one observer.
const MAX_FILTERS: usize = 8;
/// The bytes of a payload that are sent to a page.
const MAX_SHOWN_BYTES: usize = 16 * 1_024;
/// Messages that are looked at each time; more of them wait, and the outbox drops what is too much.
const MAX_TAKEN: usize = 5_000;

/// An observer of some topic filters.
pub(super) struct Observer {
    shared: Arc<Shared>,
    filters: Vec<TopicFilter>,
    registration: Option<Registration>,
}

impl Observer {
    /// An observer that has not subscribed yet.
    pub(super) fn new(shared: &Arc<Shared>, filters: &[String]) -> Result<Self, CallError> {
        if filters.is_empty() || filters.len() > MAX_FILTERS {
            return Err(CallError::invalid(format!("an observer has 1 to {MAX_FILTERS} topic filters")));
        }
        let parsed = filters.iter().map(|filter| match filter.parse::<TopicFilter>() {
            Ok(filter) if filter.shared().is_none() => Ok(filter),
            Ok(_) => Err(CallError::invalid(
                "an observer must not take messages of a shared subscription from its members",
            )),
            Err(_) => Err(CallError::invalid("a topic filter can't be used (MQTT 5 section 4.7)")),
        });
        Ok(Self {
            shared: Arc::clone(shared),
            filters: parsed.collect::<Result<_, _>>()?,
            registration: None,
        })
    }

    /// Subscribes. No client can present the client id, because it could have been assigned.
    pub(super) async fn subscribe(&mut self) {
        let now = self.shared.clock.now();
        let limits = DeliveryLimits {
            receive_maximum: NonZeroU16::MAX,
            resend_after: Duration::from_secs(30),
            resend_for: Duration::from_secs(30),
            stored_per_second: None,
            shared_per_second: None,
        };
        let (principal_id, expiry) = ("console".into(), Duration::ZERO);
        let request = SessionRequest { principal_id, version: Version::V5, clean: true, expiry, limits };
        let client_id = format!("{PREFIX}{}", Uuid::new_v4()).into();
        let Ok(registration) = self.shared.broker.register(&client_id, request, now).await else { return };
        for filter in &self.filters {
            // An error can only be the file's, in which an observer has nothing.
            _ = registration.subscribe(SubscribeFilter::new(filter.clone(), QoS::AtMostOnce), now).await;
        }
        self.registration = Some(registration);
    }

    /// The messages that came meanwhile, each with its topic and payload. The broker's outbox is bounded.
    pub(super) fn take(&self) -> Vec<Publish> {
        let Some(registration) = &self.registration else { return Vec::new() };
        let Some(mut outbox) = registration.outbox() else { return Vec::new() };
        let taken = std::iter::from_fn(|| outbox.next_delivered()).take(MAX_TAKEN);
        taken.map(|delivery| delivery.publish().clone()).collect()
    }

    /// The last `max` of the messages that came meanwhile, for a page; `None` if there are none.
    pub(super) fn messages(&self, max: usize) -> Option<Value> {
        let taken = self.take();
        let skipped = taken.len().saturating_sub(max);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        let shown = taken.iter().skip(skipped).map(|publish| message(publish, at)).collect::<Vec<_>>();
        (!shown.is_empty()).then(|| json!({"messages": shown, "skipped": skipped}))
    }
}

/// The beginning of an observer's client id. Sessions of clients have another one.
pub(super) const PREFIX: &str = "$GEN/console-";

/// A message as the API describes it. A long payload is cut.
pub(super) fn message(publish: &Publish, at: i64) -> Value {
    let shown = publish.payload.get(..MAX_SHOWN_BYTES).unwrap_or(&publish.payload);
    let properties = publish.properties.as_deref();
    json!({
        "topic": publish.topic.as_ref().map(mqtt::TopicName::as_str), "payload": STANDARD.encode(shown),
        "bytes": publish.payload.len(), "qos": u8::from(publish.qos), "retain": publish.retain, "at": at,
        "contentType": properties.and_then(|it| it.content_type.as_deref()),
        "responseTopic": properties.and_then(|it| it.response_topic.as_ref()).map(mqtt::TopicName::as_str),
        "userProperties": properties.map(|it| it.user_properties.iter().map(|(name, value)| [&**name, &**value]).collect::<Vec<_>>()),
    })
}
