//! Who is let in by its CONNECT, what the others read, and that the log says why.

use std::collections::HashSet;

use integration::{
    mqtt_client::{MqttClient, connect},
    refusal::{refused, without_reason_strings},
    script::{Script, Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{ConnAckProperties, Connect, ConnectReasonCode as Code, LastWill, Packet, QoS, Version};
use serde_json::{Value, json};

const BOTH: [Version; 2] = [Version::V311, Version::V5];
const NOT_AUTHORIZED: &str = "Client is not authenticated/authorized to send the message";

async fn scripted() -> (TestGateway, Script) {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    (start.run().await, script)
}

/// The connection ids that the log has told of so far, so that the next is known for new.
#[derive(Default)]
struct Seen(HashSet<String>);

impl Seen {
    /// The gateway's line about a failure that was not seen before.
    async fn next_failure(&mut self, gateway: &TestGateway) -> Value {
        let new = |line: &Value| {
            line["status"] == "Failure"
                && line["connectionId"].as_str().is_some_and(|id| !self.0.contains(id))
        };
        let line = gateway.logged("another failure", new).await;
        self.0.insert(line["connectionId"].as_str().unwrap().to_owned());
        line
    }
}

/// The authorizer's line about the same connection.
async fn decision(gateway: &TestGateway, failure: &Value) -> Value {
    let same = |line: &Value| line["event"] == "decision" && line["connection_id"] == failure["connectionId"];
    gateway.logged("the authorizer's decision", same).await
}

#[tokio::test]
async fn the_right_password_is_accepted() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("dev", "own-topics");
    let user_names = [
        "dev",
        "dev?x-amz-customauthorizer-name=latchkey",
        "dev?x-amz-customauthorizer-name=latchkey&SDK=PythonV2&Version=1&Platform=Linux&Metadata=(a;b)",
        "dev?SDK=Java&Version=1",
    ];
    for version in BOTH {
        for user_name in user_names {
            let mut client =
                MqttClient::connected(&gateway, connect(version, "dev", user_name, &password)).await;
            client.publish("dev/t", "21.5", QoS::AtLeastOnce).await.unwrap();
        }
    }
    let line =
        gateway.logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", "dev")]).await;
    assert_eq!(line["principalId"].as_str().map(str::len), Some(64));
    let same = |of: &Value| of["event"] == "decision" && of["connection_id"] == line["connectionId"];
    assert_eq!(gateway.logged("the authorizer's decision", same).await["outcome"], "allow");
}

#[tokio::test]
async fn the_connack_of_mqtt_5_has_the_limits_that_aws_sends_and_no_other() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("dev", "own-topics");
    let keep_alives =
        [(0, 1_200), (1, 30), (29, 30), (30, 30), (35, 35), (1_200, 1_200), (1_201, 1_200), (65_535, 1_200)];
    for (keep_alive, server_keep_alive) in keep_alives {
        let connect = Connect { keep_alive, ..connect(Version::V5, "dev", "dev", &password) };
        let (_client, ack) = MqttClient::connect(&gateway, connect).await;
        let ack = ack.unwrap();
        assert_eq!((ack.code, ack.session_present), (Code::Success, false));
        assert_eq!(ack.properties, properties(server_keep_alive, None), "keep-alive {keep_alive}");
    }
    let mut wanted = connect(Version::V5, "dev", "dev", &password);
    wanted.properties.session_expiry_interval = 60;
    let (_client, ack) = MqttClient::connect(&gateway, wanted).await;
    assert_eq!(ack.unwrap().properties, properties(60, Some(60)));
    let mut wanted = connect(Version::V5, "dev", "dev", &password);
    wanted.properties.session_expiry_interval = u32::MAX;
    let (_client, ack) = MqttClient::connect(&gateway, wanted).await;
    assert_eq!(
        ack.unwrap().properties,
        properties(60, Some(3_600)),
        "an hour is the most, and the client is told"
    );
}

