//! Packets that break MQTT's rules end the connection that they came on, and no other.

use super::*;

/// What is sent in 3.1.1, what in MQTT 5 (`None`: it is no mistake there), and what MQTT 5 is told.
type Case = (&'static str, Option<&'static [u8]>, Option<&'static [u8]>, u8);

const MALFORMED: u8 = 0x81;
const PROTOCOL_ERROR: u8 = 0x82;

const CASES: &[Case] = &[
    ("packet type 0", Some(b"\x00\x00"), Some(b"\x00\x00"), MALFORMED),
    ("flags of PINGREQ", Some(b"\xc1\x00"), Some(b"\xc1\x00"), MALFORMED),
    ("flags of DISCONNECT", Some(b"\xe1\x00"), Some(b"\xe1\x00"), MALFORMED),
    ("flags of PUBACK", Some(b"\x42\x02\x00\x01"), Some(b"\x42\x02\x00\x01"), MALFORMED),
    (
        "flags of SUBSCRIBE",
        Some(b"\x80\x06\x00\x01\x00\x01a\x00"),
        Some(b"\x80\x07\x00\x01\x00\x00\x01a\x00"),
        MALFORMED,
    ),
    (
        "flags of UNSUBSCRIBE",
        Some(b"\xa0\x05\x00\x01\x00\x01a"),
        Some(b"\xa0\x06\x00\x01\x00\x00\x01a"),
        MALFORMED,
    ),
    (
        "PUBLISH with QoS 3",
        Some(b"\x36\x05\x00\x01a\x00\x01"),
        Some(b"\x36\x06\x00\x01a\x00\x01\x00"),
        MALFORMED,
    ),
    ("DUP on QoS 0", Some(b"\x38\x03\x00\x01a"), Some(b"\x38\x04\x00\x01a\x00"), MALFORMED),
    (
        "PUBLISH with packet id 0",
        Some(b"\x32\x05\x00\x01a\x00\x00"),
        Some(b"\x32\x06\x00\x01a\x00\x00\x00"),
        PROTOCOL_ERROR,
    ),
    (
        "SUBSCRIBE with packet id 0",
        Some(b"\x82\x06\x00\x00\x00\x01a\x00"),
        Some(b"\x82\x07\x00\x00\x00\x00\x01a\x00"),
        PROTOCOL_ERROR,
    ),
    ("PUBACK with packet id 0", Some(b"\x40\x02\x00\x00"), Some(b"\x40\x02\x00\x00"), PROTOCOL_ERROR),
    ("SUBSCRIBE without filters", Some(b"\x82\x02\x00\x01"), Some(b"\x82\x03\x00\x01\x00"), PROTOCOL_ERROR),
    ("UNSUBSCRIBE without filters", Some(b"\xa2\x02\x00\x01"), Some(b"\xa2\x03\x00\x01\x00"), PROTOCOL_ERROR),
    (
        "SUBSCRIBE with QoS 3",
        Some(b"\x82\x06\x00\x01\x00\x01a\x03"),
        Some(b"\x82\x07\x00\x01\x00\x00\x01a\x03"),
        PROTOCOL_ERROR,
    ),
    (
        "reserved options",
        Some(b"\x82\x06\x00\x01\x00\x01a\x04"),
        Some(b"\x82\x07\x00\x01\x00\x00\x01a\x80"),
        MALFORMED,
    ),
    (
        "a length of five bytes",
        Some(b"\x30\xff\xff\xff\xff\x7f"),
        Some(b"\x30\xff\xff\xff\xff\x7f"),
        MALFORMED,
    ),
    ("a length that could be shorter", None, Some(b"\x30\x84\x00\x00\x01a\x00"), MALFORMED),
    ("a packet above the largest", Some(b"\x30\xff\xff\xff\x7f"), Some(b"\x30\xff\xff\xff\x7f"), 0x95),
    ("a packet one byte too large", Some(b"\x30\xfd\x8f\x09"), Some(b"\x30\xfd\x8f\x09"), 0x95),
    ("a field that goes past its packet", Some(b"\x30\x03\x00\x09a"), Some(b"\x30\x03\x00\x09a"), MALFORMED),
    ("bytes after the last field", Some(b"\xc0\x01\x00"), Some(b"\xc0\x01\x00"), MALFORMED),
    (
        "a topic that is not UTF-8",
        Some(b"\x30\x03\x00\x01\xff"),
        Some(b"\x30\x04\x00\x01\xff\x00"),
        MALFORMED,
    ),
    (
        "a topic that is a surrogate",
        Some(b"\x30\x05\x00\x03\xed\xa0\x80"),
        Some(b"\x30\x06\x00\x03\xed\xa0\x80\x00"),
        MALFORMED,
    ),
    (
        "a topic with a null character",
        Some(b"\x30\x03\x00\x01\x00"),
        Some(b"\x30\x04\x00\x01\x00\x00"),
        MALFORMED,
    ),
    (
        "a filter that is not UTF-8",
        Some(b"\x82\x06\x00\x01\x00\x01\xff\x00"),
        Some(b"\x82\x07\x00\x01\x00\x00\x01\xff\x00"),
        MALFORMED,
    ),
    ("a topic with `+`", Some(b"\x30\x05\x00\x03a/+"), Some(b"\x30\x06\x00\x03a/+\x00"), 0x90),
    ("a topic with `#`", Some(b"\x30\x03\x00\x01#"), Some(b"\x30\x04\x00\x01#\x00"), 0x90),
    ("no topic and no alias", Some(b"\x30\x02\x00\x00"), Some(b"\x30\x03\x00\x00\x00"), PROTOCOL_ERROR),
    ("the filter `a#`", Some(b"\x82\x07\x00\x01\x00\x02a#\x00"), None, 0x8f),
    ("the filter `#/a`", Some(b"\x82\x08\x00\x01\x00\x03#/a\x00"), None, 0x8f),
    ("topic alias 0", None, Some(b"\x30\x07\x00\x01a\x03\x23\x00\x00"), 0x94),
    ("a property of another packet", None, Some(b"\x30\x06\x00\x01a\x02\x24\x01"), MALFORMED),
    ("a property twice", None, Some(b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00"), PROTOCOL_ERROR),
    ("a subscription identifier on PUBLISH", None, Some(b"\x30\x06\x00\x01a\x02\x0b\x01"), PROTOCOL_ERROR),
    ("a DISCONNECT code of no client", None, Some(b"\xe0\x01\x01"), MALFORMED),
    ("CONNACK from a client", Some(b"\x20\x02\x00\x00"), Some(b"\x20\x03\x00\x00\x00"), PROTOCOL_ERROR),
    (
        "SUBACK from a client",
        Some(b"\x90\x03\x00\x01\x00"),
        Some(b"\x90\x04\x00\x01\x00\x00"),
        PROTOCOL_ERROR,
    ),
    ("UNSUBACK from a client", Some(b"\xb0\x02\x00\x01"), Some(b"\xb0\x04\x00\x01\x00\x00"), PROTOCOL_ERROR),
    ("PINGRESP from a client", Some(b"\xd0\x00"), Some(b"\xd0\x00"), PROTOCOL_ERROR),
    ("PUBREL of nothing", Some(b"\x62\x02\x00\x01"), Some(b"\x62\x02\x00\x01"), PROTOCOL_ERROR),
    ("AUTH", Some(b"\xf0\x00"), Some(b"\xf0\x00"), PROTOCOL_ERROR),
];

#[tokio::test]
async fn each_malformed_packet_ends_its_connection_with_its_own_code() {
    let gateway = TestGateway::open_to_all().await;
    let mut other = subscriber(&gateway, Version::V5, "other", "#").await;
    for (n, (what, old, new, code)) in CASES.iter().enumerate() {
        for (version, bytes, code) in [(Version::V311, old, None), (Version::V5, new, Some(*code))] {
            let Some(bytes) = bytes else { continue };
            let id = format!("{version:?}-{n}");
            let mut client = MqttClient::anybody(&gateway, version, &id).await;
            client.send_bytes(bytes).await;
            assert_eq!(client.ended().await, code, "{what} in {version:?}");
            let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", &id)]).await;
            assert_eq!(
                (&line["status"], &line["reason"]),
                (&"Failure".into(), &"CLIENT_ERROR".into()),
                "{what}"
            );
            assert!(line["details"].is_string(), "{what}");
            other.ping().await;
        }
    }
    let lines = gateway.log.lines();
    let ends = lines.iter().filter(|line| line["eventType"] == "Disconnect").count();
    let sent = CASES.iter().map(|case| usize::from(case.1.is_some()) + usize::from(case.2.is_some()));
    assert_eq!(ends, sent.sum::<usize>(), "one line for each end");
}

#[tokio::test]
async fn packets_after_a_malformed_one_are_ignored() {
    let gateway = TestGateway::open_to_all().await;
    let mut other = subscriber(&gateway, Version::V5, "other", "#").await;
    let mut sender = MqttClient::anybody(&gateway, Version::V311, "sender").await;
    let (before, mistake, after) = (b"\x30\x04\x00\x01a1", b"\xc1\x00", b"\x30\x04\x00\x01a2");
    sender.send_bytes(&[&before[..], mistake, after].concat()).await;
    sender.closed().await;
    assert_eq!(other.message().await.payload, "1");
    other.publish("a", "end", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(other.message().await.payload, "end");
}

#[tokio::test]
async fn a_connection_lost_inside_a_packet_is_logged_as_lost() {
    let gateway = TestGateway::open_to_all().await;
    let packet = b"\x30\x04\x00\x01ax";
    let mut other = subscriber(&gateway, Version::V5, "other", "#").await;
    for sent in 0..packet.len() {
        let id = format!("half-{sent}");
        let mut client = MqttClient::anybody(&gateway, Version::V311, &id).await;
        client.send_bytes(&packet[..sent]).await;
        drop(client);
        let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", &id)]).await;
        assert_eq!(line["reason"], "CONNECTION_LOST", "{sent} bytes");
        other.ping().await;
    }
}

#[tokio::test]
async fn a_packet_may_arrive_byte_by_byte() {
    let gateway = TestGateway::open_to_all().await;
    let mut other = subscriber(&gateway, Version::V5, "other", "#").await;
    let mut client = MqttClient::anybody(&gateway, Version::V311, "c").await;
    for byte in b"\x30\x04\x00\x01ax" {
        client.send_bytes(&[*byte]).await;
        other.ping().await;
    }
    assert_eq!(other.message().await.payload, "x");
}
