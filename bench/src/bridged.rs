//! Devices without TLS: the bridge's memory and processor time for each, what it adds to a message's latency, and QoS 1 messages a
//! second next to mosquitto's own bridge.

use std::{
    net::SocketAddr,
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use device_sim::Login;
use mqtt::{Packet, Publish, QoS, wire::Wire};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Size,
    bridge::Bridge,
    devices::{kilobytes_each, p99},
    dialler::Dialler,
    fixture::{self, Fixture},
    gateway::Gateway,
    mosquitto::Mosquitto,
    report::{Figure, Section, Target, median},
    throughput::{PUBLISHERS, publish},
};

/// Connects that are under way at a time.
const AT_A_TIME: usize = 64;
/// The keep-alive of devices that are idle: AWS's longest, so that none pings while the processor time is measured.
const IDLE_KEEP_ALIVE: u16 = 1_200;
const PAYLOAD: &[u8] = &[b'x'; 100];
/// The target for the memory of a device, both connections together, in KB of 1,000 bytes.
const MOST_KB: Target = Target::AtMost(30.0);
/// The target for what the bridge adds to the 99th percentile of a message's latency, in milliseconds.
const MOST_MS: Target = Target::AtMost(2.0);
/// The target for the ratio to the rate of mosquitto's bridge.
const LEAST: Target = Target::AtLeast(0.5);
/// The target for what twice as many idle devices add to the processor time, in milliseconds a second. The clock of processes has
/// steps of 10 ms, and an interval of ten seconds.
const MOST_IDLE: Target = Target::AtMost(5.0);
/// How long the messages of a turn may take from one broker to the other.
const DRAIN_LIMIT: Duration = Duration::from_mins(5);
const DRAIN_PAUSE: Duration = Duration::from_millis(2);

/// Measures all of it.
pub(crate) async fn measure(fixture: &Fixture, size: &Size) -> anyhow::Result<Section> {
    let mut figures = idle_devices(fixture, size).await?;
    figures.extend(latency(fixture, size).await?);
    figures.extend(throughput(fixture, size).await?);
    Ok(Section { name: "bridge", figures })
}

/// Connects half of the devices, then the other half, and lets them do nothing.
async fn idle_devices(fixture: &Fixture, size: &Size) -> anyhow::Result<Vec<Figure>> {
    let gateway = Gateway::start(fixture).await?;
    let bridge = Bridge::start(fixture, &gateway).await?;
    let dialler = Dialler::new(fixture)?;
    let devices = fixture.logins.get(..size.bridged_devices).context("there are too few devices")?;
    let (first, second) = devices.split_at(devices.len() / 2);
    let before = bridge.memory()?;
    let began = Instant::now();
    let mut connected = connect(&dialler, bridge.address, first).await?;
    let mut connecting = began.elapsed();
    let half = idle_cpu(&bridge, size.idle).await?;
    let began = Instant::now();
    connected.extend(connect(&dialler, bridge.address, second).await?);
    connecting += began.elapsed();
    let all = idle_cpu(&bridge, size.idle).await?;
    let after = bridge.memory()?;
    ensure!(connected.len() == devices.len(), "not every device is connected");
    let number = f64::from(u32::try_from(devices.len())?);
    Ok(vec![
        Figure::new("devices connected at once", number, ""),
        Figure::new("connects: TCP, CONNECT, TLS up, CONNACK", number / connecting.as_secs_f64(), "/s"),
        Figure::with_target(
            "private memory of both connections",
            kilobytes_each(before.private, after.private, number),
            "KB",
            MOST_KB,
        ),
        Figure::new(
            "resident memory of both connections",
            kilobytes_each(before.resident, after.resident, number),
            "KB",
        ),
        Figure::new("processor time, half of them idle", half, "ms/s"),
        Figure::new("processor time, all of them idle", all, "ms/s"),
        Figure::with_target("the second half adds", all - half, "ms/s", MOST_IDLE),
    ])
}

