//! What a token must say beyond having a good signature.

use std::fmt;

/// What a token must say, from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What `iss` must be, byte for byte. `None` takes any.
    pub issuer: Option<String>,
    /// What `aud` must be or hold, byte for byte. `None` takes any, also tokens that were made for somebody else: an
    /// issuer that serves other applications as well calls for one.
    pub audience: Option<String>,
    /// How far this clock may be behind the issuer's.
    pub leeway: Leeway,
    /// The claim that names the device.
    pub device_claim: String,
    /// The claim that names the grant. A token without it is refused then.
    pub grant_claim: Option<String>,
}

/// The claim that names the device unless the settings name another.
pub const DEFAULT_DEVICE_CLAIM: &str = "sub";

/// Seconds by which this clock may be behind the issuer's, 0 to 300: `nbf` and `iat` may lie that far ahead. It never
/// makes a token live longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leeway(u64);

/// Seconds that are too many for a [`Leeway`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeewayError(u64);

impl Leeway {
    /// The most that clocks may differ: a clock that is further off should be set, not put up with.
    pub const MAX_SECONDS: u64 = 300;
    /// A minute, which is what most issuers allow for.
    pub const DEFAULT: Self = Self(60);

    /// The seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Leeway {
    type Error = LeewayError;

    fn try_from(seconds: u64) -> Result<Self, LeewayError> {
        if seconds <= Self::MAX_SECONDS { Ok(Self(seconds)) } else { Err(LeewayError(seconds)) }
    }
}

impl fmt::Display for LeewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seconds: a leeway has at most {}", self.0, Leeway::MAX_SECONDS)
    }
}

impl std::error::Error for LeewayError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leeway_has_an_end() {
        for seconds in [0, 60, 300] {
            assert_eq!(Leeway::try_from(seconds).map(Leeway::seconds), Ok(seconds));
        }
        for seconds in [301, u64::MAX] {
            let error = Leeway::try_from(seconds).unwrap_err();
            assert_eq!(error.to_string(), format!("{seconds} seconds: a leeway has at most 300"));
        }
    }
}
