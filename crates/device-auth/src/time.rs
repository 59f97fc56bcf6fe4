//! Points in time, and the two timers of an answer.

use std::num::NonZeroU32;

use iot_policy::limits::{
    MAX_DISCONNECT_SECONDS, MAX_REFRESH_SECONDS, MIN_DISCONNECT_SECONDS, MIN_REFRESH_SECONDS,
};
use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01T00:00:00Z. The caller reads the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl From<std::time::SystemTime> for UnixTime {
    /// A time before 1970 becomes 1970, so every `not_before` refuses.
    fn from(time: std::time::SystemTime) -> Self {
        Self(time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

/// When IoT Core calls the authorizer again, and when it ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// The time after which IoT Core calls the authorizer again.
    pub refresh_after: TimerSeconds,
    /// The time after which IoT Core ends the connection, counted from the connect.
    pub disconnect_after: TimerSeconds,
}

/// AWS's range is the same for both timers, so both have one type.
const RANGE: std::ops::RangeInclusive<u32> = {
    assert!(MIN_REFRESH_SECONDS == MIN_DISCONNECT_SECONDS && MAX_REFRESH_SECONDS == MAX_DISCONNECT_SECONDS);
    MIN_REFRESH_SECONDS..=MAX_REFRESH_SECONDS
};

/// The seconds of a timer: 300 to 86,400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct TimerSeconds(NonZeroU32);

/// A number of seconds that AWS does not accept for a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a timer of {0} s: AWS accepts {min} to {max}", min = RANGE.start(), max = RANGE.end())]
pub struct TimerSecondsError(u32);

impl Timers {
    /// The same timers, with a refresh at `expires` at the latest, or at AWS's minimum if that is later.
    #[must_use]
    pub fn refreshed_until(self, expires: Option<UnixTime>, now: UnixTime) -> Self {
        Self { refresh_after: self.refresh_after.at_most(expires, now), ..self }
    }

    /// The same timers, with an end at `expires` at the latest, or at AWS's minimum if that is later.
    #[must_use]
    pub fn ended_by(self, expires: Option<UnixTime>, now: UnixTime) -> Self {
        Self { disconnect_after: self.disconnect_after.at_most(expires, now), ..self }
    }
}

impl TimerSeconds {
    /// The number of seconds.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    fn at_most(self, expires: Option<UnixTime>, now: UnixTime) -> Self {
        let left = expires.map(|expires| expires.0.saturating_sub(now.0).max(MIN_REFRESH_SECONDS.into()));
        let left = left.and_then(|left| Self::try_from(u32::try_from(left).ok()?).ok());
        left.filter(|left| left.get() < self.get()).unwrap_or(self)
    }
}

impl TryFrom<u32> for TimerSeconds {
    type Error = TimerSecondsError;

    fn try_from(seconds: u32) -> Result<Self, TimerSecondsError> {
        NonZeroU32::new(seconds)
            .filter(|_| RANGE.contains(&seconds))
            .map(Self)
            .ok_or(TimerSecondsError(seconds))
    }
}

impl From<TimerSeconds> for u32 {
    fn from(seconds: TimerSeconds) -> Self {
        seconds.get()
    }
}
