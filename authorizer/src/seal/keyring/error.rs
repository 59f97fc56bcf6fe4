//! What can be wrong with a keyring or with a sealed secret. No message carries a key or a secret.

use crate::{
    config::{ALLOW_PLAIN_SECRETS, DATA_KEYS},
    seal::{
        key_id::{KeyId, KeyIdError},
        sealed_secret::SECRET_BYTES,
    },
};

/// Why there is no keyring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The text is not JSON.
    #[error("the keyring is not JSON: see line {line}, column {column}")]
    Syntax {
        /// The line, from 1 on.
        line: usize,
        /// The column, from 1 on.
        column: usize,
    },
    /// The text is JSON, but not a keyring.
    #[error(
        "the keyring should read `{{\"version\":1,\"current\":\"ID\",\"keys\":{{\"ID\":\"KEY\"}}}}`, each of the \
         three once, but does not at line {line}, column {column}"
    )]
    Shape {
        /// The line, from 1 on.
        line: usize,
        /// The column, from 1 on.
        column: usize,
    },
    /// Another version of the format.
    #[error("the keyring's version is {found}, this program reads {known}")]
    Version {
        /// What the file says.
        found: u32,
        /// What can be read.
        known: u32,
    },
    /// What `current` says can't be an id.
    #[error("the keyring's `current`: {0}")]
    CurrentId(KeyIdError),
    /// One of the ids can't be one.
    #[error("key {position} of the keyring: {error}")]
    Id {
        /// The how many-th key, from 1 on.
        position: usize,
        /// What is wrong.
        error: KeyIdError,
    },
    /// A key of another length, or not base64.
    #[error(
        "the keyring's key `{0}` is not the base64 of 32 bytes; `openssl rand -base64 32` makes such a key"
    )]
    Key(KeyId),
    /// Two keys of one id.
    #[error("the keyring has two keys `{0}`; each key needs an id of its own")]
    Doubled(KeyId),
    /// There is no key of the current id.
    #[error("the keyring's current key `{0}` is not among its keys; name one that is")]
    NoCurrent(KeyId),
    /// A new key can't have the id of another.
    #[error("the keyring has a key `{0}` already; give the new one another id")]
    Taken(KeyId),
    /// No key can be made.
    #[error("the operating system gives no random numbers to make a key of")]
    Randomness,
}

/// Why a secret can't be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// An empty secret, or one that is too long.
    #[error("a vendor secret should have {} to {} bytes", SECRET_BYTES.start(), SECRET_BYTES.end())]
    Length,
    /// The keyring is empty.
    #[error(
        "there is no key to seal with: make a keyring with `latchkey fleet keys new` and name it in {DATA_KEYS}"
    )]
    NoKey,
    /// No nonce can be made.
    #[error("the operating system gives no random numbers to seal with")]
    Randomness,
    /// The keyring has no key of that id.
    #[error(
        "the secret is sealed under the key `{0}`, which is not in the keyring that {DATA_KEYS} names: put the key \
         back into it, or give the device its secret anew"
    )]
    UnknownKey(KeyId),
    /// Something is not as it was when the secret was sealed: the key's bytes, the device's name, or the text.
    #[error(
        "the secret can't be opened with the key `{0}`: it was sealed for another device or with another key, or \
         is damaged; give the device its secret anew"
    )]
    Refused(KeyId),
    /// The secret stands in plain text, which nobody has allowed.
    #[error(
        "the secret stands in plain text (`$plain$`): seal it, or, where nobody else can read the records, set \
         {ALLOW_PLAIN_SECRETS}=true"
    )]
    PlainNotAllowed,
}
