//! The time of day: nobody's until a server has told it, then counted on by the chip's own timer.

use core::cell::Cell;
use core::fmt;

use critical_section::Mutex;
use embassy_time::{Duration, Instant};
use mbedtls_rs::sys::hook::timer::{MbedtlsTimer, hook_timer};
use mbedtls_rs::sys::hook::wall_clock::{MbedtlsWallClock, hook_wall_clock};
use mbedtls_rs::sys::tm;

use crate::calendar::DateTime;

/// A time that a device may believe: whole seconds since 1970-01-01T00:00:00Z, from 2026 to 2036-02-07.
///
/// No device with this firmware ran before 2026, so a server that says so, or whose clock was never set and stands at
/// 1970 or 2000, is wrong. SNTP's 32 bits end in 2036; firmware that is to run beyond has to read the next era.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(u64);

impl UnixTime {
    /// 2026-01-01T00:00:00Z.
    pub const EARLIEST: Self = Self(1_767_225_600);
    /// 2036-02-07T06:28:15Z.
    pub const LATEST: Self = Self(2_085_978_495);

    /// The seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for UnixTime {
    type Error = AbsurdTime;

    fn try_from(seconds: u64) -> Result<Self, AbsurdTime> {
        let time = Self(seconds);
        if (Self::EARLIEST..=Self::LATEST).contains(&time) { Ok(time) } else { Err(AbsurdTime(seconds)) }
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_date(f, self.0)
    }
}

/// A time that can't be now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsurdTime(u64);

impl fmt::Display for AbsurdTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_date(f, self.0)
    }
}

/// The device's clock. It lives as long as the program, because mbedtls asks it about every certificate.
pub struct WallClock {
    /// What the time was, and when the timer said so.
    set: Mutex<Cell<Option<(UnixTime, Instant)>>>,
    /// Whether a certificate's dates spoke against it since.
    doubted: Mutex<Cell<bool>>,
}

impl WallClock {
    /// A clock that does not know the time.
    #[must_use]
    pub const fn unset() -> Self {
        Self { set: Mutex::new(Cell::new(None)), doubted: Mutex::new(Cell::new(false)) }
    }

    /// Makes mbedtls check the dates of certificates by this clock. Until it is set, every certificate is refused.
    #[expect(
        unsafe_code,
        reason = "mbedtls keeps the hooks in a global; the clock is `'static`, so they stay valid"
    )]
    pub fn install(&'static self) {
        // SAFETY: called before any connection, and the clock outlives every use.
        unsafe {
            hook_timer(Some(self));
            hook_wall_clock(Some(self));
        }
    }

    /// Sets it.
    pub fn set(&self, time: UnixTime) {
        self.set_at(time, Instant::now());
    }

    /// The time, if it is known.
    #[must_use]
    pub fn now(&self) -> Option<UnixTime> {
        self.at(Instant::now())
    }

    /// What the time was at a moment, also one before the clock was set.
    #[must_use]
    pub fn at(&self, moment: Instant) -> Option<UnixTime> {
        let (time, set) = self.get()?;
        let seconds = match moment.checked_duration_since(set) {
            Some(later) => time.0.saturating_add(later.as_secs()),
            None => time.0.saturating_sub(set.saturating_duration_since(moment).as_secs()),
        };
        Some(UnixTime(seconds))
    }

    /// How long ago it was set, if it was.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        Some(self.get()?.1.elapsed())
    }

    /// Notes that it may be wrong, until it is set again. It goes on meanwhile.
    pub fn doubt(&self) {
        critical_section::with(|section| self.doubted.borrow(section).set(true));
    }

    /// Whether it may be wrong.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        critical_section::with(|section| self.doubted.borrow(section).get())
    }

    fn set_at(&self, time: UnixTime, moment: Instant) {
        critical_section::with(|section| {
            self.set.borrow(section).set(Some((time, moment)));
            self.doubted.borrow(section).set(false);
        });
    }

    fn get(&self) -> Option<(UnixTime, Instant)> {
        critical_section::with(|section| self.set.borrow(section).get())
    }
}

impl MbedtlsTimer for WallClock {
    fn now(&self) -> i64 {
        i64::try_from(Instant::now().as_millis()).unwrap_or(i64::MAX)
    }
}

impl MbedtlsWallClock for WallClock {
    fn instant(&self) -> Option<tm> {
        let DateTime { year, month, day, hour, minute, second } = DateTime::from_unix(self.now()?.0);
        let small = |number: u64| i32::try_from(number).unwrap_or_default();
        // mbedtls reads no other field.
        Some(tm {
            tm_sec: small(second),
            tm_min: small(minute),
            tm_hour: small(hour),
            tm_mday: small(day),
            tm_mon: small(month) - 1,
            tm_year: small(year) - 1_900,
            ..tm::default()
        })
    }
}

fn write_date(f: &mut fmt::Formatter<'_>, seconds: u64) -> fmt::Result {
    let DateTime { year, month, day, hour, minute, second } = DateTime::from_unix(seconds);
    write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_that_can_be_now_is_believed() {
        for seconds in [0, 946_684_800, UnixTime::EARLIEST.0 - 1, UnixTime::LATEST.0 + 1, u64::MAX / 2] {
            assert_eq!(UnixTime::try_from(seconds), Err(AbsurdTime(seconds)));
        }
        for seconds in [UnixTime::EARLIEST.0, 1_795_000_000, UnixTime::LATEST.0] {
            assert_eq!(UnixTime::try_from(seconds).map(UnixTime::seconds), Ok(seconds));
        }
        assert_eq!(UnixTime::EARLIEST.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(AbsurdTime(0).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_moment_before_the_clock_was_set_has_its_time_too() {
        let clock = WallClock::unset();
        let at = |second| clock.at(Instant::from_secs(second)).map(UnixTime::seconds);
        assert_eq!(at(90), None);
        clock.set_at(UnixTime(1_800_000_000), Instant::from_secs(100));
        assert_eq!(
            (at(90), at(100), at(250)),
            (Some(1_799_999_990), Some(1_800_000_000), Some(1_800_000_150))
        );
    }

    #[test]
    fn mbedtls_gets_no_time_before_there_is_one() {
        let clock = WallClock::unset();
        assert!(clock.instant().is_none());
        clock.set(UnixTime::EARLIEST);
        let date = clock.instant().unwrap();
        assert_eq!((date.tm_year, date.tm_mon, date.tm_mday), (126, 0, 1));
    }
}
