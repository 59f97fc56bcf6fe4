//! AWS can't be reached, the gateway or the bridge is killed: no acknowledged message is lost with the spool on.

use std::{net::SocketAddr, num::NonZeroU16, path::Path};

use device_sim::Version as SimVersion;
use integration::{
    bridge_process::{BridgeProcess, settings, settings_to},
    eventually::{eventually, within},
    gateway_process::{AT_ANY_RATE, GatewayProcess},
    mqtt_client::{MqttClient, connect},
};
use mqtt::{ConnectReasonCode, Packet, Publish, QoS, Version};
use tokio::net::TcpStream;

const SPOOL: &str = "[spool]\ndevice = \"1MB\"";

/// A gateway process with the real authorizer, a device `hall-1` and one `viewer` that sees its readings.
struct Cloud {
    folder: tempfile::TempDir,
    password: String,
}

impl Cloud {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("latchkey.toml"), AT_ANY_RATE).unwrap();
        let password = "a password that nobody else has";
        fleet::store_file::StoreFile::open(&folder.path().join("devices.json")).unwrap().save().unwrap();
        integration::devices::add(folder.path(), "hall-1", "sht20", password.as_bytes());
        integration::devices::add_viewer(folder.path(), "viewer", b"viewer");
        Self { folder, password: password.to_owned() }
    }

    /// Starts the gateway, on this port.
    async fn start(&self, port: u16) -> GatewayProcess {
        let store = format!("file:{}", self.folder.path().join("devices.json").display());
        let authorizer = integration::programs::program("latchkey-authorizer").display().to_string();
        let flags = [
            "--authorizer",
            &authorizer,
            "--json",
            "--port-8883",
            "off",
            "--port-8443",
            "off",
            "--port-api",
            "off",
            "--port-status",
            "off",
        ];
        GatewayProcess::start_on(self.folder.path(), port, &flags, &[("LATCHKEY_STORE", &store)]).await
    }

    async fn device(&self, bridge: SocketAddr) -> MqttClient<TcpStream> {
        super::plain(bridge, Version::V311, "hall-1", &self.password).await
    }
}

/// What the viewer has seen so far, in its order.
async fn viewer(gateway: &GatewayProcess) -> device_sim::Client {
    let name = "viewer?x-amz-customauthorizer-name=latchkey";
    let mut viewer = gateway.connect(SimVersion::V5, "viewer", name, b"viewer").await.unwrap();
    let filter = "sensor/+/temperature".parse().unwrap();
    viewer.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
    viewer
}

fn reading(number: u16) -> Packet {
    let mut message = Publish::new("sensor/hall-1/temperature".parse().unwrap(), number.to_string());
    (message.qos, message.packet_id) = (QoS::AtLeastOnce, NonZeroU16::new(number));
    Packet::Publish(message)
}

/// Sends readings until `stop` of them are acknowledged or the connection ends, and returns what is acknowledged.
async fn publish(device: &mut MqttClient<TcpStream>, numbers: std::ops::Range<u16>) -> Vec<u16> {
    let mut acknowledged = Vec::new();
    for number in numbers {
        if !device.try_send(reading(number)).await {
            break;
        }
        match device.receive().await {
            Some(Packet::PubAck(answer)) => acknowledged.push(answer.packet_id.get()),
            None => break,
            Some(other) => panic!("{other:?} instead of PUBACK"),
        }
    }
    acknowledged
}

/// The readings that arrive, until all that are wanted have.
async fn arrive(viewer: &mut device_sim::Client, wanted: &[u16]) -> Vec<u16> {
    let mut seen = Vec::new();
    within("the readings", async {
        while !wanted.iter().all(|number| seen.contains(number)) {
            let message = viewer.next_message().await.unwrap();
            seen.push(String::from_utf8(message.payload.to_vec()).unwrap().parse().unwrap());
        }
    })
    .await;
    seen
}

/// A free port, for a gateway that starts again on it.
async fn free_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn killing_the_gateway_under_load_loses_no_acknowledged_message_and_keeps_the_order() {
    let (cloud, folder, port) = (Cloud::new(), tempfile::tempdir().unwrap(), free_port().await);
    let gateway = cloud.start(port).await;
    let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, SPOOL)).await;
    let mut device = cloud.device(bridge.mqtt()).await;
    let mut acknowledged = publish(&mut device, 1..100).await;
    assert_eq!(acknowledged.len(), 99);
    let killing = gateway.kill();
    let (more, ()) = tokio::join!(publish(&mut device, 100..300), killing);
    acknowledged.extend(more);
    assert_eq!(acknowledged.len(), 299, "the device stays connected: {}", bridge.written());
    bridge.logged(&[("eventType", "Upstream"), ("reason", "UPSTREAM_ENDED")]).await;
    let gateway = cloud.start(port).await;
    let mut viewer = viewer(&gateway).await;
    // What the gateway had acknowledged before it was killed is not sent again.
    let seen = arrive(&mut viewer, &acknowledged[150..]).await;
    let mut first = Vec::new();
    for number in seen {
        if !first.contains(&number) {
            first.push(number);
        }
    }
    assert!(first.is_sorted(), "{first:?}");
    let (last, acknowledged) = tokio::join!(arrive(&mut viewer, &[300]), publish(&mut device, 300..301));
    assert_eq!((last, acknowledged), (vec![300], vec![300]), "it goes directly again");
}

