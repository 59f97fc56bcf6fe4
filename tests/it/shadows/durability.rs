//! Shadows outlive the gateway's process, however that ends.

use std::{
    num::NonZeroU16,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use integration::{
    eventually::eventually,
    gateway_process::{AT_ANY_RATE, GatewayProcess},
    mqtt_client::{MqttClient, connect},
    script::{self, Script, Step, allow_all},
    test_gateway::Start,
};
use mqtt::{Packet, Publish, QoS, Version};
use serde_json::json;
use tempfile::tempdir;

use super::{CLASSIC, NAMED, document, request};

/// How many updates of each publisher are acknowledged before a gateway is killed.
const ENOUGH: usize = 60;
/// How many updates of one publisher may be on their way.
const WINDOW: usize = 8;

#[tokio::test]
async fn documents_and_versions_of_deleted_shadows_survive_a_restart() {
    let gateway = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock().run().await;
    let mut app = MqttClient::anybody(&gateway, Version::V5, "app").await;
    for n in 1..4 {
        let state = json!({"state": {"desired": {"n": n}, "reported": {"deep": {"er": [n, {"x": "ü"}]}}}});
        for prefix in [CLASSIC, NAMED] {
            request(&mut app, &format!("{prefix}/update"), &state.to_string()).await;
        }
    }
    request(&mut app, &format!("{NAMED}/delete"), "").await;
    let before = document(&gateway, CLASSIC).await.unwrap();
    assert_eq!((&before.0["desired"], before.1), (&json!({"n": 3}), 3));
    let start = gateway.stop().await;
    start.clock().advance(Duration::from_hours(1));
    let gateway = start.run().await;
    assert_eq!(document(&gateway, CLASSIC).await, Some(before));
    gateway.clock.as_ref().unwrap().advance(Duration::from_secs(1));
    assert_eq!(document(&gateway, NAMED).await, None);
    let mut app = MqttClient::anybody(&gateway, Version::V5, "app").await;
    request(&mut app, &format!("{NAMED}/update"), r#"{"state":{}}"#).await;
    gateway.clock.as_ref().unwrap().advance(Duration::from_secs(1));
    assert_eq!(document(&gateway, NAMED).await, Some((json!({}), 4)));
}

async fn process(folder: &Path) -> GatewayProcess {
    let script = Script::new(folder, &Step::Answer(allow_all()));
    let path = script.path().display().to_string();
    let quotas = format!(
        "{AT_ANY_RATE}shadow_requests_per_second = 0\nshadow_requests_per_second_per_shadow = 0\n\
         shadow_requests_unanswered = 100\n"
    );
    std::fs::write(folder.join("latchkey.toml"), quotas).unwrap();
    GatewayProcess::start(folder, "scripted-function", true, &[(script::VARIABLE, &path)]).await
}

/// Updates the shadow of a Thing with `n` counting from 1 until the gateway is gone. How many were acknowledged.
async fn update_until_the_end(mut client: MqttClient, topic: String, count: &AtomicUsize) -> u64 {
    let mut acknowledged = 0;
    for n in 1_usize.. {
        let payload = json!({"state": {"desired": {"n": n}, "reported": {"n": n}}}).to_string();
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            packet_id: NonZeroU16::new(u16::try_from(n % 10_000 + 1).unwrap()),
            ..Publish::new(topic.parse().unwrap(), payload)
        };
        if !client.try_send(Packet::Publish(publish)).await {
            break;
        }
        if n > WINDOW {
            let Some(Packet::PubAck(_)) = client.receive().await else { break };
            acknowledged += 1;
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    while let Some(Packet::PubAck(_)) = client.receive().await {
        acknowledged += 1;
    }
    acknowledged
}

#[tokio::test]
async fn a_gateway_killed_under_load_loses_no_acknowledged_update_and_has_none_by_halves() {
    let folder = tempdir().unwrap();
    let gateway = process(folder.path()).await;
    let (mut counts, mut publishers) = (Vec::new(), Vec::new());
    for thing in ["one", "two", "three"] {
        let (client, ack) = MqttClient::connect(&gateway, connect(Version::V5, thing, "u", "p")).await;
        assert!(ack.is_some());
        let (count, topic) = (Arc::new(AtomicUsize::new(0)), format!("$aws/things/{thing}/shadow/update"));
        counts.push(Arc::clone(&count));
        let work = async move { (thing, update_until_the_end(client, topic, &count).await) };
        publishers.push(tokio::spawn(work));
    }
    // Of each publisher: while one connects, those before it already publish.
    let enough = || counts.iter().all(|count| count.load(Ordering::Relaxed) >= ENOUGH).then_some(());
    eventually("enough updates", enough).await;
    gateway.kill().await;
    let gateway = process(folder.path()).await;
    for publisher in publishers {
        let (thing, acknowledged) = publisher.await.unwrap();
        let (state, version) = document(&gateway, &format!("$aws/things/{thing}/shadow")).await.unwrap();
        assert!(version >= acknowledged, "{thing}: {version} of {acknowledged}");
        assert_eq!(state, json!({"desired": {"n": version}, "reported": {"n": version}}), "{thing}");
    }
}
