//! The fields of a verifier's text form. Each has one text form, so that what is read is written as it was.

use std::ops::RangeInclusive;

use base64::{
    Engine as _, alphabet,
    engine::{
        GeneralPurpose,
        general_purpose::{NO_PAD, STANDARD, STANDARD_NO_PAD},
    },
};

const BCRYPT: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

/// How bytes are written as text.
#[derive(Clone, Copy)]
pub(crate) enum Encoding {
    /// Base64 without padding: PHC strings and our own forms.
    Plain,
    /// Base64 with padding: mosquitto.
    Padded,
    /// Base64 without padding and with `.` for `+`: passlib.
    Adapted,
    /// Bcrypt's own alphabet.
    Bcrypt,
}

impl Encoding {
    /// The bytes of `text`, if their number is in `lengths`.
    pub(super) fn decode(
        self,
        field: &'static str,
        text: &str,
        lengths: RangeInclusive<usize>,
    ) -> Result<Vec<u8>, VerifierError> {
        let bytes = match self {
            Self::Plain => STANDARD_NO_PAD.decode(text).ok(),
            Self::Padded => STANDARD.decode(text).ok(),
            Self::Adapted if text.contains('+') => None,
            Self::Adapted => STANDARD_NO_PAD.decode(text.replace('.', "+")).ok(),
            Self::Bcrypt => BCRYPT.decode(text).ok(),
        };
        let bytes = bytes.ok_or(VerifierError::Encoding { field, encoding: self.name() })?;
        if !lengths.contains(&bytes.len()) {
            return Err(VerifierError::Length { field, min: *lengths.start(), max: *lengths.end() });
        }
        Ok(bytes)
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Plain => STANDARD_NO_PAD.encode(bytes),
            Self::Padded => STANDARD.encode(bytes),
            Self::Adapted => STANDARD_NO_PAD.encode(bytes).replace('+', "."),
            Self::Bcrypt => BCRYPT.encode(bytes),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "base64 without padding",
            Self::Padded => "base64 with padding, as `mosquitto_passwd` writes it",
            Self::Adapted => "base64 without padding and with `.` for `+`, as passlib writes it",
            Self::Bcrypt => "22 and 31 characters of bcrypt's base64",
        }
    }
}

/// A number in decimal: only digits, and no leading zero.
pub(super) fn decimal(text: &str) -> Option<u32> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}

/// Why a text is not a [`Verifier`](super::Verifier). No message quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// None of the known text forms.
    #[error(
        "unknown verifier: it should be `$sha256$SALT$DIGEST` or `$argon2id$v=19$m=…,t=…,p=…$SALT$DIGEST`, \
         as `latchkey fleet add` writes it, or another of the forms in docs/records.md"
    )]
    Unknown,
    /// A field is not in the encoding of its form.
    #[error("the verifier's {field} is not {encoding}")]
    Encoding {
        /// Which field.
        field: &'static str,
        /// What it should be.
        encoding: &'static str,
    },
    /// A field that is too short or too long.
    #[error("the verifier's {field} should have {min} to {max} bytes")]
    Length {
        /// Which field.
        field: &'static str,
        /// Fewest bytes.
        min: usize,
        /// Most bytes.
        max: usize,
    },
    /// Another version of Argon2.
    #[error("the verifier's Argon2 version should be `v=19`")]
    Version,
    /// Parameters that can't be read or used.
    #[error("the verifier's parameters should be {0}")]
    Parameters(&'static str),
    /// A parameter that no function could check in time, whatever its memory.
    #[error(
        "the verifier's {parameter} should be at most {max}: more can't be checked in time; set a new password \
         with `latchkey fleet add`"
    )]
    TooCostly {
        /// Which parameter.
        parameter: &'static str,
        /// The greatest value that is accepted.
        max: u32,
    },
    /// The memory for the hash can't be allocated.
    #[error("there is not enough memory to hash the password")]
    Memory,
}

/// Checks a parameter against its greatest value.
pub(super) fn at_most(max: u32, parameter: &'static str, value: u32) -> Result<(), VerifierError> {
    if value > max { Err(VerifierError::TooCostly { parameter, max }) } else { Ok(()) }
}
