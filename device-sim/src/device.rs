//! One simulated device: it connects, measures, publishes, and connects again when the connection is lost.
//!
//! The sensor's driver, the topics, the payload and the backoff are `device_core`'s, as on a real device.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use device_core::backoff::CONNECT_INTERVAL;
use device_core::{
    Backoff, ClientId, ClientIdError, Payload, Quantity, Reading, Sht20, SplitMix64, Topic, sht20,
};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::i2c::ErrorKind;
use mqtt::{Publish, QoS, TopicError, TopicName};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, Sleep, interval, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::{Authorization, Client, Closed, ConnectError, HttpsPublisher, Options, RequestError};
use crate::endpoint::{Endpoint, Transport};
use crate::faults::ways::FaultyWays;
use crate::faults::{DeviceFault, HERD_INTERVALS, MAX_LINK_INTERVALS, OVERSIZE_BYTES, another, device_key};
use crate::fleet_time::FleetTime;
use crate::login::Login;
use crate::sensor::{Moment, RoomAir, Sensor, prepare};

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
pub struct FleetContext {
    /// The server.
    pub endpoint: Endpoint,
    /// Other ways to the server, of devices whose fault is there.
    pub ways: FaultyWays,
    /// What the devices do.
    pub behavior: Behavior,
    /// The time that the devices tell.
    pub time: FleetTime,
    /// Whether a device has reached the server.
    pub reached: AtomicBool,
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
    /// The device's fault ended the connection. The device connects again.
    LinkCut,
    /// The sensor gave no reading. This is a stable name of why, in `snake_case`.
    SensorFailed(&'static str),
    /// No device of the fleet has reached the server, so this one ends the run.
    GaveUp,
}

/// One simulated device. It has no `Debug`: it holds a password.
pub struct Device {
    index: usize,
    name: Arc<str>,
    login: Login,
    topics: Vec<(Quantity, TopicName)>,
    sensor: Sht20<Sensor, TokioDelay>,
    random: SplitMix64,
    backoff: Backoff,
    /// In a box of its own, so that healthy devices don't keep the room for it.
    faulty: Option<Box<Faulty>>,
}

/// What only a device with a fault on demand has.
struct Faulty {
    fault: DeviceFault,
    /// When it ends the connection.
    cut: Option<Pin<Box<Sleep>>>,
    /// Ends the device's twin with it.
    twin: Option<DropGuard>,
}

impl Device {
    /// A device that has not connected yet. Its readings depend on the seed, on its name and on the time only.
    ///
    /// # Errors
    ///
    /// If the client id can't be part of a topic.
    pub fn new(
        index: usize,
        name: &str,
        mut login: Login,
        seed: u64,
        fault: Option<DeviceFault>,
    ) -> Result<Self, DeviceError> {
        let key = device_key(name);
        let topics = match fault {
            Some(DeviceFault::WrongTopic) => topics(&another(&login.client_id))?,
            _ => topics(&login.client_id)?,
        };
        if let Some(fault) = fault {
            fault.spoil_login(&mut login);
        }
        Ok(Self {
            index,
            name: name.into(),
            login,
            topics,
            sensor: Sht20::new(Sensor::in_air(RoomAir::new(seed, key)), TokioDelay),
            random: SplitMix64::new(!key ^ seed),
            backoff: Backoff::new(CONNECT_INTERVAL, LONGEST_BACKOFF).map_err(DeviceError::Backoff)?,
            faulty: fault.map(|fault| Box::new(Faulty { fault, cut: None, twin: None })),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its fault on demand.
    #[must_use]
    pub fn fault(&self) -> Option<DeviceFault> {
        self.faulty.as_ref().map(|faulty| faulty.fault)
    }

    /// Runs until the fleet is stopped, or until an attempt to connect fails for good.
    pub async fn run(mut self, fleet: Arc<FleetContext>) {
        let mut retries = fleet.behavior.retries;
        let mut attempts_to_reach = ATTEMPTS_TO_REACH;
        self.report(&fleet, EventKind::Started).await;
        while let Some(outcome) = self.connect(&fleet).await {
            let mut link_cut = false;
            match outcome {
                Ok(client) => match self.publish_until_ended(client, &fleet).await {
                    Ended::Stopped => return,
                    Ended::Lost(error) => self.report(&fleet, EventKind::Lost(error)).await,
                    Ended::LinkCut => {
                        link_cut = true;
                        self.report(&fleet, EventKind::LinkCut).await;
                    }
                },
                Err(error) => {
                    let again = may_retry(&error, self.fault(), &mut retries);
                    self.report(&fleet, EventKind::NotConnected { error, again }).await;
                    if !again {
                        return;
                    }
                    attempts_to_reach -= 1;
                    if attempts_to_reach == 0 && !fleet.reached.load(Ordering::Relaxed) {
                        self.report(&fleet, EventKind::GaveUp).await;
                        fleet.stop.cancel();
                        return;
                    }
                    attempts_to_reach = attempts_to_reach.max(1);
                }
            }
            let delay = match self.fault() {
                Some(DeviceFault::Herd) if link_cut => Duration::ZERO,
                Some(DeviceFault::Herd) => CONNECT_INTERVAL,
                _ => self.backoff.next_delay(self.random.next_u32()),
            };
            if fleet.stop.run_until_cancelled(sleep(delay)).await.is_none() {
                return;
            }
        }
    }
}

/// How a connection that was accepted came to its end.
enum Ended {
    /// The fleet is stopped.
    Stopped,
    /// The server or the network ended it.
    Lost(RequestError),
    /// The device's fault ended it.
    LinkCut,
}

/// If no device of a fleet has ever reached the server, the first one that has failed this many times ends the run.
pub(crate) const ATTEMPTS_TO_REACH: u32 = 4;

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
        let endpoint = fleet.ways.endpoint(self.fault()).unwrap_or(&fleet.endpoint);
        let attempt = Connection::open(endpoint, &self.login, options, *authorization);
        let outcome = fleet.stop.run_until_cancelled(attempt).await?;
        if outcome.as_ref().map_or_else(ConnectError::is_refusal, |_| true) {
            fleet.reached.store(true, Ordering::Relaxed);
        }
        if outcome.is_ok() {
            self.report(fleet, EventKind::Connected(began.elapsed())).await;
        }
        Some(outcome)
    }

    /// Publishes until the connection ends or the fleet is stopped.
    async fn publish_until_ended(&mut self, mut client: Connection, fleet: &Arc<FleetContext>) -> Ended {
        let mut rounds = interval(fleet.behavior.interval);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.plan_cut(fleet);
        let mut held = false;
        loop {
            tokio::select! {
                biased;
                () = fleet.stop.cancelled() => break,
                closed = client.closed() => return Ended::Lost(closed.into()),
                () = poll_fn(|context| cut(&mut self.faulty, context)) => return Ended::LinkCut,
                _ = rounds.tick() => {}
            }
            if held {
                self.backoff.reset();
            }
            held = true;
            if let Err(error) = self.publish_all(&mut client, fleet).await {
                return Ended::Lost(error);
            }
            self.start_twin(fleet);
        }
        client.disconnect().await;
        Ended::Stopped
    }

    /// Publishes one reading of each quantity. An error ends the connection.
    async fn publish_all(
        &mut self,
        client: &mut Connection,
        fleet: &FleetContext,
    ) -> Result<(), RequestError> {
        let fault = self.fault();
        let now = fleet.time.of_round(self.index, fleet.behavior.interval, fault);
        prepare(self.sensor.bus_mut(), now, fault);
        for (quantity, topic) in self.topics.clone() {
            let reading = match self.sensor.measure(quantity).await {
                Ok(reading) => reading,
                Err(error) => {
                    // A device can only restart its sensor. If that fails, the next measurement fails too.
                    self.sensor.reset().await.unwrap_or_default();
                    self.report(fleet, EventKind::SensorFailed(sensor_error(error))).await;
                    continue;
                }
            };
            self.publish(client, topic, reading, now, fleet).await?;
        }
        Ok(())
    }

    async fn publish(
        &self,
        client: &mut Connection,
        topic: TopicName,
        reading: Reading,
        now: Moment,
        fleet: &FleetContext,
    ) -> Result<(), RequestError> {
        let mut payload = Payload { reading, ts: now.seconds() }.to_string();
        if self.fault() == Some(DeviceFault::Oversize) {
            // Still JSON.
            payload.extend(std::iter::repeat_n(' ', OVERSIZE_BYTES - payload.len()));
        }
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

    /// Plans when the device's fault ends the connection that begins now.
    fn plan_cut(&mut self, fleet: &FleetContext) {
        let Some(faulty) = &mut self.faulty else { return };
        let interval = fleet.behavior.interval;
        let at = match faulty.fault {
            DeviceFault::DroppedLink => {
                let more = interval.saturating_mul(MAX_LINK_INTERVALS - 1) / u32::from(u16::MAX);
                let after = interval + more.saturating_mul(self.random.next_u16().into());
                Instant::now().checked_add(after)
            }
            DeviceFault::Herd => fleet.time.next_multiple_of(interval.saturating_mul(HERD_INTERVALS)),
            _ => None,
        };
        faulty.cut = at.map(|at| Box::pin(sleep_until(at)));
    }

    /// If that is the device's fault, starts a second connection with the same login, which takes over the device's, and comes back when the device has
    /// taken over it in its turn.
    fn start_twin(&mut self, fleet: &Arc<FleetContext>) {
        let Some(faulty) = self.faulty.as_mut().filter(|faulty| faulty.fault == DeviceFault::Twin) else {
            return;
        };
        if faulty.twin.is_some() {
            return;
        }
        let (mut backoff, mut random) = (self.backoff.clone(), SplitMix64::new(!self.random.next_u64()));
        let (login, fleet, stop) = (self.login.clone(), Arc::clone(fleet), fleet.stop.child_token());
        faulty.twin = Some(stop.clone().drop_guard());
        tokio::spawn(async move {
            let twin = async {
                loop {
                    let Behavior { options, authorization, .. } = &fleet.behavior;
                    if let Ok(mut client) =
                        Connection::open(&fleet.endpoint, &login, options, *authorization).await
                    {
                        client.closed().await;
                    }
                    sleep(backoff.next_delay(random.next_u32())).await;
                }
            };
            stop.run_until_cancelled(twin).await
        });
    }

    async fn report(&self, fleet: &FleetContext, kind: EventKind) {
        let event = Event { index: self.index, device: Arc::clone(&self.name), kind };
        // The channel is closed once the fleet has been dropped.
        fleet.events.send(event).await.unwrap_or_default();
    }
}

/// The longest that a device waits before it tries again.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

fn may_retry(error: &ConnectError, fault: Option<DeviceFault>, retries: &mut u32) -> bool {
    if !error.is_refusal() {
        return error.is_retryable();
    }
    // A rate may refuse these, and they don't care.
    if let Some(DeviceFault::Herd | DeviceFault::Twin) = fault {
        return true;
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

/// A stable name for counting.
const fn sensor_error(error: sht20::Error<ErrorKind>) -> &'static str {
    match error {
        sht20::Error::I2c(ErrorKind::NoAcknowledge(_)) => "no_acknowledge",
        sht20::Error::I2c(_) => "i2c",
        sht20::Error::Crc { .. } => "crc",
        sht20::Error::Timeout => "timeout",
        sht20::Error::WrongQuantity => "wrong_quantity",
        sht20::Error::OutOfRange { .. } => "out_of_range",
    }
}

/// Is ready when the device's fault ends the connection.
fn cut(faulty: &mut Option<Box<Faulty>>, context: &mut Context<'_>) -> Poll<()> {
    let cut = faulty.as_mut().and_then(|faulty| faulty.cut.as_mut());
    cut.map_or(Poll::Pending, |sleep| sleep.as_mut().poll(context))
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
        let device = Device::new(0, "a", login("sht20"), 0, None).ok().unwrap();
        let topics: Vec<&str> = device.topics.iter().map(|(_, topic)| topic.as_str()).collect();
        assert_eq!(topics, ["sensor/sht20/temperature", "sensor/sht20/humidity"]);
        let device = Device::new(0, "a", login("sht20"), 0, Some(DeviceFault::WrongTopic)).ok().unwrap();
        assert_eq!(device.topics[0].1.as_str(), "sensor/sht20-wrong/temperature");
        let error = Device::new(0, "a", login("a/b"), 0, None).err().unwrap();
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
        let refused =
            ConnectError::Refused { code: ConnectReasonCode::NotAuthorized, reason: None, bridge: None };
        let unreachable =
            ConnectError::Tcp { address: String::new(), source: std::io::ErrorKind::TimedOut.into() };
        assert!(may_retry(&unreachable, None, &mut retries));
        assert!(may_retry(&ConnectError::ClosedBeforeConnAck, None, &mut retries));
        assert!(!may_retry(&refused, None, &mut retries));
        assert!(may_retry(&refused, Some(DeviceFault::Herd), &mut retries));
        assert!(may_retry(&unreachable, None, &mut retries));
    }
}
