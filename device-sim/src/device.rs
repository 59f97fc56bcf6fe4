//! The life of one simulated device: connect, measure, publish, and come back when the connection is lost.
//!
//! All that a real device decides is `device_core`'s: the sensor's driver, the topics, the payload, the backoff.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use device_core::backoff::CONNECT_INTERVAL;
use device_core::{
    Backoff, ClientId, ClientIdError, Payload, Quantity, Reading, Sht20, SimulatedSht20, SplitMix64, Topic,
};
use embedded_hal_async::delay::DelayNs;
use mqtt::{QoS, TopicError, TopicName};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::client::{Client, ConnectError, Options, RequestError};
use crate::endpoint::Endpoint;
use crate::event::{Event, What};
use crate::login::Login;

/// What all devices of a fleet have in common.
#[derive(Debug, Clone)]
pub struct Habits {
    /// The time between two readings of the same quantity.
    pub interval: Duration,
    /// How often a device that the server refused tries again.
    pub retries: u32,
    /// How to connect.
    pub options: Options,
}

/// Where a device lives: what it connects to, whom it reports to, and when it stops.
#[derive(Clone)]
pub struct World {
    /// The server.
    pub endpoint: Endpoint,
    /// What devices do.
    pub habits: Habits,
    /// Takes reports. A full channel holds the devices up.
    pub events: Sender<Event>,
    /// Ends every device's life when cancelled.
    pub stop: CancellationToken,
}

/// One simulated device. It has no `Debug`: it holds a password.
pub struct Device {
    index: usize,
    name: Arc<str>,
    login: Login,
    topics: Vec<(Quantity, TopicName)>,
    sensor: Sht20<SimulatedSht20, TokioDelay>,
    random: SplitMix64,
    backoff: Backoff,
}

impl Device {
    /// A device that has not connected yet. The client id decides its readings.
    ///
    /// # Errors
    ///
    /// If the client id can't be part of a topic.
    pub fn new(index: usize, name: &str, login: Login) -> Result<Self, DeviceError> {
        let seed = fnv1a(login.client_id.as_bytes());
        let topics = topics(&login.client_id)?;
        Ok(Self {
            index,
            name: name.into(),
            login,
            topics,
            sensor: Sht20::new(SimulatedSht20::new(seed), TokioDelay),
            random: SplitMix64::new(!seed),
            backoff: Backoff::new(CONNECT_INTERVAL, LONGEST_BACKOFF).map_err(DeviceError::Backoff)?,
        })
    }

    /// Lives until the world stops, or until an attempt to connect fails for good.
    pub async fn run(mut self, world: Arc<World>) {
        let mut retries = world.habits.retries;
        self.report(&world, What::Started).await;
        while let Some(outcome) = self.connect(&world).await {
            match outcome {
                Ok(client) => match self.live(client, &world).await {
                    Some(error) => self.report(&world, What::Lost(error)).await,
                    None => return,
                },
                Err(error) => {
                    let again = may_retry(&error, &mut retries);
                    self.report(&world, What::NotConnected { error, again }).await;
                    if !again {
                        return;
                    }
                }
            }
            let delay = self.backoff.next_delay(self.random.next_u32());
            if world.stop.run_until_cancelled(sleep(delay)).await.is_none() {
                return;
            }
        }
    }
}

