//! SUBSCRIBE, UNSUBSCRIBE and their answers.

use mqtt::{RetainHandling, Subscribe, SubscribeFilter};

use super::*;

fn request(filters: Vec<SubscribeFilter>) -> Packet {
    Packet::Subscribe(Subscribe::new(std::num::NonZeroU16::MIN, filters))
}

/// 3.1.1: 2.3.1-7, 3.8.4-1, 3.8.4-2, 3.8.4-4, 3.8.4-5, 3.9.3-1, 3.9.3-2. 5: 2.2.1-6, 3.2.2-10, 3.8.4-1, 3.8.4-2, 3.8.4-5
/// to 3.8.4-7, 3.9.3-1, 3.9.3-2.
#[tokio::test]
async fn a_suback_has_the_subscribes_id_and_one_code_for_each_filter_in_order() {
    let gateway = TestGateway::open_to_all().await;
    let old = [&b"\x12\x34"[..], b"\x00\x01a\x01", b"\x00\x01b\x00", b"\x00\x01a\x00"].concat();
    let old = packet(0x82, &old);
    assert_eq!(answers(&gateway, Version::V311, &old).await, b"\x90\x05\x12\x34\x01\x00\x00");
    // The third has more than 7 slashes, and the fourth is not a filter.
    let new = [
        &b"\x12\x34\x00"[..],
        b"\x00\x01a\x02",
        b"\x00\x01b\x00",
        b"\x00\x09/////// /\x01",
        b"\x00\x02a#\x01",
        b"\x00\x01a\x01",
    ];
    let new = packet(0x82, &new.concat());
    let expected = b"\x90\x08\x12\x34\x00\x01\x00\x8f\x8f\x01";
    assert_eq!(answers(&gateway, Version::V5, &new).await, expected, "QoS 2 is lowered");
}

/// 3.1.1: 3.10.4-4 to 3.10.4-6. 5: 3.10.4-4 to 3.10.4-6, 3.11.3-1, 3.11.3-2.
#[tokio::test]
async fn an_unsuback_answers_each_unsubscribe() {
    let gateway = TestGateway::open_to_all().await;
    let old = [
        packet(0x82, b"\x00\x01\x00\x01a\x00\x00\x01b\x00"),
        packet(0xa2, b"\x00\x02\x00\x01x"),
        packet(0xa2, b"\xff\xff\x00\x01a\x00\x01x\x00\x01b"),
    ];
    let expected = b"\x90\x04\x00\x01\x00\x00\xb0\x02\x00\x02\xb0\x02\xff\xff";
    assert_eq!(answers(&gateway, Version::V311, &old.concat()).await, expected);
    let new = [
        packet(0x82, b"\x00\x01\x00\x00\x01a\x00\x00\x01b\x00"),
        packet(0xa2, b"\x00\x02\x00\x00\x01x"),
        packet(0xa2, b"\xff\xff\x00\x00\x01a\x00\x05#/b#/\x00\x01b"),
    ];
    let expected = b"\x90\x05\x00\x01\x00\x00\x00\xb0\x04\x00\x02\x00\x00\xb0\x06\xff\xff\x00\x00\x8f\x00";
    assert_eq!(answers(&gateway, Version::V5, &new.concat()).await, expected);
}

