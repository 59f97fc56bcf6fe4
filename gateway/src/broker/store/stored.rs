//! What the file holds when the gateway starts: all of it, or an error.

use std::{collections::HashMap, num::NonZeroU16, sync::Arc, time::Duration};

use mqtt::{Publish, QoS, TopicFilter};
use rusqlite::{Connection, Row};

use super::{MessageId, checksum, message};
use crate::{
    broker::subscriptions::Subscriber,
    clock::{Epoch, Moment},
};

/// Everything that outlived the last process.
#[derive(Default)]
pub(in crate::broker) struct Stored {
    pub(in crate::broker) sessions: HashMap<Arc<str>, StoredSession>,
    pub(in crate::broker) retained: Vec<(Publish, Option<Moment>)>,
}

/// One session.
pub(in crate::broker) struct StoredSession {
    pub(in crate::broker) principal_id: Arc<str>,
    pub(in crate::broker) ends_at: Moment,
    pub(in crate::broker) subscriptions: Vec<(TopicFilter, Subscriber)>,
    /// In their order.
    pub(in crate::broker) messages: Vec<StoredMessage>,
}

/// A message on its way to a client.
pub(in crate::broker) struct StoredMessage {
    pub(in crate::broker) id: MessageId,
    pub(in crate::broker) packet_id: Option<NonZeroU16>,
    pub(in crate::broker) publish: Publish,
    pub(in crate::broker) expires_at: Option<Moment>,
}

/// Why a file can't be read.
pub(super) type Unreadable = Box<dyn std::error::Error + Send + Sync>;

impl Stored {
    pub(super) fn read(connection: &Connection, epoch: Epoch, now: Moment) -> Result<Self, Unreadable> {
        let mut stored = Self::default();
        each(connection, "SELECT client_id, principal_id, expiry, ends_at, crc FROM session", |row| {
            let expiry = Duration::from_millis(row.get(2)?);
            // Whoever was connected when the process ended has left just now.
            let ends_at = row.get::<_, Option<i64>>(3)?.map_or(now + expiry, |at| epoch.moment(at));
            let (client_id, principal_id) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
            checksum::check(row.get(4)?, checksum::of_session(&client_id, &principal_id))?;
            let session = StoredSession {
                principal_id: principal_id.into(),
                ends_at,
                subscriptions: Vec::new(),
                messages: Vec::new(),
            };
            stored.sessions.insert(client_id.into(), session);
            Ok(())
        })?;
        let sql = "SELECT client_id, filter, qos, no_local, retain_as_published, crc FROM subscription";
        each(connection, sql, |row| {
            let filter = row.get::<_, String>(1)?.parse::<TopicFilter>()?;
            let qos = if row.get(2)? { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            let subscriber = Subscriber { qos, no_local: row.get(3)?, retain_as_published: row.get(4)? };
            let client_id = row.get::<_, String>(0)?;
            checksum::check(row.get(5)?, checksum::of_subscription(&client_id, &filter, subscriber))?;
            stored.session(row)?.subscriptions.push((filter, subscriber));
            Ok(())
        })?;
        let sql = "SELECT client_id, id, packet_id, publish, expires_at FROM queued ORDER BY id";
        each(connection, sql, |row| {
            let message = StoredMessage {
                id: MessageId(row.get(1)?),
                packet_id: row.get::<_, Option<u16>>(2)?.and_then(NonZeroU16::new),
                publish: message::from_bytes(&row.get::<_, Vec<u8>>(3)?)?,
                expires_at: row.get::<_, Option<i64>>(4)?.map(|at| epoch.moment(at)),
            };
            stored.session(row)?.messages.push(message);
            Ok(())
        })?;
        let mut retained = Vec::new();
        each(connection, "SELECT topic, publish, expires_at FROM retained", |row| {
            let publish = message::from_bytes(&row.get::<_, Vec<u8>>(1)?)?;
            let topic = row.get::<_, String>(0)?;
            if publish.topic.as_ref().is_none_or(|its| its.as_str() != topic) {
                return Err("a retained message is another topic's".into());
            }
            retained.push((publish, row.get::<_, Option<i64>>(2)?.map(|at| epoch.moment(at))));
            Ok(())
        })?;
        stored.retained = retained;
        Ok(stored)
    }

    /// The session that a row belongs to, whose first column says so.
    fn session(&mut self, row: &Row<'_>) -> Result<&mut StoredSession, Unreadable> {
        let client_id = row.get::<_, String>(0)?;
        self.sessions.get_mut(&*client_id).ok_or_else(|| "a row belongs to no session".into())
    }
}

fn each(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}
