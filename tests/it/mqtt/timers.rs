//! Keep-alive, refresh and the fixed end of a connection, on a clock that only the test moves.

use std::{num::NonZeroU16, time::Duration};

use integration::{
    eventually::{eventually, within},
    mqtt_client::{MqttClient, connect},
    refusal,
    script::{Script, Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, PubAckCode, QoS, Version};
use serde_json::{Value, json};

/// AWS's longest; no test here waits for it but those that say so.
const LONGEST: u16 = 1_200;

/// Everything but publishing, and but receiving from other topics than `open`.
const ONLY_OPEN: [(&str, &str, &str); 3] = [
    ("Allow", "iot:Connect", "client/*"),
    ("Allow", "iot:Subscribe", "topicfilter/*"),
    ("Allow", "iot:Receive", "topic/open"),
];

async fn scripted(answer: Value) -> (TestGateway, Script) {
    let (start, script) = Start::with_script(&Step::Answer(answer));
    (start.on_manual_clock().run().await, script)
}

async fn client(gateway: &TestGateway, version: Version, id: &str, keep_alive: u16) -> MqttClient {
    MqttClient::connected(gateway, Connect { keep_alive, ..connect(version, id, "u", "p") }).await
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn with_timers(refresh: u32, disconnect: u32) -> Value {
    let mut answer = allow_all();
    answer["refreshAfterInSeconds"] = json!(refresh);
    answer["disconnectAfterInSeconds"] = json!(disconnect);
    answer
}

async fn ended(gateway: &TestGateway, client_id: &str, reason: &str) {
    let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", client_id)]).await;
    assert_eq!((&line["status"], &line["reason"]), (&json!("Failure"), &json!(reason)));
}

#[tokio::test]
async fn one_and_a_half_keep_alive_times_of_silence_end_the_connection() {
    let (gateway, _script) = scripted(with_timers(86_400, 86_400)).await;
    let cases = [(30, 45), (40, 60), (60, 90), (1_200, 1_800), (1, 45), (0, 1_800), (u16::MAX, 1_800)];
    for (n, (keep_alive, silence)) in cases.into_iter().enumerate() {
        for (version, code) in [(Version::V311, None), (Version::V5, Some(0x8d))] {
            let id = format!("{version:?}-{n}");
            let mut client = client(&gateway, version, &id, keep_alive).await;
            gateway.advance(seconds(silence - 1));
            client.ping().await;
            gateway.advance(seconds(silence));
            assert_eq!(client.ended().await, code, "{keep_alive}");
            ended(&gateway, &id, "MQTT_KEEP_ALIVE_TIMEOUT").await;
        }
    }
}

#[tokio::test]
async fn any_packet_keeps_a_connection_alive_and_messages_to_it_do_not() {
    let (gateway, _script) = scripted(with_timers(86_400, 86_400)).await;
    let mut reader = client(&gateway, Version::V5, "reader", 60).await;
    reader.subscribe(&["t"], QoS::AtMostOnce).await.unwrap();
    let mut sender = client(&gateway, Version::V311, "sender", 60).await;
    for _ in 0..5 {
        gateway.advance(seconds(60));
        sender.publish("other", "x", QoS::AtLeastOnce).await.unwrap();
        reader.ping().await;
    }
    gateway.advance(seconds(60));
    sender.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(reader.message().await.payload, "x");
    gateway.advance(seconds(31));
    assert_eq!(reader.ended().await, Some(0x8d));
    sender.ping().await;
}

#[tokio::test]
async fn the_function_is_called_again_with_the_same_event_after_its_refresh_time() {
    let (gateway, script) = scripted(with_timers(300, 86_400)).await;
    let mut client = client(&gateway, Version::V5, "c", LONGEST).await;
    gateway.advance(seconds(299));
    client.ping().await;
    assert_eq!(script.calls(), 1);
    for (after, next) in [(1, 600), (600, 301), (301, 300)] {
        refresh(&gateway, &script, &mut client, after, with_timers(next, 86_400)).await;
    }
    let events = script.events();
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| *event == events[0]), "the credentials are those of the CONNECT");
}

/// Brings a refresh after this number of seconds, not before, and waits until its answer, `timers` and another policy,
/// holds.
async fn refresh(gateway: &TestGateway, script: &Script, client: &mut MqttClient, after: u64, timers: Value) {
    let (calls, topic) = (script.calls(), format!("only/{}", script.calls()));
    let mut answer =
        allow(&[("Allow", "iot:Connect", "client/*"), ("Allow", "iot:Publish", &format!("topic/{topic}"))]);
    for timer in ["refreshAfterInSeconds", "disconnectAfterInSeconds"] {
        answer[timer] = timers[timer].clone();
    }
    script.set(&Step::Answer(answer));
    gateway.advance(seconds(after - 1));
    client.ping().await;
    assert_eq!(script.calls(), calls, "a second early");
    gateway.advance(seconds(1));
    until(client, "denied", PubAckCode::NotAuthorized).await;
    until(client, &topic, PubAckCode::Success).await;
    assert_eq!(script.calls(), calls + 1);
}

