//! The keys that tokens are verified with.

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{PublicKey as RsaPublicKey, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::token::{Algorithm, Header, TokenError, UnverifiedToken};

/// A set of keys. It has no `Debug`, because some may be secrets.
pub struct Keys(Vec<Key>);

impl Keys {
    /// The one public key in a PEM file: EC P-256 for ES256, RSA for RS256, Ed25519 for `EdDSA`. It has no
    /// id, so every token is checked with it, whatever its `kid` says.
    ///
    /// # Errors
    ///
    /// When the file has no such key, a private one, or more than one.
    pub fn from_pem(text: &str) -> Result<Self, KeysError> {
        Ok(Self(vec![pem_key(text)?]))
    }

    /// The keys in a configured JWKS (RFC 7517, section 5): those for [`Self::from_pem`] and `oct` for HS256, each
    /// with its own `kid` where there are several.
    ///
    /// # Errors
    ///
    /// When one of them can't be used: each key in a configured file is meant to be used.
    pub fn from_jwks(text: &str) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for (position, key) in (1..).zip(jwks(text)?) {
            let at = |error| KeysError::Jwk { position, error };
            let key = key.map_err(at)?;
            if is_known(&keys, &key) {
                return Err(at(KeyError::SameId));
            }
            keys.push(key);
        }
        match (keys.as_slice(), keys.iter().position(|key| key.id().is_none())) {
            ([], _) => Err(KeysError::NoKeys),
            ([_, _, ..], Some(at)) => Err(KeysError::Jwk { position: at + 1, error: KeyError::NoId }),
            _ => Ok(Self(keys)),
        }
    }

    /// The keys in a JWKS that an issuer publishes. Keys that can't be used here are skipped. So are secrets: a published
    /// secret proves nothing.
    ///
    /// # Errors
    ///
    /// When the text is not a JWKS, or has no usable key.
    pub fn from_published_jwks(text: &str) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for key in jwks(text)?.filter_map(Result::ok) {
            if key.algorithm() != Algorithm::Hs256 && !is_known(&keys, &key) {
                keys.push(key);
            }
        }
        if keys.len() > 1 {
            keys.retain(|key| key.id().is_some());
        }
        if keys.is_empty() { Err(KeysError::NoKeys) } else { Ok(Self(keys)) }
    }

    /// An empty set, which refuses every token.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether a key has the token's `kid`, or one key verifies every token.
    #[must_use]
    pub fn has_key_for(&self, token: &UnverifiedToken<'_>) -> bool {
        !matches!(self.find(token.header()), Err(TokenError::UnknownKey))
    }

    /// The one key that a token with this header must be signed with.
    pub(super) fn find(&self, header: &Header) -> Result<&Key, TokenError> {
        let key = match (header.key_id.as_deref(), self.0.as_slice()) {
            (None, [only]) => only,
            (Some(_), [only]) if only.id().is_none() => only,
            (None, [_, _, ..]) => return Err(TokenError::NoKeyId),
            (id, keys) => keys.iter().find(|key| key.id() == id).ok_or(TokenError::UnknownKey)?,
        };
        if key.algorithm() == header.algorithm { Ok(key) } else { Err(TokenError::Algorithm) }
    }
}

fn is_known(keys: &[Key], key: &Key) -> bool {
    key.id().is_some() && keys.iter().any(|known| known.id() == key.id())
}

/// Why a configured text gives no [`Keys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The text has no readable PEM block.
    #[error("no key in PEM form: it should begin with `-----BEGIN PUBLIC KEY-----`")]
    NoPem,
    /// There is a private key.
    #[error(
        "a private key, where only a public key belongs: `openssl pkey -in FILE -pubout` writes the public key"
    )]
    PrivatePem,
    /// There is a certificate.
    #[error("a certificate: `openssl x509 -in FILE -noout -pubkey` writes its public key")]
    Certificate,
    /// There is a block of another kind.
    #[error("a PEM block that is not a `PUBLIC KEY`")]
    OtherPem,
    /// There are several blocks.
    #[error("{0} blocks in PEM form, where one public key should be; several keys go into a JWKS file")]
    SeveralPem(usize),
    /// The key can't be used.
    #[error("{0}")]
    Key(#[source] KeyError),
    /// The text is not a JWKS.
    #[error("not a JSON object with a list `keys` (line {line}, column {column})")]
    NotJwks {
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 where a line is empty.
        column: usize,
    },
    /// The list is empty, or a fetched list has no usable key.
    #[error("no key that can be used")]
    NoKeys,
    /// A key of the list can't be used.
    #[error("key {position} of the list: {error}")]
    Jwk {
        /// Counted from 1.
        position: usize,
        /// What is wrong with it.
        #[source]
        error: KeyError,
    },
}

