//! What a key of the keyring is called.

use std::fmt;

use serde::{Deserialize, Serialize};

const MAX_BYTES: usize = 64;

/// A key's id: 1 to 64 bytes of `[A-Za-z0-9._-]`, `2026-11` for example. It stands in every secret that is
/// sealed under the key and is not secret itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

/// Why a text is not a [`KeyId`]. The text is not repeated: it may be a key that was put in the wrong place.
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
        let fits = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_plain() {
        for id in ["2026-11", "a", "A.b_c-9", "x".repeat(64).as_str()] {
            assert_eq!(KeyId::try_from(id).unwrap().as_str(), id);
        }
        for text in ["", "a b", "a$b", "a/b", "a+b", "é", "a\n", "x".repeat(65).as_str()] {
            assert_eq!(KeyId::try_from(text), Err(KeyIdError), "{text}");
        }
    }
}
