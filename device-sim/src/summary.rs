//! The result of a run, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt;

use cli::console::{counted, wrapped};
use serde::{Deserialize, Serialize};

use crate::faults::expectation::Expectation;
use crate::faults::outcomes::FaultReport;
use crate::latencies::{EncodedLatencies, Latency};
use crate::readings::DeviceReadings;
use crate::run_info::RunInfo;
use crate::timeline::Timeline;

/// The result of a run. The names of its JSON are stable. Its `Display` is for people, within 72 columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Whether every device got through that had to, and every expectation was met.
    pub ok: bool,
    /// The numbers of devices.
    pub devices: Devices,
    /// The numbers of messages.
    pub messages: Messages,
    /// The time from the start of TCP to CONNACK, in milliseconds. It is absent if no device connected.
    pub connect_latency_ms: Option<Latency>,
    /// The time from PUBLISH to PUBACK, in milliseconds. It is absent if no message was acknowledged.
    pub publish_latency_ms: Option<Latency>,
    /// Attempts to connect that the server refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Attempts to connect that did not reach the server, by reason.
    pub unreachable: BTreeMap<String, u64>,
    /// Connections that were lost, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Messages that failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Measurements that gave no reading.
    pub sensor_failures: u64,
    /// The faults on demand, and what became of them.
    pub faults: FaultReport,
    /// What was expected of the run, besides that devices get through.
    pub expectations: Vec<Expectation>,
    /// The time from start to end, in milliseconds.
    pub wall_time_ms: u64,
    /// What the run was.
    pub run: RunInfo,
    /// The latencies of the whole run, for merging.
    pub histograms: Histograms,
    /// What happened when.
    pub timeline: Timeline,
    /// What a few devices measured.
    pub readings: Vec<DeviceReadings>,
    /// For each reason of the maps above, the first message with it.
    pub examples: Vec<Example>,
}

/// The latencies of a run, within 0.1 %.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histograms {
    /// From the start of TCP to CONNACK.
    pub connect: EncodedLatencies,
    /// From PUBLISH to PUBACK.
    pub publish: EncodedLatencies,
}

/// The first device that something happened to, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// What happened.
    pub outcome: Outcome,
    /// Its reason, a key of the summary's map.
    pub reason: String,
    /// The device's name.
    pub device: String,
    /// The message for people. It can repeat what the server said.
    pub message: String,
}

/// What can go wrong for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server refused the connection.
    Refused,
    /// The device did not reach the server.
    Unreachable,
    /// The connection was lost.
    Lost,
    /// A message failed.
    Failed,
}

impl Outcome {
    /// Its name, as in the summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Failed => "failed",
        }
    }
}

/// Numbers of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// Devices of the fleet.
    pub expected: usize,
    /// Devices that tried to connect. They are fewer than expected if the run ended during the ramp.
    pub started: usize,
    /// Devices that were connected at some time.
    pub connected: usize,
    /// Devices that were connected at the end, before they disconnected.
    pub online: usize,
    /// Devices that were online, and had a reading acknowledged.
    pub got_through: usize,
    /// Devices that the server refused at their last attempt.
    pub refused: usize,
    /// Devices that did not reach the server at their last attempt.
    pub unreachable: usize,
    /// Devices that lost a connection at some time.
    pub lost: usize,
}

/// Numbers of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Messages that were sent.
    pub sent: u64,
    /// Messages that the server acknowledged.
    pub acknowledged: u64,
    /// Messages that were sent and not acknowledged.
    pub failed: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (devices, messages) = (self.devices, self.messages);
        let seconds = tenths(self.wall_time_ms);
        let expected = counted(devices.expected, "device");
        writeln!(f, "{} of {expected} got through in {seconds} s", devices.got_through)?;
        if let Some(shards) = &self.run.shards {
            let fleet = counted(self.run.fleet.devices, "device");
            writeln!(f, "{shards}, of a fleet of {fleet}")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "devices   {} connected, {} refused, {} unreachable, {} lost",
            devices.connected, devices.refused, devices.unreachable, devices.lost
        )?;
        writeln!(
            f,
            "messages  {} sent, {} acknowledged, {} failed",
            messages.sent, messages.acknowledged, messages.failed
        )?;
        if self.sensor_failures > 0 {
            writeln!(f, "sensors   {} failed", counted(self.sensor_failures, "measurement"))?;
        }
        latencies(f, self)?;
        reasons(f, "refused", &self.refused)?;
        reasons(f, "unreachable", &self.unreachable)?;
        reasons(f, "lost", &self.lost)?;
        reasons(f, "failed", &self.failed)?;
        faults(f, &self.faults)?;
        expectations(f, &self.expectations)
    }
}

