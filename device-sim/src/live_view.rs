//! What a terminal shows while a fleet runs: a few lines that are drawn again and again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cli::console::counted;

use crate::latencies::Latencies;
use crate::tally::Tally;

/// A run at a moment.
pub(crate) struct View<'a> {
    pub(crate) tally: &'a Tally,
    pub(crate) elapsed: Duration,
    /// How long the run takes, if it ends by itself.
    pub(crate) duration: Option<Duration>,
    pub(crate) rates: &'a Rates,
}

/// How many messages were acknowledged in each of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    seconds: VecDeque<u64>,
    counted_until: Duration,
    counted: u64,
}

impl Rates {
    /// Notes how many messages have been acknowledged in all.
    pub(crate) fn note(&mut self, elapsed: Duration, acknowledged: u64) {
        let passed = elapsed.saturating_sub(self.counted_until).as_secs();
        if passed == 0 {
            return;
        }
        // Ticks can be late: what came meanwhile is spread over the seconds that passed.
        let each = acknowledged.saturating_sub(self.counted) / passed;
        for _ in 0..passed.min(MAX_RATES) {
            self.seconds.push_back(each);
        }
        while self.seconds.len() > RATES {
            self.seconds.pop_front();
        }
        self.counted_until += Duration::from_secs(passed);
        self.counted = acknowledged;
    }

    fn last(&self) -> u64 {
        self.seconds.back().copied().unwrap_or(0)
    }

    /// The last seconds as small bars, from the lowest to the highest.
    fn bars(&self) -> String {
        let highest = self.seconds.iter().max().copied().unwrap_or(0).max(1);
        let steps = u64::try_from(BARS.len() - 1).unwrap_or(0);
        let bar = |rate: &u64| BARS.get(usize::try_from(rate * steps / highest).unwrap_or(0)).copied();
        self.seconds.iter().filter_map(bar).collect()
    }
}

/// The lines for a terminal of this size. None is wider, and on a low or narrow terminal there is one line.
pub(crate) fn lines(view: &View<'_>, columns: usize, rows: usize) -> Vec<String> {
    let View { tally, elapsed, duration, rates } = view;
    let (online, expected, messages) = (tally.online(), tally.expected(), tally.messages());
    let time = match duration {
        Some(duration) => format!("{} of {}", clock(*elapsed), clock(*duration)),
        None => clock(*elapsed),
    };
    let rate = rates.last();
    if columns < NARROW || rows < LOW {
        let (refused, unreachable) = tally.not_connected();
        let refused = sum(refused) + sum(unreachable);
        let refused = if refused > 0 { format!("  {refused} refused") } else { String::new() };
        return vec![cut(&format!("{online}/{expected}{refused}  {rate}/s  {time}"), columns)];
    }
    let bar = progress(online, expected, if columns < WIDE { 12 } else { 24 });
    let mut lines = vec![format!("{bar}  {online} of {expected} connected  {time}")];
    let failed = if messages.failed > 0 { format!(", {} failed", messages.failed) } else { String::new() };
    let bars = if columns < WIDE { String::new() } else { format!("{}  ", rates.bars()) };
    lines.push(format!("messages  {rate}/s  {bars}{} acknowledged{failed}", messages.acknowledged));
    let (connect, publish) = tally.latencies();
    let latencies = [("connect", connect), ("publish", publish)].map(|(name, it)| latency(name, it));
    let latencies = latencies.into_iter().flatten().collect::<Vec<_>>();
    if columns < WIDE {
        lines.extend(latencies.into_iter().map(|it| format!("latency   {it}")));
    } else if !latencies.is_empty() {
        lines.push(format!("latency   {}", latencies.join("   ")));
    }
    let (refused, unreachable) = tally.not_connected();
    let (lost, failed) = tally.lost_and_failed();
    for (name, counts) in
        [("refused", refused), ("no way in", unreachable), ("lost", lost), ("failed", failed)]
    {
        if !counts.is_empty() {
            lines.push(format!("{name:<9} {}", reasons(counts)));
        }
    }
    lines.truncate(rows.saturating_sub(1));
    lines.iter().map(|line| cut(line, columns)).collect()
}

/// A terminal with fewer columns has one line.
const NARROW: usize = 44;
/// One with fewer has no bars.
const WIDE: usize = 76;
/// A terminal with fewer rows has one line.
const LOW: usize = 10;
/// How many seconds the bars show.
const RATES: usize = 20;
const MAX_RATES: u64 = 20;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

fn latency(name: &str, latencies: &Latencies) -> Option<String> {
    let it = latencies.percentiles()?;
    Some(format!("{name} p50 {:.1}  p99 {:.1} ms", it.p50, it.p99))
}

fn progress(part: u64, whole: u64, width: u64) -> String {
    let full = (part * width / whole.max(1)).min(width);
    (0..width).map(|place| if place < full { '█' } else { '░' }).collect()
}

