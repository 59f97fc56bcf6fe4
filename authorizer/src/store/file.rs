//! Records in a JSON file, bundled with the function or next to a local gateway.

use std::{io, path::Path};

use device_auth::{
    device_name::DeviceName,
    record::FunctionSettings,
    store::{snapshot::Snapshot, text::StoreText},
};

use super::{
    Source, Store, StoreAnswer,
    followed::{Current, Followed, ReadFile},
};
use crate::{
    fault::{FaultKind, StoreFault},
    keyring_source::KeyringSource,
};

/// A store that follows its files: when the records, the grants among them, or the keyring change, the next look-up reads
/// all of them again.
///
/// If they can't be read or used as a whole, the last good records stay in force, and each look-up writes an error line.
pub struct FileStore(Followed<Snapshot>);

impl FileStore {
    /// Reads the file for a function with these settings.
    ///
    /// # Errors
    ///
    /// The path, and the line or the device with the error.
    pub fn open(path: &Path, function: FunctionSettings) -> Result<Self, StoreFault> {
        Followed::open(Some(path.to_owned()), function, snapshot).map(Self)
    }

    /// The same store, which also follows changes of the keyring. `keyring` is the one that the function's settings have.
    #[must_use]
    pub fn following(self, keyring: KeyringSource) -> Self {
        Self(self.0.with_keyring(keyring))
    }
}

impl Store for FileStore {
    /// An answer of the records in force; never a fault.
    async fn look_up(&self, name: &DeviceName, token_grant: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        let Current { value, is_stale, .. } = self.0.current().await;
        let source = if is_stale { Source::Stale } else { Source::Store };
        Ok(StoreAnswer { lookup: value.look_up(name, token_grant), source })
    }
}

/// The records of a file.
fn snapshot(file: Option<&ReadFile>, function: FunctionSettings) -> Result<Snapshot, StoreFault> {
    let Some(ReadFile { path, text }) = file else {
        return Err(StoreFault::new(FaultKind::NotFound, "no file of device records is set"));
    };
    let text = text.as_ref().map_err(|error| unreadable(path, error))?;
    let bad = |text: String| StoreFault::new(FaultKind::BadRecord, text);
    let store = StoreText::parse(text).map_err(|error| {
        bad(format!(
            "`{}` is not a file of device records: {error}; correct this place, or put back a copy of the file",
            path.display()
        ))
    })?;
    let records = store.records(function).map_err(|error| bad(format!("`{}`: {error}", path.display())))?;
    super::report_unusable(&records);
    Ok(Snapshot::new(records))
}

fn unreadable(path: &Path, error: &io::Error) -> StoreFault {
    let cure = match error.kind() {
        io::ErrorKind::NotFound => "check LATCHKEY_STORE, or create the file with `latchkey fleet add NAME`",
        io::ErrorKind::IsADirectory => "name a file with LATCHKEY_STORE",
        io::ErrorKind::PermissionDenied => "let the user read it as which the function runs",
        io::ErrorKind::InvalidData => "put back a copy of the file, whose text is UTF-8",
        _ => "check LATCHKEY_STORE and the disk",
    };
    let message = format!("can't read the device records in `{}`: {error}; {cure}", path.display());
    StoreFault::new(FaultKind::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use device_auth::{
        location::KeyringLocation, record::Unsealing, seal::Keyring, store::Lookup, time::Timers,
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
        let changed = |field: &str, value: Value| {
            let mut record = password_record();
            record[field] = value;
            record
        };
        let cases = [
            (changed("grant", json!("none")), "grant `none` does not exist"),
            (changed("grants", json!("x")), "unknown field `grants`"),
            (changed("enabled", json!("hunter2")), "invalid type: string, expected `true` or `false`"),
            (changed("verifiers", json!([{"verifier": "hunter2"}])), "unknown verifier"),
            (changed("client_ids", json!(["a b"])), "not a client id"),
            (changed("parameters", json!(["a"])), "expected an object"),
            (json!({"scheme": "password"}), "missing field `grant`"),
            (json!({"scheme": "magic", "grant": "sht20"}), "unknown variant"),
            (json!("hunter2"), "expected an object, as docs/records.md"),
            (Value::Null, "expected an object, as docs/records.md"),
        ];
        for (bad, part) in cases {
            let fixture = Fixture::new(&json!({"good": password_record(), "bad": bad}));
            assert!(fixture.is_found("good").await, "{bad}");
            let Lookup::Unusable { error, .. } = fixture.look_up("bad").await.lookup else {
                panic!("it is usable: {bad}")
            };
            let message = error.to_string();
            assert!(message.starts_with("device `bad`: ") && message.contains(part), "{bad}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
            assert_eq!(fixture.look_up("bad").await.source, Source::Store);
        }
    }

    /// The cost of a look-up must not be that of making all records, for as long as a file is new.
    #[tokio::test]
    async fn file_that_was_written_a_moment_ago_is_not_made_into_records_at_each_look_up() {
        let fixture = Fixture::new(&json!({"a": password_record()}));
        assert!(fixture.is_found("a").await);
        let first = fixture.store.0.last();
        for _ in 0..3 {
            assert!(fixture.is_found("a").await);
        }
        assert!(Arc::ptr_eq(&first, &fixture.store.0.last()));
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
        let nameless = r#"{"version":1,"devices":{"a b":{}}}"#;
        let texts = [
            "{",
            "{}",
            nameless,
            r#"{"version":1,"devices":{"b":{"scheme":}}}"#,
            r#"{"version":1,"devices":[{}]}"#,
        ];
        for text in texts.into_iter().chain([&*json!({"version": 1, "devices": contradiction}).to_string()]) {
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
