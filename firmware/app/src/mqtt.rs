//! MQTT 5 over an open connection: CONNECT, then one reading after another at QoS 1.

use core::cell::Cell;
use core::fmt::Write as _;

use device_core::{ClientId, Payload, Topic};
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, with_timeout};
use embedded_io_async::{Read, Write};
use heapless::String;
use minimq::{
    Buffers, ConfigBuilder, Connection, Error, PeerError, PubError, Publication, QoS, ResourceError, Session,
    Will,
};

use crate::clock::WallClock;
use crate::error::{ConnectionError, Reason, Stage};
use crate::login::Login;
use crate::ring::{QueuedReading, Ring};
use crate::watchdog::Progress;

/// How long to wait for a CONNACK or PUBACK. An authorizer in AWS may take five seconds.
const ACK_TIMEOUT: Duration = Duration::from_secs(15);
/// AWS IoT Core accepts 30 to 1,200 (AWS General Reference, "AWS IoT Core endpoints and quotas").
const KEEP_ALIVE_SECONDS: u16 = 60;
/// The payload of the last will.
const WILL_PAYLOAD: &[u8] = br#"{"online":false}"#;

/// Publishes the readings of a ring over one connection.
pub(crate) struct Publisher<'a> {
    pub(crate) ring: &'a Ring,
    pub(crate) clock: &'a WallClock,
    pub(crate) progress: &'a Progress,
    /// Set when the server accepts the CONNECT.
    pub(crate) connected: &'a Cell<Option<Instant>>,
    pub(crate) will_topic: Option<&'a str>,
}

impl Publisher<'_> {
    /// Connects, and publishes until the connection ends. What the server has not acknowledged stays in the ring.
    pub(crate) async fn run<S: Read + Write>(
        &self,
        stream: S,
        login: &Login<'_>,
    ) -> Result<core::convert::Infallible, ConnectionError> {
        let (mut rx, mut tx) = ([0; 1_024], [0; 2_048]);
        let mut session = Session::new(self.config(Buffers::new(&mut rx, &mut tx), login)?);
        let mut connection = with_timeout(ACK_TIMEOUT, session.connect(stream))
            .await
            .map_err(|_| ConnectionError::Timeout(Stage::Mqtt))?
            .map_err(|error| connect_error(&error))?;
        self.connected.set(Some(Instant::now()));
        log::info!("mqtt: connected as {}; readings queued: {}", login.client_id, self.ring.len());
        loop {
            self.progress.connection_alive();
            match select(self.ring.not_empty(), connection.poll()).await {
                Either::First(()) => {
                    let Some(oldest) = self.ring.oldest() else { continue };
                    self.publish(&mut connection, login, &oldest).await?;
                    self.ring.remove(&oldest);
                }
                Either::Second(Ok(_)) => {}
                Either::Second(Err(error)) => return Err(session_error(&error)),
            }
        }
    }

    fn config<'b>(
        &self,
        buffers: Buffers<'b>,
        login: &'b Login<'_>,
    ) -> Result<ConfigBuilder<'b>, ConnectionError> {
        let mut config = ConfigBuilder::new(buffers)
            .client_id(&login.client_id)
            .map_err(|_| ConnectionError::PacketTooLarge)?
            .keepalive_interval(KEEP_ALIVE_SECONDS);
        if let Some(user_name) = &login.user_name {
            config = config.auth(user_name, login.password()).map_err(|_| ConnectionError::PacketTooLarge)?;
        }
        if let Some(topic) = self.will_topic {
            let will = Will::new(topic, WILL_PAYLOAD, &[]).map_err(|_| ConnectionError::PacketTooLarge)?;
            config = config.will(will.qos(QoS::AtLeastOnce)).map_err(|_| ConnectionError::PacketTooLarge)?;
        }
        Ok(config)
    }

    /// Publishes a reading and waits for its PUBACK. `Ok` also if the server refuses this reading permanently; after
    /// any other error the reading stays for the next connection.
    async fn publish<S: Read + Write>(
        &self,
        connection: &mut Connection<'_, '_, S>,
        login: &Login<'_>,
        queued: &QueuedReading,
    ) -> Result<(), ConnectionError> {
        let (topic, payload) = self.message(login, queued)?;
        match with_timeout(ACK_TIMEOUT, publish_and_wait_for_puback(connection, &topic, &payload)).await {
            Ok(Ok(())) => log::info!("mqtt: sent {topic} {payload}"),
            Ok(Err(Error::Peer(PeerError::Rejected(code)))) if connection.is_connected() => {
                let reason = Reason(code);
                if !reason.is_permanent() {
                    return Err(ConnectionError::PublishDeferred(reason));
                }
                log::warn!("mqtt: the server refused {topic}: {reason}");
            }
            Ok(Err(error)) => return Err(session_error(&error)),
            Err(embassy_time::TimeoutError) => return Err(ConnectionError::Timeout(Stage::Mqtt)),
        }
        Ok(())
    }

    fn message(&self, login: &Login<'_>, queued: &QueuedReading) -> Result<Message, ConnectionError> {
        let client_id =
            ClientId::try_from(login.client_id.as_str()).map_err(|_| ConnectionError::PacketTooLarge)?;
        let ts = self.clock.at(queued.measured_at).ok_or(ConnectionError::PacketTooLarge)?.seconds();
        let (mut topic, mut payload) = (String::new(), String::new());
        write!(topic, "{}", Topic { client_id, quantity: queued.reading.quantity() })
            .and_then(|()| write!(payload, "{}", Payload { reading: queued.reading, ts }))
            .map_err(|_| ConnectionError::PacketTooLarge)?;
        Ok((topic, payload))
    }
}

/// Topic and payload.
type Message = (String<{ Topic::MAX_LEN }>, String<{ Payload::MAX_LEN }>);

async fn publish_and_wait_for_puback<S: Read + Write>(
    connection: &mut Connection<'_, '_, S>,
    topic: &str,
    payload: &str,
) -> Result<(), Error<S::Error>> {
    let publication = Publication::text(topic, payload).qos(QoS::AtLeastOnce);
    let sent = connection.publish(publication).await.map_err(|error| match error {
        PubError::Session(error) => error,
        PubError::Payload(()) => Error::InvalidRequest,
    })?;
    while sent.is_some_and(|sent| connection.is_pending(&sent)) {
        connection.poll().await?;
    }
    Ok(())
}

fn connect_error<E>(error: &Error<E>) -> ConnectionError {
    match error {
        Error::Peer(PeerError::Rejected(code)) => ConnectionError::ConnectRefused(Reason(*code)),
        Error::Disconnected => ConnectionError::ClosedBeforeConnack,
        other => session_error(other),
    }
}

const fn session_error<E>(error: &Error<E>) -> ConnectionError {
    match error {
        Error::Disconnected => ConnectionError::Closed,
        Error::Transport(_) | Error::WriteZero => ConnectionError::Lost,
        Error::InvalidRequest | Error::Resource(ResourceError::BufferTooSmall) => {
            ConnectionError::PacketTooLarge
        }
        _ => ConnectionError::Protocol,
    }
}

#[cfg(test)]
mod tests;
