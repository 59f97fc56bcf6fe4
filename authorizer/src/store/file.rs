//! Records in a JSON file, bundled with the function or next to a local gateway.

use std::{
    fs,
    hash::{DefaultHasher, Hasher},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use device_auth::{
    device_name::DeviceName,
    record::{FunctionSettings, Unsealing},
    store::{document::StoreDocument, snapshot::Snapshot},
};

use super::{Source, Store, StoreAnswer};
use crate::{
    fault::{FaultKind, StoreFault},
    keyring_source::KeyringSource,
};

/// The longest step in which a common file system counts time: 2 s on FAT.
const COARSEST_STEP: Duration = Duration::from_secs(2);

/// A store that follows its files: when the records or the keyring change, the next look-up reads them again.
///
/// If they can't be read or used as a whole, the last good records stay in force, and each look-up writes an error line.
pub struct FileStore {
    path: PathBuf,
    keyring: Option<KeyringSource>,
    state: Mutex<State>,
}

struct State {
    /// The records that are in force.
    snapshot: Arc<Snapshot>,
    /// The function's settings, with the keyring that was loaded last.
    function: FunctionSettings,
    /// The files at the last reading; `None` for a file that can't be read.
    records: Option<Stamp>,
    keyring: Option<Stamp>,
    /// The texts of the records and of the keyring that `snapshot` or `fault` is about; `None` for a file that can't be read.
    digests: (Option<u64>, Option<u64>),
    /// Why the last reading failed. The snapshot is then an older one.
    fault: Option<StoreFault>,
}

/// What shows that a file has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// Whether the file had not changed for a while. Only then is every later change sure to change the stamp, because file
    /// systems count time in steps.
    settled: bool,
}

impl FileStore {
    /// Reads the file for a function with these settings.
    ///
    /// # Errors
    ///
    /// The path, and the line or the device with the error.
    pub fn open(path: &Path, function: FunctionSettings) -> Result<Self, StoreFault> {
        let stamp = Stamp::of(path);
        let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let snapshot = Arc::new(records(path, &text, function.clone())?);
        let digests = (Some(digest(&text)), None);
        let state = State { snapshot, function, records: stamp, keyring: None, digests, fault: None };
        Ok(Self { path: path.to_owned(), keyring: None, state: Mutex::new(state) })
    }

