//! The text form of a sealed secret in a record.

use std::{fmt, ops::RangeInclusive};

use aws_lc_rs::aead::NONCE_LEN;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::data_key::{self, KeyId, KeyIdError, TAG_BYTES};

/// The number of bytes of a secret. Vendors' keys have about 20 to 64.
pub const SECRET_BYTES: RangeInclusive<usize> = 1..=256;

const BOX_BYTES: RangeInclusive<usize> = *SECRET_BYTES.start() + TAG_BYTES..=*SECRET_BYTES.end() + TAG_BYTES;

/// A secret in a record: `$aes256gcm$KEY$NONCE$SEALED` or, in plain text, `$plain$SECRET`.
///
/// `NONCE` (12 bytes), `SEALED` (the ciphertext and its tag, 17 to 272 bytes) and `SECRET` (1 to 256 bytes) are
/// base64 without padding. Every secret has one text form, so what is read is written as it was.
/// Only a [`Keyring`](super::Keyring) opens it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SealedSecret(pub(super) Form);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// AES-256-GCM.
    Aes256Gcm {
        /// The key's id.
        key: KeyId,
        /// A new one for each secret.
        nonce: [u8; NONCE_LEN],
        /// The ciphertext, followed by the tag.
        sealed: Vec<u8>,
    },
    /// The secret as it is.
    Plain(Zeroizing<Vec<u8>>),
}

/// Why a text is not a [`SealedSecret`]. No message carries the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedSecretError {
    /// None of the known text forms.
    #[error(
        "unknown form of a secret: it should be `$aes256gcm$KEY$NONCE$SEALED`, as `latchkey fleet` writes it, \
         or `$plain$SECRET`"
    )]
    Unknown,
    /// A key id that can't be one.
    #[error("the sealed secret's key: {0}")]
    Key(KeyIdError),
    /// A field that is not base64 without padding.
    #[error("the sealed secret's {field} is not base64 without padding")]
    Encoding {
        /// Which field.
        field: &'static str,
    },
    /// A field that is too short or too long.
    #[error("the sealed secret's {field} should have {min} to {max} bytes")]
    Length {
        /// Which field.
        field: &'static str,
        /// Fewest bytes.
        min: usize,
        /// Most bytes.
        max: usize,
    },
}

impl SealedSecret {
    /// The id of the key under which it is sealed; `None` if it is in plain text.
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        match &self.0 {
            Form::Aes256Gcm { key, .. } => Some(key),
            Form::Plain(_) => None,
        }
    }

    fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(match &self.0 {
            Form::Aes256Gcm { key, nonce, sealed } => {
                format!("$aes256gcm${key}${}${}", data_key::encode(nonce), data_key::encode(sealed))
            }
            Form::Plain(secret) => ["$plain$", &Zeroizing::new(data_key::encode(secret))].concat(),
        })
    }
}

impl TryFrom<&str> for SealedSecret {
    type Error = SealedSecretError;

    fn try_from(text: &str) -> Result<Self, SealedSecretError> {
        let fields = text.split('$').collect::<Vec<_>>();
        match fields.as_slice() {
            ["", "aes256gcm", key, nonce, sealed] => {
                let nonce = field("nonce", nonce, NONCE_LEN..=NONCE_LEN)?;
                Ok(Self(Form::Aes256Gcm {
                    key: KeyId::try_from(*key).map_err(SealedSecretError::Key)?,
                    nonce: nonce.as_slice().try_into().map_err(|_| SealedSecretError::Unknown)?,
                    sealed: field("ciphertext", sealed, BOX_BYTES)?.to_vec(),
                }))
            }
            ["", "plain", secret] => Ok(Self(Form::Plain(field("plain text", secret, SECRET_BYTES)?))),
            _ => Err(SealedSecretError::Unknown),
        }
    }
}

impl TryFrom<String> for SealedSecret {
    type Error = SealedSecretError;

    fn try_from(text: String) -> Result<Self, SealedSecretError> {
        Self::try_from(Zeroizing::new(text).as_str())
    }
}

impl From<SealedSecret> for String {
    fn from(secret: SealedSecret) -> Self {
        std::mem::take(&mut *secret.to_text())
    }
}

