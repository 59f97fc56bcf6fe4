//! What stays when a connection ends, and what does not.

use std::time::Duration;

use mqtt::{Disconnect, DisconnectReasonCode, LastWill};

use super::*;

const GOODBYE: DisconnectReasonCode = DisconnectReasonCode::NormalDisconnection;

async fn go(gateway: &TestGateway, mut client: MqttClient) {
    client.send(Packet::Disconnect(Disconnect::new(GOODBYE))).await;
    client.closed().await;
    // The last line of a connection comes before its session is somebody else's.
    gateway.logged_with(&[("eventType", "Disconnect"), ("reason", "CLIENT_INITIATED_DISCONNECT")]).await;
}

/// 3.1.1: 3.1.2-7, 3.1.2-6, 3.2.2-1 to 3.2.2-3. 5: 3.1.2-4 to 3.1.2-6, 3.2.2-2, 3.2.2-3.
#[tokio::test]
async fn a_clean_start_ends_the_session_and_leaves_retained_messages_alone() {
    let gateway = gateway().await;
    keep(&gateway, "kept", "kept").await;
    for version in BOTH {
        let id = format!("{version:?}");
        let clean = || Connect { clean_start: true, ..persistent(version, &id) };
        for (wish, present) in [
            (persistent(version, &id), false),
            (persistent(version, &id), true),
            (clean(), false),
            (persistent(version, &id), version == Version::V5),
            (connect(version, &id, "u", "p"), false),
            (persistent(version, &id), false),
        ] {
            let (client, ack) = MqttClient::connect(&gateway, wish).await;
            assert_eq!(ack.unwrap().session_present, present, "{version:?}");
            drop(client);
        }
        let mut reader = subscriber(&gateway, version, "reader", "kept").await;
        assert_eq!(reader.message().await.payload, "kept");
    }
}

/// 3.1.1: 3.1.2-8, 3.1.2-10, 3.1.2-12, 3.14.4-3. 5: 3.1.2-7, 3.1.2-8, 3.1.2-10, 3.14.4-3.
#[tokio::test]
async fn a_will_is_published_once_and_belongs_to_its_own_connection() {
    let gateway = gateway().await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "#").await;
    for version in BOTH {
        let id = format!("{version:?}");
        let with_will = || {
            let will = LastWill::new("will".parse().unwrap(), "will".into());
            Connect { last_will: Some(will), ..persistent(version, &id) }
        };
        let polite = MqttClient::connected(&gateway, with_will()).await;
        go(&gateway, polite).await;
        drop(MqttClient::connected(&gateway, with_will()).await);
        assert_eq!(take(&mut watcher).await, "will");
        // The session goes on, and the will was that of an earlier connection.
        drop(MqttClient::connected(&gateway, persistent(version, &id)).await);
        gateway
            .logged("two losses", |_| {
                let lines = gateway.log.lines();
                let lost = |line: &&serde_json::Value| {
                    line["clientId"] == *id && line["reason"] == "CONNECTION_LOST"
                };
                lines.iter().filter(lost).count() == 2
            })
            .await;
        publish(&gateway, "end", "end").await;
        assert_eq!(take(&mut watcher).await, "end");
    }
}

/// 3.1.1: 3.1.2-16, 3.1.2-17. 5: 3.1.2-14, 3.1.2-15.
#[tokio::test]
async fn a_will_is_retained_only_with_its_retain_flag() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        for retain in [false, true] {
            let topic = format!("{version:?}/{retain}");
            let mut watcher = subscriber(&gateway, Version::V5, "watcher", &topic).await;
            let will = LastWill { retain, ..LastWill::new(topic.parse().unwrap(), "will".into()) };
            let connect = Connect { last_will: Some(will), ..connect(version, "c", "u", "p") };
            drop(MqttClient::connected(&gateway, connect).await);
            assert_eq!(take(&mut watcher).await, "will");
            let mut late = subscriber(&gateway, Version::V5, "late", &topic).await;
            if retain {
                assert!(late.message().await.retain);
            }
            late.ping().await;
        }
    }
}

/// 3.1.1: 3.1.2-14.
#[tokio::test]
async fn a_will_of_3_1_1_is_published_with_its_qos_and_one_with_qos_2_closes_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = subscriber(&gateway, Version::V311, "watcher", "will").await;
    let with_will = |qos: QoS| {
        let will = LastWill { qos, retain: true, ..LastWill::new("will".parse().unwrap(), "will".into()) };
        Connect { last_will: Some(will), ..connect(Version::V311, "c", "u", "p") }
    };
    let (_, answer) = MqttClient::connect(&gateway, with_will(QoS::ExactlyOnce)).await;
    assert_eq!(answer, None);
    gateway.logged_with(&[("reason", "CLIENT_ERROR"), ("details", "the last will asks for QoS 2")]).await;
    for (asked, came) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 1)] {
        drop(MqttClient::connected(&gateway, with_will(asked)).await);
        let message = watcher.message().await;
        assert_eq!((u8::from(message.qos), message.retain), (came, false), "{asked:?}");
        if came == 1 {
            watcher.acknowledge(&message).await;
        }
        let mut late = subscriber(&gateway, Version::V5, "late", "will").await;
        let message = late.message().await;
        assert_eq!((u8::from(message.qos), message.retain), (came, true), "{asked:?}");
    }
}

/// A gateway on a clock that the test moves, which asks its function once.
async fn gateway_without_refreshes() -> TestGateway {
    let mut answer = allow_all();
    answer["refreshAfterInSeconds"] = 86_400.into();
    Start::with_script(&Step::Answer(answer)).0.on_manual_clock().run().await
}

