//! What a record keeps instead of a password, and its text form.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use subtle::Choice;

use super::{argon2id::Argon2id, salted_sha256::SaltedSha256};
use crate::unix_time::UnixTime;

/// A way to tell the right password without knowing it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Verifier {
    /// For generated secrets.
    SaltedSha256(SaltedSha256),
    /// For chosen passwords.
    Argon2id(Argon2id),
}

/// A verifier with its own expiry: two of them let a device's password change without an outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveVerifier {
    /// The verifier's text form.
    #[serde(rename = "verifier")]
    pub verifier: Verifier,
    /// From this moment on it matches nothing. Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
}

/// Why a text is not a [`Verifier`]. No message carries the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// None of the known text forms.
    #[error(
        "unknown verifier: it should be `$sha256$SALT$DIGEST` or `$argon2id$v=19$m=…,t=…,p=…$SALT$DIGEST`, \
         as `latchkey fleet add` writes it"
    )]
    Unknown,
    /// A field that is not base64.
    #[error("the verifier's {0} is not base64 without padding")]
    Base64(&'static str),
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
    /// Argon2 parameters that can't be read or used.
    #[error(
        "the verifier's Argon2 parameters should read `m=KIB,t=PASSES,p=LANES`, with at least 8 KiB a lane"
    )]
    Cost,
    /// Argon2 parameters that would not finish in time or memory.
    #[error(
        "the verifier costs more than a Lambda can give: at most m={memory_kib},t={passes},p={lanes} is taken; \
         set the password anew with `latchkey fleet add`"
    )]
    TooCostly {
        /// Most memory, in KiB.
        memory_kib: u32,
        /// Most passes.
        passes: u32,
        /// Most lanes.
        lanes: u32,
    },
    /// There was no memory to hash with.
    #[error("there is not enough memory to hash the password")]
    Memory,
}

impl Verifier {
    /// Whether the password is the right one; the comparison is in constant time.
    #[must_use]
    pub fn matches(&self, password: &[u8]) -> Choice {
        match self {
            Self::SaltedSha256(verifier) => verifier.matches(password),
            Self::Argon2id(verifier) => verifier.matches(password),
        }
    }
}

impl LiveVerifier {
    /// Whether it may match anything at this moment.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.expires_at.is_none_or(|expires| now < expires)
    }
}

impl TryFrom<String> for Verifier {
    type Error = VerifierError;

    fn try_from(text: String) -> Result<Self, VerifierError> {
        match text.split('$').collect::<Vec<_>>().as_slice() {
            ["", "sha256", salt, digest] => SaltedSha256::from_fields(salt, digest).map(Self::SaltedSha256),
            ["", "argon2id", version, cost, salt, digest] => {
                Argon2id::from_fields(version, cost, salt, digest).map(Self::Argon2id)
            }
            _ => Err(VerifierError::Unknown),
        }
    }
}

impl From<Verifier> for String {
    fn from(verifier: Verifier) -> Self {
        match verifier {
            Verifier::SaltedSha256(verifier) => verifier.to_text(),
            Verifier::Argon2id(verifier) => verifier.to_text(),
        }
    }
}

impl fmt::Debug for Verifier {
    /// The kind alone: a salt and a digest are what an off-line guess needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SaltedSha256(_) => "SaltedSha256(…)",
            Self::Argon2id(_) => "Argon2id(…)",
        })
    }
}

pub(super) fn base64_field(name: &'static str, text: &str) -> Result<Vec<u8>, VerifierError> {
    STANDARD_NO_PAD.decode(text).map_err(|_| VerifierError::Base64(name))
}

pub(super) fn encode_field(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Verifier, VerifierError> {
        Verifier::try_from(text.to_owned())
    }

    fn accepts(text: &str, password: &[u8]) -> bool {
        parse(text).unwrap().matches(password).into()
    }

    // python3 -c 'import hashlib, base64; e = lambda b: base64.b64encode(b).decode().rstrip("=");
    //   s = bytes(range(16)); print(f"$sha256${e(s)}${e(hashlib.sha256(s + b"correct horse").digest())}")'
    const SHA256: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";
    // printf 'correct horse' | argon2 0123456789abcdef -id -t 2 -k 19456 -p 1 -e
    const ARGON2ID: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk";

    #[test]
    fn verifiers_of_other_tools_are_understood() {
        for text in [SHA256, ARGON2ID] {
            assert!(accepts(text, b"correct horse"), "{text}");
            for wrong in [&b""[..], b"correct horse\0", b"Correct horse", b"correct hors"] {
                assert!(!accepts(text, wrong), "{text}");
            }
        }
    }

    #[test]
    fn new_verifiers_survive_their_text_form() {
        let sha256 = Verifier::SaltedSha256(SaltedSha256::of(b"\xff\0secret", [7; 16]));
        let argon2id = Verifier::Argon2id(Argon2id::of(b"hunter2", [9; 16]).unwrap());
        for verifier in [sha256, argon2id] {
            assert_eq!(parse(&String::from(verifier.clone())).as_ref(), Ok(&verifier));
        }
    }

    #[test]
    fn damaged_verifiers_are_refused_with_their_fault() {
        let salt = "AAECAwQFBgcICQoLDA0ODw";
        let digest = "A".repeat(43);
        let cases = [
            (String::new(), VerifierError::Unknown),
            ("plain".to_owned(), VerifierError::Unknown),
            (format!("$SHA256${salt}${digest}"), VerifierError::Unknown),
            (format!("$sha256${salt}${digest}$"), VerifierError::Unknown),
            (format!("$sha256${salt}=={}", "$A"), VerifierError::Base64("salt")),
            (format!("$sha256$AAAA${digest}"), VerifierError::Length { field: "salt", min: 16, max: 64 }),
            (format!("$sha256${salt}$AAAA"), VerifierError::Length { field: "digest", min: 32, max: 32 }),
            (format!("$argon2id$v=16$m=8,t=1,p=1${salt}${digest}"), VerifierError::Version),
            (format!("$argon2id$v=19$m=8,t=1${salt}${digest}"), VerifierError::Cost),
            (format!("$argon2id$v=19$m=8,t=1,p=1,x=1${salt}${digest}"), VerifierError::Cost),
            (format!("$argon2id$v=19$m=8,t=0,p=1${salt}${digest}"), VerifierError::Cost),
            (format!("$argon2id$v=19$m=1,t=1,p=1${salt}${digest}"), VerifierError::Cost),
        ];
        for (text, error) in cases {
            assert_eq!(parse(&text), Err(error), "{text}");
        }
        let costly = parse(&format!("$argon2id$v=19$m=9999999,t=1,p=1${salt}${digest}"));
        assert!(matches!(costly, Err(VerifierError::TooCostly { .. })));
    }

    #[test]
    fn debug_tells_the_kind_alone() {
        assert_eq!(format!("{:?}", parse(SHA256).unwrap()), "SaltedSha256(…)");
    }
}
