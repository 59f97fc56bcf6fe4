//! The file of a fleet's credentials: CSV with the header `device,client_id,user_name,password`, and one row for each
//! device. It has passwords in clear text, so only its owner can read it.

mod error;
mod place;
mod torn;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use csv::{ErrorKind, ReaderBuilder, StringRecord, Terminator, WriterBuilder};
use device_core::{ClientId, ClientIdError};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

pub use self::error::{CredentialsError, RowError};
use self::place::Place;
pub use self::torn::cut_torn;
use crate::faults::device_key;
use crate::login::Password;
use crate::shard::Shard;

/// The columns, in their order.
pub const HEADER: [&str; 4] = ["device", "client_id", "user_name", "password"];

const DEFAULT_FOLDER: &str = ".latchkey";

/// One device's credentials. It has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The device's name, for people.
    pub device: String,
    /// The client id, in the form of a [`ClientId`].
    pub client_id: String,
    /// The user name, without an authorizer's parameter.
    pub user_name: String,
    /// The password. In a file it is text.
    pub password: Password,
}

/// A new file next to the old one, with one row more or changed. Dropped, it changes nothing.
pub struct Replacement {
    path: PathBuf,
    file: NamedTempFile,
}

impl Replacement {
    /// Copies the file at `path`, or begins a new one, with this row. The row replaces others of the same device or of the
    /// same client id, which belongs to one device. On Unix only its owner can read it (mode 0600).
    ///
    /// # Errors
    ///
    /// If the file can't be read, is another kind of file or has a wrong line, if its folder does not exist or can't be
    /// written to, or if the password is not UTF-8.
    pub fn of(path: &Path, row: &Row) -> Result<Self, CredentialsError> {
        let failed = |error| CredentialsError::open(path, error);
        let folder = folder_for(path)?;
        let mut rows = read_if_exists(path)?;
        rows.retain(|old| old.device != row.device && old.client_id != row.client_id);
        rows.push(row.clone());
        let mut bytes = Zeroizing::new(format!("{}\n", HEADER.join(",")).into_bytes());
        write_rows(&mut bytes, &rows).map_err(failed)?;
        // Only its owner can read a temporary file.
        let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Replaces the old file.
    ///
    /// # Errors
    ///
    /// If the operating system refuses. The old file is then unchanged.
    pub fn commit(self) -> Result<(), CredentialsError> {
        let Self { path, file } = self;
        file.persist(&path).map(drop).map_err(|error| CredentialsError::open(&path, error.error))
    }
}

/// Reads all rows, or none if there is no file. A duplicate client id is not an error here: the caller may be about to
/// fix it.
///
/// # Errors
///
/// If the file can't be read or has a wrong line.
pub fn read_if_exists(path: &Path) -> Result<Vec<Row>, CredentialsError> {
    let Some(table) = read_all(path)?.filter(|table| !table.is_empty()) else { return Ok(Vec::new()) };
    let rows = each_row(&table).and_then(|rows| rows.map(|row| row.map(|(_, row)| row)).collect());
    rows.map_err(|(place, error)| CredentialsError::at(path, place, error))
}

/// Reads the first `limit` rows of a file, or all.
///
/// # Errors
///
/// If the file can't be read, has no rows, or has a wrong row. The error names the line of the first wrong row.
pub fn read(path: &Path, limit: Option<usize>) -> Result<Vec<Row>, CredentialsError> {
    let table = fs::read(path).map_err(|error| CredentialsError::open(path, error))?;
    let rows = parse(&Zeroizing::new(table), limit)
        .map_err(|(place, error)| CredentialsError::at(path, place, error))?;
    if rows.is_empty() { Err(CredentialsError::Empty(path.to_owned())) } else { Ok(rows) }
}

/// The rows of a fleet, or of one shard of it.
pub struct FleetRows {
    /// The rows, in the file's order.
    pub rows: Vec<Row>,
    /// How many rows all shards have together.
    pub total: u64,
    /// The [`device_key`]s of all shards' devices, in the file's order.
    pub keys: Vec<u64>,
    /// The beginning of the SHA-256 of the client ids of all shards, in hexadecimal digits.
    pub fingerprint: String,
}

/// Reads one shard of the first `limit` rows of a file, or all of them. All rows are checked, and those of other shards are
/// not kept.
///
/// # Errors
///
/// As [`read`].
pub fn read_fleet(
    path: &Path,
    limit: Option<usize>,
    shard: Option<Shard>,
) -> Result<FleetRows, CredentialsError> {
    let table = fs::read(path).map_err(|error| CredentialsError::open(path, error))?;
    let (mut rows, mut keys, mut total, mut digest) = (Vec::new(), Vec::new(), 0, Sha256::new());
    let keep = |row: Row| {
        keys.push(device_key(&row.device));
        digest.update(row.client_id.as_bytes());
        digest.update(b"\n");
        if shard.is_none_or(|shard| shard.contains(total)) {
            rows.push(row);
        }
        total += 1;
    };
    each_once(&Zeroizing::new(table), limit, keep)
        .map_err(|(place, error)| CredentialsError::at(path, place, error))?;
    if total == 0 {
        return Err(CredentialsError::Empty(path.to_owned()));
    }
    let digest = digest.finalize();
    let fingerprint = digest.iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    Ok(FleetRows { rows, total, keys, fingerprint })
}

/// Adds rows to a file. A file that does not exist is made. On Unix only its owner can read it (mode 0600). Once this
/// returns, the rows survive a power cut.
///
/// # Errors
///
/// If the file can't be written, its folder does not exist, it has another header, or a password is not UTF-8. The file is
/// then unchanged.
pub fn append(path: &Path, rows: &[Row]) -> Result<(), CredentialsError> {
    let failed = |error| CredentialsError::open(path, error);
    folder_for(path)?;
    let mut file = open_private(path).map_err(failed)?;
    let mut bytes = Zeroizing::new(Vec::new());
    let last = last_byte(&mut file).map_err(failed)?;
    let is_new = last.is_none();
    match last {
        None => bytes.extend_from_slice(format!("{}\n", HEADER.join(",")).as_bytes()),
        Some(last) => {
            let place = Place { line: 1, column: None };
            check_header(&mut file).map_err(|error| CredentialsError::at(path, place, error))?;
            if last != b'\n' {
                bytes.push(b'\n');
            }
        }
    }
    write_rows(&mut bytes, rows).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_all()) {
        // Half a row would look like a whole one with another password. If it can't be cut off now, `cut_torn` does it.
        file.set_len(length).and_then(|()| file.sync_all()).unwrap_or_default();
        return Err(failed(error));
    }
    if is_new { sync_folder(path).map_err(failed) } else { Ok(()) }
}