/// 3.1.1: 4.4.0-1, 4.1.0-2. 5: 4.4.0-1, 4.1.0-1.
#[tokio::test]
async fn an_unacknowledged_message_is_sent_again_on_the_same_connection_and_not_after_its_puback() {
    let gateway = gateway_without_refreshes().await;
    for version in BOTH {
        for connect in [persistent(version, "c"), Connect { clean_start: true, ..persistent(version, "c") }] {
            let mut client = MqttClient::connected(&gateway, connect).await;
            client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
            publish(&gateway, "t", "again").await;
            let message = client.message().await;
            for _ in 0..3 {
                gateway.advance(Duration::from_millis(29_999));
                client.ping().await;
                gateway.advance(Duration::from_millis(1));
                let again = client.message().await;
                assert_eq!((again.packet_id, again.dup), (message.packet_id, false), "AWS sets no DUP");
                assert_eq!(again.payload, "again");
            }
            client.acknowledge(&message).await;
            client.ping().await;
            for _ in 0..3 {
                gateway.advance(Duration::from_secs(30));
                client.ping().await;
            }
        }
    }
}

#[tokio::test]
async fn a_message_that_is_never_acknowledged_is_dropped_after_an_hour_or_16_minutes() {
    let gateway = gateway_without_refreshes().await;
    for (version, minutes) in [(Version::V311, 60), (Version::V5, 16)] {
        let id = format!("{version:?}");
        let mut client = MqttClient::connected(&gateway, persistent(version, &id)).await;
        client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
        publish(&gateway, "t", "again").await;
        assert_eq!(client.message().await.payload, "again");
        for _ in 1..minutes * 2 {
            gateway.advance(Duration::from_secs(30));
            assert_eq!(client.message().await.payload, "again");
            client.ping().await;
        }
        for _ in 0..3 {
            gateway.advance(Duration::from_secs(30));
            client.ping().await;
        }
        let wanted = [("eventType", "Publish-Out"), ("reason", "NOT_ACKNOWLEDGED"), ("clientId", &id)];
        let line = gateway.logged_with(&wanted).await;
        assert!(line["topicName"] == "t" && line["details"].as_str().unwrap().contains("PUBACK"), "{line}");
        drop(client);
        ended(&gateway, &id).await;
        let mut client = MqttClient::connected(&gateway, persistent(version, &id)).await;
        client.ping().await;
    }
}

/// 5: 4.4.0-2.
#[tokio::test]
async fn a_refused_message_is_not_sent_again() {
    let gateway = gateway().await;
    let mut client = MqttClient::connected(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    for payload in ["refused", "not answered"] {
        publish(&gateway, "t", payload).await;
    }
    let refused = client.message().await;
    client.message().await;
    refuse(&mut client, &refused).await;
    client.ping().await;
    drop(client);
    ended(&gateway, "c").await;
    let mut client = MqttClient::connected(&gateway, persistent(Version::V5, "c")).await;
    assert_eq!(take(&mut client).await, "not answered");
    client.ping().await;
}

/// 3.1.1: 3.1.3-2. 5: 3.1.3-2.
#[tokio::test]
async fn only_the_client_id_names_a_session() {
    let gateway = gateway().await;
    let mut client = MqttClient::connected(&gateway, persistent(Version::V311, "c")).await;
    client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    drop(client);
    ended(&gateway, "c").await;
    for other in ["C", "c ", "cc", "\u{441}"] {
        let (_, ack) = MqttClient::connect(&gateway, persistent(Version::V311, other)).await;
        assert!(!ack.unwrap().session_present, "{other}");
    }
    let mut as_another_user = persistent(Version::V311, "c");
    as_another_user.username = Some("another".into());
    let (mut client, ack) = MqttClient::connect(&gateway, as_another_user).await;
    assert!(ack.unwrap().session_present);
    publish(&gateway, "t", "x").await;
    assert_eq!(take(&mut client).await, "x");
}

/// 3.1.1: 3.3.1-5, 3.3.1-7, 3.3.1-10 to 3.3.1-12. 5: 3.3.1-5 to 3.3.1-8.
#[tokio::test]
async fn the_last_retained_message_of_either_qos_stays() {
    let gateway = TestGateway::open_to_all().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V311, "sender").await;
    let retained = |qos: QoS, payload: &str| {
        let packet_id = (qos == QoS::AtLeastOnce).then_some(std::num::NonZeroU16::MIN);
        let message = Publish::new("t".parse().unwrap(), payload.to_owned());
        Packet::Publish(Publish { retain: true, qos, packet_id, ..message })
    };
    let (once, often) = (QoS::AtMostOnce, QoS::AtLeastOnce);
    for (qos, payload) in
        [(often, "1"), (once, "2"), (often, "3"), (once, ""), (often, "4"), (often, ""), (once, "5")]
    {
        sender.send(retained(qos, payload)).await;
        if qos == often {
            assert!(matches!(sender.receive().await, Some(Packet::PubAck(_))));
        }
        sender.publish("t", "passes by", once).await;
        sender.publish("t", "", once).await;
        sender.ping().await;
        let mut reader = subscriber(&gateway, Version::V5, "reader", "t").await;
        if !payload.is_empty() {
            let message = reader.message().await;
            assert_eq!((&message.payload[..], message.qos, message.retain), (payload.as_bytes(), qos, true));
        }
        reader.ping().await;
    }
}
