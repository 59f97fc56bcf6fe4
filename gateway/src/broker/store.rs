//! The sessions' file: sessions, the messages in them, retained messages and shadows, in SQLite.
//!
//! A change is in the file before a client reads that it was made, so a killed process loses none. SQLite waits for the disk
//! only at its checkpoints: a power cut can lose the last changes, and damages nothing.

mod changes;
mod checksum;
mod message;
mod stored;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicI64},
};

use rusqlite::{Connection, TransactionBehavior, params};
use server::database_file::{Durability, FileError, Format, Locking};

pub(super) use self::{
    changes::Changes,
    stored::{Stored, StoredMessage, StoredSession},
};
use crate::clock::Clock;

/// The file's name in the data folder.
pub const FILE: &str = "broker.sqlite3";

/// What the file is. `LtKy` is its mark.
const FORMAT: Format = Format {
    program: "gateway",
    application_id: 0x4c74_4b79,
    versions: &[
        include_str!("store/version-1.sql"),
        include_str!("store/version-2.sql"),
        include_str!("store/version-3.sql"),
    ],
    content: "sessions, retained messages and shadows",
    locking: Locking::Exclusive,
    durability: Durability::Process,
};

/// The sessions' file.
pub(super) struct Store {
    connection: Connection,
    last_message: Arc<AtomicI64>,
    clock: Clock,
    path: PathBuf,
}

/// The id of a message in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageId {
    number: i64,
    /// Whether it belongs to a shared subscription, and not to a session.
    shared: bool,
}

impl MessageId {
    /// Whether the message belongs to a shared subscription, and not to a session.
    pub(super) fn is_shared(self) -> bool {
        self.shared
    }
}

/// An error of the sessions' file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file can't be written.
    #[error("can't write `{path}`: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error.
        error: rusqlite::Error,
    },
    /// The broker has stopped.
    #[error("the gateway stops")]
    Stopped,
}

/// Keeps gateways from starting with this data folder for as long as the connection lives, if the folder has a sessions' file.
///
/// # Errors
///
/// When a gateway runs with it, or the file can't be used.
pub fn lock(data: &Path) -> Result<Option<Connection>, FileError> {
    let path = data.join(FILE);
    if path.exists() { FORMAT.open(&path).map(Some) } else { Ok(None) }
}

impl Store {
    /// Opens the file or creates it, readable by its owner alone, and reads everything in it.
    ///
    /// # Errors
    ///
    /// When it can't be opened, another gateway uses it, or not everything in it can be read.
    pub(super) fn open(path: &Path, clock: &Clock) -> Result<(Self, Stored), StoreError> {
        let path = path.to_owned();
        let connection = FORMAT.open(&path)?;
        Self::with(connection, path, clock)
    }

    /// A store that ends with the process.
    #[cfg(test)]
    pub(super) fn in_memory(clock: &Clock) -> Self {
        let (connection, path) = (Connection::open_in_memory().unwrap(), PathBuf::from(":memory:"));
        FORMAT.prepare(&connection, &path).unwrap();
        Self::with(connection, path, clock).unwrap().0
    }

    /// Makes the disk full, as far as the file can tell.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.connection.pragma_update(None, "max_page_count", pages).unwrap();
    }

    /// The last id that a message got, which further ones count up.
    pub(super) fn last_message(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.last_message)
    }

    /// Makes the changes of some operations in one transaction. After that a killed process does not lose them.
    ///
    /// # Errors
    ///
    /// When the file can't be written. Then none of the changes is made.
    pub(super) fn commit(&mut self, operations: &[Changes]) -> Result<(), StoreError> {
        if operations.iter().all(Changes::is_empty) {
            return Ok(());
        }
        let epoch = self.clock.epoch();
        let written = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(
            |transaction| {
                operations.iter().try_for_each(|changes| changes.make(&transaction, epoch))?;
                transaction.commit()
            },
        );
        written.map_err(|error| self.write_error(error))
    }

    fn with(connection: Connection, path: PathBuf, clock: &Clock) -> Result<(Self, Stored), StoreError> {
        let (epoch, now) = (clock.epoch(), clock.now());
        let damaged = |error| FORMAT.damaged(&path, format!("{error}"));
        let stored = Stored::read(&connection, epoch, now).map_err(damaged)?;
        let last_message = Arc::new(AtomicI64::new(stored.last_id()));
        let store = Self { connection, last_message, clock: clock.clone(), path };
        // Those of members that had no session are not in the file.
        let unshared = "DELETE FROM queued_shared WHERE filter NOT IN (SELECT filter FROM subscription)";
        store.connection.execute(unshared, []).map_err(|error| store.write_error(error))?;
        let expired = "DELETE FROM retained WHERE expires_at <= ?";
        let deleted = store.connection.execute(expired, params![epoch.unix_millis(now)]);
        deleted.map_err(|error| store.write_error(error))?;
        Ok((store, stored))
    }

    fn write_error(&self, error: rusqlite::Error) -> StoreError {
        StoreError::Write { path: self.path.clone(), error }
    }
}

#[cfg(test)]
mod tests;
