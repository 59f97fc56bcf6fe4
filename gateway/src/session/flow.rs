//! QoS 1 towards the client: packet ids, no more messages in flight than it takes, and what is sent again.

use std::{collections::VecDeque, num::NonZeroU16, time::Duration};

use mqtt::{Packet, Publish, QoS, TopicName};

use super::{Effect, disconnect_reason::DisconnectReason};
use crate::{
    broker::queue::{self, Delivery},
    clock::Moment,
};

/// Messages that wait for an acknowledgement to make room: as in the mailbox, more than a burst.
const MAX_WAITING: usize = 4_096;
const SECOND: Duration = Duration::from_secs(1);

/// The state of QoS 1 messages on their way to one client.
pub struct Flow {
    limit: usize,
    in_flight: VecDeque<InFlight>,
    again: VecDeque<Sent>,
    waiting: VecDeque<Delivery>,
    /// How many may wait: what an earlier connection left does not count.
    room: usize,
    last_id: NonZeroU16,
    keeps: bool,
}

struct InFlight {
    packet_id: NonZeroU16,
    /// Only in a session that outlives its connection: nothing is sent again on the same one.
    message: Option<Sent>,
}

/// A message that was sent, with its packet id, and may have to be sent again.
#[derive(Debug)]
pub struct Sent {
    delivery: Delivery,
    packet_id: NonZeroU16,
    /// Whether it was sent on an earlier connection.
    again: bool,
}

impl Sent {
    /// A message that is sent under this packet id.
    #[must_use]
    pub fn new(mut delivery: Delivery, packet_id: NonZeroU16) -> Self {
        delivery.stop_waiting();
        Self { delivery, packet_id, again: false }
    }

    /// As it is to be sent now. What was begun is brought to its end, if with no more than a second left.
    fn publish(&self, now: Moment) -> Option<Publish> {
        let expires_at = self.delivery.expires_at().map(|at| at.max(now + SECOND));
        let publish = queue::sent_at(self.delivery.publish(), expires_at, now)?;
        Some(Publish { packet_id: Some(self.packet_id), dup: self.again, ..publish })
    }
}

/// What a session leaves to the next connection.
#[derive(Debug, Default)]
pub struct Unfinished {
    /// Sent and not acknowledged, with their packet ids, in the order in which they were sent.
    pub unacknowledged: VecDeque<Sent>,
    /// Not sent yet.
    pub waiting: VecDeque<Delivery>,
}

impl Flow {
    /// For a client that takes so many unacknowledged messages. `keeps`: the session outlives its connection.
    #[must_use]
    pub fn new(limit: NonZeroU16, keeps: bool) -> Self {
        Self {
            limit: limit.get().into(),
            in_flight: VecDeque::new(),
            again: VecDeque::new(),
            waiting: VecDeque::new(),
            room: MAX_WAITING,
            last_id: NonZeroU16::MAX,
            keeps,
        }
    }

    /// Goes on with what an earlier connection left: what it had sent comes first, under the same packet ids and marked
    /// as a repetition (`[MQTT-4.4.0-1]`).
    pub fn resume(&mut self, unfinished: Unfinished) {
        let Unfinished { unacknowledged, waiting } = unfinished;
        self.last_id = unacknowledged.back().map_or(self.last_id, |sent| sent.packet_id);
        self.again = unacknowledged;
        for sent in &mut self.again {
            sent.again = true;
        }
        self.room = MAX_WAITING + waiting.len();
        self.waiting = waiting;
    }

    /// What is left to the next connection.
    #[must_use]
    pub fn into_unfinished(self) -> Unfinished {
        let in_flight = self.in_flight.into_iter().filter_map(|sent| sent.message);
        Unfinished { unacknowledged: in_flight.chain(self.again).collect(), waiting: self.waiting }
    }

    /// Makes room for messages that come all at once.
    pub fn expect(&mut self, messages: usize) {
        self.room += messages;
    }

