//! What can be wrong with the place that the keyring comes from.

use std::path::PathBuf;

use cli::private_file::PrivateFileError;
use device_auth::{seal::KeyringError, variables::DATA_KEYS};

/// Why there is no keyring. No message carries a key or what a file says.
#[derive(Debug, thiserror::Error)]
pub enum KeyringSourceError {
    /// The file can't be read, or too many can read it.
    #[error("{DATA_KEYS}: {0}")]
    File(#[from] PrivateFileError),
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