/// 3.1.1: 3.8.3-1 to 3.8.3-3, 3.8.1-1, 3.10.1-1, 3.10.3-1, 3.10.3-2, 4.7.1-2, 4.7.1-3. 5: 3.8.1-1, 3.8.3-1, 3.8.3-2, 3.8.3-4,
/// 3.8.3-5, 3.10.1-1, 3.10.3-1, 3.10.3-2, 4.7.1-1, 4.7.1-2, 4.8.2-1, 4.8.2-2.
#[tokio::test]
async fn an_invalid_filter_ends_a_connection_of_3_1_1_and_gets_a_failure_in_mqtt_5() {
    let gateway = TestGateway::open_to_all().await;
    let (invalid, malformed) = (0x8f, 0x81);
    let cases: [(&[u8], u8); 23] = [
        (b"", invalid),
        (b"a#", invalid),
        (b"#/a", invalid),
        (b"a/#/", invalid),
        (b"##", invalid),
        (b"a+", invalid),
        (b"+a", invalid),
        (b"a/+b/c", invalid),
        (b"++", invalid),
        (b"$share/g", invalid),
        (b"$share//t", invalid),
        (b"$share/g/", invalid),
        (b"$share/g+/t", invalid),
        (b"$share/#/t", invalid),
        (b"$share/+/t", invalid),
        (b"$share/g/a#", invalid),
        (b"a\x01", invalid),
        (b"a\x7f", invalid),
        (b"a\x00", malformed),
        (b"\xff", malformed),
        (b"\xc0\xaf", malformed),
        (b"\xed\xbf\xbf", malformed),
        (b"\xef\xbf\xbe", invalid),
    ];
    for (filter, code) in cases {
        let field = [&[0, u8::try_from(filter.len()).unwrap()], filter].concat();
        for (first, options) in [(0x82, &b"\x00"[..]), (0xa2, b"")] {
            let old = packet(first, &[b"\x00\x01", &field[..], options].concat());
            assert_eq!(answers(&gateway, Version::V311, &old).await, b"", "{}", filter.escape_ascii());
            let new = packet(first, &[b"\x00\x01\x00", &field[..], options].concat());
            let answer = answers(&gateway, Version::V5, &new).await;
            let expected: &[u8] = match (code == invalid, first) {
                (true, 0x82) => &[0x90, 4, 0, 1, 0, code],
                (true, _) => &[0xb0, 4, 0, 1, 0, code],
                (false, _) => &[0xe0, 2, code, 0],
            };
            assert_eq!(answer, expected, "{}", filter.escape_ascii());
        }
    }
}

/// 3.1.1: 3.8.3-4. 5: 3.8.3-4, 3.8.3-5.
#[tokio::test]
async fn every_option_byte_is_accepted_or_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    for options in 0..=u8::MAX {
        let old = packet(0x82, &[b"\x00\x01\x00\x01t", &[options][..]].concat());
        let expected: &[u8] = match options {
            0 => b"\x90\x03\x00\x01\x00",
            1 => b"\x90\x03\x00\x01\x01",
            // No answer is AWS's to QoS 2, and the end of the connection MQTT's to the others.
            _ => b"",
        };
        assert_eq!(answers(&gateway, Version::V311, &old).await, expected, "{options:#010b}");
        let new = packet(0x82, &[b"\x00\x01\x00\x00\x01t", &[options][..]].concat());
        let expected: [u8; 4] = match options {
            _ if options & 0b1100_0000 != 0 => [0xe0, 2, 0x81, 0],
            _ if options & 0b11 == 0b11 || options & 0b11_0000 == 0b11_0000 => [0xe0, 2, 0x82, 0],
            _ => [0x90, 4, 0, 1],
        };
        let answer = answers(&gateway, Version::V5, &new).await;
        assert_eq!(answer[..4], expected, "{options:#010b}");
        if expected[0] == 0x90 {
            assert_eq!(answer[4..], [0, (options & 0b11).min(1)], "{options:#010b}");
        }
    }
    let shared = packet(0x82, b"\x00\x01\x00\x00\x0a$share/g/t\x04");
    assert_eq!(
        answers(&gateway, Version::V5, &shared).await,
        b"\xe0\x02\x82\x00",
        "no local on a shared one"
    );
}

/// 3.1.1: 3.8.4-3, 3.8.4-6, 3.3.1-6, 3.3.1-8. 5: 3.8.4-3, 3.8.4-4, 3.8.4-8, 3.3.1-9.
#[tokio::test]
async fn subscribing_again_replaces_the_subscription_and_resends_the_retained_message() {
    let gateway = TestGateway::open_to_all().await;
    keep(&gateway, "t", "kept").await;
    for version in BOTH {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtMostOnce] {
            client.subscribe(&["t"], qos).await.unwrap();
            let message = client.message().await;
            assert_eq!((&message.payload[..], message.retain), (&b"kept"[..], true));
            publish(&gateway, "t", "new").await;
            let message = client.message().await;
            assert_eq!((&message.payload[..], message.qos, message.retain), (&b"new"[..], qos, false));
            if qos == QoS::AtLeastOnce {
                client.acknowledge(&message).await;
            }
            client.ping().await;
        }
    }
}

