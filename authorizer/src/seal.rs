//! Secrets that have to be recovered, sealed.
//!
//! A password is checked against a hash. A vendor's signature is checked with the device's own secret as the
//! HMAC key, so a record has to keep that secret: as AES-256-GCM under a key of the [`keyring`], with the
//! device's name as the associated data. A sealed secret that is copied into another device's record doesn't
//! open there. [`sealed_secret`] is its text form, and [`source`] says where the keyring comes from.

mod encoding;
pub mod key_id;
pub mod keyring;
pub mod sealed_secret;
pub mod source;

pub use self::{
    key_id::{KeyId, KeyIdError},
    keyring::{Keyring, KeyringError, SealError},
    sealed_secret::{SealedSecret, SealedSecretError},
    source::{KeyringSource, KeyringSourceError},
};
