//! Passes packets between a device and the server: the IO and the timers around a [`Session`].
//!
//! Each side has a keep-alive of its own. The bridge answers the device's pings, and pings the server itself. A side that does
//! not read holds up the other one, and nothing is queued without a bound.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use device_core::backoff::Backoff;
use mqtt::{
    Connect, DecodeError, Disconnect, DisconnectReasonCode as Code, EncodeError, Packet, PubAck, PubAckCode,
    Version,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{DeviceWire, close, disconnect, log_refusal, translation_line};
use crate::log::{ConnectionId, EventType, Level, Line};
use crate::rules::Translation;
use crate::session::{Effect, End, Rejected, Session};
use crate::shared::Shared;
use crate::spool::{Spool, SpoolDevice, SpoolEvent};
use crate::upstream::{ConnectError, UpstreamWire, pacing::Held, random};

/// A side whose queue has more bytes than this makes the other side wait.
const QUEUE_BYTES: usize = 65_536;
/// How long a side may accept nothing of what is queued for it.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server has for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection upstream outlives its device to send what is stored.
const LINGER: Duration = Duration::from_mins(1);
/// How many packets of one side are handled before the other one's.
const TURN: u32 = 32;
/// The shortest and the longest time between a device's attempts to connect again. An outage has a longer backoff of its own, for
/// the whole site.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// A timer that nobody set.
const FAR_FUTURE: Duration = Duration::from_hours(24);

/// With what a device is connected again, if its messages can be stored meanwhile.
pub(super) struct Again {
    connect: Connect,
    spool: Spool,
    device: SpoolDevice,
    /// What the spool answers.
    events: mpsc::UnboundedReceiver<SpoolEvent>,
    event_sender: mpsc::UnboundedSender<SpoolEvent>,
}

impl Again {
    pub(super) fn new(connect: Connect, spool: Spool, device: SpoolDevice) -> Box<Self> {
        let (event_sender, events) = mpsc::unbounded_channel();
        Box::new(Self { connect, spool, device, events, event_sender })
    }
}

/// One device and its connection upstream.
pub(super) struct Exchange<'a> {
    device: Option<DeviceWire>,
    upstream: Option<UpstreamWire>,
    session: Session,
    version: Version,
    timers: Timers,
    sleep: Pin<Box<Sleep>>,
    /// Until another connection has its client id.
    taken_over: Option<oneshot::Receiver<()>>,
    again: Option<Box<Again>>,
    reconnecting: Option<Pin<Box<dyn Future<Output = Reconnected> + Send + 'a>>>,
    /// The device is gone, and what is stored is still sent.
    lingering: Option<Disconnect>,
    counted: BTreeSet<Translation>,
    id: ConnectionId,
    shared: &'a Arc<Shared>,
    turn: u32,
    effects: Vec<Effect>,
}

type Reconnected = Result<(UpstreamWire, mqtt::ConnAck), ConnectError>;

/// When something has to happen.
struct Timers {
    /// One and a half times the device's keep-alive.
    device_limit: Option<Duration>,
    device_heard: Instant,
    upstream_keep_alive: Duration,
    upstream_told: Instant,
    ping_sent: Option<Instant>,
    /// Since when a side accepts nothing.
    stalled: [Option<Instant>; 2],
    linger_until: Option<Instant>,
    /// For when the sleep is set.
    armed: Instant,
}

/// What has to happen because of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The device has sent nothing for too long.
    DeviceSilent,
    /// The device has accepted nothing for too long.
    DeviceStalled,
    /// The connection upstream has outlived its device for too long.
    LingerOver,
    /// The server does not answer, or accepts nothing.
    UpstreamSilent,
    /// The server has to be told that the connection is in use.
    Ping,
}

/// What happened.
enum Event {
    Device(Packet),
    Upstream(Packet),
    DeviceEnded(Option<DecodeError>),
    UpstreamEnded {
        closed: bool,
        details: String,
    },
    Timer,
    /// Another connection has its client id now.
    TakenOver,
    Spool(SpoolEvent),
    Reconnected(Box<Reconnected>),
    Stopping,
}

