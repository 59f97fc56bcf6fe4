//! A TLS server with any certificate and any ALPN protocols, and without MQTT.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration as StdDuration;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
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

    /// The 32 bytes of the private key, a P-256 one.
    pub(crate) fn private_scalar(&self) -> Vec<u8> {
        let der = self.key.serialize_der();
        // RFC 5915: version 1, then an octet string of 32 bytes.
        let before = [2, 1, 1, 4, 32];
        let at = der.windows(before.len()).position(|bytes| bytes == before).unwrap() + before.len();
        der[at..at + 32].to_vec()
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }
}

/// Serves this certificate, followed by these issuers, and returns the port.
pub(crate) fn serve(leaf: &Signer, issuers: &[&Signer], alpn: &[&str], version: Version) -> u16 {
    let config = config(leaf, issuers, alpn, version);
    listen(move |mut stream| {
        let Ok(mut tls) = ServerConnection::new(Arc::clone(&config)) else { return };
        while tls.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {}
    })
}

/// Serves this certificate, ends each connection in this way, and returns the port.
pub(crate) fn serve_until(leaf: &Signer, end: End) -> u16 {
    let config = config(leaf, &[], &["mqtt", "x-amzn-mqtt-ca"], Version::V13);
    listen(move |mut stream| {
        let Ok(mut tls) = ServerConnection::new(Arc::clone(&config)) else { return };
        if let End::Connect = end {
            while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
            // The CONNECT may have come with the end of the handshake.
            _ = stream.set_read_timeout(Some(StdDuration::from_millis(500)));
            _ = stream.read(&mut [0; 1_024]);
            return;
        }
        if tls.read_tls(&mut stream).is_err() || tls.process_new_packets().is_err() {
            return;
        }
        let answer = match end {
            End::Hello | End::Connect => Vec::new(),
            End::Flight => {
                let mut flight = Vec::new();
                while tls.wants_write() && tls.write_tls(&mut flight).is_ok() {}
                flight.truncate(flight.len() / 2);
                flight
            }
            End::Alert(number) => vec![21, 3, 3, 0, 2, 2, number],
            End::PlainText => b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        };
        _ = stream.write_all(&answer);
    })
}

/// Where a server ends a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// After the `ClientHello`.
    Hello,
    /// In the middle of its own messages.
    Flight,
    /// With this fatal alert.
    Alert(u8),
    /// With an answer that is not TLS.
    PlainText,
    /// After the handshake, when the CONNECT has come.
    Connect,
}

/// The only version of TLS that a server supports.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Version {
    V12,
    V13,
}

fn config(leaf: &Signer, issuers: &[&Signer], alpn: &[&str], version: Version) -> Arc<ServerConfig> {
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
    Arc::new(config)
}

fn listen(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), handle) = (stream, Arc::clone(&handle)) else { return };
            thread::spawn(move || handle(stream));
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
