//! One connection from its TCP accept to its end: the IO around a [`Session`].

mod authentication;
pub(crate) mod context;
mod handshake;
mod http;
mod limits;
mod log;
mod presence;
mod transport;
mod websocket;
mod will;

use std::{collections::VecDeque, future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, SinkExt, StreamExt};
use mqtt::{DecodeError, Packet, SubAckCode, Subscribe, TopicFilter};
use tokio::net::TcpStream;

use self::{
    authentication::Credentials,
    handshake::Established,
    log::ConnectionLog,
    presence::Lifecycle,
    transport::{Stream, WRITE_TIMEOUT, WriteOutcome},
    will::{DelayedWill, Will},
};
use crate::{
    broker::{
        Pending,
        queue::Delivery,
        registration::{Departure, Registration, Signals},
        store::StoreError,
    },
    client_records::{self, ConnectionEnd, ConnectionRecord, ConnectionRequest},
    custom_auth::{self, AuthnError, answer::Authorization},
    door::route::Port,
    event_log::EventType,
    lambda::Call,
    metrics::Direction,
    session::{
        BrokerEffect, Effect, Session, WireEffect, disconnect_reason::DisconnectReason,
        enforcement::Rejection,
    },
    shared::Shared,
};

/// Packets and messages that are handled before their answers are flushed. That many acknowledgements go out in one record of
/// TLS, and that many messages enter the file in one transaction.
const BATCH: usize = 64;
/// How long the last write to the client may take.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

type Refresh = Pin<Box<dyn Future<Output = Result<Authorization, AuthnError>> + Send>>;

/// Serves one connection. Returns when the connection has ended, with the last will if that is to be published later.
pub async fn serve(
    stream: TcpStream,
    port: Port,
    peer: SocketAddr,
    shared: Arc<Shared>,
) -> Option<DelayedWill> {
    let _counted = shared.log.metrics().connection();
    // A handshake needs much more memory than a session, above all for TLS. Boxed, it is freed when the session begins.
    let established = Box::pin(handshake::accept(stream, port, peer, &shared)).await?;
    let mut connection = established.into_connection(shared);
    let reason = connection.run().await;
    // Boxed, because it takes the connection apart: every connection's task would have the room for that.
    Box::pin(connection.close(reason)).await
}

struct Connection {
    stream: Stream,
    session: Session,
    registration: Registration,
    credentials: Option<Arc<Credentials>>,
    client_id: Arc<str>,
    /// What others know of the connection.
    record: Arc<ConnectionRecord>,
    log: ConnectionLog,
    /// The first effects of a session that is resumed.
    first_effects: Vec<Effect>,
    outgoing: VecDeque<Outgoing>,
    refresh: Option<Refresh>,
    /// The last will, once it is to be published later.
    will: Option<Box<Will>>,
    shared: Arc<Shared>,
}

/// An event that a connection waits for.
enum Event {
    Packet(Packet),
    Malformed(DecodeError),
    Closed,
    Message(Box<Delivery>),
    Refreshed(Result<Authorization, AuthnError>),
    Time,
    Requested(ConnectionRequest),
    Outside(DisconnectReason),
}

/// A step towards the client. The steps are taken in their order, so a packet is not written before the file has the changes
/// in front of it.
enum Outgoing {
    Commit(Pending<Result<(), StoreError>>),
    Packet(Packet),
    Close(DisconnectReason),
}

impl Established {
    /// Boxed, so that it is not moved again.
    fn into_connection(self: Box<Self>, shared: Arc<Shared>) -> Box<Connection> {
        let Self { stream, session, registration, credentials, client_id, record, effects, log } = *self;
        let credentials = credentials.map(Arc::new);
        Box::new(Connection {
            stream,
            session,
            registration,
            credentials,
            client_id,
            record,
            log,
            first_effects: effects,
            outgoing: VecDeque::new(),
            refresh: None,
            will: None,
            shared,
        })
    }
}

