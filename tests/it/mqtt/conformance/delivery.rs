//! PUBLISH to a client.

use std::{num::NonZeroU16, sync::Arc};

use mqtt::PublishProperties;

use super::*;

/// 3.1.1: 4.6.0-5, 4.6.0-6. 5: 4.6.0-5, 4.6.0-6.
#[tokio::test]
async fn messages_of_a_client_arrive_in_the_order_in_which_it_sent_them() {
    const MESSAGES: usize = 400;
    let gateway = TestGateway::open_to_all().await;
    for (version, qos) in [(Version::V311, QoS::AtLeastOnce), (Version::V5, QoS::AtMostOnce)] {
        let mut reader = MqttClient::anybody(&gateway, Version::V5, "reader").await;
        reader.subscribe(&["t/+"], qos).await.unwrap();
        let mut sender = MqttClient::anybody(&gateway, version, "sender").await;
        for n in 0..MESSAGES {
            sender.publish(&format!("t/{}", n % 3), &n.to_string(), qos).await;
            assert_eq!(take(&mut reader).await, n.to_string());
        }
    }
}

/// 3.1.1: 4.7.2-1. 5: 4.7.2-1.
#[tokio::test]
async fn a_leading_wildcard_does_not_match_a_dollar_topic() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        let mut reader = MqttClient::anybody(&gateway, version, "reader").await;
        let filters = ["#", "+/#", "+/events/#", "+/events/presence/connected/+", "$share/g/#"];
        reader.subscribe(&filters, QoS::AtMostOnce).await.unwrap();
        let mut informed = subscriber(&gateway, version, "informed", "$aws/events/presence/#").await;
        MqttClient::anybody(&gateway, version, "comes").await;
        let event = informed.message().await;
        assert!(event.topic.unwrap().as_str().starts_with("$aws/events/presence/connected/"));
        reader.ping().await;
    }
}

/// 5: 3.3.2-3, 3.3.2-4, 3.3.2-15 to 3.3.2-18, 3.3.2-20.
#[tokio::test]
async fn properties_reach_present_and_later_subscribers_unchanged() {
    let gateway = TestGateway::open_to_all().await;
    let properties = PublishProperties {
        payload_is_utf8: true,
        response_topic: Some("$aws/anything/not/checked/a/b/c/d/e/f/g/h".parse().unwrap()),
        correlation_data: Some(vec![0, 0xff, 7].into()),
        content_type: Some("\u{feff}text/plain".into()),
        user_properties: [("b", "2"), ("a", "1"), ("b", "1"), ("", ""), ("b", "2")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        ..PublishProperties::default()
    };
    let message = Publish {
        retain: true,
        properties: Some(Arc::new(properties.clone())),
        ..Publish::new("t/u".parse().unwrap(), vec![0, 1, 0xff])
    };
    let mut readers = Vec::new();
    for filter in ["t/u", "t/+", "#", "$share/g/t/u"] {
        readers.push(subscriber(&gateway, Version::V5, &format!("reader-{}", readers.len()), filter).await);
    }
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    sender.send(Packet::Publish(message.clone())).await;
    sender.ping().await;
    readers.push(subscriber(&gateway, Version::V5, "late", "t/u").await);
    for reader in &mut readers {
        let came = reader.message().await;
        assert_eq!(came.properties.as_deref(), Some(&properties));
        assert_eq!((came.topic, came.payload), (message.topic.clone(), message.payload.clone()));
    }
}

/// 5: 3.1.2-24, 3.1.2-25.
#[tokio::test]
async fn a_packet_of_the_clients_maximum_size_is_sent_and_a_larger_one_is_dropped() {
    let gateway = TestGateway::open_to_all().await;
    let mut wanted = connect(Version::V5, "reader", "u", "p");
    wanted.properties.maximum_packet_size = 50.try_into().ok();
    let mut reader = MqttClient::connected(&gateway, wanted).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        reader.subscribe(&["t"], qos).await.unwrap();
        // Two bytes of header, three of topic, one of properties; and two of a packet id.
        let room = if qos == QoS::AtMostOnce { 44 } else { 42 };
        for length in [room + 1, room, room + 1, room - 1] {
            publish(&gateway, "t", &"x".repeat(length)).await;
        }
        for length in [room, room - 1] {
            assert_eq!(take(&mut reader).await.len(), length);
        }
        reader.ping().await;
    }
}

/// 5: 3.3.4-9, 3.3.4-10, 4.9.0-1 to 4.9.0-3.
#[tokio::test]
async fn a_client_that_withholds_acknowledgements_is_answered_but_gets_no_more_messages() {
    let gateway = TestGateway::open_to_all().await;
    let mut wanted = connect(Version::V5, "reader", "u", "p");
    wanted.properties.receive_maximum = NonZeroU16::new(1);
    let mut reader = MqttClient::connected(&gateway, wanted).await;
    reader.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    for payload in ["first", "second", "third"] {
        publish(&gateway, "t", payload).await;
    }
    let first = reader.message().await;
    assert_eq!(first.payload, "first");
    reader.subscribe(&["u"], QoS::AtMostOnce).await.unwrap();
    reader.publish("other", "x", QoS::AtLeastOnce).await.unwrap();
    reader.ping().await;
    publish(&gateway, "u", "QoS 0").await;
    assert_eq!(reader.message().await.payload, "QoS 0");
    // Neither an id that is not in use nor a second acknowledgement makes room.
    reader.send(Packet::PubAck(PubAck::new(NonZeroU16::MAX, PubAckCode::Success))).await;
    reader.ping().await;
    refuse(&mut reader, &first).await;
    let second = reader.message().await;
    assert_eq!(second.payload, "second", "a negative acknowledgement is one");
    reader.acknowledge(&first).await;
    reader.ping().await;
    reader.acknowledge(&second).await;
    assert_eq!(take(&mut reader).await, "third");
}

