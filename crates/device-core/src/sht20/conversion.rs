//! From raw values to readings, in integers (sections 6.1 and 6.2).

use crate::reading::{Quantity, Reading};

/// The reading for a raw value whose status bits are cleared, rounded to the nearest thousandth.
///
/// Temperature: -46.85 + 175.72 · S / 2¹⁶ degrees Celsius, `None` outside the sensor's operating range.
/// Humidity: -6 + 125 · S / 2¹⁶ percent, and what lies outside 0 to 100 becomes the nearer bound, because the
/// formula leaves the physical range at both ends.
pub(super) fn reading(quantity: Quantity, counts: u16) -> Option<Reading> {
    match quantity {
        Quantity::Temperature => {
            let milli = scaled(counts, 175_720) - 46_850;
            (-40_000..=125_000).contains(&milli).then(|| Reading::temperature(milli))
        }
        Quantity::Humidity => Some(Reading::humidity(scaled(counts, 125_000) - 6_000)),
    }
}

/// The raw value, at the sensor's resolution, whose reading is nearest: the inverse of [`reading`], for a sensor in
/// software. What lies outside the scale becomes the nearer end.
pub(super) fn counts(quantity: Quantity, milli: i32) -> u16 {
    let (span, offset, step) = match quantity {
        Quantity::Temperature => (175_720, 46_850, 1 << (16 - 14)),
        Quantity::Humidity => (125_000, 6_000, 1 << (16 - 12)),
    };
    let scaled = (i64::from(milli) + offset).max(0) << 16;
    let steps = (scaled + span * step / 2) / (span * step);
    u16::try_from(steps * step).unwrap_or(u16::MAX) & highest(quantity)
}

/// The highest raw value: 14 bits of temperature, 12 of humidity.
const fn highest(quantity: Quantity) -> u16 {
    match quantity {
        Quantity::Temperature => 0xfffc,
        Quantity::Humidity => 0xfff0,
    }
}

/// `counts` · `span` / 2¹⁶, rounded. Less than `span`, so that it always fits.
fn scaled(counts: u16, span: u32) -> i32 {
    let product = u64::from(counts) * u64::from(span);
    i32::try_from((product + (1 << 15)) >> 16).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Quantity::{Humidity, Temperature};

    #[test]
    fn raw_values_become_readings() {
        let cases = [
            (Temperature, 0x0000, None),
            (Temperature, 0x09f8, None),
            (Temperature, 0x09fc, Some(-39_997)),
            (Temperature, 0x4e84, Some(7_044)),
            (Temperature, 0x6678, Some(23_485)),
            (Temperature, 0xfa5c, Some(124_998)),
            (Temperature, 0xfa60, None),
            (Temperature, 0xfffc, None),
            (Humidity, 0x0000, Some(0)),
            (Humidity, 0x0c48, Some(0)),
            (Humidity, 0x0c50, Some(12)),
            // The example of section 6.1: 42.5 %.
            (Humidity, 0x6350, Some(42_492)),
            (Humidity, 0x6838, Some(44_888)),
            (Humidity, 0xd910, Some(99_988)),
            (Humidity, 0xfff0, Some(100_000)),
        ];
        for (quantity, counts, milli) in cases {
            assert_eq!(reading(quantity, counts).map(Reading::milli), milli, "{quantity} {counts:#06x}");
        }
    }

    #[test]
    fn every_raw_value_agrees_with_the_formula_in_floating_point() {
        for counts in (0..=u16::MAX).step_by(4) {
            let share = f64::from(counts) / 65_536.0;
            let temperature = -46.85 + 175.72 * share;
            match reading(Temperature, counts) {
                Some(reading) => assert!(agrees(reading, temperature), "{counts:#06x}"),
                None => assert!(!(-40.0..=125.0).contains(&temperature), "{counts:#06x}"),
            }
            let humidity = (-6.0 + 125.0 * share).clamp(0.0, 100.0);
            assert!(reading(Humidity, counts).is_some_and(|reading| agrees(reading, humidity)));
        }
    }

    #[test]
    fn every_raw_value_is_that_of_its_reading() {
        for (quantity, step) in [(Temperature, 4), (Humidity, 16)] {
            for raw in (0..=highest(quantity)).step_by(step) {
                let Some(reading) = reading(quantity, raw) else { continue };
                // The ends of the humidity's scale are many raw values' reading.
                if quantity == Temperature || (1..100_000).contains(&reading.milli()) {
                    assert_eq!(counts(quantity, reading.milli()), raw, "{quantity}");
                }
            }
            for (milli, raw) in [(i32::MIN, 0), (i32::MAX, highest(quantity))] {
                assert_eq!(counts(quantity, milli), raw);
            }
        }
    }

    fn agrees(reading: Reading, value: f64) -> bool {
        (f64::from(reading.milli()) - value * 1_000.0).abs() < 0.500_001
    }
}
