//! A measured value: which quantity, in which unit, how much.

use core::fmt;

/// What the sensor measures. Each has a topic of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Air temperature, in degrees Celsius.
    Temperature,
    /// Relative humidity, in percent.
    Humidity,
}

impl Quantity {
    /// Every quantity, in the order in which a device measures them.
    pub const ALL: [Self; 2] = [Self::Temperature, Self::Humidity];

    /// The name, as the last level of the topic spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Humidity => "humidity",
        }
    }

    /// The unit's symbol in `SenML`: `Cel` or `%RH` (RFC 8428, section 12.1).
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Temperature => "Cel",
            Self::Humidity => "%RH",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value, held in thousandths of its unit.
///
/// `Display` writes the number alone, always with two decimals, rounded to the nearest and half away from
/// zero: `23.46`, `-0.50`. Two decimals are what the SHT20 resolves: a step is 0.01 °C at 14 bits and
/// 0.04 %RH at 12 bits (Sensirion SHT20 datasheet, section 1, resolution).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reading {
    quantity: Quantity,
    milli: i32,
}

impl Reading {
    /// The most characters that `Display` writes.
    pub const MAX_LEN: usize = "-2147483.65".len();

    /// A temperature, from thousandths of a degree Celsius.
    #[must_use]
    pub const fn temperature(milli_celsius: i32) -> Self {
        Self { quantity: Quantity::Temperature, milli: milli_celsius }
    }

    /// A relative humidity, from thousandths of a percent. What lies outside 0 to 100 % becomes the nearer
    /// bound.
    #[must_use]
    pub fn humidity(milli_percent: i32) -> Self {
        Self { quantity: Quantity::Humidity, milli: milli_percent.clamp(0, 100_000) }
    }

    /// What was measured.
    #[must_use]
    pub const fn quantity(self) -> Quantity {
        self.quantity
    }

    /// The value in thousandths of the quantity's unit: milli-degrees Celsius or milli-percent.
    #[must_use]
    pub const fn milli(self) -> i32 {
        self.milli
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (self.milli.unsigned_abs() + 5) / 10;
        let sign = if self.milli < 0 && hundredths > 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_rounded_half_away_from_zero() {
        let cases = [
            (0, "0.00"),
            (4, "0.00"),
            (5, "0.01"),
            (-4, "0.00"),
            (-5, "-0.01"),
            (-500, "-0.50"),
            (994, "0.99"),
            (995, "1.00"),
            (9_999, "10.00"),
            (23_400, "23.40"),
            (23_454, "23.45"),
            (23_455, "23.46"),
            (-46_850, "-46.85"),
            (i32::MAX, "2147483.65"),
            (i32::MIN, "-2147483.65"),
        ];
        for (milli, text) in cases {
            assert_eq!(Reading::temperature(milli).to_string(), text, "{milli}");
        }
        assert_eq!(Reading::temperature(i32::MIN).to_string().len(), Reading::MAX_LEN);
    }

    #[test]
    fn humidity_stays_within_its_scale() {
        for (milli, kept) in [(-1, 0), (0, 0), (42_490, 42_490), (100_000, 100_000), (118_990, 100_000)] {
            assert_eq!(Reading::humidity(milli).milli(), kept);
        }
    }

    #[test]
    fn quantities_have_names_and_units() {
        assert_eq!(Quantity::ALL.map(Quantity::name), ["temperature", "humidity"]);
        assert_eq!(Quantity::ALL.map(Quantity::unit), ["Cel", "%RH"]);
        assert_eq!(Quantity::Humidity.to_string(), "humidity");
    }

    proptest! {
        #[test]
        fn the_text_is_within_half_a_hundredth(milli: i32) {
            let text = Reading::temperature(milli).to_string();
            let (whole, decimals) = text.split_once('.').unwrap();
            prop_assert_eq!(decimals.len(), 2);
            let hundredths: i64 = format!("{whole}{decimals}").parse().unwrap();
            prop_assert!((hundredths * 10 - i64::from(milli)).abs() <= 5);
            prop_assert!(text.len() <= Reading::MAX_LEN);
        }
    }
}
