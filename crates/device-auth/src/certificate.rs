//! The client's certificate, at an endpoint that asks for a certificate and a password.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-509cert`.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::deny_reason::DenyReason;

/// A certificate of the client. The TLS handshake has proved that the client has its private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'e> {
    principal_id: &'e str,
    fingerprint: Fingerprint,
}

/// The SHA-256 of a certificate's DER form, as text 64 hex digits. AWS's certificate id is the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// A text that is not a [`Fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a certificate's fingerprint is its SHA-256 in 64 hex digits")]
pub struct FingerprintError;

/// The most bytes of a certificate's PEM form. The largest that TLS stacks accept are smaller.
const MAX_PEM_BYTES: usize = 65_536;
/// AWS's rule for a `principalId` is `[a-zA-Z0-9]{1,128}`.
const MAX_PRINCIPAL_BYTES: usize = 128;

impl<'e> Certificate<'e> {
    /// The certificate of the event, from its PEM form and IoT Core's name for it; `None` if the event has neither.
    ///
    /// # Errors
    ///
    /// [`DenyReason::CertificateInvalid`] for one without the other, and for a text that is not a certificate or not a
    /// `principalId`.
    pub fn read(pem: Option<&str>, principal_id: Option<&'e str>) -> Result<Option<Self>, DenyReason> {
        let (pem, principal_id) = match (pem, principal_id) {
            (Some(pem), Some(principal_id)) => (pem, principal_id),
            (None, None) => return Ok(None),
            _ => return Err(DenyReason::CertificateInvalid),
        };
        let plain = !principal_id.is_empty()
            && principal_id.len() <= MAX_PRINCIPAL_BYTES
            && principal_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain || pem.len() > MAX_PEM_BYTES {
            return Err(DenyReason::CertificateInvalid);
        }
        // The first one is the client's own, any others are its issuers'.
        let block = pem::parse(pem).ok().filter(|block| block.tag() == "CERTIFICATE");
        let block = block.ok_or(DenyReason::CertificateInvalid)?;
        let fingerprint = Fingerprint(Sha256::digest(block.contents()).into());
        Ok(Some(Self { principal_id, fingerprint }))
    }

    /// IoT Core's name for it, which the answer must repeat.
    #[must_use]
    pub fn principal_id(&self) -> &'e str {
        self.principal_id
    }

    /// The fingerprint, by which records name it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| FingerprintError)?;
        Ok(Self(bytes))
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        hex::encode(fingerprint.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
