//! The time of day: unknown until a server has sent it, then counted on by the device's own timer.

use core::cell::Cell;
use core::fmt;

use critical_section::Mutex;
use embassy_time::{Duration, Instant};
use mbedtls_rs::sys::hook::timer::{MbedtlsTimer, hook_timer};
use mbedtls_rs::sys::hook::wall_clock::{MbedtlsWallClock, hook_wall_clock};
use mbedtls_rs::sys::tm;
use time::UtcDateTime;

/// A plausible current time: whole seconds since 1970-01-01T00:00:00Z, from 2026 to 2036-02-07.
///
/// No device ran this firmware before 2026, so a server that reports an earlier time is wrong; a server whose clock
/// was never set reports 1970 or 2000. SNTP's 32 bits overflow in 2036: firmware that is to run longer has to read the
/// next era.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(u64);

impl UnixTime {
    /// 2026-01-01T00:00:00Z.
    pub const EARLIEST: Self = Self(1_767_225_600);
    /// 2036-02-07T06:28:15Z.
    pub const LATEST: Self = Self(2_085_978_495);

    /// The seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for UnixTime {
    type Error = ImplausibleTime;

    fn try_from(seconds: u64) -> Result<Self, ImplausibleTime> {
        let time = Self(seconds);
        if (Self::EARLIEST..=Self::LATEST).contains(&time) { Ok(time) } else { Err(ImplausibleTime(seconds)) }
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_date(f, self.0)
    }
}

/// A time that can't be the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImplausibleTime(u64);

impl fmt::Display for ImplausibleTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_date(f, self.0)
    }
}

/// The device's clock. It is `'static` because mbedtls reads it for every certificate.
pub struct WallClock {
    /// The time that a server sent, and when it arrived by the device's own timer.
    set: Mutex<Cell<Option<(UnixTime, Instant)>>>,
    /// Whether the dates of a certificate have contradicted the clock since.
    suspect: Mutex<Cell<bool>>,
}

impl WallClock {
    /// A clock that does not know the time.
    #[must_use]
    pub const fn unset() -> Self {
        Self { set: Mutex::new(Cell::new(None)), suspect: Mutex::new(Cell::new(false)) }
    }

    /// Makes mbedtls check the dates of certificates against this clock. Until it is set, mbedtls refuses every
    /// certificate.
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

    /// Sets the time of now.
    pub fn set(&self, time: UnixTime) {
        self.set_at(time, Instant::now());
    }

    /// The time of now, if it is known.
    #[must_use]
    pub fn now(&self) -> Option<UnixTime> {
        self.at(Instant::now())
    }

    /// The time at a moment, which may be before the clock was set.
    #[must_use]
    pub fn at(&self, moment: Instant) -> Option<UnixTime> {
        let (time, set) = self.get()?;
        let seconds = match moment.checked_duration_since(set) {
            Some(later) => time.0.saturating_add(later.as_secs()),
            None => time.0.saturating_sub(set.saturating_duration_since(moment).as_secs()),
        };
        Some(UnixTime(seconds))
    }

    /// How long ago the clock was set, if it was.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        Some(self.get()?.1.elapsed())
    }

    /// Marks the clock as possibly wrong until it is set again. It keeps running meanwhile.
    pub fn mark_suspect(&self) {
        critical_section::with(|section| self.suspect.borrow(section).set(true));
    }

    /// Whether the clock may be wrong.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        critical_section::with(|section| self.suspect.borrow(section).get())
    }

    fn set_at(&self, time: UnixTime, moment: Instant) {
        critical_section::with(|section| {
            self.set.borrow(section).set(Some((time, moment)));
            self.suspect.borrow(section).set(false);
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
        let now = utc(self.now()?.0)?;
        // mbedtls reads no other field.
        Some(tm {
            tm_sec: now.second().into(),
            tm_min: now.minute().into(),
            tm_hour: now.hour().into(),
            tm_mday: now.day().into(),
            tm_mon: i32::from(u8::from(now.month())) - 1,
            tm_year: now.year() - 1_900,
            ..tm::default()
        })
    }
}

fn utc(seconds: u64) -> Option<UtcDateTime> {
    UtcDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()
}

/// RFC 3339. `time`'s own formatting needs `std`.
fn write_date(f: &mut fmt::Formatter<'_>, seconds: u64) -> fmt::Result {
    let Some(time) = utc(seconds) else { return write!(f, "{seconds} s after 1970") };
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.as_hms();
    write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_outside_the_plausible_range_are_refused() {
        for seconds in [0, 946_684_800, UnixTime::EARLIEST.0 - 1, UnixTime::LATEST.0 + 1, u64::MAX / 2] {
            assert_eq!(UnixTime::try_from(seconds), Err(ImplausibleTime(seconds)));
        }
        for seconds in [UnixTime::EARLIEST.0, 1_795_000_000, UnixTime::LATEST.0] {
            assert_eq!(UnixTime::try_from(seconds).map(UnixTime::seconds), Ok(seconds));
        }
        assert_eq!(UnixTime::EARLIEST.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(ImplausibleTime(0).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn seconds_are_printed_as_their_date() {
        // As `date --utc --date=@SECONDS` prints them.
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, date) in cases {
            assert_eq!(ImplausibleTime(seconds).to_string(), date);
        }
        assert_eq!(ImplausibleTime(u64::MAX).to_string(), "18446744073709551615 s after 1970");
    }

    #[test]
    fn moment_before_the_clock_was_set_has_a_time() {
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
    fn mbedtls_reads_no_time_from_an_unset_clock() {
        let clock = WallClock::unset();
        assert!(clock.instant().is_none());
        clock.set(UnixTime::EARLIEST);
        let date = clock.instant().unwrap();
        assert_eq!((date.tm_year, date.tm_mon, date.tm_mday), (126, 0, 1));
    }
}
