//! The JSON file of device records. One program changes it at a time, and a change replaces the whole file.

pub(crate) mod sorted;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use device_auth::{
    device_name::DeviceName,
    grant::GrantDefinition,
    record::{ClientIdRule, FunctionSettings, Unsealing},
    scheme::Scheme,
    store::document::{RecordDocument, StoreDocument},
    time::Timers,
    verifier::{LiveVerifier, budget::FunctionMemory},
};

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _},
};

use self::sorted::{Merged, SortedRecords};
use crate::{record_store, secret::Secret};

/// The file, locked against other writers until this is dropped.
pub struct StoreFile {
    path: PathBuf,
    document: StoreDocument,
    _lock: File,
}

/// A device to be added.
pub struct NewDevice {
    /// Its name.
    pub name: DeviceName,
    /// The client ids that it may use. If there are none, it may use its own name.
    pub client_ids: Vec<ClientIdRule>,
    /// The grant's name.
    pub grant: String,
}

impl StoreFile {
    /// Opens the file for a change. A file that does not exist is a store without devices.
    ///
    /// # Errors
    ///
    /// When the file can't be read or is not a store. The message names the path and the line.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("can't make the folder `{}`", folder.display()))?;
        }
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), document: read(path)?, _lock: lock })
    }

    /// Opens a file that must exist.
    ///
    /// # Errors
    ///
    /// As [`StoreFile::open`], and when there is no such file. No file is made then.
    pub fn open_existing(path: &Path) -> anyhow::Result<Self> {
        check_exists(path)?;
        Self::open(path)
    }

    /// Reads a file that must exist. It needs no lock, because a change replaces the whole file.
    ///
    /// # Errors
    ///
    /// When there is no such file, it is not a store, or the authorizer would not accept it.
    pub fn read(path: &Path) -> anyhow::Result<StoreDocument> {
        check_exists(path)?;
        let document = read(path)?;
        check(&document).with_context(|| format!("the authorizer can't use `{}`", path.display()))?;
        Ok(document)
    }

    /// The records.
    pub(crate) fn document(&self) -> &StoreDocument {
        &self.document
    }

    /// The records, for changes. [`StoreFile::save`] checks them.
    pub fn document_mut(&mut self) -> &mut StoreDocument {
        &mut self.document
    }

    /// Adds a device with this password.
    ///
    /// # Errors
    ///
    /// When the name has a record already.
    pub fn add(&mut self, device: NewDevice, secret: &Secret) -> anyhow::Result<()> {
        let NewDevice { name, client_ids, grant } = device;
        ensure!(!self.document.devices.contains_key(&name), record_store::exists(&name));
        let verifier = secret.verifier()?;
        let record = RecordDocument {
            verifiers: vec![LiveVerifier { verifier, expires_at: None }],
            client_ids: (!client_ids.is_empty()).then_some(client_ids),
            ..RecordDocument::new(Scheme::Password, grant)
        };
        self.document.devices.insert(name, record);
        Ok(())
    }

    /// Writes the file, if the authorizer would accept it, as a new file that then replaces the old one.
    ///
    /// # Errors
    ///
    /// When the authorizer would not accept the records, or the file can't be written. The file is then unchanged.
    pub fn save(&self) -> anyhow::Result<()> {
        check(&self.document)?;
        self.replace(&self.document)
    }

    /// Writes the file with new records, which were checked together with those that it has.
    ///
    /// # Errors
    ///
    /// When the file can't be written. It is then unchanged.
    pub(crate) fn save_with(&self, new: SortedRecords) -> anyhow::Result<()> {
        let StoreDocument { version, grants, devices } = &self.document;
        let devices = Streamed(RefCell::new(new.merged_with(devices)?));
        self.replace(&StreamedDocument { version: *version, grants, devices })
    }

    /// The folder of the file.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn replace(&self, document: &impl Serialize) -> anyhow::Result<()> {
        let unwritable = || format!("can't write `{}`", self.path.display());
        // Only its owner can read a temporary file. What a killed program left of it is removed: this one has the lock.
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        match fs::remove_file(self.folder().join(&name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(unwritable),
            _ => {}
        }
        let mut new = tempfile::Builder::new();
        let mut file = new.prefix(&name).rand_bytes(0).tempfile_in(self.folder()).with_context(unwritable)?;
        let mut writer = BufWriter::new(&mut file);
        serde_json::to_writer_pretty(&mut writer, document).with_context(unwritable)?;
        writer.write_all(b"\n").with_context(unwritable)?;
        writer.flush().with_context(unwritable)?;
        drop(writer);
        file.as_file().sync_all().with_context(unwritable)?;
        file.persist(&self.path).with_context(unwritable)?;
        Ok(())
    }
}

/// [`StoreDocument`] with records that are not in memory.
#[derive(Serialize)]
struct StreamedDocument<'a> {
    version: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    grants: &'a BTreeMap<String, GrantDefinition>,
    devices: Streamed<'a>,
}