/// Why a device can't be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The client id can't be part of a topic.
    #[error(transparent)]
    ClientId(#[from] ClientIdError),
    /// The topic is none; a valid client id always makes one.
    #[error("no topic for this client id: {0}")]
    Topic(#[from] TopicError),
    /// The backoff's bounds are wrong; they are constants.
    #[error(transparent)]
    Backoff(device_core::backoff::BoundsError),
}

impl Device {
    /// One attempt, or nothing if the world stops first.
    async fn connect(&self, world: &World) -> Option<Result<Client, ConnectError>> {
        let began = Instant::now();
        let attempt = Client::connect(&world.endpoint, &self.login, &world.habits.options);
        let outcome = world.stop.run_until_cancelled(attempt).await?;
        if outcome.is_ok() {
            self.report(world, What::Connected(began.elapsed())).await;
        }
        Some(outcome)
    }

    /// Publishes until the connection is lost, which it returns, or the world stops.
    async fn live(&mut self, mut client: Client, world: &World) -> Option<RequestError> {
        let mut rounds = interval(world.habits.interval);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held = false;
        loop {
            tokio::select! {
                biased;
                () = world.stop.cancelled() => break,
                closed = client.closed() => return Some(closed.into()),
                _ = rounds.tick() => {}
            }
            if held {
                self.backoff.reset();
            }
            held = true;
            if let Err(error) = self.publish_all(&mut client, world).await {
                return Some(error);
            }
        }
        client.disconnect().await;
        None
    }

    /// One reading of each quantity. What is returned ends the connection.
    async fn publish_all(&mut self, client: &mut Client, world: &World) -> Result<(), RequestError> {
        for (quantity, topic) in self.topics.clone() {
            let Ok(reading) = self.sensor.measure(quantity).await else {
                // As on a device: whatever is wrong, a restart is what can be tried. Its failure shows again.
                self.sensor.reset().await.unwrap_or_default();
                self.report(world, What::SensorFailed).await;
                continue;
            };
            self.publish(client, topic, reading, world).await?;
        }
        Ok(())
    }

    async fn publish(
        &self,
        client: &mut Client,
        topic: TopicName,
        reading: Reading,
        world: &World,
    ) -> Result<(), RequestError> {
        let payload = Payload { reading, ts: seconds_since_1970() }.to_string();
        let sent = Instant::now();
        let outcome = client.publish(topic, payload, QoS::AtLeastOnce).await;
        let what = match &outcome {
            Ok(()) => What::Acknowledged(reading, sent.elapsed()),
            Err(error) => What::Failed(error.clone()),
        };
        self.report(world, what).await;
        match outcome {
            Err(error @ (RequestError::Closed(_) | RequestError::NotAcknowledged(_))) => Err(error),
            _ => Ok(()),
        }
    }

    async fn report(&self, world: &World, what: What) {
        let event = Event { index: self.index, device: Arc::clone(&self.name), what };
        // Nobody listens any more once the fleet has been dropped.
        world.events.send(event).await.unwrap_or_default();
    }
}

/// The longest that a device waits before it tries again.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

fn may_retry(error: &ConnectError, retries: &mut u32) -> bool {
    if !error.is_refusal() {
        return error.is_retryable();
    }
    let left = retries.checked_sub(1);
    *retries = left.unwrap_or(0);
    left.is_some()
}

fn topics(client_id: &str) -> Result<Vec<(Quantity, TopicName)>, DeviceError> {
    let client_id = ClientId::try_from(client_id)?;
    let topic = |quantity| {
        let topic = Topic { client_id, quantity }.to_string();
        Ok((quantity, TopicName::try_from(topic.as_str())?))
    };
    Quantity::ALL.into_iter().map(topic).collect()
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// FNV-1a: the same on every machine and in every version, so a device's readings are.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Waits as long as the real sensor takes.
struct TokioDelay;

impl DelayNs for TokioDelay {
    async fn delay_ns(&mut self, ns: u32) {
        sleep(Duration::from_nanos(ns.into())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Password;
    use mqtt::ConnectReasonCode;

    #[test]
    fn the_topics_are_those_of_the_client_id() {
        let login = |id: &str| Login {
            client_id: id.to_owned(),
            user_name: String::new(),
            password: Password::from("x"),
        };
        let device = Device::new(0, "a", login("sht20")).ok().unwrap();
        let topics: Vec<&str> = device.topics.iter().map(|(_, topic)| topic.as_str()).collect();
        assert_eq!(topics, ["sensor/sht20/temperature", "sensor/sht20/humidity"]);
        let error = Device::new(0, "a", login("a/b")).err().unwrap();
        assert_eq!(error, DeviceError::ClientId(ClientIdError::Character('/')));
    }

    #[test]
    fn a_devices_task_is_small() {
        fn future_size<A, B, F>(_: fn(A, B) -> F) -> usize {
            size_of::<F>()
        }
        assert!(future_size(Device::run) <= 4_096, "{} bytes", future_size(Device::run));
    }

    #[test]
    fn refusals_use_up_the_retries_and_nothing_else_does() {
        let mut retries = 1;
        let refused = ConnectError::Refused { code: ConnectReasonCode::NotAuthorized, reason: None };
        let unreachable =
            ConnectError::Tcp { address: String::new(), source: std::io::ErrorKind::TimedOut.into() };
        assert!(may_retry(&unreachable, &mut retries));
        assert!(may_retry(&ConnectError::ClosedBeforeConnAck, &mut retries));
        assert!(!may_retry(&refused, &mut retries));
        assert!(may_retry(&unreachable, &mut retries));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
