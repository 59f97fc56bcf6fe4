//! One key, bound to one algorithm.

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{PublicKey as RsaPublicKey, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey},
};
use jsonwebtoken::DecodingKey;

use super::{algorithm::Algorithm, keys_error::KeyError, token::Token};

/// Bits of an RSA key's modulus, at least (RFC 7518, section 3.3).
pub(super) const MIN_RSA_BITS: usize = 2_048;
/// Bits of an RSA key's modulus, at most: what aws-lc-rs checks signatures with.
const MAX_RSA_BITS: usize = 8_192;
/// Bytes of a secret for HS256, at least: as many as the hash has (RFC 7518, section 3.2).
pub(super) const MIN_SECRET_BYTES: usize = 32;
/// Bytes of each coordinate of a point on P-256 (RFC 7518, section 6.2.1.2).
const P256_COORDINATE_BYTES: usize = 32;
/// Bytes of an Ed25519 key (RFC 8032, section 5.1.5).
const ED25519_BYTES: usize = 32;
/// What an uncompressed point begins with (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A key and the one algorithm that it checks signatures with. No `Debug`: it may be a secret.
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    verifying: DecodingKey,
}

impl Key {
    /// An EC key from its point, or from the DER of its `SubjectPublicKeyInfo`.
    pub(super) fn ec(public: &[u8]) -> Result<Self, KeyError> {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).map_err(|_| KeyError::Invalid)?;
        Ok(Self::new(Algorithm::Es256, DecodingKey::from_ec_der(public)))
    }

    /// An EC key from its point's coordinates.
    pub(super) fn ec_coordinates(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        if x.len() != P256_COORDINATE_BYTES || y.len() != P256_COORDINATE_BYTES {
            return Err(KeyError::Invalid);
        }
        Self::ec(&[&[UNCOMPRESSED], x, y].concat())
    }

    /// An Ed25519 key from its bytes.
    pub(super) fn ed25519_bytes(public: &[u8]) -> Result<Self, KeyError> {
        if public.len() == ED25519_BYTES { Self::ed25519(public) } else { Err(KeyError::Invalid) }
    }

    /// An Ed25519 key from its bytes, or from the DER of its `SubjectPublicKeyInfo`.
    pub(super) fn ed25519(public: &[u8]) -> Result<Self, KeyError> {
        ParsedPublicKey::new(&ED25519, public).map_err(|_| KeyError::Invalid)?;
        Ok(Self::new(Algorithm::EdDsa, DecodingKey::from_ed_der(public)))
    }

    /// An RSA key from the DER of its `SubjectPublicKeyInfo` or its `RSAPublicKey`.
    pub(super) fn rsa(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPublicKey::from_der(der).map_err(|_| KeyError::Invalid)?;
        let modulus = key.modulus().big_endian_without_leading_zero();
        let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        let bits = modulus.len() * 8 - unused;
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(KeyError::RsaBits(bits));
        }
        Ok(Self::new(Algorithm::Rs256, DecodingKey::from_rsa_der(key.as_ref())))
    }

    /// An RSA key from its modulus and its exponent. Some programs write a zero in front, which is none of them.
    pub(super) fn rsa_components(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let der = PublicKeyComponents { n: without_zeros(n), e: without_zeros(e) }.as_der();
        Self::rsa(der.map_err(|_| KeyError::Invalid)?.as_ref())
    }

    /// A secret that the issuer has too.
    pub(super) fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        Ok(Self::new(Algorithm::Hs256, DecodingKey::from_secret(secret)))
    }

    fn new(algorithm: Algorithm, verifying: DecodingKey) -> Self {
        Self { id: None, algorithm, verifying }
    }

    /// The same key with an id.
    pub(super) fn with_id(self, id: Option<String>) -> Self {
        Self { id, ..self }
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the token's signature is this key's. The algorithm is the key's own, whatever the header says.
    pub(super) fn signed(&self, token: &Token) -> bool {
        let algorithm = match self.algorithm {
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        };
        let signed = token.signed().as_bytes();
        matches!(
            jsonwebtoken::crypto::verify(token.signature(), signed, &self.verifying, algorithm),
            Ok(true)
        )
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}
