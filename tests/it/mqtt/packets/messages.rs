//! Messages on their way from one client to another.

use mqtt::{
    DisconnectReasonCode, PubAckCode, SubAckCode, Subscribe, SubscribeFilter, UnsubAckCode, Unsubscribe,
};

use super::*;

const ONE: std::num::NonZeroU16 = std::num::NonZeroU16::MIN;

fn subscribe(filters: Vec<SubscribeFilter>) -> Packet {
    Packet::Subscribe(Subscribe::new(ONE, filters))
}

fn filter(filter: &str) -> SubscribeFilter {
    SubscribeFilter::new(filter.parse().unwrap(), QoS::AtLeastOnce)
}

#[tokio::test]
async fn a_message_has_the_lower_qos_of_publisher_and_subscriber() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        for published in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            for subscribed in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                let mut reader = MqttClient::anybody(&gateway, version, "reader").await;
                let ack = reader.subscribe(&["t"], subscribed).await.unwrap();
                assert_eq!(ack.codes, [SubAckCode::Granted(subscribed)]);
                let mut sender = MqttClient::anybody(&gateway, version, "sender").await;
                let ack = sender.publish("t", "x", published).await;
                assert_eq!(ack.is_some(), published == QoS::AtLeastOnce);
                let message = reader.message().await;
                assert_eq!(message.qos, published.min(subscribed), "{version:?}");
                assert_eq!(message.packet_id.is_some(), message.qos == QoS::AtLeastOnce);
                assert_eq!((message.retain, message.dup), (false, false));
            }
        }
    }
}

#[tokio::test]
async fn a_qos_2_publish_is_not_acknowledged_and_reaches_nobody() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "#").await;
    let qos_2 =
        || Packet::Publish(Publish { qos: QoS::ExactlyOnce, packet_id: Some(ONE), ..message("t", "lost") });
    let mut old = MqttClient::anybody(&gateway, Version::V311, "old").await;
    old.send(qos_2()).await;
    old.ping().await;
    old.publish("t", "arrives", QoS::AtLeastOnce).await.unwrap();
    let mut new = MqttClient::anybody(&gateway, Version::V5, "new").await;
    new.send(qos_2()).await;
    assert_eq!(new.ended().await, Some(0x9b));
    old.publish("t", "arrives too", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(watcher.message().await.payload, "arrives");
    assert_eq!(watcher.message().await.payload, "arrives too");
}

#[tokio::test]
async fn a_subscribe_with_qos_2_is_not_acknowledged_in_3_1_1_and_gets_qos_1_in_5() {
    let gateway = TestGateway::open_to_all().await;
    let mut old = MqttClient::anybody(&gateway, Version::V311, "old").await;
    let filters = vec![filter("a"), SubscribeFilter { qos: QoS::ExactlyOnce, ..filter("b") }];
    old.send(subscribe(filters)).await;
    old.ping().await;
    for topic in ["a", "b"] {
        old.publish(topic, "x", QoS::AtLeastOnce).await.unwrap();
    }
    old.ping().await;
    let mut new = MqttClient::anybody(&gateway, Version::V5, "new").await;
    let ack = new.subscribe(&["a"], QoS::ExactlyOnce).await.unwrap();
    assert_eq!(ack.codes, [SubAckCode::Granted(QoS::AtLeastOnce)]);
}

#[tokio::test]
async fn unsubscribe_ends_delivery_and_succeeds_for_unknown_filters() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        client.subscribe(&["a", "b/#"], QoS::AtMostOnce).await.unwrap();
        let filters = vec!["b/#".parse().unwrap(), "b/+".parse().unwrap()];
        let unsubscribe = Unsubscribe::new(ONE, filters);
        client.send(Packet::Unsubscribe(unsubscribe)).await;
        let Some(Packet::UnsubAck(ack)) = client.receive().await else { panic!("no UNSUBACK") };
        let codes = [UnsubAckCode::Success; 2];
        assert_eq!(ack.codes, if version == Version::V5 { &codes[..] } else { &[] });
        client.publish("b/c", "lost", QoS::AtMostOnce).await;
        client.publish("a", "arrives", QoS::AtMostOnce).await;
        assert_eq!(client.message().await.payload, "arrives");
    }
}

