//! The messages on their way to one client id.
//!
//! The broker's entry for a client id owns its outbox and lends it to the connection. When another connection resumes the
//! session, the outbox is lent to that one, and the earlier one can't reach it any more.
//!
//! A message is *delivered* by the broker, *waits* once the session has allowed it, is *in flight* once it was sent at
//! QoS 1, and leaves when it is acknowledged or was sent again for too long. What waits when a connection begins is *stored*,
//! and is sent at a limited rate. No IO and no clock.

use std::{
    collections::{HashSet, VecDeque},
    num::NonZeroU16,
};

use mqtt::{Publish, QoS, TopicName};

pub use super::inflight::DeliveryLimits;
use super::{
    direct::DirectOutcome,
    inflight::{Inflight, Unacknowledged},
    pace::Pace,
    queue::{Delivery, Queue},
    store::{Changes, MessageId, StoredMessage},
    waiting::Waiting,
};
use crate::clock::Moment;

/// Messages that may be delivered and not read yet, and again messages that may wait for an acknowledgement to make room:
/// many more than a burst of many clients brings at once to one that reads.
const MAX_MESSAGES: usize = 4_096;

/// The messages on their way to one client id.
#[derive(Debug)]
pub struct Outbox {
    /// The number of the connection that the outbox is lent to.
    connection: u64,
    /// Whether the session outlives its connection.
    persistent: bool,
    /// `None` until the outbox is lent to a connection.
    limits: Option<DeliveryLimits>,
    /// Delivered by the broker, not seen by the session.
    delivered: VecDeque<Box<Delivery>>,
    /// At QoS 1, allowed by the session, not sent yet.
    waiting: Waiting,
    /// The same, from before the connection began.
    stored: Waiting,
    /// Sent on this connection and not acknowledged.
    inflight: Inflight,
    /// Sent on an earlier connection and not acknowledged. They are sent again before what is stored.
    resend: VecDeque<(NonZeroU16, Delivery)>,
    /// The rate of both.
    pace: Pace,
    /// The rate of the messages that waited in shared subscriptions.
    shared_pace: Pace,
    /// When the connection is to ask for more of them.
    draw_at: Option<Moment>,
    last_packet_id: NonZeroU16,
}