#[tokio::test]
async fn new_policies_apply_as_soon_as_a_refresh_returns_them() {
    let (gateway, script) = scripted(allow_all()).await;
    let mut client = client(&gateway, Version::V5, "c", LONGEST).await;
    assert_eq!(client.publish("t", "x", QoS::AtLeastOnce).await.unwrap().code, PubAckCode::Success);
    script.set(&Step::Answer(allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/other"),
    ])));
    gateway.advance(seconds(300));
    until(&mut client, "t", PubAckCode::NotAuthorized).await;
    assert_eq!(client.publish("other", "x", QoS::AtLeastOnce).await.unwrap().code, PubAckCode::Success);
    script.set(&Step::Answer(allow_all()));
    gateway.advance(seconds(300));
    until(&mut client, "t", PubAckCode::Success).await;
    assert_eq!(script.calls(), 3);
}

/// Publishes again and again until the answer is `code`.
async fn until(client: &mut MqttClient, topic: &str, code: PubAckCode) {
    let asking = async { while client.publish(topic, "x", QoS::AtLeastOnce).await.unwrap().code != code {} };
    within("the new policy", asking).await;
}

#[tokio::test]
async fn a_subscription_delivers_nothing_after_its_policy_is_gone() {
    let (gateway, script) = scripted(allow_all()).await;
    let mut reader = client(&gateway, Version::V5, "reader", LONGEST).await;
    reader.subscribe(&["secret", "open"], QoS::AtMostOnce).await.unwrap();
    script.set(&Step::Answer(allow(&ONLY_OPEN)));
    gateway.advance(seconds(300));
    until(&mut reader, "other", PubAckCode::NotAuthorized).await;
    script.set(&Step::Answer(allow_all()));
    let mut sender = client(&gateway, Version::V5, "sender", LONGEST).await;
    sender.publish("secret", "hidden", QoS::AtLeastOnce).await.unwrap();
    sender.publish("open", "shown", QoS::AtLeastOnce).await.unwrap();
    let shown = async { while reader.message().await.payload != "shown" {} };
    within("the open message", shown).await;
    let line = gateway.logged_with(&[("eventType", "Publish-Out"), ("topicName", "secret")]).await;
    assert_eq!(line["explanation"], "iot:Receive denied: no statement allows: it is allowed on `topic/open`");
}