/// The whole file, wiped when dropped. Nothing if it does not exist.
fn read_all(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, CredentialsError> {
    match fs::read(path) {
        Ok(table) => Ok(Some(Zeroizing::new(table))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CredentialsError::open(path, error)),
    }
}

/// The rows of a table, or the line of the first wrong one.
fn parse(table: &[u8], limit: Option<usize>) -> Result<Vec<Row>, (Place, RowError)> {
    let mut rows = Vec::new();
    each_once(table, limit, |row| rows.push(row))?;
    Ok(rows)
}

/// Calls `keep` for the first `limit` rows, or for all, whose client ids must be different.
fn each_once(table: &[u8], limit: Option<usize>, mut keep: impl FnMut(Row)) -> Result<(), (Place, RowError)> {
    let mut starts = HashMap::new();
    for row in each_row(table)?.take(limit.unwrap_or(usize::MAX)) {
        let (start, row) = row?;
        if let Some(first) = starts.insert(row.client_id.clone(), start) {
            let first = Place::of_line(table, first).line;
            let place = Place::of_field(table, start, CLIENT_ID, 0);
            return Err((place, RowError::Repeated { client_id: row.client_id, first }));
        }
        keep(row);
    }
    Ok(())
}

/// A row and the byte at which it begins, or a place and what is wrong there.
type ParsedRow = Result<(u64, Row), (Place, RowError)>;

/// The index of the client id among the fields.
const CLIENT_ID: usize = 1;

/// The rows below the header, each checked by itself.
fn each_row(table: &[u8]) -> Result<impl Iterator<Item = ParsedRow>, (Place, RowError)> {
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(table);
    let mut records = reader.into_records();
    match records.next() {
        Some(Ok(header)) if header == *HEADER.as_slice() => {}
        Some(Err(error)) => return Err(csv_error(table, &error)),
        _ => return Err((Place::of_header(table), RowError::Header)),
    }
    Ok(records.map(|record| {
        let record = record.map_err(|error| csv_error(table, &error))?;
        let start = record.position().map_or(0, csv::Position::byte);
        let row = row(&record)
            .map_err(|(field, offset, error)| (Place::of_field(table, start, field, offset), error))?;
        Ok((start, row))
    }))
}

/// A row, or the index of the field that is wrong, the byte in it, and why.
fn row(record: &StringRecord) -> Result<Row, (usize, usize, RowError)> {
    let fields: Vec<&str> = record.iter().collect();
    let [device, client_id, user_name, password] = fields.as_slice() else {
        // Where a field is missing, or where one is too many.
        return Err((fields.len().min(HEADER.len()), 0, RowError::Fields(fields.len())));
    };
    for (index, (name, value)) in HEADER.iter().zip([device, client_id, user_name, password]).enumerate() {
        if value.is_empty() {
            return Err((index, 0, RowError::EmptyField(name)));
        }
    }
    ClientId::try_from(*client_id).map_err(|error| {
        let offset = match error {
            ClientIdError::Character(wrong) => client_id.find(wrong).unwrap_or(0),
            _ => 0,
        };
        (CLIENT_ID, offset, RowError::ClientId(error))
    })?;
    Ok(Row {
        device: (*device).to_owned(),
        client_id: (*client_id).to_owned(),
        user_name: (*user_name).to_owned(),
        password: Password::from(*password),
    })
}

fn csv_error(table: &[u8], error: &csv::Error) -> (Place, RowError) {
    let start = error.position().map_or(0, csv::Position::byte);
    match error.kind() {
        ErrorKind::Utf8 { err, .. } => {
            (Place::of_field(table, start, err.field(), err.valid_up_to()), RowError::Utf8)
        }
        ErrorKind::Io(error) => (Place::of_line(table, start), RowError::Io(error.kind())),
        _ => (Place::of_line(table, start), RowError::Csv),
    }
}

/// The folder of a file. The default one is made if it does not exist. Another one that does not exist may be a mistake.
///
/// # Errors
///
/// If the folder does not exist, or can't be made.
pub fn folder_for(path: &Path) -> Result<&Path, CredentialsError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder == Path::new(DEFAULT_FOLDER) {
        fs::create_dir_all(folder).map_err(|error| CredentialsError::open(path, error))?;
    }
    if folder.is_dir() { Ok(folder) } else { Err(CredentialsError::NoFolder(folder.to_owned())) }
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Writes a folder to the disk, because it has the name of a new file.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn last_byte(file: &mut File) -> io::Result<Option<u8>> {
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(Some(u8::from_be_bytes(last)))
}

fn check_header(file: &mut File) -> Result<(), RowError> {
    let mut first = String::new();
    let read = file.rewind().and_then(|()| BufReader::new(file).take(1_024).read_line(&mut first));
    read.map_err(|error| RowError::Io(error.kind()))?;
    if first.trim_end() == HEADER.join(",") { Ok(()) } else { Err(RowError::Header) }
}

fn write_rows(bytes: &mut Vec<u8>, rows: &[Row]) -> io::Result<()> {
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(bytes);
    for Row { device, client_id, user_name, password } in rows {
        let password = std::str::from_utf8(password.expose())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a password that is not UTF-8"))?;
        writer.write_record([device, client_id, user_name, password])?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests;
