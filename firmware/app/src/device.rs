//! The device: one loop measures, one connects and publishes, and one feeds the watchdog while the other two make
//! progress.

use core::cell::Cell;

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
use crate::error::{ConnectionError, Stage};
use crate::login::Login;
use crate::mqtt::Publisher;
use crate::network;
use crate::ring::Ring;
use crate::sensor::Sensor;
use crate::sntp::SntpError;
use crate::time_sync::{MAX_CLOCK_AGE, TimeSync};
use crate::tls::{self, TlsConfig, TlsConfigError, TlsError};
use crate::watchdog::{Progress, Watchdog, feed_while_alive};

/// What a platform provides.
pub struct Platform<'a, I, D, S, R, W> {
    /// The I²C bus of the SHT20.
    pub i2c: I,
    /// The delay of the sensor's driver.
    pub delay: D,
    /// The network stack.
    pub stack: &'a S,
    /// Random numbers for jitter and nonces. Those of TLS belong to [`mbedtls_rs::Tls`].
    pub random: R,
    /// The watchdog, started.
    pub watchdog: W,
    /// The clock, [installed](WallClock::install).
    pub clock: &'static WallClock,
    /// The TLS library.
    pub tls: TlsReference<'a>,
}

/// A device that is ready to run.
pub struct Device<'a, I, D, S, R, W> {
    platform: Platform<'a, I, D, S, R, W>,
    configuration: &'a Configuration<'a>,
    tls_config: TlsConfig<'a>,
}

impl<'a, I, D, S, R, W> Device<'a, I, D, S, R, W>
where
    I: I2c,
    D: DelayNs,
    S: TcpConnect + UdpBind + Dns,
    R: Rng,
    W: Watchdog,
{
    /// A device with this configuration.
    ///
    /// # Errors
    ///
    /// If mbedtls can't read a certificate or key of the configuration.
    pub fn new(
        platform: Platform<'a, I, D, S, R, W>,
        configuration: &'a Configuration<'a>,
    ) -> Result<Self, TlsConfigError> {
        Ok(Self { platform, configuration, tls_config: TlsConfig::new(configuration)? })
    }

    /// Runs until power-off. Measures at once, and connects when `network_up` is done, or after half a minute, so that
    /// the failed attempt logs what is missing.
    pub async fn run(self, network_up: impl Future<Output = ()>) {
        let Self { platform, configuration, tls_config } = self;
        let Platform { i2c, delay, stack, mut random, mut watchdog, clock, tls } = platform;
        let (ring, progress) = (Ring::new(), Progress::new());
        let connector = Connector {
            stack,
            tls,
            clock,
            time_sync: TimeSync::new(stack, configuration.time, clock, MAX_CLOCK_AGE),
            configuration,
            tls_config,
            ring: &ring,
            progress: &progress,
            connected: Cell::new(None),
        };
        let sensor = Sensor::new(i2c, delay);
        join3(
            sample(sensor, configuration.interval, &ring, &progress),
            async {
                _ = with_timeout(NETWORK_UP_TIMEOUT, network_up).await;
                connector.run(&mut random).await;
            },
            feed_while_alive(&mut watchdog, &progress),
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
                        log::warn!("ring: full; oldest readings lost so far: {dropped}");
                    }
                }
                Err(error) => log::warn!("sensor: no {quantity}: {error}"),
            }
        }
        progress.sampling_alive();
        // Intervals that were missed are not caught up.
        if begun.elapsed() > interval {
            ticker.reset();
        }
        ticker.next().await;
    }
}

/// Connects the device to its server, again and again.
struct Connector<'a, 'r, S> {
    stack: &'a S,
    tls: TlsReference<'a>,
    clock: &'static WallClock,
    time_sync: TimeSync<'a, S>,
    configuration: &'a Configuration<'a>,
    tls_config: TlsConfig<'a>,
    ring: &'r Ring,
    progress: &'r Progress,
    /// When the server accepted the CONNECT of the last attempt, if it did.
    connected: Cell<Option<Instant>>,
}

/// A connection that lasts longer resets the backoff.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// The longest wait between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
const NETWORK_UP_TIMEOUT: Duration = Duration::from_secs(30);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

impl<S: TcpConnect + UdpBind + Dns> Connector<'_, '_, S> {
    /// Connects, publishes, and after each failure waits and connects again.
    async fn run(&self, random: &mut impl Rng) {
        let max = core::time::Duration::from_secs(MAX_BACKOFF.as_secs());
        let Ok(mut backoff) = Backoff::new(device_core::backoff::CONNECT_INTERVAL, max) else { return };
        loop {
            self.progress.connection_alive();
            self.connected.set(None);
            let error = match self.attempt(random).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            log::error!("{error}");
            if was_stable(self.connected.get(), Instant::now()) {
                backoff.reset();
            }
            // The certificate may be right and the clock wrong.
            if let ConnectionError::Tls(TlsError::Expired(_) | TlsError::NotYetValid(_) | TlsError::NoClock) =
                error
            {
                self.clock.mark_suspect();
            }
            let delay = backoff.next_delay(random.next_u32());
            // After a kiss-of-death the server is not asked again before the longest wait is over.
            let wait = match error {
                ConnectionError::Time(SntpError::KissOfDeath(_)) => MAX_BACKOFF.as_millis(),
                _ => u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            };
            log::info!("wait: {wait} ms before the next attempt; readings queued: {}", self.ring.len());
            self.progress.connection_alive();
            Timer::after_millis(wait).await;
        }
    }

    async fn attempt(&self, random: &mut impl Rng) -> Result<core::convert::Infallible, ConnectionError> {
        self.time_sync.before_connect(random).await?;
        let now = self.clock.now().ok_or(ConnectionError::Tls(TlsError::NoClock))?;
        let login =
            Login::new(&self.configuration.identity, now, random).ok_or(ConnectionError::PacketTooLarge)?;
        let socket = network::connect(self.stack, &self.configuration.endpoint).await?;
        let handshake = tls::connect(self.tls, socket, &self.tls_config, self.clock);
        let session = with_timeout(HANDSHAKE_TIMEOUT, handshake)
            .await
            .map_err(|_| ConnectionError::Timeout(Stage::Tls))?
            .map_err(ConnectionError::Tls)?;
        log::info!("tls: verified {}", self.configuration.endpoint.name);
        let publisher = Publisher {
            ring: self.ring,
            clock: self.clock,
            progress: self.progress,
            connected: &self.connected,
            will_topic: self.configuration.will_topic,
        };
        match select(publisher.run(session, &login), self.time_sync.during_connection(random)).await {
            Either::First(outcome) => outcome,
            Either::Second(never) => match never {},
        }
    }
}

/// Whether a connection lasted long enough, counted from its CONNACK, so that a slow attempt does not count.
fn was_stable(connected: Option<Instant>, ended: Instant) -> bool {
    connected.is_some_and(|connected| ended.saturating_duration_since(connected) > STABLE_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_that_was_accepted_and_lasted_is_stable() {
        let at = Instant::from_secs;
        assert!(!was_stable(None, at(100)));
        assert!(!was_stable(Some(at(100)), at(160)));
        assert!(was_stable(Some(at(100)), at(161)));
    }
}
