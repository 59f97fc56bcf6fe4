//! Salted SHA-256 and SHA-512.
//!
//! This is for generated secrets: a secret of 256 random bits can't be guessed, so a slow hash would only cost time. The
//! other forms are for old password tables. A password that a person chose needs [`super::argon2`].

use std::ops::RangeInclusive;

use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::text::{Encoding, VerifierError};

const SALT_BYTES: RangeInclusive<usize> = 8..=64;

/// A digest over salt and password, in one of five text forms.
#[derive(Clone, PartialEq, Eq)]
pub struct SaltedSha2 {
    form: Form,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

/// A text form: the hash, the side of the salt, and the encoding of the fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `$sha256$<salt>$<digest>`: `SHA-256(salt, password)`.
    Sha256,
    /// `$sha256-suffix$<salt>$<digest>`: `SHA-256(password, salt)`.
    Sha256Suffix,
    /// `$sha512$<salt>$<digest>`: `SHA-512(salt, password)`.
    Sha512,
    /// `$sha512-suffix$<salt>$<digest>`: `SHA-512(password, salt)`.
    Sha512Suffix,
    /// mosquitto's `$6$<salt>$<digest>`: `SHA-512(password, salt)`. Not the `$6$` of crypt(3).
    Mosquitto,
}

impl SaltedSha2 {
    pub(super) fn of_generated(secret: &[u8], salt: [u8; 16]) -> Self {
        let form = Form::Sha256;
        Self { form, salt: salt.to_vec(), digest: form.digest(&salt, secret) }
    }

    /// Parses the fields after `$name$`.
    pub(super) fn parse(name: &str, fields: &[&str]) -> Result<Self, VerifierError> {
        let (Some(form), [salt, digest]) = (Form::named(name), fields) else {
            return Err(VerifierError::Unknown);
        };
        let encoding = form.encoding();
        Ok(Self {
            form,
            salt: encoding.decode("salt", salt, SALT_BYTES)?,
            digest: encoding.decode("digest", digest, form.digest_bytes())?,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let encoding = self.form.encoding();
        let (salt, digest) = (encoding.encode(&self.salt), encoding.encode(&self.digest));
        format!("${}${salt}${digest}", self.form.name())
    }

    pub(super) fn matches(&self, password: &[u8]) -> Choice {
        self.form.digest(&self.salt, password).ct_eq(&self.digest)
    }
}

impl Form {
    fn named(name: &str) -> Option<Self> {
        let all = [Self::Sha256, Self::Sha256Suffix, Self::Sha512, Self::Sha512Suffix, Self::Mosquitto];
        all.into_iter().find(|form| form.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha256Suffix => "sha256-suffix",
            Self::Sha512 => "sha512",
            Self::Sha512Suffix => "sha512-suffix",
            Self::Mosquitto => "6",
        }
    }

    fn encoding(self) -> Encoding {
        if self == Self::Mosquitto { Encoding::Padded } else { Encoding::Plain }
    }

    fn digest_bytes(self) -> RangeInclusive<usize> {
        match self {
            Self::Sha256 | Self::Sha256Suffix => 32..=32,
            Self::Sha512 | Self::Sha512Suffix | Self::Mosquitto => 64..=64,
        }
    }

    fn digest(self, salt: &[u8], password: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => hash::<Sha256>(salt, password),
            Self::Sha256Suffix => hash::<Sha256>(password, salt),
            Self::Sha512 => hash::<Sha512>(salt, password),
            Self::Sha512Suffix | Self::Mosquitto => hash::<Sha512>(password, salt),
        }
    }
}

fn hash<D: Digest>(first: &[u8], second: &[u8]) -> Vec<u8> {
    D::new().chain_update(first).chain_update(second).finalize().to_vec()
}
