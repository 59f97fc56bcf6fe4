//! The room of one device, as a function of its seed: how warm it is, and how much of the weather reaches it.

use super::weather::{MEAN, Outdoors, Stream, outdoors, uniform};

/// The air in a room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Indoors {
    /// In degrees Celsius.
    pub(super) temperature: f64,
    /// In percent.
    pub(super) humidity: f64,
}

/// What makes a room different from others. It is computed for each reading, so that a device does not hold it.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// The temperature that it is kept at, in degrees Celsius.
    base: f64,
    /// The share of the weather that walls and windows let in.
    coupling: f64,
    /// How late the weather comes in, in hours.
    lag: f64,
    /// How much people, plants and kitchens raise the dew point, in degrees.
    moisture: f64,
    /// The sensor's own errors, in degrees and in percent (datasheet, figures 2 and 3: typically 0.3 and 3).
    errors: [f64; 2],
}

impl Room {
    fn of(seed: u64) -> Self {
        let between =
            |index: f64, low: f64, high: f64| low + (high - low) * uniform(seed, Stream::Room, index);
        Self {
            base: between(0.0, 19.0, 24.0),
            coupling: between(1.0, 0.12, 0.5),
            lag: between(2.0, 1.0, 3.5),
            moisture: between(3.0, 0.5, 3.5),
            errors: [between(4.0, -0.2, 0.2), between(5.0, -2.0, 2.0)],
        }
    }
}

/// The air in the room of the device with the seed `room`, as its sensor feels it, without noise.
pub(super) fn indoors(weather: u64, room: u64, hours: f64) -> Indoors {
    let Room { base, coupling, lag, moisture, errors: [degrees, percent] } = Room::of(room);
    // Walls even out what changes fast: the mean over twice the lag.
    let (mut outside, mut dew_point) = (0.0, 0.0);
    for part in [0.25, 0.75, 1.25, 1.75] {
        let Outdoors { temperature, dew_point: dew } = outdoors(weather, hours - part * lag);
        outside += temperature / 4.0;
        dew_point += dew / 4.0;
    }
    let temperature = base + coupling * (outside - MEAN);
    // A wall that is colder than the air dries it.
    let dew_point = (dew_point + moisture).min(temperature - 1.0);
    Indoors {
        temperature: temperature + degrees,
        humidity: (relative_humidity(temperature, dew_point) + percent).clamp(1.0, 99.0),
    }
}

/// The relative humidity of air with a temperature and a dew point in degrees Celsius, in percent: the quotient of the
/// vapour pressures, by the Magnus formula over water (Sonntag 1990).
fn relative_humidity(temperature: f64, dew_point: f64) -> f64 {
    let exponent = |celsius: f64| 17.62 * celsius / (243.12 + celsius);
    100.0 * (exponent(dew_point) - exponent(temperature)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_humidity_is_that_of_published_tables() {
        // Temperature, dew point, relative humidity: psychrometric tables, rounded to a percent.
        for (temperature, dew_point, percent) in [
            (20.0, 20.0, 100.0),
            (20.0, 9.3, 50.0),
            (25.0, 13.9, 50.0),
            (30.0, 10.5, 30.0),
            (0.0, -3.0, 80.4),
        ] {
            let computed = relative_humidity(temperature, dew_point);
            assert!((computed - percent).abs() < 0.7, "{temperature} {dew_point}: {computed}");
        }
    }

    #[test]
    fn warmer_air_with_the_same_water_is_drier() {
        for dew_point in [-5.0, 3.0, 10.0] {
            let humidities: Vec<f64> =
                (15_u8..35).map(|celsius| relative_humidity(celsius.into(), dew_point)).collect();
            assert!(humidities.is_sorted_by(|cooler, warmer| cooler > warmer), "{humidities:?}");
        }
    }
}