/// How the two connections end.
struct Ending {
    reason: &'static str,
    details: String,
    explanation: Option<&'static str>,
    failed: bool,
    /// What the device reads, if it is still there.
    to_device: Option<Packet>,
    /// What the server reads. Without it the server publishes the device's will.
    to_upstream: Option<Packet>,
}

impl Ending {
    fn new(reason: &'static str, details: impl Into<String>) -> Self {
        let details = details.into();
        Self { reason, details, explanation: None, failed: true, to_device: None, to_upstream: None }
    }

    fn with_code(mut self, code: Code) -> Self {
        self.to_device = Some(disconnect(code, &self.details));
        self
    }
}

impl<'a> Exchange<'a> {
    #[expect(clippy::too_many_arguments, reason = "called once, with what the handshake has found")]
    pub(super) fn new(
        device: DeviceWire,
        mut upstream: UpstreamWire,
        session: Session,
        (device_keep_alive, upstream_keep_alive): (u16, u16),
        server_maximum: Option<NonZeroU32>,
        again: Option<Box<Again>>,
        taken_over: oneshot::Receiver<()>,
        id: ConnectionId,
        shared: &'a Arc<Shared>,
    ) -> Box<Self> {
        let now = Instant::now();
        if let Some(bytes) = server_maximum {
            upstream.set_peer_maximum(bytes.get());
        }
        let device_limit = Duration::from_secs(device_keep_alive.into()) * 3 / 2;
        Box::new(Self {
            version: device.codec().version().unwrap_or(Version::V311),
            device: Some(device),
            upstream: Some(upstream),
            session,
            timers: Timers {
                device_limit: (device_keep_alive > 0).then_some(device_limit),
                device_heard: now,
                upstream_keep_alive: Duration::from_secs(upstream_keep_alive.into()),
                upstream_told: now,
                ping_sent: None,
                stalled: [None; 2],
                linger_until: None,
                armed: now + FAR_FUTURE,
            },
            sleep: Box::pin(sleep_until(now + FAR_FUTURE)),
            taken_over: Some(taken_over),
            again,
            reconnecting: None,
            lingering: None,
            counted: BTreeSet::new(),
            id,
            shared,
            turn: 0,
            effects: Vec::new(),
        })
    }

    /// Counts something that was changed, and logs it the first time.
    pub(super) fn count(&mut self, translation: Translation) {
        self.shared.metrics.translation(translation);
        if self.counted.insert(translation) {
            let line = translation_line(translation);
            self.shared.log.connection(EventType::Translation, &self.id, &line);
        }
    }

