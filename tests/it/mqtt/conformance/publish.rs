//! PUBLISH from a client, and its answer.

use super::*;

/// 3.1.1: 2.3.1-6, 3.3.4-1, 4.3.2-2. 5: 2.2.1-5, 3.3.4-1, 3.4.2-1, 4.3.2-4, 4.3.2-5.
#[tokio::test]
async fn each_qos_has_its_answer_and_frees_its_packet_id() {
    let gateway = TestGateway::open_to_all().await;
    let mut reader = subscriber(&gateway, Version::V311, "reader", "t").await;
    let old =
        [&b"\x30\x04\x00\x01t0"[..], b"\x32\x06\x00\x01t\x12\x341", b"\x3a\x06\x00\x01t\x12\x342"].concat();
    assert_eq!(answers(&gateway, Version::V311, &old).await, b"\x40\x02\x12\x34\x40\x02\x12\x34");
    let new = [
        &b"\x30\x05\x00\x01t\x003"[..],
        b"\x32\x07\x00\x01t\xff\xff\x004",
        b"\x3a\x07\x00\x01t\xff\xff\x005",
        b"\x32\x06\x00\x01t\x00\x01\x00",
    ];
    let expected = b"\x40\x02\xff\xff\x40\x02\xff\xff\x40\x02\x00\x01";
    assert_eq!(answers(&gateway, Version::V5, &new.concat()).await, expected);
    for payload in ["0", "1", "2", "3", "4", "5", ""] {
        let message = reader.message().await;
        assert_eq!(
            (&message.payload[..], message.dup),
            (payload.as_bytes(), false),
            "also where DUP came in"
        );
        if message.qos == QoS::AtLeastOnce {
            reader.acknowledge(&message).await;
        }
    }
}

/// 3.1.1: 3.3.1-3. 5: 3.3.1-3, 4.3.1-1, 4.3.2-2.
#[tokio::test]
async fn dup_is_not_forwarded() {
    let gateway = TestGateway::open_to_all().await;
    for (version, bytes) in [
        (Version::V311, &b"\x3a\x06\x00\x01t\x00\x01x"[..]),
        (Version::V5, b"\x3a\x07\x00\x01t\x00\x01\x00x"),
    ] {
        let mut reader = subscriber(&gateway, version, "reader", "t").await;
        answers(&gateway, version, bytes).await;
        let first = reader.receive().await;
        assert!(matches!(first, Some(Packet::Publish(Publish { dup: false, qos: QoS::AtLeastOnce, .. }))));
    }
}

/// 3.1.1: 1.5.3-3, 4.7.3-4. 5: 1.5.4-3, 4.7.3-4.
#[tokio::test]
async fn topics_are_compared_byte_by_byte_without_normalisation() {
    let gateway = TestGateway::open_to_all().await;
    let topics = [
        "t",
        "T",
        "t/",
        "/t",
        "t ",
        " t",
        "\u{feff}t",
        "t\u{feff}",
        "caf\u{e9}",
        "cafe\u{301}",
        "a/b",
        "a//b",
        "A/B",
        "/",
        "//",
        "%61/b",
        "a%2Fb",
        "..",
        "a/../b",
        "温度/🌡",
        "\u{212b}",
        "\u{e5}",
    ];
    let mut readers = Vec::new();
    for (n, version) in BOTH.into_iter().enumerate() {
        let mut reader = MqttClient::anybody(&gateway, version, &format!("reader-{n}")).await;
        for filters in topics.chunks(8) {
            reader.subscribe(filters, QoS::AtMostOnce).await.unwrap();
        }
        readers.push(reader);
    }
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for topic in topics {
        sender.publish(topic, topic, QoS::AtLeastOnce).await.unwrap();
        for reader in &mut readers {
            let message = reader.message().await;
            assert_eq!((message.topic.unwrap().as_str(), &message.payload[..]), (topic, topic.as_bytes()));
        }
    }
    for reader in &mut readers {
        reader.ping().await;
    }
    for other in ["u", "t\u{feff}x", "cafe"] {
        sender.publish(other, "nobody's", QoS::AtLeastOnce).await.unwrap();
    }
    for reader in &mut readers {
        reader.ping().await;
    }
}

