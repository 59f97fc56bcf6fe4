//! One connection from its TCP accept to its end: the IO around a [`Session`].

mod authentication;
mod context;
mod http;
mod log;
mod opening;
mod transport;
mod waiting;
mod websocket;

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::SinkExt;
use mqtt::{Codec, DecodeError, DisconnectReasonCode as Code, EncodeError, Packet};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use self::{authentication::Credentials, log::ConnectionLog, opening::Opened, transport::Transport};
use crate::{
    broker::{Registration, queue::Delivery},
    custom_auth::{self, Refusal, answer::Authorization},
    door::port::Port,
    gateway::Shared,
    lambda::Call,
    metrics::Direction,
    session::{Effect, Session, ending::Ending},
};

/// How long a client may take over what is written to it.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

type Stream = Framed<Transport, Codec>;
type Refreshing = Pin<Box<dyn Future<Output = Result<Authorization, Refusal>> + Send>>;

/// Serves one connection. It returns when the connection has ended, however it did.
pub async fn serve(stream: TcpStream, port: Port, peer: SocketAddr, shared: Arc<Shared>) {
    let _counted = shared.log.metrics().connection();
    // What the opening needs, a TLS handshake's state above all, is far more than what a session does: it lies apart, and
    // goes when the session begins.
    let opened = tokio::select! {
        biased;
        () = shared.stopping.cancelled() => None,
        opened = Box::pin(opening::open(stream, port, peer, &shared)) => opened,
    };
    if let Some(opened) = opened {
        Connection::new(opened, shared).run().await;
    }
}

struct Connection {
    stream: Stream,
    session: Session,
    registration: Registration,
    credentials: Option<Arc<Credentials>>,
    client_id: Arc<str>,
    log: ConnectionLog,
    refreshing: Option<Refreshing>,
    shared: Arc<Shared>,
}

/// What a connection waits for.
enum Happening {
    Packet(Packet),
    Malformed(DecodeError),
    Closed,
    Message(Delivery),
    Refreshed(Result<Authorization, Refusal>),
    Time,
    Outside(Ending),
}

impl Connection {
    fn new(opened: Opened, shared: Arc<Shared>) -> Self {
        let Opened { stream, session, registration, credentials, client_id, log } = opened;
        Self {
            stream,
            session,
            registration,
            credentials: credentials.map(Arc::new),
            client_id,
            log,
            refreshing: None,
            shared,
        }
    }

    async fn run(mut self) {
        let mut effects = Vec::new();
        loop {
            let happening = self.wait().await;
            self.take(happening, &mut effects);
            if let Some(ending) = self.carry_out(&mut effects).await {
                return self.close(ending).await;
            }
        }
    }

    async fn wait(&mut self) -> Happening {
        use futures_util::StreamExt;
        let signals = &self.registration.signals;
        tokio::select! {
            biased;
            () = self.shared.stopping.cancelled() => Happening::Outside(Ending::Shutdown),
            () = signals.taken_over.cancelled() => Happening::Outside(Ending::TakenOver),
            () = signals.overflowed.cancelled() => Happening::Outside(Ending::SlowReader),
            () = self.shared.clock.sleep_until(self.session.deadline()) => Happening::Time,
            answer = refreshed(&mut self.refreshing) => Happening::Refreshed(answer),
            packet = self.stream.next() => match packet {
                Some(Ok(packet)) => Happening::Packet(packet),
                // Without TLS's own goodbye, as most clients leave, the end is an error of the transport.
                Some(Err(DecodeError::Io(_))) | None => match self.stream.get_ref().fault() {
                    Some(fault) => Happening::Outside(Ending::Protocol(Code::ProtocolError, fault)),
                    None => Happening::Closed,
                },
                Some(Err(error)) => Happening::Malformed(error),
            },
            Some(delivery) = self.registration.mailbox.recv() => Happening::Message(delivery),
        }
    }

