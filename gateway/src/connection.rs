//! One connection from its TCP accept to its end: the IO around a [`Session`].

mod authentication;
mod context;
mod handshake;
mod http;
mod log;
mod presence;
mod transport;
mod websocket;
mod will;

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, SinkExt, StreamExt};
use mqtt::{Codec, DecodeError, EncodeError, Packet};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use self::{
    authentication::Credentials,
    handshake::Established,
    log::ConnectionLog,
    transport::Transport,
    will::{DelayedWill, Will},
};
use crate::{
    broker::{
        queue::Delivery,
        registration::{Departure, Registration, Signals},
        store::StoreError,
    },
    custom_auth::{self, AuthnError, answer::Authorization},
    door::route::Port,
    lambda::Call,
    metrics::Direction,
    session::{Effect, Session, disconnect_reason::DisconnectReason},
    shared::Shared,
};

/// Packets and messages that are taken before what was written for them is flushed: so many acknowledgements go out as
/// one rejection of TLS.
const BATCH: usize = 64;
/// How long a client may take over what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take over what is written to it at the end: whoever takes over waits for that.
const END_TIMEOUT: Duration = Duration::from_secs(2);

type Stream = Framed<Transport, Codec>;
type Refreshing = Pin<Box<dyn Future<Output = Result<Authorization, AuthnError>> + Send>>;

/// Serves one connection. It returns when the connection has ended, however it did, with the last will if that is to be
/// published later.
pub async fn serve(
    stream: TcpStream,
    port: Port,
    peer: SocketAddr,
    shared: Arc<Shared>,
) -> Option<DelayedWill> {
    let _counted = shared.log.metrics().connection();
    // What the handshake needs, a TLS handshake's state above all, is far more than what a session does: it lies apart, and
    // goes when the session begins.
    let established = Box::pin(handshake::accept(stream, port, peer, &shared)).await?;
    let mut connection = established.into_connection(shared);
    let reason = connection.run().await;
    // Boxed, because it takes the connection apart: every connection's task would keep the room for that.
    Box::pin(connection.close(reason)).await
}

struct Connection {
    stream: Stream,
    session: Session,
    registration: Registration,
    credentials: Option<Arc<Credentials>>,
    client_id: Arc<str>,
    log: ConnectionLog,
    /// What an earlier connection left undone.
    undone: Vec<Effect>,
    refreshing: Option<Refreshing>,
    /// The last will, once it is clear that it is to be published later.
    will: Option<Box<Will>>,
    shared: Arc<Shared>,
}

/// What a connection waits for.
enum Event {
    Packet(Packet),
    Malformed(DecodeError),
    Closed,
    Message(Box<Delivery>),
    Refreshed(Result<Authorization, AuthnError>),
    Time,
    Outside(DisconnectReason),
}

impl Established {
    /// In a place of its own, so that it is moved no more.
    fn into_connection(self: Box<Self>, shared: Arc<Shared>) -> Box<Connection> {
        let Self { stream, session, registration, credentials, client_id, effects, log } = *self;
        let credentials = credentials.map(Arc::new);
        Box::new(Connection {
            stream,
            session,
            registration,
            credentials,
            client_id,
            log,
            undone: effects,
            refreshing: None,
            will: None,
            shared,
        })
    }
}

impl Connection {
    /// Serves the connection until it is to end.
    async fn run(&mut self) -> DisconnectReason {
        let mut effects = std::mem::take(&mut self.undone);
        let mut unflushed = 0;
        loop {
            if let Some(reason) = self.apply(&mut effects).await {
                return reason;
            }
            let arrived = if unflushed < BATCH { self.arrived() } else { None };
            let event = if let Some(event) = arrived {
                unflushed += 1;
                event
            } else {
                if let Some(reason) = self.flush().await {
                    return reason;
                }
                unflushed = 0;
                self.wait().await
            };
            self.take(event, &mut effects);
        }
    }

    /// What is there already.
    fn arrived(&mut self) -> Option<Event> {
        let signals = &self.registration.signals;
        if signals.taken_over.is_cancelled() || self.shared.stopping.is_cancelled() {
            return None;
        }
        if !self.session.is_held()
            && let Some(packet) = self.stream.next().now_or_never()
        {
            return Some(self.read(packet));
        }
        self.registration.mailbox.try_recv().ok().map(Event::Message)
    }

