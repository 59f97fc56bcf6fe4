//! The messages that were sent on a connection and not acknowledged.

use std::{
    collections::VecDeque,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use mqtt::{Publish, TopicName};

use super::{queue::Delivery, store::MessageId};
use crate::clock::Moment;

/// How a connection gets its QoS 1 messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryLimits {
    /// Messages that the client accepts without acknowledging one.
    pub receive_maximum: NonZeroU16,
    /// How long the client has to acknowledge a message, before it is sent again.
    pub resend_after: Duration,
    /// For how long a message is sent again. After that it is dropped.
    pub resend_for: Duration,
    /// Stored messages a second. `None` sends them at once.
    pub stored_per_second: Option<NonZeroU32>,
    /// Messages a second that waited in shared subscriptions. `None` sends them at once.
    pub shared_per_second: Option<NonZeroU32>,
}

/// The messages that were sent on a connection and not acknowledged. The one that was sent longest ago comes first, so that
/// the next one to be sent again is found at once.
#[derive(Debug, Default)]
pub(super) struct Inflight {
    sent: VecDeque<Sent>,
}

#[derive(Debug)]
struct Sent {
    packet_id: NonZeroU16,
    /// `None` once the message is not to be sent again. Its packet id is in use until the client acknowledges it.
    message: Option<Delivery>,
    /// When it was sent first.
    began: Moment,
    /// When it was sent last.
    repeated: Moment,
}

/// What is to be done about a message without an acknowledgement.
pub(super) enum Unacknowledged {
    SendAgain(Publish),
    /// Its own time is over, so it leaves the file.
    Expired(MessageId),
    /// It was sent again for too long. If it is in the file, it leaves it.
    Dropped(Option<MessageId>, TopicName),
}

#[cfg(test)]
impl DeliveryLimits {
    /// Everything at once.
    pub(super) fn of_tests() -> Self {
        Self {
            receive_maximum: NonZeroU16::MAX,
            resend_after: Duration::from_secs(30),
            resend_for: Duration::from_secs(100),
            stored_per_second: None,
            shared_per_second: None,
        }
    }
}

impl Inflight {
    /// Whether the client has all the messages that it accepts.
    pub(super) fn is_full(&self, limits: DeliveryLimits) -> bool {
        self.sent.len() >= limits.receive_maximum.get().into()
    }

    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn has(&self, packet_id: NonZeroU16) -> bool {
        self.sent.iter().any(|sent| sent.packet_id == packet_id)
    }

    /// A message is sent for the first time on this connection.
    pub(super) fn push(&mut self, packet_id: NonZeroU16, message: Delivery, now: Moment) {
        self.sent.push_back(Sent { packet_id, message: Some(message), began: now, repeated: now });
    }

    /// The client has acknowledged a message.
    pub(super) fn acknowledge(&mut self, packet_id: NonZeroU16) -> Option<Delivery> {
        // Clients acknowledge in order, so it is one of the first.
        let at = self.sent.iter().position(|sent| sent.packet_id == packet_id)?;
        self.sent.remove(at)?.message
    }

    /// When the next message is to be sent again.
    pub(super) fn due(&self, limits: DeliveryLimits) -> Option<Moment> {
        self.sent.front().map(|sent| sent.repeated + limits.resend_after)
    }

    /// The next message that waits too long for its acknowledgement. AWS sends it again for some time, unless its own time is
    /// over, and drops it then (developer guide, `mqtt`; general reference). While the client has all the messages that it
    /// accepts, none is sent again.
    pub(super) fn next_due(&mut self, limits: DeliveryLimits, now: Moment) -> Option<Unacknowledged> {
        while self.due(limits).is_some_and(|at| at <= now) {
            let is_full = self.is_full(limits);
            let mut sent = self.sent.pop_front()?;
            let again = sent.message.as_ref().and_then(|message| message.at(now));
            let is_expired = sent.message.is_some() && again.is_none();
            if is_expired || now >= sent.began + limits.resend_for {
                let id = sent.message.as_ref().and_then(Delivery::id);
                match (again.and_then(|publish| publish.topic), id) {
                    (Some(topic), id) => return Some(Unacknowledged::Dropped(id, topic)),
                    (None, Some(id)) => return Some(Unacknowledged::Expired(id)),
                    // It is in memory only, or was not to be sent again.
                    (None, None) => continue,
                }
            }
            sent.repeated = now;
            let packet_id = Some(sent.packet_id);
            self.sent.push_back(sent);
            if let Some(publish) = again.filter(|_| !is_full) {
                return Some(Unacknowledged::SendAgain(Publish { packet_id, ..publish }));
            }
        }
        None
    }

    /// Messages that `keep` does not accept are not sent again.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Delivery) -> bool) {
        for sent in &mut self.sent {
            sent.message = sent.message.take().filter(&mut keep);
        }
    }

    /// The connection has ended: the messages that the next one sends again, in the order in which they were sent first, with
    /// their packet ids.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (NonZeroU16, Delivery)> + use<> {
        let mut sent = Vec::from(std::mem::take(&mut self.sent));
        sent.sort_by_key(|sent| sent.began);
        sent.into_iter().filter_map(|sent| Some((sent.packet_id, sent.message?)))
    }
}
