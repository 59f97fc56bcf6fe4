//! One GET: no redirects, up to 64 KiB, and no kept connection.

use std::{error::Error, io, str::FromStr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{StatusCode, Uri};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use iot_policy::loopback::is_loopback;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, crypto::aws_lc_rs};

use crate::fault::JwksFault;

/// The most bytes of a JWKS. A key with its certificates has less than 2 KB, and an issuer has a few of them.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A client for one address.
pub(super) struct Client {
    address: JwksAddress,
    http: legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// Why a client can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system's certificate authorities can't be read.
    #[error(
        "this system's certificate authorities can't be read: {0}; set SSL_CERT_FILE to a file with some"
    )]
    Roots(#[from] io::Error),
}

impl Client {
    /// Reads the system's certificate authorities if the address needs TLS.
    pub(super) fn new(address: JwksAddress) -> Result<Self, ClientError> {
        if !address.is_https() {
            return Self::trusting(address, RootCertStore::empty());
        }
        let tls = tls()?.with_native_roots()?.with_no_client_auth();
        Ok(Self::with_tls(address, tls))
    }

    pub(super) fn trusting(address: JwksAddress, roots: RootCertStore) -> Result<Self, ClientError> {
        let tls = tls()?.with_root_certificates(roots).with_no_client_auth();
        Ok(Self::with_tls(address, tls))
    }

    /// No connection is kept: a frozen function would find it closed.
    fn with_tls(address: JwksAddress, tls: ClientConfig) -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        let http = builder.pool_max_idle_per_host(0).retry_canceled_requests(false).build(connector);
        Self { address, http }
    }

    pub(super) fn host(&self) -> &str {
        self.address.host()
    }

    /// The body of an answer with status 200.
    pub(super) async fn get(&self) -> Result<Bytes, JwksFault> {
        let answer = self.http.get(self.address.uri().clone()).await.map_err(|error| unreached(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(JwksFault::Status(answer.status().as_u16()));
        }
        match Limited::new(answer.into_body(), MAX_BODY_BYTES).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(JwksFault::TooLarge),
            Err(error) => Err(unreached(error.as_ref())),
        }
    }
}

fn tls() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// The fault with the innermost error, which says what happened. The outer ones only say that a request failed.
fn unreached(error: &(dyn Error + 'static)) -> JwksFault {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    JwksFault::Unreachable(innermost.to_string())
}

/// An `https` URL, or an `http` URL of this machine, for tests and a local gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksAddress(Uri);

/// Why a text is not a [`JwksAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksAddressError {
    /// It is not a URL with a scheme and a host.
    #[error("not a URL; it should read `https://HOST/PATH`")]
    NotUrl,
    /// It is neither `https` nor `http` on this machine.
    #[error("not an `https` URL; `http` is only for `localhost`, `127.0.0.1` and `[::1]`")]
    NotHttps,
    /// It has a user name or a password.
    #[error("a URL with a user name or a password; keys are public and need none")]
    UserInfo,
}

impl JwksAddress {
    fn uri(&self) -> &Uri {
        &self.0
    }

    pub(super) fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl FromStr for JwksAddress {
    type Err = JwksAddressError;

    fn from_str(text: &str) -> Result<Self, JwksAddressError> {
        let uri = Uri::from_str(text).map_err(|_| JwksAddressError::NotUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(JwksAddressError::NotUrl);
        };
        if authority.as_str().contains('@') {
            return Err(JwksAddressError::UserInfo);
        }
        match scheme {
            _ if authority.host().is_empty() => Err(JwksAddressError::NotUrl),
            "https" => Ok(Self(uri)),
            "http" if is_loopback(authority.host()) => Ok(Self(uri)),
            _ => Err(JwksAddressError::NotHttps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_https_or_http_on_this_machine() {
        for url in [
            "https://example.com/.well-known/jwks.json",
            "https://example.com:8443/keys?a=b",
            "HTTPS://example.com/",
            "http://localhost:8080/jwks.json",
            "http://LOCALHOST/",
            "http://127.0.0.1:1/",
            "http://127.1.2.3/",
            "http://[::1]:8080/",
        ] {
            assert!(url.parse::<JwksAddress>().is_ok(), "{url}");
        }
        for (url, error) in [
            ("", JwksAddressError::NotUrl),
            ("/jwks.json", JwksAddressError::NotUrl),
            ("example.com", JwksAddressError::NotUrl),
            ("https://", JwksAddressError::NotUrl),
            ("https://exa mple.com/", JwksAddressError::NotUrl),
            ("http://example.com/", JwksAddressError::NotHttps),
            ("http://localhost.example.com/", JwksAddressError::NotHttps),
            ("http://10.0.0.1/", JwksAddressError::NotHttps),
            ("http://0.0.0.0/", JwksAddressError::NotHttps),
            ("http://169.254.169.254/latest/meta-data", JwksAddressError::NotHttps),
            ("http://[::ffff:10.0.0.1]/", JwksAddressError::NotHttps),
            ("ftp://example.com/", JwksAddressError::NotHttps),
            ("file:///etc/passwd", JwksAddressError::NotUrl),
            ("https://user:secret@example.com/", JwksAddressError::UserInfo),
            ("http://localhost@example.com/", JwksAddressError::UserInfo),
        ] {
            assert_eq!(url.parse::<JwksAddress>(), Err(error), "{url}");
        }
    }
}