/// The most frequent reasons first.
fn reasons(counts: &BTreeMap<String, u64>) -> String {
    let mut counts = counts.iter().collect::<Vec<_>>();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}

fn sum(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().sum()
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    line.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

/// The line that is printed every few seconds where there is no terminal.
pub(crate) fn line(tally: &Tally) -> String {
    let (devices, messages) = (tally.devices(), tally.messages());
    format!(
        "{} of {} connected, {} refused, {} unreachable; {} acknowledged, {} failed",
        devices.online,
        counted(devices.expected, "device"),
        devices.refused,
        devices.unreachable,
        counted(messages.acknowledged, "reading"),
        messages.failed
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use device_core::Reading;

    use super::*;
    use crate::client::{Closed, ConnectError, RequestError};
    use crate::device::{Event, EventKind};

    fn tally() -> Tally {
        let mut tally = Tally::new(2_000, Duration::ZERO);
        let mut count = |index, kind| {
            tally.count(&Event { index, device: Arc::from("d"), kind }, Duration::from_secs(1));
        };
        for index in 0..1_234 {
            count(index, EventKind::Connected(Duration::from_micros(5_400)));
            let reading = Reading::temperature(21_000);
            count(index, EventKind::Acknowledged(reading, Duration::from_micros(400)));
        }
        count(0, EventKind::Failed(RequestError::NotAcknowledged(Duration::ZERO)));
        count(0, EventKind::Lost(Closed::ByServer.into()));
        for index in 1_300..1_312 {
            count(index, EventKind::NotConnected { error: ConnectError::ClosedBeforeConnAck, again: false });
        }
        let source = std::io::ErrorKind::ConnectionRefused.into();
        let error = ConnectError::Tcp { address: "h:1".to_owned(), source };
        count(1_400, EventKind::NotConnected { error, again: true });
        tally
    }

    fn shown(columns: usize, rows: usize) -> Vec<String> {
        let (tally, mut rates) = (tally(), Rates::default());
        for second in 1..=30 {
            rates.note(Duration::from_secs(second), second * second * 10);
        }
        let duration = Some(Duration::from_mins(1));
        lines(
            &View { tally: &tally, elapsed: Duration::from_secs(42), duration, rates: &rates },
            columns,
            rows,
        )
    }

    #[test]
    fn the_view_fits_every_terminal() {
        assert_eq!(
            shown(80, 24),
            [
                "██████████████░░░░░░░░░░  1233 of 2000 connected  0:42 of 1:00",
                "messages  590/s  ▃▃▃▄▄▄▄▅▅▅▅▆▆▆▆▇▇▇▇█  1234 acknowledged, 1 failed",
                "latency   connect p50 5.4  p99 5.4 ms   publish p50 0.4  p99 0.4 ms",
                "refused   12 closed_before_connack",
                "no way in 1 tcp_connection_refused",
                "lost      1 closed_by_server",
                "failed    1 not_acknowledged",
            ]
        );
        assert_eq!(
            shown(50, 24)[..4],
            [
                "███████░░░░░  1233 of 2000 connected  0:42 of 1:00",
                "messages  590/s  1234 acknowledged, 1 failed",
                "latency   connect p50 5.4  p99 5.4 ms",
                "latency   publish p50 0.4  p99 0.4 ms",
            ]
        );
        assert_eq!(shown(40, 24), ["1233/2000  13 refused  590/s  0:42 of 1…"]);
        assert_eq!(shown(80, 9), ["1233/2000  13 refused  590/s  0:42 of 1:00"]);
        for (columns, rows) in (1..120).flat_map(|columns| [(columns, 3), (columns, 10), (columns, 50)]) {
            let lines = shown(columns, rows);
            assert!(lines.len() < rows && lines.iter().all(|it| it.chars().count() <= columns), "{lines:?}");
        }
    }

    #[test]
    fn a_view_of_nothing_has_no_latency() {
        let (tally, rates) = (Tally::new(0, Duration::ZERO), Rates::default());
        let view = View { tally: &tally, elapsed: Duration::from_secs(4_000), duration: None, rates: &rates };
        let expected =
            ["░░░░░░░░░░░░░░░░░░░░░░░░  0 of 0 connected  1:06:40", "messages  0/s    0 acknowledged"];
        assert_eq!(lines(&view, 80, 24), expected);
    }

    #[test]
    fn late_ticks_spread_what_came_meanwhile() {
        let mut rates = Rates::default();
        rates.note(Duration::from_millis(900), 5);
        rates.note(Duration::from_millis(1_100), 6);
        rates.note(Duration::from_secs(4), 12);
        assert_eq!(rates.seconds, [6, 2, 2, 2]);
        rates.note(Duration::from_secs(1_000_000), 12);
        assert_eq!((rates.seconds.len(), rates.last()), (20, 0));
    }
}
