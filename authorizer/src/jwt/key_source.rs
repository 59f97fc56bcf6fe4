//! Where the keys come from.

use std::sync::Arc;

#[cfg(feature = "jwks-url")]
use super::jwks_url::JwksUrl;
use super::keys::Keys;

/// Where the keys come from.
pub enum KeySource {
    /// From the configuration, once.
    Fixed(Arc<Keys>),
    /// From a URL, every now and then.
    #[cfg(feature = "jwks-url")]
    Url(Box<JwksUrl>),
}

impl KeySource {
    /// The keys for `token`, which is only looked at for whether its key is a new one. Nothing is fetched for a token
    /// that will be refused for its shape.
    ///
    /// # Errors
    ///
    /// Where no keys can be had. That is a fault, not a refusal: it says nothing about the token.
    #[cfg_attr(
        not(feature = "jwks-url"),
        expect(clippy::unused_async, reason = "the same shape without a URL")
    )]
    #[cfg_attr(not(feature = "jwks-url"), expect(unused_variables, reason = "only a URL looks at the token"))]
    pub async fn keys_for(&self, token: &str) -> Result<Arc<Keys>, JwksFault> {
        match self {
            Self::Fixed(keys) => Ok(Arc::clone(keys)),
            #[cfg(feature = "jwks-url")]
            Self::Url(url) => url.keys_for(token).await,
        }
    }
}

/// Why the JWKS URL gave no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksFault {
    /// No whole answer came within the time limit.
    #[error("the JWKS URL did not answer in time")]
    TimedOut,
    /// There was no connection, or it broke.
    #[error("the JWKS URL can't be reached: {0}")]
    Unreachable(String),
    /// The answer was not 200. Redirects are not followed: they could lead anywhere.
    #[error("the JWKS URL answered with status {0}, not with 200")]
    Status(u16),
    /// The answer was longer than 64 KiB.
    #[error("the JWKS URL answered with more than 64 KiB")]
    TooLarge,
    /// The answer was not a JWKS with a key that can be used.
    #[error("the JWKS URL answered with {0}")]
    NotJwks(#[source] super::keys_error::KeysError),
}
