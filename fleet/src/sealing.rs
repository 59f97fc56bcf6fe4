//! How a vendor's secret gets into a record.

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

/// What is done to secrets before they are kept.
pub enum Sealing {
    /// They are sealed under the current key of the keyring in this file.
    Sealed(Keyring, PathBuf),
    /// Nothing: somebody has asked for that.
    Plain,
}

impl Sealing {
    /// As the options say.
    ///
    /// # Errors
    ///
    /// When there is no keyring; the message says how to make one.
    pub fn of(args: &SealingArgs) -> anyhow::Result<Self> {
        if args.plain {
            return Ok(Self::Plain);
        }
        let path = keyring_path(&args.keyring)?;
        let keyring = keyring_file::read(&path).context(
            "a vendor's secret is kept sealed, for which a keyring is needed; `--plain` keeps it as it is",
        )?;
        Ok(Self::Sealed(keyring, path))
    }

    /// Makes what a record keeps of a secret.
    ///
    /// # Errors
    ///
    /// When the secret is empty or too long, or there are no random numbers.
    pub fn seal(&self, secret: &[u8], device: &DeviceName) -> anyhow::Result<SealedSecret> {
        let text = match self {
            Self::Sealed(keyring, _) => Zeroizing::new(keyring.seal(secret, device)?),
            Self::Plain => plain(secret),
        };
        Ok(SealedSecret::try_from(text.as_str())?)
    }

    /// How that is told to a person.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Sealed(keyring, path) => {
                let key = keyring.current().map(ToString::to_string).unwrap_or_default();
                format!("sealed under the key `{key}` of {}", path.display())
            }
            Self::Plain => {
                format!(
                    "in plain text: whoever reads the records has it; the function needs {ALLOW_PLAIN_SECRETS}=true"
                )
            }
        }
    }

    /// The id of the key; none for plain text.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Sealed(keyring, _) => keyring.current().map(device_auth::seal::KeyId::as_str),
            Self::Plain => None,
        }
    }
}

/// The keyring's file, which may be written as the authorizer's setting has it.
///
/// # Errors
///
/// When KMS holds the keyring: nothing here asks KMS.
pub fn keyring_path(args: &KeyringArgs) -> anyhow::Result<PathBuf> {
    let text = args.keyring.as_str();
    match KeyringLocation::parse(text, Path::new("")) {
        Ok(KeyringLocation::File(path)) => Ok(path),
        Ok(KeyringLocation::Kms(_)) => bail!(
            "it is a keyring that only KMS opens; name the file that it was made of with `--keyring FILE`"
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
