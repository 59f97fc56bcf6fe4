//! Time, as an argument: the system's, or one that a test moves.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
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

/// What the wall clock would have shown when a clock began, by what it shows now: it ties moments to times that outlive the
/// process. It moves while the machine sleeps, and when somebody sets the clock.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(Duration);

/// What the wall clock shows when a [`ManualClock`] begins: 2026-01-01T00:00:00Z.
const MANUAL_EPOCH: Duration = Duration::from_hours(490_896);

/// A clock that moves only when it is told to.
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: Arc<watch::Sender<Duration>>,
    /// How far the wall clock is ahead.
    ahead: Arc<Mutex<Duration>>,
}

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
            Self::Manual(ManualClock { time, .. }) => Moment(*time.borrow()),
        }
    }

    /// What the wall clock would have shown when this one began, by what it shows now.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::System(start) => {
                let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Epoch(wall.saturating_sub(start.elapsed()))
            }
            Self::Manual(ManualClock { ahead, .. }) => {
                Epoch(MANUAL_EPOCH + *ahead.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// Waits for a moment; one that has passed is there at once.
    pub async fn sleep_until(&self, moment: Moment) {
        match self {
            Self::System(start) => {
                tokio::time::sleep_until((*start + moment.0).into()).await;
            }
            Self::Manual(ManualClock { time, .. }) => {
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

impl Epoch {
    /// A moment in milliseconds since 1970.
    #[must_use]
    pub fn unix_millis(self, moment: Moment) -> i64 {
        i64::try_from(self.0.saturating_add(moment.0).as_millis()).unwrap_or(i64::MAX)
    }

    /// The moment of a time in milliseconds since 1970; the clock's beginning for what was before.
    #[must_use]
    pub fn moment(self, unix_millis: i64) -> Moment {
        let unix = Duration::from_millis(u64::try_from(unix_millis).unwrap_or_default());
        Moment(unix.saturating_sub(self.0))
    }
}

impl ManualClock {
    /// A clock that stands at its beginning.
    #[must_use]
    pub fn new() -> Self {
        Self { time: Arc::new(watch::Sender::new(Duration::ZERO)), ahead: Arc::default() }
    }

    /// Moves on, and wakes whatever has waited for that.
    pub fn advance(&self, by: Duration) {
        self.time.send_modify(|time| *time += by);
    }

    /// The machine sleeps: only the wall clock moves on.
    pub fn sleep(&self, by: Duration) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) += by;
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

    #[test]
    fn a_moment_is_the_same_after_it_was_a_time_of_the_wall_clock() {
        let epoch = Clock::Manual(ManualClock::new()).epoch();
        let moment = Moment(Duration::from_millis(1_234));
        assert_eq!(epoch.moment(epoch.unix_millis(moment)), moment);
        assert_eq!(epoch.moment(0), Moment(Duration::ZERO));
        assert_eq!(epoch.unix_millis(Moment(Duration::MAX)), i64::MAX);
        let system = Clock::system();
        let wall = system.epoch().unix_millis(system.now());
        assert!(wall > 1_767_225_600_000, "{wall}");
    }

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
