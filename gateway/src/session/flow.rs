//! QoS 1 towards the client: packet ids, and no more messages in flight than it takes.

use std::{
    collections::{BTreeSet, VecDeque},
    num::NonZeroU16,
};

use mqtt::{Publish, QoS, TopicName};

use super::ending::Ending;
use crate::broker::queue::Delivery;

/// AWS's limit of unacknowledged messages to a client (general reference, `iot-core`).
const MAX_IN_FLIGHT: u16 = 100;
/// Messages that wait for an acknowledgement to make room.
const MAX_WAITING: usize = 1_000;

/// The state of QoS 1 messages on their way to one client.
pub struct Flow {
    limit: usize,
    in_flight: BTreeSet<NonZeroU16>,
    waiting: VecDeque<Delivery>,
    last_id: NonZeroU16,
}

impl Flow {
    /// For a client that takes so many unacknowledged messages; absent is any number.
    #[must_use]
    pub fn new(receive_maximum: Option<NonZeroU16>) -> Self {
        let limit = receive_maximum.map_or(MAX_IN_FLIGHT, |maximum| maximum.get().min(MAX_IN_FLIGHT));
        Self {
            limit: limit.into(),
            in_flight: BTreeSet::new(),
            waiting: VecDeque::new(),
            last_id: NonZeroU16::MAX,
        }
    }

    /// The message as it is to be sent, or nothing if it has to wait.
    ///
    /// # Errors
    ///
    /// When too many wait: the client does not take its messages.
    pub fn outgoing(&mut self, delivery: Delivery) -> Result<Option<Publish>, Ending> {
        if delivery.publish().qos == QoS::AtMostOnce {
            return Ok(Some(delivery.publish().clone()));
        }
        if self.in_flight.len() < self.limit {
            return Ok(Some(self.number(&delivery)));
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(Ending::SlowReader);
        }
        self.waiting.push_back(delivery);
        Ok(None)
    }

    /// The client acknowledged; the next message, if one waited for that.
    pub fn acknowledged(&mut self, packet_id: NonZeroU16) -> Option<Publish> {
        if !self.in_flight.remove(&packet_id) {
            return None;
        }
        let next = self.waiting.pop_front()?;
        Some(self.number(&next))
    }

    /// Drops the messages that wait on topics that `keep` does not accept.
    pub fn retain_waiting(&mut self, mut keep: impl FnMut(&TopicName) -> bool) {
        self.waiting.retain(|delivery| delivery.publish().topic.as_ref().is_some_and(&mut keep));
    }

    fn number(&mut self, delivery: &Delivery) -> Publish {
        let mut publish = delivery.publish().clone();
        // At most 100 of 65,535 ids are taken, so the search ends soon.
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(NonZeroU16::MIN);
            if self.in_flight.insert(self.last_id) {
                publish.packet_id = Some(self.last_id);
                return publish;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::queue::Queue;

    fn message(n: u32) -> Delivery {
        let publish = Publish { qos: QoS::AtLeastOnce, ..Publish::new("t".parse().unwrap(), n.to_string()) };
        Queue::default().accept(publish).unwrap()
    }

    #[test]
    fn no_more_are_in_flight_than_the_client_takes_and_the_order_stays() {
        let mut flow = Flow::new(NonZeroU16::new(2));
        let first = flow.outgoing(message(0)).unwrap().unwrap();
        let second = flow.outgoing(message(1)).unwrap().unwrap();
        assert_ne!(first.packet_id, second.packet_id);
        assert!(flow.outgoing(message(2)).unwrap().is_none());
        assert!(flow.outgoing(message(3)).unwrap().is_none());
        let third = flow.acknowledged(second.packet_id.unwrap()).unwrap();
        assert_eq!(third.payload, "2");
        assert!(flow.acknowledged(second.packet_id.unwrap()).is_none(), "an id is acknowledged once");
        assert_eq!(flow.acknowledged(first.packet_id.unwrap()).unwrap().payload, "3");
    }

    #[test]
    fn packet_ids_start_again_without_touching_those_in_flight() {
        let mut flow = Flow::new(None);
        let kept = flow.outgoing(message(0)).unwrap().unwrap().packet_id.unwrap();
        for n in 0..70_000 {
            let id = flow.outgoing(message(n)).unwrap().unwrap().packet_id.unwrap();
            assert_ne!(id, kept);
            flow.acknowledged(id);
        }
    }

    #[test]
    fn a_client_that_takes_nothing_is_told_off() {
        let mut flow = Flow::new(NonZeroU16::new(1));
        for n in 0..=MAX_WAITING {
            assert!(flow.outgoing(message(u32::try_from(n).unwrap())).is_ok());
        }
        assert_eq!(flow.outgoing(message(0)).unwrap_err(), Ending::SlowReader);
    }
}
