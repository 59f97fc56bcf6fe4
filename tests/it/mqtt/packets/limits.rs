//! AWS's limits on topics, payloads and subscriptions.

use mqtt::{SubAckCode, Subscribe, SubscribeFailure, SubscribeFilter};

use super::*;

const EXACTLY_256: usize = 256;

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
        ("$x".to_owned(), "x", 0x90, "topics that begin with `$` are reserved"),
        ("$aws/things/c/shadow/update".to_owned(), "x", 0x90, "topics that begin with `$` are reserved"),
        ("$SYS/broker".to_owned(), "x", 0x90, "topics that begin with `$` are reserved"),
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
async fn a_filter_beyond_a_limit_is_refused_and_the_connection_goes_on() {
    let gateway = TestGateway::open_to_all().await;
    let long = "t".repeat(EXACTLY_256 + 1);
    let invalid = SubscribeFailure::TopicFilterInvalid;
    let shared = format!("$share/group/{long}");
    for (filter, failure) in [(&*long, invalid), ("a/b/c/d/e/f/g/h/#", invalid), (&shared, invalid)] {
        for (version, failure) in
            [(Version::V311, SubscribeFailure::UnspecifiedError), (Version::V5, failure)]
        {
            let mut client = MqttClient::anybody(&gateway, version, "c").await;
            let ack = client.subscribe(&[filter], QoS::AtMostOnce).await.unwrap();
            assert_eq!(ack.codes, [SubAckCode::Failed(failure)], "{filter}");
            client.ping().await;
        }
    }
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
    Packet::Subscribe(Subscribe {
        packet_id: std::num::NonZeroU16::MIN,
        filters,
        subscription_id: None,
        user_properties: Vec::new(),
    })
}