#[tokio::test]
async fn disconnect_ends_the_connection_without_an_answer_or_a_failure() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        client
            .send(Packet::Disconnect(mqtt::Disconnect::new(DisconnectReasonCode::NormalDisconnection)))
            .await;
        assert_eq!(client.ended().await, None);
    }
    let line = gateway.logged_with(&[("eventType", "Disconnect")]).await;
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&"Success".into(), &"CLIENT_INITIATED_DISCONNECT".into())
    );
}

#[tokio::test]
async fn overlapping_subscriptions_give_one_copy_with_the_highest_qos() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        client.subscribe(&["a/b", "#"], QoS::AtMostOnce).await.unwrap();
        client.subscribe(&["a/+", "a/#"], QoS::AtLeastOnce).await.unwrap();
        for payload in ["first", "second"] {
            client.publish("a/b", payload, QoS::AtLeastOnce).await.unwrap();
            let message = client.message().await;
            assert_eq!((&message.payload[..], message.qos), (payload.as_bytes(), QoS::AtLeastOnce));
        }
    }
}

#[tokio::test]
async fn wildcards_do_not_match_other_topics() {
    let gateway = TestGateway::open_to_all().await;
    let cases = [("+", "a/b"), ("a/+", "a"), ("a/+/c", "a/b/d"), ("a", "a/"), ("A", "a"), ("b/#", "a")];
    for (filter, topic) in cases {
        let mut client = subscriber(&gateway, Version::V311, "c", filter).await;
        client.subscribe(&["end"], QoS::AtMostOnce).await.unwrap();
        client.publish(topic, "lost", QoS::AtMostOnce).await;
        client.publish("end", "end", QoS::AtMostOnce).await;
        assert_eq!(client.message().await.payload, "end", "`{filter}` matches `{topic}`");
    }
}