#[tokio::test]
async fn a_waiting_message_is_not_sent_after_its_policy_is_gone() {
    let (gateway, script) = scripted(allow_all()).await;
    let mut slow = connect(Version::V5, "slow", "u", "p");
    slow.keep_alive = 1_200;
    slow.properties.receive_maximum = NonZeroU16::new(1);
    let mut slow = MqttClient::connected(&gateway, slow).await;
    slow.subscribe(&["secret", "open"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = client(&gateway, Version::V5, "sender", LONGEST).await;
    for (topic, payload) in [("open", "first"), ("secret", "hidden"), ("open", "last")] {
        sender.publish(topic, payload, QoS::AtLeastOnce).await.unwrap();
    }
    let first = slow.message().await;
    assert_eq!(first.payload, "first", "the others wait for its acknowledgement");
    script.set(&Step::Answer(allow(&ONLY_OPEN)));
    gateway.advance(seconds(300));
    gateway.logged_with(&[("eventType", "Publish-Out"), ("topicName", "secret")]).await;
    slow.acknowledge(&first).await;
    assert_eq!(slow.message().await.payload, "last");
}

#[tokio::test]
async fn a_subscription_ends_with_the_policy_that_allowed_it() {
    let (gateway, script) = scripted(allow_all()).await;
    let mut reader = client(&gateway, Version::V5, "reader", LONGEST).await;
    reader.subscribe(&["gone", "stays"], QoS::AtMostOnce).await.unwrap();
    let stays = [
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/*"),
        ("Allow", "iot:Receive", "topic/*"),
        ("Allow", "iot:Subscribe", "topicfilter/stays"),
    ];
    script.set(&Step::Answer(allow(&stays)));
    gateway.advance(seconds(300));
    gateway.logged_with(&[("eventType", "Subscribe"), ("topicName", "gone")]).await;
    let mut sender = client(&gateway, Version::V5, "sender", LONGEST).await;
    sender.publish("gone", "withdrawn", QoS::AtLeastOnce).await.unwrap();
    sender.publish("stays", "kept", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(reader.message().await.payload, "kept");
}

#[tokio::test]
async fn the_last_will_of_a_client_refused_at_a_refresh_is_published() {
    let (gateway, script) = scripted(with_timers(86_400, 86_400)).await;
    let mut watcher = client(&gateway, Version::V5, "watcher", LONGEST).await;
    watcher.subscribe(&["will"], QoS::AtMostOnce).await.unwrap();
    let no_connect = allow(&[("Allow", "iot:Publish", "topic/*")]);
    for (id, answer) in [("refused", json!({"isAuthenticated": false})), ("no-connect", no_connect)] {
        script.set(&Step::Answer(with_timers(300, 86_400)));
        let mut revoked = MqttClient::connected(&gateway, with_will(id)).await;
        script.set(&Step::Answer(answer));
        gateway.advance(seconds(300));
        revoked.closed().await;
        assert_eq!(watcher.message().await.payload, id);
        ended(&gateway, id, "AUTH_ERROR").await;
    }
}

#[tokio::test]
async fn a_last_will_is_held_to_the_policies_of_the_last_refresh() {
    let (gateway, script) = scripted(with_timers(86_400, 86_400)).await;
    let mut watcher = client(&gateway, Version::V5, "watcher", LONGEST).await;
    watcher.subscribe(&["will", "open"], QoS::AtMostOnce).await.unwrap();
    script.set(&Step::Answer(with_timers(300, 86_400)));
    let mut narrowed = MqttClient::connected(&gateway, with_will("narrowed")).await;
    let only_open = allow(&[("Allow", "iot:Connect", "client/*"), ("Allow", "iot:Publish", "topic/open")]);
    script.set(&Step::Answer(only_open));
    gateway.advance(seconds(300));
    until(&mut narrowed, "denied", PubAckCode::NotAuthorized).await;
    drop(narrowed);
    ended(&gateway, "narrowed", "CONNECTION_LOST").await;
    gateway
        .logged_with(&[("eventType", "Publish-In"), ("clientId", "narrowed"), ("topicName", "will")])
        .await;
    let mut sender = client(&gateway, Version::V5, "sender", LONGEST).await;
    sender.publish("open", "open", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(watcher.message().await.payload, "open");
}

/// A CONNECT whose last will has its id.
fn with_will(id: &'static str) -> Connect {
    let will = mqtt::LastWill::new("will".parse().unwrap(), id.into());
    Connect { last_will: Some(will), keep_alive: LONGEST, ..connect(Version::V5, id, "u", "p") }
}

#[tokio::test]
async fn a_refresh_that_names_another_principal_ends_the_connection() {
    let (gateway, script) = scripted(allow_all()).await;
    let mut client = client(&gateway, Version::V5, "c", LONGEST).await;
    let mut other = allow_all();
    other["principalId"] = "another".into();
    script.set(&Step::Answer(other));
    gateway.advance(seconds(300));
    client.closed().await;
    ended(&gateway, "c", "AUTH_ERROR").await;
}

#[tokio::test]
async fn a_failed_refresh_ends_the_connection() {
    let other = allow(&[("Allow", "iot:Connect", "client/other"), ("Allow", "iot:Publish", "topic/*")]);
    let denied = allow(&[("Allow", "iot:Connect", "client/*"), ("Deny", "iot:Connect", "client/*")]);
    let cases = [
        ("refused", Step::Answer(json!({"isAuthenticated": false})), "NOT_AUTHENTICATED"),
        ("garbage", Step::Answer(json!("garbage")), "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR"),
        ("error", Step::Error, "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR"),
        ("crash", Step::Crash, "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR"),
        ("no-connect", Step::Answer(other), "AUTHORIZATION_FAILURE"),
        ("denied", Step::Answer(denied), "AUTHORIZATION_FAILURE"),
    ];
    for (name, step, reason) in cases {
        for (version, code) in [(Version::V311, None), (Version::V5, Some(0x87))] {
            let (gateway, script) = scripted(allow_all()).await;
            let mut client = client(&gateway, version, name, LONGEST).await;
            script.set(&step);
            gateway.advance(seconds(300));
            assert_eq!(client.ended().await, code, "{name}");
            ended(&gateway, name, "AUTH_ERROR").await;
            gateway.logged_with(&[("status", "Failure"), ("clientId", name), ("reason", reason)]).await;
        }
    }
}

#[tokio::test]
async fn a_refresh_that_times_out_ends_the_connection_and_meanwhile_it_works() {
    let (gateway, script) = scripted(allow_all()).await;
    let mut client = client(&gateway, Version::V5, "c", LONGEST).await;
    script.set(&Step::Hang);
    gateway.advance(seconds(300));
    eventually("the call", || (script.calls() == 2).then_some(())).await;
    assert_eq!(client.publish("t", "x", QoS::AtLeastOnce).await.unwrap().code, PubAckCode::Success);
    gateway.advance(seconds(5));
    assert_eq!(client.ended().await, Some(0x87));
    ended(&gateway, "c", "AUTH_ERROR").await;
    let failed = ("reason", "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR");
    gateway.logged_with(&[("eventType", "Connection.AuthNError"), failed]).await;
}

#[tokio::test]
async fn a_disabled_device_is_disconnected_at_the_refresh_and_others_stay() {
    let start = Start::with_authorizer().on_manual_clock();
    let (off, on) = (start.add("off", "own-topics"), start.add("on", "own-topics"));
    let gateway = start.run().await;
    for name in ["off", "on"] {
        gateway.change(name, |record| record.refresh_after_seconds = 300.try_into().ok());
    }
    let patient = |version, name: &str, password: &str| Connect {
        keep_alive: LONGEST,
        ..connect(version, name, name, password)
    };
    let mut stays = MqttClient::connected(&gateway, patient(Version::V5, "on", &on)).await;
    let mut leaves = MqttClient::connected(&gateway, patient(Version::V5, "off", &off)).await;
    gateway.change("off", |record| record.enabled = false);
    leaves.publish("off/t", "x", QoS::AtLeastOnce).await.unwrap();
    gateway.advance(seconds(300));
    assert_eq!(leaves.ended().await, Some(0x87));
    ended(&gateway, "off", "AUTH_ERROR").await;
    gateway.logged_with(&[("event", "decision"), ("reason", "device_disabled"), ("device", "off")]).await;
    stays.publish("on/t", "x", QoS::AtLeastOnce).await.unwrap();
    let connect = patient(Version::V311, "off", &off);
    refusal::refused(&gateway, connect, mqtt::ConnectReasonCode::NotAuthorized).await;
}

#[tokio::test]
async fn unusable_records_leave_the_last_ones_in_force_at_the_refresh() {
    let start = Start::with_authorizer().on_manual_clock();
    let password = start.add("dev", "own-topics");
    let gateway = start.run().await;
    gateway.change("dev", |record| record.refresh_after_seconds = 300.try_into().ok());
    let connect = Connect { keep_alive: LONGEST, ..connect(Version::V5, "dev", "dev", &password) };
    let mut client = MqttClient::connected(&gateway, connect).await;
    std::fs::write(gateway.folder.path().join("devices.json"), "{").unwrap();
    gateway.advance(seconds(300));
    gateway.logged_with(&[("event", "records_not_usable"), ("kind", "bad_record")]).await;
    client.publish("dev/t", "x", QoS::AtLeastOnce).await.unwrap();
}

#[tokio::test]
async fn a_refresh_does_not_change_when_a_connection_ends() {
    let (gateway, script) = scripted(with_timers(300, 500)).await;
    let mut old = client(&gateway, Version::V311, "old", LONGEST).await;
    let mut new = client(&gateway, Version::V5, "new", LONGEST).await;
    script.set(&Step::Answer(with_timers(300, 86_400)));
    gateway.advance(seconds(300));
    eventually("both refreshes", || (script.calls() == 4).then_some(())).await;
    gateway.advance(seconds(199));
    old.ping().await;
    new.ping().await;
    gateway.advance(seconds(1));
    assert_eq!((old.ended().await, new.ended().await), (None, Some(0xa0)));
    for id in ["old", "new"] {
        ended(&gateway, id, "CUSTOMAUTH_TTL_EXPIRATION").await;
    }
}

#[tokio::test]
async fn a_refresh_neither_extends_nor_shortens_a_connection() {
    let (gateway, script) = scripted(with_timers(300, 1_000)).await;
    let mut client = client(&gateway, Version::V5, "c", LONGEST).await;
    refresh(&gateway, &script, &mut client, 300, with_timers(300, 300)).await;
    refresh(&gateway, &script, &mut client, 300, with_timers(300, 86_400)).await;
    refresh(&gateway, &script, &mut client, 300, with_timers(300, 86_400)).await;
    gateway.advance(seconds(99));
    client.ping().await;
    gateway.advance(seconds(1));
    assert_eq!(client.ended().await, Some(0xa0));
}
