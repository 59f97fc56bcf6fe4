//! Readings as a subscriber receives them.

use std::time::Duration;

use device_sim::Client;
use serde_json::Value;

/// Waits for a reading on this topic that was measured at this second or later, and returns its second.
pub(crate) async fn wait_for(viewer: &mut Client, topic: &str, since: u64) -> u64 {
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

/// Waits for the next reading on any topic, and returns its second.
pub(crate) async fn next(viewer: &mut Client) -> u64 {
    let limit: Duration = crate::device::LIMIT;
    let message = tokio::time::timeout(limit, viewer.next_message()).await.unwrap().unwrap();
    serde_json::from_slice::<Value>(&message.payload).unwrap()["ts"].as_u64().unwrap()
}

/// The most seconds between two temperatures that this device has sent, at one a second: two because of rounding, more
/// if some were lost.
pub(crate) fn longest_gap(printed: &str) -> u64 {
    let sent = printed.lines().filter(|line| line.contains("mqtt: sent sensor/sht20/temperature"));
    let seconds: Vec<u64> = sent.map(second_of).collect();
    seconds.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().expect("two temperatures")
}

/// The second of the reading in a line of the log.
pub(crate) fn second_of(line: &str) -> u64 {
    let (_, payload) = line.split_once('{').unwrap();
    serde_json::from_str::<Value>(&format!("{{{payload}")).unwrap()["ts"].as_u64().unwrap()
}
