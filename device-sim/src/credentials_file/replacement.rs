//! A file with one device's row set anew: written beside the old one, then put in its place.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::{CredentialsError, HEADER, Row, each_row, folder_for, read_all, write_rows};

/// The new file, complete and not yet in place. Dropped, it changes nothing.
pub struct Replacement {
    path: PathBuf,
    file: NamedTempFile,
}

impl Replacement {
    /// The file at `path`, or a new one, with this row. It takes the place of any other of the same device or of
    /// the same client id, which can belong to one device only. On Unix only its owner can read it (mode 0600).
    ///
    /// # Errors
    ///
    /// If the file can't be read, is another kind of file or has a wrong line, its folder is not there or can't
    /// be written to, or the password is not UTF-8.
    pub fn of(path: &Path, row: &Row) -> Result<Self, CredentialsError> {
        let failed = |error| CredentialsError::open(path, error);
        let folder = folder_for(path)?;
        let mut rows = present(path)?;
        rows.retain(|old| old.device != row.device && old.client_id != row.client_id);
        rows.push(row.clone());
        let mut bytes = Zeroizing::new(format!("{}\n", HEADER.join(",")).into_bytes());
        write_rows(&mut bytes, &rows).map_err(failed)?;
        // A temporary file is readable by its owner alone.
        let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Puts it in place.
    ///
    /// # Errors
    ///
    /// If the operating system refuses; the old file is then still there.
    pub fn commit(self) -> Result<(), CredentialsError> {
        let Self { path, file } = self;
        file.persist(&path).map(drop).map_err(|error| CredentialsError::open(&path, error.error))
    }
}

/// The rows that are there, none if there is no file. A client id that is there twice is no error: it may be what is
/// being mended.
///
/// # Errors
///
/// If the file can't be read or has a wrong line.
pub fn present(path: &Path) -> Result<Vec<Row>, CredentialsError> {
    let Some(table) = read_all(path)?.filter(|table| !table.is_empty()) else { return Ok(Vec::new()) };
    let rows = each_row(&table).and_then(|rows| rows.map(|row| row.map(|(_, row)| row)).collect());
    rows.map_err(|(line, error)| CredentialsError::at(path, line, error))
}