/// Why one key can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A member is missing, a duplicate or not a string.
    #[error("not a JSON object as in RFC 7517, or without a member that `kty` requires")]
    Members,
    /// A member is not base64url without padding.
    #[error("a member that should be base64url without padding is not")]
    NotBase64Url,
    /// `kty` or `crv` is another.
    #[error("neither EC P-256 nor RSA nor Ed25519 nor a secret (`oct`)")]
    UnknownType,
    /// The bytes are not a key of this type.
    #[error("not a valid public key of its type")]
    Invalid,
    /// It is the private half.
    #[error("a private key, where only a public key belongs: remove every member but the public ones")]
    Private,
    /// `use` or `key_ops` is for something else.
    #[error("`use` or `key_ops` does not allow the key to verify signatures")]
    OtherUse,
    /// `alg` is another.
    #[error(
        "`alg` is not the algorithm of such a key: ES256 for EC P-256, RS256 for RSA, EdDSA, HS256 for `oct`"
    )]
    OtherAlgorithm,
    /// The RSA modulus is too short or too long.
    #[error("an RSA key of {0} bits; it should have {MIN_RSA_BITS} to 8192")]
    RsaBits(usize),
    /// The secret is too short (RFC 7518, section 3.2).
    #[error("a secret of {0} bytes; it should have at least {MIN_SECRET_BYTES}")]
    ShortSecret(usize),
    /// This key has no `kid`, and it is not the only one.
    #[error("no `kid`, which every key needs in a list of several")]
    NoId,
    /// An earlier key has the same `kid`.
    #[error("an earlier key has the same `kid`")]
    SameId,
}

/// The fewest bits of an RSA key's modulus (RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2_048;
/// The most bits of an RSA key's modulus that aws-lc-rs verifies with.
const MAX_RSA_BITS: usize = 8_192;
/// The fewest bytes of a secret for HS256: as many as the hash has (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;
/// Bytes of each coordinate of a point on P-256 (RFC 7518, section 6.2.1.2).
const P256_COORDINATE_BYTES: usize = 32;
/// Bytes of an Ed25519 key (RFC 8032, section 5.1.5).
const ED25519_BYTES: usize = 32;
/// What an uncompressed point begins with (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A key and its one algorithm. It has no `Debug`, because it may be a secret.
pub struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    verifying: DecodingKey,
}