impl Connection {
    /// Serves the connection until it is to end.
    async fn run(&mut self) -> DisconnectReason {
        let mut effects = std::mem::take(&mut self.first_effects);
        let mut unflushed = 0;
        loop {
            if let Some(reason) = self.apply(&mut effects).await {
                return reason;
            }
            let ready = if unflushed < BATCH { self.ready() } else { None };
            let event = if let Some(event) = ready {
                unflushed += 1;
                event
            } else {
                if let Some(reason) = self.flush(&mut effects).await {
                    return reason;
                }
                unflushed = 0;
                self.wait().await
            };
            self.handle(event, &mut effects);
        }
    }

    /// An event that has happened already.
    fn ready(&mut self) -> Option<Event> {
        let signals = &self.registration.signals;
        if signals.taken_over.is_cancelled() || self.shared.stopping.is_cancelled() {
            return None;
        }
        if !self.session.is_paused()
            && let Some(packet) = self.stream.next().now_or_never()
        {
            return Some(self.read(packet));
        }
        if self.session.is_sending_paused() {
            return None;
        }
        self.registration.outbox()?.next_delivered().map(Event::Message)
    }

    async fn wait(&mut self) -> Event {
        let deadline = self.session.deadline(self.registration.outbox().as_deref());
        let signals = &self.registration.signals;
        tokio::select! {
            biased;
            () = self.shared.stopping.cancelled() => Event::Outside(DisconnectReason::Shutdown),
            () = signals.taken_over.cancelled() => Event::Outside(DisconnectReason::TakenOver),
            () = signals.overflowed.cancelled() => Event::Outside(DisconnectReason::SlowReader),
            request = self.record.requested() => Event::Requested(request),
            () = self.shared.clock.sleep_until(deadline) => Event::Time,
            answer = refreshed(&mut self.refresh) => Event::Refreshed(answer),
            packet = self.stream.next(), if !self.session.is_paused() => self.read(packet),
            delivery = delivered(&self.registration), if !self.session.is_sending_paused() => Event::Message(delivery),
        }
    }

    fn read(&self, packet: Option<Result<Packet, DecodeError>>) -> Event {
        match packet {
            Some(Ok(packet)) => Event::Packet(packet),
            // Most clients leave without TLS's `close_notify`, so the end is an error of the transport.
            Some(Err(DecodeError::Io(_))) | None => match self.stream.get_ref().end() {
                Some(reason) => Event::Outside(reason),
                None => Event::Closed,
            },
            Some(Err(error)) => Event::Malformed(error),
        }
    }

    fn handle(&mut self, event: Event, effects: &mut Vec<Effect>) {
        let now = self.shared.clock.now();
        // Before the outbox is locked: the broker locks its memory first.
        if let Event::Packet(Packet::Subscribe(subscribe)) = &event {
            let full = self.full_groups(subscribe);
            self.session.refuse_groups(full);
        }
        let Some(mut outbox) = self.registration.outbox() else {
            return self.session.end(DisconnectReason::TakenOver, effects);
        };
        match event {
            Event::Packet(packet) => {
                if matches!(packet, Packet::PingReq) {
                    self.log.ping_requested();
                }
                self.session.on_packet(packet, &mut outbox, now, effects);
            }
            Event::Message(delivery) => self.session.on_message(*delivery, &mut outbox, now, effects),
            Event::Time => self.session.on_time(&mut outbox, now, effects),
            Event::Requested(ConnectionRequest::Delete(deletion)) => self.session.delete(deletion, effects),
            Event::Requested(ConnectionRequest::Refresh) => self.session.refresh(effects),
            Event::Requested(ConnectionRequest::Inspect(answer)) => {
                // Whoever asked may be gone.
                _ = answer.send(self.session.state());
            }
            Event::Outside(reason) => self.session.end(reason, effects),
            Event::Closed | Event::Requested(ConnectionRequest::Cut) => {
                self.session.end(DisconnectReason::Lost, effects);
            }
            Event::Malformed(error) => self.session.end(DisconnectReason::Malformed(error), effects),
            Event::Refreshed(answer) => {
                self.refresh = None;
                match answer {
                    Ok(authorization) => {
                        self.session.on_refreshed(authorization, &mut outbox, now, effects);
                    }
                    Err(error) => {
                        self.log.not_authenticated(&error);
                        self.session.end(DisconnectReason::RefreshRefused, effects);
                    }
                }
            }
        }
    }

