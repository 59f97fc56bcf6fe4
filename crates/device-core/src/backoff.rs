//! How long to wait before the next attempt to connect.
//!
//! Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): when a
//! whole fleet loses its connection at once, its devices don't come back at once.

use core::time::Duration;

/// The least time between two CONNECTs of one client id: AWS IoT Core refuses more than one a second
/// (AWS General Reference, "AWS IoT Core endpoints and quotas").
pub const CONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// Gives the delays between attempts, each drawn evenly between `min` and a ceiling that begins at twice
/// `min`, doubles with every delay, and stops at `max`.
///
/// Full jitter draws from zero; here the draw begins at `min`, so that a device never connects faster than
/// it may. The ceiling begins at twice `min` so that already the first delays of a fleet differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// A backoff whose delays are all within `min..=max`.
    ///
    /// # Errors
    ///
    /// [`BoundsError`] if `min` is below [`CONNECT_INTERVAL`] or above `max`.
    pub fn new(min: Duration, max: Duration) -> Result<Self, BoundsError> {
        if min < CONNECT_INTERVAL {
            return Err(BoundsError::TooShort { min });
        }
        if min > max {
            return Err(BoundsError::Reversed { min, max });
        }
        Ok(Self { min, max, ceiling: first_ceiling(min, max) })
    }

    /// The delay before the next attempt, and a higher ceiling for the one after.
    ///
    /// `random` is any evenly distributed number, another for each device and each call: 0 gives `min`, and
    /// the upper 16 bits choose one of 65,536 steps from there towards the ceiling.
    pub fn next_delay(&mut self, random: u32) -> Duration {
        let span = self.ceiling.saturating_sub(self.min);
        let delay = self.min.saturating_add((span / STEPS).saturating_mul(random >> 16));
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        delay
    }

    /// The most that [`Backoff::next_delay`] can give next.
    #[must_use]
    pub const fn ceiling(&self) -> Duration {
        self.ceiling
    }

    /// Begins again with the shortest delays. Call it once a connection has held for a while: a server that
    /// accepts and then closes at once would otherwise be called every second.
    pub fn reset(&mut self) {
        self.ceiling = first_ceiling(self.min, self.max);
    }
}

/// Bounds that no [`Backoff`] can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// The lower bound is below [`CONNECT_INTERVAL`].
    #[error("the shortest delay is {min:?}, it must be at least {CONNECT_INTERVAL:?}")]
    TooShort {
        /// The lower bound given.
        min: Duration,
    },
    /// The lower bound is above the upper one.
    #[error("the shortest delay is {min:?}, which is more than the longest, {max:?}")]
    Reversed {
        /// The lower bound given.
        min: Duration,
        /// The upper bound given.
        max: Duration,
    },
}

/// So many values has the upper half of a `u32`. Dividing by it before multiplying can't overflow, and
/// rounds a delay down by less than 66 µs.
const STEPS: u32 = 1 << 16;

fn first_ceiling(min: Duration, max: Duration) -> Duration {
    min.saturating_mul(2).min(max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_bound_and_resets() {
        let mut backoff = Backoff::new(seconds(1), seconds(20)).unwrap();
        for _ in 0..2 {
            for ceiling in [2, 4, 8, 16, 20, 20] {
                assert_eq!(backoff.ceiling(), seconds(ceiling));
                backoff.next_delay(u32::MAX);
            }
            backoff.reset();
        }
    }

    #[test]
    fn the_random_number_chooses_between_the_bounds() {
        let cases = [(0, 1_000), (1 << 30, 1_250), (1 << 31, 1_500), (3 << 30, 1_750)];
        for (random, milliseconds) in cases {
            let mut backoff = Backoff::new(seconds(1), seconds(20)).unwrap();
            let delay = backoff.next_delay(random);
            let difference = delay.abs_diff(Duration::from_millis(milliseconds));
            assert!(difference < Duration::from_micros(66), "{random}: {delay:?}");
        }
    }

    #[test]
    fn equal_bounds_leave_no_choice() {
        let mut backoff = Backoff::new(seconds(3), seconds(3)).unwrap();
        assert_eq!([0, 7, u32::MAX].map(|random| backoff.next_delay(random)), [seconds(3); 3]);
    }

    #[test]
    fn unfit_bounds_are_refused() {
        let short = Backoff::new(Duration::from_millis(999), seconds(9)).unwrap_err();
        assert_eq!(short.to_string(), "the shortest delay is 999ms, it must be at least 1s");
        let reversed = Backoff::new(seconds(9), seconds(8)).unwrap_err();
        assert_eq!(reversed.to_string(), "the shortest delay is 9s, which is more than the longest, 8s");
    }

    #[test]
    fn the_longest_durations_do_not_overflow() {
        let mut backoff = Backoff::new(seconds(1), Duration::MAX).unwrap();
        for _ in 0..200 {
            assert!(backoff.next_delay(u32::MAX) >= seconds(1));
        }
        assert_eq!(backoff.ceiling(), Duration::MAX);
    }

    fn bounds() -> impl Strategy<Value = (Duration, Duration)> {
        (1_000_000_000_u64.., any::<u64>()).prop_map(|(min, more)| {
            let min = Duration::from_nanos(min);
            (min, min + Duration::from_nanos(more))
        })
    }

    proptest! {
        #[test]
        fn delays_stay_within_the_bounds(
            (min, max) in bounds(),
            randoms in prop::collection::vec(any::<u32>(), 0..80),
        ) {
            let mut backoff = Backoff::new(min, max).unwrap();
            for random in randoms {
                let ceiling = backoff.ceiling();
                let delay = backoff.next_delay(random);
                prop_assert!(min <= delay && delay <= ceiling && ceiling <= max);
                prop_assert!(backoff.ceiling() >= ceiling);
            }
        }

        #[test]
        fn a_greater_number_is_no_shorter_delay(
            (min, max) in bounds(),
            attempts in 0_usize..40,
            a: u32,
            b: u32,
        ) {
            let mut backoff = Backoff::new(min, max).unwrap();
            for _ in 0..attempts {
                backoff.next_delay(0);
            }
            let (shorter, longer) = (backoff.clone().next_delay(a.min(b)), backoff.next_delay(a.max(b)));
            prop_assert!(shorter <= longer);
        }

        #[test]
        fn a_reset_forgets_every_attempt((min, max) in bounds(), attempts in 0_usize..80) {
            let fresh = Backoff::new(min, max).unwrap();
            let mut used = fresh.clone();
            for _ in 0..attempts {
                used.next_delay(u32::MAX);
            }
            used.reset();
            prop_assert_eq!(used, fresh);
        }
    }
}