struct Streamed<'a>(RefCell<Merged<'a>>);

impl Serialize for Streamed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut devices = serializer.serialize_map(None)?;
        for entry in self.0.borrow_mut().by_ref() {
            let (name, record) = entry.map_err(|error| S::Error::custom(format!("{error:#}")))?;
            devices.serialize_entry(&name, &record)?;
        }
        devices.end()
    }
}

/// Waits until no other program writes `path`, and keeps others waiting until the lock is dropped.
pub(crate) fn lock(path: &Path) -> anyhow::Result<File> {
    let file = lock_file(path)?;
    file.lock().with_context(|| format!("can't lock `{}`", path.display()))?;
    Ok(file)
}

/// Locks `path` until the lock is dropped. It fails when another program holds the lock.
#[cfg(feature = "aws")]
pub(crate) fn lock_or_refuse(path: &Path) -> anyhow::Result<File> {
    let file = lock_file(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            let path = path.display();
            anyhow::bail!("another run holds `{path}`: wait for it, then run the same command again")
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("can't lock `{}`", path.display()))
        }
    }
}

fn lock_file(path: &Path) -> anyhow::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    // Another user who could open it could keep everybody waiting.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path);
    file.with_context(|| format!("can't open the lock file `{}`", path.display()))
}

/// Reads a file as it is, whether the authorizer accepts it or not. A file that does not exist is a store without devices.
/// As in [`StoreFile::read`], no lock is needed.
pub(crate) fn read(path: &Path) -> anyhow::Result<StoreDocument> {
    match fs::read_to_string(path) {
        Ok(text) => StoreDocument::parse(&text)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("`{}` is not a store", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(StoreDocument::empty()),
        Err(error) => Err(error).with_context(|| format!("can't read `{}`", path.display())),
    }
}

/// Checks that the authorizer accepts the records, and that no grant has a wildcard of MQTT that allows nothing. The
/// authorizer itself accepts such a grant: one topic without effect must not refuse a fleet.
pub(crate) fn check(document: &StoreDocument) -> anyhow::Result<()> {
    for (name, grant) in &document.grants {
        if let Some(wildcard) = grant.literal_wildcards(name).next() {
            return Err(wildcard.into());
        }
    }
    document.clone().records(any_function()?).map(drop).map_err(anyhow::Error::msg)
}

/// Settings with which to check a store. The timers do not matter, so any allowed value does. The function's memory is
/// not known here: a hash that a whole CPU can't check is too slow for any function.
pub(crate) fn any_function() -> anyhow::Result<FunctionSettings> {
    let any = device_auth::time::TimerSeconds::try_from(3_600).map_err(anyhow::Error::msg)?;
    let timers = Timers { refresh_after: any, disconnect_after: any };
    Ok(FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed })
}

/// What is wrong with a file of grants for a table's function: it has no devices, and the authorizer accepts it.
///
/// # Errors
///
/// What is wrong. The message names the path.
pub fn check_grants(path: &Path) -> anyhow::Result<()> {
    let document = StoreFile::read(path)?;
    ensure!(
        document.devices.is_empty(),
        "`{}` has devices, which belong in the table: a file of grants has none",
        path.display()
    );
    Ok(())
}

/// Refuses a path without a file: the operator meant another one.
pub(crate) fn check_exists(path: &Path) -> anyhow::Result<()> {
    let gone = matches!(path.try_exists(), Ok(false));
    ensure!(
        !gone,
        "there is no file of device records `{}`; `latchkey fleet add NAME` makes it, or name another store with `--store`: a \
         file, `dynamodb:TABLE` or `secretsmanager:NAME`",
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, client_ids: &[&str]) -> NewDevice {
        let rule = |id: &&str| ClientIdRule::try_from((*id).to_owned()).unwrap();
        let client_ids = client_ids.iter().map(rule).collect();
        NewDevice { name: name.try_into().unwrap(), client_ids, grant: "own-topics".to_owned() }
    }

    fn add(path: &Path, device: NewDevice) -> anyhow::Result<()> {
        let mut file = StoreFile::open(path)?;
        file.add(device, &Secret::generate()?)?;
        file.save()
    }

    #[test]
    fn a_refused_change_leaves_the_file_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/devices.json");
        add(&path, device("a", &[])).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        assert!(add(&path, device("a", &[])).unwrap_err().to_string().contains("has a record already"));
        assert!(add(&path, device("b", &["a"])).unwrap_err().to_string().contains("one device only"));
        let unknown = NewDevice { grant: "none".to_owned(), ..device("c", &[]) };
        assert!(add(&path, unknown).unwrap_err().to_string().contains("grant `none` does not exist"));
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
    }

    #[test]
    fn concurrent_writers_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.json");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || add(path, device(&format!("d{n}"), &[])).unwrap());
            }
        });
        assert_eq!(StoreFile::read(&path).unwrap().devices.len(), 8);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.json");
        add(&path, device("a", &[])).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    }
}
