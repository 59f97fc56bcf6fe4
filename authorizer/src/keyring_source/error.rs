//! Why a keyring can't be loaded.

use std::path::PathBuf;

use cli::private_file::PrivateFileError;
use device_auth::{location::DATA_KEYS, seal::KeyringError};

/// Why a keyring can't be loaded. No message quotes a key or a file.
#[derive(Debug, thiserror::Error)]
pub enum KeyringSourceError {
    /// The file can't be read, or other users can read it.
    #[error("{DATA_KEYS}: {0}")]
    File(#[from] PrivateFileError),
    /// The file, or its plaintext from KMS, is not a keyring.
    #[error("{DATA_KEYS}: `{path}`: {error}", path = .path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: KeyringError,
    },
    /// The file is not a keyring that KMS has encrypted.
    #[error(
        "{DATA_KEYS}: `{path}` should read `{{\"version\":1,\"kms_ciphertext\":\"BASE64\"}}`, with the \
         ciphertext that KMS's Encrypt returned for the keyring", path = .path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
    },
    /// The program can't call KMS.
    #[error(
        "{DATA_KEYS}: this program was built without the feature `kms`; build it with `--features kms`, or use \
         `file:PATH`"
    )]
    NoKms,
    /// KMS refuses the call.
    #[error("{DATA_KEYS}: KMS doesn't decrypt the keyring `{path}` ({code}): {cure}", path = .path.display())]
    KmsRefused {
        /// The file.
        path: PathBuf,
        /// KMS's name of the error.
        code: String,
        /// How to fix it.
        cure: &'static str,
    },
    /// KMS does not answer.
    #[error(
        "{DATA_KEYS}: KMS doesn't answer ({reason}); the function needs a region, credentials and, in a VPC, an \
         endpoint for KMS"
    )]
    KmsUnreachable {
        /// What the SDK says.
        reason: String,
    },
}
