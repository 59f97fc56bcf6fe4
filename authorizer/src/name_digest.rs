//! The digest under which the log shows a name without a record, which may be a password in the wrong field.
//!
//! It is keyed, so that a reader of the log who has a list of likely passwords can't find the one that makes a digest.

use aws_lc_rs::{error::Unspecified, hmac, rand::SystemRandom};
use device_auth::device_name::DeviceName;

/// The fewest characters of a key: 190 bits where they are letters and digits.
pub const MIN_KEY_CHARACTERS: usize = 32;

/// Makes digests with one key. The same name has the same digest for as long as the key is the same.
#[derive(Debug)]
pub struct NameDigest(hmac::Key);

/// A text that can't be a key. It has no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has at least {MIN_KEY_CHARACTERS} characters, and this one has {0}")]
pub struct KeyTooShort(usize);

impl NameDigest {
    /// Digests with a key that nobody knows, for this process alone.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn random() -> Result<Self, Unspecified> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map(Self)
    }

    /// The first 16 hex digits of HMAC-SHA-256.
    #[must_use]
    pub fn of(&self, name: &DeviceName) -> String {
        let tag = hmac::sign(&self.0, name.as_str().as_bytes());
        hex::encode(tag.as_ref().get(..8).unwrap_or_default())
    }
}

impl TryFrom<&str> for NameDigest {
    type Error = KeyTooShort;

    fn try_from(key: &str) -> Result<Self, KeyTooShort> {
        match key.chars().count() {
            MIN_KEY_CHARACTERS.. => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))),
            characters => Err(KeyTooShort(characters)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdefghijklmnopqrstuv";

    fn digest(key: &str, name: &str) -> String {
        NameDigest::try_from(key).unwrap().of(&DeviceName::try_from(name).unwrap())
    }

    #[test]
    fn a_digest_depends_on_the_name_and_the_key() {
        let other = KEY.replace('0', "1");
        // Made with Python's hmac.
        assert_eq!(digest(KEY, "sht20-0001"), "77c11807e73ab844");
        assert_ne!(digest(KEY, "sht20-0001"), digest(KEY, "sht20-0002"));
        assert_ne!(digest(KEY, "sht20-0001"), digest(&other, "sht20-0001"));
    }

    #[test]
    fn a_random_key_is_another_one_each_time() {
        let name = DeviceName::try_from("sht20-0001").unwrap();
        let [one, other] = [(); 2].map(|()| NameDigest::random().unwrap());
        assert_eq!(one.of(&name), one.of(&name));
        assert_ne!(one.of(&name), other.of(&name));
    }

    #[test]
    fn a_short_key_is_refused_and_a_key_is_never_shown() {
        assert_eq!(NameDigest::try_from(KEY.get(1..).unwrap()).unwrap_err(), KeyTooShort(31));
        assert!(!format!("{:?}", NameDigest::try_from(KEY).unwrap()).contains("0123"));
    }
}
