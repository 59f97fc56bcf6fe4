//! The weather that all devices of a fleet share, as a function of its seed and of the time.
//!
//! There is no state: any moment can be asked for, in any order, and costs a few dozen hashes.

use device_core::SplitMix64;

/// The air outdoors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outdoors {
    /// In degrees Celsius.
    pub(super) temperature: f64,
    /// In degrees Celsius; never above the temperature.
    pub(super) dew_point: f64,
}

/// The mean temperature of a year, in degrees Celsius.
pub(super) const MEAN: f64 = 12.0;

/// The weather at a moment, in hours since 1970 (UTC, which is the local time of the simulated place).
///
/// The day is coldest at 5 and warmest at 15 o'clock, and clouds flatten it. Air masses change over days. Cold fronts
/// come every few days: it rains, the temperature falls within an hour and a half, and recovers within two days.
pub(super) fn outdoors(seed: u64, hours: f64) -> Outdoors {
    let cloud = 0.5 + 0.5 * wander(seed, Stream::Cloud, hours, 18.0);
    let front = Front::at(seed, hours);
    let mass = 6.0 * wander(seed, Stream::Season, hours, 90.0)
        + 2.5 * wander(seed, Stream::Days, hours, 30.0)
        + 0.7 * wander(seed, Stream::Hours, hours, 5.0);
    let temperature = MEAN + mass + (5.5 - 3.0 * cloud) * diurnal(hours) - front.drop;
    let moisture = 3.5 * wander(seed, Stream::Moisture, hours, 60.0) + 2.0 * front.rain;
    let dew_point = 5.0 + 0.6 * mass + moisture - 0.7 * front.drop;
    Outdoors { temperature, dew_point: dew_point.min(temperature) }
}

/// What a number is drawn for. Numbers of different streams have nothing to do with each other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Cloud,
    Season,
    Days,
    Hours,
    Moisture,
    Front,
    FrontTime,
    FrontDepth,
    Room,
    Noise,
    Fault,
}

/// The cold fronts of a moment, added up.
struct Front {
    /// How much colder it is, in degrees.
    drop: f64,
    /// How much it rains, from 0 to 1 for each front.
    rain: f64,
}

impl Front {
    /// In each cell of three days there can be one front.
    const CELL: f64 = 72.0;
    const SHARE: f64 = 0.7;

    fn at(seed: u64, hours: f64) -> Self {
        let mut sum = Self { drop: 0.0, rain: 0.0 };
        let this = (hours / Self::CELL).floor();
        // It is felt until 200 hours after it came, and the rain begins two hours before.
        for cell in [this - 3.0, this - 2.0, this - 1.0, this, this + 1.0] {
            if uniform(seed, Stream::Front, cell) >= Self::SHARE {
                continue;
            }
            let came = (cell + 0.9 * uniform(seed, Stream::FrontTime, cell)) * Self::CELL;
            let since = hours - came;
            if since > 0.0 {
                let depth = 3.0 + 5.0 * uniform(seed, Stream::FrontDepth, cell);
                let recovery = (-since / 40.0).exp() * (1.0 - step(since - 160.0, 40.0));
                sum.drop += depth * step(since, 1.5) * recovery;
            }
            sum.rain += step(since + 2.0, 2.0) * (1.0 - step(since - 1.0, 5.0));
        }
        sum
    }
}

/// The curve of a day, from -1 at 5 o'clock to 1 at 15 o'clock: ten hours up, fourteen hours down.
fn diurnal(hours: f64) -> f64 {
    let since_sunrise = (hours - 5.0).rem_euclid(24.0);
    let half = if since_sunrise < 10.0 { since_sunrise / 10.0 } else { 1.0 + (since_sunrise - 10.0) / 14.0 };
    -(half * std::f64::consts::PI).cos()
}

/// A smooth curve between -1 and 1 that wanders: a new value every `period` hours, and a smooth way from one to the next.
fn wander(seed: u64, stream: Stream, hours: f64, period: f64) -> f64 {
    let place = hours / period;
    let cell = place.floor();
    let (from, to) = (uniform(seed, stream, cell), uniform(seed, stream, cell + 1.0));
    2.0 * (from + (to - from) * step(place - cell, 1.0)) - 1.0
}

/// From 0 to 1 while `x` goes from 0 to `width`, smooth at both ends.
fn step(x: f64, width: f64) -> f64 {
    let x = (x / width).clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// A number from 0 up to 1 that seed, stream and `key` decide.
pub(super) fn uniform(seed: u64, stream: Stream, key: f64) -> f64 {
    let mut random = SplitMix64::new(seed ^ SplitMix64::new(stream as u64).next_u64());
    let mut random = SplitMix64::new(random.next_u64() ^ key.to_bits());
    f64::from(random.next_u32()) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One value each quarter of an hour, for a number of days.
    fn quarters(seed: u64, days: u32) -> Vec<Outdoors> {
        (0..days * 96).map(|quarter| outdoors(seed, 400_000.0 + f64::from(quarter) / 4.0)).collect()
    }

    #[test]
    fn the_day_is_coldest_at_5_and_warmest_at_15() {
        let at = |hour: u32| diurnal(f64::from(hour) + 24.0 * 20_000.0);
        assert!((at(5) + 1.0).abs() < 1e-9 && (at(15) - 1.0).abs() < 1e-9);
        for hour in 5..15 {
            assert!(at(hour) < at(hour + 1), "{hour}");
        }
        for hour in 15..29 {
            assert!(at(hour) > at(hour + 1), "{hour}");
        }
    }

    #[test]
    fn cold_fronts_come_and_go() {
        for seed in 0..8 {
            let month = quarters(seed, 30);
            let fronts = month
                .windows(8)
                .filter(|two_hours| two_hours[0].temperature - two_hours[7].temperature > 3.0);
            assert!(fronts.count() > 0, "{seed}: the temperature falls by 3 degrees in two hours");
            let mean = month.iter().map(|at| at.temperature).sum::<f64>() / f64::from(30 * 96);
            assert!((0.0..20.0).contains(&mean), "{seed}: {mean}");
        }
    }

    #[test]
    fn one_day_is_not_the_next() {
        let days = quarters(1, 20);
        let noons: Vec<f64> = days.iter().skip(48).step_by(96).map(|at| at.temperature).collect();
        let (lowest, highest) =
            (noons.iter().copied().fold(f64::MAX, f64::min), noons.iter().copied().fold(f64::MIN, f64::max));
        assert!(highest - lowest > 3.0, "{noons:?}");
        assert_ne!(quarters(1, 1), quarters(2, 1));
    }
}
