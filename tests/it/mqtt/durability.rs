//! What outlives the gateway's process, however that ends.

mod process;

use std::{collections::BTreeSet, num::NonZeroU16, time::Duration};

use integration::{
    mqtt_client::{self, MqttClient, connect},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Disconnect, DisconnectReasonCode, Packet, Publish, PublishProperties, QoS, Version};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

async fn gateway() -> TestGateway {
    Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock().run().await
}

async fn restarted(gateway: TestGateway) -> TestGateway {
    gateway.stop().await.run().await
}

/// A CONNECT that goes on with its session, and wants it kept for ten minutes where it can say so.
fn persistent(version: Version, id: &str) -> Connect {
    mqtt_client::persistent(version, id, 600)
}

async fn come(gateway: &TestGateway, connect: Connect) -> (MqttClient, bool) {
    let (client, ack) = MqttClient::connect(gateway, connect).await;
    (client, ack.unwrap_or_else(|| panic!("no CONNACK: {}", gateway.log.text())).session_present)
}

/// The next message, acknowledged: its payload, packet id, and whether it says that it may be a repetition.
async fn take(client: &mut MqttClient) -> (String, NonZeroU16, bool) {
    let message = client.message().await;
    client.acknowledge(&message).await;
    let payload = String::from_utf8(message.payload.to_vec()).unwrap();
    (payload, message.packet_id.unwrap(), message.dup)
}

async fn publish(gateway: &TestGateway, messages: &[&str]) {
    let mut sender = MqttClient::anybody(gateway, Version::V5, "sender").await;
    for message in messages {
        sender.publish("t/x", message, QoS::AtLeastOnce).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_continues_after_a_restart_with_its_packet_ids_and_order() {
    for version in BOTH {
        let gateway = gateway().await;
        let (mut client, _) = come(&gateway, persistent(version, "c")).await;
        client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
        client.subscribe(&["gone"], QoS::AtLeastOnce).await.unwrap();
        publish(&gateway, &["a", "b", "c"]).await;
        take(&mut client).await;
        let unacknowledged = [client.message().await, client.message().await];
        client.ping().await;
        // It is still connected when the gateway stops.
        let gateway = restarted(gateway).await;
        publish(&gateway, &["d"]).await;
        let (mut client, present) = come(&gateway, persistent(version, "c")).await;
        assert!(present, "{version:?}");
        for (sent, payload) in unacknowledged.iter().zip(["b", "c"]) {
            assert_eq!(take(&mut client).await, (payload.to_owned(), sent.packet_id.unwrap(), false));
        }
        let (payload, packet_id, again) = take(&mut client).await;
        assert_eq!((payload.as_str(), again), ("d", false));
        assert!(unacknowledged.iter().all(|sent| sent.packet_id != Some(packet_id)));
        // What was acknowledged is gone.
        client.ping().await;
        let gateway = restarted(gateway).await;
        let (mut client, present) = come(&gateway, persistent(version, "c")).await;
        assert!(present);
        client.ping().await;
        publish(&gateway, &["e"]).await;
        assert_eq!(take(&mut client).await.0, "e");
    }
}

#[tokio::test]
async fn sessions_expire_while_the_gateway_is_stopped() {
    let gateway = gateway().await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    client.closed().await;
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "c")]).await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for (payload, seconds) in [("short", 100), ("long", 500)] {
        let properties =
            PublishProperties { message_expiry_interval: Some(seconds), ..PublishProperties::default() };
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            packet_id: Some(NonZeroU16::MIN),
            properties: Some(properties.into()),
            ..Publish::new("t/x".parse().unwrap(), payload)
        };
        sender.send(Packet::Publish(publish)).await;
        assert!(matches!(sender.receive().await, Some(Packet::PubAck(_))));
    }
    let start = gateway.stop().await;
    start.clock().advance(Duration::from_secs(200));
    let gateway = start.run().await;
    let (mut client, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(present, "400 of its 600 seconds are left");
    let message = client.message().await;
    assert_eq!(message.payload, "long");
    assert_eq!(message.properties.as_ref().unwrap().message_expiry_interval, Some(300));
    let start = gateway.stop().await;
    start.clock().advance(Duration::from_mins(10));
    let gateway = start.run().await;
    let (_, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(!present, "clients that were connected left when the gateway stopped");
}

/// A machine that slept tells the steady clock nothing of it.
#[tokio::test]
async fn a_session_does_not_expire_because_the_machine_slept() {
    let gateway = gateway().await;
    gateway.clock.as_ref().unwrap().sleep(Duration::from_hours(8));
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    client.closed().await;
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "c")]).await;
    publish(&gateway, &["a"]).await;
    let gateway = restarted(gateway).await;
    let (mut client, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(present);
    assert_eq!(take(&mut client).await.0, "a");
}

