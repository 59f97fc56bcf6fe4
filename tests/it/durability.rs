//! What outlives the gateway's process, however that ends.

use std::{
    collections::BTreeSet,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use integration::{
    eventually::eventually,
    gateway_process::{AT_ANY_RATE, GatewayProcess},
    mqtt_client::{MqttClient, connect},
    running::Running,
    script::{self, Script, Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Disconnect, DisconnectReasonCode, Packet, Publish, PublishProperties, QoS, Version};
use tempfile::tempdir;

const BOTH: [Version; 2] = [Version::V311, Version::V5];
/// How many messages of one publisher may be on their way.
const WINDOW: usize = 16;
/// When a gateway is killed: so many were acknowledged.
const ENOUGH: usize = 400;

async fn gateway() -> TestGateway {
    Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock().run().await
}

async fn started_anew(gateway: TestGateway) -> TestGateway {
    gateway.stop().await.run().await
}

/// A CONNECT that goes on with its session, and wants it kept for ten minutes where it can say so.
fn persistent(version: Version, id: &str) -> Connect {
    let mut connect = connect(version, id, "u", "p");
    (connect.clean_start, connect.keep_alive) = (false, 1_200);
    if version == Version::V5 {
        connect.properties.session_expiry_interval = 600;
    }
    connect
}

async fn come(gateway: &TestGateway, connect: Connect) -> (MqttClient, bool) {
    let (client, ack) = MqttClient::connect(gateway, connect).await;
    (client, ack.unwrap_or_else(|| panic!("no CONNACK: {}", gateway.log.text())).session_present)
}

/// The next message, acknowledged: its payload, packet id, and whether it says that it may be a repetition.
async fn take(client: &mut MqttClient) -> (String, NonZeroU16, bool) {
    let message = client.message().await;
    client.acknowledge(&message).await;
    let payload = String::from_utf8(message.payload.to_vec()).unwrap();
    (payload, message.packet_id.unwrap(), message.dup)
}

async fn publish(gateway: &TestGateway, messages: &[&str]) {
    let mut sender = MqttClient::anybody(gateway, Version::V5, "sender").await;
    for message in messages {
        sender.publish("t/x", message, QoS::AtLeastOnce).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_goes_on_after_a_new_start_with_its_packet_ids_and_its_order() {
    for version in BOTH {
        let gateway = gateway().await;
        let (mut client, _) = come(&gateway, persistent(version, "c")).await;
        client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
        client.subscribe(&["gone"], QoS::AtLeastOnce).await.unwrap();
        publish(&gateway, &["a", "b", "c"]).await;
        take(&mut client).await;
        let unacknowledged = [client.message().await, client.message().await];
        client.ping().await;
        // It is still connected when the gateway stops.
        let gateway = started_anew(gateway).await;
        publish(&gateway, &["d"]).await;
        let (mut client, present) = come(&gateway, persistent(version, "c")).await;
        assert!(present, "{version:?}");
        for (sent, payload) in unacknowledged.iter().zip(["b", "c"]) {
            assert_eq!(take(&mut client).await, (payload.to_owned(), sent.packet_id.unwrap(), true));
        }
        let (payload, packet_id, again) = take(&mut client).await;
        assert_eq!((payload.as_str(), again), ("d", false));
        assert!(unacknowledged.iter().all(|sent| sent.packet_id != Some(packet_id)));
        // What was acknowledged is gone.
        client.ping().await;
        let gateway = started_anew(gateway).await;
        let (mut client, present) = come(&gateway, persistent(version, "c")).await;
        assert!(present);
        client.ping().await;
        publish(&gateway, &["e"]).await;
        assert_eq!(take(&mut client).await.0, "e");
    }
}

#[tokio::test]
async fn time_goes_on_while_the_gateway_does_not() {
    let gateway = gateway().await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    client.closed().await;
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "c")]).await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for (payload, seconds) in [("short", 100), ("long", 500)] {
        let properties =
            PublishProperties { message_expiry_interval: Some(seconds), ..PublishProperties::default() };
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            packet_id: Some(NonZeroU16::MIN),
            properties: Some(properties.into()),
            ..Publish::new("t/x".parse().unwrap(), payload)
        };
        sender.send(Packet::Publish(publish)).await;
        assert!(matches!(sender.receive().await, Some(Packet::PubAck(_))));
    }
    let start = gateway.stop().await;
    start.clock().advance(Duration::from_secs(200));
    let gateway = start.run().await;
    let (mut client, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(present, "400 of its 600 seconds are left");
    let message = client.message().await;
    assert_eq!(message.payload, "long");
    assert_eq!(message.properties.as_ref().unwrap().message_expiry_interval, Some(300));
    let start = gateway.stop().await;
    start.clock().advance(Duration::from_mins(10));
    let gateway = start.run().await;
    let (_, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(!present, "whoever was connected has left when the gateway stopped");
}

/// A machine that slept tells the steady clock nothing of it.
#[tokio::test]
async fn a_session_that_waits_is_not_over_because_the_machine_slept_before() {
    let gateway = gateway().await;
    gateway.clock.as_ref().unwrap().sleep(Duration::from_hours(8));
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    client.closed().await;
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "c")]).await;
    publish(&gateway, &["a"]).await;
    let gateway = started_anew(gateway).await;
    let (mut client, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(present);
    assert_eq!(take(&mut client).await.0, "a");
}

