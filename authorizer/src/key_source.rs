//! Where the keys of JSON Web Tokens come from.

use std::sync::Arc;

use device_auth::jwt::keys::Keys;

use crate::fault::JwksFault;
#[cfg(feature = "jwks-url")]
use crate::jwks_url::JwksUrl;

/// Where the keys come from.
pub enum KeySource {
    /// From a file, read once.
    Fixed(Arc<Keys>),
    /// From a URL, fetched again from time to time.
    #[cfg(feature = "jwks-url")]
    Url(Box<JwksUrl>),
}

impl KeySource {
    /// The keys for `token`. The token only decides whether its key is a new one; a malformed token fetches nothing.
    ///
    /// # Errors
    ///
    /// When there are no keys. That is a fault, not a refusal: it says nothing about the token.
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
