//! Readings of the fleet: temperature and humidity of the topics `sensor/DEVICE/QUANTITY`, collected while a page shows them.
//!
//! The fleet as a whole has a minimum, a mean and a maximum for each interval, so a fleet of any size is one band. The number of
//! intervals, devices and points is bounded.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mqtt::Publish;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, CallError, Query, observer::Observer};
use crate::shared::Shared;

/// The topics of readings.
const FILTERS: [&str; 2] = ["sensor/+/temperature", "sensor/+/humidity"];
/// How long readings are collected after a page has asked for them the last time.
const COLLECTED_FOR: Duration = Duration::from_mins(1);
/// How often messages are read.
const TICK: Duration = Duration::from_millis(250);
/// The length of an interval in milliseconds, and how many there are: one hour.
const INTERVAL_MS: i64 = 2_000;
const MAX_INTERVALS: usize = 1_800;
/// The devices whose last readings are known.
const MAX_DEVICES: usize = 20_000;
/// The points of one device and quantity, and of all together.
const MAX_POINTS_EACH: usize = 600;
const MAX_POINTS: usize = 400_000;

/// The collected readings.
#[derive(Default)]
pub struct Readings(Mutex<State>);

#[derive(Default)]
struct State {
    asked_at: Option<Instant>,
    collecting: bool,
    since: Option<i64>,
    intervals: [VecDeque<Interval>; 2],
    devices: BTreeMap<String, [Series; 2]>,
    points: usize,
    /// Messages on these topics that are no readings.
    unreadable: u64,
    /// About how many messages came too fast.
    skipped: u64,
}

#[derive(Clone, Copy)]
struct Interval {
    begin: i64,
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
}

#[derive(Default)]
struct Series {
    last: Option<(i64, f64)>,
    count: u64,
    points: VecDeque<(i64, f64)>,
}

#[derive(Deserialize)]
struct Payload {
    value: f64,
}

impl Readings {
    /// The fleet's intervals, and a page of devices with their last readings. From now on they are collected for some time.
    pub(super) fn list(self: &Arc<Self>, shared: &Arc<Shared>, query: &Query) -> Answer {
        let (offset, limit) = query.page()?;
        self.collect(shared)?;
        let text = query.text("text").to_lowercase();
        let state = self.state();
        let accepted = |name: &&String| text.is_empty() || name.to_lowercase().contains(&text);
        let total = state.devices.keys().filter(accepted).count();
        let shown = state.devices.iter().filter(|(name, _)| accepted(name)).skip(offset).take(limit);
        let rows = shown.map(|(name, [temperature, humidity])| {
            json!({"device": name, "temperature": temperature.summary(), "humidity": humidity.summary()})
        });
        let rows = rows.collect::<Vec<_>>();
        let [temperature, humidity] = &state.intervals;
        Ok(json!({
            "since": state.since, "now": now(), "intervalMs": INTERVAL_MS, "unreadable": state.unreadable,
            "skipped": state.skipped,
            "temperature": intervals(temperature), "humidity": intervals(humidity), "total": total, "offset": offset,
            "devices": rows,
        }))
    }

    /// The points of one device.
    pub(super) fn of_device(&self, device: &str) -> Value {
        let state = self.state();
        let points = |number: usize| {
            let series = state.devices.get(device).and_then(|both| both.get(number));
            series.map(|series| series.points.iter().copied().collect::<Vec<_>>()).unwrap_or_default()
        };
        json!({"device": device, "temperature": points(0), "humidity": points(1)})
    }