impl Serialize for SealedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl fmt::Debug for SealedSecret {
    /// Shows only the key's id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key() {
            Some(key) => write!(f, "SealedSecret(under `{key}`)"),
            None => f.write_str("SealedSecret(in plain text)"),
        }
    }
}

fn field(
    field: &'static str,
    text: &str,
    lengths: RangeInclusive<usize>,
) -> Result<Zeroizing<Vec<u8>>, SealedSecretError> {
    let bytes = data_key::decode(text).ok_or(SealedSecretError::Encoding { field })?;
    if !lengths.contains(&bytes.len()) {
        return Err(SealedSecretError::Length { field, min: *lengths.start(), max: *lengths.end() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "AAECAwQFBgcICQoL";
    const SEALED: &str = "AAECAwQFBgcICQoLDA0ODxA";

    #[test]
    fn text_is_written_as_it_was_read() {
        let longest = data_key::encode(&[7; 256]);
        let longest_box = data_key::encode(&[7; 272]);
        for text in [
            format!("$aes256gcm$2026-11${NONCE}${SEALED}"),
            format!("$aes256gcm$k${NONCE}${longest_box}"),
            "$plain$AA".to_owned(),
            format!("$plain${longest}"),
        ] {
            let secret = SealedSecret::try_from(text.clone()).unwrap();
            assert_eq!(serde_json::to_string(&secret).unwrap(), format!("{text:?}"));
            assert_eq!(serde_json::from_str::<SealedSecret>(&format!("{text:?}")).unwrap(), secret);
            assert_eq!(String::from(secret), text);
        }
    }

    #[test]
    fn other_text_forms_are_refused() {
        use SealedSecretError::{Encoding, Key, Length, Unknown};
        let plain = |min, max| Length { field: "plain text", min, max };
        for (text, error) in [
            (String::new(), Unknown),
            ("secret".to_owned(), Unknown),
            ("$plain".to_owned(), Unknown),
            ("$PLAIN$AA".to_owned(), Unknown),
            (" $plain$AA".to_owned(), Unknown),
            ("$plain$AA$".to_owned(), Unknown),
            ("$plain$".to_owned(), plain(1, 256)),
            (format!("$plain${}", data_key::encode(&[7; 257])), plain(1, 256)),
            ("$plain$AA==".to_owned(), Encoding { field: "plain text" }),
            ("$plain$AB".to_owned(), Encoding { field: "plain text" }),
            ("$plain$A-".to_owned(), Encoding { field: "plain text" }),
            ("$plain$AA\n".to_owned(), Encoding { field: "plain text" }),
            (format!("$aes128gcm$k${NONCE}${SEALED}"), Unknown),
            (format!("$aes256gcm$k${NONCE}"), Unknown),
            (format!("$aes256gcm$k${NONCE}${SEALED}$"), Unknown),
            (format!("$aes256gcm$${NONCE}${SEALED}"), Key(KeyIdError)),
            (format!("$aes256gcm$a b${NONCE}${SEALED}"), Key(KeyIdError)),
            (format!("$aes256gcm$k${NONCE}=${SEALED}"), Encoding { field: "nonce" }),
            (format!("$aes256gcm$k$AAEC${SEALED}"), Length { field: "nonce", min: 12, max: 12 }),
            (format!("$aes256gcm$k${NONCE}${SEALED}="), Encoding { field: "ciphertext" }),
            (
                format!("$aes256gcm$k${NONCE}${}", data_key::encode(&[7; 16])),
                Length { field: "ciphertext", min: 17, max: 272 },
            ),
            (
                format!("$aes256gcm$k${NONCE}${}", data_key::encode(&[7; 273])),
                Length { field: "ciphertext", min: 17, max: 272 },
            ),
        ] {
            assert_eq!(SealedSecret::try_from(text.as_str()), Err(error), "{text}");
        }
    }

    #[test]
    fn debug_shows_only_the_key_id() {
        let sealed = SealedSecret::try_from(format!("$aes256gcm$2026-11${NONCE}${SEALED}")).unwrap();
        assert_eq!(format!("{sealed:?}"), "SealedSecret(under `2026-11`)");
        let plain = SealedSecret::try_from("$plain$c2VjcmV0").unwrap();
        assert_eq!(format!("{plain:?}"), "SealedSecret(in plain text)");
    }
}
