//! Who sees to it that the clock is right: before an attempt to connect, and during a long connection.

use core::cell::Cell;
use core::net::SocketAddr;

use edge_nal::{Dns, UdpBind};
use embassy_time::{Duration, Instant, Timer};
use rand_core::Rng;

use crate::clock::WallClock;
use crate::configuration::TimeServer;
use crate::failure::Failure;
use crate::names::resolve;
use crate::sntp;

/// How old a clock may become: a chip's timer is wrong by up to two seconds a day.
pub(crate) const CLOCK_AGE: Duration = Duration::from_secs(24 * 3_600);
/// How long a server is left alone between two questions that are not urgent.
const PAUSE: Duration = Duration::from_secs(300);

/// The device's clock and who is asked for the time.
pub(crate) struct Timekeeper<'a, S> {
    stack: &'a S,
    server: TimeServer<'a>,
    clock: &'static WallClock,
    /// The age at which the clock is old.
    old: Duration,
    asked: Cell<Option<Instant>>,
}

impl<'a, S: UdpBind + Dns> Timekeeper<'a, S> {
    pub(crate) const fn new(
        stack: &'a S,
        server: TimeServer<'a>,
        clock: &'static WallClock,
        old: Duration,
    ) -> Self {
        Self { stack, server, clock, old, asked: Cell::new(None) }
    }

    /// Asks for the time if the clock is not set, or a certificate spoke against it. A clock that is only old is asked
    /// about too, but a server that does not answer then keeps nobody from connecting.
    pub(crate) async fn make_ready(&self, random: &mut impl Rng) -> Result<(), Failure> {
        if self.clock.age().is_none() || self.clock.is_doubted() {
            return self.ask(random).await;
        }
        if self.is_due() {
            self.ask_if_possible(random).await;
        }
        Ok(())
    }

    /// Asks again whenever the clock has become old.
    pub(crate) async fn keep(&self, random: &mut impl Rng) -> core::convert::Infallible {
        loop {
            if self.is_due() {
                self.ask_if_possible(random).await;
            }
            Timer::after(PAUSE).await;
        }
    }

    fn is_due(&self) -> bool {
        self.clock.age().is_none_or(|age| age >= self.old)
            && self.asked.get().is_none_or(|asked| asked.elapsed() >= PAUSE)
    }

    async fn ask_if_possible(&self, random: &mut impl Rng) {
        if let Err(failure) = self.ask(random).await {
            log::warn!("{failure}; going on with a clock that was set {} s ago", self.age_seconds());
        }
    }

    fn age_seconds(&self) -> u64 {
        self.clock.age().unwrap_or_default().as_secs()
    }

    async fn ask(&self, random: &mut impl Rng) -> Result<(), Failure> {
        self.asked.set(Some(Instant::now()));
        let address = resolve(self.stack, self.server.host).await.ok_or(Failure::TimeServerUnknown)?;
        let server = SocketAddr::new(address, self.server.port);
        let time = sntp::ask(self.stack, server, random.next_u64()).await.map_err(Failure::Time)?;
        self.clock.set(time);
        log::info!("time: {time}");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
