//! The broker's state as the last process left it: everybody is away.

use std::{collections::HashSet, sync::Arc};

use super::{
    State,
    client::{Client, Place},
    queue::Queue,
    store::{Stored, StoredMessage, StoredSession},
};
use crate::{
    clock::Moment,
    session::flow::{Sent, Unfinished},
};

impl State {
    /// Takes over what the file holds.
    pub(super) fn restored(stored: Stored, now: Moment) -> Self {
        let mut state = Self::default();
        for (publish, expires_at) in stored.retained {
            state.retained.restore(publish, expires_at, now);
        }
        for (client_id, session) in stored.sessions {
            state.restore(client_id, session);
        }
        state
    }

    fn restore(&mut self, client_id: Arc<str>, session: StoredSession) {
        let StoredSession { principal_id, ends_at, subscriptions, messages } = session;
        let queue = Queue::new(&self.waiting);
        for (filter, subscriber) in &subscriptions {
            self.subscriptions.insert(filter, &client_id, *subscriber);
        }
        self.connections += 1;
        let connection = self.connections;
        let place = Place::Away { unfinished: unfinished(messages, &queue), ends_at, awaited: None };
        self.endings.insert((ends_at, connection, Arc::clone(&client_id)));
        self.clients.insert(client_id, Client { connection, queue, principal_id, place });
    }
}

fn unfinished(messages: Vec<StoredMessage>, queue: &Queue) -> Unfinished {
    let (mut unfinished, mut taken) = (Unfinished::default(), HashSet::new());
    for StoredMessage { id, packet_id, publish, expires_at } in messages {
        let delivery = queue.restore(publish, id, expires_at);
        // An id stands twice if the file could not be told that its first message was acknowledged.
        match packet_id.filter(|packet_id| taken.insert(*packet_id)) {
            Some(packet_id) => unfinished.unacknowledged.push_back(Sent::new(delivery, packet_id)),
            None => unfinished.waiting.push_back(delivery),
        }
    }
    unfinished
}
