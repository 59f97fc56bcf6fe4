//! One client id: connected, or away with a session that waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mqtt::{Publish, QoS, TopicFilter, Version};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    StoringRates,
    outbox::Outbox,
    queue::{Delivery, Queue},
    store::Changes,
    subscriber::Subscriber,
};
use crate::{clock::Moment, rate::Rate};

/// The broker's entry for a client id that is in use.
pub(super) struct Client {
    /// The number of the connection that has the client id, or had it last.
    pub(super) connection: u64,
    /// Bounds the bytes in the outbox.
    pub(super) queue: Queue,
    /// The session's owner. No other principal resumes the session.
    pub(super) principal_id: Arc<str>,
    /// The session's protocol version. No client of the other version resumes the session. `None` if the file does not say it.
    pub(super) version: Option<Version>,
    /// Lent to the connection while the client is connected.
    pub(super) outbox: SharedOutbox,
    pub(super) state: ClientState,
    /// The messages that were stored while the client is away.
    pub(super) stored: Rate,
}

/// Whether a client is connected.
pub(super) enum ClientState {
    Connected {
        signals: Signals,
        /// Whether the session outlives the connection.
        persistent: bool,
    },
    Away {
        /// When the session ends.
        ends_at: Moment,
        /// Sent to when the client resumes the session, and dropped when the session ends before that.
        resumed: Option<oneshot::Sender<()>>,
    },
}

/// The broker's signals to a connection.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Another connection has the client id now.
    pub taken_over: CancellationToken,
    /// The outbox is full, and a QoS 1 message came.
    pub overflowed: CancellationToken,
    /// The outbox has delivered messages.
    pub delivered: Arc<Notify>,
}

/// An outbox of which the broker's entry and a connection hold a handle each.
#[derive(Clone, Debug)]
pub(super) struct SharedOutbox(Arc<Mutex<Outbox>>);

impl SharedOutbox {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self(Arc::new(Mutex::new(outbox)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether both are handles of one outbox.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Client {
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, ClientState::Connected { .. })
    }

    /// Whether a client of this principal and protocol version may resume the session. AWS binds a session to its version
    /// (developer guide, `mqtt`).
    pub(super) fn may_be_resumed_by(&self, principal_id: &str, version: Version) -> bool {
        *self.principal_id == *principal_id && self.version.is_none_or(|own| own == version)
    }

    /// Whether the client is away since the end of this connection.
    pub(super) fn is_away_since(&self, connection: u64) -> bool {
        self.connection == connection && matches!(self.state, ClientState::Away { .. })
    }

    /// Whether the session outlives its connection.
    pub(super) fn is_persistent(&self) -> bool {
        match self.state {
            ClientState::Connected { persistent, .. } => persistent,
            ClientState::Away { .. } => true,
        }
    }

    /// Accepts a message of a shared subscription for this client, which is connected, if there is room. If the subscription's
    /// messages are kept, it is written into the file for all members.
    pub(super) fn accept_shared(
        &mut self,
        filter: &TopicFilter,
        is_kept: bool,
        publish: Publish,
        now: Moment,
        changes: &mut Changes,
    ) -> Option<Delivery> {
        let at_least_once = publish.qos > QoS::AtMostOnce;
        let accepted = self.queue.accept(publish, now);
        if let ClientState::Connected { signals, .. } = &self.state
            && accepted.is_none()
            && at_least_once
        {
            signals.overflowed.cancel();
        }
        let mut delivery = accepted?.shared_by(filter);
        if at_least_once && is_kept {
            delivery.keep_shared(changes);
        }
        Some(delivery)
    }

    /// Accepts a message for this client, if there is room, and writes it into the file if the session outlives its
    /// connection. It is to be delivered when the file has it. A client that is away gets QoS 1 only *(guess: QoS 0 messages
    /// do not wait)*.
    pub(super) fn accept(
        &mut self,
        client_id: &Arc<str>,
        publish: Publish,
        now: Moment,
        storing: &mut StoringRates,
        changes: &mut Changes,
    ) -> Option<Delivery> {
        let at_least_once = publish.qos > QoS::AtMostOnce;
        let accepted = match &mut self.state {
            ClientState::Connected { signals, .. } => {
                let accepted = self.queue.accept(publish, now);
                if accepted.is_none() && at_least_once {
                    signals.overflowed.cancel();
                }
                accepted
            }
            ClientState::Away { .. } if !at_least_once || !storing.admit_for(&mut self.stored, now) => None,
            ClientState::Away { .. } => {
                if !self.queue.has_room_to_wait() {
                    self.outbox.lock().remove_expired(now, changes);
                }
                self.queue.has_room_to_wait().then(|| self.queue.accept(publish, now)).flatten()
            }
        };
        let mut delivery = accepted?;
        if at_least_once && self.is_persistent() {
            delivery.keep(client_id, changes);
        }
        Some(delivery)
    }

    /// A message of a shared subscription, as this client gets it.
    pub(super) fn shaped(&self, message: &Delivery, subscriber: Subscriber) -> Delivery {
        let publish = message.publish();
        let retain = publish.retain && subscriber.retain_as_published;
        let publish = Publish { retain, ..publish.clone() };
        message.moved_to(&self.queue, publish)
    }

    /// Puts a message into the outbox. If there is no room for a QoS 1 message, the connection ends, so that the loss is not
    /// silent.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let mut outbox = self.outbox.lock();
        match &self.state {
            ClientState::Connected { signals, .. } => match outbox.deliver(delivery) {
                Ok(()) => signals.delivered.notify_one(),
                Err(_) => signals.overflowed.cancel(),
            },
            ClientState::Away { .. } => outbox.add_waiting(delivery),
        }
    }
}
