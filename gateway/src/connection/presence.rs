//! Lifecycle events: messages on reserved topics when a client connects, disconnects, is not allowed to connect, subscribes
//! or unsubscribes. An HTTPS publish causes none.
//!
//! Source: AWS IoT Core developer guide, `life-cycle-events`.

use std::time::{SystemTime, UNIX_EPOCH};

use mqtt::{Publish, TopicName};
use serde::Serialize;

use super::log::ConnectionLog;
use crate::{
    broker::{Pending, store::StoreError},
    session::disconnect_reason::DisconnectReason,
    shared::Shared,
};

/// What has happened to a client.
#[derive(Clone, Copy)]
pub(super) enum Lifecycle<'a> {
    /// It has connected. The version number is the same in both events of a connection.
    Connected(u64),
    /// Its connection has ended.
    Disconnected(u64, DisconnectReason),
    /// The policies do not allow it to connect, or to publish its last will.
    ConnectFailed,
    /// It has subscribed to these topic filters.
    Subscribed(&'a [&'a str]),
    /// It has unsubscribed from these topic filters.
    Unsubscribed(&'a [&'a str]),
}

/// One event, in AWS's form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LifecycleEvent<'a> {
    client_id: &'a str,
    /// Milliseconds since 1970.
    timestamp: u128,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_failure_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_initiated_disconnect: Option<bool>,
    session_identifier: &'a str,
    principal_identifier: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<&'a [&'a str]>,
}

/// Publishes an event. A client id with MQTT's wildcards has no events, as with AWS, nor has one that is not valid in a topic.
pub(super) fn publish(
    shared: &Shared,
    client_id: &str,
    log: &ConnectionLog,
    lifecycle: Lifecycle<'_>,
) -> Option<Pending<Result<(), StoreError>>> {
    let event = LifecycleEvent::new(client_id, log, lifecycle);
    let kind = if event.topics.is_some() { "subscriptions" } else { "presence" };
    let topic = format!("$aws/events/{kind}/{}/{client_id}", event.event_type).parse::<TopicName>().ok()?;
    let payload = serde_json::to_vec(&event).ok()?;
    // No client has an empty id, so no subscriber is taken for the sender. *(guess: lifecycle events have QoS 1)*
    let message = Publish { qos: mqtt::QoS::AtLeastOnce, ..Publish::new(topic.clone(), payload) };
    Some(shared.broker.publish("".into(), topic, message, shared.clock.now()))
}

/// Publishes an event, and waits until the broker has it.
pub(super) async fn published(
    shared: &Shared,
    client_id: &str,
    log: &ConnectionLog,
    lifecycle: Lifecycle<'_>,
) {
    let Some(published) = publish(shared, client_id, log, lifecycle) else { return };
    if let Err(error) = published.await {
        tracing::error!(%error, "a lifecycle event is lost");
    }
}

impl<'a> LifecycleEvent<'a> {
    fn new(client_id: &'a str, log: &'a ConnectionLog, lifecycle: Lifecycle<'a>) -> Self {
        let event = Self {
            client_id,
            timestamp: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis(),
            event_type: lifecycle.event_type(),
            connect_failure_reason: None,
            client_initiated_disconnect: None,
            session_identifier: log.connection_id(),
            principal_identifier: log.principal_id(),
            ip_address: None,
            disconnect_reason: None,
            version_number: None,
            topics: None,
        };
        match lifecycle {
            Lifecycle::Connected(version) => {
                Self { ip_address: Some(log.source_ip()), version_number: Some(version), ..event }
            }
            Lifecycle::Disconnected(version, reason) => Self {
                client_initiated_disconnect: Some(matches!(reason, DisconnectReason::Client { .. })),
                disconnect_reason: Some(reason.aws_name()),
                version_number: Some(version),
                ..event
            },
            Lifecycle::ConnectFailed => Self {
                connect_failure_reason: Some("AUTHORIZATION_FAILED"),
                ip_address: Some(log.source_ip()),
                ..event
            },
            Lifecycle::Subscribed(topics) | Lifecycle::Unsubscribed(topics) => {
                Self { topics: Some(topics), ..event }
            }
        }
    }
}

impl Lifecycle<'_> {
    fn event_type(self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::Disconnected(..) => "disconnected",
            Self::ConnectFailed => "connect_failed",
            Self::Subscribed(_) => "subscribed",
            Self::Unsubscribed(_) => "unsubscribed",
        }
    }
}
