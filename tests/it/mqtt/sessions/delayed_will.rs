//! Last wills with a delay: published when it is over or the session ends, and not if the client is back before.

use std::time::Duration;

use gateway::delayed_will_limit::DelayedWills;
use integration::{
    eventually::eventually,
    http_client::plain_get,
    mqtt_client::{MqttClient, connect},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Disconnect, DisconnectReasonCode, LastWill, Packet, QoS, Version};
use serde_json::json;

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

async fn metric(gateway: &TestGateway, name: &str) -> usize {
    let text = plain_get(gateway.addresses.status.unwrap(), "/metrics").await.1;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
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
async fn a_delayed_will_outlives_the_rights_of_its_client() {
    let mut answer = allow_all();
    answer["refreshAfterInSeconds"] = json!(86_400);
    let (start, script) = Start::with_script(&Step::Answer(answer.clone()));
    let gateway = start.on_manual_clock().run().await;
    let mut watcher = watcher(&gateway).await;
    let mut sender = sender(&gateway).await;
    answer["refreshAfterInSeconds"] = json!(300);
    script.set(&Step::Answer(answer));
    let mut connect = with_delayed_will("c", "gone");
    connect.last_will.as_mut().unwrap().properties.delay_interval = Some(20);
    let (mut client, _) = come(&gateway, connect).await;
    script.set(&Step::Answer(json!({"isAuthenticated": false})));
    gateway.advance(Duration::from_mins(5));
    client.closed().await;
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "c"), ("reason", "AUTH_ERROR")]).await;
    gateway.advance(Duration::from_millis(19_999));
    sender.publish("other", "nothing", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(watcher.message().await.payload, "nothing", "the delay is not over");
    gateway.advance(Duration::from_millis(1));
    assert_eq!(watcher.message().await.payload, "gone");
}

#[tokio::test]
async fn a_will_above_the_limit_is_published_without_its_delay() {
    let one = DelayedWills { number: 1, bytes: 1_000 };
    let start = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock();
    let gateway = start.with(|settings| settings.limits.delayed_wills = one).run().await;
    let mut watcher = watcher(&gateway).await;
    let (first, _) = come(&gateway, with_delayed_will("first", "waits")).await;
    break_off(&gateway, first, "first").await;
    let bytes = "will".len() + "waits".len();
    for (name, value) in [("latchkey_delayed_wills", 1), ("latchkey_delayed_will_bytes", bytes)] {
        assert_eq!(metric(&gateway, name).await, value, "{name}");
    }
    let (second, _) = come(&gateway, with_delayed_will("second", "at once")).await;
    break_off(&gateway, second, "second").await;
    assert_eq!(watcher.message().await.payload, "at once");
    gateway
        .logged_with(&[("eventType", "Publish-In"), ("clientId", "second"), ("reason", "THROTTLED")])
        .await;
    gateway.advance(Duration::from_mins(1));
    assert_eq!(watcher.message().await.payload, "waits");
    let (third, _) = come(&gateway, with_delayed_will("third", "waits too")).await;
    break_off(&gateway, third, "third").await;
    nothing_came(&gateway, &mut watcher).await;
}