fn properties(server_keep_alive: u16, session_expiry_interval: Option<u32>) -> ConnAckProperties {
    ConnAckProperties {
        session_expiry_interval,
        receive_maximum: 100.try_into().unwrap(),
        maximum_qos: QoS::AtLeastOnce,
        maximum_packet_size: 149_504.try_into().ok(),
        topic_alias_maximum: 8,
        subscription_identifiers_available: false,
        server_keep_alive: Some(server_keep_alive),
        ..ConnAckProperties::default()
    }
}

/// AWS's CONNACK of a client with keep-alive 35 and without a session's expiry was seen to have 29 bytes.
#[tokio::test]
async fn the_connack_of_mqtt_5_states_limits_and_flags_and_has_29_bytes() {
    let (gateway, _script) = scripted().await;
    let mut client = MqttClient::open(&gateway, Version::V5).await;
    client.send_bytes(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x23\x00\x00\x01a\xe0\x00").await;
    let ack = client.rest().await;
    assert_eq!((ack.len(), &ack[..5]), (29, &b"\x20\x1b\x00\x00\x18"[..]), "{ack:02x?}");
    let stated: [&[u8]; 9] = [
        b"\x21\x00\x64",
        b"\x24\x01",
        b"\x25\x01",
        b"\x27\x00\x02\x48\x00",
        b"\x22\x00\x08",
        b"\x28\x01",
        b"\x29\x00",
        b"\x2a\x01",
        b"\x13\x00\x23",
    ];
    for property in stated {
        let count = ack.windows(property.len()).filter(|window| *window == property).count();
        assert_eq!(count, 1, "{property:02x?} in {ack:02x?}");
    }
    let mut client = MqttClient::open(&gateway, Version::V311).await;
    client.send_bytes(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x23\x00\x01a\xe0\x00").await;
    assert_eq!(client.rest().await, b"\x20\x02\x00\x00");
}

#[tokio::test]
async fn an_empty_client_id_is_replaced_by_a_unique_one() {
    let (gateway, script) = scripted().await;
    let mut assigned = HashSet::new();
    for _ in 0..2 {
        let (_client, ack) = MqttClient::connect(&gateway, connect(Version::V5, "", "u", "p")).await;
        let id = ack.unwrap().properties.assigned_client_id.unwrap();
        let groups = id.strip_prefix("$GEN/").unwrap().split('-').map(str::len).collect::<Vec<_>>();
        assert_eq!(groups, [8, 4, 4, 4, 12], "a UUID in {id}");
        assert!(assigned.insert(id));
        MqttClient::connected(&gateway, connect(Version::V311, "", "u", "p")).await;
    }
    let events = script.events();
    assert_eq!(events.len(), 4);
    for event in events {
        assert_eq!(event["protocolData"]["mqtt"].get("clientId"), None, "an assigned id is not in the event");
    }
}

#[tokio::test]
async fn a_client_id_that_could_have_been_assigned_is_refused_without_calling_the_function() {
    let (gateway, script) = scripted().await;
    let mut seen = Seen::default();
    let (_client, ack) = MqttClient::connect(&gateway, connect(Version::V5, "", "u", "p")).await;
    let assigned = ack.unwrap().properties.assigned_client_id.unwrap();
    for version in BOTH {
        for id in [&*assigned, "$GEN/", "$GEN/x"] {
            let connect = connect(version, id, "u", "p");
            let reason = refused(&gateway, connect, Code::ClientIdentifierNotValid).await;
            assert_eq!(
                reason.map(|reason| reason.text).as_deref(),
                of_mqtt_5(version, "ClientId is invalid")
            );
            let failure = seen.next_failure(&gateway).await;
            assert_eq!(failure["reason"], "CLIENT_ERROR");
            assert!(failure["details"].as_str().unwrap().contains("begins with `$GEN/`"), "{failure}");
        }
    }
    assert_eq!(script.calls(), 1);
    MqttClient::connected(&gateway, connect(Version::V5, "$GEN", "u", "p")).await;
}

/// What MQTT 3.1.1 does not have.
fn of_mqtt_5(version: Version, text: &str) -> Option<&str> {
    (version == Version::V5).then_some(text)
}

#[tokio::test]
async fn a_persistent_session_needs_a_client_id_in_3_1_1() {
    let (gateway, _script) = scripted().await;
    let mut client = MqttClient::open(&gateway, Version::V311).await;
    client.send_bytes(b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00").await;
    assert_eq!(client.rest().await, b"");
    gateway.logged_with(&[("eventType", "Connect"), ("reason", "CLIENT_ERROR")]).await;
}

#[tokio::test]
async fn a_refusal_is_in_both_logs_under_one_connection_id() {
    let gateway = Start::with_authorizer().run().await;
    let (password, other) = (gateway.add("dev", "own-topics"), gateway.add("other", "own-topics"));
    let off = gateway.add("off", "own-topics");
    gateway.change("off", |record| record.enabled = false);
    let long = "u".repeat(65_535);
    let cases = [
        ("dev", Some("dev"), Some("wrong"), "wrong_password"),
        ("dev", Some("dev"), Some(&*other), "wrong_password"),
        ("dev", Some("dev"), Some(&password[..42]), "wrong_password"),
        ("dev", Some("dev"), Some(""), "no_password"),
        ("dev", Some("dev"), None, "no_password"),
        ("dev", None, None, "no_user_name"),
        ("dev", Some(""), Some(&*password), "no_user_name"),
        ("dev", Some("?x-amz-customauthorizer-name=latchkey"), Some(&*password), "no_user_name"),
        ("dev", Some(&*long), Some(&*password), "user_name_too_long"),
        ("dev", Some("de v"), Some(&*password), "user_name_invalid"),
        ("dev", Some("DEV"), Some(&*password), "unknown_device"),
        ("nobody", Some("nobody"), Some(&*password), "unknown_device"),
        ("dev", Some("dev?SDK=Java?Version=1"), Some(&*password), "user_name_second_query"),
        ("off", Some("off"), Some(&*off), "device_disabled"),
        ("off", Some("off"), Some("wrong"), "wrong_password"),
        ("other", Some("dev"), Some(&*password), "client_id_not_allowed"),
        ("dev-1", Some("dev"), Some(&*password), "client_id_not_allowed"),
        ("", Some("dev"), Some(&*password), "no_client_id"),
    ];
    let mut seen = Seen::default();
    for version in BOTH {
        for (client_id, user_name, password, reason) in cases {
            let mut connect = connect(version, client_id, "", "");
            connect.username = user_name.map(Into::into);
            connect.password = password.map(|password| password.to_owned().into());
            let refusal = refused(&gateway, connect, Code::NotAuthorized).await;
            let failure = assert_not_authenticated(&gateway, &mut seen, reason).await;
            if let Some(refusal) = refusal {
                assert_eq!(refusal.text, NOT_AUTHORIZED);
                assert_eq!(
                    failure["connectionId"], refusal.connection_id,
                    "the log has the reason string's id"
                );
            }
        }
    }
    MqttClient::connected(&gateway, connect(Version::V5, "dev", "dev", &password)).await;
}

#[tokio::test]
async fn a_client_id_with_policy_characters_is_refused() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("dev", "own-topics");
    let mut seen = Seen::default();
    let ids = [
        "*",
        "?",
        "+",
        "#",
        "/",
        "$",
        "${iot:ClientId}",
        "dev*",
        "dev?",
        "dev/",
        "dev/#",
        "d\u{e9}v",
        "\"",
        "\\",
    ];
    for version in BOTH {
        for id in ids {
            refused(&gateway, connect(version, id, "dev", &password), Code::NotAuthorized).await;
            assert_not_authenticated(&gateway, &mut seen, "client_id_invalid").await;
        }
    }
    let text = gateway.log.text();
    assert!(!text.contains(&password), "a log never holds a password");
}

async fn assert_not_authenticated(gateway: &TestGateway, seen: &mut Seen, reason: &str) -> Value {
    let failure = seen.next_failure(gateway).await;
    assert_eq!(
        (&failure["eventType"], &failure["reason"]),
        (&json!("Connection.AuthNError"), &json!("NOT_AUTHENTICATED"))
    );
    let decision = decision(gateway, &failure).await;
    assert_eq!((&decision["outcome"], &decision["reason"]), (&json!("deny"), &json!(reason)));
    failure
}

#[tokio::test]
async fn a_client_id_over_128_bytes_is_refused_without_calling_the_function() {
    let (gateway, script) = scripted().await;
    let (long, longest) = ("x".repeat(129), "\u{e9}".repeat(64));
    for version in BOTH {
        refused(&gateway, connect(version, &long, "u", "p"), Code::ClientIdentifierNotValid).await;
        refused(&gateway, connect(version, &"x".repeat(65_535), "u", "p"), Code::ClientIdentifierNotValid)
            .await;
    }
    assert_eq!(script.calls(), 0);
    let line = gateway.logged_with(&[("reason", "CLIENT_ERROR")]).await;
    assert_eq!(line["details"], "the client id is longer than 128 bytes");
    for version in BOTH {
        MqttClient::connected(&gateway, connect(version, &longest, "u", "p")).await;
    }
    assert_eq!(script.calls(), 2);
}

#[tokio::test]
async fn an_authorizer_that_does_not_exist_calls_no_function() {
    let (gateway, script) = scripted().await;
    let mut seen = Seen::default();
    let names = [
        "u?x-amz-customauthorizer-name=unknown",
        "u?x-amz-customauthorizer-name=",
        "u?x-amz-customauthorizer-name=Latchkey",
        "u?x-amz-customauthorizer-name=latchkey?SDK=Java&Version=1.16",
        "u?x-amz-customauthorizer-name=%4Catchkey",
        "u?SDK=Java&x-amz-customauthorizer-name=latchkey2",
    ];
    for version in BOTH {
        for user_name in names {
            refused(&gateway, connect(version, "c", user_name, "p"), Code::NotAuthorized).await;
            let failure = seen.next_failure(&gateway).await;
            assert_eq!(failure["reason"], "CUSTOM_AUTHORIZER_NOT_FOUND", "{user_name}");
            let details = failure["explanation"].as_str().unwrap();
            assert!(details.contains("`?x-amz-customauthorizer-name=latchkey`"), "{details}");
        }
    }
    assert_eq!(script.calls(), 0);
    let user_name = "u?x-amz-customauthorizer-name=latchkey";
    MqttClient::connected(&gateway, connect(Version::V5, "c", user_name, "p")).await;
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn a_refused_connect_of_3_1_1_gets_no_connack_and_one_of_mqtt_5_gets_a_reason_string() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("dev", "own-topics");
    for (refused, code, text) in [
        (("dev", "dev", "wrong"), 0x87, NOT_AUTHORIZED),
        (("other", "dev", &*password), 0x87, NOT_AUTHORIZED),
        ((&*"x".repeat(129), "dev", &*password), 0x85, "ClientId is invalid"),
        (("dev", "dev?x-amz-customauthorizer-name=x", &*password), 0x87, NOT_AUTHORIZED),
    ] {
        let connect = |version| {
            let (client_id, user_name, password) = refused;
            Packet::Connect(Box::new(connect(version, client_id, user_name, password)))
        };
        let mut old = MqttClient::open(&gateway, Version::V311).await;
        old.send(connect(Version::V311)).await;
        assert_eq!(old.rest().await, b"", "{refused:?}");
        let mut new = MqttClient::open(&gateway, Version::V5).await;
        new.send(connect(Version::V5)).await;
        let answer = new.rest().await;
        assert_eq!(without_reason_strings(&answer), [0x20, 3, 0, code, 0], "{refused:?}");
        let reason = format!("CONNACK:{text}:");
        assert!(answer.windows(reason.len()).any(|part| part == reason.as_bytes()), "{answer:?}");
    }
    for version in BOTH {
        MqttClient::connected(&gateway, connect(version, "dev", "dev", &password)).await;
    }
}

#[tokio::test]
async fn a_first_packet_that_is_not_a_connect_of_a_known_version_is_refused() {
    let (gateway, script) = scripted().await;
    let cases: [(&str, &[u8], &[u8]); 11] = [
        ("a bridge's MQTT 3.1", b"\x10\x0f\x00\x06MQIsdp\x83\x02\x00\x3c\x00\x01a", b"\x20\x02\x00\x01"),
        ("a bridge's MQTT 3.1.1", b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x3c\x00\x01a", b"\x20\x02\x00\x01"),
        ("MQTT 3.1", b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a", b"\x20\x02\x00\x01"),
        ("MQTT 6", b"\x10\x0e\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x01a", b"\x20\x03\x00\x84\x00"),
        ("another protocol", b"\x10\x0d\x00\x04MQTX\x04\x02\x00\x3c\x00\x01a", b""),
        (
            "the reserved flag in 5",
            b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x01a",
            b"\x20\x03\x00\x81\x00",
        ),
        ("the reserved flag in 3.1.1", b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a", b""),
        ("flags in the fixed header", b"\x11\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", b""),
        ("PINGREQ", b"\xc0\x00", b""),
        ("PUBLISH", b"\x30\x04\x00\x01ax", b""),
        ("a CONNECT above the largest packet", b"\x10\x80\x90\x09\x00\x04MQTT", b""),
    ];
    let mut seen = Seen::default();
    for (what, bytes, answer) in cases {
        let mut client = MqttClient::open(&gateway, Version::V311).await;
        client.send_bytes(bytes).await;
        assert_eq!(without_reason_strings(&client.rest().await), answer, "{what}");
        assert_eq!(seen.next_failure(&gateway).await["reason"], "CLIENT_ERROR", "{what}");
    }
    assert_eq!(script.calls(), 0);
}

#[tokio::test]
async fn a_second_connect_ends_the_connection() {
    let (gateway, script) = scripted().await;
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x82))] {
        let mut client = MqttClient::connected(&gateway, connect(version, "c", "u", "p")).await;
        client.send(Packet::Connect(Box::new(connect(version, "c", "u", "p")))).await;
        assert_eq!(client.ended().await, code);
    }
    assert_eq!(script.calls(), 2, "the second CONNECT asks nobody");
    let line = gateway.logged_with(&[("eventType", "Disconnect"), ("reason", "CLIENT_ERROR")]).await;
    assert_eq!(line["details"], "[MQTT-3.1.0-2] a second CONNECT");
}

#[tokio::test]
async fn the_function_receives_exactly_the_event_that_aws_sends() {
    let (gateway, script) = scripted().await;
    let user_name = "user?x-amz-customauthorizer-name=latchkey&SDK=x";
    let mut full = connect(Version::V5, "c1", user_name, "");
    full.password = Some(vec![0xff, 0, b'p'].into());
    full.last_will = Some(LastWill::new("will".parse().unwrap(), "gone".into()));
    MqttClient::connected(&gateway, full).await;
    MqttClient::connected(&gateway, Connect::new(Version::V311, "c2")).await;
    let mut by_address = integration::mqtt_client::tls(&gateway, "127.0.0.1", &["mqtt"]).await.unwrap();
    let bytes = b"\x10\x11\x00\x04MQTT\x04\x82\x00\x3c\x00\x01a\x00\x02me";
    tokio::io::AsyncWriteExt::write_all(&mut by_address, bytes).await.unwrap();
    let by_address = MqttClient::over(by_address, Version::V311).receive().await;
    assert!(matches!(by_address, Some(Packet::ConnAck(ack)) if ack.code == Code::Success));

    let tls = json!({"serverName": "localhost"});
    let data = [
        json!({"tls": tls, "mqtt": {"username": user_name, "password": "/wBw", "clientId": "c1"}}),
        json!({"tls": tls, "mqtt": {"clientId": "c2"}}),
        json!({"mqtt": {"username": "me", "clientId": "a"}}),
    ];
    let events = script.events();
    assert_eq!(events.len(), data.len());
    for (event, data) in events.iter().zip(data) {
        let id = event["connectionMetadata"]["id"].as_str().unwrap();
        let expected = json!({
            "signatureVerified": false,
            "protocols": ["tls", "mqtt"],
            "protocolData": data,
            "connectionMetadata": {"id": id},
        });
        assert_eq!(*event, expected);
        let line = gateway.logged_with(&[("eventType", "Connect"), ("connectionId", id)]).await;
        assert_eq!(line["clientId"], event["protocolData"]["mqtt"]["clientId"]);
    }
}
