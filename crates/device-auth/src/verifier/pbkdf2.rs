//! PBKDF2, for other programs' password files.
//!
//! HMAC pads a key that is shorter than its block with NUL bytes. So to PBKDF2, a password and the same password with NUL
//! bytes at its end are equal. That is accepted: knowing one means knowing the other, and a device whose random password ends
//! with a NUL must be able to connect.

use std::ops::RangeInclusive;

use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::{
    estimate::Estimate,
    text::{Encoding, VerifierError, at_most, decimal},
};

/// The most iterations. With more, even the fastest hash would exceed the time of a connect.
const MAX_ITERATIONS: u32 = 10_000_000;
const SALT_BYTES: RangeInclusive<usize> = 8..=64;
const DIGEST_BYTES: RangeInclusive<usize> = 16..=64;
const PHC_PARAMETERS: VerifierError =
    VerifierError::Parameters("`i=ITERATIONS,l=BYTES`, with at least 1 iteration and the digest's length");
const ITERATIONS: VerifierError = VerifierError::Parameters("a number of iterations, at least 1");

/// A PBKDF2 verifier, in one of three text forms.
#[derive(Clone, PartialEq, Eq)]
pub struct Pbkdf2 {
    form: Form,
    hash: Hash,
    iterations: u32,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

/// The hash of the HMAC.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hash {
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// The text form of the parameters and fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `$pbkdf2-sha256$i=<iterations>,l=<bytes>$<salt>$<digest>`, and the same with `sha512`.
    Phc,
    /// `$pbkdf2-sha256$<rounds>$<salt>$<digest>`, and the same with `sha512`.
    Passlib,
    /// `$7$<iterations>$<salt>$<digest>`, with SHA-512.
    Mosquitto,
}

impl Pbkdf2 {
    /// Parses the fields after `$name$`.
    pub(super) fn parse(name: &str, fields: &[&str]) -> Result<Self, VerifierError> {
        let [parameters, salt, digest] = fields else { return Err(VerifierError::Unknown) };
        match name {
            "pbkdf2-sha256" => Self::phc_or_passlib(Hash::Sha256, parameters, (salt, digest)),
            "pbkdf2-sha512" => Self::phc_or_passlib(Hash::Sha512, parameters, (salt, digest)),
            "7" => {
                let iterations = decimal(parameters).ok_or(ITERATIONS)?;
                Self::new(Form::Mosquitto, Hash::Sha512, iterations, (salt, digest), 64..=64)
            }
            _ => Err(VerifierError::Unknown),
        }
    }

    /// A PHC string names its parameters; passlib writes only the number of rounds.
    fn phc_or_passlib(hash: Hash, parameters: &str, fields: (&str, &str)) -> Result<Self, VerifierError> {
        if parameters.contains('=') {
            let (iterations, bytes) = phc_parameters(parameters).ok_or(PHC_PARAMETERS)?;
            let verifier = Self::new(Form::Phc, hash, iterations, fields, DIGEST_BYTES)?;
            return if verifier.digest.len() == bytes { Ok(verifier) } else { Err(PHC_PARAMETERS) };
        }
        let iterations = decimal(parameters).ok_or(ITERATIONS)?;
        let bytes = hash.digest_bytes();
        Self::new(Form::Passlib, hash, iterations, fields, bytes..=bytes)
    }

    fn new(
        form: Form,
        hash: Hash,
        iterations: u32,
        (salt, digest): (&str, &str),
        digest_bytes: RangeInclusive<usize>,
    ) -> Result<Self, VerifierError> {
        if iterations == 0 {
            return Err(if form == Form::Phc { PHC_PARAMETERS } else { ITERATIONS });
        }
        at_most(MAX_ITERATIONS, "number of iterations", iterations)?;
        let salt = form.encoding().decode("salt", salt, SALT_BYTES)?;
        let digest = form.encoding().decode("digest", digest, digest_bytes)?;
        Ok(Self { form, hash, iterations, salt, digest })
    }

    pub(super) fn to_text(&self) -> String {
        let (iterations, encoding) = (self.iterations, self.form.encoding());
        let (salt, digest) = (encoding.encode(&self.salt), encoding.encode(&self.digest));
        let name = self.hash.name();
        match self.form {
            Form::Phc => format!("${name}$i={iterations},l={}${salt}${digest}", self.digest.len()),
            Form::Passlib => format!("${name}${iterations}${salt}${digest}"),
            Form::Mosquitto => format!("$7${iterations}${salt}${digest}"),
        }
    }

    pub(super) fn matches(&self, password: &[u8]) -> Choice {
        let mut digest = vec![0; self.digest.len()];
        let derive = match self.hash {
            Hash::Sha256 => ::pbkdf2::pbkdf2_hmac::<Sha256>,
            Hash::Sha512 => ::pbkdf2::pbkdf2_hmac::<Sha512>,
        };
        derive(password, &self.salt, self.iterations, &mut digest);
        digest.ct_eq(&self.digest)
    }

    pub(super) fn estimate(&self) -> Estimate {
        let parts = self.digest.len().div_ceil(self.hash.digest_bytes());
        match self.hash {
            Hash::Sha256 => Estimate::pbkdf2_sha256(self.iterations, parts),
            Hash::Sha512 => Estimate::pbkdf2_sha512(self.iterations, parts),
        }
    }
}

impl Form {
    fn encoding(self) -> Encoding {
        match self {
            Self::Phc => Encoding::Plain,
            Self::Passlib => Encoding::Adapted,
            Self::Mosquitto => Encoding::Padded,
        }
    }
}

impl Hash {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "pbkdf2-sha256",
            Self::Sha512 => "pbkdf2-sha512",
        }
    }

    fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The number of iterations and the digest's length.
fn phc_parameters(text: &str) -> Option<(u32, usize)> {
    let (iterations, length) = text.split_once(',')?;
    let iterations = decimal(iterations.strip_prefix("i=")?)?;
    let length = decimal(length.strip_prefix("l=")?)?;
    Some((iterations, usize::try_from(length).ok()?))
}
