//! One client id: connected, or away with a session that waits for it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use mqtt::{Publish, QoS};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    queue::{Delivery, Queue},
    store::{Journal, StoreError},
};
use crate::{clock::Moment, session::flow::Unfinished};

/// A client id that is in use.
pub(super) struct Client {
    /// Which connection has it, or had it last.
    pub(super) connection: u64,
    /// What waits for it weighs here.
    pub(super) queue: Queue,
    /// Whose it is: nobody else goes on with the session.
    pub(super) principal_id: Arc<str>,
    pub(super) place: Place,
}

/// Where a client is.
pub(super) enum Place {
    Connected {
        mailbox: mpsc::Sender<Box<Delivery>>,
        signals: Signals,
        /// Whether its session outlives the connection.
        keeps: bool,
        /// What the mailbox of such a session had no room for.
        overflow: VecDeque<Delivery>,
    },
    Away {
        unfinished: Unfinished,
        ends_at: Moment,
        /// Told when its client comes back, and dropped when it doesn't.
        awaited: Option<oneshot::Sender<()>>,
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

    /// Whether its session outlives its connection.
    pub(super) fn keeps(&self) -> bool {
        match self.place {
            Place::Connected { keeps, .. } => keeps,
            Place::Away { .. } => true,
        }
    }

    /// Takes a message in for this client, and writes it into the file if its session outlives the connection; nothing if
    /// there is no room. Who is away gets QoS 1 only *(unverified)*. To be delivered once the file has it.
    pub(super) fn accept(
        &mut self,
        client_id: &str,
        publish: Publish,
        now: Moment,
        journal: &mut Journal<'_>,
    ) -> Result<Option<Delivery>, StoreError> {
        let at_least_once = publish.qos > QoS::AtMostOnce;
        let accepted = match &mut self.place {
            Place::Connected { signals, .. } => {
                let accepted = self.queue.accept(publish, now);
                if accepted.is_none() && at_least_once {
                    signals.overflowed.cancel();
                }
                accepted
            }
            Place::Away { .. } if !at_least_once => None,
            Place::Away { unfinished, .. } => {
                if !self.queue.has_room_to_wait() {
                    // What nobody will get any more makes room for what somebody may.
                    settle_expired(unfinished, now, journal)?;
                }
                self.queue.has_room_to_wait().then(|| self.queue.accept(publish, now)).flatten()
            }
        };
        let Some(mut delivery) = accepted else { return Ok(None) };
        if at_least_once && self.keeps() {
            delivery.keep(client_id, journal)?;
        }
        Ok(Some(delivery))
    }

    /// A full mailbox loses a QoS 0 message; for QoS 1 it ends the connection, so that nothing is lost in silence.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let at_least_once = delivery.publish().qos > QoS::AtMostOnce;
        match &mut self.place {
            Place::Connected { mailbox, signals, keeps, overflow } => {
                // Behind one that found no room the others have none either, so that their order stays.
                let left = if overflow.is_empty() {
                    mailbox.try_send(Box::new(delivery)).err().map(|full| *full.into_inner())
                } else {
                    Some(delivery)
                };
                if let Some(left) = left.filter(|_| at_least_once) {
                    if *keeps {
                        overflow.push_back(left);
                    }
                    signals.overflowed.cancel();
                }
            }
            Place::Away { unfinished, .. } => unfinished.waiting.push_back(delivery),
        }
    }
}

fn settle_expired(
    unfinished: &mut Unfinished,
    now: Moment,
    journal: &mut Journal<'_>,
) -> Result<(), StoreError> {
    for id in unfinished.waiting.iter().filter(|waiting| waiting.is_over(now)).filter_map(Delivery::id) {
        journal.settled(id)?;
    }
    unfinished.waiting.retain(|waiting| !waiting.is_over(now));
    Ok(())
}