    async fn wait(&mut self) -> Event {
        let signals = &self.registration.signals;
        tokio::select! {
            biased;
            () = self.shared.stopping.cancelled() => Event::Outside(DisconnectReason::Shutdown),
            () = signals.taken_over.cancelled() => Event::Outside(DisconnectReason::TakenOver),
            () = signals.overflowed.cancelled() => Event::Outside(DisconnectReason::SlowReader),
            () = self.shared.clock.sleep_until(self.session.deadline()) => Event::Time,
            answer = refreshed(&mut self.refreshing) => Event::Refreshed(answer),
            packet = self.stream.next(), if !self.session.is_held() => self.read(packet),
            Some(delivery) = self.registration.mailbox.recv() => Event::Message(delivery),
        }
    }

    fn read(&self, packet: Option<Result<Packet, DecodeError>>) -> Event {
        match packet {
            Some(Ok(packet)) => Event::Packet(packet),
            // Without TLS's own goodbye, as most clients leave, the end is an error of the transport.
            Some(Err(DecodeError::Io(_))) | None => match self.stream.get_ref().violation() {
                Some(reason) => Event::Outside(reason),
                None => Event::Closed,
            },
            Some(Err(error)) => Event::Malformed(error),
        }
    }

    fn take(&mut self, event: Event, effects: &mut Vec<Effect>) {
        let now = self.shared.clock.now();
        match event {
            Event::Packet(packet) => self.session.on_packet(packet, now, effects),
            Event::Message(delivery) => self.session.on_message(*delivery, now, effects),
            Event::Time => self.session.on_time(now, effects),
            Event::Outside(reason) => self.session.end(reason, effects),
            Event::Closed => self.session.end(DisconnectReason::Lost, effects),
            Event::Malformed(error) => self.session.end(DisconnectReason::Malformed(error), effects),
            Event::Refreshed(answer) => {
                self.refreshing = None;
                match answer {
                    Ok(authorization) => self.session.on_refreshed(authorization, now, effects),
                    Err(refusal) => {
                        self.log.not_authenticated(&refusal);
                        self.session.end(DisconnectReason::RefreshRefused, effects);
                    }
                }
            }
        }
    }

    /// Does what the session asked for, in its order, and tells whether that ends the connection.
    async fn apply(&mut self, effects: &mut Vec<Effect>) -> Option<DisconnectReason> {
        let (mut reason, mut broken) = (None, false);
        while !effects.is_empty() {
            for effect in std::mem::take(effects) {
                match effect {
                    // Nothing more gets through once a write has failed.
                    Effect::Send(_) if broken => {}
                    Effect::Send(packet) => {
                        let lost = self.send(packet, effects).await;
                        broken = lost.is_some();
                        reason = lost.or(reason);
                    }
                    Effect::End(why) => reason = Some(why),
                    effect => {
                        if let Err(error) = self.act(effect, effects) {
                            // What could not be written is not acknowledged, nor is anything that came behind it.
                            reason = Some(self.give_up(&error, effects));
                            break;
                        }
                    }
                }
            }
        }
        if reason.is_some() && !broken {
            // It ends as it was to, whether that gets through or not.
            _ = self.flush().await;
        }
        reason
    }

    /// Sends what was written, and tells whether that ends the connection.
    async fn flush(&mut self) -> Option<DisconnectReason> {
        let Self { stream, session, registration, shared, .. } = self;
        let flushed = in_time(stream.flush(), session, &registration.signals, shared).await;
        (!matches!(flushed, Some(Ok(())))).then_some(DisconnectReason::Lost)
    }

    async fn send(&mut self, packet: Packet, effects: &mut Vec<Effect>) -> Option<DisconnectReason> {
        let is_message = matches!(packet, Packet::Publish(_));
        let message = if let Packet::Publish(publish) = &packet { publish.packet_id } else { None };
        let Self { stream, session, registration, shared, .. } = self;
        let fed = in_time(stream.feed(packet), session, &registration.signals, shared).await;
        match (Written::of(fed), message) {
            (Written::Broken, _) => return Some(DisconnectReason::Lost),
            (Written::LeftOut, Some(packet_id)) => {
                self.session.on_left_out(packet_id, self.shared.clock.now(), effects);
            }
            (Written::Buffered, _) if is_message => self.shared.log.metrics().message(Direction::Out),
            _ => {}
        }
        None
    }

