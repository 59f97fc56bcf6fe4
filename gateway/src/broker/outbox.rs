//! The messages on their way to one client id.
//!
//! The broker's entry for a client id owns its outbox and lends it to the connection. When another connection resumes the
//! session, the outbox is lent to that one, and the earlier one can't reach it any more.
//!
//! A message is *delivered* by the broker, *waits* once the session has allowed it, is *in flight* once it was sent at
//! QoS 1, and leaves when it is acknowledged. No IO and no clock.

use std::{
    collections::{HashSet, VecDeque},
    num::NonZeroU16,
    time::Duration,
};

use mqtt::{Publish, QoS, TopicName};

use super::{
    queue::{self, Delivery, Queue},
    store::{Changes, MessageId, StoredMessage},
};
use crate::clock::Moment;

/// Messages that may be delivered and not read yet, and again messages that may wait for an acknowledgement to make room:
/// many more than a burst of many clients brings at once to one that reads.
const MAX_MESSAGES: usize = 4_096;
const SECOND: Duration = Duration::from_secs(1);

/// The messages on their way to one client id.
#[derive(Debug)]
pub struct Outbox {
    /// The number of the connection that the outbox is lent to.
    connection: u64,
    /// Whether the session outlives its connection. If not, nothing is ever sent again.
    persistent: bool,
    /// Messages that the client accepts without acknowledging one.
    receive_maximum: usize,
    /// [`MAX_MESSAGES`], and those that came all at once: retained messages, and what waited for a client that was away.
    capacity: usize,
    /// Delivered by the broker, not seen by the session.
    delivered: VecDeque<Box<Delivery>>,
    /// At QoS 1, allowed by the session, not sent yet.
    waiting: VecDeque<Delivery>,
    /// Sent on this connection and not acknowledged, in the order in which they were sent.
    inflight: VecDeque<Inflight>,
    /// Sent on an earlier connection and not acknowledged. They are sent again before anything else.
    resend: VecDeque<Unacknowledged>,
    last_packet_id: NonZeroU16,
}

#[derive(Debug)]
struct Inflight {
    packet_id: NonZeroU16,
    /// Kept only if the session outlives its connection.
    message: Option<Delivery>,
}

#[derive(Debug)]
struct Unacknowledged {
    packet_id: NonZeroU16,
    message: Delivery,
}

/// The next thing to do for a client.
#[derive(Debug)]
pub enum Transmission {
    /// A message's time was over before it was sent: it leaves the file.
    Expired(MessageId),
    /// A message is to be sent at QoS 1. If it is in the file and is sent for the first time, the file has to know the packet
    /// id first.
    Send {
        /// The message in the file.
        first_sent: Option<MessageId>,
        /// The message as it is to be sent now, with its packet id.
        publish: Publish,
    },
}

/// Too many messages wait: the client does not acknowledge them fast enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxFull;

impl Outbox {
    /// An empty outbox, not lent to a connection yet.
    pub(super) fn new() -> Self {
        Self {
            connection: 0,
            persistent: true,
            receive_maximum: 0,
            capacity: MAX_MESSAGES,
            delivered: VecDeque::new(),
            waiting: VecDeque::new(),
            inflight: VecDeque::new(),
            resend: VecDeque::new(),
            last_packet_id: NonZeroU16::MAX,
        }
    }

    /// The outbox of a session in the file.
    pub(super) fn restored(messages: Vec<StoredMessage>, queue: &Queue) -> Self {
        let (mut outbox, mut taken) = (Self::new(), HashSet::new());
        for StoredMessage { id, packet_id, publish, expires_at } in messages {
            let mut message = queue.restore(publish, id, expires_at);
            // Two messages have the same packet id if the acknowledgement of the first could not be written.
            match packet_id.filter(|packet_id| taken.insert(*packet_id)) {
                Some(packet_id) => {
                    message.stop_waiting();
                    outbox.resend.push_back(Unacknowledged { packet_id, message });
                }
                None => outbox.waiting.push_back(message),
            }
        }
        outbox
    }

    /// Lends the outbox to a connection. Messages that an earlier one sent come first, under the same packet ids
    /// (`[MQTT-4.4.0-1]`).
    pub(super) fn lend(&mut self, connection: u64, persistent: bool, receive_maximum: NonZeroU16) {
        self.take_back();
        self.connection = connection;
        self.persistent = persistent;
        self.receive_maximum = receive_maximum.get().into();
        self.last_packet_id = self.resend.back().map_or(self.last_packet_id, |message| message.packet_id);
        self.capacity = MAX_MESSAGES + self.waiting.len();
    }

    /// Ends a connection's use of the outbox. QoS 1 messages stay for the next connection.
    pub(super) fn take_back(&mut self) {
        let sent = std::mem::take(&mut self.inflight).into_iter();
        let sent = sent.filter_map(|Inflight { packet_id, message }| {
            message.map(|message| Unacknowledged { packet_id, message })
        });
        let unsent = std::mem::take(&mut self.resend);
        self.resend = sent.chain(unsent).collect();
        let delivered = std::mem::take(&mut self.delivered).into_iter().map(|delivery| *delivery);
        self.waiting.extend(delivered.filter(|delivery| delivery.publish().qos > QoS::AtMostOnce));
    }