impl Key {
    /// An EC key from its point, or from the DER of its `SubjectPublicKeyInfo`.
    fn ec(public: &[u8]) -> Result<Self, KeyError> {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).map_err(|_| KeyError::Invalid)?;
        Ok(Self::new(Algorithm::Es256, DecodingKey::from_ec_der(public)))
    }

    /// An EC key from its point's coordinates.
    fn ec_coordinates(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        if x.len() != P256_COORDINATE_BYTES || y.len() != P256_COORDINATE_BYTES {
            return Err(KeyError::Invalid);
        }
        Self::ec(&[&[UNCOMPRESSED], x, y].concat())
    }

    /// An Ed25519 key from its bytes.
    fn ed25519_bytes(public: &[u8]) -> Result<Self, KeyError> {
        if public.len() == ED25519_BYTES { Self::ed25519(public) } else { Err(KeyError::Invalid) }
    }

    /// An Ed25519 key from its bytes, or from the DER of its `SubjectPublicKeyInfo`.
    fn ed25519(public: &[u8]) -> Result<Self, KeyError> {
        ParsedPublicKey::new(&ED25519, public).map_err(|_| KeyError::Invalid)?;
        Ok(Self::new(Algorithm::EdDsa, DecodingKey::from_ed_der(public)))
    }

    /// An RSA key from the DER of its `SubjectPublicKeyInfo` or its `RSAPublicKey`.
    fn rsa(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPublicKey::from_der(der).map_err(|_| KeyError::Invalid)?;
        let modulus = key.modulus().big_endian_without_leading_zero();
        let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        let bits = modulus.len() * 8 - unused;
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(KeyError::RsaBits(bits));
        }
        Ok(Self::new(Algorithm::Rs256, DecodingKey::from_rsa_der(key.as_ref())))
    }

    /// An RSA key from its modulus and its exponent. Some programs write leading zeros, which are not part of the numbers.
    fn rsa_components(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let der = PublicKeyComponents { n: without_zeros(n), e: without_zeros(e) }.as_der();
        Self::rsa(der.map_err(|_| KeyError::Invalid)?.as_ref())
    }

    /// A secret that this function shares with the issuer.
    fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        Ok(Self::new(Algorithm::Hs256, DecodingKey::from_secret(secret)))
    }

    fn new(algorithm: Algorithm, verifying: DecodingKey) -> Self {
        Self { id: None, algorithm, verifying }
    }

    /// The same key with an id.
    fn with_id(self, id: Option<String>) -> Self {
        Self { id, ..self }
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether this key made the token's signature. The algorithm is the key's own, whatever the header says.
    pub(super) fn signed(&self, token: &UnverifiedToken<'_>) -> bool {
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

/// The keys of a list, or for each what is wrong with it. They are borrowed from the text and read one by one, so that
/// secrets are not copied.
fn jwks(text: &str) -> Result<impl Iterator<Item = Result<Key, KeyError>>, KeysError> {
    let not_jwks = |line, column| KeysError::NotJwks { line, column };
    if !is_object(text) {
        return Err(not_jwks(1, 1));
    }
    // serde_json's own message might quote a secret in the wrong place.
    let set: JwkSet = serde_json::from_str(text).map_err(|e| not_jwks(e.line(), e.column()))?;
    Ok(set.keys.into_iter().map(|raw| read::<Jwk>(raw.get()).ok_or(KeyError::Members)?.key()))
}

#[derive(Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// The members that are used; others are skipped (RFC 7517, section 4).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<Zeroizing<String>>,
    d: Option<IgnoredAny>,
}

impl Jwk {
    fn key(self) -> Result<Key, KeyError> {
        if self.d.is_some() {
            return Err(KeyError::Private);
        }
        if !self.is_for_signatures() {
            return Err(KeyError::OtherUse);
        }
        let key = self.material()?;
        if self.alg.is_some_and(|alg| Algorithm::named(&alg) != Some(key.algorithm())) {
            return Err(KeyError::OtherAlgorithm);
        }
        Ok(key.with_id(self.kid))
    }

    fn is_for_signatures(&self) -> bool {
        self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"))
    }

    fn material(&self) -> Result<Key, KeyError> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => Key::ec_coordinates(&bytes(self.x.as_ref())?, &bytes(self.y.as_ref())?),
            ("OKP", Some("Ed25519")) => Key::ed25519_bytes(&bytes(self.x.as_ref())?),
            ("RSA", _) => Key::rsa_components(&bytes(self.n.as_ref())?, &bytes(self.e.as_ref())?),
            ("oct", _) => {
                let encoded = self.k.as_ref().ok_or(KeyError::Members)?;
                let secret =
                    URL_SAFE_NO_PAD.decode(encoded.as_bytes()).map_err(|_| KeyError::NotBase64Url)?;
                Key::secret(&Zeroizing::new(secret))
            }
            _ => Err(KeyError::UnknownType),
        }
    }
}

fn bytes(member: Option<&String>) -> Result<Vec<u8>, KeyError> {
    let text = member.ok_or(KeyError::Members)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::NotBase64Url)
}

fn read<T: DeserializeOwned>(json: &str) -> Option<T> {
    is_object(json).then(|| serde_json::from_str(json).ok()).flatten()
}

/// serde would also accept a list of the same values in the right order.
fn is_object(json: &str) -> bool {
    json.trim_start().starts_with('{')
}

/// The one key in `text`. Text before and after the block is skipped, as in RFC 7468.
fn pem_key(text: &str) -> Result<Key, KeysError> {
    // The text is searched, so that a private key in a damaged block is reported as one too.
    if text.contains("PRIVATE KEY-----") {
        return Err(KeysError::PrivatePem);
    }
    let blocks = pem::parse_many(text).map_err(|_| KeysError::NoPem)?;
    let [block] = blocks.as_slice() else {
        return Err(if blocks.is_empty() { KeysError::NoPem } else { KeysError::SeveralPem(blocks.len()) });
    };
    match block.tag() {
        "PUBLIC KEY" => of_some_type(block.contents()).map_err(KeysError::Key),
        "RSA PUBLIC KEY" => Key::rsa(block.contents()).map_err(KeysError::Key),
        "CERTIFICATE" => Err(KeysError::Certificate),
        _ => Err(KeysError::OtherPem),
    }
}

/// The types are tried in turn: each parser reads the type's identifier first and refuses any other.
fn of_some_type(der: &[u8]) -> Result<Key, KeyError> {
    match Key::ec(der).or_else(|_| Key::ed25519(der)).or_else(|_| Key::rsa(der)) {
        Err(KeyError::Invalid) => Err(KeyError::UnknownType),
        result => result,
    }
}