/// 3.1.1: 1.5.3-1, 1.5.3-2, 3.3.2-1, 3.3.2-2, 4.7.1-1, 4.7.3-1, 4.7.3-2. 5: 1.5.4-1, 1.5.4-2, 3.3.2-1, 3.3.2-2, 4.7.0-1,
/// 4.7.3-1, 4.7.3-2.
#[tokio::test]
async fn a_publish_to_an_invalid_topic_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "#").await;
    let invalid = 0x90;
    let malformed = 0x81;
    let cases: [(&[u8], u8); 20] = [
        (b"+", invalid),
        (b"#", invalid),
        (b"a/+", invalid),
        (b"a/#/b", invalid),
        (b"a+", invalid),
        (b"#a", invalid),
        (b"\x01", invalid),
        (b"a\nb", invalid),
        (b"a\x1fb", invalid),
        (b"a\x7fb", invalid),
        (b"\xc2\x80", invalid),
        (b"\xc2\x9f", invalid),
        (b"\xef\xbf\xbf", invalid),
        (b"\xef\xb7\x90", invalid),
        (b"a\x00b", malformed),
        (b"\xff", malformed),
        (b"\xc0\x80", malformed),
        (b"\xed\xa0\x80", malformed),
        (b"\xf4\x90\x80\x80", malformed),
        (b"caf\xc3", malformed),
    ];
    for (topic, code) in cases {
        let field = [&[0, u8::try_from(topic.len()).unwrap()], topic].concat();
        for qos in [0_u8, 1] {
            let id: &[u8] = if qos == 0 { b"" } else { b"\x00\x01" };
            let old = packet(0x30 | qos << 1, &[&field, id, b"x"].concat());
            assert_eq!(answers(&gateway, Version::V311, &old).await, b"", "{}", topic.escape_ascii());
            let new = packet(0x30 | qos << 1, &[&field, id, b"\x00x"].concat());
            let answer = answers(&gateway, Version::V5, &new).await;
            assert_eq!(answer, [0xe0, 2, code, 0], "{}", topic.escape_ascii());
        }
        watcher.ping().await;
    }
    assert_eq!(answers(&gateway, Version::V311, b"\x30\x02\x00\x00").await, b"", "no character");
    watcher.publish("end", "end", QoS::AtMostOnce).await;
    assert_eq!(watcher.message().await.payload, "end");
}

/// 5: 1.5.4-1, 1.5.7-1, 3.3.2-13, 3.3.2-14, 3.3.2-19, 3.3.4-6, 2.2.2-1.
#[tokio::test]
async fn a_malformed_property_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    let cases: [(&[u8], u8); 14] = [
        (b"\x08\x00\x01+", 0x90),
        (b"\x08\x00\x03a/#", 0x90),
        (b"\x08\x00\x01\xff", 0x81),
        (b"\x08\x00\x01\x00", 0x81),
        (b"\x03\x00\x01\xff", 0x81),
        (b"\x03\x00\x01\x00", 0x81),
        (b"\x26\x00\x01\xff\x00\x01v", 0x81),
        (b"\x26\x00\x01k\x00\x01\xff", 0x81),
        (b"\x0b\x01", 0x82),
        (b"\x01\x02", 0x82),
        (b"\x02\x00\x00\x00\x01\x02\x00\x00\x00\x01", 0x82),
        (b"\x03\x00\x01a\x03\x00\x01a", 0x82),
        (b"\x23\x00\x09", 0x94),
        (b"\x23\x00\x00", 0x94),
    ];
    for (properties, code) in cases {
        let length = [u8::try_from(properties.len()).unwrap()];
        let bytes = packet(0x30, &[b"\x00\x01t", &length[..], properties, b"x"].concat());
        let answer = answers(&gateway, Version::V5, &bytes).await;
        assert_eq!(answer, [0xe0, 2, code, 0], "{}", properties.escape_ascii());
    }
}

/// 3.1.1: 3.3.5-2. 5: 3.4.2-1.
#[tokio::test]
async fn a_denied_publish_is_not_acknowledged_as_a_success() {
    let allowed = [("Allow", "iot:Connect", "client/*"), ("Allow", "iot:Publish", "topic/mine")];
    let answer = integration::script::allow(&allowed);
    let gateway = Start::with_script(&Step::Answer(answer)).0.run().await;
    assert_eq!(answers(&gateway, Version::V311, b"\x32\x06\x00\x01t\x00\x01x").await, b"");
    let answer = answers(&gateway, Version::V5, b"\x32\x07\x00\x01t\x00\x01\x00x").await;
    assert_eq!(answer, b"\x40\x04\x00\x01\x87\x00");
}

/// 5: 3.2.2-9, 3.2.2-11, 3.2.2-17, 3.3.2-8, 3.3.2-9, 3.3.2-12.
#[tokio::test]
async fn a_packet_that_the_connack_forbids_is_answered_with_its_own_code() {
    let gateway = TestGateway::open_to_all().await;
    let (_client, ack) = MqttClient::connect(&gateway, connect(Version::V5, "c", "u", "p")).await;
    let properties = ack.unwrap().properties;
    assert_eq!((properties.maximum_qos, properties.topic_alias_maximum), (QoS::AtLeastOnce, 8));
    let qos_2 = answers(&gateway, Version::V5, b"\x34\x06\x00\x01t\x00\x01\x00").await;
    assert_eq!(qos_2, b"\xe0\x02\x9b\x00");
    for alias in 1..=8 {
        let bytes = [0x32, 9, 0, 1, b't', 0, 1, 3, 0x23, 0, alias];
        assert_eq!(answers(&gateway, Version::V5, &bytes).await, b"\x40\x02\x00\x01", "{alias}");
    }
    let large = [0x30, 0xfd, 0x8f, 0x09];
    assert_eq!(answers(&gateway, Version::V5, &large).await, b"\xe0\x02\x95\x00");
}
