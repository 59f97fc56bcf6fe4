//! One AES-256 key.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use zeroize::Zeroizing;

use crate::{
    device_name::DeviceName,
    seal::{encoding, sealed_secret::TAG_BYTES},
};

const KEY_BYTES: usize = 32;

/// 32 bytes, wiped when dropped.
#[derive(Clone)]
pub(super) struct DataKey(Zeroizing<Vec<u8>>);

impl DataKey {
    /// A new key; none if there are no random numbers.
    pub(super) fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
        rand::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// A key written as base64, with or without padding.
    pub(super) fn parse(text: &str) -> Option<Self> {
        encoding::decode_lenient(text).filter(|bytes| bytes.len() == KEY_BYTES).map(Self)
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(encoding::encode(&self.0))
    }

    /// A random nonce, and the ciphertext with the tag behind it. None if there are no random numbers.
    pub(super) fn seal(&self, secret: &[u8], device: &DeviceName) -> Option<([u8; NONCE_LEN], Vec<u8>)> {
        // Room for the tag, so that nothing moves and leaves a copy of the secret behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(secret.len().checked_add(TAG_BYTES)?));
        sealed.extend_from_slice(secret);
        let nonce = self.cipher()?.seal_in_place_append_tag(associated(device), &mut *sealed).ok()?;
        Some((*nonce.as_ref(), std::mem::take(&mut *sealed)))
    }

    /// None if it isn't what was sealed with this key, this nonce and for this device.
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

    /// Made for each use, so that the key is kept once; AWS-LC wipes its own copy when it frees it.
    fn cipher(&self) -> Option<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0).ok()
    }
}

fn associated(device: &DeviceName) -> Aad<&[u8]> {
    Aad::from(device.as_str().as_bytes())
}
