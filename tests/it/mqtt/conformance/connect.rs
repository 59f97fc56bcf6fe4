//! CONNECT and CONNACK.

use integration::{refusal::refused, script::allow};
use mqtt::{ConnectReasonCode, LastWill, PublishProperties};

use super::*;

/// What is wrong, a CONNECT of 3.1.1, one of MQTT 5, and the reason code that MQTT 5 is told.
type Case = (&'static str, Option<&'static [u8]>, &'static [u8], u8);

const OLD: &[u8] = b"\x00\x04MQTT\x04";
const NEW: &[u8] = b"\x00\x04MQTT\x05";
const MALFORMED: u8 = 0x81;
const PROTOCOL_ERROR: u8 = 0x82;

/// Behind the protocol's name and level.
const CASES: &[Case] = &[
    ("the reserved flag", Some(b"\x03\x00\x3c\x00\x01a"), b"\x03\x00\x3c\x00\x00\x01a", MALFORMED),
    ("will QoS 1 without a will", Some(b"\x0a\x00\x3c\x00\x01a"), b"\x0a\x00\x3c\x00\x00\x01a", MALFORMED),
    ("will QoS 2 without a will", Some(b"\x12\x00\x3c\x00\x01a"), b"\x12\x00\x3c\x00\x00\x01a", MALFORMED),
    ("will retain without a will", Some(b"\x22\x00\x3c\x00\x01a"), b"\x22\x00\x3c\x00\x00\x01a", MALFORMED),
    (
        "will QoS 3",
        Some(b"\x1e\x00\x3c\x00\x01a\x00\x01w\x00\x00"),
        b"\x1e\x00\x3c\x00\x00\x01a\x00\x00\x01w\x00\x00",
        MALFORMED,
    ),
    ("a will that is not there", Some(b"\x06\x00\x3c\x00\x01a"), b"\x06\x00\x3c\x00\x00\x01a", MALFORMED),
    (
        "a will without payload field",
        Some(b"\x06\x00\x3c\x00\x01a\x00\x01w"),
        b"\x06\x00\x3c\x00\x00\x01a\x00\x00\x01w",
        MALFORMED,
    ),
    (
        "a will that is not announced",
        Some(b"\x02\x00\x3c\x00\x01a\x00\x01w\x00\x00"),
        b"\x02\x00\x3c\x00\x00\x01a\x00\x00\x01w\x00\x00",
        MALFORMED,
    ),
    ("no user name", Some(b"\x82\x00\x3c\x00\x01a"), b"\x82\x00\x3c\x00\x00\x01a", MALFORMED),
    (
        "no password",
        Some(b"\xc2\x00\x3c\x00\x01a\x00\x01u"),
        b"\xc2\x00\x3c\x00\x00\x01a\x00\x01u",
        MALFORMED,
    ),
    (
        "a user name that is not announced",
        Some(b"\x02\x00\x3c\x00\x01a\x00\x01u"),
        b"\x02\x00\x3c\x00\x00\x01a\x00\x01u",
        MALFORMED,
    ),
    (
        "a password that is not announced",
        Some(b"\x82\x00\x3c\x00\x01a\x00\x01u\x00\x01p"),
        b"\x82\x00\x3c\x00\x00\x01a\x00\x01u\x00\x01p",
        MALFORMED,
    ),
    ("no client id", Some(b"\x02\x00\x3c"), b"\x02\x00\x3c\x00", MALFORMED),
    ("half a keep-alive", Some(b"\x02\x00"), b"\x02\x00", MALFORMED),
    (
        "a client id that is not UTF-8",
        Some(b"\x02\x00\x3c\x00\x01\xff"),
        b"\x02\x00\x3c\x00\x00\x01\xff",
        MALFORMED,
    ),
    (
        "a client id with a surrogate",
        Some(b"\x02\x00\x3c\x00\x03\xed\xa0\x80"),
        b"\x02\x00\x3c\x00\x00\x03\xed\xa0\x80",
        MALFORMED,
    ),
    (
        "a client id with a null character",
        Some(b"\x02\x00\x3c\x00\x01\x00"),
        b"\x02\x00\x3c\x00\x00\x01\x00",
        MALFORMED,
    ),
    (
        "a user name that is not UTF-8",
        Some(b"\x82\x00\x3c\x00\x01a\x00\x01\xc0"),
        b"\x82\x00\x3c\x00\x00\x01a\x00\x01\xc0",
        MALFORMED,
    ),
    (
        "a user name with a null character",
        Some(b"\x82\x00\x3c\x00\x01a\x00\x01\x00"),
        b"\x82\x00\x3c\x00\x00\x01a\x00\x01\x00",
        MALFORMED,
    ),
    (
        "a will topic that is not UTF-8",
        Some(b"\x06\x00\x3c\x00\x01a\x00\x01\xff\x00\x00"),
        b"\x06\x00\x3c\x00\x00\x01a\x00\x00\x01\xff\x00\x00",
        MALFORMED,
    ),
    (
        "a will topic with a wildcard",
        Some(b"\x06\x00\x3c\x00\x01a\x00\x01+\x00\x00"),
        b"\x06\x00\x3c\x00\x00\x01a\x00\x00\x01+\x00\x00",
        0x90,
    ),
    (
        "a will topic without a character",
        Some(b"\x06\x00\x3c\x00\x01a\x00\x00\x00\x00"),
        b"\x06\x00\x3c\x00\x00\x01a\x00\x00\x00\x00\x00",
        0x90,
    ),
    ("bytes after the end", Some(b"\x02\x00\x3c\x00\x01a!"), b"\x02\x00\x3c\x00\x00\x01a!", MALFORMED),
];

/// What only MQTT 5 has.
const PROPERTIES: &[(&str, &[u8], u8)] = &[
    ("receive maximum 0", b"\x21\x00\x00", PROTOCOL_ERROR),
    ("maximum packet size 0", b"\x27\x00\x00\x00\x00", PROTOCOL_ERROR),
    ("request problem information 2", b"\x17\x02", PROTOCOL_ERROR),
    ("request response information 2", b"\x19\x02", PROTOCOL_ERROR),
    ("session expiry interval twice", b"\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", PROTOCOL_ERROR),
    ("receive maximum twice", b"\x21\x00\x01\x21\x00\x01", PROTOCOL_ERROR),
    ("maximum packet size twice", b"\x27\x00\x00\x01\x00\x27\x00\x00\x01\x00", PROTOCOL_ERROR),
    ("topic alias maximum twice", b"\x22\x00\x01\x22\x00\x01", PROTOCOL_ERROR),
    ("authentication data without a method", b"\x16\x00\x01x", PROTOCOL_ERROR),
    ("a property of PUBLISH", b"\x23\x00\x01", MALFORMED),
    ("a property of a will", b"\x18\x00\x00\x00\x01", MALFORMED),
    ("a property that does not exist", b"\x04\x00", MALFORMED),
    ("a user property whose name is not UTF-8", b"\x26\x00\x01\xff\x00\x01v", MALFORMED),
    ("a user property whose value has a null character", b"\x26\x00\x01k\x00\x01\x00", MALFORMED),
    ("half a user property", b"\x26\x00\x01k", MALFORMED),
    ("half a session expiry interval", b"\x11\x00\x00", MALFORMED),
];

/// 3.1.1: 3.1.2-3, 3.1.2-9, 3.1.2-11, 3.1.2-13 to 3.1.2-15, 3.1.2-18 to 3.1.2-21, 3.1.3-1, 3.1.3-3, 3.1.3-4, 3.1.3-10, 3.1.3-11,
/// 3.1.4-1, 3.2.2-6. 5: 1.5.7-1, 2.2.2-1, 3.1.2-3, 3.1.2-9, 3.1.2-11 to 3.1.2-13, 3.1.2-16 to 3.1.2-19, 3.1.3-1, 3.1.3-3,
/// 3.1.3-4, 3.1.3-11, 3.1.3-12, 3.1.4-1, 3.1.4-2, 3.2.2-7.
#[tokio::test]
async fn a_malformed_connect_is_refused_without_calling_the_authorizer() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let mut bystander = MqttClient::anybody(&gateway, Version::V5, "bystander").await;
    for (what, old, new, code) in CASES {
        if let Some(old) = old {
            let answer = first_answers(&gateway, &packet(0x10, &[OLD, old].concat())).await;
            assert_eq!(answer, b"", "{what}: 3.1.1 gets no CONNACK");
        }
        let answer = first_answers(&gateway, &packet(0x10, &[NEW, new].concat())).await;
        assert_eq!(answer, [0x20, 3, 0, *code, 0], "{what}");
        bystander.ping().await;
    }
    for (what, properties, code) in PROPERTIES {
        let length = [u8::try_from(properties.len()).unwrap()];
        let body = [NEW, b"\x02\x00\x3c", &length, properties, b"\x00\x01a"].concat();
        let answer = first_answers(&gateway, &packet(0x10, &body)).await;
        assert_eq!(answer, [0x20, 3, 0, *code, 0], "{what}");
        bystander.ping().await;
    }
    assert_eq!(script.calls(), 1, "for the bystander");
}