    /// Passes packets until the connections end.
    pub(super) async fn run(mut self: Box<Self>) {
        self.session.begin(&mut self.effects);
        let stopping = self.shared.stopping.clone();
        let mut stopping = Box::pin(stopping.cancelled_owned());
        let ending = loop {
            // Boxed, as the end is: between two events a connection has no room for them.
            let ending =
                if self.effects.is_empty() { self.lingered() } else { Box::pin(self.carry_out()).await };
            if let Some(ending) = ending {
                break ending;
            }
            let event = poll_fn(|context| {
                if stopping.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Event::Stopping);
                }
                self.poll_event(context)
            })
            .await;
            if let Some(ending) = self.handle(event) {
                break ending;
            }
        };
        Box::pin(self.end(ending)).await;
    }

    /// The next thing that happens. What has arrived already comes first, then both sides are written, then read.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(taken_over) = &mut self.taken_over
            && let Poll::Ready(told) = Pin::new(taken_over).poll(context)
        {
            self.taken_over = None;
            if told.is_ok() {
                return Poll::Ready(Event::TakenOver);
            }
        }
        if let Some(again) = &mut self.again
            && let Poll::Ready(Some(event)) = again.events.poll_recv(context)
        {
            return Poll::Ready(Event::Spool(event));
        }
        if let Some(reconnecting) = &mut self.reconnecting
            && let Poll::Ready(outcome) = reconnecting.as_mut().poll(context)
        {
            self.reconnecting = None;
            return Poll::Ready(Event::Reconnected(Box::new(outcome)));
        }
        loop {
            if let Some(event) = self.arrived() {
                return Poll::Ready(event);
            }
            if let Some(event) = self.poll_write(context) {
                return Poll::Ready(event);
            }
            let [device, upstream] = self.may_read();
            let mut read = false;
            if device && let Some(wire) = &mut self.device {
                match wire.poll_read(context) {
                    Poll::Ready(Ok(true)) => {
                        self.timers.device_heard = Instant::now();
                        read = true;
                    }
                    Poll::Ready(Ok(false) | Err(_)) => return Poll::Ready(Event::DeviceEnded(None)),
                    Poll::Pending => {}
                }
            }
            if upstream && let Some(wire) = &mut self.upstream {
                match wire.poll_read(context) {
                    Poll::Ready(Ok(true)) => {
                        self.timers.ping_sent = None;
                        read = true;
                    }
                    Poll::Ready(Ok(false)) => return Poll::Ready(upstream_closed()),
                    Poll::Ready(Err(error)) => return Poll::Ready(upstream_failed(&error)),
                    Poll::Pending => {}
                }
            }
            if !read {
                self.arm();
                return self.sleep.as_mut().poll(context).map(|()| Event::Timer);
            }
        }
    }

    /// Which sides may be read: not one whose packets the other side can't accept now.
    fn may_read(&self) -> [bool; 2] {
        let queued = |bytes: Option<usize>| bytes.unwrap_or_default() < QUEUE_BYTES;
        let device = self.device.as_ref().map(DeviceWire::queued_bytes);
        let upstream = self.upstream.as_ref().map(UpstreamWire::queued_bytes);
        // Its answers go back to the device.
        [queued(upstream) && queued(device) && self.session.accepts_more(), queued(device)]
    }

    /// A packet that has arrived already. The sides take turns.
    fn arrived(&mut self) -> Option<Event> {
        let [device, upstream] = self.may_read();
        self.turn = self.turn.wrapping_add(1);
        let upstream_first = (self.turn / TURN) % 2 == 1;
        for from_upstream in [upstream_first, !upstream_first] {
            if from_upstream
                && upstream
                && let Some(wire) = &mut self.upstream
            {
                match wire.arrived() {
                    Ok(Some(packet)) => return Some(Event::Upstream(packet)),
                    Ok(None) => {}
                    Err(error) => {
                        return Some(Event::UpstreamEnded { closed: false, details: error.to_string() });
                    }
                }
            }
            if !from_upstream
                && device
                && let Some(wire) = &mut self.device
            {
                match wire.arrived() {
                    Ok(Some(packet)) => return Some(Event::Device(packet)),
                    Ok(None) => {}
                    Err(error) => return Some(Event::DeviceEnded(Some(error))),
                }
            }
        }
        None
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Option<Event> {
        let now = Instant::now();
        let [device_stalled, upstream_stalled] = &mut self.timers.stalled;
        if let Some(wire) = &mut self.device {
            let before = wire.queued_bytes();
            match wire.poll_flush(context) {
                Poll::Ready(Ok(())) => *device_stalled = None,
                Poll::Ready(Err(_)) => return Some(Event::DeviceEnded(None)),
                Poll::Pending if wire.queued_bytes() < before => *device_stalled = Some(now),
                Poll::Pending => _ = device_stalled.get_or_insert(now),
            }
        }
        if let Some(wire) = &mut self.upstream {
            let before = wire.queued_bytes();
            if before > 0 {
                self.timers.upstream_told = now;
            }
            match wire.poll_flush(context) {
                Poll::Ready(Ok(())) => *upstream_stalled = None,
                Poll::Ready(Err(error)) => return Some(upstream_failed(&error)),
                Poll::Pending if wire.queued_bytes() < before => *upstream_stalled = Some(now),
                Poll::Pending => _ = upstream_stalled.get_or_insert(now),
            }
        }
        None
    }

    /// Sets the sleep to the next moment at which something has to happen, unless it ends before that anyway.
    fn arm(&mut self) {
        let next = self.timers.next(self.upstream.is_some());
        if next < self.timers.armed {
            self.timers.armed = next;
            self.sleep.as_mut().reset(next);
        }
    }

    fn handle(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Device(packet) => {
                if matches!(packet, Packet::Publish(_)) {
                    self.shared.metrics.message_up();
                }
                self.session.from_device(packet, &mut self.effects);
                None
            }
            Event::Upstream(packet) => {
                if matches!(packet, Packet::Publish(_)) {
                    self.shared.metrics.message_down();
                }
                self.session.from_upstream(packet, &mut self.effects);
                None
            }
            Event::Spool(SpoolEvent::Stored(stored)) => {
                self.session.stored(stored, &mut self.effects);
                self.lingered()
            }
            Event::Spool(SpoolEvent::Fetched(messages)) => {
                self.session.fetched(messages, &mut self.effects);
                self.lingered()
            }
            Event::DeviceEnded(Some(error)) => {
                let ending = Ending::new("CLIENT_ERROR", error.to_string());
                Some(ending.with_code(error.reason_code()))
            }
            Event::DeviceEnded(None) => {
                Some(Ending::new("CONNECTION_LOST", "the device's connection ended without DISCONNECT"))
            }
            Event::UpstreamEnded { closed, details } => self.upstream_ended(closed, details),
            Event::Timer => self.timer(),
            Event::TakenOver => {
                let details = "another connection with the client id was accepted";
                Some(Ending::new("DUPLICATE_CLIENT_ID", details).with_code(Code::SessionTakenOver))
            }
            Event::Reconnected(outcome) => self.reconnected(*outcome),
            Event::Stopping => Some(
                Ending { failed: false, ..Ending::new("BRIDGE_STOPS", "the bridge stops") }
                    .with_code(Code::ServerShuttingDown),
            ),
        }
    }

    /// Carries out what the session wants, and returns an ending if it wants that.
    async fn carry_out(&mut self) -> Option<Ending> {
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::ToDevice(packet) => {
                        if let Some(ending) = self.queue_for_device(packet) {
                            return Some(ending);
                        }
                    }
                    Effect::ToUpstream(packet) => self.queue_for_upstream(packet),
                    Effect::Store(message) => {
                        if let Some(again) = &self.again {
                            again.spool.store(again.device, message, &again.event_sender).await;
                        }
                    }
                    Effect::Delete(number) => {
                        if let Some(again) = &self.again {
                            again.spool.delete(again.device, number).await;
                        }
                    }
                    Effect::Fetch { after, limit } => {
                        if let Some(again) = &self.again {
                            again.spool.fetch(again.device, after, limit, &again.event_sender).await;
                        }
                    }
                    Effect::Count(translation) => self.count(translation),
                    Effect::Rejected(rejected) => self.rejected(rejected),
                    Effect::End(end) => {
                        if let Some(ending) = self.session_ends(end) {
                            return Some(ending);
                        }
                    }
                }
            }
        }
        self.lingered()
    }

    fn queue_for_device(&mut self, packet: Packet) -> Option<Ending> {
        let Some(device) = &mut self.device else { return None };
        let id = if let Packet::Publish(message) = &packet { message.packet_id } else { None };
        let is_message = matches!(packet, Packet::Publish(_));
        match device.queue(packet) {
            Ok(()) => None,
            Err(EncodeError::PacketTooLarge { .. }) if is_message => {
                self.session.undeliverable(id, &mut self.effects);
                None
            }
            Err(error) => {
                Some(Ending::new("UNSENDABLE", error.to_string()).with_code(Code::UnspecifiedError))
            }
        }
    }

    fn queue_for_upstream(&mut self, packet: Packet) {
        let Some(upstream) = &mut self.upstream else { return };
        let id = if let Packet::Publish(message) = &packet { message.packet_id } else { None };
        match upstream.queue(packet) {
            Ok(()) => {}
            // AWS would end the connection, and after each new one again.
            Err(error) => {
                tracing::debug!(%error, "a packet can't be sent to AWS");
                self.count(Translation::Oversize);
                if let Some(packet_id) = id {
                    let code = match self.version {
                        Version::V5 => PubAckCode::QuotaExceeded,
                        Version::V311 => PubAckCode::Success,
                    };
                    let answer = Packet::PubAck(PubAck::new(packet_id, code));
                    self.session.from_upstream(answer, &mut self.effects);
                }
            }
        }
    }

    fn rejected(&self, rejected: Rejected) {
        let Rejected { topic, code, reason_string } = rejected;
        let details = match (code, reason_string) {
            (Some(_), Some(words)) => words.to_string(),
            (Some(code), None) => format!("AWS answered {:#04x}", u8::from(code)),
            (None, _) => "AWS ended the connection after it, again and again; it is dropped".to_owned(),
        };
        let explanation = "does the device's grant allow this topic? `latchkey fleet explain` says";
        let line = Line {
            level: Level::Error,
            reason: "MESSAGE_REJECTED",
            details: Some(details),
            explanation: Some(explanation.to_owned()),
            topic_name: topic.map(|topic| topic.to_string()),
        };
        self.shared.log.connection(EventType::PublishIn, &self.id, &line);
    }

    fn session_ends(&mut self, end: End) -> Option<Ending> {
        match end {
            End::Device(reason) => {
                let ending = Ending {
                    failed: false,
                    to_upstream: Some(Packet::Disconnect(reason.clone())),
                    ..Ending::new("CLIENT_INITIATED_DISCONNECT", "the device disconnected")
                };
                if self.linger(reason) { None } else { Some(ending) }
            }
            End::Violation(code, details) => Some(Ending::new("CLIENT_ERROR", details).with_code(code)),
            End::Server(reason) => {
                let details = match &reason.reason_string {
                    Some(words) => words.to_string(),
                    None => format!("AWS sent DISCONNECT with {:#04x}", u8::from(reason.code)),
                };
                let transient = matches!(
                    reason.code,
                    Code::ServerBusy | Code::ServerShuttingDown | Code::UseAnotherServer
                );
                if transient && self.again.is_some() {
                    return self.upstream_ended(false, details);
                }
                let ending = Ending::new("SERVER_DISCONNECT", details);
                Some(Ending { to_device: Some(Packet::Disconnect(reason)), ..ending })
            }
            End::ServerViolation(details) => self.upstream_ended(false, details.to_owned()),
            End::Storage => {
                let details = "a message can't be stored";
                Some(Ending::new("SPOOL_FAILED", details).with_code(Code::UnspecifiedError))
            }
        }
    }

    /// Keeps the connection upstream without its device, if there is something to send.
    fn linger(&mut self, reason: Disconnect) -> bool {
        let lingers = self.session.has_backlog() && self.upstream.is_some() && self.lingering.is_none();
        if lingers {
            self.device = None;
            self.lingering = Some(reason);
            self.timers.device_limit = None;
            self.timers.linger_until = Some(Instant::now() + LINGER);
        }
        lingers
    }

    /// The ending, if the device is gone and everything was sent.
    fn lingered(&mut self) -> Option<Ending> {
        if self.session.has_backlog() {
            return None;
        }
        let reason = self.lingering.take()?;
        Some(Ending {
            failed: false,
            to_upstream: Some(Packet::Disconnect(reason)),
            ..Ending::new(
                "CLIENT_INITIATED_DISCONNECT",
                "the device disconnected, and its stored messages are sent",
            )
        })
    }

    fn upstream_ended(&mut self, closed: bool, details: String) -> Option<Ending> {
        self.upstream = None;
        self.timers.ping_sent = None;
        let Some(again) = &self.again else {
            let explanation = Some(
                "AWS ends a connection of MQTT 3.1.1 that does what its policy does not allow; its log says what",
            );
            let ending = Ending::new("UPSTREAM_ENDED", details).with_code(Code::UnspecifiedError);
            return Some(Ending { explanation: explanation.filter(|_| closed), ..ending });
        };
        if self.lingering.is_some() {
            return Some(Ending::new("UPSTREAM_ENDED", details));
        }
        let line = Line {
            level: Level::Error,
            reason: "UPSTREAM_ENDED",
            details: Some(details),
            explanation: Some("the device stays connected, and its QoS 1 messages are stored".to_owned()),
            ..Line::default()
        };
        self.shared.log.connection(EventType::Upstream, &self.id, &line);
        self.session.lost(closed, &mut self.effects);
        self.reconnecting = Some(Box::pin(reconnect(again.connect.clone(), self.shared)));
        None
    }

    fn reconnected(&mut self, outcome: Reconnected) -> Option<Ending> {
        match outcome {
            Ok((upstream, answer)) => {
                self.upstream = Some(upstream);
                self.timers.upstream_told = Instant::now();
                let line = Line { reason: "UPSTREAM_AGAIN", ..Line::default() };
                self.shared.log.connection(EventType::Upstream, &self.id, &line);
                self.session.reconnected(answer.session_present, &mut self.effects);
                None
            }
            Err(error) => {
                log_refusal(self.shared, &self.id, &error, self.version);
                let code = match error {
                    ConnectError::Refused { .. } | ConnectError::Held(Held::Refused { .. }) => {
                        Code::NotAuthorized
                    }
                    _ => Code::UnspecifiedError,
                };
                Some(Ending::new("UPSTREAM_REFUSED", error.to_string()).with_code(code))
            }
        }
    }

    fn timer(&mut self) -> Option<Ending> {
        let now = Instant::now();
        self.timers.armed = now + FAR_FUTURE;
        self.sleep.as_mut().reset(self.timers.armed);
        let due = self.timers.due(now, self.device.is_some(), self.upstream.is_some());
        match due? {
            Due::DeviceSilent => {
                let details = "no packet came for one and a half keep-alive times";
                Some(Ending::new("MQTT_KEEP_ALIVE_TIMEOUT", details).with_code(Code::KeepAliveTimeout))
            }
            Due::DeviceStalled => Some(Ending::new("DEVICE_STALLED", "the device accepts no data")),
            Due::LingerOver => {
                let details = "the device disconnected, and not all of its stored messages were sent";
                Some(Ending::new("LINGER_TIMEOUT", details))
            }
            Due::UpstreamSilent => self.upstream_ended(false, "AWS does not answer any more".to_owned()),
            Due::Ping => {
                self.timers.ping_sent = Some(now);
                self.queue_for_upstream(Packet::PingReq);
                None
            }
        }
    }

    /// Ends both connections and writes the line about it.
    async fn end(mut self: Box<Self>, ending: Ending) {
        let Ending { reason, details, explanation, failed, to_device, to_upstream } = ending;
        if let Some(mut device) = self.device.take() {
            if let Some(packet) = to_device {
                // 3.1.1 has no such packet.
                _ = device.queue(packet);
            }
            close(&mut device).await;
        }
        if let (Some(mut upstream), Some(packet)) = (self.upstream.take(), to_upstream) {
            let closing = async {
                if upstream.queue(packet).is_ok() && upstream.flush().await.is_ok() {
                    _ = tokio::io::AsyncWriteExt::shutdown(upstream.stream_mut()).await;
                }
            };
            _ = tokio::time::timeout(super::CLOSE_TIMEOUT, closing).await;
        }
        let line = Line {
            level: if failed { Level::Error } else { Level::Info },
            reason,
            details: Some(details),
            explanation: explanation.map(str::to_owned),
            ..Line::default()
        };
        self.shared.log.connection(EventType::Disconnect, &self.id, &line);
    }
}

