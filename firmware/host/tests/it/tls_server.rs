//! A TLS server with any certificate and any ALPN protocols, and without MQTT.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

/// A certificate with its key, which can sign others.
pub(crate) struct Signer {
    params: CertificateParams,
    key: KeyPair,
    certificate: Certificate,
}

impl Signer {
    /// A root CA.
    pub(crate) fn root() -> Self {
        let mut params = params("the root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { params, key, certificate }
    }

    /// A certificate for `localhost` that this one has signed; not a CA, unless `change` makes it one.
    pub(crate) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = params("localhost");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self { params, key, certificate }
    }

    /// The certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key, PEM.
    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }
}

/// Serves this certificate, followed by these issuers, and returns the port.
pub(crate) fn serve(leaf: &Signer, issuers: &[&Signer], alpn: &[&str], version: Version) -> u16 {
    let chain = std::iter::once(leaf).chain(issuers.iter().copied()).map(Signer::der).collect();
    let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[match version {
            Version::V12 => &rustls::version::TLS12,
            Version::V13 => &rustls::version::TLS13,
        }])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    listen(Arc::new(config))
}

/// The only version of TLS that a server supports.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Version {
    V12,
    V13,
}

fn listen(config: Arc<ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), config) = (stream, Arc::clone(&config)) else { return };
            let Ok(mut tls) = rustls::ServerConnection::new(config) else { return };
            thread::spawn(move || while tls.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {});
        }
    });
    port
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.replace(' ', "-")]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = OffsetDateTime::now_utc() - Duration::days(2);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(2);
    params
}
