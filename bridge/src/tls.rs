//! The certificate of the TLS port, read again when its files change.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::settings::TlsFiles;

/// A certificate or a key that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file has none.
    #[error("no {what} in `{path}`: {error}; it must be PEM")]
    Pem {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: String,
        /// The error.
        error: rustls::pki_types::pem::Error,
    },
    /// The two don't belong together, or are of a kind that TLS has not.
    #[error("the certificate and its key can't be used: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The ALPN protocols that AWS has for MQTT, for devices that offer one.
const ALPN: [&[u8]; 2] = [b"mqtt", b"x-amzn-mqtt-ca"];

/// The configuration of the TLS port: TLS 1.2 and 1.3, no client certificate, and neither ALPN nor SNI is needed.
///
/// # Errors
///
/// [`TlsError`].
pub fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let error = |what, path: &Path| {
        let path = path.display().to_string();
        move |error| TlsError::Pem { what, path, error }
    };
    let chain =
        CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(error("certificate", &files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(error("key", &files.key))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}
