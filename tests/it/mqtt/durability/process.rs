//! A gateway as a process of its own: killed, on a full disk, with a damaged file.

use std::{
    collections::BTreeSet,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use integration::{
    eventually::eventually,
    gateway_process::{AT_ANY_RATE, GatewayProcess},
    mqtt_client::{MqttClient, connect},
    running::Running,
    script::{self, Script, Step, allow_all},
};
use mqtt::{Disconnect, DisconnectReasonCode, Packet, Publish, QoS, Version};
use tempfile::tempdir;

use super::{persistent, take};

/// How many messages of one publisher may be on their way.
const WINDOW: usize = 16;
/// How many messages are acknowledged before a gateway is killed.
const ENOUGH: usize = 400;

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
async fn a_gateway_killed_under_load_loses_no_acknowledged_message() {
    let folder = tempdir().unwrap();
    let gateway = process(folder.path()).await;
    for (id, version) in [("away", Version::V5), ("here", Version::V311)] {
        let (mut client, ack) = MqttClient::connect(&gateway, persistent(version, id)).await;
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
    for (id, version, found) in [("away", Version::V5, &mut away), ("here", Version::V311, &mut taken)] {
        let (mut client, ack) = MqttClient::connect(&gateway, persistent(version, id)).await;
        assert!(ack.unwrap().session_present, "{id}");
        rest(&mut client, found).await;
    }
    for message in acknowledged.iter().flatten() {
        assert!(away.contains(message), "{message} is lost to who was away");
        assert!(taken.contains(message), "{message} is lost to who was here");
    }
    // A retained message is the last that was acknowledged, or one after it.
    let (mut client, _) = MqttClient::connect(&gateway, connect(Version::V5, "new", "u", "p")).await;
    client.subscribe(&["t/one", "t/two", "t/three"], QoS::AtLeastOnce).await.unwrap();
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
async fn on_a_full_disk_an_unstored_message_is_not_acknowledged() {
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
async fn a_damaged_file_stops_the_start_with_a_message_that_names_the_cure() {
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
