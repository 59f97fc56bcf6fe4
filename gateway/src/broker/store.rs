//! What outlives the process: sessions, what waits in them, and retained messages, in one SQLite file.
//!
//! A change is in the file before anybody is told that it was made, so that a killed process loses none. SQLite waits for
//! the disk at its checkpoints only: a power cut can lose the last changes, and damages nothing.

mod checksum;
mod journal;
mod message;
mod stored;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

pub(super) use self::{
    journal::Journal,
    stored::{Stored, StoredMessage, StoredSession},
};
use crate::clock::{Clock, Moment};

/// The file's name in the data folder.
pub const FILE: &str = "broker.sqlite3";

/// Who wrote the file: `LtKy`, in SQLite's header.
const APPLICATION_ID: i32 = 0x4c74_4b79;
/// The shape of its tables.
const SCHEMA_VERSION: i32 = 1;
/// How long the gateway before may take to let go of the file.
const BUSY_LIMIT: Duration = Duration::from_secs(2);

/// The file.
pub struct Store {
    inner: Mutex<Inner>,
    clock: Clock,
    path: PathBuf,
}

struct Inner {
    connection: Connection,
    /// No id is given twice, so that nobody who still has an old one touches another's message.
    last_message: i64,
}

/// A message in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageId(i64);

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be opened.
    #[error("can't open `{path}`: {error}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else has it.
    #[error("another gateway uses `{path}`: stop it, or start this one with another data folder")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It is not what was written.
    #[error(
        "`{path}` is damaged ({details}): move it away, and `{path}-wal` with it, to begin without its sessions and \
         retained messages, or put back a copy of both"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        details: String,
    },
    /// It is somebody else's.
    #[error("`{path}` is no file of this gateway's, or of a later version: start with another data folder")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A change can't be made.
    #[error("can't write `{path}`: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: rusqlite::Error,
    },
}

impl Store {
    /// Opens the file, or makes it, and reads all that is in it. Its owner alone can read it.
    ///
    /// # Errors
    ///
    /// When it can't be opened, another gateway has it, or not everything in it can be read.
    pub(super) fn open(path: &Path, clock: &Clock) -> Result<(Self, Stored), StoreError> {
        let path = path.to_owned();
        if has_lost_its_beginning(&path) {
            let details = "it is empty, and what belongs behind it is not".to_owned();
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

    /// Begins changes that belong together.
    pub(super) fn journal(&self) -> Journal<'_> {
        Journal::new(self)
    }

    fn with(connection: Connection, path: PathBuf, clock: &Clock) -> Result<(Self, Stored), StoreError> {
        prepare(&connection, &path)?;
        let (epoch, now) = (clock.epoch(), clock.now());
        let damaged = |error| StoreError::Damaged { path: path.clone(), details: format!("{error}") };
        let stored = Stored::read(&connection, epoch, now).map_err(damaged)?;
        let ids = stored.sessions.values().flat_map(|session| session.messages.iter().map(|m| m.id.0));
        let last_message = ids.max().unwrap_or_default();
        let store =
            Self { inner: Mutex::new(Inner { connection, last_message }), clock: clock.clone(), path };
        store.forget_expired(now)?;
        Ok((store, stored))
    }

    /// Nobody will ask for them.
    fn forget_expired(&self, now: Moment) -> Result<(), StoreError> {
        let mut journal = self.journal();
        journal.forget_expired(now)?;
        journal.commit()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_error(&self, error: rusqlite::Error) -> StoreError {
        StoreError::Write { path: self.path.clone(), error }
    }
}

/// Makes the file, if it isn't there, so that nobody else can read the messages in it. SQLite gives those beside it the
/// same mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// SQLite takes an empty file for a new one, and would delete the changes that are in the other one.
fn has_lost_its_beginning(path: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let mut behind = path.as_os_str().to_owned();
    behind.push("-wal");
    length(path) == 0 && length(behind.as_ref()) > 0
}

/// Takes the file for this process alone, and sees that it is this gateway's and whole, before anything in it changes.
fn prepare(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; \
                   BEGIN IMMEDIATE; COMMIT;";
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let read = |error| read_error(path, error);
    let exclusive = || connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE");
    connection.busy_timeout(BUSY_LIMIT).and_then(|()| exclusive()).map_err(read)?;
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
    let (tables, application, version): (i64, _, _) = (
        tables.map_err(read)?,
        number("application_id").map_err(read)?,
        number("user_version").map_err(read)?,
    );
    let is_new = (tables, application, version) == (0, 0, 0);
    if !is_new && (application, version) != (APPLICATION_ID, SCHEMA_VERSION) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    connection.execute_batch(pragmas).map_err(read)?;
    if is_new { create(connection).map_err(read) } else { check(connection, path) }
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    let schema = include_str!("store/schema.sql");
    connection.execute_batch(&format!(
        "BEGIN; {schema} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
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
