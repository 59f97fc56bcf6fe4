//! Lifecycle events: messages on reserved topics when a client connects or disconnects.
//!
//! Source: AWS IoT Core developer guide, `life-cycle-events`.

use std::time::{SystemTime, UNIX_EPOCH};

use mqtt::{Publish, TopicName};
use serde::Serialize;

use super::log::ConnectionLog;
use crate::{session::disconnect_reason::DisconnectReason, shared::Shared};

/// One event, in AWS's form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LifecycleEvent<'a> {
    client_id: &'a str,
    /// Milliseconds since 1970.
    timestamp: u128,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_initiated_disconnect: Option<bool>,
    session_identifier: &'a str,
    principal_identifier: &'a str,
    ip_address: &'a str,
    /// The same in both events of a connection, and greater for a later connection.
    version_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'static str>,
}

/// A client has connected.
pub(super) async fn connected(shared: &Shared, client_id: &str, log: &ConnectionLog, version: u64) {
    publish(shared, client_id, log, version, None).await;
}

/// A client's connection has ended.
pub(super) async fn disconnected(
    shared: &Shared,
    client_id: &str,
    log: &ConnectionLog,
    version: u64,
    reason: DisconnectReason,
) {
    publish(shared, client_id, log, version, Some(reason)).await;
}

/// A client id with MQTT's wildcards has no events, as with AWS, nor has one that is not valid in a topic.
async fn publish(
    shared: &Shared,
    client_id: &str,
    log: &ConnectionLog,
    version: u64,
    reason: Option<DisconnectReason>,
) {
    let event_type = if reason.is_some() { "disconnected" } else { "connected" };
    let topic = format!("$aws/events/presence/{event_type}/{client_id}").parse::<TopicName>();
    let Ok(topic) = topic else { return };
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let event = LifecycleEvent {
        client_id,
        timestamp: since_1970.as_millis(),
        event_type,
        client_initiated_disconnect: reason.map(|reason| matches!(reason, DisconnectReason::Client { .. })),
        session_identifier: log.connection_id(),
        principal_identifier: log.principal_id(),
        ip_address: log.source_ip(),
        version_number: version,
        disconnect_reason: reason.map(DisconnectReason::aws_name),
    };
    let Ok(payload) = serde_json::to_vec(&event) else { return };
    // No client has an empty id, so no subscriber is taken for the sender. AWS sends them at QoS 1 *(unverified)*.
    let message = Publish { qos: mqtt::QoS::AtLeastOnce, ..Publish::new(topic.clone(), payload) };
    let published = shared.broker.publish("".into(), topic, message, shared.clock.now());
    if let Err(error) = published.await {
        tracing::error!(%error, "a lifecycle event is lost");
    }
}
