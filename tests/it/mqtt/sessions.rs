//! Sessions that outlive their connection: what waits in them, for how long, and who gets it.

mod bounds;
mod delayed_will;

use std::time::Duration;

use integration::{
    eventually::eventually,
    mqtt_client::{self, MqttClient, connect},
    refusal::refused,
    script::{Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Disconnect, DisconnectReasonCode, Packet, QoS, Version};
use serde_json::{Value, json};

const BOTH: [Version; 2] = [Version::V311, Version::V5];
const HOUR: Duration = Duration::from_hours(1);

async fn gateway() -> TestGateway {
    Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock().run().await
}

/// A CONNECT that goes on with its session, and wants it kept for five minutes where it can say so.
fn persistent(version: Version, id: &str) -> Connect {
    mqtt_client::persistent(version, id, 300)
}

/// The client, and whether the gateway went on with its session.
async fn come(gateway: &TestGateway, connect: Connect) -> (MqttClient, bool) {
    let (client, ack) = MqttClient::connect(gateway, connect).await;
    let ack = ack.unwrap_or_else(|| panic!("no CONNACK: {}", gateway.log.text()));
    assert_eq!(ack.code, mqtt::ConnectReasonCode::Success, "{}", gateway.log.text());
    (client, ack.session_present)
}

/// Says goodbye, and waits until the gateway has taken note.
async fn go(gateway: &TestGateway, mut client: MqttClient, id: &str) {
    let before = ends(gateway, id);
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    client.closed().await;
    eventually("the end in the log", || (ends(gateway, id) > before).then_some(())).await;
}

fn ends(gateway: &TestGateway, id: &str) -> usize {
    gateway
        .log
        .lines()
        .iter()
        .filter(|line| line["eventType"] == "Disconnect" && line["clientId"] == id)
        .count()
}

async fn sender(gateway: &TestGateway) -> MqttClient {
    let connect = Connect { keep_alive: 1_200, ..connect(Version::V5, "sender", "u", "p") };
    MqttClient::connected(gateway, connect).await
}

/// An answer that allows everything but a persistent session.
fn no_persistent_session() -> Value {
    let mut answer = allow_all();
    answer["policyDocuments"] = json!([{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "iot:Connect", "Resource": "*",
            "Condition": {"ForAnyValue:StringEquals": {"iot:ConnectAttributes": "PersistentConnect"}}}]}]);
    answer
}

/// The next message, acknowledged: its payload, and whether it says that it may be a repetition.
async fn take(client: &mut MqttClient) -> (String, bool) {
    let message = client.message().await;
    if message.qos == QoS::AtLeastOnce {
        client.acknowledge(&message).await;
    }
    (String::from_utf8(message.payload.to_vec()).unwrap(), message.dup)
}

