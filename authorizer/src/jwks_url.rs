//! Keys from a URL, with a cache.
//!
//! Any client can choose the `kid` of the token that it presents. So an unknown `kid` causes a fetch only if the last such
//! fetch was long enough ago. A client can't make the authorizer flood the issuer, and a new key of the issuer is known
//! within that time.

mod cache;
mod client;

use std::sync::Arc;

use device_auth::jwt::{
    keys::{Keys, KeysError},
    token::UnverifiedToken,
};
use rustls::RootCertStore;
use tokio::{sync::Mutex, time::timeout};

use self::{cache::Cache, client::Client};
pub use self::{
    cache::JwksTiming,
    client::{ClientError, JwksAddress, JwksAddressError},
};
use crate::{fault::JwksFault, moment::Moment};

/// Keys from a URL. It makes one fetch at a time, for which concurrent attempts wait.
pub struct JwksUrl {
    client: Client,
    timing: JwksTiming,
    cache: Mutex<Cache>,
}

impl JwksUrl {
    /// A source that trusts the certificate authorities of this system. It fetches nothing yet.
    ///
    /// # Errors
    ///
    /// When the system has none. `SSL_CERT_FILE` can name a file with some.
    pub fn new(address: JwksAddress, timing: JwksTiming) -> Result<Self, ClientError> {
        Ok(Self::with_client(Client::new(address)?, timing))
    }

    /// A source that trusts only these certificate authorities.
    ///
    /// # Errors
    ///
    /// When TLS can't be set up.
    pub fn trusting(
        address: JwksAddress,
        timing: JwksTiming,
        roots: RootCertStore,
    ) -> Result<Self, ClientError> {
        Ok(Self::with_client(Client::trusting(address, roots)?, timing))
    }

    fn with_client(client: Client, timing: JwksTiming) -> Self {
        Self { client, timing, cache: Mutex::new(Cache::default()) }
    }

    /// The keys for `token`. They are fetched if there are none, if they are old, or if the `kid` of the token is unknown and a
    /// fetch for that is allowed again.
    ///
    /// # Errors
    ///
    /// When the fetch failed, and no old keys may still be used.
    pub async fn keys_for(&self, token: &str) -> Result<Arc<Keys>, JwksFault> {
        let asked = Moment::now();
        let Ok(token) = UnverifiedToken::read(token) else { return Ok(Arc::new(Keys::none())) };
        let mut cache = self.cache.lock().await;
        if let Some(reason) = cache.due(&token, &self.timing, asked) {
            cache.note_attempt(reason, Moment::now());
            match self.fetch().await {
                Ok(keys) => cache.succeed(keys, Moment::now()),
                Err(fault) => {
                    let stale = cache.has_keys();
                    tracing::warn!(target: "authorizer", host = self.client.host(), error = %fault, stale, "JWKS fetch failed");
                    cache.fail(fault, Moment::now());
                }
            }
        }
        cache.answer(Moment::now())
    }

    async fn fetch(&self) -> Result<Keys, JwksFault> {
        let body =
            timeout(self.timing.time_limit, self.client.get()).await.map_err(|_| JwksFault::TimedOut)??;
        let not_jwks = |_| KeysError::NotJwks { line: 1, column: 1 };
        let text = std::str::from_utf8(&body).map_err(not_jwks).map_err(JwksFault::NotJwks)?;
        Keys::from_published_jwks(text).map_err(JwksFault::NotJwks)
    }
}
