//! The keys that secrets are sealed under.

mod data_key;
mod document;
mod error;

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use self::data_key::DataKey;
pub use self::error::{KeyringError, SealError};
use super::{
    key_id::KeyId,
    sealed_secret::{Form, SECRET_BYTES, SealedSecret},
};
use crate::device_name::DeviceName;

/// AES-256 keys by id. New secrets are sealed under the current one, and the others still open what they sealed.
///
/// No `Debug`; the keys are wiped when it is dropped.
#[derive(Clone)]
pub struct Keyring {
    keys: BTreeMap<KeyId, DataKey>,
    /// One of `keys`; none if there are none.
    current: Option<KeyId>,
    plain_allowed: bool,
}

impl Keyring {
    /// A keyring without keys: it opens nothing that is sealed, and seals nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self { keys: BTreeMap::new(), current: None, plain_allowed: false }
    }

    /// Reads `{"version":1,"current":"2026-11","keys":{"2026-11":"…","2025-01":"…"}}`, in which each key is the
    /// base64 of 32 bytes, with or without padding.
    ///
    /// # Errors
    ///
    /// What is wrong and where, without a word of the text but its ids.
    pub fn parse(json: &str) -> Result<Self, KeyringError> {
        let (current, keys) = document::parse(json)?;
        Ok(Self { keys, current: Some(current), plain_allowed: false })
    }

    /// The same keyring, which now also takes secrets that stand in plain text.
    #[must_use]
    pub fn allow_plain(self) -> Self {
        Self { plain_allowed: true, ..self }
    }

    /// A keyring with one new key.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random numbers.
    pub fn generate(id: KeyId) -> Result<Self, KeyringError> {
        Self::empty().rotate(id)
    }

    /// The same keyring with one more key, a new one, which is the current one from now on.
    ///
    /// # Errors
    ///
    /// When there is a key of that id already, or the operating system gives no random numbers.
    pub fn rotate(&self, id: KeyId) -> Result<Self, KeyringError> {
        if self.keys.contains_key(&id) {
            return Err(KeyringError::Taken(id));
        }
        let mut rotated = self.clone();
        rotated.keys.insert(id.clone(), DataKey::generate().ok_or(KeyringError::Randomness)?);
        rotated.current = Some(id);
        Ok(rotated)
    }

    /// What [`Keyring::parse`] reads, on one line; none for a keyring without keys.
    #[must_use]
    pub fn to_json(&self) -> Option<Zeroizing<String>> {
        self.current.as_ref().map(|current| document::to_json(current, &self.keys))
    }

    /// The ids of all keys, in order.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.keys()
    }

    /// The id of the key that new secrets are sealed under.
    #[must_use]
    pub fn current(&self) -> Option<&KeyId> {
        self.current.as_ref()
    }

    /// Seals a secret of 1 to 256 bytes for one device under the current key: the text form of a
    /// [`SealedSecret`].
    ///
    /// The nonce is 96 random bits (NIST SP 800-38D, 8.2.2), which is good for 2^32 secrets under one key.
    ///
    /// # Errors
    ///
    /// When the secret is empty or too long, there is no key, or the operating system gives no random numbers.
    pub fn seal(&self, secret: &[u8], device: &DeviceName) -> Result<String, SealError> {
        if !SECRET_BYTES.contains(&secret.len()) {
            return Err(SealError::Length);
        }
        let current = self.current.as_ref().and_then(|id| self.keys.get_key_value(id));
        let (id, key) = current.ok_or(SealError::NoKey)?;
        let (nonce, sealed) = key.seal(secret, device).ok_or(SealError::Randomness)?;
        Ok(SealedSecret(Form::Aes256Gcm { key: id.clone(), nonce, sealed }).into())
    }

    /// Opens what was sealed for this device; what stands in plain text only after [`Keyring::allow_plain`].
    ///
    /// # Errors
    ///
    /// When its key is not in the keyring, it wasn't sealed for this device or is damaged, or it stands in plain
    /// text and must not.
    pub fn open(&self, sealed: &SealedSecret, device: &DeviceName) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match &sealed.0 {
            Form::Plain(secret) if self.plain_allowed => Ok(secret.clone()),
            Form::Plain(_) => Err(SealError::PlainNotAllowed),
            Form::Aes256Gcm { key: id, nonce, sealed } => {
                let key = self.keys.get(id).ok_or_else(|| SealError::UnknownKey(id.clone()))?;
                key.open(*nonce, sealed, device).ok_or_else(|| SealError::Refused(id.clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
