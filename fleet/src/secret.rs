//! Passwords: made here, or chosen by a person.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use device_auth::verifier::Verifier;
use zeroize::Zeroizing;

const SECRET_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// A password in clear text, for the one moment in which it is shown. No `Debug`, wiped when dropped.
pub struct Secret {
    text: Zeroizing<String>,
    generated: bool,
}

impl Secret {
    /// A new secret of 256 random bits, as 43 characters of URL-safe base64.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random numbers.
    pub fn generate() -> anyhow::Result<Self> {
        let bytes = Zeroizing::new(random::<SECRET_BYTES>()?);
        Ok(Self { text: Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())), generated: true })
    }

    /// A password that was written down before its record was made. What has the form of [`Secret::generate`]'s has as
    /// many random bits; anything else is taken for one that a person chose.
    ///
    /// # Errors
    ///
    /// As [`Secret::chosen`], and when it is no text.
    pub fn written_down(password: &[u8]) -> anyhow::Result<Self> {
        let text = str::from_utf8(password).ok().context("the password is not UTF-8")?;
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
    pub fn chosen(text: Zeroizing<String>) -> anyhow::Result<Self> {
        anyhow::ensure!(!text.is_empty(), "the password is empty");
        anyhow::ensure!(text.len() <= 65_535, "the password is longer than MQTT can carry: 65535 bytes");
        Ok(Self { text, generated: false })
    }

    /// The clear text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it was made here: then nobody knows it yet.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.generated
    }

    /// What the record keeps: a fast hash for 256 random bits, argon2id for what a person chose.
    ///
    /// # Errors
    ///
    /// When there are no random numbers, or no memory for argon2id.
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
    getrandom::fill(&mut bytes).context("the operating system gives no random numbers")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_secret_is_long_and_never_the_same() {
        let (one, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_eq!(one.text().len(), 43);
        assert_ne!(one.text(), other.text());
    }

    #[test]
    fn what_was_written_down_is_hashed_for_what_it_is() {
        let generated = Secret::generate().unwrap();
        let again = Secret::written_down(generated.text().as_bytes()).unwrap();
        assert!(again.is_generated() && again.text() == generated.text());
        for chosen in ["correct horse", "aaaa", &generated.text().replacen(|_| true, "", 1)] {
            assert!(!Secret::written_down(chosen.as_bytes()).unwrap().is_generated(), "{chosen}");
        }
        assert!(Secret::written_down(b"").is_err() && Secret::written_down(&[0xff]).is_err());
    }

    #[test]
    fn each_kind_of_secret_has_its_verifier() {
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
