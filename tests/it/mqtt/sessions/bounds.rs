//! What waits in a session waits neither for ever nor without end.

use std::{sync::Arc, time::Duration};

use mqtt::{Packet, Publish, PublishProperties, QoS, Version};

use super::{come, gateway, go, persistent, sender, take};

fn expiring(topic: &str, payload: &'static str, seconds: u32, retain: bool) -> Packet {
    let properties =
        PublishProperties { message_expiry_interval: Some(seconds), ..PublishProperties::default() };
    Packet::Publish(Publish {
        qos: QoS::AtLeastOnce,
        packet_id: std::num::NonZeroU16::new(7),
        retain,
        properties: Some(Arc::new(properties)),
        ..Publish::new(topic.parse().unwrap(), payload)
    })
}

#[tokio::test]
async fn a_waiting_message_expires_and_carries_its_remaining_interval() {
    let gateway = gateway().await;
    let mut sender = sender(&gateway).await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    go(&gateway, client, "c").await;
    for packet in [
        expiring("t", "short", 30, false),
        expiring("t", "long", 90, false),
        expiring("r/short", "short", 30, true),
        expiring("r/long", "long", 90, true),
    ] {
        sender.send(packet).await;
        assert!(matches!(sender.receive().await, Some(Packet::PubAck(_))));
    }
    gateway.advance(Duration::from_secs(30));
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    let left = |message: &Publish| message.properties.as_ref().and_then(|all| all.message_expiry_interval);
    let message = client.message().await;
    assert_eq!((&message.payload[..], left(&message)), (&b"long"[..], Some(60)));
    client.acknowledge(&message).await;
    client.subscribe(&["r/#"], QoS::AtLeastOnce).await.unwrap();
    let message = client.message().await;
    assert_eq!(
        (message.topic.as_ref().unwrap().as_str(), left(&message), message.retain),
        ("r/long", Some(60), true)
    );
    client.acknowledge(&message).await;
    client.ping().await;
}

#[tokio::test]
async fn the_queue_of_an_absent_client_is_bounded() {
    let gateway = gateway().await;
    let mut sender = sender(&gateway).await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    go(&gateway, client, "c").await;
    let payload = "x".repeat(100 * 1024);
    for n in 0..60 {
        sender.publish("t", &format!("{n:02}{payload}"), QoS::AtLeastOnce).await.unwrap();
    }
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    let mut came = 0;
    while came < 41 {
        assert_eq!(take(&mut client).await.0[..2], format!("{came:02}"));
        came += 1;
    }
    sender.publish("t", "room again", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(take(&mut client).await.0, "room again", "4 MiB are 41 of them; the rest is lost");
}
