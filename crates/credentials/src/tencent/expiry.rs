//! Until when a signature is valid.

/// The user name's `expiry`: seconds since 1970 by the vendor's page, and in the field also milliseconds,
/// 4294967295 and `LONG_MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry(u64);

/// Why a text is not an [`Expiry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    /// Nothing at all.
    #[error("the expiry is empty")]
    Empty,
    /// Something other than decimal digits, at this byte.
    #[error("the expiry has something other than digits at byte {0}")]
    Character(usize),
}

impl Expiry {
    /// From here on a number means milliseconds: 10¹¹ seconds are the year 5138, 10¹¹ milliseconds are 1973.
    ///
    /// So 4294967295 is seconds (2106), every time in milliseconds since 1973 is known as such, and `LONG_MAX`
    /// is far away in both readings.
    pub const FIRST_MILLISECONDS: u128 = 100_000_000_000;

    /// The end, in seconds since 1970, rounded down: at it, the signature is no longer valid.
    #[must_use]
    pub const fn at_seconds(self) -> u64 {
        self.0
    }

    /// Whether the end has come.
    #[must_use]
    pub const fn has_passed(self, now_seconds: u64) -> bool {
        now_seconds >= self.0
    }
}

impl TryFrom<&str> for Expiry {
    type Error = ExpiryError;

    /// Takes decimal digits of any number: what no type holds is the last second that one does.
    fn try_from(text: &str) -> Result<Self, ExpiryError> {
        if text.is_empty() {
            return Err(ExpiryError::Empty);
        }
        if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_digit()) {
            return Err(ExpiryError::Character(at));
        }
        let sent = text.parse().unwrap_or(u128::MAX);
        let seconds = if sent >= Self::FIRST_MILLISECONDS { sent / 1000 } else { sent };
        Ok(Self(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_milliseconds_are_told_by_their_size() {
        let huge = "9".repeat(100);
        let cases = [
            ("0", 0),
            ("1600000000", 1_600_000_000),
            ("0001600000000", 1_600_000_000),
            ("2147483647", 2_147_483_647),
            ("4294967295", 4_294_967_295),
            ("99999999999", 99_999_999_999),
            ("100000000000", 100_000_000),
            ("1999999999000", 1_999_999_999),
            ("1999999999999", 1_999_999_999),
            ("92233720368547758", 92_233_720_368_547),
            ("9223372036854775807", 9_223_372_036_854_775),
            ("18446744073709551615", 18_446_744_073_709_551),
            ("340282366920938463463374607431768211456", u64::MAX),
            (&huge, u64::MAX),
        ];
        for (text, seconds) in cases {
            assert_eq!(Expiry::try_from(text).map(Expiry::at_seconds), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn every_refusal_has_its_reason() {
        let cases = [
            ("", ExpiryError::Empty, "the expiry is empty"),
            ("-1", ExpiryError::Character(0), "the expiry has something other than digits at byte 0"),
            ("+1", ExpiryError::Character(0), "the expiry has something other than digits at byte 0"),
            ("1.5", ExpiryError::Character(1), "the expiry has something other than digits at byte 1"),
            ("1 ", ExpiryError::Character(1), "the expiry has something other than digits at byte 1"),
            ("1e9", ExpiryError::Character(1), "the expiry has something other than digits at byte 1"),
            ("١", ExpiryError::Character(0), "the expiry has something other than digits at byte 0"),
        ];
        for (text, error, message) in cases {
            assert_eq!(Expiry::try_from(text), Err(error), "{text}");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn the_end_is_not_part_of_the_time() {
        let expiry = Expiry::try_from("1600000000").unwrap();
        assert!(!expiry.has_passed(1_599_999_999));
        assert!(expiry.has_passed(1_600_000_000));
        assert!(!Expiry::try_from("9223372036854775807").unwrap().has_passed(4_102_444_800));
    }
}
