//! A keyring in a file.

use std::{fs::File, io::Read, path::Path};

use zeroize::Zeroizing;

use super::error::KeyringSourceError;
use crate::seal::keyring::Keyring;

/// Some thousand keys; without a bound a wrong path could fill the memory.
const MOST_BYTES: usize = 65_536;

pub(super) fn load(path: &Path, root: Option<&Path>) -> Result<Keyring, KeyringSourceError> {
    let file = open(path)?;
    if !root.is_some_and(|root| lies_under(path, root)) {
        refuse_exposed(path, &file)?;
    }
    let text = read(path, &file)?;
    Keyring::parse(&text).map_err(|error| KeyringSourceError::Keyring { path: path.to_owned(), error })
}

pub(super) fn open(path: &Path) -> Result<File, KeyringSourceError> {
    File::open(path).map_err(|error| KeyringSourceError::Unreadable { path: path.to_owned(), error })
}

/// All of the file, in a buffer that never grows: growing would leave copies behind.
pub(super) fn read(path: &Path, file: &File) -> Result<Zeroizing<String>, KeyringSourceError> {
    let unreadable = |error| KeyringSourceError::Unreadable { path: path.to_owned(), error };
    let mut bytes = Zeroizing::new(vec![0; MOST_BYTES]);
    let mut free = bytes.as_mut_slice();
    let mut file = file;
    loop {
        match file.read(free).map_err(unreadable)? {
            0 => break,
            count => free = free.get_mut(count..).unwrap_or_default(),
        }
    }
    let length = MOST_BYTES.saturating_sub(free.len());
    if length == MOST_BYTES {
        return Err(KeyringSourceError::TooLarge { path: path.to_owned(), most: MOST_BYTES });
    }
    bytes.truncate(length);
    let text = std::str::from_utf8(&bytes).map_err(|error| unreadable(std::io::Error::other(error)))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// As they are on the disk, without links and `..`.
fn lies_under(path: &Path, root: &Path) -> bool {
    match (path.canonicalize(), root.canonicalize()) {
        (Ok(path), Ok(root)) => path.starts_with(root),
        _ => false,
    }
}

/// Asks the open file, which can't be exchanged any more.
#[cfg(unix)]
fn refuse_exposed(path: &Path, file: &File) -> Result<(), KeyringSourceError> {
    use std::os::unix::fs::PermissionsExt as _;

    const OTHERS: u32 = 0o077;
    let metadata = file.metadata();
    let metadata =
        metadata.map_err(|error| KeyringSourceError::Unreadable { path: path.to_owned(), error })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS == 0 { Ok(()) } else { Err(KeyringSourceError::Exposed { path: path.to_owned(), mode }) }
}

/// Elsewhere permissions are not bits.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn refuse_exposed(_: &Path, _: &File) -> Result<(), KeyringSourceError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KEYRING: &str =
        r#"{"version":1,"current":"k","keys":{"k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}}"#;

    fn told(path: &Path, root: Option<&Path>) -> String {
        load(path, root).err().unwrap().to_string()
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused_unless_it_comes_with_the_function() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("task"), folder.path().join("keyring.json"));
        fs::create_dir(&inside).unwrap();
        for path in [&outside, &inside.join("keyring.json")] {
            fs::write(path, KEYRING).unwrap();
        }
        for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
            fs::set_permissions(&outside, fs::Permissions::from_mode(mode)).unwrap();
            let error = told(&outside, None);
            assert!(
                error.contains(&format!("mode is {mode:o}")) && error.contains("`chmod 600 /"),
                "{error}"
            );
            assert!(told(&inside.join("../keyring.json"), Some(&inside)).contains("chmod"));
            let there = inside.join("keyring.json");
            fs::set_permissions(&there, fs::Permissions::from_mode(mode)).unwrap();
            assert!(load(&there, Some(&inside)).is_ok());
            assert!(load(&there, Some(Path::new(""))).is_err());
        }
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(load(&outside, None).unwrap().current().unwrap().as_str(), "k");
    }

    #[test]
    fn what_is_no_keyring_is_told_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let root = Some(folder.path());
        let path = folder.path().join("keyring.json");
        assert!(told(&path, root).contains("can't read the keyring `/"));
        assert!(told(folder.path(), root).contains("can't read the keyring `/"));
        let larger = " ".repeat(MOST_BYTES);
        for (bytes, error) in [
            (larger.as_bytes(), "more than 65536 bytes"),
            (b"\xff", "can't read the keyring"),
            (b"{", "keyring.json`: the keyring is not JSON"),
        ] {
            fs::write(&path, bytes).unwrap();
            assert!(told(&path, root).contains(error), "{}", told(&path, root));
        }
    }
}
