//! Why keys can't be used. No text here holds anything of a key.

use super::{key::MIN_RSA_BITS, key::MIN_SECRET_BYTES};

/// Why a configured text gives no [`super::keys::Keys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// There is no readable PEM block.
    #[error("no key in PEM form: it should begin with `-----BEGIN PUBLIC KEY-----`")]
    NoPem,
    /// There is a private key.
    #[error(
        "a private key, which has no business here: `openssl pkey -in FILE -pubout` writes its public half"
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
    /// The one key is at fault.
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
    /// The list is empty, or nothing in a fetched list can be used.
    #[error("no key that can be used")]
    NoKeys,
    /// A key of the list is at fault.
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
    /// A member is missing, stands twice or is not a string.
    #[error("not a JSON object as RFC 7517 has it, or a member that `kty` calls for is missing")]
    Members,
    /// A member is not base64url without padding.
    #[error("a member that should be base64url without padding is not")]
    NotBase64Url,
    /// `kty` or `crv` is another.
    #[error("neither EC P-256 nor RSA nor Ed25519 nor a secret (`oct`)")]
    UnknownType,
    /// The numbers don't make a key of this type.
    #[error("not a valid public key of its type")]
    Invalid,
    /// It is the private half.
    #[error("a private key, which has no business here: take out every member but the public ones")]
    Private,
    /// `use` or `key_ops` is for something else.
    #[error("`use` or `key_ops` says that it is not for checking signatures")]
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
    /// There are several keys, and this one has no `kid`.
    #[error("no `kid`, which every key needs where there are several")]
    NoId,
    /// An earlier key has the same `kid`.
    #[error("an earlier key has the same `kid`")]
    SameId,
}
