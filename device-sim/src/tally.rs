//! Counts the events of a fleet.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::device::{Event, EventKind};
use crate::summary::{Devices, Latency, Messages, Summary};

/// The counts of a run so far.
#[derive(Debug)]
pub struct Tally {
    devices: Vec<DeviceState>,
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
    /// The counts of a fleet that has not begun.
    #[must_use]
    pub fn new(expected: usize) -> Self {
        Self {
            devices: vec![DeviceState::default(); expected],
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

    /// Counts one event. Returns whether its reason is new.
    pub fn count(&mut self, event: &Event) -> bool {
        let Some(device) = self.devices.get_mut(event.index) else { return false };
        match &event.kind {
            EventKind::Started => device.started = true,
            EventKind::Connected(latency) => {
                (device.connected, device.online) = (true, true);
                (device.refused, device.unreachable) = (false, false);
                self.online += 1;
                self.connect.record(*latency);
            }
            EventKind::NotConnected { error, .. } => {
                (device.refused, device.unreachable) = (error.is_refusal(), !error.is_refusal());
                let counts = if error.is_refusal() { &mut self.refused } else { &mut self.unreachable };
                return add(counts, error.reason());
            }
            EventKind::Acknowledged(_, latency) => {
                device.acknowledged = true;
                self.messages.sent += 1;
                self.messages.acknowledged += 1;
                self.publish.record(*latency);
            }
            EventKind::Failed(error) => {
                self.messages.sent += 1;
                self.messages.failed += 1;
                return add(&mut self.failed, error.reason());
            }
            EventKind::Lost(error) => {
                (device.online, device.lost) = (false, true);
                self.online = self.online.saturating_sub(1);
                return add(&mut self.lost, error.reason());
            }
            EventKind::SensorFailed => self.sensor_failures += 1,
        }
        false
    }

    /// The numbers of devices so far.
    #[must_use]
    pub fn devices(&self) -> Devices {
        let count = |is: fn(&DeviceState) -> bool| self.devices.iter().filter(|one| is(one)).count();
        Devices {
            expected: self.devices.len(),
            started: count(|one| one.started),
            connected: count(|one| one.connected),
            online: count(|one| one.online),
            got_through: count(|one| one.online && one.acknowledged),
            refused: count(|one| one.refused),
            unreachable: count(|one| one.unreachable),
            lost: count(|one| one.lost),
        }
    }

    /// How many devices are connected. It is counted as events come, so a call costs nothing.
    #[must_use]
    pub const fn online(&self) -> u64 {
        self.online
    }

    /// The numbers of messages so far.
    #[must_use]
    pub const fn messages(&self) -> Messages {
        self.messages
    }

    /// The result of a run.
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

/// The state of one device.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is counted by itself")]
struct DeviceState {
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
    /// A histogram always accepts these bounds.
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

/// Counts a reason. Returns whether it is new.
fn add(counts: &mut BTreeMap<String, u64>, reason: String) -> bool {
    let count = counts.entry(reason).or_default();
    *count += 1;
    *count == 1
}