    /// Whether the outbox is lent to this connection.
    pub(super) fn is_lent_to(&self, connection: u64) -> bool {
        self.connection == connection
    }

    /// Delivers a message to the connection. In a full outbox a QoS 0 message is dropped.
    ///
    /// # Errors
    ///
    /// When the outbox is full and the message has QoS 1. A session that outlives its connection keeps the message.
    pub(super) fn deliver(&mut self, delivery: Delivery) -> Result<(), OutboxFull> {
        let is_full = self.delivered.len() >= self.capacity;
        let at_least_once = delivery.publish().qos > QoS::AtMostOnce;
        if !is_full || (at_least_once && self.persistent) {
            self.delivered.push_back(Box::new(delivery));
        }
        if is_full && at_least_once { Err(OutboxFull) } else { Ok(()) }
    }

    /// Delivers retained messages, which come all at once: they fill nothing up.
    pub(super) fn deliver_retained(&mut self, deliveries: Vec<Delivery>) {
        self.capacity += deliveries.len();
        self.delivered.extend(deliveries.into_iter().map(Box::new));
    }

    /// Adds a message for a client that is away.
    pub(super) fn add_waiting(&mut self, delivery: Delivery) {
        self.waiting.push_back(delivery);
    }

    /// Removes the messages that wait and whose time is over, also from the file.
    pub(super) fn remove_expired(&mut self, now: Moment, changes: &mut Changes) {
        for id in self.waiting.iter().filter(|waiting| waiting.is_over(now)).filter_map(Delivery::id) {
            changes.settled(id);
        }
        self.waiting.retain(|waiting| !waiting.is_over(now));
    }

    /// The next message that the broker delivered, for the session to look at.
    pub fn next_delivered(&mut self) -> Option<Box<Delivery>> {
        self.delivered.pop_front()
    }

    /// Lets an allowed QoS 1 message wait for its transmission.
    ///
    /// # Errors
    ///
    /// When too many messages wait. This one waits too, because the session may outlive the connection.
    pub fn enqueue(&mut self, delivery: Delivery) -> Result<(), OutboxFull> {
        self.waiting.push_back(delivery);
        if self.waiting.len() > self.capacity { Err(OutboxFull) } else { Ok(()) }
    }

    /// The next transmission, if there is something to send and the client accepts one more message.
    pub fn next_transmission(&mut self, now: Moment) -> Option<Transmission> {
        if self.inflight.len() >= self.receive_maximum {
            return None;
        }
        if let Some(Unacknowledged { packet_id, message }) = self.resend.pop_front() {
            let publish = Publish { dup: true, ..self.transmit(packet_id, message, now)? };
            return Some(Transmission::Send { first_sent: None, publish });
        }
        while let Some(mut message) = self.waiting.pop_front() {
            if !message.is_over(now) {
                message.stop_waiting();
                let (packet_id, first_sent) = (self.free_packet_id(), message.id());
                let publish = self.transmit(packet_id, message, now)?;
                return Some(Transmission::Send { first_sent, publish });
            }
            if let Some(id) = message.id() {
                return Some(Transmission::Expired(id));
            }
        }
        None
    }

    /// The client has acknowledged a message. If it is in the file, it is to be deleted there.
    pub fn acknowledge(&mut self, packet_id: NonZeroU16) -> Option<MessageId> {
        let at = self.inflight.iter().position(|sent| sent.packet_id == packet_id)?;
        self.inflight.remove(at)?.message?.id()
    }

    /// Removes the messages not in flight on topics that `keep` does not accept. Those in the file are to be deleted there.
    pub fn retain(&mut self, mut keep: impl FnMut(&TopicName) -> bool) -> Vec<MessageId> {
        let mut removed = Vec::new();
        let mut keeps = |message: &Delivery| {
            let kept = message.publish().topic.as_ref().is_some_and(&mut keep);
            removed.extend(message.id().filter(|_| !kept));
            kept
        };
        self.resend.retain(|sent| keeps(&sent.message));
        self.waiting.retain(&mut keeps);
        removed
    }

    /// Puts a message in flight. A transmission that has begun is completed, even if the message's time ends: the client then
    /// reads one second.
    fn transmit(&mut self, packet_id: NonZeroU16, message: Delivery, now: Moment) -> Option<Publish> {
        let expires_at = message.expires_at().map(|at| at.max(now + SECOND));
        let publish = queue::sent_at(message.publish(), expires_at, now);
        self.inflight.push_back(Inflight { packet_id, message: self.persistent.then_some(message) });
        publish.map(|publish| Publish { packet_id: Some(packet_id), ..publish })
    }

