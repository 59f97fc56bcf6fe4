//! The folder of a demo. One demo uses it at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

const LOCK_FILE: &str = "demo.lock";

/// The folder, locked against other demos until this is dropped.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// A file that is removed when this is dropped. A process that is killed does not remove it.
pub(super) struct Temporary(pub(super) PathBuf);

impl Folder {
    /// Makes the folder if it does not exist, and locks it.
    pub(super) fn lock(path: &Path) -> anyhow::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(|error| {
            anyhow::anyhow!(
                "can't make the folder `{}`: {error}; choose another with `--data`",
                path.display()
            )
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock(path)? })
    }

    /// The path of a file in the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of a file in the folder, after the file of an earlier demo was removed.
    pub(super) fn removed(&self, name: &str) -> anyhow::Result<PathBuf> {
        let file = self.file(name);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                anyhow::bail!(
                    "can't remove the file of an earlier demo: `{}`: {error}; remove it yourself, or choose another folder with \
                     `--data`",
                    file.display()
                )
            }
            _ => Ok(file),
        }
    }
}

impl Temporary {
    /// Removes the file, if it exists.
    pub(super) fn remove(&self) {
        // If it fails, the next demo in this folder tries again and reports the error.
        _ = fs::remove_file(&self.0);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.remove();
    }
}

fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    // Another user who could open it could keep everybody waiting.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).with_context(|| format!("can't open `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another demo is using `{}`; wait for it, or pass `--data FOLDER`",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("can't lock `{}`", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_demo_in_a_folder_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("new/demo");
        let folder = Folder::lock(&path).unwrap();
        let message = Folder::lock(&path).err().unwrap().to_string();
        let expected =
            format!("another demo is using `{}`; wait for it, or pass `--data FOLDER`", path.display());
        assert_eq!(message, expected);
        drop(folder);
        assert!(Folder::lock(&path).is_ok());
    }

    #[test]
    fn a_temporary_file_is_removed_when_it_is_dropped() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::lock(outer.path()).unwrap();
        fs::write(folder.file("a"), "old").unwrap();
        let temporary = Temporary(folder.removed("a").unwrap());
        assert!(!temporary.0.exists());
        fs::write(&temporary.0, "new").unwrap();
        drop(temporary);
        assert!(!folder.file("a").exists());
    }
}
