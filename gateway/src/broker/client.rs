//! One client id: connected, or away with a session that waits for it.

use std::sync::{Arc, Mutex};

use mqtt::{Publish, QoS};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::queue::{Delivery, Queue};
use crate::{clock::Moment, session::flow::Unfinished};

/// A client id that is in use.
pub(super) struct Client {
    /// Which connection has it, or had it last.
    pub(super) connection: u64,
    /// What waits for it weighs here.
    pub(super) queue: Queue,
    pub(super) place: Place,
}

/// Where a client is.
pub(super) enum Place {
    Connected {
        mailbox: mpsc::Sender<Delivery>,
        signals: Signals,
        /// Whether its session outlives the connection.
        keeps: bool,
    },
    Away {
        unfinished: Unfinished,
        ends_at: Moment,
    },
}

/// What ends a connection from outside it.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Another connection has the client id now.
    pub taken_over: CancellationToken,
    /// A QoS 1 message found the mailbox full.
    pub overflowed: CancellationToken,
    /// Who goes on with the session of a connection that was taken over.
    pub(super) heir: Arc<Mutex<Option<oneshot::Sender<Unfinished>>>>,
}

impl Client {
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.place, Place::Connected { .. })
    }

    pub(super) fn is_away(&self, connection: u64) -> bool {
        self.connection == connection && matches!(self.place, Place::Away { .. })
    }

    /// A full mailbox loses a QoS 0 message; for QoS 1 it ends the connection, so that nothing is lost in silence. Who is
    /// away gets QoS 1 only, as far as there is room *(unverified)*.
    pub(super) fn deliver(&mut self, publish: Publish, now: Moment) {
        let at_least_once = publish.qos > QoS::AtMostOnce;
        match &mut self.place {
            Place::Connected { mailbox, signals, .. } => {
                let delivery = self.queue.accept(publish, now);
                let delivered = delivery.is_some_and(|delivery| mailbox.try_send(delivery).is_ok());
                if !delivered && at_least_once {
                    signals.overflowed.cancel();
                }
            }
            Place::Away { unfinished, .. } if at_least_once => {
                unfinished.waiting.extend(self.queue.accept(publish, now));
            }
            Place::Away { .. } => {}
        }
    }
}
