//! One simulated device: it connects, measures, publishes, and connects again when the connection is lost.
//!
//! The sensor's driver, the topics, the payload and the backoff are `device_core`'s, as on a real device.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use device_core::backoff::CONNECT_INTERVAL;
use device_core::{
    Backoff, ClientId, ClientIdError, Payload, Quantity, Reading, Sht20, SimulatedSht20, SplitMix64, Topic,
};
use embedded_hal_async::delay::DelayNs;
use mqtt::{Publish, QoS, TopicError, TopicName};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::client::{Authorization, Client, Closed, ConnectError, HttpsPublisher, Options, RequestError};
use crate::endpoint::{Endpoint, Transport};
use crate::login::Login;

/// What the devices of a fleet do.
#[derive(Debug, Clone)]
pub struct Behavior {
    /// The time between two readings of the same quantity.
    pub interval: Duration,
    /// How many times a device that the server refused tries again.
    pub retries: u32,
    /// How to connect.
    pub options: Options,
    /// What HTTPS requests are authorized by.
    pub authorization: Authorization,
}

/// A device's connection, by any way in.
pub enum Connection {
    /// MQTT, over TLS, a WebSocket or TCP.
    Mqtt(Client),
    /// A request for each message.
    Https(Box<HttpsPublisher>),
}

impl Connection {
    /// Connects as the endpoint's transport says.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn open(
        endpoint: &Endpoint,
        login: &Login,
        options: &Options,
        authorization: Authorization,
    ) -> Result<Self, ConnectError> {
        if endpoint.transport() == Transport::Https {
            let publisher = Box::pin(HttpsPublisher::connect(endpoint, login, authorization, options));
            return Ok(Self::Https(Box::new(publisher.await?)));
        }
        Ok(Self::Mqtt(Client::connect(endpoint, login, options).await?))
    }

    /// Publishes a message, as [`Client::publish_message`].
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn publish(&mut self, publish: Publish) -> Result<(), RequestError> {
        match self {
            Self::Mqtt(client) => client.publish_message(publish).await,
            Self::Https(publisher) => Box::pin(publisher.publish(&publish)).await,
        }
    }

    /// Waits for its end. Messages that come are dropped. Over HTTPS there is none: the next message opens a connection
    /// again.
    pub async fn closed(&mut self) -> Closed {
        match self {
            Self::Mqtt(client) => client.closed().await,
            Self::Https(_) => std::future::pending().await,
        }
    }

    /// Ends it as a device does that is switched off in good order.
    pub async fn disconnect(self) {
        if let Self::Mqtt(client) = self {
            client.disconnect().await;
        }
    }
}

/// What the devices of a fleet share.
#[derive(Clone)]
pub struct FleetContext {
    /// The server.
    pub endpoint: Endpoint,
    /// What the devices do.
    pub behavior: Behavior,
    /// Receives the events. Devices wait while it is full.
    pub events: Sender<Event>,
    /// Stops every device when it is cancelled.
    pub stop: CancellationToken,
}

/// Something that happened to a device, as the device reports it.
#[derive(Debug)]
pub struct Event {
    /// The device's index in the plan, from 0.
    pub index: usize,
    /// The device's name.
    pub device: Arc<str>,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen to a device.
#[derive(Debug)]
pub enum EventKind {
    /// It begins its first attempt to connect.
    Started,
    /// The server accepted it. The duration is that of the attempt.
    Connected(Duration),
    /// An attempt failed.
    NotConnected {
        /// Why.
        error: ConnectError,
        /// Whether the device tries again.
        again: bool,
    },
    /// A reading was published and acknowledged. The duration is that from one to the other.
    Acknowledged(Reading, Duration),
    /// A reading was published and not acknowledged.
    Failed(RequestError),
    /// The connection was lost, or closed because nothing was acknowledged. The device connects again.
    Lost(RequestError),
    /// The sensor gave no reading.
    SensorFailed,
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
    /// A device that has not connected yet. Its readings depend on its client id only.
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