/// 5: 4.9.0-1, 4.9.0-2.
#[tokio::test]
async fn a_larger_receive_maximum_is_limited_to_a_hundred() {
    let gateway = TestGateway::open_to_all().await;
    let mut wanted = connect(Version::V5, "reader", "u", "p");
    wanted.properties.receive_maximum = Some(NonZeroU16::MAX);
    let mut reader = MqttClient::connected(&gateway, wanted).await;
    reader.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for n in 0..=100 {
        sender.publish("t", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
    }
    let first = reader.message().await;
    for n in 1..100 {
        assert_eq!(reader.message().await.payload, n.to_string());
    }
    reader.ping().await;
    reader.acknowledge(&first).await;
    assert_eq!(reader.message().await.payload, "100");
}

/// 5: 4.8.2-3, 4.8.2-6, 4.4.0-2.
#[tokio::test]
async fn shared_subscribers_have_their_own_qos_and_a_refused_message_goes_to_nobody_else() {
    const MESSAGES: usize = 40;
    let gateway = TestGateway::open_to_all().await;
    let mut members = Vec::new();
    for (n, qos) in [QoS::AtMostOnce, QoS::AtLeastOnce].into_iter().enumerate() {
        let mut member = MqttClient::anybody(&gateway, Version::V5, &format!("member-{n}")).await;
        member.subscribe(&["$share/g/t"], qos).await.unwrap();
        members.push((member, qos));
    }
    for _ in 0..MESSAGES {
        publish(&gateway, "t", "x").await;
    }
    let mut came = [0, 0];
    while came.iter().sum::<usize>() < MESSAGES {
        let messages = members.iter_mut().map(|(member, _)| Box::pin(member.message()));
        let (message, at, others) = futures_util::future::select_all(messages).await;
        drop(others);
        let (member, qos) = &mut members[at];
        assert_eq!(message.qos, *qos);
        if *qos == QoS::AtLeastOnce {
            refuse(member, &message).await;
        }
        came[at] += 1;
    }
    assert!(came.iter().all(|came| *came > 0), "at random: {came:?}");
    for (member, _) in &mut members {
        member.ping().await;
    }
}

/// 3.1.1: 4.5.0-1. 5: 4.5.0-1.
#[tokio::test]
async fn a_burst_reaches_every_client_that_reads() {
    const MESSAGES: usize = 900;
    let gateway = TestGateway::open_to_all().await;
    let mut reader = subscriber(&gateway, Version::V5, "reader", "t").await;
    let mut sender = MqttClient::anybody(&gateway, Version::V311, "sender").await;
    let message = |n: usize| packet(0x32, &[&b"\x00\x01t\x00\x01"[..], n.to_string().as_bytes()].concat());
    let burst = (0..MESSAGES).flat_map(message).collect::<Vec<_>>();
    sender.send_bytes(&burst).await;
    for n in 0..MESSAGES {
        assert_eq!(take(&mut reader).await, n.to_string());
    }
}

/// Each sends what a client may send in a second, and all of them at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bursts_of_many_publishers_reach_every_client_that_reads() {
    const SENDERS: usize = 30;
    const MESSAGES: usize = 100;
    let gateway = TestGateway::open_to_all().await;
    let mut reader = subscriber(&gateway, Version::V5, "reader", "t").await;
    let mut senders = Vec::new();
    for n in 0..SENDERS {
        senders.push(MqttClient::anybody(&gateway, Version::V311, &format!("sender-{n}")).await);
    }
    let burst = b"\x32\x06\x00\x01t\x00\x01x".repeat(MESSAGES);
    let sending = futures_util::future::join_all(senders.iter_mut().map(|sender| sender.send_bytes(&burst)));
    let reading = async {
        for _ in 0..SENDERS * MESSAGES {
            assert_eq!(take(&mut reader).await, "x");
        }
    };
    tokio::join!(sending, reading);
}

/// 3.1.1: 3.3.1-6. 5: 3.3.1-9.
#[tokio::test]
async fn the_retained_message_reaches_a_new_subscriber_before_newer_messages() {
    let gateway = TestGateway::open_to_all().await;
    let topics = (0..8).map(|n| format!("t/{n}")).collect::<Vec<_>>();
    for topic in &topics {
        keep(&gateway, topic, "old").await;
    }
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for (version, qos) in [(Version::V311, QoS::AtLeastOnce), (Version::V5, QoS::AtMostOnce)] {
        let mut reader = MqttClient::anybody(&gateway, version, "reader").await;
        reader.subscribe(&topics.iter().map(|topic| &**topic).collect::<Vec<_>>(), qos).await.unwrap();
        sender.publish("t/7", "new", QoS::AtLeastOnce).await.unwrap();
        for _ in &topics {
            assert_eq!(take(&mut reader).await, "old");
        }
        assert_eq!(take(&mut reader).await, "new");
        reader.ping().await;
    }
}

/// AWS differs from section 4.7.1.2: `#` does not match the level above it.
#[tokio::test]
async fn a_multi_level_wildcard_does_not_match_its_parent() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        let mut reader = MqttClient::anybody(&gateway, version, "reader").await;
        reader.subscribe(&["sensor/#", "$share/g/sensor/#"], QoS::AtMostOnce).await.unwrap();
        for topic in ["sensor", "sensors/x", "sensor/", "sensor/temperature", "sensor/temperature/room1"] {
            publish(&gateway, topic, topic).await;
        }
        for topic in ["sensor/", "sensor/temperature", "sensor/temperature/room1"] {
            assert_eq!([take(&mut reader).await, take(&mut reader).await], [topic, topic]);
        }
        reader.ping().await;
    }
}
