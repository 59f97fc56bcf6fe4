//! Changes to the file: those of one journal are made together or not at all.

use std::num::NonZeroU16;
use std::{sync::MutexGuard, time::Duration};

use mqtt::{Publish, TopicFilter, TopicName};
use rusqlite::{Params, params};

use super::{Inner, MessageId, Store, StoreError, checksum, message};
use crate::{broker::subscriptions::Subscriber, clock::Moment};

/// Changes that belong together. What is not committed was never made.
pub(in crate::broker) struct Journal<'a> {
    store: &'a Store,
    /// Once there is a change, others wait for its end.
    transaction: Option<MutexGuard<'a, Inner>>,
}

impl<'a> Journal<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, transaction: None }
    }

    /// A session begins, in the place of any that was there.
    pub(in crate::broker) fn session_begins(
        &mut self,
        client_id: &str,
        principal_id: &str,
        expiry: Duration,
    ) -> Result<(), StoreError> {
        self.session_ends(client_id)?;
        self.session(client_id, principal_id, expiry, None)
    }

    /// A client is in its session (`ends_at` is absent), or has gone.
    pub(in crate::broker) fn session(
        &mut self,
        client_id: &str,
        principal_id: &str,
        expiry: Duration,
        ends_at: Option<Moment>,
    ) -> Result<(), StoreError> {
        let (expiry, ends_at) = (millis(expiry), self.unix_millis(ends_at));
        let crc = checksum::of_session(client_id, principal_id, expiry, ends_at);
        // Not REPLACE, which would take with it what belongs to the session.
        let sql = "INSERT INTO session (client_id, principal_id, expiry, ends_at, crc) VALUES (?, ?, ?, ?, ?) \
                   ON CONFLICT DO UPDATE SET principal_id = excluded.principal_id, expiry = excluded.expiry, \
                   ends_at = excluded.ends_at, crc = excluded.crc";
        self.execute(sql, params![client_id, principal_id, expiry, ends_at, crc])
    }

    /// A session is over, with all that is in it.
    pub(in crate::broker) fn session_ends(&mut self, client_id: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM session WHERE client_id = ?", [client_id])
    }

    /// A client subscribes; a subscription with the same filter is replaced.
    pub(in crate::broker) fn subscribed(
        &mut self,
        client_id: &str,
        filter: &TopicFilter,
        subscriber: Subscriber,
    ) -> Result<(), StoreError> {
        let Subscriber { qos, no_local, retain_as_published } = subscriber;
        let crc = checksum::of_subscription(client_id, filter, subscriber);
        let sql = "REPLACE INTO subscription (client_id, filter, qos, no_local, retain_as_published, crc) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        let row = params![client_id, filter.as_str(), qos as u8, no_local, retain_as_published, crc];
        self.execute(sql, row)
    }

    /// A client unsubscribes.
    pub(in crate::broker) fn unsubscribed(
        &mut self,
        client_id: &str,
        filter: &TopicFilter,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM subscription WHERE client_id = ? AND filter = ?";
        self.execute(sql, [client_id, filter.as_str()])
    }

    /// A message waits in a session.
    pub(in crate::broker) fn queued(
        &mut self,
        client_id: &str,
        publish: &Publish,
        expires_at: Option<Moment>,
    ) -> Result<MessageId, StoreError> {
        let bytes = self.bytes(publish)?;
        let expires_at = self.unix_millis(expires_at);
        let crc = checksum::of_message(client_id, &bytes, expires_at);
        let id = self.next_message()?;
        let sql = "INSERT INTO queued (id, client_id, publish, expires_at, crc) VALUES (?, ?, ?, ?, ?)";
        self.execute(sql, params![id.0, client_id, bytes, expires_at, crc])?;
        Ok(id)
    }

    /// A message is about to be sent under this packet id.
    pub(in crate::broker) fn sent(
        &mut self,
        message: MessageId,
        packet_id: NonZeroU16,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE queued SET packet_id = ? WHERE id = ?";
        self.execute(sql, params![packet_id.get(), message.0])
    }

    /// A message is done with: acknowledged, too old, or no longer allowed.
    pub(in crate::broker) fn settled(&mut self, message: MessageId) -> Result<(), StoreError> {
        self.execute("DELETE FROM queued WHERE id = ?", [message.0])
    }

    /// A message is retained, in the place of its topic's earlier one.
    pub(in crate::broker) fn retained(
        &mut self,
        topic: &TopicName,
        publish: &Publish,
        expires_at: Option<Moment>,
    ) -> Result<(), StoreError> {
        let bytes = self.bytes(publish)?;
        let (topic, expires_at) = (topic.as_str(), self.unix_millis(expires_at));
        let crc = checksum::of_message(topic, &bytes, expires_at);
        let sql = "REPLACE INTO retained (topic, publish, expires_at, crc) VALUES (?, ?, ?, ?)";
        self.execute(sql, params![topic, bytes, expires_at, crc])
    }

    /// A topic has no retained message any more.
    pub(in crate::broker) fn unretained(&mut self, topic: &TopicName) -> Result<(), StoreError> {
        self.execute("DELETE FROM retained WHERE topic = ?", [topic.as_str()])
    }

    /// Retained messages whose time is over are nobody's.
    pub(super) fn forget_expired(&mut self, now: Moment) -> Result<(), StoreError> {
        let now = self.unix_millis(Some(now));
        self.execute("DELETE FROM retained WHERE expires_at <= ?", params![now])
    }

    /// Makes the changes. After that a killed process does not lose them.
    pub(in crate::broker) fn commit(mut self) -> Result<(), StoreError> {
        let Some(inner) = self.transaction.as_ref() else { return Ok(()) };
        inner.connection.execute_batch("COMMIT").map_err(|error| self.store.write_error(error))?;
        self.transaction = None;
        Ok(())
    }

    fn execute(&mut self, sql: &str, row: impl Params) -> Result<(), StoreError> {
        let store = self.store;
        let connection = &self.begun()?.connection;
        let done = connection.prepare_cached(sql).and_then(|mut statement| statement.execute(row));
        done.map(drop).map_err(|error| store.write_error(error))
    }

    fn next_message(&mut self) -> Result<MessageId, StoreError> {
        let inner = self.begun()?;
        inner.last_message += 1;
        Ok(MessageId(inner.last_message))
    }

    fn begun(&mut self) -> Result<&mut Inner, StoreError> {
        let inner = if let Some(inner) = self.transaction.take() {
            inner
        } else {
            let inner = self.store.inner();
            let begun = inner.connection.execute_batch("BEGIN IMMEDIATE");
            begun.map_err(|error| self.store.write_error(error))?;
            inner
        };
        Ok(self.transaction.insert(inner))
    }

    fn bytes(&self, publish: &Publish) -> Result<Vec<u8>, StoreError> {
        let write_error =
            |error| self.store.write_error(rusqlite::Error::ToSqlConversionFailure(Box::new(error)));
        message::to_bytes(publish).map_err(write_error)
    }

    fn unix_millis(&self, at: Option<Moment>) -> Option<i64> {
        at.map(|at| self.store.clock.epoch().unix_millis(at))
    }
}

impl Drop for Journal<'_> {
    fn drop(&mut self) {
        if let Some(inner) = &self.transaction {
            // SQLite has undone it by itself after some failures.
            _ = inner.connection.execute_batch("ROLLBACK");
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
