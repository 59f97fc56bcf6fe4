//! The file of keys that vendors' secrets are sealed under. A change replaces the whole file.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use cli::private_file::{self, Readers};
use device_auth::seal::{KeyId, Keyring};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::store_file::lock;

/// Makes a file with one new key.
///
/// # Errors
///
/// When the file exists already (it is never overwritten: without its keys no sealed secret opens), or when it can't be
/// written.
pub fn make(path: &Path, id: KeyId) -> anyhow::Result<Keyring> {
    let folder = folder(path);
    fs::create_dir_all(&folder).with_context(|| format!("can't make the folder `{}`", folder.display()))?;
    let keyring = Keyring::generate(id)?;
    let file = written(path, &keyring)?;
    file.persist_noclobber(path).with_context(|| {
        let path = path.display();
        format!("can't make `{path}`; if it exists already, `latchkey fleet keys rotate ID` adds a key to it")
    })?;
    Ok(keyring)
}

/// Adds a new key to a file and makes it the current one.
///
/// # Errors
///
/// As [`read`], when the keyring has a key with this id, or when the file can't be written. The file is then unchanged.
pub fn rotate(path: &Path, id: KeyId) -> anyhow::Result<Keyring> {
    read(path)?;
    let _lock = lock(path)?;
    let keyring = read(path)?.rotate(id)?;
    written(path, &keyring)?.persist(path).with_context(|| unwritable(path))?;
    Ok(keyring)
}

/// Reads a file.
///
/// # Errors
///
/// When it does not exist, is not a keyring, or is readable by others.
pub fn read(path: &Path) -> anyhow::Result<Keyring> {
    let there = path.try_exists().unwrap_or(true);
    let missing =
        || format!("there is no keyring `{}`; `latchkey fleet keys new ID` makes it", path.display());
    anyhow::ensure!(there, missing());
    let text = private_file::read(path, "keyring", Readers::Owner)?;
    Keyring::parse(&text).with_context(|| format!("`{}`", path.display()))
}

/// A temporary file next to `path`, which only its owner can read.
fn written(path: &Path, keyring: &Keyring) -> anyhow::Result<NamedTempFile> {
    let json = keyring.to_json().unwrap_or_else(|| Zeroizing::new(String::new()));
    let mut file = NamedTempFile::new_in(folder(path)).with_context(|| unwritable(path))?;
    file.write_all(json.as_bytes()).with_context(|| unwritable(path))?;
    file.as_file().sync_all().with_context(|| unwritable(path))?;
    Ok(file)
}

fn folder(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

fn unwritable(path: &Path) -> String {
    format!("can't write `{}`", path.display())
}