/// 3.1.1: 3.1.2-22. 5: 3.1.2-19.
#[tokio::test]
async fn a_password_without_a_user_name_is_for_mqtt_5_only() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let old = [OLD, b"\x42\x00\x3c\x00\x01a\x00\x01p"].concat();
    assert_eq!(first_answers(&gateway, &packet(0x10, &old)).await, b"");
    let mut new = connect(Version::V5, "a", "u", "p");
    new.username = None;
    MqttClient::connected(&gateway, new).await;
    let events = script.events();
    assert_eq!(events[0]["protocolData"]["mqtt"], serde_json::json!({"clientId": "a", "password": "cA=="}));
    assert_eq!(events.len(), 1);
}

/// 3.1.1: 3.1.4-5, 3.2.2-5. 5: 3.1.4-6, 3.2.2-7.
#[tokio::test]
async fn nothing_that_follows_a_refused_connect_counts() {
    let gateway = Start::with_script(&Step::Answer(allow(&[
        ("Allow", "iot:Connect", "client/w*"),
        ("Allow", "iot:Publish", "topic/*"),
        ("Allow", "iot:RetainPublish", "topic/*"),
        ("Allow", "iot:Subscribe", "topicfilter/*"),
        ("Allow", "iot:Receive", "topic/*"),
    ])));
    let gateway = gateway.0.run().await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "#").await;
    let old = [&packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x")[..], b"\x31\x04\x00\x01tx", PINGREQ]
        .concat();
    assert_eq!(first_answers(&gateway, &old).await, b"");
    let new =
        [&packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01x")[..], b"\x31\x05\x00\x01t\x00x", PINGREQ]
            .concat();
    assert_eq!(first_answers(&gateway, &new).await, b"\x20\x03\x00\x87\x00");
    watcher.publish("t", "end", QoS::AtMostOnce).await;
    assert_eq!(watcher.message().await.payload, "end");
    subscriber(&gateway, Version::V311, "w2", "#").await.ping().await;
}

/// 3.1.1: 3.1.4-4, 3.2.0-1. 5: 3.1.4-5, 3.2.0-1, 3.2.0-2, 3.2.2-1.
#[tokio::test]
async fn packets_sent_before_the_connack_are_answered_after_it() {
    let gateway = TestGateway::open_to_all().await;
    let old = [
        &packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")[..],
        &packet(0x82, b"\x00\x07\x00\x01t\x01"),
        PINGREQ,
        DISCONNECT,
    ];
    assert_eq!(first_answers(&gateway, &old.concat()).await, b"\x20\x02\x00\x00\x90\x03\x00\x07\x01\xd0\x00");
    let new = [
        &packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a")[..],
        &packet(0x82, b"\x00\x07\x00\x00\x01t\x01"),
        PINGREQ,
        DISCONNECT,
    ];
    let connack =
        b"\x20\x1b\x00\x00\x18\x21\x00\x64\x24\x01\x25\x01\x27\x00\x02\x48\x00\x22\x00\x08\x28\x01\x29\x00\
        \x2a\x01\x13\x00\x3c";
    let rest = b"\x90\x04\x00\x07\x00\x01\xd0\x00";
    let answer = first_answers(&gateway, &new.concat()).await;
    assert_eq!(answer.len(), connack.len() + rest.len());
    assert_eq!((&answer[..5], &answer[connack.len()..]), (&connack[..5], &rest[..]));
}

/// 3.1.1: 3.1.3-5. 5: 3.1.3-5.
#[tokio::test]
async fn every_client_id_of_letters_and_digits_up_to_23_is_allowed() {
    let gateway = TestGateway::open_to_all().await;
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let ids = [&all[..1], &all[..23], &all[23..46], &all[39..]];
    for id in ids {
        for version in BOTH {
            MqttClient::anybody(&gateway, version, id).await.ping().await;
        }
    }
}

/// 3.1.1: 3.2.2-4. 5: 3.2.2-6.
#[tokio::test]
async fn a_refusal_does_not_reveal_an_existing_session() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    for version in BOTH {
        drop(MqttClient::connected(&gateway, persistent(version, "c")).await);
        script.set(&Step::Answer(serde_json::json!({"isAuthenticated": false})));
        refused(&gateway, persistent(version, "c"), ConnectReasonCode::NotAuthorized).await;
        script.set(&Step::Answer(allow_all()));
        let (_, ack) = MqttClient::connect(&gateway, persistent(version, "c")).await;
        assert!(ack.unwrap().session_present, "{version:?}: the refused one left it alone");
    }
}

