//! One MQTT connection of one device.
//!
//! A [`Client`] has no task of its own: packets are read, and pings sent, while one of its methods is being
//! awaited. A caller that has nothing to do waits in [`Client::next_message`] or [`Client::closed`].

mod connecting;
pub(crate) mod error;
mod https;

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mqtt::{
    ConnAck, ConnAckProperties, DecodeError, Disconnect, DisconnectReasonCode, LastWill, Packet, PubAck,
    PubAckCode, Publish, PublishProperties, QoS, RetainHandling, SubAck, SubAckCode, Subscribe,
    SubscribeFilter, TopicFilter, TopicName, Version, wire::Wire,
};
use tokio::time::{Instant, timeout, timeout_at};

pub use self::connecting::tls_error;
pub use self::error::{Closed, ConnectError, RequestError, Step, TlsError};
pub use self::https::{Authorization, HttpsPublisher};
use crate::endpoint::Endpoint;
use crate::login::Login;

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
    /// The version of MQTT; 5 by default.
    pub version: Version,
    /// Seconds after which an idle connection is pinged, 0 for never; 60 by default. An MQTT 5 server can set
    /// another.
    pub keep_alive: u16,
    /// Whether an earlier session is dropped; true by default.
    pub clean_start: bool,
    /// Seconds for which the session outlives the connection (MQTT 5); 0 by default.
    pub session_expiry: u32,
    /// What the server publishes when the connection breaks; nothing by default.
    pub last_will: Option<LastWill>,
    /// For the whole connect, and for the answer to each request. 10 s by default: an authorizer alone may
    /// take 5 s (AWS IoT Core developer guide, "Custom authentication and authorization").
    pub time_limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: Version::V5,
            keep_alive: 60,
            clean_start: true,
            session_expiry: 0,
            last_will: None,
            time_limit: Duration::from_secs(10),
        }
    }
}

/// A message from the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where it was published.
    pub topic: TopicName,
    /// What.
    pub payload: Bytes,
    /// How it was sent. QoS 1 has been acknowledged.
    pub qos: QoS,
    /// Whether it was retained.
    pub retain: bool,
    /// Its properties, if it has any (MQTT 5).
    pub properties: Option<Arc<PublishProperties>>,
}

/// A connection that the server has accepted.
///
/// Dropping a future of its methods is safe: nothing that has arrived is lost. Dropping the client closes the
/// connection without a DISCONNECT, as a device does that loses power.
pub struct Client {
    wire: Box<Wire>,
    time_limit: Duration,
    keep_alive: Option<Duration>,
    session_present: bool,
    last_sent: Instant,
    ping_sent: Option<Instant>,
    last_packet_id: u16,
    messages: VecDeque<Message>,
}

impl Client {
    /// Connects over TCP, TLS and MQTT.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], which tells the steps apart.
    pub async fn connect(
        endpoint: &Endpoint,
        login: &Login,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        Ok(Self::connect_answered(endpoint, login, options).await?.0)
    }

