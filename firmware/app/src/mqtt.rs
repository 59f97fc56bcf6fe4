//! MQTT 5 over a connection that is open: CONNECT, then one reading after the other at QoS 1.

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
use crate::failure::{Failure, Refusal, Stage};
use crate::login::Login;
use crate::ring::{Ring, Unsent};
use crate::watchdog::Progress;

/// How long an answer is waited for. AWS's authorizers have five seconds.
const PATIENCE: Duration = Duration::from_secs(15);
/// AWS IoT Core takes 30 to 1,200 (AWS General Reference, "AWS IoT Core endpoints and quotas").
const KEEP_ALIVE_SECONDS: u16 = 60;
/// What the last will says.
const GONE: &[u8] = br#"{"online":false}"#;

/// What a connection works on.
pub(crate) struct Work<'a> {
    pub(crate) ring: &'a Ring,
    pub(crate) clock: &'a WallClock,
    pub(crate) progress: &'a Progress,
    /// Set when the server takes the CONNECT.
    pub(crate) connected: &'a Cell<Option<Instant>>,
    pub(crate) will_topic: Option<&'a str>,
}

/// Connects and publishes until the connection ends; what was not acknowledged stays in the ring.
pub(crate) async fn run<S: Read + Write>(stream: S, login: &Login<'_>, work: &Work<'_>) -> Failure {
    match publish_all(stream, login, work).await {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

async fn publish_all<S: Read + Write>(
    stream: S,
    login: &Login<'_>,
    work: &Work<'_>,
) -> Result<core::convert::Infallible, Failure> {
    let (mut rx, mut tx) = ([0; 1_024], [0; 2_048]);
    let mut session = Session::new(config(Buffers::new(&mut rx, &mut tx), login, work)?);
    let connecting = with_timeout(PATIENCE, session.connect(stream)).await;
    let mut connection =
        connecting.map_err(|_| Failure::TimedOut(Stage::Mqtt))?.map_err(|error| refused(&error))?;
    work.connected.set(Some(Instant::now()));
    log::info!("mqtt: connected as {}, {} readings wait", login.client_id, work.ring.len());
    loop {
        work.progress.connecting();
        match select(work.ring.filled(), connection.poll()).await {
            Either::First(()) => {
                let Some(oldest) = work.ring.oldest() else { continue };
                deliver(&mut connection, login, work, &oldest).await?;
                work.ring.remove(&oldest);
            }
            Either::Second(Ok(_)) => {}
            Either::Second(Err(error)) => return Err(ended(&error)),
        }
    }
}

fn config<'b>(
    buffers: Buffers<'b>,
    login: &'b Login<'_>,
    work: &Work<'_>,
) -> Result<ConfigBuilder<'b>, Failure> {
    let unusable = |_| Failure::Unsendable;
    let mut config = ConfigBuilder::new(buffers)
        .client_id(&login.client_id)
        .map_err(unusable)?
        .keepalive_interval(KEEP_ALIVE_SECONDS);
    if let Some(user_name) = &login.user_name {
        config = config.auth(user_name, login.password()).map_err(unusable)?;
    }
    if let Some(topic) = work.will_topic {
        let will = Will::new(topic, GONE, &[]).map_err(unusable)?.qos(QoS::AtLeastOnce);
        config = config.will(will).map_err(unusable)?;
    }
    Ok(config)
}

/// Publishes a reading and waits for its PUBACK. One that the server refuses for good counts as dealt with; whatever
/// else it says, the reading stays for the next connection.
async fn deliver<S: Read + Write>(
    connection: &mut Connection<'_, '_, S>,
    login: &Login<'_>,
    work: &Work<'_>,
    unsent: &Unsent,
) -> Result<(), Failure> {
    let (topic, payload) = message(login, work, unsent)?;
    match with_timeout(PATIENCE, acknowledged(connection, &topic, &payload)).await {
        Ok(Ok(())) => log::info!("mqtt: sent {topic} {payload}"),
        Ok(Err(Error::Peer(PeerError::Rejected(reason)))) if connection.is_connected() => {
            let refusal = Refusal(reason);
            if !refusal.is_for_good() {
                return Err(Failure::Postponed(refusal));
            }
            log::warn!("mqtt: the server refused {topic}: {refusal}");
        }
        Ok(Err(error)) => return Err(ended(&error)),
        Err(embassy_time::TimeoutError) => return Err(Failure::TimedOut(Stage::Mqtt)),
    }
    Ok(())
}

async fn acknowledged<S: Read + Write>(
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

type Texts = (String<{ Topic::MAX_LEN }>, String<{ Payload::MAX_LEN }>);

fn message(login: &Login<'_>, work: &Work<'_>, unsent: &Unsent) -> Result<Texts, Failure> {
    let client_id = ClientId::try_from(login.client_id.as_str()).map_err(|_| Failure::Unsendable)?;
    let ts = work.clock.at(unsent.taken).ok_or(Failure::Unsendable)?.seconds();
    let (mut topic, mut payload) = (String::new(), String::new());
    write!(topic, "{}", Topic { client_id, quantity: unsent.reading.quantity() })
        .and_then(|()| write!(payload, "{}", Payload { reading: unsent.reading, ts }))
        .map_err(|_| Failure::Unsendable)?;
    Ok((topic, payload))
}

fn refused<E>(error: &Error<E>) -> Failure {
    match error {
        Error::Peer(PeerError::Rejected(reason)) => Failure::Refused(Refusal(*reason)),
        Error::Disconnected => Failure::ClosedAtConnect,
        other => ended(other),
    }
}

const fn ended<E>(error: &Error<E>) -> Failure {
    match error {
        Error::Disconnected => Failure::Ended,
        Error::Transport(_) | Error::WriteZero => Failure::Broken,
        Error::InvalidRequest | Error::Resource(ResourceError::BufferTooSmall) => Failure::Unsendable,
        _ => Failure::Protocol,
    }
}

#[cfg(test)]
mod tests;