/// 5: 4.12.0-1, 4.12.0-6, 4.12.0-7, 3.1.2-30.
#[tokio::test]
async fn enhanced_authentication_is_refused_without_calling_the_authorizer() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    for properties in [&b"\x15\x00\x05PLAIN"[..], b"\x15\x00\x05PLAIN\x16\x00\x01x", b"\x15\x00\x00"] {
        let length = [u8::try_from(properties.len()).unwrap()];
        let body = [NEW, b"\x02\x00\x3c", &length, properties, b"\x00\x01a"].concat();
        let bytes = [&packet(0x10, &body)[..], b"\xf0\x00"].concat();
        assert_eq!(first_answers(&gateway, &bytes).await, b"\x20\x03\x00\x8c\x00");
    }
    assert_eq!(script.calls(), 0);
    let line = gateway.logged_with(&[("eventType", "Connect"), ("reason", "CLIENT_ERROR")]).await;
    assert_eq!(line["details"], "enhanced authentication is not supported: use a user name and a password");
    let auth = answers(&gateway, Version::V5, b"\xf0\x02\x18\x00").await;
    assert_eq!(auth, b"\xe0\x02\x82\x00", "AUTH without a method");
}

/// 5: 3.1.2-24.
#[tokio::test]
async fn a_maximum_packet_size_below_the_connack_is_refused() {
    let gateway = TestGateway::open_to_all().await;
    let with_room = |bytes: u32| {
        let mut connect = connect(Version::V5, "c", "u", "p");
        connect.properties.maximum_packet_size = bytes.try_into().ok();
        connect
    };
    for (bytes, code) in
        [(1, None), (4, None), (5, Some(0x95)), (28, Some(0x95)), (29, Some(0)), (60, Some(0))]
    {
        let (_, ack) = MqttClient::connect(&gateway, with_room(bytes)).await;
        assert_eq!(ack.map(|ack| u8::from(ack.code)), code, "{bytes} bytes");
    }
    gateway.logged_with(&[("details", "the CONNACK is larger than the client's Maximum Packet Size")]).await;
}

