//! Direct messages: to one client that is connected, without a subscription, and with an answer for the sender.
//!
//! They are not kept for a client that is away (developer guide, `direct-messaging`).

use std::sync::{Arc, Mutex, PoisonError};

use mqtt::{Publish, TopicName};
use tokio::sync::oneshot;

use super::{
    Broker, State,
    client::{Client, ClientState},
    queue::Delivery,
};
use crate::clock::Moment;

/// The sender's end of a direct message. What becomes of it is reported once.
#[derive(Clone, Debug)]
pub struct DirectMessage(Arc<Mutex<Option<oneshot::Sender<DirectOutcome>>>>);

/// What becomes of a direct message. If the connection ends before that is known, the sender gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectOutcome {
    /// It was sent at QoS 0.
    Sent,
    /// The client has acknowledged it.
    Acknowledged,
    /// The client's policies do not let it receive from the topic.
    NotAllowed,
    /// The connection has had its messages of this second.
    Throttled,
    /// The client has all the messages that it accepts without an acknowledgement.
    TooManyUnacknowledged,
}

/// A client that gets no direct message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotConnected {
    /// Its session waits for it.
    Away,
    /// It has no session.
    Unknown,
}

impl DirectMessage {
    /// Reports what has become of the message, unless that was reported.
    pub fn report(&self, outcome: DirectOutcome) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The sender may have given up.
        _ = sender.map(|sender| sender.send(outcome));
    }
}

impl Broker {
    /// Sends a message to a client that is connected.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn send_direct(
        &self,
        client_id: &str,
        topic: TopicName,
        publish: Publish,
        now: Moment,
    ) -> Result<oneshot::Receiver<DirectOutcome>, NotConnected> {
        self.operations.with_state(|state| state.send_direct(client_id, topic, publish, now))
    }
}

impl State {
    fn send_direct(
        &mut self,
        client_id: &str,
        topic: TopicName,
        publish: Publish,
        now: Moment,
    ) -> Result<oneshot::Receiver<DirectOutcome>, NotConnected> {
        let client = self.clients.get_mut(client_id).ok_or(NotConnected::Unknown)?;
        let (sender, outcome) = oneshot::channel();
        let message = Publish { topic: Some(topic), ..publish };
        client.deliver_direct(message, &DirectMessage(Arc::new(Mutex::new(Some(sender)))), now)?;
        Ok(outcome)
    }
}

impl Client {
    /// A message for which there is no room has the outcome of one above the connection's rate.
    fn deliver_direct(
        &mut self,
        publish: Publish,
        direct: &DirectMessage,
        now: Moment,
    ) -> Result<(), NotConnected> {
        let ClientState::Connected { signals, .. } = &self.state else { return Err(NotConnected::Away) };
        let delivery = self.queue.accept(publish, now).map(|delivery| delivery.sent_directly(direct.clone()));
        let delivered =
            delivery.is_some_and(|delivery: Delivery| self.outbox.lock().deliver_if_room(delivery));
        if delivered {
            signals.delivered.notify_one();
        } else {
            direct.report(DirectOutcome::Throttled);
        }
        Ok(())
    }
}