    /// Few of 65,535 ids are in use, 100 with AWS's quota, so the search ends soon.
    fn free_packet_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(NonZeroU16::MIN);
            let used = self.inflight.iter().map(|sent| sent.packet_id);
            let mut used = used.chain(self.resend.iter().map(|sent| sent.packet_id));
            if used.all(|id| id != self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn now() -> Moment {
        Clock::Manual(ManualClock::new()).now()
    }

    fn lent(receive_maximum: u16, persistent: bool) -> Outbox {
        let mut outbox = Outbox::new();
        outbox.lend(1, persistent, NonZeroU16::new(receive_maximum).unwrap());
        outbox
    }

    fn message(n: u32) -> Delivery {
        let publish = Publish { qos: QoS::AtLeastOnce, ..Publish::new("t".parse().unwrap(), n.to_string()) };
        Queue::default().accept(publish, now()).unwrap()
    }

    /// The next message that is sent.
    fn next(outbox: &mut Outbox) -> Option<Publish> {
        outbox.next_transmission(now()).map(|transmission| match transmission {
            Transmission::Send { publish, .. } => publish,
            other @ Transmission::Expired(_) => panic!("{other:?}"),
        })
    }

    /// The message that is sent after one more was added.
    fn enqueue(outbox: &mut Outbox, n: u32) -> Option<Publish> {
        outbox.enqueue(message(n)).unwrap();
        next(outbox)
    }

    /// The message that is sent after one was acknowledged.
    fn acknowledge(outbox: &mut Outbox, packet_id: Option<NonZeroU16>) -> Option<Publish> {
        outbox.acknowledge(packet_id.unwrap());
        next(outbox)
    }

    #[test]
    fn no_more_are_in_flight_than_the_client_accepts_and_the_order_stays() {
        let mut outbox = lent(2, false);
        let first = enqueue(&mut outbox, 0).unwrap();
        let second = enqueue(&mut outbox, 1).unwrap();
        assert_ne!(first.packet_id, second.packet_id);
        assert!(enqueue(&mut outbox, 2).is_none());
        assert!(enqueue(&mut outbox, 3).is_none());
        let third = acknowledge(&mut outbox, second.packet_id).unwrap();
        assert_eq!(third.payload, "2");
        assert!(acknowledge(&mut outbox, second.packet_id).is_none(), "an id is acknowledged once");
        assert_eq!(acknowledge(&mut outbox, first.packet_id).unwrap().payload, "3");
    }

    #[test]
    fn packet_ids_start_again_without_touching_those_in_flight() {
        let mut outbox = lent(100, false);
        let kept = enqueue(&mut outbox, 0).unwrap().packet_id;
        for n in 0..70_000 {
            let id = enqueue(&mut outbox, n).unwrap().packet_id;
            assert_ne!(id, kept);
            assert!(acknowledge(&mut outbox, id).is_none());
        }
    }

    #[test]
    fn outbox_of_a_client_that_acknowledges_nothing_fills_up() {
        let mut outbox = lent(1, false);
        for n in 0..=MAX_MESSAGES {
            enqueue(&mut outbox, u32::try_from(n).unwrap());
        }
        assert_eq!(outbox.enqueue(message(0)), Err(OutboxFull));
    }

    #[test]
    fn outbox_of_a_client_that_reads_nothing_fills_up_and_a_persistent_session_keeps_the_rest() {
        for (persistent, kept) in [(false, 0), (true, 1)] {
            let mut outbox = lent(1, persistent);
            for _ in 0..MAX_MESSAGES {
                assert_eq!(outbox.deliver(message(0)), Ok(()));
            }
            let at_most_once = Queue::default().accept(Publish::new("t".parse().unwrap(), "x"), now());
            assert_eq!(outbox.deliver(at_most_once.unwrap()), Ok(()), "dropped");
            assert_eq!(outbox.deliver(message(1)), Err(OutboxFull));
            assert_eq!(outbox.delivered.len(), MAX_MESSAGES + kept);
        }
    }

    #[test]
    fn unacknowledged_messages_come_first_under_their_ids_and_no_faster_than_the_next_client_accepts() {
        let mut outbox = lent(2, true);
        let first = [0, 1].map(|n| enqueue(&mut outbox, n).unwrap().packet_id);
        for n in [2, 3] {
            assert!(enqueue(&mut outbox, n).is_none());
        }
        let third = acknowledge(&mut outbox, first[0]).unwrap().packet_id;
        outbox.deliver(message(4)).unwrap();
        outbox.lend(2, true, NonZeroU16::MIN);
        assert!(outbox.is_lent_to(2) && !outbox.is_lent_to(1));
        let again = next(&mut outbox).unwrap();
        assert_eq!((again.packet_id, again.dup, &again.payload[..]), (first[1], true, &b"1"[..]));
        let again = acknowledge(&mut outbox, again.packet_id).unwrap();
        assert_eq!((again.packet_id, again.dup, &again.payload[..]), (third, true, &b"2"[..]));
        for payload in [b"3", b"4"] {
            let new = next(&mut outbox).or_else(|| acknowledge(&mut outbox, again.packet_id)).unwrap();
            assert_eq!((new.dup, &new.payload[..]), (false, &payload[..]));
            outbox.acknowledge(new.packet_id.unwrap());
        }
    }
}