    /// A message for the client: it is sent, or waits, or its time is over.
    ///
    /// # Errors
    ///
    /// When too many wait: the client does not take its messages.
    pub fn outgoing(
        &mut self,
        delivery: Delivery,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DisconnectReason> {
        if delivery.publish().qos == QoS::AtMostOnce {
            effects.extend(delivery.at(now).map(|publish| Effect::Send(Packet::Publish(publish))));
            return Ok(());
        }
        self.waiting.push_back(delivery);
        // The message that is too many waits all the same: the session may outlive the connection.
        if self.waiting.len() > self.room {
            return Err(DisconnectReason::SlowReader);
        }
        self.send_next(now, effects);
        Ok(())
    }

    /// The client acknowledged; the next message goes out, if one waited for that.
    pub fn acknowledged(&mut self, packet_id: NonZeroU16, now: Moment, effects: &mut Vec<Effect>) {
        let Some(at) = self.in_flight.iter().position(|sent| sent.packet_id == packet_id) else { return };
        if let Some(InFlight { message: Some(sent), .. }) = self.in_flight.remove(at) {
            effects.extend(sent.delivery.id().map(Effect::Settled));
        }
        self.send_next(now, effects);
    }

    /// Sends as many as the client takes.
    pub fn send_all(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        while self.send_next(now, effects) {}
    }

    /// Sends the next message, if there is one and the client takes one more; whether there was.
    fn send_next(&mut self, now: Moment, effects: &mut Vec<Effect>) -> bool {
        if self.in_flight.len() >= self.limit {
            return false;
        }
        let sent = match self.again.pop_front() {
            Some(sent) => Some(sent),
            None => self.first_waiting(now, effects),
        };
        let Some(sent) = sent else { return false };
        effects.extend(sent.publish(now).map(|publish| Effect::Send(Packet::Publish(publish))));
        let packet_id = sent.packet_id;
        self.in_flight.push_back(InFlight { packet_id, message: self.keeps.then_some(sent) });
        true
    }

    /// Drops the messages not in flight on topics that `keep` does not accept.
    pub fn retain_waiting(
        &mut self,
        mut keep: impl FnMut(&TopicName, &mut Vec<Effect>) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        let mut keeps = |delivery: &Delivery| {
            let kept = delivery.publish().topic.as_ref().is_some_and(|topic| keep(topic, effects));
            effects.extend(delivery.id().filter(|_| !kept).map(Effect::Settled));
            kept
        };
        self.again.retain(|sent| keeps(&sent.delivery));
        self.waiting.retain(keeps);
    }

    /// The first whose time is not over, with a packet id.
    fn first_waiting(&mut self, now: Moment, effects: &mut Vec<Effect>) -> Option<Sent> {
        while let Some(delivery) = self.waiting.pop_front() {
            if delivery.is_over(now) {
                effects.extend(delivery.id().map(Effect::Settled));
                continue;
            }
            let packet_id = self.free_id();
            effects.extend(delivery.id().map(|id| Effect::Sent(id, packet_id)));
            return Some(Sent::new(delivery, packet_id));
        }
        None
    }

    /// Few of 65,535 ids are taken, so the search ends soon: 100, if nobody sets another quota.
    fn free_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(NonZeroU16::MIN);
            let taken = self.in_flight.iter().map(|sent| sent.packet_id);
            let mut taken = taken.chain(self.again.iter().map(|sent| sent.packet_id));
            if taken.all(|id| id != self.last_id) {
                return self.last_id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{broker::queue::Queue, clock::Clock};

    fn now() -> Moment {
        Clock::Manual(crate::clock::ManualClock::new()).now()
    }

    fn flow(limit: u16, keeps: bool) -> Flow {
        Flow::new(NonZeroU16::new(limit).unwrap(), keeps)
    }

    fn message(n: u32) -> Delivery {
        let publish = Publish { qos: QoS::AtLeastOnce, ..Publish::new("t".parse().unwrap(), n.to_string()) };
        Queue::default().accept(publish, now()).unwrap()
    }

    /// What is sent of one more message.
    fn outgoing(flow: &mut Flow, n: u32) -> Option<Publish> {
        let mut effects = Vec::new();
        flow.outgoing(message(n), now(), &mut effects).unwrap();
        sent(effects)
    }

    /// What is sent once a message is acknowledged.
    fn acknowledged(flow: &mut Flow, packet_id: Option<NonZeroU16>) -> Option<Publish> {
        let mut effects = Vec::new();
        flow.acknowledged(packet_id.unwrap(), now(), &mut effects);
        sent(effects)
    }

    fn sent(effects: Vec<Effect>) -> Option<Publish> {
        assert!(effects.len() <= 1, "{effects:?}");
        effects.into_iter().next().map(|effect| match effect {
            Effect::Send(Packet::Publish(publish)) => publish,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn no_more_are_in_flight_than_the_client_takes_and_the_order_stays() {
        let mut flow = self::flow(2, false);
        let first = outgoing(&mut flow, 0).unwrap();
        let second = outgoing(&mut flow, 1).unwrap();
        assert_ne!(first.packet_id, second.packet_id);
        assert!(outgoing(&mut flow, 2).is_none());
        assert!(outgoing(&mut flow, 3).is_none());
        let third = acknowledged(&mut flow, second.packet_id).unwrap();
        assert_eq!(third.payload, "2");
        assert!(acknowledged(&mut flow, second.packet_id).is_none(), "an id is acknowledged once");
        assert_eq!(acknowledged(&mut flow, first.packet_id).unwrap().payload, "3");
    }

    #[test]
    fn packet_ids_start_again_without_touching_those_in_flight() {
        let mut flow = self::flow(100, false);
        let kept = outgoing(&mut flow, 0).unwrap().packet_id;
        for n in 0..70_000 {
            let id = outgoing(&mut flow, n).unwrap().packet_id;
            assert_ne!(id, kept);
            acknowledged(&mut flow, id);
        }
    }

    #[test]
    fn a_client_that_takes_nothing_is_told_off() {
        let mut flow = self::flow(1, false);
        for n in 0..=MAX_WAITING {
            outgoing(&mut flow, u32::try_from(n).unwrap());
        }
        let reason = flow.outgoing(message(0), now(), &mut Vec::new());
        assert_eq!(reason.unwrap_err(), DisconnectReason::SlowReader);
    }

    #[test]
    fn what_was_not_acknowledged_comes_again_first_under_its_id_and_no_faster_than_the_next_client_takes() {
        let mut flow = self::flow(2, true);
        let first = [0, 1].map(|n| outgoing(&mut flow, n).unwrap().packet_id);
        for n in [2, 3] {
            assert!(outgoing(&mut flow, n).is_none());
        }
        let third = acknowledged(&mut flow, first[0]).unwrap().packet_id;
        let mut next = self::flow(1, true);
        next.resume(flow.into_unfinished());
        let mut effects = Vec::new();
        next.send_all(now(), &mut effects);
        let again = sent(effects).unwrap();
        assert_eq!((again.packet_id, again.dup, &again.payload[..]), (first[1], true, &b"1"[..]));
        let again = acknowledged(&mut next, again.packet_id).unwrap();
        assert_eq!((again.packet_id, again.dup, &again.payload[..]), (third, true, &b"2"[..]));
        let new = acknowledged(&mut next, again.packet_id).unwrap();
        assert_eq!((new.dup, &new.payload[..]), (false, &b"3"[..]));
    }
}
