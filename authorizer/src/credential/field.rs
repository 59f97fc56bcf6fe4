//! The fields of a verifier's text form. Each has one spelling only, so that what is read is written as it was.

use std::ops::RangeInclusive;

use base64::{
    Engine as _, alphabet,
    engine::{
        GeneralPurpose,
        general_purpose::{NO_PAD, STANDARD, STANDARD_NO_PAD},
    },
};

use super::verifier_error::VerifierError;

const BCRYPT: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

/// How bytes are written.
#[derive(Clone, Copy)]
pub(crate) enum Encoding {
    /// Base64 without padding: PHC strings and our own forms.
    Plain,
    /// Base64 with padding: mosquitto.
    Padded,
    /// Base64 without padding in which `.` stands for `+`: passlib.
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

/// A number in decimal: digits alone, and no zero in front.
pub(super) fn decimal(text: &str) -> Option<u32> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}
