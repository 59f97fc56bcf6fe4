//! Where the keyring comes from.

mod error;
mod file;
#[cfg(feature = "kms")]
mod kms;

use std::path::{Path, PathBuf};

#[cfg(feature = "kms")]
use aws_config::SdkConfig;

pub use self::error::{KeyringSourceError, NotASource};
use super::keyring::Keyring;

/// What `LATCHKEY_DATA_KEYS` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyringSource {
    /// Nothing: there are no keys.
    None,
    /// `file:PATH`: the keyring itself, in a JSON file. For development.
    File(PathBuf),
    /// `kms:PATH`: the keyring as KMS has encrypted it, in a JSON file. For everything else.
    Kms(PathBuf),
}

impl KeyringSource {
    /// Reads `file:PATH` or `kms:PATH`. A relative path starts at the function's own folder, `root`.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn parse(text: &str, root: &Path) -> Result<Self, NotASource> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(root.join(path))),
            Some(("kms", path)) if !path.is_empty() => Ok(Self::Kms(root.join(path))),
            _ => Err(NotASource),
        }
    }

    /// The keyring in a file that its owner alone can read.
    ///
    /// # Errors
    ///
    /// When the file can't be read, is no keyring, or can be read by others.
    pub fn read_file(path: &Path) -> Result<Keyring, KeyringSourceError> {
        file::load(path, None)
    }

    /// The keyring. For `kms:PATH` this is one call of KMS, with what the environment says about AWS
    /// (`AWS_REGION`, credentials, `AWS_ENDPOINT_URL_KMS`).
    ///
    /// `root` is the function's own folder, if there is one (`LAMBDA_TASK_ROOT`). A keyring file in it may be
    /// readable by everybody: what is in a function's package is, and only the function sees it.
    ///
    /// # Errors
    ///
    /// When a file can't be read, is not what it should be or can be read by others, or KMS doesn't decrypt it.
    #[cfg_attr(not(feature = "kms"), expect(clippy::unused_async, reason = "KMS is what is waited for"))]
    pub async fn load(&self, root: Option<&Path>) -> Result<Keyring, KeyringSourceError> {
        match self {
            Self::None => Ok(Keyring::empty()),
            Self::File(path) => file::load(path, root),
            #[cfg(feature = "kms")]
            Self::Kms(path) => kms::load(path, &kms::environment().await).await,
            #[cfg(not(feature = "kms"))]
            Self::Kms(_) => Err(KeyringSourceError::NoKms),
        }
    }

    /// The same with the caller's own settings of AWS.
    ///
    /// # Errors
    ///
    /// As [`KeyringSource::load`].
    #[cfg(feature = "kms")]
    pub async fn load_with(
        &self,
        root: Option<&Path>,
        aws: &SdkConfig,
    ) -> Result<Keyring, KeyringSourceError> {
        match self {
            Self::Kms(path) => kms::load(path, aws).await,
            Self::None | Self::File(_) => self.load(root).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_kind_and_a_path() {
        let parse = |text| KeyringSource::parse(text, Path::new("/var/task"));
        assert_eq!(parse("file:k.json"), Ok(KeyringSource::File("/var/task/k.json".into())));
        assert_eq!(parse("kms:/k.json"), Ok(KeyringSource::Kms("/k.json".into())));
        for text in ["", "file:", "kms:", "keyring.json", "s3:k.json", "FILE:k.json"] {
            assert_eq!(parse(text), Err(NotASource));
        }
        assert_eq!(
            parse("k.json").unwrap_err().to_string(),
            "it names no keyring; it should read `kms:PATH`, or `file:PATH` for development"
        );
    }
}
