//! Counts what devices report.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::event::{Event, What};
use crate::summary::{Devices, Latency, Messages, Summary};

/// The counts of a run so far.
#[derive(Debug)]
pub struct Tally {
    standings: Vec<Standing>,
    online: u64,
    refused: BTreeMap<String, u64>,
    unreachable: BTreeMap<String, u64>,
    lost: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
    messages: Messages,
    sensor_failures: u64,
    connect: Latencies,
    publish: Latencies,
}

impl Tally {
    /// Nothing has happened yet to so many devices.
    #[must_use]
    pub fn new(expected: usize) -> Self {
        Self {
            standings: vec![Standing::default(); expected],
            online: 0,
            refused: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            lost: BTreeMap::new(),
            failed: BTreeMap::new(),
            messages: Messages::default(),
            sensor_failures: 0,
            connect: Latencies::new(),
            publish: Latencies::new(),
        }
    }

    /// Takes one event in. Returns whether its reason is one that had not been met yet.
    pub fn count(&mut self, event: &Event) -> bool {
        let Some(standing) = self.standings.get_mut(event.index) else { return false };
        match &event.what {
            What::Started => standing.started = true,
            What::Connected(latency) => {
                (standing.connected, standing.online) = (true, true);
                (standing.refused, standing.unreachable) = (false, false);
                self.online += 1;
                self.connect.record(*latency);
            }
            What::NotConnected { error, .. } => {
                (standing.refused, standing.unreachable) = (error.is_refusal(), !error.is_refusal());
                let counts = if error.is_refusal() { &mut self.refused } else { &mut self.unreachable };
                return add(counts, error.reason());
            }
            What::Acknowledged(_, latency) => {
                standing.acknowledged = true;
                self.messages.sent += 1;
                self.messages.acknowledged += 1;
                self.publish.record(*latency);
            }
            What::Failed(error) => {
                self.messages.sent += 1;
                self.messages.failed += 1;
                return add(&mut self.failed, error.reason());
            }
            What::Lost(error) => {
                (standing.online, standing.lost) = (false, true);
                self.online = self.online.saturating_sub(1);
                return add(&mut self.lost, error.reason());
            }
            What::SensorFailed => self.sensor_failures += 1,
        }
        false
    }

    /// The devices' standing.
    #[must_use]
    pub fn devices(&self) -> Devices {
        let count = |what: fn(&Standing) -> bool| self.standings.iter().filter(|one| what(one)).count();
        Devices {
            expected: self.standings.len(),
            started: count(|one| one.started),
            connected: count(|one| one.connected),
            online: count(|one| one.online),
            got_through: count(|one| one.online && one.acknowledged),
            refused: count(|one| one.refused),
            unreachable: count(|one| one.unreachable),
            lost: count(|one| one.lost),
        }
    }

    /// How many devices are connected, without going through all of them.
    #[must_use]
    pub const fn online(&self) -> u64 {
        self.online
    }

    /// The messages so far.
    #[must_use]
    pub const fn messages(&self) -> Messages {
        self.messages
    }

    /// The result of a run that took so long.
    #[must_use]
    pub fn summary(&self, wall_time: Duration) -> Summary {
        let devices = self.devices();
        Summary {
            ok: devices.expected > 0 && devices.got_through == devices.expected,
            devices,
            messages: self.messages,
            connect_latency_ms: self.connect.percentiles(),
            publish_latency_ms: self.publish.percentiles(),
            refused: self.refused.clone(),
            unreachable: self.unreachable.clone(),
            lost: self.lost.clone(),
            failed: self.failed.clone(),
            sensor_failures: self.sensor_failures,
            wall_time_ms: u64::try_from(wall_time.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// How one device stands.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is counted by itself")]
struct Standing {
    started: bool,
    connected: bool,
    online: bool,
    acknowledged: bool,
    refused: bool,
    unreachable: bool,
    lost: bool,
}

/// Latencies in microseconds, up to a minute, within 0.1 %.
#[derive(Debug)]
struct Latencies(Option<Histogram<u32>>);

impl Latencies {
    /// The bounds are ones that a histogram can have.
    fn new() -> Self {
        Self(Histogram::new_with_bounds(1, HIGHEST_US, 3).ok())
    }

    fn record(&mut self, latency: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn percentiles(&self) -> Option<Latency> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        Some(Latency {
            count: histogram.len(),
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
            max: milliseconds(histogram.max()),
        })
    }
}

const HIGHEST_US: u64 = 60_000_000;

fn milliseconds(microseconds: u64) -> f64 {
    f64::from(u32::try_from(microseconds).unwrap_or(u32::MAX)) / 1_000.0
}

/// Returns whether the reason is new.
fn add(counts: &mut BTreeMap<String, u64>, reason: String) -> bool {
    let count = counts.entry(reason).or_default();
    *count += 1;
    *count == 1
}
