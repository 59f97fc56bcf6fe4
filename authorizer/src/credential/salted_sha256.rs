//! Salted SHA-256, for secrets that a machine made.
//!
//! A generated secret has 256 bits; no number of guesses finds it, so a slow hash would only cost time.
//! A password that a person chose belongs to [`super::argon2id`].

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::verifier::{VerifierError, base64_field, encode_field};

/// The shortest salt that is taken, in bytes.
const MIN_SALT_BYTES: usize = 16;
/// The longest salt that is taken, in bytes.
const MAX_SALT_BYTES: usize = 64;
const DIGEST_BYTES: usize = 32;

/// `SHA-256(salt, password)`, written `$sha256$<salt>$<digest>` in base64 without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct SaltedSha256 {
    salt: Vec<u8>,
    digest: [u8; DIGEST_BYTES],
}

impl SaltedSha256 {
    /// The verifier of a generated secret.
    #[must_use]
    pub fn of(secret: &[u8], salt: [u8; MIN_SALT_BYTES]) -> Self {
        Self { salt: salt.to_vec(), digest: digest(&salt, secret) }
    }

    /// Parses the two fields behind `$sha256$`.
    pub(super) fn from_fields(salt: &str, digest: &str) -> Result<Self, VerifierError> {
        let salt = base64_field("salt", salt)?;
        if !(MIN_SALT_BYTES..=MAX_SALT_BYTES).contains(&salt.len()) {
            return Err(VerifierError::Length { field: "salt", min: MIN_SALT_BYTES, max: MAX_SALT_BYTES });
        }
        let digest = base64_field("digest", digest)?.try_into().map_err(|_| VerifierError::Length {
            field: "digest",
            min: DIGEST_BYTES,
            max: DIGEST_BYTES,
        })?;
        Ok(Self { salt, digest })
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("$sha256${}${}", encode_field(&self.salt), encode_field(&self.digest))
    }

    /// Whether the password is the right one, in constant time.
    #[must_use]
    pub fn matches(&self, password: &[u8]) -> Choice {
        digest(&self.salt, password).ct_eq(&self.digest)
    }
}

fn digest(salt: &[u8], password: &[u8]) -> [u8; DIGEST_BYTES] {
    Sha256::new().chain_update(salt).chain_update(password).finalize().into()
}
