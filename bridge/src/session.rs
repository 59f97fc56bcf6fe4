//! One device's session: what becomes of each packet, both ways. It does no IO and reads no clock.
//!
//! Packets and the results of storing go in, [`Effect`]s come out, to be carried out in their order. Each side has packet ids of
//! its own: a QoS 2 message of the device is one of QoS 1 upstream, and the bridge itself sends stored messages and
//! subscriptions again.
//!
//! A message of the device is acknowledged when the server has acknowledged it or when it is stored, never before.

mod connect;
mod delivery;
mod publish;
mod subscription;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;

use mqtt::{
    Disconnect, DisconnectReasonCode as Code, Packet, PubAck, PubRel, PubRelCode, Publish, QoS, Subscribe,
    SubscribeFilter, TopicFilter, TopicName, Version,
};

pub use self::connect::{CONNECT_TOPIC_ALIASES, Translated, accepted, translate};
pub use self::publish::StoredMessage;
use crate::rules::{Rules, Translation};
use crate::topic_map::KnownValues;

/// How many of the device's messages may be unacknowledged upstream (AWS General Reference, "AWS IoT Core endpoints and
/// quotas": 100 inbound).
const MAX_INFLIGHT: usize = 100;
/// How many requests wait for a new connection upstream before the device is disconnected.
const MAX_WAITING_REQUESTS: usize = 32;
/// How often the server may end the connection after the same stored message before that message is dropped.
const MAX_ATTEMPTS: u32 = 5;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send to the device.
    ToDevice(Packet),
    /// Send to the server.
    ToUpstream(Packet),
    /// Store a message, and call [`Session::stored`].
    Store(Publish),
    /// Delete a stored message.
    Delete(u64),
    /// Read up to `limit` stored messages after this number, and call [`Session::fetched`].
    Fetch {
        /// The number of the last message that was read.
        after: u64,
        /// How many to read.
        limit: usize,
    },
    /// Count this, and log it once.
    Count(Translation),
    /// Log that the server did not accept a message.
    Rejected(Rejected),
    /// End both connections.
    End(End),
}

/// A message that the server did not accept, and that is not sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The topic by AWS's name.
    pub topic: Option<TopicName>,
    /// What the server answered; without one it ended the connection [`MAX_ATTEMPTS`] times.
    pub code: Option<mqtt::PubAckCode>,
    /// The server's words.
    pub reason_string: Option<Arc<str>>,
}

/// Why both connections end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The device disconnected. The server is still to hear of it.
    Device(Disconnect),
    /// The device broke a rule.
    Violation(Code, &'static str),
    /// The server disconnected the device.
    Server(Disconnect),
    /// The server broke a rule.
    ServerViolation(&'static str),
    /// A message can't be stored.
    Storage,
}

/// What waits for an answer of the server, by the packet id upstream.
#[derive(Debug)]
enum Pending {
    /// A message of the device, with its packet id there. The message is kept if it can be stored.
    Message { device_id: NonZeroU16, qos: QoS, topic: Option<TopicName>, message: Option<Box<Publish>> },
    /// A stored message.
    Stored { number: u64, topic: Option<TopicName> },
    /// The device's subscription. The filters are those that were sent.
    Subscribe { device_id: NonZeroU16, filters: Vec<Option<SubscribeFilter>> },
    /// The device's subscriptions, made again.
    Resubscribe,
    /// The end of subscriptions.
    Unsubscribe { device_id: NonZeroU16, filters: Vec<TopicFilter> },
}

/// A QoS 2 message of the device, until its PUBREL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    /// The server has not answered yet.
    Unanswered,
    /// PUBREC was sent.
    Answered,
}

/// A message to be stored, or being stored.
#[derive(Debug)]
struct Storing {
    /// The packet id to acknowledge, unless the message's connection is gone.
    device_id: Option<NonZeroU16>,
    qos: QoS,
}

/// One device's session.
#[derive(Debug)]
pub struct Session {
    version: Version,
    rules: Arc<Rules>,
    known: KnownValues,
    /// The device's topic aliases, by number from 1.
    aliases: Vec<Option<TopicName>>,
    pending: BTreeMap<NonZeroU16, Pending>,
    last_upstream_id: u16,
    received: BTreeMap<NonZeroU16, Received>,
    /// Messages that the device has not acknowledged, by the packet id there, with the one upstream. That is gone with its
    /// connection.
    deliveries: BTreeMap<NonZeroU16, Option<NonZeroU16>>,
    last_device_id: u16,
    connected: bool,
    store: Option<Store>,
}

