//! The device: one loop that measures, one that connects and publishes, and one that feeds the watchdog while the other
//! two go round.

use core::cell::Cell;
use core::net::{IpAddr, SocketAddr};

use device_core::{Backoff, Quantity};
use edge_nal::{Dns, TcpConnect, UdpBind};
use embassy_futures::join::join3;
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Ticker, Timer, with_timeout};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::i2c::I2c;
use mbedtls_rs::TlsReference;
use rand_core::Rng;

use crate::clock::WallClock;
use crate::configuration::Configuration;
use crate::failure::{Failure, Stage};
use crate::login::Login;
use crate::mqtt::{self, Work};
use crate::names::resolve;
use crate::ring::Ring;
use crate::sensor::Sensor;
use crate::sntp::SntpFailure;
use crate::timekeeper::{CLOCK_AGE, Timekeeper};
use crate::tls::{self, Security, SecurityError, TlsFailure};
use crate::watchdog::{Progress, Watchdog, guard};

/// What a platform brings.
pub struct Parts<'a, I, D, S, R, W> {
    /// The bus of the SHT20.
    pub i2c: I,
    /// What the sensor is waited for with.
    pub delay: D,
    /// The network.
    pub stack: &'a S,
    /// Random numbers for jitter and nonces. Those of TLS go to [`mbedtls_rs::Tls`].
    pub random: R,
    /// The watchdog.
    pub watchdog: W,
    /// The clock, installed.
    pub clock: &'static WallClock,
    /// The TLS library.
    pub tls: TlsReference<'a>,
}

/// A device that is ready to run.
pub struct Device<'a, I, D, S, R, W> {
    parts: Parts<'a, I, D, S, R, W>,
    configuration: &'a Configuration<'a>,
    security: Security<'a>,
}

impl<'a, I, D, S, R, W> Device<'a, I, D, S, R, W>
where
    I: I2c,
    D: DelayNs,
    S: TcpConnect + UdpBind + Dns,
    R: Rng,
    W: Watchdog,
{
    /// Puts a device together.
    ///
    /// # Errors
    ///
    /// If a certificate or key of the configuration can't be read.
    pub fn new(
        parts: Parts<'a, I, D, S, R, W>,
        configuration: &'a Configuration<'a>,
    ) -> Result<Self, SecurityError> {
        Ok(Self { parts, configuration, security: Security::new(configuration)? })
    }

    /// Runs until power-off. Measures at once, and connects when the network is `ready`, or after half a minute: an
    /// attempt then says what is missing.
    pub async fn run(self, ready: impl Future<Output = ()>) {
        let Self { parts, configuration, security } = self;
        let Parts { i2c, delay, stack, mut random, mut watchdog, clock, tls } = parts;
        let (ring, progress) = (Ring::new(), Progress::new());
        let time = Timekeeper::new(stack, configuration.time, clock, CLOCK_AGE);
        let link = Link {
            stack,
            tls,
            clock,
            time,
            configuration,
            security,
            ring: &ring,
            progress: &progress,
            connected: Cell::new(None),
        };
        let sensor = Sensor::new(i2c, delay);
        join3(
            sample(sensor, configuration.interval, &ring, &progress),
            async {
                _ = with_timeout(READY_PATIENCE, ready).await;
                link.keep(&mut random).await;
            },
            guard(&mut watchdog, &progress),
        )
        .await;
    }
}

/// Measures both quantities once an interval, connected or not.
async fn sample(
    mut sensor: Sensor<impl I2c, impl DelayNs>,
    interval: Duration,
    ring: &Ring,
    progress: &Progress,
) -> ! {
    let mut ticker = Ticker::every(interval);
    loop {
        let begun = Instant::now();
        for quantity in Quantity::ALL {
            match sensor.measure(quantity).await {
                Ok(reading) => {
                    if let Some(dropped) = ring.push(reading, Instant::now()) {
                        log::warn!("ring: full, {dropped} of the oldest readings are lost so far");
                    }
                }
                Err(failure) => log::warn!("sensor: no {quantity}: {failure}"),
            }
        }
        progress.sampling();
        // Rounds that were missed are not made up for.
        if begun.elapsed() > interval {
            ticker.reset();
        }
        ticker.next().await;
    }
}

