//! The watchdog: it restarts a device that hangs.

use core::cell::Cell;

use embassy_time::{Duration, Instant, Timer};

/// A timer of the platform that restarts the device if it is not fed within [`TIMEOUT`].
pub trait Watchdog {
    /// Restarts the timer.
    fn feed(&mut self);
}

/// The timeout of the platform's watchdog. The arithmetic of one handshake takes a chip up to two seconds.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// For a platform without a watchdog.
pub struct NoWatchdog;

impl Watchdog for NoWatchdog {
    fn feed(&mut self) {}
}

/// When each loop of the device last made progress.
pub(crate) struct Progress {
    sampling: Cell<Instant>,
    connection: Cell<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { sampling: Cell::new(now), connection: Cell::new(now) }
    }

    pub(crate) fn sampling_alive(&self) {
        self.sampling.set(Instant::now());
    }

    pub(crate) fn connection_alive(&self) {
        self.connection.set(Instant::now());
    }

    fn every_loop_is_alive(&self, now: Instant) -> bool {
        [&self.sampling, &self.connection]
            .iter()
            .all(|last| now.saturating_duration_since(last.get()) < STALLED)
    }
}

/// Feeds the watchdog while every loop makes progress, so that it restarts the device if one hangs.
pub(crate) async fn feed_while_alive(watchdog: &mut impl Watchdog, progress: &Progress) -> ! {
    loop {
        if progress.every_loop_is_alive(Instant::now()) {
            watchdog.feed();
        }
        Timer::after(FEED_INTERVAL).await;
    }
}

const FEED_INTERVAL: Duration = Duration::from_secs(5);
/// Longer than any wait of a loop: backoff is at most five minutes, a sampling interval at most fifteen.
const STALLED: Duration = Duration::from_secs(20 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_that_hangs_stops_the_feeding() {
        let progress = Progress::new();
        let much_later = Instant::now() + STALLED;
        assert!(progress.every_loop_is_alive(Instant::now()));
        assert!(!progress.every_loop_is_alive(much_later));
        progress.sampling.set(much_later);
        assert!(!progress.every_loop_is_alive(much_later));
        progress.connection.set(much_later);
        assert!(progress.every_loop_is_alive(much_later));
    }
}