#[tokio::test]
async fn a_message_whose_time_was_over_before_it_came_is_acknowledged_and_kept_nowhere() {
    let gateway = gateway().await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    sender.publish("t/x", "first", QoS::AtLeastOnce).await.unwrap();
    for (topic, payload) in [("t/x", "second"), ("t/y", "last")] {
        let publish = Publish { retain: true, ..Publish::new(topic.parse().unwrap(), payload) };
        sender.send(Packet::Publish(publish)).await;
    }
    // A PUBLISH at QoS 1, to be retained, to `t/x`, with a Message Expiry Interval of 0.
    sender.send_bytes(b"\x33\x11\x00\x03t/x\x00\x01\x05\x02\x00\x00\x00\x00over").await;
    assert!(matches!(sender.receive().await, Some(Packet::PubAck(_))));
    assert_eq!(take(&mut client).await.0, "first");
    for payload in ["second", "last"] {
        assert_eq!(client.message().await.payload, payload);
    }
    client.ping().await;
    let mut late = MqttClient::anybody(&gateway, Version::V5, "late").await;
    late.subscribe(&["t/#"], QoS::AtMostOnce).await.unwrap();
    assert_eq!(late.message().await.payload, "last", "it cleared the other topic");
    late.ping().await;
}

#[tokio::test]
async fn a_session_that_ended_stays_ended() {
    let gateway = gateway().await;
    let begin = async |connect: Connect| {
        let (mut client, _) = come(&gateway, connect).await;
        client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
        client
    };
    let mut given_up = begin(persistent(Version::V5, "given-up")).await;
    let goodbye = Disconnect {
        session_expiry_interval: Some(0),
        ..Disconnect::new(DisconnectReasonCode::NormalDisconnection)
    };
    given_up.send(Packet::Disconnect(goodbye)).await;
    given_up.closed().await;
    begin(persistent(Version::V5, "cleaned")).await;
    let cleaned = Connect { clean_start: true, ..persistent(Version::V5, "cleaned") };
    let (_cleaned, _) = come(&gateway, cleaned).await;
    begin(persistent(Version::V311, "over")).await;
    let (_over, present) =
        come(&gateway, Connect { clean_start: false, ..connect(Version::V5, "over", "u", "p") }).await;
    assert!(present, "it goes on, but no longer than this connection");
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "given-up")]).await;
    let gateway = started_anew(gateway).await;
    publish(&gateway, &["for nobody"]).await;
    for (id, there) in [("given-up", false), ("cleaned", true), ("over", false)] {
        let (mut client, present) = come(&gateway, persistent(Version::V5, id)).await;
        assert_eq!(present, there, "{id}");
        client.ping().await;
    }
}

#[tokio::test]
async fn a_subscription_that_was_taken_back_does_not_return() {
    let gateway = gateway().await;
    let (mut client, _) = come(&gateway, persistent(Version::V5, "c")).await;
    client.subscribe(&["t/#", "u"], QoS::AtLeastOnce).await.unwrap();
    client.subscribe(&["u"], QoS::AtMostOnce).await.unwrap();
    client.unsubscribe(&["t/#"]).await.unwrap();
    let gateway = started_anew(gateway).await;
    let (mut client, present) = come(&gateway, persistent(Version::V5, "c")).await;
    assert!(present);
    publish(&gateway, &["not any more"]).await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "another").await;
    sender.publish("u", "as subscribed last", QoS::AtLeastOnce).await.unwrap();
    let message = client.message().await;
    assert_eq!((&message.payload[..], message.qos), (&b"as subscribed last"[..], QoS::AtMostOnce));
}