    fn give_up(&mut self, error: &StoreError, effects: &mut Vec<Effect>) -> DisconnectReason {
        tracing::error!(%error, client_id = &*self.client_id, "a connection ends");
        self.session.end(DisconnectReason::NotWritten, effects);
        DisconnectReason::NotWritten
    }

    /// Does what needs no connection.
    fn act(&mut self, effect: Effect, effects: &mut Vec<Effect>) -> Result<(), StoreError> {
        let now = self.shared.clock.now();
        let broker = &self.shared.broker;
        match effect {
            Effect::Route(topic, publish) => {
                self.shared.log.metrics().message(Direction::In);
                broker.publish(&self.client_id, &topic, &publish, now)?;
            }
            Effect::RouteLater(topic, publish, delay) => {
                self.will = Some(Box::new(Will { topic, publish, due: now + delay }));
            }
            Effect::Subscribe(filter) => {
                let retained = self.registration.subscribe(&filter, now)?;
                self.session.on_retained(retained, now, effects);
            }
            Effect::Unsubscribe(filter) => self.registration.unsubscribe(&filter, now)?,
            Effect::Sent(message, packet_id) => broker.sent(message, packet_id)?,
            Effect::Settled(message) => broker.settled(message)?,
            Effect::Refresh => self.refreshing = self.refresh(),
            Effect::Log(rejection) => self.log.rejected(&rejection),
            Effect::Send(_) | Effect::End(_) => {}
        }
        Ok(())
    }

    fn refresh(&self) -> Option<Refreshing> {
        let credentials = Arc::clone(self.credentials.as_ref()?);
        let metrics = self.shared.log.metrics().clone();
        Some(Box::pin(async move {
            let Credentials { authorizer, presented } = &*credentials;
            custom_auth::authenticate(authorizer, Call::Refresh, presented, &metrics).await
        }))
    }

    async fn close(mut self: Box<Self>, reason: DisconnectReason) -> Option<DelayedWill> {
        // The session doesn't know yet that a write failed, and its last will is still to be published.
        let mut effects = Vec::new();
        self.session.end(reason, &mut effects);
        for effect in effects {
            if let Err(error) = self.act(effect, &mut Vec::new()) {
                tracing::error!(%error, "the end of a connection");
            }
        }
        self.log.disconnected(reason);
        presence::disconnected(&self.shared, &self.client_id, &self.log, self.registration.number(), reason);
        let Self { mut stream, session, registration, client_id, will, shared, .. } = *self;
        let now = shared.clock.now();
        // Nothing is for it any more, however long its end takes.
        let left = if let Some((unfinished, expiry)) = session.into_unfinished() {
            registration.leave(unfinished, now + expiry, now)
        } else {
            registration.end(now);
            Departure::Ended
        };
        // The peer may be gone already.
        _ = shared.clock.timeout(WRITE_TIMEOUT, stream.close()).await;
        will::delayed(will, left, client_id, shared)
    }
}

/// What became of a packet.
enum Written {
    Buffered,
    /// It can't be written to this client, because it is larger than the client takes: it is left out, and all
    /// goes on as if it had arrived (MQTT 5 section 3.1.2.11.4).
    LeftOut,
    Broken,
}

impl Written {
    /// From what the codec says; nothing is that it took too long.
    fn of(fed: Option<Result<(), EncodeError>>) -> Self {
        match fed {
            Some(Ok(())) => Self::Buffered,
            Some(Err(EncodeError::Io(_))) | None => Self::Broken,
            Some(Err(_)) => Self::LeftOut,
        }
    }
}

/// Gives a write its time. A connection that is still to live gives it up for a later one of its client id, and one that
/// ends has not long.
async fn in_time<T>(
    work: impl Future<Output = T>,
    session: &Session,
    signals: &Signals,
    shared: &Shared,
) -> Option<T> {
    if session.has_ended() {
        return shared.clock.timeout(END_TIMEOUT, work).await;
    }
    tokio::select! {
        biased;
        done = shared.clock.timeout(WRITE_TIMEOUT, work) => done,
        () = signals.taken_over.cancelled() => None,
        () = shared.stopping.cancelled() => None,
    }
}

/// Writes a packet into the buffer, which is flushed when it is full.
async fn write(stream: &mut Stream, packet: Packet, shared: &Shared) -> Written {
    Written::of(shared.clock.timeout(WRITE_TIMEOUT, stream.feed(packet)).await)
}

async fn refreshed(refreshing: &mut Option<Refreshing>) -> Result<Authorization, AuthnError> {
    match refreshing {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}
