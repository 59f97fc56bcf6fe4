//! Argon2id, for passwords that a person chose.
//!
//! The text form is the PHC string `$argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<digest>`
//! that other tools write too.

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::{Choice, ConstantTimeEq};

use super::verifier::{VerifierError, base64_field, encode_field};

/// What a new verifier costs: 19 MiB and 2 passes, as OWASP's password storage cheat sheet recommends.
pub const DEFAULT_COST: Cost = Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
/// The most a record may ask for: a Lambda has 5 s for the whole answer and, at its smallest, 128 MB.
const MAX_COST: Cost = Cost { memory_kib: 64 * 1024, passes: 8, lanes: 4 };
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
const DIGEST_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
const NEW_DIGEST_BYTES: usize = 32;

/// Argon2's three parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// An Argon2id verifier.
#[derive(Clone, PartialEq, Eq)]
pub struct Argon2id {
    cost: Cost,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

impl Argon2id {
    /// The verifier of a chosen password, at [`DEFAULT_COST`].
    ///
    /// # Errors
    ///
    /// When there is no memory for the hash.
    pub fn of(password: &[u8], salt: [u8; 16]) -> Result<Self, VerifierError> {
        let digest = digest(DEFAULT_COST, &salt, password, NEW_DIGEST_BYTES).ok_or(VerifierError::Memory)?;
        Ok(Self { cost: DEFAULT_COST, salt: salt.to_vec(), digest })
    }

    /// Parses the four fields behind `$argon2id$`.
    pub(super) fn from_fields(
        version: &str,
        cost: &str,
        salt: &str,
        digest: &str,
    ) -> Result<Self, VerifierError> {
        if version != "v=19" {
            return Err(VerifierError::Version);
        }
        let cost = Cost::parse(cost)?;
        let salt = base64_field("salt", salt)?;
        let digest = base64_field("digest", digest)?;
        for (field, bytes, range) in [("salt", &salt, SALT_BYTES), ("digest", &digest, DIGEST_BYTES)] {
            if !range.contains(&bytes.len()) {
                return Err(VerifierError::Length { field, min: *range.start(), max: *range.end() });
            }
        }
        Ok(Self { cost, salt, digest })
    }

    /// The text form, a PHC string.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let (salt, digest) = (encode_field(&self.salt), encode_field(&self.digest));
        format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${digest}")
    }

    /// Whether the password is the right one; the comparison is in constant time.
    #[must_use]
    pub fn matches(&self, password: &[u8]) -> Choice {
        match digest(self.cost, &self.salt, password, self.digest.len()) {
            Some(digest) => digest.ct_eq(&self.digest),
            None => Choice::from(0),
        }
    }
}

impl Cost {
    fn parse(text: &str) -> Result<Self, VerifierError> {
        let mut fields = text.split(',');
        let mut field = |name: &str| {
            let value = fields.next().and_then(|field| field.strip_prefix(name));
            value.and_then(|value| value.parse::<u32>().ok()).ok_or(VerifierError::Cost)
        };
        let cost = Self { memory_kib: field("m=")?, passes: field("t=")?, lanes: field("p=")? };
        if fields.next().is_some() {
            return Err(VerifierError::Cost);
        }
        if cost.memory_kib > MAX_COST.memory_kib
            || cost.passes > MAX_COST.passes
            || cost.lanes > MAX_COST.lanes
        {
            return Err(VerifierError::TooCostly {
                memory_kib: MAX_COST.memory_kib,
                passes: MAX_COST.passes,
                lanes: MAX_COST.lanes,
            });
        }
        cost.params(NEW_DIGEST_BYTES).ok_or(VerifierError::Cost)?;
        Ok(cost)
    }

    fn params(self, digest_bytes: usize) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(digest_bytes)).ok()
    }
}

/// `None` when there is no memory for the hash or the password is longer than Argon2 takes.
fn digest(cost: Cost, salt: &[u8], password: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut digest = vec![0; bytes];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params(bytes)?);
    argon2.hash_password_into(password, salt, &mut digest).ok()?;
    Some(digest)
}