/// 5: 3.2.2-12, 3.2.2-13.
#[tokio::test]
async fn a_will_that_cannot_be_published_is_refused_with_its_own_code() {
    let gateway = TestGateway::open_to_all().await;
    let will =
        |topic: &str, payload: usize| LastWill::new(topic.parse().unwrap(), "x".repeat(payload).into());
    let mut qos_2 = will("t", 1);
    qos_2.qos = QoS::ExactlyOnce;
    let mut many = will("t", 1);
    many.properties.user_properties = vec![("k".into(), "v".into()); 101];
    let mut wide = will("t", 1);
    wide.properties.user_properties = vec![("k".into(), "v".repeat(8 * 1024).into())];
    let mut retained = will("t", 65_535);
    retained.retain = true;
    let cases =
        [(qos_2, 0x9b), (will("a/b/c/d/e/f/g/h/i", 1), 0x90), (many, 0x97), (wide, 0x97), (retained, 0)];
    for (will, code) in cases {
        let connect = Connect { last_will: Some(will), ..connect(Version::V5, "c", "u", "p") };
        let (_, ack) = MqttClient::connect(&gateway, connect).await;
        assert_eq!(ack.map(|ack| u8::from(ack.code)), Some(code));
    }
}

/// 5: 3.1.2-26 to 3.1.2-28, 3.2.2-20, 3.3.2-11.
#[tokio::test]
async fn the_gateway_sends_no_alias_and_no_response_information() {
    let gateway = TestGateway::open_to_all().await;
    for (alias_maximum, response, problem) in [(0, false, false), (10, true, true), (u16::MAX, true, false)] {
        let mut wanted = connect(Version::V5, "c", "u", "p");
        wanted.properties.topic_alias_maximum = alias_maximum;
        wanted.properties.request_response_information = response;
        wanted.properties.request_problem_information = problem;
        let (mut client, ack) = MqttClient::connect(&gateway, wanted).await;
        let properties = ack.unwrap().properties;
        assert_eq!(
            (properties.response_information, properties.reason_string),
            (None, None),
            "an acceptance needs no reason"
        );
        assert!(properties.user_properties.is_empty());
        let ack = client.subscribe(&["t", "#"], QoS::AtLeastOnce).await.unwrap();
        assert_eq!(ack.reason_string, None);
        for _ in 0..3 {
            client.publish("t", "x", QoS::AtMostOnce).await;
            let message = client.message().await;
            assert_eq!(message.properties.as_deref().cloned(), None::<PublishProperties>);
            assert_eq!(message.topic.unwrap().as_str(), "t");
        }
    }
}
