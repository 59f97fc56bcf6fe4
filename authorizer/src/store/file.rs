//! Records in a JSON file, bundled with the function or next to a local gateway.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use device_auth::{
    device_name::DeviceName,
    record::FunctionSettings,
    store::{Lookup, document::StoreDocument, snapshot::Snapshot},
};

use super::{Store, StoreAnswer};
use crate::fault::{FaultKind, StoreFault};

/// The longest step in which a common file system counts time: 2 s on FAT.
const COARSEST_STEP: Duration = Duration::from_secs(2);

/// A store that follows its file: when the file changes, the next look-up reads it again.
///
/// A file that can't be read any more is a fault for every device, not a reason to use old records.
pub struct FileStore {
    path: PathBuf,
    function: FunctionSettings,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    stamp: Stamp,
    snapshot: Snapshot,
    /// Whether the file had not changed for a while when it was read. Only then is every later change sure to change the
    /// stamp, because file systems count time in steps.
    settled: bool,
}

/// What shows that a file has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl FileStore {
    /// Reads the file for a function with these settings.
    ///
    /// # Errors
    ///
    /// The path, and the line or the device with the error.
    pub fn open(path: &Path, function: FunctionSettings) -> Result<Self, StoreFault> {
        let loaded = Mutex::new(Loaded::read(path, function.clone())?);
        Ok(Self { path: path.to_owned(), function, loaded })
    }

    fn read(&self, name: &DeviceName, token_grant: Option<&str>) -> Result<Lookup, StoreFault> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        if stamp != loaded.stamp || !loaded.settled {
            *loaded = Loaded::read(&self.path, self.function.clone())?;
        }
        Ok(loaded.snapshot.look_up(name, token_grant))
    }
}

impl Store for FileStore {
    async fn look_up(&self, name: &DeviceName, token_grant: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        self.read(name, token_grant).map(StoreAnswer::from_store)
    }
}

impl Loaded {
    fn read(path: &Path, function: FunctionSettings) -> Result<Self, StoreFault> {
        let stamp = Stamp::of(path).map_err(|error| unreadable(path, &error))?;
        let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let fault = |why: &dyn std::fmt::Display| {
            StoreFault::new(FaultKind::BadRecord, format!("`{}`: {why}", path.display()))
        };
        let document = StoreDocument::parse(&text).map_err(|error| fault(&error))?;
        let snapshot = Snapshot::new(document.records(function).map_err(|error| fault(&error))?);
        let age = stamp.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        Ok(Self { stamp, snapshot, settled: age.is_some_and(|age| age >= COARSEST_STEP) })
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { modified: metadata.modified().ok(), bytes: metadata.len() })
    }
}

fn unreadable(path: &Path, error: &io::Error) -> StoreFault {
    let message = format!(
        "can't read the device records in `{}`: {error}; check LATCHKEY_STORE, or create the file with `latchkey fleet add NAME`",
        path.display()
    );
    StoreFault::new(FaultKind::Unavailable, message)
}