#[tokio::test]
async fn killing_the_bridge_loses_no_acknowledged_message() {
    let (cloud, folder, port) = (Cloud::new(), tempfile::tempdir().unwrap(), free_port().await);
    let gateway = cloud.start(port).await;
    let text = settings(&gateway, SPOOL);
    let bridge = BridgeProcess::start(folder.path(), &text).await;
    let mut device = cloud.device(bridge.mqtt()).await;
    gateway.kill().await;
    bridge.logged(&[("eventType", "Upstream"), ("reason", "UPSTREAM_ENDED")]).await;
    let (acknowledged, ()) = tokio::join!(publish(&mut device, 1..20_000), async {
        eventually("messages in the spool", || {
            let file = std::fs::metadata(folder.path().join("latchkey-bridge/spool.sqlite-wal")).ok()?;
            (file.len() > 400_000).then_some(())
        })
        .await;
        bridge.kill().await;
    });
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    let gateway = cloud.start(port).await;
    let mut viewer = viewer(&gateway).await;
    let bridge = BridgeProcess::start(folder.path(), &text).await;
    let device = cloud.device(bridge.mqtt()).await;
    let seen = arrive(&mut viewer, &acknowledged).await;
    assert!(seen.is_sorted(), "{seen:?}");
    drop(device);
}

/// The metric of the bridge with this name and these labels.
async fn metric(bridge: &BridgeProcess, name: &str) -> u64 {
    let stream = TcpStream::connect(bridge.address("status")).await.unwrap();
    let text = super::http_get(stream, "/metrics").await;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name}: {text}"))
}

#[tokio::test]
async fn a_full_spool_drops_the_oldest_messages_of_its_device_and_others_go_on() {
    let (cloud, folder, port) = (Cloud::new(), tempfile::tempdir().unwrap(), free_port().await);
    integration::devices::add(cloud.folder.path(), "hall-2", "sht20", cloud.password.as_bytes());
    let gateway = cloud.start(port).await;
    let more = "connect_wait_seconds = 60\n[spool]\ndevice = \"5KB\"";
    let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, more)).await;
    let mut device = cloud.device(bridge.mqtt()).await;
    let mut other = super::plain(bridge.mqtt(), Version::V5, "hall-2", &cloud.password).await;
    gateway.kill().await;
    for client in ["hall-1", "hall-2"] {
        bridge.logged(&[("eventType", "Upstream"), ("reason", "UPSTREAM_ENDED"), ("clientId", client)]).await;
    }
    let stored = publish(&mut device, 1..101).await;
    assert_eq!(stored.len(), 100, "a full spool accepts what is new");
    assert!(other.publish("sensor/hall-2/temperature", "1000", QoS::AtLeastOnce).await.is_some());
    let line = bridge.logged(&[("eventType", "Bridge"), ("reason", "SPOOL_FULL")]).await;
    assert!(line["details"].as_str().unwrap().contains("`hall-1`"), "{line}");
    let kept = metric(&bridge, "latchkey_bridge_spool_messages").await;
    let dropped = metric(&bridge, "latchkey_bridge_spool_dropped_total").await;
    assert_eq!((kept + dropped, dropped > 50), (101, true), "{kept} and {dropped}");
    let gateway = cloud.start(port).await;
    let mut viewer = viewer(&gateway).await;
    let kept = u16::try_from(kept).unwrap() - 1;
    let newest = (101 - kept..101).chain([1_000]).collect::<Vec<_>>();
    let mut seen = arrive(&mut viewer, &newest).await;
    seen.retain(|number| *number != 1_000);
    assert_eq!(seen, newest[..newest.len() - 1], "the newest, in their order, and none before them");
}

