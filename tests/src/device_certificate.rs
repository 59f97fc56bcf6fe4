//! Certificates of devices, each made for one test, and TLS connections with them.

use std::{path::Path, sync::Arc};

use gateway::{certificate::Authority, door::route::Port, registry::Certificate};
use iot_policy::PolicyDocument;
use mqtt::wire;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use rustls::{
    SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::{eventually::within, mqtt_client::roots, test_gateway::TestGateway};

/// A device's certificate and its key.
pub struct DeviceCertificate {
    /// The certificate, as PEM.
    pub pem: String,
    /// The key, as PEM.
    pub key: String,
}

impl DeviceCertificate {
    /// One that signs itself, for this common name, valid for an hour from now.
    pub fn new(common_name: &str) -> Self {
        Self::valid(common_name, Duration::ZERO, Duration::hours(1))
    }

    /// One that is valid from and until so long from now.
    pub fn valid(common_name: &str, from: Duration, until: Duration) -> Self {
        let key = KeyPair::generate().unwrap();
        let pem = params(common_name, from, until).self_signed(&key).unwrap().pem();
        Self { pem, key: key.serialize_pem() }
    }

    /// The same name, signed by an authority that nobody knows.
    pub fn of_another_authority(common_name: &str) -> Self {
        let (authority, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let issuer = Issuer::new(params("somebody", Duration::ZERO, Duration::hours(1)), authority);
        let params = params(common_name, Duration::ZERO, Duration::hours(1));
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        Self { pem, key: key.serialize_pem() }
    }

    /// As a registry knows it: active, and with a policy that allows everything.
    pub fn registered(&self) -> Certificate {
        let mut certificate = Certificate::from_pem(&self.pem).unwrap();
        certificate.policies = Arc::from([allow(&["iot:*"], &["*"])]);
        certificate
    }

    /// Writes both into a folder, as `NAME.pem` and `NAME.key`.
    pub fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.pem")), &self.pem).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), &self.key).unwrap();
    }
}

/// A policy that allows these actions on these resources.
pub fn allow(actions: &[&str], resources: &[&str]) -> PolicyDocument {
    let statement = json!({"Effect": "Allow", "Action": actions, "Resource": resources});
    json!({"Version": "2012-10-17", "Statement": statement}).to_string().parse().unwrap()
}

/// A way to a gateway.
#[derive(Clone, Copy)]
pub struct Knock<'a> {
    /// At which of AWS's ports.
    pub port: Port,
    /// The server name; an address sends none.
    pub server_name: &'a str,
    /// The ALPN protocols.
    pub alpn: &'a [&'a str],
    /// The certificate, if there is one.
    pub certificate: Option<&'a DeviceCertificate>,
    /// The versions of TLS.
    pub versions: &'a [&'static SupportedProtocolVersion],
}

impl Knock<'_> {
    /// The TLS connection. With TLS 1.3 a client hears of a refusal of its certificate only after its own handshake.
    pub async fn tls(&self, gateway: &TestGateway) -> std::io::Result<TlsStream<TcpStream>> {
        let certificate = self.certificate.map(|DeviceCertificate { pem, key }| {
            let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
            (chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
        });
        let config = wire::client_config(roots(gateway), self.alpn, self.versions, certificate).unwrap();
        let name = ServerName::try_from(self.server_name.to_owned()).unwrap();
        let address = gateway.addresses.doors[&self.port];
        within("the TLS handshake", wire::connect(address, name, Arc::new(config))).await
    }
}

fn params(common_name: &str, from: Duration, until: Duration) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    // A second for the clock's whole seconds.
    params.not_before = OffsetDateTime::now_utc() + from - Duration::SECOND;
    params.not_after = OffsetDateTime::now_utc() + until;
    params
}

/// Whether a client is kept out that presents a certificate and signs with a key that is not the certificate's.
pub async fn with_wrong_key(
    gateway: &TestGateway,
    certificate: &DeviceCertificate,
    version: &'static SupportedProtocolVersion,
) -> bool {
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key).unwrap();
    let resolver = rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(chain, key));
    let mut config = wire::client_config(roots(gateway), &[], &[version], None).unwrap();
    config.client_auth_cert_resolver = Arc::new(resolver);
    let name = ServerName::try_from("localhost").unwrap();
    let address = gateway.addresses.doors[&Port::P8883];
    let connected = within("the TLS handshake", wire::connect(address, name, Arc::new(config))).await;
    match connected {
        // The client's own part of the handshake is done; the server's verdict comes with the first read.
        Ok(mut stream) => {
            let mut answer = Vec::new();
            within("the end", tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer)).await.is_err()
        }
        Err(_) => true,
    }
}

/// A server's certificate for this name and its key, as PEM, by the authority of a data folder, which is made if it is not
/// there.
pub fn server_certificate(data: &Path, name: &str) -> (String, String) {
    Authority::open(data).unwrap();
    let authority = KeyPair::from_pem(&std::fs::read_to_string(data.join("ca.key")).unwrap()).unwrap();
    let mut subject = CertificateParams::default();
    subject.distinguished_name = rcgen::DistinguishedName::new();
    subject.distinguished_name.push(DnType::OrganizationName, "Latchkey");
    subject.distinguished_name.push(DnType::CommonName, "Latchkey local CA");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &Issuer::new(subject, authority)).unwrap();
    (certificate.pem(), key.serialize_pem())
}