#[tokio::test]
async fn messages_of_a_shared_subscription_survive_a_restart_until_a_member_acknowledges_them() {
    const SHARED: &str = "$share/g/t/+";
    let gateway = gateway().await;
    let (mut away, _) = come(&gateway, persistent(Version::V5, "away")).await;
    away.subscribe(&[SHARED], QoS::AtLeastOnce).await.unwrap();
    publish(&gateway, &["a", "b"]).await;
    let (first, second) = (away.message().await, away.message().await);
    assert_eq!((&first.payload[..], &second.payload[..]), (&b"a"[..], &b"b"[..]));
    away.acknowledge(&first).await;
    away.ping().await;
    drop(away);
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "away")]).await;
    publish(&gateway, &["c"]).await;
    let gateway = restarted(gateway).await;
    let mut joins = MqttClient::anybody(&gateway, Version::V311, "joins").await;
    joins.subscribe(&[SHARED], QoS::AtLeastOnce).await.unwrap();
    assert_eq!(take(&mut joins).await.0, "b");
    assert_eq!(joins.message().await.payload, "c");
    joins.ping().await;
    let gateway = restarted(gateway).await;
    let (mut away, present) = come(&gateway, persistent(Version::V5, "away")).await;
    assert!(present);
    assert_eq!(take(&mut away).await.0, "c", "its member did not acknowledge it");
    away.ping().await;
    let gateway = restarted(gateway).await;
    come(&gateway, persistent(Version::V5, "away")).await.0.ping().await;
}

#[tokio::test]
async fn an_ended_session_does_not_return() {
    let gateway = gateway().await;
    let begin = async |connect: Connect| {
        let (mut client, _) = come(&gateway, connect).await;
        client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
        client
    };
    let mut given_up = begin(persistent(Version::V5, "given-up")).await;
    let goodbye = Disconnect {
        session_expiry_interval: Some(0),
        ..Disconnect::new(DisconnectReasonCode::NormalDisconnection)
    };
    given_up.send(Packet::Disconnect(goodbye)).await;
    given_up.closed().await;
    begin(persistent(Version::V5, "cleaned")).await;
    let cleaned = Connect { clean_start: true, ..persistent(Version::V5, "cleaned") };
    let (_cleaned, _) = come(&gateway, cleaned).await;
    begin(persistent(Version::V5, "over")).await;
    let (_over, present) =
        come(&gateway, Connect { clean_start: false, ..connect(Version::V5, "over", "u", "p") }).await;
    assert!(present, "it goes on, but no longer than this connection");
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "given-up")]).await;
    let gateway = restarted(gateway).await;
    publish(&gateway, &["for nobody"]).await;
    for (id, there) in [("given-up", false), ("cleaned", true), ("over", false)] {
        let (mut client, present) = come(&gateway, persistent(Version::V5, id)).await;
        assert_eq!(present, there, "{id}");
        client.ping().await;
    }
}

#[tokio::test]
async fn a_removed_subscription_does_not_return() {
    let gateway = gateway().await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t/#", "u"], QoS::AtLeastOnce).await.unwrap();
    client.subscribe(&["u"], QoS::AtMostOnce).await.unwrap();
    client.unsubscribe(&["t/#"]).await.unwrap();
    let gateway = restarted(gateway).await;
    let (mut client, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(present);
    publish(&gateway, &["not any more"]).await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "another").await;
    sender.publish("u", "as subscribed last", QoS::AtLeastOnce).await.unwrap();
    let message = client.message().await;
    assert_eq!((&message.payload[..], message.qos), (&b"as subscribed last"[..], QoS::AtMostOnce));
}

#[tokio::test]
async fn retained_messages_survive_a_restart_and_cleared_ones_do_not() {
    let gateway = gateway().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for (topic, payload) in [("r/a", "old"), ("r/a", "new"), ("r/b", "gone"), ("r/b", ""), ("r/c", "kept")] {
        let publish = Publish { retain: true, ..Publish::new(topic.parse().unwrap(), payload) };
        sender.send(Packet::Publish(publish)).await;
    }
    sender.ping().await;
    let gateway = restarted(gateway).await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    client.subscribe(&["r/a", "r/b", "r/c"], QoS::AtLeastOnce).await.unwrap();
    let mut found = BTreeSet::new();
    for message in [client.message().await, client.message().await] {
        found.insert((message.topic.unwrap().as_str().to_owned(), message.payload, message.retain));
    }
    let expected =
        [("r/a", "new"), ("r/c", "kept")].map(|(topic, payload)| (topic.to_owned(), payload.into(), true));
    assert_eq!(found, expected.into());
    client.ping().await;
}
