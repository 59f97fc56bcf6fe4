//! AWS's limits on topics, payloads and subscriptions.

use mqtt::{SubAckCode, Subscribe, SubscribeFailure, SubscribeFilter, Unsubscribe};

use super::*;

const EXACTLY_256: usize = 256;
const RESERVED: &str = "topics that begin with `$` are reserved, and clients can't publish to this one";

#[tokio::test]
async fn a_message_beyond_a_limit_ends_the_connection_and_reaches_nobody() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "#").await;
    let large = "x".repeat(128 * 1_024 + 1);
    let cases = [
        ("t".repeat(EXACTLY_256 + 1), "x", 0x90, "the topic is longer than 256 bytes"),
        ("\u{e9}".repeat(EXACTLY_256 / 2 + 1), "x", 0x90, "the topic is longer than 256 bytes"),
        ("a/b/c/d/e/f/g/h/i".to_owned(), "x", 0x90, "the topic has more than 7 slashes"),
        ("/////////".to_owned(), "x", 0x90, "the topic has more than 7 slashes"),
        ("$x".to_owned(), "x", 0x90, RESERVED),
        ("$aws/things/c/shadow/update/accepted".to_owned(), "x", 0x90, RESERVED),
        ("$SYS/broker".to_owned(), "x", 0x90, RESERVED),
        ("t".to_owned(), &large, 0x95, "the payload is larger than 131072 bytes"),
    ];
    for (n, (topic, payload, code, details)) in cases.into_iter().enumerate() {
        for (version, code) in [(Version::V311, None), (Version::V5, Some(code))] {
            let id = format!("{version:?}-{n}");
            let mut sender = MqttClient::anybody(&gateway, version, &id).await;
            sender.send(Packet::Publish(message(&topic, payload))).await;
            assert_eq!(sender.ended().await, code, "{id}");
            let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", &id)]).await;
            assert_eq!((&line["reason"], &line["details"]), (&"CLIENT_ERROR".into(), &details.into()));
        }
    }
    MqttClient::anybody(&gateway, Version::V5, "end").await.publish("t", "end", QoS::AtMostOnce).await;
    assert_eq!(watcher.message().await.payload, "end");
}

#[tokio::test]
async fn a_message_at_the_limits_arrives() {
    let gateway = TestGateway::open_to_all().await;
    let mut reader = subscriber(&gateway, Version::V5, "reader", "#").await;
    let mut sender = MqttClient::anybody(&gateway, Version::V311, "sender").await;
    let large = "x".repeat(128 * 1_024);
    for (topic, payload) in [(&*"t".repeat(EXACTLY_256), "x"), ("a/b/c/d/e/f/g/h", "x"), ("t", &large)] {
        sender.publish(topic, payload, QoS::AtLeastOnce).await.unwrap();
        let message = reader.message().await;
        assert_eq!((message.topic.unwrap().as_str(), message.payload.len()), (topic, payload.len()));
        reader.ping().await;
    }
}

#[tokio::test]
async fn a_subscribe_with_nine_filters_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x97))] {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        let filters = (0..9).map(|n| n.to_string()).collect::<Vec<_>>();
        let filters = filters.iter().map(String::as_str).collect::<Vec<_>>();
        let granted = client.subscribe(&filters[..8], QoS::AtMostOnce).await.unwrap();
        assert_eq!(granted.codes, [SubAckCode::Granted(QoS::AtMostOnce); 8]);
        let filter = |filter: &&str| SubscribeFilter::new(filter.parse().unwrap(), QoS::AtMostOnce);
        client.send(request(filters.iter().map(filter).collect())).await;
        assert_eq!(client.ended().await, code);
    }
}

#[tokio::test]
async fn the_fifty_first_subscription_is_refused_and_an_existing_one_can_change() {
    let gateway = TestGateway::open_to_all().await;
    let refusals =
        [(Version::V311, SubscribeFailure::UnspecifiedError), (Version::V5, SubscribeFailure::QuotaExceeded)];
    for (version, refusal) in refusals {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        for n in 0..50 {
            let ack = client.subscribe(&[&n.to_string()], QoS::AtMostOnce).await.unwrap();
            assert_eq!(ack.codes, [SubAckCode::Granted(QoS::AtMostOnce)]);
        }
        let ack = client.subscribe(&["one more", "49"], QoS::AtLeastOnce).await.unwrap();
        assert_eq!(ack.codes, [SubAckCode::Failed(refusal), SubAckCode::Granted(QoS::AtLeastOnce)]);
        client.publish("one more", "lost", QoS::AtMostOnce).await;
        client.publish("49", "arrives", QoS::AtMostOnce).await;
        assert_eq!(client.message().await.payload, "arrives");
    }
}