#[tokio::test]
async fn damaged_messages_are_named_and_lost_alone() {
    let (cloud, folder, port) = (Cloud::new(), tempfile::tempdir().unwrap(), free_port().await);
    integration::devices::add(cloud.folder.path(), "hall-2", "sht20", cloud.password.as_bytes());
    let gateway = cloud.start(port).await;
    let text = settings(&gateway, SPOOL);
    let bridge = BridgeProcess::start(folder.path(), &text).await;
    let mut device = cloud.device(bridge.mqtt()).await;
    let mut other = super::plain(bridge.mqtt(), Version::V5, "hall-2", &cloud.password).await;
    gateway.kill().await;
    for client in ["hall-1", "hall-2"] {
        bridge.logged(&[("eventType", "Upstream"), ("reason", "UPSTREAM_ENDED"), ("clientId", client)]).await;
    }
    assert_eq!(publish(&mut device, 20_001..20_006).await.len(), 5);
    assert!(other.publish("sensor/hall-2/temperature", "30001", QoS::AtLeastOnce).await.is_some());
    bridge.stop().await;
    let file = folder.path().join("latchkey-bridge/spool.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(5).position(|window| window == b"20003").unwrap();
    bytes[at..at + 5].copy_from_slice(b"99999");
    std::fs::write(&file, &bytes).unwrap();
    let gateway = cloud.start(port).await;
    let mut viewer = viewer(&gateway).await;
    let bridge = BridgeProcess::start(folder.path(), &text).await;
    let _device = cloud.device(bridge.mqtt()).await;
    let _other = super::plain(bridge.mqtt(), Version::V5, "hall-2", &cloud.password).await;
    let mut seen = arrive(&mut viewer, &[20_001, 20_002, 20_004, 20_005, 30_001]).await;
    seen.sort_unstable();
    assert_eq!(seen, [20_001, 20_002, 20_004, 20_005, 30_001]);
    let line = bridge.logged(&[("eventType", "Bridge"), ("reason", "SPOOL_DAMAGED")]).await;
    assert!(line["details"].as_str().unwrap().contains("1 stored messages of `hall-1`"), "{line}");
    bridge.stop().await;
    // The whole file is damaged: it is moved away, and the bridge works.
    std::fs::write(&file, vec![7; 8_192]).unwrap();
    let bridge = BridgeProcess::start(folder.path(), &text).await;
    let line = bridge.logged(&[("eventType", "Bridge"), ("reason", "SPOOL_DAMAGED")]).await;
    assert!(line["explanation"].as_str().unwrap().contains("spool.sqlite.damaged-"), "{line}");
    let mut device = cloud.device(bridge.mqtt()).await;
    assert_eq!(publish(&mut device, 1..2).await, [1]);
}

#[tokio::test]
async fn without_a_spool_a_device_is_disconnected_and_refused_until_aws_answers() {
    let (cloud, folder, port) = (Cloud::new(), tempfile::tempdir().unwrap(), free_port().await);
    let gateway = cloud.start(port).await;
    let more = "connect_wait_seconds = 3";
    let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, more)).await;
    let mut device = cloud.device(bridge.mqtt()).await;
    gateway.kill().await;
    device.closed().await;
    let attempt = || connect(Version::V311, "hall-1", "hall-1", &cloud.password);
    let (_, ack) = MqttClient::plain(bridge.mqtt(), attempt()).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::ServerUnavailable);
    bridge.logged(&[("eventType", "Connect"), ("reason", "UNREACHABLE")]).await;
    let stream = TcpStream::connect(bridge.address("status")).await.unwrap();
    assert!(super::http_get(stream, "/readyz").await.starts_with("HTTP/1.1 503"));
    let _gateway = cloud.start(port).await;
    integration::eventually::until("a connect", async || {
        let (_, ack) = MqttClient::plain(bridge.mqtt(), attempt()).await;
        ack.is_some_and(|ack| ack.code == ConnectReasonCode::Success)
    })
    .await;
}

#[tokio::test]
async fn the_second_endpoint_is_used_when_the_first_one_does_not_answer() {
    let (cloud, folder, port) = (Cloud::new(), tempfile::tempdir().unwrap(), free_port().await);
    let _gateway = cloud.start(port).await;
    let closed = free_port().await;
    let ca = cloud.folder.path().join("ca.pem");
    let text = settings_to(([127, 0, 0, 1], port).into(), &ca, "");
    let both = format!("endpoints = [\"localhost:{closed}\", \"localhost:{port}\"]");
    let text = text.lines().map(|line| if line.starts_with("endpoints") { &*both } else { line });
    let bridge = BridgeProcess::start(folder.path(), &text.collect::<Vec<_>>().join("\n")).await;
    let mut device = cloud.device(bridge.mqtt()).await;
    assert_eq!(publish(&mut device, 1..2).await, [1]);
}

#[tokio::test]
async fn a_bridge_whose_settings_cannot_be_used_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("", "no endpoint is set"),
        ("endpoints = [\"a:443\"]\nlisten = \"0.0.0.0\"", "may be reached from outside"),
        ("endpoints = [\"a:443\"]\nca = \"nowhere.pem\"", "there is no CA file"),
        ("endpoints = [\"a:443\"]\nproxy = \"http://u:tangerine@\"", "line 2: a proxy is"),
        ("endpoint = [\"a:443\"]", "unknown field `endpoint`"),
    ];
    for (text, message) in cases {
        let (code, error) = started(folder.path(), text).await;
        assert_eq!(code, Some(64), "{error}");
        assert!(error.contains(message) && !error.contains("tangerine"), "{message}: {error}");
    }
}

async fn started(folder: &Path, text: &str) -> (Option<i32>, String) {
    std::fs::write(folder.join("latchkey-bridge.toml"), text).unwrap();
    let mut command = tokio::process::Command::new(integration::programs::program("latchkey-bridge"));
    command.args(["--port", "0", "--port-status", "off"]).current_dir(folder);
    let finished = integration::running::Running::start(command).finish().await;
    (finished.code, finished.err())
}
