//! Verifiers for unknown names, so that an unknown name costs the same time as a known one.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest, Sha256};

use super::document::RecordDocument;
use crate::{
    device_name::DeviceName,
    record::Record,
    verifier::{
        LiveVerifier, Verifier, VerifierError,
        budget::{BudgetError, FunctionMemory},
        text::Encoding,
    },
};

/// The records' verifiers on a ring, ordered by their digests. The decoy of a name follows the name's own digest.
///
/// The digest of a record's verifiers is secret. A record that is added or removed changes the decoy of few names. So a
/// client can't recognise an unknown name by a time that changes with each change of the store.
pub struct Decoys {
    ring: BTreeMap<[u8; 32], Arc<[LiveVerifier]>>,
    /// The decoy of a store without records: the verifier of a secret that no device has.
    only: Arc<[LiveVerifier]>,
}

impl Decoys {
    /// The decoys that these records make.
    pub fn new<'r>(records: impl Iterator<Item = &'r Arc<Record>>) -> Self {
        let with_password = records.map(|record| record.proof.verifiers()).filter(|some| !some.is_empty());
        let ring = with_password.map(|verifiers| (digest_of(verifiers), Arc::from(verifiers)));
        Self { ring: ring.collect(), only: Self::of_no_records() }
    }

    /// The decoy of every name in a store without passwords.
    pub(super) fn of_no_records() -> Arc<[LiveVerifier]> {
        let only = Verifier::of_generated(b"no device has this", [0; 16]);
        Arc::from([LiveVerifier { verifier: only, expires_at: None }])
    }

    /// The verifiers that a name without a record is checked against.
    #[must_use]
    pub fn of(&self, name: &DeviceName) -> Arc<[LiveVerifier]> {
        let next = self.ring.range(position(name)..).next().or_else(|| self.ring.iter().next());
        Arc::clone(next.map_or(&self.only, |(_, verifiers)| verifiers))
    }
}

/// Where the decoy of a name is looked for on the ring.
pub(super) fn position(name: &DeviceName) -> [u8; 32] {
    Sha256::digest(name.as_str().as_bytes()).into()
}

/// Up to `most` records with verifiers, and their positions on a ring of their own: those with the lowest digests, so that a
/// record that is added or removed changes one of them at most. The positions follow from another digest, because the lowest
/// ones are close together.
pub(super) fn sample<'r>(
    records: impl Iterator<Item = &'r RecordDocument>,
    most: usize,
) -> BTreeMap<[u8; 32], &'r RecordDocument> {
    let mut lowest = BTreeMap::new();
    for record in records.filter(|record| !record.verifiers.is_empty()) {
        lowest.insert(digest_of(&record.verifiers), record);
        if lowest.len() > most {
            lowest.pop_last();
        }
    }
    lowest.into_iter().map(|(digest, record)| (Sha256::digest(digest).into(), record)).collect()
}

fn digest_of(verifiers: &[LiveVerifier]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for candidate in verifiers {
        digest.update(String::from(candidate.verifier.clone()));
    }
    digest.finalize().into()
}

/// The default: the verifier of a generated secret, which most devices have.
pub const DEFAULT: &str = "sha256";

/// Any salt and digest will do: the result of a check against a decoy is ignored.
const SALT: [u8; 16] = *b"for decoys alone";
const DIGEST: [u8; 64] = [0x5a; 64];
const BCRYPT_DIGEST_BYTES: usize = 23;

/// A verifier that no password matches, and whose check costs as much as that of a device's own.
///
/// Its text is a kind, `sha256` or `argon2id`, or a verifier without salt and digest: `$argon2id$v=19$m=19456,t=2,p=1`,
/// `$pbkdf2-sha256$i=600000,l=32`, `$2b$10`. It should be what the fleet's records have.
#[derive(Clone, Debug)]
pub struct DefaultVerifier(Arc<[LiveVerifier]>);

/// Why a text is not a [`DefaultVerifier`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefaultVerifierError {
    /// It names no kind of verifier.
    #[error(
        "`{0}` is not a kind of verifier; it should be `sha256`, `argon2id` or a verifier of docs/records.md without its \
         salt and digest, such as `$argon2id$v=19$m=19456,t=2,p=1`"
    )]
    Unknown(String),
    /// Its parameters are wrong.
    #[error("`{text}` is not the first part of a verifier: {error}")]
    Verifier {
        /// The text.
        text: String,
        /// What is wrong.
        error: VerifierError,
    },
    /// The function can't check such a verifier in time.
    #[error("`{text}`: {error}")]
    Budget {
        /// The text.
        text: String,
        /// What the function lacks.
        error: BudgetError,
    },
}

impl DefaultVerifier {
    /// Completes the verifier that `text` begins.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, or why a function with this memory can't check such a verifier in time.
    pub fn parse(text: &str, memory: FunctionMemory) -> Result<Self, DefaultVerifierError> {
        let beginning = match text {
            "sha256" => "$sha256",
            "argon2id" => "$argon2id$v=19$m=19456,t=2,p=1",
            other => other,
        };
        let verifier = Verifier::try_from(completed(beginning)?)
            .map_err(|error| DefaultVerifierError::Verifier { text: text.to_owned(), error })?;
        let decoy = [LiveVerifier { verifier, expires_at: None }];
        memory
            .check(&decoy)
            .map_err(|error| DefaultVerifierError::Budget { text: text.to_owned(), error })?;
        Ok(Self(Arc::from(decoy)))
    }

