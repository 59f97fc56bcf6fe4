//! Passwords: generated here, or chosen by a person.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use device_auth::verifier::Verifier;
use iot_policy::limits::MAX_WIRE_FIELD_BYTES;
use zeroize::Zeroizing;

const SECRET_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// A password in clear text, until it is shown or written down. It has no `Debug`, and is wiped when dropped.
pub struct Secret {
    text: Zeroizing<String>,
    generated: bool,
}

/// Why a text can't be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It has no bytes.
    #[error("the password is empty")]
    Empty,
    /// It has more bytes than a field of a CONNECT can have.
    #[error("the password is longer than MQTT can carry: {MAX_WIRE_FIELD_BYTES} bytes")]
    TooLong,
    /// It is not text.
    #[error("the password is not UTF-8")]
    NotUtf8,
}

/// Checks a password that a person chose.
pub(crate) fn check_chosen(password: &str) -> Result<(), SecretError> {
    match password.len() {
        0 => Err(SecretError::Empty),
        1..=MAX_WIRE_FIELD_BYTES => Ok(()),
        _ => Err(SecretError::TooLong),
    }
}

impl Secret {
    /// A new secret of 256 random bits, as 43 characters of URL-safe base64.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn generate() -> anyhow::Result<Self> {
        let bytes = Zeroizing::new(random::<SECRET_BYTES>()?);
        Ok(Self { text: Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())), generated: true })
    }

    /// A password that was written to a file before its record was made. One that has the form of
    /// [`Secret::generate`]'s counts as generated, any other as chosen by a person.
    ///
    /// # Errors
    ///
    /// As [`Secret::chosen`], and when it is not text.
    pub fn from_file(password: &[u8]) -> Result<Self, SecretError> {
        let text = str::from_utf8(password).map_err(|_| SecretError::NotUtf8)?;
        let text = Zeroizing::new(text.to_owned());
        let decoded = URL_SAFE_NO_PAD.decode(text.as_bytes()).map(Zeroizing::new);
        if decoded.is_ok_and(|bytes| bytes.len() == SECRET_BYTES) {
            return Ok(Self { text, generated: true });
        }
        Self::chosen(text)
    }

    /// A password that a person chose.
    ///
    /// # Errors
    ///
    /// When it is empty or longer than MQTT can carry (65,535 bytes).
    pub fn chosen(text: Zeroizing<String>) -> Result<Self, SecretError> {
        check_chosen(&text)?;
        Ok(Self { text, generated: false })
    }

    /// The clear text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it was generated here, so that nobody knows it yet.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.generated
    }

    /// Hashes it for the record: a fast hash for 256 random bits, argon2id for a password that a person chose.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers, or no memory for argon2id.
    pub fn verifier(&self) -> anyhow::Result<Verifier> {
        let salt = random::<SALT_BYTES>()?;
        let password = self.text.as_bytes();
        if self.generated {
            return Ok(Verifier::of_generated(password, salt));
        }
        Ok(Verifier::of_chosen(password, salt)?)
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the operating system has no random numbers")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_secrets_are_long_and_differ() {
        let (one, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_eq!(one.text().len(), 43);
        assert_ne!(one.text(), other.text());
    }

    #[test]
    fn a_password_of_a_file_counts_as_generated_if_it_has_the_form() {
        let generated = Secret::generate().unwrap();
        let again = Secret::from_file(generated.text().as_bytes()).unwrap();
        assert!(again.is_generated() && again.text() == generated.text());
        for chosen in ["correct horse", "aaaa", &generated.text().replacen(|_| true, "", 1)] {
            assert!(!Secret::from_file(chosen.as_bytes()).unwrap().is_generated(), "{chosen}");
        }
        assert!(Secret::from_file(b"").is_err() && Secret::from_file(&[0xff]).is_err());
    }

    #[test]
    fn generated_and_chosen_passwords_have_different_verifiers() {
        let generated = Secret::generate().unwrap();
        let chosen = Secret::chosen(Zeroizing::new("correct horse".to_owned())).unwrap();
        for (secret, kind) in [(generated, "$sha256$"), (chosen, "$argon2id$")] {
            let verifier = secret.verifier().unwrap();
            assert!(bool::from(verifier.matches(secret.text().as_bytes())));
            assert!(!bool::from(verifier.matches(b"another")));
            assert!(String::from(verifier).starts_with(kind));
        }
    }
}