struct Link<'a, 'r, S> {
    stack: &'a S,
    tls: TlsReference<'a>,
    clock: &'static WallClock,
    time: Timekeeper<'a, S>,
    configuration: &'a Configuration<'a>,
    security: Security<'a>,
    ring: &'r Ring,
    progress: &'r Progress,
    /// When the server took the last attempt's CONNECT, if it did.
    connected: Cell<Option<Instant>>,
}

/// How long a connection has to hold before the waits begin anew.
const HELD: Duration = Duration::from_secs(60);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const READY_PATIENCE: Duration = Duration::from_secs(30);
const NETWORK_PATIENCE: Duration = Duration::from_secs(20);
const TLS_PATIENCE: Duration = Duration::from_secs(30);

impl<S: TcpConnect + UdpBind + Dns> Link<'_, '_, S> {
    /// Connects again and again, with longer and longer waits in between.
    async fn keep(&self, random: &mut impl Rng) {
        let bounds =
            (device_core::backoff::CONNECT_INTERVAL, core::time::Duration::from_secs(LONGEST_WAIT.as_secs()));
        let Ok(mut backoff) = Backoff::new(bounds.0, bounds.1) else { return };
        loop {
            self.progress.connecting();
            self.connected.set(None);
            let failure = match self.attempt(random).await {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            log::error!("{failure}");
            if held(self.connected.get(), Instant::now()) {
                backoff.reset();
            }
            // The certificate may be right and the clock wrong.
            if let Failure::Tls(TlsFailure::Expired(_) | TlsFailure::NotYetValid(_) | TlsFailure::NoClock) =
                failure
            {
                self.clock.doubt();
            }
            let drawn = backoff.next_delay(random.next_u32());
            // A server that sent a kiss-of-death is left alone for as long as anything here ever is.
            let wait = match failure {
                Failure::Time(SntpFailure::KissOfDeath(_)) => LONGEST_WAIT.as_millis(),
                _ => u64::try_from(drawn.as_millis()).unwrap_or(u64::MAX),
            };
            log::info!("wait: {wait} ms before the next attempt, {} readings wait", self.ring.len());
            self.progress.connecting();
            Timer::after_millis(wait).await;
        }
    }

    async fn attempt(&self, random: &mut impl Rng) -> Result<core::convert::Infallible, Failure> {
        self.time.make_ready(random).await?;
        let now = self.clock.now().ok_or(Failure::Tls(TlsFailure::NoClock))?;
        let login = Login::new(&self.configuration.identity, now, random).ok_or(Failure::Unsendable)?;
        let server = SocketAddr::new(self.address().await?, self.configuration.endpoint.port);
        let socket = with_timeout(NETWORK_PATIENCE, self.stack.connect(server))
            .await
            .map_err(|_| Failure::TimedOut(Stage::Network))?
            .map_err(|_| Failure::Unreachable)?;
        log::info!("network: connected to {server}");
        let session = with_timeout(TLS_PATIENCE, tls::connect(self.tls, socket, &self.security, self.clock))
            .await
            .map_err(|_| Failure::TimedOut(Stage::Tls))?
            .map_err(Failure::Tls)?;
        log::info!("tls: {} is who it says", self.configuration.endpoint.name);
        let work = Work {
            ring: self.ring,
            clock: self.clock,
            progress: self.progress,
            connected: &self.connected,
            will_topic: self.configuration.will_topic,
        };
        match select(mqtt::run(session, &login, &work), self.time.keep(random)).await {
            Either::First(failure) => Err(failure),
            Either::Second(never) => match never {},
        }
    }

    async fn address(&self) -> Result<IpAddr, Failure> {
        let endpoint = self.configuration.endpoint;
        match endpoint.address {
            Some(address) => Ok(address),
            None => resolve(self.stack, endpoint.name).await.ok_or(Failure::NameUnknown),
        }
    }
}

/// Whether a connection held: from its CONNACK on, so that an attempt that took long does not count.
fn held(connected: Option<Instant>, ended: Instant) -> bool {
    connected.is_some_and(|connected| ended.saturating_duration_since(connected) > HELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_that_was_taken_can_have_held() {
        let at = Instant::from_secs;
        assert!(!held(None, at(100)));
        assert!(!held(Some(at(100)), at(160)));
        assert!(held(Some(at(100)), at(161)));
    }
}