fn latencies(f: &mut fmt::Formatter<'_>, summary: &Summary) -> fmt::Result {
    let rows = [("connect", summary.connect_latency_ms), ("publish", summary.publish_latency_ms)];
    if rows.iter().all(|(_, latency)| latency.is_none()) {
        return Ok(());
    }
    writeln!(f, "\nlatency in ms  {:>9}  {:>9}  {:>9}  {:>9}", "p50", "p95", "p99", "max")?;
    for (name, latency) in rows {
        if let Some(Latency { p50, p95, p99, max, .. }) = latency {
            writeln!(f, "{name:<13}  {p50:>9.1}  {p95:>9.1}  {p99:>9.1}  {max:>9.1}")?;
        }
    }
    Ok(())
}

fn reasons(f: &mut fmt::Formatter<'_>, title: &str, counts: &BTreeMap<String, u64>) -> fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    counts.iter().try_for_each(|(reason, count)| writeln!(f, "{count:>8}  {reason}"))
}

/// What became of the faults on demand, in one line each.
fn faults(f: &mut fmt::Formatter<'_>, report: &FaultReport) -> fmt::Result {
    if report.by_fault.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nfaults on demand, seed {}", report.seed)?;
    writeln!(
        f,
        "{:<15}  {:>7}  {:>7}  {:>7}  {:>11}  {:>6}  {:>6}",
        "", "devices", "through", "refused", "unreachable", "lost", "failed"
    )?;
    for (fault, outcomes) in &report.by_fault {
        let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
        writeln!(
            f,
            "{:<15}  {:>7}  {:>7}  {:>7}  {:>11}  {:>6}  {:>6}",
            fault.name(),
            outcomes.devices,
            outcomes.got_through,
            sum(&outcomes.refused),
            sum(&outcomes.unreachable),
            sum(&outcomes.lost),
            sum(&outcomes.failed)
        )?;
    }
    writeln!(f, "errors at other devices: {}", report.errors_without_fault)
}

fn expectations(f: &mut fmt::Formatter<'_>, expectations: &[Expectation]) -> fmt::Result {
    if expectations.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nexpectations")?;
    for expectation in expectations {
        let mark = match expectation.met {
            Some(true) => "met",
            Some(false) => "not met",
            None => "open",
        };
        writeln!(f, "{}", wrapped(10, &format!("{mark:>8}  {expectation}")))?;
    }
    Ok(())
}

fn tenths(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_info::{Fleet, Shards};

    #[test]
    fn the_summary_of_a_large_run_fits_72_columns() {
        let one = |reason: &str, count| BTreeMap::from([(reason.to_owned(), count)]);
        let latency = |max| Some(Latency { count: 9, p50: 12.34, p95: 99.96, p99: 1_000.0, max });
        let summary = Summary {
            ok: false,
            devices: Devices {
                expected: 10_000,
                started: 10_000,
                connected: 9_990,
                online: 9_989,
                got_through: 9_989,
                refused: 7,
                unreachable: 3,
                lost: 1,
            },
            messages: Messages { sent: 1_234_567_890, acknowledged: 1_234_567_889, failed: 1 },
            connect_latency_ms: latency(60_000.0),
            publish_latency_ms: latency(1_001.5),
            refused: one("not_authorized", 7),
            unreachable: one("tcp_connection_refused", 3),
            lost: one("closed_by_server", 1),
            failed: one("closed_by_server", 1),
            sensor_failures: 0,
            faults: FaultReport::default(),
            expectations: Vec::new(),
            wall_time_ms: 86_400_099,
            run: RunInfo {
                version: "0.1.0".to_owned(),
                started_at_ms: 0,
                ended_at_ms: 86_400_099,
                fleet: Fleet { devices: 10_000, fingerprint: String::new() },
                shards: None,
                settings: BTreeMap::new(),
            },
            histograms: Histograms::default(),
            timeline: Timeline { interval_ms: 250, intervals: Vec::new() },
            readings: Vec::new(),
            examples: Vec::new(),
        };
        let text = summary.to_string();
        assert_eq!(text, LARGE);
        assert!(text.lines().all(|line| line.len() <= 72));
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);
        let shards = Some(Shards { count: 100, indexes: vec![0, 2, 3, 4, 99] });
        let text = Summary { run: RunInfo { shards, ..summary.run.clone() }, ..summary }.to_string();
        assert_eq!(text.lines().nth(1), Some("shards 0, 2-4, 99 of 100, of a fleet of 10000 devices"));
    }

    const LARGE: &str = "\
9989 of 10000 devices got through in 86400.0 s

devices   9990 connected, 7 refused, 3 unreachable, 1 lost
messages  1234567890 sent, 1234567889 acknowledged, 1 failed

latency in ms        p50        p95        p99        max
connect             12.3      100.0     1000.0    60000.0
publish             12.3      100.0     1000.0     1001.5

refused
       7  not_authorized

unreachable
       3  tcp_connection_refused

lost
       1  closed_by_server

failed
       1  closed_by_server
";
}