impl Timers {
    /// Some time before the keep-alive ends, because a ping needs time too.
    fn ping_after(&self) -> Duration {
        self.upstream_keep_alive * 3 / 4
    }

    /// What has to happen at this moment, if there are a device and a connection upstream.
    fn due(&self, now: Instant, device: bool, upstream: bool) -> Option<Due> {
        let passed =
            |since: Option<Instant>, limit: Duration| since.is_some_and(|since| now >= since + limit);
        let [device_stalled, upstream_stalled] = self.stalled;
        if device && self.device_limit.is_some_and(|limit| now >= self.device_heard + limit) {
            return Some(Due::DeviceSilent);
        }
        if passed(device_stalled, STALL_TIMEOUT) {
            return Some(Due::DeviceStalled);
        }
        if self.linger_until.is_some_and(|until| now >= until) {
            return Some(Due::LingerOver);
        }
        if !upstream {
            return None;
        }
        if passed(upstream_stalled, STALL_TIMEOUT) || passed(self.ping_sent, PING_TIMEOUT) {
            return Some(Due::UpstreamSilent);
        }
        let pings = self.ping_sent.is_none() && now >= self.upstream_told + self.ping_after();
        pings.then_some(Due::Ping)
    }

    fn next(&self, connected: bool) -> Instant {
        let [device, upstream] = self.stalled;
        let moments = [
            self.device_limit.map(|limit| self.device_heard + limit),
            device.map(|since| since + STALL_TIMEOUT),
            upstream.map(|since| since + STALL_TIMEOUT),
            self.linger_until,
            connected.then(|| match self.ping_sent {
                Some(sent) => sent + PING_TIMEOUT,
                None => self.upstream_told + self.ping_after(),
            }),
        ];
        moments.into_iter().flatten().min().unwrap_or(self.armed)
    }
}

