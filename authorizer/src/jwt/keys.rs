//! The keys that tokens are checked with.

use super::{
    algorithm::Algorithm,
    jwk,
    key::Key,
    keys_error::{KeyError, KeysError},
    pem_file,
    refusal::Refusal,
    token::Header,
};

/// One key or several. No `Debug`: some may be secrets.
pub struct Keys(Vec<Key>);

impl Keys {
    /// The one public key in a PEM file: EC P-256 for ES256, RSA for RS256, Ed25519 for `EdDSA`. It has no id of its
    /// own, so it is what every token is checked with, whatever its `kid` says.
    ///
    /// # Errors
    ///
    /// Where there is no such key, or a private one, or more than one.
    pub fn from_pem(text: &str) -> Result<Self, KeysError> {
        Ok(Self(vec![pem_file::key(text)?]))
    }

    /// The keys in a configured JWKS (RFC 7517, section 5): those for [`Self::from_pem`] and `oct` for HS256, each
    /// with its own `kid` where there are several.
    ///
    /// # Errors
    ///
    /// Where any of them can't be used, because whoever wrote the file meant it to be.
    pub fn from_jwks(text: &str) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for (position, key) in (1..).zip(jwk::keys(text)?) {
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

    /// The keys in a JWKS that somebody else publishes. Those that can't be used here are passed over, and so are
    /// secrets: what everybody can read proves nothing.
    #[cfg_attr(not(feature = "jwks-url"), expect(dead_code, reason = "nothing else fetches"))]
    pub(super) fn from_published_jwks(text: &str) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for key in jwk::keys(text)?.filter_map(Result::ok) {
            if key.algorithm() != Algorithm::Hs256 && !is_known(&keys, &key) {
                keys.push(key);
            }
        }
        if keys.len() > 1 {
            keys.retain(|key| key.id().is_some());
        }
        if keys.is_empty() { Err(KeysError::NoKeys) } else { Ok(Self(keys)) }
    }

    /// No key at all, which refuses every token.
    #[cfg(feature = "jwks-url")]
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The one key that a token with this header must be signed with.
    pub(super) fn find(&self, header: &Header) -> Result<&Key, Refusal> {
        let key = match (header.key_id.as_deref(), self.0.as_slice()) {
            (None, [only]) => only,
            (Some(_), [only]) if only.id().is_none() => only,
            (None, [_, _, ..]) => return Err(Refusal::NoKeyId),
            (id, keys) => keys.iter().find(|key| key.id() == id).ok_or(Refusal::UnknownKey)?,
        };
        if key.algorithm() == header.algorithm { Ok(key) } else { Err(Refusal::Algorithm) }
    }
}

fn is_known(keys: &[Key], key: &Key) -> bool {
    key.id().is_some() && keys.iter().any(|known| known.id() == key.id())
}
