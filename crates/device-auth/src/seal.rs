//! Vendor secrets, sealed: encrypted in records, opened when a record is loaded.
//!
//! A password is checked against a hash. A vendor's signature is checked with the device's own secret as the HMAC key, so
//! a record has to keep that secret: as AES-256-GCM under a key of the [`Keyring`], with the device's name as the
//! associated data. A sealed secret that is copied into another device's record doesn't open there.
//! [`SealedSecret`] is its text form.

mod data_key;
mod keyring;
mod sealed_secret;

pub use self::{
    data_key::{KeyId, KeyIdError},
    keyring::{Keyring, KeyringError, SealError},
    sealed_secret::{SECRET_BYTES, SealedSecret, SealedSecretError},
};
