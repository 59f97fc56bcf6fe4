//! Counts the events of a fleet.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::{Event, EventKind};
use crate::faults::DeviceFault;
use crate::faults::outcomes::{DeviceEnd, FaultTally, LINK_CUT};
use crate::latencies::{Latencies, Precision};
use crate::readings::ReadingsRecorder;
use crate::run_info::RunInfo;
use crate::summary::{Devices, Example, Histograms, Messages, Outcome, Summary};
use crate::timeline::{Interval, Recorder};

/// The counts of a run so far. Their size depends on the number of devices, by eight bytes for each, and not on how long
/// the run is.
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
    timeline: Recorder,
    readings: ReadingsRecorder,
    examples: Vec<Example>,
    faults: FaultTally,
}

impl Tally {
    /// The counts of a fleet that begins at this moment, given in time since 1970.
    #[must_use]
    pub fn new(expected: usize, start: Duration) -> Self {
        Self::with_faults(0, vec![None; expected], start)
    }

    /// The counts of a fleet that begins at this moment, with the fault of each device, in the order of the plan.
    #[must_use]
    pub fn with_faults(seed: u64, faults: Vec<Option<DeviceFault>>, start: Duration) -> Self {
        Self {
            devices: vec![DeviceState::default(); faults.len()],
            online: 0,
            refused: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            lost: BTreeMap::new(),
            failed: BTreeMap::new(),
            messages: Messages::default(),
            sensor_failures: 0,
            connect: Latencies::new(Precision::Run),
            publish: Latencies::new(Precision::Run),
            timeline: Recorder::new(start),
            readings: ReadingsRecorder::default(),
            examples: Vec::new(),
            faults: FaultTally::new(seed, faults),
        }
    }

    /// The fault of the device with this index in the plan.
    #[must_use]
    pub fn fault(&self, index: usize) -> Option<DeviceFault> {
        self.faults.fault(index)
    }

    /// Counts one event of this moment, given in time since 1970. Returns whether its reason is new.
    pub fn count(&mut self, event: &Event, now: Duration) -> bool {
        let Some(device) = self.devices.get_mut(event.index) else { return false };
        self.faults.count(event);
        match &event.kind {
            EventKind::Started => device.started = true,
            EventKind::Connected(latency) => {
                (device.connected, device.online) = (true, true);
                (device.refused, device.unreachable) = (false, false);
                self.online += 1;
                self.connect.record(*latency);
                self.timeline.connected(now, *latency);
            }
            EventKind::NotConnected { error, .. } => {
                (device.refused, device.unreachable) = (error.is_refusal(), !error.is_refusal());
                let (outcome, reason) = if error.is_refusal() {
                    (Outcome::Refused, error.reason())
                } else {
                    (Outcome::Unreachable, error.reason())
                };
                let interval = self.timeline.interval_at(now);
                let (counts, interval) = if error.is_refusal() {
                    (&mut self.refused, &mut interval.refused)
                } else {
                    (&mut self.unreachable, &mut interval.unreachable)
                };
                add(interval, &reason);
                if add(counts, &reason) {
                    self.example(event, outcome, reason, error.to_string());
                    return true;
                }
            }
            EventKind::Acknowledged(reading, latency) => {
                device.acknowledged = true;
                self.messages.sent += 1;
                self.messages.acknowledged += 1;
                self.publish.record(*latency);
                self.timeline.acknowledged(now, *latency);
                self.readings.acknowledged(event.index, &event.device, now, *reading);
            }
            EventKind::Failed(error) => {
                self.messages.sent += 1;
                self.messages.failed += 1;
                self.timeline.interval_at(now).failed += 1;
                let reason = error.reason();
                if add(&mut self.failed, &reason) {
                    self.example(event, Outcome::Failed, reason, error.to_string());
                    return true;
                }
            }
            EventKind::Lost(error) => {
                (device.online, device.lost) = (false, true);
                self.online = self.online.saturating_sub(1);
                self.timeline.lost(now);
                let reason = error.reason();
                if add(&mut self.lost, &reason) {
                    self.example(event, Outcome::Lost, reason, error.to_string());
                    return true;
                }
            }
            EventKind::LinkCut => {
                (device.online, device.lost) = (false, true);
                self.online = self.online.saturating_sub(1);
                self.timeline.lost(now);
                if add(&mut self.lost, LINK_CUT) {
                    let message = "its fault on demand cut the link".to_owned();
                    self.example(event, Outcome::Lost, LINK_CUT.to_owned(), message);
                }
            }
            EventKind::SensorFailed(_) => self.sensor_failures += 1,
            EventKind::GaveUp => return true,
        }
        false
    }

