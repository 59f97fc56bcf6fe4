//! What happened when: a bounded number of intervals, which become longer as the run does.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::latencies::{EncodedLatencies, Latencies, Precision};

/// The intervals of a run. All have the same length, and each begins when the one before ends.
///
/// The length is 250 ms, 500 ms, 1 s and so on, and every interval begins at a multiple of it since 1970: so the
/// intervals of two machines lie on each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// The length of an interval, in milliseconds.
    pub interval_ms: u64,
    /// The intervals, in order.
    pub intervals: Vec<Interval>,
}

/// What happened in an interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// When it begins, in milliseconds since 1970.
    pub at_ms: u64,
    /// How many devices were connected at its end.
    pub online: u64,
    /// How many attempts to connect were accepted.
    pub connected: u64,
    /// Attempts to connect that the server refused, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
    /// Attempts to connect that did not reach the server, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreachable: BTreeMap<String, u64>,
    /// How many connections were lost.
    pub lost: u64,
    /// How many messages were acknowledged.
    pub acknowledged: u64,
    /// How many messages failed.
    pub failed: u64,
    /// The latencies of the connects, within 1 %.
    #[serde(default, skip_serializing_if = "EncodedLatencies::is_empty")]
    pub connect: EncodedLatencies,
    /// The latencies of the messages, within 1 %.
    #[serde(default, skip_serializing_if = "EncodedLatencies::is_empty")]
    pub publish: EncodedLatencies,
}

impl Interval {
    /// The figures of the connects.
    #[must_use]
    pub fn connect_latencies(&self) -> Latencies {
        decoded(&self.connect)
    }

    /// The figures of the messages.
    #[must_use]
    pub fn publish_latencies(&self) -> Latencies {
        decoded(&self.publish)
    }

    /// Adds what happened in another interval, but the devices that were online.
    fn add(&mut self, other: &Self) {
        for (sum, other) in [
            (&mut self.connected, other.connected),
            (&mut self.lost, other.lost),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.failed, other.failed),
        ] {
            *sum = sum.saturating_add(other);
        }
        add_counts(&mut self.refused, &other.refused);
        add_counts(&mut self.unreachable, &other.unreachable);
        self.connect.add(&other.connect, Precision::Interval);
        self.publish.add(&other.publish, Precision::Interval);
    }
}

/// What is wrong with a timeline that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    /// The length is not 250 ms, 500 ms and so on, or longer than a year.
    #[error("the length of its intervals, {0} ms, is not 250 ms times a power of two")]
    Length(u64),
    /// An interval does not begin where the one before ends.
    #[error("an interval begins at {0} ms, where none can begin")]
    Start(u64),
    /// There are more than a run ever has.
    #[error("it has {0} intervals, and a run has up to {MAX_INTERVALS}")]
    TooMany(usize),
    /// A histogram can't be read.
    #[error(transparent)]
    Latencies(#[from] crate::latencies::DecodeLatenciesError),
}

impl Timeline {
    /// Checks what was read from a file.
    ///
    /// # Errors
    ///
    /// If it is none that a run writes.
    pub fn check(&self) -> Result<(), TimelineError> {
        let multiple = self.interval_ms / SHORTEST_MS;
        let is_length = self.interval_ms.is_multiple_of(SHORTEST_MS) && multiple.is_power_of_two();
        if !is_length || self.interval_ms > LONGEST_MS {
            return Err(TimelineError::Length(self.interval_ms));
        }
        if self.intervals.len() > MAX_INTERVALS {
            return Err(TimelineError::TooMany(self.intervals.len()));
        }
        let mut next = None;
        for interval in &self.intervals {
            let at = interval.at_ms;
            let is_start = at <= LATEST_MS && at.is_multiple_of(self.interval_ms);
            if !is_start || next.is_some_and(|next| next != at) {
                return Err(TimelineError::Start(at));
            }
            next = Some(at + self.interval_ms);
            interval.connect.decode(Precision::Interval)?;
            interval.publish.decode(Precision::Interval)?;
        }
        Ok(())
    }

    /// The same with longer intervals, so that there are up to `most`.
    #[must_use]
    pub fn coarsened(&self, most: usize) -> Self {
        let mut timeline = self.clone();
        while timeline.intervals.len() > most.max(2) {
            timeline.double();
        }
        timeline
    }

