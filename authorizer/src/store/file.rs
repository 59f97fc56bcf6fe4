//! Records in a JSON file, bundled with the function or beside a local gateway.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use device_auth::{
    device_name::DeviceName,
    record::{FunctionSettings, Record},
    store::{Lookup, decoys::Decoys, document::StoreDocument, loader::Records},
};

use super::{Found, Store};
use crate::fault::{FaultKind, StoreFault};

/// The coarsest step in which a common file system counts time: FAT's 2 s.
const COARSEST_STEP: Duration = Duration::from_secs(2);

/// A store that follows its file: when the file changes, the next look-up reads it again.
///
/// A file that can't be read any more is a fault for everybody, not a reason to go on with old records.
pub struct FileStore {
    path: PathBuf,
    function: FunctionSettings,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    stamp: Stamp,
    records: Records,
    /// Verifiers for names that don't exist.
    decoys: Decoys,
    /// Whether the file was left alone for a while before it was read: only then does another change show in its
    /// stamp for sure, because file systems count time in steps.
    settled: bool,
}

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
    /// The path, and the line or the device at fault.
    pub fn open(path: &Path, function: FunctionSettings) -> Result<Self, StoreFault> {
        let loaded = Mutex::new(Loaded::read(path, function.clone())?);
        Ok(Self { path: path.to_owned(), function, loaded })
    }

    fn read(&self, name: &DeviceName) -> Result<Lookup, StoreFault> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        if stamp != loaded.stamp || !loaded.settled {
            *loaded = Loaded::read(&self.path, self.function.clone())?;
        }
        Ok(loaded.get(name))
    }
}

impl Store for FileStore {
    async fn look_up(&self, name: &DeviceName) -> Result<Found, StoreFault> {
        self.read(name).map(Found::in_store)
    }

    fn record_from_token(&self, name: &DeviceName, grant: &str) -> Option<Arc<Record>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.records.record_from_token(name, grant).ok().map(Arc::new)
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
        let records = document.records(function).map_err(|error| fault(&error))?;
        let decoys = Decoys::new(records.by_name.values());
        Ok(Self { stamp, records, decoys, settled: stamp.is_settled(SystemTime::now()) })
    }

    fn get(&self, name: &DeviceName) -> Lookup {
        // For a name that has a record too, so that this doesn't tell either which names have one.
        let decoy = self.decoys.of(name);
        match self.records.by_name.get(name) {
            Some(record) => Lookup::Found(Arc::clone(record)),
            None => Lookup::Unknown { decoy },
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { modified: metadata.modified().ok(), bytes: metadata.len() })
    }

    fn is_settled(self, now: SystemTime) -> bool {
        let age = self.modified.and_then(|modified| now.duration_since(modified).ok());
        age.is_some_and(|age| age >= COARSEST_STEP)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> StoreFault {
    let message = format!(
        "can't read the device records in `{}`: {error}; LATCHKEY_STORE says where they are, and `latchkey fleet add NAME` makes the file",
        path.display()
    );
    StoreFault::new(FaultKind::Unavailable, message)
}
