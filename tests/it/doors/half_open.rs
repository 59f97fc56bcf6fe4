//! Connections that are begun and left: thousands of them, and nobody else notices.

use std::{collections::VecDeque, time::Duration};

use gateway::door::route::Port;
use integration::{
    eventually::eventually,
    gateway_process::GatewayProcess,
    http_client::{HttpClient, head},
    mqtt_client::{MqttClient, connect},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Packet, QoS, Version};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const HANDSHAKES: usize = 50;
const HALF_OPEN: usize = 10_000;
/// How many of them the client keeps at its end; the others were ended long ago.
const KEPT: usize = 500;
/// `make test` raises the limit on open files for them.
const WEIGHED: usize = 3_000;

async fn gateway() -> TestGateway {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    start.with(|settings| settings.limits.handshakes = HANDSHAKES).run().await
}

fn crowded_out(gateway: &TestGateway) -> usize {
    gateway
        .log
        .lines()
        .iter()
        .filter(|line| line["reason"] == "THROTTLED" && line["eventType"] == "Connect")
        .count()
}

/// What `/metrics` says.
async fn metric(gateway: &TestGateway, name: &str) -> u64 {
    let text = integration::http_client::plain_get(gateway.addresses.status.unwrap(), "/metrics").await.1;
    let line =
        text.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_else(|| panic!("{text}"));
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn thousands_of_half_open_connections_keep_no_client_out_and_are_closed() {
    let gateway = gateway().await;
    let mut old = MqttClient::anybody(&gateway, Version::V5, "old").await;
    let mut half_open = VecDeque::new();
    let begin = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for n in 0..HALF_OPEN {
        let port = Port::ALL[n % Port::ALL.len()];
        let mut stream = TcpStream::connect(gateway.addresses.doors[&port]).await.unwrap();
        stream.write_all(&begin[..n % (begin.len() + 1)]).await.unwrap();
        half_open.push_back(stream);
        if half_open.len() > KEPT {
            half_open.pop_front();
        }
    }
    // All but as many as there are places are ended; one that goes on at once gets in, again and again.
    eventually("the end of the oldest", || (crowded_out(&gateway) >= HALF_OPEN - HANDSHAKES).then_some(()))
        .await;
    assert_eq!(metric(&gateway, "latchkey_handshakes").await, HANDSHAKES as u64);
    assert!(metric(&gateway, "latchkey_connections").await <= HANDSHAKES as u64 + 1);
    for n in 0..5 {
        let mut new = MqttClient::anybody(&gateway, Version::V5, &format!("new-{n}")).await;
        new.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
    }
    old.ping().await;
    drop(half_open);
}

/// Processes of their own, so that nothing but the gateway is weighed: one with fewer places than there are connections,
/// and one with room for all of them.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn thousands_of_half_open_connections_use_memory_up_to_the_limit_only() {
    let weigh = async |places: usize| {
        let folder = tempfile::tempdir().unwrap();
        let places = places.to_string();
        let flags = ["--json", "--max-handshakes", &places, "--connect-timeout", "600"];
        let gateway = GatewayProcess::start_with(folder.path(), &flags, &[]).await;
        let before = gateway.resident_kib();
        // A ClientHello that announces more than it brings, so that the gateway has to keep it and wait.
        let begin = [&b"\x16\x03\x01\x20\x00\x01\x00\x1f\xfc\x03\x03"[..], &[7; 4_000]].concat();
        let mut half_open = Vec::new();
        for _ in 0..WEIGHED {
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            // One that was crowded out may be gone already.
            _ = stream.write_all(&begin).await;
            half_open.push(stream);
        }
        gateway.resident_kib().saturating_sub(before)
    };
    let (few, all) = (weigh(100).await, weigh(10_000).await);
    assert!(few * 2 < all, "{few} KiB with 100 places, {all} KiB with a place for each of {WEIGHED}");
}

#[tokio::test]
async fn a_connection_without_a_connect_makes_room_but_a_connected_one_does_not() {
    let gateway = gateway().await;
    let mut old = MqttClient::anybody(&gateway, Version::V5, "old").await;
    let mut kept_alive = HttpClient::open(&gateway).await;
    assert_eq!(kept_alive.request("POST", "/topics/t", &[], "1").await.status, 200);
    let mut silent = Vec::new();
    for n in 0..HANDSHAKES + 10 {
        if n % 2 == 0 {
            silent.push(MqttClient::open(&gateway, Version::V5).await);
        } else {
            drop(HttpClient::open(&gateway).await);
        }
    }
    for _ in 0..HANDSHAKES {
        silent.push(MqttClient::open(&gateway, Version::V5).await);
    }
    eventually("the end of the oldest", || (crowded_out(&gateway) > 0).then_some(())).await;
    silent[0].closed().await;
    old.ping().await;
    assert_eq!(kept_alive.request("POST", "/topics/t", &[], "2").await.status, 200, "it has left its place");
}