    /// The same store, which also follows changes of the keyring. `keyring` is the one that the function's settings have.
    #[must_use]
    pub fn following(self, keyring: KeyringSource) -> Self {
        let (stamp, digest) = (keyring.file().and_then(Stamp::of), keyring.file().and_then(digest_of));
        let mut state = self.state();
        (state.keyring, state.digests.1) = (stamp, digest);
        drop(state);
        Self { keyring: Some(keyring), ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keyring_file(&self) -> Option<&Path> {
        self.keyring.as_ref().and_then(KeyringSource::file)
    }

    /// Makes new records if their file or the keyring's has changed, and a new keyring if its file has.
    async fn refresh(&self) {
        let stamps = (Stamp::of(&self.path), self.keyring_file().and_then(Stamp::of));
        let is_current =
            |state: &State| is_current(state.records, stamps.0) && is_current(state.keyring, stamps.1);
        if is_current(&self.state()) {
            return;
        }
        // A file that was written a moment ago is read at each look-up, and records are made only of another text.
        let text = fs::read_to_string(&self.path);
        let digests = (text.as_deref().ok().map(digest), self.keyring_file().and_then(digest_of));
        let (function, is_keyring_current) = {
            let mut state = self.state();
            (state.records, state.keyring) = stamps;
            if state.digests == digests {
                return;
            }
            (state.function.clone(), state.digests.1 == digests.1 && state.fault.is_none())
        };
        let function = match &self.keyring {
            Some(source) if !is_keyring_current => with_keyring(function, source).await,
            _ => Ok(function),
        };
        let text = text.map_err(|error| unreadable(&self.path, &error));
        let reading =
            function.and_then(|function| Ok((records(&self.path, &text?, function.clone())?, function)));
        let mut state = self.state();
        state.digests = digests;
        state.fault = match reading {
            Ok((snapshot, function)) => {
                (state.snapshot, state.function) = (Arc::new(snapshot), function);
                None
            }
            Err(fault) => Some(fault),
        };
    }
}

/// Whether a file is as it was at the last reading.
fn is_current(read: Option<Stamp>, now: Option<Stamp>) -> bool {
    read == now && now.is_none_or(|stamp| stamp.settled)
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn digest_of(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok().as_deref().map(digest)
}

async fn with_keyring(
    function: FunctionSettings,
    source: &KeyringSource,
) -> Result<FunctionSettings, StoreFault> {
    match source.load().await {
        Ok(keyring) => Ok(FunctionSettings { unsealing: Unsealing::With(Arc::new(keyring)), ..function }),
        Err(error) => Err(StoreFault::new(FaultKind::Unavailable, error.to_string())),
    }
}

impl Store for FileStore {
    /// An answer of the records in force; never a fault.
    async fn look_up(&self, name: &DeviceName, token_grant: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        self.refresh().await;
        let (snapshot, fault) = {
            let state = self.state();
            (Arc::clone(&state.snapshot), state.fault.clone())
        };
        let source = if fault.is_some() { Source::Stale } else { Source::Store };
        if let Some(fault) = &fault {
            super::report_stale(fault);
        }
        Ok(StoreAnswer { lookup: snapshot.look_up(name, token_grant), source })
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let modified = metadata.modified().ok();
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let settled = age.is_some_and(|age| age >= COARSEST_STEP);
        Some(Self { modified, bytes: metadata.len(), settled })
    }
}

/// The records of a file with this text.
fn records(path: &Path, text: &str, function: FunctionSettings) -> Result<Snapshot, StoreFault> {
    let malformed = |error: &dyn std::fmt::Display| {
        StoreFault::new(FaultKind::BadRecord, format!("`{}`: {error}", path.display()))
    };
    let document = StoreDocument::parse(text).map_err(|error| malformed(&error))?;
    let records = document.usable_records(function).map_err(|error| malformed(&error))?;
    super::report_unusable(&records);
    Ok(Snapshot::new(records))
}

fn unreadable(path: &Path, error: &io::Error) -> StoreFault {
    let message = format!(
        "can't read the device records in `{}`: {error}; check LATCHKEY_STORE, or create the file with `latchkey fleet add NAME`",
        path.display()
    );
    StoreFault::new(FaultKind::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use device_auth::{
        location::KeyringLocation, seal::Keyring, store::Lookup, time::Timers,
        verifier::budget::FunctionMemory,
    };
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    const VERIFIER: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

    /// A folder with a records file, and a store that reads it.
    struct Fixture {
        folder: TempDir,
        store: FileStore,
    }

    impl Fixture {
        fn new(devices: &Value) -> Self {
            let folder = tempfile::tempdir().unwrap();
            write(&folder, devices);
            let keyring = KeyringSource {
                location: KeyringLocation::File(folder.path().join("keyring.json")),
                root: None,
                plain_secrets: false,
            };
            let timers =
                Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
            let unsealing = Unsealing::With(Arc::new(Keyring::empty()));
            let function = FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing };
            let store = FileStore::open(&folder.path().join("devices.json"), function).unwrap();
            Self { store: store.following(keyring), folder }
        }

        async fn look_up(&self, name: &str) -> StoreAnswer {
            self.store.look_up(&name.try_into().unwrap(), None).await.unwrap()
        }

        async fn is_found(&self, name: &str) -> bool {
            matches!(self.look_up(name).await.lookup, Lookup::Found(_))
        }
    }

    fn write(folder: &TempDir, devices: &Value) {
        let text = json!({"version": 1, "devices": devices}).to_string();
        fs::write(folder.path().join("devices.json"), text).unwrap();
    }

    fn password_record() -> Value {
        json!({"scheme": "password", "verifiers": [{"verifier": VERIFIER}], "grant": "own-topics"})
    }

    #[tokio::test]
    async fn unusable_record_refuses_its_own_device_only() {
        let mut bad = password_record();
        bad["grant"] = json!("none");
        let fixture = Fixture::new(&json!({"good": password_record(), "bad": bad}));
        assert!(fixture.is_found("good").await);
        let Lookup::Unusable { error, .. } = fixture.look_up("bad").await.lookup else {
            panic!("it is usable")
        };
        assert!(error.to_string().starts_with("device `bad`: grant `none` does not exist"), "{error}");
        assert_eq!(fixture.look_up("bad").await.source, Source::Store);
    }

    /// The cost of a look-up must not be that of making all records, for as long as a file is new.
    #[tokio::test]
    async fn file_that_was_written_a_moment_ago_is_not_made_into_records_at_each_look_up() {
        let fixture = Fixture::new(&json!({"a": password_record()}));
        assert!(fixture.is_found("a").await);
        let first = Arc::clone(&fixture.store.state().snapshot);
        for _ in 0..3 {
            assert!(fixture.is_found("a").await);
        }
        assert!(Arc::ptr_eq(&first, &fixture.store.state().snapshot));
        write(&fixture.folder, &json!({"b": password_record()}));
        assert!(!fixture.is_found("a").await && fixture.is_found("b").await, "of the same size, at once");
    }

    #[tokio::test]
    async fn unusable_file_leaves_the_last_records_in_force() {
        let fixture = Fixture::new(&json!({"a": password_record()}));
        let path = fixture.folder.path().join("devices.json");
        let same_id = |device: &str| {
            let mut record = password_record();
            record["client_ids"] = json!(["x"]);
            (device.to_owned(), record)
        };
        let contradiction = Value::Object([same_id("b"), same_id("c")].into_iter().collect());
        for text in ["{", "{}", &json!({"version": 1, "devices": contradiction}).to_string()] {
            fs::write(&path, text).unwrap();
            for _ in 0..2 {
                assert!(fixture.is_found("a").await && !fixture.is_found("b").await, "{text}");
                assert_eq!(fixture.look_up("a").await.source, Source::Stale, "{text}");
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(fixture.is_found("a").await);
        write(&fixture.folder, &json!({"b": password_record()}));
        assert!(!fixture.is_found("a").await && fixture.is_found("b").await);
        assert_eq!(fixture.look_up("b").await.source, Source::Store);
    }

    #[tokio::test]
    async fn new_keyring_makes_a_sealed_record_usable() {
        let fixture = Fixture::new(&json!({"a": password_record()}));
        let name = "d&pk".try_into().unwrap();
        let keyring = Keyring::generate("k1".try_into().unwrap()).unwrap();
        let sealed = keyring.seal(b"secret", &name).unwrap();
        let vendor = json!({"scheme": "alibaba", "secrets": [{"device_secret": sealed}], "grant": "alibaba"});
        write(&fixture.folder, &json!({"a": password_record(), "d&pk": vendor}));
        assert!(fixture.is_found("a").await);
        assert!(matches!(fixture.look_up("d&pk").await.lookup, Lookup::Unusable { .. }));
        let path = fixture.folder.path().join("keyring.json");
        fs::write(&path, keyring.to_json().unwrap().as_bytes()).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert!(fixture.is_found("d&pk").await && fixture.is_found("a").await);
        fs::write(&path, "{").unwrap();
        assert!(fixture.is_found("d&pk").await, "the last keyring stays in force");
        assert_eq!(fixture.look_up("a").await.source, Source::Stale);
    }
}
