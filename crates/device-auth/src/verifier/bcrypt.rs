//! Bcrypt, as other programs' password files have it: `$2b$<cost>$<salt><digest>`.
//!
//! Bcrypt hashes the password and the NUL byte behind it, and repeats them until 72 bytes are full. So
//! only a password's first 72 bytes count, and `a`, NUL, `a` would match where `a` does: a password with a NUL
//! byte never matches here. Programs in C can't have hashed one anyway, they stop at the NUL.

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{
    estimate::Estimate,
    text::{Encoding, VerifierError, at_most},
};

const MIN_COST: u32 = 4;
/// The format ends at 31, which takes a day.
const MAX_COST: u32 = 20;
const SALT_BYTES: usize = 16;
const SALT_CHARACTERS: usize = 22;
const DIGEST_BYTES: usize = 23;
/// How many of a password's bytes count, the NUL behind a shorter one included.
const KEY_BYTES: usize = 72;

/// A bcrypt verifier.
#[derive(Clone, PartialEq, Eq)]
pub struct Bcrypt {
    form: Form,
    cost: u32,
    salt: [u8; SALT_BYTES],
    digest: [u8; DIGEST_BYTES],
}

/// What names the form. All three mean the same today: they part the writers of old mistakes from the others,
/// and the mistakes are not repeated here (`$2x$` would be such a one).
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
    /// Parses the fields behind `$name$`.
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
        // The last of the 24 bytes has never been part of the text form.
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

/// Two digits.
fn parse_cost(text: &str) -> Result<u32, VerifierError> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let cost = text.parse().ok().filter(|cost| digits && *cost >= MIN_COST);
    let cost = cost.ok_or(VerifierError::Parameters("a cost of two digits, at least 04"))?;
    at_most(MAX_COST, "cost", cost)?;
    Ok(cost)
}
