//! How long a look-up in a store that is elsewhere may take.

use std::time::Duration;

/// Far inside the 5 s that IoT Core waits (developer guide, `custom-auth-lambda`), because the password is still
/// to be checked. A look-up that goes well takes some ten milliseconds.
const DEFAULT_MILLIS: u64 = 1_500;
const MILLIS: std::ops::RangeInclusive<u64> = 100..=4_000;
/// What the AWS client is given beyond its own deadline to come back with what went wrong.
#[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
const GRACE: Duration = Duration::from_millis(100);

/// How long one look-up may take, repetitions included: 100 to 4,000 ms, 1,500 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Duration);

impl Deadline {
    /// 1,500 ms.
    pub const DEFAULT: Self = Self(Duration::from_millis(DEFAULT_MILLIS));

    /// The whole time.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }

    /// How long the first attempt may take: two thirds, so that a second still makes sense.
    #[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
    pub(super) fn attempt(self) -> Duration {
        self.0.mul_f32(2.0 / 3.0)
    }

    /// Waits for `work`, which has this deadline itself. This is the last resort, should it not keep it.
    #[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
    pub(super) async fn hold<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.0.saturating_add(GRACE), work).await.ok()
    }
}

impl TryFrom<u64> for Deadline {
    type Error = String;

    /// Takes milliseconds.
    fn try_from(millis: u64) -> Result<Self, String> {
        if MILLIS.contains(&millis) {
            return Ok(Self(Duration::from_millis(millis)));
        }
        Err(format!(
            "{millis} ms: a look-up takes {} to {}, inside the 5 s that IoT Core waits",
            MILLIS.start(),
            MILLIS.end()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_leaves_time_for_the_rest() {
        assert_eq!(Deadline::try_from(1_500), Ok(Deadline::DEFAULT));
        for (millis, taken) in [(99, false), (100, true), (4_000, true), (4_001, false), (u64::MAX, false)] {
            assert_eq!(Deadline::try_from(millis).is_ok(), taken, "{millis}");
        }
    }
    #[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_given_up() {
        let started = tokio::time::Instant::now();
        assert_eq!(Deadline::DEFAULT.hold(std::future::pending::<()>()).await, None);
        assert_eq!(started.elapsed(), Duration::from_millis(1_600));
        assert_eq!(Deadline::DEFAULT.hold(std::future::ready(7)).await, Some(7));
    }
}