#[tokio::test]
async fn retained_messages_stay_and_cleared_ones_do_not() {
    let gateway = gateway().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for (topic, payload) in [("r/a", "old"), ("r/a", "new"), ("r/b", "gone"), ("r/b", ""), ("r/c", "kept")] {
        let publish = Publish { retain: true, ..Publish::new(topic.parse().unwrap(), payload) };
        sender.send(Packet::Publish(publish)).await;
    }
    sender.ping().await;
    let gateway = started_anew(gateway).await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    client.subscribe(&["r/#"], QoS::AtLeastOnce).await.unwrap();
    let mut found = BTreeSet::new();
    for message in [client.message().await, client.message().await] {
        found.insert((message.topic.unwrap().as_str().to_owned(), message.payload, message.retain));
    }
    let expected =
        [("r/a", "new"), ("r/c", "kept")].map(|(topic, payload)| (topic.to_owned(), payload.into(), true));
    assert_eq!(found, expected.into());
    client.ping().await;
}

/// A gateway process whose function lets anybody in, without limits to how much is published.
async fn process(folder: &std::path::Path) -> GatewayProcess {
    let script = Script::new(folder, &Step::Answer(allow_all()));
    let path = script.path().display().to_string();
    std::fs::write(folder.join("latchkey.toml"), AT_ANY_RATE).unwrap();
    GatewayProcess::start(folder, "scripted-function", true, &[(script::VARIABLE, &path)]).await
}

/// Publishes until the gateway is gone, and tells which of its messages were acknowledged.
async fn publish_until_the_end(mut client: MqttClient, name: &str, count: &AtomicUsize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let packet_id = NonZeroU16::new(u16::try_from(n % 10_000 + 1).unwrap());
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            packet_id,
            // The last of each is to be retained.
            retain: true,
            ..Publish::new(format!("t/{name}").parse().unwrap(), format!("{name}-{n:06}"))
        };
        if !client.try_send(Packet::Publish(publish)).await {
            break;
        }
        if n < WINDOW {
            continue;
        }
        let Some(Packet::PubAck(_)) = client.receive().await else { break };
        acknowledged.push(format!("{name}-{:06}", n - WINDOW));
        count.fetch_add(1, Ordering::Relaxed);
    }
    while let Some(Packet::PubAck(_)) = client.receive().await {
        acknowledged.push(format!("{name}-{:06}", acknowledged.len()));
    }
    acknowledged
}

/// Takes messages, and acknowledges every second one, until the gateway is gone. What it acknowledged is its own.
async fn take_until_the_end(mut client: MqttClient) -> BTreeSet<String> {
    let (mut taken, mut n) = (BTreeSet::new(), 0);
    while let Some(Packet::Publish(message)) = client.receive().await {
        n += 1;
        if n % 2 == 0 {
            taken.insert(String::from_utf8(message.payload.to_vec()).unwrap());
            let ack = mqtt::PubAck::new(message.packet_id.unwrap(), mqtt::PubAckCode::Success);
            if !client.try_send(Packet::PubAck(ack)).await {
                break;
            }
        }
    }
    taken
}

/// Everything that still waits for a client, up to a message that says that it is the last.
async fn rest(client: &mut MqttClient, into: &mut BTreeSet<String>) {
    loop {
        let (payload, ..) = take(client).await;
        if payload == "the end" {
            return;
        }
        into.insert(payload);
    }
}

