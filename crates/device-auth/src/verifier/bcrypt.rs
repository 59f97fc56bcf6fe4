//! Bcrypt, for other programs' password files: `$2b$<cost>$<salt><digest>`.
//!
//! Bcrypt hashes the password and a NUL byte after it, repeated to 72 bytes. So only the first 72 bytes of a password count,
//! and `a`, NUL, `a` would match the verifier of `a`. Therefore a password with a NUL byte never matches here. Programs in C
//! can't have hashed one, because they stop at the NUL.

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{
    estimate::Estimate,
    text::{Encoding, VerifierError, at_most},
};

const MIN_COST: u32 = 4;
/// The greatest cost. The format allows 31, which would last a day.
const MAX_COST: u32 = 20;
const SALT_BYTES: usize = 16;
const SALT_CHARACTERS: usize = 22;
const DIGEST_BYTES: usize = 23;
/// The number of bytes that are hashed, the NUL after a shorter password included.
const KEY_BYTES: usize = 72;

/// A bcrypt verifier.
#[derive(Clone, PartialEq, Eq)]
pub struct Bcrypt {
    form: Form,
    cost: u32,
    salt: [u8; SALT_BYTES],
    digest: [u8; DIGEST_BYTES],
}

/// The name of the form. All three have the same meaning today. Old ones marked implementations with a mistake; the mistakes
/// are not supported here (`$2x$` would be one).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `$2a$`.
    A,
    /// `$2b$`.
    B,
    /// `$2y$`.
    Y,
}

impl Bcrypt {
    /// Parses the fields after `$name$`.
    pub(super) fn parse(name: &str, fields: &[&str]) -> Result<Self, VerifierError> {
        let (Some(form), [cost, tail]) = (Form::named(name), fields) else {
            return Err(VerifierError::Unknown);
        };
        let cost = parse_cost(cost)?;
        let wrong = |field, bytes| move |_: Vec<u8>| VerifierError::Length { field, min: bytes, max: bytes };
        let (salt, digest) = tail.split_at_checked(SALT_CHARACTERS).unwrap_or((tail, ""));
        let salt = Encoding::Bcrypt.decode("salt", salt, SALT_BYTES..=SALT_BYTES)?;
        let digest = Encoding::Bcrypt.decode("digest", digest, DIGEST_BYTES..=DIGEST_BYTES)?;
        Ok(Self {
            form,
            cost,
            salt: salt.try_into().map_err(wrong("salt", SALT_BYTES))?,
            digest: digest.try_into().map_err(wrong("digest", DIGEST_BYTES))?,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let (salt, digest) = (Encoding::Bcrypt.encode(&self.salt), Encoding::Bcrypt.encode(&self.digest));
        format!("${}${:02}${salt}{digest}", self.form.name(), self.cost)
    }

    pub(super) fn matches(&self, password: &[u8]) -> Choice {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        for (place, byte) in key.iter_mut().zip(password) {
            *place = *byte;
        }
        let used = password.len().saturating_add(1).min(KEY_BYTES);
        let hash = ::bcrypt::bcrypt(self.cost, self.salt, key.get(..used).unwrap_or(key.as_slice()));
        // The last of the 24 bytes is not part of the text form.
        let digest = hash.get(..DIGEST_BYTES).unwrap_or_default();
        let has_nul = Choice::from(u8::from(password.contains(&0)));
        digest.ct_eq(&self.digest) & !has_nul
    }

    pub(super) fn estimate(&self) -> Estimate {
        Estimate::bcrypt(self.cost)
    }
}

impl Form {
    fn named(name: &str) -> Option<Self> {
        [Self::A, Self::B, Self::Y].into_iter().find(|form| form.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::A => "2a",
            Self::B => "2b",
            Self::Y => "2y",
        }
    }
}

/// Parses a cost, which is written with two digits.
fn parse_cost(text: &str) -> Result<u32, VerifierError> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let cost = text.parse().ok().filter(|cost| digits && *cost >= MIN_COST);
    let cost = cost.ok_or(VerifierError::Parameters("a cost of two digits, at least 04"))?;
    at_most(MAX_COST, "cost", cost)?;
    Ok(cost)
}
