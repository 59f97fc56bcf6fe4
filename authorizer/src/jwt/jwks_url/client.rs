//! One GET: no redirects, no more than 64 KiB, no connection kept.

use std::{error::Error, io, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, crypto::aws_lc_rs};

use super::{JwksAddress, JwksFault};

/// Bytes of a JWKS, at most. A key has less than 2 KB, certificates included, and an issuer has a handful.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A client for one address.
pub(super) struct Client {
    address: JwksAddress,
    http: legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system has no certificate authorities.
    #[error(
        "this system's certificate authorities can't be read: {0}; SSL_CERT_FILE may name a file with some"
    )]
    Roots(#[from] io::Error),
}

impl Client {
    /// Reads the system's certificate authorities where the address calls for TLS.
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

    /// A function that sleeps between two fetches finds its connections dead, so none is kept.
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

    /// The body of the answer, if that is 200.
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

/// The innermost error says what happened; those around it say that it happened to a client.
fn unreached(error: &(dyn Error + 'static)) -> JwksFault {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    JwksFault::Unreachable(innermost.to_string())
}
