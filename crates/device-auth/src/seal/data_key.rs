//! An AES-256 key, its id, and base64 that leaves no copies in memory.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use base64::{
    Engine as _, alphabet, decoded_len_estimate,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{NO_PAD, STANDARD_NO_PAD},
    },
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::device_name::DeviceName;

/// The whole GCM tag; a shorter one is easier to forge.
pub(super) const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// A key of 32 bytes, which is wiped when dropped.
#[derive(Clone)]
pub(super) struct DataKey(Zeroizing<Vec<u8>>);

impl DataKey {
    /// A new key, or `None` if the operating system gives no random numbers.
    pub(super) fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
        rand::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// A key written as base64, with or without padding.
    pub(super) fn parse(text: &str) -> Option<Self> {
        decode_lenient(text).filter(|bytes| bytes.len() == KEY_BYTES).map(Self)
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(&self.0))
    }

    /// A random nonce, and the ciphertext followed by the tag. `None` if the operating system gives no random numbers.
    pub(super) fn seal(&self, secret: &[u8], device: &DeviceName) -> Option<([u8; NONCE_LEN], Vec<u8>)> {
        // Room for the tag, so that the buffer does not move and leave a copy of the secret.
        let mut sealed = Zeroizing::new(Vec::with_capacity(secret.len().checked_add(TAG_BYTES)?));
        sealed.extend_from_slice(secret);
        let nonce = self.cipher()?.seal_in_place_append_tag(associated(device), &mut *sealed).ok()?;
        Some((*nonce.as_ref(), std::mem::take(&mut *sealed)))
    }

    /// The secret; `None` if it was not sealed with this key and nonce for this device.
    pub(super) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        sealed: &[u8],
        device: &DeviceName,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = self.cipher()?.open_in_place(nonce, associated(device), &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }

    /// A cipher for one use, so that only one copy of the key stays in memory. AWS-LC wipes its copy when it frees it.
    fn cipher(&self) -> Option<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0).ok()
    }
}

fn associated(device: &DeviceName) -> Aad<&[u8]> {
    Aad::from(device.as_str().as_bytes())
}

const MAX_ID_BYTES: usize = 64;

/// A key's id: 1 to 64 bytes of `[A-Za-z0-9._-]`, `2026-11` for example. Every secret that is
/// sealed under the key contains the id. The id is not secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

/// Why a text is not a [`KeyId`]. The message does not quote the text, because it may be a key in the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key's id should be 1 to 64 characters out of `A-Z a-z 0-9 . _ -`, like `2026-11`")]
pub struct KeyIdError;

impl KeyId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: &str) -> Result<Self, KeyIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(KeyIdError) }
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> Result<Self, KeyIdError> {
        Self::try_from(text.as_str())
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Base64 that is written without padding and read with or without it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING_OR_NOT);
const PADDING_OR_NOT: GeneralPurposeConfig = NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Base64 without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Decodes base64 without padding, which has one text form for the same bytes.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    decode_with(&STANDARD_NO_PAD, text)
}

/// Decodes base64 with or without padding. `openssl rand -base64` and AWS's command line write padding.
pub(super) fn decode_lenient(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    decode_with(&LENIENT, text)
}

/// Decodes into a buffer that is wiped, also after an error in the middle of the text.
fn decode_with(engine: &GeneralPurpose, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; decoded_len_estimate(text.len())]);
    let length = engine.decode_slice(text, bytes.as_mut_slice()).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_id_is_short_and_plain() {
        for id in ["2026-11", "a", "A.b_c-9", "x".repeat(64).as_str()] {
            assert_eq!(KeyId::try_from(id).unwrap().as_str(), id);
        }
        for text in ["", "a b", "a$b", "a/b", "a+b", "é", "a\n", "x".repeat(65).as_str()] {
            assert_eq!(KeyId::try_from(text), Err(KeyIdError), "{text}");
        }
    }
}
