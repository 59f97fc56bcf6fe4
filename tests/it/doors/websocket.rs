//! MQTT over WebSocket: the same sessions as over TLS, and what the way there does not take.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use integration::{
    captured_log::words,
    foreign::{self, BOTH, Device},
    http_client::{BINARY, CLOSE, CONTINUATION, HttpClient, PING, PONG, TEXT, frame, upgrade},
    mqtt_client::{MqttClient, connect},
    refusal::without_reason_strings,
    script::{Script, Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Codec, Packet, QoS, Version};
use serde_json::{Value, json};
use tokio_util::codec::Encoder;

/// The second byte of a masked frame whose length is in the next eight.
const LARGE_FRAME: u8 = 0xff;

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn scripted() -> (TestGateway, Script) {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    (start.run().await, script)
}

fn connect_bytes(client_id: &str, user_name: &str, password: &str) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let connect = connect(Version::V311, client_id, user_name, password);
    Codec::client(Version::V311, 1 << 20).encode(Packet::Connect(Box::new(connect)), &mut bytes).unwrap();
    bytes.to_vec()
}

/// A PUBLISH of 3.1.1 at QoS 0.
fn publish_bytes(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x30, u8::try_from(2 + topic.len() + payload.len()).unwrap()];
    bytes.put_u16(topic.len().try_into().unwrap());
    [&bytes, topic.as_bytes(), payload].concat()
}

/// A WebSocket whose CONNECT was accepted.
async fn connected(gateway: &TestGateway, client_id: &str) -> HttpClient {
    let mut client = HttpClient::websocket(gateway, "/mqtt", &[]).await;
    client.send(&frame(true, BINARY, &connect_bytes(client_id, "u", "p"))).await;
    assert_eq!(client.frame().await.unwrap().payload, b"\x20\x02\x00\x00");
    client
}

fn events(log: &[Value]) -> Vec<&str> {
    log.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

async fn logged(gateway: &TestGateway, details: &str) -> Value {
    gateway.logged(details, |line| words(line).contains(details)).await
}

#[tokio::test]
async fn paho_connects_over_websocket() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("hall-1", "own-topics");
    let device = Device::new(&gateway, "hall-1", password.clone()).over_websocket();
    let actions = [
        json!(["subscribe", "hall-1/#", 1]),
        json!(["publish", "hall-1/a", "first", 0]),
        json!(["receive"]),
        json!(["publish", "hall-1/b", "x".repeat(20_000), 1]),
        json!(["receive"]),
        json!(["disconnect"]),
    ];
    for version in BOTH {
        for alpn in [None, Some("http/1.1")] {
            let log = Device { alpn, ..device.clone() }.paho(version, &actions).await;
            assert_eq!(log[0], json!({"event": "connected", "codes": [0], "reason": "Success"}));
            let payloads = log.iter().filter(|line| line["event"] == "message").map(|line| &line["payload"]);
            assert_eq!(payloads.collect::<Vec<_>>(), [&json!("first"), &json!("x".repeat(20_000))]);
            assert_eq!(log.last().unwrap()["by_server"], false, "{log:?}");
        }
    }
    let line =
        gateway.logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", "hall-1")]).await;
    let same = |of: &Value| of["event"] == "decision" && of["connection_id"] == line["connectionId"];
    assert_eq!(gateway.logged("the authorizer's decision", same).await["outcome"], "allow");
}

#[tokio::test]
async fn paho_is_refused_over_websocket_as_over_tls() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("hall-1", "own-topics");
    let right = Device::new(&gateway, "hall-1", password).over_websocket();
    let cases = [
        Device { password: b"wrong".to_vec(), ..right.clone() },
        Device { password: Vec::new(), ..right.clone() },
        Device { client_id: "hall-2".to_owned(), ..right.clone() },
        Device { user_name: "hall-1?x-amz-customauthorizer-name=other".to_owned(), ..right.clone() },
    ];
    for version in BOTH {
        for device in &cases {
            let log = device.paho(version, &[json!(["publish", "hall-1/a", "x", 1])]).await;
            match version {
                // It says nothing of a CONNACK, and leaves.
                foreign::Version::V311 => assert_eq!(events(&log), ["disconnected"], "{log:?}"),
                foreign::Version::V5 => {
                    let refused = json!({"event": "connected", "codes": [0x87], "reason": "Not authorized"});
                    assert_eq!(log[0], refused);
                }
            }
        }
        let outside = [json!(["publish", "hall-2/a", "x", 0]), json!(["closed"])];
        let log = right.paho(version, &outside).await;
        assert_eq!(log.last().unwrap()["event"], "disconnected", "{log:?}");
    }
    gateway.logged_with(&[("eventType", "Disconnect"), ("disconnectReason", "AUTH_ERROR")]).await;
    let wrong_alpn = Device { alpn: Some("mqtt"), ..right };
    assert_eq!(wrong_alpn.paho(BOTH[0], &[]).await[0]["event"], "not_connected");
    logged(&gateway, "speaks HTTP, and this door accepts MQTT").await;
}

