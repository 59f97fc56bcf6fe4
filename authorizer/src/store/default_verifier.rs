//! The verifier that stands in for devices that don't exist, where a store can't take another record's.

use std::sync::Arc;

use crate::credential::{
    budget::FunctionMemory,
    field::Encoding,
    verifier::{LiveVerifier, Verifier},
};

/// What most of a fleet has: verifiers of generated secrets.
pub const DEFAULT: &str = "sha256";

/// Nobody looks for a password that fits: what a check against a decoy says is thrown away.
const SALT: [u8; 16] = *b"for nobody, ever";
const DIGEST: [u8; 64] = [0x5a; 64];
const BCRYPT_DIGEST_BYTES: usize = 23;

/// A verifier that no password matches and that takes as long to check as a device's own.
///
/// Its text is a kind, `sha256` or `argon2id`, or a verifier without salt and digest: `$argon2id$v=19$m=19456,t=2,p=1`,
/// `$pbkdf2-sha256$i=600000,l=32`, `$2b$10`. It should be what the fleet's records have.
#[derive(Clone, Debug)]
pub struct DefaultVerifier(Arc<[LiveVerifier]>);

impl DefaultVerifier {
    /// Completes the verifier that `text` begins.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, or why a function with this memory can't check such a verifier in time.
    pub fn parse(text: &str, memory: FunctionMemory) -> Result<Self, String> {
        let beginning = match text {
            "sha256" => "$sha256",
            "argon2id" => "$argon2id$v=19$m=19456,t=2,p=1",
            other => other,
        };
        let verifier = Verifier::try_from(completed(beginning)?);
        let verifier =
            verifier.map_err(|error| format!("`{text}` is no beginning of a verifier: {error}"))?;
        let decoy = [LiveVerifier { verifier, expires_at: None }];
        memory.check(&decoy).map_err(|error| format!("`{text}`: {error}"))?;
        Ok(Self(Arc::from(decoy)))
    }

    /// What an unknown device's password is checked against.
    #[must_use]
    pub fn decoy(&self) -> Arc<[LiveVerifier]> {
        Arc::clone(&self.0)
    }
}

/// `beginning` with salt and digest, each as its form writes them.
fn completed(beginning: &str) -> Result<String, String> {
    let mut fields = beginning.split('$');
    let (Some(""), Some(name), parameters) = (fields.next(), fields.next(), fields.collect::<Vec<_>>())
    else {
        return Err(not_known(beginning));
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
        _ => return Err(not_known(beginning)),
    })
}

fn not_known(text: &str) -> String {
    format!(
        "`{text}` is not a kind of verifier; it should be `sha256`, `argon2id` or a verifier of docs/records.md \
         without its salt and digest, such as `$argon2id$v=19$m=19456,t=2,p=1`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Verifier, String> {
        let verifier = DefaultVerifier::parse(text, FunctionMemory::WHOLE_CPU)?;
        Ok(verifier.decoy()[0].verifier.clone())
    }

    #[test]
    fn every_form_can_stand_in() {
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
    fn it_costs_what_its_text_says() {
        let estimate = |text| parse(text).unwrap().estimate();
        assert_eq!(estimate("argon2id").memory_kib, 19_456);
        assert!(estimate("$2b$11").time > estimate("$2b$10").time);
        let twice = estimate("$pbkdf2-sha256$i=1000,l=64").time;
        assert_eq!(twice, 2 * estimate("$pbkdf2-sha256$i=1000,l=32").time);
    }

    #[test]
    fn what_is_none_is_told() {
        for (text, part) in [
            ("", "`` is not a kind of verifier; it should be `sha256`, `argon2id` or"),
            ("bcrypt", "`bcrypt` is not a kind"),
            ("$", "`$` is not a kind"),
            ("$5$", "is not a kind"),
            ("$2b", "is not a kind"),
            ("$2b$3", "`$2b$3` is no beginning of a verifier: the verifier's parameters should be a cost"),
            ("$argon2id$v=16$m=8,t=1,p=1", "version should be `v=19`"),
            ("$argon2id$m=8,t=1,p=1", "is not a kind"),
            ("$pbkdf2-sha256$i=1,l=99", "is no beginning of a verifier"),
            ("$pbkdf2-sha256$x", "is no beginning of a verifier"),
            ("$2b$16", "`$2b$16`: checking its verifiers would take"),
            ("$sha256$AAAA$AAAA", "is not a kind"),
        ] {
            let error = parse(text).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
