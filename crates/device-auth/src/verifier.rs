//! Verifiers: what a record has instead of a password, and their text forms.

mod argon2;
mod bcrypt;
pub mod budget;
pub mod estimate;
mod pbkdf2;
mod salted_sha2;
pub(crate) mod text;

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::Choice;

pub use self::text::VerifierError;
use self::{argon2::Argon2, bcrypt::Bcrypt, estimate::Estimate, pbkdf2::Pbkdf2, salted_sha2::SaltedSha2};
use crate::time::UnixTime;

/// A hash that shows whether a password is the right one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Verifier {
    /// For generated secrets, and for old password tables.
    SaltedSha2(SaltedSha2),
    /// For passwords that people choose.
    Argon2(Argon2),
    /// From another program's password file, for example passlib's.
    Pbkdf2(Pbkdf2),
    /// From another program's password file.
    Bcrypt(Bcrypt),
}

/// A verifier with its own expiry. With two of them a device's password can change without an outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `verifier`, and `expires_at` if it has an end")]
pub struct LiveVerifier {
    /// The verifier's text form.
    #[serde(rename = "verifier")]
    pub verifier: Verifier,
    /// The time from which it matches nothing. Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
}

impl Verifier {
    /// The verifier of a secret of 256 random bits: salted SHA-256.
    #[must_use]
    pub fn of_generated(secret: &[u8], salt: [u8; 16]) -> Self {
        Self::SaltedSha2(SaltedSha2::of_generated(secret, salt))
    }

    /// The verifier of a password that a person chose: Argon2id.
    ///
    /// # Errors
    ///
    /// When the memory for the hash can't be allocated.
    pub fn of_chosen(password: &[u8], salt: [u8; 16]) -> Result<Self, VerifierError> {
        Argon2::of_chosen(password, salt).map(Self::Argon2)
    }

    /// Whether the password is the right one; the comparison is in constant time.
    #[must_use]
    pub fn matches(&self, password: &[u8]) -> Choice {
        match self {
            Self::SaltedSha2(verifier) => verifier.matches(password),
            Self::Argon2(verifier) => verifier.matches(password),
            Self::Pbkdf2(verifier) => verifier.matches(password),
            Self::Bcrypt(verifier) => verifier.matches(password),
        }
    }

    /// The cost of one check.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        match self {
            Self::SaltedSha2(_) => Estimate::salted_sha2(),
            Self::Argon2(verifier) => verifier.estimate(),
            Self::Pbkdf2(verifier) => verifier.estimate(),
            Self::Bcrypt(verifier) => verifier.estimate(),
        }
    }
}

impl LiveVerifier {
    /// Whether it has not expired.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.expires_at.is_none_or(|expires| now < expires)
    }
}

impl TryFrom<String> for Verifier {
    type Error = VerifierError;

    fn try_from(text: String) -> Result<Self, VerifierError> {
        let named = text.strip_prefix('$').and_then(|text| text.split_once('$'));
        let (name, fields) = named.ok_or(VerifierError::Unknown)?;
        let fields = fields.split('$').collect::<Vec<_>>();
        match name {
            "sha256" | "sha256-suffix" | "sha512" | "sha512-suffix" | "6" => {
                SaltedSha2::parse(name, &fields).map(Self::SaltedSha2)
            }
            "argon2i" | "argon2id" => Argon2::parse(name, &fields).map(Self::Argon2),
            "pbkdf2-sha256" | "pbkdf2-sha512" | "7" => Pbkdf2::parse(name, &fields).map(Self::Pbkdf2),
            "2a" | "2b" | "2y" => Bcrypt::parse(name, &fields).map(Self::Bcrypt),
            _ => Err(VerifierError::Unknown),
        }
    }
}

impl From<Verifier> for String {
    fn from(verifier: Verifier) -> Self {
        match verifier {
            Verifier::SaltedSha2(verifier) => verifier.to_text(),
            Verifier::Argon2(verifier) => verifier.to_text(),
            Verifier::Pbkdf2(verifier) => verifier.to_text(),
            Verifier::Bcrypt(verifier) => verifier.to_text(),
        }
    }
}

impl fmt::Debug for Verifier {
    /// Shows only the kind: salt and digest would allow off-line guesses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SaltedSha2(_) => "SaltedSha2(…)",
            Self::Argon2(_) => "Argon2(…)",
            Self::Pbkdf2(_) => "Pbkdf2(…)",
            Self::Bcrypt(_) => "Bcrypt(…)",
        })
    }
}