    /// What happened on several machines, aligned by their clocks. The timelines must be checked.
    #[must_use]
    pub fn merged(timelines: &[Self]) -> Self {
        let mut timelines = timelines.to_vec();
        timelines.retain(|timeline| !timeline.intervals.is_empty());
        let first = timelines.iter().filter_map(|it| it.intervals.first()).map(|it| it.at_ms).min();
        let last = timelines.iter().filter_map(|it| it.intervals.last()).map(|it| it.at_ms).max();
        let length = timelines.iter().map(|it| it.interval_ms).max().unwrap_or(SHORTEST_MS);
        let (Some(first), Some(last)) = (first, last) else {
            return Self { interval_ms: length, intervals: Vec::new() };
        };
        let mut sum = Self { interval_ms: length, intervals: Vec::new() };
        while sum.number(last) - sum.number(first) >= MAX_INTERVAL_NUMBERS {
            sum.interval_ms *= 2;
        }
        for timeline in &mut timelines {
            while timeline.interval_ms < sum.interval_ms {
                timeline.double();
            }
        }
        sum.intervals = (sum.number(first)..=sum.number(last))
            .map(|number| Interval { at_ms: number * sum.interval_ms, ..Interval::default() })
            .collect();
        for timeline in &timelines {
            let mut own = timeline.intervals.iter().peekable();
            for interval in &mut sum.intervals {
                // If there is none, the shard has not begun, or is over.
                if let Some(own) = own.next_if(|own| own.at_ms == interval.at_ms) {
                    interval.add(own);
                    interval.online = interval.online.saturating_add(own.online);
                }
            }
        }
        sum
    }

    const fn number(&self, at_ms: u64) -> u64 {
        at_ms / self.interval_ms
    }

    /// Doubles the length: two intervals become one, at the edges only one.
    fn double(&mut self) {
        self.interval_ms *= 2;
        let mut longer = Vec::<Interval>::with_capacity(MAX_INTERVALS / 2 + 1);
        for interval in mem::take(&mut self.intervals) {
            let at_ms = interval.at_ms - interval.at_ms % self.interval_ms;
            match longer.last_mut().filter(|last| last.at_ms == at_ms) {
                Some(last) => {
                    last.add(&interval);
                    last.online = interval.online;
                }
                None => longer.push(Interval { at_ms, ..interval }),
            }
        }
        self.intervals = longer;
    }
}

/// Makes a timeline while the run goes on. Its size does not depend on how long the run is, or how many devices it has.
#[derive(Debug)]
pub struct Recorder {
    past: Timeline,
    current: Interval,
    /// Latencies of the current interval.
    connect: Latencies,
    publish: Latencies,
}

impl Recorder {
    /// A recorder of a run that begins at this moment, given in time since 1970.
    #[must_use]
    pub fn new(start: Duration) -> Self {
        let at_ms = milliseconds(start);
        Self {
            past: Timeline { interval_ms: SHORTEST_MS, intervals: Vec::new() },
            current: Interval { at_ms: at_ms - at_ms % SHORTEST_MS, ..Interval::default() },
            connect: Latencies::new(Precision::Interval),
            publish: Latencies::new(Precision::Interval),
        }
    }

    /// The interval of a moment. A moment before the current interval counts to that one.
    pub fn interval_at(&mut self, now: Duration) -> &mut Interval {
        let now_ms = milliseconds(now);
        while now_ms >= self.current.at_ms + self.past.interval_ms {
            self.begin_next();
        }
        &mut self.current
    }

    /// Counts a connect.
    pub fn connected(&mut self, now: Duration, latency: Duration) {
        let interval = self.interval_at(now);
        interval.connected += 1;
        interval.online += 1;
        self.connect.record(latency);
    }

    /// Counts a lost connection.
    pub fn lost(&mut self, now: Duration) {
        let interval = self.interval_at(now);
        interval.lost += 1;
        interval.online = interval.online.saturating_sub(1);
    }

    /// Counts an acknowledged message.
    pub fn acknowledged(&mut self, now: Duration, latency: Duration) {
        self.interval_at(now).acknowledged += 1;
        self.publish.record(latency);
    }

