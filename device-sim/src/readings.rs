//! What a few devices measured, for the charts of a report.

use std::sync::Arc;
use std::time::Duration;

use device_core::{Quantity, Reading};
use serde::{Deserialize, Serialize};

/// The readings of one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceReadings {
    /// The device's name.
    pub device: String,
    /// The temperature in degrees Celsius: milliseconds since 1970, and the value.
    pub temperature: Vec<(u64, f64)>,
    /// The relative humidity in percent, in the same form.
    pub humidity: Vec<(u64, f64)>,
}

/// Keeps readings of the first devices that had one acknowledged. When there are too many, every second one goes, and from
/// then on every second one comes in.
#[derive(Debug, Default)]
pub struct ReadingsRecorder {
    devices: Vec<(Arc<str>, usize, [Thinned; 2])>,
}

/// Every `2^skipped`th value of a series.
#[derive(Debug, Default)]
struct Thinned {
    points: Vec<(u64, f64)>,
    seen: u64,
    stride: u64,
}

impl ReadingsRecorder {
    /// Notes an acknowledged reading of the device with this index.
    pub fn acknowledged(&mut self, index: usize, device: &Arc<str>, now: Duration, reading: Reading) {
        let known = self.devices.iter().position(|(_, known, _)| *known == index);
        if known.is_none() && self.devices.len() >= MAX_DEVICES {
            return;
        }
        if known.is_none() {
            self.devices.push((Arc::clone(device), index, <[Thinned; 2]>::default()));
        }
        let device = match known {
            Some(known) => self.devices.get_mut(known),
            None => self.devices.last_mut(),
        };
        let Some((_, _, [temperature, humidity])) = device else { return };
        let series = match reading.quantity() {
            Quantity::Temperature => temperature,
            Quantity::Humidity => humidity,
        };
        let at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        series.push((at_ms, f64::from(reading.milli()) / 1_000.0));
    }

    /// What was kept.
    #[must_use]
    pub fn readings(&self) -> Vec<DeviceReadings> {
        let of = |(device, _, [temperature, humidity]): &(Arc<str>, usize, [Thinned; 2])| DeviceReadings {
            device: device.to_string(),
            temperature: temperature.points.clone(),
            humidity: humidity.points.clone(),
        };
        self.devices.iter().map(of).collect()
    }
}

impl Thinned {
    fn push(&mut self, point: (u64, f64)) {
        if self.stride == 0 {
            self.stride = 1;
        }
        if self.seen.is_multiple_of(self.stride) {
            self.points.push(point);
        }
        self.seen += 1;
        if self.points.len() > MAX_POINTS {
            self.stride *= 2;
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }
}

/// How many devices a report shows.
pub const MAX_DEVICES: usize = 4;
/// How many values it shows of each.
pub const MAX_POINTS: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_devices_are_kept_with_a_bounded_number_of_values() {
        let mut recorder = ReadingsRecorder::default();
        for second in 0..100_000_u32 {
            for index in 0..6 {
                let value = i32::try_from(second).unwrap();
                let reading =
                    if index % 2 == 0 { Reading::temperature(value) } else { Reading::humidity(value) };
                let name = Arc::from(format!("d{index}"));
                recorder.acknowledged(index, &name, Duration::from_secs(second.into()), reading);
            }
        }
        let readings = recorder.readings();
        let names = readings.iter().map(|it| &*it.device).collect::<Vec<_>>();
        assert_eq!(names, ["d0", "d1", "d2", "d3"]);
        assert!(readings[0].humidity.is_empty() && readings[1].temperature.is_empty());
        let points = &readings[0].temperature;
        assert!((MAX_POINTS / 2..=MAX_POINTS).contains(&points.len()), "{}", points.len());
        assert_eq!((points[0], points[1]), ((0, 0.0), (512_000, 0.512)), "evenly spread, from the first one");
        assert!(points.last().unwrap().0 > 99_000_000);
    }
}
