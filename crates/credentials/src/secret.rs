//! A device's secret.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// The secret of one device: 1 to 256 bytes, any bytes, 0x00 among them.
///
/// Alibaba Cloud's `DeviceSecret` and `DeviceToken` are used as the text that they are. Tencent Cloud's `psk` is
/// base64 and is used decoded. The type has no `Debug` and no `Clone`, and it is wiped when dropped.
///
/// ```compile_fail,E0277
/// let secret = credentials::Secret::try_from("secret".as_bytes()).unwrap_or_else(|_| std::process::abort());
/// println!("{secret:?}");
/// ```
pub struct Secret {
    bytes: Zeroizing<[u8; Secret::MAX_LEN]>,
    len: usize,
}

/// Why something is not a [`Secret`]. It says nothing about the secret but its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It has no bytes.
    #[error("the secret is empty")]
    Empty,
    /// It has this many bytes (of base64 where it was base64), more than [`Secret::MAX_LEN`].
    #[error("the secret has {0} bytes, at most {max} are allowed", max = Secret::MAX_LEN)]
    TooLong(usize),
    /// It is not standard base64 with its padding.
    #[error("the secret is not standard base64 with padding")]
    NotBase64,
}

impl Secret {
    /// The most bytes that a secret has. The vendors' own have 16 to 64.
    pub const MAX_LEN: usize = 256;

    /// A secret that no device has, for a check whose result is ignored. The check costs as much time as a real one.
    #[must_use]
    pub fn decoy() -> Self {
        Self { bytes: Zeroizing::new([0; Self::MAX_LEN]), len: 32 }
    }

    /// A secret that is written as standard base64 with padding, as Tencent Cloud's `psk` is.
    ///
    /// # Errors
    ///
    /// What is wrong with the text. White space is not allowed.
    pub fn from_base64(text: &str) -> Result<Self, SecretError> {
        const MAX_TEXT_LEN: usize = Secret::MAX_LEN.div_ceil(3) * 4;
        if text.len() > MAX_TEXT_LEN {
            return Err(SecretError::TooLong(text.len()));
        }
        // As long as the padded text, so that a secret that is a byte or two too long is not reported as bad base64.
        let mut buffer = Zeroizing::new([0; MAX_TEXT_LEN]);
        let bytes =
            Base64::decode(text, buffer.as_mut_slice()).map_err(|_rejected| SecretError::NotBase64)?;
        Self::try_from(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl TryFrom<&[u8]> for Secret {
    type Error = SecretError;

    fn try_from(secret: &[u8]) -> Result<Self, SecretError> {
        if secret.is_empty() {
            return Err(SecretError::Empty);
        }
        let mut bytes = Zeroizing::new([0; Self::MAX_LEN]);
        let room = bytes.get_mut(..secret.len()).ok_or(SecretError::TooLong(secret.len()))?;
        room.copy_from_slice(secret);
        Ok(Self { bytes, len: secret.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_of_1_to_256_bytes_is_accepted() {
        for bytes in [&b"s"[..], b"\0", b"a\0b\0", &[0xff; 256]] {
            assert_eq!(Secret::try_from(bytes).map(|secret| secret.as_bytes().to_vec()), Ok(bytes.to_vec()));
        }
        assert_eq!(Secret::try_from(&[][..]).err(), Some(SecretError::Empty));
        assert_eq!(Secret::try_from(&[1; 257][..]).err(), Some(SecretError::TooLong(257)));
    }

    #[test]
    fn from_base64_accepts_only_padded_standard_base64() {
        let decoded = |text: &str| Secret::from_base64(text).map(|secret| secret.as_bytes().to_vec());
        assert_eq!(decoded("AQIDBAUGBwgJCgsMDQ4PEA=="), Ok((1..=16).collect()));
        assert_eq!(decoded("BwAJAA=="), Ok(vec![7, 0, 9, 0]));
        assert_eq!(decoded("+/8="), Ok(vec![0xfb, 0xff]));
        assert_eq!(decoded(&("A".repeat(342) + "==")), Ok(vec![0; 256]));

        assert_eq!(decoded(""), Err(SecretError::Empty));
        assert_eq!(decoded(&("A".repeat(343) + "=")), Err(SecretError::TooLong(257)));
        assert_eq!(decoded(&"A".repeat(344)), Err(SecretError::TooLong(258)));
        assert_eq!(decoded(&"A".repeat(348)), Err(SecretError::TooLong(348)));
        for text in ["AQIDBA", "AQIDBA=", "-_8=", "AQID\n", " AQID", "AQIDBB==", "A", "=", "====", "é"] {
            assert_eq!(decoded(text), Err(SecretError::NotBase64), "{text:?}");
        }
    }

    #[test]
    fn errors_name_the_length_and_not_the_secret() {
        let messages = [
            (SecretError::Empty, "the secret is empty"),
            (SecretError::TooLong(257), "the secret has 257 bytes, at most 256 are allowed"),
            (SecretError::NotBase64, "the secret is not standard base64 with padding"),
        ];
        for (error, message) in messages {
            assert_eq!(error.to_string(), message);
        }
    }
}
