//! What is wrong ends its own device, and others go on.

use integration::{
    eventually::within,
    mqtt_client::{MqttClient, connect},
};
use mqtt::{ConnectReasonCode, QoS, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Site;

#[tokio::test]
async fn malformed_packets_end_their_own_device_only() {
    let site = Site::new().await;
    let mut bystander = site.device(Version::V5, "bystander").await;
    let password = site.gateway.add("bad", "own-topics");
    let packets: [&[u8]; 8] = [
        // QoS 3, a reserved type, wrong flags, a filter that is none, a length that never ends.
        b"\x36\x05\x00\x01a\x00\x01",
        b"\x00\x00",
        b"\x83\x00",
        b"\x82\x08\x00\x01\x00\x03a#b\x00",
        b"\x30\xff\xff\xff\xff\xff",
        // A second CONNECT, a server's packet, a packet above the limit.
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a",
        b"\x20\x02\x00\x00",
        b"\x30\xff\xff\xff\x7f",
    ];
    for bytes in packets {
        let (mut device, ack) =
            MqttClient::plain(site.bridge.mqtt(), connect(Version::V311, "bad", "bad", &password)).await;
        assert_eq!(ack.unwrap().code, ConnectReasonCode::Success);
        device.send_bytes(bytes).await;
        device.closed().await;
        assert!(bystander.publish("bystander/a", "x", QoS::AtLeastOnce).await.is_some(), "{bytes:02x?}");
    }
    let line = site.bridge.logged(&[("eventType", "Disconnect"), ("reason", "CLIENT_ERROR")]).await;
    assert_eq!((&line["clientId"], &line["status"]), (&"bad".into(), &"Failure".into()));
}

#[tokio::test]
async fn a_first_packet_that_is_no_connect_ends_the_connection() {
    let site = Site::new().await;
    let first: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xc0\x00",
        b"\x16\x03\x01\x00\x05hello",
        b"\x10\x0d\x00\x04MQTX\x04\x02\x00\x3c\x00\x01a",
    ];
    for bytes in first {
        let mut stream = TcpStream::connect(site.bridge.mqtt()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end too.
        _ = within("the end", stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty(), "{answer:02x?}");
    }
    site.bridge.logged(&[("eventType", "Connect"), ("reason", "MALFORMED_CONNECT")]).await;
    let mut unsupported = TcpStream::connect(site.bridge.mqtt()).await.unwrap();
    unsupported.write_all(b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x3c\x00\x01a").await.unwrap();
    let mut answer = [0; 4];
    within("the CONNACK", unsupported.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer[..1], [0x20], "a version that does not exist is answered");
}

#[tokio::test]
async fn half_open_connections_are_bounded_and_end() {
    let site = Site::with("[limits]\nhandshakes = 5\nconnect_timeout_seconds = 2").await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(site.bridge.mqtt()).await.unwrap());
    }
    site.bridge.logged(&[("eventType", "Connect"), ("reason", "TOO_MANY_HANDSHAKES")]).await;
    site.device(Version::V311, "hall-1").await;
    for mut stream in idle {
        let mut rest = Vec::new();
        _ = within("the end", stream.read_to_end(&mut rest)).await;
    }
    site.bridge.logged(&[("eventType", "Connect"), ("reason", "CONNECT_TIMEOUT")]).await;
}

#[tokio::test]
async fn more_devices_than_allowed_are_refused() {
    let site = Site::with("[limits]\ndevices = 1").await;
    let _first = site.device(Version::V311, "one").await;
    let password = site.gateway.add("two", "own-topics");
    let (_, ack) = MqttClient::plain(site.bridge.mqtt(), connect(Version::V5, "two", "two", &password)).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::ServerBusy);
    site.bridge.logged(&[("reason", "TOO_MANY_DEVICES"), ("clientId", "two")]).await;
}

#[tokio::test]
async fn the_status_port_is_for_this_machine_only() {
    let site = Site::new().await;
    let address = site.bridge.address("status");
    assert!(address.ip().is_loopback());
    for (path, part) in [("/healthz", "ok"), ("/readyz", "ok"), ("/metrics", "latchkey_bridge_devices")] {
        let stream = TcpStream::connect(address).await.unwrap();
        let text = super::http_get(stream, path).await;
        assert!(text.starts_with("HTTP/1.1 200") && text.contains(part), "{text}");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 421"), "{text}");
}
