//! The SQLite files of a server: how one is opened, checked and brought to its last version.
//!
//! A change is in the file before any client reads that it was made, so a killed process loses none. A power cut damages
//! nothing; what it can lose is a file's [`Durability`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

/// How long an earlier process may take to release a file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// What a file is.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// The program that writes it, in words: `gateway`.
    pub program: &'static str,
    /// Marks the file as this program's in SQLite's header.
    pub application_id: i32,
    /// What makes the tables of each version of those of the one before. The last is the version of a file in use.
    pub versions: &'static [&'static str],
    /// What the file holds, in words.
    pub content: &'static str,
    /// Which connections may be open.
    pub locking: Locking,
    /// What a power cut can lose.
    pub durability: Durability,
}

/// What a power cut can lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The last changes: SQLite waits for the disk only at its checkpoints.
    Process,
    /// Nothing: SQLite waits for the disk with every change.
    Disk,
}

/// Which connections to a file may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// One, so that a second process in the same data folder does not start.
    Exclusive,
    /// Several of this process. Another file keeps other processes away.
    Shared,
}

/// A file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file can't be opened.
    #[error("can't open `{path}`: {error}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The error.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process uses the file.
    #[error("another {program} uses `{path}`: stop it, or start this one with another data folder")]
    Busy {
        /// The file.
        path: PathBuf,
        /// The program.
        program: &'static str,
    },
    /// The content is not what was written.
    #[error(
        "`{path}` is damaged ({details}): move it away, and `{path}-wal` with it, to begin without its {content}, or put \
         back a copy of both"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The sign of the damage.
        details: String,
        /// What the file holds.
        content: &'static str,
    },
    /// The file belongs to another program, or to a later version.
    #[error(
        "`{path}` is not a file of this {program}, or is a later version's: start with another data folder"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The program.
        program: &'static str,
    },
}

impl Format {
    /// Opens the file or creates it, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// When it can't be opened, another process uses it, or it is damaged or another program's.
    pub fn open(&self, path: &Path) -> Result<Connection, FileError> {
        if has_lost_its_beginning(path) {
            return Err(self.damaged(path, "it is empty, and its write-ahead log is not".to_owned()));
        }
        make_private(path).map_err(|error| FileError::Open { path: path.to_owned(), error: error.into() })?;
        let connection = Connection::open(path).map_err(|error| self.read_error(path, error))?;
        self.prepare(&connection, path)?;
        Ok(connection)
    }

    /// The error of a file with this sign of damage.
    #[must_use]
    pub fn damaged(&self, path: &Path, details: String) -> FileError {
        FileError::Damaged { path: path.to_owned(), details, content: self.content }
    }

    /// Checks that the file is this program's and whole, before anything in it changes, and brings it to the last version.
    ///
    /// # Errors
    ///
    /// When it is in use, damaged or another program's.
    pub fn prepare(&self, connection: &Connection, path: &Path) -> Result<(), FileError> {
        let synchronous = match self.durability {
            Durability::Process => "NORMAL",
            Durability::Disk => "FULL",
        };
        let pragmas = format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON; \
             BEGIN IMMEDIATE; COMMIT;"
        );
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
        let read = |error| self.read_error(path, error);
        connection.busy_timeout(BUSY_TIMEOUT).map_err(read)?;
        if self.locking == Locking::Exclusive {
            connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE").map_err(read)?;
        }
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
        let (tables, application, version): (i64, i32, i32) = (
            tables.map_err(read)?,
            number("application_id").map_err(read)?,
            number("user_version").map_err(read)?,
        );
        let is_new = (tables, application, version) == (0, 0, 0);
        let is_ours = application == self.application_id && version > 0;
        let missing = usize::try_from(version).ok().and_then(|version| self.versions.get(version..));
        let Some(missing) = missing.filter(|_| is_new || is_ours) else {
            return Err(FileError::Foreign { path: path.to_owned(), program: self.program });
        };
        connection.execute_batch(&pragmas).map_err(read)?;
        if !is_new {
            self.check(connection, path)?;
        }
        if missing.is_empty() { Ok(()) } else { self.set_up(connection, &missing.concat()).map_err(read) }
    }

    /// Creates or changes the tables, and marks the file as one of the last version.
    fn set_up(&self, connection: &Connection, statements: &str) -> rusqlite::Result<()> {
        let (application, version) = (self.application_id, self.versions.len());
        connection.execute_batch(&format!(
            "BEGIN; {statements} PRAGMA application_id = {application}; PRAGMA user_version = {version}; COMMIT;"
        ))
    }

    fn check(&self, connection: &Connection, path: &Path) -> Result<(), FileError> {
        let found = connection.pragma_query_value(None, "integrity_check", |row| row.get::<_, String>(0));
        let details = found.map_err(|error| self.read_error(path, error))?;
        if details == "ok" { Ok(()) } else { Err(self.damaged(path, details)) }
    }

    /// The error of a file that SQLite can't read.
    #[must_use]
    pub fn read_error(&self, path: &Path, error: rusqlite::Error) -> FileError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                FileError::Busy { path: path.to_owned(), program: self.program }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                self.damaged(path, error.to_string())
            }
            _ => FileError::Open { path: path.to_owned(), error: error.into() },
        }
    }
}

/// Creates the file, if it does not exist, so that no other user can read it. SQLite gives the files next to it the same mode.
///
/// # Errors
///
/// When it can't be created.
pub fn make_private(path: &Path) -> io::Result<()> {
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