/// Tries to connect again until the server answers.
async fn reconnect(connect: Connect, shared: &Shared) -> Reconnected {
    let [min, max] = AGAIN_AFTER;
    let mut backoff = Backoff::new(min, max).ok();
    loop {
        match shared.upstream.connect(&connect).await {
            Err(
                ConnectError::Unreachable(_) | ConnectError::Held(Held::Outage | Held::Busy | Held::Storm),
            ) => {
                let delay = backoff.as_mut().map_or(max, |backoff| backoff.next_delay(random()));
                sleep(delay).await;
            }
            outcome => return outcome,
        }
    }
}

fn upstream_closed() -> Event {
    Event::UpstreamEnded { closed: true, details: "AWS closed the connection".to_owned() }
}

fn upstream_failed(error: &io::Error) -> Event {
    // A server that closes TCP without the end of TLS has closed it too.
    let closed = error.kind() == io::ErrorKind::UnexpectedEof;
    Event::UpstreamEnded { closed, details: format!("the connection to AWS broke: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn timers(now: Instant, device_keep_alive: u32, upstream_keep_alive: u64) -> Timers {
        Timers {
            device_limit: (device_keep_alive > 0).then(|| SECOND * device_keep_alive * 3 / 2),
            device_heard: now,
            upstream_keep_alive: Duration::from_secs(upstream_keep_alive),
            upstream_told: now,
            ping_sent: None,
            stalled: [None; 2],
            linger_until: None,
            armed: now + FAR_FUTURE,
        }
    }

    /// What is due next, and when: nothing is before that moment.
    fn next_due(timers: &Timers, upstream: bool) -> (Option<Due>, Instant) {
        let next = timers.next(upstream);
        assert_eq!(timers.due(next.checked_sub(Duration::from_millis(1)).unwrap(), true, upstream), None);
        (timers.due(next, true, upstream), next)
    }

    #[test]
    fn a_server_that_is_half_open_is_pinged_and_then_given_up() {
        let now = Instant::now();
        let mut timers = timers(now, 0, 30);
        let (due, at) = next_due(&timers, true);
        assert_eq!((due, at - now), (Some(Due::Ping), Duration::from_millis(22_500)));
        timers.ping_sent = Some(at);
        timers.upstream_told = at;
        let (due, given_up) = next_due(&timers, true);
        assert_eq!((due, given_up - at), (Some(Due::UpstreamSilent), PING_TIMEOUT));
        // A device without a keep-alive waits for as long as the outage lasts.
        assert_eq!(timers.due(given_up + SECOND * 100_000, true, false), None);
    }

    #[test]
    fn a_device_that_is_half_open_ends_by_its_own_keep_alive() {
        let now = Instant::now();
        let mut timers = timers(now, 10, 1_200);
        let (due, at) = next_due(&timers, true);
        assert_eq!((due, at - now), (Some(Due::DeviceSilent), SECOND * 15));
        assert_eq!(timers.due(at, false, true), None, "it is gone, and its messages are still sent");
        timers.device_limit = None;
        timers.stalled = [Some(now), None];
        assert_eq!(next_due(&timers, true), (Some(Due::DeviceStalled), now + STALL_TIMEOUT));
        timers.stalled = [None, Some(now)];
        assert_eq!(next_due(&timers, true), (Some(Due::UpstreamSilent), now + STALL_TIMEOUT));
        timers.stalled = [None, None];
        timers.linger_until = Some(now + LINGER);
        assert_eq!(next_due(&timers, false), (Some(Due::LingerOver), now + LINGER));
    }
}