    /// The verifiers that an unknown device's password is checked against.
    #[must_use]
    pub fn decoy(&self) -> Arc<[LiveVerifier]> {
        Arc::clone(&self.0)
    }
}

/// `beginning` with salt and digest, each as its form writes them.
fn completed(beginning: &str) -> Result<String, DefaultVerifierError> {
    let mut fields = beginning.split('$');
    let (Some(""), Some(name), parameters) = (fields.next(), fields.next(), fields.collect::<Vec<_>>())
    else {
        return Err(DefaultVerifierError::Unknown(beginning.to_owned()));
    };
    let (salt, digest) = (&SALT, &DIGEST[..]);
    let first = |bytes: usize| digest.get(..bytes).unwrap_or(digest);
    let plain = |bytes: &[u8]| Encoding::Plain.encode(bytes);
    Ok(match (name, parameters.as_slice()) {
        ("sha256" | "sha256-suffix", []) | ("argon2i" | "argon2id", [_, _]) => {
            format!("{beginning}${}${}", plain(salt), plain(first(32)))
        }
        ("sha512" | "sha512-suffix", []) => format!("{beginning}${}${}", plain(salt), plain(digest)),
        ("pbkdf2-sha256" | "pbkdf2-sha512", [parameters]) => {
            let usual = if name == "pbkdf2-sha256" { 32 } else { DIGEST.len() };
            let length = parameters.rsplit_once("l=").and_then(|(_, length)| length.parse().ok());
            format!("{beginning}${}${}", plain(salt), plain(first(length.unwrap_or(usual))))
        }
        ("6", []) | ("7", [_]) => {
            format!("{beginning}${}${}", Encoding::Padded.encode(salt), Encoding::Padded.encode(digest))
        }
        ("2a" | "2b" | "2y", [_]) => {
            format!(
                "{beginning}${}{}",
                Encoding::Bcrypt.encode(salt),
                Encoding::Bcrypt.encode(first(BCRYPT_DIGEST_BYTES))
            )
        }
        _ => return Err(DefaultVerifierError::Unknown(beginning.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Verifier, String> {
        let verifier = DefaultVerifier::parse(text, FunctionMemory::WHOLE_CPU);
        verifier.map(|verifier| verifier.decoy()[0].verifier.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_can_be_the_default() {
        for (text, beginning) in [
            ("sha256", "$sha256$Zm9y"),
            ("argon2id", "$argon2id$v=19$m=19456,t=2,p=1$Zm9y"),
            ("$argon2id$v=19$m=8,t=1,p=1", "$argon2id$v=19$m=8,t=1,p=1$Zm9y"),
            ("$argon2i$v=19$m=8,t=1,p=1", "$argon2i$v=19$m=8,t=1,p=1$Zm9y"),
            ("$sha256-suffix", "$sha256-suffix$Zm9y"),
            ("$sha512", "$sha512$Zm9y"),
            ("$pbkdf2-sha256$i=600000,l=32", "$pbkdf2-sha256$i=600000,l=32$Zm9y"),
            ("$pbkdf2-sha256$29000", "$pbkdf2-sha256$29000$Zm9y"),
            ("$pbkdf2-sha512$i=2,l=64", "$pbkdf2-sha512$i=2,l=64$Zm9y"),
            ("$7$101", "$7$101$Zm9y"),
            ("$6", "$6$Zm9y"),
            ("$2b$10", "$2b$10$"),
        ] {
            let verifier = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(String::from(verifier.clone()).starts_with(beginning), "{text}");
            let of_device = parse(text).unwrap();
            assert_eq!(verifier.estimate(), of_device.estimate());
        }
    }

    #[test]
    fn cost_follows_from_the_text() {
        let estimate = |text| parse(text).unwrap().estimate();
        assert_eq!(estimate("argon2id").memory_kib, 19_456);
        assert!(estimate("$2b$11").time > estimate("$2b$10").time);
        let double = estimate("$pbkdf2-sha256$i=1000,l=64").time;
        assert_eq!(double, 2 * estimate("$pbkdf2-sha256$i=1000,l=32").time);
    }

    #[test]
    fn texts_without_a_kind_of_verifier_are_refused() {
        for (text, part) in [
            ("", "`` is not a kind of verifier; it should be `sha256`, `argon2id` or"),
            ("bcrypt", "`bcrypt` is not a kind"),
            ("$", "`$` is not a kind"),
            ("$5$", "is not a kind"),
            ("$2b", "is not a kind"),
            (
                "$2b$3",
                "`$2b$3` is not the first part of a verifier: the verifier's parameters should be a cost",
            ),
            ("$argon2id$v=16$m=8,t=1,p=1", "version should be `v=19`"),
            ("$argon2id$m=8,t=1,p=1", "is not a kind"),
            ("$pbkdf2-sha256$i=1,l=99", "is not the first part of a verifier"),
            ("$pbkdf2-sha256$x", "is not the first part of a verifier"),
            ("$2b$16", "`$2b$16`: checking its verifiers would take"),
            ("$sha256$AAAA$AAAA", "is not a kind"),
        ] {
            let error = parse(text).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