    /// As [`Client::connect`], with what the server said of itself in its CONNACK.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn connect_answered(
        endpoint: &Endpoint,
        login: &Login,
        options: &Options,
    ) -> Result<(Self, ConnAckProperties), ConnectError> {
        // In a box of its own, so that a connected device does not keep the room for it.
        let (wire, answer) = Box::pin(connecting::connect(endpoint, login, options)).await?;
        Ok((Self::accepted(wire, &answer, options), answer.properties))
    }

    /// Whether the server went on with an earlier session.
    #[must_use]
    pub const fn session_present(&self) -> bool {
        self.session_present
    }

    /// Publishes a message that is not retained. With QoS 1 it returns when the server has acknowledged it,
    /// with QoS 0 when it is sent.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; a 3.1.1 server can only refuse a message by closing the connection.
    pub async fn publish(
        &mut self,
        topic: TopicName,
        payload: impl Into<Bytes>,
        qos: QoS,
    ) -> Result<(), RequestError> {
        let mut publish = Publish::new(topic, payload);
        publish.qos = qos;
        self.publish_message(publish).await
    }

    /// As [`Client::publish`], for a message with all that it can have but a packet id.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn publish_message(&mut self, mut publish: Publish) -> Result<(), RequestError> {
        match publish.qos {
            QoS::AtMostOnce => self.send(Packet::Publish(publish)).await,
            QoS::AtLeastOnce => {
                let id = self.packet_id();
                publish.packet_id = Some(id);
                self.request(Packet::Publish(publish), |packet| match packet {
                    Packet::PubAck(answer) if answer.packet_id == id => Some(published(answer)),
                    _ => None,
                })
                .await
            }
            QoS::ExactlyOnce => Err(RequestError::QosUnsupported),
        }
    }

    /// Subscribes to one filter, and returns the QoS that was granted.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn subscribe(&mut self, filter: TopicFilter, qos: QoS) -> Result<QoS, RequestError> {
        self.subscribe_with(SubscribeFilter::new(filter, qos)).await
    }

    /// As [`Client::subscribe`], without the retained messages (MQTT 5).
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn subscribe_without_retained(
        &mut self,
        filter: TopicFilter,
        qos: QoS,
    ) -> Result<QoS, RequestError> {
        let retain_handling = RetainHandling::DoNotSend;
        self.subscribe_with(SubscribeFilter { retain_handling, ..SubscribeFilter::new(filter, qos) }).await
    }

    async fn subscribe_with(&mut self, filter: SubscribeFilter) -> Result<QoS, RequestError> {
        let id = self.packet_id();
        let subscribe = Subscribe::new(id, vec![filter]);
        self.request(Packet::Subscribe(subscribe), |packet| match packet {
            Packet::SubAck(answer) if answer.packet_id == id => Some(subscribed(answer)),
            _ => None,
        })
        .await
    }

    /// Waits for the next message, and keeps the connection alive meanwhile.
    ///
    /// # Errors
    ///
    /// [`Closed`], once there are no messages left.
    pub async fn next_message(&mut self) -> Result<Message, Closed> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(message);
            }
            self.next_answer().await?;
        }
    }

    /// Keeps the connection alive until it ends, and drops every message.
    pub async fn closed(&mut self) -> Closed {
        loop {
            self.messages.clear();
            if let Err(closed) = self.next_answer().await {
                return closed;
            }
        }
    }

    /// Sends DISCONNECT and closes the connection, within 2 s at most.
    pub async fn disconnect(mut self) {
        let packet = Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection));
        let closing = async {
            if self.wire.queue(packet).is_ok() && self.wire.flush().await.is_ok() {
                self.wire.close().await;
            }
        };
        // A server may never close its end.
        timeout(CLOSING_LIMIT, closing).await.unwrap_or_default();
    }
}

impl Client {
    fn accepted(mut wire: Box<Wire>, answer: &ConnAck, options: &Options) -> Self {
        if let Some(bytes) = answer.properties.maximum_packet_size {
            wire.set_peer_maximum(bytes.get());
        }
        let keep_alive = answer.properties.server_keep_alive.unwrap_or(options.keep_alive);
        Self {
            wire,
            time_limit: options.time_limit,
            keep_alive: (keep_alive > 0).then(|| Duration::from_secs(keep_alive.into())),
            session_present: answer.session_present,
            last_sent: Instant::now(),
            ping_sent: None,
            last_packet_id: 0,
            messages: VecDeque::new(),
        }
    }

    /// One request at a time, so an id is long free when it comes again.
    fn packet_id(&mut self) -> NonZeroU16 {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        NonZeroU16::new(self.last_packet_id).unwrap_or(NonZeroU16::MIN)
    }

    async fn send(&mut self, packet: Packet) -> Result<(), RequestError> {
        self.wire.queue(packet).map_err(RequestError::Unsendable)?;
        Ok(self.flush().await?)
    }

