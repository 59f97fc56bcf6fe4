//! The device: one loop that measures, one that connects and publishes, and one that feeds the watchdog while the other
//! two go round.

use core::net::{IpAddr, SocketAddr};

use device_core::{Backoff, Quantity};
use edge_nal::{AddrType, Dns, TcpConnect, UdpBind};
use embassy_futures::join::join3;
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
use crate::ring::Ring;
use crate::sensor::Sensor;
use crate::sntp::{self, SntpFailure};
use crate::tls::{self, Security, SecurityError};
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

    /// Runs until power-off.
    pub async fn run(self) {
        let Self { parts, configuration, security } = self;
        let Parts { i2c, delay, stack, mut random, mut watchdog, clock, tls } = parts;
        let (ring, progress) = (Ring::new(), Progress::new());
        let link = Link { stack, tls, clock, configuration, security, ring: &ring, progress: &progress };
        let sensor = Sensor::new(i2c, delay);
        join3(
            sample(sensor, configuration.interval, &ring, &progress),
            link.keep(&mut random),
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
        ticker.next().await;
    }
}

struct Link<'a, 'r, S> {
    stack: &'a S,
    tls: TlsReference<'a>,
    clock: &'static WallClock,
    configuration: &'a Configuration<'a>,
    security: Security<'a>,
    ring: &'r Ring,
    progress: &'r Progress,
}

/// How long a connection has to hold before the waits begin anew.
const HELD: Duration = Duration::from_secs(60);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A chip's timer is wrong by up to two seconds a day.
const CLOCK_AGE: Duration = Duration::from_secs(24 * 3_600);
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
            let begun = Instant::now();
            let failure = match self.attempt(random).await {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            log::error!("{failure}");
            if begun.elapsed() > HELD {
                backoff.reset();
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
        if self.clock.age().is_none_or(|age| age > CLOCK_AGE) {
            self.set_clock(random.next_u64()).await?;
        }
        let now = self.clock.now().ok_or(Failure::Tls(tls::TlsFailure::NoClock))?;
        let login = Login::new(&self.configuration.identity, now, random).ok_or(Failure::Protocol)?;
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
            will_topic: self.configuration.will_topic,
        };
        Err(mqtt::run(session, &login, &work).await)
    }

    async fn set_clock(&self, nonce: u64) -> Result<(), Failure> {
        let time = self.configuration.time;
        let address = self.resolve(time.host).await.ok_or(Failure::TimeServerUnknown)?;
        let asked = sntp::ask(self.stack, SocketAddr::new(address, time.port), nonce).await;
        let time = asked.map_err(Failure::Time)?;
        self.clock.set(time);
        log::info!("time: {time}");
        Ok(())
    }

    async fn address(&self) -> Result<IpAddr, Failure> {
        let endpoint = self.configuration.endpoint;
        match endpoint.address {
            Some(address) => Ok(address),
            None => self.resolve(endpoint.name).await.ok_or(Failure::NameUnknown),
        }
    }

    async fn resolve(&self, name: &str) -> Option<IpAddr> {
        if let Ok(address) = name.parse() {
            return Some(address);
        }
        with_timeout(NETWORK_PATIENCE, self.stack.get_host_by_name(name, AddrType::IPv4)).await.ok()?.ok()
    }
}