/// What a session that can store messages has besides.
#[derive(Debug, Default)]
struct Store {
    /// How many messages are stored and not acknowledged.
    backlog: u64,
    storing: VecDeque<Storing>,
    /// The number of the last message that was read for this connection.
    read: u64,
    fetching: bool,
    /// The message after which the server ended the connection last, and how often it did.
    suspect: Option<(u64, u32)>,
    /// To subscribe again after a connection upstream was lost.
    subscriptions: BTreeMap<TopicFilter, SubscribeFilter>,
    /// Requests of the device that came without a connection upstream.
    waiting: Vec<Packet>,
}

impl Session {
    /// The session of a device that the server has just accepted. `backlog` is the number of its stored messages if messages
    /// can be stored.
    #[must_use]
    pub fn new(version: Version, rules: Arc<Rules>, known: KnownValues, backlog: Option<u64>) -> Self {
        Self {
            version,
            rules,
            known,
            aliases: Vec::new(),
            pending: BTreeMap::new(),
            last_upstream_id: 0,
            received: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            last_device_id: 0,
            connected: true,
            store: backlog.map(|backlog| Store { backlog, ..Store::default() }),
        }
    }

    /// Begins to send what is stored.
    pub fn begin(&mut self, effects: &mut Vec<Effect>) {
        self.fetch(effects);
    }

    /// Whether the device may send more: not while as many of its messages are unanswered as may be.
    #[must_use]
    pub fn accepts_more(&self) -> bool {
        let storing = self.store.as_ref().map_or(0, |store| store.storing.len());
        self.pending.len() + storing < MAX_INFLIGHT
    }