#[tokio::test]
async fn a_filter_beyond_a_limit_ends_a_connection_of_3_1_1_and_is_refused_in_mqtt_5() {
    let gateway = TestGateway::open_to_all().await;
    let long = "t".repeat(EXACTLY_256 + 1);
    let shared = format!("$share/group/{long}");
    for filter in [&*long, "a/b/c/d/e/f/g/h/#", &shared] {
        let mut new = MqttClient::anybody(&gateway, Version::V5, "new").await;
        let ack = new.subscribe(&[filter, "t"], QoS::AtMostOnce).await.unwrap();
        let invalid = SubAckCode::Failed(SubscribeFailure::TopicFilterInvalid);
        assert_eq!(ack.codes, [invalid, SubAckCode::Granted(QoS::AtMostOnce)], "{filter}");
        new.ping().await;
        let mut old = MqttClient::anybody(&gateway, Version::V311, "old").await;
        assert_eq!(old.subscribe(&["t", filter], QoS::AtMostOnce).await, None, "{filter}");
        old.closed().await;
    }
    let details = "the topic is longer than 256 bytes";
    gateway.logged_with(&[("clientId", "old"), ("reason", "CLIENT_ERROR"), ("details", details)]).await;
}

#[tokio::test]
async fn a_filter_of_256_bytes_and_7_slashes_after_its_group_is_accepted() {
    let gateway = TestGateway::open_to_all().await;
    for filter in ["t".repeat(EXACTLY_256), "a/b/c/d/e/f/g/#".to_owned()] {
        for version in [Version::V311, Version::V5] {
            let mut client = MqttClient::anybody(&gateway, version, "c").await;
            for filter in [&filter, &format!("$share/group/{filter}")] {
                let ack = client.subscribe(&[filter], QoS::AtMostOnce).await.unwrap();
                assert_eq!(ack.codes, [SubAckCode::Granted(QoS::AtMostOnce)], "{filter}");
            }
        }
    }
}

#[tokio::test]
async fn an_invalid_filter_of_mqtt_5_is_in_the_log() {
    let gateway = TestGateway::open_to_all().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    client.send_bytes(b"\x82\x0c\x00\x01\x00\x00\x06a#\x1b[2J\x00").await;
    assert!(matches!(client.receive().await, Some(Packet::SubAck(_))));
    let line = gateway.logged_with(&[("eventType", "Subscribe"), ("clientId", "c")]).await;
    assert_eq!((&line["reason"], &line["topicName"]), (&"CLIENT_ERROR".into(), &"a#\u{1b}[2J".into()));
    client.send_bytes(b"\xa2\x0b\x00\x02\x00\x00\x06a#\x1b[2J").await;
    assert!(matches!(client.receive().await, Some(Packet::UnsubAck(_))));
    let line = gateway.logged_with(&[("eventType", "Unsubscribe"), ("reason", "CLIENT_ERROR")]).await;
    assert_eq!(line["topicName"], "a#\u{1b}[2J");
}

#[tokio::test]
async fn an_unsubscribe_with_nine_filters_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x97))] {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        let filters = (0..9).map(|n| n.to_string().parse().unwrap()).collect::<Vec<_>>();
        client.unsubscribe(&["0", "1", "2", "3", "4", "5", "6", "7"]).await.unwrap();
        client.send(Packet::Unsubscribe(Unsubscribe::new(std::num::NonZeroU16::MIN, filters))).await;
        assert_eq!(client.ended().await, code);
    }
    gateway.logged_with(&[("details", "an UNSUBSCRIBE has more than 8 filters")]).await;
}

#[tokio::test]
async fn a_subscription_identifier_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let filters = vec![SubscribeFilter::new("t".parse().unwrap(), QoS::AtMostOnce)];
    let Packet::Subscribe(subscribe) = request(filters) else { unreachable!() };
    client.send(Packet::Subscribe(Subscribe { subscription_id: 1.try_into().ok(), ..subscribe })).await;
    assert_eq!(client.ended().await, Some(0xa1));
}

fn request(filters: Vec<SubscribeFilter>) -> Packet {
    Packet::Subscribe(Subscribe::new(std::num::NonZeroU16::MIN, filters))
}
