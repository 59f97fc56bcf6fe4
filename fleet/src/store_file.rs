//! The JSON file of device records, changed safely: one writer at a time, and never half a file.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use device_auth::{
    device_name::DeviceName,
    record::{ClientIdRule, FunctionSettings, Unsealing},
    scheme::Scheme,
    store::document::{RecordDocument, SecretDocument, StoreDocument},
    time::{Timers, UnixTime},
    verifier::{LiveVerifier, budget::FunctionMemory},
};

use crate::secret::Secret;

/// The file, locked against other writers for as long as this lives.
pub struct StoreFile {
    path: PathBuf,
    document: StoreDocument,
    _lock: File,
}

/// A device to be added.
pub struct NewDevice {
    /// Its name.
    pub name: DeviceName,
    /// The client ids that it may use; its own name if there are none.
    pub client_ids: Vec<ClientIdRule>,
    /// The grant's name.
    pub grant: String,
}

impl StoreFile {
    /// Opens the file for a change; one that doesn't exist yet is a store without devices.
    ///
    /// # Errors
    ///
    /// When the file can't be read or isn't a store; the message names the path and the line.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("can't make the folder `{}`", folder.display()))?;
        }
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), document: read(path)?, _lock: lock })
    }

    /// Opens a file that must be there already.
    ///
    /// # Errors
    ///
    /// As [`StoreFile::open`], and when there is no such file; nothing is made then.
    pub fn open_existing(path: &Path) -> anyhow::Result<Self> {
        ensure_there(path)?;
        Self::open(path)
    }

    /// Reads a file that must be there already, without a lock: it is only ever replaced as a whole.
    ///
    /// # Errors
    ///
    /// When there is no such file, it isn't a store, or the authorizer would not take it.
    pub fn read(path: &Path) -> anyhow::Result<StoreDocument> {
        ensure_there(path)?;
        let document = read(path)?;
        check(&document).with_context(|| format!("the authorizer can't use `{}`", path.display()))?;
        Ok(document)
    }

    /// The records as they stand.
    #[must_use]
    pub fn document(&self) -> &StoreDocument {
        &self.document
    }

    /// The records, for changes that [`StoreFile::save`] will check.
    pub fn document_mut(&mut self) -> &mut StoreDocument {
        &mut self.document
    }

    /// Adds a device with this password.
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn add(&mut self, device: NewDevice, secret: &Secret) -> anyhow::Result<()> {
        let NewDevice { name, client_ids, grant } = device;
        self.refuse_taken(&name)?;
        let verifier = secret.verifier()?;
        let record = RecordDocument {
            verifiers: vec![LiveVerifier { verifier, expires_at: None }],
            client_ids: (!client_ids.is_empty()).then_some(client_ids),
            ..RecordDocument::new(Scheme::Password, grant)
        };
        self.insert(name, record)
    }

    /// Adds a device with this record.
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn insert(&mut self, name: DeviceName, record: RecordDocument) -> anyhow::Result<()> {
        self.refuse_taken(&name)?;
        self.document.devices.insert(name, record);
        Ok(())
    }

    /// Gives a device a second password. The one in use, the newest if there are two, goes on until `until`.
    ///
    /// # Errors
    ///
    /// When there is no such device.
    pub fn rotate(&mut self, name: &DeviceName, secret: &Secret, until: UnixTime) -> anyhow::Result<()> {
        let verifier = secret.verifier()?;
        let record = self.record_mut(name)?;
        let old = record.verifiers.pop().map(|old| {
            let expires_at = Some(old.expires_at.map_or(until, |known| known.min(until)));
            LiveVerifier { expires_at, ..old }
        });
        record.verifiers = old.into_iter().chain([LiveVerifier { verifier, expires_at: None }]).collect();
        Ok(())
    }

    /// Gives a vendor's device a second secret, as [`StoreFile::rotate`] gives a password.
    ///
    /// # Errors
    ///
    /// When there is no such device.
    pub fn rotate_secret(
        &mut self,
        name: &DeviceName,
        secret: SecretDocument,
        until: UnixTime,
    ) -> anyhow::Result<()> {
        let record = self.record_mut(name)?;
        let old = record.secrets.pop().map(|old| {
            let expires_at = Some(old.expires_at.map_or(until, |known| known.min(until)));
            SecretDocument { expires_at, ..old }
        });
        record.secrets = old.into_iter().chain([secret]).collect();
        Ok(())
    }

    /// The record of `name`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn record_mut(&mut self, name: &DeviceName) -> anyhow::Result<&mut RecordDocument> {
        let path = self.path.display().to_string();
        self.document.devices.get_mut(name).with_context(|| no_such_device(name, &path))
    }

    /// Takes out the record of `name`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn remove(&mut self, name: &DeviceName) -> anyhow::Result<()> {
        let removed = self.document.devices.remove(name);
        removed.map(drop).with_context(|| no_such_device(name, &self.path.display().to_string()))
    }

    fn refuse_taken(&self, name: &DeviceName) -> anyhow::Result<()> {
        if self.document.devices.contains_key(name) {
            bail!("`{name}` has a record already; take it out with `latchkey fleet remove '{name}'` first");
        }
        Ok(())
    }

    /// Writes the file, if the authorizer would take it: as a new file that then takes the old one's place.
    ///
    /// # Errors
    ///
    /// When the change makes no sense, or the file can't be written. The old file then stays as it was.
    pub fn save(&self) -> anyhow::Result<()> {
        check(&self.document)?;
        let mut text = serde_json::to_string_pretty(&self.document)?;
        text.push('\n');
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let unwritable = || format!("can't write `{}`", self.path.display());
        // A temporary file is readable by its owner alone.
        let mut file =
            tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).with_context(unwritable)?;
        file.write_all(text.as_bytes()).with_context(unwritable)?;
        file.as_file().sync_all().with_context(unwritable)?;
        file.persist(&self.path).with_context(unwritable)?;
        Ok(())
    }
}