    /// Runs until the fleet is stopped, or until an attempt to connect fails for good.
    pub async fn run(mut self, fleet: Arc<FleetContext>) {
        let mut retries = fleet.behavior.retries;
        self.report(&fleet, EventKind::Started).await;
        while let Some(outcome) = self.connect(&fleet).await {
            match outcome {
                Ok(client) => match self.publish_until_lost(client, &fleet).await {
                    Some(error) => self.report(&fleet, EventKind::Lost(error)).await,
                    None => return,
                },
                Err(error) => {
                    let again = may_retry(&error, &mut retries);
                    self.report(&fleet, EventKind::NotConnected { error, again }).await;
                    if !again {
                        return;
                    }
                }
            }
            let delay = self.backoff.next_delay(self.random.next_u32());
            if fleet.stop.run_until_cancelled(sleep(delay)).await.is_none() {
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
    /// The client id makes no topic. A valid one always does.
    #[error("no topic for this client id: {0}")]
    Topic(#[from] TopicError),
    /// The backoff's bounds are wrong; they are constants.
    #[error(transparent)]
    Backoff(device_core::backoff::BoundsError),
}

impl Device {
    /// Makes one attempt. Returns nothing if the fleet is stopped first.
    async fn connect(&self, fleet: &FleetContext) -> Option<Result<Connection, ConnectError>> {
        let began = Instant::now();
        let Behavior { options, authorization, .. } = &fleet.behavior;
        let attempt = Connection::open(&fleet.endpoint, &self.login, options, *authorization);
        let outcome = fleet.stop.run_until_cancelled(attempt).await?;
        if outcome.is_ok() {
            self.report(fleet, EventKind::Connected(began.elapsed())).await;
        }
        Some(outcome)
    }

    /// Publishes until the connection is lost or the fleet is stopped. Returns why the connection was lost.
    async fn publish_until_lost(
        &mut self,
        mut client: Connection,
        fleet: &FleetContext,
    ) -> Option<RequestError> {
        let mut rounds = interval(fleet.behavior.interval);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held = false;
        loop {
            tokio::select! {
                biased;
                () = fleet.stop.cancelled() => break,
                closed = client.closed() => return Some(closed.into()),
                _ = rounds.tick() => {}
            }
            if held {
                self.backoff.reset();
            }
            held = true;
            if let Err(error) = self.publish_all(&mut client, fleet).await {
                return Some(error);
            }
        }
        client.disconnect().await;
        None
    }

    /// Publishes one reading of each quantity. An error ends the connection.
    async fn publish_all(
        &mut self,
        client: &mut Connection,
        fleet: &FleetContext,
    ) -> Result<(), RequestError> {
        for (quantity, topic) in self.topics.clone() {
            let Ok(reading) = self.sensor.measure(quantity).await else {
                // A device can only restart its sensor. If that fails, the next measurement fails too.
                self.sensor.reset().await.unwrap_or_default();
                self.report(fleet, EventKind::SensorFailed).await;
                continue;
            };
            self.publish(client, topic, reading, fleet).await?;
        }
        Ok(())
    }

    async fn publish(
        &self,
        client: &mut Connection,
        topic: TopicName,
        reading: Reading,
        fleet: &FleetContext,
    ) -> Result<(), RequestError> {
        let payload = Payload { reading, ts: seconds_since_1970() }.to_string();
        let sent = Instant::now();
        let mut message = Publish::new(topic, payload);
        message.qos = QoS::AtLeastOnce;
        let outcome = client.publish(message).await;
        let kind = match &outcome {
            Ok(()) => EventKind::Acknowledged(reading, sent.elapsed()),
            Err(error) => EventKind::Failed(error.clone()),
        };
        self.report(fleet, kind).await;
        match outcome {
            Err(error @ (RequestError::Closed(_) | RequestError::NotAcknowledged(_))) => Err(error),
            _ => Ok(()),
        }
    }

    async fn report(&self, fleet: &FleetContext, kind: EventKind) {
        let event = Event { index: self.index, device: Arc::clone(&self.name), kind };
        // The channel is closed once the fleet has been dropped.
        fleet.events.send(event).await.unwrap_or_default();
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

/// FNV-1a. A device's readings are the same on every machine and in every version, because this hash is.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Waits as long as a real sensor needs.
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
