//! What can be wrong with the place that the keyring comes from.

use std::{io, path::PathBuf};

use crate::{config::DATA_KEYS, seal::keyring::KeyringError};

/// A setting that names no keyring. It is not quoted: somebody may have put the keyring itself there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it names no keyring; it should read `kms:PATH`, or `file:PATH` for development")]
pub struct NotASource;

/// Why there is no keyring. No message carries a key or what a file says.
#[derive(Debug, thiserror::Error)]
pub enum KeyringSourceError {
    /// The file can't be read.
    #[error("{DATA_KEYS}: can't read the keyring `{path}`: {error}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others than the file's owner can read or change it.
    #[error(
        "{DATA_KEYS}: others can read or change the keyring `{path}` (its mode is {mode:03o}), and with it every \
         secret; take that from them with `chmod 600 {path}`", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than any keyring.
    #[error("{DATA_KEYS}: `{path}` is not a keyring: it has more than {most} bytes", path = .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        most: usize,
    },
    /// The file, or what KMS has made of it, is no keyring.
    #[error("{DATA_KEYS}: `{path}`: {error}", path = .path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: KeyringError,
    },
    /// The file is not a keyring that KMS has encrypted.
    #[error(
        "{DATA_KEYS}: `{path}` should read `{{\"version\":1,\"kms_ciphertext\":\"BASE64\"}}`, with what KMS's \
         Encrypt gave for the keyring", path = .path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
    },
    /// The program can't call KMS.
    #[error(
        "{DATA_KEYS}: this program was built without the feature `kms`; build it with it, or use `file:PATH`"
    )]
    NoKms,
    /// KMS answers, and says no.
    #[error("{DATA_KEYS}: KMS doesn't decrypt the keyring `{path}` ({code}): {cure}", path = .path.display())]
    KmsRefused {
        /// The file.
        path: PathBuf,
        /// KMS's name of the error.
        code: String,
        /// What to do about it.
        cure: &'static str,
    },
    /// KMS doesn't answer.
    #[error(
        "{DATA_KEYS}: KMS doesn't answer ({reason}); does the function have a region, credentials and, inside a \
         VPC, a way to KMS?"
    )]
    KmsUnreachable {
        /// What the SDK says.
        reason: String,
    },
}
