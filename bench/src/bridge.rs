//! The bridge: memory for a device's two connections, added latency, and QoS 1 messages a second, next to the gateway alone.

use std::{
    net::SocketAddr,
    num::NonZeroU16,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use device_sim::Login;
use mqtt::{Packet, Publish, QoS, wire::Wire};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    process::Command,
    task::JoinSet,
};

use crate::{
    Size,
    devices::p99,
    dialler::Dialler,
    fixture::{self, Fixture, SERVER_NAME},
    gateway::Gateway,
    process::{BRIDGE, Memory, Server, program},
    report::{Figure, Section, Target, median},
    throughput::{self, PUBLISHERS},
};

/// Connects that are under way at a time.
const AT_A_TIME: usize = 32;
/// Devices of the memory figure; the gateway and the bridge have open files for both sides of each.
const DEVICES: usize = 5_000;
/// Messages of the latency figure.
const MESSAGES: u16 = 2_000;
const PAYLOAD: &[u8] = br#"{"value":21.48,"unit":"Cel","ts":1767225600}"#;
/// The target for the memory of a device's two connections, in KB of 1,000 bytes.
const MOST_KB: Target = Target::AtMost(30.0);
/// The target for the added latency.
const MOST_MS: Target = Target::AtMost(2.0);

/// A running bridge.
struct Bridge {
    server: Server,
    address: SocketAddr,
}

impl Bridge {
    /// Starts one in front of a gateway.
    async fn start(fixture: &Fixture, gateway: SocketAddr) -> anyhow::Result<Self> {
        let settings = format!(
            "endpoints = [\"{gateway}\"]\nsni = \"{SERVER_NAME}\"\nca = \"bench-ca.pem\"\nauthorizer = \"latchkey\"\n\
             connects_per_second = 10000\n[ports]\nmqtt = 0\nstatus = \"off\"\n[limits]\ndevices = 100000\n"
        );
        let settings = fixture.write("latchkey-bridge.toml", &settings)?;
        let mut command = Command::new(program(BRIDGE)?);
        command.args(["--json", "--stop-with-stdin", "--config"]).arg(settings);
        let mut server = Server::start(command)?;
        let ready = serde_json::from_str::<Value>(&server.line().await?)?;
        let address = ready.pointer("/addresses/mqtt").and_then(Value::as_str);
        let address = address.context("the bridge is not ready")?.parse()?;
        // Its log would fill the pipe and wait.
        server.discard_output();
        Ok(Self { server, address })
    }
}

/// Measures memory, then latency and throughput of both sides in turns.
pub(crate) async fn measure(fixture: &Fixture, size: &Size) -> anyhow::Result<Section> {
    let gateway = Gateway::start(fixture).await?;
    let bridge = Bridge::start(fixture, gateway.address).await?;
    let dialler = Dialler::new(fixture)?;
    let logins = fixture.logins.get(..DEVICES.min(size.devices)).unwrap_or_default();
    let before = bridge.server.memory()?;
    let devices = connect(&dialler, bridge.address, logins).await?;
    let after = bridge.server.memory()?;
    let connected = f64::from(u32::try_from(devices.len())?);
    drop(devices);

    let publishers = fixture.logins.get(..PUBLISHERS).unwrap_or_default();
    let login = fixture.logins.get(PUBLISHERS).context("too few devices")?;
    let (mut added, mut ratios, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let direct = latency(dialler.connect(gateway.address, login).await?, login).await?;
        let bridged = latency(dialler.connect_plain(bridge.address, login).await?, login).await?;
        added.push(bridged - direct);
        let mut direct = Vec::new();
        let mut bridged = Vec::new();
        for login in publishers {
            direct.push((dialler.connect(gateway.address, login).await?, fixture::topic(login)?));
        }
        let direct = throughput::rate(direct, size.turn).await?;
        for login in publishers {
            bridged.push((dialler.connect_plain(bridge.address, login).await?, fixture::topic(login)?));
        }
        let bridged = throughput::rate(bridged, size.turn).await?;
        rates.push(bridged);
        ratios.push(bridged / direct);
    }
    let kb = |before: u64, after: u64| {
        let grown = u32::try_from(after.saturating_sub(before) / 1024).unwrap_or(u32::MAX);
        f64::from(grown) * 1.024 / connected
    };
    let (Memory { private: first, .. }, Memory { private: last, .. }) = (before, after);
    let figures = vec![
        Figure::new("devices connected at once", connected, ""),
        Figure::with_target("private memory a device, both sides", kb(first, last), "KB", MOST_KB),
        Figure::with_target("added to the 99th percentile", median(added), "ms", MOST_MS),
        Figure::new("QoS 1 through the bridge, acknowledged", median(rates), "/s"),
        Figure::new("ratio to the gateway without a bridge", median(ratios), ""),
    ];
    Ok(Section { name: "bridge", figures })
}

async fn connect(
    dialler: &Dialler,
    address: SocketAddr,
    logins: &[Login],
) -> anyhow::Result<Vec<Wire<TcpStream>>> {
    let mut workers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let dialler = dialler.clone();
        let logins = logins.iter().skip(worker).step_by(AT_A_TIME).cloned().collect::<Vec<_>>();
        workers.spawn(async move {
            let mut wires = Vec::new();
            for login in &logins {
                wires.push(dialler.connect_plain(address, login).await?);
            }
            anyhow::Ok(wires)
        });
    }
    let mut wires = Vec::new();
    while let Some(worker) = workers.join_next().await {
        wires.extend(worker??);
    }
    Ok(wires)
}

/// The 99th percentile of the time from PUBLISH to PUBACK, in milliseconds, one message at a time.
async fn latency<S: AsyncRead + AsyncWrite + Unpin>(mut wire: Wire<S>, login: &Login) -> anyhow::Result<f64> {
    let topic = fixture::topic(login)?;
    let mut waits = Vec::<Duration>::new();
    for number in 1..=MESSAGES {
        let message = Publish {
            qos: QoS::AtLeastOnce,
            packet_id: NonZeroU16::new(number),
            ..Publish::new(topic.clone(), Bytes::from_static(PAYLOAD))
        };
        let sent = Instant::now();
        wire.queue(Packet::Publish(message))?;
        wire.flush().await?;
        wire.next().await?.context("the connection ended")?;
        waits.push(sent.elapsed());
    }
    p99(&waits)
}