    /// Lets time pass without an event. A timeline ends at the last moment that it knows of.
    pub fn advance(&mut self, now: Duration) -> &Interval {
        self.timeline.interval_at(now)
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

    /// How many devices the fleet has.
    #[must_use]
    pub fn expected(&self) -> u64 {
        u64::try_from(self.devices.len()).unwrap_or(u64::MAX)
    }

    /// The numbers of messages so far.
    #[must_use]
    pub const fn messages(&self) -> Messages {
        self.messages
    }

    /// The latencies of connects and of messages so far.
    #[must_use]
    pub const fn latencies(&self) -> (&Latencies, &Latencies) {
        (&self.connect, &self.publish)
    }

    /// The attempts to connect that were refused so far, and those that did not reach the server, by reason.
    #[must_use]
    pub const fn not_connected(&self) -> (&BTreeMap<String, u64>, &BTreeMap<String, u64>) {
        (&self.refused, &self.unreachable)
    }

    /// The connections that were lost so far, and the messages that failed, by reason.
    #[must_use]
    pub const fn lost_and_failed(&self) -> (&BTreeMap<String, u64>, &BTreeMap<String, u64>) {
        (&self.lost, &self.failed)
    }

    /// The result of a run.
    #[must_use]
    pub fn summary(&self, run: RunInfo) -> Summary {
        let devices = self.devices();
        let faults = self.faults.report(self.devices.iter().copied().map(DeviceState::end));
        Summary {
            ok: devices.expected > 0 && faults.missing.is_nothing(),
            devices,
            messages: self.messages,
            connect_latency_ms: self.connect.percentiles(),
            publish_latency_ms: self.publish.percentiles(),
            refused: self.refused.clone(),
            unreachable: self.unreachable.clone(),
            lost: self.lost.clone(),
            failed: self.failed.clone(),
            sensor_failures: self.sensor_failures,
            faults,
            expectations: Vec::new(),
            wall_time_ms: run.ended_at_ms.saturating_sub(run.started_at_ms),
            run,
            histograms: Histograms { connect: self.connect.encode(), publish: self.publish.encode() },
            timeline: self.timeline.timeline(),
            readings: self.readings.readings(),
            examples: self.examples.clone(),
        }
    }

    /// Keeps the first message of a reason. There are a few dozen reasons, whatever a server answers.
    fn example(&mut self, event: &Event, outcome: Outcome, reason: String, message: String) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(Example { outcome, reason, device: event.device.to_string(), message });
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

impl DeviceState {
    const fn end(self) -> DeviceEnd {
        match self {
            Self { online: true, acknowledged: true, .. } => DeviceEnd::GotThrough,
            Self { refused: true, .. } => DeviceEnd::Refused,
            Self { unreachable: true, .. } => DeviceEnd::Unreachable,
            _ => DeviceEnd::Other,
        }
    }
}

/// More than there are reasons that a server can cause.
const MAX_EXAMPLES: usize = 100;
/// As many, for each kind of failure.
const MAX_REASONS: usize = 100;
const OTHER_REASON: &str = "other";

/// Counts a reason. Returns whether it is new.
fn add(counts: &mut BTreeMap<String, u64>, reason: &str) -> bool {
    if let Some(count) = counts.get_mut(reason) {
        *count += 1;
        return false;
    }
    let reason = if counts.len() < MAX_REASONS { reason } else { OTHER_REASON };
    let count = counts.entry(reason.to_owned()).or_default();
    *count += 1;
    *count == 1
}