#[tokio::test]
async fn the_function_receives_the_upgrade_and_the_connect() {
    let (gateway, script) = scripted().await;
    let mut client = HttpClient::websocket(&gateway, "/mqtt?a=b", &[("X-Key", "v")]).await;
    client.send(&frame(true, BINARY, &connect_bytes("c", "user", "pass"))).await;
    assert_eq!(client.frame().await.unwrap().payload, b"\x20\x02\x00\x00");
    let event = script.events().remove(0);
    assert_eq!(event["protocols"], json!(["tls", "http", "mqtt"]));
    let data = &event["protocolData"];
    assert_eq!(data["tls"], json!({"serverName": "localhost"}));
    assert_eq!(
        (&data["http"]["queryString"], &data["http"]["headers"]["x-key"]),
        (&json!("a=b"), &json!("v"))
    );
    assert_eq!(data["mqtt"], json!({"clientId": "c", "username": "user", "password": "cGFzcw=="}));
    let line = gateway.logged_with(&[("eventType", "Connect"), ("status", "Success")]).await;
    assert_eq!(line["connectionId"], event["connectionMetadata"]["id"]);
}

#[tokio::test]
async fn the_authorizer_is_named_by_a_header_the_query_string_or_the_user_name() {
    let (gateway, script) = scripted().await;
    let (name, header) = ("x-amz-customauthorizer-name", "X-Amz-CustomAuthorizer-Name");
    let query = |authorizer: &str| format!("/mqtt?{name}={authorizer}");
    let user = |authorizer: &str| format!("u?{name}={authorizer}");
    let cases = [
        (query("latchkey"), None, "u".to_owned(), true),
        (query("none"), None, "u".to_owned(), false),
        (query("latchkey"), None, user("latchkey"), false),
        ("/mqtt".to_owned(), Some("latchkey"), "u".to_owned(), true),
        ("/mqtt".to_owned(), Some("latchkey"), user("none"), false),
        ("/mqtt".to_owned(), Some("none"), "u".to_owned(), false),
        ("/mqtt".to_owned(), None, user("latchkey"), true),
        ("/mqtt".to_owned(), None, user("none"), false),
        ("/mqtt".to_owned(), None, "u".to_owned(), true),
    ];
    for (target, value, user_name, comes_in) in cases {
        let headers = value.map(|value| (header, value));
        let mut client = HttpClient::websocket(&gateway, &target, headers.as_slice()).await;
        let calls = script.calls();
        client.send(&frame(true, BINARY, &connect_bytes("c", &user_name, "p"))).await;
        let answer = client.frame().await.unwrap();
        let accepted = (answer.opcode, &*answer.payload) == (BINARY, b"\x20\x02\x00\x00");
        assert_eq!(
            (accepted, script.calls() - calls),
            (comes_in, usize::from(comes_in)),
            "{target} {user_name}"
        );
    }
}

