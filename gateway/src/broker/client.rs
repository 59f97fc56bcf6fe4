//! One client id: connected, or away with a session that waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mqtt::{Publish, QoS};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    outbox::Outbox,
    queue::{Delivery, Queue},
    store::Changes,
};
use crate::clock::Moment;

/// The broker's entry for a client id that is in use.
pub(super) struct Client {
    /// The number of the connection that has the client id, or had it last.
    pub(super) connection: u64,
    /// Bounds the bytes in the outbox.
    pub(super) queue: Queue,
    /// The session's owner. No other principal resumes the session.
    pub(super) principal_id: Arc<str>,
    /// Lent to the connection while the client is connected.
    pub(super) outbox: SharedOutbox,
    pub(super) state: ClientState,
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

    /// Accepts a message for this client, if there is room, and writes it into the file if the session outlives its
    /// connection. It is to be delivered when the file has it. A client that is away gets QoS 1 only *(unverified)*.
    pub(super) fn accept(
        &mut self,
        client_id: &Arc<str>,
        publish: Publish,
        now: Moment,
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
            ClientState::Away { .. } if !at_least_once => None,
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

    /// Delivers retained messages to the connection.
    pub(super) fn deliver_retained(&mut self, retained: Vec<Delivery>) {
        if let ClientState::Connected { signals, .. } = &self.state
            && !retained.is_empty()
        {
            self.outbox.lock().deliver_retained(retained);
            signals.delivered.notify_one();
        }
    }
}
