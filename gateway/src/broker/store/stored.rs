//! The content of the file when the gateway starts: all of it, or an error.

use std::{collections::HashMap, num::NonZeroU16, sync::Arc, time::Duration};

use mqtt::{Publish, QoS, TopicFilter, Version};
use rusqlite::{Connection, Row};

use super::{MessageId, checksum, message};
use crate::{
    broker::subscriber::Subscriber,
    clock::{Epoch, Moment},
    shadow::{
        ShadowId,
        shadows::{Content, Shadow},
    },
};

/// The content of the file.
#[derive(Default)]
pub(in crate::broker) struct Stored {
    pub(in crate::broker) sessions: HashMap<Arc<str>, StoredSession>,
    pub(in crate::broker) retained: Vec<(Publish, Option<Moment>)>,
    /// The messages that wait in shared subscriptions, in their order.
    pub(in crate::broker) shared: Vec<(TopicFilter, StoredMessage)>,
    pub(in crate::broker) shadows: Vec<(ShadowId, Shadow)>,
}

/// One session.
pub(in crate::broker) struct StoredSession {
    pub(in crate::broker) principal_id: Arc<str>,
    /// Absent in a session of a file of version 1.
    pub(in crate::broker) version: Option<Version>,
    pub(in crate::broker) ends_at: Moment,
    pub(in crate::broker) subscriptions: Vec<(TopicFilter, Subscriber)>,
    /// The messages, in their order.
    pub(in crate::broker) messages: Vec<StoredMessage>,
}

/// A message on its way to a client.
pub(in crate::broker) struct StoredMessage {
    pub(in crate::broker) id: MessageId,
    pub(in crate::broker) packet_id: Option<NonZeroU16>,
    pub(in crate::broker) publish: Publish,
    pub(in crate::broker) expires_at: Option<Moment>,
}

/// An error of reading the file.
pub(super) type Unreadable = Box<dyn std::error::Error + Send + Sync>;

impl Stored {
    pub(super) fn read(connection: &Connection, epoch: Epoch, now: Moment) -> Result<Self, Unreadable> {
        let mut stored = Self::default();
        let sql = "SELECT client_id, principal_id, expiry, ends_at, crc, protocol_level FROM session";
        each(connection, sql, |row| stored.read_session(row, epoch, now))?;
        let sql = "SELECT client_id, filter, qos, no_local, retain_as_published, crc FROM subscription";
        each(connection, sql, |row| stored.read_subscription(row))?;
        let sql = "SELECT client_id, publish, expires_at, crc, id, packet_id FROM queued ORDER BY id";
        each(connection, sql, |row| stored.read_queued(row, epoch))?;
        let sql = "SELECT topic, publish, expires_at, crc FROM retained";
        each(connection, sql, |row| {
            let (_, publish, expires_at) = read_message(row, epoch)?;
            stored.retained.push((publish, expires_at));
            Ok(())
        })?;
        let sql = "SELECT filter, publish, expires_at, crc, id FROM queued_shared ORDER BY id";
        each(connection, sql, |row| {
            let (filter, publish, expires_at) = read_message(row, epoch)?;
            let id = MessageId { number: row.get(4)?, shared: true };
            stored.shared.push((filter.parse()?, StoredMessage { id, packet_id: None, publish, expires_at }));
            Ok(())
        })?;
        let sql = "SELECT thing, name, version, document, deleted_at, crc FROM shadow";
        each(connection, sql, |row| {
            stored.shadows.push(read_shadow(row)?);
            Ok(())
        })?;
        Ok(stored)
    }

    /// The last id that a message got.
    pub(super) fn last_id(&self) -> i64 {
        let of_sessions = self.sessions.values().flat_map(|session| &session.messages);
        let all = of_sessions.chain(self.shared.iter().map(|(_, message)| message));
        all.map(|message| message.id.number).max().unwrap_or_default()
    }

