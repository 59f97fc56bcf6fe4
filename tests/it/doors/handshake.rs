//! Who comes in by the TLS door, and what the others are told.

use std::{sync::Arc, time::Duration};

use integration::{
    eventually::{eventually, within},
    mqtt_client::{MqttClient, client_config, connect, tls, tls_with},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Version};
use rustls::{
    ClientConnection, HandshakeKind, ProtocolVersion, SupportedProtocolVersion,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::raw_hello::ClientHello;

/// A fatal alert in a plain record: `unrecognized_name` (RFC 6066) and `no_application_protocol` (RFC 7301).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
const NO_APPLICATION_PROTOCOL: [u8; 7] = [21, 3, 3, 0, 2, 2, 120];

async fn gateway() -> TestGateway {
    Start::with_script(&Step::Answer(allow_all())).0.run().await
}

/// A client that may be silent for half an hour.
fn patient(client_id: &str) -> Connect {
    Connect { keep_alive: 1_200, ..connect(Version::V5, client_id, "u", "p") }
}

/// What a TLS client sends first.
fn client_hello(gateway: &TestGateway, server_name: &str, alpn: &[&str]) -> Vec<u8> {
    let config = client_config(gateway, alpn, rustls::DEFAULT_VERSIONS);
    let name = ServerName::try_from(server_name.to_owned()).unwrap();
    let mut bytes = Vec::new();
    ClientConnection::new(config, name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

/// What comes back for these bytes, to the end of the connection.
async fn answer(gateway: &TestGateway, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // What the server did not read any more ends the connection with an error; what came before counts.
    _ = within("the end", stream.read_to_end(&mut answer)).await;
    answer
}

async fn refused(gateway: &TestGateway, reason: &str, details: &str) {
    let what = format!("{reason} with `{details}` in the log");
    let line = gateway
        .logged(&what, |line| {
            line["reason"] == reason && line["details"].as_str().is_some_and(|text| text.contains(details))
        })
        .await;
    assert_eq!((&line["eventType"], &line["status"]), (&"Connect".into(), &"Failure".into()));
}

#[tokio::test]
async fn another_alpn_protocol_is_refused_with_its_alert() {
    let gateway = gateway().await;
    let cases: [(&[&str], &str); 6] = [
        (
            &["h2"],
            r#"offered ALPN ["h2"]; AWS's port 443 accepts none, `mqtt`, `x-amzn-mqtt-ca`, `http/1.1` or `x-amzn-http-ca`"#,
        ),
        (&["http/1.0"], r#"offered ALPN ["http/1.0"]"#),
        (&["x-amzn-mqtt-c"], r#"offered ALPN ["x-amzn-mqtt-c"]"#),
        (&["MQTT"], r#"offered ALPN ["MQTT"]"#),
        (&["mqtt/5", "mqt"], r#"offered ALPN ["mqtt/5", "mqt"]"#),
        (&["x-amzn-http-ca2", "h2"], r#"offered ALPN ["x-amzn-http-ca2", "h2"]"#),
    ];
    for (alpn, details) in cases {
        let hello = client_hello(&gateway, "localhost", alpn);
        assert_eq!(answer(&gateway, &hello).await, NO_APPLICATION_PROTOCOL, "{alpn:?}");
        refused(&gateway, "ALPN_NOT_SUPPORTED", details).await;
        let error = tls(&gateway, "localhost", alpn).await.unwrap_err().to_string();
        assert!(error.contains("NoApplicationProtocol"), "{alpn:?}: {error}");
    }
}

#[tokio::test]
async fn an_unknown_server_name_is_refused_with_its_alert_before_any_certificate() {
    let gateway = gateway().await;
    for name in ["example.com", "localhost.example.com", "xlocalhost", "a1b2-ats.iot.us-east-1.amazonaws.com"]
    {
        for alpn in [&["mqtt"][..], &[]] {
            let hello = client_hello(&gateway, name, alpn);
            assert_eq!(answer(&gateway, &hello).await, UNRECOGNIZED_NAME, "{name} {alpn:?}");
        }
        let error = tls(&gateway, name, &["mqtt"]).await.unwrap_err().to_string();
        assert!(error.contains("UnrecognizedName") || error.contains("UnrecognisedName"), "{name}: {error}");
    }
    refused(&gateway, "SNI_MISUSED", "").await;
}

#[tokio::test]
async fn mqtt_anywhere_in_the_alpn_list_a_name_in_any_case_and_no_name_are_accepted() {
    let gateway = gateway().await;
    let cases: [(&str, &[&str]); 5] = [
        ("localhost", &["mqtt"]),
        ("localhost", &["mqtt", "http/1.1"]),
        ("localhost", &["x-amzn-mqtt-ca", "http/1.1", "mqtt"]),
        ("LOCALHOST", &["mqtt"]),
        ("127.0.0.1", &["mqtt"]),
    ];
    for (name, alpn) in cases {
        let stream = tls(&gateway, name, alpn).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"mqtt"[..]), "{name} {alpn:?}");
        assert_connects(stream).await;
    }
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_accepted_and_sessions_are_not_resumed() {
    let gateway = gateway().await;
    let cases: [(&SupportedProtocolVersion, _); 2] =
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)];
    for (version, name) in cases {
        let config = client_config(&gateway, &["mqtt"], &[version]);
        for _ in 0..2 {
            let stream = tls_with(&gateway, "localhost", Arc::clone(&config)).await.unwrap();
            let (_, tls) = stream.get_ref();
            assert_eq!(
                (tls.protocol_version(), tls.handshake_kind()),
                (Some(name), Some(HandshakeKind::Full)),
                "the client offers to resume what it can"
            );
            let stream = assert_connects(stream).await;
            assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
        }
    }
}

#[tokio::test]
async fn bytes_that_are_not_tls_1_2_or_later_are_closed_and_others_go_on() {
    let gateway = gateway().await;
    let mut other = MqttClient::connected(&gateway, patient("other")).await;
    let mqtt_connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
    let cases: [(&str, &[u8]); 6] = [
        ("a TLS 1.1 ClientHello", &ClientHello::of_tls_1_1().record()),
        ("an SSL 2 ClientHello", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("MQTT without TLS", mqtt_connect),
        ("zeros", &[0; 64]),
        ("a TLS record of garbage", b"\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff"),
    ];
    for (what, bytes) in cases {
        let answer = answer(&gateway, bytes).await;
        let is_alert = matches!(answer[..], [] | [21, 3, _, 0, 2, 2, _]);
        assert!(is_alert, "{what} is answered with {answer:?}");
        other.ping().await;
    }
    let failed = || {
        let lines = gateway.log.lines();
        let count = lines.iter().filter(|line| line["reason"] == "TLS_HANDSHAKE_FAILED").count();
        (count == cases.len()).then_some(())
    };
    eventually("a line for each of them", failed).await;
}

#[tokio::test]
async fn a_tls_1_1_client_receives_the_alert_for_its_version() {
    const PROTOCOL_VERSION: u8 = 70;
    let gateway = gateway().await;
    assert_eq!(answer(&gateway, &ClientHello::of_tls_1_1().record()).await.last(), Some(&PROTOCOL_VERSION));
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_ca_is_named_in_the_log() {
    let gateway = gateway().await;
    let stranger = self::gateway().await;
    let config = client_config(&stranger, &["mqtt"], rustls::DEFAULT_VERSIONS);
    assert!(tls_with(&gateway, "localhost", config).await.is_err());
    refused(&gateway, "TLS_HANDSHAKE_FAILED", "").await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off_and_others_go_on() {
    let gateway = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock().run().await;
    let mut other = MqttClient::connected(&gateway, patient("other")).await;
    let hello = client_hello(&gateway, "localhost", &["mqtt"]);
    let cases =
        [("nothing", 0), ("a byte", 1), ("half a ClientHello", hello.len() / 2), ("all", hello.len())];
    for (what, sent) in cases {
        let before = cut_off(&gateway, "TLS_HANDSHAKE_FAILED", "no handshake within 10s");
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&hello[..sent]).await.unwrap();
        let logged = || {
            gateway.advance(Duration::from_secs(1));
            let after = cut_off(&gateway, "TLS_HANDSHAKE_FAILED", "no handshake within 10s");
            (after > before).then_some(())
        };
        eventually(what, logged).await;
        let mut answer = Vec::new();
        _ = within("the end", stream.read_to_end(&mut answer)).await;
        other.ping().await;
    }
}

#[tokio::test]
async fn a_client_without_a_connect_is_cut_off_and_others_go_on() {
    let gateway = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock().run().await;
    let mut other = MqttClient::connected(&gateway, patient("other")).await;
    let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
    for sent in [0, 1, connect.len() - 1] {
        let before = cut_off(&gateway, "CLIENT_ERROR", "no CONNECT within 10s");
        let mut silent = MqttClient::open(&gateway, Version::V311).await;
        silent.send_bytes(&connect[..sent]).await;
        let logged = || {
            gateway.advance(Duration::from_secs(1));
            (cut_off(&gateway, "CLIENT_ERROR", "no CONNECT within 10s") > before).then_some(())
        };
        eventually("the end of patience", logged).await;
        assert_eq!(silent.rest().await, b"", "{sent} bytes");
        other.ping().await;
    }
}

/// How many lines there are with this reason and details that begin so.
fn cut_off(gateway: &TestGateway, reason: &str, details: &str) -> usize {
    let lines = gateway.log.lines();
    lines
        .iter()
        .filter(|line| {
            line["reason"] == reason && line["details"].as_str().is_some_and(|text| text.starts_with(details))
        })
        .count()
}

/// The connection works; what is left of it comes back.
async fn assert_connects(
    stream: tokio_rustls::client::TlsStream<TcpStream>,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let (mut stream, connect) = (stream, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a");
    stream.write_all(connect).await.unwrap();
    let mut ack = [0; 4];
    within("CONNACK", stream.read_exact(&mut ack)).await.unwrap();
    assert_eq!(ack, *b"\x20\x02\x00\x00");
    stream
}
