//! The sessions' file: sessions, the messages in them, and retained messages, in SQLite.
//!
//! A change is in the file before a client reads that it was made, so a killed process loses none. SQLite waits for the disk
//! only at its checkpoints: a power cut can lose the last changes, and damages nothing.

mod changes;
mod checksum;
mod message;
mod stored;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

pub(super) use self::{
    changes::Changes,
    stored::{Stored, StoredMessage, StoredSession},
};
use crate::clock::Clock;

/// The file's name in the data folder.
pub const FILE: &str = "broker.sqlite3";

/// Marks the file as this gateway's in SQLite's header: `LtKy`.
const APPLICATION_ID: i32 = 0x4c74_4b79;
/// What makes the tables of each version of those of the one before. The last is the version of a file in use.
const VERSIONS: [&str; 2] = [include_str!("store/version-1.sql"), include_str!("store/version-2.sql")];
/// How long an earlier gateway may take to release the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// The file can't be opened.
    #[error("can't open `{path}`: {error}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The error.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process uses the file.
    #[error("another gateway uses `{path}`: stop it, or start this one with another data folder")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The content is not what was written.
    #[error(
        "`{path}` is damaged ({details}): move it away, and `{path}-wal` with it, to begin without its sessions and \
         retained messages, or put back a copy of both"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The sign of the damage.
        details: String,
    },
    /// The file belongs to another program, or to a later version.
    #[error(
        "`{path}` is not a file of this gateway, or is a later version's: start with another data folder"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
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

impl Store {
    /// Opens the file or creates it, readable by its owner alone, and reads everything in it.
    ///
    /// # Errors
    ///
    /// When it can't be opened, another gateway uses it, or not everything in it can be read.
    pub(super) fn open(path: &Path, clock: &Clock) -> Result<(Self, Stored), StoreError> {
        let path = path.to_owned();
        if has_lost_its_beginning(&path) {
            let details = "it is empty, and its write-ahead log is not".to_owned();
            return Err(StoreError::Damaged { path, details });
        }
        make_private(&path).map_err(|error| StoreError::Open { path: path.clone(), error: error.into() })?;
        let connection = Connection::open(&path).map_err(|error| read_error(&path, error))?;
        Self::with(connection, path, clock)
    }

    /// A store that ends with the process.
    #[cfg(test)]
    pub(super) fn in_memory(clock: &Clock) -> Self {
        Self::with(Connection::open_in_memory().unwrap(), ":memory:".into(), clock).unwrap().0
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
        prepare(&connection, &path)?;
        let (epoch, now) = (clock.epoch(), clock.now());
        let damaged = |error| StoreError::Damaged { path: path.clone(), details: format!("{error}") };
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

/// Creates the file, if it does not exist, so that no other user can read it. SQLite gives the files next to it the same mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Whether the file is empty and its write-ahead log is not. SQLite would take the file for a new one and delete the log.
fn has_lost_its_beginning(path: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    length(path) == 0 && length(log.as_ref()) > 0
}

/// Locks the file for this process alone, and checks that it is this gateway's and whole, before anything in it changes.
fn prepare(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; \
                   BEGIN IMMEDIATE; COMMIT;";
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let read = |error| read_error(path, error);
    let exclusive = || connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE");
    connection.busy_timeout(BUSY_TIMEOUT).and_then(|()| exclusive()).map_err(read)?;
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
    let (tables, application, version): (i64, i32, i32) = (
        tables.map_err(read)?,
        number("application_id").map_err(read)?,
        number("user_version").map_err(read)?,
    );
    let is_new = (tables, application, version) == (0, 0, 0);
    let is_ours = application == APPLICATION_ID && version > 0;
    let missing = usize::try_from(version).ok().and_then(|version| VERSIONS.get(version..));
    let Some(missing) = missing.filter(|_| is_new || is_ours) else {
        return Err(StoreError::Foreign { path: path.to_owned() });
    };
    connection.execute_batch(pragmas).map_err(read)?;
    if !is_new {
        check(connection, path)?;
    }
    if missing.is_empty() { Ok(()) } else { set_up(connection, &missing.concat()).map_err(read) }
}

/// Creates or changes the tables, and marks the file as one of the last version.
fn set_up(connection: &Connection, statements: &str) -> rusqlite::Result<()> {
    let version = VERSIONS.len();
    connection.execute_batch(&format!(
        "BEGIN; {statements} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}; COMMIT;"
    ))
}

fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = |error| read_error(path, error);
    let found = connection.pragma_query_value(None, "integrity_check", |row| row.get::<_, String>(0));
    let details = found.map_err(read)?;
    if details == "ok" { Ok(()) } else { Err(StoreError::Damaged { path: path.to_owned(), details }) }
}

fn read_error(path: &Path, error: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged { path, details: error.to_string() }
        }
        _ => StoreError::Open { path, error: error.into() },
    }
}

#[cfg(test)]
mod tests;
