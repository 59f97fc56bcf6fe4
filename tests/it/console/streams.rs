//! Server-sent events, and the way of the page's MQTT.

use integration::{
    console_client::{ConsoleClient, ConsoleEvents},
    eventually::within,
    mqtt_client::MqttClient,
    test_gateway::TestGateway,
};
use mqtt::{QoS, Version};
use serde_json::{Value, json};

/// Reads on until an event satisfies `wanted`.
async fn event(events: &mut ConsoleEvents, wanted: impl Fn(&Value) -> bool) -> Value {
    within("the event", async {
        loop {
            let (_, data) = events.next().await.expect("the stream goes on");
            if wanted(&data) {
                return data;
            }
        }
    })
    .await
}

#[tokio::test]
async fn attempts_come_as_they_happen_and_the_stream_ends_with_the_gateway() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let mut events = console.events("of=attempts").await;
    let _client = MqttClient::anybody(&gateway, Version::V5, "live").await;
    let data = event(&mut events, |data| data["attempts"][0]["outcome"] == "connected").await;
    assert_eq!((&data["attempts"][0]["clientId"], &data["skipped"]), (&json!("live"), &json!(0)));
    let stopped = gateway.stop();
    let (_, end) = tokio::join!(stopped, async {
        while events.next().await.is_some() {}
        true
    });
    assert!(end);
}

#[tokio::test]
async fn many_attempts_are_sampled_and_the_stream_says_so() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let mut events = console.events("of=attempts").await;
    let clients = (0..80).map(|n| {
        let gateway = &gateway;
        async move { MqttClient::anybody(gateway, Version::V5, &format!("c{n}")).await }
    });
    let clients = futures_util::future::join_all(clients).await;
    assert_eq!(clients.len(), 80);
    let mut skipped = 0;
    event(&mut events, |data| {
        assert!(data["attempts"].as_array().unwrap().len() <= 25, "{data}");
        data["skipped"].as_u64().unwrap() > 0 || data["summary"]["total"] == 80
    })
    .await;
    // Every one of them is in the list.
    integration::eventually::until("all rows", async || {
        skipped =
            console.get("/attempts?outcome=connected&limit=200").await["attempts"].as_array().unwrap().len();
        skipped == 80
    })
    .await;
}

#[tokio::test]
async fn observer_sees_messages_and_is_no_client() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let mut events = console.events("of=messages&filter=a/%23").await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "a").await;
    client.publish("a/<b>", "\u{202e}x", QoS::AtLeastOnce).await;
    let data = event(&mut events, |data| !data["messages"][0].is_null()).await;
    let message = &data["messages"][0];
    assert_eq!((&message["topic"], &message["payload"]), (&json!("a/<b>"), &json!("4oCueA==")));
    assert_eq!(console.get("/connections").await["total"], 1);
    assert_eq!(console.get("/sessions").await["total"], 1);
    for filter in ["$share/g/a", "a%23", ""] {
        let target = format!("/console/v1/events?of=messages&filter={filter}");
        let bearer = format!("Bearer {}", console.token);
        let answer = console.send("GET", &target, &[("Authorization", &bearer)], "").await;
        assert_eq!(answer.status, 400, "{filter}");
    }
}

#[tokio::test]
async fn number_of_streams_is_bounded() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(console.events("of=attempts").await);
    }
    let bearer = format!("Bearer {}", console.token);
    let target = "/console/v1/events?of=attempts";
    assert_eq!(console.send("GET", target, &[("Authorization", &bearer)], "").await.status, 503);
    drop(open);
    integration::eventually::until("a free place", async || {
        let answer =
            console.send("GET", "/console/v1/events?of=none", &[("Authorization", &bearer)], "").await;
        answer.status == 400
    })
    .await;
}

#[tokio::test]
async fn websocket_of_another_origin_is_refused() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let (cookie, own) = (console.cookie(), console.origin());
    let upgrade = async |origin: &str, cookie: &str| {
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "mqtt"),
            ("Origin", origin),
            ("Cookie", cookie),
        ];
        let mut status = String::new();
        let mut stream = tokio::net::TcpStream::connect(console.address).await.unwrap();
        let mut head = format!("GET /console/v1/mqtt HTTP/1.1\r\nHost: {}\r\n", console.address);
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        tokio::io::AsyncWriteExt::write_all(&mut stream, format!("{head}\r\n").as_bytes()).await.unwrap();
        let mut reader = tokio::io::BufReader::new(stream);
        within("the answer", tokio::io::AsyncBufReadExt::read_line(&mut reader, &mut status)).await.unwrap();
        status.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(upgrade("http://evil.example", &cookie).await, "403");
    assert_eq!(upgrade(&own, "").await, "403");
    assert_eq!(upgrade(&own, &cookie).await, "101");
}
