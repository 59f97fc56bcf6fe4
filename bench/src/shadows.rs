//! Updates of device shadows, each with its three answers.

use std::{num::NonZeroU16, time::Instant};

use anyhow::{Context as _, bail};
use mqtt::{Packet, PubAck, PubAckCode, Publish, QoS, Subscribe, SubscribeFilter, TopicName, wire::Wire};
use tokio::task::JoinSet;

use crate::{
    Size,
    dialler::Dialler,
    fixture::Fixture,
    gateway::Gateway,
    report::{Figure, Section, Target},
};

/// Updates of one shadow that are not answered yet: as many as AWS allows.
const WINDOW: u64 = 10;
/// The answers to an update that leaves `desired` and `reported` different: `accepted`, `delta` and `documents`.
const ANSWERS: u64 = 3;
/// The target for the updates in a second.
const LEAST: Target = Target::AtLeast(5_000.0);

/// Updates the shadows for as long as the other turns take together.
pub(crate) async fn measure(fixture: &Fixture, size: &Size) -> anyhow::Result<Section> {
    let gateway = Gateway::start(fixture).await?;
    let dialler = Dialler::new(fixture)?;
    let mut connected = Vec::new();
    for login in &fixture.shadow_logins {
        let mut wire = dialler.connect(gateway.address, login).await?;
        let topic = format!("$aws/things/{}/shadow/update", login.client_id);
        let filter = SubscribeFilter::new(format!("{topic}/+").parse()?, QoS::AtLeastOnce);
        wire.queue(Packet::Subscribe(Subscribe::new(NonZeroU16::MIN, vec![filter])))?;
        wire.flush().await?;
        match wire.next().await? {
            Some(Packet::SubAck(_)) => connected.push((wire, topic.parse()?)),
            other => bail!("not subscribed: {other:?}"),
        }
    }
    let (cpu, began) = (gateway.cpu()?, Instant::now());
    let end = began + size.turn * size.rounds;
    let mut tasks = JoinSet::new();
    for (wire, topic) in connected {
        tasks.spawn(update(wire, topic, end));
    }
    let mut answered = 0;
    while let Some(count) = tasks.join_next().await {
        answered += count??;
    }
    let answered = f64::from(u32::try_from(answered)?);
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), gateway.cpu()?.saturating_sub(cpu));
    let figures = vec![
        Figure::with_target("updates with three answers, QoS 1", answered / seconds, "/s", LEAST),
        Figure::new("processor time of the gateway for each", cpu.as_secs_f64() * 1e6 / answered, "µs"),
    ];
    Ok(Section { name: "shadows", figures })
}

/// Keeps the window full until the end, then waits for what is in it. Returns how many updates have been acknowledged and have had
/// all their answers.
async fn update(mut wire: Wire, topic: TopicName, end: Instant) -> anyhow::Result<u64> {
    let (mut sent, mut acknowledged, mut answers) = (0_u64, 0_u64, 0_u64);
    loop {
        let complete = acknowledged.min(answers / ANSWERS);
        while sent < complete + WINDOW && Instant::now() < end {
            let payload = format!(r#"{{"state":{{"desired":{{"n":{sent}}},"reported":{{"n":"none"}}}}}}"#);
            let message = Publish {
                qos: QoS::AtLeastOnce,
                packet_id: NonZeroU16::new(u16::try_from(sent % 60_000 + 1)?),
                ..Publish::new(topic.clone(), payload)
            };
            wire.queue(Packet::Publish(message))?;
            sent += 1;
        }
        wire.flush().await?;
        if complete == sent {
            return Ok(complete);
        }
        let mut packet = Some(wire.next().await?.context("the server closed the connection")?);
        while let Some(arrived) = packet {
            match arrived {
                Packet::PubAck(ack) if ack.code != PubAckCode::NotAuthorized => acknowledged += 1,
                Packet::Publish(answer) => {
                    let is_rejection =
                        answer.topic.as_ref().is_some_and(|it| it.as_str().ends_with("/rejected"));
                    if is_rejection {
                        bail!(
                            "an update is rejected: {}",
                            String::from_utf8_lossy(&answer.payload).escape_debug()
                        );
                    }
                    answers += 1;
                    let id = answer.packet_id.context("an answer has no packet id")?;
                    wire.queue(Packet::PubAck(PubAck::new(id, PubAckCode::Success)))?;
                }
                other => bail!("not an answer: {other:?}"),
            }
            packet = wire.arrived()?;
        }
    }
}
