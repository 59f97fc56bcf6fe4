//! What can be wrong with a verifier's text.

/// Why a text is not a [`Verifier`](super::verifier::Verifier). No message carries the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// None of the known text forms.
    #[error(
        "unknown verifier: it should be `$sha256$SALT$DIGEST` or `$argon2id$v=19$m=…,t=…,p=…$SALT$DIGEST`, \
         as `latchkey fleet add` writes it, or another of the forms in docs/records.md"
    )]
    Unknown,
    /// A field that is not written as its form wants it.
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
    /// A parameter that no function could carry out in time, whatever its memory.
    #[error(
        "the verifier's {parameter} should be at most {max}: more would never end in time; set the password anew \
         with `latchkey fleet add`"
    )]
    TooCostly {
        /// Which parameter.
        parameter: &'static str,
        /// The most that is taken.
        max: u32,
    },
    /// There was no memory to hash with.
    #[error("there is not enough memory to hash the password")]
    Memory,
}

/// Holds a parameter against the most that is taken.
pub(super) fn at_most(max: u32, parameter: &'static str, value: u32) -> Result<(), VerifierError> {
    if value > max { Err(VerifierError::TooCostly { parameter, max }) } else { Ok(()) }
}