    /// Sends a packet and waits for the answer that `answer_in` finds.
    async fn request<T>(
        &mut self,
        packet: Packet,
        answer_in: impl Fn(Packet) -> Option<Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        let limit = self.time_limit;
        let answered = async {
            self.send(packet).await?;
            loop {
                if let Some(answer) = answer_in(self.next_answer().await?) {
                    return answer;
                }
            }
        };
        timeout(limit, answered).await.unwrap_or(Err(RequestError::NotAcknowledged(limit)))
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        self.last_sent = Instant::now();
        match self.wire.flush().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words().await.unwrap_or_else(|| Closed::from_io(&error))),
        }
    }

    /// The DISCONNECT of a server that no longer reads.
    async fn last_words(&mut self) -> Option<Closed> {
        let read = async {
            while let Ok(Some(packet)) = self.wire.next().await {
                if let Packet::Disconnect(disconnect) = packet {
                    return Some(disconnected(disconnect));
                }
            }
            None
        };
        timeout(CLOSING_LIMIT, read).await.ok().flatten()
    }

    /// Reads one packet. Messages are acknowledged and queued; what is returned is an answer, or of no concern.
    async fn next_answer(&mut self) -> Result<Packet, Closed> {
        self.flush_queued().await?;
        let packet = self.next_packet().await?;
        match packet {
            Packet::Publish(publish) => self.keep(&publish)?,
            Packet::PingResp => self.ping_sent = None,
            Packet::Disconnect(disconnect) => return Err(disconnected(disconnect)),
            _ => return Ok(packet),
        }
        self.flush_queued().await?;
        Ok(Packet::PingResp)
    }

    /// What an earlier call queued and was dropped before sending.
    async fn flush_queued(&mut self) -> Result<(), Closed> {
        if self.wire.has_queued() { self.flush().await } else { Ok(()) }
    }

    /// The next packet, with pings while none comes.
    async fn next_packet(&mut self) -> Result<Packet, Closed> {
        loop {
            let deadline = match (self.ping_sent, self.keep_alive) {
                (Some(sent), _) => Some(sent + self.time_limit),
                (None, Some(keep_alive)) => Some(self.last_sent + keep_alive),
                (None, None) => None,
            };
            let next = self.wire.next();
            let read = match deadline {
                Some(deadline) => timeout_at(deadline, next).await,
                None => Ok(next.await),
            };
            match read {
                Ok(packet) => return packet?.ok_or(Closed::ByServer),
                Err(_) if self.ping_sent.is_some() => return Err(Closed::Silent(self.time_limit)),
                Err(_) => self.ping().await?,
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Closed> {
        // PINGREQ always can be written.
        if self.wire.queue(Packet::PingReq).is_ok() {
            self.ping_sent = Some(Instant::now());
        }
        self.flush().await
    }

    fn keep(&mut self, publish: &Publish) -> Result<(), Closed> {
        // No topic alias was allowed to the server.
        let topic = publish.topic.clone().ok_or(Closed::Protocol(DecodeError::TopicMissing))?;
        if let (QoS::AtLeastOnce, Some(id)) = (publish.qos, publish.packet_id) {
            let answer = Packet::PubAck(PubAck::new(id, PubAckCode::Success));
            self.wire.queue(answer).map_err(|_| Closed::Protocol(DecodeError::Malformed))?;
        }
        let payload = Bytes::copy_from_slice(&publish.payload);
        let (qos, retain, properties) = (publish.qos, publish.retain, publish.properties.clone());
        self.messages.push_back(Message { topic, payload, qos, retain, properties });
        Ok(())
    }
}

const CLOSING_LIMIT: Duration = Duration::from_secs(2);

fn published(answer: PubAck) -> Result<(), RequestError> {
    match answer.code {
        PubAckCode::Success | PubAckCode::NoMatchingSubscribers => Ok(()),
        code => Err(RequestError::PublishRefused { code, reason: answer.reason_string }),
    }
}

fn subscribed(answer: SubAck) -> Result<QoS, RequestError> {
    match answer.codes.first() {
        Some(SubAckCode::Granted(qos)) => Ok(*qos),
        Some(SubAckCode::Failed(code)) => {
            Err(RequestError::SubscribeRefused { code: *code, reason: answer.reason_string })
        }
        None => Err(Closed::Protocol(DecodeError::Malformed).into()),
    }
}

fn disconnected(disconnect: Disconnect) -> Closed {
    Closed::Disconnected { code: disconnect.code, reason: disconnect.reason_string }
}