    /// Whether stored messages wait to be acknowledged by the server.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.backlog > 0 || !store.storing.is_empty())
    }

    /// A packet of the device.
    pub fn from_device(&mut self, packet: Packet, effects: &mut Vec<Effect>) {
        match packet {
            Packet::Publish(message) => self.publish(message, effects),
            Packet::PubAck(answer) => self.delivered(answer.packet_id, answer.code, effects),
            Packet::PubRel(release) => self.released(release.packet_id, effects),
            Packet::Subscribe(request) => self.subscribe(request, effects),
            Packet::Unsubscribe(request) => self.unsubscribe(request, effects),
            Packet::PingReq => effects.push(Effect::ToDevice(Packet::PingResp)),
            Packet::Disconnect(reason) => {
                effects.push(Effect::End(End::Device(reason)));
            }
            Packet::PubRec(_) | Packet::PubComp(_) => {
                let details = "an answer to a QoS 2 message, and none was sent";
                effects.push(Effect::End(End::Violation(Code::ProtocolError, details)));
            }
            Packet::Auth => {
                let details = "AUTH, and no extended authentication was begun";
                effects.push(Effect::End(End::Violation(Code::ProtocolError, details)));
            }
            // The codec refuses what only servers send, and a second CONNECT.
            _ => effects.push(Effect::End(End::Violation(Code::ProtocolError, "a server's packet"))),
        }
    }

    /// A packet of the server.
    pub fn from_upstream(&mut self, packet: Packet, effects: &mut Vec<Effect>) {
        match packet {
            Packet::Publish(message) => self.deliver(message, effects),
            Packet::PubAck(answer) => self.acknowledged(answer, effects),
            Packet::SubAck(answer) => self.subscribed(answer, effects),
            Packet::UnsubAck(answer) => self.unsubscribed(answer, effects),
            Packet::PingResp => {}
            Packet::Disconnect(reason) => effects.push(Effect::End(End::Server(reason))),
            _ => {
                let details = "a packet that answers nothing that was sent";
                effects.push(Effect::End(End::ServerViolation(details)));
            }
        }
    }

    /// The connection upstream is lost. Messages that the server has not acknowledged are stored. `closed` is whether the server
    /// closed it, so that one of them may be the reason.
    ///
    /// Without a store the session is over, and this must not be called.
    pub fn lost(&mut self, closed: bool, effects: &mut Vec<Effect>) {
        self.connected = false;
        for id in self.deliveries.values_mut() {
            *id = None;
        }
        let pending = std::mem::take(&mut self.pending);
        let Some(store) = &mut self.store else { return };
        store.fetching = false;
        store.read = 0;
        let numbers = pending.values().filter_map(|pending| match pending {
            Pending::Stored { number, .. } => Some(*number),
            _ => None,
        });
        let first = numbers.min();
        if let Some(number) = first.filter(|_| closed) {
            let attempts = match store.suspect {
                Some((suspect, attempts)) if suspect == number => attempts + 1,
                _ => 1,
            };
            store.suspect = Some((number, attempts));
            if attempts >= MAX_ATTEMPTS {
                let topic = pending.values().find_map(|pending| match pending {
                    Pending::Stored { number: of, topic } if *of == number => topic.clone(),
                    _ => None,
                });
                store.suspect = None;
                store.backlog = store.backlog.saturating_sub(1);
                effects.push(Effect::Rejected(Rejected { topic, code: None, reason_string: None }));
                effects.push(Effect::Delete(number));
            }
        }
        // In the order in which they were sent: ids rise until they begin again at 1.
        let split = NonZeroU16::new(self.last_upstream_id.wrapping_add(1)).unwrap_or(NonZeroU16::MIN);
        let (later, earlier): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(id, _)| *id < split);
        for (_, request) in earlier.into_iter().chain(later) {
            match request {
                Pending::Message { device_id, qos, message: Some(message), .. } => {
                    store.storing.push_back(Storing { device_id: Some(device_id), qos });
                    effects.push(Effect::Store(*message));
                }
                Pending::Subscribe { device_id, filters } => {
                    let filters = filters.into_iter().flatten().collect();
                    store.waiting.push(Packet::Subscribe(Subscribe::new(device_id, filters)));
                }
                Pending::Unsubscribe { device_id, filters } => {
                    store.waiting.push(Packet::Unsubscribe(mqtt::Unsubscribe::new(device_id, filters)));
                }
                Pending::Message { .. } | Pending::Stored { .. } | Pending::Resubscribe => {}
            }
        }
    }

    /// There is a new connection upstream. `resumed` is whether the server still has the session.
    pub fn reconnected(&mut self, resumed: bool, effects: &mut Vec<Effect>) {
        self.connected = true;
        let Some(store) = &mut self.store else { return };
        let waiting = std::mem::take(&mut store.waiting);
        if !resumed {
            // AWS accepts 8 filters in a SUBSCRIBE.
            let filters = store.subscriptions.values().cloned().collect::<Vec<_>>();
            for filters in filters.chunks(8) {
                let id = self.upstream_id();
                self.pending.insert(id, Pending::Resubscribe);
                let request = Subscribe::new(id, filters.to_vec());
                effects.push(Effect::ToUpstream(Packet::Subscribe(request)));
            }
        }
        for request in waiting {
            match request {
                Packet::Subscribe(request) => self.send_subscribe(request, effects),
                Packet::Unsubscribe(request) => self.send_unsubscribe(request, effects),
                _ => {}
            }
        }
        self.fetch(effects);
    }

    /// The next packet id upstream. There are always free ones, because the number of requests is bounded.
    fn upstream_id(&mut self) -> NonZeroU16 {
        next_id(&mut self.last_upstream_id, |id| self.pending.contains_key(&id))
    }

    fn released(&mut self, id: NonZeroU16, effects: &mut Vec<Effect>) {
        let code = match self.received.remove(&id) {
            None if self.version == Version::V5 => PubRelCode::PacketIdentifierNotFound,
            _ => PubRelCode::Success,
        };
        effects.push(Effect::ToDevice(Packet::PubComp(PubRel { packet_id: id, code })));
    }

    /// Answers a message of the device.
    fn answer(&mut self, qos: QoS, answer: PubAck, effects: &mut Vec<Effect>) {
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => effects.push(Effect::ToDevice(Packet::PubAck(answer))),
            QoS::ExactlyOnce => {
                if u8::from(answer.code) < 0x80 {
                    self.received.insert(answer.packet_id, Received::Answered);
                } else {
                    self.received.remove(&answer.packet_id);
                }
                effects.push(Effect::ToDevice(Packet::PubRec(answer)));
            }
        }
    }
}

/// The next packet id after `last` that is not taken.
fn next_id(last: &mut u16, is_taken: impl Fn(NonZeroU16) -> bool) -> NonZeroU16 {
    loop {
        *last = last.checked_add(1).unwrap_or(1);
        if let Some(id) = NonZeroU16::new(*last).filter(|&id| !is_taken(id)) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests;
