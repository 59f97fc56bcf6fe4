//! How the function verifies JSON Web Tokens: the rules, and the source of the keys.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use device_auth::jwt::{
    Rules,
    keys::{Keys, KeysError},
};

#[cfg(feature = "jwks-url")]
use crate::jwks_url::JwksUrl;
use crate::{
    config::jwt::{JWT_KEYS, JwtKeys, JwtSettings},
    fault::JwksFault,
};

/// What JSON Web Tokens are verified with.
pub struct JwtVerification {
    /// The source of the keys.
    pub keys: KeySource,
    /// What a token must say.
    pub rules: Rules,
}

/// The source of the keys.
pub enum KeySource {
    /// Keys from a file, which was read at the start.
    Fixed(Arc<Keys>),
    /// Keys from a URL, which are fetched again from time to time.
    #[cfg(feature = "jwks-url")]
    Url(Box<JwksUrl>),
}

impl JwtVerification {
    /// Reads the key file, or prepares the client of the URL. It fetches nothing.
    ///
    /// # Errors
    ///
    /// When the file can't be read or has no usable keys, or the client can't be set up.
    pub fn new(settings: JwtSettings) -> anyhow::Result<Self> {
        let keys = match settings.keys {
            JwtKeys::Pem(path) => read(&path, Keys::from_pem)?,
            JwtKeys::Jwks(path) => read(&path, Keys::from_jwks)?,
            #[cfg(feature = "jwks-url")]
            JwtKeys::Url(address, timing) => {
                KeySource::Url(Box::new(JwksUrl::new(address, timing).context(JWT_KEYS)?))
            }
        };
        Ok(Self { keys, rules: settings.rules })
    }
}

fn read(path: &Path, parse: impl Fn(&str) -> Result<Keys, KeysError>) -> anyhow::Result<KeySource> {
    let location = || format!("{JWT_KEYS}: `{}`", path.display());
    let text = fs::read_to_string(path).with_context(location)?;
    Ok(KeySource::Fixed(Arc::new(parse(&text).with_context(location)?)))
}

impl KeySource {
    /// The keys for `token`. A URL is fetched again when the token names a key that is not known; a malformed token
    /// fetches nothing.
    ///
    /// # Errors
    ///
    /// When there are no keys. That is a fault, not a refusal: it says nothing about the token.
    #[cfg_attr(
        not(feature = "jwks-url"),
        expect(clippy::unused_async, reason = "the function of the same name with the feature awaits")
    )]
    #[cfg_attr(
        not(feature = "jwks-url"),
        expect(unused_variables, reason = "only a URL depends on the token")
    )]
    pub async fn keys_for(&self, token: &str) -> Result<Arc<Keys>, JwksFault> {
        match self {
            Self::Fixed(keys) => Ok(Arc::clone(keys)),
            #[cfg(feature = "jwks-url")]
            Self::Url(url) => url.keys_for(token).await,
        }
    }
}