#[tokio::test]
async fn a_gateway_killed_under_load_loses_nothing_that_it_acknowledged() {
    let folder = tempdir().unwrap();
    let gateway = process(folder.path()).await;
    for id in ["away", "here"] {
        let (mut client, ack) = MqttClient::connect(&gateway, persistent(Version::V5, id)).await;
        assert!(!ack.unwrap().session_present);
        client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
        client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
        client.closed().await;
    }
    let (here, ack) = MqttClient::connect(&gateway, persistent(Version::V311, "here")).await;
    assert!(ack.unwrap().session_present);
    let here = tokio::spawn(take_until_the_end(here));
    let count = Arc::new(AtomicUsize::new(0));
    let mut publishers = Vec::new();
    for name in ["one", "two", "three"] {
        let (client, _) = MqttClient::connect(&gateway, connect(Version::V5, name, "u", "p")).await;
        let count = Arc::clone(&count);
        publishers.push(tokio::spawn(async move { publish_until_the_end(client, name, &count).await }));
    }
    eventually("enough messages", || (count.load(Ordering::Relaxed) >= ENOUGH).then_some(())).await;
    gateway.kill().await;
    let mut taken = here.await.unwrap();
    let mut acknowledged = Vec::new();
    for publisher in publishers {
        acknowledged.push(publisher.await.unwrap());
    }

    let gateway = process(folder.path()).await;
    let (mut sender, _) = MqttClient::connect(&gateway, connect(Version::V5, "sender", "u", "p")).await;
    sender.publish("t/end", "the end", QoS::AtLeastOnce).await.unwrap();
    let mut away = BTreeSet::new();
    for (id, found) in [("away", &mut away), ("here", &mut taken)] {
        let (mut client, ack) = MqttClient::connect(&gateway, persistent(Version::V5, id)).await;
        assert!(ack.unwrap().session_present, "{id}");
        rest(&mut client, found).await;
    }
    for message in acknowledged.iter().flatten() {
        assert!(away.contains(message), "{message} is lost to who was away");
        assert!(taken.contains(message), "{message} is lost to who was here");
    }
    // A retained message is the last that was acknowledged, or one behind it.
    let (mut client, _) = MqttClient::connect(&gateway, connect(Version::V5, "new", "u", "p")).await;
    client.subscribe(&["t/+"], QoS::AtLeastOnce).await.unwrap();
    for _ in &acknowledged {
        let (payload, ..) = take(&mut client).await;
        let name = payload.split('-').next().unwrap();
        let last =
            acknowledged.iter().filter_map(|messages| messages.last()).find(|last| last.starts_with(name));
        assert!(payload >= *last.unwrap(), "{payload} is older than {last:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn on_a_full_disk_nothing_is_acknowledged_that_is_not_kept() {
    let folder = tempdir().unwrap();
    let script = Script::new(folder.path(), &Step::Answer(allow_all()));
    let path = script.path().display().to_string();
    let authorizer = integration::programs::program("scripted-function").display().to_string();
    let flags = ["--authorizer", &authorizer, "--json"];
    std::fs::write(folder.path().join("latchkey.toml"), AT_ANY_RATE).unwrap();
    let variables = [(script::VARIABLE, &*path)];
    let gateway = GatewayProcess::start_on_a_full_disk(folder.path(), 1_024, &flags, &variables).await;
    let (mut client, _) = MqttClient::connect(&gateway, persistent(Version::V5, "away")).await;
    client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
    drop(client);
    let (mut sender, _) = MqttClient::connect(&gateway, connect(Version::V5, "sender", "u", "p")).await;
    let mut acknowledged = Vec::new();
    let code = loop {
        let payload = format!("{:03}{}", acknowledged.len(), "x".repeat(50_000));
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            packet_id: Some(NonZeroU16::MIN),
            ..Publish::new("t/x".parse().unwrap(), payload.clone())
        };
        sender.send(Packet::Publish(publish)).await;
        match sender.receive().await {
            Some(Packet::PubAck(_)) => acknowledged.push(payload),
            Some(Packet::Disconnect(disconnect)) => break u8::from(disconnect.code),
            other => panic!("{other:?}"),
        }
        assert!(acknowledged.len() < 100, "the disk is never full");
    };
    assert_eq!(code, 0x80);
    let (mut other, ack) = MqttClient::connect(&gateway, connect(Version::V5, "other", "u", "p")).await;
    assert_eq!(ack.unwrap().code, mqtt::ConnectReasonCode::Success, "others don't notice");
    other.ping().await;
    gateway.kill().await;

    let gateway = process(folder.path()).await;
    let (mut sender, _) = MqttClient::connect(&gateway, connect(Version::V5, "sender", "u", "p")).await;
    sender.publish("t/end", "the end", QoS::AtLeastOnce).await.unwrap();
    let (mut client, ack) = MqttClient::connect(&gateway, persistent(Version::V5, "away")).await;
    assert!(ack.unwrap().session_present);
    let mut kept = BTreeSet::new();
    rest(&mut client, &mut kept).await;
    assert!(!acknowledged.is_empty());
    assert_eq!(kept, acknowledged.into_iter().collect());
}

#[tokio::test]
async fn a_damaged_file_keeps_the_gateway_from_starting_and_the_message_tells_the_way_out() {
    let folder = tempdir().unwrap();
    process(folder.path()).await.stop().await;
    let file = folder.path().join("broker.sqlite3");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(6_000);
    std::fs::write(&file, &bytes).unwrap();
    let mut command = tokio::process::Command::new(integration::programs::program("latchkey-gateway"));
    let authorizer = integration::programs::program("latchkey-authorizer");
    command.args(["--port", "0", "--data"]).arg(folder.path()).arg("--authorizer").arg(authorizer);
    let finished = Running::start(command).finish().await;
    let text = String::from_utf8(finished.err).unwrap();
    assert_eq!(finished.code, Some(64), "{text}");
    assert!(text.contains(&file.display().to_string()), "{text}");
    assert!(text.contains("is damaged") && text.contains("move it away"), "{text}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "and it is left as it is");
}