#[tokio::test]
async fn requests_without_credentials_hold_no_permit_for_ever() {
    let gateway = gateway().await;
    let mut nobody = HttpClient::open(&gateway).await;
    assert_eq!(nobody.request("GET", "/", &[], "").await.status, 404);
    let mut silent = Vec::new();
    for _ in 0..HANDSHAKES {
        silent.push(MqttClient::open(&gateway, Version::V5).await);
    }
    eventually("the end of the oldest", || (crowded_out(&gateway) > 0).then_some(())).await;
    assert_eq!(nobody.rest().await, b"");
}

#[tokio::test]
async fn a_small_limit_on_connections_is_exact() {
    for connections in 1..4 {
        let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
        let gateway = start.with(|settings| settings.limits.connections = connections).run().await;
        for round in 0..3 {
            let mut clients = Vec::new();
            for n in 0..connections {
                clients.push(MqttClient::anybody(&gateway, Version::V5, &format!("c-{round}-{n}")).await);
            }
            for client in &mut clients {
                client.ping().await;
            }
        }
    }
}

#[tokio::test]
async fn the_memory_of_waiting_events_is_limited_and_small_events_still_wait() {
    const LARGE: usize = 200;
    let (start, script) = Start::with_script(&Step::Hold(allow_all()));
    let gateway = start.run().await;
    let mut waiting = Vec::new();
    for n in 0..LARGE {
        let mut client = MqttClient::open(&gateway, Version::V5).await;
        let large = connect(Version::V5, &format!("c-{n}"), &"u".repeat(65_000), "p");
        client.send(Packet::Connect(Box::new(large))).await;
        waiting.push(client);
    }
    let refused = || {
        let lines = gateway.log.lines();
        let refused = lines.iter().filter(|line| {
            line["reason"] == "THROTTLED" && line["details"].as_str().unwrap().contains("more than 64 MiB")
        });
        (refused.count() >= LARGE - 180).then_some(())
    };
    eventually("the refusal of those that are too many", refused).await;
    script.set(&Step::Answer(allow_all()));
    MqttClient::anybody(&gateway, Version::V5, "small").await;
}

#[tokio::test]
async fn a_request_whose_client_disconnects_is_logged() {
    let (start, script) = Start::with_script(&Step::Hold(allow_all()));
    let gateway = start.with(|settings| settings.authorizers[0].function.instances = 1).run().await;
    let mut client = HttpClient::open(&gateway).await;
    client.send(head("POST", "/topics/t", &[("Content-Length", "0")]).as_bytes()).await;
    eventually("the call", || (script.calls() == 1).then_some(())).await;
    drop(client);
    gateway
        .logged_with(&[("details", "the client closed before it was answered"), ("protocol", "HTTP")])
        .await;
    script.set(&Step::Answer(allow_all()));
    MqttClient::anybody(&gateway, Version::V5, "c").await;
    assert_eq!(script.starts(), 1);
}

#[tokio::test]
async fn a_request_that_is_under_way_is_answered_before_the_gateway_stops() {
    let (start, script) = Start::with_script(&Step::Hold(allow_all()));
    let gateway = start.run().await;
    let mut client = HttpClient::open(&gateway).await;
    client.send(head("POST", "/topics/t", &[("Content-Length", "0")]).as_bytes()).await;
    eventually("the call", || (script.calls() == 1).then_some(())).await;
    let stopping = tokio::spawn(gateway.stop());
    script.set(&Step::Answer(allow_all()));
    assert_eq!(client.answer().await.unwrap().status, 200);
    stopping.await.unwrap();
}

#[tokio::test]
async fn the_connect_timeout_is_a_setting() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let limit = Duration::from_secs(3);
    let start = start.with(|settings| settings.limits.connect_timeout = limit).on_manual_clock();
    let gateway = start.run().await;
    let mut silent = MqttClient::open(&gateway, Version::V5).await;
    let cut_off = || {
        gateway.advance(Duration::from_secs(1));
        gateway.log.lines().into_iter().find(|line| {
            line["details"].as_str().is_some_and(|text| text.starts_with("no CONNECT within 3s"))
        })
    };
    eventually("the end of patience", cut_off).await;
    silent.closed().await;
}
