//! Argon2id, for passwords that people choose, and Argon2i, for old password files.
//!
//! The text form is the PHC string `$argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<digest>`
//! of other tools.

use std::ops::RangeInclusive;

use ::argon2::{Algorithm, Params, Version};
use subtle::{Choice, ConstantTimeEq};

use super::{
    estimate::Estimate,
    text::{Encoding, VerifierError, at_most, decimal},
};

/// The cost of a new verifier: 19 MiB and 2 passes, as OWASP's password storage cheat sheet recommends.
const NEW_COST: Cost = Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
const NEW_DIGEST_BYTES: usize = 32;
/// The greatest cost. No function could check more in time.
const MAX_COST: Cost = Cost { memory_kib: 2 * 1024 * 1024, passes: 1_000, lanes: 64 };
const SALT_BYTES: RangeInclusive<usize> = 8..=64;
const DIGEST_BYTES: RangeInclusive<usize> = 16..=64;
const PARAMETERS: VerifierError =
    VerifierError::Parameters("`m=KIB,t=PASSES,p=LANES`, with at least 8 KiB a lane and 1 pass");

/// An Argon2 verifier.
#[derive(Clone, PartialEq, Eq)]
pub struct Argon2 {
    form: Form,
    cost: Cost,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

/// The variant. Argon2d is not for passwords.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `$argon2i$`.
    I,
    /// `$argon2id$`.
    Id,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Argon2 {
    pub(super) fn of_chosen(password: &[u8], salt: [u8; 16]) -> Result<Self, VerifierError> {
        let digest = digest(Form::Id, NEW_COST, &salt, password, NEW_DIGEST_BYTES);
        let digest = digest.ok_or(VerifierError::Memory)?;
        Ok(Self { form: Form::Id, cost: NEW_COST, salt: salt.to_vec(), digest })
    }

    /// Parses the fields after `$name$`.
    pub(super) fn parse(name: &str, fields: &[&str]) -> Result<Self, VerifierError> {
        let (Some(form), [version, cost, salt, digest]) = (Form::named(name), fields) else {
            return Err(VerifierError::Unknown);
        };
        if *version != "v=19" {
            return Err(VerifierError::Version);
        }
        Ok(Self {
            form,
            cost: Cost::parse(cost)?,
            salt: Encoding::Plain.decode("salt", salt, SALT_BYTES)?,
            digest: Encoding::Plain.decode("digest", digest, DIGEST_BYTES)?,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let (salt, digest) = (Encoding::Plain.encode(&self.salt), Encoding::Plain.encode(&self.digest));
        format!("${}$v=19$m={memory_kib},t={passes},p={lanes}${salt}${digest}", self.form.name())
    }

    pub(super) fn matches(&self, password: &[u8]) -> Choice {
        match digest(self.form, self.cost, &self.salt, password, self.digest.len()) {
            Some(digest) => digest.ct_eq(&self.digest),
            None => Choice::from(0),
        }
    }

    pub(super) fn estimate(&self) -> Estimate {
        Estimate::argon2(self.cost.memory_kib, self.cost.passes)
    }
}

impl Form {
    fn named(name: &str) -> Option<Self> {
        [Self::I, Self::Id].into_iter().find(|form| form.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::I => "argon2i",
            Self::Id => "argon2id",
        }
    }
}

impl Cost {
    fn parse(text: &str) -> Result<Self, VerifierError> {
        let mut fields = text.split(',');
        let mut field = |name: &str| {
            let value = fields.next().and_then(|field| field.strip_prefix(name));
            value.and_then(decimal).ok_or(PARAMETERS)
        };
        let cost = Self { memory_kib: field("m=")?, passes: field("t=")?, lanes: field("p=")? };
        if fields.next().is_some() {
            return Err(PARAMETERS);
        }
        at_most(MAX_COST.memory_kib, "`m`", cost.memory_kib)?;
        at_most(MAX_COST.passes, "`t`", cost.passes)?;
        at_most(MAX_COST.lanes, "`p`", cost.lanes)?;
        cost.params(NEW_DIGEST_BYTES).ok_or(PARAMETERS)?;
        Ok(cost)
    }

    fn params(self, digest_bytes: usize) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(digest_bytes)).ok()
    }
}

/// `None` when the memory for the hash can't be allocated, or the password is longer than Argon2 allows.
fn digest(form: Form, cost: Cost, salt: &[u8], password: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let algorithm = match form {
        Form::I => Algorithm::Argon2i,
        Form::Id => Algorithm::Argon2id,
    };
    let mut digest = vec![0; bytes];
    let argon2 = ::argon2::Argon2::new(algorithm, Version::V0x13, cost.params(bytes)?);
    argon2.hash_password_into(password, salt, &mut digest).ok()?;
    Some(digest)
}
