//! Client certificates in the TLS handshake: the key has to fit the certificate, and the registry has to know it.
//!
//! Who issued a certificate plays no part: AWS lets in what is registered, under its own CA, a customer's or none
//! (developer guide, `x509-client-certs`), and the registry holds the certificate itself.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use crate::registry::{CertificateId, Registry, certificate::InvalidCertificate};

/// Lets in whoever has the key of a registered certificate that may be used now.
pub struct ClientCertificates {
    registry: Arc<dyn Registry>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why a client's certificate is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertificateError {
    /// Nobody registered it.
    #[error("the client's certificate is not registered: its id (the SHA-256 of its DER form) is {0}")]
    Unknown(Arc<str>),
    /// The handshake is not signed by its key.
    #[error("the client presents a certificate without having its key")]
    NotItsKey,
    /// It can't be read, or its key can't sign a handshake.
    #[error("the client's certificate can't be used in a TLS handshake")]
    Unreadable,
    /// It may not be used now.
    #[error("{0}")]
    InvalidCertificate(InvalidCertificate),
}

impl ClientCertificates {
    /// Those of this registry.
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
    /// None: a client may have a certificate of any issuer, and some send none when theirs is not in the list.
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
