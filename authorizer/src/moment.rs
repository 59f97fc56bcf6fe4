//! How old a kept answer is.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A moment on two clocks.
///
/// Lambda freezes a function between calls. Whether the steady clock counts that time is *unverified*, and the wall
/// clock can be set back, so an answer is as old as the clock says that makes it older.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// Whether it came after `other`.
    #[cfg(feature = "jwks-url")]
    pub(crate) fn is_after(self, other: Self) -> bool {
        self.steady > other.steady
    }

    /// How long before `now` it was.
    pub(crate) fn age(self, now: Self) -> Duration {
        let steady = now.steady.saturating_duration_since(self.steady);
        let wall = now.wall.duration_since(self.wall).unwrap_or(Duration::ZERO);
        steady.max(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_went_further_counts() {
        let now = Moment::now();
        let seconds = Duration::from_secs;
        let later =
            |steady, wall| Moment { steady: now.steady + seconds(steady), wall: now.wall + seconds(wall) };
        assert_eq!(now.age(later(5, 3)), seconds(5));
        assert_eq!(now.age(later(3, 5)), seconds(5));
        assert_eq!(later(0, 9).age(later(2, 0)), seconds(2));
        assert_eq!(later(9, 9).age(now), Duration::ZERO);
    }
}
