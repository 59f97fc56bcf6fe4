//! Keeps the clock right: before an attempt to connect, and during a long connection.

use core::cell::Cell;
use core::net::SocketAddr;

use edge_nal::{Dns, UdpBind};
use embassy_time::{Duration, Instant, Timer};
use rand_core::Rng;

use crate::clock::WallClock;
use crate::configuration::TimeServer;
use crate::error::ConnectionError;
use crate::network::resolve;
use crate::sntp;

/// The age at which the clock is set again: a chip's timer drifts by up to two seconds a day.
pub(crate) const MAX_CLOCK_AGE: Duration = Duration::from_secs(24 * 3_600);
/// The least time between two requests that are not urgent.
const MIN_REQUEST_INTERVAL: Duration = Duration::from_secs(300);

/// The device's clock and the server that sets it.
pub(crate) struct TimeSync<'a, S> {
    stack: &'a S,
    server: TimeServer<'a>,
    clock: &'static WallClock,
    max_age: Duration,
    last_request: Cell<Option<Instant>>,
}

impl<'a, S: UdpBind + Dns> TimeSync<'a, S> {
    pub(crate) const fn new(
        stack: &'a S,
        server: TimeServer<'a>,
        clock: &'static WallClock,
        max_age: Duration,
    ) -> Self {
        Self { stack, server, clock, max_age, last_request: Cell::new(None) }
    }

    /// Sets the clock if it is unset or suspect, and fails if it can't. A clock that is only old is set too, but a
    /// server that does not answer does not prevent the connection then.
    pub(crate) async fn before_connect(&self, random: &mut impl Rng) -> Result<(), ConnectionError> {
        if self.clock.age().is_none() || self.clock.is_suspect() {
            return self.set_clock(random).await;
        }
        self.refresh_if_due(random).await;
        Ok(())
    }

    /// Sets the clock whenever it is old.
    pub(crate) async fn during_connection(&self, random: &mut impl Rng) -> core::convert::Infallible {
        loop {
            self.refresh_if_due(random).await;
            Timer::after(MIN_REQUEST_INTERVAL).await;
        }
    }

    async fn refresh_if_due(&self, random: &mut impl Rng) {
        let old = self.clock.age().is_none_or(|age| age >= self.max_age);
        if !old || self.last_request.get().is_some_and(|last| last.elapsed() < MIN_REQUEST_INTERVAL) {
            return;
        }
        if let Err(error) = self.set_clock(random).await {
            let age = self.clock.age().unwrap_or_default().as_secs();
            log::warn!("{error}; continuing with the clock, which was set {age} s ago");
        }
    }

    async fn set_clock(&self, random: &mut impl Rng) -> Result<(), ConnectionError> {
        self.last_request.set(Some(Instant::now()));
        let address =
            resolve(self.stack, self.server.host).await.ok_or(ConnectionError::TimeServerNotFound)?;
        let server = SocketAddr::new(address, self.server.port);
        let time =
            sntp::request(self.stack, server, random.next_u64()).await.map_err(ConnectionError::Time)?;
        self.clock.set(time);
        log::info!("time: {time}");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