async fn connect(dialler: &Dialler, address: SocketAddr, logins: &[Login]) -> anyhow::Result<Vec<Wire>> {
    let logins = Arc::<[Login]>::from(logins);
    let mut workers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let (dialler, logins) = (dialler.clone(), Arc::clone(&logins));
        workers.spawn(async move {
            let mut wires = Vec::new();
            for login in logins.iter().skip(worker).step_by(AT_A_TIME) {
                wires.push(dialler.connect_plain(address, login, IDLE_KEEP_ALIVE).await?);
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

/// The processor time that the bridge uses while its devices do nothing, in milliseconds a second.
async fn idle_cpu(bridge: &Bridge, interval: Duration) -> anyhow::Result<f64> {
    // What the connects have left to do.
    sleep(interval / 10).await;
    let (cpu, began) = (bridge.cpu()?, Instant::now());
    sleep(interval).await;
    let used = bridge.cpu()?.saturating_sub(cpu);
    Ok(used.as_secs_f64() * 1_000.0 / began.elapsed().as_secs_f64())
}

/// One device publishes one message after the other: to the gateway over TLS, and through the bridge, in turns.
async fn latency(fixture: &Fixture, size: &Size) -> anyhow::Result<Vec<Figure>> {
    let gateway = Gateway::start(fixture).await?;
    let bridge = Bridge::start(fixture, &gateway).await?;
    let dialler = Dialler::new(fixture)?;
    let [direct, bridged] = fixture.logins.get(PUBLISHERS..PUBLISHERS + 2).unwrap_or_default() else {
        anyhow::bail!("there are too few devices");
    };
    let mut direct_wire = dialler.connect(gateway.address, direct).await?;
    let mut bridged_wire = dialler.connect_plain(bridge.address, bridged, 60).await?;
    // The first messages find caches that are empty.
    waits(&mut direct_wire, direct, size.timed_calls / 4).await?;
    waits(&mut bridged_wire, bridged, size.timed_calls / 4).await?;
    let (mut of_direct, mut of_bridged, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let direct = p99(&waits(&mut direct_wire, direct, size.timed_calls).await?)?;
        let bridged = p99(&waits(&mut bridged_wire, bridged, size.timed_calls).await?)?;
        of_direct.push(direct);
        of_bridged.push(bridged);
        added.push(bridged - direct);
    }
    Ok(vec![
        Figure::new("PUBLISH to PUBACK, p99, without the bridge", median(of_direct), "ms"),
        Figure::new("PUBLISH to PUBACK, p99, through the bridge", median(of_bridged), "ms"),
        Figure::with_target("the bridge adds, median of the turns", median(added), "ms", MOST_MS),
    ])
}

/// The times from messages to their acknowledgements.
async fn waits(wire: &mut Wire, login: &Login, messages: usize) -> anyhow::Result<Vec<Duration>> {
    let topic = fixture::topic(login)?;
    let mut waits = Vec::with_capacity(messages);
    for _ in 0..messages.max(1) {
        let message = Publish {
            qos: QoS::AtLeastOnce,
            packet_id: Some(NonZeroU16::MIN),
            ..Publish::new(topic.clone(), Bytes::from_static(PAYLOAD))
        };
        let began = Instant::now();
        wire.queue(Packet::Publish(message))?;
        wire.flush().await?;
        let answer = wire.next().await?;
        ensure!(matches!(answer, Some(Packet::PubAck(_))), "not an acknowledgement: {answer:?}");
        waits.push(began.elapsed());
    }
    Ok(waits)
}

/// Messages a second that reach the gateway, over the bridge and over mosquitto's.
async fn throughput(fixture: &Fixture, size: &Size) -> anyhow::Result<Vec<Figure>> {
    let gateway = Gateway::start(fixture).await?;
    let bridge = Bridge::start(fixture, &gateway).await?;
    let mosquitto = Mosquitto::start_bridge(fixture, &gateway).await?;
    let dialler = Dialler::new(fixture)?;
    let publishers = fixture.logins.get(..PUBLISHERS).unwrap_or_default();
    let rate = async |address, turn| messages_a_second(&dialler, &gateway, address, publishers, turn).await;
    for address in [bridge.address, mosquitto.address] {
        rate(address, size.turn / 3).await?;
    }
    let (mut rates, mut their_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let ours = rate(bridge.address, size.turn).await?;
        let theirs = rate(mosquitto.address, size.turn).await?;
        rates.push(ours);
        their_rates.push(theirs);
        ratios.push(ours / theirs);
    }
    Ok(vec![
        Figure::new("bridge: QoS 1, at the gateway", median(rates), "/s"),
        Figure::new("mosquitto's bridge: QoS 1, at the gateway", median(their_rates), "/s"),
        Figure::with_target("ratio, median of the turns", median(ratios), "", LEAST),
    ])
}

/// Runs all publishers at the same time for one turn, and waits until the gateway has all their messages: mosquitto acknowledges
/// them before.
async fn messages_a_second(
    dialler: &Dialler,
    gateway: &Gateway,
    address: SocketAddr,
    publishers: &[Login],
    turn: Duration,
) -> anyhow::Result<f64> {
    let mut connected = Vec::new();
    for login in publishers {
        connected.push((dialler.connect_plain(address, login, 60).await?, fixture::topic(login)?));
    }
    let before = gateway.messages().await?;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (wire, topic) in connected {
        tasks.spawn(publish(wire, topic, began + turn));
    }
    let mut acknowledged = 0;
    while let Some(count) = tasks.join_next().await {
        acknowledged += count??;
    }
    while gateway.messages().await? < before + u64::from(acknowledged) {
        ensure!(
            began.elapsed() < turn + DRAIN_LIMIT,
            "messages that were acknowledged do not reach the gateway"
        );
        sleep(DRAIN_PAUSE).await;
    }
    Ok(f64::from(acknowledged) / began.elapsed().as_secs_f64())
}
