//! Texts of devices, and of the server upstream, in the log of the bridge.

use std::net::SocketAddr;

use integration::{
    bridge_process::settings,
    canary::Writings,
    devices,
    eventually::within,
    gateway_process::{AT_ANY_RATE, GatewayProcess},
    programs::program,
    running::Running,
};
use mqtt::Version;
use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use super::{HOSTILE, assert_escaped, packet, string, text};

/// A CONNECT with a password, and a last will if `will` is its topic.
fn connect(version: Version, client_id: &str, user_name: &str, will: Option<&str>) -> Vec<u8> {
    let (level, no_properties): (u8, &[u8]) = if version == Version::V5 { (5, &[0]) } else { (4, &[]) };
    let flags = if will.is_some() { 0xc6 } else { 0xc2 };
    let will = will.map(|topic| [no_properties, &*string(topic), &string("")].concat()).unwrap_or_default();
    let start = [&string("MQTT"), &[level, flags, 0, 60][..], no_properties].concat();
    packet(0x10, &[&start, &string(client_id), &will, &string(user_name), &string("password")])
}

/// Sends packets, waits for the answer to the first one, and until the bridge has ended the connection.
async fn send(address: SocketAddr, packets: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(packets).await.unwrap();
    _ = within("an answer", stream.read(&mut [0; 1_024])).await;
    // It may have ended the connection.
    _ = stream.shutdown().await;
    _ = within("the end", stream.read_to_end(&mut Vec::new())).await;
}

/// How many devices connect, each once: the bridge holds one back that connects too often.
const DEVICES: usize = HOSTILE.len() * 2 * 4;

async fn send_everything(address: SocketAddr) {
    let mut names = (0..DEVICES).map(|n| format!("hall-{n}"));
    for kind in 0..HOSTILE.len() {
        let of = |place| text(place, kind);
        for version in [Version::V5, Version::V311] {
            let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
            let mut plain = |will: Option<&str>| {
                let name = names.next().unwrap();
                connect(version, &name, &name, will)
            };
            let id = &[0, 1];
            for packets in [
                connect(version, &of("clientid"), "nobody", None),
                connect(version, "nobody", &of("username"), None),
                plain(Some(&of("will"))),
                [plain(None), packet(0x32, &[&string(&of("topic")), id, properties])].concat(),
                [plain(None), packet(0x82, &[id, properties, &string(&of("filter")), &[0]])].concat(),
                [plain(None), packet(0xa2, &[id, properties, &string(&of("unsubscribed"))])].concat(),
                of("nomqtt").into_bytes(),
            ] {
                send(address, &packets).await;
            }
        }
    }
}

#[tokio::test]
async fn text_of_a_device_is_escaped_by_the_bridge() {
    let (data, mut writings) = (tempdir().unwrap(), Writings::default());
    std::fs::write(data.path().join("latchkey.toml"), AT_ANY_RATE).unwrap();
    for n in 0..DEVICES {
        devices::add(data.path(), &format!("hall-{n}"), "own-topics", b"password");
    }
    let gateway = GatewayProcess::start(data.path(), "latchkey-authorizer", true, &[]).await;
    for more in [&["--json"][..], &[]] {
        let folder = tempdir().unwrap();
        std::fs::write(folder.path().join("latchkey-bridge.toml"), settings(&gateway, "")).unwrap();
        let mut command = Command::new(program("latchkey-bridge"));
        command.args(["--stop-with-stdin"]).args(more).current_dir(folder.path());
        let mut running = Running::start(command);
        let address = running
            .line("the bridge's greeting", |line| {
                // `{"addresses":{"mqtt":"127.0.0.1:1",…` or `MQTT without TLS on 127.0.0.1:1`.
                let of_json = line.split_once("\"mqtt\":\"").and_then(|(_, rest)| rest.split('"').next());
                let address = of_json.or_else(|| line.strip_prefix("MQTT without TLS on "));
                address?.parse::<SocketAddr>().ok()
            })
            .await;
        send_everything(address).await;
        running.input(b"").await;
        let finished = running.finish().await;
        writings.add("the bridge's standard output", finished.out);
        writings.add("the bridge's standard error", finished.err);
    }
    assert_escaped(&writings, &["clientid", "hall-1"]);
}
