//! Last wills: published when a connection breaks, never when it ends as it should, never past the policy.

use std::time::Duration;

use integration::{eventually::eventually, script::allow};
use mqtt::{Connect, Disconnect, DisconnectReasonCode, LastWill};

use super::*;

fn with_will(version: Version, id: &str, payload: &str) -> Connect {
    let mut will = LastWill::new("will".parse().unwrap(), payload.to_owned().into());
    will.qos = QoS::AtLeastOnce;
    Connect { last_will: Some(will), keep_alive: 1_200, ..connect(version, id, "u", "p") }
}

#[tokio::test]
async fn a_lost_connection_publishes_its_will_and_a_disconnect_does_not() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "#").await;
    for version in BOTH {
        let mut polite = MqttClient::connected(&gateway, with_will(version, "polite", "lost")).await;
        polite.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
        polite.closed().await;
        drop(MqttClient::connected(&gateway, with_will(version, "gone", "gone")).await);
        let message = watcher.message().await;
        assert_eq!((&message.payload[..], message.qos), (&b"gone"[..], QoS::AtLeastOnce));
        let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "gone")]).await;
        assert_eq!((&line["status"], &line["reason"]), (&"Failure".into(), &"CONNECTION_LOST".into()));
        let mut broken = MqttClient::connected(&gateway, with_will(version, "broken", "broken")).await;
        broken.send_bytes(b"\xc1\x00").await;
        assert_eq!(watcher.message().await.payload, "broken", "a mistake is no DISCONNECT");
    }
    let mut wants = MqttClient::connected(&gateway, with_will(Version::V5, "wants", "asked for")).await;
    wants.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::DisconnectWithWillMessage))).await;
    assert_eq!(watcher.message().await.payload, "asked for");
}

#[tokio::test]
async fn a_client_that_stops_reading_is_lost_and_its_will_is_published() {
    let gateway = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock().run().await;
    let patient = |id| Connect { keep_alive: 1_200, ..connect(Version::V5, id, "u", "p") };
    let mut watcher = MqttClient::connected(&gateway, patient("watcher")).await;
    watcher.subscribe(&["will"], QoS::AtMostOnce).await.unwrap();
    let mut stuck = MqttClient::connected(&gateway, with_will(Version::V5, "stuck", "stuck")).await;
    stuck.subscribe(&["flood"], QoS::AtMostOnce).await.unwrap();
    let mut sender = MqttClient::connected(&gateway, patient("sender")).await;
    let large = "x".repeat(128 * 1_024);
    // Far more than the sockets' buffers take.
    for _ in 0..200 {
        sender.publish("flood", &large, QoS::AtMostOnce).await;
    }
    sender.ping().await;
    let lost = || {
        gateway.advance(Duration::from_secs(1));
        let lines = gateway.log.lines();
        lines.into_iter().find(|line| line["eventType"] == "Disconnect" && line["clientId"] == "stuck")
    };
    assert_eq!(eventually("the end of patience", lost).await["reason"], "CONNECTION_LOST");
    assert_eq!(watcher.message().await.payload, "stuck");
    drop(stuck);
}

#[tokio::test]
async fn a_retained_will_is_stored_with_its_mqtt_5_properties() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "#").await;
    let mut connect = with_will(Version::V5, "gone", "gone");
    let will = connect.last_will.as_mut().unwrap();
    (will.retain, will.qos) = (true, QoS::AtMostOnce);
    will.properties.content_type = Some("text/plain".into());
    will.properties.user_properties = vec![("k".into(), "v".into())];
    drop(MqttClient::connected(&gateway, connect).await);
    let expected = with_properties(message("will", "gone"), |given| {
        given.content_type = Some("text/plain".into());
        given.user_properties = vec![("k".into(), "v".into())];
    });
    assert_eq!(watcher.message().await, expected);
    let mut late = subscriber(&gateway, Version::V5, "late", "will").await;
    assert_eq!(late.message().await, Publish { retain: true, ..expected });
}

#[tokio::test]
async fn a_connect_whose_will_the_policy_denies_is_refused() {
    let policy = allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/*"),
        ("Deny", "iot:Publish", "topic/will"),
        ("Allow", "iot:Subscribe", "topicfilter/*"),
        ("Allow", "iot:Receive", "topic/*"),
    ]);
    let gateway = Start::with_script(&Step::Answer(policy)).0.run().await;
    let cases = [
        (
            "denied",
            "will",
            false,
            "iot:Connect denied: its last will needs iot:Publish on `will`, denied by document 0 statement 2",
        ),
        (
            "retains",
            "open",
            true,
            "iot:Connect denied: its last will needs iot:RetainPublish on `open`, denied: no statement allows: document 0 \
             statement 1 allows `iot:Publish` on it, and not `iot:RetainPublish`",
        ),
    ];
    for version in BOTH {
        for (id, topic, retain, details) in cases {
            let mut connect = with_will(version, id, "denied");
            let will = connect.last_will.as_mut().unwrap();
            (will.topic, will.retain) = (topic.parse().unwrap(), retain);
            let (_, ack) = MqttClient::connect(&gateway, connect.clone()).await;
            assert!(ack.is_none_or(|ack| ack.code == mqtt::ConnectReasonCode::NotAuthorized), "{id}");
            let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", id)]).await;
            assert_eq!(
                (&line["reason"], &line["explanation"]),
                (&"AUTHORIZATION_FAILURE".into(), &details.into())
            );
            connect.last_will = None;
            MqttClient::connected(&gateway, connect).await;
        }
    }
}

#[tokio::test]
async fn a_connect_whose_will_could_never_be_published_is_refused() {
    let gateway = TestGateway::open_to_all().await;
    let will = |topic: &str, payload: usize, qos| {
        let mut will = LastWill::new(topic.parse().unwrap(), "x".repeat(payload).into());
        will.qos = qos;
        will
    };
    let cases = [
        (will("a/b/c/d/e/f/g/h/i", 1, QoS::AtMostOnce), "the last will: the topic has more than 7 slashes"),
        (
            will("$aws/x", 1, QoS::AtMostOnce),
            "the last will: topics that begin with `$` are reserved, and clients can't publish to this one",
        ),
        (will(&"t".repeat(257), 1, QoS::AtMostOnce), "the last will: the topic is longer than 256 bytes"),
        (will("t", 1, QoS::ExactlyOnce), "the last will asks for QoS 2"),
    ];
    for (will, details) in cases {
        let connect = Connect { last_will: Some(will), ..connect(Version::V5, "c", "u", "p") };
        let (_, ack) = MqttClient::connect(&gateway, connect).await;
        assert!(u8::from(ack.unwrap().code) >= 0x80, "{details}");
        gateway.logged_with(&[("reason", "CLIENT_ERROR"), ("details", details)]).await;
    }
}
