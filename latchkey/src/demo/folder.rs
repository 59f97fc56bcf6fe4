//! The folder that a demo works in: its own for as long as it runs.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

const LOCK_FILE: &str = "demo.lock";

/// The folder, locked against other demos for as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// A file that is removed when this is dropped. A process that is killed leaves it behind.
pub(super) struct Temporary(pub(super) PathBuf);

impl Folder {
    /// Makes the folder if it is not there, and takes it.
    pub(super) fn take(path: &Path) -> anyhow::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).with_context(|| format!("can't make the folder `{}`", path.display()))?;
        Ok(Self { path: path.to_owned(), _lock: lock(path)? })
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file in it, after the one of an earlier demo has been removed.
    pub(super) fn without(&self, name: &str) -> anyhow::Result<PathBuf> {
        let file = self.file(name);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("can't remove the old `{}`", file.display()))
            }
            _ => Ok(file),
        }
    }
}

impl Temporary {
    /// Removes the file, if it is still there.
    pub(super) fn remove(&self) {
        // The next demo in this folder tries again, and says why it can't.
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
    // Whoever can open it can hold everybody else up.
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
    fn one_demo_at_a_time_has_a_folder() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("new/demo");
        let folder = Folder::take(&path).unwrap();
        let message = Folder::take(&path).err().unwrap().to_string();
        let expected =
            format!("another demo is using `{}`; wait for it, or pass `--data FOLDER`", path.display());
        assert_eq!(message, expected);
        drop(folder);
        assert!(Folder::take(&path).is_ok());
    }

    #[test]
    fn a_temporary_file_goes_with_its_owner() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::take(outer.path()).unwrap();
        fs::write(folder.file("a"), "old").unwrap();
        let temporary = Temporary(folder.without("a").unwrap());
        assert!(!temporary.0.exists());
        fs::write(&temporary.0, "new").unwrap();
        drop(temporary);
        assert!(!folder.file("a").exists());
    }
}