    fn take(&mut self, happening: Happening, effects: &mut Vec<Effect>) {
        let now = self.shared.clock.now();
        match happening {
            Happening::Packet(packet) => self.session.on_packet(packet, now, effects),
            Happening::Message(delivery) => self.session.on_message(delivery, effects),
            Happening::Time => self.session.on_time(now, effects),
            Happening::Outside(ending) => self.session.end(ending, effects),
            Happening::Closed => self.session.end(Ending::Lost, effects),
            Happening::Malformed(error) => self.session.end(Ending::Malformed(error), effects),
            Happening::Refreshed(answer) => {
                self.refreshing = None;
                match answer {
                    Ok(authorization) => self.session.on_refreshed(authorization, now, effects),
                    Err(refusal) => {
                        self.log.not_authenticated(&refusal);
                        self.session.end(Ending::RefreshRefused, effects);
                    }
                }
            }
        }
    }

    /// Does what the session asked for, in its order, and tells whether that ends the connection.
    async fn carry_out(&mut self, effects: &mut Vec<Effect>) -> Option<Ending> {
        let mut ending = None;
        while !effects.is_empty() {
            for effect in std::mem::take(effects) {
                match effect {
                    Effect::Send(packet) => ending = self.send(packet, effects).await.or(ending),
                    Effect::End(reason) => ending = Some(reason),
                    effect => self.act(effect),
                }
            }
        }
        let flushed = self.shared.clock.timeout(WRITE_LIMIT, self.stream.flush()).await;
        ending.or_else(|| (!matches!(flushed, Some(Ok(())))).then_some(Ending::Lost))
    }

    async fn send(&mut self, packet: Packet, effects: &mut Vec<Effect>) -> Option<Ending> {
        let is_message = matches!(packet, Packet::Publish(_));
        let message = if let Packet::Publish(publish) = &packet { publish.packet_id } else { None };
        match (write(&mut self.stream, packet, &self.shared).await, message) {
            (Written::Broken, _) => return Some(Ending::Lost),
            (Written::LeftOut, Some(packet_id)) => self.session.on_left_out(packet_id, effects),
            (Written::Buffered, _) if is_message => self.shared.log.metrics().message(Direction::Out),
            _ => {}
        }
        None
    }

    /// Does what needs no connection.
    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Route(topic, publish) => {
                self.shared.log.metrics().message(Direction::In);
                self.shared.broker.publish(&self.client_id, &topic, &publish);
            }
            Effect::Subscribe(filter) => self.registration.subscribe(&filter),
            Effect::Unsubscribe(filter) => self.registration.unsubscribe(&filter),
            Effect::Refresh => self.refreshing = self.refresh(),
            Effect::Log(record) => self.log.decided(&record),
            Effect::Send(_) | Effect::End(_) => {}
        }
    }

    fn refresh(&self) -> Option<Refreshing> {
        let credentials = Arc::clone(self.credentials.as_ref()?);
        let metrics = self.shared.log.metrics().clone();
        Some(Box::pin(async move {
            let Credentials { authorizer, presented } = &*credentials;
            custom_auth::authenticate(authorizer, Call::Refresh, presented, &metrics).await
        }))
    }

    async fn close(mut self, ending: Ending) {
        // The session doesn't know yet that a write failed, and its last will is still to be published.
        let mut effects = Vec::new();
        self.session.end(ending, &mut effects);
        for effect in effects {
            self.act(effect);
        }
        self.log.disconnected(ending);
        // The peer may be gone already.
        _ = self.shared.clock.timeout(WRITE_LIMIT, self.stream.close()).await;
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

/// Writes a packet into the buffer, which is flushed when it is full.
async fn write(stream: &mut Stream, packet: Packet, shared: &Shared) -> Written {
    match shared.clock.timeout(WRITE_LIMIT, stream.feed(packet)).await {
        Some(Ok(())) => Written::Buffered,
        Some(Err(EncodeError::Io(_))) | None => Written::Broken,
        Some(Err(_)) => Written::LeftOut,
    }
}

async fn refreshed(refreshing: &mut Option<Refreshing>) -> Result<Authorization, Refusal> {
    match refreshing {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}
