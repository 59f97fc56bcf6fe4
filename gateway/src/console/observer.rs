//! A subscriber that is no client: it has no policy, no session in the file and no line in the log. The page says so.
//!
//! Where very many messages come, it is subscribed for a part of the time only, so that what it costs the broker is bounded.

use std::{
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
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
/// The messages of each time: where more come, the observer listens for a part of the time.
const MAX_TAKEN: usize = 1_000;
/// The shortest time for which it listens: timers are not more precise.
const MIN_WINDOW: Duration = Duration::from_millis(1);
/// The messages of one time that are more than it listens to to the end.
const RUSH: usize = 4 * MAX_TAKEN;
/// How often it looks whether it has heard enough: a rush begins in the middle of a time.
const STEP: Duration = Duration::from_millis(5);

/// An observer of some topic filters.
pub(super) struct Observer {
    shared: Arc<Shared>,
    filters: Vec<TopicFilter>,
    registration: Option<Registration>,
    /// For how long it listens each time; `None` for all of the time.
    window: Option<Duration>,
    /// Whether it is subscribed now.
    listens: bool,
}

/// What came in some time.
pub(super) struct Observed {
    /// The messages, each with its topic and payload.
    pub(super) messages: Vec<Publish>,
    /// About how many more there were.
    pub(super) skipped: u64,
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
            window: None,
            listens: false,
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
        self.registration = Some(registration);
        self.listen(true).await;
    }

    /// Waits for this time. Returns the messages that came while it listened.
    pub(super) async fn observe(&mut self, time: Duration) -> Observed {
        let window = self.window.filter(|window| *window < time);
        let again = !self.listens;
        if again {
            self.listen(true).await;
        }
        let (since, window) = (Instant::now(), window.unwrap_or(time));
        let mut messages = Vec::new();
        let heard = loop {
            tokio::time::sleep(STEP.min(window.saturating_sub(since.elapsed()))).await;
            messages.extend(self.take());
            let heard = since.elapsed();
            if heard >= window || messages.len() >= RUSH {
                break heard;
            }
        };
        if heard < time {
            self.listen(false).await;
            tokio::time::sleep(time.saturating_sub(since.elapsed())).await;
        }
        if again {
            // Each time that it subscribes to a topic, the retained message comes again.
            messages.retain(|publish| !publish.retain);
        }
        let came = messages.len();
        self.window = next_window(time, heard, came);
        let share = time.as_secs_f64() / heard.as_secs_f64().max(MIN_WINDOW.as_secs_f64());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate of a few thousand messages"
        )]
        let all = (came as f64 * share.max(1.0)) as u64;
        messages.drain(..came.saturating_sub(MAX_TAKEN));
        let skipped = all.saturating_sub(messages.len() as u64);
        Observed { messages, skipped }
    }

    /// Adds its subscriptions, or removes them.
    async fn listen(&mut self, on: bool) {
        self.listens = on;
        let Some(registration) = &self.registration else { return };
        let now = self.shared.clock.now();
        for filter in &self.filters {
            // An error can only be the file's, in which an observer has nothing.
            _ = if on {
                registration.subscribe(SubscribeFilter::new(filter.clone(), QoS::AtMostOnce), now).await
            } else {
                registration.unsubscribe(filter.clone(), now).await
            };
        }
        if !on {
            // What came meanwhile is left out, like what comes later.
            drop(self.take());
        }
    }

    /// The messages that came meanwhile. The broker's outbox is bounded.
    fn take(&self) -> Vec<Publish> {
        let Some(registration) = &self.registration else { return Vec::new() };
        let Some(mut outbox) = registration.outbox() else { return Vec::new() };
        std::iter::from_fn(|| outbox.next_delivered()).map(|delivery| delivery.publish().clone()).collect()
    }

    /// The last `max` of the messages that come in this time, for a page; `None` if there are none.
    pub(super) async fn messages(&mut self, time: Duration, max: usize) -> Option<Value> {
        let Observed { messages, skipped } = self.observe(time).await;
        let more = messages.len().saturating_sub(max);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        let shown = messages.iter().skip(more).map(|publish| message(publish, at)).collect::<Vec<_>>();
        (!shown.is_empty()).then(|| json!({"messages": shown, "skipped": skipped + more as u64}))
    }
}

/// For how long to listen next, after this number of messages came in the time that was heard; `None` for all of the time.
fn next_window(time: Duration, heard: Duration, came: usize) -> Option<Duration> {
    let came = u32::try_from(came.max(1)).unwrap_or(u32::MAX);
    let max = u32::try_from(MAX_TAKEN).unwrap_or(u32::MAX);
    // It grows slowly: a short time in which little came says little about the next one.
    let wanted = (heard * max / came).min(heard * 4).max(MIN_WINDOW);
    (wanted < time).then_some(wanted)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observer_listens_for_a_part_of_the_time_where_very_many_messages_come() {
        let ms = Duration::from_millis;
        let time = ms(250);
        for (heard, came, expected) in [
            (250, 0, None),
            (250, 1_000, None),
            (250, 4_000, Some(62)),
            (62, 4_000, Some(15)),
            (1, 850, Some(1)),
            (1, 100_000, Some(1)),
            // The rush is over.
            (1, 0, Some(4)),
            (16, 10, Some(64)),
            (64, 10, None),
        ] {
            let window = next_window(time, ms(heard), came).map(|window| window.as_millis());
            assert_eq!(window, expected, "{heard} {came}");
        }
    }
}
