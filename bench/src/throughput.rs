//! QoS 1 messages a second, of the gateway and of mosquitto.

use std::{
    net::SocketAddr,
    num::NonZeroU16,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use device_sim::Login;
use mqtt::{Packet, PubAckCode, Publish, QoS, TopicName, wire::Wire};
use tokio::task::JoinSet;

use crate::{
    Size,
    dialler::Dialler,
    fixture::{self, Fixture},
    gateway::Gateway,
    mosquitto::Mosquitto,
    report::{Figure, Section, Target, median},
};

/// Connections that publish.
pub(crate) const PUBLISHERS: usize = 8;
/// Unacknowledged messages of one connection: mosquitto's default limit.
const WINDOW: u16 = 20;
const PAYLOAD: &[u8] = &[b'x'; 100];
/// The target for the ratio to mosquitto's rate.
const LEAST: Target = Target::AtLeast(1.0);

/// Measures both in turns.
pub(crate) async fn measure(fixture: &Fixture, size: &Size) -> anyhow::Result<Section> {
    let publishers = fixture.logins.get(..PUBLISHERS).unwrap_or_default();
    let (gateway, mosquitto) = (Gateway::start(fixture).await?, Mosquitto::start(fixture, publishers).await?);
    let dialler = Dialler::new(fixture)?;
    let rate = async |address, turn| messages_a_second(&dialler, address, publishers, turn).await;
    let (mut rates, mut their_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for address in [gateway.address, mosquitto.address] {
        rate(address, size.turn / 3).await?;
    }
    for _ in 0..size.rounds {
        let ours = rate(gateway.address, size.turn).await?;
        let theirs = rate(mosquitto.address, size.turn).await?;
        rates.push(ours);
        their_rates.push(theirs);
        ratios.push(ours / theirs);
    }
    let figures = vec![
        Figure::new("gateway: QoS 1, acknowledged", median(rates), "/s"),
        Figure::new("mosquitto: QoS 1, acknowledged", median(their_rates), "/s"),
        Figure::with_target("ratio, median of the turns", median(ratios), "", LEAST),
    ];
    Ok(Section { name: "throughput", figures })
}

/// Runs all publishers at the same time, for one turn. Returns the rate.
async fn messages_a_second(
    dialler: &Dialler,
    address: SocketAddr,
    publishers: &[Login],
    turn: Duration,
) -> anyhow::Result<f64> {
    let (acknowledged, time) = messages(dialler, address, publishers, turn).await?;
    Ok(f64::from(acknowledged) / time.as_secs_f64())
}

/// Runs all publishers at the same time, for one turn. Returns how many messages were acknowledged, and in what time.
pub(crate) async fn messages(
    dialler: &Dialler,
    address: SocketAddr,
    publishers: &[Login],
    turn: Duration,
) -> anyhow::Result<(u32, Duration)> {
    let mut connected = Vec::new();
    for login in publishers {
        connected.push((dialler.connect(address, login).await?, fixture::topic(login)?));
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (wire, topic) in connected {
        tasks.spawn(publish(wire, topic, began + turn));
    }
    let mut acknowledged = 0;
    while let Some(count) = tasks.join_next().await {
        acknowledged += count??;
    }
    Ok((acknowledged, began.elapsed()))
}

/// Keeps the window full until the end, then waits for the messages in it. Returns how many were acknowledged.
pub(crate) async fn publish(mut wire: Wire, topic: TopicName, end: Instant) -> anyhow::Result<u32> {
    let (mut acknowledged, mut in_flight, mut last_id) = (0, 0, 0_u16);
    loop {
        let room = if Instant::now() < end { WINDOW - in_flight } else { 0 };
        for _ in 0..room {
            last_id = last_id.checked_add(1).unwrap_or(1);
            let message = Publish {
                qos: QoS::AtLeastOnce,
                packet_id: NonZeroU16::new(last_id),
                ..Publish::new(topic.clone(), Bytes::from_static(PAYLOAD))
            };
            wire.queue(Packet::Publish(message))?;
        }
        wire.flush().await?;
        in_flight += room;
        if in_flight == 0 {
            return Ok(acknowledged);
        }
        let mut packet = Some(wire.next().await?.context("the server closed the connection")?);
        while let Some(answer) = packet {
            match answer {
                Packet::PubAck(ack) if is_accepted(ack.code) => {}
                other => bail!("not an acknowledgement: {other:?}"),
            }
            in_flight -= 1;
            acknowledged += 1;
            packet = wire.arrived()?;
        }
    }
}

/// Whether a message was accepted, with or without a subscriber.
fn is_accepted(code: PubAckCode) -> bool {
    matches!(code, PubAckCode::Success | PubAckCode::NoMatchingSubscribers)
}