#[tokio::test]
async fn subscriptions_persist_and_qos_1_messages_wait_in_order() {
    let gateway = gateway().await;
    let mut sender = sender(&gateway).await;
    for version in BOTH {
        let id = format!("{version:?}");
        let (mut client, present) = come(&gateway, persistent(version, &id)).await;
        assert!(!present, "there was none");
        client.subscribe(&["once", "often/#"], QoS::AtLeastOnce).await.unwrap();
        client.subscribe(&["lossy"], QoS::AtMostOnce).await.unwrap();
        go(&gateway, client, &id).await;
        sender.publish("lossy", "by subscription", QoS::AtLeastOnce).await.unwrap();
        sender.publish("once", "by publication", QoS::AtMostOnce).await;
        for n in 0..150 {
            sender.publish("often/x", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
        }
        let (mut client, present) = come(&gateway, persistent(version, &id)).await;
        assert!(present);
        for n in 0..150 {
            assert_eq!(take(&mut client).await, (n.to_string(), false));
        }
        sender.publish("once", "now", QoS::AtLeastOnce).await.unwrap();
        assert_eq!(take(&mut client).await, ("now".to_owned(), false), "QoS 0 was not kept");
        let (mut client, present) = come(&gateway, connect(version, &id, "u", "p")).await;
        assert!(!present, "a clean start is one");
        sender.publish("once", "nobody", QoS::AtLeastOnce).await.unwrap();
        client.ping().await;
    }
}

#[tokio::test]
async fn an_unacknowledged_message_is_sent_again_with_its_packet_id() {
    let gateway = gateway().await;
    let mut sender = sender(&gateway).await;
    for version in BOTH {
        let id = format!("{version:?}");
        let (mut client, _) = come(&gateway, persistent(version, &id)).await;
        client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
        for payload in ["a", "b", "c"] {
            sender.publish("t", payload, QoS::AtLeastOnce).await.unwrap();
        }
        let sent = [client.message().await, client.message().await, client.message().await];
        client.acknowledge(&sent[1]).await;
        client.ping().await;
        go(&gateway, client, &id).await;
        let (mut client, present) = come(&gateway, persistent(version, &id)).await;
        assert!(present);
        for earlier in [&sent[0], &sent[2]] {
            let again = client.message().await;
            assert_eq!(
                (again.packet_id, &again.payload, again.dup),
                (earlier.packet_id, &earlier.payload, false)
            );
            client.acknowledge(&again).await;
        }
        client.ping().await;
        go(&gateway, client, &id).await;
        let (mut client, present) = come(&gateway, persistent(version, &id)).await;
        assert!(present);
        sender.publish("t", "and no other", QoS::AtLeastOnce).await.unwrap();
        assert_eq!(take(&mut client).await, ("and no other".to_owned(), false));
    }
}

#[tokio::test]
async fn messages_that_a_slow_reader_left_wait_for_its_next_connection() {
    // Far more than the sockets' buffers, the mailbox and the flow take together.
    const MESSAGES: usize = 10_000;
    let gateway = gateway().await;
    let mut sender = sender(&gateway).await;
    for version in BOTH {
        let id = format!("{version:?}");
        let (mut client, _) = come(&gateway, persistent(version, &id)).await;
        client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
        let before = ends(&gateway, &id);
        for n in 0..MESSAGES {
            sender.publish("t", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
        }
        eventually("the end of the slow one", || (ends(&gateway, &id) > before).then_some(())).await;
        let (mut again, present) = come(&gateway, persistent(version, &id)).await;
        assert!(present);
        for n in 0..MESSAGES {
            assert_eq!(take(&mut again).await.0, n.to_string());
        }
        drop(client);
    }
}

#[tokio::test]
async fn another_principal_does_not_resume_a_session() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.on_manual_clock().run().await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    go(&gateway, client, "c").await;
    sender(&gateway).await.publish("t", "not yours", QoS::AtLeastOnce).await.unwrap();
    let mut answer = allow_all();
    answer["principalId"] = json!("somebodyelse");
    script.set(&Step::Answer(answer));
    let (mut other, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(!present);
    other.subscribe(&["own"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = sender(&gateway).await;
    for topic in ["t", "own"] {
        sender.publish(topic, topic, QoS::AtLeastOnce).await.unwrap();
    }
    assert_eq!(take(&mut other).await.0, "own");
}

#[tokio::test]
async fn a_client_that_lost_the_permission_does_not_resume_its_session() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.on_manual_clock().run().await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    go(&gateway, client, "c").await;
    script.set(&Step::Answer(no_persistent_session()));
    let mut wish = persistent(Version::V5, "c");
    wish.properties.session_expiry_interval = 0;
    assert!(!come(&gateway, wish).await.1);
}

#[tokio::test]
async fn a_denied_subscribe_of_3_1_1_leaves_nothing_in_the_session() {
    let answer = allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/*"),
        ("Allow", "iot:Receive", "topic/*"),
        ("Allow", "iot:Subscribe", "topicfilter/mine"),
        ("Allow", "iot:Subscribe", "topicfilter/last"),
    ]);
    let gateway = Start::with_script(&Step::Answer(answer)).0.on_manual_clock().run().await;
    let (mut client, _) = come(&gateway, persistent(Version::V311, "c")).await;
    assert!(client.subscribe(&["mine", "others"], QoS::AtLeastOnce).await.is_none());
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "c")]).await;
    let (mut client, present) = come(&gateway, persistent(Version::V311, "c")).await;
    assert!(present);
    client.subscribe(&["last"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = sender(&gateway).await;
    for topic in ["mine", "last"] {
        sender.publish(topic, topic, QoS::AtLeastOnce).await.unwrap();
    }
    assert_eq!(take(&mut client).await.0, "last");
}

#[tokio::test]
async fn a_session_ends_when_it_expires() {
    let gateway = gateway().await;
    for (version, expiry) in [(Version::V311, 3_600), (Version::V5, 300)] {
        let id = format!("{version:?}");
        for (away, stays) in [(expiry - 1, true), (expiry, false)] {
            let (mut client, _) = come(&gateway, persistent(version, &id)).await;
            client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
            go(&gateway, client, &id).await;
            gateway.advance(Duration::from_secs(away));
            // The sender's own keep-alive is shorter than that.
            sender(&gateway).await.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
            let (mut client, present) = come(&gateway, persistent(version, &id)).await;
            assert_eq!(present, stays, "{version:?} after {away} s");
            if stays {
                assert_eq!(take(&mut client).await.0, "x");
            }
            client.ping().await;
            go(&gateway, client, &id).await;
        }
    }
}

#[tokio::test]
async fn a_disconnect_changes_the_session_expiry_but_creates_no_session() {
    let gateway = gateway().await;
    let goodbye = |seconds| {
        let disconnect = Disconnect::new(DisconnectReasonCode::NormalDisconnection);
        Packet::Disconnect(Disconnect { session_expiry_interval: Some(seconds), ..disconnect })
    };
    let cases = [
        (0, 0, false),
        (10, 9, true),
        (10, 10, false),
        (600, 599, true),
        (u32::MAX, 3_599, true),
        // An hour is the most, here too.
        (u32::MAX, 3_600, false),
    ];
    for (seconds, away, stays) in cases {
        let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
        let before = ends(&gateway, "c");
        client.send(goodbye(seconds)).await;
        client.closed().await;
        eventually("the end in the log", || (ends(&gateway, "c") > before).then_some(())).await;
        gateway.advance(Duration::from_secs(away));
        let (client, present) = come(&gateway, persistent(Version::V5, "c")).await;
        assert_eq!(present, stays, "{seconds} s, after {away} s");
        go(&gateway, client, "c").await;
        gateway.advance(HOUR);
    }
    let mut client = MqttClient::anybody(&gateway, Version::V5, "d").await;
    client.send(goodbye(10)).await;
    assert_eq!(client.ended().await, Some(0x82), "a protocol error");
}

#[tokio::test]
async fn a_second_connection_resumes_the_session_of_the_first() {
    let gateway = gateway().await;
    let mut sender = sender(&gateway).await;
    for version in BOTH {
        let id = format!("{version:?}");
        let (mut first, _) = come(&gateway, persistent(version, &id)).await;
        first.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
        sender.publish("t", "sent", QoS::AtLeastOnce).await.unwrap();
        let sent = first.message().await;
        let (mut second, present) = come(&gateway, persistent(version, &id)).await;
        assert!(present);
        first.closed().await;
        sender.publish("t", "new", QoS::AtLeastOnce).await.unwrap();
        let again = second.message().await;
        assert_eq!((again.packet_id, again.dup, &again.payload), (sent.packet_id, false, &sent.payload));
        second.acknowledge(&again).await;
        assert_eq!(take(&mut second).await, ("new".to_owned(), false));
    }
}

/// The old session ends then, also if its client is still connected.
#[tokio::test]
async fn a_client_of_the_other_version_does_not_resume_a_session() {
    let gateway = gateway().await;
    let mut sender = sender(&gateway).await;
    for [old, new] in [BOTH, [Version::V5, Version::V311]] {
        for is_connected in [false, true] {
            let id = format!("{old:?}-{is_connected}");
            let (mut client, _) = come(&gateway, persistent(old, &id)).await;
            client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
            let earlier = if is_connected {
                Some(client)
            } else {
                go(&gateway, client, &id).await;
                None
            };
            sender.publish("t", "lost", QoS::AtLeastOnce).await.unwrap();
            let (mut client, present) = come(&gateway, persistent(new, &id)).await;
            assert!(!present, "{id}");
            client.subscribe(&["u"], QoS::AtLeastOnce).await.unwrap();
            for topic in ["t", "u"] {
                sender.publish(topic, topic, QoS::AtLeastOnce).await.unwrap();
            }
            assert_eq!(take(&mut client).await.0, "u");
            drop((client, earlier));
            assert!(!come(&gateway, persistent(old, &id)).await.1, "{id}: it does not come back");
        }
    }
}

#[tokio::test]
async fn a_session_without_expiry_is_not_kept() {
    let gateway = gateway().await;
    let mut first = MqttClient::anybody(&gateway, Version::V5, "c").await;
    first.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    let (mut second, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(!present);
    sender(&gateway).await.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
    second.ping().await;
}

#[tokio::test]
async fn a_resumed_session_drops_what_the_policies_no_longer_allow() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.on_manual_clock().run().await;
    let mut sender = sender(&gateway).await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["kept", "lost"], QoS::AtLeastOnce).await.unwrap();
    sender.publish("lost", "unacknowledged", QoS::AtLeastOnce).await.unwrap();
    client.message().await;
    go(&gateway, client, "c").await;
    for topic in ["lost", "kept"] {
        sender.publish(topic, topic, QoS::AtLeastOnce).await.unwrap();
    }
    let answer = allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Subscribe", "topicfilter/kept"),
        ("Allow", "iot:Receive", "topic/kept"),
    ]);
    script.set(&Step::Answer(answer));
    let (mut client, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(present);
    assert_eq!(take(&mut client).await, ("kept".to_owned(), false));
    sender.publish("lost", "again", QoS::AtLeastOnce).await.unwrap();
    client.ping().await;
    for event in ["Subscribe", "Publish-Out"] {
        let line =
            gateway.logged_with(&[("eventType", event), ("clientId", "c"), ("topicName", "lost")]).await;
        assert_eq!(line["reason"], "AUTHORIZATION_FAILURE");
    }
}

#[tokio::test]
async fn the_policy_decides_on_a_persistent_session() {
    let gateway = Start::with_script(&Step::Answer(no_persistent_session())).0.run().await;
    for version in BOTH {
        refused(&gateway, persistent(version, "c"), mqtt::ConnectReasonCode::NotAuthorized).await;
        MqttClient::anybody(&gateway, version, "c").await;
    }
}
