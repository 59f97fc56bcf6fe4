//! How a record keeps a vendor's secret: sealed under a key, or in plain text.

use std::{
    iter,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use device_auth::{
    device_name::DeviceName,
    location::{ALLOW_PLAIN_SECRETS, DATA_KEYS, KeyringLocation},
    seal::{Keyring, SealedSecret},
};
use zeroize::Zeroizing;

use crate::{
    args::{KeyringArgs, SealingArgs},
    keyring_file,
};

/// How secrets are kept.
pub enum Sealing {
    /// Sealed under the current key of the keyring in this file.
    Sealed(Keyring, PathBuf),
    /// In plain text, as `--plain` asks for.
    Plain,
}

impl Sealing {
    /// Reads the options and the keyring.
    ///
    /// # Errors
    ///
    /// When there is no keyring. The message says how to make one.
    pub fn of(args: &SealingArgs) -> anyhow::Result<Self> {
        if args.plain {
            return Ok(Self::Plain);
        }
        let path = keyring_path(&args.keyring)?;
        let keyring = keyring_file::read(&path).context(
            "a vendor's secret is sealed under a key of a keyring; `--plain` keeps it in plain text",
        )?;
        Ok(Self::Sealed(keyring, path))
    }

    /// Seals a secret for a record.
    ///
    /// # Errors
    ///
    /// When the secret is empty or too long, or the operating system has no random numbers.
    pub fn seal(&self, secret: &[u8], device: &DeviceName) -> anyhow::Result<SealedSecret> {
        let text = match self {
            Self::Sealed(keyring, _) => Zeroizing::new(keyring.seal(secret, device)?),
            Self::Plain => plain(secret),
        };
        Ok(SealedSecret::try_from(text.as_str())?)
    }

    /// Describes it for a person.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::Sealed(keyring, path) => {
                let key = keyring.current().map(ToString::to_string).unwrap_or_default();
                format!("sealed under the key `{key}` of {}", path.display())
            }
            Self::Plain => {
                format!(
                    "in plain text, for everybody who can read the records; the function needs {ALLOW_PLAIN_SECRETS}=true"
                )
            }
        }
    }

    /// The id of the key. Plain text has none.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Sealed(keyring, _) => keyring.current().map(device_auth::seal::KeyId::as_str),
            Self::Plain => None,
        }
    }
}

/// The path of the keyring. The option accepts a path, or the function's setting `file:PATH`.
///
/// # Errors
///
/// When it names a keyring that KMS has encrypted: no command here calls KMS.
pub fn keyring_path(args: &KeyringArgs) -> anyhow::Result<PathBuf> {
    let text = args.keyring.as_str();
    match KeyringLocation::parse(text, Path::new("")) {
        Ok(KeyringLocation::File(path)) => Ok(path),
        Ok(KeyringLocation::Kms(_)) => bail!(
            "it is a keyring that only KMS opens; name the file from which it was made with `--keyring FILE`"
        ),
        Ok(KeyringLocation::None) | Err(_) => {
            let path = Some(text).filter(|text| !text.is_empty() && *text != "file:");
            path.map(PathBuf::from).with_context(|| format!("`--keyring` and {DATA_KEYS} name no file"))
        }
    }
}

/// The text in a buffer that never grows: growing would leave copies behind.
fn plain(secret: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(secret));
    let mut text = Zeroizing::new(String::with_capacity("$plain$".len().saturating_add(encoded.len())));
    text.extend(iter::once("$plain$").chain([encoded.as_str()]));
    text
}