    /// The shared filters of a SUBSCRIBE that the account's quotas don't allow.
    fn full_groups(&self, subscribe: &Subscribe) -> Vec<TopicFilter> {
        let quotas = &self.shared.settings.quotas;
        let filters =
            subscribe.filters.iter().take(quotas.filters_per_subscribe).map(|filter| &filter.filter);
        let shared = filters.filter(|filter| filter.shared().is_some()).collect::<Vec<_>>();
        if shared.is_empty() {
            return Vec::new();
        }
        self.registration.full_groups(&shared, quotas.shared_groups, quotas.shared_group_members)
    }

    /// Carries out effects in their order. Packets after an uncommitted change wait for [`Connection::flush`], so that the
    /// changes of a batch are committed together. Returns the reason if the connection is to end.
    async fn apply(&mut self, effects: &mut Vec<Effect>) -> Option<DisconnectReason> {
        while !effects.is_empty() {
            self.start(effects);
            let waits =
                |outgoing: &Outgoing| matches!(outgoing, Outgoing::Commit(commit) if !commit.is_done());
            if !self.session.has_ended() && self.outgoing.iter().any(waits) {
                return None;
            }
            if let Some(reason) = self.write_outgoing(effects).await {
                return Some(reason);
            }
        }
        None
    }

    /// Completes everything that was begun, and flushes the stream. Returns the reason if the connection is to end.
    async fn flush(&mut self, effects: &mut Vec<Effect>) -> Option<DisconnectReason> {
        loop {
            if let Some(reason) = self.write_outgoing(effects).await {
                return Some(reason);
            }
            if effects.is_empty() {
                break;
            }
            self.start(effects);
        }
        // A connection that waits needs no memory for this.
        self.outgoing = VecDeque::new();
        self.flush_stream().await
    }

    /// Starts what effects ask for.
    fn start(&mut self, effects: &mut Vec<Effect>) {
        for effect in std::mem::take(effects) {
            match effect {
                Effect::Wire(WireEffect::Send(packet)) => self.outgoing.push_back(Outgoing::Packet(packet)),
                Effect::Wire(WireEffect::Close(reason)) => self.outgoing.push_back(Outgoing::Close(reason)),
                Effect::Broker(effect) => {
                    let commit = self.submit(effect);
                    self.outgoing.push_back(Outgoing::Commit(commit));
                }
                Effect::Log(rejection) => self.log.rejected(&rejection),
                Effect::Unserved(topic) => {
                    self.count(Direction::In);
                    self.log.message(EventType::PublishIn, &topic, false);
                    self.log.unserved(topic.as_str());
                }
                Effect::Subscribed(outcomes) => {
                    self.log.subscribed(&outcomes);
                    let granted = outcomes.iter().filter(|(_, code)| matches!(code, SubAckCode::Granted(_)));
                    let topics = granted.map(|(filter, _)| filter.as_str()).collect::<Vec<_>>();
                    self.report(Lifecycle::Subscribed(&topics));
                }
                Effect::Unsubscribed(filters) => {
                    self.log.unsubscribed();
                    let topics = filters.iter().map(TopicFilter::as_str).collect::<Vec<_>>();
                    if !topics.is_empty() {
                        self.report(Lifecycle::Unsubscribed(&topics));
                    }
                }
                Effect::Refresh => self.refresh = self.refresh(),
                Effect::DelayWill(topic, publish, delay) => {
                    if let Some(permit) = self.shared.delayed_wills.acquire(&publish) {
                        let due = self.shared.clock.now() + delay;
                        self.will = Some(Box::new(Will { topic, publish, due, permit }));
                    } else {
                        self.log.rejected(&Rejection::will_without_delay(&topic));
                        let commit = self.submit(BrokerEffect::Publish(topic, publish));
                        self.outgoing.push_back(Outgoing::Commit(commit));
                    }
                }
            }
        }
    }

