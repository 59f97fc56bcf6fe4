//! Files with secrets, which are read only if no other user can read or change them.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// The largest file: some thousand keys. Without a limit, a wrong path could fill the memory.
pub const MAX_BYTES: usize = 65_536;

/// Why a file was not read. No message repeats its content.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// The file can't be read.
    #[error("can't read the {what} `{path}`: {error}", path = .path.display())]
    Unreadable {
        /// What the file should be: `keyring`, for example.
        what: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Users besides the file's owner can read or change it.
    #[error(
        "others can read or change the {what} `{path}` (its mode is {mode:03o}), and with it every secret; take that \
         from them with `chmod 600 {path}`", path = .path.display())]
    Exposed {
        /// What the file should be.
        what: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than [`MAX_BYTES`].
    #[error("`{path}` is not a {what}: it has more than {MAX_BYTES} bytes", path = .path.display())]
    TooLarge {
        /// What the file should be.
        what: &'static str,
        /// The path of the file.
        path: PathBuf,
    },
}

/// The users who may be able to read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Only its owner.
    Owner,
    /// Every user: the file has no secret.
    Everybody,
}

/// Reads a whole file of up to [`MAX_BYTES`] bytes of UTF-8; `what` names it in errors.
///
/// # Errors
///
/// When it can't be read, is too large, is not UTF-8, or can be read or changed by other users than `readers` allows.
pub fn read(
    path: &Path,
    what: &'static str,
    readers: Readers,
) -> Result<Zeroizing<String>, PrivateFileError> {
    let unreadable = |error| PrivateFileError::Unreadable { what, path: path.to_owned(), error };
    let mut file = File::open(path).map_err(unreadable)?;
    if readers == Readers::Owner {
        // The mode of the open file, because the path can lead to another file by now.
        let mode = mode(&file).map_err(unreadable)?;
        if mode & OTHERS != 0 {
            return Err(PrivateFileError::Exposed { what, path: path.to_owned(), mode });
        }
    }
    // A buffer that never grows: growing would leave copies of the secret.
    let mut bytes = Zeroizing::new(vec![0; MAX_BYTES]);
    let mut free = bytes.as_mut_slice();
    loop {
        match file.read(free).map_err(unreadable)? {
            0 => break,
            count => free = free.get_mut(count..).unwrap_or_default(),
        }
    }
    let length = MAX_BYTES.saturating_sub(free.len());
    if length == MAX_BYTES {
        return Err(PrivateFileError::TooLarge { what, path: path.to_owned() });
    }
    bytes.truncate(length);
    let text = std::str::from_utf8(&bytes).map_err(|error| unreadable(io::Error::other(error)))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The permission bits of all users but the owner.
const OTHERS: u32 = 0o077;

#[cfg(unix)]
fn mode(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;

    Ok(file.metadata()?.permissions().mode() & 0o777)
}

/// Other systems have no permission bits.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn mode(_: &File) -> io::Result<u32> {
    Ok(0)
}
