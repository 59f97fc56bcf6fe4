//! A token's signature: RSA with SHA-256, PKCS #1 v1.5, as base64.
//!
//! Source: AWS IoT Core developer guide, `config-custom-auth` and `custom-auth`.

use std::{collections::BTreeMap, fmt, sync::Arc};

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use iot_policy::limits::{MAX_TOKEN_KEYS, MIN_TOKEN_KEY_BITS};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use x509_parser::{prelude::FromDer, public_key::PublicKey, x509::SubjectPublicKeyInfo};
use zeroize::Zeroizing;

use super::{
    error::AuthnError,
    parameters::{Parameter, ParameterError, Parameters, TokenKeyName},
};

/// Whether an authorizer's tokens must be signed.
#[derive(Clone, Debug)]
pub enum Signing {
    /// A token with this key name, if the authorizer has one, is passed to the function unchecked.
    Disabled(Option<TokenKeyName>),
    /// The function is called only with a token that one of the keys signed.
    Enabled(TokenKeyName, SigningKeys),
}

/// One or two public keys, by name. With two, devices can change from one key to the next.
#[derive(Clone, Debug)]
pub struct SigningKeys(BTreeMap<String, SigningKey>);

/// An RSA key of 2,048 to 8,192 bits.
#[derive(Clone)]
pub struct SigningKey {
    parsed: ParsedPublicKey,
    /// As it was given, to be shown again.
    pem: Arc<str>,
}

/// Why a key can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not a public key in PEM form.
    #[error(
        "it is not a public key in PEM form (`-----BEGIN PUBLIC KEY-----`), as `openssl rsa -pubout` writes it"
    )]
    NotPem,
    /// It is not RSA.
    #[error("it is not an RSA key of at least 2,048 bits")]
    NotRsa,
    /// It is RSA and too short.
    #[error("it is an RSA key of {0} bits, and AWS wants at least 2,048")]
    TooShort(usize),
    /// Signing is enabled without a key.
    #[error("signing needs at least one public key")]
    None,
    /// There are more keys than AWS accepts.
    #[error("an authorizer has at most {MAX_TOKEN_KEYS} public keys on AWS, and this one has {0}")]
    TooMany(usize),
}

/// A client's token. It has no `Debug` and is wiped when dropped.
pub struct Token {
    text: Zeroizing<String>,
    verified: bool,
}

impl Signing {
    /// The name of the token's parameter.
    #[must_use]
    pub fn token_key_name(&self) -> Option<&TokenKeyName> {
        match self {
            Self::Disabled(name) => name.as_ref(),
            Self::Enabled(name, _) => Some(name),
        }
    }

    /// The keys as PEM, if signing is enabled.
    #[must_use]
    pub fn keys(&self) -> Option<BTreeMap<String, String>> {
        match self {
            Self::Disabled(_) => None,
            Self::Enabled(_, SigningKeys(keys)) => {
                Some(keys.iter().map(|(name, key)| (name.clone(), key.pem.to_string())).collect())
            }
        }
    }

    /// The token to pass to the function.
    ///
    /// # Errors
    ///
    /// When a parameter is invalid, or signing is enabled and the token is absent or not signed by one of the keys.
    pub(super) fn token(&self, parameters: &Parameters<'_>) -> Result<Option<Token>, AuthnError> {
        // A duplicate or one that is too long is refused even if it is not needed.
        let signature = parameters.signature()?;
        match self {
            Self::Disabled(None) => Ok(None),
            Self::Disabled(Some(key)) => {
                Ok(parameters.token(key)?.map(|text| Token { text, verified: false }))
            }
            Self::Enabled(key, keys) => {
                let text = parameters.token(key)?.ok_or(ParameterError::Absent(Parameter::Token))?;
                let signature = signature.ok_or(ParameterError::Absent(Parameter::Signature))?;
                keys.verify(text, &signature).map(Some)
            }
        }
    }
}

impl Token {
    /// The token as text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether one of the authorizer's keys signed it.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified
    }
}

impl SigningKeys {
    /// The keys, by name.
    ///
    /// # Errors
    ///
    /// Without a key, or with more than AWS accepts.
    pub fn new(keys: BTreeMap<String, SigningKey>) -> Result<Self, KeyError> {
        match keys.len() {
            0 => Err(KeyError::None),
            1..=MAX_TOKEN_KEYS => Ok(Self(keys)),
            more => Err(KeyError::TooMany(more)),
        }
    }

