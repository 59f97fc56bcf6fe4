//! A reading as a subscriber sees it.

use std::time::Duration;

use device_sim::Client;
use serde_json::Value;

/// Waits for a reading on this topic that was taken at this second or later, and gives its own second.
pub(crate) async fn arrives(viewer: &mut Client, topic: &str, since: u64) -> u64 {
    let waiting = async {
        loop {
            let message = viewer.next_message().await.unwrap();
            let payload: Value = serde_json::from_slice(&message.payload).unwrap();
            let ts = payload["ts"].as_u64().unwrap_or_default();
            if message.topic.as_str() == topic && ts >= since {
                assert!(payload["value"].is_number() && payload["unit"].is_string(), "{payload}");
                return ts;
            }
        }
    };
    let limit: Duration = crate::device::LIMIT;
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| panic!("no reading on {topic}"))
}

/// Waits for the next reading on any topic, and gives its second.
pub(crate) async fn next(viewer: &mut Client) -> u64 {
    let limit: Duration = crate::device::LIMIT;
    let message = tokio::time::timeout(limit, viewer.next_message()).await.unwrap().unwrap();
    serde_json::from_slice::<Value>(&message.payload).unwrap()["ts"].as_u64().unwrap()
}
