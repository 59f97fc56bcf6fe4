//! The clock: the system's, or one that a test moves.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

/// A moment, as the time since the clock started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

/// The source of a gateway's time. Clones show the same time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's monotonic clock.
    System(Instant),
    /// The system's clock, which a test can move ahead.
    Movable(MovableClock),
    /// A clock that only a test moves.
    Manual(ManualClock),
}

/// The system's clock, plus what a test has moved it ahead.
#[derive(Clone, Debug)]
pub struct MovableClock {
    start: Instant,
    ahead: Arc<watch::Sender<Duration>>,
}

/// The wall clock's time at which a clock started, calculated from the wall clock's time now. It converts moments to times that
/// outlive the process. It changes while the machine sleeps, and when the wall clock is set.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(Duration);

/// The wall clock's time when a [`ManualClock`] starts: 2026-01-01T00:00:00Z.
const MANUAL_EPOCH: Duration = Duration::from_hours(490_896);

/// A clock that only [`ManualClock::advance`] moves.
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: Arc<watch::Sender<Duration>>,
    /// By how much the wall clock is ahead.
    ahead: Arc<Mutex<Duration>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::System(Instant::now())
    }

    /// The system's clock, which [`Clock::advance`] moves ahead.
    #[must_use]
    pub fn movable() -> Self {
        Self::Movable(MovableClock {
            start: Instant::now(),
            ahead: Arc::new(watch::Sender::new(Duration::ZERO)),
        })
    }

    /// Moves the clock ahead, and wakes what waits for that. `false` if it is the system's clock, which can't be moved.
    #[must_use = "the system's clock can't be moved"]
    pub fn advance(&self, by: Duration) -> bool {
        match self {
            Self::System(_) => false,
            Self::Movable(clock) => {
                clock.ahead.send_modify(|ahead| *ahead = ahead.saturating_add(by));
                true
            }
            Self::Manual(clock) => {
                clock.advance(by);
                true
            }
        }
    }

    /// The current moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        match self {
            Self::System(start) => Moment(start.elapsed()),
            Self::Movable(clock) => clock.now(),
            Self::Manual(ManualClock { time, .. }) => Moment(*time.borrow()),
        }
    }

    /// The wall clock's time at which this clock started.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::System(start) | Self::Movable(MovableClock { start, .. }) => {
                let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Epoch(wall.saturating_sub(start.elapsed()))
            }
            Self::Manual(ManualClock { ahead, .. }) => {
                Epoch(MANUAL_EPOCH + *ahead.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// Waits until a moment. Returns at once if it has passed.
    pub async fn sleep_until(&self, moment: Moment) {
        match self {
            Self::System(start) => {
                tokio::time::sleep_until((*start + moment.0).into()).await;
            }
            Self::Movable(clock) => Box::pin(clock.sleep_until(moment)).await,
            Self::Manual(ManualClock { time, .. }) => {
                let mut time = time.subscribe();
                // The sender lives in `self`, so the wait can't end any other way. Boxed, because the futures of the
                // system's clock, which every connection has, would need memory for it too.
                _ = Box::pin(time.wait_for(|now| *now >= moment.0)).await;
            }
        }
    }

    /// The output of `work`, or `None` if it takes longer than `limit`.
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
    /// A moment, in milliseconds since 1970.
    #[must_use]
    pub fn unix_millis(self, moment: Moment) -> i64 {
        i64::try_from(self.0.saturating_add(moment.0).as_millis()).unwrap_or(i64::MAX)
    }

    /// A moment, in seconds since 1970.
    #[must_use]
    pub fn unix_seconds(self, moment: Moment) -> i64 {
        self.unix_millis(moment) / 1_000
    }

    /// The moment of a time in milliseconds since 1970. Earlier times become the clock's start.
    #[must_use]
    pub fn moment(self, unix_millis: i64) -> Moment {
        let unix = Duration::from_millis(u64::try_from(unix_millis).unwrap_or_default());
        Moment(unix.saturating_sub(self.0))
    }
}

impl MovableClock {
    fn now(&self) -> Moment {
        Moment(self.start.elapsed().saturating_add(*self.ahead.borrow()))
    }

    async fn sleep_until(&self, moment: Moment) {
        let mut ahead = self.ahead.subscribe();
        loop {
            let until = moment.0.saturating_sub(*ahead.borrow_and_update());
            tokio::select! {
                () = tokio::time::sleep_until((self.start + until).into()) => return,
                // The sender lives in `self`, so this does not fail.
                _ = ahead.changed() => {}
            }
        }
    }
}

impl ManualClock {
    /// A clock at its start.
    #[must_use]
    pub fn new() -> Self {
        Self { time: Arc::new(watch::Sender::new(Duration::ZERO)), ahead: Arc::default() }
    }

    /// Moves the clock, and wakes what waits for that.
    pub fn advance(&self, by: Duration) {
        self.time.send_modify(|time| *time += by);
    }

    /// Moves only the wall clock, as when the machine sleeps.
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
