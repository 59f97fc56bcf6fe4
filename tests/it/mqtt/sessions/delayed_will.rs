//! Last wills with a delay: published when it is over or the session ends, and not if the client is back before.

use std::time::Duration;

use integration::{
    eventually::eventually,
    mqtt_client::{MqttClient, connect},
    script::{Step, allow},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Disconnect, DisconnectReasonCode, LastWill, Packet, QoS, Version};

use super::{come, ends, gateway, sender};

/// A CONNECT whose last will waits a minute, and its session for five.
fn with_delayed_will(id: &str, payload: &'static str) -> Connect {
    let mut will = LastWill::new("will".parse().unwrap(), payload.into());
    will.properties.delay_interval = Some(60);
    let mut connect = Connect { last_will: Some(will), ..connect(Version::V5, id, "u", "p") };
    (connect.clean_start, connect.keep_alive) = (false, 1_200);
    connect.properties.session_expiry_interval = 300;
    connect
}

async fn watcher(gateway: &TestGateway) -> MqttClient {
    let connect = Connect { keep_alive: 1_200, ..connect(Version::V5, "watcher", "u", "p") };
    let mut watcher = MqttClient::connected(gateway, connect).await;
    watcher.subscribe(&["will", "other"], QoS::AtMostOnce).await.unwrap();
    watcher
}

/// Breaks a connection off, and waits until the gateway has noticed.
async fn break_off(gateway: &TestGateway, client: MqttClient, id: &str) {
    let before = ends(gateway, id);
    drop(client);
    eventually("the end in the log", || (ends(gateway, id) > before).then_some(())).await;
}

/// Nothing came: what is published now is the next that the watcher gets.
async fn nothing_came(gateway: &TestGateway, watcher: &mut MqttClient) {
    let mut sender = sender(gateway).await;
    sender.publish("other", "nothing", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(watcher.message().await.payload, "nothing");
}

#[tokio::test]
async fn mqtt_3_1_3_9_a_will_is_published_after_its_delay() {
    let gateway = gateway().await;
    let mut watcher = watcher(&gateway).await;
    let (client, _) = come(&gateway, with_delayed_will("c", "gone")).await;
    break_off(&gateway, client, "c").await;
    gateway.advance(Duration::from_millis(59_999));
    nothing_came(&gateway, &mut watcher).await;
    gateway.advance(Duration::from_millis(1));
    assert_eq!(watcher.message().await.payload, "gone");
    let (_client, present) = come(&gateway, with_delayed_will("c", "gone")).await;
    assert!(present, "its session goes on");
    gateway.advance(Duration::from_mins(2));
    nothing_came(&gateway, &mut watcher).await;
}

#[tokio::test]
async fn mqtt_3_1_3_9_a_client_that_returns_within_the_delay_publishes_no_will() {
    let gateway = gateway().await;
    let mut watcher = watcher(&gateway).await;
    let (client, _) = come(&gateway, with_delayed_will("c", "gone")).await;
    break_off(&gateway, client, "c").await;
    gateway.advance(Duration::from_secs(59));
    let (client, _) = come(&gateway, with_delayed_will("c", "gone again")).await;
    // Taken over, it goes on too.
    let (mut other, _) = come(&gateway, with_delayed_will("c", "taken over")).await;
    eventually("the end of the first", || (ends(&gateway, "c") == 2).then_some(())).await;
    drop(client);
    gateway.advance(Duration::from_mins(2));
    nothing_came(&gateway, &mut watcher).await;
    other.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    other.closed().await;
    gateway.advance(Duration::from_mins(2));
    nothing_came(&gateway, &mut watcher).await;
}

#[tokio::test]
async fn mqtt_3_1_2_8_the_end_of_the_session_ends_the_delay() {
    let gateway = gateway().await;
    let mut watcher = watcher(&gateway).await;
    let (client, _) = come(&gateway, with_delayed_will("cleaned", "by a clean start")).await;
    break_off(&gateway, client, "cleaned").await;
    let clean = Connect { clean_start: true, last_will: None, ..with_delayed_will("cleaned", "") };
    let (_client, present) = come(&gateway, clean).await;
    assert!(!present);
    assert_eq!(watcher.message().await.payload, "by a clean start");
    let mut short = with_delayed_will("short", "by its expiry");
    short.properties.session_expiry_interval = 10;
    let (client, _) = come(&gateway, short).await;
    break_off(&gateway, client, "short").await;
    gateway.advance(Duration::from_secs(10));
    assert_eq!(watcher.message().await.payload, "by its expiry");
    let mut none = with_delayed_will("none", "at once");
    none.properties.session_expiry_interval = 0;
    let (client, _) = come(&gateway, none).await;
    break_off(&gateway, client, "none").await;
    assert_eq!(watcher.message().await.payload, "at once");
    let (client, _) = come(&gateway, with_delayed_will("clean", "at a take-over")).await;
    let clean = Connect { clean_start: true, last_will: None, ..with_delayed_will("clean", "") };
    let (_other, _) = come(&gateway, clean).await;
    assert_eq!(watcher.message().await.payload, "at a take-over");
    drop(client);
}

#[tokio::test]
async fn a_delayed_will_is_held_to_the_policy() {
    let policy = allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Subscribe", "topicfilter/*"),
        ("Allow", "iot:Receive", "topic/*"),
        ("Allow", "iot:Publish", "topic/other"),
    ]);
    let gateway = Start::with_script(&Step::Answer(policy)).0.on_manual_clock().run().await;
    let mut watcher = watcher(&gateway).await;
    let (client, _) = come(&gateway, with_delayed_will("c", "denied")).await;
    break_off(&gateway, client, "c").await;
    let line = gateway.logged_with(&[("eventType", "Publish-In"), ("clientId", "c")]).await;
    assert_eq!(line["details"], "iot:Publish denied: no statement allows");
    gateway.advance(Duration::from_mins(2));
    nothing_came(&gateway, &mut watcher).await;
}
