//! Many connected devices that publish now and then: errors, and the gateway's memory for each.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use device_sim::{Client, Endpoint, Login, Options, QoS, TopicName};
use hdrhistogram::Histogram;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    Size,
    fixture::{self, Fixture},
    gateway::Gateway,
    process::Memory,
    report::{Figure, Section, Target},
};

/// Connects that are under way at a time.
const AT_A_TIME: usize = 64;
/// The target for the memory of a connection, in KB of 1,000 bytes.
const MOST_KB: Target = Target::AtMost(21.0);
const NONE: Target = Target::AtMost(0.0);
const PAYLOAD: &str = r#"{"value":21.48,"unit":"Cel","ts":1767225600}"#;

/// A device that is connected.
struct Device {
    client: Client,
    topic: TopicName,
    /// When it publishes for the first time.
    first: Instant,
}

/// What happened to the messages.
#[derive(Default)]
struct Outcome {
    /// The time from each PUBLISH to its acknowledgement.
    waits: Vec<Duration>,
    /// How many times each error occurred.
    errors: BTreeMap<String, u32>,
}

/// Connects all devices and lets them publish.
pub(crate) async fn measure(fixture: &Fixture, size: &Size) -> anyhow::Result<Section> {
    let gateway = Gateway::start(fixture).await?;
    let before = gateway.memory()?;
    let began = Instant::now();
    let clients = connect(gateway.endpoint(), &fixture.logins).await?;
    let connecting = began.elapsed();
    let began = Instant::now();
    // All are still connected when the memory is read, and until this returns.
    let (outcome, _devices) = publish(clients, size).await?;
    let publishing = began.elapsed();
    let after = gateway.memory()?;
    for (error, count) in &outcome.errors {
        cli::console::status(&format!("  {count} of {error}"));
    }
    figures(size, connecting, publishing, &outcome, (before, after))
}

fn figures(
    size: &Size,
    connecting: Duration,
    publishing: Duration,
    outcome: &Outcome,
    (before, after): (Memory, Memory),
) -> anyhow::Result<Section> {
    let devices = f64::from(u32::try_from(size.devices)?);
    let acknowledged = f64::from(u32::try_from(outcome.waits.len())?);
    let kb = |before, after| kilobytes_each(before, after, devices);
    let figures = vec![
        Figure::new("devices connected at once", devices, ""),
        Figure::new("time to connect them", connecting.as_secs_f64(), "s"),
        Figure::new("QoS 1 messages acknowledged", acknowledged / publishing.as_secs_f64(), "/s"),
        Figure::new("99 % of them within", p99(&outcome.waits)?, "ms"),
        Figure::with_target("errors", f64::from(outcome.errors.values().sum::<u32>()), "", NONE),
        Figure::with_target("private memory a connection", kb(before.private, after.private), "KB", MOST_KB),
        Figure::new("resident memory a connection", kb(before.resident, after.resident), "KB"),
    ];
    Ok(Section { name: "devices", figures })
}

/// How many KB of 1,000 bytes each device adds to a process's memory.
pub(crate) fn kilobytes_each(before: u64, after: u64, devices: f64) -> f64 {
    // The number of kilobytes has no fraction that matters.
    let grown = u32::try_from(after.saturating_sub(before) / 1024).unwrap_or(u32::MAX);
    f64::from(grown) * 1.024 / devices
}

/// Connects all devices. If one can't be connected, the measurement ends.
async fn connect(endpoint: &Endpoint, logins: &[Login]) -> anyhow::Result<Vec<(Client, TopicName)>> {
    let logins: Arc<[Login]> = logins.into();
    let mut workers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let (endpoint, logins) = (endpoint.clone(), Arc::clone(&logins));
        workers.spawn(async move {
            let mut clients = Vec::new();
            for login in logins.iter().skip(worker).step_by(AT_A_TIME) {
                let client = Client::connect(&endpoint, login, &Options::default()).await?;
                clients.push((client, fixture::topic(login)?));
            }
            anyhow::Ok(clients)
        });
    }
    let mut clients = Vec::new();
    while let Some(worker) = workers.join_next().await {
        clients.extend(worker??);
    }
    Ok(clients)
}

/// Lets each device publish once in each interval. The devices are spread evenly over it.
async fn publish(clients: Vec<(Client, TopicName)>, size: &Size) -> anyhow::Result<(Outcome, Vec<Device>)> {
    let began = Instant::now();
    let step = size.interval / u32::try_from(clients.len().max(1))?;
    let mut devices = JoinSet::new();
    for (place, (client, topic)) in (0..).zip(clients) {
        let device = Device { client, topic, first: began + step * place };
        devices.spawn(device.publish(size.interval, size.messages));
    }
    let (mut outcome, mut connected) = (Outcome::default(), Vec::new());
    while let Some(device) = devices.join_next().await {
        let (device, waits, error) = device?;
        outcome.waits.extend(waits);
        if let Some(error) = error {
            *outcome.errors.entry(error).or_default() += 1;
        }
        connected.push(device);
    }
    Ok((outcome, connected))
}

impl Device {
    /// Publishes all messages, or until an error.
    async fn publish(mut self, interval: Duration, messages: u32) -> (Self, Vec<Duration>, Option<String>) {
        let mut waits = Vec::new();
        for number in 0..messages {
            tokio::select! {
                closed = self.client.closed() => return (self, waits, Some(closed.to_string())),
                () = sleep_until(self.first + interval * number) => {}
            }
            let sent = Instant::now();
            let published = self.client.publish(self.topic.clone(), PAYLOAD, QoS::AtLeastOnce).await;
            if let Err(error) = published {
                return (self, waits, Some(error.to_string()));
            }
            waits.push(sent.elapsed());
        }
        (self, waits, None)
    }
}

/// The 99th percentile in milliseconds.
pub(crate) fn p99(waits: &[Duration]) -> anyhow::Result<f64> {
    let mut histogram = Histogram::<u64>::new(3)?;
    for wait in waits {
        histogram.record(u64::try_from(wait.as_micros())?)?;
    }
    let micros = u32::try_from(histogram.value_at_quantile(0.99))?;
    Ok(f64::from(micros) / 1_000.0)
}
