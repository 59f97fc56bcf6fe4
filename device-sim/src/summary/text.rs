//! The summary for people.

use std::collections::BTreeMap;
use std::fmt;

use super::{Latency, Summary};

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (devices, messages) = (self.devices, self.messages);
        let seconds = tenths(self.wall_time_ms);
        writeln!(f, "{} of {} devices got through in {seconds} s", devices.got_through, devices.expected)?;
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
        reasons(f, "failed", &self.failed)
    }
}

/// `1 reading`, `2 readings`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
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

fn tenths(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Devices, Messages};

    #[test]
    fn a_large_run_is_told_within_72_columns() {
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
            wall_time_ms: 86_400_099,
        };
        let text = summary.to_string();
        assert_eq!(text, LARGE);
        assert!(text.lines().all(|line| line.len() <= 72));
    }

    #[test]
    fn one_is_not_a_plural() {
        assert_eq!(
            [0, 1, 2].map(|count| counted(count, "reading")),
            ["0 readings", "1 reading", "2 readings"]
        );
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
