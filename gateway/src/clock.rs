//! Time, as an argument: the system's, or one that a test moves.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// A moment, as the time since the clock began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

/// Where a gateway's time comes from. Clones tell the same time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's monotonic clock.
    System(Instant),
    /// A clock that moves only when it is told to.
    Manual(ManualClock),
}

/// A clock that moves only when it is told to.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<Duration>>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::System(Instant::now())
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Moment {
        match self {
            Self::System(start) => Moment(start.elapsed()),
            Self::Manual(ManualClock(time)) => Moment(*time.borrow()),
        }
    }

    /// Waits for a moment; one that has passed is there at once.
    pub async fn sleep_until(&self, moment: Moment) {
        match self {
            Self::System(start) => {
                tokio::time::sleep_until((*start + moment.0).into()).await;
            }
            Self::Manual(ManualClock(time)) => {
                let mut time = time.subscribe();
                // The sender lives in `self`, so the wait can't end any other way. Boxed, because whoever waits on the
                // system's clock, which is every connection, would keep the room for it too.
                _ = Box::pin(time.wait_for(|now| *now >= moment.0)).await;
            }
        }
    }

    /// Gives `work` so much time; `None` when it was not enough.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        let deadline = self.now() + limit;
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.sleep_until(deadline) => None,
        }
    }
}

impl ManualClock {
    /// A clock that stands at its beginning.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Duration::ZERO)))
    }

    /// Moves on, and wakes whatever has waited for that.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|time| *time += by);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl std::ops::Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_only_those_whose_time_has_come() {
        let manual = ManualClock::new();
        let clock = Clock::Manual(manual.clone());
        let begin = clock.now();
        assert!(clock.timeout(Duration::ZERO, std::future::pending::<()>()).await.is_none());
        let mut waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(begin + Duration::from_secs(10)).await }
        });
        manual.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        manual.advance(Duration::from_secs(1));
        (&mut waiting).await.unwrap();
        assert_eq!(clock.now() - begin, Duration::from_secs(10));
    }
}
