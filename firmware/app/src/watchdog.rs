//! The watchdog: it restarts a device that hangs.

use core::cell::Cell;

use embassy_time::{Duration, Instant, Timer};

/// A timer of the platform's that restarts the device if it is not fed within [`LIMIT`].
pub trait Watchdog {
    /// Starts the time anew.
    fn feed(&mut self);
}

/// What a platform sets its watchdog to. One handshake's arithmetic takes a chip up to two seconds.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What the loops say of themselves: that they still go round.
pub(crate) struct Progress {
    sampled: Cell<Instant>,
    connected: Cell<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { sampled: Cell::new(now), connected: Cell::new(now) }
    }

    pub(crate) fn sampling(&self) {
        self.sampled.set(Instant::now());
    }

    pub(crate) fn connecting(&self) {
        self.connected.set(Instant::now());
    }

    fn is_made(&self, now: Instant) -> bool {
        [&self.sampled, &self.connected]
            .iter()
            .all(|last| now.saturating_duration_since(last.get()) < STALLED)
    }
}

/// Feeds the watchdog for as long as every loop goes round; a loop that hangs starves it.
pub(crate) async fn guard(watchdog: &mut impl Watchdog, progress: &Progress) -> ! {
    loop {
        if progress.is_made(Instant::now()) {
            watchdog.feed();
        }
        Timer::after(FEED).await;
    }
}

const FEED: Duration = Duration::from_secs(5);
/// More than any wait of a loop: backoff ends at five minutes, a sampling interval at fifteen.
const STALLED: Duration = Duration::from_secs(20 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_that_hangs_starves_it() {
        let progress = Progress::new();
        let much_later = Instant::now() + STALLED;
        assert!(progress.is_made(Instant::now()));
        assert!(!progress.is_made(much_later));
        progress.sampled.set(much_later);
        assert!(!progress.is_made(much_later));
        progress.connected.set(much_later);
        assert!(progress.is_made(much_later));
    }
}
