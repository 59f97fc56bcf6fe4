//! A rate limit that lets the amount of one second come at once.

use std::{num::NonZeroU32, time::Duration};

use crate::clock::Moment;

const SECOND: Duration = Duration::from_secs(1);

/// The amount so far, as the moment at which it is within the rate.
#[derive(Clone, Copy, Debug)]
pub struct Rate(Moment);

impl Rate {
    /// Nothing yet.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self(now)
    }

    /// Adds an amount, and returns how long to wait until the rate is kept again.
    pub fn take(&mut self, amount: usize, per_second: NonZeroU32, now: Moment) -> Duration {
        self.0 = self.with(amount, per_second, now);
        (self.0 - now).saturating_sub(SECOND)
    }

    /// Adds one if that keeps the rate. Returns whether it does.
    pub fn try_take(&mut self, per_second: NonZeroU32, now: Moment) -> bool {
        let with = self.with(1, per_second, now);
        let kept = with - now <= SECOND;
        if kept {
            self.0 = with;
        }
        kept
    }

    /// Whether nothing counts any more.
    #[must_use]
    pub fn is_over(&self, now: Moment) -> bool {
        self.0 <= now
    }

    fn with(self, amount: usize, per_second: NonZeroU32, now: Moment) -> Moment {
        let nanos = amount as u64 * 1_000_000_000 / u64::from(per_second.get());
        self.0.max(now) + Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn rate() -> (Rate, Moment) {
        let now = Clock::Manual(ManualClock::new()).now();
        (Rate::new(now), now)
    }

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_seconds_worth_comes_at_once_and_then_as_many_as_the_rate_says() {
        let (mut rate, now) = rate();
        let hundred = NonZeroU32::new(100).unwrap();
        let taken = |rate: &mut Rate, at| (0..200).filter(|_| rate.try_take(hundred, at)).count();
        assert_eq!(taken(&mut rate, now), 100);
        assert_eq!(taken(&mut rate, now + MILLISECOND * 9), 0);
        assert_eq!(taken(&mut rate, now + MILLISECOND * 10), 1);
        assert_eq!(taken(&mut rate, now + MILLISECOND * 510), 50);
        assert!(!rate.is_over(now + MILLISECOND * 1_509));
        assert!(rate.is_over(now + MILLISECOND * 1_510));
        assert_eq!(taken(&mut rate, now + MILLISECOND * 60_000), 100);
    }

    #[test]
    fn too_much_has_to_wait() {
        let (mut rate, now) = rate();
        let thousand = NonZeroU32::new(1_000).unwrap();
        assert_eq!(rate.take(1_000, thousand, now), Duration::ZERO);
        assert_eq!(rate.take(500, thousand, now), MILLISECOND * 500);
        assert_eq!(rate.take(0, thousand, now + MILLISECOND * 200), MILLISECOND * 300);
        assert_eq!(rate.take(100, thousand, now + MILLISECOND * 10_000), Duration::ZERO);
    }
}
