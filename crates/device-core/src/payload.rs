//! What a device publishes: one JSON object a reading.

use core::fmt;

use crate::reading::{Quantity, Reading};

/// A reading and its time, as the JSON object `{"value":23.46,"unit":"Cel","ts":1764000000}`.
///
/// `Display` writes it without allocating, at most [`Payload::MAX_LEN`] bytes. `value` is a number with two
/// decimals (see [`Reading`]), `unit` a `SenML` symbol (see [`Quantity::unit`]), `ts` a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Payload {
    /// What was measured.
    pub reading: Reading,
    /// When: whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    pub ts: u64,
}

impl Payload {
    /// The most bytes that a payload has: the size of a fixed buffer that holds any of them.
    pub const MAX_LEN: usize = r#"{"value":,"unit":"","ts":}"#.len()
        + Reading::MAX_LEN
        + Quantity::Temperature.unit().len()
        + "18446744073709551615".len();
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing needs escaping: the numbers are digits, and the units are ours.
        let unit = self.reading.quantity().unit();
        write!(f, r#"{{"value":{},"unit":"{unit}","ts":{}}}"#, self.reading, self.ts)
    }
}

#[cfg(test)]
mod tests {
    use core::fmt::Write;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn payloads_are_written_exactly() {
        let cases = [
            (Reading::temperature(23_456), 1_764_000_000, r#"{"value":23.46,"unit":"Cel","ts":1764000000}"#),
            (Reading::temperature(-4), 0, r#"{"value":0.00,"unit":"Cel","ts":0}"#),
            (Reading::humidity(100_000), 1, r#"{"value":100.00,"unit":"%RH","ts":1}"#),
        ];
        for (reading, ts, text) in cases {
            assert_eq!(Payload { reading, ts }.to_string(), text);
        }
    }

    #[test]
    fn the_longest_payload_fills_the_buffer() {
        let longest = Payload { reading: Reading::temperature(i32::MIN), ts: u64::MAX };
        assert_eq!(longest.to_string().len(), Payload::MAX_LEN);
        assert!(Quantity::ALL.iter().all(|quantity| quantity.unit().len() <= 3));
    }

    #[test]
    fn a_buffer_that_is_too_small_is_an_error() {
        let payload = Payload { reading: Reading::humidity(0), ts: 0 };
        let length = payload.to_string().len();
        assert!(write!(Room(length), "{payload}").is_ok());
        assert!(write!(Room(length - 1), "{payload}").is_err());
    }

    proptest! {
        #[test]
        fn payloads_are_json(milli: i32, ts: u64) {
            for reading in [Reading::temperature(milli), Reading::humidity(milli)] {
                let object: Value = serde_json::from_str(&Payload { reading, ts }.to_string()).unwrap();
                prop_assert_eq!(object.as_object().map(serde_json::Map::len), Some(3));
                let value = object["value"].as_f64().unwrap();
                prop_assert!((value - f64::from(reading.milli()) / 1_000.0).abs() < 0.005_001);
                prop_assert_eq!(object["unit"].as_str(), Some(reading.quantity().unit()));
                prop_assert_eq!(object["ts"].as_u64(), Some(ts));
            }
        }
    }

    /// A writer with room for a number of bytes.
    struct Room(usize);

    impl Write for Room {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }
}