    /// What was recorded so far.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        let mut timeline = self.past.clone();
        let mut current = self.current.clone();
        current.connect.add(&self.connect.encode(), Precision::Interval);
        current.publish.add(&self.publish.encode(), Precision::Interval);
        timeline.intervals.push(current);
        timeline
    }

    /// Ends the current interval, and doubles the length of all when there are too many.
    fn begin_next(&mut self) {
        let at_ms = self.current.at_ms + self.past.interval_ms;
        let next = Interval { at_ms, online: self.current.online, ..Interval::default() };
        let mut ended = mem::replace(&mut self.current, next);
        for (latencies, encoded) in
            [(&mut self.connect, &mut ended.connect), (&mut self.publish, &mut ended.publish)]
        {
            encoded.add(&latencies.encode(), Precision::Interval);
            latencies.clear();
        }
        self.past.intervals.push(ended);
        if self.past.intervals.len() >= MAX_INTERVALS {
            self.past.double();
            let at_ms = at_ms - at_ms % self.past.interval_ms;
            let begun = self.past.intervals.pop_if(|last| last.at_ms == at_ms);
            self.current = Interval { at_ms, online: self.current.online, ..begun.unwrap_or_default() };
        }
    }
}

const SHORTEST_MS: u64 = 250;
/// A year and more.
const LONGEST_MS: u64 = SHORTEST_MS << 37;
/// The end of the year 9999.
const LATEST_MS: u64 = 253_402_300_799_999;
/// A run has between half as many and this many intervals, once it is a minute long.
pub const MAX_INTERVALS: usize = 240;
const MAX_INTERVAL_NUMBERS: u64 = 240;

fn milliseconds(since_1970: Duration) -> u64 {
    u64::try_from(since_1970.as_millis()).unwrap_or(LATEST_MS).min(LATEST_MS)
}

