//! Client certificates in the TLS handshake: the client needs the certificate's key, and the certificate has to be
//! registered.
//!
//! The issuer does not matter: AWS accepts a registered certificate of its own CA, of a customer's CA or of none (developer
//! guide, `x509-client-certs`), and the registry has the certificate itself.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use crate::registry::{CertificateId, Registry, certificate::InvalidCertificate};

/// Accepts clients that have the key of a registered certificate that is valid now.
pub struct ClientCertificates {
    registry: Arc<dyn Registry>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why a client's certificate is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertificateError {
    /// It is not registered.
    #[error(
        "the client's certificate is not registered: its id (the SHA-256 of its DER form) is {0}; register it with \
         `[[certificate]]` in the settings file, or give the device one that is registered"
    )]
    Unknown(Arc<str>),
    /// The handshake is not signed by its key.
    #[error("the client presents a certificate without having its key: give it the two that belong together")]
    NotItsKey,
    /// It can't be read, or its key can't sign a handshake.
    #[error(
        "the client's certificate can't be used in a TLS handshake: it needs X.509 version 3 and a key that TLS can sign \
         with"
    )]
    Unreadable,
    /// It is not active or not valid now.
    #[error("{0}")]
    InvalidCertificate(InvalidCertificate),
}

impl ClientCertificates {
    /// The certificates of this registry.
    #[must_use]
    pub fn new(registry: Arc<dyn Registry>, provider: &CryptoProvider) -> Self {
        Self { registry, algorithms: provider.signature_verification_algorithms }
    }

    fn check(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), ClientCertificateError> {
        let id = CertificateId::of(certificate);
        let known = self.registry.certificate(&id);
        let known = known.ok_or_else(|| ClientCertificateError::Unknown(Arc::clone(id.as_str())))?;
        known.usable(now).map_err(ClientCertificateError::InvalidCertificate)
    }
}

impl ClientCertVerifier for ClientCertificates {
    /// Empty, because any issuer is accepted, and some clients send no certificate when its issuer is not in the list.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(certificate, now)
            .map_err(|refusal| CertificateError::Other(OtherError(Arc::new(refusal))).into())
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificates")
    }
}
