//! The age of a cached answer.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A point in time on two clocks.
///
/// Lambda freezes a function between calls. The monotonic clock may not count that time *(guess: the clocks of a function
/// that Lambda froze)*, and the wall clock can be set back. So the age of an answer is the greater of the two.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// Whether this is after `other`.
    #[cfg(feature = "jwks-url")]
    pub(crate) fn is_after(self, other: Self) -> bool {
        self.monotonic > other.monotonic
    }

    /// The time from this until `now`.
    pub(crate) fn age(self, now: Self) -> Duration {
        let monotonic = now.monotonic.saturating_duration_since(self.monotonic);
        let wall = now.wall.duration_since(self.wall).unwrap_or(Duration::ZERO);
        monotonic.max(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_the_greater_of_both_clocks() {
        let now = Moment::now();
        let seconds = Duration::from_secs;
        let later = |monotonic, wall| Moment {
            monotonic: now.monotonic + seconds(monotonic),
            wall: now.wall + seconds(wall),
        };
        assert_eq!(now.age(later(5, 3)), seconds(5));
        assert_eq!(now.age(later(3, 5)), seconds(5));
        assert_eq!(later(0, 9).age(later(2, 0)), seconds(2));
        assert_eq!(later(9, 9).age(now), Duration::ZERO);
    }
}