/// Adds counts by reason.
pub(crate) fn add_counts(sum: &mut BTreeMap<String, u64>, other: &BTreeMap<String, u64>) {
    for (reason, count) in other {
        let sum = sum.entry(reason.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
}

/// The latencies of an interval that was checked.
fn decoded(encoded: &EncodedLatencies) -> Latencies {
    encoded.decode(Precision::Interval).unwrap_or_else(|_| Latencies::new(Precision::Interval))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_millis(1_796_053_268_100);

    #[derive(Debug, Clone, Copy)]
    enum What {
        Connected,
        Lost,
        Acknowledged,
    }

    /// Plays events: the milliseconds since the one before, what it is, and its latency in microseconds.
    fn recorded(events: &[(u64, What, u64)]) -> Timeline {
        let (mut recorder, mut now) = (Recorder::new(START), START);
        for (after, what, latency) in events {
            now += Duration::from_millis(*after);
            let latency = Duration::from_micros(*latency);
            match what {
                What::Connected => recorder.connected(now, latency),
                What::Lost => recorder.lost(now),
                What::Acknowledged => recorder.acknowledged(now, latency),
            }
        }
        recorder.timeline()
    }

    fn events(max_gap: u64) -> impl Strategy<Value = Vec<(u64, What, u64)>> {
        let what = prop_oneof![Just(What::Connected), Just(What::Lost), Just(What::Acknowledged)];
        prop::collection::vec((0..max_gap, what, 1_u64..70_000_000), 0..120)
    }

    fn latencies(timeline: &Timeline, which: fn(&Interval) -> &EncodedLatencies) -> EncodedLatencies {
        let mut sum = EncodedLatencies::default();
        timeline.intervals.iter().for_each(|it| sum.add(which(it), Precision::Interval));
        sum
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// However often the length doubled: nothing is lost, and the timeline is one that a merge accepts.
        #[test]
        fn nothing_is_lost_when_intervals_become_longer(events in events(400_000)) {
            let timeline = recorded(&events);
            timeline.check().unwrap();
            let count = |is: fn(&What) -> bool| u64::try_from(events.iter().filter(|it| is(&it.1)).count()).unwrap();
            let sum = |of: fn(&Interval) -> u64| timeline.intervals.iter().map(of).sum::<u64>();
            prop_assert_eq!(sum(|it| it.connected), count(|it| matches!(it, What::Connected)));
            prop_assert_eq!(sum(|it| it.lost), count(|it| matches!(it, What::Lost)));
            prop_assert_eq!(sum(|it| it.acknowledged), count(|it| matches!(it, What::Acknowledged)));
            let mut all = Latencies::new(Precision::Interval);
            for (_, what, latency) in &events {
                if matches!(what, What::Acknowledged) {
                    all.record(Duration::from_micros(*latency));
                }
            }
            prop_assert_eq!(latencies(&timeline, |it| &it.publish), all.encode());
            let ms = |it: &Interval| it.at_ms;
            prop_assert!(ms(&timeline.intervals[0]) <= 1_796_053_268_100);
        }

        /// Events that are divided among shards give, once merged, the timeline of one run.
        #[test]
        fn merged_shards_are_the_timeline_of_one_run(events in events(3_000), owners in prop::collection::vec(0_usize..3, 120)) {
            // A device that is lost was connected to the same shard.
            let events = events.into_iter().filter(|it| !matches!(it.1, What::Lost)).collect::<Vec<_>>();
            let whole = recorded(&events);
            let mut recorders = [START, START, START].map(Recorder::new);
            let mut now = START;
            for ((after, what, latency), owner) in events.iter().zip(&owners) {
                now += Duration::from_millis(*after);
                let latency = Duration::from_micros(*latency);
                match what {
                    What::Connected => recorders[*owner].connected(now, latency),
                    _ => recorders[*owner].acknowledged(now, latency),
                }
            }
            let shards = recorders.map(|mut recorder| {
                // All run until the end.
                recorder.interval_at(now);
                recorder.timeline()
            });
            prop_assert_eq!(Timeline::merged(&shards), whole);
        }
    }

    #[test]
    fn a_long_run_has_no_more_intervals_than_a_short_one() {
        let day = (0..86_400)
            .map(|second| (1_000, if second % 3 == 0 { What::Connected } else { What::Lost }, 900));
        let timeline = recorded(&day.collect::<Vec<_>>());
        assert!(
            (MAX_INTERVALS / 2..=MAX_INTERVALS).contains(&timeline.intervals.len()),
            "{}",
            timeline.intervals.len()
        );
        assert_eq!(timeline.interval_ms, 512_000);
        let bytes = serde_json::to_string(&timeline).unwrap().len();
        assert!(bytes < 60_000, "{bytes}");
    }

    #[test]
    fn shards_that_ran_at_different_times_lie_where_they_ran() {
        let mut recorders = [Recorder::new(START), Recorder::new(START + Duration::from_secs(3))];
        recorders[0].connected(START, Duration::from_millis(1));
        recorders[0].interval_at(START + Duration::from_secs(1));
        recorders[1].connected(START + Duration::from_secs(3), Duration::from_millis(1));
        let merged = Timeline::merged(&recorders.map(|it| it.timeline()));
        let online = merged.intervals.iter().map(|it| it.online).collect::<Vec<_>>();
        assert_eq!(online, [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        // Years apart, and still bounded.
        let years = [Recorder::new(START), Recorder::new(START * 3)].map(|it| it.timeline());
        let merged = Timeline::merged(&years);
        assert!(merged.intervals.len() <= MAX_INTERVALS && merged.check().is_ok(), "{}", merged.interval_ms);
        assert_eq!(Timeline::merged(&[]).intervals, []);
    }

    #[test]
    fn a_timeline_that_no_run_writes_is_refused() {
        let good = recorded(&[(0, What::Connected, 5), (900, What::Acknowledged, 5)]);
        assert_eq!(good.check(), Ok(()));
        for length in [0, 1, 249, 750, SHORTEST_MS << 38] {
            assert_eq!(
                Timeline { interval_ms: length, ..good.clone() }.check(),
                Err(TimelineError::Length(length))
            );
        }
        let mut gap = good.clone();
        gap.intervals.remove(1);
        assert!(matches!(gap.check(), Err(TimelineError::Start(_))));
        let mut odd = good.clone();
        odd.intervals[0].at_ms += 1;
        assert!(matches!(odd.check(), Err(TimelineError::Start(_))));
        let mut late = good.clone();
        late.intervals[0].at_ms = u64::MAX - u64::MAX % 250;
        assert!(matches!(late.check(), Err(TimelineError::Start(_))));
        let mut many = good;
        many.intervals = vec![Interval::default(); 241];
        assert_eq!(many.check(), Err(TimelineError::TooMany(241)));
    }
}
