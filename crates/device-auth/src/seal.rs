//! Sealed secrets: secrets of vendors' devices, which are encrypted in records and decrypted when a record is loaded.
//!
//! A password is verified with a hash. A vendor's signature is verified with the device's own secret as the HMAC key, so the
//! record must contain that secret. It is sealed with AES-256-GCM under a key of the [`Keyring`], with the device's name as
//! the associated data: a sealed secret that is copied into another device's record does not open there.
//! [`SealedSecret`] is its text form.

mod data_key;
mod keyring;
mod sealed_secret;

pub use self::{
    data_key::{KeyId, KeyIdError},
    keyring::{Keyring, KeyringError, SealError},
    sealed_secret::{SECRET_BYTES, SealedSecret, SealedSecretError},
};
