//! What waits in a session waits neither for ever nor without end.

use std::{sync::Arc, time::Duration};

use gateway::quotas::Quotas;
use integration::{
    mqtt_client::MqttClient,
    script::{Step, allow_all},
    test_gateway::Start,
};
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

fn left(message: &Publish) -> Option<u32> {
    message.properties.as_ref().and_then(|all| all.message_expiry_interval)
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
    let message = client.message().await;
    assert_eq!((&message.payload[..], left(&message)), (&b"long"[..], Some(60)));
    client.acknowledge(&message).await;
    client.subscribe(&["r/short", "r/long"], QoS::AtLeastOnce).await.unwrap();
    let message = client.message().await;
    assert_eq!(
        (message.topic.as_ref().unwrap().as_str(), left(&message), message.retain),
        ("r/long", Some(60), true)
    );
    client.acknowledge(&message).await;
    client.ping().await;
}

#[tokio::test]
async fn a_message_expiry_interval_of_0_becomes_1_and_of_more_than_seven_days_becomes_seven_days() {
    let gateway = gateway().await;
    let mut sender = sender(&gateway).await;
    for (asked, granted) in [(0, 1), (604_800, 604_800), (604_801, 604_800), (u32::MAX, 604_800)] {
        let topic = format!("t/{asked}");
        let (mut new, _) = come(&gateway, persistent(Version::V5, "new")).await;
        let (mut old, _) = come(&gateway, persistent(Version::V311, "old")).await;
        for client in [&mut new, &mut old] {
            client.subscribe(&[&topic], QoS::AtLeastOnce).await.unwrap();
        }
        sender.send(expiring(&topic, "x", asked, true)).await;
        assert!(matches!(sender.receive().await, Some(Packet::PubAck(_))));
        assert_eq!(take(&mut old).await.0, "x");
        let message = new.message().await;
        assert_eq!(left(&message), Some(granted), "{asked}");
        new.acknowledge(&message).await;
    }
    let mut late = MqttClient::anybody(&gateway, Version::V5, "late").await;
    for (millis, expected) in [(1, Some(0)), (998, Some(0)), (1, None)] {
        gateway.advance(Duration::from_millis(millis));
        late.subscribe(&["t/0"], QoS::AtMostOnce).await.unwrap();
        if expected.is_some() {
            assert_eq!(left(&late.message().await), expected, "less than a second is left");
        }
        late.ping().await;
    }
}

#[tokio::test]
async fn a_message_that_expires_before_its_acknowledgement_is_not_sent_again() {
    let gateway = gateway().await;
    let mut sender = sender(&gateway).await;
    for version in [Version::V311, Version::V5] {
        let id = format!("{version:?}");
        let (mut client, _) = come(&gateway, persistent(version, &id)).await;
        client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
        for (payload, seconds) in [("short", 20), ("long", 21)] {
            sender.send(expiring("t", payload, seconds, false)).await;
            assert!(matches!(sender.receive().await, Some(Packet::PubAck(_))));
            assert_eq!(client.message().await.payload, payload);
        }
        go(&gateway, client, &id).await;
        gateway.advance(Duration::from_secs(20));
        let (mut client, _) = come(&gateway, persistent(version, &id)).await;
        assert_eq!(take(&mut client).await.0, "long");
        client.ping().await;
    }
}

#[tokio::test]
async fn stored_messages_come_at_ten_a_second_and_new_ones_pass_by_them() {
    let start = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock();
    let quota = Quotas::AWS.stored_messages_per_second;
    let gateway = start.with(|settings| settings.quotas.stored_messages_per_second = quota).run().await;
    let mut sender = sender(&gateway).await;
    for version in [Version::V311, Version::V5] {
        let id = format!("{version:?}");
        let (mut client, _) = come(&gateway, persistent(version, &id)).await;
        client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
        for n in 0..2 {
            sender.publish("t", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
            client.message().await;
        }
        go(&gateway, client, &id).await;
        for n in 2..25 {
            sender.publish("t", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
        }
        let (mut client, _) = come(&gateway, persistent(version, &id)).await;
        for second in [0..10, 10..20, 20..25] {
            for n in second {
                assert_eq!(take(&mut client).await.0, n.to_string(), "{version:?}");
            }
            client.ping().await;
            sender.publish("t", "new", QoS::AtLeastOnce).await.unwrap();
            assert_eq!(take(&mut client).await.0, "new");
            gateway.advance(Duration::from_millis(999));
            client.ping().await;
            gateway.advance(Duration::from_millis(1));
        }
        client.ping().await;
    }
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
