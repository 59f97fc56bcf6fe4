//! Changes to the file. Those of one operation are made together or not at all.

use std::{
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use mqtt::{Publish, TopicFilter, TopicName, Version};
use rusqlite::{Connection, Params, params};

use super::{MessageId, checksum, message, stored::protocol_level};
use crate::{
    broker::subscriber::Subscriber,
    clock::{Epoch, Moment},
    shadow::shadows::{self, Content},
};

/// The changes of one operation, in their order.
#[derive(Debug)]
pub(in crate::broker) struct Changes {
    list: Vec<Change>,
    /// Message ids are never used again, so an old one can't touch another message.
    last_message: Arc<AtomicI64>,
}

#[derive(Debug)]
enum Change {
    Session {
        client_id: Arc<str>,
        principal_id: Arc<str>,
        version: Option<Version>,
        expiry: Duration,
        ends_at: Option<Moment>,
    },
    SessionEnded {
        client_id: Arc<str>,
    },
    Subscribed {
        client_id: Arc<str>,
        filter: TopicFilter,
        subscriber: Subscriber,
    },
    Unsubscribed {
        client_id: Arc<str>,
        filter: TopicFilter,
    },
    Queued {
        id: MessageId,
        client_id: Arc<str>,
        publish: Publish,
        expires_at: Option<Moment>,
    },
    QueuedShared {
        id: MessageId,
        filter: TopicFilter,
        publish: Publish,
        expires_at: Option<Moment>,
    },
    SharedEnded {
        filter: TopicFilter,
    },
    Sent {
        id: MessageId,
        packet_id: NonZeroU16,
    },
    Settled {
        id: MessageId,
    },
    Retained {
        topic: TopicName,
        publish: Publish,
        expires_at: Option<Moment>,
    },
    Unretained {
        topic: TopicName,
    },
    Shadow(shadows::Change),
}

impl Changes {
    /// No changes yet. `last_message` is the last id that a message got.
    pub(in crate::broker) fn new(last_message: Arc<AtomicI64>) -> Self {
        Self { list: Vec::new(), last_message }
    }

    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A session starts, or changes. `ends_at` is absent while its client is connected.
    pub(in crate::broker) fn session(
        &mut self,
        client_id: &Arc<str>,
        principal_id: &Arc<str>,
        version: Option<Version>,
        expiry: Duration,
        ends_at: Option<Moment>,
    ) {
        let (client_id, principal_id) = (Arc::clone(client_id), Arc::clone(principal_id));
        self.list.push(Change::Session { client_id, principal_id, version, expiry, ends_at });
    }

    /// A session ends, with its subscriptions and messages.
    pub(in crate::broker) fn session_ended(&mut self, client_id: &Arc<str>) {
        self.list.push(Change::SessionEnded { client_id: Arc::clone(client_id) });
    }

    /// A client subscribes. A subscription with the same filter is replaced.
    pub(in crate::broker) fn subscribed(
        &mut self,
        client_id: &Arc<str>,
        filter: &TopicFilter,
        subscriber: Subscriber,
    ) {
        let (client_id, filter) = (Arc::clone(client_id), filter.clone());
        self.list.push(Change::Subscribed { client_id, filter, subscriber });
    }

    /// A client unsubscribes.
    pub(in crate::broker) fn unsubscribed(&mut self, client_id: &Arc<str>, filter: &TopicFilter) {
        let (client_id, filter) = (Arc::clone(client_id), filter.clone());
        self.list.push(Change::Unsubscribed { client_id, filter });
    }

    /// A message waits in a session. Returns its id in the file.
    pub(in crate::broker) fn queued(
        &mut self,
        client_id: &Arc<str>,
        publish: &Publish,
        expires_at: Option<Moment>,
    ) -> MessageId {
        let id = self.next_id(false);
        let (client_id, publish) = (Arc::clone(client_id), publish.clone());
        self.list.push(Change::Queued { id, client_id, publish, expires_at });
        id
    }

    /// A message waits for the members of a shared subscription. Returns its id in the file.
    pub(in crate::broker) fn queued_shared(
        &mut self,
        filter: &TopicFilter,
        publish: &Publish,
        expires_at: Option<Moment>,
    ) -> MessageId {
        let id = self.next_id(true);
        let (filter, publish) = (filter.clone(), publish.clone());
        self.list.push(Change::QueuedShared { id, filter, publish, expires_at });
        id
    }

    /// A shared subscription has no members any more: its messages end.
    pub(in crate::broker) fn shared_ended(&mut self, filter: &TopicFilter) {
        self.list.push(Change::SharedEnded { filter: filter.clone() });
    }

    fn next_id(&self, shared: bool) -> MessageId {
        MessageId { number: self.last_message.fetch_add(1, Ordering::Relaxed) + 1, shared }
    }

    /// A message is about to be sent under this packet id.
    pub(in crate::broker) fn sent(&mut self, id: MessageId, packet_id: NonZeroU16) {
        self.list.push(Change::Sent { id, packet_id });
    }

    /// A message is acknowledged, too old, or no longer allowed.
    pub(in crate::broker) fn settled(&mut self, id: MessageId) {
        self.list.push(Change::Settled { id });
    }

    /// A message is retained, in place of its topic's earlier one.
    pub(in crate::broker) fn retained(
        &mut self,
        topic: &TopicName,
        publish: &Publish,
        expires_at: Option<Moment>,
    ) {
        let (topic, publish) = (topic.clone(), publish.clone());
        self.list.push(Change::Retained { topic, publish, expires_at });
    }

    /// A topic has no retained message any more.
    pub(in crate::broker) fn unretained(&mut self, topic: &TopicName) {
        self.list.push(Change::Unretained { topic: topic.clone() });
    }

    /// A shadow changes.
    pub(in crate::broker) fn shadow(&mut self, change: &shadows::Change) {
        self.list.push(Change::Shadow(change.clone()));
    }

    /// Makes the changes, within a transaction of the caller's.
    pub(super) fn make(&self, connection: &Connection, epoch: Epoch) -> rusqlite::Result<()> {
        self.list.iter().try_for_each(|change| change.make(connection, epoch))
    }
}

impl Change {
    fn make(&self, connection: &Connection, epoch: Epoch) -> rusqlite::Result<()> {
        let unix_millis = |at: &Option<Moment>| at.map(|at| epoch.unix_millis(at));
        match self {
            Self::Session { client_id, principal_id, version, expiry, ends_at } => {
                let expiry = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
                let (level, ends_at) = (version.map(protocol_level), unix_millis(ends_at));
                let crc = checksum::of_session(client_id, principal_id, level, expiry, ends_at);
                // Not REPLACE, which would delete the session's subscriptions and messages.
                let sql = "INSERT INTO session (client_id, principal_id, protocol_level, expiry, ends_at, crc) \
                           VALUES (?, ?, ?, ?, ?, ?) \
                           ON CONFLICT DO UPDATE SET principal_id = excluded.principal_id, \
                           protocol_level = excluded.protocol_level, expiry = excluded.expiry, \
                           ends_at = excluded.ends_at, crc = excluded.crc";
                execute(connection, sql, params![&**client_id, &**principal_id, level, expiry, ends_at, crc])
            }
            Self::SessionEnded { client_id } => {
                execute(connection, "DELETE FROM session WHERE client_id = ?", [&**client_id])
            }
            Self::Subscribed { client_id, filter, subscriber } => {
                let crc = checksum::of_subscription(client_id, filter, *subscriber);
                let Subscriber { qos, no_local, retain_as_published } = *subscriber;
                let sql = "REPLACE INTO subscription \
                           (client_id, filter, qos, no_local, retain_as_published, crc) VALUES (?, ?, ?, ?, ?, ?)";
                let row =
                    params![&**client_id, filter.as_str(), qos as u8, no_local, retain_as_published, crc];
                execute(connection, sql, row)
            }
            Self::Unsubscribed { client_id, filter } => {
                let sql = "DELETE FROM subscription WHERE client_id = ? AND filter = ?";
                execute(connection, sql, [&**client_id, filter.as_str()])
            }
            Self::Queued { id, client_id, publish, expires_at } => {
                let (packet, expires_at) = (to_bytes(publish)?, unix_millis(expires_at));
                let crc = checksum::of_message(client_id, &packet, expires_at);
                let sql =
                    "INSERT INTO queued (id, client_id, publish, expires_at, crc) VALUES (?, ?, ?, ?, ?)";
                execute(connection, sql, params![id.number, &**client_id, packet, expires_at, crc])
            }
            Self::QueuedShared { id, filter, publish, expires_at } => {
                let (packet, expires_at) = (to_bytes(publish)?, unix_millis(expires_at));
                let crc = checksum::of_message(filter.as_str(), &packet, expires_at);
                let sql =
                    "INSERT INTO queued_shared (id, filter, publish, expires_at, crc) VALUES (?, ?, ?, ?, ?)";
                execute(connection, sql, params![id.number, filter.as_str(), packet, expires_at, crc])
            }
            Self::SharedEnded { filter } => {
                execute(connection, "DELETE FROM queued_shared WHERE filter = ?", [filter.as_str()])
            }
            Self::Sent { id, packet_id } => {
                let sql = "UPDATE queued SET packet_id = ? WHERE id = ?";
                execute(connection, sql, params![packet_id.get(), id.number])
            }
            Self::Settled { id } => {
                let sql = if id.shared {
                    "DELETE FROM queued_shared WHERE id = ?"
                } else {
                    "DELETE FROM queued WHERE id = ?"
                };
                execute(connection, sql, [id.number])
            }
            Self::Retained { topic, publish, expires_at } => {
                let (packet, expires_at) = (to_bytes(publish)?, unix_millis(expires_at));
                let crc = checksum::of_message(topic.as_str(), &packet, expires_at);
                let sql = "REPLACE INTO retained (topic, publish, expires_at, crc) VALUES (?, ?, ?, ?)";
                execute(connection, sql, params![topic.as_str(), packet, expires_at, crc])
            }
            Self::Unretained { topic } => {
                execute(connection, "DELETE FROM retained WHERE topic = ?", [topic.as_str()])
            }
            Self::Shadow(shadows::Change::Set(id, shadow)) => {
                let (thing, name) = (&**id.thing(), id.name().unwrap_or_default());
                let version = i64::try_from(shadow.version).unwrap_or(i64::MAX);
                let (document, deleted_at) = match &shadow.content {
                    Content::Document(json) => (Some(&**json), None),
                    Content::Deleted(at) => (None, Some(*at)),
                };
                let crc = checksum::of_shadow(thing, name, version, document, deleted_at);
                let sql = "REPLACE INTO shadow (thing, name, version, document, deleted_at, crc) \
                           VALUES (?, ?, ?, ?, ?, ?)";
                execute(connection, sql, params![thing, name, version, document, deleted_at, crc])
            }
            Self::Shadow(shadows::Change::Forget(id, since)) => {
                let sql = "DELETE FROM shadow WHERE thing = ? AND name = ? AND deleted_at = ?";
                execute(connection, sql, params![&**id.thing(), id.name().unwrap_or_default(), since])
            }
        }
    }
}

fn execute(connection: &Connection, sql: &str, row: impl Params) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

fn to_bytes(publish: &Publish) -> rusqlite::Result<Vec<u8>> {
    message::to_bytes(publish).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
