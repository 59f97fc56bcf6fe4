//! Connections that are begun and left: thousands of them, and nobody else notices.

use std::{collections::VecDeque, time::Duration};

use gateway::door::port::Port;
use integration::{
    eventually::eventually,
    http_client::HttpClient,
    mqtt_client::MqttClient,
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{QoS, Version};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const HANDSHAKES: usize = 50;
const HALF_OPEN: usize = 10_000;
/// How many of them the client keeps at its end; the others were ended long ago.
const KEPT: usize = 500;

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
async fn thousands_of_half_open_connections_keep_nobody_out_and_do_not_pile_up() {
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

#[tokio::test]
async fn whoever_is_silent_after_the_handshake_makes_room_too_but_nobody_who_is_connected() {
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
async fn the_time_to_connect_is_a_setting() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let limit = Duration::from_secs(3);
    let start = start.with(|settings| settings.limits.connect_timeout = limit).on_manual_clock();
    let gateway = start.run().await;
    let mut silent = MqttClient::open(&gateway, Version::V5).await;
    let cut_off = || {
        gateway.advance(Duration::from_secs(1));
        gateway.log.lines().into_iter().find(|line| line["details"] == "no CONNECT within 3s")
    };
    eventually("the end of patience", cut_off).await;
    silent.closed().await;
}
