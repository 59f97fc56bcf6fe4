//! What a simulated sensor measures: the air of a room, which follows the day and the weather, and a sensor's faults.
//!
//! A reading is a function of the fleet's seed, of the device and of the time, and of nothing else. So a device holds no
//! more than these, and the same seed gives the same readings at the same times.

mod room;
mod weather;

use std::num::NonZeroU64;
use std::time::{SystemTime, UNIX_EPOCH};

use device_core::sht20::simulated::{Air, Fault};
use device_core::{Quantity, SimulatedSht20};

use self::room::{Indoors, indoors};
use self::weather::{Stream, uniform};
use crate::faults::DeviceFault;

/// The sensor of one device.
pub(crate) type Sensor = SimulatedSht20<RoomAir>;

/// A moment in the devices' time: milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// What the machine's clock shows.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Whole seconds since 1970, as a payload has them.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    /// Hours since 1970. Times after 2106 count as its beginning.
    fn hours(self) -> f64 {
        let seconds = u32::try_from(self.0 / 1_000).unwrap_or(u32::MAX);
        let rest = u32::try_from(self.0 % 1_000).unwrap_or(0);
        (f64::from(seconds) + f64::from(rest) / 1_000.0) / 3_600.0
    }
}

/// The air at one device's sensor.
#[derive(Debug, Clone)]
pub(crate) struct RoomAir {
    weather: u64,
    room: u64,
    now: Moment,
    /// Since when the sensor drifts, if it does.
    drifts_since: Option<NonZeroU64>,
}

impl RoomAir {
    /// The air of the device with the seed `room`, in the weather of the fleet's seed.
    pub(crate) const fn new(weather: u64, room: u64) -> Self {
        Self { weather, room, now: Moment(0), drifts_since: None }
    }

    fn value(&self, quantity: Quantity) -> f64 {
        let hours = self.now.hours();
        let Indoors { temperature, humidity } = indoors(self.weather, self.room, hours);
        let drifted = self.drifts_since.map_or(0.0, |since| hours - Moment(since.get()).hours());
        // Two even numbers added are likely near 0, and never above 1.
        let noise = |part: u64| {
            let draw = |part| uniform(self.room.wrapping_add(part), Stream::Noise, hours);
            draw(part) + draw(part + 1) - 1.0
        };
        match quantity {
            Quantity::Temperature => {
                temperature
                    + TEMPERATURE_NOISE * noise(0)
                    + (TEMPERATURE_DRIFT * drifted).min(MAX_TEMPERATURE_DRIFT)
            }
            Quantity::Humidity => {
                humidity + HUMIDITY_NOISE * noise(2) + (HUMIDITY_DRIFT * drifted).min(MAX_HUMIDITY_DRIFT)
            }
        }
    }
}

impl Air for RoomAir {
    fn milli(&mut self, quantity: Quantity) -> i32 {
        let milli = (self.value(quantity) * 1_000.0).round().clamp(-100_000.0, 200_000.0);
        #[expect(clippy::cast_possible_truncation, reason = "it is a whole number within the bounds above")]
        let milli = milli as i32;
        milli
    }
}

/// Prepares a sensor for the measurements of a moment. A fault that comes and goes is there or not as seed, device and
/// moment say.
pub(crate) fn prepare(sensor: &mut Sensor, now: Moment, fault: Option<DeviceFault>) {
    let air = sensor.air_mut();
    air.now = now;
    if fault == Some(DeviceFault::SensorDrift) && air.drifts_since.is_none() {
        air.drifts_since = NonZeroU64::new(now.0);
    }
    let fails = uniform(air.weather ^ air.room, Stream::Fault, now.hours()) < FAILING_SHARE;
    sensor.set_fault(match fault {
        Some(DeviceFault::SensorCrc) if fails => Some(Fault::CorruptCrc),
        Some(DeviceFault::SensorNack) if fails => Some(Fault::Absent),
        Some(DeviceFault::SensorStuck) => Some(Fault::StuckValue),
        _ => None,
    });
}

/// The most that noise adds, in degrees and in percent (datasheet, tables 1 and 2: repeatability 0.1 °C and 0.1 %RH).
const TEMPERATURE_NOISE: f64 = 0.05;
const HUMIDITY_NOISE: f64 = 0.1;
/// How fast a sensor drifts that has this fault, an hour, and where it ends. A healthy one drifts by less than 0.02 °C
/// and 0.25 %RH a year (datasheet, tables 1 and 2).
const TEMPERATURE_DRIFT: f64 = 0.25;
const MAX_TEMPERATURE_DRIFT: f64 = 15.0;
const HUMIDITY_DRIFT: f64 = 0.5;
const MAX_HUMIDITY_DRIFT: f64 = 30.0;
/// The share of measurements in which a fault that comes and goes is there.
const FAILING_SHARE: f64 = 0.25;

#[cfg(test)]
mod tests;
