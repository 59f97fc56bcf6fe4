//! What went wrong in a run, at devices with a fault and at those without.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DeviceFault;
use crate::device::{Event, EventKind};
use crate::timeline::add_counts;

/// What became of the faults of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// The seed that decided which devices have which fault.
    pub seed: u64,
    /// The outcomes of the devices with each fault.
    pub by_fault: BTreeMap<DeviceFault, FaultOutcomes>,
    /// What went wrong at devices without a fault: attempts, connections, messages and measurements that failed.
    pub errors_without_fault: u64,
    /// Measurements that gave no reading, by reason, of all devices.
    pub sensor_errors: BTreeMap<String, u64>,
    /// Devices that had to get through and did not.
    pub missing: Missing,
}

/// The outcomes of the devices with one fault, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultOutcomes {
    /// The number of devices with the fault.
    pub devices: u64,
    /// Those that were online, and had a reading acknowledged.
    pub got_through: u64,
    /// Attempts to connect that the server refused.
    pub refused: BTreeMap<String, u64>,
    /// Attempts to connect that did not reach the server.
    pub unreachable: BTreeMap<String, u64>,
    /// Connections that were lost.
    pub lost: BTreeMap<String, u64>,
    /// Messages that failed.
    pub failed: BTreeMap<String, u64>,
    /// Measurements that gave no reading.
    pub sensor_errors: BTreeMap<String, u64>,
}

/// Devices that had to get through and did not, by what became of their last attempt. Those whose fault keeps them from
/// it are not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The server refused them.
    pub refused: u64,
    /// They did not reach the server.
    pub unreachable: u64,
    /// They were not online at the end, had no reading acknowledged, or were never started.
    pub other: u64,
}

impl FaultReport {
    /// Adds another part of the same run.
    pub fn add(&mut self, part: Self) {
        for (fault, more) in part.by_fault {
            let sum = self.by_fault.entry(fault).or_default();
            sum.devices = sum.devices.saturating_add(more.devices);
            sum.got_through = sum.got_through.saturating_add(more.got_through);
            for (sum, more) in [
                (&mut sum.refused, &more.refused),
                (&mut sum.unreachable, &more.unreachable),
                (&mut sum.lost, &more.lost),
                (&mut sum.failed, &more.failed),
                (&mut sum.sensor_errors, &more.sensor_errors),
            ] {
                add_counts(sum, more);
            }
        }
        self.errors_without_fault = self.errors_without_fault.saturating_add(part.errors_without_fault);
        add_counts(&mut self.sensor_errors, &part.sensor_errors);
        let Missing { refused, unreachable, other } = part.missing;
        self.missing.refused = self.missing.refused.saturating_add(refused);
        self.missing.unreachable = self.missing.unreachable.saturating_add(unreachable);
        self.missing.other = self.missing.other.saturating_add(other);
    }
}

impl Missing {
    /// Whether every device got through that had to.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.refused == 0 && self.unreachable == 0 && self.other == 0
    }
}

/// Counts what goes wrong by fault.
#[derive(Debug, Default)]
pub(crate) struct FaultTally {
    faults: Vec<Option<DeviceFault>>,
    report: FaultReport,
}

impl FaultTally {
    pub(crate) fn new(seed: u64, faults: Vec<Option<DeviceFault>>) -> Self {
        let mut report = FaultReport { seed, ..FaultReport::default() };
        for fault in faults.iter().flatten() {
            report.by_fault.entry(*fault).or_default().devices += 1;
        }
        Self { faults, report }
    }

    /// The fault of the device with this index in the plan.
    pub(crate) fn fault(&self, index: usize) -> Option<DeviceFault> {
        self.faults.get(index).copied().flatten()
    }

    pub(crate) fn count(&mut self, event: &Event) {
        type Counts = fn(&mut FaultOutcomes) -> &mut BTreeMap<String, u64>;
        let (counts, reason): (Counts, String) = match &event.kind {
            EventKind::NotConnected { error, .. } if error.is_refusal() => {
                (|outcomes| &mut outcomes.refused, error.reason())
            }
            EventKind::NotConnected { error, .. } => (|outcomes| &mut outcomes.unreachable, error.reason()),
            EventKind::Failed(error) => (|outcomes| &mut outcomes.failed, error.reason()),
            EventKind::Lost(error) => (|outcomes| &mut outcomes.lost, error.reason()),
            EventKind::LinkCut => (|outcomes| &mut outcomes.lost, LINK_CUT.to_owned()),
            EventKind::SensorFailed(reason) => {
                *self.report.sensor_errors.entry((*reason).to_owned()).or_default() += 1;
                (|outcomes| &mut outcomes.sensor_errors, (*reason).to_owned())
            }
            EventKind::Started
            | EventKind::Connected(_)
            | EventKind::Acknowledged(..)
            | EventKind::GaveUp => return,
        };
        match self.fault(event.index).and_then(|fault| self.report.by_fault.get_mut(&fault)) {
            Some(outcomes) => *counts(outcomes).entry(reason).or_default() += 1,
            None => self.report.errors_without_fault += 1,
        }
    }

    /// The report of a run. `ends` are those of the devices, in the order of the plan.
    pub(crate) fn report(&self, ends: impl Iterator<Item = DeviceEnd>) -> FaultReport {
        let mut report = self.report.clone();
        for (index, end) in ends.enumerate() {
            let fault = self.fault(index);
            match (fault.and_then(|fault| report.by_fault.get_mut(&fault)), end) {
                (Some(outcomes), DeviceEnd::GotThrough) => outcomes.got_through += 1,
                (None, DeviceEnd::GotThrough) => {}
                _ if fault.is_some_and(|fault| !fault.gets_through()) => {}
                (_, DeviceEnd::Refused) => report.missing.refused += 1,
                (_, DeviceEnd::Unreachable) => report.missing.unreachable += 1,
                (_, DeviceEnd::Other) => report.missing.other += 1,
            }
        }
        report
    }
}

/// What became of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceEnd {
    /// It was online, and had a reading acknowledged.
    GotThrough,
    /// The server refused its last attempt.
    Refused,
    /// Its last attempt did not reach the server.
    Unreachable,
    /// Anything else.
    Other,
}

/// The reason of a connection that the device's fault ended.
pub(crate) const LINK_CUT: &str = "link_cut";