/// 5: 3.8.3-3, 3.3.1-9 to 3.3.1-13, 3.8.4-3.
#[tokio::test]
async fn the_options_of_the_last_subscribe_apply() {
    let gateway = TestGateway::open_to_all().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let filter = || SubscribeFilter {
        retain_handling: RetainHandling::DoNotSend,
        ..SubscribeFilter::new("t".parse().unwrap(), QoS::AtMostOnce)
    };
    for (no_local, retain_as_published) in [(true, true), (false, true), (true, false), (false, false)] {
        client.send(request(vec![SubscribeFilter { no_local, retain_as_published, ..filter() }])).await;
        assert!(matches!(client.receive().await, Some(Packet::SubAck(_))));
        let own = Publish { retain: true, ..Publish::new("t".parse().unwrap(), "own") };
        client.send(Packet::Publish(own)).await;
        keep(&gateway, "t", "another's").await;
        if !no_local {
            let message = client.message().await;
            assert_eq!((&message.payload[..], message.retain), (&b"own"[..], retain_as_published));
        }
        let message = client.message().await;
        assert_eq!((&message.payload[..], message.retain), (&b"another's"[..], retain_as_published));
        publish(&gateway, "t", "not retained").await;
        assert!(!client.message().await.retain);
        client.ping().await;
    }
}

/// 3.1.1: 3.10.4-1, 3.10.4-2. 5: 3.10.4-1, 3.10.4-2.
#[tokio::test]
async fn unsubscribe_removes_the_identical_filter_only() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        client.subscribe(&["a/b", "a/+", "A/b", "$share/g/a/b"], QoS::AtMostOnce).await.unwrap();
        for other in ["a/#", "a", "+/b", "a/B", "$share/h/a/b", "a/b/"] {
            unsubscribe(&mut client, other).await;
        }
        publish(&gateway, "a/b", "x").await;
        assert_eq!(
            [take(&mut client).await, take(&mut client).await],
            ["x", "x"],
            "its own, and the shared one"
        );
        for (gone, copies) in [("a/b", 2), ("a/+", 1), ("$share/g/a/b", 0)] {
            unsubscribe(&mut client, gone).await;
            publish(&gateway, "a/b", gone).await;
            for _ in 0..copies {
                assert_eq!(take(&mut client).await, gone);
            }
            client.ping().await;
        }
        publish(&gateway, "A/b", "stays").await;
        assert_eq!(take(&mut client).await, "stays");
    }
}

async fn unsubscribe(client: &mut MqttClient, filter: &str) {
    let filters = vec![filter.parse().unwrap()];
    let packet_id = std::num::NonZeroU16::MIN;
    client.send(Packet::Unsubscribe(mqtt::Unsubscribe::new(packet_id, filters))).await;
    assert!(matches!(client.receive().await, Some(Packet::UnsubAck(_))), "{filter}");
}

/// 3.1.1: 3.10.4-3. 5: 3.10.4-3.
#[tokio::test]
async fn deliveries_in_flight_complete_after_the_unsubscribe() {
    let gateway = gateway().await;
    for version in BOTH {
        let id = format!("{version:?}");
        let mut client = MqttClient::connected(&gateway, persistent(version, &id)).await;
        client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
        publish(&gateway, "t", "begun").await;
        let begun = client.message().await;
        unsubscribe(&mut client, "t").await;
        drop(client);
        ended(&gateway, &id).await;
        let mut client = MqttClient::connected(&gateway, persistent(version, &id)).await;
        let again = client.message().await;
        assert_eq!((again.packet_id, again.dup, again.payload), (begun.packet_id, false, begun.payload));
    }
}