#[tokio::test]
async fn a_refused_connect_ends_with_an_empty_close_frame_or_after_its_connack_with_none() {
    let (start, _script) = Start::with_script(&Step::Answer(json!({"isAuthenticated": false})));
    let gateway = start.run().await;
    let malformed = b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a".to_vec();
    for bytes in [connect_bytes("c", "u", "p"), malformed] {
        let mut client = HttpClient::websocket(&gateway, "/mqtt", &[]).await;
        client.send(&frame(true, BINARY, &bytes)).await;
        let close = client.frame().await.unwrap();
        assert_eq!((close.opcode, &*close.payload), (CLOSE, &b""[..]));
        assert_eq!(client.rest().await, b"");
    }
    let mut client = HttpClient::websocket(&gateway, "/mqtt", &[]).await;
    let connect = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a";
    client.send(&frame(true, BINARY, connect)).await;
    let answer = client.frame().await.unwrap();
    assert_eq!(answer.opcode, BINARY);
    assert_eq!(without_reason_strings(&answer.payload), b"\x20\x03\x00\x87\x00");
    assert_eq!(client.rest().await, b"", "no close frame");
    // A level that is not supported is answered in 3.1.1 too, and is a refusal all the same.
    let mut client = HttpClient::websocket(&gateway, "/mqtt", &[]).await;
    client.send(&frame(true, BINARY, b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x3c\x00\x01a")).await;
    assert_eq!(client.frame().await.unwrap().payload, b"\x20\x02\x00\x01");
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn packets_span_frames_frames_hold_packets_and_pings_are_answered() {
    let (gateway, _script) = scripted().await;
    let mut subscriber = MqttClient::anybody(&gateway, Version::V5, "subscriber").await;
    subscriber.subscribe(&["t"], QoS::AtMostOnce).await.unwrap();
    // A byte a frame.
    let mut client = HttpClient::websocket(&gateway, "/mqtt", &[]).await;
    for byte in connect_bytes("c", "u", "p") {
        client.send(&frame(true, BINARY, &[byte])).await;
    }
    assert_eq!(client.frame().await.unwrap().payload, b"\x20\x02\x00\x00");
    // Three packets in a frame, and then in fragments of a message with a ping and an empty one between them.
    let packets = [publish_bytes("t", b"1"), publish_bytes("t", b"2"), publish_bytes("t", b"3")].concat();
    client.send(&frame(true, BINARY, &packets)).await;
    client.send(&frame(false, BINARY, &packets[..4])).await;
    client.send(&frame(true, PING, b"hi")).await;
    client.send(&frame(false, CONTINUATION, &[])).await;
    client.send(&frame(true, CONTINUATION, &packets[4..])).await;
    client.send(&frame(true, PONG, b"unasked")).await;
    client.send(&frame(true, BINARY, &[])).await;
    for payload in ["1", "2", "3", "1", "2", "3"] {
        assert_eq!(subscriber.message().await.payload, payload);
    }
    let pong = client.frame().await.unwrap();
    assert_eq!((pong.opcode, &pong.payload[..]), (PONG, &b"hi"[..]));
    client.send(&frame(true, BINARY, &[0xc0, 0])).await;
    let answer = client.frame().await.unwrap();
    assert_eq!((answer.opcode, &answer.payload[..]), (BINARY, &b"\xd0\x00"[..]));
}

#[tokio::test]
async fn a_close_frame_is_answered_and_the_disconnect_is_logged() {
    let (gateway, _script) = scripted().await;
    let mut client = connected(&gateway, "polite").await;
    client.send(&frame(true, BINARY, &[0xe0, 0])).await;
    let close = client.frame().await.unwrap();
    assert_eq!((close.opcode, &close.payload[..2]), (CLOSE, &1000_u16.to_be_bytes()[..]), "after DISCONNECT");
    assert_eq!(client.rest().await, b"");
    let mut client = connected(&gateway, "curt").await;
    client.send(&frame(true, CLOSE, &1001_u16.to_be_bytes())).await;
    let close = client.frame().await.unwrap();
    assert_eq!((close.opcode, &close.payload[..]), (CLOSE, &1001_u16.to_be_bytes()[..]));
    assert_eq!(client.rest().await, b"");
    for client_id in ["polite", "curt"] {
        let reason = ("reason", "CLIENT_INITIATED_DISCONNECT");
        gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", client_id), reason]).await;
    }
}

#[tokio::test]
async fn a_close_frame_without_disconnect_publishes_no_last_will_and_a_lost_connection_does() {
    let (gateway, _script) = scripted().await;
    let mut watcher = MqttClient::anybody(&gateway, Version::V5, "watcher").await;
    watcher.subscribe(&["will"], QoS::AtMostOnce).await.unwrap();
    for (client_id, closes) in [("closes", true), ("lost", false)] {
        let mut connect = connect(Version::V311, client_id, "u", "p");
        connect.last_will =
            Some(mqtt::LastWill::new("will".parse().unwrap(), client_id.as_bytes().to_vec().into()));
        let mut bytes = BytesMut::new();
        let packet = Packet::Connect(Box::new(connect));
        Codec::client(Version::V311, 1 << 20).encode(packet, &mut bytes).unwrap();
        let mut client = HttpClient::websocket(&gateway, "/mqtt", &[]).await;
        client.send(&frame(true, BINARY, &bytes)).await;
        assert_eq!(client.frame().await.unwrap().payload, b"\x20\x02\x00\x00");
        if closes {
            client.send(&frame(true, CLOSE, &1000_u16.to_be_bytes())).await;
        }
        drop(client);
        gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", client_id)]).await;
    }
    assert_eq!(watcher.message().await.payload, "lost");
}

#[tokio::test]
async fn a_websocket_ends_after_its_time() {
    let start = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock();
    let gateway = start.with(|settings| settings.quotas.websocket_seconds = 40.try_into().ok()).run().await;
    let mut client = connected(&gateway, "c").await;
    gateway.advance(Duration::from_secs(39));
    client.send(&frame(true, BINARY, &[0xc0, 0])).await;
    assert_eq!(client.frame().await.unwrap().payload, b"\xd0\x00");
    gateway.advance(Duration::from_secs(1));
    client.rest().await;
    gateway.logged_with(&[("clientId", "c"), ("disconnectReason", "WEBSOCKET_TTL_EXPIRATION")]).await;
}

#[tokio::test]
async fn invalid_frames_end_their_own_connection_and_no_other() {
    let (gateway, _script) = scripted().await;
    let mut other = connected(&gateway, "other").await;
    let too_large = [&[0x82, LARGE_FRAME][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    let fragments =
        [frame(false, BINARY, &vec![0; 60_000]), frame(false, CONTINUATION, &vec![0; 60_000]).repeat(4)]
            .concat();
    let unmasked = vec![0x82, 1, 0];
    let cases: [(&str, Vec<u8>, u16); 10] = [
        ("a text frame", frame(true, TEXT, b"hello"), 1003),
        ("text that is no UTF-8", frame(true, TEXT, b"\xff"), 1003),
        ("an unmasked frame", unmasked, 1002),
        ("a reserved opcode", frame(true, 3, b"x"), 1002),
        ("a reserved bit", frame(true, 0x40 | BINARY, b"x"), 1002),
        ("a continuation of nothing", frame(true, CONTINUATION, b"x"), 1002),
        ("a fragmented ping", frame(false, PING, b"x"), 1002),
        ("a ping of 126 bytes", frame(true, PING, &[0; 126]), 1002),
        ("a terabyte", too_large, 1009),
        ("300 KB in fragments", fragments, 1009),
    ];
    for (what, bytes, code) in cases {
        for opened in [false, true] {
            let mut client = if opened {
                connected(&gateway, "bad").await
            } else {
                HttpClient::websocket(&gateway, "/mqtt", &[]).await
            };
            client.send(&bytes).await;
            let close = loop {
                // Before CONNECT there may be a CONNACK with the refusal.
                match client.frame().await {
                    Some(frame) if frame.opcode == CLOSE => break frame,
                    Some(_) => {}
                    None => panic!("{what}: no close frame"),
                }
            };
            assert_eq!(close.payload[..2], code.to_be_bytes(), "{what}");
            other.send(&frame(true, BINARY, &[0xc0, 0])).await;
            assert_eq!(other.frame().await.unwrap().payload, b"\xd0\x00", "{what}");
        }
    }
    for details in ["sent a text frame", "larger than 262144 bytes", "rules of WebSocket"] {
        for event in ["Connect", "Disconnect"] {
            let fits = |line: &Value| {
                line["eventType"] == event
                    && line["details"].as_str().is_some_and(|text| text.contains(details))
            };
            gateway.logged(details, fits).await;
        }
    }
}

#[tokio::test]
async fn a_malformed_packet_over_websocket_is_a_malformed_packet() {
    let (gateway, _script) = scripted().await;
    let mut client = connected(&gateway, "bad").await;
    client.send(&frame(true, BINARY, b"\x00\x00")).await;
    assert_eq!(client.frame().await.map(|frame| frame.opcode), Some(CLOSE));
    gateway
        .logged_with(&[("eventType", "Disconnect"), ("reason", "CLIENT_ERROR"), ("clientId", "bad")])
        .await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_to_mqtt_is_refused_without_calling_the_function() {
    let (gateway, script) = scripted().await;
    let cases: [(&str, Headers<'_>, u16, &str); 9] = [
        ("/mqtt", &[("Sec-WebSocket-Protocol", "")], 400, "Sec-WebSocket-Protocol"),
        ("/mqtt", &[("Sec-WebSocket-Protocol", "mqttv3.1")], 400, "Sec-WebSocket-Protocol"),
        ("/mqtt", &[("Sec-WebSocket-Protocol", "MQTT, wamp")], 400, "Sec-WebSocket-Protocol"),
        ("/mqtt", &[("Upgrade", "h2c")], 400, "not a WebSocket's upgrade"),
        ("/mqtt", &[("Connection", "keep-alive")], 400, "not a WebSocket's upgrade"),
        ("/mqtt", &[("Sec-WebSocket-Version", "12")], 400, "not a WebSocket's upgrade"),
        ("/mqtt/", &[], 404, "nothing is at this path"),
        ("/", &[], 404, "nothing is at this path"),
        ("/topics/t", &[], 405, "needs the method POST"),
    ];
    for (target, headers, status, message) in cases {
        let mut client = HttpClient::open(&gateway).await;
        client.send(upgrade(target, headers).as_bytes()).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status, "{target} {headers:?}: {answer:?}");
        assert!(answer.message().contains(message), "{target} {headers:?}: {answer:?}");
        let line = gateway.logged_with(&[("connectionId", answer.trace_id())]).await;
        assert_eq!((&line["eventType"], &line["reason"]), (&json!("Connect"), &json!("CLIENT_ERROR")));
    }
    let mut several = HttpClient::open(&gateway).await;
    several.send(upgrade("/mqtt", &[("Sec-WebSocket-Protocol", "mqttv3.1, mqtt")]).as_bytes()).await;
    assert_eq!(several.answer().await.unwrap().status, 101);
    assert_eq!(script.calls(), 0);
}
