//! The client's certificate, at an endpoint that asks for one and for a password too.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-509cert`.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::deny_reason::DenyReason;

/// A certificate whose private key the client has: the TLS handshake proved that before the event was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'e> {
    principal_id: &'e str,
    fingerprint: Fingerprint,
}

/// The SHA-256 of a certificate's DER form; as text, 64 hex digits. AWS's certificate id is the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// The most bytes that a certificate's PEM form may have; the largest that TLS stacks take are below it.
const MAX_PEM_BYTES: usize = 65_536;
/// AWS's rule for a `principalId` is `[a-zA-Z0-9]{1,128}`.
const MAX_PRINCIPAL_BYTES: usize = 128;

impl<'e> Certificate<'e> {
    /// The certificate that the event carries, if it carries one: its PEM form and IoT Core's name for it.
    ///
    /// # Errors
    ///
    /// [`DenyReason::CertificateInvalid`] for one without the other, and for what is not a certificate or not a
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

    /// IoT Core's name for it, which the answer has to repeat.
    #[must_use]
    pub fn principal_id(&self) -> &'e str {
        self.principal_id
    }

    /// What records name it by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let mut bytes = [0; 32];
        let decoded = hex::decode_to_slice(text, &mut bytes);
        decoded
            .map(|()| Self(bytes))
            .map_err(|_| "a certificate's fingerprint is its SHA-256 in 64 hex digits")
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