#[tokio::test]
async fn no_local_keeps_a_clients_own_messages_from_it() {
    let gateway = TestGateway::open_to_all().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    client.send(subscribe(vec![SubscribeFilter { no_local: true, ..filter("t") }])).await;
    assert!(matches!(client.receive().await, Some(Packet::SubAck(_))));
    client.publish("t", "own", QoS::AtLeastOnce).await.unwrap();
    let mut other = MqttClient::anybody(&gateway, Version::V5, "other").await;
    other.publish("t", "another's", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(client.message().await.payload, "another's");
}

#[tokio::test]
async fn a_topic_alias_means_the_topic_it_was_last_set_to() {
    let gateway = TestGateway::open_to_all().await;
    let mut reader = subscriber(&gateway, Version::V5, "reader", "#").await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    let aliased = |topic: Option<&str>, alias: u16, payload: &str| {
        let publish = Publish { topic: topic.map(|topic| topic.parse().unwrap()), ..message("t", payload) };
        Packet::Publish(with_properties(publish, |given| given.topic_alias = alias.try_into().ok()))
    };
    for (topic, alias, payload) in [
        (Some("one"), 1, "one"),
        (Some("eight"), 8, "eight"),
        (None, 1, "one"),
        (None, 8, "eight"),
        (Some("other"), 1, "other"),
        (None, 1, "other"),
    ] {
        sender.send(aliased(topic, alias, payload)).await;
        let message = reader.message().await;
        assert_eq!(message.topic.as_ref().map(|topic| topic.as_str().as_bytes()), Some(&message.payload[..]));
        assert_eq!((&message.payload[..], message.topic_alias()), (payload.as_bytes(), None));
    }
    for (topic, alias) in [(None, 2), (Some("nine"), 9), (None, 9), (Some("max"), u16::MAX)] {
        let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
        sender.send(aliased(topic, alias, "lost")).await;
        assert_eq!(sender.ended().await, Some(0x94), "{topic:?} {alias}");
    }
    sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    sender.send(aliased(None, 1, "lost")).await;
    assert_eq!(sender.ended().await, Some(0x94), "an alias ends with its connection");
}

#[tokio::test]
async fn mqtt_5_properties_reach_mqtt_5_and_the_message_reaches_3_1_1() {
    let gateway = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock().run().await;
    let mut new = subscriber(&gateway, Version::V5, "new", "t").await;
    let mut old = subscriber(&gateway, Version::V311, "old", "t").await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    let sent = with_properties(message("t", "{}"), |given| {
        given.payload_is_utf8 = true;
        given.message_expiry_interval = Some(60);
        given.response_topic = "answers".parse().ok();
        given.correlation_data = Some("7".into());
        given.content_type = Some("application/json".into());
        given.user_properties =
            vec![("k".into(), "1".into()), ("k".into(), "2".into()), ("".into(), "".into())];
    });
    sender.send(Packet::Publish(sent.clone())).await;
    assert_eq!(new.message().await, sent);
    assert_eq!(old.message().await, message("t", "{}"));
}

#[tokio::test]
async fn messages_in_flight_stay_within_the_clients_receive_maximum() {
    let gateway = TestGateway::open_to_all().await;
    let mut wanted = connect(Version::V5, "reader", "u", "p");
    wanted.properties.receive_maximum = 2.try_into().ok();
    let mut reader = MqttClient::connected(&gateway, wanted).await;
    reader.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = MqttClient::anybody(&gateway, Version::V311, "sender").await;
    for n in 0..4 {
        sender.publish("t", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
    }
    sender.publish("t", "QoS 0", QoS::AtMostOnce).await;
    let (first, second) = (reader.message().await, reader.message().await);
    assert_eq!((&first.payload[..], &second.payload[..]), (&b"0"[..], &b"1"[..]));
    assert_eq!(reader.message().await.payload, "QoS 0", "QoS 0 is not counted");
    reader.ping().await;
    reader.acknowledge(&second).await;
    let third = reader.message().await;
    assert_eq!(third.payload, "2");
    reader.acknowledge(&second).await;
    reader.ping().await;
    reader.acknowledge(&first).await;
    assert_eq!(reader.message().await.payload, "3");
}

#[tokio::test]
async fn a_client_that_acknowledges_nothing_gets_a_hundred_messages_in_flight() {
    let gateway = TestGateway::open_to_all().await;
    let mut reader = subscriber(&gateway, Version::V311, "reader", "t").await;
    let mut sender = MqttClient::anybody(&gateway, Version::V311, "sender").await;
    for n in 0..=100 {
        sender.publish("t", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
    }
    let mut ids = std::collections::HashSet::new();
    let first = reader.message().await;
    ids.insert(first.packet_id.unwrap());
    for _ in 1..100 {
        ids.insert(reader.message().await.packet_id.unwrap());
    }
    assert_eq!(ids.len(), 100, "each has an id of its own");
    reader.ping().await;
    reader.acknowledge(&first).await;
    assert_eq!(reader.message().await.payload, "100");
}

#[tokio::test]
async fn a_message_over_the_clients_maximum_is_dropped_and_the_next_ones_arrive() {
    let gateway = TestGateway::open_to_all().await;
    let mut wanted = connect(Version::V5, "reader", "u", "p");
    wanted.properties.maximum_packet_size = 100.try_into().ok();
    wanted.properties.receive_maximum = 1.try_into().ok();
    let mut reader = MqttClient::connected(&gateway, wanted).await;
    reader.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    let large = "x".repeat(100);
    for payload in [&*large, "first", &*large, &*large, "second"] {
        sender.publish("t", payload, QoS::AtLeastOnce).await.unwrap();
    }
    let first = reader.message().await;
    assert_eq!(first.payload, "first", "a message that was left out holds nobody up");
    reader.acknowledge(&first).await;
    assert_eq!(reader.message().await.payload, "second");
}

#[tokio::test]
async fn a_publish_is_acknowledged_under_its_own_id() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        for id in [1, 7, u16::MAX] {
            let packet_id = id.try_into().ok();
            let publish = Publish { qos: QoS::AtLeastOnce, packet_id, dup: true, ..message("t", "") };
            client.send(Packet::Publish(publish)).await;
            let Some(Packet::PubAck(ack)) = client.receive().await else { panic!("no PUBACK") };
            assert_eq!((Some(ack.packet_id), ack.code), (packet_id, PubAckCode::Success));
        }
    }
}

#[tokio::test]
async fn too_many_user_properties_end_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    let properties = |count: usize, width: usize| {
        let user_properties = vec![("n".into(), "v".repeat(width).into()); count];
        Some(std::sync::Arc::new(mqtt::PublishProperties { user_properties, ..Default::default() }))
    };
    for (count, width, fits) in [(100, 10, true), (101, 0, false), (3, 4_000, false)] {
        let mut client = MqttClient::connected(&gateway, connect(Version::V5, "many", "u", "p")).await;
        let publish = mqtt::Publish::new("t".parse().unwrap(), "x");
        client.send(Packet::Publish(mqtt::Publish { properties: properties(count, width), ..publish })).await;
        if fits {
            client.ping().await;
        } else {
            assert_eq!(client.ended().await, Some(0x97), "{count} of {width} bytes");
        }
    }
}