/// Waits for other writers of `path`, and holds them up for as long as it lives.
pub(crate) fn lock(path: &Path) -> anyhow::Result<File> {
    let file = lock_file(path)?;
    file.lock().with_context(|| format!("can't lock `{}`", path.display()))?;
    Ok(file)
}

/// Keeps others that ask for it away from `path` for as long as it lives, and waits for nobody.
#[cfg(feature = "aws")]
pub(crate) fn lock_or_refuse(path: &Path) -> anyhow::Result<File> {
    let file = lock_file(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            let path = path.display();
            bail!("another run holds `{path}`: wait for it, then run the same command again")
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
    // Whoever can open it can hold everybody else up.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path);
    file.with_context(|| format!("can't open the lock file `{}`", path.display()))
}

fn read(path: &Path) -> anyhow::Result<StoreDocument> {
    match fs::read_to_string(path) {
        Ok(text) => StoreDocument::parse(&text)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("`{}` is not a store", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(StoreDocument::empty()),
        Err(error) => Err(error).with_context(|| format!("can't read `{}`", path.display())),
    }
}

fn check(document: &StoreDocument) -> anyhow::Result<()> {
    document.clone().records(any_function()?).map(drop).map_err(anyhow::Error::msg)
}

/// The timers have no part in whether a store makes sense; any allowed value does. How much memory the function
/// will have is not known here; what a whole CPU can't check is too much for any function.
pub(crate) fn any_function() -> anyhow::Result<FunctionSettings> {
    let any = device_auth::time::TimerSeconds::try_from(3_600).map_err(anyhow::Error::msg)?;
    let timers = Timers { refresh_after: any, disconnect_after: any };
    Ok(FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed })
}

fn ensure_there(path: &Path) -> anyhow::Result<()> {
    let gone = matches!(path.try_exists(), Ok(false));
    anyhow::ensure!(
        !gone,
        "there is no file of device records `{}`; `latchkey fleet add NAME` makes it, or name another with `--store`",
        path.display()
    );
    Ok(())
}

fn no_such_device(name: &DeviceName, path: &str) -> String {
    format!("`{path}` has no device `{name}`; `latchkey fleet list` shows those that it has")
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
    fn a_refused_change_leaves_the_file_as_it_was() {
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
    fn a_rotation_keeps_the_newest_password_for_a_while_and_no_more_than_two() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.json");
        add(&path, device("a", &[])).unwrap();
        let name = "a".try_into().unwrap();
        let secrets = [Secret::generate().unwrap(), Secret::generate().unwrap()];
        for (secret, until) in secrets.iter().zip([100, 200]) {
            let mut file = StoreFile::open(&path).unwrap();
            file.rotate(&name, secret, UnixTime(until)).unwrap();
            file.save().unwrap();
        }
        let verifiers = StoreFile::read(&path).unwrap().devices[&name].verifiers.clone();
        let fits =
            |n: usize, secret: &Secret| bool::from(verifiers[n].verifier.matches(secret.text().as_bytes()));
        assert!(verifiers.len() == 2 && fits(0, &secrets[0]) && fits(1, &secrets[1]));
        assert_eq!((verifiers[0].expires_at, verifiers[1].expires_at), (Some(UnixTime(200)), None));
        let nobody = "nobody".try_into().unwrap();
        assert!(StoreFile::open(&path).unwrap().rotate(&nobody, &secrets[0], UnixTime(1)).is_err());
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.json");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || add(path, device(&format!("d{n}"), &[])).unwrap());
            }
        });
        assert_eq!(StoreFile::open(&path).unwrap().document().devices.len(), 8);
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