/// The next thing to do for a client.
#[derive(Debug)]
pub enum Transmission {
    /// A message is not sent any more, and leaves the file: its time is over.
    Dropped(MessageId),
    /// A message is not sent any more, because the client has not acknowledged it for too long (developer guide, `mqtt`). If
    /// it is in the file, it leaves it.
    NotAcknowledged(Option<MessageId>, TopicName),
    /// A message is to be sent at QoS 1. If it is in the file and is sent for the first time, the file has to know the packet
    /// id first.
    Send {
        /// The message in the file.
        first_sent: Option<MessageId>,
        /// The message as it is to be sent now, with its packet id. AWS does not set DUP (developer guide, `mqtt`).
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
            limits: None,
            delivered: VecDeque::new(),
            waiting: Waiting::default(),
            stored: Waiting::default(),
            inflight: Inflight::default(),
            resend: VecDeque::new(),
            pace: Pace::default(),
            shared_pace: Pace::default(),
            draw_at: None,
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
                    outbox.resend.push_back((packet_id, message));
                }
                None => outbox.waiting.push(message),
            }
        }
        outbox
    }

    /// Lends the outbox to a connection. Messages that an earlier one sent come first, under the same packet ids
    /// (`[MQTT-4.4.0-1]`).
    pub(super) fn lend(&mut self, connection: u64, persistent: bool, limits: DeliveryLimits) {
        self.take_back();
        self.connection = connection;
        self.persistent = persistent;
        self.limits = Some(limits);
        self.stored = std::mem::take(&mut self.waiting);
        self.pace = Pace::new(limits.stored_per_second);
        self.shared_pace = Pace::new(limits.shared_per_second);
        self.draw_at = None;
        self.last_packet_id = self.resend.back().map_or(self.last_packet_id, |(packet_id, _)| *packet_id);
    }

    /// Ends a connection's use of the outbox. QoS 1 messages stay for the next connection.
    pub(super) fn take_back(&mut self) {
        let unsent = std::mem::take(&mut self.resend);
        self.resend = self.inflight.take().chain(unsent).collect();
        let live = std::mem::replace(&mut self.waiting, std::mem::take(&mut self.stored));
        self.waiting.extend(live);
        let delivered = std::mem::take(&mut self.delivered).into_iter().map(|delivery| *delivery);
        self.waiting.extend(delivered.filter(|delivery| delivery.publish().qos > QoS::AtMostOnce));
        self.resend.retain(|(_, message)| message.direct().is_none());
        self.waiting.retain(|message| message.direct().is_none());
    }

    /// Delivers a message to the connection if there is room. Returns whether there is.
    pub(super) fn deliver_if_room(&mut self, delivery: Delivery) -> bool {
        let has_room = self.delivered.len() < MAX_MESSAGES;
        if has_room {
            self.delivered.push_back(Box::new(delivery));
        }
        has_room
    }

    /// How many messages wait, and how many were sent and are not acknowledged.
    pub(super) fn counts(&self) -> (usize, usize) {
        let waiting = self.delivered.len() + self.waiting.len() + self.stored.len() + self.resend.len();
        (waiting, self.inflight.len())
    }

    /// Whether a message that is enqueued now is sent at once.
    #[must_use]
    pub fn sends_at_once(&self) -> bool {
        self.waiting.is_empty() && self.limits.is_some_and(|limits| !self.inflight.is_full(limits))
    }

    /// Ends a connection's use of the outbox, and takes the QoS 1 messages of shared subscriptions out of it, for other members.
    pub(super) fn take_shared(&mut self) -> Vec<Delivery> {
        self.take_back();
        let (shared, own) = std::mem::take(&mut self.resend)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, message)| message.shared().is_some());
        self.resend = own;
        let (waiting, own) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|message| message.shared().is_some());
        self.waiting.extend(own);
        shared.into_iter().map(|(_, message)| message).chain(waiting).collect()
    }

    /// How many messages that waited in shared subscriptions may be delivered now.
    pub(super) fn room_for_shared(&self, now: Moment) -> usize {
        self.shared_pace.room(now)
    }

    /// Messages that waited in shared subscriptions were delivered; whether more of them wait.
    pub(super) fn delivered_shared(&mut self, messages: usize, more: bool, now: Moment) {
        self.shared_pace.count(messages, now);
        self.draw_at = self.shared_pace.opens_at().filter(|_| more);
    }

    /// Whether it is time to ask for messages that wait in shared subscriptions.
    pub fn is_time_to_draw(&mut self, now: Moment) -> bool {
        self.draw_at.take_if(|at| *at <= now).is_some()
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
        let is_full = self.delivered.len() >= MAX_MESSAGES;
        let at_least_once = delivery.publish().qos > QoS::AtMostOnce;
        if !is_full || (at_least_once && self.persistent) {
            self.delivered.push_back(Box::new(delivery));
        }
        if is_full && at_least_once { Err(OutboxFull) } else { Ok(()) }
    }

    /// Adds a message for a client that is away.
    pub(super) fn add_waiting(&mut self, delivery: Delivery) {
        self.waiting.push(delivery);
    }

    /// Removes the messages that wait and whose time is over, also from the file.
    pub(super) fn remove_expired(&mut self, now: Moment, changes: &mut Changes) {
        for id in self.waiting.remove_expired(now) {
            changes.settled(id);
        }
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
        self.waiting.push(delivery);
        if self.waiting.len() > MAX_MESSAGES { Err(OutboxFull) } else { Ok(()) }
    }

    /// The next transmission: a message that the client has not acknowledged in time, or a new one if the client accepts one
    /// more message.
    pub fn next_transmission(&mut self, now: Moment) -> Option<Transmission> {
        let limits = self.limits?;
        match self.inflight.next_due(limits, now) {
            Some(Unacknowledged::Expired(id)) => return Some(Transmission::Dropped(id)),
            Some(Unacknowledged::Dropped(id, topic)) => {
                return Some(Transmission::NotAcknowledged(id, topic));
            }
            Some(Unacknowledged::SendAgain(publish)) => {
                return Some(Transmission::Send { first_sent: None, publish });
            }
            None => {}
        }
        if self.inflight.is_full(limits) {
            return None;
        }
        while let Some((packet_id, mut message)) = self.next_message(now) {
            if let Some(publish) = message.at(now) {
                message.stop_waiting();
                let first_sent = message.id().filter(|id| packet_id.is_none() && !id.is_shared());
                let packet_id = packet_id.unwrap_or_else(|| self.free_packet_id());
                self.inflight.push(packet_id, message, now);
                let publish = Publish { packet_id: Some(packet_id), ..publish };
                return Some(Transmission::Send { first_sent, publish });
            }
            if let Some(id) = message.id() {
                return Some(Transmission::Dropped(id));
            }
        }
        None
    }

    /// When there is a next transmission, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let limits = self.limits?;
        let again = self.inflight.due(limits);
        let stored = self.pace.opens_at().filter(|_| self.has_stored() && !self.inflight.is_full(limits));
        again.into_iter().chain(stored).chain(self.draw_at).min()
    }

    /// The client has acknowledged a message. If it is in the file, it is to be deleted there.
    pub fn acknowledge(&mut self, packet_id: NonZeroU16) -> Option<MessageId> {
        let message = self.inflight.acknowledge(packet_id)?;
        if let Some(direct) = message.direct() {
            direct.report(DirectOutcome::Acknowledged);
        }
        message.id()
    }

    /// Removes the messages not in flight that `keep` does not accept. Those in the file are to be deleted there.
    pub fn retain(&mut self, mut keep: impl FnMut(&Delivery) -> bool) -> Vec<MessageId> {
        let mut removed = Vec::new();
        let mut keeps = |message: &Delivery| {
            let kept = keep(message);
            removed.extend(message.id().filter(|_| !kept));
            kept
        };
        self.resend.retain(|(_, message)| keeps(message));
        self.stored.retain(&mut keeps);
        self.waiting.retain(&mut keeps);
        removed
    }

    /// The messages in flight that `keep` does not accept are not sent again. Their packet ids stay in use. Those in the file
    /// are to be deleted there.
    pub fn retain_inflight(&mut self, mut keep: impl FnMut(&Delivery) -> bool) -> Vec<MessageId> {
        let mut removed = Vec::new();
        self.inflight.retain(|message| {
            let kept = keep(message);
            removed.extend(message.id().filter(|_| !kept));
            kept
        });
        removed
    }

    fn has_stored(&self) -> bool {
        !self.resend.is_empty() || !self.stored.is_empty()
    }

    /// The next message to be sent, with its packet id if an earlier connection sent it. New messages pass by stored ones that
    /// may not go out yet, as on AWS (developer guide, `mqtt`).
    fn next_message(&mut self, now: Moment) -> Option<(Option<NonZeroU16>, Delivery)> {
        if self.has_stored() && self.pace.room(now) > 0 {
            let unacknowledged =
                self.resend.pop_front().map(|(packet_id, message)| (Some(packet_id), message));
            let next = unacknowledged.or_else(|| Some((None, self.stored.pop()?)))?;
            self.pace.count(usize::from(!next.1.is_over(now)), now);
            return Some(next);
        }
        Some((None, self.waiting.pop()?))
    }

    /// Few of 65,535 ids are in use, 100 with AWS's quota, so the search ends soon.
    fn free_packet_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(NonZeroU16::MIN);
            let id = self.last_packet_id;
            if !self.inflight.has(id) && self.resend.iter().all(|(other, _)| *other != id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn now() -> Moment {
        Clock::Manual(ManualClock::new()).now()
    }

    fn limits(receive_maximum: u16) -> DeliveryLimits {
        let receive_maximum = NonZeroU16::new(receive_maximum).unwrap();
        DeliveryLimits { receive_maximum, ..DeliveryLimits::of_tests() }
    }

    fn lent(receive_maximum: u16, persistent: bool) -> Outbox {
        let mut outbox = Outbox::new();
        outbox.lend(1, persistent, limits(receive_maximum));
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
            other => panic!("{other:?}"),
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
        outbox.lend(2, true, limits(1));
        assert!(outbox.is_lent_to(2) && !outbox.is_lent_to(1));
        let again = next(&mut outbox).unwrap();
        assert_eq!((again.packet_id, again.dup, &again.payload[..]), (first[1], false, &b"1"[..]));
        let again = acknowledge(&mut outbox, again.packet_id).unwrap();
        assert_eq!((again.packet_id, again.dup, &again.payload[..]), (third, false, &b"2"[..]));
        for payload in [b"3", b"4"] {
            let new = next(&mut outbox).or_else(|| acknowledge(&mut outbox, again.packet_id)).unwrap();
            assert_eq!((new.dup, &new.payload[..]), (false, &payload[..]));
            outbox.acknowledge(new.packet_id.unwrap());
        }
    }
    /// The payloads that are sent at a time, in seconds from the beginning.
    fn sent_at(outbox: &mut Outbox, seconds: u64) -> Vec<String> {
        let at = now() + Duration::from_secs(seconds);
        let sent = std::iter::from_fn(|| outbox.next_transmission(at));
        sent.filter_map(|transmission| match transmission {
            Transmission::Send { publish, .. } => Some(String::from_utf8(publish.payload.to_vec()).unwrap()),
            Transmission::Dropped(_) | Transmission::NotAcknowledged(..) => None,
        })
        .collect()
    }

    fn deadline(outbox: &Outbox) -> Option<u64> {
        outbox.deadline().map(|at| (at - now()).as_secs())
    }

    #[test]
    fn unacknowledged_messages_are_sent_again_under_their_ids_and_dropped_after_some_time() {
        let mut outbox = lent(10, false);
        let [first, second] = [0, 1].map(|n| enqueue(&mut outbox, n).unwrap().packet_id.unwrap());
        assert_eq!((sent_at(&mut outbox, 29), deadline(&outbox)), (Vec::new(), Some(30)));
        assert_eq!((sent_at(&mut outbox, 30), deadline(&outbox)), (vec!["0".into(), "1".into()], Some(60)));
        outbox.enqueue(message(2)).unwrap();
        assert_eq!(sent_at(&mut outbox, 40), ["2"]);
        outbox.acknowledge(first);
        assert_eq!((sent_at(&mut outbox, 60), deadline(&outbox)), (vec!["1".into()], Some(70)));
        assert_eq!(sent_at(&mut outbox, 95), ["2", "1"]);
        assert!(outbox.inflight.has(second));
        // Late, and the time of the first one is over.
        assert_eq!((sent_at(&mut outbox, 125), deadline(&outbox)), (vec!["2".into()], Some(155)));
        assert!(!outbox.inflight.has(second), "its packet id is free");
        assert_eq!((sent_at(&mut outbox, 155), deadline(&outbox)), (Vec::new(), None));
    }

    #[test]
    fn nothing_is_sent_again_while_the_client_has_all_the_messages_that_it_accepts() {
        let mut outbox = lent(2, false);
        let [first, _] = [0, 1].map(|n| enqueue(&mut outbox, n).unwrap().packet_id);
        assert!(enqueue(&mut outbox, 2).is_none());
        assert_eq!((sent_at(&mut outbox, 30), deadline(&outbox)), (Vec::new(), Some(60)));
        outbox.acknowledge(first.unwrap());
        assert_eq!(sent_at(&mut outbox, 31), ["2"], "then the client is full again");
        outbox.acknowledge(outbox.last_packet_id);
        assert_eq!(sent_at(&mut outbox, 60), ["1"]);
    }

    #[test]
    fn stored_messages_keep_their_order_and_rate_and_new_ones_pass_by_them() {
        let mut outbox = Outbox::new();
        for n in 0..25 {
            outbox.add_waiting(message(n));
        }
        let stored_per_second = NonZeroU32::new(10);
        outbox.lend(1, true, DeliveryLimits { stored_per_second, ..limits(12) });
        let numbers = |range: std::ops::Range<u32>| range.map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!((sent_at(&mut outbox, 0), deadline(&outbox)), (numbers(0..10), Some(1)));
        outbox.enqueue(message(100)).unwrap();
        assert_eq!(sent_at(&mut outbox, 0), ["100"]);
        assert_eq!((sent_at(&mut outbox, 1), deadline(&outbox)), (numbers(10..11), Some(30)), "it is full");
        // Unacknowledged ones count too, and come first.
        outbox.lend(2, true, DeliveryLimits { stored_per_second, ..limits(100) });
        let again = [numbers(0..10), vec!["100".into()], numbers(10..25)].concat();
        let sent = [0, 1, 2, 3].map(|second| sent_at(&mut outbox, second));
        assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 6, 0]);
        assert_eq!(sent.concat(), again);
        assert_eq!(deadline(&outbox), Some(30));
    }

    #[test]
    fn time_for_which_a_message_is_sent_again_begins_again_on_the_next_connection() {
        let mut outbox = lent(10, true);
        enqueue(&mut outbox, 0).unwrap();
        assert_eq!(sent_at(&mut outbox, 90), ["0"]);
        outbox.lend(2, true, limits(10));
        for seconds in [95, 125, 155, 190] {
            assert_eq!(sent_at(&mut outbox, seconds), ["0"], "{seconds}");
        }
        assert_eq!((sent_at(&mut outbox, 220), deadline(&outbox)), (Vec::new(), None));
    }

    #[test]
    fn message_that_is_not_allowed_any_more_keeps_its_packet_id_and_is_not_sent_again() {
        let mut outbox = lent(10, true);
        let id = enqueue(&mut outbox, 0).unwrap().packet_id.unwrap();
        outbox.retain_inflight(|_| false);
        assert!(sent_at(&mut outbox, 30).is_empty() && outbox.inflight.has(id));
        outbox.lend(2, true, limits(10));
        assert!(sent_at(&mut outbox, 31).is_empty());
    }
}