    fn count(&self, direction: Direction) {
        self.shared.log.metrics().message(direction);
        self.record.count(direction);
    }

    /// Publishes a lifecycle event.
    fn report(&mut self, lifecycle: Lifecycle<'_>) {
        let published = presence::publish(&self.shared, &self.client_id, &self.log, lifecycle);
        self.outgoing.extend(published.map(Outgoing::Commit));
    }

    fn submit(&self, effect: BrokerEffect) -> Pending<Result<(), StoreError>> {
        let (broker, now) = (&self.shared.broker, self.shared.clock.now());
        match effect {
            BrokerEffect::Publish(topic, publish) => {
                self.count(Direction::In);
                self.log.message(EventType::PublishIn, &topic, publish.retain);
                broker.publish(Arc::clone(&self.client_id), topic, publish, now)
            }
            BrokerEffect::RequestShadow(message) => {
                self.count(Direction::In);
                self.log.message(EventType::PublishIn, &message.topic, message.publish.retain);
                let at = self.shared.clock.epoch().unix_seconds(now);
                broker.request_shadow(Arc::clone(&self.client_id), *message, at, now)
            }
            BrokerEffect::Subscribe(filter) => self.registration.subscribe(filter, now),
            BrokerEffect::Unsubscribe(filter) => self.registration.unsubscribe(filter, now),
            BrokerEffect::Sent(message, packet_id) => broker.sent(message, packet_id, now),
            BrokerEffect::Settled(message) => broker.settled(message, now),
            BrokerEffect::DeliverShared => self.registration.deliver_shared(now),
        }
    }

    /// Takes the steps towards the client. Returns the reason if the connection is to end.
    async fn write_outgoing(&mut self, effects: &mut Vec<Effect>) -> Option<DisconnectReason> {
        while let Some(step) = self.outgoing.pop_front() {
            match step {
                Outgoing::Commit(commit) => {
                    if let Err(error) = commit.await {
                        return self.give_up(&error, effects);
                    }
                }
                Outgoing::Packet(packet) => {
                    if !self.send(packet, effects).await {
                        // Nothing more gets through. The reason may be known better already.
                        let known = self.outgoing.iter().find_map(|step| match step {
                            Outgoing::Close(reason) => Some(*reason),
                            Outgoing::Commit(_) | Outgoing::Packet(_) => None,
                        });
                        return Some(known.unwrap_or(DisconnectReason::Lost));
                    }
                }
                Outgoing::Close(reason) => {
                    // The connection ends, whether this gets through or not.
                    _ = self.flush_stream().await;
                    return Some(reason);
                }
            }
        }
        None
    }

    /// Ends the session after the file could not be written. The change is not acknowledged, nor is anything after it.
    fn give_up(&mut self, error: &StoreError, effects: &mut Vec<Effect>) -> Option<DisconnectReason> {
        tracing::error!(%error, client_id = &*self.client_id, "a connection ends");
        self.outgoing.clear();
        if self.session.has_ended() {
            return Some(DisconnectReason::NotWritten);
        }
        self.session.end(DisconnectReason::NotWritten, effects);
        None
    }

    /// Writes a packet into the stream's buffer. `false` if the connection is broken.
    async fn send(&mut self, packet: Packet, effects: &mut Vec<Effect>) -> bool {
        let (is_message, is_ping) =
            (matches!(packet, Packet::Publish(_)), matches!(packet, Packet::PingResp));
        let packet_id = if let Packet::Publish(publish) = &packet { publish.packet_id } else { None };
        let logged = match &packet {
            Packet::Publish(publish) if self.log.has_messages(EventType::PublishOut) => publish.topic.clone(),
            _ => None,
        };
        let Self { stream, session, registration, shared, .. } = self;
        let fed = within_timeout(stream.feed(packet), session, &registration.signals, shared).await;
        let outcome = WriteOutcome::of(fed);
        if is_ping {
            self.log.ping_answered(matches!(outcome, WriteOutcome::Buffered));
        }
        match outcome {
            WriteOutcome::Broken => return false,
            WriteOutcome::TooLarge => {
                if let (Some(packet_id), Some(mut outbox)) = (packet_id, self.registration.outbox()) {
                    let now = self.shared.clock.now();
                    self.session.on_too_large(packet_id, &mut outbox, now, effects);
                }
            }
            WriteOutcome::Buffered if is_message => {
                self.count(Direction::Out);
                if let Some(topic) = logged {
                    self.log.message(EventType::PublishOut, &topic, false);
                }
            }
            WriteOutcome::Buffered => {}
        }
        true
    }