    fn read_session(&mut self, row: &Row<'_>, epoch: Epoch, now: Moment) -> Result<(), Unreadable> {
        let (client_id, principal_id) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        let (expiry, ends_at) = (row.get::<_, i64>(2)?, row.get::<_, Option<i64>>(3)?);
        let level = row.get::<_, Option<u8>>(5)?;
        let crc = checksum::of_session(&client_id, &principal_id, level, expiry, ends_at);
        checksum::check(row.get(4)?, crc)?;
        // A client that was connected when the process ended leaves now.
        let whole = || now + Duration::from_millis(expiry.try_into().unwrap_or_default());
        let session = StoredSession {
            principal_id: principal_id.into(),
            version: level.map(version).transpose()?,
            ends_at: ends_at.map_or_else(whole, |at| epoch.moment(at)),
            subscriptions: Vec::new(),
            messages: Vec::new(),
        };
        self.sessions.insert(client_id.into(), session);
        Ok(())
    }

    fn read_subscription(&mut self, row: &Row<'_>) -> Result<(), Unreadable> {
        let (client_id, filter) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?.parse()?);
        let qos = if row.get(2)? { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let subscriber = Subscriber { qos, no_local: row.get(3)?, retain_as_published: row.get(4)? };
        checksum::check(row.get(5)?, checksum::of_subscription(&client_id, &filter, subscriber))?;
        self.session(&client_id)?.subscriptions.push((filter, subscriber));
        Ok(())
    }

    fn read_queued(&mut self, row: &Row<'_>, epoch: Epoch) -> Result<(), Unreadable> {
        let (client_id, publish, expires_at) = read_message(row, epoch)?;
        let id = MessageId { number: row.get(4)?, shared: false };
        let packet_id = row.get::<_, Option<u16>>(5)?.and_then(NonZeroU16::new);
        let message = StoredMessage { id, packet_id, publish, expires_at };
        self.session(&client_id)?.messages.push(message);
        Ok(())
    }

    fn session(&mut self, client_id: &str) -> Result<&mut StoredSession, Unreadable> {
        self.sessions.get_mut(client_id).ok_or_else(|| "a row belongs to no session".into())
    }
}

/// The protocol level of a version, as in CONNECT.
pub(super) fn protocol_level(version: Version) -> u8 {
    match version {
        Version::V311 => 4,
        Version::V5 => 5,
    }
}

fn version(protocol_level: u8) -> Result<Version, Unreadable> {
    let mut versions = [Version::V311, Version::V5].into_iter();
    versions
        .find(|version| self::protocol_level(*version) == protocol_level)
        .ok_or_else(|| "an unknown protocol level".into())
}

/// The first four columns: the owner, the message, its time and the checksum.
fn read_message(row: &Row<'_>, epoch: Epoch) -> Result<(String, Publish, Option<Moment>), Unreadable> {
    let (owner, bytes) = (row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?);
    let expires_at = row.get::<_, Option<i64>>(2)?;
    checksum::check(row.get(3)?, checksum::of_message(&owner, &bytes, expires_at))?;
    Ok((owner, message::from_bytes(&bytes)?, expires_at.map(|at| epoch.moment(at))))
}

fn read_shadow(row: &Row<'_>) -> Result<(ShadowId, Shadow), Unreadable> {
    let (thing, name) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
    let (version, document) = (row.get::<_, i64>(2)?, row.get::<_, Option<Vec<u8>>>(3)?);
    let deleted_at = row.get::<_, Option<i64>>(4)?;
    let crc = checksum::of_shadow(&thing, &name, version, document.as_deref(), deleted_at);
    checksum::check(row.get(5)?, crc)?;
    let content = match (document, deleted_at) {
        (Some(json), _) => Content::Document(json.into()),
        (None, at) => Content::Deleted(at.unwrap_or_default()),
    };
    let shadow = Shadow { version: version.try_into()?, content };
    shadow.check()?;
    Ok((ShadowId::new(&thing, Some(&*name).filter(|name| !name.is_empty()))?, shadow))
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
