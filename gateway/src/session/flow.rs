//! QoS 1 towards the client: packet ids, no more messages in flight than it takes, and what is sent again.

use std::{collections::VecDeque, num::NonZeroU16, time::Duration};

use mqtt::{Publish, QoS, TopicName};

use super::ending::Ending;
use crate::{
    broker::queue::{self, Delivery},
    clock::Moment,
};

/// AWS's limit of unacknowledged messages to a client (general reference, `iot-core`).
const MAX_IN_FLIGHT: u16 = 100;
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
#[derive(Clone, Debug)]
pub struct Sent {
    publish: Publish,
    expires_at: Option<Moment>,
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
    /// For a client that takes so many unacknowledged messages; absent is any number. `keeps`: the session outlives
    /// its connection.
    #[must_use]
    pub fn new(receive_maximum: Option<NonZeroU16>, keeps: bool) -> Self {
        let limit = receive_maximum.map_or(MAX_IN_FLIGHT, |maximum| maximum.get().min(MAX_IN_FLIGHT));
        Self {
            limit: limit.into(),
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
        self.last_id = unacknowledged.back().and_then(|sent| sent.publish.packet_id).unwrap_or(self.last_id);
        self.again = unacknowledged;
        for sent in &mut self.again {
            sent.publish.dup = true;
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

    /// The message as it is to be sent, or nothing if it has to wait or its time is over.
    ///
    /// # Errors
    ///
    /// When too many wait: the client does not take its messages.
    pub fn outgoing(&mut self, delivery: Delivery, now: Moment) -> Result<Option<Publish>, Ending> {
        if delivery.publish().qos == QoS::AtMostOnce {
            return Ok(delivery.at(now));
        }
        self.waiting.push_back(delivery);
        // The message that is too many waits all the same: the session may outlive the connection.
        if self.waiting.len() > self.room { Err(Ending::SlowReader) } else { Ok(self.next(now)) }
    }

    /// The client acknowledged; the next message, if one waited for that.
    pub fn acknowledged(&mut self, packet_id: NonZeroU16, now: Moment) -> Option<Publish> {
        let at = self.in_flight.iter().position(|sent| sent.packet_id == packet_id)?;
        self.in_flight.remove(at);
        self.next(now)
    }

    /// Whether nothing waits for an acknowledgement to make room.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.again.is_empty()
    }

    /// The next message, if there is one and the client takes one more.
    pub fn next(&mut self, now: Moment) -> Option<Publish> {
        if self.in_flight.len() >= self.limit {
            return None;
        }
        let sent = match self.again.pop_front() {
            Some(sent) => sent,
            None => self.first_waiting(now)?,
        };
        let packet_id = sent.publish.packet_id?;
        // What was begun is brought to its end, if with no more than a second left.
        let publish = queue::sent_at(&sent.publish, sent.expires_at.map(|at| at.max(now + SECOND)), now)?;
        self.in_flight.push_back(InFlight { packet_id, message: self.keeps.then_some(sent) });
        Some(publish)
    }

    /// Drops the messages not in flight on topics that `keep` does not accept.
    pub fn retain_waiting(&mut self, mut keep: impl FnMut(&TopicName) -> bool) {
        self.again.retain(|sent| sent.publish.topic.as_ref().is_some_and(&mut keep));
        self.waiting.retain(|delivery| delivery.publish().topic.as_ref().is_some_and(&mut keep));
    }

    /// The first whose time is not over, with a packet id.
    fn first_waiting(&mut self, now: Moment) -> Option<Sent> {
        while let Some(delivery) = self.waiting.pop_front() {
            if delivery.at(now).is_some() {
                let publish = Publish { packet_id: Some(self.free_id()), ..delivery.publish().clone() };
                return Some(Sent { publish, expires_at: delivery.expires_at() });
            }
        }
        None
    }

    /// At most 100 of 65,535 ids are taken, so the search ends soon.
    fn free_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(NonZeroU16::MIN);
            let taken = self.in_flight.iter().map(|sent| Some(sent.packet_id));
            let mut taken = taken.chain(self.again.iter().map(|sent| sent.publish.packet_id));
            if taken.all(|id| id != Some(self.last_id)) {
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

    fn message(n: u32) -> Delivery {
        let publish = Publish { qos: QoS::AtLeastOnce, ..Publish::new("t".parse().unwrap(), n.to_string()) };
        Queue::default().accept(publish, now()).unwrap()
    }

    #[test]
    fn no_more_are_in_flight_than_the_client_takes_and_the_order_stays() {
        let mut flow = Flow::new(NonZeroU16::new(2), false);
        let first = flow.outgoing(message(0), now()).unwrap().unwrap();
        let second = flow.outgoing(message(1), now()).unwrap().unwrap();
        assert_ne!(first.packet_id, second.packet_id);
        assert!(flow.outgoing(message(2), now()).unwrap().is_none());
        assert!(flow.outgoing(message(3), now()).unwrap().is_none());
        let third = flow.acknowledged(second.packet_id.unwrap(), now()).unwrap();
        assert_eq!(third.payload, "2");
        assert!(flow.acknowledged(second.packet_id.unwrap(), now()).is_none(), "an id is acknowledged once");
        assert_eq!(flow.acknowledged(first.packet_id.unwrap(), now()).unwrap().payload, "3");
    }

    #[test]
    fn packet_ids_start_again_without_touching_those_in_flight() {
        let mut flow = Flow::new(None, false);
        let kept = flow.outgoing(message(0), now()).unwrap().unwrap().packet_id.unwrap();
        for n in 0..70_000 {
            let id = flow.outgoing(message(n), now()).unwrap().unwrap().packet_id.unwrap();
            assert_ne!(id, kept);
            flow.acknowledged(id, now());
        }
    }

    #[test]
    fn a_client_that_takes_nothing_is_told_off() {
        let mut flow = Flow::new(NonZeroU16::new(1), false);
        for n in 0..=MAX_WAITING {
            assert!(flow.outgoing(message(u32::try_from(n).unwrap()), now()).is_ok());
        }
        assert_eq!(flow.outgoing(message(0), now()).unwrap_err(), Ending::SlowReader);
    }

    #[test]
    fn what_was_not_acknowledged_comes_again_first_under_its_id_and_no_faster_than_the_next_client_takes() {
        let mut flow = Flow::new(NonZeroU16::new(2), true);
        let sent = [0, 1].map(|n| flow.outgoing(message(n), now()).unwrap().unwrap().packet_id);
        for n in [2, 3] {
            assert!(flow.outgoing(message(n), now()).unwrap().is_none());
        }
        let third = flow.acknowledged(sent[0].unwrap(), now()).unwrap().packet_id;
        let mut next = Flow::new(NonZeroU16::new(1), true);
        next.resume(flow.into_unfinished());
        let again = next.next(now()).unwrap();
        assert_eq!((again.packet_id, again.dup, &again.payload[..]), (sent[1], true, &b"1"[..]));
        assert!(next.next(now()).is_none());
        let again = next.acknowledged(again.packet_id.unwrap(), now()).unwrap();
        assert_eq!((again.packet_id, again.dup, &again.payload[..]), (third, true, &b"2"[..]));
        let new = next.acknowledged(again.packet_id.unwrap(), now()).unwrap();
        assert_eq!((new.dup, &new.payload[..]), (false, &b"3"[..]));
    }
}