    /// The token, if one of the keys made its signature, which is in base64.
    ///
    /// # Errors
    ///
    /// When the signature is not base64, or another key made it.
    pub(super) fn verify(&self, text: Zeroizing<String>, signature: &str) -> Result<Token, AuthnError> {
        let signature = STANDARD.decode(signature.as_bytes()).map_err(|_| ParameterError::NotBase64)?;
        let verified = self.0.values().any(|key| key.verifies(text.as_bytes(), &signature));
        if verified { Ok(Token { text, verified }) } else { Err(AuthnError::Signature) }
    }
}

impl SigningKey {
    /// Reads a public key.
    ///
    /// # Errors
    ///
    /// When AWS does not accept the key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::NotPem)?;
        // `ParsedPublicKey` accepts a short key, and then verifies nothing with it.
        let bits = rsa_bits(&der).ok_or(KeyError::NotRsa)?;
        if bits < MIN_TOKEN_KEY_BITS {
            return Err(KeyError::TooShort(bits));
        }
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &*der).map_err(|_| KeyError::NotRsa)?;
        Ok(Self { parsed: key, pem: pem.into() })
    }

    fn verifies(&self, token: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(token, signature).is_ok()
    }
}

/// The size of an RSA key, which is in a `SubjectPublicKeyInfo`.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    match SubjectPublicKeyInfo::from_der(der).ok()?.1.parsed() {
        Ok(PublicKey::RSA(key)) => Some(key.key_size()),
        _ => None,
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::{AsDer, PublicKeyX509Der},
        rsa::{KeyPair, KeySize},
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
    };

    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    #[test]
    fn key_that_is_not_public_rsa_of_2048_bits_is_refused() {
        let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public: PublicKeyX509Der = rsa.public_key().as_der().unwrap();
        assert!(SigningKey::from_pem(&pem("PUBLIC KEY", public.as_ref())).is_ok());
        let private: aws_lc_rs::encoding::Pkcs8V1Der = rsa.as_der().unwrap();
        let curve = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let curve: PublicKeyX509Der = curve.public_key().as_der().unwrap();
        // `openssl genrsa 1024 | openssl rsa -pubout`
        let short = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCwKkMjzozpQvjUq7fw/gK/r+gp\n\
            S/pC7tOZeNVBW3RhCeA0QVCDN3Y5cYp7BId6ANjo1zDCpzOdmD3Ub6byiJgtvRhR\n\
            5dDg5YXuNjbtnxnjDZqHgDS/8G7s1QOSmv+2Sku8N1/jCpVOZ/HiCBR4o9FiQN5J\n\
            be7Y03cseEXJgHclwwIDAQAB\n\
            -----END PUBLIC KEY-----\n";
        let cases = [
            (String::new(), KeyError::NotPem),
            ("no PEM".to_owned(), KeyError::NotPem),
            (pem("PRIVATE KEY", private.as_ref()), KeyError::NotPem),
            (pem("PUBLIC KEY", private.as_ref()), KeyError::NotRsa),
            (pem("PUBLIC KEY", b"garbage"), KeyError::NotRsa),
            (pem("PUBLIC KEY", curve.as_ref()), KeyError::NotRsa),
            (short.to_owned(), KeyError::TooShort(1_024)),
        ];
        for (pem, error) in cases {
            assert_eq!(SigningKey::from_pem(&pem).err(), Some(error), "{pem}");
        }
    }

    #[test]
    fn authorizer_has_one_or_two_keys() {
        let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public: PublicKeyX509Der = rsa.public_key().as_der().unwrap();
        let key = SigningKey::from_pem(&pem("PUBLIC KEY", public.as_ref())).unwrap();
        for (count, error) in
            [(0, Some(KeyError::None)), (1, None), (2, None), (3, Some(KeyError::TooMany(3)))]
        {
            let keys = (0..count).map(|n: usize| (n.to_string(), key.clone())).collect();
            assert_eq!(SigningKeys::new(keys).err(), error, "{count}");
        }
    }
}