    /// Flushes the stream. Returns the reason if the connection is to end.
    async fn flush_stream(&mut self) -> Option<DisconnectReason> {
        let Self { stream, session, registration, shared, .. } = self;
        let flushed = within_timeout(stream.flush(), session, &registration.signals, shared).await;
        (!matches!(flushed, Some(Ok(())))).then_some(DisconnectReason::Lost)
    }

    fn refresh(&self) -> Option<Refresh> {
        let credentials = Arc::clone(self.credentials.as_ref()?);
        let (log, connection_id) = (self.shared.log.clone(), self.log.connection_id().to_owned());
        Some(Box::pin(async move {
            let Credentials { authorizer, presented } = &*credentials;
            custom_auth::authenticate(authorizer, Call::Refresh, presented, &connection_id, &log).await
        }))
    }

    async fn close(mut self: Box<Self>, reason: DisconnectReason) -> Option<DelayedWill> {
        // After a failed write the session has not ended yet, and its last will is still to be published.
        let mut effects = Vec::new();
        self.session.end(reason, &mut effects);
        self.outgoing.clear();
        self.start(&mut effects);
        for step in std::mem::take(&mut self.outgoing) {
            match step {
                Outgoing::Commit(commit) => {
                    if let Err(error) = commit.await {
                        tracing::error!(%error, client_id = &*self.client_id, "a last will is lost");
                    }
                }
                // Nothing can be written any more.
                Outgoing::Packet(_) | Outgoing::Close(_) => {}
            }
        }
        self.log.disconnected(reason);
        let lifecycle = Lifecycle::Disconnected(self.record.version, reason);
        presence::published(&self.shared, &self.client_id, &self.log, lifecycle).await;
        let Self { mut stream, session, registration, client_id, record, will, shared, .. } = *self;
        let (now, expiry) = (shared.clock.now(), session.expiry());
        let kept = if expiry.is_zero() { client_records::KEPT } else { expiry };
        let end = ConnectionEnd { at: now, reason: reason.aws_name() };
        shared.clients.disconnected(&client_id, &record, end, now + kept);
        // From here on nothing is delivered to the connection, however long its end takes.
        let departure = if expiry.is_zero() {
            registration.end(now).await;
            Departure::Ended
        } else {
            registration.leave(now + expiry, now).await
        };
        // The client may be gone already.
        _ = shared.clock.timeout(WRITE_TIMEOUT, stream.close()).await;
        will::delayed(will, departure, client_id, shared)
    }
}

/// The output of a write, if it is done in time. Before its end, a connection also stops writing when another one takes over or
/// when the gateway stops.
async fn within_timeout<T>(
    write: impl Future<Output = T>,
    session: &Session,
    signals: &Signals,
    shared: &Shared,
) -> Option<T> {
    if session.has_ended() {
        return shared.clock.timeout(LAST_WRITE_TIMEOUT, write).await;
    }
    tokio::select! {
        biased;
        done = shared.clock.timeout(WRITE_TIMEOUT, write) => done,
        () = signals.taken_over.cancelled() => None,
        () = shared.stopping.cancelled() => None,
    }
}

async fn refreshed(refresh: &mut Option<Refresh>) -> Result<Authorization, AuthnError> {
    match refresh {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}

/// The next message that the broker delivers.
async fn delivered(registration: &Registration) -> Box<Delivery> {
    loop {
        let next = registration.outbox().and_then(|mut outbox| outbox.next_delivered());
        if let Some(delivery) = next {
            return delivery;
        }
        registration.signals.delivered.notified().await;
    }
}
