//! Records in a JSON file, bundled with the function or beside a local gateway.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use super::{Lookup, Store, StoreFault, document::StoreDocument};
use crate::{
    credential::{salted_sha256::SaltedSha256, verifier::LiveVerifier, verifier::Verifier},
    device_name::DeviceName,
    record::{Record, Timers},
};

/// A store that follows its file: when the file changes, the next look-up reads it again.
///
/// A file that can't be read any more is a fault for everybody, not a reason to go on with old records.
pub struct FileStore {
    path: PathBuf,
    timers: Timers,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    stamp: Stamp,
    records: BTreeMap<DeviceName, Arc<Record>>,
    /// Verifiers for names that don't exist, in an order that only the file's contents determine.
    decoys: Vec<Arc<[LiveVerifier]>>,
    /// What ties a name to its decoy: a digest of the file, so that it is secret and the same in every process.
    seed: [u8; 32],
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl FileStore {
    /// Reads the file. `timers` hold for records that don't set their own.
    ///
    /// # Errors
    ///
    /// The path, and the line or the device at fault.
    pub fn open(path: &Path, timers: Timers) -> Result<Self, StoreFault> {
        let loaded = Mutex::new(Loaded::read(path, timers)?);
        Ok(Self { path: path.to_owned(), timers, loaded })
    }

    fn look_up(&self, name: &DeviceName) -> Result<Lookup, StoreFault> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        if stamp != loaded.stamp {
            *loaded = Loaded::read(&self.path, self.timers)?;
        }
        Ok(loaded.get(name))
    }
}

impl Store for FileStore {
    async fn find(&self, name: &DeviceName) -> Result<Lookup, StoreFault> {
        self.look_up(name)
    }
}

impl Loaded {
    fn read(path: &Path, timers: Timers) -> Result<Self, StoreFault> {
        let stamp = Stamp::of(path).map_err(|error| unreadable(path, &error))?;
        let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let fault = |why: &dyn std::fmt::Display| StoreFault(format!("`{}`: {why}", path.display()));
        let document = StoreDocument::parse(&text).map_err(|error| fault(&error))?;
        let records = document.records(timers).map_err(|error| fault(&error))?;
        let seed = Sha256::digest(text.as_bytes()).into();
        let mut decoys = records.values().map(|record| record.verifiers.clone().into()).collect::<Vec<_>>();
        if decoys.is_empty() {
            decoys.push(Arc::from([unmatchable(seed)]));
        }
        Ok(Self { stamp, records, decoys, seed })
    }

    fn get(&self, name: &DeviceName) -> Lookup {
        match self.records.get(name) {
            Some(record) => Lookup::Found(Arc::clone(record)),
            None => Lookup::Unknown { decoy: self.decoy(name) },
        }
    }

    /// Draws a decoy by the name: a name that doesn't exist behaves, each time it is tried, like one and the
    /// same of the records that do.
    fn decoy(&self, name: &DeviceName) -> Arc<[LiveVerifier]> {
        let digest = Sha256::new().chain_update(self.seed).chain_update(name.as_str()).finalize();
        let number = digest
            .iter()
            .take(8)
            .fold(0_usize, |number, byte| number.wrapping_mul(256).wrapping_add(usize::from(*byte)));
        let at = number.checked_rem(self.decoys.len()).unwrap_or(0);
        self.decoys.get(at).cloned().unwrap_or_else(|| Arc::from([unmatchable(self.seed)]))
    }
}

/// A verifier of a secret that nobody has: for a store without records.
fn unmatchable(seed: [u8; 32]) -> LiveVerifier {
    LiveVerifier { verifier: Verifier::SaltedSha256(SaltedSha256::of(&seed, [0; 16])), expires_at: None }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { modified: metadata.modified().ok(), bytes: metadata.len() })
    }
}

fn unreadable(path: &Path, error: &io::Error) -> StoreFault {
    StoreFault(format!(
        "can't read the device records in `{}`: {error}; `latchkey fleet add NAME` makes the file",
        path.display()
    ))
}