    /// Begins to collect, unless that goes on already.
    fn collect(self: &Arc<Self>, shared: &Arc<Shared>) -> Result<(), CallError> {
        let mut state = self.state();
        state.asked_at = Some(Instant::now());
        if state.collecting {
            return Ok(());
        }
        let mut observer = Observer::new(shared, &FILTERS.map(str::to_owned))?;
        state.collecting = true;
        state.since.get_or_insert_with(now);
        drop(state);
        let (readings, stopping) = (Arc::clone(self), shared.stopping.clone());
        tokio::spawn(async move {
            observer.subscribe().await;
            loop {
                let came = tokio::select! {
                    () = stopping.cancelled() => return,
                    came = observer.observe(TICK) => came,
                };
                let mut state = readings.state();
                let at = now();
                for message in &came.messages {
                    state.add(message, at);
                }
                state.skipped += came.skipped;
                if state.asked_at.is_none_or(|asked_at| asked_at.elapsed() > COLLECTED_FOR) {
                    state.collecting = false;
                    return;
                }
            }
        });
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, message: &Publish, at: i64) {
        let Some(topic) = message.topic.as_ref() else { return };
        let mut levels = topic.as_str().split('/').skip(1);
        let (Some(device), Some(quantity)) = (levels.next(), levels.next()) else { return };
        let number = usize::from(quantity == "humidity");
        let payload = serde_json::from_slice::<Payload>(&message.payload);
        let Some(value) = payload.ok().map(|payload| payload.value).filter(|value| value.abs() < 1e6) else {
            self.unreadable += 1;
            return;
        };
        if let Some(intervals) = self.intervals.get_mut(number) {
            add_to_interval(intervals, at, value);
        }
        if !self.devices.contains_key(device) && self.devices.len() >= MAX_DEVICES {
            return;
        }
        let series = self.devices.entry(device.to_owned()).or_default().get_mut(number);
        let Some(series) = series else { return };
        series.last = Some((at, value));
        series.count += 1;
        if series.points.len() >= MAX_POINTS_EACH {
            series.points.pop_front();
            series.points.push_back((at, value));
        } else if self.points < MAX_POINTS {
            self.points += 1;
            series.points.push_back((at, value));
        }
    }
}

impl Series {
    fn summary(&self) -> Value {
        self.last.map_or(Value::Null, |(at, value)| json!({"at": at, "value": value, "count": self.count}))
    }
}

fn add_to_interval(intervals: &mut VecDeque<Interval>, at: i64, value: f64) {
    let begin = at - at.rem_euclid(INTERVAL_MS);
    if let Some(last) = intervals.back_mut().filter(|last| last.begin == begin) {
        last.min = last.min.min(value);
        last.max = last.max.max(value);
        last.sum += value;
        last.count += 1;
        return;
    }
    intervals.push_back(Interval { begin, min: value, max: value, sum: value, count: 1 });
    if intervals.len() > MAX_INTERVALS {
        intervals.pop_front();
    }
}

/// Each interval as its begin, minimum, mean, maximum and number of readings.
fn intervals(all: &VecDeque<Interval>) -> Vec<Value> {
    #[expect(clippy::cast_precision_loss, reason = "no interval has 2^53 readings")]
    let mean = |interval: &Interval| interval.sum / interval.count as f64;
    all.iter().map(|it| json!([it.begin, it.min, mean(it), it.max, it.count])).collect()
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(topic: &str, payload: &str) -> Publish {
        Publish::new(topic.parse().unwrap(), payload.to_owned())
    }

    #[test]
    fn fleet_is_a_band_and_a_device_a_line() {
        let mut state = State::default();
        for (at, device, value) in [(0, "a", 20.0), (100, "b", 22.0), (INTERVAL_MS, "a", 21.0)] {
            state.add(
                &publish(&format!("sensor/{device}/temperature"), &format!("{{\"value\":{value}}}")),
                at,
            );
        }
        state.add(&publish("sensor/a/humidity", "{\"value\":50,\"unit\":\"%RH\",\"ts\":1}"), 5);
        assert_eq!(
            intervals(&state.intervals[0]),
            [json!([0, 20.0, 21.0, 22.0, 2]), json!([INTERVAL_MS, 21.0, 21.0, 21.0, 1])]
        );
        assert_eq!(state.devices["a"][0].points, [(0, 20.0), (INTERVAL_MS, 21.0)]);
        assert_eq!(state.devices["a"][1].summary(), json!({"at": 5, "value": 50.0, "count": 1}));
    }

    #[test]
    fn what_is_no_reading_is_counted_and_everything_is_bounded() {
        let mut state = State::default();
        for payload in ["", "21", "{\"value\":\"21\"}", "{\"value\":1e300}", "<script>"] {
            state.add(&publish("sensor/a/temperature", payload), 0);
        }
        assert_eq!((state.unreadable, state.devices.len()), (5, 0));
        for n in 0..i64::try_from(MAX_INTERVALS + 10).unwrap() {
            state.add(&publish("sensor/a/temperature", "{\"value\":1}"), n * INTERVAL_MS);
        }
        assert_eq!((state.intervals[0].len(), state.points), (MAX_INTERVALS, MAX_POINTS_EACH));
        for n in 0..MAX_DEVICES + 10 {
            state.add(&publish(&format!("sensor/d{n}/humidity"), "{\"value\":1}"), 0);
        }
        assert_eq!(state.devices.len(), MAX_DEVICES);
    }
}
