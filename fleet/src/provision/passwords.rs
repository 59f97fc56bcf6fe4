//! The file of the devices' passwords. A password is written to it, on the disk, before its record is made.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use device_auth::device_name::DeviceName;
use device_sim::{
    Password,
    credentials_file::{self, Row},
};

use cli::console::status;

use crate::{secret::Secret, store_file::lock_or_refuse};

/// The file, locked against other writers until this is dropped.
pub(super) struct Passwords {
    path: PathBuf,
    known: HashMap<String, Password>,
    writing: Mutex<()>,
    /// None in a dry run, which writes nothing.
    _lock: Option<File>,
}

impl Passwords {
    /// Opens the file. No record may have been read yet, so that the passwords of an earlier run are all in it.
    ///
    /// # Errors
    ///
    /// When another run has the lock, or it is not a file of passwords.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        credentials_file::folder_for(path)?;
        let lock = lock_or_refuse(path)?;
        if credentials_file::cut_torn(path)? {
            let path = path.display();
            status(&format!("`{path}` ended in half a row, after a full disk or a kill; it was cut off"));
        }
        let known = known(path)?;
        Ok(Self { path: path.to_owned(), known, writing: Mutex::default(), _lock: Some(lock) })
    }

    /// Reads the file for a dry run.
    ///
    /// # Errors
    ///
    /// When it is not a file of passwords.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { path: path.to_owned(), known: known(path)?, writing: Mutex::default(), _lock: None })
    }

    /// The password that the file had for a device when it was opened.
    pub(super) fn of(&self, name: &DeviceName) -> Option<&Password> {
        self.known.get(name.as_str())
    }

    /// Adds a device's password. Once this returns, the password survives a power cut.
    pub(super) fn add(&self, name: &DeviceName, secret: &Secret) -> anyhow::Result<()> {
        let name = name.to_string();
        let password = Password::from(secret.text());
        let row = Row { device: name.clone(), client_id: name.clone(), user_name: name, password };
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(credentials_file::append(&self.path, &[row])?)
    }
}

fn known(path: &Path) -> anyhow::Result<HashMap<String, Password>> {
    let rows = credentials_file::read_if_exists(path)?;
    Ok(rows.into_iter().map(|row| (row.device, row.password)).collect())
}
